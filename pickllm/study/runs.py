"""The runs that make a study: notebooks, their parameters, and what each reads."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import experiments
from ..errors import InputError, nearest
from ..figures import captions
from ..files import digest, home
from ..traces import hub
from .parameters import joined
from .study import TRACE

if TYPE_CHECKING:
    from ..core.trace import Trace


@dataclass(frozen=True)
class Run:
    """One execution of a notebook.

    Attributes
    ----------
    name : str
        Names the executed notebook and its result.
    notebook : str
        In `notebooks/`, without ending.
    parameters : dict
        JSON scalars, over the notebook's own defaults.
    needs : tuple of str
        Runs whose results it reads.
    long : bool
        Whether it takes so long that it starts before the others, wherever it stands in
        the report, so that it is not the last to end.
    """

    name: str
    notebook: str
    parameters: dict[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    long: bool = False


#: Notebooks that are pages for a reader, without parameters or a result; and those that
#: a study does not run unasked.
PAGES = ("start", "explore")
ASIDE = ("variant", "live", "own-learner", "coverage")

#: Sizes of a study: sessions and queries per setting, how many contexts (None = all),
#: the rates, how often queries are drawn again, and how large its multiverse is.
SIZES: dict[str, dict[str, Any]] = {
    "full": {
        "sessions": 1000,
        "queries": 1000,
        "contexts": None,
        "rates": experiments.RATES,
        "resamples": 30,
        "worlds": {"specifications": 10_000, "points": 128, "worlds_by_rate": 200},
    },
    "smoke": {
        "sessions": 60,
        "queries": 250,
        "contexts": 2,
        "rates": (0.05, 0.1, 0.3),
        "worlds": {"specifications": 60, "points": 4, "worlds_by_rate": 8},
        "resamples": 4,
    },
}

#: The traces of the record's multiverse: every LLM that could be had, whoever is best.
EVERYWHERE = ("bfcl-2024-08-11-all", "coderouterbench")

#: Names in the folder of all studies that no trace's study may have.
TAKEN = {*SIZES, "verify", "explore", "results", "notebooks", "figures", "report"}


def study_runs(
    trace: "Trace", size: str = "full", second_trace: str | None = None
) -> list[Run]:
    """Return the runs that make the whole study of a trace, each after what it needs.

    Every setting that `experiments` names is given to the notebooks from there.

    Parameters
    ----------
    trace : Trace
    size : str
        A key of `SIZES`.
    second_trace : str, optional
        Name of a trace of another pool, for the check that a conclusion is not one
        pool's alone; promoted variants are run with it, too.

    Returns
    -------
    list of Run
    """
    if size not in SIZES:
        raise InputError(f"unknown size {size!r}; {nearest(size, SIZES)}")
    chosen = list(trace.contexts[: SIZES[size]["contexts"]])
    contexts = {"contexts": joined(chosen)}
    convergence = _convergence_runs(chosen, size)
    sessions = _session_runs(trace, contexts, size, second_trace)
    readings = Run("readings", "readings", _counts(size) | contexts)
    resampled = Run(
        "queries",
        "queries",
        contexts
        | {"queries": SIZES[size]["queries"], "resamples": SIZES[size]["resamples"]}
        | {"weights": experiments.MAIN_WEIGHTS, "learning_rate": experiments.RATE},
    )
    simulated = [*convergence, *sessions, readings, resampled]
    promoted_runs = [
        Run(f"variant-{name}", "variant", parameters | {"name": name})
        for name, parameters in (promoted() if second_trace else {}).items()
    ]
    return [
        Run("pool", "pool", contexts),
        Run("objectives", "objectives", contexts),
        *simulated,
        _after("figures-convergence", "convergence-figures", convergence),
        _after("figures-sessions", "session-figures", sessions),
        _after("claims", "claims", simulated),
        *_frontier_runs(contexts, size, EVERYWHERE[1:] if second_trace else ()),
        *_multiverse_runs(trace, size, EVERYWHERE if second_trace else ()),
        *_runs_beyond_the_paper(chosen, size),
        *promoted_runs,
    ]


def _counts(size: str) -> dict[str, Any]:
    return {name: SIZES[size][name] for name in ("sessions", "queries")}


def _convergence_runs(contexts: list[str], size: str) -> list[Run]:
    """Return a run for each learner and context, at all learning rates."""
    common = _counts(size) | {
        "weights": experiments.MAIN_WEIGHTS,
        "learning_rates": ", ".join(f"{rate:g}" for rate in SIZES[size]["rates"]),
    }
    return [
        Run(
            f"convergence-{learner}-{_file_name(context)}",
            "convergence",
            common | {"context": context, "learner": learner},
        )
        for learner in experiments.ROUTERS
        for context in contexts
    ]


def _session_runs(
    trace: "Trace", contexts: dict[str, Any], size: str, second_trace: str | None
) -> list[Run]:
    """Return a run for each weight setting, and those that check them."""
    common = _counts(size) | {"learning_rate": experiments.RATE}
    main = common | {"weights": experiments.MAIN_WEIGHTS}
    runs = [
        Run(
            f"sessions-{weights.replace(' ', '-')}",
            "sessions",
            common | contexts | {"weights": weights},
        )
        for weights in experiments.WEIGHTS
    ]
    if second_trace:
        second = {"trace": second_trace, "prices": "", "contexts": "all"}
        runs.append(Run("check-second", "sessions", main | second))
    return runs


def _runs_beyond_the_paper(contexts: list[str], size: str) -> list[Run]:
    """Return the runs of other learners, and of a world that changes."""
    common = _counts(size) | {"weights": experiments.MAIN_WEIGHTS}
    everywhere = common | {"contexts": joined(contexts)}
    start = common | {"context": contexts[0]}
    return [
        Run("variants", "variants", everywhere, long=True),
        Run("scenarios", "scenarios", start, long=True),
    ]


def _frontier_runs(
    contexts: dict[str, Any], size: str, others: tuple[str, ...]
) -> list[Run]:
    """Return a run for the study's trace, and one for each other trace."""
    common = {"queries": SIZES[size]["queries"], "learning_rate": experiments.RATE}
    runs = [Run("frontier", "frontier", common | contexts)]
    for name in others:
        own = {"trace": name, "prices": "", "name": f"frontier-{name}"}
        runs.append(Run(f"frontier-{name}", "frontier", common | own))
    return runs


