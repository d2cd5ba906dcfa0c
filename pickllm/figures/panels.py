"""Pieces that figures share: panels, intervals, rows of names, ticks and legends."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from .style import INK, PALE, WIDTH, Look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


def where(frame: "pd.DataFrame", **values: Any) -> "pd.DataFrame":
    """Return the rows in which each of these columns has its value.

    Examples
    --------
    >>> import pandas as pd
    >>> where(pd.DataFrame({"a": [1, 1, 2], "b": [3, 4, 4]}), a=1, b=4).index.tolist()
    [1]
    """
    for column, value in values.items():
        frame = cast("pd.DataFrame", frame[frame[column] == value])
    return frame


def panels(
    rows: int,
    columns: int,
    height: float,
    layout: Literal["constrained"] | None = "constrained",
    **options: Any,
) -> tuple["Figure", np.ndarray]:
    """Return a figure of two columns' width, and its axes by row and column.

    Parameters
    ----------
    rows, columns : int
    height : float
        Of the whole figure, in inches.
    layout : {"constrained", None}
        Who places the panels: matplotlib, or nobody.
    **options
        To `Figure.subplots`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout=layout)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def grid(count: int, height: float, columns: int = 4) -> tuple["Figure", list["Axes"]]:
    """Return a figure of panels that share both axes, and the panels in order.

    Parameters
    ----------
    count : int
        Of panels.
    height : float
        Of one row, in inches.
    columns : int
        At most so many beside each other.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    figure, axes = panels(rows, columns, 0.55 + height * rows, sharex=True, sharey=True)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:count])


def interval(
    axis: "Axes",
    x: Any,
    y: Any,
    low: Any,
    high: Any,
    horizontal: bool = False,
    **look: Any,
) -> None:
    """Draw estimates with their intervals, across where `horizontal`, else upright."""
    estimate = np.asarray(x if horizontal else y)
    error = np.abs([estimate - low, high - estimate])
    which = "xerr" if horizontal else "yerr"
    look = {"linestyle": "none", "ms": 3, "elinewidth": 0.8} | look
    axis.errorbar(x, y, **{which: error}, **look)


def rows_of(names: Iterable[str]) -> dict[str, int]:
    """Return ``{name: its place on a y axis}``, the first on top."""
    return {name: place for place, name in enumerate(reversed(list(names)))}


def name_rows(axis: "Axes", labels: Iterable[str], margin: float = 0.5) -> None:
    """Name the rows of a y axis, the first on top, and leave a margin at both ends."""
    texts = list(labels)[::-1]
    axis.set_yticks(range(len(texts)), texts)
    axis.set_ylim(-margin, len(texts) - 1 + margin)


def separate_rows(axis: "Axes", count: int) -> None:
    """Draw a pale line between neighbouring rows, instead of a grid through them."""
    axis.grid(axis="y", visible=False)
    for row in range(count - 1):
        axis.axhline(row + 0.5, color=PALE, lw=0.5, zorder=0)


def from_zero(axis: "Axes", high: float) -> None:
    """Let an x axis start at 0, also where there is nothing above it."""
    high = high if high > 0 else 1.0
    axis.set_xlim(-0.04 * high, 1.04 * high)


def plain_numbers(which: "XAxis | YAxis") -> None:
    """Write numbers instead of powers of ten on a logarithmic axis."""
    which.set_major_formatter(lambda value, _: f"{value:,.10g}")


def round_ticks(which: "XAxis | YAxis", low: float, high: float, most: int = 6) -> None:
    """Bound a logarithmic axis, with ticks at 1, 2 and 5 times powers of ten.

    Parameters
    ----------
    which : matplotlib.axis.Axis
        ``axes.xaxis`` or ``axes.yaxis``.
    low, high : float
    most : int
        Ticks, for which some of these steps are left out.
    """
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = np.outer(decades, steps).ravel()
        ticks = ticks[(ticks >= low) & (ticks <= high)]
        if len(ticks) <= most:
            break
    if len(ticks) < 2:
        from matplotlib.ticker import MaxNLocator

        ticks = np.array(MaxNLocator(4).tick_values(low, high))
        ticks = ticks[(ticks >= low) & (ticks <= high)]
    which.set_ticks(ticks, labels=[f"{tick:,.10g}" for tick in ticks])
    which.axes.set(**{f"{which.axis_name}lim": (low, high)})
    which.set_minor_formatter("")


def label_rates(axis: "Axes", rates: Iterable[float]) -> None:
    """Let a logarithmic x axis show just these learning rates."""
    ticks = sorted(set(rates))
    axis.set(xscale="log", xlabel="learning rate")
    axis.set_xticks(ticks, [f"{rate:g}" for rate in ticks])
    axis.minorticks_off()


def handle(look: Look, name: str | None = None, **options: Any) -> "Line2D":
    """Return a legend's entry for a look, under another name if one is given."""
    from matplotlib.lines import Line2D

    look_of_line = {"color": look.colour, "marker": look.marker, "ms": 3} | options
    return Line2D([], [], label=name or look.name, **look_of_line)


def legend_columns(names: Iterable[str], width: int = 118) -> int:
    """Return how many names stand beside each other in a figure's legend."""
    lengths = [len(name) for name in names]
    fitting = width // (max(lengths, default=1) + 8)
    return max(1, min(len(lengths), 4, fitting))


def legend(
    figure: "Figure",
    handles: Sequence[Any] | None = None,
    axis: "Axes | None" = None,
    **options: Any,
) -> None:
    """Put a legend over a figure, of handles or of what one of its axes shows."""
    if axis is not None:
        handles = axis.get_legend_handles_labels()[0]
    assert handles is not None
    labels = [str(one.get_label()) for one in handles]
    options = {"loc": "outside upper center", "ncols": legend_columns(labels)} | options
    figure.legend(handles, labels, **options)


def legend_beside(axis: "Axes", **options: Any) -> None:
    """Put a legend to the right of an axis."""
    place = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "labelspacing": 0.2}
    axis.legend(**place, **options)


def level(axis: "Axes", height: float) -> None:
    """Draw a dotted level, such as chance, across a panel."""
    axis.axhline(height, color=INK, lw=0.6, ls=":")
