"""Learners beside the paper over a session axis, in NumPy.

They were written before, and apart from, those for one session in `pickllm.beyond`,
which the tests hold against them. Thompson's show the exact chance of each LLM, by
quadrature, where the others draw.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pickllm.core.learners import require_in_range
from pickllm.core.locking import GreedyUnchanged, MaxProbability
from pickllm.core.protocols import Floats, Integers
from pickllm.errors import InputError


def _penalised(p: Floats, arm: Integers, reward: Floats, a: float, b: float) -> Floats:
    """Return p after one answer, with the letters of `LinearRewardPenalty`."""
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
    """The automaton Linear Reward-Penalty, L_R-P.

    Reward pulls the chosen LLM's probability up, its absence pushes it down. With a the
    learning rate and b the penalty rate,

        p_i <- p_i + a r (1 - p_i) - b (1 - r) p_i,
        p_j <- p_j - a r p_j + b (1 - r) (1 / (n - 1) - p_j)    for j != i

    (Narendra and Thathachar 1989, *Learning Automata*, ch. 4, for rewards in [0, 1]
    ch. 6). At b = 0 it is L_R-I. At b > 0 no LLM is absorbing: p keeps moving, so that
    it seldom locks.

    Parameters
    ----------
    learning_rate : float
        a, in (0, 1].
    penalty_rate : float
        b, in [0, 1].
    """

    learning_rate: float = 0.1
    penalty_rate: float = 0.1
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)
        require_in_range(self, "penalty_rate", 0, 1)

    def start(self, n_sessions: int, n_models: int) -> Floats:
        """Return every LLM equally likely."""
        return np.full((n_sessions, n_models), 1.0 / n_models)

    def probabilities(self, state: Floats) -> Floats:
        """Return the state itself, (n_sessions, n_models)."""
        return state

    def update(self, state: Floats, arm: Integers, reward: Floats) -> Floats:
        """Return p after one step of the equation above."""
        return _penalised(state, arm, reward, self.learning_rate, self.penalty_rate)


@dataclass(frozen=True)
class LinearRewardEpsilonPenalty:
    """The automaton L_R-epsilon-P: L_R-P with a small penalty, b = epsilon a.

    Small enough an epsilon comes as near to L_R-I as wanted, with no LLM that absorbs
    (Lakshmivarahan 1981, *Learning Algorithms: Theory and Applications*; Narendra and
    Thathachar 1989, ch. 4).

    Parameters
    ----------
    learning_rate : float
        a, in (0, 1].
    epsilon : float
        Penalty over reward, in [0, 1]; 0 is L_R-I, 1 is L_R-P.
    """

    learning_rate: float = 0.1
    epsilon: float = 0.01
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)
        require_in_range(self, "epsilon", 0, 1)

    def start(self, n_sessions: int, n_models: int) -> Floats:
        """Return every LLM equally likely."""
        return np.full((n_sessions, n_models), 1.0 / n_models)

    def probabilities(self, state: Floats) -> Floats:
        """Return the state itself, (n_sessions, n_models)."""
        return state

    def update(self, state: Floats, arm: Integers, reward: Floats) -> Floats:
        """Return p after one step of the equation of `LinearRewardPenalty`."""
        penalty_rate = self.epsilon * self.learning_rate
        return _penalised(state, arm, reward, self.learning_rate, penalty_rate)


class Pursued(NamedTuple):
    """State of a pursuit automaton, each (n_sessions, n_models).

    Probabilities, sums of rewards, and numbers of answers.
    """

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
    """Return every LLM equally likely, nothing known."""
    zero = np.zeros((n_sessions, n_models))
    return Pursued(np.full((n_sessions, n_models), 1.0 / n_models), zero, zero)


def _after_answer(
    learner: _Pursuer, state: Pursued, arm: Integers, reward: Floats
) -> Pursued:
    """Return the answer counted, and p moved once every LLM has been tried enough."""
    chosen = np.arange(len(state.p)), arm
    total = state.total.copy()
    total[chosen] += reward
    count = state.count.copy()
    count[chosen] += 1.0
    estimate = total / np.maximum(count, 1.0)
    tried = count.min(axis=1, keepdims=True) >= learner.trials
    p = np.where(tried, learner.pursue(state.p, estimate, arm), state.p)
    return Pursued(p, total, count)


def _require_whole(learner: object, name: str) -> None:
    """Refuse a learner's parameter that is no whole number >= 1."""
    value = getattr(learner, name)
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < 1:
        raise InputError(
            f"{type(learner).__name__}: {name} must be a whole number >= 1, got"
            f" {value!r}; choose one"
        )


