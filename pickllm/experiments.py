"""Every named experiment as data: the rates, weights, learners and readings.

The notebooks, the study and the tests read them from here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from .beyond.automata import (
    DiscretisedPursuit,
    GeneralisedPursuit,
    LinearRewardEpsilonPenalty,
    LinearRewardPenalty,
    Pursuit,
)
from .beyond.bandits import (
    KLUCB,
    UCB1,
    DecayingEpsilon,
    Exp3,
    GradientBandit,
    Softmax,
    ThompsonBeta,
    ThompsonGaussian,
)
from .beyond.contextual import LinUCB, PerContext
from .beyond.identification import LUCB, SuccessiveElimination, TrackAndStop
from .beyond.readings import QReading
from .beyond.scenarios import (
    Schedule,
    absent,
    dearer,
    failing,
    schedule,
    slower,
    unanswered,
)
from .core.learners import (
    Always,
    BestSingle,
    Cheapest,
    LinearRewardInaction,
    MostExpensive,
    Oracle,
    QLearning,
    UniformRandom,
)
from .core.locking import GreedyUnchanged, LockRule, MaxProbability
from .core.one_session import OneSession
from .core.protocols import Learner
from .core.reward import Reward
from .core.trace import Trace
from .errors import InputError, nearest

#: LLMs of a pool (the paper's abstract).
POOL = 4
#: Learning rates of both learners, and the one at which sessions are compared
#: (READINGS.md, "learning rates").
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
RATE = 0.1
EPSILON = 0.1
#: Exploration below which a session is locked, where it falls.
FADED = 0.05
#: Exploration that falls: epsilon = 1 / (1 + DECAY t).
DECAY = 0.05
#: Values are settled while no answer moves one by more than this; a gap is as wide as
#: this, and lasts for so many queries.
TOLERANCE = 0.01
GAP = 0.05
GAP_QUERIES = 50
#: A locked LLM is as good as the best if its mean raw reward is this near, relatively.
AS_GOOD = 0.01
#: Weight settings: name -> weight of cost; the other two weights are 1 (READINGS.md,
#: "weights").
WEIGHTS = {"accuracy first": 0.0, "balanced": 0.1, "cost first": 0.5}
MAIN_WEIGHTS = "balanced"
CONTROLS = {
    "random": UniformRandom(),
    "cheapest": Cheapest(),
    "most expensive": MostExpensive(),
    "best single": BestSingle(),
    "oracle": Oracle(),
}
ROUTERS = ("automaton", "qlearning")
#: Probability of error that best-arm identification may have.
DELTA = 0.1
#: What others would try beside the paper's two, by the names that figures and tables
#: use; none was tuned on these traces.
VARIANTS = {
    "L_R-P": LinearRewardPenalty(RATE, RATE),
    "L_R-epsilon-P": LinearRewardEpsilonPenalty(RATE, 0.01),
    "pursuit": Pursuit(),
    "discretised pursuit": DiscretisedPursuit(),
    "generalised pursuit": GeneralisedPursuit(),
    "decaying epsilon": DecayingEpsilon(RATE),
    "optimistic Q": QLearning(RATE, 0.0, initial_value=1.0),
    "softmax": Softmax(RATE),
    "gradient bandit": GradientBandit(),
    "UCB1": UCB1(),
    "KL-UCB": KLUCB(),
    "Thompson (normal)": ThompsonGaussian(),
    "Thompson (Beta)": ThompsonBeta(),
    "Exp3": Exp3(),
    "elimination": SuccessiveElimination(DELTA),
    "LUCB": LUCB(DELTA),
    "Track-and-Stop": TrackAndStop(DELTA),
    # half of what holds for all rewards: on the main pool they spread by up to 0.38,
    # so that more than a share delta of sessions may be wrong
    "Track-and-Stop, noise 0.25": TrackAndStop(DELTA, noise=0.25),
}
#: For sessions that mix contexts: the paper's automaton and the best LLM overall, blind
#: to the context, and learners that see it.
MIXED = {
    "automaton": LinearRewardInaction(RATE),
    "best single": BestSingle(),
    "automaton per context": PerContext(LinearRewardInaction(RATE)),
    "generalised pursuit per context": PerContext(GeneralisedPursuit()),
    "LinUCB": LinUCB(),
}
#: What meets the scenarios: name -> (learner, whether its sessions lock).
SCENARIO_LEARNERS = {
    "automaton": (LinearRewardInaction(RATE), True),
    "automaton, no lock": (LinearRewardInaction(RATE), False),
    "qlearning": (QLearning(RATE, EPSILON), True),
    "qlearning, no lock": (QLearning(RATE, EPSILON), False),
    "generalised pursuit": (GeneralisedPursuit(), True),
}


class Reading(NamedTuple):
    """One reading of the paper's open points."""

    trace: Trace
    reward: Reward
    learners: Mapping[str, Learner | OneSession]
    #: By learner; True is the learner's own rule.
    lock: dict[str, bool | LockRule]
    #: As in `replay`.
    ties: str = "random"


class World(NamedTuple):
    """What may happen to a session halfway."""

    trace: Trace
    order: Schedule
    #: Queries by which feedback is late.
    delay: int


def fixed(models: Iterable[str]) -> dict[str, Always]:
    """Return one fixed choice for each LLM.

    Their names are those of no router or control, whatever the LLMs are called.

    Examples
    --------
    >>> list(fixed(["random"]))
    ['always random']
    """
    return {f"always {model}": Always(model) for model in models}


