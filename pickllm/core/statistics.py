"""Sessions to tables with intervals.

Sessions are the unit of replication, never queries. Intervals are 95 %: Wilson's for a
share, also for the share locked by a query, and Student's for a mean. Contexts share
their sessions' draws, so means over contexts are clustered by session. Where a
well-kept library has the method (SciPy, statsmodels), it is used.
"""

# pandas, SciPy and statsmodels have no types of their own:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportMissingTypeStubs=false

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from .sessions import Sessions

#: Level of tests, and that of intervals.
ALPHA = 0.05
LEVEL = 1 - ALPHA


def share(successes: ArrayLike, n: ArrayLike) -> tuple[Any, Any, Any]:
    """Return a share with Wilson's interval: (estimate, low, high), arrays broadcast.

    Examples
    --------
    >>> [round(float(x), 3) for x in share(9, 10)]
    [0.9, 0.596, 0.982]
    """
    from statsmodels.stats.proportion import proportion_confint

    successes, n = np.broadcast_arrays(successes, n)
    low, high = proportion_confint(successes, n, alpha=1 - LEVEL, method="wilson")
    low = np.where(successes == 0, 0.0, low)[()]  # exact, but for rounding
    high = np.where(successes == n, 1.0, high)[()]
    return successes / n, low, high


def mean(values: ArrayLike, axis: int = 0) -> tuple[Any, Any, Any]:
    """Return a mean over sessions with Student's interval: (estimate, low, high)."""
    from scipy.stats import t

    values = np.asarray(values, dtype=float)
    n = values.shape[axis]
    centre = values.mean(axis=axis)
    half = np.inf
    if n > 1:
        spread = values.std(axis=axis, ddof=1)
        half = t.ppf((1 + LEVEL) / 2, n - 1) * spread / np.sqrt(n)
    return centre, centre - half, centre + half


def mean_of_contexts(values: ArrayLike) -> tuple[Any, Any, Any]:
    """Return the mean over contexts of a mean over sessions: (estimate, low, high).

    A session's number stands for the same draws in every context, so contexts are not
    independent: each session is averaged over its contexts first, and those averages
    have Student's interval.

    Parameters
    ----------
    values : array, (n_sessions, n_contexts)

    Examples
    --------
    >>> [round(float(x), 2) for x in mean_of_contexts([[1, 3], [2, 2], [2, 4]])]
    [2.33, 0.9, 3.77]
    """
    return mean(np.asarray(values, dtype=float).mean(axis=1))


