"""What the paper leaves open: every choice, its candidates, and what they make.

A specification is one candidate of each choice, a context, and one pool of four.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..beyond.readings import QReading, RunningAutomaton
from ..core.learners import LinearRewardInaction, QLearning
from ..core.locking import GreedyUnchanged, LockRule, MaxProbability
from ..core.pool import Limits, Price, declare_limits, declared_pools, read_prices
from ..core.reward import CENTS_PER_USD, FORMS, Reward
from ..core.trace import Trace
from ..errors import InputError, nearest
from ..experiments import (
    DECAY,
    FADED,
    GAP,
    GAP_QUERIES,
    POOL,
    RATES,
    ROUTERS,
    TOLERANCE,
)

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
NEVER_FADES = f"a constant epsilon never falls below {FADED:g}, so no session locks"


@dataclass(frozen=True)
class Choice:
    """One thing that the paper leaves open.

    Attributes
    ----------
    name : str
        The column of the table.
    candidates : tuple
        All equally likely; two numbers where `spread`.
    source : str
        Where the candidates come from.
    learner : str
        The only learner that has this choice; empty: both.
    spread : bool
        Whether all numbers between two candidates are, evenly in their logarithm.
    none : float
        Share of specifications at 0 in place of a number from a spread.
    """

    name: str
    candidates: tuple[Any, ...]
    source: str
    learner: str = ""
    spread: bool = False
    none: float = 0.0

    def __post_init__(self) -> None:
        if not self.candidates:
            raise InputError(
                f"multiverse: the choice {self.name!r} has no candidates; give at least"
                " one"
            )

    def at(self, u: Floats) -> NDArray[Any]:
        """Return the candidates at some places in [0, 1).

        Examples
        --------
        >>> choice = Choice("w_cost", (0.01, 1.0), "ours", spread=True, none=0.5)
        >>> choice.at(np.array([0.25, 0.75])).tolist()
        [0.0, 0.1]
        """
        if not self.spread:
            candidates = np.empty(len(self.candidates), object)
            candidates[:] = self.candidates
            return candidates[(u * len(candidates)).astype(int)]
        low, high = self.candidates
        part = (u - self.none) / (1.0 - self.none)
        numbers = np.where(part < 0.0, 0.0, low * (high / low) ** part)
        return np.array([float(f"{number:.6g}") for number in numbers])


LOCK_SURE = {f"p >= {p:g}": p for p in (0.9, 0.95, 0.99, 0.999)}
LOCK_UNCHANGED = {f"greedy unchanged for {n}": n for n in (50, 100, 200)}
LOCK_SETTLED = {f"values settled for {n}": n for n in (50, 100, 200)}
LOCK_GAP = f"gap of {GAP:g} for {GAP_QUERIES}"
LOCK_FADED = f"epsilon below {FADED:g}"

#: What the paper leaves open; the context and the pool are the trace's.
CHOICES = {
    choice.name: choice
    for choice in (
        Choice("learner", ROUTERS, "abstract"),
        Choice("learning_rate", RATES, "ours: slow and safe to fast and rash"),
        Choice("form", tuple(FORMS), "two summaries, and the abstract's plain words"),
        Choice("w_cost", (0.01, 1.0), "ours", spread=True, none=0.25),
        Choice("w_latency", (0.3, 3.0), "ours", spread=True),
        Choice("cost_unit", ("cents", "dollars", "dearest LLM"), "ours"),
        Choice("t_scaling", (1.0, 2.0, 3.0, 4.0), "ours: log10 of 10 ms to 10 s"),
        Choice(
            "mapping",
            ("declared", "twice as wide", "extremes", "running extremes"),
            "ours",
        ),
        Choice("queries", (100, 300, 1000, 3000), "ours"),
        Choice("p_lock", tuple(LOCK_SURE), "ours", "automaton"),
        Choice("epsilon", (0.01, 0.05, 0.1, 0.2, 0.3), "customary", "qlearning"),
        Choice("exploration", ("constant", "falling"), "textbooks", "qlearning"),
        Choice(
            "initial_value", ("0", "0.5", "1", "first reward"), "textbooks", "qlearning"
        ),
        Choice("values", ("constant rate", "averages"), "textbooks", "qlearning"),
        Choice("ties", ("random", "first"), "textbooks; the first study", "qlearning"),
        Choice(
            "q_lock",
            (*LOCK_UNCHANGED, *LOCK_SETTLED, LOCK_GAP, LOCK_FADED),
            "ours",
            "qlearning",
        ),
    )
}
#: Columns that say what a specification is.
COLUMNS = ("id", "context", "pool", *CHOICES, "seed")


class World(NamedTuple):
    """A specification as `replay` takes it.

    Attributes
    ----------
    trace : Trace
        Of the pool in the context.
    reward : Reward
        With its bounds.
    learner : object
    lock : LockRule
    ties : {"random", "first"}
    """

    trace: Trace
    reward: Reward
    learner: Any
    lock: LockRule
    ties: str


class Places:
    """Where specifications are drawn from: a trace's contexts and pools, and choices.

    Parameters
    ----------
    trace : Trace

    Raises
    ------
    InputError
        The trace has fewer LLMs than a pool.
    """

    def __init__(self, trace: Trace) -> None:
        if len(trace.models) < POOL:
            raise InputError(
                f"multiverse: a pool has {POOL} LLMs, the trace has"
                f" {len(trace.models)} ({', '.join(trace.models)}); give a trace of"
                " more"
            )
        self.trace = trace
        self.names = ("context", "pool", *CHOICES)

    @cached_property
    def pools(self) -> list[str]:
        """Every pool, as names joined by ``|``."""
        return [
            "|".join(some) for some in itertools.combinations(self.trace.models, POOL)
        ]

    @cached_property
    def parts(self) -> dict[str, Trace]:
        """The trace's contexts."""
        names = self.trace.contexts
        return {name: self.trace.select(context=name) for name in names}

    def table(self, cube: Floats, learner: str = "") -> "pd.DataFrame":
        """Return the specifications at some places of the unit cube.

        Parameters
        ----------
        cube : ndarray, (n, n_choices)
            In [0, 1), choices in the order of `names`.
        learner : str
            In place of those drawn.
        """
        import pandas as pd

        choices = {
            "context": Choice("context", self.trace.contexts, "the trace"),
            "pool": Choice("pool", tuple(self.pools), "the trace"),
            **CHOICES,
        }
        drawn = zip(self.names, cube.T, strict=True)
        found = {name: choices[name].at(u) for name, u in drawn}
        table = pd.DataFrame(found).infer_objects()
        if learner:
            table["learner"] = learner
        for name, choice in CHOICES.items():
            if choice.learner:
                table[name] = table[name].where(table.learner == choice.learner)
        table["epsilon"] = table.epsilon.where(table.exploration == "constant")
        return table

    def limits(self, models: Sequence[str]) -> Limits:
        """Return the limits declared for a pool: token caps at its own dearest price.

        A trace whose pool is not declared with the kit has one set of limits.
        """
        declared = declared_pools().get(self.trace.name)
        if declared is None:
            return self.trace.limits
        return declare_limits(models, self.prices, declared)

    @cached_property
    def prices(self) -> dict[str, Price]:
        """The kit's dated prices."""
        return read_prices()

    def world(self, specification: Mapping[str, Any]) -> World:
        """Return a specification as `replay` takes it.

        Raises
        ------
        InputError
            It contradicts itself, or its trace.
        """
        names = str(specification["pool"]).split("|")
        context = specification["context"]
        if context not in self.parts:
            raise InputError(
                f"multiverse: unknown context {context!r};"
                f" {nearest(str(context), self.parts)}"
            )
        part = self.parts[context].select(models=names).fleeting()
        reward = _reward(specification, part, self.limits(names))
        learner, lock = _learner(specification)
        first = specification["ties"] == "first"
        return World(part, reward, learner, lock, "first" if first else "random")


