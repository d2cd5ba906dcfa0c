"""The two learners of the paper, and the controls.

A learner is a frozen dataclass of its parameters with three pure functions over a
leading session axis; it never draws, and it learns from the unit reward:

    start(n_sessions, n_models) -> state probabilities(state) -> (n_sessions, n_models),
    the chance of each LLM at the next query update(state, arm, reward) -> state, with
    arm and reward of shape (n_sessions,)

A state is an ndarray, or a tuple of them, whose first axis is the session. `lock_rule`
says when a session has converged (see `locking`); a learner without one locks at max p
>= 0.99. `bind(trace, reward)` is optional: it returns the learner as the pool makes it.
A control whose choice depends on the query alone has `choose(raw)` in place of the
three functions; a learner that sees each query before it chooses has `describe(trace)`
and `observe(state, seen)` besides (see `contextual`).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import InputError, nearest
from .locking import GreedyUnchanged, MaxProbability


def _in_range(learner, name, low, high, low_open=False):
    value = getattr(learner, name)
    number = (
        isinstance(value, (int, float, np.number))
        and not isinstance(value, bool)
        and np.isfinite(value)
    )
    if not number or value < low or value > high or (low_open and value == low):
        rule = f"in {'(' if low_open else '['}{low:g}, {high:g}]"
        raise InputError(
            f"{type(learner).__name__}: {name} must be {rule}, got {value!r}; choose"
            " one in that range"
        )


@dataclass(frozen=True)
class LinearRewardInaction:
    """The learning automaton L_R-I: reward pulls the chosen LLM's probability up, nothing pushes it down.

    With r in [0, 1] the unit reward of the chosen LLM i and b the learning rate,

        p_i <- p_i + b r (1 - p_i),    p_j <- p_j - b r p_j    for j != i.

    On average this is an ascent on the expected reward (Narendra and Thathachar 1989, *Learning
    Automata*, ch. 5); that the paper's automaton is L_R-I is stated by two summaries of it.

    Parameters
    ----------
    learning_rate : float
        b, in (0, 1].

    Examples
    --------
    >>> automaton = LinearRewardInaction(learning_rate=0.5)
    >>> automaton.update(automaton.start(1, 2), arm=np.array([0]), reward=np.array([1.0]))
    array([[0.75, 0.25]])
    """

    learning_rate: float = 0.1
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self):
        _in_range(self, "learning_rate", 0, 1, low_open=True)

    def start(self, n_sessions, n_models):
        """Every LLM equally likely."""
        return np.full((n_sessions, n_models), 1.0 / n_models)

    def probabilities(self, state):
        """Return the state itself, (n_sessions, n_models)."""
        return state

    def update(self, state, arm, reward):
        """One step of the equation above."""
        chosen, step = (np.arange(len(state)), arm), self.learning_rate * reward
        p, before = state * (1.0 - step)[:, None], state[chosen]
        p[chosen] = before + step * (1.0 - before)
        return p


@dataclass(frozen=True)
class QLearning:
    """Stateless Q-learning with an epsilon-greedy choice.

    With r the unit reward of the chosen LLM i and alpha the learning rate,

        Q_i <- Q_i + alpha (r - Q_i);

    the LLM of the largest Q is chosen with probability 1 - epsilon + epsilon / n, each
    other one with epsilon / n (abstract of the paper; Sutton and Barto 2018,
    *Reinforcement Learning*, 2.5). Ties go to the first LLM of the pool.

    Parameters
    ----------
    learning_rate : float
        alpha, in (0, 1].
    epsilon : float
        Share of queries that explore, in [0, 1].
    initial_value : float
        Q before the first answer, in [0, 1].

    Examples
    --------
    >>> QLearning(learning_rate=0.5, epsilon=0.2).probabilities(np.array([[0.1, 0.4]]))
    array([[0.1, 0.9]])
    """

    learning_rate: float = 0.1
    epsilon: float = 0.1
    initial_value: float = 0.0
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self):
        _in_range(self, "learning_rate", 0, 1, low_open=True)
        _in_range(self, "epsilon", 0, 1)
        _in_range(self, "initial_value", 0, 1)

    def start(self, n_sessions, n_models):
        """Q of every LLM at `initial_value`."""
        return np.full((n_sessions, n_models), float(self.initial_value))

    def probabilities(self, state):
        """epsilon-greedy on Q, (n_sessions, n_models)."""
        n_sessions, n_models = state.shape
        p = np.empty_like(state)
        p.fill(self.epsilon / n_models)
        p[np.arange(n_sessions), state.argmax(axis=1)] = (
            1.0 - self.epsilon + self.epsilon / n_models
        )
        return p

    def update(self, state, arm, reward):
        """One step of the equation above."""
        chosen = np.arange(len(state)), arm
        q, before = state.copy(), state[chosen]
        q[chosen] = before + self.learning_rate * (reward - before)
        return q


@dataclass(frozen=True)
class UniformRandom:
    """Control: every query to a random LLM, each equally likely."""

    lock_rule: ClassVar = None

    def start(self, n_sessions, n_models):
        """Every LLM equally likely."""
        return np.full((n_sessions, n_models), 1.0 / n_models)

    def probabilities(self, state):
        """Never changes."""
        return state

    def update(self, state, arm, reward):
        """Nothing is learned."""
        return state


@dataclass(frozen=True)
class Always:
    """Control: every query to one LLM.

    Parameters
    ----------
    model : str
        Its name in the pool.
    """

    model: str
    index: int = None
    lock_rule: ClassVar = None

    def bind(self, trace, reward):
        """Return the control with its LLM's place in the pool."""
        if self.model not in trace.models:
            raise InputError(
                f"Always: unknown model {self.model!r};"
                f" {nearest(self.model, trace.models)}"
            )
        return Always(self.model, trace.models.index(self.model))

    def choose(self, raw):
        """Its place, for each query of raw rewards of shape (n_queries, n_models)."""
        if self.index is None:
            raise InputError(
                f"Always({self.model!r}) does not know the pool yet; call bind(trace,"
                " reward), as replay does"
            )
        return np.full(len(raw), self.index)


@dataclass(frozen=True)
class Cheapest:
    """Control: the LLM with the lowest mean cost in the trace replayed."""

    def bind(self, trace, reward):
        """`Always` that LLM."""
        return Always(trace.models[trace.cost_usd.mean(axis=0).argmin()]).bind(
            trace, reward
        )


@dataclass(frozen=True)
class MostExpensive:
    """Control: the LLM with the highest mean cost in the trace replayed."""

    def bind(self, trace, reward):
        """`Always` that LLM."""
        return Always(trace.models[trace.cost_usd.mean(axis=0).argmax()]).bind(
            trace, reward
        )


@dataclass(frozen=True)
class BestSingle:
    """Control: the LLM with the highest mean raw reward in the trace replayed, known only in hindsight."""

    def bind(self, trace, reward):
        """`Always` that LLM."""
        raw = reward.raw(trace.accuracy, trace.cost_usd, trace.latency_ms)
        return Always(trace.models[raw.mean(axis=0).argmax()]).bind(trace, reward)


@dataclass(frozen=True)
class Oracle:
    """Control: for every query the LLM with the highest raw reward on it; no router can do better."""

    lock_rule: ClassVar = None

    def choose(self, raw):
        """Return the best LLM of each query, from raw rewards of shape (n_queries, n_models)."""
        return raw.argmax(axis=1)
