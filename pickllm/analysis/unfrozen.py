"""Convergence without the lock: what learners prefer when nothing freezes them.

A locked session stays with its LLM because the kit says so. Here every session learns
to its end, and the lock rule is only watched: whether the preferred LLM, the most
probable one, is the best, or within 1 % of it; and whether a session that would have
been locked stays with the LLM that it would have been locked to.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import experiments
from ..core import statistics
from ..core.prepared import Tables
from ..core.replay import replay
from ..core.reward import Reward
from ..core.trace import Trace
from ..errors import InputError
from ..experiments import AS_GOOD
from .means import MEAN, rename_mean

#: Queries of sessions that are held at a time.
AT_A_TIME = 2_000_000
#: Where the preferred LLM is looked at first.
FIRST = 100


class Watched(NamedTuple):
    """Sessions whose lock rule is watched and freezes nothing, (n_sessions,) each.

    Attributes
    ----------
    locked_at : ndarray of int
        Queries answered when the rule was met; -1 = never.
    changed : ndarray of bool
        Whether the preferred LLM was another one at any query since.
    stayed : ndarray
        Share of the queries since that went to the LLM to which the session would have
        been locked; missing where there are none.
    """

    locked_at: NDArray[np.int64]
    changed: NDArray[np.bool_]
    stayed: NDArray[np.float64]


def preferred(
    trace: Trace,
    reward: Reward,
    learner: object,
    grid: Sequence[int] | NDArray[np.int64],
    sessions: int = 200,
    seed: int = 0,
) -> NDArray[np.int64]:
    """Return the most probable LLM once so many queries are answered, without a lock.

    Parameters
    ----------
    trace : Trace
        Of one context.
    reward : Reward
    learner : learner
    grid : sequence of int, (n_points,)
        Numbers of answered queries, ascending; a session ends with the last.
    sessions, seed : int
        As in `replay`.

    Returns
    -------
    ndarray of int, (n_sessions, n_points)
        Positions in `trace.models`.

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
    >>> preferred(trace, pk.Reward(), pk.QLearning(), [10, 100], sessions=3).shape
    (3, 2)
    """
    parts = [
        replay(
            trace,
            reward,
            learner,
            sessions=count,
            queries=int(grid[-1]),
            seed=seed,
            lock=False,
            checkpoints=list(grid),
            first=first,
        ).probabilities.argmax(axis=2)
        for first, count in _chunks(sessions, int(grid[-1]))
    ]
    return np.concatenate(parts)


def watched(
    trace: Trace,
    reward: Reward,
    learner: object,
    sessions: int = 1000,
    queries: int = 1000,
    seed: int = 0,
) -> Watched:
    """Return what sessions do once their lock rule is met, if it does not freeze them.

    Until then a session is the same with the lock and without: the same sessions are
    replayed both ways.

    Parameters
    ----------
    trace : Trace
        Of one context.
    reward : Reward
    learner : learner
        With its own lock rule.
    sessions, queries, seed : int
        As in `replay`.

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
    >>> found = watched(trace, pk.Reward(), pk.LinearRewardInaction(0.3), 20, 400)
    >>> bool(found.changed.mean() < 0.5)
    True
    """
    parts = []
    for first, count in _chunks(sessions, queries):
        options: dict[str, Any] = {"sessions": count, "queries": queries, "seed": seed}
        options["first"] = first
        frozen = replay(trace, reward, learner, checkpoints=1, **options)
        free = replay(
            trace, reward, learner, lock=False, checkpoints=range(queries), **options
        )
        model = frozen.locked_model[:, None]
        at = frozen.locked_at[:, None]
        since = (at >= 0) & (np.arange(queries) >= at)
        other = free.probabilities.argmax(axis=2) != model
        with np.errstate(invalid="ignore"):
            stayed = (since & (free.choices == model)).sum(axis=1) / since.sum(axis=1)
        parts.append((frozen.locked_at, (since & other).any(axis=1), stayed))
    return Watched(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _chunks(sessions: int, queries: int) -> Iterator[tuple[int, int]]:
    """Yield the first session, and how many, of parts that fit into memory."""
    size = max(1, AT_A_TIME // queries)
    for first in range(0, sessions, size):
        yield first, min(size, sessions - first)


def convergence(
    trace: Trace,
    reward: Reward | None = None,
    learners: Mapping[str, object] | None = None,
    sessions: int = 200,
    queries: int = 10_000,
    seed: int = 0,
    points: int = 13,
) -> pd.DataFrame:
    """Return how often the preferred LLM is the best, or near it, without a lock.

    Parameters
    ----------
    trace : Trace
    reward : Reward, optional
        By default the study's main one.
    learners : dict of str to learner, optional
        By default the paper's two, at the study's rate.
    sessions, queries, seed : int
        As in `replay`.
    points : int
        At how many numbers of answered queries, from 100 to all.

    Returns
    -------
    pandas.DataFrame
        ``learner``, ``context`` (and "mean", its interval clustered by session),
        ``query`` (answered so far), ``measure``: "best", "within 1 %" of its mean raw
        reward; ``value``, ``low``, ``high``.

    Raises
    ------
    InputError
        Sessions of fewer than 100 queries.
    """
    if queries < FIRST:
        raise InputError(
            f"convergence: queries must be >= {FIRST}, got {queries!r}; 10000 is usual"
        )
    grid = np.unique(np.geomspace(FIRST, queries, points).round().astype(np.int64))
    reward = experiments.reward() if reward is None else reward
    parts: list[pd.DataFrame] = []
    for name, learner in (learners or experiments.routers()).items():
        found: dict[str, list[NDArray[np.bool_]]] = {"best": [], "within 1 %": []}
        for context in trace.contexts:
            part = trace.select(context=context)
            model = preferred(part, reward, learner, grid, sessions, seed)
            for measure, good in _good(part, reward).items():
                found[measure].append(good[model])
        for measure, yes in found.items():
            shares = _shares(np.stack(yes, axis=-1), trace.contexts, grid)
            parts.append(shares.assign(learner=name, measure=measure))
    frame = pd.concat(parts, ignore_index=True)
    names = ["learner", "context", "query", "measure", "value", "low", "high"]
    return pd.DataFrame(frame[names])


def _good(trace: Trace, reward: Reward) -> dict[str, NDArray[np.bool_]]:
    """Return by measure whether each LLM is good, (n_models,)."""
    tables = Tables.of(trace, reward)
    near = tables.near_best(AS_GOOD)
    return {"best": np.arange(len(near)) == tables.best, "within 1 %": near}


def _shares(
    yes: NDArray[np.bool_], contexts: Sequence[str], grid: NDArray[np.int64]
) -> pd.DataFrame:
    """Return shares of sessions at each point, in each context and over all.

    Parameters
    ----------
    yes : ndarray of bool, (n_sessions, n_points, n_contexts)
    """
    each = [
        _curve(context, grid, statistics.share(yes[..., place].sum(axis=0), len(yes)))
        for place, context in enumerate(contexts)
    ]
    over_all = _curve(MEAN, grid, statistics.share_of_contexts(yes))
    frame = rename_mean(pd.concat(each))
    return pd.concat([frame, over_all], ignore_index=True)


def _curve(
    context: str, grid: NDArray[np.int64], numbers: tuple[Any, Any, Any]
) -> pd.DataFrame:
    value, low, high = numbers
    columns = {"query": grid, "value": value, "low": low, "high": high}
    return pd.DataFrame({"context": context} | columns)


def after_the_lock(
    trace: Trace,
    reward: Reward | None = None,
    learners: Mapping[str, object] | None = None,
    sessions: int = 1000,
    queries: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return what sessions that met their lock rule do when it does not freeze them.

    Parameters
    ----------
    trace : Trace
    reward, learners, sessions, queries, seed
        As in `convergence`.

    Returns
    -------
    pandas.DataFrame
        ``learner``, ``context`` (and "mean": of each session's own mean over contexts),
        ``measure``: "changed" (share of such sessions that come to prefer another LLM)
        and "stayed" (share of later queries that go to the LLM of the lock);
        ``value``, ``low``, ``high``, ``sessions`` (how many met the rule).
    """
    reward = experiments.reward() if reward is None else reward
    named = rename_mean(pd.DataFrame({"context": trace.contexts})).context
    contexts = [*named, MEAN]
    rows: list[tuple[Any, ...]] = []
    for name, learner in (learners or experiments.routers()).items():
        found = [
            watched(
                trace.select(context=context), reward, learner, sessions, queries, seed
            )
            for context in trace.contexts
        ]
        met = np.column_stack([np.isfinite(one.stayed) for one in found])
        for measure in ("changed", "stayed"):
            values = np.column_stack([getattr(one, measure) for one in found])
            values = np.where(met, values, np.nan).astype(float)
            columns = [*values.T, _mean_of_known(values)]
            for context, column in zip(contexts, columns, strict=True):
                known = column[np.isfinite(column)]
                rows.append(
                    (name, context, measure, *_mean(known, measure), len(known))
                )
    names = ["learner", "context", "measure", "value", "low", "high", "sessions"]
    return pd.DataFrame(rows, columns=names)