def _reward(choice: Mapping[str, Any], part: Trace, limits: Limits) -> Reward:
    """Return the reward of a specification, with its bounds as numbers."""
    reward = Reward(
        form=choice["form"],
        w_cost=w_cost_in_cents(choice, part),
        w_latency=choice["w_latency"],
        t_scaling=choice["t_scaling"],
    )
    mapping = choice["mapping"]
    if mapping in ("declared", "twice as wide"):
        low, high = reward.within(limits).declared_bounds()
        half = (high - low) / 2 if mapping == "twice as wide" else 0.0
        return replace(reward, bounds=(low - half, high + half))
    raw = reward.raw(part.accuracy, part.cost_usd, part.latency_ms)
    low, high = float(raw.min()), float(raw.max())
    if not low < high:
        raise InputError(
            "multiverse: every answer of the pool has the same reward, so there is"
            f" nothing to learn, got {low:g} throughout; choose other weights"
        )
    return replace(reward, bounds=(low, high))


def w_cost_in_cents(choice: Mapping[str, Any], part: Trace) -> float:
    """Return the weight of cost as `Reward` takes it, whose unit is the US cent."""
    unit = choice["cost_unit"]
    if unit == "cents":
        return choice["w_cost"]
    if unit == "dollars":
        return choice["w_cost"] / CENTS_PER_USD
    dearest = CENTS_PER_USD * float(part.cost_usd.mean(axis=0).max())
    if not dearest > 0:
        raise InputError(
            "multiverse: cost relative to the dearest LLM needs one that costs"
            " something, got a pool that is free; choose cents"
        )
    return choice["w_cost"] / dearest


def _learner(choice: Mapping[str, Any]) -> tuple[Any, LockRule]:
    """Return the learner of a specification, and when its sessions lock."""
    rate = choice["learning_rate"]
    running = choice["mapping"] == "running extremes"
    if choice["learner"] == "automaton":
        learner = RunningAutomaton(rate) if running else LinearRewardInaction(rate)
        return learner, MaxProbability(LOCK_SURE[choice["p_lock"]])
    first = choice["initial_value"] == "first reward"
    falling = choice["exploration"] == "falling"
    reading = QReading(
        learning_rate=rate,
        epsilon=1.0 if falling else choice["epsilon"],
        decay=DECAY if falling else 0.0,
        initial_value=0.0 if first else float(choice["initial_value"]),
        first_reward=first,
        averages=choice["values"] == "averages",
        running=running,
    )
    lock = choice["q_lock"]
    if lock in LOCK_UNCHANGED:
        plain = QLearning(rate, reading.epsilon, reading.initial_value)
        same = reading == QReading(rate, reading.epsilon, 0.0, reading.initial_value)
        return plain if same else reading, GreedyUnchanged(LOCK_UNCHANGED[lock])
    if lock in LOCK_SETTLED:
        settled = {"tolerance": TOLERANCE, "patience": LOCK_SETTLED[lock]}
        return replace(reading, **settled), MaxProbability(1.0)
    if lock == LOCK_GAP:
        settled = {"gap": GAP, "patience": GAP_QUERIES}
        return replace(reading, **settled), MaxProbability(1.0)
    if not falling:
        raise InputError(f"multiverse: {NEVER_FADES}; let it fall")
    return reading, MaxProbability(1.0 - FADED + FADED / POOL)
