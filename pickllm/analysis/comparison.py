"""The paper's two learners beside what others would try: one table, the bounds, and what beats the paper."""

import numpy as np
import pandas as pd

from ..beyond import bounds
from ..core import statistics
from ..core.replay import replay
from .outcomes import mean_over_contexts

PAPER = ("automaton", "qlearning")
#: What is compared: column of the table -> what it is, in a figure's words.
MEASURES = {
    "right": "chance to ask the\nbest LLM at the end",
    "regret": "regret of a session\n(raw reward)",
    "median": "median queries\nto lock",
    "cents": "session cost\n(US cents)",
    "seconds": "mean latency (s)",
}


#: What the learners of a module are shown as.
FAMILIES = {
    "pickllm.core.learners": "bandits",
    "pickllm.beyond.automata": "automata",
    "pickllm.beyond.bandits": "bandits",
    "pickllm.beyond.identification": "identification",
}


def family(learner):
    """Return the kind that a learner is shown as: automata, bandits, identification, or own for any other."""
    return FAMILIES.get(type(learner).__module__, "own")


def compare(trace, reward, learners, sessions=1000, queries=1000, seed=0):
    """Replay every learner in every context; all meet the same queries and draws.

    Parameters
    ----------
    trace : Trace
    reward : Reward
    learners : dict of str to learner
        With the paper's two under the names of `PAPER`.
    sessions, queries, seed
        As in `replay`.

    Returns
    -------
    pandas.DataFrame
        One row per context, learner and session: ``context``, ``learner``, ``family``,
        the columns of `Sessions.table`, ``cents`` and ``seconds``, and ``right``: the
        probability of the context's best LLM at the session's end.
    """
    parts = []
    for context in trace.contexts:
        here = trace.select(context=context)
        for name, learner in learners.items():
            s = replay(
                here,
                reward,
                learner,
                sessions=sessions,
                queries=queries,
                seed=seed,
                checkpoints=[queries],
            )
            table = s.table().drop(columns=[f"share:{m}" for m in here.models])
            table = table.assign(
                right=s.selection()[:, -1, s.best],
                cents=100 * table.cost_usd,
                seconds=table.latency_ms / 1000,
            )
            kind = "paper" if name in PAPER else family(learner)
            parts.append(
                pd.concat(
                    [
                        pd.DataFrame(
                            {"context": context, "learner": name, "family": kind},
                            index=table.index,
                        ),
                        table,
                    ],
                    axis=1,
                )
            )
    return pd.concat(parts, ignore_index=True)


def limits(trace, reward, queries=1000):
    """Return what no learner that is good in every pool can beat, per context.

    Returns
    -------
    pandas.DataFrame
        ``context``, ``best``; ``regret``: the bound of Lai and Robbins at this many
        queries, raw reward; ``t_star``: the characteristic time of Garivier and
        Kaufmann, answers per nat.
    """
    rows, reward = [], reward.within(trace.limits)
    low, high = reward.declared_bounds()
    for context in trace.contexts:
        part = trace.select(context=context)
        unit = reward.unit(part.accuracy, part.cost_usd, part.latency_ms)
        regret = (high - low) * bounds.regret_rate(unit) * np.log(queries)
        rows.append(
            (
                context,
                part.models[unit.mean(axis=0).argmax()],
                regret,
                bounds.identification_time(unit)[0],
            )
        )
    return pd.DataFrame(rows, columns=["context", "best", "regret", "t_star"])


def summarise(table, queries):
    """Every measure of every learner, per context and as the mean over contexts.

    Returns
    -------
    pandas.DataFrame
        ``learner``, ``family``, ``context`` (one of them "mean"), ``measure`` (of
        `MEASURES`), ``value``, ``low``, ``high``. A median time to lock is empty where
        it lies beyond the session, its mean is then left out, and an interval that
        reaches beyond ends there.
    """
    by = ["learner", "family", "context"]
    frame = statistics.means(table, by, ["right", "regret", "cents", "seconds"]).drop(
        columns="sessions"
    )
    locks = statistics.locking(table, by, queries).rename(
        columns={"median": "value", "median_low": "low", "median_high": "high"}
    )
    locks = locks.assign(measure="median", high=locks.high.fillna(queries))[
        frame.columns
    ]
    frame = pd.concat([frame, locks], ignore_index=True)
    whole = frame.groupby(["learner", "measure"])["value"].transform(
        lambda v: v.notna().all()
    )
    mean = mean_over_contexts(
        frame[whole], ["learner", "family", "measure"], "value", "low", "high"
    ).assign(context="mean")
    frame = pd.concat([frame, mean], ignore_index=True)
    frame.loc[frame.measure == "right", ["low", "high"]] = frame.loc[
        frame.measure == "right", ["low", "high"]
    ].clip(0, 1)
    return frame


