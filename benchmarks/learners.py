"""Every learner of ours that a package of bandits has too, beside that package.

Nanoseconds a decision, by number of LLMs. A decision is a choice, the reward of the one
LLM asked, and what is learned from it. All meet the same made-up rewards and features
in sessions of 1,000 queries that never lock, each in a process and a thread of its own,
a round at a time in turn: what slows the machine slows all. A package's bandit is made
anew for each session outside the time; ours runs through `replay` and records
probabilities a hundred times a session.
"""

import importlib.util
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import pickllm as pk
from pickllm.errors import InputError
from pickllm.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PINK,
    VERMILION,
    WIDTH,
    styled,
)
from pickllm.files import root, written

from . import peers
from .peers import PEERS, Pool
from .timing import spread

OURS = "pickllm"
LEARNERS = {
    peers.GREEDY: pk.QLearning(epsilon=peers.EPSILON),
    peers.UCB: pk.UCB1(),
    peers.THOMPSON: pk.ThompsonBeta(),
    peers.LINUCB: pk.LinUCB(alpha=peers.ALPHA),
    peers.EXP3: pk.Exp3(gamma=peers.GAMMA),
    peers.SOFTMAX: pk.Softmax(temperature=peers.TEMPERATURE),
}
MODELS = (4, 16, 64, 256)
#: What all of them learn from: whether the answer was right.
REWARD = pk.Reward(form="linear", w_cost=0.0, w_latency=0.0, bounds=(0.0, 1.0))
CONTEXTS = ("a", "b", "c", "d")
N_QUERIES = 1000
SESSION = 1000
CHECKPOINTS = 100
#: Sessions of ours that a replay has at least.
ABREAST = 32
#: Seconds that a round takes, about.
ROUND = 0.3
#: Numbers that one replay may keep, so that 256 LLMs fit a small machine.
KEPT = 2**25

#: Takes about so many decisions; returns how many it took, and the seconds.
Timed = Callable[[int], tuple[int, float]]


def made_up(n_models: int, seed: int = 0) -> pk.Trace:
    """Return outcomes of a pool: each LLM is right with a chance of its own."""
    rng = np.random.default_rng(seed)
    shape = N_QUERIES, n_models
    chance = rng.uniform(0.2, 0.8, n_models)
    return pk.Trace(
        models=tuple(f"llm-{j}" for j in range(n_models)),
        query_id=np.array([f"q{i}" for i in range(N_QUERIES)]),
        context=np.resize(CONTEXTS, N_QUERIES),
        accuracy=(rng.random(shape) < chance).astype(float),
        cost_usd=rng.uniform(1e-4, 1e-3, shape),
        latency_ms=rng.uniform(300, 3000, shape),
        input_tokens=rng.integers(50, 500, shape).astype(float),
        output_tokens=rng.integers(5, 50, shape).astype(float),
    )


def pool_of(trace: pk.Trace) -> Pool:
    """Return the same as plain lists: rewards, and the features that LinUCB sees."""
    unit = REWARD.unit(trace.accuracy, trace.cost_usd, trace.latency_ms)
    seen = pk.LinUCB().describe(trace)
    return Pool(unit.tolist(), seen.tolist())


