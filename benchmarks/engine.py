"""Nanoseconds a decision: our engines beside C, peers and a notebook's loop.

Four LLMs, and one thread where a name does not say two.
"""

import ctypes
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import pickllm as pk
from pickllm.core.compiled import play_compiled, reduce_compiled, setting
from pickllm.core.prepared import Prepared, prepare
from pickllm.core.replay import play
from pickllm.engine import streams

from . import peers
from .timing import Call, interleaved, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray

SESSIONS = 2048
QUERIES = 1000
#: Fewer for those that would take minutes.
NUMPY_SESSIONS = 256
LOOP_QUERIES = 3000
#: Queries after which probabilities are recorded: a hundred times, or at both ends.
MARKS = np.linspace(0, QUERIES, 100).round().astype(np.int64)
ENDS = np.array([0, QUERIES])
LEARNERS = {
    "automaton": pk.LinearRewardInaction(0.1),
    "qlearning": pk.QLearning(0.1, epsilon=0.1),
}
LOOPS = {
    "automaton": peers.notebook_automaton,
    "qlearning": peers.notebook_qlearning,
}
PEERS = {
    "river, epsilon-greedy": peers.river_greedy,
    "MABWiser, epsilon-greedy": peers.mabwiser_greedy,
}
OURS = "compiled, choices and 100 checkpoints"
TWO_THREADS = f"{OURS}, two threads"
IN_C = "C, choices and 100 checkpoints"

#: Name -> decisions that a call takes, and the call.
Candidates = dict[str, tuple[int, Call]]


#: A learner's constants, in the order of engine.c.
CONSTANTS = {
    "rate": ctypes.c_double,
    "start": ctypes.c_double,
    "explore": ctypes.c_double,
    "exploit": ctypes.c_double,
    "limit": ctypes.c_double,
    "patience": ctypes.c_int64,
}


class Setting(ctypes.Structure):
    """As engine.c declares it."""

    _fields_ = tuple(CONSTANTS.items())


