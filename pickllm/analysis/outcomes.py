"""Tables on a trace: its outcomes, and what the reward makes of them without a learner.

Only `lock_shares`, and with it `rows_against_sample`, replays sessions.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import experiments
from ..core import statistics
from ..core.pool import declared_pools
from ..core.replay import replay
from ..core.reward import FORMS, Reward
from ..files import home
from ..traces.sources import load_trace
from ..traces.summary import TraceSummary

if TYPE_CHECKING:
    from ..core.trace import Trace

WEIGHT_GRID = np.geomspace(0.003, 3.0, 61)
RESAMPLES = 400
#: Column of a trace -> measure as tables name it, and what one is in its unit.
MEASURES = {
    "accuracy": ("accuracy", 1.0),
    "cost_usd": ("cost_cents", 100.0),
    "latency_ms": ("latency_s", 1e-3),
}
#: Measures that a sample of a summary is compared in, as a figure names them.
COMPARED = {
    "accuracy": "accuracy",
    "cost_cents": "mean cost (cents)",
    "latency_s": "mean latency (s)",
}
KEYS = ["context", "model", "measure"]
#: Runs that repeat the main comparison with one thing changed, and how a reason names
#: them.
CHECKS = {"check-second": "second pool"}


def checks(sessions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the sessions of each check that the study ran, by its name.

    Parameters
    ----------
    sessions : pandas.DataFrame
        The sessions of all checks, with their run's name in ``run``; no run, if the
        study has none.
    """
    return {CHECKS[str(run)]: part for run, part in sessions.groupby("run")}


def n_measured(trace: "Trace") -> dict[str, int]:
    """Return queries measured by context: of the rows behind a sample, if it is one."""
    summary: Any = trace.sample_of
    if summary:
        return {c: summary.contexts[c]["n_queries"] for c in trace.contexts}
    return {c: int((trace.context == c).sum()) for c in trace.contexts}


def measured(trace: "Trace") -> pd.DataFrame:
    """Return each LLM's accuracy, cost and latency, with intervals over queries.

    Returns
    -------
    pandas.DataFrame
        ``context``, ``model``, ``measure``, ``value``, ``low``, ``high``, ``n``; the
        95th percentile of latency has no interval.
    """
    sizes = n_measured(trace)
    rows = []
    for context in trace.contexts:
        part = trace.select(context=context)
        size = sizes[context]
        for place, model in enumerate(trace.models):
            known = _means_and_spreads(trace, part, model)
            right = part.accuracy[:, place]
            for column, (measure, unit) in MEASURES.items():
                value, spread = (unit * number for number in known[column])
                low, high = _interval(value, spread, size)
                if column == "accuracy" and set(np.unique(right)) <= {0.0, 1.0}:
                    _, low, high = statistics.share(round(value * size), size)
                rows.append((context, model, measure, value, low, high, size))
            slow = np.quantile(part.latency_ms[:, place], 0.95) / 1e3
            rows.append((context, model, "latency_p95_s", slow, np.nan, np.nan, size))
    return pd.DataFrame(rows, columns=[*KEYS, "value", "low", "high", "n"])


def _means_and_spreads(
    trace: "Trace", part: "Trace", model: str
) -> Mapping[str, tuple[float, float]]:
    """Return ``{column: (mean, standard deviation)}`` of an LLM in a context.

    They are the measured rows', where a sample's summary recorded them; not after
    repricing, when the rows' costs were others.
    """
    summary: Any = trace.sample_of
    if summary:
        listed = {m: p for m, p in summary.prices.items() if m in trace.prices}
        if trace.prices == listed:
            return summary.contexts[part.contexts[0]]["rows"][model]
    place = part.models.index(model)
    outcomes = {column: getattr(part, column)[:, place] for column in MEASURES}
    return {
        column: (values.mean(), values.std()) for column, values in outcomes.items()
    }


def _interval(value: float, spread: float, size: int) -> tuple[float, float]:
    """Return the ends of Student's 95 % interval, none of a single query."""
    from scipy.stats import t

    if size < 2:
        return np.nan, np.nan
    half = t.ppf(0.975, size - 1) * spread / np.sqrt(size - 1)
    return value - half, value + half


