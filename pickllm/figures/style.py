"""How every figure looks: sizes, fonts, colours, and the names that a reader sees.

Widths are a journal's: 183 mm for two columns. Colours are Okabe and Ito's (2008), each
with a marker or a label of its own, and rates run along viridis, so that a picture
survives in grey.
"""

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

WIDTH = 183 / 25.4
STYLE: dict[Any, Any] = {
    "font.size": 7,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
    "legend.title_fontsize": 6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.grid": True,
    "grid.linewidth": 0.3,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "figure.labelsize": 7,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "svg.hashsalt": "pickllm",
    "savefig.dpi": 300,
}
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
PINK = "#CC79A7"
VERMILION = "#D55E00"
SKY = "#56B4E9"
BLACK = "#000000"
YELLOW = "#F0E442"
COLOURS = (BLUE, ORANGE, GREEN, PINK, VERMILION, SKY, BLACK, YELLOW)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
#: Lines that guide the eye, and what stands behind the strategies compared.
INK = "#333333"
GREY = "#999999"
PALE = "#eeeeee"


class Look(NamedTuple):
    """What a reader sees of a strategy or an LLM: its name, colour and marker."""

    name: str
    colour: str
    marker: str


class _Looks(dict[str, Look]):
    """Looks by name; one that is not listed, as a learner of one's own, has one too."""

    def __missing__(self, name: str) -> Look:
        return Look(str(name), PINK, "P")


#: How strategies look and read, everywhere.
STRATEGIES = _Looks(
    {
        "automaton": Look("L_R-I automaton", BLUE, "o"),
        "qlearning": Look("Q-learning", VERMILION, "s"),
        "random": Look("random choice", "#777777", "x"),
        "cheapest": Look("cheapest LLM", "#444444", "<"),
        "most expensive": Look("most expensive LLM", "#444444", ">"),
        "best single": Look("best single LLM", BLACK, "D"),
        "oracle": Look("oracle per query", BLACK, "*"),
    }
)
#: How families of learners look beside the paper's two.
FAMILIES = {
    "automata": Look("other automata", GREEN, "^"),
    "bandits": Look("bandits", ORANGE, "v"),
    "identification": Look("best-arm identification, 10 % error", PINK, "D"),
    "own": Look("own learner", BLACK, "P"),
}


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Draw under the kit's style, whatever the caller's."""

    @functools.wraps(function)
    def drawn(*arguments: P.args, **options: P.kwargs) -> R:
        from matplotlib import rc_context

        with rc_context(STYLE):
            return function(*arguments, **options)

    return drawn


def rate_colours(rates: Iterable[float]) -> dict[float, np.ndarray]:
    """Return a colour for each learning rate, dark = slow.

    The lightest end of the map is left out.
    """
    from matplotlib import colormaps

    distinct = sorted(set(rates))
    colours = colormaps["viridis"](np.linspace(0, 0.88, len(distinct)))
    return dict(zip(distinct, colours, strict=True))


def model_looks(models: Iterable[str], longest: int = 30) -> dict[str, Look]:
    """Return the look of each LLM of a pool, by its place in it.

    Beyond the last colour they come again, each with another marker.
    """
    names = short_names(models, longest)
    colours = len(COLOURS)
    return {
        model: Look(
            name,
            COLOURS[place % colours],
            MARKERS[(place + place // colours) % len(MARKERS)],
        )
        for place, (model, name) in enumerate(names.items())
    }


def learner_look(learner: str, family: str) -> Look:
    """Return the look of one of the paper's learners, or of another's family."""
    return STRATEGIES[learner] if family == "paper" else FAMILIES[family]


def context_names(contexts: Iterable[str], longest: int = 30) -> dict[str, str]:
    """Return ``{context: its name as a reader sees it}``, no two alike.

    Examples
    --------
    >>> context_names(["java_js", "rest"])
    {'java_js': 'java js', 'rest': 'rest'}
    """
    return _told_apart(contexts, lambda name: name.replace("_", " "), longest)


def short_names(models: Iterable[str], longest: int = 30) -> dict[str, str]:
    """Return ``{LLM: its name without its date}``, as long as no two are alike.

    Examples
    --------
    >>> short_names(["gpt-4-0613", "command-r-20240830"])
    {'gpt-4-0613': 'gpt-4', 'command-r-20240830': 'command-r'}
    >>> short_names(["gpt-4-0613", "gpt-4-0125"])
    {'gpt-4-0613': 'gpt-4-0613', 'gpt-4-0125': 'gpt-4-0125'}
    """
    date = re.compile(r"[-_](\d{8}|\d{4}-\d{2}-\d{2}|\d{4})(-preview)?$")
    return _told_apart(models, lambda model: date.sub("", model), longest)


def _told_apart(
    names: Iterable[str], shorten: Callable[[str], str], longest: int
) -> dict[str, str]:
    """Shorten names, in full where that is another's too; safe as labels."""
    full = list(dict.fromkeys(map(str, names)))
    shortened = [" ".join(shorten(name).split()) for name in full]
    texts = []
    for name, text in zip(full, shortened, strict=True):
        alone = text and shortened.count(text) == 1
        texts.append(_clip(text if alone else " ".join(name.split()), longest))
    labels = {}
    for place, (name, text) in enumerate(zip(full, texts, strict=True)):
        if texts.count(text) > 1:
            text = f"{text} ({texts[: place + 1].count(text)})"
        labels[name] = _as_label(text)
    return labels


def _clip(text: str, longest: int) -> str:
    """Return a text that is at most so long; a longer one loses its middle."""
    if len(text) <= longest:
        return text
    end = longest - longest // 2
    return f"{text[: longest // 2 - 1]}…{text[-end:]}"


def _as_label(text: str) -> str:
    """Return a text as matplotlib draws it letter by letter.

    A dollar would start mathematics, and a legend leaves out what starts with an
    underscore.
    """
    space = " " if text.startswith("_") else ""
    return space + text.replace("$", r"\$")
