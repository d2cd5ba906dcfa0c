"""The paper's loop as a drawing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .style import GREY, INK, WIDTH, model_looks, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: A point of the drawing, or a size: to the right and up, in millimetres.
Pair = tuple[float, float]

SHADE = "#f2f2f2"
#: Where the learner's arrows to the LLMs start, and where the LLMs' boxes stand.
LEARNER_EDGE = (84, 40)
POOL_LEFT, POOL_WIDTH, POOL_TOP = 108, 32, 53.5


@styled
def overview(pool: Sequence[str]) -> "Figure":
    """Draw the loop: query, learner, one LLM of the pool, outcome, reward, learner."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 2.25))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, 183), ylim=(0, 57))
    axis.axis("off")
    _session(axis)
    asked = _pool(axis, pool)
    _reward(axis, asked)
    return figure


def _session(axis: "Axes") -> None:
    """Draw where queries come from, the learner, and where a session ends."""
    _box(axis, (3, 31), (25, 15), "session of queries\nfrom one context")
    _arrow(axis, (28, 38.5), (45.4, 38.5))
    _note(axis, (36.5, 41), "query")
    updates = (
        "learner\n"
        r"automaton: $p_i \leftarrow p_i + b\,r\,(1-p_i)$"
        "\n"
        r"Q-learning: $Q_i \leftarrow Q_i + \alpha\,(r-Q_i)$"
    )
    _box(axis, (46, 27), (38, 23), updates, fill=SHADE, fontsize=6)
    locked = (
        "locked: one LLM for the\nrest of the session\n"
        "(max $p \\geq 0.99$, or greedy\nLLM unchanged 100 queries)"
    )
    _box(axis, (3, 3), (32, 17), locked, fill=SHADE, fontsize=5.6)
    _arrow(axis, (46, 29), (35.6, 17))
    _note(axis, (33, 25.5), "converged")


def _pool(axis: "Axes", pool: Sequence[str]) -> float:
    """Draw every LLM, of which one is asked; return the height of that one."""
    step = min(10.4, 39.2 / (len(pool) - 0.23))
    height = 0.77 * step
    chosen = min(1, len(pool) - 1)
    asked = 0.0
    for place, look in enumerate(model_looks(pool, 24).values()):
        bottom = POOL_TOP - place * step - height
        middle = bottom + height / 2
        letters = min(6, 1.2 * step, 144 / len(look.name))
        _box(
            axis,
            (POOL_LEFT, bottom),
            (POOL_WIDTH, height),
            look.name,
            colour=look.colour,
            fontsize=letters,
        )
        end = (POOL_LEFT - 0.6, middle)
        if place == chosen:
            _arrow(axis, LEARNER_EDGE, end)
            asked = middle
        else:
            across, up = zip(LEARNER_EDGE, end, strict=True)
            axis.plot(across, up, color=GREY, lw=0.5, ls=(0, (2, 2)))
    _note(axis, (93, 54), "one LLM is asked,\nonly its answer is seen")
    return asked


def _reward(axis: "Axes", asked: float) -> None:
    """Draw the way back: outcome, raw reward, unit reward, update."""
    outcome = "outcome\naccuracy $a$\ncost $c$, latency $l$"
    _box(axis, (156, 28), (24, 15), outcome)
    _arrow(axis, (POOL_LEFT + POOL_WIDTH + 0.6, asked), (155.4, 36.5))
    ratio = r"$\dfrac{w_a a - w_c c}{w_l \log_{10}(l)\,/\,t}$"
    _box(axis, (POOL_LEFT, 3), (54, 10), f"raw reward, ratio reading: {ratio}")
    _arrow(axis, (168, 27.4), (162.6, 8), connectionstyle="arc3,rad=-0.35")
    unit = "unit reward $r \\in [0, 1]$\nby bounds declared beforehand"
    _box(axis, (46, 3), (38, 10), unit, fontsize=6)
    _arrow(axis, (107.4, 8), (84.6, 8))
    _arrow(axis, (65, 13.6), (65, 26.4))
    _note(axis, (71.5, 20), "update")


def _box(
    axis: "Axes",
    corner: Pair,
    size: Pair,
    text: str,
    colour: str = INK,
    fill: str = "white",
    fontsize: float = 6.5,
) -> None:
    from matplotlib.patches import FancyBboxPatch

    round_corners = "round,pad=0,rounding_size=1.6"
    axis.add_patch(
        FancyBboxPatch(
            corner, *size, boxstyle=round_corners, ec=colour, fc=fill, lw=0.9
        )
    )
    middle = (corner[0] + size[0] / 2, corner[1] + size[1] / 2)
    _note(axis, middle, text, fontsize=fontsize, linespacing=1.35)


def _arrow(axis: "Axes", start: Pair, end: Pair, **style: Any) -> None:
    from matplotlib.patches import FancyArrowPatch

    shape = {"arrowstyle": "-|>", "mutation_scale": 7, "shrinkA": 0, "shrinkB": 0}
    axis.add_patch(FancyArrowPatch(start, end, color=INK, lw=0.9, **shape, **style))


def _note(axis: "Axes", middle: Pair, text: str, **style: Any) -> None:
    style = {"fontsize": 6, "linespacing": 1.3} | style
    axis.text(*middle, text, ha="center", va="center", **style)
