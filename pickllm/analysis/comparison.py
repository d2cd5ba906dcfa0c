"""The paper's two learners beside what others would try: one table, and the bounds."""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from ..beyond import bounds
from ..core import statistics
from ..core.replay import replay
from ..core.statistics import ALPHA
from . import pairs
from .means import MEAN, mean_over_contexts, rename_mean

if TYPE_CHECKING:
    from ..core.reward import Reward
    from ..core.trace import Trace

PAPER = ("automaton", "qlearning")
#: What follows the name of a learner whose sessions never lock.
NO_LOCK = ", no lock"
#: What is compared: column of the table -> what it is, in a figure's words.
MEASURES = {
    "right": "chance to ask the\nbest LLM at the end",
    "regret": "regret of a session\n(raw reward)",
    "median": "median queries\nto lock",
    "cents": "session cost\n(US cents)",
    "seconds": "mean latency\n(s)",
}
#: What a change of each measure is, in a figure's words, and what multiplies it there.
CHANGES = {
    "regret": ("change of regret\n(raw reward a session)", 1.0),
    "right": ("change of the chance to ask\nthe best LLM (points)", 100.0),
    "cents": ("change of session cost\n(%)", 100.0),
    "seconds": ("change of mean latency\n(%)", 100.0),
}
#: The row of a table that says what no learner can beat, and its family.
LEAST = "bounds"
BOUND = "bound"
#: Probability of error at which that row says how long identification takes.
ERROR = 0.1
#: What the learners of a module are shown as.
FAMILIES = {
    "pickllm.core.learners": "bandits",
    "pickllm.beyond.automata": "automata",
    "pickllm.beyond.bandits": "bandits",
    "pickllm.beyond.identification": "identification",
}


def family(learner: Any) -> str:
    """Return the kind that a learner is shown as; one of nobody's module is "own"."""
    return FAMILIES.get(type(learner).__module__, "own")


