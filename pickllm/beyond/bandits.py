"""Bandits: epsilon-greedy and its kin, confidence bounds, Thompson sampling, Exp3.

Each is a `Learner`; r is the unit reward of the chosen LLM i, n the number of LLMs, t
the answers so far, N_j those of LLM j and m_j their mean reward. A learner that chooses
by a draw of its own, as Thompson's does, shows the distribution of its choice instead.
Where a choice is certain but nothing is decided for good (UCB), a session counts as
converged as Q-learning's does: the same LLM 100 times on end.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..core.learners import require_in_range
from ..core.locking import GreedyUnchanged, MaxProbability
from ..core.protocols import Floats, Integers


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

    Examples
    --------
    >>> state = Values(q=np.array([[0.1, 0.4]]), t=np.array([1.0]))
    >>> DecayingEpsilon(epsilon=0.2, decay=1.0).probabilities(state)
    array([[0.05, 0.95]])
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

    Examples
    --------
    >>> bandit = GradientBandit(learning_rate=1.0)
    >>> state = Preferences(np.zeros((1, 2)), np.array([0.5]), np.array([1.0]))
    >>> bandit.update(state, arm=np.array([0]), reward=np.array([1.0])).h
    array([[ 0.25, -0.25]])
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

    Examples
    --------
    >>> float(kl_upper(0.0, np.log(2.0)))
    0.5
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

    Examples
    --------
    The larger mean wins with chance Phi(1 / sqrt(2)):

    >>> chance_of_largest_normal(np.array([[0.0, 1.0]]), np.ones((1, 2))).round(4)
    array([[0.2398, 0.7602]])
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

    Examples
    --------
    >>> chance_of_largest_beta(np.array([[1.0, 2.0]]), np.ones((1, 2))).round(4)
    array([[0.3333, 0.6667]])
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

    Examples
    --------
    >>> bandit = Exp3(gamma=1.0)
    >>> log_w = bandit.start(n_sessions=1, n_models=2)
    >>> bandit.update(log_w, arm=np.array([0]), reward=np.array([0.5]))
    array([[0.5, 0. ]])
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
