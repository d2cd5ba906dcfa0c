"""`make bench`: everything in one run; tables and a figure in build/bench, and the bounds in the README (see `pickllm bench`)."""

import os
import platform

import pandas as pd

from pickllm.errors import InputError, nearest
from pickllm.files import root, write_csv, written

from . import engine, scaling, study

FOLDER = root() / "build" / "bench"
BEGIN, END = "<!-- bounds: written by `make bench` -->", "<!-- end of bounds -->"
OURS = "compiled, choices and 100 checkpoints"


def main(chosen=(), repetitions=5):
    """Measure what is asked for, draw, and write the README's table when all of it was.

    Parameters
    ----------
    chosen : sequence of str
        Parts; none: all.
    repetitions : int
        Interleaved rounds, at least 5 for the record.
    """
    parts = {
        "engine": _engine,
        "scaling": _scaling,
        "starts": _starts,
        "live": _live,
        "memory": _memory,
        "study": _study,
    }
    for name in chosen:
        if name not in parts:
            raise InputError(f"bench: unknown part {name!r}; {nearest(name, parts)}")
    if repetitions < 1:
        raise InputError(
            f"bench: repetitions must be at least 1, got {repetitions}; 5 for the"
            " record"
        )
    chosen = chosen or list(parts)
    bounds = []
    for name in chosen:
        print(f"{name} ...", flush=True)
        bounds += parts[name](repetitions)
    table = pd.DataFrame(bounds, columns=["what", "bound", "measured", "met"])
    print(table.to_string(index=False))
    if (FOLDER / "engine.csv").exists() and (FOLDER / "scaling.csv").exists():
        draw(pd.read_csv(FOLDER / "engine.csv"), pd.read_csv(FOLDER / "scaling.csv"))
    if set(chosen) == set(parts):
        write_csv(FOLDER / "bounds.csv", table)
        update_readme(table)


def _keep(name, frame):
    write_csv(FOLDER / f"{name}.csv", frame)
    print(frame.to_string(index=False))
    return frame


def _bound(what, measured, limit, unit, digits=2, at_least=False):
    met = measured >= limit if at_least else measured <= limit
    return (
        what,
        f"{'>=' if at_least else '<='} {limit:g}{unit}",
        f"{measured:.{digits}f}{unit}",
        "yes" if met else "no",
    )


def _engine(repetitions):
    frame = _keep(
        "engine", engine.measure(3 * repetitions)
    )  # short ones: a neighbour who takes a core for a while must not be most of them
    rows = []
    for learner, name, loop in (
        ("automaton", "L<sub>R-I</sub>", 1000),
        ("qlearning", "Q-learning", 300),
    ):
        ns = frame[frame.learner == learner].set_index("engine").ns
        if "C, choices and 100 checkpoints" in ns:
            rows.append(
                _bound(
                    f"{name}: compiled loop, time over C of the same semantics",
                    ns[OURS] / ns["C, choices and 100 checkpoints"],
                    2.0,
                    "x",
                )
            )
        if "river, epsilon-greedy" in ns:
            rows.append(
                _bound(
                    f"{name}: speed over river",
                    ns["river, epsilon-greedy"] / ns[OURS],
                    250,
                    "x",
                    0,
                    at_least=True,
                )
            )
        rows.append(
            _bound(
                f"{name}: speed over a notebook's loop",
                ns["notebook loop"] / ns[OURS],
                loop,
                "x",
                0,
                at_least=True,
            )
        )
        rows.append(
            _bound(
                f"{name}: two threads over one",
                ns[OURS] / ns[f"{OURS}, two threads"],
                1.8,
                "x",
                at_least=True,
            )
        )
    return rows


def _scaling(repetitions):
    _keep("scaling", scaling.measure(repetitions))
    return []


def _starts(repetitions):
    frame = _keep("starts", scaling.starts(repetitions)).set_index("start")["median"]
    return [_bound("`import pickllm`", frame["import pickllm"], 0.3, " s", 3)]


def _live(repetitions):
    frame = _keep("live", scaling.live(repetitions))
    return [_bound("`Router.pick` + `update`", frame.microseconds.max(), 20, " us", 1)]


def _memory(repetitions):
    mib, seconds = scaling.memory()
    _keep(
        "memory",
        pd.DataFrame({"decisions": [10**9], "mib": [mib], "seconds": [seconds]}),
    )
    return [_bound("reduced sweep of 10^9 decisions, peak memory", mib, 500, " MiB", 0)]


def _study(repetitions):
    frame = _keep("study", study.measure()).set_index("what")
    _keep("stages", study.stages())
    limits = {
        "make reproduce, cold caches": 120,
        "make reproduce, nothing changed": 5,
        "make smoke": 30,
        "make test": 240,
    }
    rows = [
        _bound(
            f"`{what.split(',')[0]}`{what[what.find(',') :] if ',' in what else ''}",
            frame.seconds[what],
            limit,
            " s",
            0 if limit > 5 else 1,
        )
        for what, limit in limits.items()
    ]
    return [
        *rows,
        _bound(
            "`make reproduce`, peak memory of all processes",
            frame.mib["make reproduce, cold caches"],
            1536,
            " MiB",
            0,
        ),
    ]


def draw(engines, sizes):
    """Nanoseconds a decision: by engine, and against the number of LLMs, queries, sessions and threads."""
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
    for axis, varied in zip(
        axes[1:], ("LLMs", "queries", "sessions", "threads"), strict=True
    ):
        part = sizes[sizes.varied == varied]
        sns.lineplot(
            part,
            x="value",
            y="ns",
            hue="learner",
            style="learner",
            markers=True,
            ax=axis,
            palette="gray",
            legend=False,
        )
        axis.set(
            xlabel=varied,
            ylabel="ns per decision",
            yscale="log",
            **({} if varied == "threads" else {"xscale": "log"}),
        )
    with written(FOLDER / "bench.png", "wb") as file:
        figure.savefig(file, dpi=150, format="png")


def update_readme(table):
    """Replace the table between the README's markers."""
    path = root() / "README.md"
    text = path.read_text("utf-8")
    machine = (
        f"{os.cpu_count()} cores, {platform.machine()}, Python"
        f" {platform.python_version()}"
    )
    lines = [
        "| what | bound | measured | met |",
        "|---|---:|---:|---|",
        *(f"| {' | '.join(row)} |" for row in table.itertuples(index=False)),
    ]
    head, rest = text.split(BEGIN)
    with written(path) as file:
        file.write(
            f"{head}{BEGIN}\nOn {machine}; ratios from one run.\n\n"
            + "\n".join(lines)
            + f"\n{END}{rest.split(END)[1]}"
        )
