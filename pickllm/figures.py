"""Figures: a table in, a figure out. The table is what is drawn, and is saved beside the picture.

No statistic is computed here: every estimate comes with its interval in columns ``low`` and ``high``.
Widths are a journal's: 89 mm for one column, 183 mm for two. Colours are Okabe and Ito's (2008) with a
marker or a label of their own, and rates run along viridis, so that each picture survives in grey.
"""

import os

import matplotlib as mpl
import matplotlib.ticker
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .files import root, write_csv, written

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
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
#: How strategies look and read, everywhere.
STRATEGIES = {
    "automaton": ("L_R-I automaton", _COLOURS[0], "o"),
    "qlearning": ("Q-learning", _COLOURS[4], "s"),
    "random": ("random choice", "#777777", "x"),
    "cheapest": ("cheapest LLM", "#444444", "<"),
    "most expensive": ("most expensive LLM", "#444444", ">"),
    "best single": ("best single LLM", "#000000", "D"),
    "oracle": ("oracle per query", "#000000", "*"),
}


def contextual(name):
    """A context's name as a reader sees it."""
    return str(name).replace("_", " ")


def short(model):
    """An LLM's name without its date, as long as it stays readable."""
    import re

    return re.sub(r"[-_](\d{8}|\d{4}-\d{2}-\d{2}|\d{4})(-preview)?$", "", str(model))


def _axes(rows, columns, height, width=TWO_COLUMNS, **options):
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
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
    os.environ.setdefault("SOURCE_DATE_EPOCH", "0")  # no date of the day in a file that is compared
    note = f"pickllm run {run}" if run else "pickllm"
    metadata = {
        "svg": {"Date": None, "Creator": "pickllm", "Description": note},
        "pdf": {"CreationDate": None, "ModDate": None, "Creator": "pickllm", "Producer": "matplotlib", "Subject": note},
        "png": {"Software": "pickllm", "Description": note},
    }
    with mpl.rc_context(_STYLE):
        if figure.get_layout_engine():  # lay out once, not once a format
            figure.set_dpi(mpl.rcParams["savefig.dpi"])  # text is a little wider at the print's resolution than at the screen's
            figure.get_layout_engine().set(w_pad=0.05, h_pad=0.05)
            figure.draw_without_rendering()
            figure.draw_without_rendering()  # a second pass settles labels that the first one moved
            figure.set_layout_engine("none")
        for form in FORMATS:
            with written(folder / f"{name}.{form}", "wb") as file:
                figure.savefig(file, format=form, metadata=metadata[form])
    write_csv(folder / f"{name}.csv", numbers)
    return [os.path.relpath(folder / f"{name}.{ending}", root()) for ending in (*FORMATS, "csv")]


def shown(saved):
    """The last PNG among saved files, for a notebook to display."""
    from IPython.display import Image

    path = [name for name in saved if name.endswith(".png")][-1]
    return Image(filename=str(root() / path), width=920)


def glance(figure):
    """A figure as a notebook shows it while it grows; no file is written."""
    import io

    from IPython.display import Image

    file = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(file, format="png", dpi=130)
    return Image(data=file.getvalue(), width=920)


def _interval(axis, x, y, low, high, horizontal=False, **look):
    error = np.abs(np.array([np.asarray(x if horizontal else y) - low, high - np.asarray(x if horizontal else y)]))
    look = {"linestyle": "none", "ms": 3, "elinewidth": 0.8, "capsize": 0} | look
    return axis.errorbar(x, y, **{"xerr" if horizontal else "yerr": error}, **look)


def _spread(positions, gap):
    """Move positions apart, in order, until neighbours are at least a gap from each other."""
    order = np.argsort(positions)
    moved = np.array(positions, dtype=float)
    for _ in range(200):
        close = False
        for a, b in zip(order[:-1], order[1:]):
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
    getattr(axis, f"{which}axis").set_major_formatter(mpl.ticker.FuncFormatter(lambda v, _: f"{v:,.10g}"))


def _rates(values):
    """A colour for each learning rate, dark = slow; the lightest end of the map is left out."""
    values = sorted(set(values))
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.88, len(values)))
    return dict(zip(values, colours))


def _model_looks(models):
    return {m: (_COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)]) for i, m in enumerate(models)}