def ours(learner: str, trace: pk.Trace) -> Timed:
    """Return our learner's sessions, compiled where they can be.

    The first decisions are spread over sessions, which run side by side, the next over
    longer ones, the rest over more.
    """
    most = max(1, min(KEPT // (CHECKPOINTS * len(trace.models)), KEPT // SESSION))

    def replay(sessions: int, queries: int, engine: str) -> None:
        pk.replay(
            trace,
            REWARD,
            LEARNERS[learner],
            sessions=sessions,
            queries=queries,
            lock=False,
            checkpoints=CHECKPOINTS,
            engine=engine,
        )

    engine = "compiled"
    try:
        replay(1, 10, engine)
    except InputError:
        engine = "auto"

    def timed(decisions: int) -> tuple[int, float]:
        sessions = min(decisions, max(ABREAST, decisions // SESSION), most)
        queries = min(decisions // sessions, SESSION)
        began = time.perf_counter()
        replay(sessions, queries, engine)
        return sessions * queries, time.perf_counter() - began

    return timed


def theirs(package: str, learner: str, pool: Pool) -> Timed:
    """Return a package's sessions; one that a round has not ended goes on."""
    build = PEERS[package].build
    rng = np.random.default_rng(0)
    left = 0
    play: Any = None

    def timed(decisions: int) -> tuple[int, float]:
        nonlocal left, play
        seconds = 0.0
        for asked in _in_parts(rng.integers(len(pool.rewards), size=decisions), left):
            if not left:
                play = build(learner, pool, 0)
                left = SESSION
            began = time.perf_counter()
            play(asked)
            seconds += time.perf_counter() - began
            left -= len(asked)
        return decisions, seconds

    return timed


def _in_parts(asked: Any, left: int) -> Iterable[list[int]]:
    """Cut queries where a session ends that has some left."""
    edges = range(left, len(asked), SESSION)
    return (part.tolist() for part in np.split(asked, edges) if len(part))


def decisions_of_a_round(timed: Timed) -> int:
    """Return how many decisions take about `ROUND` seconds; finding out warms up.

    By the processor's clock, as others may be warming up at the same time.
    """
    timed(1)  # imports and compiles
    decisions = 1
    while True:
        began = time.process_time()
        taken, _ = timed(decisions)
        seconds = time.process_time() - began
        if seconds >= ROUND / 3 or taken < decisions:
            return max(1, round(taken * ROUND / seconds))
        decisions *= 2


def serve(package: str, learner: str, n_models: int) -> None:
    """Warm up, say so, and answer each line with the seconds a decision of a round."""
    warnings.simplefilter("ignore")
    trace = made_up(n_models)
    if package == OURS:
        timed = ours(learner, trace)
    else:
        timed = theirs(package, learner, pool_of(trace))
    decisions = decisions_of_a_round(timed)
    print("ready", flush=True)
    for _ in sys.stdin:
        taken, seconds = timed(decisions)
        print(seconds / taken, flush=True)


class Candidate:
    """One package's learner in a process of its own, one thread, that times on request.

    Parameters
    ----------
    package, learner : str
    n_models : int
    """

    def __init__(self, package: str, learner: str, n_models: int) -> None:
        self.package = package
        one = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
        self._process: Any = subprocess.Popen(
            [
                sys.executable,
                *("-W", "ignore", "-m", "benchmarks.learners"),
                *(package, learner, str(n_models)),
            ],
            cwd=root(),
            env=os.environ | one,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self) -> str:
        """Return the next line of the process.

        Raises
        ------
        RuntimeError
            It has ended; why stands on standard error.
        """
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.package}: its process ended, see above")
        return line.strip()

    def round(self) -> float:
        """Return the seconds a decision of one round."""
        self._process.stdin.write("round\n")
        self._process.stdin.flush()
        return float(self.answer())

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def packages(learner: str) -> list[str]:
    """Return ours and the installed packages that have a learner."""
    having = [name for name, peer in PEERS.items() if learner in peer.learners]
    return [OURS, *(name for name in having if importlib.util.find_spec(name))]


def seconds_a_decision(
    learner: str, n_models: int, repetitions: int
) -> dict[str, list[float]]:
    """Return each package's rounds, in turn; the first round is thrown away."""
    candidates = [Candidate(name, learner, n_models) for name in packages(learner)]
    rounds: dict[str, list[float]] = {each.package: [] for each in candidates}
    try:
        for each in candidates:
            each.answer()
        for _ in range(repetitions + 1):
            for each in candidates:
                rounds[each.package].append(each.round())
    finally:
        for each in candidates:
            each.close()
    return {name: values[1:] for name, values in rounds.items()}


def measure(
    repetitions: int = 5,
    learners: Iterable[str] = tuple(LEARNERS),
    models: Iterable[int] = MODELS,
) -> pd.DataFrame:
    """Time every learner in every package that has it.

    Parameters
    ----------
    repetitions : int
        Rounds that count.
    learners : iterable of str
    models : iterable of int
        Numbers of LLMs.

    Returns
    -------
    DataFrame
        ``learner, package, models, ns, ns_min, ns_max``: median, smallest and largest
        nanoseconds a decision.
    """
    for name in PEERS:
        if not importlib.util.find_spec(name):
            print(f"{name}: not installed, left out (pip install {name})")
    rows = []
    for learner in learners:
        for n_models in models:
            print(f"{learner}, {n_models} LLMs ...", flush=True)
            rounds = seconds_a_decision(learner, n_models, repetitions)
            for package, seconds in rounds.items():
                rows.append((learner, package, n_models, *spread(seconds, 1e9)))
    columns = ["learner", "package", "models", "ns", "ns_min", "ns_max"]
    return pd.DataFrame(rows, columns=columns)


class Lead(NamedTuple):
    """How far ours is ahead, where it is least so: of whom, at how many LLMs."""

    learner: str
    ratio: float
    package: str
    models: int


def leads(frame: pd.DataFrame) -> list[Lead]:
    """Return, for each learner, our smallest speed over the fastest peer's.

    Parameters
    ----------
    frame : DataFrame
        As `measure` returns it.

    Examples
    --------
    >>> rows = [("UCB1", "pickllm", 4, 10), ("UCB1", "river", 4, 900)]
    >>> rows += [("UCB1", "pickllm", 16, 20), ("UCB1", "river", 16, 800)]
    >>> leads(pd.DataFrame(rows, columns=["learner", "package", "models", "ns"]))
    [Lead(learner='UCB1', ratio=40.0, package='river', models=16)]
    """
    found = []
    for learner, rows in frame.groupby("learner", sort=False):
        table = rows.pivot(index="models", columns="package", values="ns")
        others = table.drop(columns=OURS)
        if others.empty:
            continue
        ratio = others.min(axis=1) / table[OURS]
        models: Any = ratio.idxmin()
        package = str(others.loc[models].idxmin())
        found.append(Lead(str(learner), float(ratio[models]), package, int(models)))
    return found


#: How each package is drawn: its name, colour, marker and line.
LOOKS = {
    OURS: ("pickllm", BLACK, "o", "-"),
    "river": ("river", BLUE, "s", "--"),
    "mabwiser": ("MABWiser", VERMILION, "^", "-."),
    "coba": ("coba", GREEN, "D", ":"),
    "vowpalwabbit": ("Vowpal Wabbit", PINK, "v", (0, (6, 1))),
    "contextualbandits": ("contextualbandits", ORANGE, "P", (0, (3, 1, 1, 1, 1, 1))),
}


@styled
def draw(frame: pd.DataFrame, path: Path) -> None:
    """Draw nanoseconds a decision against the number of LLMs, a panel a learner.

    Parameters
    ----------
    frame : DataFrame
        As `measure` returns it.
    path : path
        The PNG.
    """
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(frame.learner))
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    panels = figure.subplots(-(-len(names) // 3), 3, sharex=True, sharey=True)
    for axis, name in zip(panels.flat, names, strict=False):
        _panel(axis, frame[frame.learner == name])
        axis.set_title(name)
    figure.supxlabel("LLMs in the pool")
    figure.supylabel("nanoseconds a decision")
    with written(path, "wb") as file:
        figure.savefig(file, dpi=200, format="png")


def _panel(axis: Any, frame: pd.DataFrame) -> None:
    """Draw one learner: a line a package, named at its end."""
    ends = []
    for package, rows in frame.groupby("package", sort=False):
        name, colour, marker, line = LOOKS[str(package)]
        axis.plot(rows.models, rows.ns, color=colour, marker=marker, ls=line, ms=3)
        axis.fill_between(
            rows.models, rows.ns_min, rows.ns_max, color=colour, alpha=0.15, lw=0
        )
        ends.append((float(rows.ns.iloc[-1]), name, colour))
    last = frame.models.max()
    heights = _apart([height for height, _, _ in sorted(ends)])
    for height, (_, name, colour) in zip(heights, sorted(ends), strict=True):
        axis.text(1.15 * last, height, name, color=colour, va="center", size=5.5)
    axis.set(xscale="log", yscale="log", xlim=(3, 14 * last))
    axis.set_xticks(sorted(set(frame.models)), sorted(set(frame.models)), minor=False)
    axis.minorticks_off()


def _apart(heights: list[float], factor: float = 2.2) -> list[float]:
    """Raise heights, in order, until each is so many times the one before."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, factor * placed[-1]) if placed else height)
    return placed


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
