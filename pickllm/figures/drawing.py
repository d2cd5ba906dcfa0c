"""Figures: a table in, a figure out. The table is what is drawn, and is saved beside the picture.

No statistic is computed here: every estimate comes with its interval in columns ``low`` and ``high``.
Widths are a journal's: 89 mm for one column, 183 mm for two. Colours are Okabe and Ito's (2008) with a
marker or a label of their own, and rates run along viridis, so that each picture survives in grey.
"""

import os
import re

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..files import root, write_csv, written
import itertools

ONE_COLUMN, TWO_COLUMNS = 89 / 25.4, 183 / 25.4
FORMATS = ("svg", "pdf", "png")
_STYLE = {
    "font.size": 7,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "legend.fontsize": 6,
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
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "svg.hashsalt": "pickllm",
    "savefig.dpi": 300,
}
_COLOURS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#56B4E9",
    "#000000",
    "#F0E442",
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_NAMED = 10  # contexts that a legend names one by one


class _Looks(dict):
    """Label, colour and marker by name; one that is not listed, as a learner of one's own, has a look all the same."""

    def __missing__(self, name):
        return str(name), _COLOURS[3], "P"


#: How strategies look and read, everywhere.
STRATEGIES = _Looks(
    {
        "automaton": ("L_R-I automaton", _COLOURS[0], "o"),
        "qlearning": ("Q-learning", _COLOURS[4], "s"),
        "random": ("random choice", "#777777", "x"),
        "cheapest": ("cheapest LLM", "#444444", "<"),
        "most expensive": ("most expensive LLM", "#444444", ">"),
        "best single": ("best single LLM", "#000000", "D"),
        "oracle": ("oracle per query", "#000000", "*"),
    }
)


def contextual(names, longest=30):
    """``{context: its name as a reader sees it}``, no two alike.

    Examples
    --------
    >>> contextual(["java_js", "rest"])
    {'java_js': 'java js', 'rest': 'rest'}
    """
    return _told_apart(names, lambda name: name.replace("_", " "), longest)


def short(models, longest=30):
    """``{LLM: its name without its date}``, as long as each stays readable and no two are alike.

    Examples
    --------
    >>> short(["gpt-4-0613", "command-r-20240830"]), short(["gpt-4-0613", "gpt-4-0125"])
    ({'gpt-4-0613': 'gpt-4', 'command-r-20240830': 'command-r'}, {'gpt-4-0613': 'gpt-4-0613', 'gpt-4-0125': 'gpt-4-0125'})
    """
    return _told_apart(
        models,
        lambda model: re.sub(
            r"[-_](\d{8}|\d{4}-\d{2}-\d{2}|\d{4})(-preview)?$", "", model
        ),
        longest,
    )


def _told_apart(names, shown, longest):
    """Each name as `shown`, in full where that is another's too; long ones lose their middle; safe as a label."""
    names = list(dict.fromkeys(map(str, names)))
    first = [" ".join(shown(name).split()) for name in names]
    texts = [
        text if first.count(text) == 1 and text else " ".join(name.split())
        for name, text in zip(names, first, strict=True)
    ]
    clipped = [
        (
            text
            if len(text) <= longest
            else f"{text[: longest // 2 - 1]}…{text[-(longest - longest // 2) :]}"
        )
        for text in texts
    ]
    numbered = [
        text if clipped.count(text) == 1 else f"{text} ({clipped[: i + 1].count(text)})"
        for i, text in enumerate(clipped)
    ]
    # a dollar would start mathematics, and a legend leaves out what starts with an
    # underscore
    return {
        name: (" " if text.startswith("_") else "") + text.replace("$", r"\$")
        for name, text in zip(names, numbered, strict=True)
    }


def _axes(rows, columns, height, width=TWO_COLUMNS, layout="constrained", **options):
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout=layout)
        axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, axes


def styled(function):
    """Draw under the kit's style, whatever the caller's."""
    import functools

    @functools.wraps(function)
    def drawn(*arguments, **options):
        with mpl.rc_context(_STYLE):
            return function(*arguments, **options)

    return drawn


def save(figure, name, numbers, folder, run=None):
    """Write a figure as SVG, PDF and PNG, and the table of what it shows as CSV.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    name : str
    numbers : pandas.DataFrame
        Exactly what is drawn; this is what `verify` compares.
    folder : path
    run : str, optional
        The run's id, written into the files' metadata.

    Returns
    -------
    list of str
        The files, relative to the checkout where they lie in it.
    """
    folder = root() / folder
    os.environ.setdefault(
        "SOURCE_DATE_EPOCH", "0"
    )  # no date of the day in a file that is compared
    note = f"pickllm run {run}" if run else "pickllm"
    metadata = {
        "svg": {"Date": None, "Creator": "pickllm", "Description": note},
        "pdf": {
            "CreationDate": None,
            "ModDate": None,
            "Creator": "pickllm",
            "Producer": "matplotlib",
            "Subject": note,
        },
        "png": {"Software": "pickllm", "Description": note},
    }
    with mpl.rc_context(_STYLE):
        _lay_out(figure)
        for form in FORMATS:
            with written(folder / f"{name}.{form}", "wb") as file:
                figure.savefig(file, format=form, metadata=metadata[form])
    write_csv(folder / f"{name}.csv", numbers)
    return [
        os.path.relpath(folder / f"{name}.{ending}", root())
        for ending in (*FORMATS, "csv")
    ]


def _lay_out(figure):
    """Place everything once, not once a format."""
    if figure.get_layout_engine():
        figure.get_layout_engine().set(w_pad=0.05, h_pad=0.05)
        figure.set_dpi(
            _STYLE["savefig.dpi"]
        )  # small letters are wider in print than on a coarse screen
        figure.draw_without_rendering()
        figure.draw_without_rendering()  # a second pass settles labels that the first one moved
        figure.set_layout_engine("none")


def shown(saved):
    """Return the last PNG among saved files, for a notebook to display."""
    from IPython.display import Image

    path = [name for name in saved if name.endswith(".png")][-1]
    return Image(filename=str(root() / path), width=920)


def glance(figure):
    """Return a figure as a notebook shows it while it grows; no file is written."""
    import io

    from IPython.display import Image

    file = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(file, format="png", dpi=130)
    return Image(data=file.getvalue(), width=920)


def _interval(axis, x, y, low, high, horizontal=False, **look):
    error = np.abs(
        np.array(
            [
                np.asarray(x if horizontal else y) - low,
                high - np.asarray(x if horizontal else y),
            ]
        )
    )
    look = {"linestyle": "none", "ms": 3, "elinewidth": 0.8, "capsize": 0} | look
    return axis.errorbar(x, y, **{"xerr" if horizontal else "yerr": error}, **look)