def compiled_c() -> ctypes.CDLL | None:
    """Return engine.c as a library, or None where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        return None
    target = pathlib.Path(tempfile.mkdtemp()) / "engine.so"
    source = pathlib.Path(__file__).with_name("engine.c")
    options = ["-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC"]
    wide = "-mprefer-vector-width=512"
    known = subprocess.run(
        [compiler, wide, "-E", "-x", "c", "/dev/null"], capture_output=True
    )
    if known.returncode == 0:
        options.append(wide)
    command = [compiler, *options, str(source), "-o", str(target), "-lm"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(target))


def _pointer(array: "NDArray[Any]") -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def in_c(
    library: ctypes.CDLL,
    problem: Prepared,
    sessions: int,
    queries: int,
    seed: int,
    marks: "NDArray[np.int64]",
) -> tuple["NDArray[Any]", ...]:
    """Run sessions by engine.c.

    Returns
    -------
    tuple of ndarray
        As `kernels.replay`: choices and queries, (sessions, queries), probabilities,
        (sessions, marks, models), `locked_at` and `locked_model`, (sessions,).
    """
    n_queries, n_models = problem.unit.shape
    rewards = np.ascontiguousarray(problem.unit)
    who = np.arange(sessions)
    query_keys = streams.keys(seed, who, streams.QUERY)
    choice_keys = streams.keys(seed, who, streams.CHOICE)
    shown = streams.pool_orders(seed, who, n_models)
    asked = np.empty((sessions, queries), np.int32)
    chosen = np.empty((sessions, queries), np.int16)
    recorded = np.empty((sessions, len(marks), n_models))
    locked_at = np.empty(sessions, np.int64)
    locked_model = np.empty(sessions, np.int64)
    numbers = setting(problem.learner, problem.rule, n_models)
    constants = Setting(*(getattr(numbers, name) for name in CONSTANTS))
    run = library.qlearning if numbers.values else library.automaton
    run(
        ctypes.c_int64(sessions),
        ctypes.c_int64(queries),
        ctypes.c_int64(n_queries),
        _pointer(rewards),
        _pointer(query_keys),
        _pointer(choice_keys),
        _pointer(shown),
        ctypes.byref(constants),
        ctypes.c_int64(len(marks)),
        _pointer(marks),
        _pointer(locked_at),
        _pointer(locked_model),
        _pointer(asked),
        _pointer(chosen),
        _pointer(recorded),
    )
    return chosen, asked, recorded, locked_at, locked_model


def check_c(library: ctypes.CDLL, problem: Prepared) -> None:
    """Compare the C program with ours.

    Raises
    ------
    AssertionError
        They differ in a bit: then their times mean nothing.
    """
    marks = MARKS[:30]
    theirs = in_c(library, problem, 99, 300, 3, marks)
    few = replace(problem, sessions=range(99), queries=300, seed=3, checkpoints=marks)
    ours = play_compiled(few)
    for their_array, our_array in zip(theirs, ours, strict=True):
        np.testing.assert_array_equal(their_array, our_array)


def _ours(problem: Prepared) -> Candidates:
    size = len(problem.sessions) * QUERIES
    ends = replace(problem, checkpoints=ENDS)
    assert len(ends.outcomes)  # the table is made once, before anything is timed
    some = replace(problem, sessions=range(NUMPY_SESSIONS))
    return {
        OURS: (size, partial(play_compiled, problem)),
        "compiled, choices alone": (size, partial(play_compiled, ends)),
        "compiled, sums alone": (size, partial(reduce_compiled, ends)),
        TWO_THREADS: (size, partial(play_compiled, problem, 2)),
        "NumPy across sessions": (NUMPY_SESSIONS * QUERIES, partial(play, some)),
    }


def _others(unit: "NDArray[np.float64]", loop: Callable[..., object]) -> Candidates:
    found: Candidates = {
        "notebook loop": (LOOP_QUERIES, partial(loop, unit, LOOP_QUERIES))
    }
    for name, function in PEERS.items():
        try:
            function(unit, 10)
        except ImportError:
            print(f"{name}: not installed, left out (pip install pickllm[bench])")
        else:
            found[name] = (LOOP_QUERIES, partial(function, unit, LOOP_QUERIES))
    return found


def measure(repetitions: int = 5) -> pd.DataFrame:
    """Time every engine with both learners.

    Returns
    -------
    DataFrame
        ``learner, engine, ns, ns_min, ns_max, ratio``: median, smallest and largest
        nanoseconds a decision, and the median's ratio to our loop with records.

    Raises
    ------
    AssertionError
        The C program and ours differ in a bit.
    """
    trace = pk.load_trace("bfcl-2024-08-11").select(context="simple")
    library = compiled_c()
    rows = []
    for name, learner in LEARNERS.items():
        problem = prepare(
            trace,
            pk.Reward(),
            learner,
            sessions=SESSIONS,
            queries=QUERIES,
            checkpoints=MARKS.tolist(),
        )
        candidates = _ours(problem) | _others(problem.unit, LOOPS[name])
        if library:
            check_c(library, problem)
            call = partial(in_c, library, problem, SESSIONS, QUERIES, 0, MARKS)
            candidates[IN_C] = (SESSIONS * QUERIES, call)
        calls = {engine: call for engine, (_, call) in candidates.items()}
        seconds = interleaved(calls, repetitions)
        for engine, (decisions, _) in candidates.items():
            times = spread(seconds[engine], 1e9 / decisions)
            rows.append((name, engine, *times))
    columns = ["learner", "engine", "ns", "ns_min", "ns_max"]
    frame = pd.DataFrame(rows, columns=columns)
    base = frame[frame.engine == OURS].set_index("learner").ns
    return frame.assign(ratio=frame.ns / frame.learner.map(base))
