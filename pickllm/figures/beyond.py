"""What others would try, and what may happen to a session, beside the paper's two."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

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

LINE = "#222222"


@styled
def variants(
    frame: "pd.DataFrame",
    bounds: Mapping[str, float],
    labels: Mapping[str, str],
    queries: int,
) -> "Figure":
    """Draw every learner (rows) in every measure (columns): contexts, and their mean.

    A learner without a mean in a measure has "beyond" at the right edge: its median
    lies beyond the session's end, a full line, in at least one context.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``learner``, ``family``, ``context`` (one is "mean"), ``measure``, ``value``,
        ``low``, ``high``.
    bounds : dict of str to float
        By measure, a dotted line.
    labels : dict of str to str
        By measure, what its axis says.
    queries : int
        Of a session.
    """
    families = frame.groupby("learner", sort=False).family.first()
    looks = {name: learner_look(name, family) for name, family in families.items()}
    figure, (axes,) = panels(1, len(labels), 1.0 + 0.19 * len(looks), sharey=True)
    for axis, (measure, label) in zip(axes, labels.items(), strict=True):
        here = where(frame, measure=measure)
        for name, row in rows_of(looks).items():
            _learner(axis, row, where(here, learner=name), looks[name], queries)
        if measure in bounds:
            axis.axvline(bounds[measure], color=LINE, lw=0.8, ls=":")
        axis.set_xlabel(label)
        axis.grid(axis="y", visible=False)
        if measure in ("regret", "median"):
            axis.set_xscale("log")
            plain_numbers(axis.xaxis)
            axis.xaxis.set_minor_formatter("")
        if measure == "median":
            axis.axvline(queries, color=LINE, lw=0.6)
            axis.set_xlim(20, 9 * queries)
            axis.set_xticks([100, queries], ["100", f"{queries:,}"])
    paper = families == "paper"
    names = [looks[name].name if paper[name] else name for name in looks]
    name_rows(axes[0], names, 0.7)
    axes[0].set_xlim(0, 1)
    handles = [handle(look, ms=4, lw=0.8) for look in dict.fromkeys(looks.values())]
    handles.append(handle(Look("one context", GREY, "|"), ms=4, lw=0))
    if bounds:
        bound = Look("bound of Lai and Robbins (mean)", LINE, "")
        handles.append(handle(bound, ls=":", lw=0.8))
    legend(figure, handles, ncols=4)
    return figure


def _learner(
    axis: "Axes", row: int, mine: "pd.DataFrame", look: Look, queries: int
) -> None:
    each = mine[mine.context != "mean"]
    rows = np.full(len(each), row)
    axis.plot(each.value, rows, "|", ms=4, mew=0.6, color=GREY, zorder=1)
    mean = where(mine, context="mean")
    if len(mean):
        interval(
            axis,
            mean.value,
            [row],
            mean.low,
            mean.high,
            horizontal=True,
            color=look.colour,
            marker=look.marker,
            ms=4,
            zorder=3,
        )
    else:
        middle = {"ha": "center", "va": "center", "fontsize": 5}
        axis.text(3 * queries, row, "beyond", color=look.colour, **middle)


@styled
def lock_times(frame: "pd.DataFrame", queries: int) -> "Figure":
    """Draw the time to lock against the least time at the same error, by context.

    On the diagonal a learner needs what the bound says; above it more.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``context``, ``learner``, ``family``, ``error``; ``time`` and ``bound``, each
        with ``_low`` and ``_high``.
    queries : int
        Of a session.
    """
    names = context_names(frame.context.unique(), 26)
    figure, axes = grid(len(names), 1.75)
    top = max(frame.bound.replace(np.inf, np.nan).max(), queries)
    for axis, (context, name) in zip(axes, names.items(), strict=True):
        for row in where(frame, context=context).itertuples():
            _time_to_lock(axis, row, 2 * top)
        axis.plot([1, 2 * top], [1, 2 * top], color=LINE, lw=0.8, ls=":")
        axis.set(title=name, xscale="log", yscale="log", xlim=(0.8, 2.2 * top))
        plain_numbers(axis.xaxis)
    # an interval may reach below 0; no lock comes before the first answer
    lowest = max(0.7, 0.7 * frame.time_low.min())
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
    legend(figure, [handle(look, lw=0.6) for look in dict.fromkeys(looks)], ncols=4)
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
def scenarios(frame: "pd.DataFrame") -> "Figure":
    """Draw regret and share of the best LLM before and after a change, by scenario.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``scenario``, ``learner`` (one with ", no lock" is drawn open), ``phase`` (0 or
        1), ``measure`` (regret, share_best), ``value``, ``low``, ``high``.
    """
    names = context_names(frame.scenario.unique(), 34)
    measures = {"regret": "regret per query", "share_best": "queries to the best LLM"}
    height = 0.9 + 0.42 * len(names)
    figure, (axes,) = panels(1, 2 * len(measures), height, sharey=True)
    regret = where(frame, measure="regret")
    for column, (measure, label) in enumerate(measures.items()):
        for phase, when in enumerate(("before", "after")):
            axis = axes[2 * column + phase]
            mine = where(frame, measure=measure, phase=phase)
            _each_learner(axis, mine, rows_of(names))
            axis.set_xlabel(f"{label}\n{when}")
            separate_rows(axis, len(names))
            if measure == "share_best":
                axis.set_xlim(-0.05, 1.05)
            else:
                axis.set_xscale("symlog", linthresh=0.02)
                left = min(-0.005, 1.2 * regret.low.min())
                axis.set_xlim(left, 1.2 * regret.high.max())
                ticks = [0, 0.02, 0.1, 0.5]
                axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    name_rows(axes[0], names.values(), 0.6)
    legend(figure, axis=axes[0], ncols=5)
    return figure


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
