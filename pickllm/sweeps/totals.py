"""Totals: what is kept of very many sessions in place of their choices.

Their size does not depend on the number of sessions. Totals of some sessions and of the
next ones add up to the totals of both (`merged`); sessions are grouped by number alone,
so that sums, rounding included, depend neither on workers nor on threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..core.compiled import reduce_compiled, runs_compiled
from ..core.prepared import Prepared, prepare
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
    """

    sessions: int
    mean: Floats
    squares: Floats
    asked: Integers
    locked_on: Integers
    locked_at: Integers
    moments: Floats

    def quantile(self, q: float) -> float:
        """Return queries answered when a share `q` of all sessions had locked.

        The smallest number of queries by which at least that share is locked; inf where
        fewer ever did.
        """
        reached = np.cumsum(self.locked_at) >= q * self.sessions
        return float(reached.argmax()) if reached.any() else np.inf

    def row(self, models: Sequence[str], best: int, marks: Integers) -> dict[str, Any]:
        """Return one row of a sweep's table.

        Parameters
        ----------
        models : sequence of str
        best : int
            Position of the LLM that is best on average.
        marks : ndarray of int, (n_checkpoints,)

        Returns
        -------
        dict
            ``sessions``; each outcome's mean over sessions and ``_sd``; ``locked`` and
            ``locked_on_best`` (sessions); ``locked_at_q10`` to ``_q90`` (None where
            beyond the session); ``share:<model>`` (of queries), ``locked_on:<model>``
            (sessions); and as lists ``locked_at`` (sessions that locked after 0, 1, 2,
            ... queries), ``checkpoint``, and per LLM ``probability:<model>``,
            ``probability_sd:<model>``, ``selection:<model>``.
        """
        row: dict[str, Any] = {"sessions": self.sessions}
        deviation = np.sqrt(self.squares / max(self.sessions - 1, 1))
        for i, name in enumerate(OUTCOMES):
            row[name] = float(self.mean[i])
            row[f"{name}_sd"] = float(deviation[i])
        row["locked"] = int(self.locked_on.sum())
        row["locked_on_best"] = int(self.locked_on[best])
        for q in QUANTILES:
            at = self.quantile(q)
            row[f"locked_at_q{100 * q:.0f}"] = at if np.isfinite(at) else None
        shares = self.asked / self.asked.sum()
        row |= {f"share:{name}": float(shares[j]) for j, name in enumerate(models)}
        row |= {
            f"locked_on:{name}": int(self.locked_on[j]) for j, name in enumerate(models)
        }
        row["locked_at"] = self.locked_at.tolist()
        row["checkpoint"] = marks.tolist()
        return row | self._trajectories(models)

    def _trajectories(self, models: Sequence[str]) -> dict[str, list[float]]:
        """Return each LLM's probability, its deviation, and selection, over time."""
        averages = (self.moments / self.sessions).transpose(1, 2, 0)
        probability, square, selection = averages
        deviation = np.sqrt(np.clip(square - probability**2, 0, None))
        columns: dict[str, list[float]] = {}
        for j, name in enumerate(models):
            columns[f"probability:{name}"] = probability[j].tolist()
            columns[f"probability_sd:{name}"] = deviation[j].tolist()
            columns[f"selection:{name}"] = selection[j].tolist()
        return columns


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
    )


def totals(
    trace: Trace,
    reward: Reward,
    learner: object,
    *,
    engine: str = "auto",
    **options: Any,
) -> Totals:
    """Return totals of sessions.

    Parameters
    ----------
    trace, reward, learner, engine, **options
        As in `replay`.

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11").select(context="simple")
    >>> automaton = pk.LinearRewardInaction(0.3)
    >>> t = totals(trace, pk.Reward(), automaton, sessions=40, queries=200)
    >>> t.sessions, int(t.asked.sum()), t.moments.shape
    (40, 8000, (100, 3, 4))
    """
    prepared = prepare(trace, reward, learner, **options)
    if runs_compiled(prepared, engine):
        return _totals(prepared, _Reduced(*reduce_compiled(prepared)))
    return _totals(prepared, _reduce(prepared))


class _Reduced(NamedTuple):
    """What is left of each session; see `engine.kernels.reduce` for each array."""

    sums: Floats
    counts: Integers
    moments: Floats
    locked_at: Integers
    locked_model: Integers


def _reduce(prepared: Prepared) -> _Reduced:
    """Return what `reduce_compiled` does, by NumPy's loop."""
    played = play(prepared)
    counts, sums, _ = tally(
        played.queries, played.choices, prepared.outcomes, played.locked_model
    )
    p = played.probabilities
    selection = Sessions.of(prepared, played, "numpy").selection()
    moments = [p.sum(axis=0), (p**2).sum(axis=0), selection.sum(axis=0)]
    return _Reduced(
        sums=sums,
        counts=counts,
        moments=np.stack(moments, axis=1),
        locked_at=played.locked_at,
        locked_model=played.locked_model,
    )


def _totals(prepared: Prepared, reduced: _Reduced) -> Totals:
    queries = prepared.queries
    divisors = [queries if how == "mean" else 1 for how in OUTCOMES.values()]
    values = reduced.sums / np.array(divisors)
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
    )