def identification(table, found):
    """Time to lock against the least time at the same probability of error.

    Parameters
    ----------
    table : pandas.DataFrame
        As `compare` gives.
    found : pandas.DataFrame
        As `limits` gives.

    Returns
    -------
    pandas.DataFrame
        One row per context and learner that locked in at least half of its sessions:
        ``error`` (share of its locks that are on another LLM) and ``time`` (mean
        queries to lock), each with ``_low`` and ``_high``; ``bound`` and its ends: the
        least time of a learner with that error in every pool. A time below its bound is
        no contradiction: elsewhere that learner errs more.
    """
    rows, t_star = [], found.set_index("context").t_star
    for (context, learner), part in table.groupby(["context", "learner"], sort=False):
        locked = part[part.locked_at >= 0]
        if 2 * len(locked) < len(part):
            continue
        wrong = int((~locked.locked_on_best.astype(bool)).sum())
        error, time = (
            statistics.share(wrong, len(locked)),
            statistics.mean(locked.locked_at.to_numpy(float)),
        )
        least = [
            float(bounds.least_time(t_star[context], e))
            for e in (error[0], error[2], error[1])
        ]  # more error, less time
        rows.append(
            (
                context,
                learner,
                part.family.iloc[0],
                *(float(v) for v in (*error, *time)),
                *least,
            )
        )
    names = [
        f"{name}{end}"
        for name in ("error", "time", "bound")
        for end in ("", "_low", "_high")
    ]
    return pd.DataFrame(rows, columns=["context", "learner", "family", *names])


def mixed(trace, reward, learners, sessions=1000, queries=1000, seed=0):
    """Sessions that mix all contexts of a trace, for learners that see the context and such that do not.

    Returns
    -------
    pandas.DataFrame
        ``learner``, ``value`` (mean raw reward of a query), ``low``, ``high``; ``change`` against the first learner, paired by
        session, with ``change_low``, ``change_high``.
    """
    options = {"sessions": sessions, "queries": queries, "seed": seed, "checkpoints": 2}
    means = {
        name: replay(trace, reward, x, **options).outcome("reward").mean(axis=1)
        for name, x in learners.items()
    }
    first = next(iter(means.values()))
    rows = [
        (
            name,
            *(float(v) for v in statistics.mean(values)),
            *statistics.difference(values, first)[:3],
        )
        for name, values in means.items()
    ]
    return pd.DataFrame(
        rows,
        columns=[
            "learner",
            "value",
            "low",
            "high",
            "change",
            "change_low",
            "change_high",
        ],
    )


def describe_mixed(frame):
    """Return what seeing the context is worth, as one sentence."""
    first = frame.iloc[0]
    others = "; ".join(
        f"{r.learner} {r.change:+.3f} ({r.change_low:+.3f} to {r.change_high:+.3f})"
        for r in frame.iloc[1:].itertuples()
    )
    return (
        "In sessions that mix all contexts, the mean raw reward of a query is"
        f" {first.value:.3f} for {first.learner}; against it: {others}."
    )


def against_paper(table):
    """Each variant against each of the paper's learners, paired by session, as means over contexts.

    Returns
    -------
    pandas.DataFrame
        ``learner``, ``paper``, ``measure``; ``change`` (a difference for regret and right, relative for cents and
        seconds) with ``low`` and ``high``; ``p_holm``, corrected over all rows of the measure.
    """
    from statsmodels.stats.multitest import multipletests

    rows = []
    difference, relative = statistics.difference, statistics.relative_change
    how = {
        "regret": difference,
        "right": difference,
        "cents": relative,
        "seconds": relative,
    }
    for name in (n for n in dict.fromkeys(table.learner) if n not in PAPER):
        for paper in PAPER:
            for measure, compared in how.items():
                rows.append(
                    (
                        name,
                        paper,
                        measure,
                        *compared(
                            statistics.wide(table, measure, name),
                            statistics.wide(table, measure, paper),
                        ),
                    )
                )
    frame = pd.DataFrame(
        rows, columns=["learner", "paper", "measure", "change", "low", "high", "p"]
    )
    for _, index in frame.groupby("measure").groups.items():
        frame.loc[index, "p_holm"] = multipletests(
            frame.loc[index, "p"], method="holm"
        )[1]
    return frame


