"""Tables for a paper: CSV with the numbers, Markdown and LaTeX (booktabs) as a reader sees them, and numbers as LaTeX macros.

Nothing is computed: every number stands in a run's result. Each Markdown and LaTeX file names its run in a
comment; a CSV has no room for one and is known by its hash in the manifest.
"""

import os
import re

import pandas as pd

from .. import experiments
from ..files import root, write_csv, written
from ..study import provenance
from . import receipts

FORMATS = ("csv", "md", "tex")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
} | {c: f"\\{c}" for c in "&%$#_{}"}
_DIGITS = (
    "Zero",
    "One",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
)


def _percent(value, signed=False):
    return f"{100 * value:{'+' if signed else ''}.1f} %"


def _with_interval(value, low, high, form):
    """``value (low to high)``; empty without a value, and without the interval where there is none."""
    if pd.isna(value):
        return ""
    return (
        form(value)
        if pd.isna(low) or pd.isna(high)
        else f"{form(value)} ({form(low)} to {form(high)})"
    )


def _claims(frame):
    from .report import claim_rows

    rows = pd.DataFrame(claim_rows(frame))
    shown = ["id", "statement", "source", "stated", "value", "interval", "verdict"]
    return rows[shown].rename(
        columns={"statement": "claim", "value": "ours", "interval": "95 % interval"}
    )


def _locking(frame):
    share = lambda r, c: _with_interval(r[c], r[f"{c}_low"], r[f"{c}_high"], _percent)
    return pd.DataFrame(
        {
            "learner": r["learner"],
            "context": r["context"],
            "learning rate": f"{r['learning_rate']:g}",
            "locked": share(r, "locked"),
            "locked on the best LLM": share(r, "on_best"),
            "median queries to lock": (
                _with_interval(
                    r["median"], r["median_low"], r["median_high"], lambda v: f"{v:g}"
                )
                or "beyond the session"
            ),
            "sessions": r["sessions"],
        }
        for r in frame.to_dict("records")
    )


def _readings(frame):
    shown = _locking(frame.assign(learning_rate=experiments.RATE)).drop(
        columns="learning rate"
    )
    return pd.concat([frame[["variant"]].reset_index(drop=True), shown], axis=1)


def _compared(frame):
    def form(r):
        return (
            (lambda v: _percent(v, signed=True))
            if r["kind"] == "relative"
            else (lambda v: f"{v:+.4f}")
        )

    return pd.DataFrame(
        {
            "context": r["context"],
            "router": r["learner"],
            "against": r["control"],
            "measure": r["measure"],
            "change": _with_interval(r["change"], r["low"], r["high"], form(r)),
            "p (Holm)": "< 0.0001" if r["p_holm"] < 1e-4 else f"{r['p_holm']:.4f}",
        }
        for r in frame.to_dict("records")
    )


def _estimates(labels):
    """Rows of an estimate with its interval, after the columns that say what of."""

    def shown(frame):
        values = [
            _with_interval(r["value"], r["low"], r["high"], lambda v: f"{v:.4g}")
            for r in frame.to_dict("records")
        ]
        return frame[list(labels)].assign(**{"value (95 % interval)": values})

    return shown


#: name -> (title, run, its table, how a reader sees it); a run's name may hold the
#: weight setting.
TABLES = {
    "claims": (
        "Claims, what was stated, what we measured, and the verdict",
        "claims",
        "claims",
        _claims,
    ),
    "pool": (
        "The pool: accuracy, cost and latency of every LLM in every context",
        "pool",
        "measured",
        _estimates(["context", "model", "measure"]),
    ),
    "locking": (
        "Locking: share of sessions and time, per learner, context and learning rate",
        "figures-convergence",
        "locking",
        _locking,
    ),
    "readings": (
        (
            "What each reading of the paper changes, at learning rate"
            f" {experiments.RATE:g}"
        ),
        "readings",
        "locking",
        _readings,
    ),
} | {
    f"{kind}-{weights.replace(' ', '-')}": (
        f"{title}, weights '{weights}'",
        f"sessions-{weights.replace(' ', '-')}",
        table,
        how,
    )
    for weights in experiments.WEIGHTS
    for kind, title, table, how in (
        (
            "sessions",
            "Sessions of every strategy",
            "means",
            _estimates(["context", "learner", "measure"]),
        ),
        (
            "comparisons",
            "Routers against controls, paired by session",
            "compared",
            _compared,
        ),
    )
}


