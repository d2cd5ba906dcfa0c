"""The engines for both learners beside C, peers and a notebook's loop: nanoseconds a decision, four LLMs, one thread."""

import ctypes
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np
import pandas as pd

import pickllm as pk
from pickllm.core.compiled import setting
from pickllm.core.sessions import bound, outcome_table
from pickllm.engine import kernels, streams

from . import peers
from .timing import interleaved, summary

SESSIONS, QUERIES, MARKS = 2048, 1000, 100
LEARNERS = {
    "automaton": pk.LinearRewardInaction(0.1),
    "qlearning": pk.QLearning(0.1, epsilon=0.1),
}


class Setting(ctypes.Structure):
    """As engine.c declares it."""

    _fields_ = [
        (name, ctypes.c_double)
        for name in ("rate", "start", "explore", "exploit", "limit")
    ] + [("patience", ctypes.c_int64)]


def compiled_c():
    """engine.c as a library, or None where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        return None
    target = pathlib.Path(tempfile.mkdtemp()) / "engine.so"
    source = pathlib.Path(__file__).with_name("engine.c")
    options = ["-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC"]
    wide = (
        []
        if subprocess.run(
            [compiler, "-mprefer-vector-width=512", "-E", "-x", "c", "/dev/null"],
            capture_output=True,
        ).returncode
        else ["-mprefer-vector-width=512"]
    )
    subprocess.run(
        [compiler, *options, *wide, str(source), "-o", str(target), "-lm"], check=True
    )
    return ctypes.CDLL(str(target))


def in_c(library, learner, unit, sessions, queries, seed, marks):
    """Sessions by engine.c: choices, queries, probabilities, locked_at, locked_model."""
    rewards = np.ascontiguousarray(unit)
    keys = [
        streams.keys(seed, np.arange(sessions), purpose)
        for purpose in (streams.QUERY, streams.CHOICE)
    ]
    numbers = setting(learner, learner.lock_rule, 4)
    c_setting = Setting(
        numbers.rate,
        numbers.start,
        numbers.explore,
        numbers.exploit,
        numbers.limit,
        numbers.patience,
    )
    asked, chosen = (
        np.empty((sessions, queries), np.int32),
        np.empty((sessions, queries), np.int16),
    )
    recorded, locks = (
        np.empty((sessions, len(marks), 4)),
        np.empty((2, sessions), np.int64),
    )
    pointer = lambda array: array.ctypes.data_as(ctypes.c_void_p)
    run = library.qlearning if numbers.values else library.automaton
    size = ctypes.c_int64
    run(
        size(sessions),
        size(queries),
        size(len(unit)),
        pointer(rewards),
        pointer(keys[0]),
        pointer(keys[1]),
        ctypes.byref(c_setting),
        size(len(marks)),
        pointer(marks),
        pointer(locks[0]),
        pointer(locks[1]),
        pointer(asked),
        pointer(chosen),
        pointer(recorded),
    )
    return chosen, asked, recorded, *locks


def measure(repetitions=5):
    """One row an engine and learner: median, smallest and largest ns a decision, and the ratio to ours with records.

    Raises
    ------
    AssertionError
        The C program and ours differ in a bit: then their times mean nothing.
    """
    trace = pk.load_trace("bfcl-2024-08-11").select(context="simple")
    library, rows = compiled_c(), []
    for name, learner in LEARNERS.items():
        reward, learner, rule = bound(trace, pk.Reward(), learner)
        unit = reward.unit(trace.accuracy, trace.cost_usd, trace.latency_ms)
        outcomes = outcome_table(trace, reward)
        numbers = setting(learner, rule, 4)
        marks, two = (
            np.linspace(0, QUERIES, n).round().astype(np.int64) for n in (MARKS, 2)
        )
        block, size = slice(0, SESSIONS), SESSIONS * QUERIES
        ours = lambda m, n_jobs=1: kernels.replay(
            unit, numbers, block, QUERIES, 0, "bootstrap", m, n_jobs
        )
        candidates = {
            "compiled, choices and 100 checkpoints": (size, lambda: ours(marks)),
            "compiled, choices alone": (size, lambda: ours(two)),
            "compiled, sums alone": (
                size,
                lambda: kernels.reduce(
                    unit, outcomes, numbers, block, QUERIES, 0, "bootstrap", two
                ),
            ),
            "compiled, choices and 100 checkpoints, two threads": (
                size,
                lambda: ours(marks, 2),
            ),
            "NumPy across sessions": (
                256 * QUERIES,
                lambda: pk.replay(
                    trace,
                    reward,
                    learner,
                    sessions=256,
                    queries=QUERIES,
                    engine="numpy",
                ),
            ),
        }
        if library:
            for a, b in zip(
                in_c(library, learner, unit, 99, 300, 3, marks[:30]),
                kernels.replay(
                    unit, numbers, slice(0, 99), 300, 3, "bootstrap", marks[:30]
                ),
                strict=True,
            ):
                np.testing.assert_array_equal(a, b)
            candidates["C, choices and 100 checkpoints"] = (
                size,
                lambda: in_c(library, learner, unit, SESSIONS, QUERIES, 0, marks),
            )
        n = 3000
        loop = (
            peers.notebook_automaton
            if name == "automaton"
            else peers.notebook_qlearning
        )
        candidates["notebook loop"] = n, lambda: loop(unit, n)
        for peer, function in (
            ("river, epsilon-greedy", peers.river_greedy),
            ("MABWiser, epsilon-greedy", peers.mabwiser_greedy),
        ):
            try:
                function(unit, 10)
                candidates[peer] = n, lambda function=function: function(unit, n)
            except ImportError:
                print(f"{peer}: not installed, left out (pip install pickllm[bench])")
        seconds = interleaved(
            {key: call for key, (_, call) in candidates.items()}, repetitions
        )
        for key, (decisions, _) in candidates.items():
            median, low, high = (1e9 * s / decisions for s in summary(seconds[key]))
            rows.append(
                {
                    "learner": name,
                    "engine": key,
                    "ns": median,
                    "ns_min": low,
                    "ns_max": high,
                }
            )
    frame = pd.DataFrame(rows)
    base = (
        frame[frame.engine == "compiled, choices and 100 checkpoints"]
        .set_index("learner")
        .ns
    )
    return frame.assign(ratio=frame.ns / frame.learner.map(base))
