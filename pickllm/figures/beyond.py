"""What others would try, and what may happen to a session, beside the paper's two."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .panels import (
    grid,
    handle,
    interval,
    legend,
    name_rows,
    panels,
    plain_numbers,
    round_ticks,
    rows_of,
    separate_rows,
    where,
)
from .style import (
    FAMILIES,
    GREY,
    INK,
    PALE,
    STRATEGIES,
    Look,
    context_names,
    learner_look,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

#: What no learner can beat.
BOUND = Look("bounds: Lai and Robbins; Garivier and Kaufmann at 10 % error", INK, "x")
#: Widest that a figure's rows are named.
LONGEST = 34


@styled
def variants(
    frame: "pd.DataFrame", labels: Mapping[str, str], queries: int
) -> "Figure":
    """Draw every learner (rows) in every measure (columns): contexts, and their mean.

    A thin line marks the mean of each of the paper's learners. A learner without a mean
    in the median has "beyond" at the right edge: its median lies beyond the session's
    end, a full line, in at least one context.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``learner``, ``family`` ("bound" is a row of its own), ``context`` (one is
        "mean"), ``measure``, ``value``, ``low``, ``high``.
    labels : dict of str to str
        By measure, what its axis says.
    queries : int
        Of a session.
    """
    families = frame.groupby("learner", sort=False).family.first()
    looks = {name: _look(name, family) for name, family in families.items()}
    figure, (axes,) = panels(1, len(labels), 1.0 + 0.19 * len(looks), sharey=True)
    for axis, (measure, label) in zip(axes, labels.items(), strict=True):
        here = where(frame, measure=measure)
        for paper in where(here, family="paper", context="mean").itertuples():
            look = looks[paper.learner]
            axis.axvline(paper.value, color=look.colour, lw=0.5, zorder=0)
        if measure == "median":
            within = here[here.value <= queries]
            known = where(within, context="mean").learner
            _say_beyond(axis, {*here.learner} - {*known}, looks, queries)
            here = within
        _estimates(axis, here, looks)
        axis.set_xlabel(label)
        axis.grid(axis="y", visible=False)
        _scale(axis, measure, here, queries)
    paper = families == "paper"
    names = [looks[name].name if paper[name] else name for name in looks]
    name_rows(axes[0], names, 0.7)
    axes[0].set_xlim(0, 1)
    handles = [handle(look, ms=4, lw=0.8) for look in dict.fromkeys(looks.values())]
    handles.append(handle(Look("one context", GREY, "|"), ms=4, lw=0))
    legend(figure, handles, ncols=4)
    return figure


def _look(learner: str, family: str) -> Look:
    return BOUND if family == "bound" else learner_look(learner, family)


def _scale(axis: "Axes", measure: str, here: "pd.DataFrame", queries: int) -> None:
    """Let regret and time run along a logarithm, where they can."""
    if measure == "median":
        axis.set_xscale("log")
        plain_numbers(axis.xaxis)
        axis.xaxis.set_minor_formatter("")
        axis.axvline(queries, color=INK, lw=0.6)
        low = 0.7 * min(0.3 * queries, *here.value[here.value > 0])
        axis.set_xlim(low, 9 * queries)
        ticks = [tick for tick in (10, 100) if low < tick < 0.5 * queries]
        axis.set_xticks(
            [*ticks, queries], [str(tick) for tick in ticks] + [f"{queries:,}"]
        )
    elif measure == "regret" and (here.value > 0).all():
        axis.set_xscale("log")
        round_ticks(axis.xaxis, 0.8 * here.value.min(), 1.25 * here.value.max(), 4)


def _estimates(axis: "Axes", here: "pd.DataFrame", looks: Mapping[str, Look]) -> None:
    """Draw every learner's contexts and their mean, in one measure."""
    rows = rows_of(looks)
    each = here[here.context != "mean"]
    ticks = {"ms": 4, "mew": 0.6, "color": GREY, "zorder": 1}
    axis.plot(each.value, each.learner.map(rows), "|", **ticks)
    mean = where(here, context="mean")
    for look in dict.fromkeys(looks.values()):
        mine = mean[[looks[name] == look for name in mean.learner]]
        interval(
            axis,
            mine.value,
            mine.learner.map(rows),
            mine.low,
            mine.high,
            horizontal=True,
            color=look.colour,
            marker=look.marker,
            ms=4,
            zorder=3,
        )


