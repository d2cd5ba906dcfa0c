"""Learners beside the paper over a session axis, in NumPy.

They were written before, and apart from, those for one session in `pickllm.beyond`,
which the tests hold against them.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pickllm.core.locking import GreedyUnchanged, MaxProbability
from pickllm.core.protocols import Floats, Integers


def _penalised(p: Floats, arm: Integers, reward: Floats, a: float, b: float) -> Floats:
    n = p.shape[1]
    if n == 1:  # there is no other LLM to push it towards
        return p
    up = (a * reward)[:, None]
    down = (b * (1.0 - reward))[:, None]
    after = p - up * p + down * (1.0 / (n - 1) - p)
    chosen = np.arange(len(p)), arm
    before = p[chosen]
    after[chosen] = before + a * reward * (1.0 - before) - b * (1.0 - reward) * before
    return after


@dataclass(frozen=True)
class LinearRewardPenalty:
    """The automaton Linear Reward-Penalty, L_R-P."""

    learning_rate: float = 0.1
    penalty_rate: float = 0.1
    lock_rule: ClassVar = MaxProbability(0.99)

    def start(self, n_sessions: int, n_models: int) -> Floats:
        return np.full((n_sessions, n_models), 1.0 / n_models)

    def probabilities(self, state: Floats) -> Floats:
        return state

    def update(self, state: Floats, arm: Integers, reward: Floats) -> Floats:
        return _penalised(state, arm, reward, self.learning_rate, self.penalty_rate)


@dataclass(frozen=True)
class LinearRewardEpsilonPenalty:
    """The automaton L_R-epsilon-P: L_R-P with a small penalty, b = epsilon a."""

    learning_rate: float = 0.1
    epsilon: float = 0.01
    lock_rule: ClassVar = MaxProbability(0.99)

    def start(self, n_sessions: int, n_models: int) -> Floats:
        return np.full((n_sessions, n_models), 1.0 / n_models)

    def probabilities(self, state: Floats) -> Floats:
        return state

    def update(self, state: Floats, arm: Integers, reward: Floats) -> Floats:
        penalty_rate = self.epsilon * self.learning_rate
        return _penalised(state, arm, reward, self.learning_rate, penalty_rate)


class Pursued(NamedTuple):
    """State of a pursuit automaton, each (n_sessions, n_models)."""

    p: Floats
    total: Floats
    # hides the method of tuples, which nobody calls here
    count: Floats  # pyright: ignore[reportIncompatibleMethodOverride]


class _Pursuer(Protocol):
    """What the pursuit automata share."""

    @property
    def trials(self) -> int: ...

    def pursue(self, p: Floats, estimate: Floats, arm: Integers) -> Floats: ...


def _not_moved_yet(n_sessions: int, n_models: int) -> Pursued:
    zero = np.zeros((n_sessions, n_models))
    return Pursued(np.full((n_sessions, n_models), 1.0 / n_models), zero, zero)


def _after_answer(
    learner: _Pursuer, state: Pursued, arm: Integers, reward: Floats
) -> Pursued:
    chosen = np.arange(len(state.p)), arm
    total = state.total.copy()
    total[chosen] += reward
    count = state.count.copy()
    count[chosen] += 1.0
    estimate = total / np.maximum(count, 1.0)
    tried = count.min(axis=1, keepdims=True) >= learner.trials
    p = np.where(tried, learner.pursue(state.p, estimate, arm), state.p)
    return Pursued(p, total, count)


@dataclass(frozen=True)
class Pursuit:
    """The continuous pursuit automaton: p runs after the LLM that looks best."""

    learning_rate: float = 0.02
    trials: int = 5
    lock_rule: ClassVar = MaxProbability(0.99)

    def start(self, n_sessions: int, n_models: int) -> Pursued:
        return _not_moved_yet(n_sessions, n_models)

    def probabilities(self, state: Pursued) -> Floats:
        return state.p

    def update(self, state: Pursued, arm: Integers, reward: Floats) -> Pursued:
        return _after_answer(self, state, arm, reward)

    def pursue(self, p: Floats, estimate: Floats, arm: Integers) -> Floats:
        best = np.arange(len(p)), estimate.argmax(axis=1)
        after = (1.0 - self.learning_rate) * p
        after[best] += self.learning_rate
        return after


@dataclass(frozen=True)
class DiscretisedPursuit:
    """The discretised pursuit automaton: `Pursuit` in steps of one size."""

    resolution: int = 50
    trials: int = 5
    lock_rule: ClassVar = MaxProbability(0.99)

    def start(self, n_sessions: int, n_models: int) -> Pursued:
        return _not_moved_yet(n_sessions, n_models)

    def probabilities(self, state: Pursued) -> Floats:
        return state.p

    def update(self, state: Pursued, arm: Integers, reward: Floats) -> Pursued:
        return _after_answer(self, state, arm, reward)

    def pursue(self, p: Floats, estimate: Floats, arm: Integers) -> Floats:
        best = np.arange(len(p)), estimate.argmax(axis=1)
        after = np.maximum(p - 1.0 / (p.shape[1] * self.resolution), 0.0)
        after[after < 1e-12] = 0.0  # what rounding leaves of the last step
        after[best] = 0.0
        after[best] = 1.0 - after.sum(axis=1)
        return after


@dataclass(frozen=True)
class GeneralisedPursuit:
    """The generalised pursuit automaton: p runs after all that look better."""

    learning_rate: float = 0.02
    trials: int = 5
    lock_rule: ClassVar = MaxProbability(0.99)

    def start(self, n_sessions: int, n_models: int) -> Pursued:
        return _not_moved_yet(n_sessions, n_models)

    def probabilities(self, state: Pursued) -> Floats:
        return state.p

    def update(self, state: Pursued, arm: Integers, reward: Floats) -> Pursued:
        return _after_answer(self, state, arm, reward)

    def pursue(self, p: Floats, estimate: Floats, arm: Integers) -> Floats:
        chosen = np.arange(len(p)), arm
        above = estimate > estimate[chosen][:, None]
        number = np.maximum(above.sum(axis=1, keepdims=True), 1)
        after = (1.0 - self.learning_rate) * p + self.learning_rate * above / number
        after[chosen] = 0.0
        after[chosen] = np.maximum(1.0 - after.sum(axis=1), 0.0)
        return after


class Values(NamedTuple):
    """State: values (n_sessions, n_models), and answers so far (n_sessions,)."""

    q: Floats
    t: Floats


class Means(NamedTuple):
    """State, each (n_sessions, n_models): sums of rewards, and answers."""

    total: Floats
    # hides the method of tuples, which nobody calls here
    count: Floats  # pyright: ignore[reportIncompatibleMethodOverride]


def count_answer(total: Floats, count: Floats, arm: Integers, reward: Floats) -> Means:
    chosen = np.arange(len(total)), arm
    total = total.copy()
    total[chosen] += reward
    count = count.copy()
    count[chosen] += 1.0
    return Means(total, count)


def nothing_known(n_sessions: int, n_models: int) -> Means:
    return Means(np.zeros((n_sessions, n_models)), np.zeros((n_sessions, n_models)))


def certain(arm: Integers, n_models: int) -> Floats:
    return np.eye(n_models)[arm]


def _softmax(preferences: Floats) -> Floats:
    weights = np.exp(preferences - preferences.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _q_step(q: Floats, arm: Integers, reward: Floats, rate: float) -> Floats:
    chosen = np.arange(len(q)), arm
    after = q.copy()
    after[chosen] = q[chosen] + rate * (reward - q[chosen])
    return after


@dataclass(frozen=True)
class DecayingEpsilon:
    """Stateless Q-learning whose exploration fades."""

    learning_rate: float = 0.1
    epsilon: float = 1.0
    decay: float = 0.1
    initial_value: float = 0.0
    lock_rule: ClassVar = GreedyUnchanged(100)

    def start(self, n_sessions: int, n_models: int) -> Values:
        q = np.full((n_sessions, n_models), float(self.initial_value))
        return Values(q, np.zeros(n_sessions))

    def probabilities(self, state: Values) -> Floats:
        n = state.q.shape[1]
        epsilon = self.epsilon / (1.0 + self.decay * state.t)
        p = np.tile((epsilon / n)[:, None], n)
        p[np.arange(len(p)), state.q.argmax(axis=1)] = 1.0 - epsilon + epsilon / n
        return p

    def update(self, state: Values, arm: Integers, reward: Floats) -> Values:
        return Values(_q_step(state.q, arm, reward, self.learning_rate), state.t + 1.0)


@dataclass(frozen=True)
class Softmax:
    """Stateless Q-learning with Boltzmann's choice."""

    learning_rate: float = 0.1
    temperature: float = 0.05
    initial_value: float = 0.5
    lock_rule: ClassVar = GreedyUnchanged(100)

    def start(self, n_sessions: int, n_models: int) -> Floats:
        return np.full((n_sessions, n_models), float(self.initial_value))

    def probabilities(self, state: Floats) -> Floats:
        return _softmax(state / self.temperature)

    def update(self, state: Floats, arm: Integers, reward: Floats) -> Floats:
        return _q_step(state, arm, reward, self.learning_rate)