def _spread(positions, gap):
    """Move positions apart, in order, until neighbours are at least a gap from each other."""
    order = np.argsort(positions)
    moved = np.array(positions, dtype=float)
    for _ in range(200):
        close = False
        for a, b in itertools.pairwise(order):
            lack = gap - (moved[b] - moved[a])
            if lack > 1e-9:
                moved[a] -= lack / 2
                moved[b] += lack / 2
                close = True
        if not close:
            break
    return moved


def _merged(ends, gap):
    """``{(rates that belong together): mean end}``: neighbouring rates whose lines end within a gap share a label."""
    merged = []
    for rate, end in sorted(ends.items()):
        if merged and abs(end - merged[-1][1][-1]) < gap:
            merged[-1][0].append(rate)
            merged[-1][1].append(end)
        else:
            merged.append(([rate], [end]))
    return {tuple(rates): float(np.mean(values)) for rates, values in merged}


def _plain(axis, which="x"):
    """Numbers instead of powers of ten on a logarithmic axis."""
    getattr(axis, f"{which}axis").set_major_formatter(
        mpl.ticker.FuncFormatter(lambda v, _: f"{v:,.10g}")
    )


def _round_ticks(axis, low, high, at_most=6):
    """Ticks at 1, 2 and 5 times powers of ten on a logarithmic x axis, only where there is something to read."""
    decades = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [
            s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high
        ]
        if len(ticks) <= at_most:
            break
    if len(ticks) < 2:  # all within one step
        ticks = [
            t
            for t in mpl.ticker.MaxNLocator(4).tick_values(low, high)
            if low <= t <= high
        ]
    axis.set_xticks(ticks, [f"{t:,.10g}" for t in ticks])
    axis.set_xlim(low, high)
    axis.xaxis.set_minor_formatter("")


def _from_nothing(axis, high):
    """An x axis from 0, also where there is nothing above it."""
    high = high if high > 0 else 1.0
    axis.set_xlim(-0.04 * high, 1.04 * high)


def _columns(labels, width=118):
    """As many legend columns as labels of this length stand beside each other in a two-column figure."""
    return max(1, min(len(labels), 4, width // (max(map(len, labels), default=1) + 8)))


def _rates(values):
    """Return a colour for each learning rate, dark = slow; the lightest end of the map is left out."""
    values = sorted(set(values))
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.88, len(values)))
    return dict(zip(values, colours, strict=True))


