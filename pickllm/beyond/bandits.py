"""Bandits: epsilon-greedy and its kin, confidence bounds, Thompson sampling, Exp3.

Each is a learner for one session (see `core.one_session`); r is the unit reward of the
chosen LLM i, n the number of LLMs, t the answers so far, N_j those of LLM j and m_j
their mean reward. Where a choice is certain, or drawn by the learner itself, nothing is
decided for good: a session counts as converged as Q-learning's does, when the same LLM
has been asked 100 times on end.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from ..core.learners import require_in_range
from ..core.locking import GreedyUnchanged, MaxProbability
from ..core.protocols import Floats


class Means(NamedTuple):
    """State, each (n_models,): sums of rewards, numbers of answers, and the means."""

    total: Floats
    # hides the method of tuples, which nobody calls here
    count: Floats  # pyright: ignore[reportIncompatibleMethodOverride]
    mean: Floats


def nothing_known(n_models: int) -> Means:
    """Return `Means` before the first answer."""
    return Means(np.zeros(n_models), np.zeros(n_models), np.zeros(n_models))


class Known(Protocol):
    """What a state holds of each LLM: sums, answers and mean rewards."""

    @property
    def total(self) -> Floats:
        """Sums of rewards, (n_models,)."""
        ...

    @property
    def count(self) -> Floats:
        """Numbers of answers, (n_models,)."""
        ...

    @property
    def mean(self) -> Floats:
        """Mean rewards, (n_models,)."""
        ...


def count_answer(state: Known, arm: int, reward: float) -> None:
    """Add an answer to what is known."""
    state.total[arm] += reward
    state.count[arm] += 1.0
    state.mean[arm] = state.total[arm] / state.count[arm]


class Values(NamedTuple):
    """State: values, and selection probabilities, (n_models,); answers, (1,)."""

    q: Floats
    p: Floats
    t: Floats


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
    >>> learner = DecayingEpsilon(learning_rate=0.5, epsilon=0.8, decay=1.0)
    >>> state = learner.start(n_models=2)
    >>> learner.update(state, arm=1, reward=1.0)
    >>> learner.probabilities(state)
    array([0.2, 0.8])
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

    def start(self, n_models: int) -> Values:
        """Return Q of every LLM at `initial_value`, no answer yet."""
        q = np.full(n_models, float(self.initial_value))
        return Values(q, np.zeros(n_models), np.zeros(1))

    def probabilities(self, state: Values) -> Floats:
        """Return epsilon_t-greedy on Q, (n_models,); ties to the first shown."""
        n = len(state.q)
        epsilon = self.epsilon / (1.0 + self.decay * state.t[0])
        for j in range(n):
            state.p[j] = epsilon / n
        state.p[state.q.argmax()] = 1.0 - epsilon + epsilon / n
        return state.p

    def update(self, state: Values, arm: int, reward: float) -> None:
        """Change Q by one step, and count the answer."""
        state.q[arm] += self.learning_rate * (reward - state.q[arm])
        state.t[0] += 1.0


class Preferences(NamedTuple):
    """State, each (n_models,): preferences, and what softmax makes of them.

    And (2,): the sum of rewards, and the number of answers.
    """

    h: Floats
    p: Floats
    past: Floats


def no_preference(n_models: int, preference: float = 0.0) -> Preferences:
    """Return every LLM equally preferred."""
    h = np.full(n_models, float(preference))
    return Preferences(h, np.full(n_models, 1.0 / n_models), np.zeros(2))


def softmax(preferences: Floats, temperature: float, p: Floats) -> None:
    """Put p_j = exp(h_j / temperature) / sum_k exp(h_k / temperature) into p."""
    scale = 1.0 / temperature
    top = preferences[0]
    for j in range(1, len(p)):
        top = max(top, preferences[j])
    total = 0.0
    for j in range(len(p)):
        p[j] = math.exp((preferences[j] - top) * scale)
        total += p[j]
    share = 1.0 / total
    for j in range(len(p)):
        p[j] *= share


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

    Examples
    --------
    >>> learner = Softmax(learning_rate=1.0, temperature=1.0, initial_value=0.0)
    >>> state = learner.start(n_models=2)
    >>> learner.update(state, arm=0, reward=1.0)
    >>> learner.probabilities(state).round(3)
    array([0.731, 0.269])
    """

    learning_rate: float = 0.1
    temperature: float = 0.05
    initial_value: float = 0.5
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)
        require_in_range(self, "temperature", 0, 100, low_open=True)
        require_in_range(self, "initial_value", 0, 1)

    def start(self, n_models: int) -> Preferences:
        """Return Q of every LLM at `initial_value`."""
        return no_preference(n_models, self.initial_value)

    def probabilities(self, state: Preferences) -> Floats:
        """Return Boltzmann's distribution, (n_models,)."""
        return state.p

    def update(self, state: Preferences, arm: int, reward: float) -> None:
        """Change Q by one step."""
        state.h[arm] += self.learning_rate * (reward - state.h[arm])
        softmax(state.h, self.temperature, state.p)


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
    >>> state = bandit.start(n_models=2)
    >>> bandit.update(state, arm=0, reward=0.5)
    >>> bandit.update(state, arm=0, reward=1.0)
    >>> state.h
    array([ 0.25, -0.25])
    """

    learning_rate: float = 0.5
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 10, low_open=True)

    def start(self, n_models: int) -> Preferences:
        """Return no preference."""
        return no_preference(n_models)

    def probabilities(self, state: Preferences) -> Floats:
        """Return softmax(H), (n_models,)."""
        return state.p

    def update(self, state: Preferences, arm: int, reward: float) -> None:
        """Change preferences by one step of the equation above."""
        total, answers = state.past
        before = total / answers if answers > 0 else reward
        step = self.learning_rate * (reward - before)
        for j in range(len(state.h)):
            state.h[j] -= step * state.p[j]
        state.h[arm] += step
        softmax(state.h, 1.0, state.p)
        state.past[0] += reward
        state.past[1] += 1.0


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

    Examples
    --------
    >>> bandit = UCB1()
    >>> state = bandit.start(n_models=2)
    >>> bandit.update(state, arm=0, reward=0.5)
    >>> bandit.choose(state)
    1
    """

    width: float = 2.0**0.5
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self) -> None:
        require_in_range(self, "width", 0, 10)

    def start(self, n_models: int) -> Means:
        """Return nothing known."""
        return nothing_known(n_models)

    def index(self, state: Means, arm: int, log_t: float) -> float:
        """Return the index of an LLM that has been asked."""
        return state.mean[arm] + self.width * math.sqrt(log_t / state.count[arm])

    def choose(self, state: Means) -> int:
        """Return the LLM of the highest index, ties to the first shown."""
        t = 0.0
        for j in range(len(state.count)):
            if state.count[j] == 0.0:
                return j
            t += state.count[j]
        log_t = math.log(t)
        best = 0
        highest = -1.0
        for j in range(len(state.count)):
            index = self.index(state, j, log_t)
            if index > highest:
                best = j
                highest = index
        return best

    def update(self, state: Means, arm: int, reward: float) -> None:
        """Count the answer."""
        count_answer(state, arm, reward)