def write(folder):
    """Write each table of a study into ``<folder>/report/tables`` as CSV, Markdown and LaTeX.

    Parameters
    ----------
    folder : path
        The study's folder.

    Returns
    -------
    dict of str to dict
        ``tables/<name>`` -> ``title``, ``made_by``, ``numbers`` and ``files`` (SHA-256 by ending), for the manifest.
    """
    folder = root() / folder
    stamps, entries = receipts.stamps(folder), {}
    for name, (title, run, table, how) in TABLES.items():
        source = folder / "results" / f"{run}.{table}.parquet"
        if run not in stamps or not source.exists():
            continue
        frame = pd.read_parquet(source)
        note = f"pickllm run {receipts.run_id(stamps[run])} ('{run}'): {title}"
        place = folder / "report" / "tables" / name
        write_csv(place.with_suffix(".csv"), frame)
        shown = how(frame)
        for ending, text in (
            ("md", markdown(shown, note)),
            ("tex", booktabs(shown, title, f"tab:{name}", note)),
        ):
            with written(f"{place}.{ending}") as file:
                file.write(text)
        files = {e: provenance.sha256(f"{place}.{e}") for e in FORMATS}
        entries[f"tables/{name}"] = {
            "title": title,
            "made_by": run,
            "numbers": receipts.numbers(f"{place}.csv"),
            "files": files,
        }
    return entries


def markdown(frame, note):
    """Return a table as Markdown under a comment.

    Examples
    --------
    >>> print(markdown(pd.DataFrame({"a": ["x|y"], "b": [1]}), "pickllm run 0"), end="")
    <!-- pickllm run 0 -->
    | a | b |
    |---|---|
    | x\\|y | 1 |
    """
    cell = lambda value: str(value).replace("|", "\\|").replace("\n", " ")
    lines = [
        f"<!-- {note} -->",
        f"| {' | '.join(map(cell, frame.columns))} |",
        "|" + "---|" * len(frame.columns),
    ]
    lines += [
        f"| {' | '.join(map(cell, row))} |" for row in frame.itertuples(index=False)
    ]
    return "\n".join(lines) + "\n"


def booktabs(frame, caption, label, note):
    """Return a table as LaTeX with booktabs rules (a longtable: needs both packages), under a comment."""
    escaped = frame.astype(str).map(latex)
    escaped.columns = [latex(c) for c in frame.columns]
    columns = "".join(
        "p{4.5cm}" if frame[c].astype(str).str.len().max() > 40 else "l" for c in frame
    )
    body = escaped.to_latex(
        index=False,
        escape=False,
        longtable=True,
        caption=f"{latex(caption)}.",
        label=label,
        column_format=columns,
    )
    return f"% {note}\n% \\usepackage{{booktabs,longtable}}\n{body}"


def latex(text):
    r"""Text with LaTeX's special characters escaped, the automaton's name set as mathematics.

    Examples
    --------
    >>> print(latex("-60 % of {L_R-I} & java_js"))
    -60 \% of \{$L_{R-I}$\} \& java\_js
    """
    parts = str(text).split("L_R-I")
    return "$L_{R-I}$".join("".join(_LATEX.get(c, c) for c in part) for part in parts)


