"""The same problem in others' hands: a loop as a notebook has it, river, and MABWiser. Each returns its decisions."""

import numpy as np


def notebook_automaton(unit, queries, rate=0.1, seed=0):
    """L_R-I, one query after the other, in NumPy."""
    rng = np.random.default_rng(seed)
    n, m = unit.shape
    p, choices = np.full(m, 1 / m), []
    for _ in range(queries):
        query = rng.integers(n)
        arm = min(np.searchsorted(p.cumsum(), rng.random(), side="right"), m - 1)
        step = rate * unit[query, arm]
        p *= 1 - step
        p[arm] += step
        choices.append(arm)
    return choices


def notebook_qlearning(unit, queries, rate=0.1, epsilon=0.1, seed=0):
    """Stateless Q-learning, epsilon-greedy, one query after the other."""
    rng = np.random.default_rng(seed)
    n, m = unit.shape
    q, choices = np.zeros(m), []
    for _ in range(queries):
        query = rng.integers(n)
        arm = rng.integers(m) if rng.random() < epsilon else q.argmax()
        q[arm] += rate * (unit[query, arm] - q[arm])
        choices.append(arm)
    return choices


def river_greedy(unit, queries, epsilon=0.1, seed=0):
    """River's epsilon-greedy bandit: pull, then update."""
    from river import bandit

    rng = np.random.default_rng(seed)
    asked, (n, m) = rng.integers(len(unit), size=queries).tolist(), unit.shape
    rewards, arms, policy = (
        unit.tolist(),
        list(range(m)),
        bandit.EpsilonGreedy(epsilon=epsilon, seed=seed),
    )
    choices = []
    for query in asked:
        arm = policy.pull(arms)
        policy.update(arm, rewards[query][arm])
        choices.append(arm)
    return choices


def mabwiser_greedy(unit, queries, epsilon=0.1, seed=0):
    """MABWiser's epsilon-greedy bandit: predict, then partial_fit."""
    from mabwiser.mab import MAB, LearningPolicy

    rng = np.random.default_rng(seed)
    asked, (n, m) = rng.integers(len(unit), size=queries).tolist(), unit.shape
    rewards, mab = (
        unit.tolist(),
        MAB(list(range(m)), LearningPolicy.EpsilonGreedy(epsilon), seed=seed),
    )
    mab.fit(list(range(m)), [0.0] * m)
    choices = []
    for query in asked:
        arm = mab.predict()
        mab.partial_fit([arm], [rewards[query][arm]])
        choices.append(arm)
    return choices
