"""Nanoseconds a decision of every learner, and the price of compiling one's own.

Four LLMs, choices and 100 checkpoints, one thread.
"""

import math
import os
import pathlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pandas as pd

import pickllm as pk
from pickllm import experiments
from pickllm.core.compiled import has_own_loop, play_compiled
from pickllm.core.prepared import prepare

from .timing import interleaved, spread

SESSIONS = 256
QUERIES = 1000
#: Those that work out more than an index or a step.
HEAVY = (
    "KL-UCB",
    "Thompson (normal)",
    "Thompson (Beta)",
    "Track-and-Stop",
    "Track-and-Stop, noise 0.25",
    "LinUCB",
)
OWN = "own (UCB-tuned)"


@dataclass(frozen=True)
class UCBTuned:
    """What a user writes: UCB1-tuned (Auer, Cesa-Bianchi and Fischer 2002, sec. 4)."""

    width: float = 1.0
    lock_rule: ClassVar = pk.GreedyUnchanged(100)

    def start(self, n_models: int) -> Any:
        """Return numbers of answers, sums of rewards, and sums of their squares."""
        return np.zeros((3, n_models))

    def choose(self, state: Any) -> int:
        """Return the LLM of the highest index; each is asked once before."""
        count, total, squares = state
        t = count.sum()
        best = 0
        highest = -1.0
        for j in range(len(count)):
            if count[j] == 0.0:
                return j
            mean = total[j] / count[j]
            share = math.log(t) / count[j]
            variance = squares[j] / count[j] - mean * mean + math.sqrt(2.0 * share)
            index = mean + self.width * math.sqrt(share * min(0.25, variance))
            if index > highest:
                best = j
                highest = index
        return best

    def update(self, state: Any, arm: int, reward: float) -> None:
        """Count the answer."""
        state[0, arm] += 1.0
        state[1, arm] += reward
        state[2, arm] += reward * reward


def measure(repetitions: int = 5) -> pd.DataFrame:
    """Return ``learner, ns, ns_min, ns_max``, all learners in each round."""
    trace = pk.load_trace("bfcl-2024-08-11").select(context="simple")
    learners: dict[str, Any] = {
        name: learner
        for name, learner in experiments.VARIANTS.items()
        if not has_own_loop(learner)
    }
    learners["LinUCB"] = pk.LinUCB()
    learners["PerContext(L_R-I)"] = pk.PerContext(pk.LinearRewardInaction())
    learners[OWN] = UCBTuned()
    calls = {}
    for name, learner in learners.items():
        size = {"sessions": SESSIONS, "queries": QUERIES, "lock": False}
        calls[name] = partial(
            play_compiled, prepare(trace, pk.Reward(), learner, **size)
        )
    seconds = interleaved(calls, repetitions)
    rows = [
        (name, *spread(times, 1e9 / (SESSIONS * QUERIES)))
        for name, times in seconds.items()
    ]
    return pd.DataFrame(rows, columns=["learner", "ns", "ns_min", "ns_max"])


FIRST = """
import time
import pickllm as pk
from benchmarks.compiled import UCBTuned
trace = pk.load_trace("bfcl-2024-08-11").select(context="simple")
size = dict(sessions=100, queries=1000, engine="compiled")
pk.replay(trace, pk.Reward(), pk.LinearRewardInaction(), **size)
if {built_in}:
    pk.replay(trace, pk.Reward(), pk.UCB1(), **size)
start = time.perf_counter()
pk.replay(trace, pk.Reward(), UCBTuned(), **size)
print(time.perf_counter() - start)
"""


def first_uses(repetitions: int = 3) -> pd.DataFrame:
    """Return ``use, median, min, max``, in seconds, of an own learner's first replay.

    In a process that has used the kit before; compiled, and as it was kept.
    """
    rows: list[tuple[str, float]] = []
    folder = pathlib.Path(__file__).resolve().parents[1]
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as cache:
            for use, built_in in (("warm up", True), ("first", False), ("kept", False)):
                if use == "first":
                    _forget(pathlib.Path(cache))
                told = subprocess.run(
                    [sys.executable, "-c", FIRST.format(built_in=built_in)],
                    env=os.environ | {"NUMBA_CACHE_DIR": cache},
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                rows.append((use, float(told.stdout)))
    frame = pd.DataFrame(rows, columns=["use", "seconds"])
    grouped = frame[frame.use != "warm up"].groupby("use", sort=False).seconds
    return grouped.agg(["median", "min", "max"]).reset_index()


def _forget(cache: pathlib.Path) -> None:
    """Remove what was kept of learners, not what was kept of the engine."""
    for file in cache.rglob("general.answering.*"):
        file.unlink()
