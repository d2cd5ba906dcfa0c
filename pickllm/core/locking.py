"""When a session has converged and stays with one LLM: rules that read selection probabilities alone.

A rule is a frozen dataclass with two pure functions over a leading session axis, like a learner:

    start(probabilities) -> state
    step(state, probabilities) -> (state, locked), called after each answered query

A session that is locked sends every further query to its most probable LLM.
"""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError


@dataclass(frozen=True)
class MaxProbability:
    """Locked once one LLM's probability reaches the threshold (the automaton's rule).

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

    def __post_init__(self):
        if not 0 < self.threshold <= 1:
            raise InputError(
                f"MaxProbability: threshold must be in (0, 1], got {self.threshold!r};"
                " 0.99 is the study's"
            )

    def start(self, probabilities):
        """No memory: one zero a session."""
        return np.zeros(len(probabilities))

    def step(self, state, probabilities):
        """Return True where the largest probability is at least the threshold."""
        return state, probabilities.max(axis=1) >= self.threshold


@dataclass(frozen=True)
class GreedyUnchanged:
    """Locked once the most probable LLM has stayed the same for a number of queries (Q-learning's rule).

    Parameters
    ----------
    queries : int
        How many, > 0.
    """

    queries: int = 100

    def __post_init__(self):
        if not self.queries >= 1:
            raise InputError(
                f"GreedyUnchanged: queries must be at least 1, got {self.queries!r};"
                " 100 is the study's"
            )

    def start(self, probabilities):
        """Return the most probable LLM before the first query, and a run of 0."""
        return np.column_stack(
            [probabilities.argmax(axis=1), np.zeros(len(probabilities), dtype=np.int64)]
        )

    def step(self, state, probabilities):
        """Return True where the run of one most probable LLM has reached its length."""
        best, after = probabilities.argmax(axis=1), np.empty_like(state)
        run = (state[:, 1] + 1) * (best == state[:, 0])
        after[:, 0], after[:, 1] = best, run
        return after, run >= self.queries
