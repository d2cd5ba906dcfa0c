"""Tables for a paper: CSV with the numbers, Markdown and LaTeX as a reader sees them.

Nothing is computed: every number stands in a run's result. Each Markdown and LaTeX file
names its run in a comment; a CSV has no room for one and is known by its hash in the
manifest.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from .. import experiments
from ..files import write_csv, written
from ..study import provenance
from ..study.study import Study
from .latex import escape
from .manifest import numbers
from .stamps import as_study, run_id, stamps
from .wording import claim_rows, percent, percent_change, with_interval

FORMATS = ("csv", "md", "tex")
#: Wider columns are set as paragraphs in LaTeX.
WIDEST = 40


def _four_digits(value: float) -> str:
    return f"{value:.4g}"


def _plain(value: float) -> str:
    return f"{value:g}"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _claims(frame: pd.DataFrame) -> pd.DataFrame:
    names = {
        "id": "id",
        "statement": "claim",
        "source": "source",
        "stated": "stated",
        "value": "ours",
        "interval": "95 % interval, these queries",
        "interval_queries": "queries like these",
        "verdict": "verdict",
    }
    rows = [
        {title: row[column] for column, title in names.items()}
        for row in claim_rows(frame)
    ]
    return pd.DataFrame(rows, columns=list(names.values()))


def _locking(frame: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for row in frame.to_dict("records"):
        time = _estimate(row, "median", _plain)
        rows.append(
            {
                "learner": row["learner"],
                "context": row["context"],
                "learning rate": f"{row['learning_rate']:g}",
                "locked": _estimate(row, "locked", percent),
                "locked on the best LLM": _estimate(row, "on_best", percent),
                "median queries to lock": time or "beyond the session",
                "sessions": row["sessions"],
            }
        )
    return pd.DataFrame(rows)


def _estimate(row: dict[str, Any], name: str, form: Callable[[Any], str]) -> str:
    return with_interval(row[name], row[f"{name}_low"], row[f"{name}_high"], form)


def _readings(frame: pd.DataFrame) -> pd.DataFrame:
    at_one_rate = _locking(frame.assign(learning_rate=experiments.RATE))
    shown = at_one_rate.drop(columns="learning rate")
    return pd.concat([frame[["variant"]].reset_index(drop=True), shown], axis=1)


def _compared(frame: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for row in frame.to_dict("records"):
        form = percent_change if row["kind"] == "relative" else _signed
        rows.append(
            {
                "context": row["context"],
                "router": row["learner"],
                "against": row["control"],
                "measure": row["measure"],
                "change": with_interval(row["change"], row["low"], row["high"], form),
                "p (Holm)": _p(row["p_holm"]),
            }
        )
    return pd.DataFrame(rows)


def _gains(frame: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for row in frame.to_dict("records"):
        relative = row["measure"] in ("cents", "seconds")
        form = percent_change if relative else _signed
        rows.append(
            {
                "learner": row["learner"],
                "against": row["paper"],
                "measure": row["measure"],
                "change": with_interval(row["change"], row["low"], row["high"], form),
                "p (Holm)": _p(row["p_holm"]),
            }
        )
    return pd.DataFrame(rows)


def _p(value: float) -> str:
    if pd.isna(value):
        return ""
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _variants(frame: pd.DataFrame) -> pd.DataFrame:
    return _values(frame, ["learner", "context", "measure"])


def _scenarios(frame: pd.DataFrame) -> pd.DataFrame:
    halves = frame.assign(half=frame.phase.map({0: "first", 1: "second"}))
    return _values(halves, ["scenario", "learner", "half", "measure"])


def _pool(frame: pd.DataFrame) -> pd.DataFrame:
    return _values(frame, ["context", "model", "measure"])


def _means(frame: pd.DataFrame) -> pd.DataFrame:
    return _values(frame, ["context", "learner", "measure"])


def _values(frame: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """Return values with their intervals after the columns that say what of."""
    values = [
        with_interval(row["value"], row["low"], row["high"], _four_digits)
        for row in frame.to_dict("records")
    ]
    return frame[list(labels)].assign(**{"value (95 % interval)": values})


class Table(NamedTuple):
    """A table for a paper: what it is called, whose it is, and how it is shown."""

    title: str
    run: str
    source: str
    shown: Callable[[pd.DataFrame], pd.DataFrame]


def _tables() -> Iterator[tuple[str, Table]]:
    yield (
        "claims",
        Table(
            "Claims, what was stated, what we measured, and the verdict",
            "claims",
            "claims",
            _claims,
        ),
    )
    yield (
        "pool",
        Table(
            "The pool: accuracy, cost and latency of every LLM in every context",
            "pool",
            "measured",
            _pool,
        ),
    )
    yield (
        "locking",
        Table(
            "Locking: share of sessions and time, per learner, context and learning"
            " rate",
            "figures-convergence",
            "locking",
            _locking,
        ),
    )
    yield (
        "readings",
        Table(
            "What each reading of the paper changes, at learning rate"
            f" {experiments.RATE:g}",
            "readings",
            "locking",
            _readings,
        ),
    )
    for weights in experiments.WEIGHTS:
        name = weights.replace(" ", "-")
        run = f"sessions-{name}"
        means = f"Sessions of every strategy, weights '{weights}'"
        compared = f"Routers against controls, paired by session, weights '{weights}'"
        yield f"sessions-{name}", Table(means, run, "means", _means)
        yield f"comparisons-{name}", Table(compared, run, "compared", _compared)
    yield from _tables_beyond_the_paper()


def _tables_beyond_the_paper() -> Iterator[tuple[str, Table]]:
    yield (
        "variants",
        Table(
            "Every learner and the bounds, per context and as the mean of contexts",
            "variants",
            "summary",
            _variants,
        ),
    )
    yield (
        "variants-gains",
        Table(
            "Variants against the paper's learners, paired by session, means of"
            " contexts",
            "variants",
            "changes",
            _gains,
        ),
    )
    yield (
        "scenarios",
        Table(
            "Regret per query and share of the best LLM, before and after a change",
            "scenarios",
            "phases",
            _scenarios,
        ),
    )


TABLES = dict(_tables())


def write(study: Study | str | Path) -> dict[str, dict[str, Any]]:
    """Write each table of a study beside its report, as CSV, Markdown and LaTeX.

    Parameters
    ----------
    study : Study, or path of its folder

    Returns
    -------
    dict of str to dict
        ``tables/<name>`` -> ``title``, ``made_by``, ``numbers`` and ``files`` (SHA-256
        by ending), for the manifest.
    """
    study = as_study(study)
    done = stamps(study)
    entries = {}
    for name, table in TABLES.items():
        source = study.results / f"{table.run}.{table.source}.parquet"
        if table.run not in done or not source.exists():
            continue
        frame = pd.read_parquet(source)
        shown = table.shown(frame)
        run = run_id(done[table.run])
        note = f"pickllm run {run} ('{table.run}'): {table.title}"
        texts = {
            "md": markdown(shown, note),
            "tex": booktabs(shown, table.title, f"tab:{name}", note),
        }
        place = study.report / "tables" / name
        write_csv(place.with_suffix(".csv"), frame)
        for ending, text in texts.items():
            with written(f"{place}.{ending}") as file:
                file.write(text)
        entries[f"tables/{name}"] = {
            "title": table.title,
            "made_by": table.run,
            "numbers": numbers(f"{place}.csv"),
            "files": {e: provenance.sha256(f"{place}.{e}") for e in FORMATS},
        }
    return entries


def markdown(frame: pd.DataFrame, note: str) -> str:
    r"""Return a table as Markdown under a comment.

    Examples
    --------
    >>> frame = pd.DataFrame({"a": ["x|y"], "b": [1]})
    >>> print(markdown(frame, "pickllm run 0"), end="")
    <!-- pickllm run 0 -->
    | a | b |
    |---|---|
    | x\|y | 1 |
    """
    lines = [
        f"<!-- {note} -->",
        _markdown_row(frame.columns),
        "|" + "---|" * len(frame.columns),
        *(_markdown_row(row) for row in frame.itertuples(index=False)),
    ]
    return "\n".join(lines) + "\n"


def _markdown_row(values: Iterable[Any]) -> str:
    cells = [str(value).replace("|", "\\|").replace("\n", " ") for value in values]
    return f"| {' | '.join(cells)} |"


def booktabs(frame: pd.DataFrame, caption: str, label: str, note: str) -> str:
    """Return a table as LaTeX with booktabs rules, under a comment.

    It is a longtable: it needs both packages.
    """
    texts = frame.astype(str)
    wide = [texts[name].str.len().max() > WIDEST for name in texts]
    body = (
        texts.map(escape)
        .rename(columns=escape)
        .to_latex(
            index=False,
            escape=False,
            longtable=True,
            caption=f"{escape(caption)}.",
            label=label,
            column_format="".join("p{4.5cm}" if is_wide else "l" for is_wide in wide),
        )
    )
    return f"% {note}\n% \\usepackage{{booktabs,longtable}}\n{body}"