@dataclass(frozen=True)
class Pursuit:
    """The continuous pursuit automaton: p runs after the LLM that looks best.

    With d_j the mean reward of LLM j so far, m the LLM with the highest, e_m its unit
    vector and lambda the learning rate, after every answer

        p <- p + lambda (e_m - p)

    (Thathachar and Sastry 1985, *IEEE Trans. Systems, Man, Cybernetics* 15, 168-175:
    CP_R-P). Ties go to the first LLM of the pool. As there, p waits until every LLM has
    been tried.

    Parameters
    ----------
    learning_rate : float
        lambda, in (0, 1].
    trials : int
        Answers of every LLM before p moves, >= 1.
    """

    learning_rate: float = 0.02
    trials: int = 5
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)
        _require_whole(self, "trials")

    def start(self, n_sessions: int, n_models: int) -> Pursued:
        """Return every LLM equally likely, nothing known."""
        return _not_moved_yet(n_sessions, n_models)

    def probabilities(self, state: Pursued) -> Floats:
        """Return p, (n_sessions, n_models)."""
        return state.p

    def update(self, state: Pursued, arm: Integers, reward: Floats) -> Pursued:
        """Return the answer counted, then one step of the equation above."""
        return _after_answer(self, state, arm, reward)

    def pursue(self, p: Floats, estimate: Floats, arm: Integers) -> Floats:
        """Return p one step nearer to the LLM of the highest estimate."""
        best = np.arange(len(p)), estimate.argmax(axis=1)
        after = (1.0 - self.learning_rate) * p
        after[best] += self.learning_rate
        return after


@dataclass(frozen=True)
class DiscretisedPursuit:
    """The discretised pursuit automaton: `Pursuit` in steps of one size.

    So it arrives. With step 1 / (n N), N the resolution, after every answer

        p_j <- max(p_j - 1 / (n N), 0)    for j != m,    p_m <- 1 - sum of the others

    (Oommen and Lanctot 1990, *IEEE Trans. Systems, Man, Cybernetics* 20, 931-938;
    without inaction: Oommen and Agache 2001, *ibid.* B 31, 277-287: DP_R-P).

    Parameters
    ----------
    resolution : int
        N, >= 1: certainty is (n - 1) N answers away from the start at the least.
    trials : int
        Answers of every LLM before p moves, >= 1.
    """

    resolution: int = 50
    trials: int = 5
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        _require_whole(self, "resolution")
        _require_whole(self, "trials")

    def start(self, n_sessions: int, n_models: int) -> Pursued:
        """Return every LLM equally likely, nothing known."""
        return _not_moved_yet(n_sessions, n_models)

    def probabilities(self, state: Pursued) -> Floats:
        """Return p, (n_sessions, n_models)."""
        return state.p

    def update(self, state: Pursued, arm: Integers, reward: Floats) -> Pursued:
        """Return the answer counted, then one step of the equation above."""
        return _after_answer(self, state, arm, reward)

    def pursue(self, p: Floats, estimate: Floats, arm: Integers) -> Floats:
        """Return p one step nearer to the LLM of the highest estimate."""
        best = np.arange(len(p)), estimate.argmax(axis=1)
        after = np.maximum(p - 1.0 / (p.shape[1] * self.resolution), 0.0)
        after[after < 1e-12] = 0.0  # what rounding leaves of the last step
        after[best] = 0.0
        after[best] = 1.0 - after.sum(axis=1)
        return after