def _say_beyond(
    axis: "Axes", names: set[str], looks: Mapping[str, Look], queries: int
) -> None:
    """Write that the median of some learners lies beyond the session's end."""
    middle = {"ha": "center", "va": "center", "fontsize": 5.5}
    for name, row in rows_of(looks).items():
        if name in names:
            axis.text(3 * queries, row, "beyond", color=looks[name].colour, **middle)


@styled
def gains(frame: "pd.DataFrame", labels: Mapping[str, tuple[str, float]]) -> "Figure":
    """Draw each variant's change against the paper's learners, a column a measure.

    An open marker is a change that the sessions cannot tell from none.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``learner``, ``paper``, ``measure``, ``change``, ``low``, ``high``,
        ``told_apart``.
    labels : dict of str to (str, float)
        By measure, what its axis says, and by how much a change is multiplied for it.
    """
    names = list(dict.fromkeys(frame.learner))
    height = 0.9 + 0.23 * len(names)
    figure, (axes,) = panels(1, len(labels), height, sharey=True)
    by_row = frame.assign(row=frame.learner.map(rows_of(names)))
    papers = list(dict.fromkeys(frame.paper))
    lifts = dict(zip(papers, (0.18, -0.18), strict=True))
    for axis, (measure, (label, scale)) in zip(axes, labels.items(), strict=True):
        axis.axvline(0, color=INK, lw=0.6)
        for paper, lift in lifts.items():
            mine = where(by_row, measure=measure, paper=paper)
            _changes(axis, mine, lift, STRATEGIES[paper], scale)
        axis.set_xlabel(label)
        _keep_small_readable(axis, scale * where(frame, measure=measure).change)
        separate_rows(axis, len(names))
    name_rows(axes[0], names, 0.6)
    looks = [STRATEGIES[paper] for paper in papers]
    handles = [handle(look, f"against {look.name}", ms=4, lw=0.8) for look in looks]
    open_marker = handle(Look("not told from 0", INK, "o"), ms=4, lw=0, mfc="white")
    legend(figure, [*handles, open_marker], ncols=3)
    return figure


def _keep_small_readable(axis: "Axes", changes: "pd.Series") -> None:
    """Let an axis run along a logarithm beyond 50, where a change is far larger."""
    if not changes.abs().max() > 200:
        return
    low, high = axis.get_xlim()
    axis.set_xscale("symlog", linthresh=50)
    axis.minorticks_off()
    steps = np.array([-50, 0, 50, 200, 1000])
    ticks = steps[(steps >= low) & (steps <= high)]
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.set_xlim(low, high)


def _changes(
    axis: "Axes", mine: "pd.DataFrame", lift: float, look: Look, scale: float
) -> None:
    """Draw changes at their ``row``, those that are not told from none open."""
    certain = mine[mine.told_apart]
    doubtful = mine[~mine.told_apart]
    for part, filling in ((certain, look.colour), (doubtful, "white")):
        interval(
            axis,
            scale * part.change,
            part.row + lift,
            scale * part.low,
            scale * part.high,
            horizontal=True,
            color=look.colour,
            marker=look.marker,
            mfc=filling,
            mew=0.7,
            ms=3.2,
        )


