"""How sessions learn: convergence, locking, and speed against being right."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .panels import (
    grid,
    handle,
    interval,
    label_rates,
    legend,
    legend_beside,
    level,
    panels,
    round_ticks,
    where,
)
from .style import (
    GREY,
    INK,
    MARKERS,
    STRATEGIES,
    context_names,
    rate_colours,
    short_names,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Contexts that a legend names one by one; more are counted.
NAMED = 10
#: The context that stands for the mean of all others.
MEAN = "mean"


@styled
def convergence(frame: "pd.DataFrame") -> "Figure":
    """Draw the mean probability of asking the best LLM along a session.

    One panel a context, one line a learning rate.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``context``, ``best``, ``chance``, ``learning_rate``, ``query``,
        ``probability``, ``low``, ``high``.
    """
    names = context_names(frame.context.unique(), 26)
    best = short_names(frame.best.unique(), 24)
    colours = rate_colours(frame.learning_rate)
    figure, axes = grid(len(names), 1.62)
    for axis, (context, name) in zip(axes, names.items(), strict=True):
        here = where(frame, context=context)
        for rate, colour in colours.items():
            part = where(here, learning_rate=rate)
            axis.plot(part["query"], part.probability, color=colour)
            _band(axis, part, colour)
        level(axis, here.chance.iloc[0])
        axis.set_title(f"{name}\nbest: {best[here.best.iloc[0]]}")
        axis.set(xlim=(0, here["query"].max()), ylim=(0, 1))
        ends = here.groupby("learning_rate").probability.last()
        _name_lines(axis, ends.to_dict(), colours)
    figure.supxlabel(
        "queries answered in the session  (dotted: uniform choice; labels: learning"
        " rate; bands: 95 % interval over sessions)",
        fontsize=6.5,
    )
    figure.supylabel("mean probability of the best LLM (named)")
    return figure


def _band(
    axis: "Axes", part: "pd.DataFrame", colour: np.ndarray, step: str | None = None
) -> None:
    look = {"color": colour, "alpha": 0.25, "lw": 0, "step": step}
    axis.fill_between(part["query"], part.low, part.high, **look)


def _name_lines(
    axis: "Axes", ends: dict[float, float], colours: dict[float, np.ndarray]
) -> None:
    """Write each line's learning rate to the right of its end."""
    right = axis.get_xlim()[1]
    groups = _merge(ends, 0.03)
    heights = _spread([end for _, end in groups], 0.085)
    for (rates, end), height in zip(groups, heights, strict=True):
        colour = colours[rates[0]]
        across = [right, 1.035 * right]
        axis.plot(across, [end, height], color=colour, lw=0.4, clip_on=False)
        text = f"{rates[0]:g}"
        if len(rates) > 1:
            text += f" to {rates[-1]:g}"
        look = {"color": colour, "fontsize": 4.8, "va": "center"}
        axis.text(1.045 * right, height, text, **look)


def _merge(ends: dict[float, float], gap: float) -> list[tuple[list[float], float]]:
    """Return ``(rates that share a label, mean end of their lines)``.

    Neighbouring rates share one where their lines end within a gap.
    """
    groups: list[list[float]] = []
    last = np.nan
    for rate in sorted(ends):
        if abs(ends[rate] - last) < gap:
            groups[-1].append(rate)
        else:
            groups.append([rate])
        last = ends[rate]
    return [(rates, float(np.mean([ends[r] for r in rates]))) for rates in groups]


def _spread(positions: Sequence[float], gap: float) -> np.ndarray:
    """Move positions apart until neighbours are at least a gap from each other."""
    order = np.argsort(positions)
    moved = np.array(positions, dtype=float)
    for _ in range(200):
        close = False
        for lower, upper in itertools.pairwise(order):
            lack = gap - (moved[upper] - moved[lower])
            if lack > 1e-9:
                moved[lower] -= lack / 2
                moved[upper] += lack / 2
                close = True
        if not close:
            break
    return moved


