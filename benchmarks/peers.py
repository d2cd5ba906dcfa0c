"""The same problem in others' hands: a notebook's loop, and packages of bandits.

A notebook's loops, and the functions that end in `_greedy`, take the rewards,
(n_queries, n_models), and a number of queries, and return their choices. `PEERS` has
every learner of ours that a package has too. Each package is called as its
documentation has it for one answer at a time, with what it wants to see of a query made
beforehand.
"""

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GREEDY = "epsilon-greedy"
UCB = "UCB1"
THOMPSON = "Thompson, Beta"
LINUCB = "LinUCB"
EXP3 = "Exp3"
SOFTMAX = "softmax"
LEARNERS = (GREEDY, UCB, THOMPSON, LINUCB, EXP3, SOFTMAX)
#: Parameters, the same for all.
EPSILON = 0.1
GAMMA = 0.1
TEMPERATURE = 0.05
ALPHA = 0.5

#: Takes the queries to decide on, one after the other; returns the LLMs asked.
Play = Callable[[Sequence[int]], list[int]]


class Pool(NamedTuple):
    """What a peer meets, in plain lists.

    Attributes
    ----------
    rewards : list of list of float, (n_queries, n_models)
        0 or 1: the Beta distributions of most peers take nothing else.
    features : list of list of float, (n_queries, n_features)
    """

    rewards: list[list[float]]
    features: list[list[float]]

    @property
    def n_models(self) -> int:
        """Number of LLMs."""
        return len(self.rewards[0])


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


def river_greedy(unit: "NDArray[np.float64]", queries: int, seed: int = 0) -> list[int]:
    """River's epsilon-greedy bandit."""
    return _played(river, unit, queries, seed)


def mabwiser_greedy(
    unit: "NDArray[np.float64]", queries: int, seed: int = 0
) -> list[int]:
    """MABWiser's epsilon-greedy bandit."""
    return _played(mabwiser, unit, queries, seed)


def _played(
    peer: "Builder", unit: "NDArray[np.float64]", queries: int, seed: int
) -> list[int]:
    rng = np.random.default_rng(seed)
    asked = rng.integers(len(unit), size=queries).tolist()
    return peer(GREEDY, Pool(unit.tolist(), []), seed)(asked)


def river(learner: str, pool: Pool, seed: int) -> Play:
    """River: pull, then update."""
    from river import bandit, proba

    arms: list[Any] = list(range(pool.n_models))
    if learner == LINUCB:
        return _river_linucb(bandit.LinUCBDisjoint(seed=seed), pool)
    policy: Any = {
        GREEDY: lambda: bandit.EpsilonGreedy(EPSILON, seed=seed),
        UCB: lambda: bandit.UCB(delta=1, seed=seed),
        THOMPSON: lambda: bandit.ThompsonSampling(proba.Beta(), seed=seed),
        EXP3: lambda: bandit.Exp3(GAMMA, seed=seed),
    }[learner]()

    def play(asked: Sequence[int]) -> list[int]:
        choices = []
        for query in asked:
            arm = policy.pull(arms)
            policy.update(arm, pool.rewards[query][arm])
            choices.append(arm)
        return choices

    return play


def _river_linucb(policy: Any, pool: Pool) -> Play:
    arms = list(range(pool.n_models))
    seen = [dict(enumerate(row)) for row in pool.features]

    def play(asked: Sequence[int]) -> list[int]:
        choices = []
        for query in asked:
            arm = policy.pull(arms, context=seen[query])
            policy.update(arm, seen[query], pool.rewards[query][arm])
            choices.append(arm)
        return choices

    return play


def mabwiser(learner: str, pool: Pool, seed: int) -> Play:
    """MABWiser: predict, then partial_fit; a first fit on an answer of 0 an LLM."""
    from mabwiser.mab import MAB, LearningPolicy

    policy: Any = {
        GREEDY: lambda: LearningPolicy.EpsilonGreedy(EPSILON),
        UCB: lambda: LearningPolicy.UCB1(alpha=1),
        THOMPSON: LearningPolicy.ThompsonSampling,
        LINUCB: lambda: LearningPolicy.LinUCB(ALPHA),
        SOFTMAX: lambda: LearningPolicy.Softmax(TEMPERATURE),
    }[learner]()
    arms = list(range(pool.n_models))
    bandit = MAB(arms, policy, seed=seed)
    if learner == LINUCB:
        return _mabwiser_linucb(bandit, pool)
    bandit.fit(arms, [0.0] * len(arms))

    def play(asked: Sequence[int]) -> list[int]:
        choices = []
        for query in asked:
            arm: Any = bandit.predict()
            bandit.partial_fit([arm], [pool.rewards[query][arm]])
            choices.append(arm)
        return choices

    return play


