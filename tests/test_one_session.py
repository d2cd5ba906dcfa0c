"""Learners for one session: the compiled loop is Python's to the last bit, and each
learner is the one that was written over a session axis, in NumPy, apart from it.
"""

import dataclasses
import math
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy_learners
import pytest
from reference import IDENTITY, trace_of
from test_kernels import ARRAYS, LEARNERS, RULES, assert_same_bits, both, simple

import pickllm as pk
from pickllm import experiments
from pickllm.beyond import bandits
from pickllm.core.compiled import WORTHWHILE_ALONE
from pickllm.core.one_session import OverSessions, is_one_session, uniforms_of
from pickllm.core.replay import certain
from pickllm.errors import SlowWarning
from pickllm.sweeps.totals import totals

assert simple
BEYOND = {
    name: learner
    for name, learner in experiments.VARIANTS.items()
    if is_one_session(learner)
}
DRAWING = {name for name, learner in BEYOND.items() if uniforms_of(learner, 4)}


@pytest.mark.parametrize("order", ["bootstrap", "shuffle"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("learner", LEARNERS)
def test_the_papers_learners_are_the_same_written_for_one_session(
    simple, learner, rule, order
):
    two_ways = LEARNERS[learner]
    rule = RULES[rule]
    options = {
        "sessions": 33,
        "queries": 250,
        "seed": 3,
        "order": order,
        "lock": two_ways.lock_rule if rule is True else rule,
    }
    numpy = pk.replay(simple, pk.Reward(), two_ways, engine="numpy", **options)
    alone = two_ways.one_session()
    expected, found = both(simple, pk.Reward(), alone, n_jobs=2, **options)
    assert_same_bits(expected, found)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(numpy, name), getattr(found, name))


@pytest.mark.parametrize(
    ("rule", "order", "sessions", "n_jobs"),
    [
        ("own rule", "bootstrap", 17, 2),
        ("never", "shuffle", 5, 1),
        ("threshold", "bootstrap", 1, 2),
        ("run", "shuffle", 33, 1),
    ],
)
@pytest.mark.parametrize("name", BEYOND)
def test_compiled_is_python_to_the_last_bit(
    simple, name, rule, order, sessions, n_jobs
):
    expected, found = both(
        simple,
        pk.Reward(),
        BEYOND[name],
        n_jobs=n_jobs,
        sessions=sessions,
        queries=150,
        seed=5,
        order=order,
        lock=RULES[rule],
        checkpoints=7,
    )
    assert_same_bits(expected, found)


@pytest.mark.parametrize("m", [1, 2, 3, 9])
@pytest.mark.parametrize("name", BEYOND)
def test_any_number_of_llms(name, m):
    rng = np.random.default_rng(m)
    trace = trace_of(rng.random((50, m)))
    expected, found = both(
        trace, pk.Reward(), BEYOND[name], sessions=6, queries=90, seed=1
    )
    assert_same_bits(expected, found)


@pytest.mark.parametrize("m", [1, 2, 4, 7])
@pytest.mark.parametrize("name", sorted(set(BEYOND) - DRAWING))
def test_each_is_the_learner_written_in_numpy(name, m):
    alone = OverSessions(BEYOND[name])
    kind = getattr(numpy_learners, type(BEYOND[name]).__name__)
    numpy = kind(**vars(BEYOND[name]))
    rng = np.random.default_rng(0)
    n_sessions = 40
    one, other = alone.start(n_sessions, m), numpy.start(n_sessions, m)
    best = rng.random(m)
    for _ in range(120):
        shown = numpy.probabilities(other)
        arm = (shown.cumsum(axis=1) < rng.random((n_sessions, 1))).sum(axis=1) % m
        reward = np.clip(best[arm] + rng.normal(0, 0.2, n_sessions), 0.0, 1.0)
        reward[rng.random(n_sessions) < 0.1] = rng.integers(2)
        one = alone.update(one, arm, reward)
        other = numpy.update(other, arm, reward)
        expected = numpy.probabilities(other)
        if hasattr(alone.learner, "choose"):
            chosen = alone.choose(one, np.zeros((n_sessions, 0)))
            index = numpy.index(other)
            tied = index[np.arange(n_sessions), chosen] >= index.max(axis=1) - 1e-12
            found = np.where(tied[:, None], expected, certain(chosen, m))
        else:
            found = alone.probabilities(one)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", sorted(DRAWING))
def test_thompson_draws_as_often_as_each_llm_is_the_best(name):
    learner = BEYOND[name]
    rng = np.random.default_rng(3)
    for asked in (0, 1, 6, 40):
        state = learner.start(4)
        for arm in range(4):
            for _ in range(asked):
                learner.update(state, arm, float(rng.random() * (0.5 + 0.15 * arm)))
        chances = learner.chances(state)
        n = 4000
        draws = rng.random((n, learner.uniforms(4)))
        chosen = [learner.choose(state, row) for row in draws]
        share = np.bincount(chosen, minlength=4) / n
        error = np.sqrt(chances * (1 - chances) / n)
        assert (abs(share - chances) < 4.5 * error + 1e-3).all(), (share, chances)


@pytest.mark.parametrize(
    ("a", "b"), [(0.5, 0.5), (1, 1), (1, 3.2), (2.5, 0.7), (40, 9)]
)
def test_beta_variates_are_of_the_law(a, b):
    from scipy.stats import beta, kstest

    rng = np.random.default_rng(11)
    draws = rng.random((4000, 2 * bandits.PROPOSALS))
    variates = [bandits.beta(float(a), float(b), row, 0) for row in draws]
    assert kstest(variates, beta(a, b).cdf).pvalue > 1e-3


def test_normal_variates_are_of_the_law():
    from scipy.stats import kstest

    draws = np.random.default_rng(12).random((4000, 2))
    assert kstest([bandits.normal(u, v) for u, v in draws], "norm").pvalue > 1e-3


@pytest.mark.parametrize("mean", [0.0, 1e-9, 0.1, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("level", [1e-6, 0.01, 0.3, 2.0, 40.0])
def test_the_upper_bound_by_divergence_is_the_one_by_bisection(mean, level):
    state = pk.KLUCB().start(2)
    pk.KLUCB().update(state, 0, 0.0)
    pk.KLUCB().update(state, 1, mean)
    found, bound = bandits.highest_kl(state, level)
    if by_bisection(mean, level) > by_bisection(0.0, level) + 1e-9:
        assert found == 1
    assert bound == pytest.approx(by_bisection(mean, level), abs=1e-9)


def by_bisection(mean, level):
    low, high = mean, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if kl(mean, middle) <= level else (low, middle)
    return low


def kl(p, q):
    if q in (0.0, 1.0):
        return 0.0 if p == q else math.inf
    heads = p * math.log(p / q) if p else 0.0
    return heads + ((1 - p) * math.log((1 - p) / (1 - q)) if p < 1 else 0.0)


# Learners of one's own

REWARDS = np.random.default_rng(2).random((40, 3)) * [0.5, 1.0, 0.8]
#: Enough decisions for `engine="auto"` to compile them.
MANY = {"sessions": WORTHWHILE_ALONE // 100, "queries": 100, "seed": 4}
FEW = {"sessions": 3, "queries": 60, "seed": 4}


class Own:
    """Greedy by mean rewards, one share of the choices being any LLM's."""

    explore = 0.25
    lock_rule = pk.GreedyUnchanged(30)

    def start(self, n_models):
        return np.zeros(n_models), np.ones(n_models)

    def probabilities(self, state):
        total, count = state
        p = np.full(len(total), 0.25 / len(total))
        p[(total / count).argmax()] += 0.75
        return p

    def update(self, state, arm, reward):
        total, count = state
        total[arm] += reward
        count[arm] += 1.0


def same_as(one, other):
    """Both learners choose the same, compiled and in Python."""
    trace = trace_of(REWARDS)
    expected, found = both(trace, IDENTITY, one, **FEW)
    assert_same_bits(expected, found)
    for again in both(trace, IDENTITY, other, **FEW):
        for name in ARRAYS:
            a, b = getattr(again, name), getattr(expected, name)
            np.testing.assert_array_equal(a, b)


def added(total, arm, reward):
    total[arm] += reward


class WithHelpers(Own):
    """A method and a function of one's own."""

    def spread(self, p, share):
        p[:] = share / len(p)
        return p

    def probabilities(self, state):
        p = self.spread(np.zeros(len(state[0])), 0.25)
        p[(state[0] / state[1]).argmax()] += 0.75
        return p

    def update(self, state, arm, reward):
        added(state[0], arm, reward)
        added(state[1], arm, 1.0)


class Returns(Own):
    def update(self, state, arm, reward):
        total, count = state[0].copy(), state[1].copy()
        total[arm] += reward
        count[arm] += 1.0
        return total, count


class Sums(NamedTuple):
    total: np.ndarray
    asked: np.ndarray


class WholeCounts(Own):
    """A named tuple, one of whose arrays holds whole numbers."""

    def start(self, n_models):
        return Sums(np.zeros(n_models), np.ones(n_models, dtype=np.int64))

    def update(self, state, arm, reward):
        state.total[arm] += reward
        state.asked[arm] += 1


class ReturnsNamed(WholeCounts):
    def update(self, state, arm, reward):
        total, asked = state.total.copy(), state.asked.copy()
        total[arm] += reward
        asked[arm] += 1
        return Sums(total, asked)


class ReturnsOneArray(Own):
    def start(self, n_models):
        state = np.zeros((2, n_models))
        state[1] = 1.0
        return state

    def update(self, state, arm, reward):
        state = state.copy()
        state[0, arm] += reward
        state[1, arm] += 1.0
        return state


class Nested(Own):
    def start(self, n_models):
        known = np.zeros(n_models, dtype=np.bool_)
        return Sums(np.zeros(n_models), np.ones(n_models)), (known,)

    def probabilities(self, state):
        sums, (known,) = state
        p = np.full(len(known), 0.25 / len(known))
        best = 0
        for j in range(len(known)):  # what is not known has mean 0
            mean = sums.total[j] / sums.asked[j] if known[j] else 0.0
            if mean > sums.total[best] / sums.asked[best]:
                best = j
        p[best] += 0.75
        return p

    def update(self, state, arm, reward):
        sums, (known,) = state
        known[arm] = True
        sums.total[arm] += reward
        sums.asked[arm] += 1.0


@pytest.mark.parametrize(
    "other", [WithHelpers, Returns, WholeCounts, ReturnsNamed, ReturnsOneArray, Nested]
)
def test_one_learner_however_its_state_is_written(other):
    same_as(Own(), other())


share = 0.125  # has the name of an attribute, and nobody reads it


@dataclasses.dataclass(frozen=True)
class Numbers:
    share: float = 0.25
    trials: int = 2
    eager: bool = True

    lock_rule = pk.GreedyUnchanged(30)

    def start(self, n_models):
        return np.zeros(n_models), np.zeros(n_models)

    def choose(self, state):
        total, count = state
        for j in range(len(total)):
            if count[j] < self.trials:
                return j
        return (total / count).argmax() if self.eager else count.argmin()

    def update(self, state, arm, reward):
        state[0][arm] += self.share * reward
        state[1][arm] += 1.0


@pytest.mark.parametrize(
    "numbers",
    [
        {"share": 1, "trials": 2, "eager": True},
        {"share": 0.5, "trials": 7, "eager": False},
        {"share": np.float64(0.5), "trials": np.int64(7), "eager": np.bool_(True)},
    ],
)
def test_attributes_may_be_whole_numbers_broken_ones_and_truths(numbers):
    learner = Numbers(**numbers)
    expected, found = both(trace_of(REWARDS), IDENTITY, learner, **FEW)
    assert_same_bits(expected, found)
    asked = [np.bincount(row, minlength=3).min() for row in found.choices]
    assert (min(asked) >= 15) == (not learner.eager)  # every LLM in turn, or not


# What cannot be compiled

STEP = 0.5


class ReadsAGlobal(Own):
    def update(self, state, arm, reward):
        state[0][arm] += STEP * reward
        state[1][arm] += 1.0


class ReadsAGlobalDeeper(Own):
    def probabilities(self, state):
        return shifted(state)


def shifted(state):
    return np.full(len(state[0]), STEP * 2 / len(state[0]))


class Generates(Own):
    def update(self, state, arm, reward):
        state[0][arm] += sum(x * reward for x in (0.25, 0.75))
        state[1][arm] += 1.0


class Formats(Own):
    def update(self, state, arm, reward):
        state[0][arm] += float(f"{reward:.3f}")
        state[1][arm] += 1.0


CANNOT = {
    "global": (
        ReadsAGlobal,
        "ReadsAGlobal.update reads 'STEP' from outside, which compiled code would keep"
        " as it is now; make it an attribute of the learner",
    ),
    "global of a function": (
        ReadsAGlobalDeeper,
        "ReadsAGlobalDeeper.probabilities reads 'STEP' from outside",
    ),
    "generator": (Generates, "sum(x * reward for x in (0.25, 0.75))"),
    "f-string": (Formats, 'float(f"{reward:.3f}")'),
}


def line_of(text):
    """The number of the one line of this file that holds a text in a learner."""
    lines = Path(__file__).read_text("utf-8").splitlines()
    (number,) = [
        i for i, line in enumerate(lines, 1) if line.strip().endswith(f"+= {text}")
    ]
    return number


@pytest.mark.parametrize("case", CANNOT)
def test_what_cannot_be_compiled_runs_in_python_and_says_so_once(case):
    kind, said = CANNOT[case]
    trace, learner = trace_of(REWARDS), kind()
    with pytest.warns(SlowWarning) as caught:
        slow = pk.replay(trace, IDENTITY, learner, **MANY)
    (warning,) = caught
    text = str(warning.message)
    assert "\n" not in text
    assert said in text
    assert text.startswith(f"replay: {kind.__name__}")
    assert text.endswith("it runs in Python")
    if "global" not in case:
        assert f"line {line_of(said)}, `" in text
    python = pk.replay(trace, IDENTITY, learner, engine="numpy", **MANY)
    assert_same_bits(python, slow)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pk.replay(trace, IDENTITY, learner, **MANY)


@pytest.mark.parametrize("case", CANNOT)
def test_what_cannot_be_compiled_is_refused_where_that_was_asked_for(case):
    kind, said = CANNOT[case]
    with pytest.raises(pk.InputError) as error:
        pk.replay(trace_of(REWARDS), IDENTITY, kind(), engine="compiled", **FEW)
    text = str(error.value)
    assert said in text
    assert "engine='auto'" in text
    assert "\n" not in text


# What breaks a law


class Grows(Own):
    def update(self, state, arm, reward):
        return np.append(state[0], reward), np.append(state[1], 1.0)


class Whole(Own):
    def update(self, state, arm, reward):
        return state[0].astype(np.int64), state[1]


class Beyond(Own):
    def choose(self, state):
        return len(state[0])


class Halves(Own):
    def probabilities(self, state):
        return np.full(len(state[0]), 0.5)


class Endless(Own):
    def uniforms(self, n_models):
        return 1

    def choose(self, state, draws):
        u = draws[0]
        while u > -1.0:
            u = u * 0.5
        return 0


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (Grows, "Grows.update: the state must keep its shapes and types"),
        (Whole, "Whole.update: the state must keep its shapes and types"),
        (Beyond, "Beyond.choose must give a whole number in [0, 2], got 3"),
        (Halves, "Halves.probabilities must be 3 numbers >= 0 that sum to 1, got"),
        (Endless, "Endless.choose: still running after"),
    ],
)
@pytest.mark.parametrize("engine", ["auto", "compiled"])
def test_a_learner_that_breaks_a_law_is_refused_before_it_is_compiled(
    kind, said, engine
):
    with pytest.raises(pk.InputError) as error:
        pk.replay(trace_of(REWARDS), IDENTITY, kind(), engine=engine, **MANY)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@dataclasses.dataclass(frozen=True)
class LateOff(Own):
    """Sound for 48 answers."""

    first: float
    second: float

    def probabilities(self, state):
        p = np.full(len(state[0]), 1.0 / len(state[0]))
        if state[1].sum() > 50.5:
            p[0] += self.first
            p[1] += self.second
        return p


class LateBeyond(Own):
    """Sound until a reward is 1."""

    def choose(self, state):
        return 3 if state[0].max() == 1.0 else 0

    def update(self, state, arm, reward):
        state[0][arm] = reward


NO_CHANCES = "LateOff: probabilities gave numbers that are negative or do not sum to 1"


@pytest.mark.parametrize(
    ("learner", "said"),
    [
        (LateOff(0.5, 0.0), NO_CHANCES),
        (LateOff(0.5, -0.5), NO_CHANCES),
    ],
)
def test_chances_that_are_none_late_stop_the_compiled_loop(learner, said):
    with pytest.raises(pk.InputError) as error:
        pk.replay(
            trace_of(REWARDS),
            IDENTITY,
            learner,
            engine="compiled",
            lock=False,
            checkpoints=range(101),
            **MANY,
        )
    assert f"{said} in session 0 after 48 answers" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("lock", [False, pk.MaxProbability(0.9)])
def test_a_choice_outside_of_the_pool_stops_the_compiled_loop(lock):
    rewards = REWARDS.copy()
    rewards[:, 0] = 1.0
    with pytest.raises(pk.InputError, match="LateBeyond: choose gave no LLM of the po"):
        pk.replay(
            trace_of(rewards),
            IDENTITY,
            LateBeyond(),
            engine="compiled",
            lock=lock,
            ties="first",
            **FEW,
        )


class Raises(LateBeyond):
    """Its state ends before where it writes, once it has seen a reward of 1."""

    def choose(self, state):
        return 0

    def update(self, state, arm, reward):
        state[0][arm + (9 if reward == 1.0 else 0)] = reward


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_in_compiled_code_is_one_line():
    rewards = np.full((40, 3), 0.5)
    rewards[-1] = 1.0
    with pytest.raises(pk.InputError, match="Raises: a function raised an exception"):
        pk.replay(trace_of(rewards), IDENTITY, Raises(), engine="compiled", **MANY)


class Unruled:
    """It asks the LLM asked least, and says nothing of locks."""

    def start(self, n_models):
        return np.zeros(n_models)

    def choose(self, state):
        return state.argmin()

    def update(self, state, arm, reward):
        state[arm] += 1.0


def test_one_that_chooses_and_brings_no_rule_does_not_lock_on_its_first_choice():
    trace = trace_of(REWARDS)
    expected, found = both(trace, IDENTITY, Unruled(), **FEW)
    assert_same_bits(expected, found)
    assert (found.locked_at == -1).all()


@pytest.mark.parametrize("name", ["UCB1", "L_R-P", "Thompson (normal)"])
def test_reduced_sums_are_pythons_to_the_last_bit(simple, name):
    size = {"sessions": 70, "queries": 90, "checkpoints": 9}
    python, compiled = (
        totals(simple, pk.Reward(), BEYOND[name], engine=engine, **size)
        for engine in ("numpy", "compiled")
    )
    for field in vars(python):
        one, other = getattr(python, field), getattr(compiled, field)
        np.testing.assert_array_equal(one, other, err_msg=field)


# Which learner it is


class Bolder(pk.LinearRewardInaction):
    """As its parent, but for what it makes of a reward."""

    def update(self, state, arm, reward):
        return super().update(state, arm, np.sqrt(reward))


def test_a_subclass_of_the_papers_automaton_is_not_taken_for_it():
    trace = trace_of(REWARDS)
    with pytest.raises(pk.InputError, match="no compiled loop for Bolder"):
        pk.replay(trace, IDENTITY, Bolder(0.2), engine="compiled", **FEW)
    many = {"sessions": 2500, "queries": 100, "seed": 4, "lock": False}
    found = pk.replay(trace, IDENTITY, Bolder(0.2), **many)
    parent = pk.replay(trace, IDENTITY, pk.LinearRewardInaction(0.2), **many)
    square_root = trace_of(np.sqrt(REWARDS))
    law = pk.replay(square_root, IDENTITY, pk.LinearRewardInaction(0.2), **many)
    np.testing.assert_array_equal(found.choices, law.choices)
    assert (found.choices != parent.choices).any()


def test_a_subclass_of_a_learner_for_one_session_is_compiled_as_itself():
    class Shy(pk.UCB1):
        """UCB1 of half the width."""

        def index(self, state, arm, log_t):
            bound = math.sqrt(log_t / state.count[arm])
            return state.total[arm] / state.count[arm] + 0.5 * self.width * bound

    trace = trace_of(REWARDS)
    found = pk.replay(trace, IDENTITY, Shy(1.5), engine="compiled", **FEW)
    law = pk.replay(trace, IDENTITY, pk.UCB1(0.75), engine="compiled", **FEW)
    parent = pk.replay(trace, IDENTITY, pk.UCB1(1.5), engine="compiled", **FEW)
    np.testing.assert_array_equal(found.choices, law.choices)
    assert (found.choices != parent.choices).any()


# What is kept on disk

SCRIPT = """
import sys, numpy as np, pickllm as pk
sys.path.insert(0, {tests!r})
from reference import IDENTITY, trace_of

class Mine:
    lock_rule = None
    def start(self, n_models):
        return np.zeros(n_models)
    def choose(self, state):
        return state.argmin()
    def update(self, state, arm, reward):
        state[arm] += 0.125

rewards = np.full((4, 3), 0.5)
few = {{"sessions": 1, "queries": 9, "ties": "first"}}
s = pk.replay(trace_of(rewards), IDENTITY, Mine(), engine="compiled", **few)
print("".join(map(str, s.choices[0])))
"""


def test_a_learner_of_a_cell_is_compiled_once_and_never_taken_for_another(
    tmp_path, monkeypatch
):
    """Kept by its code: the same cell finds its file, another one makes its own."""
    kept = tmp_path / "kept"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(kept))

    def run(text):
        script = tmp_path / "cell.py"
        script.write_text(textwrap.dedent(text), "utf-8")
        done = subprocess.run(
            [sys.executable, str(script)], capture_output=True, text=True, check=True
        )
        return done.stdout.strip(), {file.name for file in kept.rglob("*.nbc")}

    cell = SCRIPT.format(tests=str(Path(__file__).parent))
    first, files = run(cell)
    assert first == "012012012"
    assert files
    assert run(cell) == (first, files)
    stays = cell.replace("+= 0.125", "+= 0.0")
    other, more = run(stays)
    assert other == "000000000"
    assert more > files
    assert run(cell) == (first, more)
    assert run(stays) == (other, more)


SEVERAL = """
import sys, pickllm as pk
from pickllm import experiments

trace = pk.load_trace("bfcl-2024-08-11").select(context="simple")
for name in sys.argv[1:]:
    learner = experiments.VARIANTS[name]
    few = {"sessions": 3, "queries": 60, "lock": False}
    one, other = (
        pk.replay(trace, pk.Reward(), learner, engine=engine, **few)
        for engine in ("numpy", "compiled")
    )
    assert (one.choices == other.choices).all(), name
"""


def test_learners_compiled_by_several_processes_are_never_mixed_up(
    tmp_path, monkeypatch
):
    """numba numbers functions in each process: what is loaded may share a number."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for names in (["pursuit"], ["UCB1"], ["pursuit", "UCB1", "pursuit", "UCB1"]):
        subprocess.run([sys.executable, "-c", SEVERAL, *names], check=True)