def _model_looks(models):
    n = len(_COLOURS)  # beyond which colours come again, each with another marker
    return {
        m: (_COLOURS[i % n], _MARKERS[(i + i // n) % n]) for i, m in enumerate(models)
    }


@styled
def overview(pool, numbers):
    """Return the paper's loop, drawn: query -> learner -> one LLM of the pool -> outcome -> reward -> learner."""
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    figure = Figure(figsize=(TWO_COLUMNS, 2.25))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, 183), ylim=(0, 57))
    axis.axis("off")
    looks, shown = _model_looks(pool), short(pool, 24)
    step = min(10.4, 39.2 / (len(pool) - 0.23))

    def box(x, y, w, h, text, colour="#333333", fill="white", **style):
        axis.add_patch(
            FancyBboxPatch(
                (x, y),
                w,
                h,
                boxstyle="round,pad=0,rounding_size=1.6",
                ec=colour,
                fc=fill,
                lw=0.9,
            )
        )
        axis.text(
            x + w / 2,
            y + h / 2,
            text,
            ha="center",
            va="center",
            **{"fontsize": 6.5, "linespacing": 1.35} | style,
        )

    def arrow(start, end, text=None, at=None, **style):
        axis.add_patch(
            FancyArrowPatch(
                start,
                end,
                arrowstyle="-|>",
                mutation_scale=7,
                lw=0.9,
                color="#333333",
                shrinkA=0,
                shrinkB=0,
                **style,
            )
        )
        if text:
            axis.text(*at, text, fontsize=6, ha="center", va="center", linespacing=1.3)

    box(3, 31, 25, 15, "session of queries\nfrom one context")
    box(
        46,
        27,
        38,
        23,
        "learner\nautomaton: $p_i \\leftarrow p_i + b\\,r\\,(1-p_i)$\nQ-learning: $Q_i"
        " \\leftarrow Q_i + \\alpha\\,(r-Q_i)$",
        fill="#f2f2f2",
        fontsize=6,
    )
    for i, model in enumerate(pool):
        y = 53.5 - (i + 0.77) * step
        box(
            108,
            y,
            32,
            0.77 * step,
            shown[model],
            colour=looks[model][0],
            fontsize=min(6, 1.2 * step, 144 / len(shown[model])),
        )
        if i == 1 or len(pool) == 1:
            arrow((84, 40), (107.4, y + 0.385 * step))
            asked = y + 0.385 * step
        else:
            axis.plot(
                [84, 107.4],
                [40, y + 0.385 * step],
                color="#bbbbbb",
                lw=0.5,
                ls=(0, (2, 2)),
            )
    arrow((28, 38.5), (45.4, 38.5), "query", (36.5, 41))
    axis.text(
        93,
        54,
        "one LLM is asked,\nonly its answer is seen",
        fontsize=6,
        ha="center",
        va="center",
    )
    box(156, 28, 24, 15, "outcome\naccuracy $a$\ncost $c$, latency $l$")
    arrow((140.6, asked), (155.4, 36.5))
    box(
        108,
        3,
        54,
        8,
        "raw reward, ratio reading: $\\dfrac{w_a a - w_c c}{w_l"
        " \\log_{10}(l)\\,/\\,t}$",
        fontsize=6.5,
    )
    axis.patches[-1].set_height(10)
    axis.texts[-1].set_y(8)
    arrow((168, 27.4), (162.6, 8), connectionstyle="arc3,rad=-0.35")
    box(
        46,
        3,
        38,
        10,
        "unit reward $r \\in [0, 1]$\nby bounds declared beforehand",
        fontsize=6,
    )
    arrow((107.4, 8), (84.6, 8))
    arrow((65, 13.6), (65, 26.4), "update", (71.5, 20))
    box(
        3,
        3,
        32,
        17,
        "locked: one LLM for the\nrest of the session\n(max $p \\geq 0.99$, or"
        " greedy\nLLM unchanged 100 queries)",
        fontsize=5.6,
        fill="#f2f2f2",
    )
    arrow((46, 29), (35.6, 17), "converged", (33, 25.5))
    return figure


@styled
def pool_outcomes(frame):
    """Accuracy, cost and latency of every LLM in every context, with intervals.

    ``frame``: context, model, measure (accuracy, cost_cents, latency_s, latency_p95_s),
    value, low, high, n.
    """
    contexts, models = (
        list(dict.fromkeys(frame.context)),
        list(dict.fromkeys(frame.model)),
    )
    looks, shown, named = _model_looks(models), short(models), contextual(contexts)
    each = 0.36 * max(1, len(models) / 5)
    free = not (frame[frame.measure == "cost_cents"].value > 0).all()
    figure, ((a, b, c),) = _axes(
        1,
        3,
        0.9 + each * len(contexts) + 0.12 * (len(models) // _columns(shown.values())),
        sharey=True,
    )
    y = {k: i for i, k in enumerate(reversed(contexts))}
    offset = dict(zip(models, np.linspace(0.27, -0.27, len(models)), strict=True))
    for measure, axis in (("accuracy", a), ("cost_cents", b), ("latency_s", c)):
        for model in models:
            part = frame[(frame.measure == measure) & (frame.model == model)]
            colour, marker = looks[model]
            _interval(
                axis,
                part.value,
                part.context.map(y) + offset[model],
                part.low,
                part.high,
                horizontal=True,
                color=colour,
                marker=marker,
                label=shown[model],
            )
    for model in models:
        part = frame[(frame.measure == "latency_p95_s") & (frame.model == model)]
        c.plot(
            part.value,
            part.context.map(y) + offset[model],
            ls="none",
            marker="|",
            ms=5,
            color=looks[model][0],
        )
    a.set(
        xlabel="accuracy (share correct)",
        xlim=(0, 1.02),
        yticks=range(len(contexts)),
        yticklabels=[named[k] for k in reversed(contexts)],
        ylim=(-0.5, len(contexts) - 0.5),
    )
    b.set(
        xlabel="mean cost (US cents per query)", xscale="linear" if free else "log"
    )  # nothing has no logarithm
    (
        _round_ticks(b, *b.get_xlim())
        if not free
        else _from_nothing(b, frame[frame.measure == "cost_cents"].high.max())
    )
    c.set(xlabel="mean latency (s); tick | = 95th percentile", xscale="log")
    _round_ticks(c, *c.get_xlim())
    for axis in (a, b, c):
        axis.grid(axis="y", visible=False)
        for i in range(len(contexts) - 1):
            axis.axhline(i + 0.5, color="#eeeeee", lw=0.5, zorder=0)
    handles, labels = a.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper center",
        ncols=_columns(labels),
        title="mean and 95 % interval over queries",
        title_fontsize=6,
    )
    return figure


@styled
def latency_tail(frame):
    """Share of answers slower than a time, per context and LLM: ``context, model, latency_ms, slower``."""
    contexts, models = (
        list(dict.fromkeys(frame.context)),
        list(dict.fromkeys(frame.model)),
    )
    looks, shown, named = _model_looks(models), short(models), contextual(contexts, 26)
    figure, axes = _grid(len(contexts), 1.35)
    for axis, context in zip(axes, contexts, strict=True):
        for model in models:
            part = frame[(frame.context == context) & (frame.model == model)]
            axis.plot(
                part.latency_ms / 1000,
                part.slower,
                color=looks[model][0],
                label=shown[model],
            )
            axis.plot(
                part.latency_ms.iloc[::4] / 1000,
                part.slower.iloc[::4],
                color=looks[model][0],
                marker=looks[model][1],
                ms=2.2,
                ls="none",
            )
        axis.set(title=named[context], xscale="log", yscale="log", ylim=(0.004, 1.2))
        axis.set_yticks([0.01, 0.1, 1], ["1 %", "10 %", "100 %"])
    _round_ticks(axes[0], *axes[0].get_xlim())
    figure.supxlabel("latency of an answer (s)", fontsize=7)
    figure.supylabel("answers slower than this", fontsize=7)
    handles = [
        mpl.lines.Line2D(
            [], [], color=looks[m][0], marker=looks[m][1], ms=3, label=shown[m]
        )
        for m in models
    ]
    figure.legend(
        handles=handles, loc="outside upper center", ncols=_columns(shown.values())
    )
    return figure


def _grid(n, height, columns=4, **options):
    columns = min(columns, n)
    rows = -(-n // columns)
    figure, axes = _axes(
        rows, columns, 0.55 + height * rows, sharex=True, sharey=True, **options
    )
    for axis in axes.flat[n:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:n])


@styled
def rows_and_summary(frame):
    """Return the sample of a summary held against the measured rows.

    ``frame``: context, model, measure, rows, rows_low, rows_high, sample, sample_low,
    sample_high. Each panel has the rows' value on one axis and the sample's on the
    other; agreement lies on the diagonal.
    """
    measures = list(dict.fromkeys(frame.measure))
    figure, axes = _axes(1, len(measures), 1.95)
    models = list(dict.fromkeys(frame.model.dropna()))
    looks, shown = _model_looks(models), short(models)
    for axis, measure in zip(axes[0], measures, strict=True):
        part = frame[frame.measure == measure]
        for model, points in part.groupby("model", sort=False):
            colour, marker = looks[model]
            axis.errorbar(
                points.rows,
                points["sample"],
                xerr=np.abs(
                    [points.rows - points.rows_low, points.rows_high - points.rows]
                ),
                yerr=np.abs(
                    [
                        points["sample"] - points.sample_low,
                        points.sample_high - points["sample"],
                    ]
                ),
                ls="none",
                marker=marker,
                ms=2.5,
                color=colour,
                elinewidth=0.5,
                label=shown[model],
            )
        ends = np.array(
            [part[["rows", "sample"]].min().min(), part[["rows", "sample"]].max().max()]
        )
        if ends[1] > ends[0]:
            axis.axline(
                (ends[0], ends[0]),
                (ends[1], ends[1]),
                color="#333333",
                lw=0.6,
                zorder=0,
            )
        if part.rows.min() > 0 and ends[1] > 8 * ends[0]:
            axis.set(xscale="log", yscale="log")
            _plain(axis, "x")
            _plain(axis, "y")
        else:
            axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(3))
        axis.set(title=measure, xlabel="measured rows")
    axes[0][0].set_ylabel("sample of the summary")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=_columns(labels))
    return figure


