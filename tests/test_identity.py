"""Identity: what differs in its results differs in it, what is the same does not."""

import functools
import json
import subprocess
import sys
import threading
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

import pickllm as pk
from pickllm.beyond.scenarios import unanswered
from pickllm.identity import identity, places, unknowable
from pickllm.sweeps import run
from pickllm.sweeps.settings import code, name_each, settings


@pytest.fixture(scope="module")
def trace():
    return pk.load_trace("bfcl-2024-08-11").select(context="rest")


def learner_of(step):
    """A learner whose class closes over a number."""

    class Mine(pk.LinearRewardInaction):
        def update(self, state, arm, reward):
            return super().update(state, arm, reward * step)

    return Mine(0.3)


def by_latency(trace):
    return np.log10(trace.latency_ms.mean(axis=1, keepdims=True))


def by_length(trace):
    return np.log10(trace.input_tokens.mean(axis=1, keepdims=True))


class AsItIs(pk.Reward):
    def raw(self, accuracy, cost_usd, latency_ms):
        return super().raw(accuracy, cost_usd, latency_ms)


class Dearer(pk.Reward):
    def raw(self, accuracy, cost_usd, latency_ms):
        return super().raw(accuracy, 200 * cost_usd, latency_ms)


Dearer.__qualname__ = AsItIs.__qualname__  # one place, two laws

AUTOMATON = pk.LinearRewardInaction(0.3)


def pairs(trace):
    """Two settings each that once stood for one another: trace, reward, learner."""
    late = pk.Hindered(AUTOMATON)
    own = pk.Reward(bounds=(0.0, 1.3))
    return {
        "missing feedback": ((trace, own, late), (unanswered(trace, 0.9), own, late)),
        "features": (
            (trace, own, pk.LinUCB(features=by_latency)),
            (trace, own, pk.LinUCB(features=by_length)),
        ),
        "own learner within": (
            (trace, own, pk.PerContext(learner_of(1.0))),
            (trace, own, pk.PerContext(learner_of(0.2))),
        ),
        "own reward": (
            (trace, AsItIs(bounds=(0.0, 1.3)), AUTOMATON),
            (trace, Dearer(bounds=(0.0, 1.3)), AUTOMATON),
        ),
    }


@pytest.mark.parametrize(
    "case", ["missing feedback", "features", "own learner within", "own reward"]
)
def test_what_differs_has_tables_of_its_own_in_one_folder(trace, tmp_path, case):
    tables = []
    for here, reward, learner in pairs(trace)[case]:
        options = {"sessions": 20, "queries": 300}
        (setting,) = settings(here, {"r": reward}, {"l": learner}, **options)
        (table,), counts = run.execute([setting], tmp_path)
        assert counts["computed"] == 1
        tables.append(table)
    assert not tables[0].equals(tables[1])
    for (here, reward, learner), table in zip(pairs(trace)[case], tables, strict=True):
        (setting,) = settings(here, {"r": reward}, {"l": learner}, **options)
        (again,), counts = run.execute([setting], tmp_path)
        assert counts["reused"] == 1
        pd.testing.assert_frame_equal(again, table, check_dtype=False)


def test_every_further_column_is_part_of_a_trace(trace):
    text = np.full(trace.accuracy.shape, "one", dtype=object)
    other = text.copy()
    other[-1, -1] = "two"
    whole = np.ones(trace.accuracy.shape)
    traces = [
        replace(trace, extra=extra)
        for extra in (
            {},
            {"a": whole},
            {"b": whole},
            {"a": whole, "b": whole},
            {"a": whole.astype(int)},
            {"a": text},
            {"a": other},
        )
    ]
    assert len({t.fingerprint() for t in traces}) == len(traces)
    both = replace(trace, extra={"b": whole, "a": whole})
    assert both.fingerprint() == traces[3].fingerprint()


STEP = 3


def reads_a_global(x):
    return (lambda: x * STEP)()


def adding(k):
    return lambda x: x + k


