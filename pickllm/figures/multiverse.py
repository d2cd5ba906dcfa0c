"""Every reading, every pool: how often claims hold, and what decides it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .panels import interval, legend, name_rows, panels, rows_of, separate_rows, where
from .style import INK, STRATEGIES, WIDTH, styled

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURES = {
    "locked": "locks",
    "locked_on_best": "locks on\nthe best",
    "cost_vs_random": "cost against\nrandom",
    "latency_vs_random": "latency against\nrandom",
}
EFFECTS = {
    "cost_vs_dearest": "cost against the dearest LLM (%)",
    "latency_vs_random": "latency against random choice (%)",
}


@styled
def multiverse_claims(shares: "pd.DataFrame") -> "Figure":
    """Draw in which share of the worlds each claim holds, a panel for each trace.

    Parameters
    ----------
    shares : pandas.DataFrame
        ``trace``, ``label``, ``learner``, ``share``, ``low``, ``high``.
    """
    traces = list(dict.fromkeys(shares.trace))
    labels = list(dict.fromkeys(shares.label))
    height = 0.8 + 0.19 * len(labels)
    figure, axes = panels(1, len(traces), height, sharey=True)
    rows = rows_of(labels)
    learners = list(dict.fromkeys(shares.learner))
    for axis, trace in zip(axes[0], traces, strict=True):
        for i, learner in enumerate(learners):
            part = where(shares, trace=trace, learner=learner)
            look = STRATEGIES[learner]
            interval(
                axis,
                100 * part.share,
                part.label.map(rows) + 0.13 - 0.26 * i,
                100 * part.low,
                100 * part.high,
                horizontal=True,
                color=look.colour,
                marker=look.marker,
                label=look.name,
            )
        axis.set(title=trace, xlim=(-4, 104), xlabel="worlds in which it holds (%)")
        separate_rows(axis, len(labels))
    name_rows(axes[0, 0], labels)
    legend(figure, axis=axes[0, 0])
    return figure


@styled
def multiverse_curve(curves: "pd.DataFrame", stated: dict[str, float]) -> "Figure":
    """Draw specification curves: sorted effects above, the choices below.

    Parameters
    ----------
    curves : pandas.DataFrame
        See `analysis.worlds.curve`.
    stated : dict of str to float
        By effect, a number that a summary states.
    """
    from matplotlib.figure import Figure

    levels = curves[curves.choice != ""].drop_duplicates(["choice", "level"])
    names = [
        f"{row.choice}: {row.level}".replace("_", " ") for row in levels.itertuples()
    ]
    effects = list(dict.fromkeys(curves.effect))
    figure = Figure(figsize=(WIDTH, 1.9 + 0.15 * len(names)), layout="constrained")
    ratios = [1.5, 0.15 * len(names)]
    axes = figure.subplots(
        2, len(effects), sharex=True, squeeze=False, height_ratios=ratios
    )
    for column, effect in enumerate(effects):
        mine = curves[curves.effect == effect]
        _effects(axes[0, column], mine[mine.choice == ""], stated[effect])
        axes[0, column].set_ylabel(EFFECTS[effect].replace(" against", "\nagainst"))
        often = mine[mine.choice != ""].pivot_table(
            index=["choice", "level"], columns="bin", values="value", sort=False
        )
        axis = axes[1, column]
        axis.imshow(often.to_numpy(), cmap="Greys", vmin=0, vmax=3, aspect="auto")
        shown = names if not column else []
        axis.set_yticks(range(len(names)), shown or [""] * len(names))
        axis.grid(visible=False)
        axis.set(
            xticks=[0, len(often.columns) - 1], xlabel="worlds in order of the effect"
        )
        axis.set_xticklabels(["least", "largest"])
    bar = figure.colorbar(axes[1, 0].images[0], ax=axes[1, :], shrink=0.8)
    bar.set_label("share of worlds,\n1 = as in all")
    return figure


def _effects(axis: "Axes", part: "pd.DataFrame", stated: float) -> None:
    """Draw an effect's sorted worlds with their intervals, and what was stated."""
    x = part.bin.to_numpy()
    axis.fill_between(x, 100 * part.low, 100 * part.high, color=INK, alpha=0.2, lw=0)
    axis.plot(x, 100 * part.value, color=INK)
    axis.axhline(0, color=INK, lw=0.6, ls=":")
    axis.axhline(100 * stated, color=INK, lw=0.8, ls="--")
    axis.annotate(
        f"stated: {100 * stated:.0f} %",
        (x[-1], 100 * stated),
        ha="right",
        va="bottom",
        fontsize="small",
    )


@styled
def multiverse_decides(indices: "pd.DataFrame", words: Mapping[str, str]) -> "Figure":
    """Draw total Sobol' indices of each choice, a panel for each learner.

    Parameters
    ----------
    indices : pandas.DataFrame
        ``learner``, ``measure``, ``choice``, ``total``.
    words : dict of str to str
        What a reader calls a choice, where it is not its name.
    """
    learners = list(dict.fromkeys(indices.learner))
    most = max(len(where(indices, learner=name).choice.unique()) for name in learners)
    figure, axes = panels(1, len(learners), 1.0 + 0.19 * most)
    for axis, learner in zip(axes[0], learners, strict=True):
        table = where(indices, learner=learner).pivot_table(
            index="choice", columns="measure", values="total", sort=False
        )[list(MEASURES)]
        table = table.loc[table.max(axis=1).sort_values(ascending=False).index]
        values = table.clip(0, 1).to_numpy()
        axis.imshow(values, cmap="Greys", vmin=0, vmax=1.2, aspect="auto")
        for i, j in np.ndindex(*values.shape):
            colour = "white" if values[i, j] > 0.6 else INK
            axis.text(
                j,
                i,
                f"{values[i, j]:.2f}",
                ha="center",
                va="center",
                color=colour,
                fontsize="small",
            )
        axis.set_xticks(range(len(MEASURES)), list(MEASURES.values()), fontsize="small")
        names = [words.get(name, name.replace("_", " ")) for name in table.index]
        axis.set_yticks(range(len(table)), names)
        axis.grid(visible=False)
        axis.set_title(STRATEGIES[learner].name)
    return figure
