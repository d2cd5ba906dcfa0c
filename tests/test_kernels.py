"""The compiled loop: NumPy's loop to the last bit, whatever the size, the order, the
rule and the number of threads.
"""

import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import IDENTITY, trace_of

import pickllm as pk
from pickllm.core.compiled import reduce_compiled
from pickllm.core.sessions import tally
from pickllm.engine import kernels, lanes, streams
from pickllm.engine.setting import NEVER

ARRAYS = ("choices", "queries", "probabilities", "locked_at", "locked_model")
LEARNERS = {
    "automaton": pk.LinearRewardInaction(0.3),
    "automaton, fast": pk.LinearRewardInaction(1.0),
    "Q": pk.QLearning(0.1),
    "Q, optimistic": pk.QLearning(0.5, epsilon=0.4, initial_value=1.0),
    "Q, greedy": pk.QLearning(0.2, epsilon=0.0),
    "Q, blind": pk.QLearning(0.2, epsilon=1.0),
    "random": pk.UniformRandom(),
}
RULES = {
    "own rule": True,
    "never": False,
    "threshold": pk.MaxProbability(0.6),
    "run": pk.GreedyUnchanged(17),
}


@pytest.fixture(scope="module")
def simple():
    return pk.load_trace("bfcl-2024-08-11").select(context="simple")


def both(trace, reward, learner, n_jobs=1, **options):
    """The same sessions by NumPy and compiled."""
    return pk.replay(trace, reward, learner, engine="numpy", **options), pk.replay(
        trace, reward, learner, engine="compiled", n_jobs=n_jobs, **options
    )


def assert_same_bits(expected, found):
    for name in ARRAYS:
        a = getattr(expected, name)
        b = getattr(found, name)
        assert a.dtype == b.dtype, name
        assert a.shape == b.shape, name
        np.testing.assert_array_equal(a, b, err_msg=name, strict=True)
    assert expected.table().equals(found.table())


