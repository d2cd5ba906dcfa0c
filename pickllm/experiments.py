"""Every named experiment as data: the one list that the Makefile, the notebooks and the tests read."""

import json
import re
from dataclasses import dataclass, field, replace

from .automata import DiscretisedPursuit, GeneralisedPursuit, LinearRewardEpsilonPenalty, LinearRewardPenalty, Pursuit
from .bandits import KLUCB, UCB1, DecayingEpsilon, Exp3, GradientBandit, Softmax, ThompsonBeta, ThompsonGaussian
from .contextual import LinUCB, PerContext
from .errors import InputError, nearest
from .files import digest, home
from .identification import LUCB, SuccessiveElimination, TrackAndStop
from .learners import Always, BestSingle, Cheapest, LinearRewardInaction, MostExpensive, Oracle, QLearning, UniformRandom
from .locking import GreedyUnchanged, MaxProbability
from .reward import Reward
from .study import joined

#: Learning rates of both learners, and the one at which sessions are compared (READINGS.md, "learning rates").
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
RATE = 0.1
EPSILON = 0.1
#: Weight settings: name -> weight of cost; the other two weights are 1 (READINGS.md, "weights").
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
#: What others would try beside the paper's two, by the names that figures and tables use; none was tuned on these traces.
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
#: For sessions that mix contexts: the paper's automaton and the best LLM overall, blind to the context, and learners that see it.
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


def _file_name(context):
    """A context's name as part of a file's: itself where it is plain, else what is plain of it and a digest."""
    if re.fullmatch(r"[a-z0-9_-]{1,40}", context):
        return context
    return re.sub(r"[^a-z0-9]+", "-", context.lower())[:40].strip("-") + "-" + digest(context)[:8]


def learner(name, learning_rate=RATE, epsilon=EPSILON):
    """One of the paper's two learners by name.

    Examples
    --------
    >>> learner("automaton", 0.2)
    LinearRewardInaction(learning_rate=0.2)
    """
    if name not in ROUTERS:
        raise InputError(f"unknown learner {name!r}; {nearest(name, ROUTERS)}")
    return LinearRewardInaction(learning_rate) if name == "automaton" else QLearning(learning_rate, epsilon)


def routers(learning_rate=RATE):
    """Both learners of the paper, by name."""
    return {name: learner(name, learning_rate) for name in ROUTERS}


def reward(weights=MAIN_WEIGHTS, form="ratio"):
    """The reward of a named weight setting."""
    if weights not in WEIGHTS:
        raise InputError(f"unknown weights {weights!r}; {nearest(weights, WEIGHTS)}")
    return Reward(form=form, w_cost=WEIGHTS[weights])


def readings(trace):
    """The variants that the readings notebook compares: name -> (trace, reward, {name: learner}, lock rules).

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
        "ratio, bounds twice as wide": (replace(base, bounds=(low - (high - low) / 2, high + (high - low) / 2)), same, rule),
        "lock: p 0.95, greedy 50": (base, same, {"automaton": MaxProbability(0.95), "qlearning": GreedyUnchanged(50)}),
        "lock: p 0.999, greedy 200": (base, same, {"automaton": MaxProbability(0.999), "qlearning": GreedyUnchanged(200)}),
        "Q starts at 1 (optimistic)": (base, {"qlearning": QLearning(RATE, EPSILON, initial_value=1.0)}, rule),
        "epsilon 0.3": (base, {"qlearning": QLearning(RATE, 0.3)}, rule),
    }
    reversed_pool = {"pool in reverse order": (trace.select(models=trace.models[::-1]), base, same, rule)}
    return {name: (trace, *variant) for name, variant in variants.items()} | reversed_pool


def scenarios(trace, reward, context, queries):
    """What may happen to sessions of a context halfway: name -> (joined trace, order, delay of feedback)."""
    from .scenarios import absent, dearer, failing, schedule, slower, unanswered

    half = queries // 2
    best = {c: BestSingle().bind(trace.select(context=c), reward).model for c in trace.contexts}
    top, before = best[context], trace.select(context=context)
    other = next((c for c in trace.contexts if best[c] != top), context)
    after = {
        "nothing changes": before,
        f"context: {other}": trace.select(context=other),
        "best LLM 20 times dearer": dearer(before, top, 20.0),
        "best LLM 5 times slower": slower(before, top, 5.0),
        "best LLM fails": failing(before, top),
    }
    worlds = {name: (*schedule({0: before, half: changed}), 0) for name, changed in after.items()}
    worlds["best LLM appears"] = (*schedule({0: absent(before, top), half: before}), 0)
    worlds["feedback 50 queries late"] = (*schedule({0: before, half: before}), 50)
    worlds["half of feedback missing"] = (*schedule({0: unanswered(before, 0.5), half: unanswered(before, 0.5)}), 0)
    return worlds


@dataclass(frozen=True)
class Run:
    """One execution of a notebook.

    Attributes
    ----------
    name : str
        Names the executed notebook and its result.
    notebook : str
        In `notebooks/`, without ending.
    parameters : dict
        JSON scalars, over the notebook's own defaults.
    needs : tuple of str
        Runs whose results it reads.
    """

    name: str
    notebook: str
    parameters: dict = field(default_factory=dict)
    needs: tuple = ()


#: Notebooks that are pages for a reader, without parameters or a result; and those that a study does not run unasked.
PAGES = ("start", "explore")
ASIDE = ("variant", "live", "variants", "own-learner", "scenarios")

#: Sizes of a study: sessions and queries per setting, how many contexts (None = all), and the rates.
SIZES = {
    "full": {"sessions": 1000, "queries": 1000, "contexts": None, "rates": RATES},
    "smoke": {"sessions": 60, "queries": 250, "contexts": 2, "rates": (0.05, 0.1, 0.3)},
}


def study(trace, size="full", second_pool=None):
    """The runs that make the whole study of a trace, in an order that satisfies their needs.

    Parameters
    ----------
    trace : Trace
    size : str
        A key of `SIZES`.
    second_pool : str, optional
        Name of a trace of another pool, for the check that a conclusion is not one pool's alone.

    Returns
    -------
    list of Run
    """
    if size not in SIZES:
        raise InputError(f"unknown size {size!r}; {nearest(size, SIZES)}")
    s = SIZES[size]
    contexts = list(trace.contexts[: s["contexts"]])
    counts = {"sessions": s["sessions"], "queries": s["queries"]}
    some = counts | {"contexts": joined(contexts)}
    rates = ", ".join(f"{r:g}" for r in s["rates"])
    convergence = [
        Run(f"convergence-{name}-{_file_name(context)}", "convergence", counts | {"context": context, "learner": name, "learning_rates": rates})
        for name in ROUTERS
        for context in contexts
    ]
    sessions = [Run(f"sessions-{w.replace(' ', '-')}", "sessions", some | {"weights": w}) for w in WEIGHTS]
    sessions.append(Run("check-reversed", "sessions", some | {"models": joined(trace.models[::-1])}))
    if second_pool:
        sessions.append(Run("check-second", "sessions", counts | {"trace": second_pool, "prices": "", "contexts": "all"}))
    names = lambda runs: tuple(r.name for r in runs)  # noqa: E731
    simulated = [*convergence, *sessions, Run("readings", "readings", some)]
    own = [Run(f"variant-{name}", "variant", parameters | {"name": name}) for name, parameters in promoted().items()] if second_pool else []
    return [
        Run("pool", "pool", {"contexts": some["contexts"]}),  # long, and nothing waits for it: first, so that it is not the last to end
        Run("objectives", "objectives", {"contexts": some["contexts"]}),
        *simulated,
        Run("figures-convergence", "convergence-figures", {}, needs=names(convergence)),
        Run("figures-sessions", "session-figures", {}, needs=names(sessions)),
        Run("claims", "claims", {}, needs=(*names(simulated),)),
        *own,
    ]


def variants_folder():
    """Where the parameter files of promoted variants stand."""
    return home("data") / "variants"


def promoted():
    """Variants that were explored, exported and made a part of the study: name -> parameters."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(variants_folder().glob("*.json"))}