def latency_tail(trace: "Trace", points: int = 41) -> pd.DataFrame:
    """Return the share of answers slower than a time, at quantiles fine in the tail.

    Returns
    -------
    pandas.DataFrame
        ``context``, ``model``, ``latency_ms``, ``slower``.
    """
    slower = np.geomspace(1.0, 0.005, points)
    parts = []
    for context in trace.contexts:
        latency = trace.select(context=context).latency_ms
        times = np.quantile(latency, 1 - slower, axis=0)
        for place, model in enumerate(trace.models):
            columns = {"latency_ms": times[:, place], "slower": slower}
            parts.append(pd.DataFrame({"context": context, "model": model, **columns}))
    return pd.concat(parts, ignore_index=True)


def lock_shares(
    trace: "Trace", sessions: int = 1000, queries: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the share of the automaton's sessions that lock on each LLM.

    Parameters
    ----------
    trace : Trace
    sessions, queries, seed : int
        As in `replay`; weights and learning rate are the study's main ones.

    Returns
    -------
    pandas.DataFrame
        ``context``, ``model``, ``share``, ``low``, ``high``, and ``median``: of the
        queries to lock.
    """
    rows = []
    for context in trace.contexts:
        replayed = replay(
            trace.select(context=context),
            experiments.reward(),
            experiments.learner("automaton"),
            sessions=sessions,
            queries=queries,
            seed=seed,
            checkpoints=2,
        )
        median = statistics.median_lock(replayed.locked_at)[0]
        for place, model in enumerate(trace.models):
            locked = (replayed.locked_model == place).sum()
            share = [float(value) for value in statistics.share(locked, sessions)]
            rows.append((context, model, *share, median))
    columns = ["context", "model", "share", "low", "high", "median"]
    return pd.DataFrame(rows, columns=columns)


def rows_against_sample(trace: "Trace") -> pd.DataFrame:
    """Return the measured rows behind a trace, against the sample that stands for them.

    For a bundled trace the rows' figures are those recorded with its summary; for
    measured rows, or a trace of one's own, they are computed, and the sample is drawn
    from the summary. Of a sample of somebody's summary only means are compared: what
    sessions do on its rows is not known.

    Returns
    -------
    pandas.DataFrame
        ``context``, ``model``, ``measure``; ``rows`` and ``sample``, each with ``_low``
        and ``_high``.
    """
    sample, locks = _sample_and_locks_of_rows(trace)
    means = _side_by_side(
        _named(measured(trace)), _named(measured(replace(sample, sample_of=None)))
    )
    if locks is None:
        return means
    of_sample = lock_shares(sample)
    return pd.concat(
        [means, _side_by_side(_locked_on(locks), _locked_on(of_sample))],
        ignore_index=True,
    )


def _sample_and_locks_of_rows(trace: "Trace") -> tuple["Trace", pd.DataFrame | None]:
    """Return the sample of a trace's summary, and where its rows' sessions lock."""
    name = trace.name.removesuffix("-rows")
    bundled = name in declared_pools()
    if trace.sample_of and not (bundled and name == trace.name):
        return trace, None
    if trace.sample_of:
        recorded = pd.read_csv(home("data") / f"{name}.rows-replay.csv")
        return trace, pd.DataFrame(recorded[recorded.context.isin(trace.contexts)])
    if bundled and name != trace.name:
        return load_trace(name).select(context=trace.contexts), lock_shares(trace)
    merged = min(5, *n_measured(trace).values())
    return TraceSummary.of(trace, merged).sample(), lock_shares(trace)


def _side_by_side(rows: pd.DataFrame, sample: pd.DataFrame) -> pd.DataFrame:
    """Return estimates of rows and sample, each ``value, low, high``, in one table."""
    ends = {"value": "", "low": "_low", "high": "_high"}
    left = rows.rename(columns={name: f"rows{end}" for name, end in ends.items()})
    right = sample.rename(columns={name: f"sample{end}" for name, end in ends.items()})
    return left.merge(right, on=KEYS)


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    compared = frame[frame.measure.isin(COMPARED)]
    named = compared.assign(measure=compared.measure.map(COMPARED))
    return named.drop(columns="n")


def _locked_on(shares: pd.DataFrame) -> pd.DataFrame:
    named = shares.assign(measure="sessions locked on it", value=shares["share"])
    return named.filter(items=[*KEYS, "value", "low", "high"])


def winners(trace: "Trace", seed: int = 0) -> pd.DataFrame:
    """Return the LLM with the highest mean reward along a grid of cost weights.

    Every reading is linear in the weight of cost, so two means per LLM give the whole
    line.

    Returns
    -------
    pandas.DataFrame
        ``form``, ``context``, ``w_cost``, ``w_cost_to``, ``model``, ``order`` (its
        place in the pool), ``certain``: the share of resamples of the measured queries
        in which the winner wins.
    """
    sizes = n_measured(trace)
    rows = []
    for number, context in enumerate(trace.contexts):
        part = trace.select(context=context)
        size = sizes[context]
        even = np.full(part.n_queries, 1 / part.n_queries)
        rng = np.random.default_rng([seed, number])
        resamples = rng.multinomial(size, even, size=RESAMPLES) / size
        for form in FORMS:
            best, certain = _best_along_grid(part, form, resamples)
            for step, place in enumerate(best):
                cell = (WEIGHT_GRID[step], WEIGHT_GRID[step + 1])
                winner = (part.models[place], place, certain[step])
                rows.append((form, context, *cell, *winner))
    return pd.DataFrame(
        rows,
        columns=["form", "context", "w_cost", "w_cost_to", "model", "order", "certain"],
    )


def _best_along_grid(
    part: "Trace", form: str, resamples: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best LLM in each cell of the grid, and how sure it is.

    Parameters
    ----------
    part : Trace
        Of one context.
    form : str
    resamples : (n_resamples, n_queries) array
        Share of each query in each resample.

    Returns
    -------
    best : (n_cells,) array of int
    certain : (n_cells,) array of float
    """
    outcome = (part.accuracy, part.cost_usd, part.latency_ms)
    free = Reward(form=form, w_cost=0.0).raw(*outcome)
    slope = Reward(form=form, w_cost=1.0).raw(*outcome) - free
    middle = np.sqrt(WEIGHT_GRID[:-1] * WEIGHT_GRID[1:])[:, None]
    best = (free.mean(axis=0) + middle * slope.mean(axis=0)).argmax(axis=1)
    resampled = (resamples @ free)[:, None, :] + middle * (resamples @ slope)[
        :, None, :
    ]
    certain = (resampled.argmax(axis=2) == best).mean(axis=0)
    return best, certain


def weight_marks() -> dict[str, float]:
    """Return the study's settings that a logarithmic axis can show."""
    return {name: w for name, w in experiments.WEIGHTS.items() if w > 0}


def reward_shape() -> pd.DataFrame:
    """Return the raw reward of four typical answers along latency, in every reading.

    Returns
    -------
    pandas.DataFrame
        ``form``, ``answer``, ``latency_ms``, ``raw``.
    """
    latency = np.geomspace(200, 10_000, 60)
    answers = {
        "right, 0.02 cents": (1.0, 0.0002),
        "right, 0.5 cents": (1.0, 0.005),
        "wrong, 0.02 cents": (0.0, 0.0002),
        "wrong, 0.5 cents": (0.0, 0.005),
    }
    parts = []
    for form in FORMS:
        for answer, (accuracy, cost_usd) in answers.items():
            raw = experiments.reward(form=form).raw(accuracy, cost_usd, latency)
            columns = {"latency_ms": latency, "raw": raw}
            parts.append(pd.DataFrame({"form": form, "answer": answer, **columns}))
    return pd.concat(parts, ignore_index=True)


def best_by_reading(trace: "Trace") -> pd.DataFrame:
    """Return the best LLM of each context under each reading, at the main weights.

    Returns
    -------
    pandas.DataFrame
        ``form``, ``context``, ``model``.
    """
    rows = []
    for form in FORMS:
        reward = experiments.reward(form=form)
        for context in trace.contexts:
            part = trace.select(context=context)
            raw = reward.raw(part.accuracy, part.cost_usd, part.latency_ms)
            rows.append((form, context, part.models[raw.mean(axis=0).argmax()]))
    return pd.DataFrame(rows, columns=["form", "context", "model"])
