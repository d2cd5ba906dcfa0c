"""Sessions to tables with intervals and tests: the one place that computes an interval.

Sessions are the unit of replication, never queries. Intervals are 95 %: Wilson's for a
share, Student's for a mean, the paired delta method for a ratio of means, Greenwood's
on the log-log scale for Kaplan and Meier's curve. Tests over many settings are
corrected by Holm. Where a well-kept library has the method (SciPy, statsmodels), it is
used.
"""

import warnings

import numpy as np
import pandas as pd

from ..errors import InputError

LEVEL = 0.95


def share(successes, n):
    """Return a share with Wilson's interval: (estimate, low, high), arrays broadcast.

    Examples
    --------
    >>> [round(float(x), 3) for x in share(9, 10)]
    [0.9, 0.596, 0.982]
    """
    from statsmodels.stats.proportion import proportion_confint

    successes, n = np.broadcast_arrays(successes, n)
    low, high = proportion_confint(successes, n, alpha=1 - LEVEL, method="wilson")
    return (
        successes / n,
        np.where(successes == 0, 0.0, low)[()],
        np.where(successes == n, 1.0, high)[()],
    )  # both exact, but for rounding


def mean(values, axis=0):
    """Return a mean over sessions with Student's interval: (estimate, low, high)."""
    from scipy.stats import t

    values = np.asarray(values, dtype=float)
    n = values.shape[axis]
    centre = values.mean(axis=axis)
    half = (
        t.ppf((1 + LEVEL) / 2, max(n - 1, 1))
        * values.std(axis=axis, ddof=1)
        / np.sqrt(n)
        if n > 1
        else np.inf
    )
    return centre, centre - half, centre + half


def trajectory(sessions):
    """Mean selection probability of each LLM at each checkpoint, over sessions.

    Returns
    -------
    pandas.DataFrame
        ``query`` (answered so far), ``model``, ``best`` (is it the best LLM),
        ``probability``, ``low``, ``high``.
    """
    centre, low, high = mean(sessions.selection())
    n, m = centre.shape
    return pd.DataFrame(
        {
            "query": np.repeat(sessions.checkpoints, m),
            "model": np.tile(np.array(sessions.trace.models), n),
            "best": np.tile(np.arange(m) == sessions.best, n),
            "probability": centre.ravel(),
            "low": low.clip(0, 1).ravel(),
            "high": high.clip(0, 1).ravel(),
        }
    )


def lock_curve(locked_at, queries, points=160):
    """Share of sessions locked by each query, by Kaplan and Meier; sessions that never lock are censored.

    Parameters
    ----------
    locked_at : array of int, (n_sessions,)
        Queries answered when locked; -1 = never.
    queries : int
        Length of a session: when the others were censored.
    points : int
        About how many query numbers to tabulate, from 0 to `queries`, closer together at the start.

    Returns
    -------
    pandas.DataFrame
        ``query``, ``locked``, ``low``, ``high``.
    """
    from scipy.stats import CensoredData, ecdf

    locked_at = np.asarray(locked_at)
    grid = np.unique(np.append(0, np.geomspace(1, queries, points).round())).astype(int)
    never = locked_at < 0
    if (
        never.all()
    ):  # no event: the curve is 0, and its interval Wilson's for no success in n
        high = share(0, len(locked_at))[2]
        return pd.DataFrame(
            {
                "query": grid,
                "locked": 0.0,
                "low": 0.0,
                "high": np.where(grid > 0, high, 0.0),
            }
        )
    survival = ecdf(
        CensoredData.right_censored(np.where(never, queries, locked_at), never)
    ).sf
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # undefined where every session has locked: the estimate stands alone there
        interval = survival.confidence_interval(LEVEL, method="log-log")
    frame = pd.DataFrame({"query": grid, "locked": 1 - survival.evaluate(grid)})
    low, high = 1 - interval.high.evaluate(grid), 1 - interval.low.evaluate(grid)
    frame = frame.assign(
        low=np.where(np.isnan(low), frame.locked, low),
        high=np.where(np.isnan(high), frame.locked, high),
    )
    return frame.assign(
        **frame[["locked", "low", "high"]].clip(0, 1)
    )  # rounding may leave -1e-19


