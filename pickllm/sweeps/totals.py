"""Totals: what is kept of very many sessions in place of their choices. Its size does not depend on their number.

Totals of some sessions and totals of the next ones add up to the totals of both (`merged`); sessions are
grouped by number alone, so that sums, rounding included, depend neither on workers nor on threads.
"""

from dataclasses import dataclass

import numpy as np

from ..core.sessions import bound, checked, outcome_table, replay, runs_compiled, tally

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
        """Return queries answered when a share `q` of all sessions had locked; inf where fewer ever did.

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
    """Return the totals of two groups of sessions (Chan, Golub, LeVeque 1979 for the squares)."""
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
    trace,
    reward,
    learner,
    *,
    sessions,
    queries,
    seed=0,
    order="bootstrap",
    lock=True,
    checkpoints=100,
    first=0,
    engine="auto",
):
    """Totals of sessions first, first + 1, ...; parameters as in `replay`.

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11").select(context="simple")
    >>> t = totals(trace, pk.Reward(), pk.LinearRewardInaction(0.3), sessions=40, queries=200)
    >>> t.sessions, int(t.asked.sum()), t.moments.shape
    (40, 8000, (100, 3, 4))
    """
    marks = checked(trace, sessions, queries, seed, order, checkpoints, first)
    reward, learner, rule = bound(trace, reward, learner, lock)
    outcomes = outcome_table(trace, reward)
    if runs_compiled(engine, learner, rule, order, sessions * queries):
        from ..core.compiled import setting
        from ..engine import kernels

        unit = reward.unit(trace.accuracy, trace.cost_usd, trace.latency_ms)
        sums, counts, moments, locked_at, locked_model = kernels.reduce(
            unit,
            outcomes,
            setting(learner, rule, unit.shape[1]),
            slice(first, first + sessions),
            queries,
            seed,
            order,
            marks,
        )
    else:
        s = replay(
            trace,
            reward,
            learner,
            sessions=sessions,
            queries=queries,
            seed=seed,
            order=order,
            lock=lock,
            checkpoints=marks,
            first=first,
            engine="numpy",
        )
        counts, sums, _ = tally(s.queries, s.choices, outcomes, s.locked_model)
        p = s.probabilities
        moments, locked_at, locked_model = (
            np.stack(
                [p.sum(axis=0), (p**2).sum(axis=0), s.selection().sum(axis=0)], axis=1
            ),
            s.locked_at,
            s.locked_model,
        )
    values = sums / np.where([how == "mean" for how in OUTCOMES.values()], queries, 1)
    mean = values.mean(axis=0)
    locked = locked_at >= 0
    return Totals(
        sessions,
        mean,
        ((values - mean) ** 2).sum(axis=0),
        counts.sum(axis=0),
        np.bincount(locked_model[locked], minlength=len(trace.models)),
        np.bincount(locked_at[locked], minlength=queries + 1),
        moments,
    )
