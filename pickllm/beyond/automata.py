"""Learning automata beside the paper's.

Some punish, some pursue what they estimate. Each is a learner for one session (see
`core.one_session`); r is the unit reward of the chosen LLM i, n the number of LLMs.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from ..core.learners import require_in_range
from ..core.locking import MaxProbability
from ..core.protocols import Floats
from ..errors import InputError


def _reward_and_punish(p: Floats, arm: int, reward: float, a: float, b: float) -> None:
    """Change p by one answer, with the letters of `LinearRewardPenalty`."""
    n = len(p)
    if n == 1:  # there is no other LLM to push it towards
        return
    up = a * reward
    down = b * (1.0 - reward)
    chosen = p[arm]
    for j in range(n):
        p[j] = p[j] - up * p[j] + down * (1.0 / (n - 1) - p[j])
    p[arm] = chosen + up * (1.0 - chosen) - down * chosen


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

    Examples
    --------
    >>> automaton = LinearRewardPenalty(learning_rate=0.5, penalty_rate=0.5)
    >>> p = automaton.start(n_models=2)
    >>> automaton.update(p, arm=0, reward=0.0)
    >>> p
    array([0.25, 0.75])
    """

    learning_rate: float = 0.1
    penalty_rate: float = 0.1
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)
        require_in_range(self, "penalty_rate", 0, 1)

    def start(self, n_models: int) -> Floats:
        """Return every LLM equally likely."""
        return np.full(n_models, 1.0 / n_models)

    def probabilities(self, state: Floats) -> Floats:
        """Return the state itself, (n_models,)."""
        return state

    def update(self, state: Floats, arm: int, reward: float) -> None:
        """Change p by one step of the equation above."""
        _reward_and_punish(state, arm, reward, self.learning_rate, self.penalty_rate)


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

    Examples
    --------
    >>> automaton = LinearRewardEpsilonPenalty(learning_rate=0.5, epsilon=0.5)
    >>> p = automaton.start(n_models=2)
    >>> automaton.update(p, arm=0, reward=0.0)
    >>> p
    array([0.375, 0.625])
    """

    learning_rate: float = 0.1
    epsilon: float = 0.01
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)
        require_in_range(self, "epsilon", 0, 1)

    def start(self, n_models: int) -> Floats:
        """Return every LLM equally likely."""
        return np.full(n_models, 1.0 / n_models)

    def probabilities(self, state: Floats) -> Floats:
        """Return the state itself, (n_models,)."""
        return state

    def update(self, state: Floats, arm: int, reward: float) -> None:
        """Change p by one step of the equation of `LinearRewardPenalty`."""
        penalty_rate = self.epsilon * self.learning_rate
        _reward_and_punish(state, arm, reward, self.learning_rate, penalty_rate)


class Pursued(NamedTuple):
    """State of a pursuit automaton, each (n_models,).

    Probabilities, sums of rewards, and numbers of answers.
    """

    p: Floats
    total: Floats
    # hides the method of tuples, which nobody calls here
    count: Floats  # pyright: ignore[reportIncompatibleMethodOverride]


def _not_moved_yet(n_models: int) -> Pursued:
    """Return every LLM equally likely, nothing known."""
    p = np.full(n_models, 1.0 / n_models)
    return Pursued(p, np.zeros(n_models), np.zeros(n_models))


def _count(state: Pursued, arm: int, reward: float) -> float:
    """Count an answer; return how often the LLM asked least was asked."""
    state.total[arm] += reward
    state.count[arm] += 1.0
    fewest = state.count[0]
    for j in range(1, len(state.count)):
        fewest = min(fewest, state.count[j])
    return fewest


def _looks_best(state: Pursued) -> int:
    """Return the first LLM of the highest mean reward, once all have been asked."""
    best = 0
    highest = -1.0
    for j in range(len(state.p)):
        mean = state.total[j] / state.count[j]
        if mean > highest:
            best = j
            highest = mean
    return best


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
    CP_R-P). Ties go to the first LLM shown. As there, p waits until every LLM has
    been tried.

    Parameters
    ----------
    learning_rate : float
        lambda, in (0, 1].
    trials : int
        Answers of every LLM before p moves, >= 1.

    Examples
    --------
    >>> pursuit = Pursuit(learning_rate=0.5, trials=1)
    >>> state = pursuit.start(n_models=2)
    >>> pursuit.update(state, arm=0, reward=0.2)
    >>> pursuit.update(state, arm=1, reward=0.9)
    >>> state.p
    array([0.25, 0.75])
    """

    learning_rate: float = 0.02
    trials: int = 5
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)
        _require_whole(self, "trials")

    def start(self, n_models: int) -> Pursued:
        """Return every LLM equally likely, nothing known."""
        return _not_moved_yet(n_models)

    def probabilities(self, state: Pursued) -> Floats:
        """Return p, (n_models,)."""
        return state.p

    def update(self, state: Pursued, arm: int, reward: float) -> None:
        """Count the answer, then move p by one step of the equation above."""
        if _count(state, arm, reward) < self.trials:
            return
        best = _looks_best(state)
        for j in range(len(state.p)):
            state.p[j] *= 1.0 - self.learning_rate
        state.p[best] += self.learning_rate


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
        N, >= 1: certainty is N answers away from the start at the least.
    trials : int
        Answers of every LLM before p moves, >= 1.

    Examples
    --------
    >>> pursuit = DiscretisedPursuit(resolution=2, trials=1)
    >>> state = pursuit.start(n_models=2)
    >>> pursuit.update(state, arm=0, reward=0.2)
    >>> pursuit.update(state, arm=1, reward=0.9)
    >>> state.p
    array([0.25, 0.75])
    """

    resolution: int = 50
    trials: int = 5
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        _require_whole(self, "resolution")
        _require_whole(self, "trials")

    def start(self, n_models: int) -> Pursued:
        """Return every LLM equally likely, nothing known."""
        return _not_moved_yet(n_models)

    def probabilities(self, state: Pursued) -> Floats:
        """Return p, (n_models,)."""
        return state.p

    def update(self, state: Pursued, arm: int, reward: float) -> None:
        """Count the answer, then move p by one step of the equation above."""
        if _count(state, arm, reward) < self.trials:
            return
        best = _looks_best(state)
        step = 1.0 / (len(state.p) * self.resolution)
        others = 0.0
        for j in range(len(state.p)):
            less = state.p[j] - step
            if less < 1e-12:  # what rounding leaves of the last step, too
                less = 0.0
            state.p[j] = less
            if j != best:
                others += less
        state.p[best] = 1.0 - others


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

    Examples
    --------
    >>> pursuit = GeneralisedPursuit(learning_rate=0.5, trials=1)
    >>> state = pursuit.start(n_models=2)
    >>> pursuit.update(state, arm=1, reward=0.9)
    >>> pursuit.update(state, arm=0, reward=0.2)
    >>> state.p
    array([0.25, 0.75])
    """

    learning_rate: float = 0.02
    trials: int = 5
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)
        _require_whole(self, "trials")

    def start(self, n_models: int) -> Pursued:
        """Return every LLM equally likely, nothing known."""
        return _not_moved_yet(n_models)

    def probabilities(self, state: Pursued) -> Floats:
        """Return p, (n_models,)."""
        return state.p

    def update(self, state: Pursued, arm: int, reward: float) -> None:
        """Count the answer, then move p by one step of the equations above."""
        if _count(state, arm, reward) < self.trials:
            return
        estimate = state.total[arm] / state.count[arm]
        better = 0
        for j in range(len(state.p)):
            better += state.total[j] / state.count[j] > estimate
        others = 0.0
        for j in range(len(state.p)):
            if j == arm:
                continue
            state.p[j] *= 1.0 - self.learning_rate
            if state.total[j] / state.count[j] > estimate:
                state.p[j] += self.learning_rate / better
            others += state.p[j]
        state.p[arm] = max(1.0 - others, 0.0)
