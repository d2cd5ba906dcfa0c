"""What tables say, as sentences; every number in them stands in a table."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd

from ..beyond import bounds
from ..core.reward import FORMS
from .comparison import PAPER, winners
from .means import MEAN


def describe_pool(measured: pd.DataFrame, against: pd.DataFrame) -> list[str]:
    """Return findings on the pool.

    Parameters
    ----------
    measured, against : pandas.DataFrame
        As `outcomes.measured` and `outcomes.rows_against_sample` give.
    """
    table = measured.pivot(
        index=["context", "model"], columns="measure", values="value"
    )
    best = table.accuracy.groupby("context", sort=False).idxmax()
    leaders = {model for _, model in best}
    cost = table.cost_cents.groupby("model").mean()
    tail = (table.latency_p95_s / table.latency_s).groupby("model").mean()
    sentences = [
        f"{len(leaders)} of {len(cost)} LLMs are the most accurate in at least one of"
        f" {len(best)} contexts; {_dearest(cost)}.",
        f"The 95th percentile of latency is {tail.min():.1f} to {tail.max():.1f} times"
        " the mean, by LLM.",
    ]
    locks = against[against.measure == "sessions locked on it"]
    if len(locks):
        most = 100 * (locks["sample"] - locks.rows).abs().max()
        sentences.append(
            "Shares of sessions locked on each LLM differ between sample and rows by at"
            f" most {most:.1f} points."
        )
    return sentences


def _dearest(cost: pd.Series) -> str:
    if cost.min() > 0:
        times = cost.max() / cost.min()
        return f"the dearest costs {times:.0f} times the cheapest per query"
    return f"{(cost == 0).sum()} of them cost nothing"


def describe_locking(locking: pd.DataFrame) -> list[str]:
    """Return findings on convergence, a sentence a learner.

    Parameters
    ----------
    locking : pandas.DataFrame
        `statistics.locking` by learner, context and learning_rate, and ``chance``.
    """
    sentences = []
    for learner, part in locking.groupby("learner", sort=False):
        by_rate = part.groupby("learning_rate")
        on_best = 100 * by_rate.on_best.mean()
        medians = {rate: float(np.median(values)) for rate, values in by_rate["median"]}
        fast = on_best.index.max()
        top = on_best.idxmax()
        sentences.append(
            f"{learner}: at rate {fast:g} sessions lock {_at_median(medians[fast])} and"
            f" {on_best[fast]:.0f} % of them end on the best LLM (chance"
            f" {100 * part.chance.iloc[0]:.0f} %); the highest share,"
            f" {on_best[top]:.0f} %, is reached at rate {top:g},"
            f" {_at_median(medians[top])}."
        )
    return sentences


def _at_median(median: float) -> str:
    if np.isnan(median):
        return "beyond the session"
    return f"at a typical median of {median:.0f} queries"


def describe_sessions(
    compared: pd.DataFrame, groups: pd.DataFrame, disguises: pd.DataFrame
) -> list[str]:
    """Return findings on cost, latency and accuracy.

    Parameters
    ----------
    compared, groups, disguises : pandas.DataFrame
        As `statistics` gives, with a column ``weights``.
    """
    sentences = []
    for key, part in compared.groupby(["weights", "learner"], sort=False):
        weights, learner = cast(tuple, key)
        change = 100 * part.groupby(["measure", "control"]).change.mean()
        sentences.append(
            f"{weights}, {learner}: {_cost_change(change)}; latency"
            f" {change['latency_ms', 'random']:+.0f} % against random choice; accuracy"
            f" {change['accuracy', 'most expensive']:+.1f} points against the most"
            " expensive LLM (means over contexts)."
        )
    best = groups.groupby(["weights", "context"]).group.transform("min")
    leaders = sorted(groups.learner[groups.group == best].unique())
    sentences.append(
        "The leading group of mean reward holds, over all contexts and weights:"
        f" {', '.join(leaders)}."
    )
    warned = disguises[disguises.warning]
    if len(warned):
        template = "{weights}, {context}, {learner}: {model} answers {percent:.0f} %"
        rows = warned.assign(percent=100 * warned["share"]).to_dict("records")
        where = "; ".join(template.format(**row) for row in rows)
        sentences.append(
            "Warning: a router is one LLM in disguise and does not beat it in"
            f" {len(warned)} of {len(disguises)} settings ({where})."
        )
    return sentences


def _cost_change(change: pd.Series) -> str:
    if not np.isfinite(change["cost_usd", "random"]):
        return "no cost to compare"
    return (
        f"cost {change['cost_usd', 'most expensive']:+.0f} % against the most expensive"
        f" LLM, {change['cost_usd', 'random']:+.0f} % against random choice"
    )


def describe_weights(winners: pd.DataFrame) -> list[str]:
    """Return findings on the weights, a sentence a reading.

    Parameters
    ----------
    winners : pandas.DataFrame
        As `outcomes.winners` gives.
    """
    by_context = winners.groupby(["form", "context"], sort=False).model.nunique()
    changes = (by_context > 1).groupby("form", sort=False)
    return [
        f"{form}: the best LLM changes with the weight of cost in {int(part.sum())} of"
        f" {len(part)} contexts."
        for form, part in changes
    ]


def describe_readings(
    locking: pd.DataFrame, best: pd.DataFrame, clipped: pd.Series
) -> list[str]:
    """Return findings on the open points.

    Parameters
    ----------
    locking : pandas.DataFrame
        `statistics.locking` by variant, learner and context.
    best : pandas.DataFrame
        As `outcomes.best_by_reading` gives.
    clipped : pandas.Series
        Share of rewards that the bounds clip, by variant.
    """
    table = best.pivot(index="context", columns="form", values="model")
    sentences = [
        f"Against the ratio, the reading '{form}' has another best LLM in"
        f" {int((table[form] != table.ratio).sum())} of {len(table)} contexts."
        for form in FORMS
        if form != "ratio"
    ]
    share = 100 * locking.groupby(["variant", "learner"], sort=False).on_best.mean()
    for learner, part in share.groupby("learner", sort=False):
        sentences.append(
            f"{learner}: over the variants, {part.min():.0f} to {part.max():.0f} % of"
            " sessions lock on the best LLM (mean of contexts)."
        )
    sentences.append(
        f"The bounds clip {100 * clipped.min():.2g} to {100 * clipped.max():.2g} % of"
        " rewards, by variant."
    )
    return sentences


def describe_mixed(frame: pd.DataFrame) -> str:
    """Return what seeing the context is worth, as one sentence.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `comparison.mixed` gives.
    """
    first = frame.iloc[0]
    template = "{learner} {change:+.3f} ({change_low:+.3f} to {change_high:+.3f})"
    others = "; ".join(
        template.format(**row) for row in frame.iloc[1:].to_dict("records")
    )
    return (
        "In sessions that mix all contexts, the mean raw reward of a query is"
        f" {first.value:.3f} for {first.learner}; against it: {others}."
    )


def describe_comparison(
    summary: pd.DataFrame,
    changes: pd.DataFrame,
    limits: pd.DataFrame,
    times: pd.DataFrame,
    queries: int,
) -> str:
    """Return what beats the paper's learners and by how much, as one paragraph.

    Parameters
    ----------
    summary, changes, limits, times : pandas.DataFrame
        As `comparison.summarise`, `against_paper`, `limits` and `identification` give.
    queries : int
        Of a session.
    """
    mean = summary[summary.context == MEAN].set_index(["learner", "measure"])
    names = winners(changes)
    total = changes.learner.nunique()
    how = f"means over {len(limits)} contexts, paired by session, Holm-corrected"
    if names:
        sentences = [
            f"{len(names)} of {total} variants have less regret than both of the"
            f" paper's learners ({how}; 95 % intervals): {', '.join(names)}.",
            *_least_regret(names[0], mean, changes, queries),
            *_soonest_lock(names, mean),
        ]
    else:
        sentences = [
            f"None of {total} variants has less regret than both of the paper's"
            f" learners ({how})."
        ]
    return " ".join([*sentences, *_limits(mean, limits, times, queries)])


def _least_regret(
    name: str, mean: pd.DataFrame, changes: pd.DataFrame, queries: int
) -> list[str]:
    """Say what the learner with the least regret gains, and what that costs."""
    regret = _told(mean.loc[(name, "regret")])
    right = {
        learner: _told(mean.loc[(learner, "right")], scale=100, unit=" %")
        for learner in (name, *PAPER)
    }
    mine = changes[changes.learner == name].assign(value=changes.change)
    table = mine.set_index(["measure", "paper"])
    against = {}
    for measure, scale, unit in (
        ("regret", 1, ""),
        ("cents", 100, " %"),
        ("seconds", 100, " %"),
    ):
        automaton, qlearning = (
            _told(table.loc[(measure, paper)], "+", scale, unit) for paper in PAPER
        )
        against[measure] = (
            f"{automaton} against L_R-I and {qlearning} against Q-learning"
        )
    return [
        f"Least has {name}, {regret} raw reward in a session of {queries:,} queries:"
        f" {against['regret']}.",
        "When the session ends, it asks the best LLM with probability"
        f" {right[name]}, L_R-I with {right['automaton']} and Q-learning with"
        f" {right['qlearning']}.",
        f"Its sessions cost {against['cents']}; its mean latency is"
        f" {against['seconds']}.",
    ]


def _soonest_lock(names: Sequence[str], mean: pd.DataFrame) -> list[str]:
    """Say after how many queries the best of those that lock does."""
    locking = [name for name in names if (name, "median") in mean.index]
    if not locking or not all((name, "median") in mean.index for name in PAPER):
        return []
    first, automaton, qlearning = (
        _told(mean.loc[(name, "median")]) for name in (locking[0], *PAPER)
    )
    return [
        f"Of those that lock in most sessions of every context, {locking[0]} has the"
        f" least regret; its median lock comes after {first} queries, that of L_R-I"
        f" after {automaton}, of Q-learning after {qlearning}."
    ]


def _limits(
    mean: pd.DataFrame, limits: pd.DataFrame, times: pd.DataFrame, queries: int
) -> list[str]:
    """Say what no learner that is good in every pool can beat."""
    least = limits.t_star * float(bounds.least_time(1.0, 0.1))
    paper = times[times.learner.isin(PAPER)]
    sooner = int((paper.bound_low > paper.time_high).sum())
    total = mean.index.get_level_values("learner").nunique()
    bound = limits.regret.mean()
    below = int((mean.xs("regret", level="measure").high < bound).sum())
    return [
        "To name the best LLM with at most 10 % error in every pool takes"
        f" {least.min():,.0f} to {least.max():,.0f} answers, by context (bound of"
        " Garivier and Kaufmann), more than a session has in"
        f" {int((least > queries).sum())} of {len(least)} contexts.",
        "The paper's learners lock sooner than this bound allows at their own error in"
        f" {sooner} of {len(paper)} cases: what is right so soon here is wrong in other"
        " pools, or in this one in another order.",
        f"The bound of Lai and Robbins on regret, {bound:.0f} on average at"
        f" {queries:,} queries, lies above the mean of {below} of {total} learners: it"
        " is a bound for long sessions, and these are short.",
    ]


def _told(row: pd.Series, sign: str = "", scale: float = 1.0, unit: str = "") -> str:
    """Return ``value (low to high)`` without decimals, the unit after the value."""
    value, low, high = (
        f"{scale * row[name]:{sign}.0f}" for name in ("value", "low", "high")
    )
    return f"{value}{unit} ({low} to {high})"