@styled
def overview(pool, numbers):
    """The paper's loop, drawn: query -> learner -> one LLM of the pool -> outcome -> reward -> learner."""
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    figure = Figure(figsize=(TWO_COLUMNS, 2.25))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, 183), ylim=(0, 57))
    axis.axis("off")
    looks = _model_looks(pool)

    def box(x, y, w, h, text, colour="#333333", fill="white", **style):
        axis.add_patch(FancyBboxPatch((x, y), w, h, boxstyle="round,pad=0,rounding_size=1.6", ec=colour, fc=fill, lw=0.9))
        axis.text(x + w / 2, y + h / 2, text, ha="center", va="center", **{"fontsize": 6.5, "linespacing": 1.35} | style)

    def arrow(start, end, text=None, at=None, **style):
        axis.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=7, lw=0.9, color="#333333", shrinkA=0, shrinkB=0, **style))
        if text:
            axis.text(*at, text, fontsize=6, ha="center", va="center", linespacing=1.3)

    box(3, 31, 25, 15, "session of queries\nfrom one context")
    box(46, 27, 38, 23, "learner\nautomaton: $p_i \\leftarrow p_i + b\\,r\\,(1-p_i)$\nQ-learning: $Q_i \\leftarrow Q_i + \\alpha\\,(r-Q_i)$", fill="#f2f2f2", fontsize=6)
    for i, model in enumerate(pool):
        y = 45.5 - i * 10.4 * 4 / max(len(pool), 4)
        box(108, y, 32, 8, short(model), colour=looks[model][0], fontsize=6)
        if i == 1:
            arrow((84, 40), (107.4, y + 4))
        else:
            axis.plot([84, 107.4], [40, y + 4], color="#bbbbbb", lw=0.5, ls=(0, (2, 2)))
    arrow((28, 38.5), (45.4, 38.5), "query", (36.5, 41))
    axis.text(93, 54, "one LLM is asked,\nonly its answer is seen", fontsize=6, ha="center", va="center")
    box(156, 28, 24, 15, "outcome\naccuracy $a$\ncost $c$, latency $l$")
    arrow((140.6, 39.1), (155.4, 36.5))
    box(108, 3, 54, 8, "raw reward, ratio reading: $\\dfrac{w_a a - w_c c}{w_l \\log_{10}(l)\\,/\\,t}$", fontsize=6.5)
    axis.patches[-1].set_height(10)
    axis.texts[-1].set_y(8)
    arrow((168, 27.4), (162.6, 8), connectionstyle="arc3,rad=-0.35")
    box(46, 3, 38, 10, "unit reward $r \\in [0, 1]$\nby bounds declared beforehand", fontsize=6)
    arrow((107.4, 8), (84.6, 8))
    arrow((65, 13.6), (65, 26.4), "update", (71.5, 20))
    box(3, 3, 32, 17, "locked: one LLM for the\nrest of the session\n(max $p \\geq 0.99$, or greedy\nLLM unchanged 100 queries)", fontsize=5.6, fill="#f2f2f2")
    arrow((46, 29), (35.6, 17), "converged", (33, 25.5))
    return figure


@styled
def pool_outcomes(frame):
    """Accuracy, cost and latency of every LLM in every context, with intervals.

    ``frame``: context, model, measure (accuracy, cost_cents, latency_s, latency_p95_s), value, low, high, n.
    """
    contexts, models = list(dict.fromkeys(frame.context)), list(dict.fromkeys(frame.model))
    looks = _model_looks(models)
    figure, ((a, b, c),) = _axes(1, 3, 0.9 + 0.36 * len(contexts), sharey=True)
    y = {k: i for i, k in enumerate(reversed(contexts))}
    offset = dict(zip(models, np.linspace(0.27, -0.27, len(models))))
    for measure, axis in (("accuracy", a), ("cost_cents", b), ("latency_s", c)):
        for model in models:
            part = frame[(frame.measure == measure) & (frame.model == model)]
            colour, marker = looks[model]
            _interval(axis, part.value, part.context.map(y) + offset[model], part.low, part.high, horizontal=True, color=colour, marker=marker, label=short(model))
    for model in models:
        part = frame[(frame.measure == "latency_p95_s") & (frame.model == model)]
        c.plot(part.value, part.context.map(y) + offset[model], ls="none", marker="|", ms=5, color=looks[model][0])
    a.set(xlabel="accuracy (share correct)", xlim=(0, 1.02), yticks=range(len(contexts)), yticklabels=[contextual(k) for k in reversed(contexts)])
    b.set(xlabel="mean cost (US cents per query)", xscale="log")
    _plain(b)
    c.set(xlabel="mean latency (s); tick | = 95th percentile", xscale="log")
    c.set_xticks([0.5, 1, 2, 5], ["0.5", "1", "2", "5"])
    c.xaxis.set_minor_formatter("")
    for axis in (a, b, c):
        axis.grid(axis="y", visible=False)
        for i in range(len(contexts) - 1):
            axis.axhline(i + 0.5, color="#eeeeee", lw=0.5, zorder=0)
    handles, labels = a.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(models), title="mean and 95 % interval over queries", title_fontsize=6)
    return figure


