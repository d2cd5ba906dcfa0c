"""Files: where the kit's own stand, and how any file is written so that none is ever left half-done."""

import hashlib
import json
import os
import pathlib
import tempfile
from contextlib import contextmanager

from .errors import InputError

PACKAGE = pathlib.Path(__file__).resolve().parent


def home(folder):
    """Return the kit's top-level ``folder`` (``data``, ``notebooks``): in a checkout, else in the wheel."""
    checkout = PACKAGE.parent / folder
    return (
        checkout
        if checkout.is_dir() and (PACKAGE.parent / "pyproject.toml").exists()
        else PACKAGE / folder
    )


def root():
    """Return the checkout that the kit stands in, else the current folder; relative paths start there."""
    return (
        PACKAGE.parent
        if (PACKAGE.parent / "pyproject.toml").exists()
        else pathlib.Path.cwd()
    )


@contextmanager
def written(path, mode="w"):
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
        text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
        with os.fdopen(handle, mode, **text) as file:
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