def _mean_of_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each row's mean over what is known, missing where nothing is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)


def _mean(values: NDArray[np.float64], measure: str) -> tuple[float, float, float]:
    """Return a share's estimate and interval, by Wilson where it counts sessions."""
    if not len(values):
        return np.nan, np.nan, np.nan
    if measure == "changed" and set(np.unique(values)) <= {0.0, 1.0}:
        estimate, low, high = statistics.share(int(values.sum()), len(values))
    else:
        estimate, low, high = statistics.mean(values)
    return float(estimate), float(max(low, 0.0)), float(min(high, 1.0))


def describe(curves: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """Return what learners do without the lock, a sentence each.

    Parameters
    ----------
    curves : pandas.DataFrame
        As `convergence` gives.
    after : pandas.DataFrame
        As `after_the_lock` gives.
    """
    means = after[after.context == MEAN].set_index(["learner", "measure"]).value
    everywhere = curves[curves.context == MEAN]
    sentences = []
    for learner, part in everywhere.groupby("learner", sort=False):
        shares = part.set_index(["measure", "query"]).value
        first, last = part["query"].min(), part["query"].max()
        met = ""
        if np.isfinite(means[learner, "changed"]):
            met = (
                f" {100 * means[learner, 'changed']:.1f} % of sessions that met the"
                " lock rule come to prefer another LLM, and"
                f" {100 * means[learner, 'stayed']:.1f} % of their later queries go to"
                " the LLM of the lock."
            )
        sentences.append(
            f"{learner}, not frozen: the preferred LLM is the best in"
            f" {100 * shares['best', first]:.0f} % of sessions after {first:,} queries"
            f" and in {100 * shares['best', last]:.0f} % after {last:,} (within 1 % of"
            f" it: {100 * shares['within 1 %', last]:.0f} %).{met}"
        )
    return sentences
