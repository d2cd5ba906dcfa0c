"""The artifact sheet: what reviewers of an artifact ask, answered from the receipts and the results.

The first half follows the badges of the ACM (Artifact Review and Badging, version 1.1), the second the
questions of the Machine Learning Reproducibility Challenge. Every number is read off a file of the study;
badges are given by reviewers, the sheet only states the evidence.
"""

import pandas as pd

from ..files import home, root
from ..study import provenance
from . import receipts

#: More values than this are given by number; names of lists of a parameter's values.
_LONG = 8
_ONE = {"learning_rates": "learning_rate", "contexts": "context"}


def sheet(folder, manifest, claims):
    """Return the sheet of one study, as Markdown.

    Parameters
    ----------
    folder : path
        The study's folder.
    manifest : dict
        Its receipts.
    claims : pandas.DataFrame
        Its table of claims.

    Returns
    -------
    str
    """
    runs, figures, tables = manifest["runs"], manifest["figures"], manifest["tables"]
    code = manifest["runs"][figures["claims"]["made_by"]]["code"]
    resolved = sum(receipts.unresolved(manifest, r) is None for r in figures.values())
    verdicts = {
        v: int((claims.verdict == v).sum())
        for v in ("reproduced", "partly", "not reproduced", "not testable")
    }
    counted = ", ".join(f"{n} {v}" for v, n in verdicts.items())
    notebooks = {r["notebook"] for r in runs.values()}
    clean = {
        True: "clean",
        False: "with changes since",
        None: "not known whether clean",
    }[code["clean"]]
    lines = [
        "### In the form of the ACM badges",
        "",
        "| badge | evidence |",
        "|---|---|",
        (
            f"| Artifacts available | kit {manifest['kit']}, Apache 2.0, commit"
            f" {provenance.short(code['commit'])} ({clean}); `make archive` writes the"
            " zip for a repository, which gives it its DOI |"
        ),
        (
            f"| Artifacts evaluated: functional | {len(runs)} runs of {len(notebooks)}"
            f" notebooks, each of which ended by writing its result; {len(figures)}"
            f" figures and {len(tables)} tables, {resolved} of {len(figures)} figures"
            " traced to trace, prices and commit (`pickllm why`); no key, no GPU, no"
            " network after the installation |"
        ),
        (
            "| Artifacts evaluated: reusable | own trace, prices, pool, reward and"
            " learner without a change of the core; every choice of ours is listed in"
            " READINGS.md with the place where it stands |"
        ),
        (
            f"| Results reproduced | of {len(claims)} claims: {counted}; `make verify`"
            " repeats every figure's numbers within a relative tolerance of"
            f" {_tolerance():g} |"
        ),
        "",
        "### In the form of the ML Reproducibility Challenge",
        "",
        f"**Scope.** {len(claims)} statements: "
        + ", ".join(f"{n} from {source}" for source, n in _sources(claims).items())
        + ".",
        "",
        f"**Data.** {_data(manifest)}",
        "",
        "**Ranges.** "
        + "; ".join(f"{name}: {values}" for name, values in ranges(runs).items())
        + ".",
        "",
        (
            f"**Intervals.** 95 %, over sessions ({_sizes(runs)}); Wilson's for shares,"
            " Student's for means, the paired delta method for relative changes,"
            " Kaplan and Meier's for the share locked, binomial order statistics for"
            " medians; many tests at once are corrected by Holm."
        ),
        "",
        f"**Compute and run time.** {_compute(manifest)}",
        "",
        (
            f"**Results.** {counted}; the table of claims gives each with its interval"
            " and reason."
        ),
        "",
        "**What was easy.** " + _easy(runs),
        "",
        "**What was hard.** " + " ".join(_hard(folder, claims, verdicts)),
        "",
        (
            "**Contact with the authors.** None; the paper's body and code were not at"
            " hand."
        ),
    ]
    return "\n".join(lines) + "\n"


def _tolerance():
    from .check import TOLERANCE

    return TOLERANCE


def _sources(claims):
    said = {
        "abstract": "the abstract",
        "secondary": "summaries by others",
        "ours": "ourselves",
    }
    names = claims.source.str.partition(":")[0].map(said)
    return names.value_counts(sort=False).to_dict()


def _data(manifest):
    said = []
    for name, t in manifest["traces"].items():
        dated = (
            f"prices of {', '.join(t['prices']['as_of'])}"
            if t["prices"]
            else "its own costs"
        )
        size = (
            f"{t['queries']:,} queries in {len(t['contexts'])} contexts,"
            f" {len(t['models'])} LLMs"
        )
        said.append(f"{name}: {size}, {dated}, SHA-256 {t['sha256'][:12]}")
    return "; ".join(said) + "."