@styled
def lock_times(frame: "pd.DataFrame", queries: int) -> "Figure":
    """Draw the time to lock against the least time at the same error, by context.

    On the diagonal a learner needs what the bound says; above it more, in the shade
    below it less.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``context``, ``learner``, ``family``, ``error``; ``time`` and ``bound``, each
        with ``_low`` and ``_high``. Without a row the figure says so.
    queries : int
        Of a session.
    """
    if frame.empty:
        return _nothing_locked()
    names = context_names(frame.context.unique(), 26)
    figure, axes = grid(len(names), 1.75)
    top = max([queries, *frame.bound[np.isfinite(frame.bound)]])
    # an interval may reach below 0; no lock comes before the first answer
    lowest = max(0.7, 0.7 * frame.time_low.min())
    for axis, (context, name) in zip(axes, names.items(), strict=True):
        for row in where(frame, context=context).itertuples():
            _time_to_lock(axis, row, 2 * top)
        ends = [0.8, 2.2 * top]
        axis.plot(ends, ends, color=INK, lw=0.8, ls=":")
        axis.fill_between(ends, lowest, ends, color=PALE, lw=0, zorder=0)
        axis.set(title=name, xscale="log", yscale="log", xlim=ends)
        plain_numbers(axis.xaxis)
    round_ticks(axes[0].yaxis, lowest, 1.2 * queries)
    figure.supxlabel(
        "least queries at the same error (bound of Garivier and Kaufmann; 1 = none:"
        " wrong in half of the locks or more)",
        fontsize=6.5,
    )
    figure.supylabel("mean queries to lock")
    learners = frame.drop_duplicates(["learner", "family"])
    looks = [
        learner_look(learner, family)
        for learner, family in zip(learners.learner, learners.family, strict=True)
    ]
    handles = [handle(look, lw=0.6) for look in dict.fromkeys(looks)]
    legend(figure, [*handles, _shade("sooner than the bound allows")], ncols=5)
    return figure


def _shade(name: str) -> "Patch":
    from matplotlib.patches import Patch

    return Patch(color=PALE, label=name)


def _nothing_locked() -> "Figure":
    figure, ((axis,),) = panels(1, 1, 1.0)
    axis.set(xticks=[], yticks=[])
    axis.set_axis_off()
    words = "no learner locked in half of its sessions, or there was nothing to tell"
    axis.text(0.5, 0.5, words, ha="center", va="center")
    return figure


def _time_to_lock(axis: "Axes", row, most: float) -> None:
    look = learner_look(row.learner, row.family)
    bounds = [row.bound, row.bound_low, row.bound_high]
    bound, bound_low, bound_high = np.clip(bounds, 1, most)
    axis.errorbar(
        [bound],
        [row.time],
        xerr=[[bound - bound_low], [bound_high - bound]],
        yerr=[[row.time - row.time_low], [row.time_high - row.time]],
        color=look.colour,
        marker=look.marker,
        ms=3,
        lw=0.5,
        ls="none",
    )


@styled
def scenarios(frame: "pd.DataFrame", changes: "pd.DataFrame") -> "Figure":
    """Draw regret and share of the best LLM before and after a change, by scenario.

    The last column is what the lock has to do with it.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``scenario``, ``learner`` (one with ", no lock" is drawn open), ``phase`` (0 or
        1), ``measure`` (regret, share_best), ``value``, ``low``, ``high``.
    changes : pandas.DataFrame
        ``scenario``, ``learner``; ``change`` of regret in phase 1 without the lock,
        ``low``, ``high``.
    """
    names = context_names(frame.scenario.unique(), LONGEST)
    rows = rows_of(names)
    height = 0.9 + 0.42 * len(names)
    figure, (axes,) = panels(1, 5, height, sharey=True)
    regret = where(frame, measure="regret")
    for phase, when in enumerate(("first half", "second half")):
        axis = axes[phase]
        _each_learner(axis, where(regret, phase=phase), rows)
        axis.set(title=when, xlabel="regret per query\n(raw reward)")
        left = min(-0.005, 1.2 * regret.low.min())
        _small_and_large(axis, left, 1.2 * regret.high.max())
        axis = axes[2 + phase]
        _each_learner(axis, where(frame, measure="share_best", phase=phase), rows)
        axis.set(title=when, xlabel="queries to the\nbest LLM (share)")
        axis.set(xlim=(-0.05, 1.05), xticks=[0, 0.5, 1])
    _lock_changes(axes[4], changes, rows)
    for axis in axes:
        separate_rows(axis, len(names))
    name_rows(axes[0], names.values(), 0.6)
    legend(figure, axis=axes[0], ncols=5)
    return figure