def test_functions_differ_by_constants_closures_defaults_and_globals(monkeypatch):
    one, two = (lambda x: x + 1), (lambda x: x + 2)  # on one line
    made = [functools.partial(pow, 2), functools.partial(pow, 3)]
    closing = [adding(k) for k in (1, 2)]
    with_default = [eval("lambda x, k=1: x + k"), eval("lambda x, k=2: x + k")]
    before = identity(reads_a_global)
    monkeypatch.setattr(sys.modules[__name__], "STEP", 4)
    functions = [one, two, *made, *closing, *with_default]
    read = [json.dumps(identity(f)) for f in functions]
    read += [json.dumps(before), json.dumps(identity(reads_a_global))]
    assert len(set(read)) == len(read)


def test_values_differ_by_type_and_place():
    values = [1, 1.0, True, "1", None, (1,), [1], {1}, {"1": 1}, b"1"]
    values += [np.array(a) for a in (1, 1.0, [1], [[1]], ["1"])]
    values += [np.array([1], dtype=object), np.float32(1), range(1), 1j, float("nan")]
    read = [json.dumps(identity(value)) for value in values]
    assert len(set(read)) == len(read)


@dataclass(frozen=True)
class Nested:
    inner: object
    table: np.ndarray


def test_two_equal_things_are_one_and_a_part_of_itself_ends():
    def make(last):
        return Nested([pk.QLearning(0.1)], np.array([1.0, last]))

    assert identity(make(2.0)) == identity(make(2.0))
    assert identity(make(2.0)) != identity(make(3.0))
    endless = [1]
    endless.append(endless)
    assert identity(endless) == {"list": [1, {"around": 1}]}


SCRIPT = """
import json, threading
import numpy as np
import pickllm as pk
from pickllm.identity import identity
class Mine(pk.LinearRewardInaction):
    "A learner typed in at a prompt, whose source nobody has."
    names = {"a", "b", "c"}
    def update(self, state, arm, reward):
        return super().update(state, arm, STEP)
STEP = 0.5
trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
things = [pk.PerContext(Mine(0.3)), pk.LinUCB(features=lambda t: t.accuracy)]
print(json.dumps([identity(things), trace.fingerprint(), identity(pk.Reward())]))
"""


def test_two_processes_agree():
    read = [
        subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout
        for script in (SCRIPT, SCRIPT, SCRIPT.replace("0.5", "0.25"))
    ]
    assert read[0] == read[1]
    assert read[0] != read[2]


@dataclass(frozen=True)
class Guarded(pk.LinearRewardInaction):
    lock: object = None


def test_what_cannot_be_read_is_computed_again_and_said_so(trace, tmp_path):
    learner = Guarded(0.3, lock=threading.Lock())
    assert unknowable(identity(learner)) == ["_thread.lock"]
    for number in range(2):
        (setting,) = settings(trace, pk.Reward(), learner, sessions=3, queries=20)
        _, counts = run.execute([setting], tmp_path)
        assert counts["computed"] == 1
        assert len(counts["set_aside"]) == number
    assert "holds a _thread.lock, and one cannot be told" in counts["set_aside"][0]


def test_the_package_s_modules_behind_a_nested_learner_are_inputs(trace):
    learner = pk.PerContext(pk.GeneralisedPursuit())
    (setting,) = settings(trace, pk.Reward(), learner, sessions=3, queries=20)
    assert "pickllm.beyond.automata.GeneralisedPursuit" in places(setting.identity)
    assert code("import pickllm.beyond.automata.GeneralisedPursuit") != code()


def test_two_that_are_shown_alike_need_names():
    one, two = pk.LinUCB(features=by_latency), pk.LinUCB(features=by_length)
    with pytest.raises(pk.InputError, match="two of the learners are called 'LinUCB"):
        name_each([one, two], "learners")
    assert len(name_each([one, pk.LinUCB(features=by_latency)], "learners")) == 1
    assert list(name_each({"a": one, "b": two}, "learners")) == ["a", "b"]


def test_a_name_holds_no_address():
    class Mine:
        pass

    (name,) = name_each([Mine()], "learners")
    assert name.endswith("Mine object>")
