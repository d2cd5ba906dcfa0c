"""Totals: what is kept of very many sessions in place of their choices.

Their size does not depend on the number of sessions. Totals of some sessions and of the
next ones add up to the totals of both (`merged`); sessions are grouped by number alone,
so that sums, rounding included, depend neither on workers nor on threads.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..core.compiled import (
    pays,
    reduce_compiled,
    runs_compiled,
    tally_compiled,
)
from ..core.prepared import Prepared, Tables, prepare
from ..core.protocols import Floats, Integers
from ..core.replay import play
from ..core.reward import Reward
from ..core.sessions import Sessions, tally
from ..core.trace import Trace

#: What is summed over a session's queries, and whether a session reports the sum or the
#: mean.
OUTCOMES = {
    "cost_usd": "sum",
    "latency_ms": "mean",
    "accuracy": "mean",
    "reward": "mean",
    "regret": "sum",
    "clipped": "mean",
}
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
#: Sessions that the paper's learners' compiled loop takes in lockstep.
LANE = 32
#: What each kind of outcome is divided by: the queries of a session, or nothing.
IS_MEAN = np.array([how == "mean" for how in OUTCOMES.values()])


@dataclass(frozen=True, eq=False)
class Totals:
    """Sums over sessions.

    Attributes
    ----------
    sessions : int
    mean, squares : ndarray, (6,)
        Of each of `OUTCOMES` over sessions: the mean, and the sum of squared deviations
        from it.
    asked : ndarray of int, (n_models,)
        Queries sent to each LLM.
    locked_on : ndarray of int, (n_models,)
        Sessions locked on each LLM.
    locked_at : ndarray of int, (n_queries + 1,)
        Sessions that locked when they had answered so many queries.
    moments : ndarray, (n_checkpoints, 3, n_models)
        Sums over sessions of the selection probabilities, of their squares, and of the
        chances with which sessions then route (a locked one asks its LLM alone).
    marks : ndarray of int, (n_checkpoints,)
        The checkpoints.
    best : int
        Position of the LLM that is best on average.
    """

    sessions: int
    mean: Floats
    squares: Floats
    asked: Integers
    locked_on: Integers
    locked_at: Integers
    moments: Floats
    marks: Integers
    best: int

    def quantiles(self) -> Floats:
        """Return queries answered when shares `QUANTILES` of all sessions had locked.

        The smallest number of queries by which at least that share is locked; inf where
        fewer ever did.
        """
        reached = np.cumsum(self.locked_at)
        first = np.searchsorted(reached, np.array(QUANTILES) * self.sessions)
        return np.where(first < len(reached), first, np.inf)


def merged(first: Totals, second: Totals) -> Totals:
    """Return the totals of two groups of sessions.

    The squares as in Chan, Golub, LeVeque (1979).
    """
    n = first.sessions + second.sessions
    delta = second.mean - first.mean
    between = delta**2 * (first.sessions * second.sessions / n)
    return Totals(
        sessions=n,
        mean=first.mean + delta * (second.sessions / n),
        squares=first.squares + second.squares + between,
        asked=first.asked + second.asked,
        locked_on=first.locked_on + second.locked_on,
        locked_at=first.locked_at + second.locked_at,
        moments=first.moments + second.moments,
        marks=first.marks,
        best=first.best,
    )


def totals(
    trace: Trace,
    reward: Reward,
    learner: object,
    *,
    engine: str = "auto",
    worthwhile: bool = False,
    tables: Tables | None = None,
    **options: Any,
) -> Totals:
    """Return totals of sessions.

    Parameters
    ----------
    trace, reward, learner, engine, **options
        As in `replay`.
    worthwhile : bool
        Whether compiling pays, however few these sessions are.
    tables : Tables, optional
        As in `prepare`.

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11").select(context="simple")
    >>> automaton = pk.LinearRewardInaction(0.3)
    >>> t = totals(trace, pk.Reward(), automaton, sessions=40, queries=200)
    >>> t.sessions, int(t.asked.sum()), t.moments.shape
    (40, 8000, (100, 3, 4))
    """
    prepared = prepare(trace, reward, learner, tables=tables, **options)
    if runs_compiled(prepared, engine, worthwhile):
        return _totals(prepared, _Reduced(*reduce_compiled(prepared)))
    compiled = pays(prepared.decisions, engine) or (worthwhile and engine == "auto")
    return _totals(prepared, _reduce(prepared, compiled))


class _Reduced(NamedTuple):
    """What is left of each session; see `engine.kernels.reduce` for each array."""

    sums: Floats
    counts: Integers
    moments: Floats
    locked_at: Integers
    locked_model: Integers


def _reduce(prepared: Prepared, compiled: bool) -> _Reduced:
    """Return what `reduce_compiled` does, to the bit, by NumPy's loop.

    Recorded choices may still be added up by compiled code.
    """
    played = play(prepared)
    add_up = tally_compiled if compiled else tally
    counts, sums, _ = add_up(
        played.queries, played.choices, prepared.outcomes, played.locked_model
    )
    selection = Sessions.of(prepared, played, "numpy").selection()
    return _Reduced(
        sums=sums,
        counts=counts,
        moments=_moments(played.probabilities, selection),
        locked_at=played.locked_at,
        locked_model=played.locked_model,
    )


def _moments(probabilities: Floats, selection: Floats) -> Floats:
    """Return sums over sessions, added in the compiled loop's order."""
    _, n_checkpoints, n_models = probabilities.shape
    moments = np.zeros((n_checkpoints, 3, n_models))
    for p, routed in zip(probabilities, selection, strict=True):
        moments[:, 0] += p
        moments[:, 1] += p * p
        moments[:, 2] += routed
    return moments


def _totals(prepared: Prepared, reduced: _Reduced) -> Totals:
    queries = prepared.queries
    values = reduced.sums / np.where(IS_MEAN, queries, 1)
    mean = values.mean(axis=0)
    locked = reduced.locked_at >= 0
    locked_on = reduced.locked_model[locked]
    return Totals(
        sessions=len(prepared.sessions),
        mean=mean,
        squares=((values - mean) ** 2).sum(axis=0),
        asked=reduced.counts.sum(axis=0),
        locked_on=np.bincount(locked_on, minlength=prepared.n_models),
        locked_at=np.bincount(reduced.locked_at[locked], minlength=queries + 1),
        moments=reduced.moments,
        marks=prepared.checkpoints,
        best=prepared.tables.best,
    )