def learner(
    name: str, learning_rate: float = RATE, epsilon: float = EPSILON
) -> LinearRewardInaction | QLearning:
    """Return one of the paper's two learners by name.

    Raises
    ------
    InputError
        An unknown name.

    Examples
    --------
    >>> learner("automaton", 0.2)
    LinearRewardInaction(learning_rate=0.2)
    """
    if name == "automaton":
        return LinearRewardInaction(learning_rate)
    if name == "qlearning":
        return QLearning(learning_rate, epsilon)
    raise InputError(f"unknown learner {name!r}; {nearest(name, ROUTERS)}")


def routers(learning_rate: float = RATE) -> dict[str, Learner]:
    """Return both learners of the paper, by name."""
    return {name: learner(name, learning_rate) for name in ROUTERS}


def reward(weights: str = MAIN_WEIGHTS, form: str = "ratio") -> Reward:
    """Return the reward of a named weight setting.

    Raises
    ------
    InputError
        An unknown name.
    """
    if weights not in WEIGHTS:
        raise InputError(f"unknown weights {weights!r}; {nearest(weights, WEIGHTS)}")
    return Reward(form=form, w_cost=WEIGHTS[weights])


def readings(trace: Trace) -> dict[str, Reading]:
    """Return the readings that the notebook `readings` compares, by name.

    The first is the study's own; each other one changes one open point.
    """
    study = Reading(trace, reward(), routers(), {"automaton": True, "qlearning": True})
    low, high = study.reward.within(trace.limits).declared_bounds()
    half = (high - low) / 2
    wider = low - half, high + half
    quick = {"automaton": MaxProbability(0.95), "qlearning": GreedyUnchanged(50)}
    slow = {"automaton": MaxProbability(0.999), "qlearning": GreedyUnchanged(200)}
    return {
        "ratio, declared bounds (the study)": study,
        "product": study._replace(reward=reward(form="product")),
        "linear": study._replace(reward=reward(form="linear")),
        "ratio, bounds (0, upper)": study._replace(
            reward=replace(study.reward, bounds=(0.0, high))
        ),
        "ratio, bounds twice as wide": study._replace(
            reward=replace(study.reward, bounds=wider)
        ),
        "lock: p 0.95, greedy 50": study._replace(lock=quick),
        "lock: p 0.999, greedy 200": study._replace(lock=slow),
        "ties to the first LLM (the first study)": study._replace(
            learners={"qlearning": study.learners["qlearning"]}, ties="first"
        ),
    } | {
        name: study._replace(learners={"qlearning": learner}, lock={"qlearning": lock})
        for name, (learner, lock) in _readings_of_q(len(trace.models)).items()
    }


def _readings_of_q(
    n_models: int,
) -> dict[str, tuple[Learner | OneSession, bool | LockRule]]:
    """Return Q-learning with one open point changed, and how its sessions lock.

    Exploration falls from 1: from `EPSILON` it would be below `FADED` after 20 queries.
    """
    faded = MaxProbability(1 - FADED + FADED / n_models)
    settled = MaxProbability(1.0)
    return {
        "Q starts at 0.5": (QLearning(RATE, EPSILON, initial_value=0.5), True),
        "Q starts at 1 (optimistic)": (
            QLearning(RATE, EPSILON, initial_value=1.0),
            True,
        ),
        "Q starts at the first reward": (
            QReading(RATE, EPSILON, first_reward=True),
            True,
        ),
        "sample averages": (QReading(RATE, EPSILON, averages=True), True),
        "epsilon 0.3": (QLearning(RATE, 0.3), True),
        "epsilon falls": (QReading(RATE, 1.0, decay=DECAY), faded),
        "values settled for 100": (
            QReading(RATE, EPSILON, tolerance=TOLERANCE, patience=100),
            settled,
        ),
        "gap of 0.05 for 50": (
            QReading(RATE, EPSILON, gap=GAP, patience=GAP_QUERIES),
            settled,
        ),
    }


def scenarios(
    trace: Trace, reward: Reward, context: str, queries: int
) -> dict[str, World]:
    """Return what may happen to sessions of a context halfway, by name.

    A change of context is among it where another context has another best LLM, an LLM
    that appears where the pool has another one.

    Parameters
    ----------
    trace : Trace
        Of all contexts.
    reward : Reward
        Says which LLM is the best of a context.
    context : str
        What sessions start in.
    queries : int
        Length of a session.
    """
    half = queries // 2
    best = {
        name: BestSingle().bind(trace.select(context=name), reward).model
        for name in trace.contexts
    }
    top = best[context]
    before = trace.select(context=context)
    partly = unanswered(before, 0.5)
    phases = {"nothing changes": (before, before)}
    others = [name for name in trace.contexts if best[name] != top]
    if others:
        after = trace.select(context=others[0])
        phases[f"context: {others[0]}"] = (before, after)
    phases |= {
        "best LLM 20 times dearer": (before, dearer(before, top, 20.0)),
        "best LLM 5 times slower": (before, slower(before, top, 5.0)),
        "best LLM fails": (before, failing(before, top)),
    }
    if len(trace.models) > 1:
        phases["best LLM appears"] = (absent(before, top), before)
    phases |= {
        "feedback 50 queries late": (before, before),
        "half of feedback missing": (partly, partly),
    }
    late = {"feedback 50 queries late": 50}
    return {
        name: World(*schedule({0: first, half: second}), late.get(name, 0))
        for name, (first, second) in phases.items()
    }
