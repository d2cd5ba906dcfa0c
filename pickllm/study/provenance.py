"""Where a run comes from: the commit of the code, the lock, the machine.

Facts only, read when asked; `runner` writes them into each run's stamp, `receipts` into
the manifest.
"""

import importlib.metadata
import json
import os
import pathlib
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Literal, overload

from ..files import root

#: Written by `make reproduce` itself: a commit of these is not a change of the code
#: that drew them.
WRITTEN = ("figures", "README.md")
#: Folders in which a file that git does not know can change a result.
INPUTS = ("pickllm", "notebooks", "data")
#: What an archive says of itself where git does not know (see `archive`).
ARCHIVE = "ARCHIVE.json"
LOCK = "requirements.lock"
PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "numba",
    "matplotlib",
    "seaborn",
    "statsmodels",
    "papermill",
    "jupyterlab",
    "evaluate",
    "huggingface-hub",
)
UNKNOWN = {"commit": None, "date": None, "clean": None}


@overload
def git(
    folder: str | pathlib.Path, *arguments: str, binary: Literal[False] = False
) -> str | None: ...
@overload
def git(
    folder: str | pathlib.Path, *arguments: str, binary: Literal[True]
) -> bytes | None: ...
def git(
    folder: str | pathlib.Path, *arguments: str, binary: bool = False
) -> str | bytes | None:
    """Return what git prints in a folder, as bytes if ``binary``.

    None where there is no git, no checkout or no such thing in it.
    """
    try:
        printed = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return printed if binary else printed.decode("utf-8")


def changed(
    folder: str | pathlib.Path | None = None, ignoring: Sequence[str] = WRITTEN
) -> list[str] | None:
    """Return the files that differ from git's HEAD.

    Tracked ones anywhere, new ones where they can change a result.

    Parameters
    ----------
    folder : path, optional
        The checkout; by default the kit's own.
    ignoring : sequence of str
        Paths left out, from the checkout's top.

    Returns
    -------
    list of str, or None where there is no git
    """
    folder = pathlib.Path(folder or root())
    # a folder inside somebody else's checkout is not theirs
    if not (folder / ".git").exists():
        return None
    tracked = git(
        folder,
        "diff",
        "--name-only",
        "-z",
        "HEAD",
        "--",
        ".",
        *(f":(exclude){path}" for path in ignoring),
    )
    new = git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", *INPUTS)
    if tracked is None or new is None:
        return None
    return sorted({path for path in f"{tracked}{new}".split("\0") if path})


def code(folder: str | pathlib.Path | None = None) -> dict[str, Any]:
    """Return the last commit that changed anything but what `make reproduce` writes.

    So a record made at one commit and committed in the next still names the code that
    made it.

    Returns
    -------
    dict
        ``commit`` (40 hex digits), ``date`` (of the commit, ISO 8601), ``clean``
        (nothing changed since), each None if unknown.
    """
    folder = pathlib.Path(folder or root())
    differing = changed(folder)
    if differing is None:
        archive = folder / ARCHIVE
        if not archive.exists():
            return dict(UNKNOWN)
        stated = json.loads(archive.read_text("utf-8"))["code"]
        return {name: stated[name] for name in UNKNOWN}
    text = git(
        folder,
        "log",
        "-1",
        "--format=%H %cI",
        "--",
        ".",
        *(f":(exclude){path}" for path in WRITTEN),
    )
    if not text or not text.strip():
        return dict(UNKNOWN)
    commit, date = text.split()
    return {"commit": commit, "date": date, "clean": not differing}


def lock(folder: str | pathlib.Path | None = None) -> dict[str, str] | None:
    """Return the lock file's name and SHA-256, or None where there is none."""
    path = pathlib.Path(folder or root()) / LOCK
    return {"file": LOCK, "sha256": sha256(path)} if path.exists() else None


def sha256(path: str | pathlib.Path) -> str:
    """Return the SHA-256 of a file as ``sha256sum`` prints it.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (pathlib.Path(folder) / "a").write_bytes(b"abc")
    ...     sha256(pathlib.Path(folder) / "a")[:16]
    'ba7816bf8f01cfea'
    """
    import hashlib

    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def machine() -> dict[str, Any]:
    """Return what ran it: Python, system, cores, memory, and versions."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "versions": versions,
        "not_locked": off_lock(versions),
    }


def off_lock(
    versions: Mapping[str, str], folder: str | pathlib.Path | None = None
) -> list[str] | None:
    """Return the packages whose version is not the lock's; None without a lock."""
    path = pathlib.Path(folder or root()) / LOCK
    if not path.exists():
        return None
    pinned = set(
        re.findall(
            r"^([A-Za-z0-9._-]+)==([^\s;\\]+)",
            path.read_text("utf-8"),
            flags=re.MULTILINE,
        )
    )
    return sorted(
        name for name, version in versions.items() if (name, version) not in pinned
    )


def _memory_gb() -> float | None:
    try:
        return round(
            os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1
        )
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return None


def short(commit: str | None) -> str:
    """Return a commit as people write it.

    Examples
    --------
    >>> short("0123456789abcdef"), short(None)
    ('0123456789ab', 'unknown')
    """
    return commit[:12] if commit else "unknown"