def winners(changes, alpha=0.05):
    """Return the variants with less regret than both of the paper's learners (Holm-corrected), the least first."""
    regret = changes[changes.measure == "regret"]
    better = (
        regret[(regret.high < 0) & (regret.p_holm < alpha)].groupby("learner").size()
    )
    names = list(better.index[better == len(PAPER)])
    order = regret.groupby("learner").change.mean()
    return sorted(names, key=lambda name: order[name])


def describe(summary, changes, found, times, queries):
    """Return what beats the paper and by how much, as one paragraph."""
    mean = summary[summary.context == "mean"].set_index(["learner", "measure"])
    return " ".join(
        [
            *_gains(mean, changes, len(found), queries),
            *_limits(mean, found, times, queries),
        ]
    )


def _with_interval(row, form="{:.0f}", scale=1.0, unit=""):
    value, low, high = (
        form.format(scale * v) for v in (row["value"], row["low"], row["high"])
    )
    return f"{value}{unit} ({low} to {high})"


def _gains(mean, changes, n_contexts, queries):
    names, total = winners(changes), changes.learner.nunique()
    how = f"means over {n_contexts} contexts, paired by session, Holm-corrected"
    if not names:
        return [
            f"None of {total} variants has less regret than both of the paper's"
            f" learners ({how})."
        ]
    top = names[0]
    rows = (
        changes[(changes.learner == top) & (changes.measure == "regret")]
        .set_index("paper")
        .rename(columns={"change": "value"})
    )
    regret, gain = (
        _with_interval(mean.loc[(top, "regret")]),
        {p: _with_interval(rows.loc[p], "{:+.0f}") for p in PAPER},
    )
    right = {
        name: _with_interval(mean.loc[(name, "right")], scale=100, unit=" %")
        for name in (top, *PAPER)
    }
    sentences = [
        (
            f"{len(names)} of {total} variants have less regret than both of the"
            f" paper's learners ({how}; 95 % intervals): {', '.join(names)}."
        ),
        (
            f"Least has {top}, {regret} raw reward in a session of {queries:,} queries:"
            f" {gain['automaton']} against L_R-I and {gain['qlearning']} against"
            " Q-learning."
        ),
        (
            "When the session ends, it asks the best LLM with probability"
            f" {right[top]}, L_R-I with {right['automaton']} and Q-learning with"
            f" {right['qlearning']}."
        ),
    ]
    other = (
        changes[changes.learner == top]
        .set_index(["measure", "paper"])
        .rename(columns={"change": "value"})
    )
    both = {
        m: [_with_interval(other.loc[(m, p)], "{:+.0f}", 100, " %") for p in PAPER]
        for m in ("cents", "seconds")
    }
    cost, latency = (
        "{} against L_R-I and {} against Q-learning".format(*both[m])
        for m in ("cents", "seconds")
    )
    sentences.append(f"Its sessions cost {cost}; its mean latency is {latency}.")
    locking = [name for name in names if (name, "median") in mean.index]
    if locking and all((name, "median") in mean.index for name in PAPER):
        median = {
            name: _with_interval(mean.loc[(name, "median")])
            for name in (locking[0], *PAPER)
        }
        sentences.append(
            f"Of those that lock in most sessions of every context, {locking[0]} has"
            f" the least regret; its median lock comes after {median[locking[0]]}"
            f" queries, that of L_R-I after {median['automaton']}, of Q-learning after"
            f" {median['qlearning']}."
        )
    return sentences


def _limits(mean, found, times, queries):
    least = found.t_star * float(bounds.least_time(1.0, 0.1))
    paper = times[times.learner.isin(PAPER)]
    sooner = int((paper.bound_low > paper.time_high).sum())
    total = mean.index.get_level_values("learner").nunique()
    below = int((mean.xs("regret", level="measure").high < found.regret.mean()).sum())
    return [
        (
            "To name the best LLM with at most 10 % error in every pool takes"
            f" {least.min():,.0f} to {least.max():,.0f} answers, by context (bound of"
            " Garivier and Kaufmann), more than a session has in"
            f" {int((least > queries).sum())} of {len(least)} contexts."
        ),
        (
            "The paper's learners lock sooner than this bound allows at their own"
            f" error in {sooner} of {len(paper)} cases: what is right so soon here is"
            " wrong in other pools, or in this one in another order."
        ),
        (
            f"The bound of Lai and Robbins on regret, {found.regret.mean():.0f} on"
            f" average at {queries:,} queries, lies above the mean of {below} of"
            f" {total} learners: it is a bound for long sessions, and these are short."
        ),
    ]
