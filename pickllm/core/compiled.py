"""Which replays run on the compiled engine, and how.

The paper's learners have loops written for them, which run many sessions in lockstep;
every other learner that is written for one session is compiled into a general one. The
engine is loaded where it is used: numba takes half a second.
"""

import functools
import math
import warnings
from typing import Any

import numpy as np

from ..engine.held import is_ours, kinds, what_is_frozen
from ..engine.setting import NEVER, Setting
from ..errors import InputError, SlowWarning, nearest
from ..files import digest
from ..identity import identity, places
from ..modules import code_hash
from .learners import LinearRewardInaction, QLearning, UniformRandom
from .locking import GreedyUnchanged, LockRule, MaxProbability
from .one_session import as_one_session, require_sound, uniforms_of
from .prepared import Played, Prepared
from .protocols import Floats, Integers, QueryOrder, is_control, sees_models
from .state import map_state

ENGINES = ("auto", "numpy", "compiled")
#: What has a loop of its own; a subclass may mean anything.
LEARNERS = (LinearRewardInaction, QLearning, UniformRandom)
RULES = (MaxProbability, GreedyUnchanged)
#: Decisions from which compiling pays: about what is done without it while numba is
#: loaded, by NumPy; and by Python, of a learner for one session.
WORTHWHILE = 200_000
WORTHWHILE_ALONE = 50_000
#: Why the learners of some classes cannot be compiled; nothing where they can.
STOPPED: dict[tuple[type, ...], str] = {}


def pays(decisions: int, engine: str, least: int = WORTHWHILE) -> bool:
    """Return whether so many decisions are compiled, where they can be."""
    return engine == "compiled" or (engine == "auto" and decisions >= least)


def runs_compiled(prepared: Prepared, engine: str, worthwhile: bool = False) -> bool:
    """Return whether a replay runs compiled.

    Parameters
    ----------
    prepared : Prepared
    engine : {"auto", "numpy", "compiled"}
    worthwhile : bool
        Whether compiling pays, however few these sessions are: there are many more.

    Raises
    ------
    InputError
        An unknown engine; ``"compiled"`` for what cannot be compiled.

    Warns
    -----
    SlowWarning
        Once for each learner that is written for one session and cannot be compiled.
    """
    if engine not in ENGINES:
        raise InputError(
            f"replay: unknown engine {engine!r}; {nearest(engine, ENGINES)}"
        )
    if engine == "numpy" or is_control(prepared.learner):
        return engine == "compiled" and _refuse(prepared)
    decisions = WORTHWHILE if worthwhile else prepared.decisions
    known_rule = prepared.rule is None or type(prepared.rule) in RULES
    if known_rule and has_own_loop(prepared.learner):
        return pays(decisions, engine)
    learner = as_one_session(prepared.learner)
    if learner is None or not known_rule:
        return engine == "compiled" and _refuse(prepared)
    if not pays(decisions, engine, WORTHWHILE_ALONE):
        return False
    stopped = what_stops(learner, prepared.n_models, prepared.seen)
    if stopped and engine == "compiled":
        raise InputError(f"replay: {stopped}; use engine='auto'")
    if stopped:
        _say_once(f"{stopped}; it runs in Python")
    return not stopped


def has_own_loop(learner: object) -> bool:
    """Return whether a learner is one of the paper's, whose loops are their own."""
    parameters = getattr(learner, "__dict__", {}).values()
    plain = all(isinstance(value, int | float) for value in parameters)
    return type(learner) in LEARNERS and plain


def _refuse(prepared: Prepared) -> bool:
    """Refuse to compile what is not written for it."""
    what = type(prepared.learner).__name__
    if prepared.rule is not None:
        what += f" with {type(prepared.rule).__name__}"
    rules = ", ".join(kind.__name__ for kind in RULES)
    raise InputError(
        f"replay: no compiled loop for {what}, only for learners written for one"
        f" session, with {rules} or no lock; use engine='auto'"
    )


@functools.cache
def _say_once(stopped: str) -> None:
    warnings.warn(f"replay: {stopped}", SlowWarning, stacklevel=4)


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
    threshold, patience = limits_of(rule)
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


def limits_of(rule: LockRule | None) -> tuple[float, int]:
    """Return the probability to lock at, and the queries to stay the same for.

    Examples
    --------
    >>> limits_of(MaxProbability(0.9)), limits_of(GreedyUnchanged(50))[0]
    ((0.9, 4611686018427387904), inf)
    """
    if isinstance(rule, MaxProbability):
        return rule.threshold, NEVER
    if isinstance(rule, GreedyUnchanged):
        return math.inf, min(NEVER, math.ceil(rule.queries))
    return math.inf, NEVER


