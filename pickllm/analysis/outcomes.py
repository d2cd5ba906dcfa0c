"""Tables that a study's notebooks draw, and the findings that they state, made from outcomes and results."""

import numpy as np
import pandas as pd

from .. import experiments
from ..core import statistics
from ..core.pool import declared_pools
from ..core.reward import FORMS, Reward
from ..core.replay import replay
from ..files import home
from ..traces.sources import load_trace
from ..traces.summary import TraceSummary
from .claims import REVERSED

WEIGHT_GRID = np.geomspace(0.003, 3.0, 61)
RESAMPLES = 400


def n_measured(trace):
    """Return queries measured per context: of the rows behind a sample, not of the sample."""
    if trace.sample_of:
        return {c: trace.sample_of.contexts[c]["n_queries"] for c in trace.contexts}
    return {c: int((trace.context == c).sum()) for c in trace.contexts}


def measured(trace):
    """Accuracy, cost and latency of every LLM in every context, with intervals over measured queries.

    Returns
    -------
    pandas.DataFrame
        ``context, model, measure, value, low, high, n``; the 95th percentile of latency has no interval.
    """
    from scipy.stats import t

    n, summary, rows = n_measured(trace), trace.sample_of, []
    if summary and trace.prices != {
        m: p for m, p in summary.prices.items() if m in trace.prices
    }:
        summary = None  # repriced: the rows' costs were others
    for context in trace.contexts:
        part = trace.select(context=context)
        for j, model in enumerate(trace.models):
            size = n[context]
            if summary:
                known = summary.contexts[context]["rows"][model]
            else:
                known = {
                    v: (getattr(part, v)[:, j].mean(), getattr(part, v)[:, j].std())
                    for v in ("accuracy", "cost_usd", "latency_ms")
                }
            binary = set(np.unique(part.accuracy[:, j])) <= {0.0, 1.0}
            for column, measure, unit in (
                ("accuracy", "accuracy", 1.0),
                ("cost_usd", "cost_cents", 100.0),
                ("latency_ms", "latency_s", 1e-3),
            ):
                value, spread = (unit * x for x in known[column])
                half = (
                    t.ppf(0.975, size - 1) * spread / np.sqrt(size - 1)
                    if size > 1
                    else np.nan
                )
                low, high = value - half, value + half
                if column == "accuracy" and binary:
                    low, high = statistics.share(round(value * size), size)[1:]
                rows.append((context, model, measure, value, low, high, size))
            rows.append(
                (
                    context,
                    model,
                    "latency_p95_s",
                    np.quantile(part.latency_ms[:, j], 0.95) / 1e3,
                    np.nan,
                    np.nan,
                    size,
                )
            )
    return pd.DataFrame(
        rows, columns=["context", "model", "measure", "value", "low", "high", "n"]
    )