@dataclass(frozen=True)
class GeneralisedPursuit:
    """The generalised pursuit automaton: p runs after all that look better.

    Better than the chosen LLM, that is. With d as in `Pursuit`, K the number of LLMs
    with d_j > d_i and lambda the learning rate,

        p_j <- (1 - lambda) p_j + lambda / K    for j != i with d_j > d_i,
        p_j <- (1 - lambda) p_j                 for j != i with d_j <= d_i,
        p_i <- 1 - sum of the others

    (Agache and Oommen 2002, *IEEE Trans. Systems, Man, Cybernetics* B 32, 738-749:
    GPA).

    Parameters
    ----------
    learning_rate : float
        lambda, in (0, 1].
    trials : int
        Answers of every LLM before p moves, >= 1.
    """

    learning_rate: float = 0.02
    trials: int = 5
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)
        _require_whole(self, "trials")

    def start(self, n_sessions: int, n_models: int) -> Pursued:
        """Return every LLM equally likely, nothing known."""
        return _not_moved_yet(n_sessions, n_models)

    def probabilities(self, state: Pursued) -> Floats:
        """Return p, (n_sessions, n_models)."""
        return state.p

    def update(self, state: Pursued, arm: Integers, reward: Floats) -> Pursued:
        """Return the answer counted, then one step of the equations above."""
        return _after_answer(self, state, arm, reward)

    def pursue(self, p: Floats, estimate: Floats, arm: Integers) -> Floats:
        """Return p one step nearer to the LLMs estimated above the chosen one."""
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
    """Return sums of rewards, and answers, with one more answer a session."""
    chosen = np.arange(len(total)), arm
    total = total.copy()
    total[chosen] += reward
    count = count.copy()
    count[chosen] += 1.0
    return Means(total, count)


def nothing_known(n_sessions: int, n_models: int) -> Means:
    """Return `Means` before the first answer."""
    return Means(np.zeros((n_sessions, n_models)), np.zeros((n_sessions, n_models)))


def certain(arm: Integers, n_models: int) -> Floats:
    """Return probability 1 for one LLM a session, (n_sessions, n_models)."""
    return np.eye(n_models)[arm]


def _softmax(preferences: Floats) -> Floats:
    weights = np.exp(preferences - preferences.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _q_step(q: Floats, arm: Integers, reward: Floats, rate: float) -> Floats:
    """Return Q after one step of the equation of `QLearning`."""
    chosen = np.arange(len(q)), arm
    after = q.copy()
    after[chosen] = q[chosen] + rate * (reward - q[chosen])
    return after


@dataclass(frozen=True)
class DecayingEpsilon:
    """Stateless Q-learning whose exploration fades.

    The equation of `QLearning`, with the share of queries that explore

        epsilon_t = epsilon / (1 + decay t)

    (the schedule of order 1/t of Auer, Cesa-Bianchi and Fischer 2002, *Machine
    Learning* 47, 235-256). At decay 0 it is `QLearning`. An optimistic start is
    `QLearning(epsilon=0, initial_value=1)` (Sutton and Barto 2018, 2.6).

    Parameters
    ----------
    learning_rate : float
        In (0, 1].
    epsilon : float
        epsilon_0, in [0, 1].
    decay : float
        Per answer, in [0, 1].
    initial_value : float
        Q before the first answer, in [0, 1].
    """

    learning_rate: float = 0.1
    epsilon: float = 1.0
    decay: float = 0.1
    initial_value: float = 0.0
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)
        for name in ("epsilon", "decay", "initial_value"):
            require_in_range(self, name, 0, 1)

    def start(self, n_sessions: int, n_models: int) -> Values:
        """Return Q of every LLM at `initial_value`, no answer yet."""
        q = np.full((n_sessions, n_models), float(self.initial_value))
        return Values(q, np.zeros(n_sessions))

    def probabilities(self, state: Values) -> Floats:
        """Return epsilon_t-greedy on Q, (n_sessions, n_models); ties to the first."""
        n = state.q.shape[1]
        epsilon = self.epsilon / (1.0 + self.decay * state.t)
        p = np.tile((epsilon / n)[:, None], n)
        p[np.arange(len(p)), state.q.argmax(axis=1)] = 1.0 - epsilon + epsilon / n
        return p

    def update(self, state: Values, arm: Integers, reward: Floats) -> Values:
        """Return Q after one step, and one more answer."""
        return Values(_q_step(state.q, arm, reward, self.learning_rate), state.t + 1.0)