class Preferences(NamedTuple):
    """State: preferences; sums of rewards, and answers so far."""

    h: Floats
    total: Floats
    t: Floats


@dataclass(frozen=True)
class GradientBandit:
    """The gradient bandit."""

    learning_rate: float = 0.5
    lock_rule: ClassVar = MaxProbability(0.99)

    def start(self, n_sessions: int, n_models: int) -> Preferences:
        zero = np.zeros(n_sessions)
        return Preferences(np.zeros((n_sessions, n_models)), zero, zero)

    def probabilities(self, state: Preferences) -> Floats:
        return _softmax(state.h)

    def update(self, state: Preferences, arm: Integers, reward: Floats) -> Preferences:
        before = np.where(state.t > 0, state.total / np.maximum(state.t, 1.0), reward)
        step = (self.learning_rate * (reward - before))[:, None]
        h = state.h + step * (certain(arm, state.h.shape[1]) - _softmax(state.h))
        return Preferences(h, state.total + reward, state.t + 1.0)


@dataclass(frozen=True)
class UCB1:
    """Optimism by Hoeffding's bound."""

    width: float = 2.0**0.5
    lock_rule: ClassVar = GreedyUnchanged(100)

    def start(self, n_sessions: int, n_models: int) -> Means:
        return nothing_known(n_sessions, n_models)

    def index(self, state: Means) -> Floats:
        t = np.maximum(state.count.sum(axis=1, keepdims=True), 1.0)
        count = np.maximum(state.count, 1.0)
        bound = state.total / count + self.width * np.sqrt(np.log(t) / count)
        return np.where(state.count > 0, bound, np.inf)

    def probabilities(self, state: Means) -> Floats:
        return certain(self.index(state).argmax(axis=1), state.count.shape[1])

    def update(self, state: Means, arm: Integers, reward: Floats) -> Means:
        return count_answer(state.total, state.count, arm, reward)