@styled
def convergence(frame):
    """Mean probability of asking the best LLM along a session, for each learning rate and context.

    ``frame``: context, best, chance, learning_rate, query, probability, low, high.
    """
    contexts = list(dict.fromkeys(frame.context))
    colours, named, best = (
        _rates(frame.learning_rate),
        contextual(contexts, 26),
        short(frame.best.unique(), 24),
    )
    figure, axes = _grid(len(contexts), 1.62)
    for axis, context in zip(axes, contexts, strict=True):
        here = frame[frame.context == context]
        ends = {}
        for rate, part in here.groupby("learning_rate"):
            axis.plot(part["query"], part.probability, color=colours[rate])
            axis.fill_between(
                part["query"],
                part.low,
                part.high,
                color=colours[rate],
                alpha=0.25,
                lw=0,
            )
            ends[rate] = part.probability.iloc[-1]
        axis.axhline(here.chance.iloc[0], color="#333333", lw=0.6, ls=":")
        axis.set(
            title=f"{named[context]}\nbest: {best[here.best.iloc[0]]}", ylim=(0, 1)
        )
        last = here["query"].max()
        axis.set_xlim(0, last)
        labels = _merged(ends, 0.03)
        for (rates, end), y in zip(
            labels.items(), _spread(list(labels.values()), 0.085), strict=True
        ):
            axis.plot(
                [last, 1.035 * last],
                [end, y],
                color=colours[rates[0]],
                lw=0.4,
                clip_on=False,
            )
            text = (
                f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g} to {rates[-1]:g}"
            )
            axis.text(
                1.045 * last,
                y,
                text,
                color=colours[rates[0]],
                fontsize=4.8,
                va="center",
            )
    figure.supxlabel(
        "queries answered in the session  (dotted: uniform choice; labels: learning"
        " rate; bands: 95 % interval over sessions)",
        fontsize=6.5,
    )
    figure.supylabel("mean probability of the best LLM (named)", fontsize=7)
    return figure


@styled
def locking(curves, outcomes):
    """Top: share of sessions locked by each query (Kaplan and Meier). Bottom: locked on the best LLM, by rate.

    ``curves``: learner, learning_rate, query, locked, low, high (mean over contexts).
    ``outcomes``: learner, context, learning_rate, on_best, on_best_low, on_best_high; context "mean" is bold.
    """
    learners = list(dict.fromkeys(curves.learner))
    colours = _rates(curves.learning_rate)
    everywhere = [c for c in dict.fromkeys(outcomes.context) if c != "mean"]
    named, few = contextual(everywhere, 20), len(everywhere) <= _NAMED
    figure, axes = _axes(2, len(learners), 4.3, sharey="row")
    for (top, bottom), learner in zip(axes.T, learners, strict=True):
        for rate, part in curves[curves.learner == learner].groupby("learning_rate"):
            top.plot(
                part["query"].clip(lower=1),
                part.locked,
                color=colours[rate],
                drawstyle="steps-post",
                label=f"{rate:g}",
            )
            top.fill_between(
                part["query"].clip(lower=1),
                part.low,
                part.high,
                color=colours[rate],
                alpha=0.25,
                lw=0,
                step="post",
            )
        top.set(
            title=STRATEGIES[learner][0],
            xlabel="queries answered",
            ylim=(0, 1.02),
            xscale="log",
        )
        _round_ticks(top, 5, curves["query"].max())
        here = outcomes[outcomes.learner == learner]
        contexts = [c for c in dict.fromkeys(here.context) if c != "mean"]
        for number, context in enumerate(contexts):
            part = here[here.context == context]
            _interval(
                bottom,
                part.learning_rate,
                part.on_best,
                part.on_best_low,
                part.on_best_high,
                linestyle="-",
                lw=0.5,
                elinewidth=0.4,
                color="#999999",
                marker=_MARKERS[number % len(_MARKERS)],
                ms=2.2,
                label=named[context] if few else "_each",
            )
        part = here[here.context == "mean"]
        _interval(
            bottom,
            part.learning_rate,
            part.on_best,
            part.on_best_low,
            part.on_best_high,
            linestyle="-",
            lw=1.6,
            color=STRATEGIES[learner][1],
            marker="o",
            label=(
                "mean of contexts"
                if few
                else f"mean of {len(contexts)} contexts\n(thin: each)"
            ),
        )
        rates = sorted(here.learning_rate.unique())
        bottom.set(xscale="log", xlabel="learning rate", ylim=(0, 1.02))
        bottom.set_xticks(rates, [f"{r:g}" for r in rates])
        bottom.minorticks_off()
    axes[0, 0].set_ylabel("sessions locked\n(mean of contexts)")
    axes[1, 0].set_ylabel("sessions locked on the best LLM")
    axes[0, -1].legend(
        title="learning rate",
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        title_fontsize=6,
        labelspacing=0.2,
    )
    axes[1, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5), labelspacing=0.2)
    return figure


def _name_ends(axis, front, above, colour):
    """The learning rate at both ends of a front: above them, or beside them (below, where the front runs to the right)."""
    if front.empty:
        return
    first, last = front.iloc[0], front.iloc[-1]
    names = [(first, f"{first.learning_rate:g}"), (last, f"{last.learning_rate:g}")]
    if (
        abs(first.on_best - last.on_best) < 0.07
        and 1 / 1.2 < last["median"] / first["median"] < 1.2
    ):  # two labels would stand on each other
        names = (
            [(first, f"{first.learning_rate:g} to {last.learning_rate:g}")]
            if len(front) > 1
            else names[:1]
        )
    for row, text in names:
        if above or row["median"] > 1.2 * first["median"]:
            where, offset, side = (
                (row["median"], row.on_best),
                (0, 4 if above else -9),
                "center",
            )
        else:
            where, offset, side = (row.median_high, row.on_best), (4, -1), "left"
        axis.annotate(
            text,
            where,
            offset,
            textcoords="offset points",
            fontsize=4.8,
            color=colour,
            ha=side,
            annotation_clip=False,
        )