@dataclass(frozen=True)
class Softmax:
    """Stateless Q-learning with Boltzmann's choice.

    The equation of `QLearning`, and with temperature tau

        p_j = exp(Q_j / tau) / sum_k exp(Q_k / tau)

    (Luce 1959; Sutton and Barto 1998, 2.3).

    Parameters
    ----------
    learning_rate : float
        In (0, 1].
    temperature : float
        tau, in (0, 100]; rewards are in [0, 1], so 0.01 is nearly greedy and 10 nearly
        uniform.
    initial_value : float
        Q before the first answer, in [0, 1].
    """

    learning_rate: float = 0.1
    temperature: float = 0.05
    initial_value: float = 0.5
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)
        require_in_range(self, "temperature", 0, 100, low_open=True)
        require_in_range(self, "initial_value", 0, 1)

    def start(self, n_sessions: int, n_models: int) -> Floats:
        """Return Q of every LLM at `initial_value`."""
        return np.full((n_sessions, n_models), float(self.initial_value))

    def probabilities(self, state: Floats) -> Floats:
        """Return Boltzmann's distribution, (n_sessions, n_models)."""
        return _softmax(state / self.temperature)

    def update(self, state: Floats, arm: Integers, reward: Floats) -> Floats:
        """Return Q after one step."""
        return _q_step(state, arm, reward, self.learning_rate)


class Preferences(NamedTuple):
    """State: preferences, (n_sessions, n_models); sums of rewards, and answers so far.

    The last two are (n_sessions,).
    """

    h: Floats
    total: Floats
    t: Floats


@dataclass(frozen=True)
class GradientBandit:
    """The gradient bandit: stochastic ascent of the expected reward over preferences H.

    With p = softmax(H), alpha the learning rate and b the mean reward before this
    answer (r itself at the first one),

        H_j <- H_j + alpha (r - b) ([j = i] - p_j)

    (Sutton and Barto 2018, *Reinforcement Learning*, 2.8; Williams 1992).

    Parameters
    ----------
    learning_rate : float
        alpha, in (0, 10].
    """

    learning_rate: float = 0.5
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 10, low_open=True)

    def start(self, n_sessions: int, n_models: int) -> Preferences:
        """Return no preference."""
        zero = np.zeros(n_sessions)
        return Preferences(np.zeros((n_sessions, n_models)), zero, zero)

    def probabilities(self, state: Preferences) -> Floats:
        """Return softmax(H), (n_sessions, n_models)."""
        return _softmax(state.h)

    def update(self, state: Preferences, arm: Integers, reward: Floats) -> Preferences:
        """Return preferences after one step of the equation above."""
        before = np.where(state.t > 0, state.total / np.maximum(state.t, 1.0), reward)
        step = (self.learning_rate * (reward - before))[:, None]
        h = state.h + step * (certain(arm, state.h.shape[1]) - _softmax(state.h))
        return Preferences(h, state.total + reward, state.t + 1.0)


@dataclass(frozen=True)
class UCB1:
    """Optimism by Hoeffding's bound.

    Every LLM once, in the pool's order, then the one with the highest

        m_j + c sqrt(ln(t) / N_j)

    (Auer, Cesa-Bianchi and Fischer 2002, *Machine Learning* 47, 235-256: c = sqrt(2)).

    Parameters
    ----------
    width : float
        c, in [0, 10].
    """

    width: float = 2.0**0.5
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self) -> None:
        require_in_range(self, "width", 0, 10)

    def start(self, n_sessions: int, n_models: int) -> Means:
        """Return nothing known."""
        return nothing_known(n_sessions, n_models)

    def index(self, state: Means) -> Floats:
        """Return the index above, (n_sessions, n_models); infinite if never asked."""
        t = np.maximum(state.count.sum(axis=1, keepdims=True), 1.0)
        count = np.maximum(state.count, 1.0)
        bound = state.total / count + self.width * np.sqrt(np.log(t) / count)
        return np.where(state.count > 0, bound, np.inf)

    def probabilities(self, state: Means) -> Floats:
        """Return certainty: the LLM of the highest index, ties to the first."""
        return certain(self.index(state).argmax(axis=1), state.count.shape[1])

    def update(self, state: Means, arm: Integers, reward: Floats) -> Means:
        """Return the answer counted."""
        return count_answer(state.total, state.count, arm, reward)


