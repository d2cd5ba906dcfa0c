"""`make bench`: everything in one run (see `pickllm bench`).

Tables and a figure go to ``build/bench``, the bounds into the README.
"""

import os
import platform
from collections.abc import Sequence

import pandas as pd

from pickllm.errors import InputError, nearest
from pickllm.files import root, write_csv, written

from . import compiled, engine, learners, scaling, study, sweeps

FOLDER = root() / "build" / "bench"
BEGIN = "<!-- bounds: written by `make bench` -->"
END = "<!-- end of bounds -->"

COLUMNS = ["what", "bound", "measured", "met"]
#: What is bounded, the bound, what was measured, and whether it keeps the bound.
Bound = tuple[str, str, str, str]


def main(chosen: Sequence[str] = (), repetitions: int = 5) -> None:
    """Measure what is asked for, draw, and write the README's table.

    The table holds the bounds of every part as it was measured last on this machine.

    Parameters
    ----------
    chosen : sequence of str
        Parts; none: all.
    repetitions : int
        Interleaved rounds, at least 5 for the record.
    """
    for name in chosen:
        if name not in PARTS:
            raise InputError(f"bench: unknown part {name!r}; {nearest(name, PARTS)}")
    if repetitions < 1:
        raise InputError(
            f"bench: repetitions must be at least 1, got {repetitions}; 5 for the"
            " record"
        )
    chosen = chosen or list(PARTS)
    for name in chosen:
        print(f"{name} ...", flush=True)
        table = pd.DataFrame(PARTS[name](repetitions), columns=COLUMNS)
        print(table.to_string(index=False))
        write_csv(FOLDER / f"bounds-{name}.csv", table)
    if (FOLDER / "engine.csv").exists() and (FOLDER / "scaling.csv").exists():
        draw(pd.read_csv(FOLDER / "engine.csv"), pd.read_csv(FOLDER / "scaling.csv"))
    paths = [FOLDER / f"bounds-{name}.csv" for name in PARTS]
    known = [pd.read_csv(path, dtype=str) for path in paths if path.exists()]
    update_readme(pd.concat(known))