def _multiverse_runs(trace: "Trace", size: str, traces: tuple[str, ...]) -> list[Run]:
    """Return a run for each trace whose pools are all tried, and one of their figures.

    A trace of one's own has a multiverse of its own, if it has a pool's LLMs.
    """
    worlds = SIZES[size]["worlds"]
    named: dict[str, dict[str, Any]] = {}
    if traces:
        named = {name: {"trace": name, "prices": ""} for name in traces}
    elif len(trace.models) >= experiments.POOL:
        named = {trace.name: {}}
    runs = [
        Run(f"multiverse-{_file_name(name)}", "multiverse", worlds | own, long=True)
        for name, own in named.items()
    ]
    figures = _after("figures-multiverse", "multiverse-figures", runs)
    return [*runs, figures] if runs else []


def _after(name: str, notebook: str, runs: list[Run]) -> Run:
    """Return the run of a notebook that reads the results of others."""
    return Run(name, notebook, needs=tuple(run.name for run in runs))


def default_folder(
    trace: str = TRACE, size: str = "full", prices: str = "", seed: int = 0
) -> str:
    """Return where a study goes, within the folder of all studies.

    Returns
    -------
    str
        Empty for the record's own study; any other has a folder of its own.

    Examples
    --------
    >>> default_folder(), default_folder(size="smoke"), default_folder("mine.csv")
    ('', 'smoke', 'mine')
    """
    shared = trace.startswith(hub.SCHEME)
    a_file = "." in trace and not shared
    if shared:
        repo, revision = hub.parse(trace)
        name = f"{repo}@{(revision or '')[:12]}".replace("/", "-")
    else:
        name = Path(trace).stem if a_file else trace
    if name in TAKEN:
        name += "-trace"
    if prices and not a_file:
        name += f"-{Path(prices).stem}"
    if seed:
        name += f"-seed-{seed}"
    parts = [
        "" if name == TRACE and not a_file else name,
        "" if size == "full" else size,
    ]
    return "/".join(part for part in parts if part)


def variants_folder() -> Path:
    """Return where the parameter files of promoted variants stand."""
    return home("data") / "variants"


def promoted() -> dict[str, dict[str, Any]]:
    """Return the variants that were made a part of the study: name -> parameters."""
    return {
        path.stem: json.loads(path.read_text("utf-8"))
        for path in sorted(variants_folder().glob("*.json"))
    }


def all_figures() -> dict[str, tuple[str, str]]:
    """Return `FIGURES`, and one figure for each promoted variant."""
    words = (
        "A setting of one's own: how it converges, and what its sessions cost, take and"
        " get right beside every control."
    )
    return captions.FIGURES | {
        f"variant-{name}": (f"Variant {name}", words) for name in promoted()
    }


def _file_name(context: str) -> str:
    """Return a context's name as part of a file's name.

    Itself where it is plain, else what is plain of it and a digest.
    """
    if re.fullmatch(r"[a-z0-9_-]{1,40}", context):
        return context
    plain = re.sub(r"[^a-z0-9]+", "-", context.lower())[:40].strip("-")
    return f"{plain}-{digest(context)[:8]}"