@dataclass(frozen=True)
class KLUCB:
    """Optimism by Chernoff's bound, the sharpest that holds for every reward in [0, 1].

    Every LLM once, then the one with the highest

        max {q in [m_j, 1]: N_j kl(m_j, q) <= ln t + c ln ln t},

    kl being the divergence between two coins (Garivier and Cappe 2011, *COLT*,
    algorithm 1; they advise c = 0 in practice).

    Parameters
    ----------
    c : float
        In [0, 10].
    """

    c: float = 0.0
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self) -> None:
        require_in_range(self, "c", 0, 10)

    def start(self, n_sessions: int, n_models: int) -> Means:
        """Return nothing known."""
        return nothing_known(n_sessions, n_models)

    def index(self, state: Means) -> Floats:
        """Return the index above, (n_sessions, n_models); infinite if never asked."""
        t = np.maximum(state.count.sum(axis=1, keepdims=True), 1.0)
        count = np.maximum(state.count, 1.0)
        level = (np.log(t) + self.c * np.log(np.maximum(np.log(t), 1.0))) / count
        return np.where(state.count > 0, kl_upper(state.total / count, level), np.inf)

    def probabilities(self, state: Means) -> Floats:
        """Return certainty: the LLM of the highest index, ties to the first."""
        return certain(self.index(state).argmax(axis=1), state.count.shape[1])

    def update(self, state: Means, arm: Integers, reward: Floats) -> Means:
        """Return the answer counted."""
        return count_answer(state.total, state.count, arm, reward)


def kl_upper(mean: ArrayLike, level: ArrayLike, steps: int = 14) -> Floats:
    """Return the largest q with kl(mean, q) <= level, for coins; arrays broadcast.

    On the scale y = log(q / (1 - q)) the divergence is log(1 + e^y) - mean y up to a
    constant, which is convex, so that Newton's steps from above come down to the root
    and never pass it.
    """
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
class ThompsonGaussian:
    """Thompson sampling for rewards with normal noise.

    It asks each LLM as often as it may be the best. A mean reward has the prior
    N(mu_0, s_0^2) and an answer the noise N(0, sigma^2), so that the posterior of LLM j
    is normal with

        precision  1 / s_j^2 = 1 / s_0^2 + N_j / sigma^2,
        mean       mu_j = s_j^2 (mu_0 / s_0^2 + N_j m_j / sigma^2);

    p_j is the probability that a draw from j's posterior is the largest (Thompson 1933,
    *Biometrika* 25, 285-294; Agrawal and Goyal 2013, *AISTATS*), by quadrature to about
    1e-6.

    Parameters
    ----------
    noise : float
        sigma, in (0, 1]; the spread of rewards in [0, 1] is at most 0.5.
    prior_mean : float
        mu_0, in [0, 1].
    prior_spread : float
        s_0, in (0, 10].
    """

    noise: float = 0.25
    prior_mean: float = 0.5
    prior_spread: float = 0.5
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "noise", 0, 1, low_open=True)
        require_in_range(self, "prior_mean", 0, 1)
        require_in_range(self, "prior_spread", 0, 10, low_open=True)

    def start(self, n_sessions: int, n_models: int) -> Means:
        """Return nothing known."""
        return nothing_known(n_sessions, n_models)

    def posterior(self, state: Means) -> tuple[Floats, Floats]:
        """Return mean and spread of the posteriors, each (n_sessions, n_models)."""
        precision = 1.0 / self.prior_spread**2 + state.count / self.noise**2
        weighted = self.prior_mean / self.prior_spread**2 + state.total / self.noise**2
        return weighted / precision, 1.0 / np.sqrt(precision)

    def probabilities(self, state: Means) -> Floats:
        """Return each LLM's chance to be drawn the best, (n_sessions, n_models)."""
        return chance_of_largest_normal(*self.posterior(state))

    def update(self, state: Means, arm: Integers, reward: Floats) -> Means:
        """Return the answer counted."""
        return count_answer(state.total, state.count, arm, reward)