@styled
def speed_accuracy(frame):
    """Return the front of the learning rate: queries to lock against the chance of locking on the best LLM.

    ``frame``: context, learner, learning_rate, median, median_low, median_high, on_best, on_best_low, on_best_high,
    chance, queries. A median beyond the session is not drawn as a point; its rate stands at the right edge.
    """
    contexts = list(dict.fromkeys(frame.context))
    named = contextual(contexts, 26)
    figure, axes = _grid(len(contexts), 1.5)
    for axis, context in zip(axes, contexts, strict=True):
        here = frame[frame.context == context]
        edge = 1.6 * here.queries.iloc[0]
        for learner, part in here.groupby("learner", sort=False):
            _, colour, marker = STRATEGIES[learner]
            part = part.sort_values("learning_rate")
            inside = part[part["median"].notna()]
            axis.errorbar(
                inside["median"],
                inside.on_best,
                xerr=[
                    inside["median"] - inside.median_low,
                    (inside.median_high.fillna(edge)) - inside["median"],
                ],
                yerr=[
                    inside.on_best - inside.on_best_low,
                    inside.on_best_high - inside.on_best,
                ],
                color=colour,
                marker=marker,
                ms=2.6,
                lw=0.6,
                elinewidth=0.6,
            )
            beyond = part[part["median"].isna()]
            (edges,) = axis.plot(
                np.full(len(beyond), edge),
                beyond.on_best,
                color=colour,
                marker=marker,
                mfc="white",
                ms=2.6,
                ls="none",
                clip_on=False,
            )
            edges.set_in_layout(False)  # one without a point has no extent
            _name_ends(axis, inside, learner == "automaton", colour)
        axis.axhline(here.chance.iloc[0], color="#333333", lw=0.6, ls=":")
        axis.set(title=named[context], xscale="log", ylim=(0, 1.04))
        _round_ticks(axis, 4, edge * 1.15, at_most=4)
    figure.supxlabel(
        "median queries to lock (open symbol: beyond the session's end; dotted: chance;"
        " 95 % intervals)",
        fontsize=6.5,
    )
    figure.supylabel("sessions locked on the best LLM", fontsize=7)
    handles = [
        mpl.lines.Line2D(
            [],
            [],
            color=c,
            marker=m,
            ms=3,
            lw=0.8,
            label=f"{n} (learning rate at the ends)",
        )
        for n, c, m in (STRATEGIES[k] for k in dict.fromkeys(frame.learner))
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


@styled
def session_measure(frame, label, log=False):
    """One measure of a session for every strategy, context (rows) and weight setting (columns).

    ``frame``: weights, context, learner, value, low, high.
    """
    weights, contexts = (
        list(dict.fromkeys(frame.weights)),
        list(dict.fromkeys(frame.context)),
    )
    named, log = (
        contextual(contexts),
        log and (frame.value > 0).all(),
    )  # nothing has no logarithm
    label = label.replace("; 95 %", ", log scale; 95 %") if log else label
    figure, axes = _axes(
        1, len(weights), 0.95 + 0.34 * len(contexts), sharey=True, sharex=True
    )
    y = {k: i for i, k in enumerate(reversed(contexts))}
    names = [k for k in STRATEGIES if k in set(frame.learner)] + [
        k for k in dict.fromkeys(frame.learner) if k not in STRATEGIES
    ]
    for axis, weight in zip(axes[0], weights, strict=True):
        here = frame[frame.weights == weight]
        for name in names:
            text, colour, marker = STRATEGIES[name]
            part = here[here.learner == name]
            router = name in ("automaton", "qlearning")
            lift = {"automaton": 0.17, "qlearning": -0.17}.get(name, 0.0)
            _interval(
                axis,
                part.value,
                part.context.map(y) + lift,
                part.low,
                part.high,
                horizontal=True,
                color=colour,
                marker=marker,
                label=text,
                ms=4 if router else 3.2,
                mfc=colour if router or name in ("random", "oracle") else "white",
                mew=0.7,
                zorder=3 if router else 2,
            )
        axis.set(title=weight, xscale="log" if log else "linear")
        if log:
            _plain(axis)
        elif frame.value.min() == 0:
            _from_nothing(axis, max(frame.high.max(), frame.value.max()))
        axis.grid(axis="y", visible=False)
        for i in range(len(contexts) - 1):
            axis.axhline(i + 0.5, color="#eeeeee", lw=0.5, zorder=0)
    axes[0][0].set(
        yticks=range(len(contexts)),
        yticklabels=[named[k] for k in reversed(contexts)],
        ylim=(-0.6, len(contexts) - 0.4),
    )
    figure.supxlabel(label, fontsize=7)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


@styled
def exploration(frame):
    """Return what exploration cost a session, in US cents and seconds, by learning rate: learner, context, learning_rate, measure, value, low, high."""
    measures = list(dict.fromkeys(frame.measure))
    learners = list(dict.fromkeys(frame.learner))
    contexts = [c for c in dict.fromkeys(frame.context) if c != "mean"]
    named, few = contextual(contexts, 20), len(contexts) <= _NAMED
    figure, axes = _axes(len(measures), len(learners), 3.6, sharex=True, sharey="row")
    for row, measure in zip(axes, measures, strict=True):
        for axis, learner in zip(row, learners, strict=True):
            here = frame[(frame.measure == measure) & (frame.learner == learner)]
            for number, (context, part) in enumerate(
                here.groupby("context", sort=False)
            ):
                bold = context == "mean"
                _interval(
                    axis,
                    part.learning_rate,
                    part.value,
                    part.low,
                    part.high,
                    linestyle="-",
                    lw=1.6 if bold else 0.5,
                    elinewidth=0.5,
                    ms=2.4,
                    color=STRATEGIES[learner][1] if bold else "#999999",
                    marker="o" if bold else _MARKERS[number % len(_MARKERS)],
                    label=(
                        (
                            "mean of contexts"
                            if few
                            else f"mean of {len(contexts)} contexts\n(thin: each)"
                        )
                        if bold
                        else named[context]
                        if few
                        else "_each"
                    ),
                )
            axis.axhline(0, color="#333333", lw=0.6)
            rates = sorted(here.learning_rate.unique())
            axis.set(xscale="log")
            axis.set_xticks(rates, [f"{r:g}" for r in rates])
            axis.minorticks_off()
        row[0].set_ylabel(f"exploration,\n{measure}")
        if (
            frame[frame.measure == measure].value.abs().max() < 1e-9
        ):  # rounding is no axis
            row[0].set_ylim(-1, 1)
    for axis, learner in zip(axes[0], learners, strict=True):
        axis.set_title(STRATEGIES[learner][0])
    for axis in axes[-1]:
        axis.set_xlabel("learning rate")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5), labelspacing=0.2)
    return figure


@styled
def weights(frame, marks, pool=None):
    """Which LLM has the highest mean reward for which weight of cost, per context and reading.

    ``frame``: form, context, w_cost, w_cost_to, model, certain (share of resamples in which it wins).
    ``marks``: name -> w_cost of the study's settings. ``pool``: all LLMs, so that each keeps its colour and a name of its own.
    """
    forms, contexts = (
        list(dict.fromkeys(frame.form)),
        list(dict.fromkeys(frame.context)),
    )
    winners = (
        list(dict.fromkeys(frame.sort_values("order").model))
        if "order" in frame
        else list(dict.fromkeys(frame.model))
    )
    models = list(pool) if pool is not None else winners
    looks, shown, named = _model_looks(models), short(models), contextual(contexts)
    figure, axes = _axes(
        1, len(forms), 0.95 + 0.3 * len(contexts), sharey=True, sharex=True
    )
    for axis, form in zip(axes[0], forms, strict=True):
        for row, context in enumerate(reversed(contexts)):
            for cell in frame[
                (frame.form == form) & (frame.context == context)
            ].itertuples():
                colour = looks[cell.model][0]
                axis.barh(
                    row,
                    cell.w_cost_to - cell.w_cost,
                    left=cell.w_cost,
                    height=0.8 if cell.certain >= 0.95 else 0.36,
                    color=colour,
                    lw=0,
                )
            part = frame[(frame.form == form) & (frame.context == context)]
            runs = part.groupby((part.model != part.model.shift()).cumsum())
            for _, run in runs:
                left, right = run.w_cost.iloc[0], run.w_cost_to.iloc[-1]
                if right / left > 1.8:
                    axis.text(
                        np.sqrt(left * right),
                        row,
                        chr(65 + models.index(run.model.iloc[0])),
                        ha="center",
                        va="center",
                        fontsize=5.5,
                        color="white",
                        fontweight="bold",
                    )
        for name, value in marks.items():
            axis.axvline(value, color="#222222", lw=0.7, ls=":")
        axis.set(
            title=form, xscale="log", xlim=(frame.w_cost.min(), frame.w_cost_to.max())
        )
        _plain(axis)
        axis.grid(visible=False)
    axes[0][0].set(
        yticks=range(len(contexts)), yticklabels=[named[k] for k in reversed(contexts)]
    )
    figure.supxlabel(
        "weight of cost $w_c$ (per US cent; $w_a = w_l = 1$; dotted: "
        + ", ".join(f"{k} {v:g}" for k, v in marks.items())
        + "; thin: wins in < 95 % of resamples)",
        fontsize=6.2,
    )
    handles = [
        mpl.patches.Patch(color=looks[m][0], label=f"{chr(65 + i)}  {shown[m]}")
        for i, m in enumerate(models)
        if m in winners
    ]
    figure.legend(
        handles=handles, loc="outside upper center", ncols=_columns(shown.values())
    )
    return figure


