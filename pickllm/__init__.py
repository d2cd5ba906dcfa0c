"""PickLLM, reproduced: online routing of queries between LLMs (arXiv 2412.12170).

The public names, in the order in which data flows; each is imported when first used.
"""

import importlib

__version__ = "0.1.0"

#: Where each public name lives.
HOMES = {
    "list_traces": "sources",
    "load_trace": "sources",
    "scorer": "scoring",
    "Trace": "core.trace",
    "TraceSummary": "summary",
    "push": "sharing",
    "Price": "core.pool",
    "Limits": "core.pool",
    "read_prices": "core.pool",
    "Reward": "core.reward",
    "LinearRewardInaction": "core.learners",
    "QLearning": "core.learners",
    "Always": "core.learners",
    "UniformRandom": "core.learners",
    "Cheapest": "core.learners",
    "MostExpensive": "core.learners",
    "BestSingle": "core.learners",
    "Oracle": "core.learners",
    "LinearRewardPenalty": "automata",
    "LinearRewardEpsilonPenalty": "automata",
    "Pursuit": "automata",
    "DiscretisedPursuit": "automata",
    "GeneralisedPursuit": "automata",
    "DecayingEpsilon": "bandits",
    "Softmax": "bandits",
    "GradientBandit": "bandits",
    "UCB1": "bandits",
    "KLUCB": "bandits",
    "ThompsonGaussian": "bandits",
    "ThompsonBeta": "bandits",
    "Exp3": "bandits",
    "SuccessiveElimination": "identification",
    "LUCB": "identification",
    "TrackAndStop": "identification",
    "PerContext": "contextual",
    "LinUCB": "contextual",
    "MaxProbability": "core.locking",
    "GreedyUnchanged": "core.locking",
    "replay": "core.sessions",
    "Sessions": "core.sessions",
    "Hindered": "scenarios",
    "schedule": "scenarios",
    "sweep": "sweeps",
    "Router": "router",
    "LiveSession": "router",
    "InputError": "errors",
    "UnpinnedWarning": "errors",
}

__all__ = [*HOMES, "__version__"]


def __getattr__(name):
    if name not in HOMES:
        raise AttributeError(f"module 'pickllm' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
