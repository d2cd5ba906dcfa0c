"""One zip for a repository such as Zenodo: code, lock, data, record, and the study.

The files of git's HEAD stand where they stand in a checkout, and the study's results,
executed notebooks and report in ``build``, so that ``make reproduce`` in the unpacked
archive finds every run done. ``sha256sum -c SHA256SUMS`` checks them all. The same
commit and study give the same bytes.
"""

import hashlib
import json
import stat
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from ..errors import InputError
from ..files import written
from ..study import provenance
from ..study.study import Study
from . import manifest
from .manifest import MANIFEST
from .stamps import as_study

SUMS = "SHA256SUMS"
#: The earliest date that a zip can hold: no date of the day in it.
EPOCH = (1980, 1, 1, 0, 0, 0)


class Content(NamedTuple):
    """A file's bytes, and whether it can be executed."""

    data: bytes
    executable: bool = False


def write(
    planned: Sequence[Mapping[str, Any]],
    study: Study | str | Path = "build",
    output: str | Path | None = None,
    dirty: bool = False,
) -> tuple[Path, int]:
    """Write the archive of a study that is done and whose record is committed.

    Parameters
    ----------
    planned : sequence of dict
        From `runner.plan`.
    study : Study, or path of its folder
    output : path, optional
        By default ``build/pickllm-<version>-<commit>.zip``.
    dirty : bool
        Whether to pack files that differ from HEAD, too; the archive then says so in
        its name and in itself.

    Returns
    -------
    (pathlib.Path, int)
        The zip, and the number of files in it.

    Raises
    ------
    InputError
        No git, changed files, runs that are not done, or a record that is not this
        study's.
    """
    from .. import __version__

    study = as_study(study)
    changed = _changed(study, dirty)
    _require_record(planned, study)
    code = provenance.code(study.root)
    name = f"pickllm-{__version__}-{provenance.short(code['commit'])}"
    if changed:
        name += "-dirty"
    statement = {
        "format": 1,
        "kit": __version__,
        "code": code | {"clean": not changed},
        "changed": changed,
        "study": study.folder.as_posix(),
    }
    contents = _tracked(study) | _made(planned, study)
    said = json.dumps(statement, indent=1) + "\n"
    contents[provenance.ARCHIVE] = Content(said.encode())
    contents[SUMS] = Content(_sums(contents).encode())
    path = Path(output) if output else study.root / "build" / f"{name}.zip"
    with written(path, "wb") as file:
        pack(file, name, contents)
    return path, len(contents)


def _sums(contents: dict[str, Content]) -> str:
    """Return the hash of each file, in the form that ``sha256sum -c`` reads."""
    lines = []
    for path, content in sorted(contents.items()):
        lines.append(f"{hashlib.sha256(content.data).hexdigest()}  {path}\n")
    return "".join(lines)


def pack(file: IO[bytes], name: str, contents: dict[str, Content]) -> None:
    """Write files into a zip, sorted and with fixed times.

    So the same content gives the same bytes.

    Parameters
    ----------
    file : binary file
    name : str
        The folder at the zip's top.
    contents : dict of str to Content
        By path.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path, content in sorted(contents.items()):
            mode = 0o755 if content.executable else 0o644
            info = zipfile.ZipInfo(f"{name}/{path}", EPOCH)
            info.create_system = 3  # POSIX, on every system
            info.external_attr = (stat.S_IFREG | mode) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content.data)


def _changed(study: Study, dirty: bool) -> list[str]:
    """Return the files that are not as committed; refuse them unless `dirty`."""
    changed = provenance.changed(study.root, ignoring=())
    if changed is None:
        raise InputError(
            f"{study.root} is no git checkout; an archive is made from one, so that its"
            " code has a commit"
        )
    if changed and not dirty:
        shown = ", ".join(changed[:3])
        if len(changed) > 3:
            shown += f" and {len(changed) - 3} more"
        raise InputError(
            f"not committed: {shown}; commit first, or mark the archive as such with"
            " --dirty"
        )
    return changed


def _require_record(planned: Sequence[Mapping[str, Any]], study: Study) -> None:
    """Refuse a study that is not done with this very code, or not the record's."""
    remedy = "run `make reproduce`, commit figures/, then again"
    waiting = [plan["run"].name for plan in planned if not plan["done"]]
    if waiting:
        raise InputError(
            f"{len(waiting)} of {len(planned)} runs are not done with this code (the"
            f" first: {waiting[0]}); {remedy}"
        )
    record = study.record / MANIFEST
    if not manifest.same(study.figures / MANIFEST, record):
        shown = record.relative_to(study.root).as_posix()
        raise InputError(
            f"{shown} is not the record of the study in {study.folder.as_posix()};"
            f" {remedy}"
        )


def _tracked(study: Study) -> dict[str, Content]:
    """Return every file that git knows, as it lies in the checkout."""
    listed = str(provenance.git(study.root, "ls-files", "--stage", "-z") or "")
    contents = {}
    for line in filter(None, listed.split("\0")):
        mode = line.partition(" ")[0]
        name = line.partition("\t")[2]
        path = study.root / name
        if path.is_file():  # neither a submodule nor deleted
            contents[name] = Content(path.read_bytes(), mode == "100755")
    return contents


def _made(planned: Sequence[Mapping[str, Any]], study: Study) -> dict[str, Content]:
    """Return results, stamps, notebooks, figures and report of a study's runs."""
    names = {plan["run"].name for plan in planned}
    paths = [p for p in study.results.iterdir() if p.name.split(".")[0] in names]
    paths += [study.notebooks / f"{name}.ipynb" for name in names]
    for folder in (study.figures, study.report):
        paths += [path for path in folder.rglob("*") if path.is_file()]
    return {
        path.relative_to(study.root).as_posix(): Content(path.read_bytes())
        for path in paths
        if not path.name.startswith(".")
    }
