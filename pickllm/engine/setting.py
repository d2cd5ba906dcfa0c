"""A learner and a lock rule as numbers, which the compiled loop runs on."""

from typing import NamedTuple

#: More queries than any session has.
NEVER = 2**62


class Setting(NamedTuple):
    """The numbers that tell one replay's learner and lock rule from another's.

    Attributes
    ----------
    values : bool
        Whether the state holds values (Q-learning); otherwise it holds probabilities
        (L_R-I).
    runs : bool
        Whether the most probable LLM is followed at every step, as Q-learning and
        `GreedyUnchanged` need.
    rate : float
        Learning rate.
    start : float
        State of every LLM before the first query.
    explore, exploit : float
        Q-learning's probability of any other LLM, and of the greedy one.
    limit : float
        Probability to lock at.
    patience : int
        Queries for which the most probable LLM stays the same, to lock.
    """

    values: bool
    runs: bool
    rate: float
    start: float
    explore: float
    exploit: float
    limit: float
    patience: int