def compare(
    trace: "Trace",
    reward: "Reward",
    learners: Mapping[str, Any],
    sessions: int = 1000,
    queries: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Replay every learner in every context; all meet the same queries and draws.

    Parameters
    ----------
    trace : Trace
    reward : Reward
    learners : dict of str to learner
        With the paper's two under the names of `PAPER`.
    sessions, queries, seed : int
        As in `replay`.

    Returns
    -------
    pandas.DataFrame
        One row per context, learner and session: ``context``, ``learner``, ``family``,
        the columns of `Sessions.table`, ``cents`` and ``seconds``, and ``right``: the
        probability of the context's best LLM at the session's end.
    """
    options: dict[str, Any] = {
        "sessions": sessions,
        "queries": queries,
        "seed": seed,
        "checkpoints": [queries],
    }
    parts = {}
    for context in trace.contexts:
        here = trace.select(context=context)
        for name, learner in learners.items():
            kind = "paper" if name in PAPER else family(learner)
            replayed = replay(here, reward, learner, **options)
            table = replayed.table().drop(columns=[f"share:{m}" for m in here.models])
            parts[context, name, kind] = table.assign(
                right=replayed.selection()[:, -1, replayed.best],
                cents=100 * table.cost_usd,
                seconds=table.latency_ms / 1000,
            )
    names = ["context", "learner", "family"]
    return pd.concat(parts, names=names).reset_index(names).reset_index(drop=True)


def limits(trace: "Trace", reward: "Reward", queries: int = 1000) -> pd.DataFrame:
    """Return what no learner that is good in every pool can beat, per context.

    Returns
    -------
    pandas.DataFrame
        ``context``, ``best``; ``regret``: the bound of Lai and Robbins at this many
        queries, raw reward; ``t_star``: the characteristic time of Garivier and
        Kaufmann, answers per nat.
    """
    reward = reward.within(trace.limits)
    low, high = reward.declared_bounds()
    rows = []
    for context in trace.contexts:
        part = trace.select(context=context)
        unit = reward.unit(part.accuracy, part.cost_usd, part.latency_ms)
        best = part.models[unit.mean(axis=0).argmax()]
        regret = (high - low) * bounds.regret_rate(unit) * np.log(queries)
        rows.append((context, best, regret, bounds.identification_time(unit)[0]))
    return pd.DataFrame(rows, columns=["context", "best", "regret", "t_star"])


def summarise(table: pd.DataFrame, queries: int) -> pd.DataFrame:
    """Return every measure of every learner, per context and as the mean over contexts.

    Parameters
    ----------
    table : pandas.DataFrame
        As `compare` gives.
    queries : int
        Of a session.

    Returns
    -------
    pandas.DataFrame
        ``learner``, ``family``, ``context`` (one of them "mean"), ``measure`` (of
        `MEASURES`), ``value``, ``low``, ``high``. A median time to lock is empty where
        it lies beyond the session, its mean is then left out, and an interval that
        reaches beyond ends there.
    """
    columns = ["right", "regret", "cents", "seconds"]
    setting = ["learner", "family"]
    means = statistics.means(table, [*setting, "context"], columns)
    locks = statistics.locking(table, [*setting, "context"], queries)
    medians = locks.assign(
        measure="median",
        value=locks["median"],
        low=locks.median_low,
        high=locks.median_high.fillna(queries),
    )
    means = means.drop(columns="sessions")
    each = pd.concat([means, medians.filter(items=means.columns)], ignore_index=True)
    median = functools.partial(statistics.median_of_contexts, queries=queries)
    over = [
        mean_over_contexts(table, setting, name).assign(measure=name)
        for name in columns
    ]
    typical = mean_over_contexts(table, setting, "locked_at", median)
    known = typical[np.isfinite(typical.value)].assign(measure="median")
    mean = pd.concat([*over, known]).assign(context=MEAN)
    frame = pd.concat([rename_mean(each), mean], ignore_index=True)
    shares = frame.measure == "right"
    ends = ["low", "high"]
    frame.loc[shares, ends] = frame.loc[shares, ends].clip(0, 1)
    return frame


def with_bounds(summary: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Return the summary with a last learner, `LEAST`, of family `BOUND`.

    Its ``regret`` is the bound of Lai and Robbins, its ``median`` the least mean number
    of answers of a learner with at most `ERROR` in every pool; neither has an interval.
    What is 0 or infinite is left out: a pool of one LLM, LLMs that are equally good.

    Parameters
    ----------
    summary : pandas.DataFrame
        As `summarise` gives.
    found : pandas.DataFrame
        As `limits` gives.
    """
    least = found.assign(median=bounds.least_time(found.t_star, ERROR))
    each = rename_mean(least).melt("context", ["regret", "median"], "measure")
    mean = each.groupby("measure", sort=False, as_index=False).value.mean()
    rows = pd.concat([each, mean.assign(context=MEAN)], ignore_index=True)
    rows = rows[np.isfinite(rows.value) & (rows.value > 0)].assign(
        learner=LEAST, family=BOUND
    )
    return pd.concat([summary, rows], ignore_index=True)


def identification(table: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Return the time to lock and the least time at the same probability of error.

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
        no contradiction: elsewhere that learner errs more. A context is left out where
        there is nothing to tell: one LLM, or two that are equally the best.
    """
    told = found[np.isfinite(found.t_star) & (found.t_star > 0)]
    t_star = told.set_index("context").t_star
    by = ["context", "learner", "family"]
    rows = []
    known = table[table.context.isin(t_star.index)]
    for key, part in known.groupby(by, sort=False):
        context, learner, kind = cast(tuple, key)
        locked = part[part.locked_at >= 0]
        if 2 * len(locked) < len(part):
            continue
        wrong = int((~locked.locked_on_best.astype(bool)).sum())
        error, low, high = statistics.share(wrong, len(locked))
        time = statistics.mean(locked.locked_at.to_numpy(float))
        # more error, less time: the ends change places
        least = bounds.least_time(t_star[context], np.array([error, high, low]))
        rows.append((context, learner, kind, error, low, high, *time, *least))
    names = [
        f"{name}{end}"
        for name in ("error", "time", "bound")
        for end in ("", "_low", "_high")
    ]
    return pd.DataFrame(rows, columns=[*by, *names])


def mixed(
    trace: "Trace",
    reward: "Reward",
    learners: Mapping[str, Any],
    sessions: int = 1000,
    queries: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Replay sessions that mix all contexts of a trace.

    Parameters
    ----------
    trace : Trace
    reward : Reward
    learners : dict of str to learner
        Such that see the context, and such that do not.
    sessions, queries, seed : int
        As in `replay`.

    Returns
    -------
    pandas.DataFrame
        ``learner``, ``value`` (mean raw reward of a query), ``low``, ``high``;
        ``change`` against the first learner, paired by session, with ``change_low`` and
        ``change_high``.
    """
    options: dict[str, Any] = {
        "sessions": sessions,
        "queries": queries,
        "seed": seed,
        "checkpoints": 2,
    }
    rows = []
    first = None
    for name, learner in learners.items():
        replayed = replay(trace, reward, learner, **options)
        values = replayed.outcome("reward").mean(axis=1)
        first = values if first is None else first
        mean = [float(value) for value in statistics.mean(values)]
        rows.append((name, *mean, *pairs.difference(values, first)[:3]))
    ends = ["value", "low", "high", "change", "change_low", "change_high"]
    return pd.DataFrame(rows, columns=["learner", *ends])


def against_paper(table: pd.DataFrame) -> pd.DataFrame:
    """Compare each variant with each of the paper's learners, paired by session.

    Parameters
    ----------
    table : pandas.DataFrame
        As `compare` gives.

    Returns
    -------
    pandas.DataFrame
        ``learner``, ``paper``, ``measure``; ``change`` (a difference for regret and
        right, relative for cents and seconds; means over contexts) with ``low`` and
        ``high``; ``p``, and ``p_holm``: corrected over all rows of the measure. Empty
        where a relative change is against nothing.
    """
    comparisons = {
        "regret": pairs.difference,
        "right": pairs.difference,
        "cents": pairs.relative_change,
        "seconds": pairs.relative_change,
    }
    values = {
        (name, measure): pairs.wide(table, measure, name)
        for name in table.learner.unique()
        for measure in comparisons
    }
    others = [name for name in table.learner.unique() if name not in PAPER]
    rows = []
    for name in others:
        for paper in PAPER:
            for measure, compared in comparisons.items():
                change = compared(values[name, measure], values[paper, measure])
                rows.append((name, paper, measure, *change))
    columns = ["learner", "paper", "measure", "change", "low", "high", "p"]
    return pairs.corrected(pd.DataFrame(rows, columns=columns))


def winners(changes: pd.DataFrame, alpha: float = ALPHA) -> list[str]:
    """Return the variants with less regret than both of the paper's learners.

    Parameters
    ----------
    changes : pandas.DataFrame
        As `against_paper` gives.
    alpha : float
        Level of the Holm-corrected tests.

    Returns
    -------
    list of str
        The one with the least regret first.
    """
    regret = changes[changes.measure == "regret"]
    less = (regret.high < 0) & (regret.p_holm < alpha)
    both = less.groupby(regret.learner).all()
    order = regret.groupby("learner").change.mean().sort_values()
    return [name for name in order.index if both[name]]


def lock_changes(table: pd.DataFrame) -> pd.DataFrame:
    """Compare sessions after a change with the same learner's that never lock.

    Parameters
    ----------
    table : pandas.DataFrame
        ``scenario``, ``learner`` (a learner of `PAPER`, or it with `NO_LOCK`),
        ``session``, ``phase`` (0 before, 1 after), ``regret`` (per query).

    Returns
    -------
    pandas.DataFrame
        ``scenario``, ``learner``, ``measure`` (regret); ``change``: regret without the
        lock less regret with it, after the change, paired by session, with ``low`` and
        ``high``; ``p``, and ``p_holm``: corrected over all rows.
    """
    after = table[table.phase == 1].assign(context=MEAN)
    rows = []
    for scenario, part in after.groupby("scenario", sort=False):
        for name in PAPER:
            free, locking = (
                pairs.wide(part, "regret", who) for who in (name + NO_LOCK, name)
            )
            change = pairs.difference(free, locking)
            rows.append((scenario, name, "regret", *change))
    columns = ["scenario", "learner", "measure", "change", "low", "high", "p"]
    return pairs.corrected(pd.DataFrame(rows, columns=columns))
