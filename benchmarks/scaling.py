"""Cost of a decision against the number of LLMs, queries, sessions and threads; cold and warm starts; one live decision."""

import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd

import pickllm as pk
from pickllm.core.compiled import setting
from pickllm.engine import kernels

from .engine import LEARNERS
from .timing import interleaved, summary


def measure(repetitions=5):
    """``learner, varied, value, ns``: each size on its own axis, the others at 4 LLMs, 1,000 queries, 2,048 sessions, one thread."""
    cases = [
        ("LLMs", m, (m, 1000, 2**21 // 1000 // 32 * 32 or 32, 1))
        for m in (2, 4, 8, 16, 32, 64, 128, 256)
    ]
    cases += [
        ("queries", n, (4, n, max(32, 2**21 // n // 32 * 32), 1))
        for n in (10, 100, 1000, 10_000, 60_000)
    ]
    cases += [("sessions", n, (4, 1000, n, 1)) for n in (1, 10, 32, 100, 1000, 10_000)]
    cases += [
        ("threads", n, (4, 1000, 8192, n)) for n in range(1, (os.cpu_count() or 1) + 1)
    ]
    rows = []
    for name, learner in LEARNERS.items():
        calls = {}
        for varied, value, (m, queries, sessions, threads) in cases:
            unit = np.random.default_rng(m).random((1000, m))
            marks = np.array([0, queries])
            arguments = (
                unit,
                setting(learner, learner.lock_rule, m),
                slice(0, sessions),
                queries,
                0,
                "bootstrap",
                marks,
                threads,
            )
            calls[varied, value] = (
                sessions * queries,
                lambda arguments=arguments: kernels.replay(*arguments),
            )
        seconds = interleaved(
            {key: call for key, (_, call) in calls.items()}, repetitions
        )
        for key, (decisions, _) in calls.items():
            median, low, high = (1e9 * s / decisions for s in summary(seconds[key]))
            rows.append(
                {
                    "learner": name,
                    "varied": key[0],
                    "value": key[1],
                    "ns": median,
                    "ns_min": low,
                    "ns_max": high,
                }
            )
    return pd.DataFrame(rows)


START = """
import time; start = time.perf_counter()
import pickllm as pk
trace = pk.load_trace("bfcl-2024-08-11").select(context="simple")
pk.replay(trace, pk.Reward(), pk.LinearRewardInaction(0.1), sessions=1000, queries=1000, engine={engine!r})
print(time.perf_counter() - start)
"""


def starts(repetitions=5):
    """``start, seconds``: a fresh process to its first 1,000 sessions of 1,000 queries; and the import alone."""
    rows = []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | {"NUMBA_CACHE_DIR": cache}
            for name, engine in (
                ("compiled, cold cache", "compiled"),
                ("compiled, warm cache", "compiled"),
                ("NumPy", "numpy"),
            ):
                code = START.format(engine=engine)
                shown = subprocess.run(
                    [sys.executable, "-c", code],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                )
                rows.append({"start": name, "seconds": float(shown.stdout)})
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare = time.perf_counter() - began
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import pickllm"], check=True)
        rows.append(
            {
                "start": "import pickllm",
                "seconds": max(0.0, time.perf_counter() - began - bare),
            }
        )
    frame = pd.DataFrame(rows)
    return (
        frame.groupby("start", sort=False)
        .seconds.agg(["median", "min", "max"])
        .reset_index()
    )


def live(repetitions=5, decisions=5000):
    """``learner, microseconds``: one `Router.pick` and `update`, of a session that never locks."""
    rows = []
    for name, learner in LEARNERS.items():
        rng = np.random.default_rng(0)
        accuracy, cost, latency = (
            rng.integers(0, 2, decisions).astype(float).tolist(),
            rng.uniform(1e-4, 1e-3, decisions).tolist(),
            rng.uniform(300, 3000, decisions).tolist(),
        )

        def run(
            learner=learner, outcomes=list(zip(accuracy, cost, latency, strict=True))
        ):
            router = pk.Router(
                ["a", "b", "c", "d"],
                learner,
                pk.Reward(),
                seed=0,
                lock=pk.GreedyUnchanged(10**9),
            )  # it watches, and never locks
            for a, c, ms in outcomes:
                router.update(router.pick(), accuracy=a, cost_usd=c, latency_ms=ms)

        median, low, high = (
            1e6 * s / decisions
            for s in summary(interleaved({"live": run}, repetitions)["live"])
        )
        rows.append({"learner": name, "microseconds": median, "min": low, "max": high})
    return pd.DataFrame(rows)


MEMORY = """
import resource, sys
import pickllm as pk
trace = pk.load_trace("bfcl-2024-08-11")
pk.sweep(trace, pk.Reward(), pk.LinearRewardInaction(0.1), contexts="simple", sessions=1_000_000, queries=1000, reduce=True, n_jobs=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def memory():
    """Peak MiB and seconds of a reduced sweep of a thousand million decisions, in a process of its own."""
    began = time.perf_counter()
    shown = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    return float(shown.stdout), time.perf_counter() - began
