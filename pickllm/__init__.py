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
    "Trace": "trace",
    "TraceSummary": "summary",
    "push": "sharing",
    "Price": "pool",
    "Limits": "pool",
    "read_prices": "pool",
    "Reward": "reward",
    "LinearRewardInaction": "learners",
    "QLearning": "learners",
    "Always": "learners",
    "UniformRandom": "learners",
    "Cheapest": "learners",
    "MostExpensive": "learners",
    "BestSingle": "learners",
    "Oracle": "learners",
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
    "MaxProbability": "locking",
    "GreedyUnchanged": "locking",
    "replay": "sessions",
    "Sessions": "sessions",
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
