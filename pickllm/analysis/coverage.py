"""How often the intervals that the kit prints hold what they are said to hold.

A study is repeated with other draws, and each repetition's intervals are held against
what all repetitions together say (of these queries) or against the law that queries
were drawn from (of queries like these). A 95 % interval should hold it in 93 to 97 % of
repetitions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import experiments
from ..core import statistics
from ..core.reward import Reward
from ..core.trace import Trace
from ..errors import InputError
from ..sweeps.run import sweep
from .claims import CLAIMS, Claim
from .means import MEAN, by_session, rename_mean
from .outcomes import measured
from .pairs import difference, relative_change
from .queries import COLUMNS, blind_controls, resample, spreads
from .verdicts import MEASURES, Estimate, Evidence, Measured, widened

#: What the coverage of a 95 % interval should be.
BAND = (0.93, 0.97)
#: Columns of a coverage study's rows that tell intervals apart.
KEYS = ("kind", "measure", "learner", "context")
#: Whom routers are compared with, and in what.
COMPARED = (
    ("cost_usd", "most expensive", relative_change, "paired delta, relative change"),
    ("latency_ms", "random", relative_change, "paired delta, relative change"),
    ("accuracy", "best single", difference, "Student, paired difference"),
)
#: Points of a lock curve.
POINTS = 8
#: Claims whose intervals for queries like these are repeated: one for each measure,
#: column and baseline that a verdict goes by.
TWO_LEVEL = (
    "converges-right-lri",
    "cost-60-lri-most-expensive",
    "cost-60-qlearning-most-expensive",
    "latency-52-lri-random",
    "accuracy-competitive-lri-most-expensive",
    "accuracy-competitive-lri-best-single",
    "selection-10-lri-random",
)


class Interval(NamedTuple):
    """One interval that a study prints."""

    kind: str
    measure: str
    learner: str
    context: str
    value: float
    low: float
    high: float


def of_sessions(
    trace: Trace,
    reward: Reward | None = None,
    replications: int = 300,
    sessions: int = 100,
    queries: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how often intervals over sessions hold what all replications together say.

    Parameters
    ----------
    trace : Trace
    reward : Reward, optional
        By default the study's main one.
    replications : int
        >= 2.
    sessions, queries : int
        Of each replication.
    seed : int
        That of the first replication; each other one has the next.

    Returns
    -------
    pandas.DataFrame
        As `covered` gives: shares, means, medians and lock curves of both routers, and
        their changes against controls, in each context and over all.

    Raises
    ------
    InputError
        Fewer than two replications.
    """
    _require(replications)
    reward = experiments.reward() if reward is None else reward
    strategies = experiments.routers() | _controls()
    kept: list[pd.DataFrame] = []
    found: list[pd.DataFrame] = []
    for number in range(replications):
        options: dict[str, Any] = {"sessions": sessions, "queries": queries}
        table = sweep(trace, reward, strategies, seed=seed + number, **options)
        table = pd.DataFrame(table[list(COLUMNS)])
        kept.append(table.assign(session=table.session + number * sessions))
        found.append(pd.DataFrame(_of_study(table, queries)))
    truth = pd.DataFrame(_of_study(pd.concat(kept, ignore_index=True), queries))
    return covered(pd.concat(found, ignore_index=True), truth)