def median_lock(locked_at):
    """Median query of locking with its distribution-free interval; inf where it lies beyond the session.

    All censoring is at the session's end, so a censored session simply ranks after every lock. The
    interval's ranks are binomial (e.g. Conover 1999, *Practical Nonparametric Statistics*, 3.2).

    Examples
    --------
    >>> median_lock([10, 20, 30, 40, -1, -1, -1])[0]
    40.0
    """
    from scipy.stats import binom

    times = np.sort(
        np.where(np.asarray(locked_at) < 0, np.inf, locked_at).astype(float)
    )
    n = len(times)
    lower = int(binom.ppf((1 - LEVEL) / 2, n, 0.5))
    middle = times[(n - 1) // 2] if n % 2 else (times[n // 2 - 1] + times[n // 2]) / 2
    return (
        float(middle),
        float(times[max(lower - 1, 0)]),
        float(times[min(n - lower, n - 1)]),
    )


def locking(table, by, queries):
    """How fast and how rightly the sessions of each setting locked.

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
    for key, group in table.groupby(by, sort=False):
        n, locked = len(group), int((group.locked_at >= 0).sum())
        best = int(group.locked_on_best.fillna(False).sum())
        row = dict(zip(by, key, strict=True)) | {"sessions": n, "queries": queries}
        for name, k, total in (
            ("locked", locked, n),
            ("on_best", best, n),
            ("right", best, locked),
        ):
            row |= _triple(name, share(k, total) if total else (np.nan,) * 3)
        rows.append(
            row
            | _triple(
                "median",
                [x if np.isfinite(x) else np.nan for x in median_lock(group.locked_at)],
            )
        )
    return pd.DataFrame(rows)


def _triple(name, values):
    return dict(
        zip(
            (name, f"{name}_low", f"{name}_high"),
            (float(v) for v in values),
            strict=True,
        )
    )


def means(table, by, columns):
    """Mean and interval of each column over the sessions of each setting, in long form.

    Returns
    -------
    pandas.DataFrame
        ``by``, ``measure``, ``value``, ``low``, ``high``, ``sessions``.
    """
    rows = []
    for key, group in table.groupby(by, sort=False):
        for column in columns:
            value, low, high = mean(group[column].to_numpy(float))
            rows.append(
                dict(zip(by, key, strict=True))
                | {
                    "measure": column,
                    "value": value,
                    "low": low,
                    "high": high,
                    "sessions": len(group),
                }
            )
    return pd.DataFrame(rows)


def relative_change(router, control):
    """Relative change of a mean against a control on the same sessions: (estimate, low, high, p).

    The estimate is mean(router) / mean(control) - 1; over several strata (2-D input, one column a
    stratum) it is the mean of theirs. Its variance is that of the per-session linearisation
    (x - r y) / mean(y), so pairing, and draws shared between strata, are accounted for. Against a control
    that is 0 in some stratum there is none.

    Parameters
    ----------
    router, control : array, (n_sessions,) or (n_sessions, n_strata)

    Examples
    --------
    >>> relative_change([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])[0]
    -0.5
    """
    x, y = (np.asarray(v, dtype=float).reshape(len(v), -1) for v in (router, control))
    if (y == 0).all(axis=0).any():
        return (np.nan,) * 4
    ratio = x.mean(axis=0) / y.mean(axis=0)
    linear = ((x - ratio * y) / y.mean(axis=0)).mean(axis=1)
    estimate = float(ratio.mean() - 1)
    _, low, high = mean(estimate + linear)
    return (
        estimate,
        float(low),
        float(high),
        _p_of_zero_mean((x / y.mean(axis=0) - y / y.mean(axis=0)).mean(axis=1)),
    )


def difference(router, control):
    """Difference of means against a control on the same sessions: (estimate, low, high, p); strata as above."""
    x, y = (np.asarray(v, dtype=float).reshape(len(v), -1) for v in (router, control))
    d = (x - y).mean(axis=1)
    estimate, low, high = mean(d)
    return float(estimate), float(low), float(high), _p_of_zero_mean(d)


def _p_of_zero_mean(d):
    from scipy.stats import t

    spread = d.std(ddof=1)
    if spread <= 1e-12 * max(abs(d.mean()), 1e-300) or spread == 0:
        return 1.0 if d.mean() == 0 else 0.0
    return float(2 * t.sf(abs(d.mean()) / (spread / np.sqrt(len(d))), len(d) - 1))


def wide(table, column, learner):
    """One learner's sessions as (n_sessions, n_contexts), in the table's order of sessions and contexts, whatever its own.

    Raises
    ------
    InputError
        The learner is not there, or its sessions are not the table's in each context, each once.
    """
    mine = table[(table.learner == learner).to_numpy()]
    if mine.empty:
        raise InputError(
            f"no sessions of {learner!r} in this table; it has"
            f" {', '.join(table.learner.unique())}"
        )
    sessions, contexts = (
        pd.Index(table.session.unique()),
        pd.Index(table.context.unique()),
    )
    place = sessions.get_indexer(mine.session) * len(contexts) + contexts.get_indexer(
        mine.context
    )
    if (np.bincount(place, minlength=len(sessions) * len(contexts)) != 1).any():
        raise InputError(
            f"sessions of {learner!r} are not the same ones in each context as the"
            " table's; pair them by one sweep, without filtering rows"
        )
    values = np.empty(len(place))
    values[place] = mine[column].to_numpy(float)
    return values.reshape(len(sessions), len(contexts))


def comparisons(
    table,
    routers,
    controls,
    relative=("cost_usd", "latency_ms"),
    absolute=("accuracy", "reward"),
):
    """Every router against every control, per context and measure, paired by session, Holm-corrected.

    Returns
    -------
    pandas.DataFrame
        ``context``, ``learner``, ``control``, ``measure``, ``kind`` (relative or absolute), ``change``,
        ``low``, ``high``, ``p`` and ``p_holm``: corrected over all rows of the measure. Empty where a
        relative change is against nothing.
    """
    from statsmodels.stats.multitest import multipletests

    rows = []
    values = {
        (name, c): wide(table, c, name)
        for name in (*routers, *controls)
        for c in (*relative, *absolute)
    }
    for j, context in enumerate(dict.fromkeys(table.context)):
        for router in routers:
            for control in controls:
                for measure in (*relative, *absolute):
                    kind, how = (
                        ("relative", relative_change)
                        if measure in relative
                        else ("absolute", difference)
                    )
                    change, low, high, p = how(
                        values[router, measure][:, j], values[control, measure][:, j]
                    )
                    rows.append(
                        (context, router, control, measure, kind, change, low, high, p)
                    )
    frame = pd.DataFrame(
        rows,
        columns=[
            "context",
            "learner",
            "control",
            "measure",
            "kind",
            "change",
            "low",
            "high",
            "p",
        ],
    )
    for _, index in frame[frame.p.notna()].groupby("measure").groups.items():
        frame.loc[index, "p_holm"] = multipletests(
            frame.loc[index, "p"], method="holm"
        )[1]
    return frame


def groups(table, column="reward", larger_is_better=True, alpha=0.05):
    """Strategies that the sessions cannot tell apart share a group; groups, not ranks.

    Within each context the strategies are ordered by their mean; each joins the group
    of its leader unless a paired test against that leader rejects (Holm over the
    context's tests), and leads the next group if it does.

    Returns
    -------
    pandas.DataFrame
        ``context``, ``learner``, ``group`` (1 = best), ``value``, ``low``, ``high``.
    """
    from statsmodels.stats.multitest import multipletests

    rows = []
    everyone = {name: wide(table, column, name) for name in table.learner.unique()}
    for j, context in enumerate(dict.fromkeys(table.context)):
        values = {name: v[:, j] for name, v in everyone.items()}
        ordered = sorted(
            values, key=lambda name: values[name].mean(), reverse=larger_is_better
        )
        pairs = [(a, b) for i, a in enumerate(ordered) for b in ordered[i + 1 :]]
        rejected = (
            dict(
                zip(
                    pairs,
                    multipletests(
                        [difference(values[a], values[b])[3] for a, b in pairs],
                        alpha,
                        "holm",
                    )[0],
                    strict=True,
                )
            )
            if pairs
            else {}
        )
        leader, group = ordered[0], 1
        for name in ordered:
            if name != leader and rejected[leader, name]:
                leader, group = name, group + 1
            rows.append((context, name, group, *(float(x) for x in mean(values[name]))))
    return pd.DataFrame(
        rows, columns=["context", "learner", "group", "value", "low", "high"]
    )


def disguises(table, routers, fixed, share_of_queries=0.9):
    """Routers that are one LLM in disguise and do not beat it.

    A router is one LLM in disguise in a context when a single LLM answers at least
    `share_of_queries` of all its queries there; it beats that LLM when its mean raw
    reward is higher, by a paired test at the 5 % level.

    Parameters
    ----------
    table : pandas.DataFrame
        As `sweep` gives, with the routers and each fixed LLM.
    routers : sequence of str
    fixed : sequence of str, or dict of str to str
        The LLMs; by the name of the strategy that always asks it, where that is
        another.

    Returns
    -------
    pandas.DataFrame
        One row a context and router: ``model``, ``share``, ``change`` in raw reward
        with ``low`` and ``high``, and ``warning`` (bool).
    """
    rows, always = (
        [],
        (
            {m: s for s, m in fixed.items()}
            if isinstance(fixed, dict)
            else {m: m for m in fixed}
        ),
    )
    for context, part in table.groupby("context", sort=False):
        for router in routers:
            mine = part[part.learner == router]
            shares = {m: mine[f"share:{m}"].mean() for m in always}
            model = max(shares, key=shares.get)
            change, low, high, _ = difference(
                wide(part, "reward", router), wide(part, "reward", always[model])
            )
            rows.append(
                (
                    context,
                    router,
                    model,
                    shares[model],
                    change,
                    low,
                    high,
                    shares[model] >= share_of_queries and not low > 0,
                )
            )
    return pd.DataFrame(
        rows,
        columns=[
            "context",
            "learner",
            "model",
            "share",
            "change",
            "low",
            "high",
            "warning",
        ],
    )
