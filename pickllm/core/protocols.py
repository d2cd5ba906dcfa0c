"""What a learner, a control, a lock rule and an order of queries have to offer.

Whoever writes one writes these functions, in a notebook cell for instance, and has
every figure, statistic and the live router.
"""

# users run unchecked code:
# pyright: reportUnnecessaryIsInstance=false, reportUnnecessaryComparison=false
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from ..errors import InputError
from .locking import GreedyUnchanged, LockRule, MaxProbability
from .one_session import Floats, Integers, OneSession, is_one_session
from .state import State

if TYPE_CHECKING:
    from .reward import Reward
    from .trace import Trace


@runtime_checkable
class Learner(Protocol):
    """Three pure functions over a leading session axis; a learner never draws.

    It learns from the unit reward. A state is an array, or a tuple of them, whose first
    axis is the session. An attribute `lock_rule` says when a session has converged;
    without it a session locks at max p >= 0.99.
    """

    def start(self, n_sessions: int, n_models: int) -> State:
        """Return the state before the first query."""
        ...

    def probabilities(self, state: State) -> Floats:
        """Return the chance of each LLM at the next query, (n_sessions, n_models)."""
        ...

    def update(self, state: State, arm: Integers, reward: Floats) -> State:
        """Return the state after answers; `arm` and `reward` are (n_sessions,)."""
        ...


@runtime_checkable
class SeesQueries(Learner, Protocol):
    """A learner that looks at each query before it chooses (`beyond.contextual`)."""

    def describe(self, trace: "Trace") -> NDArray[Any]:
        """Return what it sees of each query, (n_queries, ...)."""
        ...

    def observe(self, state: State, seen: NDArray[Any]) -> State:
        """Return the state after seeing the next query, `seen` (n_sessions, ...)."""
        ...


@runtime_checkable
class Control(Protocol):
    """A strategy whose choice depends on the query alone, and that learns nothing."""

    def choose(self, raw: Floats) -> Integers:
        """Return the LLM of each query from raw rewards (n_queries, n_models)."""
        ...


@runtime_checkable
class Bindable(Protocol):
    """A strategy that has to know the pool before a session starts."""

    def bind(self, trace: "Trace", reward: "Reward") -> Any:
        """Return the learner or control that it is with this pool."""
        ...


@runtime_checkable
class QueryOrder(Protocol):
    """An order of queries of one's own (see `beyond.scenarios.Schedule`)."""

    def place(self, uniforms: Floats) -> Integers:
        """Return positions in the trace for draws (n_sessions, n_queries)."""
        ...


def as_learner(
    thing: object, trace: "Trace", reward: "Reward"
) -> Learner | OneSession | Control:
    """Return a learner or control as the pool makes it.

    Parameters
    ----------
    thing : Learner, OneSession, Control or Bindable
    trace : Trace
    reward : Reward
        With its bounds.

    Raises
    ------
    InputError
        It is none of them.
    """
    bound: Any = bind(thing, trace, reward)
    if is_learner(bound) or is_control(bound):
        return bound
    made = f"{thing.__name__} itself" if isinstance(thing, type) else repr(thing)
    raise InputError(
        f"replay: not a learner: {made}; it needs start, probabilities and update,"
        " such as QLearning(0.1): pickllm.testing.check_learner says what is missing"
    )


def bind(thing: object, trace: "Trace", reward: "Reward") -> object:
    """Return a strategy as the pool makes it; itself, if it needs to know nothing."""
    return thing.bind(trace, reward) if isinstance(thing, Bindable) else thing


def is_learner(thing: object) -> bool:
    """Return whether a thing learns: over a session axis, or for one session."""
    if isinstance(thing, type) or not callable(getattr(thing, "update", None)):
        return False
    if not is_one_session(thing):
        return isinstance(thing, Learner)
    return hasattr(thing, "choose") or hasattr(thing, "probabilities")


def is_control(thing: object) -> bool:
    """Return whether a thing chooses by the query alone, and learns nothing."""
    if isinstance(thing, type) or hasattr(thing, "start"):
        return False
    return isinstance(thing, Control)


def sees_queries(learner: object) -> bool:
    """Return whether a learner looks at each query before it chooses."""
    return hasattr(learner, "describe") and hasattr(learner, "observe")


def sees_models(learner: object) -> bool:
    """Return whether the last axis of what a learner sees of a query is the pool.

    It is then shown in the order in which the session is shown the pool.
    """
    return bool(getattr(learner, "sees_models", False))


def require_blind(learner: object, who: str) -> None:
    """Refuse what is no learner, or sees queries itself, as the learner of another.

    Raises
    ------
    InputError
    """
    if not is_learner(learner) or sees_queries(learner):
        raise InputError(
            f"{who}: takes a learner with start, probabilities and update that sees no"
            f" queries itself, got {type(learner).__name__}; give another"
        )


def lock_rule_of(learner: object) -> LockRule | None:
    """Return the rule by which a learner's sessions lock; None where they never do.

    Examples
    --------
    >>> from pickllm import QLearning
    >>> lock_rule_of(QLearning())
    GreedyUnchanged(queries=100)
    """
    chooses = is_one_session(learner) and hasattr(learner, "choose")
    unsaid = GreedyUnchanged() if chooses else MaxProbability()
    return getattr(learner, "lock_rule", unsaid)


def as_lock_rule(lock: "bool | LockRule | None", learner: object) -> LockRule | None:
    """Return the lock rule that ``lock=`` asks for; None where no session locks.

    Raises
    ------
    InputError
        It is neither a rule nor True, False or None.
    """
    if lock is True:
        return lock_rule_of(learner)
    if lock is False or lock is None:
        return None
    if isinstance(lock, LockRule):
        return lock
    raise InputError(
        f"replay: lock must be True, False or a lock rule, got {lock!r};"
        " MaxProbability(0.99) for instance"
    )