@styled
def readings(frame):
    """Return what the readings change: the chance of the best LLM, and the time to lock, per variant and context.

    ``frame``: variant, learner, context, on_best(+_low, _high), median(+_low, _high); context "mean" is bold.
    """
    variants = list(dict.fromkeys(frame.variant))
    learners = list(dict.fromkeys(frame.learner))
    figure, axes = _axes(1, 2, 0.8 + 0.36 * len(variants), sharey=True)
    y = {k: i for i, k in enumerate(reversed(variants))}
    for axis, measure, label in zip(
        axes[0],
        ("on_best", "median"),
        (
            "sessions locked on the best LLM",
            "median queries to lock (where within the session)",
        ),
        strict=True,
    ):
        for lift, learner in zip((0.17, -0.17), learners, strict=True):
            text, colour, marker = STRATEGIES[learner]
            here = frame[frame.learner == learner]
            each = here[here.context != "mean"]
            axis.plot(
                each[measure],
                each.variant.map(y) + lift,
                ls="none",
                marker=marker,
                ms=2,
                color=colour,
                alpha=0.35,
            )
            part = here[here.context == "mean"]
            _interval(
                axis,
                part[measure],
                part.variant.map(y) + lift,
                part[f"{measure}_low"],
                part[f"{measure}_high"],
                horizontal=True,
                color=colour,
                marker=marker,
                ms=4.5,
                label=f"{text}: mean of contexts; small: each context",
            )
        axis.set(xlabel=label)
        axis.grid(axis="y", visible=False)
        for i in range(len(variants) - 1):
            axis.axhline(i + 0.5, color="#eeeeee", lw=0.5, zorder=0)
    axes[0][0].set(
        yticks=range(len(variants)), yticklabels=list(reversed(variants)), xlim=(0, 1)
    )
    axes[0][1].set(xscale="log")
    _round_ticks(axes[0][1], *axes[0][1].get_xlim())
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


@styled
def reward_shape(frame):
    """Return the three readings against latency for a right and a wrong answer, cheap and dear.

    ``frame``: form, answer, latency_ms, raw.
    """
    forms, answers = list(dict.fromkeys(frame.form)), list(dict.fromkeys(frame.answer))
    figure, axes = _axes(1, len(forms), 1.9)
    styles = dict(
        zip(
            answers,
            (
                ("-", _COLOURS[0]),
                ("--", _COLOURS[0]),
                ("-", _COLOURS[4]),
                ("--", _COLOURS[4]),
            ),
            strict=False,
        )
    )
    for axis, form in zip(axes[0], forms, strict=True):
        for answer in answers:
            part = frame[(frame.form == form) & (frame.answer == answer)]
            axis.plot(
                part.latency_ms / 1000,
                part.raw,
                ls=styles[answer][0],
                color=styles[answer][1],
                label=answer,
            )
        axis.axhline(0, color="#333333", lw=0.5)
        axis.set(title=form, xscale="log")
        axis.set_xticks([0.2, 0.5, 1, 2, 5, 10], ["0.2", "0.5", "1", "2", "5", "10"])
        axis.xaxis.set_minor_formatter("")
    axes[0][0].set_ylabel("raw reward")
    figure.supxlabel("latency (s)", fontsize=7)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


@styled
def live(frame):
    """Return a live session so far: the probability of each LLM, and what each query's call and the router itself took.

    ``frame``: query, model (that answered), latency_ms, router_us, and a column ``p NAME`` for each LLM of the router.
    """
    models = [column[2:] for column in frame if column.startswith("p ")]
    figure, axes = _axes(1, 2, 2.3)
    (left, right), shown = axes[0], short(models)
    for model, (colour, marker) in _model_looks(models).items():
        mine = frame[frame.model == model]
        left.plot(
            frame["query"],
            frame[f"p {model}"],
            color=colour,
            label=shown[model],
            zorder=3,
        )
        left.plot(
            mine["query"],
            mine[f"p {model}"],
            ls="none",
            marker=marker,
            ms=2.2,
            color=colour,
        )
        right.plot(
            mine["query"],
            mine.latency_ms,
            ls="none",
            marker=marker,
            ms=2.2,
            color=colour,
        )
    right.plot(
        frame["query"],
        frame.router_us / 1000,
        ls="none",
        marker=".",
        ms=2.2,
        color="#777777",
        label="the router itself",
    )
    left.set(
        xlabel="queries answered  (markers: the LLM that answered)",
        ylabel="probability",
        ylim=(-0.03, 1.03),
    )
    right.set(xlabel="queries answered", ylabel="time (ms)", yscale="log")
    _plain(right, "y")
    handles, labels = (
        a + b
        for a, b in zip(
            left.get_legend_handles_labels(),
            right.get_legend_handles_labels(),
            strict=True,
        )
    )
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure


