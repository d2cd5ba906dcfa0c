"""What the readings and weights of the reward change."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .panels import (
    interval,
    legend,
    panels,
    plain_numbers,
    round_ticks,
    rows_of,
    separate_rows,
    where,
)
from .style import (
    BLUE,
    INK,
    STRATEGIES,
    VERMILION,
    Look,
    context_names,
    model_looks,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Share of resamples above which an LLM is drawn as a sure winner.
SURE = 0.95


@styled
def reward_shape(frame: "pd.DataFrame") -> "Figure":
    """Draw each reading against latency, for right and wrong, cheap and dear answers.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``form``, ``answer``, ``latency_ms``, ``raw``.
    """
    import seaborn

    forms = list(frame.form.unique())
    answers = list(frame.answer.unique())
    colours = (BLUE, BLUE, VERMILION, VERMILION)
    dashes: Any = ("", (4, 1.5), (1, 1), (4, 1, 1, 1))
    figure, (axes,) = panels(1, len(forms), 1.9)
    for axis, form in zip(axes, forms, strict=True):
        part = where(frame, form=form)
        seaborn.lineplot(
            part.assign(seconds=part.latency_ms / 1000),
            x="seconds",
            y="raw",
            hue="answer",
            style="answer",
            palette=dict(zip(answers, colours, strict=False)),
            dashes=dict(zip(answers, dashes, strict=False)),
            estimator=None,
            ax=axis,
        )
        axis.get_legend().remove()
        axis.axhline(0, color=INK, lw=0.5)
        axis.set(title=form, xlabel="", ylabel="", xscale="log")
        ticks = [0.2, 0.5, 1, 2, 5, 10]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.xaxis.set_minor_formatter("")
    axes[0].set_ylabel("raw reward")
    figure.supxlabel("latency (s)")
    legend(figure, axis=axes[0], ncols=4)
    return figure


@styled
def weights(
    frame: "pd.DataFrame", marks: Mapping[str, float], pool: Sequence[str] = ()
) -> "Figure":
    """Draw which LLM has the highest mean reward for which weight of cost.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``form``, ``context``, ``w_cost``, ``w_cost_to``, ``model``, ``certain`` (share
        of resamples in which it wins).
    marks : dict of str to float
        The study's settings of the weight, by name.
    pool : sequence of str
        All LLMs, so that each keeps its colour and a name of its own; without it, those
        that win.
    """
    forms = list(frame.form.unique())
    names = context_names(frame.context.unique())
    looks = model_looks(pool or frame.model.unique())
    height = 0.95 + 0.3 * len(names)
    figure, (axes,) = panels(1, len(forms), height, sharey=True, sharex=True)
    for axis, form in zip(axes, forms, strict=True):
        for context, row in rows_of(names).items():
            here = where(frame, form=form, context=context)
            _winners(axis, row, here, looks)
        for value in marks.values():
            axis.axvline(value, color="#222222", lw=0.7, ls=":")
        axis.set(title=form, xscale="log")
        axis.set_xlim(frame.w_cost.min(), frame.w_cost_to.max())
        plain_numbers(axis.xaxis)
        axis.grid(visible=False)
    axes[0].set_yticks(range(len(names)), list(names.values())[::-1])
    settings = ", ".join(f"{name} {value:g}" for name, value in marks.items())
    figure.supxlabel(
        f"weight of cost $w_c$ (per US cent; $w_a = w_l = 1$; dotted: {settings};"
        f" thin: wins in < {100 * SURE:g} % of resamples)",
        fontsize=6.2,
    )
    _legend_of_winners(figure, looks, set(frame.model))
    return figure


def _legend_of_winners(
    figure: "Figure", looks: dict[str, Look], winners: set[str]
) -> None:
    from matplotlib.patches import Patch

    letters = _letters(looks)
    handles = [
        Patch(color=look.colour, label=f"{letters[model]}  {look.name}")
        for model, look in looks.items()
        if model in winners
    ]
    legend(figure, handles)


def _letters(looks: dict[str, Look]) -> dict[str, str]:
    return {model: chr(ord("A") + place) for place, model in enumerate(looks)}


def _winners(
    axis: "Axes", row: int, here: "pd.DataFrame", looks: dict[str, Look]
) -> None:
    """Draw a context's winners as bars along the weight, with a letter on each run."""
    axis.barh(
        row,
        here.w_cost_to - here.w_cost,
        left=here.w_cost,
        height=np.where(here.certain >= SURE, 0.8, 0.36),
        color=[looks[model].colour for model in here.model],
        lw=0,
    )
    letters = _letters(looks)
    changes = here.model != here.model.shift()
    for _, run in here.groupby(changes.cumsum()):
        left = run.w_cost.iloc[0]
        right = run.w_cost_to.iloc[-1]
        if right / left > 1.8:  # wide enough for a letter
            axis.text(
                np.sqrt(left * right),
                row,
                letters[run.model.iloc[0]],
                ha="center",
                va="center",
                fontsize=5.5,
                color="white",
                fontweight="bold",
            )


@styled
def readings(frame: "pd.DataFrame") -> "Figure":
    """Draw the chance of the best LLM and the time to lock, by open point changed.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``variant``, ``learner``, ``context`` (one of them "mean", drawn large);
        ``on_best`` and ``median``, each with ``_low`` and ``_high``.
    """
    variants = list(frame.variant.unique())
    figure, ((share, time),) = panels(1, 2, 0.8 + 0.36 * len(variants), sharey=True)
    for axis, measure in ((share, "on_best"), (time, "median")):
        for lift, learner in zip((0.17, -0.17), frame.learner.unique(), strict=True):
            here = where(frame, learner=learner)
            y = here.variant.map(rows_of(variants)) + lift
            _contexts_and_mean(axis, here.assign(y=y), measure, STRATEGIES[learner])
        separate_rows(axis, len(variants))
    share.set(xlabel="sessions locked on the best LLM", xlim=(0, 1))
    share.set_yticks(range(len(variants)), variants[::-1])
    time.set_xlabel("median queries to lock (where within the session)")
    time.set_xscale("log")
    round_ticks(time.xaxis, *time.get_xlim())
    legend(figure, axis=share, ncols=2)
    return figure


def _contexts_and_mean(
    axis: "Axes", here: "pd.DataFrame", measure: str, look: Look
) -> None:
    each = here[here.context != "mean"]
    small = {"marker": look.marker, "ms": 2, "color": look.colour, "alpha": 0.35}
    axis.plot(each[measure], each.y, ls="none", **small)
    mean = where(here, context="mean")
    interval(
        axis,
        mean[measure],
        mean.y,
        mean[f"{measure}_low"],
        mean[f"{measure}_high"],
        horizontal=True,
        color=look.colour,
        marker=look.marker,
        ms=4.5,
        label=f"{look.name}: mean of contexts; small: each context",
    )