@styled
def latency_tail(frame):
    """Share of answers slower than a time, per context and LLM: ``context, model, latency_ms, slower``."""
    contexts, models = list(dict.fromkeys(frame.context)), list(dict.fromkeys(frame.model))
    looks = _model_looks(models)
    figure, axes = _grid(len(contexts), 1.35)
    for axis, context in zip(axes, contexts):
        for model in models:
            part = frame[(frame.context == context) & (frame.model == model)]
            axis.plot(part.latency_ms / 1000, part.slower, color=looks[model][0], label=short(model))
            axis.plot(part.latency_ms.iloc[::4] / 1000, part.slower.iloc[::4], color=looks[model][0], marker=looks[model][1], ms=2.2, ls="none")
        axis.set(title=contextual(context), xscale="log", yscale="log", ylim=(0.004, 1.2))
        axis.set_xticks([0.2, 0.5, 1, 2, 5, 10], ["0.2", "0.5", "1", "2", "5", "10"])
        axis.xaxis.set_minor_formatter("")
        axis.set_yticks([0.01, 0.1, 1], ["1 %", "10 %", "100 %"])
    figure.supxlabel("latency of an answer (s)", fontsize=7)
    figure.supylabel("answers slower than this", fontsize=7)
    handles = [mpl.lines.Line2D([], [], color=looks[m][0], marker=looks[m][1], ms=3, label=short(m)) for m in models]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(models))
    return figure


def _grid(n, height, columns=4, **options):
    columns = min(columns, n)
    rows = -(-n // columns)
    figure, axes = _axes(rows, columns, 0.55 + height * rows, sharex=True, sharey=True, **options)
    for axis in axes.flat[n:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:n])


@styled
def rows_and_summary(frame):
    """The bundled sample held against the measured rows.

    ``frame``: context, model, measure, rows, rows_low, rows_high, sample, sample_low, sample_high. Each panel has
    the rows' value on one axis and the sample's on the other; agreement lies on the diagonal.
    """
    measures = list(dict.fromkeys(frame.measure))
    figure, axes = _axes(1, len(measures), 1.95)
    looks = _model_looks(list(dict.fromkeys(frame.model.dropna())))
    for axis, measure in zip(axes[0], measures):
        part = frame[frame.measure == measure]
        for model, points in part.groupby("model", sort=False):
            colour, marker = looks[model]
            axis.errorbar(points.rows, points["sample"], xerr=np.abs([points.rows - points.rows_low, points.rows_high - points.rows]),
                          yerr=np.abs([points["sample"] - points.sample_low, points.sample_high - points["sample"]]),
                          ls="none", marker=marker, ms=2.5, color=colour, elinewidth=0.5, label=short(model))  # fmt: skip
        ends = np.array([part[["rows", "sample"]].min().min(), part[["rows", "sample"]].max().max()])
        axis.axline((ends[0], ends[0]), (ends[1], ends[1]), color="#333333", lw=0.6, zorder=0)
        if part.rows.min() > 0 and ends[1] > 8 * ends[0]:
            axis.set(xscale="log", yscale="log")
            _plain(axis, "x")
            _plain(axis, "y")
        axis.set(title=measure, xlabel="measured rows")
    axes[0][0].set_ylabel("bundled sample")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