def _mabwiser_linucb(bandit: Any, pool: Pool) -> Play:
    seen = [np.array([row]) for row in pool.features]
    bandit.fit([0], [0.0], np.zeros_like(seen[0]))

    def play(asked: Sequence[int]) -> list[int]:
        choices = []
        for query in asked:
            arm = bandit.predict(seen[query])
            bandit.partial_fit([arm], [pool.rewards[query][arm]], seen[query])
            choices.append(arm)
        return choices

    return play


def coba(learner: str, pool: Pool, seed: int) -> Play:
    """Coba: predict, then learn, without its experiments around it.

    Its UCB1 is the variant that looks at variances; its LinUCB has one regression over
    crosses of LLM and features, which for LLMs in one-hot code is one an LLM.
    """
    from coba import learners

    bandit: Any = {
        GREEDY: lambda: learners.BanditEpsilonLearner(EPSILON, seed),
        UCB: lambda: learners.BanditUCBLearner(seed),
        LINUCB: lambda: learners.LinUCBLearner(ALPHA, ["ax"], seed),
    }[learner]()
    names: list[Any] = list(range(pool.n_models))
    seen: list[Any] = [None] * len(pool.rewards)
    if learner == LINUCB:
        names = [tuple(row) for row in np.eye(pool.n_models).tolist()]
        seen = pool.features
    place = {name: arm for arm, name in enumerate(names)}

    def play(asked: Sequence[int]) -> list[int]:
        choices = []
        for query in asked:
            name, chance = bandit.predict(seen[query], names)
            arm = place[name]
            bandit.learn(seen[query], name, pool.rewards[query][arm], chance)
            choices.append(arm)
        return choices

    return play


def vowpalwabbit(learner: str, pool: Pool, seed: int) -> Play:
    """Vowpal Wabbit: predict, draw, then learn from a line of text.

    It minimises costs, here 1 - r. What it predicts from is parsed once; what it learns
    from has another label each time.
    """
    from vowpalwabbit import Workspace

    rng = random.Random(seed)
    if learner == SOFTMAX:
        return _vowpalwabbit_softmax(pool, rng)
    arms = range(pool.n_models)
    space = Workspace(f"--cb_explore {pool.n_models} --epsilon {EPSILON} --quiet")
    seen = space.parse("|")

    def play(asked: Sequence[int]) -> list[int]:
        choices = []
        for query in asked:
            chances = space.predict(seen)
            arm = rng.choices(arms, chances)[0]
            cost = 1 - pool.rewards[query][arm]
            space.learn(f"{arm + 1}:{cost}:{chances[arm]} |")
            choices.append(arm)
        return choices

    return play


def _vowpalwabbit_softmax(pool: Pool, rng: random.Random) -> Play:
    from vowpalwabbit import Workspace

    sharpness = 1 / TEMPERATURE
    space = Workspace(f"--cb_explore_adf --softmax --lambda {sharpness} --quiet")
    arms = range(pool.n_models)
    names = [f"| {arm}" for arm in arms]
    seen = space.parse(names)

    def play(asked: Sequence[int]) -> list[int]:
        choices = []
        for query in asked:
            chances = space.predict(seen)
            arm = rng.choices(arms, chances)[0]
            cost = 1 - pool.rewards[query][arm]
            lines = names.copy()
            lines[arm] = f"{arm}:{cost}:{chances[arm]} {names[arm]}"
            space.learn(lines)
            choices.append(arm)
        return choices

    return play


def contextualbandits(learner: str, pool: Pool, seed: int) -> Play:
    """Contextualbandits: predict, then partial_fit, by Sherman and Morrison."""
    from contextualbandits.online import (  # pyright: ignore[reportMissingImports]
        LinUCB,
    )

    assert learner == LINUCB
    bandit = LinUCB(
        pool.n_models,
        alpha=ALPHA,
        fit_intercept=False,
        method="sm",
        random_state=seed + 1,
    )
    seen = [np.array([row]) for row in pool.features]

    def play(asked: Sequence[int]) -> list[int]:
        choices = []
        for query in asked:
            chosen = bandit.predict(seen[query])
            arm = int(chosen[0])
            bandit.partial_fit(
                seen[query], chosen, np.array([pool.rewards[query][arm]])
            )
            choices.append(arm)
        return choices

    return play


Builder = Callable[[str, Pool, int], Play]


class Peer(NamedTuple):
    """A package, how it is called, and which of our learners it has."""

    build: Builder
    learners: tuple[str, ...]


#: By the name that imports it. The last has no wheel: it is timed where it is
#: installed.
PEERS = {
    "river": Peer(river, (GREEDY, UCB, THOMPSON, LINUCB, EXP3)),
    "mabwiser": Peer(mabwiser, (GREEDY, UCB, THOMPSON, LINUCB, SOFTMAX)),
    "coba": Peer(coba, (GREEDY, UCB, LINUCB)),
    "vowpalwabbit": Peer(vowpalwabbit, (GREEDY, SOFTMAX)),
    "contextualbandits": Peer(contextualbandits, (LINUCB,)),
}
