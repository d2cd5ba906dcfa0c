"""What tables say, as sentences; every number in them stands in a table."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd

from ..beyond import bounds
from ..core.reward import FORMS
from .comparison import BOUND, ERROR, PAPER, winners
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


def describe_rates(apart: pd.DataFrame) -> list[str]:
    """Return whether a higher rate locks at another time, a sentence a learner.

    Parameters
    ----------
    apart : pandas.DataFrame
        As `locks.rates_apart` gives.
    """
    sentences = []
    for learner, part in apart.groupby("learner", sort=False):
        told = part[part.told_apart]
        sooner = int((told.statistic > 0).sum())
        sentences.append(
            f"{learner}: log-rank tests (Holm) tell the lock curve of a rate from that"
            f" of the next higher one in {len(told)} of {len(part)} cases; the higher"
            f" rate locks sooner in {sooner} of them, later in {len(told) - sooner}."
        )
    return sentences


def describe_best(best: pd.DataFrame) -> str:
    """Return how certain it is which LLM is the best, as one sentence.

    Parameters
    ----------
    best : pandas.DataFrame
        As `queries.best_stays_best` gives.
    """
    ranked = best.sort_values("stays", kind="stable")
    template = "{context} ({model} in {percent:.0f} %)"
    unsure = ranked[ranked.stays < 0.95].assign(percent=100 * ranked.stays)
    where = ", ".join(template.format(**row) for row in unsure.to_dict("records"))
    known = len(best) - len(unsure)
    return (
        f"The LLM named best of a context is the best of at least 95 % of resamples of"
        f" its measured queries in {known} of {len(best)} contexts"
        + (f"; not in {where}." if where else ".")
    )


def describe_needed(needed: pd.DataFrame, queries: int) -> str:
    """Say in which contexts no learner can know the best LLM within a session.

    Parameters
    ----------
    needed : pandas.DataFrame
        As `beyond.information.least_queries` gives.
    queries : int
        Of a session.
    """
    ranked = needed.sort_values("queries")
    within = ranked[ranked.queries <= queries]
    template = "{context} ({queries:,.0f}, or {queries_within:,.0f} for one within 1 %)"
    beyond = [
        template.format(**row)
        for row in ranked[ranked.queries > queries].to_dict("records")
    ]
    sentence = (
        "Whoever learns, however: to name the best LLM with 5 % error at most takes"
        f" more than a session's {queries:,} queries in {len(beyond)} of"
        f" {len(needed)} contexts"
    )
    if beyond:
        sentence += f": {', '.join(beyond)}"
    if len(within):
        least, most = within.queries.iloc[[0, -1]]
        sentence += f"; in the others {least:,.0f} to {most:,.0f} on average at least"
    return f"{sentence} (bound of Garivier and Kaufmann)."


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
) -> list[str]:
    """Return what beats the paper's learners and by how much.

    Parameters
    ----------
    summary, changes, limits, times : pandas.DataFrame
        As `comparison.summarise`, `against_paper`, `limits` and `identification` give.
    queries : int
        Of a session.
    """
    learners = summary[(summary.context == MEAN) & (summary.family != BOUND)]
    mean = learners.set_index(["learner", "measure"])
    names = winners(changes)
    total = changes.learner.nunique()
    contexts = "1 context" if len(limits) == 1 else f"{len(limits)} contexts"
    how = f"means over {contexts}, paired by session, Holm-corrected"
    sentences = [
        f"None of {total} variants has less regret than both of the paper's learners"
        f" ({how})."
    ]
    if names:
        sentences = [
            f"{len(names)} of {total} variants have less regret than both of the"
            f" paper's learners ({how}; 95 % intervals): {', '.join(names)}.",
            _least_regret(names[0], mean, changes, queries),
            *_soonest_lock(names, mean),
        ]
    return [*sentences, *_limits(mean, limits, times, queries)]


def _least_regret(
    name: str, mean: pd.DataFrame, changes: pd.DataFrame, queries: int
) -> str:
    """Say what the learner with the least regret gains, and what that costs."""
    regret = _with_ends(mean.loc[(name, "regret")])
    right = {
        learner: _with_ends(mean.loc[(learner, "right")], scale=100, unit=" %")
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
        rows = [table.loc[(measure, paper)] for paper in PAPER]
        if any(np.isnan(row.value) for row in rows):  # against nothing
            continue
        automaton, qlearning = (_with_ends(row, "+", scale, unit) for row in rows)
        against[measure] = (
            f"{automaton} against L_R-I and {qlearning} against Q-learning"
        )
    costs = f"cost {against['cents']}; " if "cents" in against else ""
    return (
        f"Least has {name}, {regret} raw reward in a session of {queries:,} queries:"
        f" {against['regret']}. When the session ends, it asks the best LLM with"
        f" probability {right[name]}, L_R-I with {right['automaton']} and Q-learning"
        f" with {right['qlearning']}. Its sessions: {costs}mean latency"
        f" {against['seconds']}."
    )


def _soonest_lock(names: Sequence[str], mean: pd.DataFrame) -> list[str]:
    """Say after how many queries the best of those that lock does."""
    locking = [name for name in names if (name, "median") in mean.index]
    if not locking or not all((name, "median") in mean.index for name in PAPER):
        return []
    first, automaton, qlearning = (
        _with_ends(mean.loc[(name, "median")]) for name in (locking[0], *PAPER)
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
    return [
        *_least_answers(limits, queries),
        *_sooner_than_allowed(times),
        *_regret_bound(mean, limits, queries),
    ]


def _least_answers(limits: pd.DataFrame, queries: int) -> list[str]:
    """Say how many answers it takes to tell the best LLM."""
    sentences = []
    told = limits[np.isfinite(limits.t_star) & (limits.t_star > 0)]
    if len(told):
        least = told.t_star * float(bounds.least_time(1.0, ERROR))
        by_context = (
            f"{least.min():,.0f} to {least.max():,.0f} answers, by context"
            if len(least) > 1
            else f"{least.min():,.0f} answers"
        )
        sentences.append(
            f"To name the best LLM with at most {100 * ERROR:.0f} % error in every pool"
            f" takes {by_context} (bound of Garivier and Kaufmann), more than a session"
            f" has in {int((least > queries).sum())} of {len(least)} contexts."
        )
    tied = int(np.isinf(limits.t_star).sum())
    if tied:
        sentences.append(
            f"In {tied} of {len(limits)} contexts two LLMs are equally the best, and no"
            " number of answers tells which."
        )
    return sentences


def _sooner_than_allowed(times: pd.DataFrame) -> list[str]:
    """Say how often the paper's learners lock sooner than their error allows."""
    paper = times[times.learner.isin(PAPER)]
    if paper.empty:
        return []
    sooner = int((paper.bound_low > paper.time_high).sum())
    return [
        "The paper's learners lock sooner than this bound allows at their own error in"
        f" {sooner} of {len(paper)} cases"
        + (
            ": what is right so soon here is wrong in other pools, or in this one in"
            " another order."
            if sooner
            else "."
        )
    ]


