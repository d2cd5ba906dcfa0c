"""Learners that are written for one session, and the same over a session axis.

Such a learner is plain Python over a few small arrays, so that it can be compiled as it
stands (see `engine.general`). It changes its state in place, or returns the next one.
"""

# a state may be any array, or tuple of them:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .state import State, map_state, rows_of

Floats = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]


class OneSession(Protocol):
    """What a learner for one session has to offer.

    It has `probabilities` or, in its place, `choose(state) -> int`, the LLM to ask; if
    it also has `uniforms(n_models) -> int`, so many draws in [0, 1) come with each
    choice, ``choose(state, draws)``. One that looks at queries has ``describe(trace)``
    and ``observe(state, seen)`` besides, as `SeesQueries`.

    What it needs beside its state are numbers among its own attributes. An attribute
    `lock_rule` says when a session has converged; without it one that shows
    probabilities locks at max p >= 0.99, and one that chooses, whose choice is always
    certain, when it has asked the same LLM 100 times on end.
    """

    def start(self, n_models: int) -> State:
        """Return the state before the first query: an array, or a tuple of arrays."""
        ...

    def probabilities(self, state: State) -> Floats:
        """Return the chance of each LLM at the next query, (n_models,)."""
        ...

    def update(self, state: State, arm: int, reward: float) -> State | None:
        """Change the state after an answer, or return the next one."""
        ...


def is_one_session(thing: object) -> bool:
    """Return whether a thing is a learner that is written for one session.

    Examples
    --------
    >>> from pickllm import QLearning
    >>> is_one_session(QLearning()), is_one_session(QLearning().one_session())
    (False, True)
    """
    start = getattr(thing, "start", None)
    if isinstance(thing, type) or not callable(start):
        return False
    return len(_needed(start)) == 1


def _needed(function: Callable[..., Any]) -> list[str]:
    """Return the names of the arguments that a call cannot do without."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )
    return [
        parameter.name
        for parameter in parameters
        if parameter.kind in positional and parameter.default is parameter.empty
    ]


def as_one_session(learner: object) -> Any:
    """Return a learner as it is written for one session; None where it is not.

    The paper's learners are written both ways: their `one_session` is the other one.

    Examples
    --------
    >>> from pickllm import QLearning
    >>> as_one_session(QLearning(0.2)).start(2).q
    array([0., 0.])
    """
    if is_one_session(learner):
        return learner
    if "one_session" not in vars(type(learner)):  # a subclass may mean anything
        return None
    other: Any = learner
    return other.one_session()


def uniforms_of(learner: Any, n_models: int) -> int:
    """Return how many draws of its own each choice of a learner takes."""
    count = getattr(learner, "uniforms", None)
    return int(count(n_models)) if count else 0


@dataclass(frozen=True)
class OverSessions:
    """A learner for one session over a session axis: row by row, in Python.

    What the compiled loop is compared with.

    Attributes
    ----------
    learner : OneSession

    Examples
    --------
    >>> import pickllm as pk
    >>> rows = OverSessions(pk.UCB1())
    >>> state = rows.start(n_sessions=2, n_models=3)
    >>> state = rows.update(state, arm=np.array([0, 1]), reward=np.array([0.5, 1.0]))
    >>> rows.choose(state, np.zeros((2, 0)))
    array([1, 0])
    """

    learner: Any

    def start(self, n_sessions: int, n_models: int) -> State:
        """Return every session as the learner starts."""

        def repeated(array: Any) -> Any:
            return np.repeat(np.asarray(array)[None], n_sessions, axis=0)

        return map_state(repeated, self.learner.start(n_models))

    def observe(self, state: State, seen: NDArray[Any]) -> State:
        """Return the state after each session's query, `seen` (n_sessions, ...)."""
        after = map_state(np.copy, state)
        for i, shown in enumerate(seen):
            self.learner.observe(rows_of(after, i), shown)
        return after

    def probabilities(self, state: State) -> Floats:
        """Return the chance of each LLM, (n_sessions, n_models)."""
        rows = range(n_rows(state))
        return np.array([self.learner.probabilities(rows_of(state, i)) for i in rows])

    def choose(self, state: State, draws: Floats) -> Integers:
        """Return the LLM that each session asks; `draws` are (n_sessions, uniforms)."""
        chosen: list[int] = []
        for i, own in enumerate(draws):
            row = rows_of(state, i)
            takes = (own,) if len(own) else ()
            chosen.append(self.learner.choose(row, *takes))
        return np.array(chosen, np.int64)

    def update(self, state: State, arm: Integers, reward: Floats) -> State:
        """Return the state after answers; `arm` and `reward` are (n_sessions,)."""
        after = map_state(np.copy, state)
        for i, answer in enumerate(zip(arm.tolist(), reward.tolist(), strict=True)):
            row = rows_of(after, i)
            returned = self.learner.update(row, *answer)
            if returned is not None:
                map_state(_put, row, returned)
        return after