def share_of_contexts(successes: ArrayLike) -> tuple[Any, Any, Any]:
    """Return the mean over contexts of a share of sessions: (estimate, low, high).

    Wilson's interval at the effective number of sessions,

        m = p (1 - p) / v * (z / t)^2,

    with v the variance of the mean of the sessions' averages over contexts, z and t the
    quantiles of the normal law and of Student's (Korn and Graubard 1998, *Survey
    Methodology* 24, with Wilson's interval as in Franco et al. 2019, *Journal of Survey
    Statistics and Methodology* 7). It is at most the number of sessions times contexts;
    where each session succeeds everywhere, or none anywhere, it is that of sessions.

    Parameters
    ----------
    successes : array of bool, (n_sessions, ..., n_contexts)

    Examples
    --------
    >>> estimate, low, high = share_of_contexts([[True, False], [True, True]] * 20)
    >>> float(estimate), round(float(low), 2), round(float(high), 2)
    (0.75, 0.65, 0.83)
    """
    from scipy.stats import norm, t

    yes = np.asarray(successes, dtype=float)
    n, contexts = len(yes), yes.shape[-1]
    each = yes.mean(axis=-1)
    p = each.mean(axis=0)
    p = np.where((yes == 1).all(axis=(0, -1)), 1.0, p)  # exact, but for rounding
    if n == 1:
        return share(p, 1.0)
    variance = each.var(axis=0, ddof=1) / n
    quantile = (1 + LEVEL) / 2
    student = (norm.ppf(quantile) / t.ppf(quantile, n - 1)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = p * (1 - p) / variance * student
    effective = np.where(variance > 0, np.minimum(effective, n * contexts), n)
    estimate, low, high = share(p * effective, effective)
    certain = (p == 0) | (p == 1)
    return np.where(certain, p, estimate)[()], low, high


def median_of_contexts(
    locked_at: ArrayLike, queries: int
) -> tuple[float, float, float]:
    """Return the mean over contexts of the median query of locking, with its interval.

    Each context's own interval is that of `median_lock`. Its ends are as far from the
    mean of medians as sqrt(d' R d) / K, with d the K contexts' distances and R the
    correlations, over sessions, of having locked by the median: what moves a median is
    that share alone (Bahadur 1966, *Annals of Mathematical Statistics* 37).

    Parameters
    ----------
    locked_at : array of int, (n_sessions, n_contexts)
        Queries answered when locked; -1 = never.
    queries : int
        Length of a session; an interval that reaches beyond ends there.

    Returns
    -------
    tuple of float
        Infinite where some context's median lies beyond the session.

    Examples
    --------
    >>> median_of_contexts([[10, 30], [20, 40], [30, 50]], queries=100)
    (30.0, 20.0, 40.0)
    """
    times = np.asarray(locked_at)
    each = np.array([median_lock(context) for context in times.T])
    middle, low, high = each.T
    if not np.isfinite(middle).all():
        return np.inf, np.inf, np.inf
    early = (times >= 0) & (times <= middle)
    related = _correlation(early.astype(float))
    down = middle - low
    up = np.minimum(high, queries) - middle
    centre = float(middle.mean())
    below, above = (
        float(np.sqrt(max(d @ related @ d, 0.0))) / len(d) for d in (down, up)
    )
    return centre, centre - below, centre + above


def _correlation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return correlations of columns; a constant one goes with itself alone."""
    off = values - values.mean(axis=0)
    length = np.sqrt((off**2).sum(axis=0))
    unit = off / np.where(length > 0, length, 1.0)
    found = unit.T @ unit
    np.fill_diagonal(found, 1.0)
    return found


def trajectory(sessions: "Sessions") -> pd.DataFrame:
    """Return the mean selection probability of each LLM at each checkpoint.

    Returns
    -------
    pandas.DataFrame
        ``query`` (answered so far), ``model``, ``best`` (is it the best LLM),
        ``probability``, ``low``, ``high``.
    """
    centre, low, high = mean(sessions.selection())
    n_checkpoints, n_models = centre.shape
    best = np.arange(n_models) == sessions.best
    return pd.DataFrame(
        {
            "query": np.repeat(sessions.checkpoints, n_models),
            "model": np.tile(np.array(sessions.trace.models), n_checkpoints),
            "best": np.tile(best, n_checkpoints),
            "probability": centre.ravel(),
            "low": low.clip(0, 1).ravel(),
            "high": high.clip(0, 1).ravel(),
        }
    )


def lock_grid(queries: int, points: int = 160) -> NDArray[np.int64]:
    """Return about so many query numbers from 0 to `queries`, closer at the start."""
    numbers = np.append(0, np.geomspace(1, queries, points).round())
    return np.unique(numbers).astype(np.int64)


def locked_by(locked_at: ArrayLike, grid: ArrayLike) -> NDArray[np.bool_]:
    """Return whether each session is locked once so many queries are answered.

    Parameters
    ----------
    locked_at : array of int, (n_sessions, ...)
        Queries answered when locked; -1 = never.
    grid : array of int, (n_points,)

    Returns
    -------
    ndarray of bool, (n_sessions, n_points, ...)
    """
    at = np.asarray(locked_at)[:, None]
    numbers = np.asarray(grid).reshape(-1, *(1,) * (at.ndim - 2))
    return (at >= 0) & (at <= numbers)


def lock_curve(locked_at: ArrayLike, queries: int, points: int = 160) -> pd.DataFrame:
    """Return the share of sessions locked by each query, with Wilson's interval.

    Sessions are cut off at their end and nowhere before it, so at each query every
    session has either locked or not: the estimate of Kaplan and Meier is this share,
    and the share is binomial. Before the first query nothing is left to chance.

    Parameters
    ----------
    locked_at : array of int, (n_sessions,)
        Queries answered when locked; -1 = never.
    queries : int
        Length of a session.
    points : int
        About how many query numbers to tabulate; see `lock_grid`.

    Returns
    -------
    pandas.DataFrame
        ``query``, ``locked``, ``low``, ``high``.

    Examples
    --------
    >>> lock_curve([1, 2, -1, -1], queries=2, points=2).locked.tolist()
    [0.0, 0.25, 0.5]
    """
    grid = lock_grid(queries, points)
    yes = locked_by(locked_at, grid)
    return curve_frame(grid, *share(yes.sum(axis=0), len(yes)))


def curve_frame(
    grid: NDArray[np.int64], locked: Any, low: Any, high: Any
) -> pd.DataFrame:
    """Return a lock curve as a table; at query 0 it is certain."""
    return pd.DataFrame(
        {
            "query": grid,
            "locked": locked,
            "low": np.where(grid > 0, low, locked),
            "high": np.where(grid > 0, high, locked),
        }
    )


def logrank(first: ArrayLike, second: ArrayLike, queries: int) -> tuple[float, float]:
    """Return the log-rank test of two lock curves being one: (statistic, p).

    The statistic is positive where the first locks sooner than both together would. The
    test takes the two for independent; of settings that met the same draws it keeps its
    level as long as those do not make one setting late where they make the other early.

    Parameters
    ----------
    first, second : array of int, (n_sessions,)
        Queries answered when locked; -1 = never.
    queries : int
        Length of a session: where the others were cut off.

    Examples
    --------
    >>> statistic, p = logrank([1, 2, 3, 4, 5, 6], [7, 8, 9, 9, -1, -1], queries=10)
    >>> statistic > 0, p < 0.01
    (True, True)
    """
    from scipy.stats import CensoredData
    from scipy.stats import logrank as test

    given = [np.asarray(first), np.asarray(second)]
    if all((one < 0).all() for one in given):  # no lock, no difference
        return 0.0, 1.0
    censored = [
        CensoredData.right_censored(np.where(one < 0, queries, one), one < 0)
        for one in given
    ]
    found = test(*censored)
    return float(found.statistic), float(found.pvalue)


def median_lock(locked_at: ArrayLike) -> tuple[float, float, float]:
    """Return the median query of locking with its distribution-free interval.

    Infinite where it lies beyond the session. All censoring is at the session's end, so
    a censored session simply ranks after every lock. The interval's ranks are binomial
    (e.g. Conover 1999, *Practical Nonparametric Statistics*, 3.2).

    Examples
    --------
    >>> median_lock([10, 20, 30, 40, -1, -1, -1])[0]
    40.0
    """
    from scipy.stats import binom

    locked_at = np.asarray(locked_at)
    times = np.sort(np.where(locked_at < 0, np.inf, locked_at).astype(float))
    n = len(times)
    rank = int(binom.ppf((1 - LEVEL) / 2, n, 0.5))
    middle = (times[(n - 1) // 2] + times[n // 2]) / 2
    low = times[max(rank - 1, 0)]
    high = times[min(n - rank, n - 1)]
    return float(middle), float(low), float(high)


def locking(table: pd.DataFrame, by: Sequence[str], queries: int) -> pd.DataFrame:
    """Return how fast and how rightly the sessions of each setting locked.

    Parameters
    ----------
    table : pandas.DataFrame
        As `sweep` gives.
    by : list of str
        Columns that tell settings apart.
    queries : int
        Length of a session, for the reader.

    Returns
    -------
    pandas.DataFrame
        ``by``, ``sessions``, then estimate, ``_low`` and ``_high`` of: ``locked``
        (share), ``on_best`` (share of all sessions that locked on the best LLM),
        ``right`` (share of the locked ones), ``median`` (query of locking; empty where
        beyond the session).
    """
    rows = []
    for key, group in table.groupby(list(by), sort=False):
        n = len(group)
        locked = int((group.locked_at >= 0).sum())
        best = int(group.locked_on_best.fillna(False).sum())
        row: dict[str, Any] = dict(zip(by, key, strict=True))
        row |= {"sessions": n, "queries": queries}
        row |= _with_interval("locked", share(locked, n))
        row |= _with_interval("on_best", share(best, n))
        right = share(best, locked) if locked else (np.nan, np.nan, np.nan)
        row |= _with_interval("right", right)
        median = median_lock(group.locked_at)
        within = (value if np.isfinite(value) else np.nan for value in median)
        rows.append(row | _with_interval("median", within))
    return pd.DataFrame(rows)


def _with_interval(name: str, values: Iterable[Any]) -> dict[str, float]:
    names = name, f"{name}_low", f"{name}_high"
    return dict(zip(names, (float(value) for value in values), strict=True))


def means(
    table: pd.DataFrame, by: Sequence[str], columns: Sequence[str]
) -> pd.DataFrame:
    """Return mean and interval of each column over the sessions of each setting.

    Returns
    -------
    pandas.DataFrame
        Long: ``by``, ``measure``, ``value``, ``low``, ``high``, ``sessions``.
    """
    rows = []
    for key, group in table.groupby(list(by), sort=False):
        setting: dict[str, Any] = dict(zip(by, key, strict=True))
        for column in columns:
            value, low, high = mean(group[column].to_numpy(float))
            numbers = {"value": value, "low": low, "high": high}
            rows.append(
                setting | {"measure": column} | numbers | {"sessions": len(group)}
            )
    return pd.DataFrame(rows)
