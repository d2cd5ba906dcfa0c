"""Eight headline claims: the study's verdict, and what all readings and pools say."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..experiments import POOL, ROUTERS
from ..experiments import learner as learner_of
from .claims import NAMES
from .verdicts import VERDICTS
from .worlds import said

if TYPE_CHECKING:
    import pandas as pd


class Headline(NamedTuple):
    """One claim as a reader asks for it, and where its evidence stands.

    Attributes
    ----------
    id, words : str
    claim : str
        Ids of the claims whose verdict it takes, the worst of them, with ``{0}`` for
        the learner's name in ids.
    rule : str
        When it holds in a world, a name in `worlds.RULES`; empty: not asked there.
    measure : str
        What is decided, a name in `worlds.DECIDED`; empty: not worked out.
    """

    id: str
    words: str
    claim: str
    rule: str
    measure: str = ""


HEADLINES = (
    Headline(
        "converges",
        "a session converges to one LLM",
        "converges-{0}",
        "converges",
        "locked",
    ),
    Headline(
        "right",
        "to the right one (worlds: within 1 % of the best)",
        "converges-right-{0}",
        "within 1 %",
        "locked_on_best",
    ),
    Headline("rate", "a higher learning rate locks sooner", "speed-{0}", "rate"),
    Headline(
        "cheaper",
        "a session costs less than with random choice",
        "cost-better-{0}-random",
        "cheaper than random",
        "cost_vs_random",
    ),
    Headline(
        "faster",
        "answers come sooner than with random choice",
        "latency-better-{0}-random",
        "faster than random",
        "latency_vs_random",
    ),
    Headline(
        "accuracy",
        "accuracy stays near the dearest LLM's",
        "accuracy-competitive-{0}-most-expensive",
        "accuracy kept",
    ),
    Headline(
        "stated",
        "-60 % cost (dearest) and -52 % latency (random choice)",
        "cost-60-{0}-most-expensive latency-52-{0}-random",
        "both of these",
    ),
    Headline("light", "the router is lightweight: memory of a session", "", ""),
)
IN_IDS = {"automaton": "lri", "qlearning": "qlearning"}


def headlines(
    claims: "pd.DataFrame", shares: "pd.DataFrame", indices: "pd.DataFrame"
) -> "pd.DataFrame":
    """Return the headline claims, a row for each and each learner.

    Parameters
    ----------
    claims : pandas.DataFrame
        As ``claims.csv``.
    shares : pandas.DataFrame
        As ``multiverse-claims.csv``.
    indices : pandas.DataFrame
        As ``multiverse-decides.csv``.

    Returns
    -------
    pandas.DataFrame
        ``id``, ``words``, ``learner``, ``verdict`` (of the study's reading and pool; or
        how much memory a session takes), ``least`` and ``most`` (percent of worlds
        in which it holds, over traces), ``decided_by`` (the two choices of the largest
        total index).
    """
    import pandas as pd

    verdicts = claims.set_index("id").verdict.to_dict()
    rows = []
    for headline in HEADLINES:
        for learner in ROUTERS:
            ids = headline.claim.format(IN_IDS[learner]).split()
            verdict = _worst([verdicts.get(one, "") for one in ids])
            decided = ", ".join(_top(indices, learner, headline.measure))
            ends = _held(shares, headline.rule, learner)
            who = headline.id, headline.words, learner
            rows.append((*who, verdict or _memory(learner), *ends, decided))
    names = ["id", "words", "learner", "verdict", "least", "most", "decided_by"]
    return pd.DataFrame(rows, columns=names)


def _worst(verdicts: Sequence[str]) -> str:
    """Return the last of some verdicts in their order; empty if there is none."""
    known = [verdict for verdict in verdicts if verdict in VERDICTS]
    return max(known, key=VERDICTS.index, default="")


def _memory(learner: str) -> str:
    """Return what a session of a learner keeps, for a pool of four."""
    state = np.asarray(learner_of(learner).start(1, POOL))
    return f"{state.nbytes} bytes"


def gain(shares: "pd.DataFrame") -> str:
    """Say what a saving is evidence of, and in which share of the worlds there is one.

    Parameters
    ----------
    shares : pandas.DataFrame
        As ``multiverse-claims.csv``.
    """
    dearest = [_held(shares, "cheaper than dearest", name)[0] for name in ROUTERS]
    gains = " and ".join(
        f"{_range(*_held(shares, 'gain', name))} % ({NAMES[name]})" for name in ROUTERS
    )
    return (
        f"A session costs less than with the dearest LLM in at least"
        f" {min(dearest):.0f} % of"
        " worlds, but so it does when LLMs are chosen at random: such a saving is no"
        " evidence for a learner. A learner gains something where a session costs less"
        f" than random choice at no less accuracy, which it does in {gains} of worlds."
    )


def _held(shares: "pd.DataFrame", claim: str, learner: str) -> tuple[float, float]:
    """Return the least and the largest share of worlds over traces, in percent."""
    mine = shares[(shares.claim == claim) & (shares.learner == learner)].share
    return 100 * mine.min(), 100 * mine.max()


def _range(least: float, most: float) -> str:
    """Return the ends of a range, once where they read the same."""
    ends = dict.fromkeys(f"{end:.0f}" for end in (least, most))
    return " to ".join(ends)


def _top(indices: "pd.DataFrame", learner: str, measure: str) -> Sequence[str]:
    """Return the two choices that decide a measure most."""
    if not measure or indices.empty:
        return []
    mine = indices[(indices.learner == learner) & (indices.measure == measure)]
    names = mine.sort_values("total", ascending=False).choice.head(2)
    return [said(name) for name in names]
