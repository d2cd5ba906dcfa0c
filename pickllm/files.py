"""Files: where the kit's own stand, and how one is written whole or not at all."""

import functools
import hashlib
import json
import os
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .errors import InputError

if TYPE_CHECKING:
    import pandas as pd

PACKAGE = Path(__file__).resolve().parent


@functools.cache
def checkout() -> Path | None:
    """Return the checkout of the kit that the package stands in.

    None for an installed package, whatever project it is installed beside.
    """
    project = PACKAGE.parent / "pyproject.toml"
    if not project.exists():
        return None
    stated = tomllib.loads(project.read_text("utf-8"))
    name = stated.get("project", {}).get("name")
    return PACKAGE.parent if name == "pickllm" else None


def home(name: str) -> Path:
    """Return a folder or file that ships with the kit, such as ``data``.

    It stands at the top of the checkout, else in the installed package.
    """
    place = checkout()
    if place and (place / name).exists():
        return place / name
    return PACKAGE / name


def root() -> Path:
    """Return where relative paths start: the checkout, else the current folder."""
    return checkout() or Path.cwd()


@contextmanager
def written(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file for writing; it gets its name when the block ends without an error.

    Parameters
    ----------
    path : path
        Its folder is made if there is none.
    mode : {"w", "wb"}

    Raises
    ------
    InputError
        The folder cannot be written, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written(Path(folder) / "a.txt") as file:
    ...         _ = file.write("done")
    ...     (Path(folder) / "a.txt").read_text()
    'done'
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        binary = "b" in mode
        encoding = None if binary else "utf-8"
        newline = None if binary else "\n"
        with os.fdopen(handle, mode, encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose"
            " a folder that you may write"
        ) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def write_json(path: str | Path, value: object) -> None:
    """Write plain data as indented JSON with a final newline."""
    with written(path) as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.write("\n")


def write_csv(path: str | Path, frame: "pd.DataFrame", digits: int = 6) -> None:
    """Write a table as CSV with some significant digits, the form `verify` compares."""
    number = f"%.{digits}g"
    with written(path) as file:
        frame.to_csv(file, index=False, float_format=number, lineterminator="\n")


def digest(*parts: object) -> str:
    """Return SHA-256 over bytes, texts, files (paths), plain data (as sorted JSON)."""
    total = hashlib.sha256()
    for part in parts:
        content = _as_bytes(part)
        total.update(len(content).to_bytes(8, "little"))
        total.update(content)
    return total.hexdigest()


def _as_bytes(part: object) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, Path):
        return part.read_bytes()
    if isinstance(part, str):
        return part.encode()
    return json.dumps(part, sort_keys=True, default=str).encode()