@dataclass(frozen=True)
class KLUCB:
    """Optimism by Chernoff bound."""

    c: float = 0.0
    lock_rule: ClassVar = GreedyUnchanged(100)

    def start(self, n_sessions: int, n_models: int) -> Means:
        return nothing_known(n_sessions, n_models)

    def index(self, state: Means) -> Floats:
        t = np.maximum(state.count.sum(axis=1, keepdims=True), 1.0)
        count = np.maximum(state.count, 1.0)
        level = (np.log(t) + self.c * np.log(np.maximum(np.log(t), 1.0))) / count
        return np.where(state.count > 0, kl_upper(state.total / count, level), np.inf)

    def probabilities(self, state: Means) -> Floats:
        return certain(self.index(state).argmax(axis=1), state.count.shape[1])

    def update(self, state: Means, arm: Integers, reward: Floats) -> Means:
        return count_answer(state.total, state.count, arm, reward)


def kl_upper(mean: ArrayLike, level: ArrayLike, steps: int = 14) -> Floats:
    from scipy.special import entr, expit

    mean, level = np.broadcast_arrays(np.asarray(mean, float), np.asarray(level, float))
    m = np.minimum(mean, 1.0 - 1e-12)
    target = level + entr(m) + entr(1.0 - m)
    y = target / (1.0 - m)  # log(1 + e^y) >= y puts the root below
    for _ in range(steps):
        slope = expit(y) - m
        above = np.logaddexp(0.0, y) - m * y - target
        step = above / np.maximum(slope, 1e-12)
        y = y - np.where(slope > 1e-12, step, 0.0)
    return np.clip(np.where(mean >= 1.0, 1.0, expit(y)), mean, 1.0)


