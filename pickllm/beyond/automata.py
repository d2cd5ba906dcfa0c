"""Learning automata beside the paper's.

Some punish, some pursue what they estimate. Each is a `Learner`; r is the unit reward
of the chosen LLM i, n the number of LLMs.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from ..core.learners import require_in_range
from ..core.locking import MaxProbability
from ..core.protocols import Floats, Integers
from ..errors import InputError


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

    Examples
    --------
    >>> automaton = LinearRewardPenalty(learning_rate=0.5, penalty_rate=0.5)
    >>> p = automaton.start(n_sessions=1, n_models=2)
    >>> automaton.update(p, arm=np.array([0]), reward=np.array([0.0]))
    array([[0.25, 0.75]])
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

    Examples
    --------
    >>> pursuit = Pursuit(learning_rate=0.5, trials=1)
    >>> state = Pursued(
    ...     p=np.array([[0.5, 0.5]]),
    ...     total=np.array([[0.2, 0.0]]),
    ...     count=np.array([[1.0, 0.0]]),
    ... )
    >>> pursuit.update(state, arm=np.array([1]), reward=np.array([0.9])).p
    array([[0.25, 0.75]])
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
