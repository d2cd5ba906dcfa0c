"""What sessions cost, take and get right, whoever routes them."""

from typing import TYPE_CHECKING

from .panels import (
    from_zero,
    interval,
    legend,
    name_rows,
    panels,
    plain_numbers,
    rows_of,
    separate_rows,
    where,
)
from .style import STRATEGIES, context_names, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: How far from its row's middle a router stands; controls stand on it.
LIFTS = {"automaton": 0.17, "qlearning": -0.17}
#: Controls drawn as full symbols.
FULL = ("random", "oracle")


@styled
def session_measure(frame: "pd.DataFrame", label: str, log: bool = False) -> "Figure":
    """Draw one measure of a session, by strategy, context and weight setting.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``weights`` (columns), ``context`` (rows), ``learner``, ``value``, ``low``,
        ``high``.
    label : str
        Of the measure.
    log : bool
        Draw it on a logarithmic axis, where all values are above 0.
    """
    settings = list(frame.weights.unique())
    names = context_names(frame.context.unique())
    log = log and bool((frame.value > 0).all())
    if log:
        label = label.replace("; 95 %", ", log scale; 95 %")
    height = 0.95 + 0.34 * len(names)
    figure, (axes,) = panels(1, len(settings), height, sharey=True, sharex=True)
    for axis, weights in zip(axes, settings, strict=True):
        _each_strategy(axis, where(frame, weights=weights))
        axis.set_title(weights)
        if log:
            axis.set_xscale("log")
            plain_numbers(axis.xaxis)
        elif frame.value.min() == 0:
            from_zero(axis, max(frame.high.max(), frame.value.max()))
        separate_rows(axis, len(names))
    name_rows(axes[0], names.values(), 0.6)
    figure.supxlabel(label)
    legend(figure, axis=axes[0], ncols=4)
    return figure


def _each_strategy(axis: "Axes", frame: "pd.DataFrame") -> None:
    """Draw the known strategies in their own order, then those of one's own."""
    rows = rows_of(frame.context.unique())
    present = list(frame.learner.unique())
    known = [name for name in STRATEGIES if name in present]
    own = [name for name in present if name not in STRATEGIES]
    for name in known + own:
        look = STRATEGIES[name]
        part = where(frame, learner=name)
        router = name in LIFTS
        full = router or name in FULL
        interval(
            axis,
            part.value,
            part.context.map(rows) + LIFTS.get(name, 0.0),
            part.low,
            part.high,
            horizontal=True,
            color=look.colour,
            marker=look.marker,
            label=look.name,
            ms=4 if router else 3.2,
            mfc=look.colour if full else "white",
            mew=0.7,
            zorder=3 if router else 2,
        )