@styled
def convergence(frame):
    """Mean probability of asking the best LLM along a session, for each learning rate and context.

    ``frame``: context, best, chance, learning_rate, query, probability, low, high.
    """
    contexts = list(dict.fromkeys(frame.context))
    colours = _rates(frame.learning_rate)
    figure, axes = _grid(len(contexts), 1.62)
    for axis, context in zip(axes, contexts):
        here = frame[frame.context == context]
        ends = {}
        for rate, part in here.groupby("learning_rate"):
            axis.plot(part["query"], part.probability, color=colours[rate])
            axis.fill_between(part["query"], part.low, part.high, color=colours[rate], alpha=0.25, lw=0)
            ends[rate] = part.probability.iloc[-1]
        axis.axhline(here.chance.iloc[0], color="#333333", lw=0.6, ls=":")
        axis.set(title=f"{contextual(context)}\nbest: {short(here.best.iloc[0])}", ylim=(0, 1))
        last = here["query"].max()
        axis.set_xlim(0, last)
        labels = _merged(ends, 0.03)
        for (rates, end), y in zip(labels.items(), _spread(list(labels.values()), 0.085)):
            axis.plot([last, 1.035 * last], [end, y], color=colours[rates[0]], lw=0.4, clip_on=False)
            text = f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g} to {rates[-1]:g}"
            axis.text(1.045 * last, y, text, color=colours[rates[0]], fontsize=4.8, va="center")
    figure.supxlabel("queries answered in the session  (dotted: uniform choice; labels: learning rate; bands: 95 % interval over sessions)", fontsize=6.5)
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
    figure, axes = _axes(2, len(learners), 4.3, sharey="row")
    for (top, bottom), learner in zip(axes.T, learners):
        for rate, part in curves[curves.learner == learner].groupby("learning_rate"):
            top.plot(part["query"].clip(lower=1), part.locked, color=colours[rate], drawstyle="steps-post", label=f"{rate:g}")
            top.fill_between(part["query"].clip(lower=1), part.low, part.high, color=colours[rate], alpha=0.25, lw=0, step="post")
        top.set(title=STRATEGIES[learner][0], xlabel="queries answered", ylim=(0, 1.02), xscale="log", xlim=(5, curves["query"].max()))
        top.set_xticks([10, 30, 100, 300, 1000], ["10", "30", "100", "300", "1,000"])
        here = outcomes[outcomes.learner == learner]
        contexts = [c for c in dict.fromkeys(here.context) if c != "mean"]
        for number, context in enumerate(contexts):
            part = here[here.context == context]
            _interval(bottom, part.learning_rate, part.on_best, part.on_best_low, part.on_best_high, linestyle="-", lw=0.5, elinewidth=0.4,
                      color="#999999", marker=_MARKERS[number % len(_MARKERS)], ms=2.2, label=contextual(context))  # fmt: skip
        part = here[here.context == "mean"]
        _interval(bottom, part.learning_rate, part.on_best, part.on_best_low, part.on_best_high, linestyle="-", lw=1.6, color=STRATEGIES[learner][1], marker="o", label="mean of contexts")
        rates = sorted(here.learning_rate.unique())
        bottom.set(xscale="log", xlabel="learning rate", ylim=(0, 1.02))
        bottom.set_xticks(rates, [f"{r:g}" for r in rates])
        bottom.minorticks_off()
    axes[0, 0].set_ylabel("sessions locked\n(mean of contexts)")
    axes[1, 0].set_ylabel("sessions locked on the best LLM")
    axes[0, -1].legend(title="learning rate", loc="center left", bbox_to_anchor=(1, 0.5), title_fontsize=6, labelspacing=0.2)
    axes[1, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5), labelspacing=0.2)
    return figure


def _name_ends(axis, front, above, colour):
    """The learning rate at both ends of a front: above them, or beside them (below, where the front runs to the right)."""
    if front.empty:
        return
    first, last = front.iloc[0], front.iloc[-1]
    names = [(first, f"{first.learning_rate:g}"), (last, f"{last.learning_rate:g}")]
    if abs(first.on_best - last.on_best) < 0.07 and 1 / 1.2 < last["median"] / first["median"] < 1.2:  # two labels would stand on each other
        names = [(first, f"{first.learning_rate:g} to {last.learning_rate:g}")] if len(front) > 1 else names[:1]
    for row, text in names:
        if above or row["median"] > 1.2 * first["median"]:
            where, offset, side = (row["median"], row.on_best), (0, 4 if above else -9), "center"
        else:
            where, offset, side = (row.median_high, row.on_best), (4, -1), "left"
        axis.annotate(text, where, offset, textcoords="offset points", fontsize=4.8, color=colour, ha=side, annotation_clip=False)


