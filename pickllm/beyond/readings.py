"""Other readings of the paper's two learners, by what the paper leaves open.

Each is the paper's learner where its parameters are those by default.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from ..core.learners import require_in_range
from ..core.locking import GreedyUnchanged, MaxProbability
from ..core.protocols import Floats
from ..errors import InputError


class Known(NamedTuple):
    """State of `QReading`: values, probabilities and answers, (n_models,) each.

    And (4,): the least and the largest reward so far, answers, and for how many of them
    the values have been settled.
    """

    q: Floats
    p: Floats
    answers: Floats
    past: Floats


LEAST, LARGEST, ANSWERS, SETTLED = range(4)


@dataclass(frozen=True)
class QReading:
    """Q-learning with each open point of the paper as a parameter.

    With r the unit reward of the chosen LLM i, Q_i <- Q_i + alpha (r - Q_i), and the
    greedy LLM is chosen but for a share epsilon_t = epsilon / (1 + decay t) of queries
    that explore. Once the values have been settled for `patience` answers it explores
    no more, so that `MaxProbability(1.0)` locks.

    Parameters
    ----------
    learning_rate : float
        alpha, in (0, 1].
    epsilon : float
        In [0, 1].
    decay : float
        Per answer, in [0, 1].
    initial_value : float
        Q before the first answer, in [0, 1].
    first_reward : bool
        Whether an LLM's first reward becomes its value.
    averages : bool
        Whether values are sample averages: alpha is then 1 / answers of that LLM.
    running : bool
        Whether a reward is mapped to [0, 1] by the least and the largest one so far.
    tolerance : float
        Values are settled while no answer moves one by more than this.
    gap : float
        And while the two largest lie at least this far apart.
    patience : int
        Answers for which they are settled; 0: never settled.

    Examples
    --------
    >>> learner = QReading(learning_rate=0.5, epsilon=0.2, first_reward=True)
    >>> state = learner.start(n_models=2)
    >>> learner.update(state, arm=1, reward=0.8)
    >>> learner.probabilities(state), state.q
    (array([0.1, 0.9]), array([0. , 0.8]))
    """

    learning_rate: float = 0.1
    epsilon: float = 0.1
    decay: float = 0.0
    initial_value: float = 0.0
    first_reward: bool = False
    averages: bool = False
    running: bool = False
    tolerance: float = math.inf
    gap: float = 0.0
    patience: int = 0
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)
        for name in ("epsilon", "decay", "initial_value"):
            require_in_range(self, name, 0, 1)
        for name in ("tolerance", "gap", "patience"):
            if not getattr(self, name) >= 0:
                raise InputError(
                    f"QReading: {name} must be >= 0, got {getattr(self, name)!r};"
                    " choose one in that range"
                )

    def start(self, n_models: int) -> Known:
        """Return Q of every LLM at `initial_value`, no answer yet."""
        q = np.full(n_models, float(self.initial_value))
        past = np.array([np.inf, -np.inf, 0.0, 0.0])
        return Known(q, np.zeros(n_models), np.zeros(n_models), past)

    def probabilities(self, state: Known) -> Floats:
        """Return epsilon_t-greedy on Q, (n_models,); ties to the first shown."""
        n = len(state.q)
        epsilon = self.epsilon / (1.0 + self.decay * state.past[ANSWERS])
        if self.patience > 0 and state.past[SETTLED] >= self.patience:
            epsilon = 0.0
        for j in range(n):
            state.p[j] = epsilon / n
        state.p[state.q.argmax()] = 1.0 - epsilon + epsilon / n
        return state.p

    def update(self, state: Known, arm: int, reward: float) -> None:
        """Change Q by one step, and note whether it is settled."""
        past = state.past
        if self.running:
            reward = rescaled(past, reward)
        state.answers[arm] += 1.0
        rate = self.learning_rate
        if self.averages:
            rate = 1.0 / state.answers[arm]
        elif self.first_reward and state.answers[arm] == 1.0:
            rate = 1.0
        step = rate * (reward - state.q[arm])
        state.q[arm] += step
        past[ANSWERS] += 1.0
        settled = abs(step) <= self.tolerance and lead(state.q) >= self.gap
        past[SETTLED] = past[SETTLED] + 1.0 if settled else 0.0


class Running(NamedTuple):
    """State of `RunningAutomaton`: probabilities, (n_models,), and extremes, (2,)."""

    p: Floats
    past: Floats


@dataclass(frozen=True)
class RunningAutomaton:
    """L_R-I whose rewards are mapped to [0, 1] by the least and the largest so far.

    Parameters
    ----------
    learning_rate : float
        In (0, 1].

    Examples
    --------
    >>> automaton = RunningAutomaton(learning_rate=0.5)
    >>> state = automaton.start(n_models=2)
    >>> automaton.update(state, arm=0, reward=0.9)
    >>> automaton.probabilities(state)
    array([0.625, 0.375])
    """

    learning_rate: float = 0.1
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)

    def start(self, n_models: int) -> Running:
        """Return every LLM equally likely."""
        return Running(np.full(n_models, 1.0 / n_models), np.array([np.inf, -np.inf]))

    def probabilities(self, state: Running) -> Floats:
        """Return p, (n_models,)."""
        return state.p

    def update(self, state: Running, arm: int, reward: float) -> None:
        """Change the state by one step of L_R-I."""
        step = self.learning_rate * rescaled(state.past, reward)
        chosen = state.p[arm]
        for j in range(len(state.p)):
            state.p[j] *= 1.0 - step
        state.p[arm] = chosen + step * (1.0 - chosen)


def rescaled(past: Floats, reward: float) -> float:
    """Return a reward within the extremes so far, itself among them; 0.5 if all agree.

    Parameters
    ----------
    past : ndarray
        Begins with the least and the largest so far, which are brought up to date.
    reward : float
    """
    past[LEAST] = min(past[LEAST], reward)
    past[LARGEST] = max(past[LARGEST], reward)
    width = past[LARGEST] - past[LEAST]
    return (reward - past[LEAST]) / width if width > 0.0 else 0.5


def lead(q: Floats) -> float:
    """Return by how much the largest value leads the next one.

    Examples
    --------
    >>> float(lead(np.array([0.25, 1.0, 0.5])))
    0.5
    """
    best = -np.inf
    second = -np.inf
    for value in q:
        second = max(second, min(best, value))
        best = max(best, value)
    return best - second
