"""Sessions to tables with intervals.

Sessions are the unit of replication, never queries. Intervals are 95 %: Wilson's for a
share, Student's for a mean, Greenwood's on the log-log scale for Kaplan and Meier's
curve. Where a well-kept library has the method (SciPy, statsmodels), it is used.
"""

# pandas, SciPy and statsmodels have no types of their own:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportMissingTypeStubs=false

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

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


def lock_curve(locked_at: ArrayLike, queries: int, points: int = 160) -> pd.DataFrame:
    """Return the share of sessions locked by each query, by Kaplan and Meier.

    Sessions that never lock are censored.

    Parameters
    ----------
    locked_at : array of int, (n_sessions,)
        Queries answered when locked; -1 = never.
    queries : int
        Length of a session: when the others were censored.
    points : int
        About how many query numbers to tabulate, from 0 to `queries`, closer together
        at the start.

    Returns
    -------
    pandas.DataFrame
        ``query``, ``locked``, ``low``, ``high``.
    """
    from scipy.stats import CensoredData, ecdf

    locked_at = np.asarray(locked_at)
    numbers = np.append(0, np.geomspace(1, queries, points).round())
    grid = np.unique(numbers).astype(int)
    never = locked_at < 0
    if never.all():
        return _no_lock(grid, len(locked_at))
    times = np.where(never, queries, locked_at)
    survival = ecdf(CensoredData.right_censored(times, never)).sf
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        # undefined where every session has locked: the estimate stands alone there
        warnings.simplefilter("ignore", RuntimeWarning)
        interval = survival.confidence_interval(LEVEL, method="log-log")
    locked = 1 - survival.evaluate(grid)
    low = 1 - interval.high.evaluate(grid)
    high = 1 - interval.low.evaluate(grid)
    curves = {
        "locked": locked,
        "low": np.where(np.isnan(low), locked, low),
        "high": np.where(np.isnan(high), locked, high),
    }
    within = {name: curve.clip(0, 1) for name, curve in curves.items()}  # -1e-19 is 0
    return pd.DataFrame({"query": grid} | within)


def _no_lock(grid: Any, n_sessions: int) -> pd.DataFrame:
    """Return the curve of no event: 0, and Wilson's interval for no success."""
    high = share(0, n_sessions)[2]
    highs = np.where(grid > 0, high, 0.0)
    return pd.DataFrame({"query": grid, "locked": 0.0, "low": 0.0, "high": highs})


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
