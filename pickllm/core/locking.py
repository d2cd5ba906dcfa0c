"""When a session has converged and stays with one LLM.

A rule reads selection probabilities alone. It is a frozen dataclass with two pure
functions over a leading session axis, like a learner. A session that is locked sends
every further query to its most probable LLM.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .state import State


@runtime_checkable
class LockRule(Protocol):
    """Says after each answered query which sessions have converged."""

    def start(self, probabilities: NDArray[np.float64]) -> State:
        """Return the rule's state before the first query."""
        ...

    def step(
        self, state: State, probabilities: NDArray[np.float64]
    ) -> tuple[State, NDArray[np.bool_]]:
        """Return the state after one more answer, and which sessions are locked."""
        ...


@dataclass(frozen=True)
class MaxProbability:
    """Locked once one LLM's probability reaches a threshold (the automaton's rule).

    Parameters
    ----------
    threshold : float
        In (0, 1].

    Examples
    --------
    >>> rule = MaxProbability(0.99)
    >>> p = np.array([[0.6, 0.4], [0.995, 0.005]])
    >>> rule.step(rule.start(p), p)[1]
    array([False,  True])
    """

    threshold: float = 0.99

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise InputError(
                f"MaxProbability: threshold must be in (0, 1], got {self.threshold!r};"
                " 0.99 is the study's"
            )

    def start(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return no memory: one zero a session."""
        return np.zeros(len(probabilities))

    def step(
        self, state: NDArray[np.float64], probabilities: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return True where the largest probability is at least the threshold."""
        return state, probabilities.max(axis=1) >= self.threshold


@dataclass(frozen=True)
class GreedyUnchanged:
    """Locked once the most probable LLM has stayed the same (Q-learning's rule).

    Parameters
    ----------
    queries : int
        For how many queries, > 0.
    """

    queries: int = 100

    def __post_init__(self) -> None:
        if not self.queries >= 1:
            raise InputError(
                f"GreedyUnchanged: queries must be at least 1, got {self.queries!r};"
                " 100 is the study's"
            )

    def start(self, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the most probable LLM before the first query, and a run of 0."""
        run = np.zeros(len(probabilities), dtype=np.int64)
        return np.column_stack([probabilities.argmax(axis=1), run])

    def step(
        self, state: NDArray[np.int64], probabilities: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return True where the run of one most probable LLM is long enough."""
        best = probabilities.argmax(axis=1)
        run = (state[:, 1] + 1) * (best == state[:, 0])
        return np.column_stack([best, run]), run >= self.queries
