"""Strategies against each other on the same sessions: paired, corrected, grouped.

Intervals are 95 %: the paired delta method's for a ratio of means, Student's for a
difference. Tests over many settings are corrected by Holm.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..core.statistics import ALPHA, mean
from ..errors import InputError
from .means import arranged

#: Estimate, low, high, p.
Change = tuple[float, float, float, float]


def relative_change(router: ArrayLike, control: ArrayLike) -> Change:
    """Return the relative change of a mean against a control on the same sessions.

    The estimate is mean(router) / mean(control) - 1; over several strata it is the mean
    of theirs. Its variance is that of the per-session linearisation
    (x - r y) / mean(y), so pairing, and draws shared between strata, are accounted for.
    Against a control that is 0 in some stratum there is none.

    Parameters
    ----------
    router, control : array, (n_sessions,) or (n_sessions, n_strata)

    Returns
    -------
    tuple of float
        Estimate, low, high, p.

    Examples
    --------
    >>> relative_change([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])[0]
    -0.5
    """
    x = _by_stratum(router)
    y = _by_stratum(control)
    if (y == 0).all(axis=0).any():
        return np.nan, np.nan, np.nan, np.nan
    level = y.mean(axis=0)
    ratio = x.mean(axis=0) / level
    linear = ((x - ratio * y) / level).mean(axis=1)
    estimate = float(ratio.mean() - 1)
    _, low, high = mean(estimate + linear)
    p = _p_of_zero_mean((x / level - y / level).mean(axis=1))
    return estimate, float(low), float(high), p


def difference(router: ArrayLike, control: ArrayLike) -> Change:
    """Return the difference of means against a control on the same sessions.

    Parameters and result as in `relative_change`.
    """
    d = (_by_stratum(router) - _by_stratum(control)).mean(axis=1)
    estimate, low, high = mean(d)
    return float(estimate), float(low), float(high), _p_of_zero_mean(d)


def _by_stratum(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=float)
    return array.reshape(len(array), -1)


def _p_of_zero_mean(d: NDArray[np.float64]) -> float:
    from scipy.stats import t

    spread = d.std(ddof=1)
    if spread <= 1e-12 * max(abs(d.mean()), 1e-300) or spread == 0:
        return 1.0 if d.mean() == 0 else 0.0
    return float(2 * t.sf(abs(d.mean()) / (spread / np.sqrt(len(d))), len(d) - 1))


def wide(table: pd.DataFrame, column: str, learner: str) -> NDArray[np.float64]:
    """Return one learner's sessions as (n_sessions, n_contexts).

    In the table's order of sessions and contexts, whatever the learner's own.

    Raises
    ------
    InputError
        The learner is not there, or its sessions are not the table's in each context,
        each once.
    """
    mine = table[(table.learner == learner).to_numpy()]
    if mine.empty:
        raise InputError(
            f"no sessions of {learner!r} in this table; it has"
            f" {', '.join(table.learner.unique())}"
        )
    refusal = (
        f"sessions of {learner!r} are not the same ones in each context as the table's;"
        " pair them by one sweep, without filtering rows"
    )
    return arranged(mine, column, table, refusal).astype(float)


def comparisons(
    table: pd.DataFrame,
    routers: Iterable[str],
    controls: Iterable[str],
    relative: Sequence[str] = ("cost_usd", "latency_ms"),
    absolute: Sequence[str] = ("accuracy", "reward"),
) -> pd.DataFrame:
    """Return every router against every control, paired by session, Holm-corrected.

    Returns
    -------
    pandas.DataFrame
        ``context``, ``learner``, ``control``, ``measure``, ``kind`` (relative or
        absolute), ``change``, ``low``, ``high``, ``p`` and ``p_holm``: corrected over
        all rows of the measure. Empty where a relative change is against nothing.
    """
    how = dict.fromkeys(relative, relative_change) | dict.fromkeys(absolute, difference)
    routers = tuple(routers)
    controls = tuple(controls)
    values = {
        (name, measure): wide(table, measure, name)
        for name in (*routers, *controls)
        for measure in how
    }
    rows = []
    for j, context in enumerate(dict.fromkeys(table.context)):
        for router in routers:
            for control in controls:
                for measure, change in how.items():
                    kind = "relative" if change is relative_change else "absolute"
                    pair = values[router, measure], values[control, measure]
                    numbers = change(pair[0][:, j], pair[1][:, j])
                    rows.append((context, router, control, measure, kind, *numbers))
    names = "context learner control measure kind change low high p"
    return corrected(pd.DataFrame(rows, columns=names.split()))


def corrected(frame: pd.DataFrame) -> pd.DataFrame:
    """Return tests with Holm's correction over all rows of a measure.

    ``p_holm`` is the corrected p, ``told_apart`` whether it is below `ALPHA`.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``measure`` and ``p``; a row without a p stays without.
    """
    tested = frame[frame.p.notna()]
    frame = frame.assign(p_holm=np.nan)
    for index in tested.groupby("measure").groups.values():
        frame.loc[index, "p_holm"] = _holm(frame.loc[index, "p"])[1]
    return frame.assign(told_apart=frame.p_holm < ALPHA)


def _holm(p: Any, alpha: float = ALPHA) -> tuple[Any, Any]:
    """Return which of some tests reject, and their corrected p."""
    from statsmodels.stats.multitest import multipletests

    rejected, corrected, _, _ = multipletests(p, alpha, method="holm")
    return rejected, corrected


def groups(
    table: pd.DataFrame,
    column: str = "reward",
    larger_is_better: bool = True,
    alpha: float = ALPHA,
) -> pd.DataFrame:
    """Return strategies in groups, not ranks: the sessions cannot tell a group apart.

    Within each context the strategies are ordered by their mean; each joins the group
    of its leader unless a paired test against that leader rejects, and leads the next
    group if it does. Holm's correction is over all pairs of all contexts: strategies
    that are alike everywhere are parted anywhere in at most a share `alpha` of studies.

    Returns
    -------
    pandas.DataFrame
        ``context``, ``learner``, ``group`` (1 = best), ``value``, ``low``, ``high``.
    """
    everyone = {name: wide(table, column, name) for name in table.learner.unique()}
    told_apart = _told_apart(everyone, alpha)
    rows = []
    for j, context in enumerate(dict.fromkeys(table.context)):
        values = {name: sessions[:, j] for name, sessions in everyone.items()}
        centre = {name: sessions.mean() for name, sessions in values.items()}
        ordered = sorted(centre, key=centre.__getitem__, reverse=larger_is_better)
        leader = ordered[0]
        group = 1
        for name in ordered:
            if (j, frozenset((leader, name))) in told_apart:
                leader = name
                group += 1
            estimate = (float(number) for number in mean(values[name]))
            rows.append((context, name, group, *estimate))
    names = ["context", "learner", "group", "value", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def _told_apart(
    everyone: Mapping[str, NDArray[np.float64]], alpha: float
) -> set[tuple[int, frozenset[str]]]:
    """Return the contexts and pairs in them that a paired test tells apart.

    Parameters
    ----------
    everyone : dict of str to (n_sessions, n_contexts) array
    alpha : float
        Level of Holm's correction over all of them.
    """
    p = {
        (j, frozenset((a, b))): difference(everyone[a][:, j], everyone[b][:, j])[3]
        for a, b in itertools.combinations(everyone, 2)
        for j in range(everyone[a].shape[1])
    }
    if not p:
        return set()
    rejected, _ = _holm(list(p.values()), alpha)
    return {pair for pair, apart in zip(p, rejected, strict=True) if apart}


def disguises(
    table: pd.DataFrame,
    routers: Iterable[str],
    fixed: Iterable[str] | Mapping[str, str],
    share_of_queries: float = 0.9,
) -> pd.DataFrame:
    """Return routers beside the LLM that they ask most, and which are it in disguise.

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
    share_of_queries : float

    Returns
    -------
    pandas.DataFrame
        One row a context and router: ``model``, ``share``, ``change`` in raw reward
        with ``low`` and ``high``, and ``warning`` (bool).
    """
    strategies = fixed if isinstance(fixed, Mapping) else {name: name for name in fixed}
    always = {model: strategy for strategy, model in strategies.items()}
    rows = []
    for context, part in table.groupby("context", sort=False):
        for router in routers:
            mine = part[part.learner == router]
            shares = {model: mine[f"share:{model}"].mean() for model in always}
            model = max(shares, key=shares.__getitem__)
            rewards = [wide(part, "reward", name) for name in (router, always[model])]
            change, low, high, _ = difference(*rewards)
            alone = shares[model] >= share_of_queries
            rows.append(
                (
                    context,
                    router,
                    model,
                    shares[model],
                    change,
                    low,
                    high,
                    alone and not low > 0,
                )
            )
    names = "context learner model share change low high warning"
    return pd.DataFrame(rows, columns=names.split())
