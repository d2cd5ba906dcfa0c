"""Compiled code kept on disk, under what it was compiled from.

numba knows a kept function by its own file alone; here everything counts that it was
made of, also functions of other files and what a user wrote in a notebook.
"""

# numba has no types of its own:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportMissingTypeStubs=false
# pyright: reportUntypedBaseClass=false, reportIncompatibleMethodOverride=false
import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numba.experimental.function_type  # pyright: ignore[reportUnusedImport]
from numba.core.caching import FunctionCache, IndexDataCacheFile

from ..files import digest
from ..modules import code_hash

Function = Callable[..., Any]
#: How numba compiles a function that only compiled ones call.
IN_PLACE = {"forceinline": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class Kept(FunctionCache):
    """The compiled forms of one function that were made from one text.

    One for each signature; a function that is compiled for given types has one. Each
    has files of its own, so that processes at once never take one for another.
    """

    def __init__(self, function: Function, made_from: str, given: bool) -> None:
        super().__init__(function)
        self.made_from = made_from
        self.given = given

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        signature = "" if self.given else str(sig)
        key = signature, codegen.magic_tuple(), self.made_from
        name = digest([str(part) for part in key])[:16]
        self._cache_file = IndexDataCacheFile(
            cache_path=self._cache_path,
            filename_base=f"{self._impl.filename_base}-{name}",
            source_stamp=self._impl.locator.get_source_stamp(),
        )
        return key


def kept(function: Function, *made_from: object, types: Any = None) -> Function:
    """Return a function that is compiled on its first call, and kept where that works.

    Parameters
    ----------
    function : callable
    *made_from : object
        What tells it from others that this same code makes, beside the code of the
        engine: the values that it closes over, as text.
    types : numba signature, optional
        To compile it for at once; then it can be passed to compiled functions.
    """
    compile_it: Any = numba.njit
    alone = types is None
    text = f"{made_from} {_engine()}"
    # machine code is found by its name, and what is loaded is numbered as elsewhere
    function.__qualname__ += f"_{digest(text)[:16]}"
    dispatcher = compile_it(function, nogil=True, no_cfunc_wrapper=alone)
    with contextlib.suppress(RuntimeError):  # no folder to keep it in
        dispatcher._cache = Kept(function, text, not alone)
    if types is not None:
        dispatcher.compile(types)
        dispatcher.disable_compile()
    return dispatcher


@functools.cache
def _engine() -> str:
    return code_hash(*sorted(Path(__file__).parent.glob("*.py")))


class Passed(numba.types.WrapperAddressProtocol):
    """A function of `kept` for given types, as compiled functions take it."""

    def __init__(self, function: Any, types: Any) -> None:
        self.function = function
        self.types = types

    def __wrapper_address__(self) -> int:
        """Return where its machine code is."""
        compiled = self.function.get_compile_result(self.types)
        name = compiled.fndesc.llvm_cfunc_wrapper_name
        return compiled.library.get_pointer_to_function(name)

    def signature(self) -> Any:
        """Return its types."""
        return self.types


def in_place(function: Function, **options: Any) -> Function:
    """Return a function that is compiled into each function that calls it.

    Python itself cannot call it: what that takes is left out.
    """
    compile_it: Any = numba.njit
    return compile_it(function, **IN_PLACE, **options)
