"""Files: where the kit's own stand, and how any file is written so that none is ever left half-done."""

import functools
import hashlib
import json
import os
import pathlib
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from .errors import InputError

PACKAGE = pathlib.Path(__file__).resolve().parent


@functools.cache
def checkout() -> pathlib.Path | None:
    """Return the checkout of the kit that the package stands in.

    Returns
    -------
    pathlib.Path or None
        None for an installed package, whatever project it is installed beside.
    """
    project = PACKAGE.parent / "pyproject.toml"
    if not project.exists():
        return None
    stated = tomllib.loads(project.read_text("utf-8"))
    name = stated.get("project", {}).get("name")
    return PACKAGE.parent if name == "pickllm" else None


def home(name: str) -> pathlib.Path:
    """Return a folder or file that ships with the kit, such as ``data`` or METHODS.md.

    Returns
    -------
    pathlib.Path
        At the top of the checkout, else in the installed package.
    """
    place = checkout()
    if place and (place / name).exists():
        return place / name
    return PACKAGE / name


def root() -> pathlib.Path:
    """Return the checkout that the kit stands in, else the current folder.

    Relative paths start there.
    """
    return checkout() or pathlib.Path.cwd()


@contextmanager
def written(path: str | pathlib.Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open ``path`` for writing; it gets its final name only when the block ends without an error.

    Raises
    ------
    InputError
        The folder cannot be written, or the disk is full.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with written(pathlib.Path(folder) / "a.txt") as file:
    ...         _ = file.write("done")
    ...     (pathlib.Path(folder) / "a.txt").read_text()
    'done'
    """
    path = pathlib.Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        is_text = "b" not in mode
        with os.fdopen(
            handle,
            mode,
            encoding="utf-8" if is_text else None,
            newline="\n" if is_text else None,
        ) as file:
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
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def write_json(path, value):
    """Write ``value`` as indented JSON with a final newline."""
    with written(path) as file:
        json.dump(value, file, indent=1, ensure_ascii=False)
        file.write("\n")


def write_csv(path, frame, digits=6):
    """Write a table as CSV with ``digits`` significant digits, the form that `verify` compares."""
    with written(path) as file:
        frame.to_csv(
            file, index=False, float_format=f"%.{digits}g", lineterminator="\n"
        )


def digest(*parts):
    """SHA-256 over bytes, strings, files' contents (paths) and plain data (as sorted JSON)."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, pathlib.Path):
            part = part.read_bytes()
        elif not isinstance(part, bytes):
            part = (
                part
                if isinstance(part, str)
                else json.dumps(part, sort_keys=True, default=str)
            ).encode()
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return total.hexdigest()