def macro_name(text):
    r"""Return a LaTeX command's name, of letters only, for an id: each word and each digit begins with a capital.

    Examples
    --------
    >>> macro_name("cost-60-lri-most-expensive")
    'pickllmCostSixZeroLriMostExpensive'
    """
    words = re.findall(r"[A-Za-z]+|[0-9]", text)
    return "pickllm" + "".join(
        _DIGITS[int(w)] if w.isdigit() else w[0].upper() + w[1:] for w in words
    )


def macros(claims, manifest):
    r"""Return the study's numbers as LaTeX commands, each line with its source.

    Parameters
    ----------
    claims : pandas.DataFrame
        The table of claims.
    manifest : dict
        The study's receipts.

    Returns
    -------
    str
        ``\newcommand`` lines: per claim the value, and with ``Low``, ``High``,
        ``Stated``, ``Verdict`` after its name what the table has of these; then counts,
        sizes, commit and hashes.
    """
    from .report import claim_rows

    run = manifest["figures"]["claims"]["run"]
    lines = [
        f"% pickllm run {run}: numbers as LaTeX commands; \\input this file in the"
        " preamble"
    ]

    def define(name, value, source):
        lines.append(f"\\newcommand{{\\{name}}}{{{value}}} % {source}")

    for row, c in enumerate(claim_rows(claims), start=1):
        name = macro_name(c["id"])
        low, _, high = c["interval"].partition(" to ")
        cells = {
            "": ("measured", c["value"]),
            "Low": ("low", low),
            "High": ("high", high),
            "Stated": ("paper_value", c["stated"]),
        }
        for ending, (column, text) in cells.items():
            if text:
                define(
                    name + ending,
                    quantity(text),
                    f"figures/claims.csv, row {row}, {column} of {c['id']}, run {run}",
                )
        define(
            f"{name}Verdict",
            latex(c["verdict"]),
            f"figures/claims.csv, row {row}, verdict of {c['id']}, run {run}",
        )
    for verdict in ("reproduced", "partly", "not reproduced", "not testable"):
        n = int((claims.verdict == verdict).sum())
        define(
            macro_name(f"count {verdict}"),
            n,
            f"figures/claims.csv, rows with verdict '{verdict}', run {run}",
        )
    define(
        "pickllmCountClaims", len(claims), f"figures/claims.csv, all rows, run {run}"
    )
    main = f"sessions-{experiments.MAIN_WEIGHTS}"
    if main in manifest["runs"]:
        for what in ("sessions", "queries", "seed"):
            define(
                macro_name(what),
                manifest["runs"][main]["parameters"][what],
                f"figures/manifest.json, runs, {main}, parameters, {what}",
            )
        trace = manifest["runs"][main]["parameters"]["trace"]
        define(
            "pickllmContexts",
            len(manifest["traces"][trace]["contexts"]),
            f"figures/manifest.json, traces, {trace}, contexts",
        )
        define(
            "pickllmTrace",
            latex(os.path.basename(trace)),
            f"figures/manifest.json, runs, {main}, parameters, trace",
        )
        define(
            "pickllmTraceHash",
            manifest["traces"][trace]["sha256"][:12],
            f"figures/manifest.json, traces, {trace}, sha256",
        )
    made_by = manifest["figures"]["claims"]["made_by"]
    define(
        "pickllmCommit",
        provenance.short(manifest["runs"][made_by]["code"]["commit"]),
        f"figures/manifest.json, runs, {made_by}, code",
    )
    define("pickllmRun", run, "figures/manifest.json, figures, claims, run")
    define("pickllmVersion", manifest["kit"], "figures/manifest.json, kit")
    return "\n".join(lines) + "\n"


def quantity(text):
    r"""Return a number with its unit, as LaTeX sets it.

    Examples
    --------
    >>> print(quantity("-63.2 %"), quantity("-5.4 points"), quantity("99.1"))
    $-63.2$\,\% $-5.4$ points $99.1$
    """
    number, _, unit = text.partition(" ")
    return f"${number}$" + (
        r"\,\%" if unit == "%" else f" {latex(unit)}" if unit else ""
    )
