"""check_learner: silent about the kit's learners, right about each broken law."""

from dataclasses import dataclass

import numpy as np
import pytest
from test_contextual import INNER
from test_variants import LEARNERS

import pickllm as pk
from pickllm.testing import check_learner

SOUND = [
    *LEARNERS.values(),
    *INNER,
    pk.PerContext(pk.LinearRewardInaction()),
    pk.PerContext(pk.KLUCB()),
    pk.LinUCB(),
    pk.Oracle(),
    pk.Cheapest(),
    pk.Always("llm-2"),
]


@pytest.mark.parametrize("learner", SOUND, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("n_models", [2, 5])
def test_every_learner_of_the_kit_is_sound(learner, n_models):
    assert (
        check_learner(
            pk.Always("llm-1") if isinstance(learner, pk.Always) else learner,
            n_models=n_models,
        )
        == []
    )


@dataclass(frozen=True)
class Sound:
    """L_R-I; each learner below breaks one thing in it."""

    rate: float = 0.2

    def start(self, n_sessions, n_models):
        return np.full((n_sessions, n_models), 1.0 / n_models)

    def probabilities(self, state):
        return state

    def update(self, state, arm, reward):
        step = (self.rate * reward)[:, None]
        return state + step * (np.eye(state.shape[1])[arm] - state)


class NoUpdate:
    def start(self, n_sessions, n_models):
        return np.ones((n_sessions, n_models)) / n_models

    probabilities = staticmethod(lambda state: state)


class Unnormalised(Sound):
    def update(self, state, arm, reward):
        return state + self.rate * reward[:, None] * np.eye(state.shape[1])[arm]


class Negative(Sound):
    def update(self, state, arm, reward):
        return state + 3 * reward[:, None] * (np.eye(state.shape[1])[arm] - state)


class Transposed(Sound):
    def probabilities(self, state):
        return state.T


class Halved(Sound):
    def probabilities(self, state):
        return state.astype(np.float32)


class Undefined(Sound):
    def probabilities(self, state):
        return np.where((state > 0.6) & (state < 1), np.nan, state)


class InPlace(Sound):
    def update(self, state, arm, reward):
        state *= 1 - (self.rate * reward)[:, None]
        state[np.arange(len(state)), arm] += self.rate * reward
        return state


class ClipsItsReward(Sound):
    def update(self, state, arm, reward):
        reward *= 0.5
        return super().update(state, arm, reward)


class Draws(Sound):
    def update(self, state, arm, reward):
        return super().update(
            state, arm, reward * np.random.default_rng().random(len(reward))
        )


class Remembers(Sound):
    def update(self, state, arm, reward):
        object.__setattr__(self, "answers", getattr(self, "answers", 0) + 1)
        return super().update(state, arm, reward)


class AcrossSessions(Sound):
    def update(self, state, arm, reward):
        return super().update(state, arm, np.full(len(reward), reward.mean()))


class FixedRows(Sound):
    def update(self, state, arm, reward):
        after = super().update(state, arm, reward)
        return after if len(state) in (1, 5) else state


class LovesTheFirst(Sound):
    def probabilities(self, state):
        p = state * np.where(np.arange(state.shape[1]) == 0, 2.0, 1.0)
        return p / p.sum(axis=1, keepdims=True)


class OneLessThanMany(Sound):
    def probabilities(self, state):
        return state if state.shape[1] > 1 else 0.5 * state


class Scalar(Sound):
    def start(self, n_sessions, n_models):
        return np.full((n_sessions, n_models), 1.0 / n_models), 0

    def probabilities(self, state):
        return state[0]

    def update(self, state, arm, reward):
        return super().update(state[0], arm, reward), state[1] + 1


class Grows(Sound):
    def start(self, n_sessions, n_models):
        return super().start(n_sessions, n_models), np.zeros((n_sessions, 0))

    def probabilities(self, state):
        return state[0]

    def update(self, state, arm, reward):
        return super().update(state[0], arm, reward), np.column_stack(
            [state[1], reward]
        )


class Raises(Sound):
    def update(self, state, arm, reward):
        return state[:, :, arm]


class OneAnswerForAll:
    def start(self, p):
        return p

    def step(self, state, p):
        return state, True


class LocksOnce(Sound):
    lock_rule = OneAnswerForAll()


class LocksByNumber(Sound):
    lock_rule = 0.99


class Describes(Sound):
    def describe(self, trace):
        return np.zeros(trace.n_queries)


BROKEN = [
    (NoUpdate, r"functions: the learner has no update\(...\)"),
    (Unnormalised, r"simplex: .*must sum to 1, got a row that sums to"),
    (Negative, r"simplex: .*must be >= 0, got -"),
    (Transposed, r"simplex: .*shape \(5, 4\), got \(4, 5\)"),
    (Halved, "simplex: .*float64, got float32"),
    (Undefined, "simplex: .*finite, got nan"),
    (InPlace, "purity: update changes the state it is given"),
    (ClipsItsReward, "purity: update changes arm or reward"),
    (Draws, "purity: the same input gave two outputs"),
    (Remembers, "purity: the learner keeps something in itself"),
    (AcrossSessions, "independence: a session alone"),
    (FixedRows, "independence: a state with fewer rows"),
    (LovesTheFirst, "permutation: with the LLMs in another order"),
    (OneLessThanMany, "simplex: in a pool of one LLM"),
    (Scalar, "state: every part must be an array .* got a int"),
    (Grows, "state: shapes and dtypes must stay"),
    (Raises, "simplex: the learner raised IndexError"),
    (LocksOnce, "lock rule: step must return"),
    (LocksByNumber, r"lock rule: needs start\(.*, got 0\.99"),
    (Describes, r"functions: the learner has no observe\(...\)"),
]


def test_the_learner_they_are_made_from_is_sound():
    assert check_learner(Sound()) == []


@pytest.mark.parametrize(
    ("learner", "message"), BROKEN, ids=[k.__name__ for k, _ in BROKEN]
)
def test_a_broken_law_is_named_with_what_to_do(learner, message):
    import re

    found = check_learner(learner(), n_models=4, n_sessions=5)
    assert any(re.match(message, line) for line in found), found
    assert all("\n" not in line and ";" in line for line in found)


@pytest.mark.parametrize(
    "learner",
    [
        InPlace,
        ClipsItsReward,
        Remembers,
        AcrossSessions,
        LovesTheFirst,
        OneLessThanMany,
        LocksOnce,
    ],
)
def test_what_is_broken_alone_is_named_alone(learner):
    assert len(check_learner(learner())) == 1


def test_a_control_that_chooses_outside_the_pool_is_named():
    class Beyond:
        def choose(self, raw):
            return np.full(len(raw), raw.shape[1])

    assert check_learner(Beyond())[0].startswith(
        "control: choose must give one position in [0, 3] a query"
    )
