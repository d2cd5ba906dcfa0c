"""Every named experiment as data: the one list that the Makefile, the notebooks and the tests read."""

from dataclasses import replace

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
from .core.locking import GreedyUnchanged, MaxProbability
from .core.reward import Reward
from .errors import InputError, nearest

#: Learning rates of both learners, and the one at which sessions are compared
#: (READINGS.md, "learning rates").
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
RATE = 0.1
EPSILON = 0.1
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
    "Track-and-Stop, 0.25": TrackAndStop(DELTA, noise=0.25),
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


def fixed(models):
    """One fixed choice for each LLM, by names that no router or control has, whatever the LLMs are called.

    Examples
    --------
    >>> list(fixed(["random"]))
    ['always random']
    """
    return {f"always {m}": Always(m) for m in models}


def learner(name, learning_rate=RATE, epsilon=EPSILON):
    """One of the paper's two learners by name.

    Examples
    --------
    >>> learner("automaton", 0.2)
    LinearRewardInaction(learning_rate=0.2)
    """
    if name not in ROUTERS:
        raise InputError(f"unknown learner {name!r}; {nearest(name, ROUTERS)}")
    return (
        LinearRewardInaction(learning_rate)
        if name == "automaton"
        else QLearning(learning_rate, epsilon)
    )


def routers(learning_rate=RATE):
    """Both learners of the paper, by name."""
    return {name: learner(name, learning_rate) for name in ROUTERS}


def reward(weights=MAIN_WEIGHTS, form="ratio"):
    """Return the reward of a named weight setting."""
    if weights not in WEIGHTS:
        raise InputError(f"unknown weights {weights!r}; {nearest(weights, WEIGHTS)}")
    return Reward(form=form, w_cost=WEIGHTS[weights])


def readings(trace):
    """Return the variants that the readings notebook compares: name -> (trace, reward, {name: learner}, lock rules).

    The first is the study's own; each other one changes one open point.
    """
    base = reward()
    low, high = base.within(trace.limits).declared_bounds()
    rule = {"automaton": True, "qlearning": True}
    same = routers()
    variants = {
        "ratio, declared bounds (the study)": (base, same, rule),
        "product": (reward(form="product"), same, rule),
        "linear": (reward(form="linear"), same, rule),
        "ratio, bounds (0, upper)": (replace(base, bounds=(0.0, high)), same, rule),
        "ratio, bounds twice as wide": (
            replace(base, bounds=(low - (high - low) / 2, high + (high - low) / 2)),
            same,
            rule,
        ),
        "lock: p 0.95, greedy 50": (
            base,
            same,
            {"automaton": MaxProbability(0.95), "qlearning": GreedyUnchanged(50)},
        ),
        "lock: p 0.999, greedy 200": (
            base,
            same,
            {"automaton": MaxProbability(0.999), "qlearning": GreedyUnchanged(200)},
        ),
        "Q starts at 1 (optimistic)": (
            base,
            {"qlearning": QLearning(RATE, EPSILON, initial_value=1.0)},
            rule,
        ),
        "epsilon 0.3": (base, {"qlearning": QLearning(RATE, 0.3)}, rule),
    }
    reversed_pool = {
        "pool in reverse order": (
            trace.select(models=trace.models[::-1]),
            base,
            same,
            rule,
        )
    }
    return {
        name: (trace, *variant) for name, variant in variants.items()
    } | reversed_pool


def scenarios(trace, reward, context, queries):
    """Return what may happen to sessions of a context halfway: name -> (joined trace, order, delay of feedback)."""
    from .beyond.scenarios import absent, dearer, failing, schedule, slower, unanswered

    half = queries // 2
    best = {
        c: BestSingle().bind(trace.select(context=c), reward).model
        for c in trace.contexts
    }
    top, before = best[context], trace.select(context=context)
    other = next((c for c in trace.contexts if best[c] != top), context)
    after = {
        "nothing changes": before,
        f"context: {other}": trace.select(context=other),
        "best LLM 20 times dearer": dearer(before, top, 20.0),
        "best LLM 5 times slower": slower(before, top, 5.0),
        "best LLM fails": failing(before, top),
    }
    worlds = {
        name: (*schedule({0: before, half: changed}), 0)
        for name, changed in after.items()
    }
    worlds["best LLM appears"] = (*schedule({0: absent(before, top), half: before}), 0)
    worlds["feedback 50 queries late"] = (*schedule({0: before, half: before}), 50)
    worlds["half of feedback missing"] = (
        *schedule({0: unanswered(before, 0.5), half: unanswered(before, 0.5)}),
        0,
    )
    return worlds