@styled
def claims(frame):
    """Numeric claims: the paper's value (or a summary's), ours with its interval, and the verdict.

    ``frame``: as `claims.csv`; measured rows in percent or points are drawn.
    """
    part = frame[frame.measured.notna() & frame.unit.isin(["%", "points"])].iloc[::-1]
    figure, ((axis,),) = _axes(1, 1, 0.6 + 0.165 * len(part))
    looks = {
        "reproduced": (_COLOURS[2], "o"),
        "partly": (_COLOURS[1], "s"),
        "not reproduced": (_COLOURS[4], "X"),
    }
    rows = np.arange(len(part))
    for verdict, (colour, marker) in looks.items():
        mine = (part.verdict == verdict).to_numpy()
        if mine.any():
            _interval(
                axis,
                part.measured[mine],
                rows[mine],
                part.low[mine],
                part.high[mine],
                horizontal=True,
                color=colour,
                marker=marker,
                ms=4,
                label=f"measured: {verdict}",
            )
    stated = part.paper_value.notna().to_numpy()
    axis.plot(
        part.paper_value[stated],
        rows[stated],
        ls="none",
        marker="|",
        ms=7,
        mew=1.6,
        color="black",
        label="stated by a summary of the paper",
    )
    axis.axvline(0, color="#333333", lw=0.6)
    axis.set(
        yticks=rows,
        ylim=(-0.7, len(part) - 0.3),
        xlabel=(
            "change against the baseline (%), or percentage points for accuracy;"
            " symmetric log scale beyond 100"
        ),
    )
    axis.set_xscale("symlog", linthresh=100, linscale=2)
    axis.set_xticks(
        [-100, -50, 0, 50, 100, 1000], ["-100", "-50", "0", "+50", "+100", "+1,000"]
    )
    axis.set_yticklabels(part.id, fontsize=5.2)
    axis.grid(axis="y", visible=False)
    figure.legend(loc="outside upper center", ncols=4)
    return figure


def _dots(axis, part, look, labels):
    """One row a series: its value, and its interval where it has one. Few artists, since a panel redraws them."""
    rows, colours = np.arange(len(part)), []
    for row, one in zip(rows, part.itertuples(), strict=True):
        colour, marker = look.get(one.series) or STRATEGIES[one.series][1:]
        axis.plot([one.value], [row], color=colour, marker=marker, ms=4, ls="none")
        colours.append(colour)
    axis.hlines(
        rows,
        part.low.fillna(part.value),
        part.high.fillna(part.value),
        colors=colours,
        lw=0.8,
    )
    axis.set(yticks=rows, yticklabels=labels, ylim=(-0.6, len(part) - 0.4))


@styled
def variant(frame, note="", quick=False):
    """One setting: how it converges, and what its sessions cost, take and get right beside every control.

    ``frame``: panel, series, x, value, low, high, best (see `explore.numbers`). `quick` leaves out the
    automatic layout, for a picture that is redrawn while a reader moves a control.
    """
    figure, axes = _axes(2, 3, 4.4, layout=None if quick else "constrained")
    if quick:
        figure.subplots_adjust(
            left=0.135, right=0.985, top=0.88, bottom=0.09, wspace=0.85, hspace=0.5
        )
    models = list(dict.fromkeys(frame[frame.panel == "locked_on"].series))
    names, look = (
        short(models),
        {m: (_COLOURS[j % 6], _MARKERS[j % 8]) for j, m in enumerate(models)},
    )
    look |= dict.fromkeys(
        ("automaton", "qlearning"), ("black", "o")
    )  # the router, beside its LLMs
    (paths, curve, locks), (*dots,) = axes
    for m in models:
        part = frame[(frame.panel == "probability") & (frame.series == m)]
        paths.plot(
            part.x,
            part.value,
            color=look[m][0],
            marker=look[m][1],
            ms=3,
            markevery=(models.index(m) * 3, 12),
            label=names[m] + (" (best)" if part.best.any() else ""),
        )
        paths.fill_between(
            part.x, part.low, part.high, color=look[m][0], alpha=0.2, lw=0
        )
    paths.set(
        title="probability of asking each LLM",
        xlabel="queries answered",
        ylim=(-0.02, 1.02),
    )
    part = frame[frame.panel == "locked"]
    curve.step(part.x, part.value, where="post", color="black")
    curve.fill_between(
        part.x, part.low, part.high, step="post", color="black", alpha=0.15, lw=0
    )
    curve.set(
        title="share of sessions locked", xlabel="queries answered", ylim=(-0.02, 1.02)
    )
    part = frame[frame.panel == "locked_on"].iloc[::-1]
    _dots(
        locks,
        part,
        look,
        [
            names[m] + (" (best)" if b else "")
            for m, b in zip(part.series, part.best, strict=True)
        ],
    )
    locks.set(title="sessions locked on it (share)", xlim=(-0.02, 1.02))
    titles = {
        "cost_cents": "cost of a session (US cents)",
        "latency_s": "mean latency (s)",
        "accuracy": "mean accuracy",
    }
    for axis, (panel, title) in zip(dots, titles.items(), strict=True):
        part = frame[frame.panel == panel].iloc[::-1]
        _dots(axis, part, look, [names.get(n) or STRATEGIES[n][0] for n in part.series])
        axis.set(title=title)
        axis.axvline(part.value.iloc[-1], color="#bbbbbb", lw=0.6, zorder=0)
    dots[0].set_xlim(left=0)
    handles, labels = paths.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="upper center" if quick else "outside upper center",
        ncols=min(len(models), 5),
    )
    if note:
        figure.text(
            0.99,
            0.005,
            note,
            ha="right",
            va="bottom",
            fontsize=7,
            color="#b03000",
            weight="bold",
        )
    return figure


#: How families of learners look beside the paper's two.
FAMILIES = {
    "automata": ("other automata", _COLOURS[2], "^"),
    "bandits": ("bandits", _COLOURS[1], "v"),
    "identification": ("best-arm identification, 10 % error", _COLOURS[3], "D"),
    "own": ("own learner", _COLOURS[6], "P"),
}


def _family_look(learner, family):
    return STRATEGIES[learner] if family == "paper" else FAMILIES[family]


