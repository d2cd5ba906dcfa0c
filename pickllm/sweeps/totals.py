"""Totals: what is kept of very many sessions in place of their choices.

Their size does not depend on the number of sessions.

Totals of some sessions and totals of the next ones add up to the totals of both
(`merged`); sessions are grouped by number alone, so that sums, rounding included,
depend neither on workers nor on threads.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.compiled import reduce_compiled, runs_compiled
from ..core.prepared import Prepared, prepare
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
    mean: np.ndarray
    squares: np.ndarray
    asked: np.ndarray
    locked_on: np.ndarray
    locked_at: np.ndarray
    moments: np.ndarray

    def quantile(self, q):
        """Return queries answered when a share `q` of all sessions had locked.

        Infinite where fewer ever did.

        Exact: the smallest number of queries by which at least that share is locked.
        """
        reached = np.cumsum(self.locked_at) >= q * self.sessions
        return float(reached.argmax()) if reached.any() else np.inf

    def row(self, models, best, marks):
        """One row of a sweep's table.

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
        n, sd = self.sessions, np.sqrt(self.squares / max(self.sessions - 1, 1))
        row = {"sessions": n}
        for name, mean, spread in zip(
            OUTCOMES, self.mean.tolist(), sd.tolist(), strict=True
        ):
            row |= {name: mean, f"{name}_sd": spread}
        row |= {
            "locked": int(self.locked_on.sum()),
            "locked_on_best": int(self.locked_on[best]),
        }
        quantiles = {q: self.quantile(q) for q in QUANTILES}
        row |= {
            f"locked_at_q{100 * q:.0f}": at if np.isfinite(at) else None
            for q, at in quantiles.items()
        }
        row |= {
            f"share:{m}": share
            for m, share in zip(
                models, (self.asked / self.asked.sum()).tolist(), strict=True
            )
        }
        row |= {
            f"locked_on:{m}": count
            for m, count in zip(models, self.locked_on.tolist(), strict=True)
        }
        row |= {"locked_at": self.locked_at.tolist(), "checkpoint": marks.tolist()}
        probability, square, selection = (self.moments / n).transpose(1, 2, 0)
        deviation = np.sqrt(np.clip(square - probability**2, 0, None))
        for j, m in enumerate(models):
            row |= {
                f"probability:{m}": probability[j].tolist(),
                f"probability_sd:{m}": deviation[j].tolist(),
                f"selection:{m}": selection[j].tolist(),
            }
        return row


def merged(first, second):
    """Return the totals of two groups of sessions.

    For the squares: Chan, Golub, LeVeque 1979.
    """
    n = first.sessions + second.sessions
    delta = second.mean - first.mean
    return Totals(
        n,
        first.mean + delta * (second.sessions / n),
        first.squares
        + second.squares
        + delta**2 * (first.sessions * second.sessions / n),
        first.asked + second.asked,
        first.locked_on + second.locked_on,
        first.locked_at + second.locked_at,
        first.moments + second.moments,
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
        sums, counts, moments, locked_at, locked_model = reduce_compiled(prepared)
    else:
        sums, counts, moments, locked_at, locked_model = _reduce(prepared)
    return _totals(prepared, sums, counts, moments, locked_at, locked_model)


def _reduce(prepared: Prepared) -> tuple[Any, ...]:
    """Return what `reduce_compiled` returns, by NumPy's loop."""
    played = play(prepared)
    outcomes = prepared.outcomes
    counts, sums, _ = tally(
        played.queries, played.choices, outcomes, played.locked_model
    )
    p = played.probabilities
    selection = Sessions.of(prepared, played, "numpy").selection()
    moments = [p.sum(axis=0), (p**2).sum(axis=0), selection.sum(axis=0)]
    locks = played.locked_at, played.locked_model
    return sums, counts, np.stack(moments, axis=1), *locks


def _totals(prepared, sums, counts, moments, locked_at, locked_model) -> Totals:
    queries = prepared.queries
    values = sums / np.where([how == "mean" for how in OUTCOMES.values()], queries, 1)
    mean = values.mean(axis=0)
    locked = locked_at >= 0
    return Totals(
        len(prepared.sessions),
        mean,
        ((values - mean) ** 2).sum(axis=0),
        counts.sum(axis=0),
        np.bincount(locked_model[locked], minlength=prepared.n_models),
        np.bincount(locked_at[locked], minlength=queries + 1),
        moments,
    )
