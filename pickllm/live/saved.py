"""Saved routers: the state file of a router, and what stands in it.

A file of format 3 holds a learner's state as lists of arrays, in the learner's own
order, and how ties are broken; in one of format 2 they go to the first LLM. One of
format 1 also names the classes of the state's tuples, and all classes by
the modules that they then stood in.
"""

import importlib
import sys
from contextlib import suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.state import State, map_state
from ..errors import InputError
from ..readers import read_json

FORMAT = 3
#: Where the classes stand that states of format 1 name.
MOVED = {
    "pickllm.learners": "pickllm.core.learners",
    "pickllm.locking": "pickllm.core.locking",
    "pickllm.automata": "pickllm.beyond.automata",
    "pickllm.bandits": "pickllm.beyond.bandits",
    "pickllm.identification": "pickllm.beyond.identification",
    "pickllm.contextual": "pickllm.beyond.contextual",
    "pickllm.scenarios": "pickllm.beyond.scenarios",
}


def read_state(path: str | Path) -> dict[str, Any]:
    """Return what a state file holds.

    Raises
    ------
    MissingFileError, InputError
        No such file, not JSON, or another format.
    """
    remedy = "save one with Router.save, or start a new Router"
    saved = read_json(path, "router state", remedy)
    if not isinstance(saved, dict) or "format" not in saved:
        raise InputError(f"{path}: not a router state; {remedy}")
    if saved["format"] not in (1, 2, FORMAT):
        raise InputError(
            f"{path}: router state of format {saved['format']}, this version reads"
            f" {FORMAT}; start a new Router"
        )
    return saved


def to_json(thing: Any) -> dict[str, Any] | None:
    """Return a learner or lock rule (a dataclass, or None) as its class and fields."""
    if thing is None:
        return None
    kind = type(thing)
    name = f"{kind.__module__}:{kind.__qualname__}"
    return {"class": name, "parameters": asdict(thing)}


def from_json(saved: dict[str, Any] | None) -> Any:
    """Return the learner or lock rule that `to_json` described.

    Raises
    ------
    InputError
        The class is neither the kit's own nor one that the running program defines.
    """
    if saved is None:
        return None
    said, _, name = str(saved["class"]).partition(":")
    module = MOVED.get(said, said)
    if module.startswith("pickllm."):
        with suppress(ImportError):
            importlib.import_module(module)
    kind = getattr(sys.modules.get(module), name, None)
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise InputError(
            f"router state names the class {saved['class']!r}, which this program does"
            " not know; import its module first"
        )
    return kind(**saved["parameters"])


def state_to_json(state: State) -> Any:
    """Return a state as plain lists, each array with its type and shape."""
    return map_state(_array_to_json, state)


def state_from_json(saved: Any, like: State) -> State:
    """Return the state that `state_to_json` described.

    Parameters
    ----------
    saved : list, dict or None
    like : array or tuple
        A state of the same learner, whose form the saved one takes.
    """
    return map_state(lambda _, array: _array_from_json(array), like, _as_lists(saved))


def _array_to_json(array: Any) -> dict[str, Any] | None:
    if array is None:
        return None
    array = np.asarray(array)
    return {
        "array": array.tolist(),
        "dtype": array.dtype.str,
        "shape": list(array.shape),
    }


def _array_from_json(saved: dict[str, Any] | None) -> np.ndarray | None:
    if saved is None:
        return None
    return np.array(saved["array"], dtype=saved["dtype"]).reshape(saved["shape"])


def _as_lists(saved: Any) -> Any:
    """Return a saved state as format 3 has it; format 1 names its tuples' classes."""
    if isinstance(saved, dict) and "tuple" in saved:
        saved = saved["tuple"]
    if isinstance(saved, list):
        return [_as_lists(part) for part in saved]
    return saved
