"""One setting, and one live session."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .panels import handle, legend, name_rows, panels, plain_numbers, where
from .style import (
    BLACK,
    STRATEGIES,
    Look,
    model_looks,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What a session costs, takes and gets right: panel of the table -> title.
TOTALS = {
    "cost_cents": "cost of a session (US cents)",
    "latency_s": "mean latency (s)",
    "accuracy": "mean accuracy",
}


@styled
def variant(frame: "pd.DataFrame", note: str = "", quick: bool = False) -> "Figure":
    """Draw one setting: how it converges, and its sessions beside every control.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``panel``, ``series``, ``x``, ``value``, ``low``, ``high``, ``best``: as
        `pickllm.study.variant.numbers` gives.
    note : str
        At the foot of the picture.
    quick : bool
        Leave out the automatic layout, for a picture that is redrawn while a reader
        moves a control.
    """
    figure, ((paths, curve, locks), totals) = panels(
        2, 3, 4.4, layout=None if quick else "constrained"
    )
    if quick:
        figure.subplots_adjust(
            left=0.135, right=0.985, top=0.88, bottom=0.09, wspace=0.85, hspace=0.5
        )
    locked_on = where(frame, panel="locked_on")
    looks = STRATEGIES | model_looks(locked_on.series)
    for router in ("automaton", "qlearning"):
        looks[router] = Look(STRATEGIES[router].name, BLACK, "o")
    best_told = dict(looks)
    for model in locked_on.series[locked_on.best]:
        best_told[model] = looks[model]._replace(name=f"{looks[model].name} (best)")

    _paths(paths, where(frame, panel="probability"), best_told)
    _curve(curve, where(frame, panel="locked"))
    _dots(locks, locked_on, best_told)
    locks.set(title="sessions locked on it (share)", xlim=(-0.02, 1.02))
    for axis, (panel, title) in zip(totals, TOTALS.items(), strict=True):
        part = where(frame, panel=panel)
        _dots(axis, part, looks)
        axis.set_title(title)
        axis.axvline(part.value.iloc[0], color="#bbbbbb", lw=0.6, zorder=0)
    totals[0].set_xlim(left=0)
    place = "upper center" if quick else "outside upper center"
    legend(figure, axis=paths, loc=place, ncols=min(len(locked_on), 5))
    at_foot = {"ha": "right", "va": "bottom", "fontsize": 7, "weight": "bold"}
    figure.text(0.99, 0.005, note, color="#b03000", **at_foot)
    return figure


def _paths(axis: "Axes", frame: "pd.DataFrame", looks: Mapping[str, Look]) -> None:
    for place, (model, part) in enumerate(frame.groupby("series", sort=False)):
        look = looks[str(model)]
        axis.plot(
            part.x,
            part.value,
            color=look.colour,
            marker=look.marker,
            ms=3,
            markevery=(3 * place, 12),
            label=look.name,
        )
        axis.fill_between(
            part.x, part.low, part.high, color=look.colour, alpha=0.2, lw=0
        )
    axis.set(title="probability of asking each LLM", xlabel="queries answered")
    axis.set_ylim(-0.02, 1.02)


def _curve(axis: "Axes", part: "pd.DataFrame") -> None:
    axis.step(part.x, part.value, where="post", color=BLACK)
    band = {"step": "post", "color": BLACK, "alpha": 0.15, "lw": 0}
    axis.fill_between(part.x, part.low, part.high, **band)
    axis.set(title="share of sessions locked", xlabel="queries answered")
    axis.set_ylim(-0.02, 1.02)


def _dots(axis: "Axes", part: "pd.DataFrame", looks: Mapping[str, Look]) -> None:
    """Draw one row a series: its value, and its interval where it has one.

    Artists are few, since a panel redraws them.
    """
    mine = [looks[series] for series in part.series]
    name_rows(axis, [look.name for look in mine], 0.6)
    rows = np.arange(len(part))[::-1]
    for row, value, look in zip(rows, part.value, mine, strict=True):
        axis.plot([value], [row], color=look.colour, marker=look.marker, ms=4)
    axis.hlines(
        rows,
        part.low.fillna(part.value),
        part.high.fillna(part.value),
        colors=[look.colour for look in mine],
        lw=0.8,
    )


@styled
def live(frame: "pd.DataFrame") -> "Figure":
    """Draw a live session so far: probabilities, and what calls and router took.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``query``, ``model`` (that answered), ``latency_ms``, ``router_us``, and a
        column ``p NAME`` for each LLM of the router.
    """
    models = [column[2:] for column in frame if column.startswith("p ")]
    figure, ((left, right),) = panels(1, 2, 2.3)
    looks = model_looks(models)
    for model, look in looks.items():
        mine = where(frame, model=model)
        symbol = {"marker": look.marker, "ms": 2.2, "color": look.colour}
        line = {"color": look.colour, "label": look.name, "zorder": 3}
        left.plot(frame["query"], frame[f"p {model}"], **line)
        left.plot(mine["query"], mine[f"p {model}"], ls="none", **symbol)
        right.plot(mine["query"], mine.latency_ms, ls="none", **symbol)
    router = Look("the router itself", "#777777", ".")
    symbol = {"marker": router.marker, "ms": 2.2, "color": router.colour}
    right.plot(frame["query"], frame.router_us / 1000, ls="none", **symbol)
    left.set_xlabel("queries answered  (markers: the LLM that answered)")
    left.set(ylabel="probability", ylim=(-0.03, 1.03))
    right.set(xlabel="queries answered", ylabel="time (ms)", yscale="log")
    plain_numbers(right.yaxis)
    handles = [handle(look) for look in looks.values()]
    handles.append(handle(router, ls="none"))
    legend(figure, handles, loc="outside lower center", ncols=5)
    return figure
