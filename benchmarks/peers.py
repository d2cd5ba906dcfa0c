"""The same problem in others' hands: a notebook's loop, river, and MABWiser.

Each takes the rewards, (n_queries, n_models), and a number of queries, and returns
its choices.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def notebook_automaton(
    unit: "NDArray[np.float64]", queries: int, rate: float = 0.1, seed: int = 0
) -> list[int]:
    """L_R-I, one query after the other, in NumPy."""
    rng = np.random.default_rng(seed)
    n_queries, n_models = unit.shape
    probabilities = np.full(n_models, 1 / n_models)
    choices = []
    for _ in range(queries):
        query = rng.integers(n_queries)
        drawn = np.searchsorted(probabilities.cumsum(), rng.random(), side="right")
        arm = min(int(drawn), n_models - 1)
        step = rate * unit[query, arm]
        probabilities *= 1 - step
        probabilities[arm] += step
        choices.append(arm)
    return choices


def notebook_qlearning(
    unit: "NDArray[np.float64]",
    queries: int,
    rate: float = 0.1,
    epsilon: float = 0.1,
    seed: int = 0,
) -> list[int]:
    """Stateless Q-learning, epsilon-greedy, one query after the other."""
    rng = np.random.default_rng(seed)
    n_queries, n_models = unit.shape
    values = np.zeros(n_models)
    choices = []
    for _ in range(queries):
        query = rng.integers(n_queries)
        explores = rng.random() < epsilon
        arm = int(rng.integers(n_models) if explores else values.argmax())
        values[arm] += rate * (unit[query, arm] - values[arm])
        choices.append(arm)
    return choices


def river_greedy(
    unit: "NDArray[np.float64]", queries: int, epsilon: float = 0.1, seed: int = 0
) -> list[int]:
    """River's epsilon-greedy bandit: pull, then update."""
    from river import bandit

    rng = np.random.default_rng(seed)
    asked = rng.integers(len(unit), size=queries).tolist()
    rewards = unit.tolist()
    arms: list = list(range(unit.shape[1]))
    policy = bandit.EpsilonGreedy(epsilon=epsilon, seed=seed)
    choices = []
    for query in asked:
        arm = policy.pull(arms)
        policy.update(arm, rewards[query][arm])
        choices.append(arm)
    return choices


def mabwiser_greedy(
    unit: "NDArray[np.float64]", queries: int, epsilon: float = 0.1, seed: int = 0
) -> list[int]:
    """MABWiser's epsilon-greedy bandit: predict, then partial_fit."""
    from mabwiser.mab import MAB, LearningPolicy

    rng = np.random.default_rng(seed)
    asked = rng.integers(len(unit), size=queries).tolist()
    rewards = unit.tolist()
    arms = list(range(unit.shape[1]))
    bandit = MAB(arms, LearningPolicy.EpsilonGreedy(epsilon), seed=seed)
    bandit.fit(arms, [0.0] * len(arms))
    choices = []
    for query in asked:
        arm = bandit.predict()
        bandit.partial_fit([arm], [rewards[query][arm]])
        choices.append(arm)
    return choices