@styled
def speed_accuracy(frame):
    """The front of the learning rate: queries to lock against the chance of locking on the best LLM.

    ``frame``: context, learner, learning_rate, median, median_low, median_high, on_best, on_best_low, on_best_high,
    chance, queries. A median beyond the session is not drawn as a point; its rate stands at the right edge.
    """
    contexts = list(dict.fromkeys(frame.context))
    figure, axes = _grid(len(contexts), 1.5)
    for axis, context in zip(axes, contexts):
        here = frame[frame.context == context]
        edge = 1.6 * here.queries.iloc[0]
        for learner, part in here.groupby("learner", sort=False):
            _, colour, marker = STRATEGIES[learner]
            part = part.sort_values("learning_rate")
            inside = part[part["median"].notna()]
            axis.errorbar(inside["median"], inside.on_best, xerr=[inside["median"] - inside.median_low, (inside.median_high.fillna(edge)) - inside["median"]],
                          yerr=[inside.on_best - inside.on_best_low, inside.on_best_high - inside.on_best],
                          color=colour, marker=marker, ms=2.6, lw=0.6, elinewidth=0.6)  # fmt: skip
            beyond = part[part["median"].isna()]
            axis.plot(np.full(len(beyond), edge), beyond.on_best, color=colour, marker=marker, mfc="white", ms=2.6, ls="none", clip_on=False)
            _name_ends(axis, inside, learner == "automaton", colour)
        axis.axhline(here.chance.iloc[0], color="#333333", lw=0.6, ls=":")
        axis.set(title=contextual(context), xscale="log", ylim=(0, 1.04), xlim=(4, edge * 1.15))
        axis.set_xticks([10, 100, 1000], ["10", "100", "1,000"])
    figure.supxlabel("median queries to lock (open symbol: beyond the session's end; dotted: chance; 95 % intervals)", fontsize=6.5)
    figure.supylabel("sessions locked on the best LLM", fontsize=7)
    handles = [mpl.lines.Line2D([], [], color=c, marker=m, ms=3, lw=0.8, label=f"{n} (learning rate at the ends)") for n, c, m in (STRATEGIES[k] for k in dict.fromkeys(frame.learner))]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


@styled
def session_measure(frame, label, log=False):
    """One measure of a session for every strategy, context (rows) and weight setting (columns).

    ``frame``: weights, context, learner, value, low, high.
    """
    weights, contexts = list(dict.fromkeys(frame.weights)), list(dict.fromkeys(frame.context))
    figure, axes = _axes(1, len(weights), 0.95 + 0.34 * len(contexts), sharey=True, sharex=True)
    y = {k: i for i, k in enumerate(reversed(contexts))}
    names = [k for k in STRATEGIES if k in set(frame.learner)]
    for axis, weight in zip(axes[0], weights):
        here = frame[frame.weights == weight]
        for name in names:
            text, colour, marker = STRATEGIES[name]
            part = here[here.learner == name]
            router = name in ("automaton", "qlearning")
            lift = {"automaton": 0.17, "qlearning": -0.17}.get(name, 0.0)
            _interval(axis, part.value, part.context.map(y) + lift, part.low, part.high, horizontal=True, color=colour, marker=marker, label=text,
                      ms=4 if router else 3.2, mfc=colour if router or name in ("random", "oracle") else "white", mew=0.7, zorder=3 if router else 2)  # fmt: skip
        axis.set(title=weight, xscale="log" if log else "linear")
        if log:
            _plain(axis)
        axis.grid(axis="y", visible=False)
        for i in range(len(contexts) - 1):
            axis.axhline(i + 0.5, color="#eeeeee", lw=0.5, zorder=0)
    axes[0][0].set(yticks=range(len(contexts)), yticklabels=[contextual(k) for k in reversed(contexts)], ylim=(-0.6, len(contexts) - 0.4))
    figure.supxlabel(label, fontsize=7)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


