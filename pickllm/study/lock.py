"""A lock on a study's folder: two processes never write into it at once."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

if os.name == "nt":
    import msvcrt
else:
    import fcntl

#: Where Windows locks a byte: far behind the process id, which stays readable.
_BYTE = 1 << 20


@contextmanager
def locked(folder: Path, name: str = "", shared: bool = False) -> Iterator[None]:
    """Hold a folder while the block runs; the system lets go when the process ends.

    Parameters
    ----------
    folder : pathlib.Path
        Made where it is not there.
    name : str, optional
        Of what is held in it; by default all of it.
    shared : bool
        Whether others may hold it too, as long as they share it (not on Windows).

    Raises
    ------
    InputError
        Another process holds it, or the folder cannot be written.
    """
    path = folder / f".{name}.lock" if name else folder / ".lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose"
            " a folder that you may write"
        ) from None
    with file:
        try:
            _lock(file.fileno(), shared)
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = file.read(20).strip() or "unknown"
            what = f"{folder}: {name}" if name else f"{folder}"
            raise InputError(
                f"{what} is in use by another run of the kit (process {holder}); wait"
                " until it ends, stop it, or choose another folder with --folder"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _lock(descriptor: int, shared: bool) -> None:
    """Lock an open file without waiting."""
    if os.name == "nt":
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
