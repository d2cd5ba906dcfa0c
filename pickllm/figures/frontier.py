"""Accuracy against what is paid for it, as the weight of cost sweeps."""

from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np

from .panels import handle, legend, panels, round_ticks, where
from .style import BLACK, GREY, INK, PALE, STRATEGIES, Look, short_names, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

PAID = {"cents": "cost of a query (US cents)", "seconds": "latency of a query (s)"}


@styled
def frontier(
    routers: "pd.DataFrame", hulls: "pd.DataFrame", single: "pd.DataFrame"
) -> "Figure":
    """Draw routers at each weight of cost, beside what can be reached without learning.

    Each LLM is a letter, which the legend names.

    Parameters
    ----------
    routers : pandas.DataFrame
        ``learner``, ``w_cost``, ``measure``, ``value``, ``low``, ``high``.
    hulls : pandas.DataFrame
        ``measure`` (what is paid), ``paid``, ``accuracy``.
    single : pandas.DataFrame
        ``measure``, ``model``, ``paid``, ``accuracy``.
    """
    figure, axes = panels(1, len(PAID), 3.1, sharey=True)
    learners = list(dict.fromkeys(routers.learner))
    for axis, (measure, label) in zip(axes[0], PAID.items(), strict=True):
        corners = where(hulls, measure=measure)
        paid = np.geomspace(corners.paid.min(), corners.paid.max(), 200)
        height = np.interp(paid, corners.paid, corners.accuracy)
        axis.plot(paid, height, color=BLACK, lw=0.8)
        axis.margins(y=0.12)
        _llms(axis, where(single, measure=measure))
        for learner in learners:
            _router(axis, where(routers, learner=learner), measure, STRATEGIES[learner])
        axis.set_xlabel(label)
        if measure == "cents":
            axis.set_xscale("log")
            least, most = single.paid[single.measure == measure].agg(["min", "max"])
            round_ticks(axis.xaxis, 0.8 * min(least, paid[0]), 1.25 * most)
    axes[0, 0].set_ylabel("accuracy (mean over contexts)")
    line = handle(Look("most that a query-blind router reaches", BLACK, ""))
    chance = handle(Look("random choice", INK, "*"), ms=6, lw=0)
    names = [handle(STRATEGIES[name], ms=4) for name in learners]
    legend(figure, [*names, line, chance], ncols=4)
    legend(figure, _letters(single), ncols=4, loc="outside lower center")
    return figure


def _letters(single: "pd.DataFrame") -> "list[Line2D]":
    """Return legend entries that say which letter is which LLM."""
    models = [name for name in dict.fromkeys(single.model) if name != "random choice"]
    names = short_names(models)
    return [
        handle(Look(names[model], INK, f"${letter}$"), ms=4, lw=0)
        for letter, model in zip(ascii_lowercase, models, strict=False)
    ]


def _llms(axis: "Axes", single: "pd.DataFrame") -> None:
    """Draw each LLM alone by its letter, and random choice."""
    chance = single[single.model == "random choice"]
    llms = single[single.model != "random choice"]
    axis.plot(llms.paid, llms.accuracy, "o", color=PALE, mec=GREY, ms=7, zorder=1)
    for letter, row in zip(ascii_lowercase, llms.itertuples(), strict=False):
        place = row.paid, row.accuracy
        axis.text(*place, letter, ha="center", va="center_baseline", fontsize=5)
    axis.plot(chance.paid, chance.accuracy, "*", color=INK, ms=7, zorder=3)


def _router(axis: "Axes", mine: "pd.DataFrame", paid: str, look: Look) -> None:
    """Draw one router over its weights, with both intervals."""
    x = where(mine, measure=paid).sort_values("w_cost")
    y = where(mine, measure="accuracy").sort_values("w_cost")
    across = [x.value - x.low, x.high - x.value]
    upright = [y.value - y.low, y.high - y.value]
    axis.errorbar(
        x.value,
        y.value,
        xerr=np.array(across),
        yerr=np.array(upright),
        color=look.colour,
        marker=look.marker,
        ms=3,
        lw=0.8,
        elinewidth=0.6,
        zorder=2,
    )
    for end in (0, -1):
        axis.annotate(
            f"{x.w_cost.iloc[end]:g}",
            (x.value.iloc[end], y.value.iloc[end]),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=5,
            color=look.colour,
        )