def _put(row: Any, returned: Any) -> None:
    row[...] = returned


def n_rows(state: State) -> int:
    """Return the number of sessions of a state."""
    while isinstance(state, tuple):
        state = state[0]
    return len(state)


def require_sound(learner: Any, n_models: int, seen: Any = None) -> None:
    """Refuse a learner for one session that breaks a law within a few answers.

    Raises
    ------
    InputError
        The first law that it breaks; see `faults`.
    """
    for fault in faults(learner, n_models, 12, seen):
        raise InputError(f"replay: {fault}")


def faults(learner: Any, n_models: int, steps: int, seen: Any = None) -> Iterator[str]:
    """Yield the laws that a learner for one session breaks, a line each.

    Its state keeps its shapes and types; it chooses an LLM of the pool, or shows
    probabilities of all; it does not loop for ever.

    Parameters
    ----------
    learner : OneSession
    n_models : int
    steps : int
        Answers to teach it.
    seen : ndarray, (n_queries, ...), optional
        What a learner that looks at queries sees of each.
    """
    name = type(learner).__name__
    rng = np.random.default_rng(0)
    state = learner.start(n_models)
    before = _shapes(state)
    for shape in before:
        if not shape.endswith("]") or shape.endswith("[]"):
            yield (
                f"{name}.start: the state must be an array, or a tuple of arrays, of at"
                f" least one number each, got {shape}; a number is np.zeros(1)"
            )
            return
    for step in range(steps):
        if seen is not None:
            within(LINES, learner.observe, state, seen[step % len(seen)])
        fault = _fault_of_choice(learner, state, n_models, rng)
        if fault:
            yield f"{name}.{fault}"
            return
        arm, reward = step % n_models, float(rng.random())
        returned = within(LINES, learner.update, state, arm, reward)
        state = state if returned is None else returned
        after = _shapes(state)
        if after != before:
            yield (
                f"{name}.update: the state must keep its shapes and types,"
                f" {' '.join(before)} became {' '.join(after)}; change its arrays in"
                " place"
            )
            return


def _shapes(state: State) -> list[str]:
    """Return the type and shape of each array of a state, as text."""
    found: list[str] = []

    def note(array: Any) -> None:
        kind = getattr(array, "dtype", type(array).__name__)
        found.append(f"{kind}{list(getattr(array, 'shape', ()))}")

    map_state(note, state)
    return found


def _fault_of_choice(
    learner: Any, state: State, n_models: int, rng: np.random.Generator
) -> str:
    """Return what is wrong with what a learner would ask; nothing if all is well."""
    if not hasattr(learner, "choose"):
        p = np.asarray(within(LINES, learner.probabilities, state))
        sound = p.shape == (n_models,) and np.isfinite(p).all() and (p >= 0).all()
        if sound and abs(p.sum() - 1.0) < 1e-6:
            return ""
        return (
            f"probabilities must be {n_models} numbers >= 0 that sum to 1, got {p};"
            " normalise them"
        )
    count = uniforms_of(learner, n_models)
    draws = (rng.random(count),) if count else ()
    arm = within(LINES, learner.choose, state, *draws)
    if isinstance(arm, int | np.integer) and 0 <= arm < n_models:
        return ""
    return f"choose must give a whole number in [0, {n_models - 1}], got {arm!r}"


#: Lines of Python that one call of a learner's function may run.
LINES = 200_000


def within(lines: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns, unless it runs too many lines of Python.

    Raises
    ------
    InputError
    """
    left = lines

    def count(frame: Any, event: str, _: Any) -> Any:
        nonlocal left
        left -= event == "line"
        if left < 0:
            raise InputError(
                f"{function.__qualname__}: still running after {lines} lines; give its"
                " loop an end, such as the number of its draws"
            )
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        return function(*arguments)
    finally:
        sys.settrace(before)
