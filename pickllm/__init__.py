"""PickLLM, reproduced: online routing of queries between LLMs (arXiv 2412.12170).

The public names, in the order in which data flows; each is imported when first used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

#: Where each public name lives.
HOMES = {
    "list_traces": "traces.sources",
    "load_trace": "traces.sources",
    "scorer": "scoring",
    "Trace": "core.trace",
    "TraceSummary": "traces.summary",
    "push": "traces.hub",
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
    "LinearRewardPenalty": "beyond.automata",
    "LinearRewardEpsilonPenalty": "beyond.automata",
    "Pursuit": "beyond.automata",
    "DiscretisedPursuit": "beyond.automata",
    "GeneralisedPursuit": "beyond.automata",
    "DecayingEpsilon": "beyond.bandits",
    "Softmax": "beyond.bandits",
    "GradientBandit": "beyond.bandits",
    "UCB1": "beyond.bandits",
    "KLUCB": "beyond.bandits",
    "ThompsonGaussian": "beyond.bandits",
    "ThompsonBeta": "beyond.bandits",
    "Exp3": "beyond.bandits",
    "SuccessiveElimination": "beyond.identification",
    "LUCB": "beyond.identification",
    "TrackAndStop": "beyond.identification",
    "PerContext": "beyond.contextual",
    "LinUCB": "beyond.contextual",
    "MaxProbability": "core.locking",
    "GreedyUnchanged": "core.locking",
    "replay": "core.replay",
    "Sessions": "core.sessions",
    "Hindered": "beyond.scenarios",
    "schedule": "beyond.scenarios",
    "sweep": "sweeps.run",
    "multiverse": "analysis.multiverse",
    "Router": "live.router",
    "LiveSession": "live.session",
    "InputError": "errors",
    "UnpinnedWarning": "errors",
}

__all__ = [*HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'pickllm' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
