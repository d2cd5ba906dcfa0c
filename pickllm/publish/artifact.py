"""The artifact sheet: what reviewers of an artifact ask, answered from a study's files.

The first half follows the badges of the ACM (Artifact Review and Badging, version 1.1),
the second the questions of the Machine Learning Reproducibility Challenge. Every number
is read off a file of the study; badges are given by reviewers, the sheet only states
the evidence.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from ..analysis.verdicts import VERDICTS
from ..study import provenance
from ..study.study import Study
from .cells import TOLERANCE
from .pages import template
from .receipts import unresolved
from .stamps import as_study, stamps
from .why import describe

#: More values than this are given by number.
LONG = 8
#: Parameters that list values of another.
LISTS = {"learning_rates": "learning_rate", "contexts": "context"}
STATES = {
    True: "clean",
    False: "with changes since",
    None: "not known whether clean",
}
SOURCES = {
    "abstract": "the abstract",
    "secondary": "summaries by others",
    "ours": "ourselves",
}


def sheet(
    study: Study | str | Path, manifest: dict[str, Any], claims: pd.DataFrame
) -> str:
    """Return the sheet of one study, as Markdown.

    Parameters
    ----------
    study : Study, or path of its folder
    manifest : dict
        Its manifest.
    claims : pandas.DataFrame
        Its table of claims.

    Returns
    -------
    str
    """
    study = as_study(study)
    runs = manifest["runs"]
    made = {name: stamp for name, stamp in stamps(study).items() if name in runs}
    figures = manifest["figures"]
    code = made[figures["claims"]["made_by"]]["code"]
    counts = {verdict: int((claims.verdict == verdict).sum()) for verdict in VERDICTS}
    seconds = {name: stamp["seconds"] for name, stamp in made.items()}
    longest = max(seconds, key=lambda name: seconds[name])
    return template("artifact.md.j2").render(
        kit=manifest["kit"],
        commit=provenance.short(code["commit"]),
        state=STATES[code["clean"]],
        runs=len(runs),
        notebooks=len({run["notebook"] for run in runs.values()}),
        figures=len(figures),
        tables=len(manifest["tables"]),
        traced=sum(unresolved(manifest, r) is None for r in figures.values()),
        claims=len(claims),
        verdicts=", ".join(f"{count} {verdict}" for verdict, count in counts.items()),
        tolerance=f"{TOLERANCE:g}",
        sources=_sources(claims),
        traces=[_trace(name, trace) for name, trace in manifest["traces"].items()],
        ranges=[f"{name}: {values}" for name, values in ranges(runs).items()],
        sizes=_sizes(runs),
        machines=_machines(made),
        seconds=sum(seconds.values()),
        longest=longest,
        longest_seconds=seconds[longest],
        replayed=sum(_replays(run) for run in runs.values()),
        obstacles=list(_obstacles(study, claims, counts["not testable"])),
    )


def _sources(claims: pd.DataFrame) -> list[str]:
    names = claims.source.str.partition(":")[0].map(SOURCES)
    counts = names.value_counts(sort=False)
    return [f"{count} from {source}" for source, count in counts.items()]


def _trace(name: str, trace: dict[str, Any]) -> str:
    prices = "its own costs"
    if trace["prices"]:
        prices = f"prices of {', '.join(trace['prices']['as_of'])}"
    return (
        f"{name}: {trace['queries']:,} queries in {len(trace['contexts'])} contexts,"
        f" {len(trace['models'])} LLMs, {prices}, SHA-256 {trace['sha256'][:12]}"
    )


def ranges(runs: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return every value that each parameter took in any run, as text.

    Parameters
    ----------
    runs : dict of str to dict
        ``runs`` of a manifest.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> one = {"parameters": {"rate": "0.1, 0.2", "context": "all"}}
    >>> other = {"parameters": {"rate": "0.1", "context": "simple, rest"}}
    >>> ranges({"a": one, "b": other})
    {'rate': '0.1, 0.2', 'context': 'simple, rest'}
    """
    found: dict[str, list[str]] = {}
    for run in runs.values():
        for name, value in run["parameters"].items():
            values = found.setdefault(str(LISTS.get(name, name)), [])
            for part in str(value).split(", "):
                if part and part not in values:
                    values.append(part)
    return {name: _few(values) for name, values in found.items() if values}


def _few(values: list[str]) -> str:
    """Return values in one line: sorted if numbers, only the ends if many."""
    values = [value for value in values if value != "all"] or values
    with suppress(ValueError):  # words keep the order in which the runs name them
        values = sorted(values, key=float)
    if len(values) <= LONG:
        return ", ".join(values)
    return f"{len(values)} values, from {values[0]} to {values[-1]}"


def _replays(run: dict[str, Any]) -> bool:
    return {"sessions", "queries"} <= set(run["parameters"])


def _sizes(runs: dict[str, dict[str, Any]]) -> list[str]:
    replayed = [run["parameters"] for run in runs.values() if _replays(run)]
    sizes = {(values["sessions"], values["queries"]) for values in replayed}
    return [
        f"{sessions:,} sessions of {queries:,} queries per setting"
        for sessions, queries in sorted(sizes)
    ]


def _machines(made: dict[str, dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(describe(stamp["machine"]) for stamp in made.values()))


def _obstacles(study: Study, claims: pd.DataFrame, untestable: int) -> Iterator[str]:
    """Yield what stood in the way, counted.

    Open points, statements that cannot be tested, fragile and fixed routers.
    """
    points = _open_points(study)
    if points:
        yield (
            f"The paper's body was not at hand: {points} points had to be read, each a"
            " choice of ours in READINGS.md."
        )
    unnamed = int(claims.statement.str.contains("baseline not named").sum())
    yield (
        f"{untestable} statements cannot be decided by outcomes; {unnamed} rows of"
        " claims name no baseline, so that each is tried."
    )
    locking = study.results / "figures-convergence.locking.parquet"
    if locking.exists():
        on_best = pd.read_parquet(locking).on_best
        yield (
            f"{100 * on_best.min():.0f} % to {100 * on_best.max():.0f} % of sessions"
            " lock on the best LLM, over learners, contexts and learning rates."
        )
    disguises = study.results / "figures-sessions.disguises.parquet"
    if disguises.exists():
        warnings = pd.read_parquet(disguises).warning
        yield (
            f"In {int(warnings.sum())} of {len(warnings)} settings a router is one LLM"
            " in disguise and does not beat it."
        )


def _open_points(study: Study) -> int:
    """Return how many rows the table of open points in READINGS.md has."""
    path = study.root / "READINGS.md"
    if not path.exists():
        return 0
    section = path.read_text("utf-8").partition("## Open points")[2]
    lines = section.partition("\n## ")[0].splitlines()
    table = [line for line in lines if line.startswith("| ")]
    return max(0, len(table) - 1)  # its first row is the header
