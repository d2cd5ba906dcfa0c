"""The two rules of locking, against a scan of the whole history, alone and inside a
session.
"""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from reference import IDENTITY, trace_of

import pickllm as pk

REWARDS = [[0.9, 0.2, 0.6], [0.3, 0.8, 0.6], [1.0, 0.1, 0.5], [0.6, 0.7, 0.55]]
CASES = {
    "automaton, 0.99": (pk.LinearRewardInaction(0.2), True, reference.sure()),
    "automaton, 0.8": (
        pk.LinearRewardInaction(0.05),
        pk.MaxProbability(0.8),
        reference.sure(0.8),
    ),
    "Q, 100 unchanged": (pk.QLearning(0.1, epsilon=0.3), True, reference.settled()),
    "Q, 7 unchanged": (
        pk.QLearning(0.5, epsilon=0.3),
        pk.GreedyUnchanged(7),
        reference.settled(7),
    ),
    "automaton, 40 unchanged": (
        pk.LinearRewardInaction(0.2),
        pk.GreedyUnchanged(40),
        reference.settled(40),
    ),
}


def replay(learner, lock):
    return pk.replay(
        trace_of(REWARDS),
        IDENTITY,
        learner,
        sessions=60,
        queries=300,
        seed=12,
        lock=lock,
        checkpoints=range(301),
        ties="first",
    )


def moments(rule, path):
    """At which moments of a path of probabilities, (n_moments, n_models), a rule says
    locked.
    """
    state, said = rule.start(np.array(path[:1])), []
    for p in path[1:]:
        state, locked = rule.step(state, np.array([p]))
        said.append(bool(locked[0]))
    return said


@given(st.integers(1, 6), st.lists(st.integers(0, 2), min_size=1, max_size=40))
def test_greedy_unchanged_is_a_run_of_one_most_probable_llm(queries, greedy):
    path = (0.2 + 0.4 * np.eye(3)[greedy]).tolist()
    scan = reference.settled(queries)
    assert moments(pk.GreedyUnchanged(queries), path) == [
        scan(path[: t + 1]) for t in range(1, len(path))
    ]


@given(
    st.floats(0, 1, exclude_min=True),
    st.lists(st.floats(0, 1), min_size=2, max_size=20),
)
def test_max_probability_is_a_comparison_with_the_threshold(threshold, path):
    path = [[p, 1 - p] for p in path]
    assert moments(pk.MaxProbability(threshold), path) == [
        max(p) >= threshold for p in path[1:]
    ]


@pytest.mark.parametrize("case", CASES)
def test_a_session_locks_at_the_first_moment_that_its_rule_holds(case):
    learner, lock, rule = CASES[case]
    free, locked = replay(learner, False), replay(learner, lock)
    assert (free.locked_at == -1).all()
    assert (free.locked_model == -1).all()
    for i, path in enumerate(free.probabilities.tolist()):
        first = next((t for t in range(1, 301) if rule(path[: t + 1])), -1)
        assert locked.locked_at[i] == first
        assert locked.locked_model[i] == (
            path[first].index(max(path[first])) if first > 0 else -1
        )
    assert (locked.locked_at > 0).mean() > 0.3
    assert len(np.unique(locked.locked_at)) > 5


@pytest.mark.parametrize("case", CASES)
def test_before_its_lock_a_session_is_the_free_one_and_after_it_stands_still(case):
    learner, lock, _ = CASES[case]
    free, locked = replay(learner, False), replay(learner, lock)
    assert (free.queries == locked.queries).all()
    for i, (at, model) in enumerate(
        zip(locked.locked_at, locked.locked_model, strict=True)
    ):
        end = at if at > 0 else 300
        assert (locked.choices[i, :end] == free.choices[i, :end]).all()
        assert (
            locked.probabilities[i, : end + 1] == free.probabilities[i, : end + 1]
        ).all()
        assert (locked.choices[i, end:] == model).all()
        assert (locked.probabilities[i, end:] == free.probabilities[i, end]).all()


@pytest.mark.parametrize("case", CASES)
def test_selection_shows_a_locked_session_on_its_llm_alone(case):
    s = replay(*CASES[case][:2])
    shown = s.selection()
    for i, (at, model) in enumerate(zip(s.locked_at, s.locked_model, strict=True)):
        end = at if at > 0 else 301
        assert (shown[i, :end] == s.probabilities[i, :end]).all()
        assert (shown[i, end:] == np.eye(3)[model]).all()


@pytest.mark.parametrize("threshold", [0, 1.01, -0.5, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(threshold):
    with pytest.raises(
        pk.InputError, match=rf"threshold must be in \(0, 1\], got {threshold!r}"
    ):
        pk.MaxProbability(threshold)


@pytest.mark.parametrize("queries", [0, -3])
def test_an_empty_run_is_refused(queries):
    with pytest.raises(
        pk.InputError, match=f"queries must be at least 1, got {queries}"
    ):
        pk.GreedyUnchanged(queries)
