"""The two learners of the paper, and the controls.

A learner is a frozen dataclass of its parameters with the three pure functions of
`protocols.Learner`; a control chooses by the query alone.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from ..errors import InputError, nearest
from .locking import GreedyUnchanged, MaxProbability
from .protocols import Floats, Integers

if TYPE_CHECKING:
    from .reward import Reward
    from .trace import Trace


@dataclass(frozen=True)
class LinearRewardInaction:
    """The learning automaton Linear Reward-Inaction, L_R-I.

    Reward pulls the chosen LLM's probability up; nothing pushes it down. With r in
    [0, 1] the unit reward of the chosen LLM i and b the learning rate,

        p_i <- p_i + b r (1 - p_i),    p_j <- p_j - b r p_j    for j != i.

    On average this is an ascent on the expected reward (Narendra and Thathachar 1989,
    *Learning Automata*, ch. 5); that the paper's automaton is L_R-I is stated by two
    summaries of it.

    Parameters
    ----------
    learning_rate : float
        b, in (0, 1].

    Examples
    --------
    >>> automaton = LinearRewardInaction(learning_rate=0.5)
    >>> p = automaton.start(n_sessions=1, n_models=2)
    >>> automaton.update(p, arm=np.array([0]), reward=np.array([1.0]))
    array([[0.75, 0.25]])
    """

    learning_rate: float = 0.1
    lock_rule: ClassVar = MaxProbability(0.99)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)

    def start(self, n_sessions: int, n_models: int) -> Floats:
        """Return every LLM equally likely."""
        return np.full((n_sessions, n_models), 1.0 / n_models)

    def probabilities(self, state: Floats) -> Floats:
        """Return the state itself, (n_sessions, n_models)."""
        return state

    def update(self, state: Floats, arm: Integers, reward: Floats) -> Floats:
        """Return the state after one step of the equation."""
        chosen = np.arange(len(state)), arm
        step = self.learning_rate * reward
        p = state * (1.0 - step)[:, None]
        p[chosen] = state[chosen] + step * (1.0 - state[chosen])
        return p

    def one_session(self) -> "OneAutomaton":
        """Return the same learner, written for one session."""
        return OneAutomaton(self.learning_rate)


@dataclass(frozen=True)
class QLearning:
    """Stateless Q-learning with an epsilon-greedy choice.

    With r the unit reward of the chosen LLM i and alpha the learning rate,

        Q_i <- Q_i + alpha (r - Q_i);

    the LLM of the largest Q is chosen with probability 1 - epsilon + epsilon / n, each
    other one with epsilon / n (abstract of the paper; Sutton and Barto 2018,
    *Reinforcement Learning*, 2.5). Ties go to the first LLM shown: `replay` shows each
    session the pool in an order of its own, drawn, unless asked for ``ties="first"``.

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
    >>> learner = QLearning(learning_rate=0.5, epsilon=0.2)
    >>> learner.probabilities(np.array([[0.1, 0.4]]))
    array([[0.1, 0.9]])
    """

    learning_rate: float = 0.1
    epsilon: float = 0.1
    initial_value: float = 0.0
    lock_rule: ClassVar = GreedyUnchanged(100)

    def __post_init__(self) -> None:
        require_in_range(self, "learning_rate", 0, 1, low_open=True)
        require_in_range(self, "epsilon", 0, 1)
        require_in_range(self, "initial_value", 0, 1)

    def start(self, n_sessions: int, n_models: int) -> Floats:
        """Return Q of every LLM at `initial_value`."""
        return np.full((n_sessions, n_models), float(self.initial_value))

    def probabilities(self, state: Floats) -> Floats:
        """Return epsilon-greedy on Q, (n_sessions, n_models)."""
        n_sessions, n_models = state.shape
        explore = self.epsilon / n_models
        p = np.full_like(state, explore)
        p[np.arange(n_sessions), state.argmax(axis=1)] = 1.0 - self.epsilon + explore
        return p

    def update(self, state: Floats, arm: Integers, reward: Floats) -> Floats:
        """Return the state after one step of the equation."""
        chosen = np.arange(len(state)), arm
        q = state.copy()
        q[chosen] = state[chosen] + self.learning_rate * (reward - state[chosen])
        return q

    def one_session(self) -> "OneQ":
        """Return the same learner, written for one session."""
        return OneQ(self.learning_rate, self.epsilon, self.initial_value)


@dataclass(frozen=True)
class UniformRandom:
    """Control: every query to a random LLM, each equally likely."""

    lock_rule: ClassVar = None

    def start(self, n_sessions: int, n_models: int) -> Floats:
        """Return every LLM equally likely."""
        return np.full((n_sessions, n_models), 1.0 / n_models)

    def probabilities(self, state: Floats) -> Floats:
        """Return the state itself, which never changes."""
        return state

    def update(self, state: Floats, arm: Integers, reward: Floats) -> Floats:
        """Return the state as it was: nothing is learned."""
        return state

    def one_session(self) -> "OneAutomaton":
        """Return the automaton that learns nothing, for one session."""
        return OneAutomaton(0.0)


@dataclass(frozen=True)
class OneAutomaton:
    """`LinearRewardInaction` for one session; see `one_session`."""

    learning_rate: float

    def start(self, n_models: int) -> Floats:
        """Return every LLM equally likely."""
        return np.full(n_models, 1.0 / n_models)

    def probabilities(self, state: Floats) -> Floats:
        """Return the state itself, (n_models,)."""
        return state

    def update(self, state: Floats, arm: int, reward: float) -> None:
        """Change the state by one step of the equation."""
        step = self.learning_rate * reward
        chosen = state[arm]
        for j in range(len(state)):
            state[j] *= 1.0 - step
        state[arm] = chosen + step * (1.0 - chosen)


class Values(NamedTuple):
    """State of a learner of values: values and selection probabilities, (n_models,)."""

    q: Floats
    p: Floats


@dataclass(frozen=True)
class OneQ:
    """`QLearning` for one session; see `one_session`."""

    learning_rate: float
    epsilon: float
    initial_value: float

    def start(self, n_models: int) -> Values:
        """Return Q of every LLM at `initial_value`."""
        return Values(np.full(n_models, float(self.initial_value)), np.zeros(n_models))

    def probabilities(self, state: Values) -> Floats:
        """Return epsilon-greedy on Q, (n_models,)."""
        n_models = len(state.q)
        explore = self.epsilon / n_models
        for j in range(n_models):
            state.p[j] = explore
        state.p[state.q.argmax()] = 1.0 - self.epsilon + explore
        return state.p

    def update(self, state: Values, arm: int, reward: float) -> None:
        """Change the state by one step of the equation."""
        state.q[arm] += self.learning_rate * (reward - state.q[arm])


@dataclass(frozen=True)
class Always:
    """Control: every query to one LLM.

    Parameters
    ----------
    model : str
        Its name in the pool.
    index : int, optional
        Its place in the pool, which `bind` finds.
    """

    model: str
    index: int | None = None
    lock_rule: ClassVar = None

    def bind(self, trace: "Trace", reward: "Reward") -> "Always":
        """Return the control with its LLM's place in the pool.

        Raises
        ------
        InputError
            The pool has no such LLM.
        """
        if self.model not in trace.models:
            raise InputError(
                f"Always: unknown model {self.model!r};"
                f" {nearest(self.model, trace.models)}"
            )
        return Always(self.model, trace.models.index(self.model))

    def choose(self, raw: Floats) -> Integers:
        """Return its place for each query of raw rewards (n_queries, n_models).

        Raises
        ------
        InputError
            It does not know the pool yet.
        """
        if self.index is None:
            raise InputError(
                f"Always({self.model!r}) does not know the pool yet; call bind(trace,"
                " reward), as replay does"
            )
        return np.full(len(raw), self.index)


@dataclass(frozen=True)
class Cheapest:
    """Control: the LLM with the lowest mean cost in the trace replayed."""

    def bind(self, trace: "Trace", reward: "Reward") -> Always:
        """Return `Always` that LLM."""
        place = int(trace.cost_usd.mean(axis=0).argmin())
        return Always(trace.models[place], place)


@dataclass(frozen=True)
class MostExpensive:
    """Control: the LLM with the highest mean cost in the trace replayed."""

    def bind(self, trace: "Trace", reward: "Reward") -> Always:
        """Return `Always` that LLM."""
        place = int(trace.cost_usd.mean(axis=0).argmax())
        return Always(trace.models[place], place)


@dataclass(frozen=True)
class BestSingle:
    """Control: the LLM with the highest mean raw reward, known only in hindsight."""

    def bind(self, trace: "Trace", reward: "Reward") -> Always:
        """Return `Always` that LLM."""
        raw = reward.raw(trace.accuracy, trace.cost_usd, trace.latency_ms)
        place = int(raw.mean(axis=0).argmax())
        return Always(trace.models[place], place)


@dataclass(frozen=True)
class Oracle:
    """Control: for every query the LLM with the highest raw reward on it.

    No router can do better.
    """

    lock_rule: ClassVar = None

    def choose(self, raw: Floats) -> Integers:
        """Return the best LLM of each query of raw rewards (n_queries, n_models)."""
        return raw.argmax(axis=1)


def require_in_range(
    learner: object, name: str, low: float, high: float, low_open: bool = False
) -> None:
    """Refuse a learner's parameter that is no number in [low, high], or (low, high].

    Raises
    ------
    InputError
    """
    value = getattr(learner, name)
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if number and (low < value <= high or (value == low and not low_open)):
        return
    opening = "(" if low_open else "["
    raise InputError(
        f"{type(learner).__name__}: {name} must be in {opening}{low:g}, {high:g}], got"
        f" {value!r}; choose one in that range"
    )
