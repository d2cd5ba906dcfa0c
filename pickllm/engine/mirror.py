"""Python objects as compiled code sees them: numbers in fields, methods compiled.

numba compiles functions of numbers, arrays and named tuples. A *mirror* stands for an
object of any class: a named tuple of its numbers, and of the mirrors of the objects
that it holds, on which the methods of its class can be called. So the code that Python
runs is the code that is compiled.
"""

# numba has no types of its own:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUnknownParameterType=false, reportMissingParameterType=false
# pyright: reportUntypedFunctionDecorator=false
import functools
import linecache
import re
import types
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic, overload_method, register_jitable
from numpy.typing import NDArray

from ..identity import globals_read
from .held import NUMBERS, fields, is_ours, kinds, methods_of
from .keeping import IN_PLACE, in_place

Function = Callable[..., Any]
#: Names for compiled text to use: (name, value) each.
Names = tuple[tuple[str, Any], ...]

#: The methods of each mirror's class, by name.
METHODS: dict[type, dict[str, types.FunctionType]] = {}
#: How numba's messages name a place.
PLACE = re.compile(
    r"""(?:File "|\b(?:Raised from|at) )(?P<file>[^"]+?)(?:", line | \()(?P<line>\d+)"""
)
#: What each function of `mirror` and `rebuilder` was made from.
TEXTS: dict[Function, str] = {}


def mirror(thing: object) -> tuple[Function, NDArray[np.float64]]:
    """Return a compiled function that makes an object's mirror, and its numbers.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> build, numbers = mirror(SimpleNamespace(rate=0.5, trials=3))
    >>> seen = build.py_func(numbers)
    >>> float(seen.rate), seen.trials
    (0.5, 3)
    """
    numbers: list[float] = []
    names: dict[str, Any] = {}
    text = _written(thing, numbers, names)
    build = _function(f"lambda numbers: {text}", tuple(names.items()))
    return build, np.array(numbers, np.float64)


def rebuilder(template: Any) -> Function:
    """Return a compiled function: a flat tuple of arrays -> the form of a template.

    Parameters
    ----------
    template : array, or (named) tuple of such templates
    """
    names: dict[str, Any] = {}
    text, _ = _placed(template, 0, names)
    return _function(f"lambda arrays: {text}", tuple(names.items()))


def carver(arrays: Sequence[Any]) -> Function:
    """Return a compiled function: memory and its layout -> a flat tuple of arrays.

    Parameters
    ----------
    arrays : sequence of ndarray
        Of the types and numbers of axes that are wanted; see `laid_out`.
    """
    parts: list[str] = []
    place = 0
    for array in arrays:
        first, words = f"layout[{place}]", f"layout[{place + 1}]"
        part = f"memory[{first}:{first} + {words}]"
        axes = [f"layout[{place + 2 + axis}]" for axis in range(array.ndim)]
        if array.dtype != np.float64:
            size = " * ".join(axes)
            part = f"{part}.view(np.{array.dtype.name})[:{size}]"
        if array.ndim > 1:
            part = f"{part}.reshape(({', '.join(axes)},))"
        parts.append(f"lent({part}), ")
        place += 2 + array.ndim
    names = (("lent", lent), ("np", np))
    return _function(f"lambda memory, layout: ({''.join(parts)})", names)