@styled
def exploration(frame):
    """What exploration cost a session, in US cents and seconds, by learning rate: learner, context, learning_rate, measure, value, low, high."""
    measures = list(dict.fromkeys(frame.measure))
    learners = list(dict.fromkeys(frame.learner))
    figure, axes = _axes(len(measures), len(learners), 3.6, sharex=True, sharey="row")
    for row, measure in zip(axes, measures):
        for axis, learner in zip(row, learners):
            here = frame[(frame.measure == measure) & (frame.learner == learner)]
            for number, (context, part) in enumerate(here.groupby("context", sort=False)):
                bold = context == "mean"
                _interval(axis, part.learning_rate, part.value, part.low, part.high, linestyle="-", lw=1.6 if bold else 0.5, elinewidth=0.5, ms=2.4,
                          color=STRATEGIES[learner][1] if bold else "#999999", marker="o" if bold else _MARKERS[number % len(_MARKERS)],
                          label="mean of contexts" if bold else contextual(context))  # fmt: skip
            axis.axhline(0, color="#333333", lw=0.6)
            rates = sorted(here.learning_rate.unique())
            axis.set(xscale="log")
            axis.set_xticks(rates, [f"{r:g}" for r in rates])
            axis.minorticks_off()
        row[0].set_ylabel(f"exploration,\n{measure}")
    for axis, learner in zip(axes[0], learners):
        axis.set_title(STRATEGIES[learner][0])
    for axis in axes[-1]:
        axis.set_xlabel("learning rate")
    axes[0, -1].legend(loc="center left", bbox_to_anchor=(1, 0.5), labelspacing=0.2)
    return figure


@styled
def weights(frame, marks):
    """Which LLM has the highest mean reward for which weight of cost, per context and reading.

    ``frame``: form, context, w_cost, w_cost_to, model, certain (share of resamples in which it wins).
    ``marks``: name -> w_cost of the study's settings.
    """
    forms, contexts = list(dict.fromkeys(frame.form)), list(dict.fromkeys(frame.context))
    models = list(dict.fromkeys(frame.sort_values("order").model)) if "order" in frame else list(dict.fromkeys(frame.model))
    looks = _model_looks(models)
    figure, axes = _axes(1, len(forms), 0.95 + 0.3 * len(contexts), sharey=True, sharex=True)
    for axis, form in zip(axes[0], forms):
        for row, context in enumerate(reversed(contexts)):
            for cell in frame[(frame.form == form) & (frame.context == context)].itertuples():
                colour = looks[cell.model][0]
                axis.barh(row, cell.w_cost_to - cell.w_cost, left=cell.w_cost, height=0.8 if cell.certain >= 0.95 else 0.36, color=colour, lw=0)
            part = frame[(frame.form == form) & (frame.context == context)]
            runs = part.groupby((part.model != part.model.shift()).cumsum())
            for _, run in runs:
                left, right = run.w_cost.iloc[0], run.w_cost_to.iloc[-1]
                if right / left > 1.8:
                    axis.text(np.sqrt(left * right), row, chr(65 + models.index(run.model.iloc[0])), ha="center", va="center", fontsize=5.5, color="white", fontweight="bold")
        for name, value in marks.items():
            axis.axvline(value, color="#222222", lw=0.7, ls=":")
        axis.set(title=form, xscale="log", xlim=(frame.w_cost.min(), frame.w_cost_to.max()))
        _plain(axis)
        axis.grid(visible=False)
    axes[0][0].set(yticks=range(len(contexts)), yticklabels=[contextual(k) for k in reversed(contexts)])
    figure.supxlabel("weight of cost $w_c$ (per US cent; $w_a = w_l = 1$; dotted: " + ", ".join(f"{k} {v:g}" for k, v in marks.items()) + "; thin: wins in < 95 % of resamples)", fontsize=6.2)
    handles = [mpl.patches.Patch(color=looks[m][0], label=f"{chr(65 + i)}  {short(m)}") for i, m in enumerate(models)]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    return figure


@styled
def readings(frame):
    """What the readings change: the chance of the best LLM, and the time to lock, per variant and context.

    ``frame``: variant, learner, context, on_best(+_low, _high), median(+_low, _high); context "mean" is bold.
    """
    variants = list(dict.fromkeys(frame.variant))
    learners = list(dict.fromkeys(frame.learner))
    figure, axes = _axes(1, 2, 0.8 + 0.36 * len(variants), sharey=True)
    y = {k: i for i, k in enumerate(reversed(variants))}
    for axis, measure, label in zip(axes[0], ("on_best", "median"), ("sessions locked on the best LLM", "median queries to lock (where within the session)")):
        for lift, learner in zip((0.17, -0.17), learners):
            text, colour, marker = STRATEGIES[learner]
            here = frame[frame.learner == learner]
            each = here[here.context != "mean"]
            axis.plot(each[measure], each.variant.map(y) + lift, ls="none", marker=marker, ms=2, color=colour, alpha=0.35)
            part = here[here.context == "mean"]
            _interval(axis, part[measure], part.variant.map(y) + lift, part[f"{measure}_low"], part[f"{measure}_high"], horizontal=True, color=colour, marker=marker, ms=4.5, label=f"{text}: mean of contexts; small: each context")
        axis.set(xlabel=label)
        axis.grid(axis="y", visible=False)
        for i in range(len(variants) - 1):
            axis.axhline(i + 0.5, color="#eeeeee", lw=0.5, zorder=0)
    axes[0][0].set(yticks=range(len(variants)), yticklabels=list(reversed(variants)), xlim=(0, 1))
    axes[0][1].set(xscale="log")
    axes[0][1].set_xticks([10, 30, 100, 300, 1000], ["10", "30", "100", "300", "1,000"])
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