@styled
def locking(curves: "pd.DataFrame", outcomes: "pd.DataFrame") -> "Figure":
    """Draw how many sessions are locked by each query, and how many on the best LLM.

    Parameters
    ----------
    curves : pandas.DataFrame
        ``learner``, ``learning_rate``, ``query``, ``locked``, ``low``, ``high``: means
        over contexts of the share locked.
    outcomes : pandas.DataFrame
        ``learner``, ``context``, ``learning_rate``, ``on_best``, ``on_best_low``,
        ``on_best_high``; context "mean" is bold.
    """
    learners = list(curves.learner.unique())
    colours = rate_colours(curves.learning_rate)
    figure, axes = panels(2, len(learners), 4.3, sharey="row")
    shares = outcomes.assign(
        value=outcomes.on_best,
        low=outcomes.on_best_low,
        high=outcomes.on_best_high,
    )
    for (top, bottom), learner in zip(axes.T, learners, strict=True):
        top.set_title(STRATEGIES[learner].name)
        _lock_curves(top, where(curves, learner=learner), colours)
        round_ticks(top.xaxis, 5, curves["query"].to_numpy().max())
        _by_rate(bottom, where(shares, learner=learner))
        bottom.set_ylim(0, 1.02)
    axes[0, 0].set_ylabel("sessions locked\n(mean of contexts)")
    axes[1, 0].set_ylabel("sessions locked on the best LLM")
    legend_beside(axes[0, -1], title="learning rate")
    legend_beside(axes[1, -1])
    return figure


def _lock_curves(
    axis: "Axes", curves: "pd.DataFrame", colours: dict[float, np.ndarray]
) -> None:
    curves = curves.assign(query=curves["query"].clip(lower=1))
    for rate, colour in colours.items():
        part = where(curves, learning_rate=rate)
        axis.step(
            part["query"],
            part.locked,
            where="post",
            color=colour,
            label=f"{rate:g}",
        )
        _band(axis, part, colour, step="post")
    axis.set(xlabel="queries answered", ylim=(0, 1.02), xscale="log")


def _by_rate(axis: "Axes", frame: "pd.DataFrame") -> None:
    """Draw one learner's ``value`` by rate: each context, and their mean in bold."""
    contexts = [name for name in frame.context.unique() if name != MEAN]
    names = context_names(contexts, 20)
    counted = len(contexts) > NAMED
    for place, context in enumerate(contexts):
        part = where(frame, context=context)
        interval(
            axis,
            part.learning_rate,
            part.value,
            part.low,
            part.high,
            linestyle="-",
            lw=0.5,
            elinewidth=0.4,
            ms=2.3,
            color=GREY,
            marker=MARKERS[place % len(MARKERS)],
            label="_each" if counted else names[context],
        )
    mean = where(frame, context=MEAN)
    few = "mean of contexts"
    many = f"mean of {len(contexts)} contexts\n(thin: each)"
    interval(
        axis,
        mean.learning_rate,
        mean.value,
        mean.low,
        mean.high,
        linestyle="-",
        lw=1.6,
        color=STRATEGIES[frame.learner.iloc[0]].colour,
        marker="o",
        label=many if counted else few,
    )
    label_rates(axis, frame.learning_rate)


@styled
def exploration(frame: "pd.DataFrame") -> "Figure":
    """Draw what exploration cost a session, in US cents and seconds, by learning rate.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``learner``, ``context`` (one of them "mean"), ``learning_rate``, ``measure``,
        ``value``, ``low``, ``high``.
    """
    measures = list(frame.measure.unique())
    learners = list(frame.learner.unique())
    figure, axes = panels(len(measures), len(learners), 3.6, sharex=True, sharey="row")
    for row, measure in zip(axes, measures, strict=True):
        here = where(frame, measure=measure)
        for axis, learner in zip(row, learners, strict=True):
            _by_rate(axis, where(here, learner=learner))
            axis.axhline(0, color=INK, lw=0.6)
        row[0].set_ylabel(f"exploration,\n{measure}")
        if here.value.abs().max() < 1e-9:  # rounding is no axis
            row[0].set_ylim(-1, 1)
    for axis, learner in zip(axes[0], learners, strict=True):
        axis.set_title(STRATEGIES[learner].name)
    for axis in axes[:-1].flat:
        axis.set_xlabel("")
    legend_beside(axes[0, -1])
    return figure


