"""The record: the committed figures, as git's HEAD has them, else as they lie there."""

from ..study import provenance
from ..study.study import Study


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


def _under_git(study: Study) -> bool:
    return (study.root / ".git").exists()
