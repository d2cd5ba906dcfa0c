"""The record: the committed figures, as git's HEAD has them, else as they lie there."""

from typing import Any

from ..study import provenance
from ..study.study import Study
from .manifest import MANIFEST


def committed(study: Study, name: str) -> bytes | None:
    """Return a file of the record; None where there is none.

    It is git's, in HEAD, where the checkout is under git, whatever lies in the folder
    by now.
    """
    path = study.record / name
    if not _under_git(study):
        return path.read_bytes() if path.exists() else None
    place = path.relative_to(study.root).as_posix()
    content = provenance.git(study.root, "show", f"HEAD:{place}", binary=True)
    return content if isinstance(content, bytes) else None


def listed(study: Study) -> list[str]:
    """Return the names of the record's files."""
    if not _under_git(study):
        return sorted(path.name for path in study.record.glob("*"))
    place = study.record.relative_to(study.root).as_posix()
    tree = ("ls-tree", "--name-only", "HEAD", f"{place}/")
    paths = str(provenance.git(study.root, *tree) or "").splitlines()
    return [path.removeprefix(f"{place}/") for path in paths]


def code_of_record(study: Study) -> dict[str, Any]:
    """Return the commit of the code that the committed record was made with.

    Read off git's history: the last commit of more than the record itself, before or
    with the one that committed the manifest.

    Returns
    -------
    dict
        As `provenance.code` does; ``clean`` is None, since nobody can know it.
    """
    place = (study.record / MANIFEST).relative_to(study.root).as_posix()
    made = _last_commit(study, "HEAD", place)
    if made is None:
        return provenance.code(study.root)
    others = [f":(exclude){path}" for path in provenance.WRITTEN]
    commit, date = _last_commit(study, made[0], ".", *others) or (None, None)
    return {"commit": commit, "date": date, "clean": None}


def _last_commit(study: Study, until: str, *paths: str) -> list[str] | None:
    """Return the last commit of some paths up to another, and its date."""
    if not _under_git(study):
        return None
    log = ("log", "-1", "--format=%H %cI", until, "--", *paths)
    return str(provenance.git(study.root, *log) or "").split() or None


def _under_git(study: Study) -> bool:
    return (study.root / ".git").exists()