@styled
def speed_accuracy(frame: "pd.DataFrame") -> "Figure":
    """Draw queries to lock against the chance of locking on the best LLM.

    A learner's rates are its front. A median beyond the session is no point; its rate
    stands at the right edge.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``context``, ``learner``, ``learning_rate``, ``chance``, ``queries``; ``median``
        and ``on_best``, each with ``_low`` and ``_high``.
    """
    names = context_names(frame.context.unique(), 26)
    figure, axes = grid(len(names), 1.5)
    for axis, (context, name) in zip(axes, names.items(), strict=True):
        here = where(frame, context=context)
        edge = 1.6 * here.queries.iloc[0]
        for learner, part in here.groupby("learner", sort=False):
            _front(axis, str(learner), part.sort_values("learning_rate"), edge)
        level(axis, here.chance.iloc[0])
        axis.set(title=name, xscale="log", ylim=(0, 1.04))
        round_ticks(axis.xaxis, 4, edge * 1.15, most=4)
    figure.supxlabel(
        "median queries to lock (open symbol: beyond the session's end; dotted: chance;"
        " 95 % intervals)",
        fontsize=6.5,
    )
    figure.supylabel("sessions locked on the best LLM")
    looks = [STRATEGIES[learner] for learner in frame.learner.unique()]
    handles = [
        handle(look, f"{look.name} (learning rate at the ends)", lw=0.8)
        for look in looks
    ]
    legend(figure, handles, ncols=2)
    return figure


def _front(axis: "Axes", learner: str, part: "pd.DataFrame", edge: float) -> None:
    _, colour, marker = STRATEGIES[learner]
    inside = part.dropna(subset="median")
    median = inside["median"]
    across = [median - inside.median_low, inside.median_high.fillna(edge) - median]
    upright = [
        inside.on_best - inside.on_best_low,
        inside.on_best_high - inside.on_best,
    ]
    look = {"color": colour, "marker": marker, "ms": 2.6}
    axis.errorbar(
        median,
        inside.on_best,
        xerr=across,
        yerr=upright,
        lw=0.6,
        elinewidth=0.6,
        **look,
    )
    beyond = part[part["median"].isna()]
    (edges,) = axis.plot(
        np.full(len(beyond), edge),
        beyond.on_best,
        mfc="white",
        ls="none",
        clip_on=False,
        **look,
    )
    edges.set_in_layout(False)  # one without a point has no extent
    if len(inside):
        _name_ends(axis, inside, learner == "automaton", colour)


def _name_ends(axis: "Axes", front: "pd.DataFrame", above: bool, colour: str) -> None:
    """Write the learning rate at both ends of a front.

    It stands above them, or beside them; below, where the front runs to the right.
    """
    first = front.iloc[0]
    last = front.iloc[-1]
    same_height = abs(first.on_best - last.on_best) < 0.07
    same_time = 1 / 1.2 < last["median"] / first["median"] < 1.2
    names = {0: f"{first.learning_rate:g}", len(front) - 1: f"{last.learning_rate:g}"}
    if same_height and same_time and len(front) > 1:  # else one on the other
        names = {0: f"{first.learning_rate:g} to {last.learning_rate:g}"}
    for place, text in names.items():
        row = front.iloc[place]
        over = above or row["median"] > 1.2 * first["median"]
        where = (row["median"] if over else row.median_high, row.on_best)
        below_or_above = (0, 4 if above else -9)
        axis.annotate(
            text,
            where,
            below_or_above if over else (4, -1),
            textcoords="offset points",
            fontsize=4.8,
            color=colour,
            ha="center" if over else "left",
            annotation_clip=False,
        )
