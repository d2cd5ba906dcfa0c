"""A learner's state: an array, or a tuple of states; one row a session in each."""

# a state may be any array, or tuple of them:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

from collections.abc import Callable
from typing import Any

#: An array whose first axis is the session, or a (named) tuple of such states.
State = Any


def map_state(function: Callable[..., Any], state: State, *others: State) -> State:
    """Return a state of the same form whose arrays are a function of the given ones.

    Parameters
    ----------
    function : callable
        Takes an array of `state`, and the array at the same place of each other state.
    state, *others : array or tuple
        Of one form.

    Examples
    --------
    >>> map_state(lambda a, b: a + b, (1, (2, 3)), (10, (20, 30)))
    (11, (22, 33))
    """
    if not isinstance(state, tuple):
        return function(state, *others)
    parts = [
        map_state(function, *places) for places in zip(state, *others, strict=True)
    ]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def rows_of(state: State, at: Any) -> State:
    """Return the part of a state at an index into each array's first axes."""

    def part(array: Any) -> Any:
        return array[at]

    return map_state(part, state)