@dataclass(frozen=True)
class ThompsonBeta:
    """Thompson sampling for rewards in [0, 1] with Beta posteriors.

    From the prior Beta(a, b), an answer of reward r adds r successes and 1 - r
    failures, so that LLM j has Beta(a + N_j m_j, b + N_j (1 - m_j)); p_j is the
    probability that a draw from j's posterior is the largest, by quadrature to about
    2e-4 (Thompson 1933; Agrawal and Goyal 2012, *COLT*, who toss a coin of chance r
    instead of adding r, at the cost of one more draw).

    Parameters
    ----------
    successes, failures : float
        a and b, in [0.5, 1000]; 1 and 1 is the uniform prior.
    """

    successes: float = 1.0
    failures: float = 1.0
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "successes", 0.5, 1000)
        require_in_range(self, "failures", 0.5, 1000)

    def start(self, n_sessions: int, n_models: int) -> Means:
        """Return nothing known."""
        return nothing_known(n_sessions, n_models)

    def probabilities(self, state: Means) -> Floats:
        """Return each LLM's chance to be drawn the best, (n_sessions, n_models)."""
        successes = self.successes + state.total
        failures = self.failures + state.count - state.total
        return chance_of_largest_beta(successes, failures)

    def update(self, state: Means, arm: Integers, reward: Floats) -> Means:
        """Return the answer counted."""
        return count_answer(state.total, state.count, arm, reward)


def chance_of_largest_normal(mean: Floats, spread: Floats, nodes: int = 96) -> Floats:
    """Return P(X_j is the largest) for independent X_j ~ N(mean_j, spread_j^2).

    Each row is by itself. It is the trapezoid rule on the density of the largest, which
    is smooth and vanishes at both ends, so that the error falls exponentially with the
    number of nodes per spread. Every row has the same number of nodes, so that no
    session depends on another.

    Parameters
    ----------
    mean, spread : ndarray, (n, n_models)
    """
    from scipy.special import ndtr

    low = (mean - 6.0 * spread).max(axis=1)
    high = (mean + 6.0 * spread).max(axis=1)
    x = _middles(low, high, nodes)
    z = (x[:, None, :] - mean[:, :, None]) / spread[:, :, None]  # (n, n_models, nodes)
    return _chance_of_largest(np.exp(-0.5 * z * z) / spread[:, :, None], ndtr(z))


def _middles(low: Floats, high: Floats, cells: int) -> Floats:
    """Return the middles of equal cells of each row's interval, (n, cells)."""
    return low[:, None] + (high - low)[:, None] * (np.arange(cells) + 0.5) / cells


def chance_of_largest_beta(a: Floats, b: Floats, nodes: int = 192) -> Floats:
    """Return P(X_j is the largest) for independent X_j ~ Beta(a_j, b_j).

    Each row is by itself, on the angle theta with x = sin(theta)^2, where the spread of
    a Beta hardly depends on its mean; distribution functions are running sums of the
    densities there.

    Parameters
    ----------
    a, b : ndarray, (n, n_models)
        At least 0.5.
    """
    centre = np.arcsin(np.sqrt(a / (a + b)))
    reach = 3.6 / np.sqrt(a + b)  # some seven spreads, each about 1 / (2 sqrt(a + b))
    low = np.maximum((centre - reach).max(axis=1), 0.0)
    high = np.minimum((centre + reach).max(axis=1), np.pi / 2)
    density = _angle_density(a, b, _middles(low, high, nodes))
    step = (high - low) / nodes
    return _chance_of_largest(density, _angle_distribution(a, b, density, low, step))


def _angle_density(a: Floats, b: Floats, theta: Floats) -> Floats:
    """Return the density of each angle, (n, n_models, nodes)."""
    from scipy.special import betaln

    log_sin = np.log(np.sin(theta))[:, None]
    log_cos = np.log(np.cos(theta))[:, None]
    from_a = (2.0 * a - 1.0)[:, :, None] * log_sin
    from_b = (2.0 * b - 1.0)[:, :, None] * log_cos
    return np.exp(from_a + from_b + np.log(2.0) - betaln(a, b)[:, :, None])


