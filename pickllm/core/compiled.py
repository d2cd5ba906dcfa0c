"""The paper's learners on the compiled engine: which replays run there, and how.

The engine is loaded where it is used: numba takes half a second.
"""

import math
from typing import Any

from ..engine.setting import NEVER, Setting
from ..errors import InputError, nearest
from .learners import LinearRewardInaction, QLearning, UniformRandom
from .locking import GreedyUnchanged, LockRule, MaxProbability
from .prepared import Played, Prepared
from .protocols import Floats, Integers, QueryOrder

ENGINES = ("auto", "numpy", "compiled")
#: What is compiled; a subclass may mean anything and stays with NumPy.
LEARNERS = (LinearRewardInaction, QLearning, UniformRandom)
RULES = (MaxProbability, GreedyUnchanged)
#: Decisions from which compiling pays: about what NumPy does while numba is loaded.
WORTHWHILE = 200_000


def pays(decisions: int, engine: str) -> bool:
    """Return whether so many decisions are compiled, where they can be."""
    return engine == "compiled" or (engine == "auto" and decisions >= WORTHWHILE)


def runs_compiled(prepared: Prepared, engine: str) -> bool:
    """Return whether a replay runs compiled.

    Raises
    ------
    InputError
        An unknown engine; ``"compiled"`` for what has no compiled loop.
    """
    if engine not in ENGINES:
        raise InputError(
            f"replay: unknown engine {engine!r}; {nearest(engine, ENGINES)}"
        )
    missing = _not_compiled(prepared)
    if missing and engine == "compiled":
        known = ", ".join(kind.__name__ for kind in (*LEARNERS, *RULES))
        raise InputError(
            f"replay: no compiled loop for {missing}, only for {known}; use"
            " engine='auto'"
        )
    return not missing and pays(prepared.decisions, engine)


def _not_compiled(prepared: Prepared) -> str:
    """Return what of a replay has no compiled loop; nothing if all has."""
    learner = prepared.learner
    rule = prepared.rule
    parameters = getattr(learner, "__dict__", {}).values()
    plain = all(isinstance(value, int | float) for value in parameters)
    known = type(learner) in LEARNERS and plain
    known_rule = rule is None or type(rule) in RULES
    if known and known_rule and not isinstance(prepared.order, QueryOrder):
        return ""
    what = type(learner).__name__
    if rule is not None:
        what += f" with {type(rule).__name__}"
    if isinstance(prepared.order, QueryOrder):
        what += " in phases"
    return what


def setting(learner: Any, rule: LockRule | None, n_models: int) -> Setting:
    """Return the numbers that stand for one of `LEARNERS` and its lock rule.

    A uniformly random control is an automaton that learns at rate 0. Q-learning's
    largest probability is a constant, so that a threshold on it holds after the first
    query or never.

    Examples
    --------
    >>> setting(LinearRewardInaction(0.2), MaxProbability(0.9), 4).limit
    0.9
    >>> setting(QLearning(0.2), None, 4).patience == NEVER
    True
    """
    threshold = rule.threshold if isinstance(rule, MaxProbability) else math.inf
    patience = NEVER
    if isinstance(rule, GreedyUnchanged):
        patience = min(NEVER, math.ceil(rule.queries))
    if isinstance(learner, QLearning):
        explore = learner.epsilon / n_models
        exploit = 1.0 - learner.epsilon + explore
        return Setting(
            values=True,
            runs=True,
            rate=learner.learning_rate,
            start=learner.initial_value,
            explore=explore,
            exploit=exploit,
            limit=math.inf,
            patience=0 if exploit >= threshold else patience,
        )
    rate = learner.learning_rate if isinstance(learner, LinearRewardInaction) else 0.0
    return Setting(
        values=False,
        runs=patience < NEVER,
        rate=rate,
        start=1.0 / n_models,
        explore=0.0,
        exploit=0.0,
        limit=threshold,
        patience=patience,
    )


def play_compiled(prepared: Prepared, n_jobs: int = 1) -> Played:
    """Return what the sessions chose, to the bit as `replay.play` does."""
    from ..engine import kernels

    arrays = kernels.replay(
        prepared.unit,
        setting(prepared.learner, prepared.rule, prepared.n_models),
        prepared.sessions,
        prepared.queries,
        seed=prepared.seed,
        order=str(prepared.order),
        marks=prepared.checkpoints,
        n_jobs=n_jobs,
    )
    choices, queries, probabilities, locked_at, locked_model = arrays
    return Played(choices, queries, probabilities, locked_at, locked_model)


def reduce_compiled(prepared: Prepared) -> tuple[Any, ...]:
    """Return sums over sessions in place of their choices; see `kernels.reduce`."""
    from ..engine import kernels

    return kernels.reduce(
        prepared.unit,
        prepared.outcomes,
        setting(prepared.learner, prepared.rule, prepared.n_models),
        prepared.sessions,
        prepared.queries,
        seed=prepared.seed,
        order=str(prepared.order),
        marks=prepared.checkpoints,
    )


def tally_compiled(
    queries: Integers, choices: Integers, outcomes: Floats, locked_model: Integers
) -> tuple[Integers, Floats, Floats]:
    """Return what `sessions.tally` returns, to the bit."""
    from ..engine import kernels

    return kernels.tally(queries, choices, outcomes, locked_model)