@styled
def variants(frame, bounds, labels, queries):
    """Every learner (rows) in every measure (columns): the mean of contexts with its interval, and each context.

    ``frame``: learner, family, context (one is "mean"), measure, value, low, high. ``bounds``: measure -> (value, words), a
    dotted line. ``labels``: measure -> what the axis says. A learner without a mean in a measure has "beyond" at the right
    edge: its median lies beyond the session's end (a full line, at ``queries``) in at least one context.
    """
    learners, measures = list(dict.fromkeys(frame.learner)), list(labels)
    kind = frame.drop_duplicates("learner").set_index("learner").family
    y = {name: i for i, name in enumerate(reversed(learners))}
    figure, axes = _axes(1, len(measures), 1.0 + 0.19 * len(learners), sharey=True)
    for axis, measure in zip(axes[0], measures, strict=True):
        here = frame[frame.measure == measure]
        for name in learners:
            _, colour, marker = _family_look(name, kind[name])
            mine = here[here.learner == name]
            each, mean = mine[mine.context != "mean"], mine[mine.context == "mean"]
            axis.plot(
                each.value,
                np.full(len(each), y[name]),
                ls="none",
                marker="|",
                ms=4,
                mew=0.6,
                color="#999999",
                zorder=1,
            )
            if len(mean):
                _interval(
                    axis,
                    mean.value,
                    [y[name]],
                    mean.low,
                    mean.high,
                    horizontal=True,
                    color=colour,
                    marker=marker,
                    ms=4,
                    zorder=3,
                )
            else:
                axis.text(
                    3 * queries,
                    y[name],
                    "beyond",
                    ha="center",
                    va="center",
                    fontsize=5,
                    color=colour,
                )
        if measure in bounds:
            axis.axvline(bounds[measure], color="#222222", lw=0.8, ls=":")
        axis.set_xlabel(labels[measure])
        axis.grid(axis="y", visible=False)
        if measure in ("regret", "median"):
            axis.set_xscale("log")
            _plain(axis)
            axis.xaxis.set_minor_formatter("")
        if measure == "median":
            axis.axvline(queries, color="#222222", lw=0.6)
            axis.set(xlim=(20, 9 * queries))
            axis.set_xticks([100, queries], ["100", f"{queries:,}"])
    axes[0][0].set(
        yticks=range(len(learners)), ylim=(-0.7, len(learners) - 0.3), xlim=(0, 1)
    )
    axes[0][0].set_yticklabels(
        [STRATEGIES[n][0] if kind[n] == "paper" else n for n in reversed(learners)]
    )
    shown = list(
        dict.fromkeys(
            (("paper", n) if kind[n] == "paper" else (kind[n], None)) for n in learners
        )
    )
    looks = [STRATEGIES[n] if f == "paper" else FAMILIES[f] for f, n in shown]
    handles = [
        mpl.lines.Line2D([], [], color=c, marker=m, ms=4, lw=0.8, label=text)
        for text, c, m in looks
    ]
    handles.append(
        mpl.lines.Line2D(
            [], [], color="#999999", marker="|", ms=4, lw=0, label="one context"
        )
    )
    handles += (
        [
            mpl.lines.Line2D(
                [],
                [],
                color="#222222",
                ls=":",
                lw=0.8,
                label="bound of Lai and Robbins (mean)",
            )
        ]
        if bounds
        else []
    )
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    return figure


@styled
def lock_times(frame, queries):
    """Time to lock against the least time at the same error, one panel a context.

    ``frame``: context, learner, family, error, time, bound, each of the last two with
    _low and _high. On the diagonal a learner needs what the bound says; above it more.
    """
    contexts = list(dict.fromkeys(frame.context))
    named = contextual(contexts, 26)
    figure, axes = _grid(len(contexts), 1.75)
    top = max(frame.bound.replace(np.inf, np.nan).max(), queries)
    for axis, context in zip(axes, contexts, strict=True):
        for row in frame[frame.context == context].itertuples():
            _, colour, marker = _family_look(row.learner, row.family)
            x, low, high = (
                float(np.clip(v, 1, 2 * top))
                for v in (row.bound, row.bound_low, row.bound_high)
            )
            axis.errorbar(
                [x],
                [row.time],
                xerr=[[x - low], [high - x]],
                yerr=[[row.time - row.time_low], [row.time_high - row.time]],
                color=colour,
                marker=marker,
                ms=3,
                lw=0.5,
                ls="none",
            )
        axis.plot([1, 2 * top], [1, 2 * top], color="#222222", lw=0.8, ls=":")
        axis.set(
            title=named[context],
            xscale="log",
            yscale="log",
            xlim=(0.8, 2.2 * top),
            ylim=(0.7 * frame.time_low.min(), 1.2 * queries),
        )
        _plain(axis)
        _plain(axis, "y")
    figure.supxlabel(
        "least queries at the same error (bound of Garivier and Kaufmann; 1 = none:"
        " wrong in half of the locks or more)",
        fontsize=6.5,
    )
    figure.supylabel("mean queries to lock", fontsize=7)
    shown = (
        frame.drop_duplicates("family")
        if "paper" not in set(frame.family)
        else pd.concat(
            [
                frame[frame.family == "paper"].drop_duplicates("learner"),
                frame[frame.family != "paper"].drop_duplicates("family"),
            ]
        )
    )
    looks = [_family_look(r.learner, r.family) for r in shown.itertuples()]
    handles = [
        mpl.lines.Line2D([], [], color=c, marker=m, ms=3.5, lw=0.6, label=text)
        for text, c, m in looks
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    return figure


@styled
def scenarios(frame):
    """Regret per query and share of the best LLM, before and after a change, one row a scenario.

    ``frame``: scenario, learner (", no lock" is drawn open), phase (0, 1), measure (regret, share_best), value, low, high.
    """
    names, learners = (
        list(dict.fromkeys(frame.scenario)),
        list(dict.fromkeys(frame.learner)),
    )
    panels = [
        ("regret", 0, "regret per query\nbefore"),
        ("regret", 1, "regret per query\nafter"),
        ("share_best", 0, "queries to the best LLM\nbefore"),
        ("share_best", 1, "queries to the best LLM\nafter"),
    ]
    figure, axes = _axes(1, len(panels), 0.9 + 0.42 * len(names), sharey=True)
    y = {name: i for i, name in enumerate(reversed(names))}
    lifts = dict(zip(learners, np.linspace(0.32, -0.32, len(learners)), strict=True))
    for axis, (measure, phase, label) in zip(axes[0], panels, strict=True):
        here = frame[(frame.measure == measure) & (frame.phase == phase)]
        for name in learners:
            base, _, open_ = name.partition(", ")
            text, colour, marker = (
                STRATEGIES[base]
                if base in STRATEGIES
                else (base, FAMILIES["automata"][1], FAMILIES["automata"][2])
            )
            part = here[here.learner == name]
            _interval(
                axis,
                part.value,
                part.scenario.map(y) + lifts[name],
                part.low,
                part.high,
                horizontal=True,
                color=colour,
                marker=marker,
                mfc="white" if open_ else colour,
                mew=0.8,
                ms=3.4,
                label=text + (f", {open_}" if open_ else ""),
            )
        axis.set_xlabel(label)
        axis.grid(axis="y", visible=False)
        for i in range(len(names) - 1):
            axis.axhline(i + 0.5, color="#eeeeee", lw=0.5, zorder=0)
    top = frame.high[frame.measure == "regret"].max()
    for axis in axes[0][:2]:
        axis.set_xscale("symlog", linthresh=0.02)
        axis.set(
            xlim=(
                min(-0.005, 1.2 * frame.low[frame.measure == "regret"].min()),
                1.2 * top,
            )
        )
        axis.set_xticks([0, 0.02, 0.1, 0.5], ["0", "0.02", "0.1", "0.5"])
    for axis in axes[0][2:]:
        axis.set_xlim(-0.05, 1.05)
    axes[0][0].set(
        yticks=range(len(names)),
        yticklabels=list(contextual(names, 34).values())[::-1],
        ylim=(-0.6, len(names) - 0.4),
    )
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=5)
    return figure