@dataclass(frozen=True)
class Exp3:
    """Exponential weights for rewards that anything may decide."""

    gamma: float = 0.1
    lock_rule: ClassVar = GreedyUnchanged(100)

    def start(self, n_sessions: int, n_models: int) -> Floats:
        return np.zeros((n_sessions, n_models))

    def probabilities(self, state: Floats) -> Floats:
        return (1.0 - self.gamma) * _softmax(state) + self.gamma / state.shape[1]

    def update(self, state: Floats, arm: Integers, reward: Floats) -> Floats:
        chosen = np.arange(len(state)), arm
        p = self.probabilities(state)
        after = state.copy()
        after[chosen] += self.gamma * reward / (state.shape[1] * p[chosen])
        return after


#: What a learner that has not stopped leaves to the LLMs that it does not mean to ask.
REST = 1e-9


def _ask(arm: Integers, n_models: int) -> Floats:
    others = max(n_models - 1, 1)
    asked = 1.0 - REST * (n_models > 1)
    return np.where(certain(arm, n_models) > 0, asked, REST / others)


def _mean(state: Means) -> Floats:
    return state.total / np.maximum(state.count, 1.0)


class Candidates(NamedTuple):
    """State, each (n_sessions, n_models): sums, answers, and who is still in."""

    total: Floats
    # hides the method of tuples, which nobody calls here
    count: Floats  # pyright: ignore[reportIncompatibleMethodOverride]
    inside: NDArray[np.bool_]


@dataclass(frozen=True)
class SuccessiveElimination:
    """Ask all candidates in turn, and drop each one that is surely not the best."""

    delta: float = 0.1
    noise: float = 0.5
    lock_rule: ClassVar = MaxProbability(1.0)

    def start(self, n_sessions: int, n_models: int) -> Candidates:
        everyone = np.ones((n_sessions, n_models), dtype=bool)
        return Candidates(*nothing_known(n_sessions, n_models), everyone)

    def probabilities(self, state: Candidates) -> Floats:
        n = state.count.shape[1]
        arm = np.where(state.inside, state.count, np.inf).argmin(axis=1)
        alone = state.inside.sum(axis=1) == 1
        return np.where(alone[:, None], certain(arm, n), _ask(arm, n))

    def update(self, state: Candidates, arm: Integers, reward: Floats) -> Candidates:
        total, count = count_answer(state.total, state.count, arm, reward)
        asked = np.maximum(count, 1.0)
        inverse_risk = np.pi**2 * count.shape[1] * asked**2 / (3.0 * self.delta)
        width = self.noise * np.sqrt(2.0 * np.log(inverse_risk) / asked)
        width = np.where(count > 0, width, np.inf)
        lower = total / asked - width
        upper = total / asked + width
        floor = np.where(state.inside, lower, -np.inf).max(axis=1, keepdims=True)
        return Candidates(total, count, state.inside & (upper >= floor))