def laid_out(arrays: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return arrays one after the other as words of memory, and where each stands.

    The layout has for each array its first word, its words, and its shape.
    """
    words: list[Any] = []
    layout: list[int] = []
    for array in arrays:
        held = np.zeros(-(-array.nbytes // 8))
        held.view(np.uint8)[: array.nbytes] = array.reshape(-1).view(np.uint8)
        layout += [sum(map(len, words)), len(held), *array.shape]
        words.append(held)
    return np.concatenate(words), np.array(layout, np.int64)


def carved(memory: NDArray[np.float64], arrays: Sequence[Any]) -> tuple[Any, ...]:
    """Return arrays of the shapes and types of those given, over memory laid out."""
    found: list[Any] = []
    first = 0
    for array in arrays:
        words = -(-array.nbytes // 8)
        part = memory[first : first + words].view(np.uint8)[: array.nbytes]
        found.append(part.view(array.dtype).reshape(array.shape))
        first += words
    return tuple(found)


def storer(template: Any, returns: bool) -> Function:
    """Return a compiled function that copies a state into a flat tuple of arrays.

    It does nothing where a state is changed in place.
    """
    lines = ["def store(arrays, state):", "    pass"]
    if returns:
        for i, place in enumerate(_paths(template, "state")):
            lines.append(f"    arrays[{i}][...] = {place}")
    return _defined("\n".join(lines))


def _paths(template: Any, place: str) -> Iterator[str]:
    """Yield how each array of a template is reached, in order."""
    if not isinstance(template, tuple):
        yield place
        return
    for i, part in enumerate(template):
        yield from _paths(part, f"{place}[{i}]")


@functools.cache
def _defined(text: str) -> Function:
    """Return the function that a text defines, compiled."""
    names: dict[str, Any] = {}
    exec(text, names)
    return in_place(next(value for name, value in names.items() if name[0] != "_"))


@intrinsic
def lent(typing_context: Any, array: Any) -> Any:
    """Return an array that nobody counts references to: its owner outlives the loop."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(array)(context, builder, arguments[0])
        view.meminfo = view.meminfo.type(None)
        return view._getvalue()

    return array(array), generate


# What cannot be compiled


def why(error: Exception, thing: object) -> str:
    """Return where in an object's functions compiling stopped, and why."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    files = {
        function.__code__.co_filename
        for kind in kinds(thing)
        for function in methods_of(kind).values()
    }
    name = type(thing).__name__
    reason = f"{type(error).__name__}"
    for line in text.splitlines():
        place = PLACE.search(line)
        if place is None:
            reason = line.strip() or reason
            continue
        for file in files:
            if file.endswith(place["file"].lstrip("./")):
                said = line[: place.start()].strip(" .")
                source = linecache.getline(file, int(place["line"])).strip()
                return f"{name}: line {place['line']}, `{source}`: {said or reason}"
    return f"{name}: {reason}"


# Text that is compiled


@functools.cache
def _function(text: str, names: Names) -> Function:
    function = in_place(eval(text, dict(names)))
    TEXTS[function] = text
    return function


def _placed(template: Any, first: int, names: dict[str, Any]) -> tuple[str, int]:
    """Return how a template is written over a flat tuple, and the place after it."""
    if not isinstance(template, tuple):
        return f"arrays[{first}]", first + 1
    parts: list[str] = []
    for part in template:
        text, first = _placed(part, first, names)
        parts.append(f"{text}, ")
    kind = ""
    if hasattr(template, "_fields"):
        kind = f"Form{len(names)}"
        names[kind] = type(template)
    return f"{kind}({''.join(parts)})", first


def _written(thing: object, numbers: list[float], names: dict[str, Any]) -> str:
    """Return how an object's mirror is written; its numbers join the others."""
    held = dict(fields(thing))
    name = f"Mirror{len(names)}"
    names[name] = _mirror_of(type(thing), tuple(held))
    parts: list[str] = []
    for value in held.values():
        if isinstance(value, NUMBERS):
            parts.append(_number(value, len(numbers)))
            numbers.append(float(value))
        else:
            parts.append(_written(value, numbers, names))
    return f"{name}({', '.join(parts)})"


def _number(value: Any, place: int) -> str:
    """Return how a number is read from its place."""
    if isinstance(value, bool | np.bool_):
        return f"numbers[{place}] > 0.0"
    if isinstance(value, int | np.integer):
        return f"int(numbers[{place}])"
    return f"numbers[{place}]"


# Methods


@functools.cache
def _mirror_of(kind: type, fields: tuple[str, ...]) -> type:
    """Return the named tuple that stands for objects of a class."""
    stands = namedtuple(kind.__name__, fields)  # pyright: ignore[reportUntypedNamedTuple]
    METHODS[stands] = methods_of(kind)
    for name in METHODS[stands]:
        _teach_method(name)
    return stands


@functools.cache
def _teach_method(name: str) -> None:
    """Let numba find methods of a name on the mirrors whose class has one."""

    def method(self, *arguments):
        functions = METHODS.get(self.instance_class, {})
        if name not in functions:
            return None
        run = compiled(functions[name])

        def call(self, *arguments):
            return run(self, *arguments)

        return call

    teach: Any = overload_method
    teach(numba.types.BaseNamedTuple, name, jit_options=IN_PLACE)(method)


def method_of(kind: type, name: str) -> Function:
    """Return a function of a class, compiled."""
    return compiled(methods_of(kind)[name])


@functools.cache
def compiled(function: types.FunctionType) -> Function:
    """Return a function compiled, and what it calls taught to numba.

    What is not of this package minds the ends of arrays.
    """
    _teach_called(function)
    return in_place(function, boundscheck=not is_ours(function))


@functools.cache
def _teach_called(function: types.FunctionType) -> None:
    """Let numba compile the plain functions that a function calls."""
    for name in globals_read(function.__code__):
        called = function.__globals__.get(name)
        if isinstance(called, types.FunctionType):
            _teach_called(called)
            check = not is_ours(called)
            register_jitable(boundscheck=check, **IN_PLACE)(called)