@pytest.mark.parametrize("sessions", [1, 31, 33, 1000])
@pytest.mark.parametrize("order", ["bootstrap", "shuffle"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("learner", LEARNERS)
def test_compiled_sessions_are_numpys_to_the_last_bit(
    simple, learner, rule, order, sessions
):
    queries = (
        40 if sessions == 1000 else 301
    )  # more than two tiles, and not a whole number of them
    options = {
        "sessions": sessions,
        "queries": queries,
        "seed": 5,
        "order": order,
        "lock": RULES[rule],
        "checkpoints": 100,
    }
    expected, found = both(simple, pk.Reward(), LEARNERS[learner], **options)
    assert_same_bits(expected, found)


@pytest.mark.parametrize("form", ["ratio", "product", "linear"])
@pytest.mark.parametrize("learner", ["automaton", "Q"])
def test_every_reading_and_number_of_threads_gives_the_same_bits(
    simple, learner, form, monkeypatch
):
    monkeypatch.setattr(
        kernels, "PART", 33 * 200
    )  # pieces small enough that each thread has several
    options = {
        "sessions": 333,
        "queries": 200,
        "seed": 2**62,
        "checkpoints": [0, 1, 127, 128, 129, 200],
    }
    expected, found = both(
        simple, pk.Reward(form=form), LEARNERS[learner], n_jobs=2, **options
    )
    assert len(kernels.parts(333, 200)) > 4
    assert_same_bits(expected, found)
    assert_same_bits(
        expected,
        both(simple, pk.Reward(form=form), LEARNERS[learner], n_jobs=3, **options)[1],
    )


@pytest.mark.parametrize(
    "m", [1, 2, 17, 40]
)  # past 16 LLMs one loop serves any number, a session at a time
@pytest.mark.parametrize("learner", ["automaton", "Q"])
def test_any_number_of_llms_gives_the_same_bits(learner, m):
    rewards = np.random.default_rng(m).random((50, m))
    assert_same_bits(
        *both(
            trace_of(rewards.tolist()),
            IDENTITY,
            LEARNERS[learner],
            sessions=37,
            queries=260,
            seed=m,
        )
    )


@settings(max_examples=60)
@given(
    rewards=st.lists(
        st.lists(
            st.sampled_from([0.0, 1.0, 0.5, 1 / 3, 5e-324, 1 - 2**-53]),
            min_size=4,
            max_size=4,
        ),
        min_size=1,
        max_size=5,
    ),
    rate=st.floats(1e-12, 1.0),
    epsilon=st.floats(0, 1),
    threshold=st.floats(0.01, 1.0),
    q=st.booleans(),
    seed=st.integers(0, 2**63 - 1),
)
def test_extreme_rewards_rates_and_thresholds_give_the_same_bits(
    rewards, rate, epsilon, threshold, q, seed
):
    learner = (
        pk.QLearning(rate, epsilon=epsilon) if q else pk.LinearRewardInaction(rate)
    )
    options = {
        "sessions": 5,
        "queries": 60,
        "seed": seed,
        "lock": pk.MaxProbability(threshold),
        "checkpoints": range(61),
    }
    assert_same_bits(*both(trace_of(rewards), IDENTITY, learner, **options))


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("order", ["bootstrap", "shuffle"])
def test_sessions_of_two_runs_are_those_of_one(simple, order, engine):
    options = {"queries": 150, "seed": 3, "order": order, "engine": engine}
    whole = pk.replay(
        simple, pk.Reward(), LEARNERS["automaton"], sessions=50, **options
    )
    parts = [
        pk.replay(
            simple,
            pk.Reward(),
            LEARNERS["automaton"],
            sessions=n,
            first=first,
            **options,
        )
        for first, n in ((0, 17), (17, 33))
    ]
    for name in ARRAYS:
        np.testing.assert_array_equal(
            np.concatenate([getattr(p, name) for p in parts]), getattr(whole, name)
        )
    assert parts[1].table().equals(whole.table()[17:].reset_index(drop=True))


@pytest.mark.parametrize("learner", ["automaton", "Q", "random"])
@pytest.mark.parametrize("order", ["bootstrap", "shuffle"])
def test_reduced_sums_are_those_of_the_recorded_sessions(simple, learner, order):
    reward, marks = pk.Reward().within(simple.limits), np.array([0, 50, 128, 299, 300])
    s = pk.replay(
        simple,
        reward,
        LEARNERS[learner],
        sessions=75,
        queries=300,
        seed=9,
        order=order,
        checkpoints=marks,
        engine="numpy",
    )
    counts, sums, _ = tally(s.queries, s.choices, s.prepared.outcomes, s.locked_model)
    found = [
        reduce_compiled(replace(s.prepared, sessions=part))
        for part in (range(32), range(32, 75))
    ]
    np.testing.assert_array_equal(
        np.concatenate([f[0] for f in found]), sums, strict=True
    )
    np.testing.assert_array_equal(np.concatenate([f[1] for f in found]), counts)
    np.testing.assert_array_equal(np.concatenate([f[3] for f in found]), s.locked_at)
    np.testing.assert_array_equal(np.concatenate([f[4] for f in found]), s.locked_model)
    moments = found[0][2] + found[1][2]
    expected = np.stack(
        [
            s.probabilities.sum(axis=0),
            (s.probabilities**2).sum(axis=0),
            s.selection().sum(axis=0),
        ],
        axis=1,
    )
    np.testing.assert_allclose(moments, expected, rtol=1e-12)


def test_the_stream_of_the_kernels_is_the_published_one():
    key, steps = np.uint64(1234567), np.arange(1000, dtype=np.uint64)
    with np.errstate(over="ignore"):
        ours = np.array(
            [
                lanes.to_uniform.py_func(key + (t + np.uint64(1)) * streams.GAMMA)
                for t in steps
            ]
        )
    np.testing.assert_array_equal(ours, streams.uniforms(key, steps))


def test_what_has_no_kernel_stays_with_numpy(simple):
    class Bold(pk.LinearRewardInaction):
        """A subclass may mean anything."""

    with pytest.raises(
        pk.InputError,
        match=r"no compiled loop for Bold.*one session.*engine='auto'",
    ):
        pk.replay(
            simple, pk.Reward(), Bold(0.1), engine="compiled", sessions=2, queries=2
        )
    with pytest.raises(pk.InputError, match="unknown engine 'fortran'"):
        pk.replay(
            simple, pk.Reward(), Bold(0.1), engine="fortran", sessions=2, queries=2
        )
    assert pk.replay(
        simple, pk.Reward(), Bold(0.1), sessions=300, queries=1000, checkpoints=2
    ).choices.shape == (300, 1000)


def test_small_runs_never_load_the_compiler():
    code = (
        "import sys, pickllm as pk; t ="
        " pk.load_trace('bfcl-2024-08-11').select(context='rest');pk.replay(t,"
        " pk.Reward(), pk.QLearning(), sessions=20, queries=50).table();"
        " sys.exit('numba' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_lanes_are_worth_their_while():
    """Sessions in lockstep are vectorised: against one at a time they win tenfold."""
    n_sessions, n_models, queries = 64, 4, 2000
    sessions = np.arange(n_sessions)
    keys = [
        streams.keys(0, sessions, purpose)
        for purpose in (streams.QUERY, streams.CHOICE)
    ]
    rewards = np.random.default_rng(0).random(100 * n_models)
    marks = np.array([0, queries])
    locks = np.empty((2, n_sessions), np.int64)
    asked = np.empty((n_sessions, queries), np.int32)
    choices = np.empty((n_sessions, queries), np.int16)
    records = choices, asked, np.empty((n_sessions, 2, n_models))
    draws = (asked[:0], *keys, streams.listed(n_sessions, n_models))
    no_sums = kernels._no_sums(n_models)
    numbers = (1e-9, 0.25, 0.0, 0.0, 2.0, NEVER)  # no session locks

    def seconds(lanes):
        run = kernels.loop(n_models, False, False, False, lanes)
        size = n_models, queries
        run(*size, numbers, rewards, draws, marks, locks, records, no_sums)
        times = []
        for _ in range(7):
            start = time.perf_counter()
            run(*size, numbers, rewards, draws, marks, locks, records, no_sums)
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds(1) > 2.5 * seconds(kernels.LANES)