def _angle_distribution(
    a: Floats, b: Floats, density: Floats, low: Floats, step: Floats
) -> Floats:
    """Return the distribution function of each angle at the middle of each cell."""
    from scipy.special import betainc

    mass = density * step[:, None, None]
    below = betainc(a, b, (np.sin(low) ** 2)[:, None])  # what lies left of the grid
    summed = below[:, :, None] + np.cumsum(mass, axis=2) - 0.5 * mass
    return np.clip(summed, 0.0, 1.0)


def _chance_of_largest(density: Floats, distribution: Floats) -> Floats:
    """Return the chance of each to be the largest, (n, n_models).

    Summed over nodes: each one's density times the others' distribution functions.
    """
    chances: list[Floats] = []
    for model in range(density.shape[1]):
        others = np.delete(distribution, model, axis=1)
        chances.append((density[:, model] * np.prod(others, axis=1)).sum(axis=1))
    p = np.stack(chances, axis=1)
    return p / p.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Exp3:
    """Exponential weights for rewards that anything may decide.

    With weights w_j and mixing gamma,

        p_j = (1 - gamma) w_j / sum_k w_k + gamma / n,
        w_i <- w_i exp(gamma r / (n p_i))

    (Auer, Cesa-Bianchi, Freund and Schapire 2002, *SIAM J. Computing* 32, 48-77).

    Parameters
    ----------
    gamma : float
        In (0, 1].
    """

    gamma: float = 0.1
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self) -> None:
        require_in_range(self, "gamma", 0, 1, low_open=True)

    def start(self, n_sessions: int, n_models: int) -> Floats:
        """Return log w of every LLM at 0."""
        return np.zeros((n_sessions, n_models))

    def probabilities(self, state: Floats) -> Floats:
        """Return the mixture above, (n_sessions, n_models)."""
        return (1.0 - self.gamma) * _softmax(state) + self.gamma / state.shape[1]

    def update(self, state: Floats, arm: Integers, reward: Floats) -> Floats:
        """Return log w after one step of the equation above."""
        chosen = np.arange(len(state)), arm
        p = self.probabilities(state)
        after = state.copy()
        after[chosen] += self.gamma * reward / (state.shape[1] * p[chosen])
        return after


#: What a learner that has not stopped leaves to the LLMs that it does not mean to ask.
REST = 1e-9


def _ask(arm: Integers, n_models: int) -> Floats:
    """Return all but certainty: the choice of a learner that has not stopped."""
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
    """Ask all candidates in turn, and drop each one that is surely not the best.

    After N answers a mean is known to within

        u(N) = sigma sqrt(2 ln(pi^2 n N^2 / (3 delta)) / N),

    at all N and for all n LLMs at once with probability 1 - delta; LLM j goes when
    m_j + u(N_j) < max_k (m_k - u(N_k)), and the last one stays (Even-Dar, Mannor and
    Mansour 2006, *Journal of Machine Learning Research* 7, 1079-1105).

    Parameters
    ----------
    delta : float
        Share of sessions that may lock on a wrong LLM, in (0, 1).
    noise : float
        sigma, in (0, 1].
    """

    delta: float = 0.1
    noise: float = 0.5
    lock_rule: ClassVar = MaxProbability(1.0)

    def __post_init__(self) -> None:
        _require_delta_and_noise(self)

    def start(self, n_sessions: int, n_models: int) -> Candidates:
        """Return nothing known, every LLM a candidate."""
        everyone = np.ones((n_sessions, n_models), dtype=bool)
        return Candidates(*nothing_known(n_sessions, n_models), everyone)

    def probabilities(self, state: Candidates) -> Floats:
        """Return the candidate with the fewest answers; certain once it is alone."""
        n = state.count.shape[1]
        arm = np.where(state.inside, state.count, np.inf).argmin(axis=1)
        alone = state.inside.sum(axis=1) == 1
        return np.where(alone[:, None], certain(arm, n), _ask(arm, n))

    def update(self, state: Candidates, arm: Integers, reward: Floats) -> Candidates:
        """Return the answer counted, and who is surely worse dropped."""
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
    """Ask the leader and its most hopeful rival until they no longer overlap.

    With h the LLM of the highest mean, and l the one of the highest m_j + u_j among the
    others,

        u_j = sigma sqrt(2 ln(5 n t^4 / (4 delta)) / N_j);

    stop when m_l + u_l < m_h - u_h (Kalyanakrishnan, Tewari, Auer and Stone 2012,
    *ICML*: LUCB1). There a round asks both; here each query goes to one of them, either
    with probability 1/2, after every LLM once.

    Parameters
    ----------
    delta : float
        Share of sessions that may lock on a wrong LLM, in (0, 1).
    noise : float
        sigma, in (0, 1].
    """

    delta: float = 0.1
    noise: float = 0.5
    lock_rule: ClassVar = MaxProbability(1.0)

    def __post_init__(self) -> None:
        _require_delta_and_noise(self)

    def start(self, n_sessions: int, n_models: int) -> Means:
        """Return nothing known."""
        return nothing_known(n_sessions, n_models)

    def probabilities(self, state: Means) -> Floats:
        """Return one half each for leader and rival; certain once they are apart."""
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
        """Return the answer counted."""
        return count_answer(state.total, state.count, arm, reward)