def latency_tail(trace, points=41):
    """Share of answers slower than a time, per context and LLM, at quantiles fine in the tail."""
    slower = np.geomspace(1.0, 0.005, points)
    rows = []
    for context in trace.contexts:
        latency = trace.select(context=context).latency_ms
        at = np.quantile(latency, 1 - slower, axis=0)
        for j, model in enumerate(trace.models):
            rows.append(
                pd.DataFrame(
                    {
                        "context": context,
                        "model": model,
                        "latency_ms": at[:, j],
                        "slower": slower,
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def lock_shares(trace, sessions=1000, queries=1000, seed=0):
    """Share of sessions of the automaton (main weights and rate) locked on each LLM: ``context, model, share, low, high, median``."""
    rows = []
    for context in trace.contexts:
        s = replay(
            trace.select(context=context),
            experiments.reward(),
            experiments.learner("automaton"),
            sessions=sessions,
            queries=queries,
            seed=seed,
            checkpoints=2,
        )
        for j, model in enumerate(trace.models):
            estimate, low, high = statistics.share(
                (s.locked_model == j).sum(), sessions
            )
            rows.append(
                (
                    context,
                    model,
                    float(estimate),
                    float(low),
                    float(high),
                    statistics.median_lock(s.locked_at)[0],
                )
            )
    return pd.DataFrame(
        rows, columns=["context", "model", "share", "low", "high", "median"]
    )


def rows_against_sample(trace):
    """Return the measured rows behind a trace, against the sample that stands for them.

    For a bundled trace the rows' figures are those recorded with its summary; for
    measured rows, or a trace of one's own, they are computed, and the sample is drawn
    from the summary. Of a sample of somebody's summary only means are compared: what
    sessions do on its rows is not known.

    Returns
    -------
    pandas.DataFrame
        ``context, model, measure, rows, rows_low, rows_high, sample, sample_low,
        sample_high``
    """
    if trace.sample_of and trace.name not in declared_pools():
        sample, recorded = trace, None
    elif trace.sample_of:
        sample, recorded = (
            trace,
            pd.read_csv(home("data") / f"{trace.name}.rows-replay.csv"),
        )
        recorded = recorded[recorded.context.isin(trace.contexts)]
    elif (
        trace.name.endswith("-rows")
        and trace.name.removesuffix("-rows") in declared_pools()
    ):
        sample, recorded = (
            load_trace(trace.name.removesuffix("-rows")).select(context=trace.contexts),
            lock_shares(trace),
        )
    else:
        sample, recorded = (
            TraceSummary.of(trace, min(5, *n_measured(trace).values())).sample(),
            lock_shares(trace),
        )
    keys = ["context", "model"]
    ours, theirs = _named_means(measured(trace)), _named_means(_sampled(sample))
    means = ours.merge(theirs, on=[*keys, "measure"], suffixes=("", "_sample"))
    means.columns = [
        *keys,
        "measure",
        "rows",
        "rows_low",
        "rows_high",
        "sample",
        "sample_low",
        "sample_high",
    ]
    if recorded is None:
        return means
    locks = recorded.merge(lock_shares(sample), on=keys, suffixes=("", "_sample"))
    locks = pd.DataFrame(
        {
            "context": locks.context,
            "model": locks.model,
            "measure": "sessions locked on it",
            "rows": locks.share,
            "rows_low": locks.low,
            "rows_high": locks.high,
            "sample": locks.share_sample,
            "sample_low": locks.low_sample,
            "sample_high": locks.high_sample,
        }
    )
    return pd.concat([means, locks], ignore_index=True)


def _sampled(sample):
    """`measured`, of a sample as the trace it is."""
    from dataclasses import replace

    return measured(replace(sample, sample_of=None))


def _named_means(frame):
    names = {
        "accuracy": "accuracy",
        "cost_cents": "mean cost (cents)",
        "latency_s": "mean latency (s)",
    }
    frame = frame[frame.measure.isin(names)]
    return frame.assign(measure=frame.measure.map(names))[
        ["context", "model", "measure", "value", "low", "high"]
    ]


def winners(trace, seed=0):
    """Return the LLM with the highest mean reward along a grid of cost weights, per reading and context.

    Every reading is linear in the weight of cost, so two means per LLM give the whole line. ``certain``
    is the share of resamples of the measured queries in which the winner wins.

    Returns
    -------
    pandas.DataFrame
        ``form, context, w_cost, w_cost_to, model, order, certain``
    """
    n, rows = n_measured(trace), []
    middle = np.sqrt(WEIGHT_GRID[:-1] * WEIGHT_GRID[1:])
    for number, context in enumerate(trace.contexts):
        part = trace.select(context=context)
        outcome = part.accuracy, part.cost_usd, part.latency_ms
        rng = np.random.default_rng([seed, number])
        counts = (
            rng.multinomial(
                n[context], np.full(part.n_queries, 1 / part.n_queries), size=RESAMPLES
            )
            / n[context]
        )
        for form in FORMS:
            at_0 = Reward(form=form, w_cost=0.0).raw(*outcome)
            slope = Reward(form=form, w_cost=1.0).raw(*outcome) - at_0
            resampled = (counts @ at_0)[:, None, :] + middle[:, None] * (
                counts @ slope
            )[:, None, :]
            best = (at_0.mean(axis=0) + middle[:, None] * slope.mean(axis=0)).argmax(
                axis=1
            )
            certain = (resampled.argmax(axis=2) == best).mean(axis=0)
            for k, j in enumerate(best):
                rows.append(
                    (
                        form,
                        context,
                        WEIGHT_GRID[k],
                        WEIGHT_GRID[k + 1],
                        part.models[j],
                        j,
                        certain[k],
                    )
                )
    return pd.DataFrame(
        rows,
        columns=["form", "context", "w_cost", "w_cost_to", "model", "order", "certain"],
    )


def weight_marks():
    """Return the study's settings that a logarithmic axis can show."""
    return {name: w for name, w in experiments.WEIGHTS.items() if w > 0}


def reward_shape():
    """Raw reward of four typical answers along latency, in every reading: ``form, answer, latency_ms, raw``."""
    latency = np.geomspace(200, 10_000, 60)
    answers = {
        "right, 0.02 cents": (1.0, 0.0002),
        "right, 0.5 cents": (1.0, 0.005),
        "wrong, 0.02 cents": (0.0, 0.0002),
        "wrong, 0.5 cents": (0.0, 0.005),
    }
    rows = [
        pd.DataFrame(
            {
                "form": form,
                "answer": name,
                "latency_ms": latency,
                "raw": experiments.reward(form=form).raw(a, c, latency),
            }
        )
        for form in FORMS
        for name, (a, c) in answers.items()
    ]
    return pd.concat(rows, ignore_index=True)


def best_by_reading(trace):
    """Return the best LLM of each context under each reading, main weights: ``form, context, model``."""
    rows = []
    for form in FORMS:
        reward = experiments.reward(form=form)
        for context in trace.contexts:
            part = trace.select(context=context)
            best = (
                reward.raw(part.accuracy, part.cost_usd, part.latency_ms)
                .mean(axis=0)
                .argmax()
            )
            rows.append((form, context, part.models[best]))
    return pd.DataFrame(rows, columns=["form", "context", "model"])


def in_order(frame, column, order):
    """Rows in the order that a list (or a dict's keys) gives one column; ties keep their order."""
    position = {value: i for i, value in enumerate(order)}
    return frame.sort_values(
        column, key=lambda c: c.map(position), kind="stable"
    ).reset_index(drop=True)


def in_context_order(frame, then):
    """Rows by the trace's order of contexts (column ``position``), then by other columns."""
    return frame.sort_values(["position", *then], kind="stable").reset_index(drop=True)


def mean_over_contexts(frame, by, value, low, high):
    """Return the mean of an estimate over contexts, its interval from the contexts' own half-widths (as independent)."""
    f = frame.assign(
        _d2=(frame[value] - frame[low]) ** 2, _u2=(frame[high] - frame[value]) ** 2
    )
    g = f.groupby(by, sort=False)
    out = g[value].mean().to_frame(value)
    n = g.size()
    out[low], out[high] = (
        out[value] - np.sqrt(g["_d2"].sum()) / n,
        out[value] + np.sqrt(g["_u2"].sum()) / n,
    )
    return out.reset_index()


def _apart(frame):
    """Return the rows, a context that is itself called "mean" told apart from the mean of contexts."""
    return frame.assign(
        context=frame.context.where(frame.context != "mean", "mean (a context)")
    )


def with_mean(frame, by, estimates):
    """Return the rows, and one more per setting for context "mean": the mean of the contexts' estimates.

    A mean is left out where one of its contexts has no estimate.
    """
    parts, frame = [], _apart(frame)
    for name in estimates:
        complete = frame.groupby(by, sort=False)[name].transform(
            lambda v: v.notna().all()
        )
        low, high = f"{name}_low", f"{name}_high"
        bounded = frame[complete].assign(
            **{high: frame[complete][high].fillna(frame[complete][name])}
        )
        if len(bounded):
            parts.append(mean_over_contexts(bounded, by, name, low, high).set_index(by))
    if not parts:
        return frame
    mean = pd.concat(parts, axis=1).reset_index().assign(context="mean")
    return pd.concat([frame, mean], ignore_index=True)


def exploration_with_mean(explored):
    """Exploration per learner, context and rate in reading order, with the mean over contexts."""
    names = {"cents": "US cents per session", "seconds": "seconds per session"}
    by = ["learner", "learning_rate", "measure"]
    mean = mean_over_contexts(explored, by, "value", "low", "high").assign(
        context="mean"
    )
    frame = pd.concat(
        [_apart(in_context_order(explored, by)).drop(columns="position"), mean],
        ignore_index=True,
    )
    return frame.assign(measure=frame.measure.map(names))


#: Runs that repeat the main comparison with one thing changed, and how a reason names
#: them.
CHECKS = {"check-reversed": REVERSED, "check-second": "second pool"}


def checks(sessions):
    """Sessions of each check that the study ran, by its name; of no run, if the study has none.

    Parameters
    ----------
    sessions : pandas.DataFrame
        The sessions of all checks, with their run's name in ``run``.
    """
    return {CHECKS[run]: part for run, part in sessions.groupby("run")}


def describe(measured_frame, against):
    """Return findings on the pool, as sentences."""
    m = measured_frame.pivot(
        index=["context", "model"], columns="measure", values="value"
    )
    best = m.accuracy.groupby("context", sort=False).idxmax().map(lambda k: k[1])
    cost = m.cost_cents.groupby("model").mean()
    ratio = (m.latency_p95_s / m.latency_s).groupby("model").mean()
    locks = against[against.measure == "sessions locked on it"]
    dearest = (
        f"the dearest costs {cost.max() / cost.min():.0f} times the cheapest per query"
        if cost.min() > 0
        else f"{(cost == 0).sum()} of them cost nothing"
    )
    sentences = [
        (
            f"{best.nunique()} of {len(cost)} LLMs are the most accurate in at least"
            f" one of {len(best)} contexts; {dearest}."
        ),
        (
            f"The 95th percentile of latency is {ratio.min():.1f} to {ratio.max():.1f}"
            " times the mean, by LLM."
        ),
    ]
    if len(locks):
        sentences.append(
            "Shares of sessions locked on each LLM differ between sample and rows by"
            f" at most {100 * (locks['sample'] - locks.rows).abs().max():.1f} points."
        )
    return sentences


def describe_locking(locking):
    """Return findings on convergence, as sentences."""
    sentences = []
    for learner, part in locking.groupby("learner", sort=False):
        mean = part.groupby("learning_rate")[["on_best", "locked", "median"]].agg(
            {
                "on_best": "mean",
                "locked": "mean",
                "median": lambda v: v.median(skipna=False),
            }
        )
        top = mean.on_best.idxmax()
        fast = mean.index.max()
        at = lambda rate: (
            "beyond the session"
            if np.isnan(mean["median"][rate])
            else f"at a typical median of {mean['median'][rate]:.0f} queries"
        )
        sentences.append(
            f"{learner}: at rate {fast:g} sessions lock {at(fast)} and"
            f" {100 * mean.on_best[fast]:.0f} % of them end on the best LLM (chance"
            f" {100 * part.chance.iloc[0]:.0f} %); the highest share,"
            f" {100 * mean.on_best[top]:.0f} %, is reached at rate {top:g}, {at(top)}."
        )
    return sentences


def describe_sessions(compared, groups, disguises):
    """Return findings on cost, latency and accuracy, as sentences."""
    sentences = []
    for (weights, learner), part in compared.groupby(
        ["weights", "learner"], sort=False
    ):
        mean = part.groupby(["measure", "control"]).change.mean() * 100
        cost = (
            f"cost {mean['cost_usd', 'most expensive']:+.0f} % against the most"
            f" expensive LLM, {mean['cost_usd', 'random']:+.0f} % against random choice"
        )
        sentences.append(
            f"{weights}, {learner}:"
            f" {cost if np.isfinite(mean['cost_usd', 'random']) else 'no cost to compare'};"
            f" latency {mean['latency_ms', 'random']:+.0f} % against random choice;"
            f" accuracy {mean['accuracy', 'most expensive']:+.1f} points against the"
            " most expensive LLM (means over contexts)."
        )
    first = groups[
        groups.group == groups.groupby(["weights", "context"]).group.transform("min")
    ]
    leaders = ", ".join(sorted(first.learner.unique()))
    sentences.append(
        "The leading group of mean reward holds, over all contexts and weights:"
        f" {leaders}."
    )
    warned = disguises[disguises.warning]
    if len(warned):
        where = "; ".join(
            f"{r.weights}, {r.context}, {r.learner}: {r.model} answers"
            f" {100 * r.share:.0f} %"
            for r in warned.itertuples()
        )
        sentences.append(
            "Warning: a router is one LLM in disguise and does not beat it in"
            f" {len(warned)} of {len(disguises)} settings ({where})."
        )
    return sentences


def describe_winners(frame):
    """Return findings on the weights, as sentences."""
    n = (
        frame.groupby(["form", "context"], sort=False)
        .model.nunique()
        .groupby("form", sort=False)
    )
    return [
        f"{form}: the best LLM changes with the weight of cost in {int((v > 1).sum())}"
        f" of {len(v)} contexts."
        for form, v in n
    ]


def describe_readings(locking, best, clipped):
    """Return findings on the open points, as sentences."""
    table = best.pivot(index="context", columns="form", values="model")
    change = {
        form: int((table[form] != table.ratio).sum())
        for form in FORMS
        if form != "ratio"
    }
    sentences = [
        f"Against the ratio, the reading '{form}' has another best LLM in {n} of"
        f" {len(table)} contexts."
        for form, n in change.items()
    ]
    mean = locking.groupby(["variant", "learner"], sort=False).on_best.mean() * 100
    spread = mean.groupby("learner", sort=False).agg(["min", "max"])
    sentences += [
        f"{learner}: over the variants, {row['min']:.0f} to {row['max']:.0f} % of"
        " sessions lock on the best LLM (mean of contexts)."
        for learner, row in spread.iterrows()
    ]
    sentences.append(
        f"The bounds clip {100 * clipped.min():.2g} to {100 * clipped.max():.2g} % of"
        " rewards, by variant."
    )
    return sentences
