"""The claims: what was stated, what was measured, and the verdict."""

from typing import TYPE_CHECKING

import numpy as np

from .panels import interval, legend, panels, where
from .style import BLACK, GREEN, GREY, INK, ORANGE, PINK, VERMILION, Look, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Units of changes and differences, which share an axis.
CHANGES = ("%", "points")
VERDICTS = {
    "reproduced": Look("measured: reproduced", GREEN, "o"),
    "partly": Look("measured: partly", ORANGE, "s"),
    "inconclusive": Look("measured: inconclusive", GREY, "D"),
    "not informative": Look("measured: random choice has it too", PINK, "P"),
    "not reproduced": Look("measured: not reproduced", VERMILION, "X"),
}


@styled
def claims(frame: "pd.DataFrame") -> "Figure":
    """Draw each claimed change: as stated, as measured with its interval, the verdict.

    Parameters
    ----------
    frame : pandas.DataFrame
        As ``claims.csv``; rows measured in percent or points are drawn. The interval
        for queries like these is the thin line.
    """
    changes = frame[frame.measured.notna() & frame.unit.isin(CHANGES)]
    part = changes.iloc[::-1].reset_index(drop=True)
    figure, ((axis,),) = panels(1, 1, 0.6 + 0.165 * len(part))
    for verdict, look in VERDICTS.items():
        mine = where(part, verdict=verdict)
        if len(mine):
            ends = mine.low_queries, mine.high_queries
            axis.hlines(mine.index, *ends, color=look.colour, lw=0.7)
            interval(
                axis,
                mine.measured,
                mine.index,
                mine.low,
                mine.high,
                horizontal=True,
                color=look.colour,
                marker=look.marker,
                ms=4,
                label=look.name,
            )
    stated = part[part.paper_value.notna()]
    axis.plot(
        stated.paper_value,
        stated.index,
        "|",
        ms=7,
        mew=1.6,
        color=BLACK,
        label="stated by a summary of the paper",
    )
    axis.axvline(0, color=INK, lw=0.6)
    figure.supxlabel(
        "change against the baseline (%), or percentage points where the row says so;"
        " symmetric log scale beyond 100"
    )
    axis.set_xscale("symlog", linthresh=100, linscale=2)
    ticks = [-100, -50, 0, 50, 100, 1000]
    axis.set_xticks(ticks, [f"{tick:+,}" if tick else "0" for tick in ticks])
    names = part.id + np.where(part.unit == "points", " (points)", "")
    axis.set_yticks(part.index, names, fontsize=5.2)
    axis.set_ylim(-0.7, len(part) - 0.3)
    axis.grid(axis="y", visible=False)
    legend(figure, axis=axis, ncols=4)
    return figure
