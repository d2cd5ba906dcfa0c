"""What many small settings and one large one cost in a sweep: time and memory.

Each is measured in a process of its own, with the compiled loops at hand: a first run
of every kind is not counted.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import pickllm as pk
from pickllm.core.compiled import reduce_compiled
from pickllm.core.prepared import prepare
from pickllm.core.reward import FORMS
from pickllm.files import root
from pickllm.sweeps.run import execute
from pickllm.sweeps.settings import Setting, settings

#: LLMs and queries of the trace that pools are drawn from, and its contexts.
LLMS, QUERIES, CONTEXTS = 23, 40_000, 8
#: Sessions of a small setting, and the queries of each.
SIZE = {"sessions": 100, "queries": 1000}
THREADS = 2


def wide_trace() -> pk.Trace:
    """Return a trace of many LLMs, drawn from laws of no meaning."""
    rng = np.random.default_rng(0)
    shape = QUERIES, LLMS
    right = rng.random(shape) < rng.uniform(0.3, 0.95, LLMS)
    return pk.Trace(
        models=tuple(f"llm-{number}" for number in range(LLMS)),
        query_id=np.arange(QUERIES).astype(str),
        context=np.repeat(np.arange(CONTEXTS).astype(str), QUERIES // CONTEXTS),
        accuracy=right.astype(float),
        cost_usd=rng.gamma(2.0, 1e-3, shape),
        latency_ms=50.0 + rng.gamma(2.0, 400.0, shape),
        input_tokens=np.ones(shape),
        output_tokens=np.ones(shape),
    )


def drawn(number: int, pairs: int) -> list[Setting]:
    """Return settings drawn over pairs of a pool and a reward, pools of 2 to 6 LLMs."""
    rng = np.random.default_rng(1)
    trace = wide_trace()
    made = []
    for place in range(pairs):
        models = rng.choice(trace.models, 2 + place % 5, replace=False).tolist()
        pool = trace.select(context=str(rng.integers(CONTEXTS)), models=models)
        form = list(FORMS)[rng.integers(len(FORMS))]
        made.append((pool, pk.Reward(form=form, w_cost=rng.uniform(0.0, 0.5))))
    plan = []
    for place in range(number):
        pool, reward = made[place % pairs]
        rate, epsilon = rng.uniform([0.01, 0.0], [0.5, 0.2]).tolist()
        odd = place // pairs % 2
        learner = pk.QLearning(rate, epsilon) if odd else pk.LinearRewardInaction(rate)
        labels = {"context": pool.contexts[0], "learner": repr(learner)}
        options = {**SIZE, "seed": place}
        plan.append(Setting(labels, pool, reward, learner, options, reduce=True))
    return plan


def many(number: int = 20_000, pairs: int = 2000) -> list[float]:
    """Return the seconds of many drawn settings on two threads, and peak MiB.

    Then the seconds of their table as one, and the peak with it.
    """
    plan = drawn(number, pairs)
    _warm(plan[:5] + plan[pairs : pairs + 5])
    began = time.perf_counter()
    results, _ = execute(plan, n_jobs=THREADS)
    ran, peak = time.perf_counter(), _peak()
    results.frame()
    return [ran - began, peak, time.perf_counter() - ran, _peak()]


def overhead(number: int = 500, pairs: int = 50, rounds: int = 5) -> list[float]:
    """Return what a setting costs beyond its compiled decisions, and these.

    Milliseconds of the processor on one thread, which others on the machine disturb
    less; medians of interleaved rounds.
    """
    plan = drawn(number, pairs)
    prepared = [prepare(s.trace, s.reward, s.learner, **s.options) for s in plan]
    totals, decisions = [], []
    for _ in range(rounds + 1):  # the first one compiles
        decisions.append(_milliseconds(lambda: [*map(reduce_compiled, prepared)]))
        totals.append(_milliseconds(lambda: execute(plan)[0].frame()))
    each = np.median(decisions[1:]) / number
    return [np.median(totals[1:]) / number - each, each]


def _milliseconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return 1e3 * (time.process_time() - began)


def large(sessions: int = 10_000_000) -> list[float]:
    """Return the seconds of one setting of many sessions on two threads; peak MiB."""
    trace = pk.load_trace("bfcl-2024-08-11")
    learner = pk.LinearRewardInaction(0.1)
    plan = settings(trace, pk.Reward(), learner, "simple", sessions, reduce=True)
    few = settings(trace, pk.Reward(), learner, "simple", 1000, reduce=True)
    _warm(few)
    began = time.perf_counter()
    execute(plan, n_jobs=THREADS)
    return [time.perf_counter() - began, _peak()]


def _warm(plan: list[Setting]) -> None:
    """Compile every kind of loop that a plan needs."""
    for setting in plan:
        options: dict[str, Any] = {**setting.options, "engine": "compiled"}
        prepared = setting.trace, setting.reward, setting.learner
        execute([Setting(setting.labels, *prepared, options, reduce=True)])


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


#: What each of the functions above returns.
TOLD = {
    "overhead": ("a setting's overhead, ms", "a setting's decisions, ms"),
    "many": ("many, s", "many, MiB", "their table, s", "many and their table, MiB"),
    "large": ("large, s", "large, MiB"),
}
CHILD = """
import sys
sys.path.insert(0, {root!r})
from benchmarks import sweeps
print(*sweeps.{name}())
"""


def _alone(name: str) -> list[float]:
    """Return what one of the functions above gives in a process of its own."""
    code = CHILD.format(root=str(root()), name=name)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()]


def measure() -> pd.DataFrame:
    """Return ``what, measured``; see `TOLD`."""
    rows = [
        (what, measured)
        for name, told in TOLD.items()
        for what, measured in zip(told, _alone(name), strict=True)
    ]
    return pd.DataFrame(rows, columns=["what", "measured"])