@styled
def reward_shape(frame):
    """The three readings against latency for a right and a wrong answer, cheap and dear.

    ``frame``: form, answer, latency_ms, raw.
    """
    forms, answers = list(dict.fromkeys(frame.form)), list(dict.fromkeys(frame.answer))
    figure, axes = _axes(1, len(forms), 1.9)
    styles = dict(zip(answers, (("-", _COLOURS[0]), ("--", _COLOURS[0]), ("-", _COLOURS[4]), ("--", _COLOURS[4]))))
    for axis, form in zip(axes[0], forms):
        for answer in answers:
            part = frame[(frame.form == form) & (frame.answer == answer)]
            axis.plot(part.latency_ms / 1000, part.raw, ls=styles[answer][0], color=styles[answer][1], label=answer)
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
    """A live session so far: the probability of each LLM, and what each query's call and the router itself took.

    ``frame``: query, model (that answered), latency_ms, router_us, and a column ``p NAME`` for each LLM of the router.
    """
    models = [column[2:] for column in frame if column.startswith("p ")]
    figure, axes = _axes(1, 2, 2.3)
    left, right = axes[0]
    for model, (colour, marker) in _model_looks(models).items():
        mine = frame[frame.model == model]
        left.plot(frame["query"], frame[f"p {model}"], color=colour, label=short(model), zorder=3)
        left.plot(mine["query"], mine[f"p {model}"], ls="none", marker=marker, ms=2.2, color=colour)
        right.plot(mine["query"], mine.latency_ms, ls="none", marker=marker, ms=2.2, color=colour)
    right.plot(frame["query"], frame.router_us / 1000, ls="none", marker=".", ms=2.2, color="#777777", label="the router itself")
    left.set(xlabel="queries answered  (markers: the LLM that answered)", ylabel="probability", ylim=(-0.03, 1.03))
    right.set(xlabel="queries answered", ylabel="time (ms)", yscale="log")
    _plain(right, "y")
    handles, labels = (a + b for a, b in zip(left.get_legend_handles_labels(), right.get_legend_handles_labels()))
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure


@styled
def claims(frame):
    """Numeric claims: the paper's value (or a summary's), ours with its interval, and the verdict.

    ``frame``: as `claims.csv`; measured rows in percent or points are drawn.
    """
    part = frame[frame.measured.notna() & frame.unit.isin(["%", "points"])].iloc[::-1]
    figure, ((axis,),) = _axes(1, 1, 0.6 + 0.165 * len(part))
    looks = {"reproduced": (_COLOURS[2], "o"), "partly": (_COLOURS[1], "s"), "not reproduced": (_COLOURS[4], "X")}
    rows = np.arange(len(part))
    for verdict, (colour, marker) in looks.items():
        mine = (part.verdict == verdict).to_numpy()
        if mine.any():
            _interval(axis, part.measured[mine], rows[mine], part.low[mine], part.high[mine], horizontal=True, color=colour, marker=marker, ms=4, label=f"measured: {verdict}")
    stated = part.paper_value.notna().to_numpy()
    axis.plot(part.paper_value[stated], rows[stated], ls="none", marker="|", ms=7, mew=1.6, color="black", label="stated by a summary of the paper")
    axis.axvline(0, color="#333333", lw=0.6)
    axis.set(yticks=rows, ylim=(-0.7, len(part) - 0.3), xlabel="change against the baseline (%), or percentage points for accuracy; symmetric log scale beyond 100")
    axis.set_xscale("symlog", linthresh=100, linscale=2)
    axis.set_xticks([-100, -50, 0, 50, 100, 1000], ["-100", "-50", "0", "+50", "+100", "+1,000"])
    axis.set_yticklabels(part.id, fontsize=5.2)
    axis.grid(axis="y", visible=False)
    figure.legend(loc="outside upper center", ncols=4)
    return figure
