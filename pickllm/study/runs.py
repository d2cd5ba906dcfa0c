"""The runs that make a study: which notebooks, with which parameters, after which others."""

import json
import re
from dataclasses import dataclass, field

from .. import experiments
from ..errors import InputError, nearest
from ..figures import captions
from ..files import digest, home
from .parameters import joined


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
    """

    name: str
    notebook: str
    parameters: dict = field(default_factory=dict)
    needs: tuple = ()


#: Notebooks that are pages for a reader, without parameters or a result; and those that
#: a study does not run unasked.
PAGES = ("start", "explore")
ASIDE = ("variant", "live", "variants", "own-learner", "scenarios")

#: Sizes of a study: sessions and queries per setting, how many contexts (None = all),
#: and the rates.
SIZES = {
    "full": {
        "sessions": 1000,
        "queries": 1000,
        "contexts": None,
        "rates": experiments.RATES,
    },
    "smoke": {"sessions": 60, "queries": 250, "contexts": 2, "rates": (0.05, 0.1, 0.3)},
}


def study_runs(trace, size="full", second_pool=None):
    """Return the runs that make the whole study of a trace, in an order that satisfies their needs.

    Parameters
    ----------
    trace : Trace
    size : str
        A key of `SIZES`.
    second_pool : str, optional
        Name of a trace of another pool, for the check that a conclusion is not one pool's alone.

    Returns
    -------
    list of Run
    """
    if size not in SIZES:
        raise InputError(f"unknown size {size!r}; {nearest(size, SIZES)}")
    s = SIZES[size]
    contexts = list(trace.contexts[: s["contexts"]])
    counts = {"sessions": s["sessions"], "queries": s["queries"]}
    some = counts | {"contexts": joined(contexts)}
    rates = ", ".join(f"{r:g}" for r in s["rates"])
    convergence = [
        Run(
            f"convergence-{name}-{_file_name(context)}",
            "convergence",
            counts | {"context": context, "learner": name, "learning_rates": rates},
        )
        for name in experiments.ROUTERS
        for context in contexts
    ]
    sessions = [
        Run(f"sessions-{w.replace(' ', '-')}", "sessions", some | {"weights": w})
        for w in experiments.WEIGHTS
    ]
    sessions.append(
        Run("check-reversed", "sessions", some | {"models": joined(trace.models[::-1])})
    )
    if second_pool:
        sessions.append(
            Run(
                "check-second",
                "sessions",
                counts | {"trace": second_pool, "prices": "", "contexts": "all"},
            )
        )
    names = lambda runs: tuple(r.name for r in runs)
    simulated = [*convergence, *sessions, Run("readings", "readings", some)]
    own = (
        [
            Run(f"variant-{name}", "variant", parameters | {"name": name})
            for name, parameters in promoted().items()
        ]
        if second_pool
        else []
    )
    return [
        Run(
            "pool", "pool", {"contexts": some["contexts"]}
        ),  # long, and nothing waits for it: first, so that it is not the last to end
        Run("objectives", "objectives", {"contexts": some["contexts"]}),
        *simulated,
        Run("figures-convergence", "convergence-figures", {}, needs=names(convergence)),
        Run("figures-sessions", "session-figures", {}, needs=names(sessions)),
        Run("claims", "claims", {}, needs=(*names(simulated),)),
        *own,
    ]


def variants_folder():
    """Where the parameter files of promoted variants stand."""
    return home("data") / "variants"


def promoted():
    """Variants that were explored, exported and made a part of the study: name -> parameters."""
    return {
        path.stem: json.loads(path.read_text("utf-8"))
        for path in sorted(variants_folder().glob("*.json"))
    }


def all_figures():
    """`FIGURES`, and one figure for each promoted variant."""
    words = (
        "A setting of one's own: how it converges, and what its sessions cost, take and"
        " get right beside every control."
    )
    return captions.FIGURES | {
        f"variant-{name}": (f"Variant {name}", words) for name in promoted()
    }


def _file_name(context):
    """Return a context's name as part of a file's: itself where it is plain, else what is plain of it and a digest."""
    if re.fullmatch(r"[a-z0-9_-]{1,40}", context):
        return context
    return (
        re.sub(r"[^a-z0-9]+", "-", context.lower())[:40].strip("-")
        + "-"
        + digest(context)[:8]
    )