@dataclass(frozen=True)
class LUCB:
    """Ask the leader and its most hopeful rival until they no longer overlap."""

    delta: float = 0.1
    noise: float = 0.5
    lock_rule: ClassVar = MaxProbability(1.0)

    def start(self, n_sessions: int, n_models: int) -> Means:
        return nothing_known(n_sessions, n_models)

    def probabilities(self, state: Means) -> Floats:
        n = state.count.shape[1]
        rows = np.arange(len(state.count))
        t = np.maximum(state.count.sum(axis=1, keepdims=True), 1.0)
        asked = np.maximum(state.count, 1.0)
        mean = _mean(state)
        width = self.noise * np.sqrt(2.0 * np.log(1.25 * n * t**4 / self.delta) / asked)
        leader = mean.argmax(axis=1)
        if n == 1:
            return certain(leader, n)
        upper = mean + width
        upper[rows, leader] = -np.inf
        rival = upper.argmax(axis=1)
        apart = upper[rows, rival] < mean[rows, leader] - width[rows, leader]
        either = 0.5 * (certain(leader, n) + certain(rival, n))
        p = np.where(apart[:, None], certain(leader, n), either)
        fewest = state.count.argmin(axis=1)
        all_asked = state.count.min(axis=1, keepdims=True) > 0
        return np.where(all_asked, p, _ask(fewest, n))

    def update(self, state: Means, arm: Integers, reward: Floats) -> Means:
        return count_answer(state.total, state.count, arm, reward)


@dataclass(frozen=True)
class TrackAndStop:
    """Track the proportions that tell the best LLM fastest, until it is sure."""

    delta: float = 0.1
    noise: float = 0.5
    lock_rule: ClassVar = MaxProbability(1.0)

    def start(self, n_sessions: int, n_models: int) -> Means:
        return nothing_known(n_sessions, n_models)

    def probabilities(self, state: Means) -> Floats:
        n = state.count.shape[1]
        t = state.count.sum(axis=1)
        mean = _mean(state)
        fewest = state.count.argmin(axis=1)
        few = state.count.min(axis=1) < np.maximum(np.sqrt(t) - n / 2.0, 1.0)
        behind = (t[:, None] * optimal_weights(mean) - state.count).argmax(axis=1)
        asked = np.where(few, fewest, behind)
        enough = np.log(2.0 * np.maximum(t, 1.0) * max(n - 1, 1) / self.delta)
        stopped = self.evidence(state) > enough
        best = certain(mean.argmax(axis=1), n)
        return np.where(stopped[:, None], best, _ask(asked, n))

    def evidence(self, state: Means) -> Floats:
        mean = _mean(state)
        leader = np.arange(len(mean)), mean.argmax(axis=1)
        with np.errstate(divide="ignore"):
            one_over = 1.0 / state.count
        spread = 2.0 * self.noise**2 * (one_over[leader][:, None] + one_over)
        z = (mean[leader][:, None] - mean) ** 2 / spread
        z[leader] = np.inf
        return z.min(axis=1)

    def update(self, state: Means, arm: Integers, reward: Floats) -> Means:
        return count_answer(state.total, state.count, arm, reward)


def optimal_weights(mean: Floats, steps: int = 8) -> Floats:
    if mean.shape[1] == 1:
        return np.ones_like(mean)
    best = np.arange(len(mean)), mean.argmax(axis=1)
    # equal means count as if 1e-9 apart
    gap = np.maximum(mean[best][:, None] - mean, 1e-9)
    gap[best] = np.inf
    # 0 for the best, 1 for the nearest rival
    inverse = (gap.min(axis=1, keepdims=True) / gap) ** 2
    y = np.full((len(mean), 1), 0.5)  # in units of the smallest squared gap
    for _ in range(steps):
        share = 1.0 / (1.0 - y * inverse)
        x = y * inverse * share
        slope = (2.0 * x * inverse * share * share).sum(axis=1, keepdims=True)
        y = y - ((x * x).sum(axis=1, keepdims=True) - 1.0) / slope
    x = y * inverse / (1.0 - y * inverse)
    x[best] = 1.0
    return x / x.sum(axis=1, keepdims=True)