def _keep(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    write_csv(FOLDER / f"{name}.csv", frame)
    print(frame.to_string(index=False))
    return frame


def _at_most(
    what: str, measured: float, limit: float, unit: str, digits: int = 2
) -> Bound:
    met = "yes" if measured <= limit else "no"
    return what, f"<= {limit:g}{unit}", f"{measured:.{digits}f}{unit}", met


def _at_least(what: str, ratio: float, limit: float, digits: int = 0) -> Bound:
    met = "yes" if ratio >= limit else "no"
    return what, f">= {limit:g}x", f"{ratio:.{digits}f}x", met


def _engine(repetitions: int) -> list[Bound]:
    # A round is short: whoever takes a core for a while must not be most of them.
    frame = _keep("engine", engine.measure(3 * repetitions))
    rows = []
    for learner, name, loop_bound in (
        ("automaton", "L<sub>R-I</sub>", 1000),
        ("qlearning", "Q-learning", 300),
    ):
        ns = frame[frame.learner == learner].set_index("engine").ns
        ours = ns[engine.OURS]
        if engine.IN_C in ns:
            what = f"{name}: compiled loop, time over C of the same semantics"
            rows.append(_at_most(what, ours / ns[engine.IN_C], 1.25, "x"))
        if "river, epsilon-greedy" in ns:
            river = ns["river, epsilon-greedy"] / ours
            rows.append(_at_least(f"{name}: speed over river", river, 250))
        loop = ns["notebook loop"] / ours
        what = f"{name}: speed over a notebook's loop"
        rows.append(_at_least(what, loop, loop_bound))
        threads = ours / ns[engine.TWO_THREADS]
        rows.append(_at_least(f"{name}: two threads over one", threads, 1.8, 2))
    return rows


def _compiled(repetitions: int) -> list[Bound]:
    frame = _keep("compiled", compiled.measure(3 * repetitions)).set_index("learner")
    heavy = [name for name in compiled.HEAVY if name in frame.index]
    light = frame.ns.drop([*heavy, compiled.OWN])
    rows = [
        _at_most(
            f"every other learner, the slowest: {light.idxmax()}",
            light.max(),
            60,
            " ns",
            0,
        ),
        _at_most(
            "Thompson, KL-UCB, Track-and-Stop, LinUCB, the slowest:"
            f" {frame.ns[heavy].idxmax()}",
            frame.ns[heavy].max(),
            300,
            " ns",
            0,
        ),
        _at_most("an own learner, UCB-tuned", frame.ns[compiled.OWN], 60, " ns", 0),
    ]
    uses = _keep("first-uses", compiled.first_uses(repetitions)).set_index("use")
    first = uses["median"]["first"]
    return [*rows, _at_most("first use of an own learner", first, 3, " s", 1)]


def _learners(repetitions: int) -> list[Bound]:
    frame = _keep("peers", learners.measure(repetitions))
    learners.draw(frame, FOLDER / "peers.png")
    rows = []
    for lead in learners.leads(frame):
        what = f"{lead.learner}: speed over the fastest peer"
        where = f"{lead.package}, {lead.models} LLMs"
        rows.append(_at_least(f"{what} ({where})", lead.ratio, 10, 1))
    return rows


def _scaling(repetitions: int) -> list[Bound]:
    _keep("scaling", scaling.measure(repetitions))
    return []


def _starts(repetitions: int) -> list[Bound]:
    frame = _keep("starts", scaling.starts(repetitions))
    medians = dict(zip(frame["start"], frame["median"], strict=True))
    return [_at_most("`import pickllm`", medians["import pickllm"], 0.05, " s", 3)]


def _live(repetitions: int) -> list[Bound]:
    frame = _keep("live", scaling.live(repetitions))
    slowest = max(frame["microseconds"])
    return [_at_most("`Router.pick` + `update`", slowest, 20, " us", 1)]


def _memory(_: int) -> list[Bound]:
    mib, seconds = scaling.memory()
    columns = {"decisions": [10**9], "mib": [mib], "seconds": [seconds]}
    _keep("memory", pd.DataFrame(columns))
    what = "reduced sweep of 10^9 decisions, peak memory"
    return [_at_most(what, mib, 500, " MiB", 0)]


def _sweeps(_: int) -> list[Bound]:
    frame = _keep("sweeps", sweeps.measure())
    measured = dict(zip(frame["what"], frame["measured"], strict=True))
    many = "20,000 settings of 100 x 1,000 over 2,000 pools and rewards, two threads"
    large = "10^10 reduced decisions of one setting, two threads"
    each = measured["a setting's overhead, ms"]
    return [
        _at_most("a sweep's setting beyond its decisions", each, 1, " ms"),
        _at_most(many, measured["many, s"], 40, " s", 0),
        _at_most(f"{many}, peak memory", measured["many, MiB"], 700, " MiB", 0),
        _at_most(large, measured["large, s"], 35, " s", 0),
    ]


def _study(_: int) -> list[Bound]:
    frame = _keep("study", study.measure()).set_index("what")
    _keep("stages", study.stages())
    limits = {
        "make reproduce, cold caches": 90,
        "make reproduce, nothing changed": 5,
        "make smoke": 30,
        "make test": 240,
        "make lint": 20,
    }
    rows = []
    for what, limit in limits.items():
        command, comma, rest = what.partition(",")
        digits = 0 if limit > 5 else 1
        label = f"`{command}`{comma}{rest}"
        rows.append(_at_most(label, frame.seconds[what], limit, " s", digits))
    peak = frame.mib["make reproduce, cold caches"]
    what = "`make reproduce`, peak memory of all processes"
    return [*rows, _at_most(what, peak, 1536, " MiB", 0)]


PARTS = {
    "engine": _engine,
    "compiled": _compiled,
    "learners": _learners,
    "scaling": _scaling,
    "starts": _starts,
    "live": _live,
    "memory": _memory,
    "sweeps": _sweeps,
    "study": _study,
}


def draw(engines: pd.DataFrame, sizes: pd.DataFrame) -> None:
    """Draw nanoseconds a decision: by engine, and against each size."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import seaborn as sns

    sns.set_theme(style="ticks", context="paper")
    figure, axes = plt.subplots(
        1, 5, figsize=(12, 3.4), width_ratios=[2.2, 1, 1, 1, 1], layout="constrained"
    )
    sns.barplot(engines, x="ns", y="engine", hue="learner", ax=axes[0], palette="gray")
    axes[0].set(xscale="log", xlabel="ns per decision", ylabel="")
    varied = ("LLMs", "queries", "sessions", "threads")
    for axis, size in zip(axes[1:], varied, strict=True):
        sns.lineplot(
            sizes.loc[sizes.varied == size],
            x="value",
            y="ns",
            hue="learner",
            style="learner",
            markers=True,
            ax=axis,
            palette="gray",
            legend=False,
        )
        axis.set(xlabel=size, ylabel="ns per decision", yscale="log")
        axis.set_xscale("linear" if size == "threads" else "log")
    with written(FOLDER / "bench.png", "wb") as file:
        figure.savefig(file, dpi=150, format="png")


def update_readme(table: pd.DataFrame) -> None:
    """Replace the table between the README's markers."""
    path = root() / "README.md"
    before, rest = path.read_text("utf-8").split(BEGIN)
    after = rest.split(END)[1]
    python = f"Python {platform.python_version()}"
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {python}"
    lines = [
        f"On {machine}; ratios from one run each.",
        "",
        "| what | bound | measured | met |",
        "|---|---:|---:|---|",
        *(f"| {' | '.join(row)} |" for row in table.itertuples(index=False)),
    ]
    with written(path) as file:
        file.write("\n".join([before + BEGIN, *lines, END + after]))