def of_queries(
    trace: Trace,
    reward: Reward | None = None,
    replications: int = 100,
    resamples: int = 10,
    sessions: int = 100,
    queries: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return how often intervals for queries like these hold what their law says.

    The trace is the law. Each replication draws as many queries from it as were
    measured, and knows nothing else: it replays sessions on them, and resamples of them
    give the spread over queries.

    Parameters
    ----------
    trace : Trace
    reward : Reward, optional
        By default the study's main one.
    replications : int
        >= 2.
    resamples : int
        Of each replication, >= 2.
    sessions, queries : int
        On the replication's queries, and on each resample of them.
    seed : int

    Returns
    -------
    pandas.DataFrame
        As `covered` gives, a row per claim of `TWO_LEVEL` and context; ``kind`` is "two
        levels", and "sessions alone" for the interval for these queries held against
        the same law.

    Raises
    ------
    InputError
        Fewer than two replications or resamples.
    """
    _require(replications)
    reward = experiments.reward() if reward is None else reward
    chosen = [claim for claim in CLAIMS if claim.id in TWO_LEVEL]
    rows: list[Interval] = []
    for number in range(replications):
        drawn = resample(trace, seed, number)
        own = seed + 1 + number * (resamples + 1)
        spread = spreads(
            drawn,
            reward,
            resamples=resamples,
            sessions=sessions,
            queries=queries,
            seed=own,
            claims=chosen,
        )
        alone = _measures(drawn, reward, sessions, queries, own)
        rows += _two_levels(chosen, alone, spread)
    many = max(2000, replications * sessions)
    law = _measures(trace, reward, many, queries, seed)
    truth = [row for claim in chosen for row in _level("", claim, law[claim.id])]
    both = [
        row._replace(kind=kind)
        for row in truth
        for kind in ("two levels", "sessions alone")
    ]
    return covered(pd.DataFrame(rows), pd.DataFrame(both))


def of_pool(trace: Trace, replications: int = 300, seed: int = 0) -> pd.DataFrame:
    """Return how often intervals on the pool itself hold what the law of queries says.

    Parameters
    ----------
    trace : Trace
        The law; each replication draws as many queries from it as were measured.
    replications : int
        >= 2.
    seed : int

    Returns
    -------
    pandas.DataFrame
        As `covered` gives; ``learner`` is the LLM.

    Raises
    ------
    InputError
        Fewer than two replications.

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
    >>> found = of_pool(trace, replications=20)
    >>> found.kind.unique().tolist(), found.replications.unique().tolist()
    (['pool: Wilson, accuracy', 'pool: Student, mean'], [20])
    """
    _require(replications)
    drawn = [measured(resample(trace, seed, k)) for k in range(replications)]
    truth = []
    for context in trace.contexts:
        part = trace.select(context=context)
        for place, model in enumerate(trace.models):
            for measure, column, unit in (
                ("accuracy", part.accuracy, 1.0),
                ("cost_cents", part.cost_usd, 100.0),
                ("latency_s", part.latency_ms, 1e-3),
            ):
                value = unit * column[:, place].mean()
                truth.append((_of_pool(measure), measure, model, context, value))
    found = pd.concat(drawn).dropna(subset=["low", "high"])
    found = found.assign(kind=found.measure.map(_of_pool))
    found = found.rename(columns={"model": "learner"})
    return covered(found, pd.DataFrame(truth, columns=[*KEYS, "value"]))


def covered(found: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Return how often intervals held the truth.

    Parameters
    ----------
    found : pandas.DataFrame
        A row per replication and interval: `KEYS`, ``value``, ``low`` and ``high``; an
        infinite end lies beyond the session.
    truth : pandas.DataFrame
        `KEYS` and ``value``.

    Returns
    -------
    pandas.DataFrame
        `KEYS`, ``replications``, ``coverage`` with ``low`` and ``high`` (its own
        Wilson interval), and ``width`` (median). Intervals of a value that is the same
        in all replications are left out: nothing in it is left to chance.

    Examples
    --------
    >>> one = {"kind": "k", "measure": "m", "learner": "l", "context": "c"}
    >>> ends = ((0.2, 0.0, 1.0), (2.5, 2.0, 3.0))
    >>> rows = [one | dict(zip(("value", "low", "high"), x)) for x in ends]
    >>> frame = covered(pd.DataFrame(rows), pd.DataFrame([one | {"value": 0.5}]))
    >>> frame.coverage.tolist(), frame.width.tolist()
    ([0.5], [1.0])
    """
    known = truth.set_index(list(KEYS)).value
    rows = []
    for key, group in found.groupby(list(KEYS), sort=False):
        if group.value.nunique() == 1:
            continue
        low, high = group.low.to_numpy(float), group.high.to_numpy(float)
        value = known.loc[key]
        share = statistics.share(int(_holds(low, value, high).sum()), len(group))
        width = np.median(high - low) if np.isfinite([low, high]).all() else np.nan
        rows.append((*key, len(group), *(float(x) for x in (*share, width))))
    names = [*KEYS, "replications", "coverage", "low", "high", "width"]
    return pd.DataFrame(rows, columns=names)


def by_kind(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the coverage of each kind of interval, and how many lie off the band.

    An interval lies off `BAND` where its coverage's own interval does.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `covered` gives.

    Returns
    -------
    pandas.DataFrame
        ``kind``, ``intervals`` (how many), ``coverage`` (their mean), ``least``,
        ``most``, ``below`` and ``above`` (how many lie off the band).
    """
    rows = []
    for kind, part in frame.groupby("kind", sort=False):
        below, above = (part.high < BAND[0]).sum(), (part.low > BAND[1]).sum()
        shares = part.coverage.mean(), part.coverage.min(), part.coverage.max()
        rows.append((kind, len(part), *shares, int(below), int(above)))
    names = ["kind", "intervals", "coverage", "least", "most", "below", "above"]
    return pd.DataFrame(rows, columns=names)


def describe(frame: pd.DataFrame) -> list[str]:
    """Return where intervals cover as they should and where they do not, in words.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `covered` gives.
    """
    sentences = []
    for row in by_kind(frame).itertuples():
        off = [f"{row.below} below"] * (row.below > 0)
        off += [f"{row.above} above"] * (row.above > 0)
        where = f"; {' and '.join(off)} 93 to 97 %" if off else ""
        sentences.append(
            f"{row.kind}: {100 * row.coverage:.1f} % on average of {row.intervals}"
            f" intervals, {100 * row.least:.1f} to {100 * row.most:.1f} %{where}."
        )
    return sentences


def _holds(
    low: NDArray[np.float64], value: float, high: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which intervals hold a value, whatever the rounding of sums."""
    slack = 1e-9 * abs(value) if np.isfinite(value) else 0.0
    return (low - slack <= value) & (value <= high + slack)


def _require(replications: int) -> None:
    if replications < 2:
        raise InputError(
            f"coverage: replications must be >= 2, got {replications!r}; 300 tell 93"
            " from 95 %"
        )


def _controls() -> dict[str, Any]:
    return {name: experiments.CONTROLS[name] for _, name, _, _ in COMPARED}


def _of_pool(measure: str) -> str:
    return f"pool: {'Wilson, accuracy' if measure == 'accuracy' else 'Student, mean'}"


# The intervals of one study


def _of_study(table: pd.DataFrame, queries: int) -> Iterator[Interval]:
    """Yield every interval over sessions that a study prints of both routers."""
    right = table.locked_on_best.fillna(False).astype(bool)
    table = rename_mean(table.assign(right=right))
    contexts = list(dict.fromkeys(table.context))
    controls = {name: table[table.learner == name] for name in _controls()}
    for learner in experiments.ROUTERS:
        mine = table[table.learner == learner]
        own = _own_intervals(mine, learner, contexts, queries)
        yield from own
        for column, control, how, kind in COMPARED:
            pair = by_session(mine, column), by_session(controls[control], column)
            measure = f"{column} against {control}"
            for place, context in enumerate(contexts):
                numbers = how(pair[0][:, place], pair[1][:, place])[:3]
                yield Interval(kind, measure, learner, context, *numbers)
            over_all = f"{kind}, over contexts"
            yield Interval(over_all, measure, learner, MEAN, *how(*pair)[:3])


def _share(yes: NDArray[Any]) -> tuple[Any, Any, Any]:
    return statistics.share(int(yes.sum()), len(yes))


#: Kind of interval, column, and how it is made in one context and over all.
OWN: tuple[tuple[str, str, Callable[..., Any], Callable[..., Any]], ...] = (
    ("Wilson, share", "right", _share, statistics.share_of_contexts),
    ("Student, mean", "cost_usd", statistics.mean, statistics.mean_of_contexts),
    ("Student, mean", "latency_ms", statistics.mean, statistics.mean_of_contexts),
    ("Student, mean", "accuracy", statistics.mean, statistics.mean_of_contexts),
)


def _own_intervals(
    mine: pd.DataFrame, learner: str, contexts: Sequence[str], queries: int
) -> Iterator[Interval]:
    """Yield the intervals of one router's own sessions."""
    for kind, column, alone, together in OWN:
        values = by_session(mine, column)
        for place, context in enumerate(contexts):
            yield Interval(kind, column, learner, context, *alone(values[:, place]))
        over_all = f"{kind}, over contexts"
        yield Interval(over_all, column, learner, MEAN, *together(values))
    times = by_session(mine, "locked_at")
    for place, context in enumerate(contexts):
        numbers = statistics.median_lock(times[:, place])
        yield Interval("ranks, median lock", "median", learner, context, *numbers)
    numbers = statistics.median_of_contexts(times, queries)
    kind = "ranks, median lock, over contexts"
    yield Interval(kind, "median", learner, MEAN, *numbers)
    yield from _curves(times, learner, contexts, queries)


def _curves(
    times: NDArray[Any], learner: str, contexts: Sequence[str], queries: int
) -> Iterator[Interval]:
    """Yield the intervals of lock curves, at points where something is left open."""
    grid = np.unique(np.linspace(0, queries, POINTS + 1)[1:].astype(int))
    yes = statistics.locked_by(times, grid)
    over_all = np.array(statistics.share_of_contexts(yes)).T
    for place, context in enumerate(contexts):
        each = np.array(statistics.share(yes[..., place].sum(axis=0), len(yes))).T
        for point, numbers in zip(grid, each, strict=True):
            measure = f"locked by query {point}"
            yield Interval("Wilson, lock curve", measure, learner, context, *numbers)
    for point, numbers in zip(grid, over_all, strict=True):
        kind, measure = "Wilson, lock curve, over contexts", f"locked by query {point}"
        yield Interval(kind, measure, learner, MEAN, *numbers)


# Two levels


def _measures(
    trace: Trace, reward: Reward, sessions: int, queries: int, seed: int
) -> dict[str, Measured]:
    """Return what sessions on a trace measure of the claims of `TWO_LEVEL`."""
    strategies = experiments.routers() | blind_controls()
    options: dict[str, Any] = {"sessions": sessions, "queries": queries}
    table = sweep(trace, reward, strategies, seed=seed, **options)
    evidence = Evidence(rename_mean(table), {}, pd.DataFrame())
    return {
        claim.id: MEASURES[claim.measure](claim, evidence)
        for claim in CLAIMS
        if claim.id in TWO_LEVEL
    }


def _two_levels(
    chosen: Sequence[Claim], found: Mapping[str, Measured], spread: pd.DataFrame
) -> Iterator[Interval]:
    """Yield each claim's interval for these queries, and for queries like these."""
    for claim in chosen:
        known = spread[spread.id == claim.id].set_index("context")
        alone = list(_level("sessions alone", claim, found[claim.id]))
        names = [MEAN, *(name for name in known.index if name != MEAN)]
        for row, context in zip(alone, names, strict=True):
            if np.isnan(row.low):
                continue
            over_queries = known.loc[context]
            estimate = Estimate(row.value, row.low, row.high)
            resamples = int(over_queries.resamples)
            wider = widened(estimate, float(over_queries.spread), resamples)
            yield row
            yield row._replace(kind="two levels", **wider._asdict())


def _level(kind: str, claim: Claim, found: Measured) -> Iterator[Interval]:
    """Yield a claim's intervals over all contexts and in each, numbered."""
    baseline = f" against {claim.baseline}" if claim.baseline else ""
    measure = f"{claim.column or claim.measure}{baseline}"
    yield Interval(kind, measure, claim.learner, MEAN, *found.estimate)
    for number, estimate in enumerate(found.contexts, 1):
        yield Interval(kind, measure, claim.learner, f"context {number}", *estimate)