class Coins(NamedTuple):
    """State, each (n_models,): `Means`, and the entropy of a coin of each mean."""

    total: Floats
    # hides the method of tuples, which nobody calls here
    count: Floats  # pyright: ignore[reportIncompatibleMethodOverride]
    mean: Floats
    entropy: Floats


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

    Examples
    --------
    >>> bandit = KLUCB()
    >>> state = bandit.start(n_models=2)
    >>> bandit.update(state, arm=0, reward=0.5)
    >>> bandit.choose(state)
    1
    """

    c: float = 0.0
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self) -> None:
        require_in_range(self, "c", 0, 10)

    def start(self, n_models: int) -> Coins:
        """Return nothing known."""
        return Coins(*nothing_known(n_models), np.zeros(n_models))

    def choose(self, state: Coins) -> int:
        """Return the LLM of the highest index, ties to the first shown."""
        t = 0.0
        for j in range(len(state.count)):
            if state.count[j] == 0.0:
                return j
            t += state.count[j]
        log_t = math.log(t)
        level = log_t + (self.c * math.log(log_t) if log_t > 1.0 else 0.0)
        return highest_kl(state, level)[0]

    def update(self, state: Coins, arm: int, reward: float) -> None:
        """Count the answer."""
        count_answer(state, arm, reward)
        state.entropy[arm] = entropy(state.mean[arm])


def entropy(p: float) -> float:
    """Return the entropy of a coin of chance p, in nats.

    Examples
    --------
    >>> entropy(0.5) == math.log(2.0)
    True
    """
    if p <= 0.0 or p >= 1.0:
        return 0.0
    return -p * math.log(p) - (1.0 - p) * math.log(1.0 - p)


def highest_kl(state: Coins, level: float, steps: int = 30) -> tuple[int, float]:
    """Return the LLM of the highest bound max {q: N_j kl(m_j, q) <= level}, and that.

    The divergence is convex in q, so that Newton's step from above comes down to a
    bound and never passes it: the highest step of all LLMs comes down to the highest
    bound. Above all bounds are Pinsker's, and where they pass 1 what
    kl(m, q) >= (1 - m) log(1 / (1 - q)) - entropy(m) says.

    Parameters
    ----------
    state : Coins
        Of LLMs that have all been asked.
    level : float
        >= 0.
    steps : int
        Newton's, at most.

    Examples
    --------
    >>> state = KLUCB().start(n_models=1)
    >>> KLUCB().update(state, arm=0, reward=0.0)
    >>> arm, bound = highest_kl(state, math.log(2.0))
    >>> arm, float(bound)
    (0, 0.5)
    """
    best = 0
    x = 0.0
    for j in range(len(state.mean)):
        mean = state.mean[j]
        if mean >= 1.0:
            return j, 1.0
        bound = level / state.count[j]
        above = mean + math.sqrt(0.5 * bound)
        if above >= 1.0:
            above = 1.0 - math.exp(-(bound + state.entropy[j]) / (1.0 - mean))
        x = max(x, min(above, 1.0 - 1e-15))
    for _ in range(steps):
        log_heads = math.log(max(x, 1e-300))
        log_tails = math.log(1.0 - x)
        spread = x * (1.0 - x)
        highest = -1.0
        for j in range(len(state.mean)):
            mean = state.mean[j]
            gap = x - mean
            kl = -state.entropy[j] - mean * log_heads - (1.0 - mean) * log_tails
            step = x - (kl - level / state.count[j]) * spread / max(gap, 1e-12)
            if step > highest:
                best = j
                highest = step
        down = x - highest
        x = min(highest, 1.0 - 1e-15)
        if down < 1e-9 * (1.0 - x):  # the next step would be about its square
            break
    return best, x


@dataclass(frozen=True)
class ThompsonGaussian:
    """Thompson sampling for rewards with normal noise.

    It asks each LLM as often as it may be the best. A mean reward has the prior
    N(mu_0, s_0^2) and an answer the noise N(0, sigma^2), so that the posterior of LLM j
    is normal with

        precision  1 / s_j^2 = 1 / s_0^2 + N_j / sigma^2,
        mean       mu_j = s_j^2 (mu_0 / s_0^2 + N_j m_j / sigma^2);

    the LLM is asked whose draw from its posterior is the largest (Thompson 1933,
    *Biometrika* 25, 285-294; Agrawal and Goyal 2013, *AISTATS*).

    Parameters
    ----------
    noise : float
        sigma, in (0, 1]. The largest standard deviation of anything in [0, 1] by
        default: r^2 <= r there, so that with mean m the variance is at most m - m^2,
        and that at most 1/4.
    prior_mean : float
        mu_0, in [0, 1].
    prior_spread : float
        s_0, in (0, 10].

    Examples
    --------
    >>> bandit = ThompsonGaussian()
    >>> state = bandit.start(n_models=2)
    >>> for _ in range(50):
    ...     bandit.update(state, arm=0, reward=0.9)
    ...     bandit.update(state, arm=1, reward=0.1)
    >>> bandit.chances(state).round(3)
    array([1., 0.])
    """

    noise: float = 0.5
    prior_mean: float = 0.5
    prior_spread: float = 0.5
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self) -> None:
        require_in_range(self, "noise", 0, 1, low_open=True)
        require_in_range(self, "prior_mean", 0, 1)
        require_in_range(self, "prior_spread", 0, 10, low_open=True)

    def start(self, n_models: int) -> Means:
        """Return nothing known."""
        return nothing_known(n_models)

    def uniforms(self, n_models: int) -> int:
        """Return two draws an LLM: one normal variate takes two."""
        return 2 * n_models

    def choose(self, state: Means, draws: Floats) -> int:
        """Return the LLM whose draw from its posterior is the largest."""
        prior = 1.0 / (self.prior_spread * self.prior_spread)
        each = 1.0 / (self.noise * self.noise)
        best = 0
        largest = -math.inf
        for j in range(len(state.count)):
            precision = prior + state.count[j] * each
            mean = (self.prior_mean * prior + state.total[j] * each) / precision
            drawn = mean + normal(draws[2 * j], draws[2 * j + 1]) / math.sqrt(precision)
            if drawn > largest:
                best = j
                largest = drawn
        return best

    def update(self, state: Means, arm: int, reward: float) -> None:
        """Count the answer."""
        count_answer(state, arm, reward)

    def posterior(self, state: Means) -> tuple[Floats, Floats]:
        """Return mean and spread of the posteriors, each (n_models,)."""
        precision = 1.0 / self.prior_spread**2 + state.count / self.noise**2
        weighted = self.prior_mean / self.prior_spread**2 + state.total / self.noise**2
        return weighted / precision, 1.0 / np.sqrt(precision)

    def chances(self, state: Means) -> Floats:
        """Return the chance that each LLM is asked next, (n_models,), to about 1e-6."""
        mean, spread = self.posterior(state)
        return chance_of_largest_normal(mean[None], spread[None])[0]


def normal(u: float, v: float) -> float:
    """Return a standard normal variate from two uniform ones in [0, 1).

    Box and Muller 1958, *Annals of Mathematical Statistics* 29, 610-611.
    """
    return math.sqrt(-2.0 * math.log(1.0 - u)) * math.cos(2.0 * math.pi * v)


#: Proposals for each Beta variate; the last one is taken, whatever comes of it.
PROPOSALS = 8
#: Half the distance between two uniform draws, which keeps them off 0.
HALF_STEP = 2.0**-54
LOG_4, LOG_5 = math.log(4.0), math.log(5.0)


@dataclass(frozen=True)
class ThompsonBeta:
    """Thompson sampling for rewards in [0, 1] with Beta posteriors.

    From the prior Beta(a, b), an answer of reward r adds r successes and 1 - r
    failures, so that LLM j has Beta(a + N_j m_j, b + N_j (1 - m_j)); the LLM is asked
    whose draw from its posterior is the largest (Thompson 1933; Agrawal and Goyal 2012,
    *COLT*, who toss a coin of chance r instead of adding r, at the cost of one more
    draw).

    Parameters
    ----------
    successes, failures : float
        a and b, in [0.5, 1000]; 1 and 1 is the uniform prior.

    Examples
    --------
    >>> bandit = ThompsonBeta()
    >>> state = bandit.start(n_models=2)
    >>> bandit.update(state, arm=1, reward=1.0)
    >>> bandit.chances(state).round(4)
    array([0.3333, 0.6667])
    """

    successes: float = 1.0
    failures: float = 1.0
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self) -> None:
        require_in_range(self, "successes", 0.5, 1000)
        require_in_range(self, "failures", 0.5, 1000)

    def start(self, n_models: int) -> Means:
        """Return nothing known."""
        return nothing_known(n_models)

    def uniforms(self, n_models: int) -> int:
        """Return the draws for all proposals: each takes two."""
        return 2 * PROPOSALS * n_models

    def choose(self, state: Means, draws: Floats) -> int:
        """Return the LLM whose draw from its posterior is the largest."""
        best = 0
        largest = -1.0
        for j in range(len(state.count)):
            a = self.successes + state.total[j]
            b = self.failures + state.count[j] - state.total[j]
            drawn = beta(a, b, draws, 2 * PROPOSALS * j)
            if drawn > largest:
                best = j
                largest = drawn
        return best

    def update(self, state: Means, arm: int, reward: float) -> None:
        """Count the answer."""
        count_answer(state, arm, reward)

    def chances(self, state: Means) -> Floats:
        """Return the chance that each LLM is asked next, (n_models,), to about 2e-4."""
        a = self.successes + state.total
        b = self.failures + state.count - state.total
        return chance_of_largest_beta(a[None], b[None])[0]


def beta(a: float, b: float, draws: Floats, first: int) -> float:
    """Return a variate of Beta(a, b) from uniform draws in [0, 1).

    Cheng 1978, *Communications of the ACM* 21, 317-322, algorithm BA: a proposal is
    accepted or the next one made. After `PROPOSALS` the last one is taken: fewer than
    1 in 10^3 variates at the prior, and 1 in 10^5 after a few answers.

    Parameters
    ----------
    a, b : float
        >= 0.5.
    draws : ndarray
    first : int
        Place of the first of its draws, two a proposal.
    """
    both = a + b
    if min(a, b) <= 1.0:
        scale = max(1.0 / a, 1.0 / b)
    else:
        scale = math.sqrt((both - 2.0) / (2.0 * a * b - both))
    shift = a + 1.0 / scale
    w = a
    for k in range(first, first + 2 * PROPOSALS, 2):
        u = draws[k] + HALF_STEP
        v = scale * math.log(u / (1.0 - u))
        w = a * math.exp(min(v, 700.0))
        lead = shift * v - LOG_4
        z = u * u * (draws[k + 1] + HALF_STEP)
        if a - w + lead + 1.0 + LOG_5 >= 5.0 * z:  # implies the next, without its logs
            break
        if both * math.log(both / (b + w)) + lead >= math.log(z):
            break
    return w / (b + w)


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


class Weights(NamedTuple):
    """State, each (n_models,): weights, and the probabilities that they make."""

    w: Floats
    p: Floats


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
    >>> state = bandit.start(n_models=2)
    >>> bandit.update(state, arm=0, reward=0.5)
    >>> np.log(state.w)
    array([0.5, 0. ])
    """

    gamma: float = 0.1
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self) -> None:
        require_in_range(self, "gamma", 0, 1, low_open=True)

    def start(self, n_models: int) -> Weights:
        """Return every w at 1."""
        return Weights(np.ones(n_models), np.full(n_models, 1.0 / n_models))

    def probabilities(self, state: Weights) -> Floats:
        """Return the mixture above, (n_models,)."""
        return state.p

    def update(self, state: Weights, arm: int, reward: float) -> None:
        """Change w by one step of the equation above."""
        n = len(state.w)
        state.w[arm] *= math.exp(self.gamma * reward / (n * state.p[arm]))
        total = 0.0
        for j in range(n):
            total += state.w[j]
        for j in range(n):
            share = state.w[j] / total
            state.p[j] = (1.0 - self.gamma) * share + self.gamma / n
        if total > 1e200:  # the scale of weights does not matter
            for j in range(n):
                state.w[j] /= total