def ranges(runs):
    """Every value that each parameter took in any run, as text.

    Parameters
    ----------
    runs : dict of str to dict
        ``runs`` of a manifest.

    Returns
    -------
    dict of str to str

    Examples
    --------
    >>> ranges({"a": {"parameters": {"rate": "0.1, 0.2", "seed": 0}}, "b": {"parameters": {"rate": "0.1", "seed": 0}}})
    {'rate': '0.1, 0.2', 'seed': '0'}
    >>> ranges({"a": {"parameters": {"context": "all"}}, "b": {"parameters": {"context": "simple, rest"}}})
    {'context': 'simple, rest'}
    """
    found = {}
    for run in runs.values():
        for name, value in run["parameters"].items():
            values = found.setdefault(_ONE.get(name, name), [])
            values += [
                v
                for v in (str(value).split(", ") if value != "" else [])
                if v not in values
            ]
    return {name: _few(values) for name, values in found.items() if values}


def _few(values):
    values = [v for v in values if v != "all"] or values
    try:
        values = sorted(values, key=float)
    except ValueError:  # words keep the order in which the runs name them
        pass
    return (
        ", ".join(values)
        if len(values) <= _LONG
        else f"{len(values)} values, from {values[0]} to {values[-1]}"
    )


def _sizes(runs):
    sizes = {
        (r["parameters"]["sessions"], r["parameters"]["queries"])
        for r in runs.values()
        if {"sessions", "queries"} <= set(r["parameters"])
    }
    return "; ".join(
        f"{s:,} sessions of {q:,} queries per setting" for s, q in sorted(sizes)
    )


def _compute(manifest):
    varying = manifest[receipts.VARYING]
    seconds = [r["seconds"] for r in varying["runs"].values()]
    longest = max(varying["runs"], key=lambda n: varying["runs"][n]["seconds"])
    machines = "; ".join(
        f"Python {m['python']} on {m['system']}, {m['cores']} cores"
        + (f", {m['memory_gb']:g} GiB" if m.get("memory_gb") else "")
        for m in varying["machines"]
    )
    return (
        f"{machines}; no GPU. {sum(seconds):.0f} s of notebook time in all, the longest"
        f" run {max(seconds):.0f} s ({longest})."
    )


def _easy(runs):
    simulated = [
        r for r in runs.values() if {"sessions", "queries"} <= set(r["parameters"])
    ]
    return (
        f"Replaying: {len(simulated)} of {len(runs)} runs replay sessions, from"
        " recorded outcomes, so that no answer is paid for twice and every learner"
        " meets the same draws."
    )


def _hard(folder, claims, verdicts):
    """Yield what stood in the way, counted: open points, statements that cannot be tested, fragile and fixed routers."""
    readings = home("READINGS.md")
    text = readings.read_text("utf-8") if readings.exists() else ""
    rows = [
        line
        for line in (
            text.partition("## Open points")[2].partition("\n## ")[0].splitlines()
        )
        if line.startswith("| ")
    ]
    if len(rows) > 1:
        yield (
            f"The paper's body was not at hand: {len(rows) - 1} points had to be read,"
            " each a choice of ours in READINGS.md."
        )
    unnamed = int(claims.statement.str.contains("baseline not named").sum())
    yield (
        f"{verdicts['not testable']} statements cannot be decided by outcomes;"
        f" {unnamed} rows of claims name no baseline, so that each is tried."
    )
    lowered = int(claims.reason.str.startswith("not with the").sum())
    yield (
        f"{lowered} verdicts were lowered to 'partly' because they do not hold with the"
        " pool in reverse order."
    )
    locking = _results(folder, "figures-convergence.locking")
    if locking is not None:
        low, high = locking.on_best.min(), locking.on_best.max()
        yield (
            f"{100 * low:.0f} % to {100 * high:.0f} % of sessions lock on the best LLM,"
            " over learners, contexts and learning rates."
        )
    disguises = _results(folder, "figures-sessions.disguises")
    if disguises is not None:
        yield (
            f"In {int(disguises.warning.sum())} of {len(disguises)} settings a router"
            " is one LLM in disguise and does not beat it."
        )


def _results(folder, name):
    path = root() / folder / "results" / f"{name}.parquet"
    return pd.read_parquet(path) if path.exists() else None