@dataclass(frozen=True)
class TrackAndStop:
    """Track the proportions that tell the best LLM fastest, until it is sure.

    At the means so far, w* are the proportions of answers that no identification can do
    without (`optimal_weights`). D-tracking asks an LLM with fewer than sqrt(t) - n / 2
    answers if there is one, else the one furthest behind, with the highest
    t w*_j - N_j. It stops when the likelihood ratio of the leader h against each other
    LLM,

        Z_j = (m_h - m_j)^2 / (2 sigma^2 (1 / N_h + 1 / N_j)),

    exceeds ln(2 t (n - 1) / delta) (Garivier and Kaufmann 2016, *COLT*, here with the
    divergence of normal rewards; the threshold is the one that their theorem 10 proves
    for coins).

    Parameters
    ----------
    delta : float
        Share of sessions that may lock on a wrong LLM, in (0, 1).
    noise : float
        sigma, in (0, 1].
    """

    delta: float = 0.1
    noise: float = 0.5
    lock_rule: ClassVar = MaxProbability(1.0)

    def __post_init__(self) -> None:
        _require_delta_and_noise(self)

    def start(self, n_sessions: int, n_models: int) -> Means:
        """Return nothing known."""
        return nothing_known(n_sessions, n_models)

    def probabilities(self, state: Means) -> Floats:
        """Return the LLM that D-tracking asks; certain once the rule has stopped."""
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
        """Return the smallest Z_j, (n_sessions,): 0 while an LLM has no answer."""
        mean = _mean(state)
        leader = np.arange(len(mean)), mean.argmax(axis=1)
        with np.errstate(divide="ignore"):
            one_over = 1.0 / state.count
        spread = 2.0 * self.noise**2 * (one_over[leader][:, None] + one_over)
        z = (mean[leader][:, None] - mean) ** 2 / spread
        z[leader] = np.inf
        return z.min(axis=1)

    def update(self, state: Means, arm: Integers, reward: Floats) -> Means:
        """Return the answer counted."""
        return count_answer(state.total, state.count, arm, reward)


def optimal_weights(mean: Floats, steps: int = 8) -> Floats:
    """Return the proportions w* of answers that tell the best arm fastest.

    For normal arms of one variance. With gaps D_j to the best LLM, x_j = y /
    (D_j^2 - y) answers of LLM j per answer of the best make all rivals equally hard to
    tell from it, and the best y solves sum_j x_j^2 = 1 (Garivier and Kaufmann 2016,
    theorem 5, which takes this form for normal arms). The sum is convex in y and y at
    most half of the smallest D_j^2, from where Newton's steps come down to the root.

    Parameters
    ----------
    mean : ndarray, (n, n_models)

    Returns
    -------
    ndarray, (n, n_models)
        Rows sum to 1; the variance does not matter.
    """
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


def _require_delta_and_noise(learner: object) -> None:
    require_in_range(learner, "delta", 0, 1, low_open=True)
    require_in_range(learner, "noise", 0, 1, low_open=True)
