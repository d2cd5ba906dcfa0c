"""What a decision costs at other sizes; starts, live decisions, and memory."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

import pickllm as pk
from pickllm.core.compiled import setting
from pickllm.engine import kernels

from .engine import LEARNERS
from .timing import Call, interleaved, spread

#: Decisions that a case takes, about, so that none takes long.
DECISIONS = 2**21


@dataclass(frozen=True)
class Case:
    """Sizes of one measurement; `varied` names the one on the axis."""

    varied: str
    value: int
    models: int = 4
    queries: int = 1000
    sessions: int = 2048
    threads: int = 1


def cases() -> list[Case]:
    """Return every size on its own axis, the others as `Case` has them."""
    found = []
    models = Case("LLMs", 0, sessions=DECISIONS // 1000 // 32 * 32)
    for n in (2, 4, 8, 16, 32, 64, 128, 256):
        found.append(replace(models, value=n, models=n))
    for n in (10, 100, 1000, 10_000, 60_000):
        sessions = max(32, DECISIONS // n // 32 * 32)
        found.append(Case("queries", n, queries=n, sessions=sessions))
    for n in (1, 10, 32, 100, 1000, 10_000):
        found.append(Case("sessions", n, sessions=n))
    for n in range(1, (os.cpu_count() or 1) + 1):
        found.append(Case("threads", n, sessions=8192, threads=n))
    return found


def _call(learner: Any, case: Case) -> Call:
    return partial(
        kernels.replay,
        np.random.default_rng(case.models).random((1000, case.models)),
        setting(learner, learner.lock_rule, case.models),
        range(case.sessions),
        case.queries,
        seed=0,
        order="bootstrap",
        ties="random",
        marks=np.array([0, case.queries]),
        n_jobs=case.threads,
    )


def measure(repetitions: int = 5) -> pd.DataFrame:
    """Return ``learner, varied, value, ns, ns_min, ns_max``."""
    rows = []
    for name, learner in LEARNERS.items():
        chosen = {f"{case.varied} {case.value}": case for case in cases()}
        calls = {key: _call(learner, case) for key, case in chosen.items()}
        seconds = interleaved(calls, repetitions)
        for key, case in chosen.items():
            times = spread(seconds[key], 1e9 / (case.sessions * case.queries))
            rows.append((name, case.varied, case.value, *times))
    columns = ["learner", "varied", "value", "ns", "ns_min", "ns_max"]
    return pd.DataFrame(rows, columns=columns)


START = """
import time
start = time.perf_counter()
import pickllm as pk
trace = pk.load_trace("bfcl-2024-08-11").select(context="simple")
learner = pk.LinearRewardInaction(0.1)
size = dict(sessions=1000, queries=1000)
pk.replay(trace, pk.Reward(), learner, **size, engine={engine!r})
print(time.perf_counter() - start)
"""


def _python(code: str, **environment: str) -> str:
    """Return what a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def _seconds(code: str) -> float:
    began = time.perf_counter()
    _python(code)
    return time.perf_counter() - began


def starts(repetitions: int = 5) -> pd.DataFrame:
    """Return ``start, median, min, max``, in seconds.

    A fresh process to its first 1,000 sessions of 1,000 queries; and the import alone.
    """
    kinds = {
        "compiled, cold cache": "compiled",
        "compiled, warm cache": "compiled",
        "NumPy": "numpy",
    }
    rows = []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as cache:
            for name, engine in kinds.items():
                code = START.format(engine=engine)
                rows.append((name, float(_python(code, NUMBA_CACHE_DIR=cache))))
        bare = _seconds("pass")
        imported = _seconds("import pickllm")
        rows.append(("import pickllm", max(0.0, imported - bare)))
    frame = pd.DataFrame(rows, columns=["start", "seconds"])
    grouped = frame.groupby("start", sort=False).seconds
    return grouped.agg(["median", "min", "max"]).reset_index()


def _live_session(learner: Any, outcomes: list[tuple[float, float, float]]) -> None:
    never = pk.GreedyUnchanged(10**9)
    models = ["a", "b", "c", "d"]
    router = pk.Router(models, learner, pk.Reward(), seed=0, lock=never)
    for accuracy, cost, latency in outcomes:
        model = router.pick()
        router.update(model, accuracy=accuracy, cost_usd=cost, latency_ms=latency)


def live(repetitions: int = 5, decisions: int = 5000) -> pd.DataFrame:
    """Return ``learner, microseconds, min, max`` of one `Router.pick` and `update`.

    The session watches for a lock and never locks.
    """
    rows = []
    for name, learner in LEARNERS.items():
        rng = np.random.default_rng(0)
        accuracy = rng.integers(0, 2, decisions).astype(float).tolist()
        cost = rng.uniform(1e-4, 1e-3, decisions).tolist()
        latency = rng.uniform(300, 3000, decisions).tolist()
        outcomes = list(zip(accuracy, cost, latency, strict=True))
        call = partial(_live_session, learner, outcomes)
        seconds = interleaved({name: call}, repetitions)[name]
        rows.append((name, *spread(seconds, 1e6 / decisions)))
    return pd.DataFrame(rows, columns=["learner", "microseconds", "min", "max"])


MEMORY = """
import resource
import pickllm as pk
trace = pk.load_trace("bfcl-2024-08-11")
learner = pk.LinearRewardInaction(0.1)
size = dict(sessions=1_000_000, queries=1000)
pk.sweep(
    trace, pk.Reward(), learner, contexts="simple", **size, reduce=True, n_jobs=2
)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def memory() -> tuple[float, float]:
    """Return peak MiB and seconds of a reduced sweep of 10^9 decisions."""
    began = time.perf_counter()
    mib = float(_python(MEMORY))
    return mib, time.perf_counter() - began
