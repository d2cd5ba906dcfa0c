"""The pool: what each LLM gets right, costs and takes, before any learner asks it."""

from typing import TYPE_CHECKING

import numpy as np

from .panels import (
    from_zero,
    grid,
    handle,
    interval,
    legend,
    legend_columns,
    name_rows,
    panels,
    plain_numbers,
    round_ticks,
    rows_of,
    separate_rows,
    where,
)
from .style import INK, Look, context_names, model_looks, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def pool_outcomes(frame: "pd.DataFrame") -> "Figure":
    """Draw accuracy, cost and latency of every LLM in every context, with intervals.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``context``, ``model``, ``measure`` (accuracy, cost_cents, latency_s,
        latency_p95_s), ``value``, ``low``, ``high``, ``n``.
    """
    looks = model_looks(frame.model.unique())
    names = context_names(frame.context.unique())
    lines = len(looks) // legend_columns(look.name for look in looks.values())
    height = 0.9 + 0.36 * max(1, len(looks) / 5) * len(names) + 0.12 * lines
    figure, ((accuracy, cost, latency),) = panels(1, 3, height, sharey=True)
    rows = rows_of(names)
    measures = {"accuracy": accuracy, "cost_cents": cost, "latency_s": latency}
    for measure, axis in measures.items():
        _each_model(axis, where(frame, measure=measure), rows, looks)
        separate_rows(axis, len(names))
    _percentiles(latency, where(frame, measure="latency_p95_s"), rows, looks)

    name_rows(accuracy, names.values())
    accuracy.set(xlabel="accuracy (share correct)", xlim=(0, 1.02))
    _cost_axis(cost, where(frame, measure="cost_cents"))
    latency.set(xlabel="mean latency (s); tick | = 95th percentile", xscale="log")
    round_ticks(latency.xaxis, *latency.get_xlim())
    legend(figure, axis=accuracy, title="mean and 95 % interval over queries")
    return figure


def _lifts(looks: dict[str, Look]) -> dict[str, float]:
    """Return how far from its row's middle each LLM stands."""
    return dict(zip(looks, np.linspace(0.27, -0.27, len(looks)), strict=True))


def _each_model(
    axis: "Axes", frame: "pd.DataFrame", rows: dict[str, int], looks: dict[str, Look]
) -> None:
    for model, lift in _lifts(looks).items():
        part = where(frame, model=model)
        interval(
            axis,
            part.value,
            part.context.map(rows) + lift,
            part.low,
            part.high,
            horizontal=True,
            color=looks[model].colour,
            marker=looks[model].marker,
            label=looks[model].name,
        )


def _percentiles(
    axis: "Axes", frame: "pd.DataFrame", rows: dict[str, int], looks: dict[str, Look]
) -> None:
    for model, lift in _lifts(looks).items():
        part = where(frame, model=model)
        y = part.context.map(rows) + lift
        axis.plot(part.value, y, "|", ms=5, color=looks[model].colour)


def _cost_axis(axis: "Axes", costs: "pd.DataFrame") -> None:
    axis.set_xlabel("mean cost (US cents per query)")
    if (costs.value > 0).all():
        axis.set_xscale("log")
        round_ticks(axis.xaxis, *axis.get_xlim())
    else:  # nothing has no logarithm
        from_zero(axis, costs.high.max())


@styled
def latency_tail(frame: "pd.DataFrame") -> "Figure":
    """Draw the share of answers slower than a time, per context and LLM.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``context``, ``model``, ``latency_ms``, ``slower``.
    """
    import seaborn

    looks = model_looks(frame.model.unique())
    names = context_names(frame.context.unique(), 26)
    figure, axes = grid(len(names), 1.35)
    for axis, (context, name) in zip(axes, names.items(), strict=True):
        part = where(frame, context=context)
        seaborn.lineplot(
            part.assign(seconds=part.latency_ms / 1000),
            x="seconds",
            y="slower",
            hue="model",
            style="model",
            palette={model: look.colour for model, look in looks.items()},
            markers={model: look.marker for model, look in looks.items()},
            dashes=False,
            markevery=4,
            ms=3.2,
            mec="none",
            estimator=None,
            sort=False,
            legend=False,
            ax=axis,
        )
        axis.set(title=name, xlabel="", ylabel="")
        axis.set(xscale="log", yscale="log", ylim=(0.004, 1.2))
        axis.set_yticks([0.01, 0.1, 1], ["1 %", "10 %", "100 %"])
    round_ticks(axes[0].xaxis, *axes[0].get_xlim())
    figure.supxlabel("latency of an answer (s)")
    figure.supylabel("answers slower than this")
    legend(figure, [handle(look) for look in looks.values()])
    return figure


@styled
def rows_and_summary(frame: "pd.DataFrame") -> "Figure":
    """Hold the sample of a summary against the measured rows.

    Each panel has the rows' value on one axis and the sample's on the other; agreement
    lies on the diagonal.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``context``, ``model``, ``measure``; ``rows`` and ``sample``, each with ``_low``
        and ``_high``.
    """
    measures = list(frame.measure.unique())
    figure, (axes,) = panels(1, len(measures), 1.95)
    looks = model_looks(frame.model.dropna().unique())
    for axis, measure in zip(axes, measures, strict=True):
        part = where(frame, measure=measure)
        for model, look in looks.items():
            _against_rows(axis, where(part, model=model), look)
        _diagonal(axis, part[["rows", "sample"]].to_numpy())
        axis.set(title=measure, xlabel="measured rows")
    axes[0].set_ylabel("sample of the summary")
    legend(figure, axis=axes[0], loc="outside lower center")
    return figure


def _against_rows(axis: "Axes", points: "pd.DataFrame", look: Look) -> None:
    sample = points["sample"]
    across = [points.rows - points.rows_low, points.rows_high - points.rows]
    upright = [sample - points.sample_low, points.sample_high - sample]
    axis.errorbar(
        points.rows,
        sample,
        xerr=np.abs(across),
        yerr=np.abs(upright),
        ls="none",
        marker=look.marker,
        ms=2.5,
        color=look.colour,
        elinewidth=0.5,
        label=look.name,
    )


def _diagonal(axis: "Axes", values: np.ndarray) -> None:
    """Draw where both agree; scales are logarithmic where values span a lot.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    values : (n, 2) array
        Of the rows, and of the sample.
    """
    low = values.min()
    high = values.max()
    if high > low:
        axis.axline((low, low), (high, high), color=INK, lw=0.6, zorder=0)
    if values[:, 0].min() > 0 and high > 8 * low:
        axis.set(xscale="log", yscale="log")
        plain_numbers(axis.xaxis)
        plain_numbers(axis.yaxis)
    else:
        from matplotlib.ticker import MaxNLocator

        axis.xaxis.set_major_locator(MaxNLocator(3))