def all_figures():
    """`FIGURES`, and one figure for each promoted variant."""
    words = "A setting of one's own: how it converges, and what its sessions cost, take and get right beside every control."
    return FIGURES | {f"variant-{name}": (f"Variant {name}", words) for name in promoted()}


#: The figures in reading order: name -> (title, what it shows). Findings with numbers are written by the runs.
FIGURES = {
    "overview": ("The loop", "A query goes to the learner, the learner asks one LLM of the pool and sees only that answer's accuracy, cost and latency; their weighted reward, mapped to [0, 1], updates the learner, until the session is locked to one LLM."),
    "pool-outcomes": ("The pool and its contexts", "Accuracy, cost and latency of every LLM in every context, as measured. The LLMs differ in price by more than an order of magnitude, and no LLM leads in every context."),
    "latency-tail": ("Latency and its tail", "How often an answer takes longer than a time. Tails differ by LLM more than means do, and the logarithm in the reward plays them down."),
    "rows-and-summary": ("A sample of the summary against the measured rows", "The default study replays a sample drawn from published statistics. Each point compares one LLM in one context: the rows' value against the sample's."),
    "reward-shape": ("The three readings of the reward", "Raw reward against latency, for right and wrong answers at a low and a high cost. In the ratio a negative numerator turns the latency term round: the slower wrong answer scores higher."),
    "convergence-automaton": ("Convergence of the learning automaton", "Mean probability of asking the context's best LLM along a session, for each learning rate. A fast rate flattens early because its sessions have locked, rightly or wrongly."),
    "convergence-qlearning": ("Convergence of stateless Q-learning", "The same for Q-learning. Slow rates stay on the first LLM tried long enough to be declared converged, whichever it is; where that LLM is the best, they look good."),
    "locking": ("When sessions lock, and on what", "Top: share of sessions locked by each query, sessions that never lock being censored. Bottom: share of sessions that locked on the best LLM."),
    "speed-accuracy": ("The learning rate trades speed for being right", "Each line is one learner's front over its learning rates: queries needed to lock against the share of sessions locked on the best LLM."),
    "exploration": ("What exploration cost", "What a session paid and waited beyond sending the same queries to the LLM it ended with; negative where it explored cheaper or faster LLMs."),
    "session-cost": ("Cost per session", "Total cost of a session for both routers and every control, per context and weight setting."),
    "session-latency": ("Latency per session", "Mean latency of a session's answers for both routers and every control."),
    "session-accuracy": ("Accuracy per session", "Mean accuracy of a session's answers for both routers and every control."),
    "weights": ("Which LLM wins for which weights", "The LLM with the highest mean reward as the weight of cost grows, from the outcomes alone."),
    "readings": ("What the open points change", "Share of sessions locked on the best LLM and time to lock when one declared choice is changed at a time."),
    "claims": ("The claims", "Every claim with a number, the value stated for the paper and ours."),
}  # fmt: skip