def alone(learner: Any, rule: LockRule | None, n_models: int, seen: Any = None) -> Any:
    """Return a learner for one session, and its lock rule, as the engine takes them.

    Parameters
    ----------
    learner : OneSession
    rule : LockRule, optional
    n_models : int
    seen : ndarray, (n_queries, ...), optional
        What a learner that looks at queries sees of each.

    Returns
    -------
    engine.general.OneSession
    """
    from ..engine import general

    state = map_state(np.ascontiguousarray, learner.start(n_models))
    arrays: list[Any] = []
    map_state(arrays.append, state)
    limit, patience = limits_of(rule)
    uniforms = uniforms_of(learner, n_models)
    return general.OneSession(
        learner=learner,
        form=general.Form(
            chooses=hasattr(learner, "choose"),
            draws=uniforms > 0,
            sees=seen is not None,
            sees_models=sees_models(learner),
            returns=_returns(learner, n_models),
        ),
        state=state,
        arrays=tuple(arrays),
        uniforms=uniforms,
        seen=np.zeros((0, 1)) if seen is None else np.ascontiguousarray(seen),
        limit=limit,
        patience=patience,
        made_from=_made_from(tuple(kinds(learner))),
    )


def _returns(learner: Any, n_models: int) -> bool:
    """Return whether `update` returns the next state."""
    state = learner.start(n_models)
    return learner.update(state, 0, 0.5) is not None


@functools.cache
def _made_from(classes: tuple[type, ...]) -> str:
    """Hash of the code of some classes, and of what it calls."""
    read = [identity(kind) for kind in classes]
    own = [place for place in places(read) if place.startswith("pickllm.")]
    return digest(read, code_hash(*(f"import {place}" for place in own)))


def what_stops(learner: Any, n_models: int, seen: Any = None) -> str:
    """Return why a learner for one session cannot be compiled; nothing if it can."""
    classes = tuple(kinds(learner))
    if classes not in STOPPED:
        STOPPED[classes] = _tried(learner, n_models, seen)
    return STOPPED[classes]


def _tried(learner: Any, n_models: int, seen: Any) -> str:
    """Compile a learner's functions; return what is wrong with them."""
    from ..engine import general, mirror

    if all(is_ours(kind) for kind in kinds(learner)):
        return ""
    require_sound(learner, n_models, seen)
    frozen = what_is_frozen(learner)
    if frozen:
        return frozen
    try:
        general.Live(alone(learner, None, n_models, seen), n_models)
    except Exception as error:  # numba has many kinds
        return mirror.why(error, learner)
    return ""


def _plan(prepared: Prepared) -> Any:
    if has_own_loop(prepared.learner):
        return setting(prepared.learner, prepared.rule, prepared.n_models)
    learner = as_one_session(prepared.learner)
    return alone(learner, prepared.rule, prepared.n_models, prepared.seen)


def play_compiled(prepared: Prepared, n_jobs: int = 1) -> Played:
    """Return what the sessions chose, to the bit as `replay.play` does."""
    from ..engine import kernels

    arrays = kernels.replay(
        prepared.unit,
        _plan(prepared),
        prepared.sessions,
        prepared.queries,
        seed=prepared.seed,
        order=str(prepared.order),
        ties=prepared.ties,
        marks=prepared.checkpoints,
        asked=_asked(prepared),
        n_jobs=n_jobs,
    )
    choices, queries, probabilities, locked_at, locked_model = arrays
    return Played(choices, queries, probabilities, locked_at, locked_model)


def _asked(prepared: Prepared) -> Integers | None:
    """Return the queries where they come in an order of one's own."""
    return prepared.asked() if isinstance(prepared.order, QueryOrder) else None


def reduce_compiled(prepared: Prepared) -> tuple[Any, ...]:
    """Return sums over sessions in place of their choices; see `kernels.reduce`."""
    from ..engine import kernels

    return kernels.reduce(
        prepared.unit,
        prepared.outcomes,
        _plan(prepared),
        prepared.sessions,
        prepared.queries,
        seed=prepared.seed,
        order=str(prepared.order),
        ties=prepared.ties,
        marks=prepared.checkpoints,
        asked=_asked(prepared),
    )


def tally_compiled(
    queries: Integers, choices: Integers, outcomes: Floats, locked_model: Integers
) -> tuple[Integers, Floats, Floats]:
    """Return what `sessions.tally` returns, to the bit."""
    from ..engine import kernels

    return kernels.tally(queries, choices, outcomes, locked_model)
