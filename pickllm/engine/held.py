"""What an object holds that compiled code may use, and what its functions read.

Without numba: this is asked before anything is compiled.
"""

import inspect
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..identity import globals_read

NUMBERS = (bool, int, float, np.number, np.bool_)


def fields(thing: object) -> Iterator[tuple[str, Any]]:
    """Yield the numbers that an object holds, and the objects that have methods."""
    for name, value in getattr(thing, "__dict__", {}).items():
        if isinstance(value, NUMBERS) or _has_methods(value):
            yield name, value
    yield "mirrored", 1.0  # numba knows no empty named tuple


def _has_methods(value: object) -> bool:
    plain = type(value).__module__ in ("builtins", "numpy") or callable(value)
    return not plain and hasattr(value, "__dict__")


def kinds(thing: object) -> Iterator[type]:
    """Yield the classes of an object and of those that it holds."""
    yield type(thing)
    for _, value in fields(thing):
        if not isinstance(value, NUMBERS):
            yield from kinds(value)


def methods_of(kind: type) -> dict[str, types.FunctionType]:
    """Return the functions of a class by name, without those that Python calls."""
    functions = inspect.getmembers(kind, inspect.isfunction)
    return {name: function for name, function in functions if name[:2] != "__"}


def is_ours(function: types.FunctionType | type) -> bool:
    """Return whether a function or class is this package's."""
    return function.__module__.split(".")[0] == __name__.split(".")[0]


def what_is_frozen(thing: object) -> str:
    """Return what compiled code would go on reading as it once was; or nothing.

    Such is a number or an array that a user's function reads from outside.
    """
    for kind in kinds(thing):
        for function in methods_of(kind).values():
            for name in _frozen(function, set()):
                return (
                    f"{kind.__name__}.{function.__name__} reads {name!r} from outside,"
                    " which compiled code would keep as it is now; make it an"
                    " attribute of the learner"
                )
    return ""


def _frozen(
    function: types.FunctionType, known: set[types.FunctionType]
) -> Iterator[str]:
    """Yield names of values that a function of the user's, or one it calls, reads."""
    if is_ours(function) or function in known:
        return
    known.add(function)
    outside = function.__globals__
    read = sorted(globals_read(function.__code__) & outside.keys())
    values = {name: outside[name] for name in read}
    values |= inspect.getclosurevars(function).nonlocals
    for name, value in values.items():
        if isinstance(value, types.FunctionType):
            yield from _frozen(value, known)
        elif not isinstance(value, types.ModuleType | type) and not callable(value):
            yield name
