"""Identity: what a thing is, as plain data, so that results can be told apart.

Two things of one identity give the same result. What belongs to the package, or to an
installed library, is known by its place; what is the user's own is known by its code,
and by everything that this code reads.
"""

import copyreg
import dis
import json
import pathlib
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .files import digest

#: Values that JSON holds as they are.
PLAIN = (type(None), bool, int, float, str)
#: What Python itself writes into a class: of no effect, or told elsewhere.
UNREAD = {
    "__abstractmethods__",
    "__annotations__",
    "__dataclass_fields__",
    "__dataclass_params__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__match_args__",
    "__module__",
    "__orig_bases__",
    "__parameters__",
    "__qualname__",
    "__slotnames__",
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
}
#: Parts of classes that are written in C.
DESCRIPTORS = (
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
    types.MethodDescriptorType,
    types.MethodWrapperType,
    types.WrapperDescriptorType,
)
OWN = "pickllm"


def identity(thing: Any) -> Any:
    """Return what a thing is, as data that JSON can hold.

    Parameters
    ----------
    thing : object
        A learner, a reward, a lock rule, a function, an array, or any of them in one
        another.

    Returns
    -------
    object
        Plain values stand for themselves, arrays for type, shape and SHA-256. An object
        is its class and its state. A function or class of the user's is its code, its
        constants, what it closes over, and the globals that it reads. What cannot be
        read is marked (see `unknowable`).

    Examples
    --------
    >>> identity(lambda x: x + 1) == identity(lambda x: x + 2)
    False
    """
    return _Reader().read(thing)


def unknowable(data: Any) -> list[str]:
    """Return the classes of the things in an identity that could not be read.

    Examples
    --------
    >>> import threading
    >>> unknowable(identity([1, threading.Lock()]))
    ['_thread.lock']
    """
    return sorted(set(_found(data, "unknowable")))


def places(data: Any) -> list[str]:
    """Return where the classes and functions in an identity stand.

    Examples
    --------
    >>> from pickllm import LinearRewardInaction
    >>> places(identity(LinearRewardInaction()))[-1]
    'pickllm.core.learners.LinearRewardInaction'
    """
    return sorted(set(_found(data, "place")))


def _found(data: Any, key: str) -> Iterator[str]:
    """Yield every value under a key, however deep."""
    if isinstance(data, dict):
        if key in data:
            yield data[key]
        parts: Iterable[Any] = data.values()
    else:
        parts = data if isinstance(data, list) else ()
    for part in parts:
        yield from _found(part, key)


