"""One zip for a repository such as Zenodo: the code, the lock, the data, the record, and the study behind it.

The files of git's HEAD stand where they stand in a checkout, and the study's results, executed notebooks and
report in ``build``, so that ``make reproduce`` in the unpacked archive finds every run done. ``SHA256SUMS``
lists all; ``verify_archive.py`` checks them. The same commit and study give the same bytes.
"""

import hashlib
import json
import os
import pathlib
import stat
import zipfile

from ..errors import InputError
from ..files import PACKAGE, root, written
from ..study import provenance
from . import receipts
from .verify_archive import SUMS

_EPOCH = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the earliest that a zip can hold: no date of the day in it


def write(planned, folder="build", output=None, dirty=False):
    """Write the archive of a study that is done and whose record is committed.

    Parameters
    ----------
    planned : list of dict
        From `study.plan`.
    folder : path
        The study's folder.
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

    changed = _state(dirty)
    _require_record(planned, folder)
    code = provenance.code()
    name = f"pickllm-{__version__}-{provenance.short(code['commit'])}{'-dirty' if changed else ''}"
    statement = {
        "format": 1,
        "kit": __version__,
        "code": code | {"clean": not changed},
        "changed": changed,
        "study": pathlib.Path(folder).as_posix(),
    }
    content = _tracked() | _study(planned, folder)
    content["verify_archive.py"] = (
        (PACKAGE / "publish" / "verify_archive.py").read_bytes(),
        False,
    )
    content[provenance.ARCHIVE] = (
        (json.dumps(statement, indent=1) + "\n").encode(),
        False,
    )
    sums = "".join(
        f"{hashlib.sha256(data).hexdigest()}  {path}\n"
        for path, (data, _) in sorted(content.items())
    )
    content[SUMS] = (sums.encode(), False)
    path = pathlib.Path(output) if output else root() / "build" / f"{name}.zip"
    with written(path, "wb") as file:
        pack(file, name, content)
    return path, len(content)


def pack(file, name, content):
    """Write files into a zip under one folder, sorted, with fixed times, so that the same content gives the same bytes.

    Parameters
    ----------
    file : binary file
    name : str
        The folder at the zip's top.
    content : dict of str to (bytes, bool)
        Path -> what it holds, and whether it can be executed.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path, (data, executable) in sorted(content.items()):
            info = zipfile.ZipInfo(f"{name}/{path}", _EPOCH)
            info.create_system = 3  # POSIX, on every system
            info.external_attr = (stat.S_IFREG | (0o755 if executable else 0o644)) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)


def _state(dirty):
    changed = provenance.changed(ignoring=())
    if changed is None:
        raise InputError(
            f"{root()} is no git checkout; an archive is made from one, so that its"
            " code has a commit"
        )
    if changed and not dirty:
        shown = ", ".join(changed[:3]) + (
            f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        )
        raise InputError(
            f"not committed: {shown}; commit first, or mark the archive as such with"
            " --dirty"
        )
    return changed


def _require_record(planned, folder):
    """The study is done with this very code, and its record is the one in ``figures``."""
    waiting = [p["run"].name for p in planned if not p["done"]]
    if waiting:
        missing = (
            f"{len(waiting)} of {len(planned)} runs are not done with this code (the"
            f" first: {waiting[0]})"
        )
        raise InputError(
            f"{missing}; run `make reproduce`, commit figures/, then again"
        )
    fresh, record = (
        root() / folder / "figures" / receipts.MANIFEST,
        root() / "figures" / receipts.MANIFEST,
    )
    if not receipts.same(fresh, record):
        shown = os.path.relpath(record, root())
        raise InputError(
            f"{shown} is not the record of the study in {folder}; run `make reproduce`,"
            " commit figures/, then again"
        )


def _tracked():
    """Every file that git knows, as it lies in the checkout."""
    listed = provenance.git(root(), "ls-files", "--stage", "-z") or ""
    content = {}
    for line in filter(None, listed.split("\0")):
        mode, path = line.partition(" ")[0], line.partition("\t")[2]
        if (root() / path).is_file():  # neither a submodule nor deleted
            content[path] = ((root() / path).read_bytes(), mode == "100755")
    return content


def _study(planned, folder):
    """Results, stamps, executed notebooks, figures and report of the runs of a study."""
    base, content = root() / folder, {}
    names = {p["run"].name for p in planned}
    found = [p for p in (base / "results").iterdir() if p.name.split(".")[0] in names]
    found += [base / "notebooks" / f"{name}.ipynb" for name in names]
    found += [
        p
        for part in ("figures", "report")
        for p in (base / part).rglob("*")
        if p.is_file()
    ]
    for path in found:
        if not path.name.startswith("."):
            content[path.relative_to(root()).as_posix()] = (path.read_bytes(), False)
    return content