def _small_and_large(axis: "Axes", low: float, high: float) -> None:
    """Let an axis run along a logarithm beyond 0.02, either way."""
    axis.set_xscale("symlog", linthresh=0.02)
    axis.minorticks_off()
    ticks = [tick for tick in (-0.5, -0.1, 0, 0.02, 0.1, 0.5) if low <= tick <= high]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_xlim(low, high)


def _lock_changes(axis: "Axes", changes: "pd.DataFrame", rows: dict[str, int]) -> None:
    axis.axvline(0, color=INK, lw=0.6)
    learners = list(dict.fromkeys(changes.learner))
    for name, lift in zip(learners, (0.15, -0.15), strict=True):
        mine = where(changes, learner=name)
        look = STRATEGIES[name]
        interval(
            axis,
            mine.change,
            mine.scenario.map(rows) + lift,
            mine.low,
            mine.high,
            horizontal=True,
            color=look.colour,
            marker=look.marker,
            ms=3.4,
        )
    low, high = changes.low.min(), changes.high.max()
    _small_and_large(axis, min(-0.005, 1.3 * low), max(0.005, 1.3 * high))
    axis.set(title="second half", xlabel="change of regret per\nquery without the lock")


def _each_learner(axis: "Axes", frame: "pd.DataFrame", rows: dict[str, int]) -> None:
    learners = list(frame.learner.unique())
    lifts = np.linspace(0.32, -0.32, len(learners))
    for name, lift in zip(learners, lifts, strict=True):
        base, _, unlocked = name.partition(", ")
        look = STRATEGIES[base]
        if base not in STRATEGIES:
            look = FAMILIES["automata"]._replace(name=base)
        part = where(frame, learner=name)
        interval(
            axis,
            part.value,
            part.scenario.map(rows) + lift,
            part.low,
            part.high,
            horizontal=True,
            color=look.colour,
            marker=look.marker,
            mfc="white" if unlocked else look.colour,
            mew=0.8,
            ms=3.4,
            label=name.replace(base, look.name),
        )


@styled
def mixed(frame: "pd.DataFrame") -> "Figure":
    """Draw what learners gain on the first one in sessions that mix all contexts.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``learner``; ``value`` with ``low`` and ``high``; ``change`` with ``change_low``
        and ``change_high``.
    """
    names = list(frame.learner)
    figure, ((level, change),) = panels(1, 2, 0.75 + 0.22 * len(names), sharey=True)
    rows = frame.learner.map(rows_of(names))
    look: dict[str, Any] = {"horizontal": True, "color": INK, "marker": "o", "ms": 3.5}
    interval(level, frame.value, rows, frame.low, frame.high, **look)
    level.set_xlabel("mean of a session\n(raw reward of a query)")
    ends = frame.change_low, frame.change_high
    interval(change, frame.change, rows, *ends, **look)
    change.axvline(0, color=INK, lw=0.6)
    first = STRATEGIES[names[0]].name
    change.set_xlabel(f"change against the {first}\n(raw reward of a query)")
    for axis in (level, change):
        separate_rows(axis, len(names))
    name_rows(level, [_strategy_name(name) for name in names], 0.6)
    return figure


def _strategy_name(name: str) -> str:
    return STRATEGIES[name].name if name in STRATEGIES else name