class _Reader:
    """Reads one thing; what it meets a second time is named by number.

    Functions and classes are met again wherever they come twice; other things only
    inside themselves, so that two equal ones are as good as one.
    """

    def __init__(self):
        self.seen: list[Any] = []
        self.around: list[int] = []

    def read(self, thing: Any) -> Any:
        """Return the identity of a thing, plain or not."""
        if type(thing) in PLAIN:
            return thing
        if isinstance(thing, np.ndarray | np.generic):
            return self._array(np.asarray(thing))
        if isinstance(thing, type | types.FunctionType):
            for number, known in enumerate(self.seen):
                if known is thing:
                    return {"again": number}
            self.seen.append(thing)
            if isinstance(thing, type):
                return self._class(thing)
            return self._function(thing)
        if id(thing) in self.around:
            return {"around": len(self.around) - self.around.index(id(thing))}
        self.around.append(id(thing))
        try:
            return self._reader_of(type(thing))(thing)
        finally:
            self.around.pop()

    def _reader_of(self, kind: type) -> Callable[[Any], Any]:
        """Return the function that reads things of a class."""
        readers: list[tuple[Any, Callable[[Any], Any]]] = [
            (bytes, lambda thing: {"bytes": digest(thing)}),
            (list, lambda thing: {"list": self._each(thing)}),
            (tuple, lambda thing: {"tuple": self._each(thing)}),
            (dict, lambda thing: {"dict": self._each(map(list, thing.items()))}),
            (set, self._set),
            (frozenset, self._set),
            (types.CodeType, self._code),
            (types.ModuleType, self._module),
            (types.CellType, self._cell),
            (types.MethodType, self._method),
            (types.BuiltinFunctionType, self._builtin),
            (property, lambda p: {"property": self._each((p.fget, p.fset, p.fdel))}),
            (staticmethod, lambda s: {"staticmethod": self.read(s.__func__)}),
            (classmethod, lambda c: {"classmethod": self.read(c.__func__)}),
        ]
        for known, reader in readers:
            if kind is known:
                return reader
        if issubclass(kind, DESCRIPTORS):
            return lambda thing: {"descriptor": thing.__qualname__}
        return self._object

    def _each(self, things: Iterable[Any]) -> list[Any]:
        return [self.read(thing) for thing in things]

    def _set(self, thing: Any) -> Any:
        return {"set": sorted(self._each(thing), key=json.dumps)}

    def _array(self, array: np.ndarray) -> Any:
        described = {"dtype": str(array.dtype), "shape": list(array.shape)}
        if array.dtype.hasobject:
            return described | {"items": self.read(array.ravel().tolist())}
        return described | {"sha256": digest(np.ascontiguousarray(array).tobytes())}

    def _module(self, module: types.ModuleType) -> Any:
        described = {"module": module.__name__}
        file = getattr(module, "__file__", None)
        if _is_known(module.__name__) or file is None:
            return described
        return described | {"sha256": digest(pathlib.Path(file))}

    def _cell(self, cell: types.CellType) -> Any:
        try:
            return {"cell": self.read(cell.cell_contents)}
        except ValueError:  # a name without a value yet
            return {"cell": "empty"}

    def _method(self, method: types.MethodType) -> Any:
        return {"method": self._each((method.__func__, method.__self__))}

    def _builtin(self, function: Any) -> Any:
        described = {"place": _place(function)}
        owner = function.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            return described
        return described | {"self": self.read(owner)}

    def _code(self, code: types.CodeType) -> Any:
        """Return what a code object does: without file, lines or comments."""
        counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
        names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
        return {
            "code": digest(code.co_code, code.co_exceptiontable),
            "flags": code.co_flags,
            "arguments": list(counts),
            "names": [list(some) for some in names],
            "constants": self._each(code.co_consts),
        }

    def _function(self, function: types.FunctionType) -> Any:
        described: dict[str, Any] = {"place": _place(function)}
        known = _is_known(function.__module__)
        if known and "<" not in function.__qualname__:
            return described
        parts = {
            "code": function.__code__,
            "defaults": (function.__defaults__, function.__kwdefaults__),
            "closure": function.__closure__,
            "attributes": vars(function),
        }
        if not known:
            values = function.__globals__
            names = sorted(globals_read(function.__code__) & values.keys())
            parts["globals"] = {name: values[name] for name in names}
        return described | {name: self.read(part) for name, part in parts.items()}

    def _class(self, kind: type) -> Any:
        described = {"place": _place(kind)}
        if _is_known(kind.__module__):
            return described
        body = {name: vars(kind)[name] for name in sorted(vars(kind).keys() - UNREAD)}
        return described | {
            "bases": self._each((type(kind), *kind.__bases__)),
            "body": self.read(body),
        }

    def _object(self, thing: Any) -> Any:
        """Return an object's class and state: what a copy of it would be made from."""
        kind = type(thing)
        described = {"class": self.read(kind)}
        if callable(getattr(thing, "__wrapped__", None)):  # lru_cache, numba.njit
            return described | {"wraps": self.read(thing.__wrapped__)}
        try:
            reduce = copyreg.dispatch_table.get(kind)
            parts = reduce(thing) if reduce else thing.__reduce_ex__(4)
        except Exception:  # whatever a class of the user's may raise
            return {"unknowable": _place(kind)}
        if isinstance(parts, str):
            return {"place": f"{kind.__module__}.{parts}"}
        state = [list(p) if isinstance(p, Iterator) else p for p in parts]
        if not _is_known(kind.__module__):  # whatever its copies would leave out
            state.append(object.__getstate__(thing))
        return described | {"state": self._each(state)}


def globals_read(code: types.CodeType) -> set[str]:
    """Return the names of globals that some code, or code within it, reads."""
    read = {
        step.argval
        for step in dis.get_instructions(code)
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            read |= globals_read(constant)
    return read


def _place(thing: Any) -> str:
    module = thing.__module__ if isinstance(thing.__module__, str) else "builtins"
    return f"{module}.{thing.__qualname__}"


def _is_known(module: Any) -> bool:
    """Whether a module is the package's, the standard library's or installed."""
    if not isinstance(module, str):  # of what is written in C
        return True
    root = module.split(".")[0]
    if root == OWN or root in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(root), "__file__", None)
    folders = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    return file is not None and any(
        pathlib.Path(file).is_relative_to(folder) for folder in folders
    )
