"""Figures: a table in, a figure out.

The table is what is drawn, and is saved beside the picture. No statistic is computed
here: every estimate comes with its interval in columns ``low`` and ``high``. A new
figure is a drawing function in a module of this room, named below, and its words in
`captions`.
"""

from .beyond import gains, lock_times, mixed, scenarios, variants
from .frontier import frontier
from .learning import convergence, exploration, locking, speed_accuracy
from .loop import overview
from .multiverse import multiverse_claims, multiverse_curve, multiverse_decides
from .pool import latency_tail, pool_outcomes, rows_and_summary
from .rewards import readings, reward_shape, weights
from .saving import glance, save, shown
from .sessions import session_measure
from .single import live, variant
from .style import STRATEGIES
from .verdicts import claims

__all__ = [
    "STRATEGIES",
    "claims",
    "convergence",
    "exploration",
    "frontier",
    "gains",
    "glance",
    "latency_tail",
    "live",
    "lock_times",
    "locking",
    "mixed",
    "multiverse_claims",
    "multiverse_curve",
    "multiverse_decides",
    "overview",
    "pool_outcomes",
    "readings",
    "reward_shape",
    "rows_and_summary",
    "save",
    "scenarios",
    "session_measure",
    "shown",
    "speed_accuracy",
    "variant",
    "variants",
    "weights",
]