def _regret_bound(mean: pd.DataFrame, limits: pd.DataFrame, queries: int) -> list[str]:
    """Say how many learners come in below the bound on regret."""
    bound = limits.regret.mean()
    if not bound > 0:
        return []
    regret = mean.xs("regret", level="measure")
    below = int((regret.high < bound).sum())
    return [
        f"The bound of Lai and Robbins on regret, {bound:.0f} on average at"
        f" {queries:,} queries, lies above the mean of {below} of {len(regret)}"
        " learners: it is a bound for long sessions, and these are short."
    ]


def describe_scenarios(
    phases: pd.DataFrame, changes: pd.DataFrame, context: str, queries: int
) -> list[str]:
    """Return what a change halfway costs, and what the lock has to do with it.

    Parameters
    ----------
    phases : pandas.DataFrame
        ``scenario``, ``learner``, ``phase`` (0 before, 1 after), ``measure``,
        ``value``, ``low``, ``high``.
    changes : pandas.DataFrame
        As `comparison.lock_changes` gives.
    context : str
        What sessions start in.
    queries : int
        Of a session.
    """
    after = phases[(phases.measure == "regret") & (phases.phase == 1)]
    order = {
        scenario: part.sort_values("value", kind="stable").to_dict("records")
        for scenario, part in after.groupby("scenario", sort=False)
    }
    template = "{learner} {value:.3f} ({low:.3f} to {high:.3f})"
    sentences = [
        f"'{scenario}', sessions from {context}: regret per query after query"
        f" {queries // 2:,} is least with {template.format(**ranked[0])} and largest"
        f" with {template.format(**ranked[-1])}."
        for scenario, ranked in order.items()
    ]
    return [*sentences, *(_without_lock(name, changes) for name in PAPER)]


def _without_lock(learner: str, changes: pd.DataFrame) -> str:
    """Say where a learner that never locks does better, and where worse."""
    mine = changes[changes.learner == learner]
    certain = mine[mine.told_apart]
    counts = []
    for rows in (
        certain[certain.change < 0].sort_values("change"),
        certain[certain.change > 0].sort_values("change", ascending=False),
    ):
        most = ""
        if len(rows):
            row = rows.iloc[0]
            most = (
                f" (most in '{row.scenario}', {row.change:+.3f}, {row.low:+.3f} to"
                f" {row.high:+.3f} a query)"
            )
        counts.append(f"{len(rows)}{most}")
    return (
        f"Without its lock {learner} has less regret in the second half in {counts[0]}"
        f" and more in {counts[1]} of {len(mine)} scenarios (paired by session,"
        " Holm-corrected)."
    )


def _with_ends(
    row: pd.Series, sign: str = "", scale: float = 1.0, unit: str = ""
) -> str:
    """Return ``value (low to high)`` without decimals, the unit after the value."""
    value, low, high = (
        f"{scale * row[name]:{sign}.0f}" for name in ("value", "low", "high")
    )
    return f"{value}{unit} ({low} to {high})"
