"""Why a figure is what it is: its chain back to notebook, runs, trace, prices, commit.

The manifest tells the chain; date, machine and commit of each run are told where the
run was made in this folder, from its stamp.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError, nearest
from ..study import provenance
from ..study.study import Study
from .manifest import MANIFEST, collect, read, upstream
from .record import code_of_record
from .stamps import as_study, made_here, run_id, stamps, studies

#: A label and a text, as `why` prints them.
Line = tuple[str, str]


class Found(NamedTuple):
    """What a name or a file stands for."""

    #: One sentence: the record's, an exploration's, or unknown.
    sentence: str
    #: The manifest that knows it, and the key in it.
    manifest: dict[str, Any] | None = None
    key: str | None = None
    #: The study whose run made it, where it is not the record's.
    study: Study | None = None


def id_in(path: str | Path) -> str | None:
    """Return the run id in a file's metadata or comments; None where there is none.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "a.svg"
    ...     _ = file.write_text("<dc:description>pickllm run 0123456789ab<")
    ...     id_in(file)
    '0123456789ab'
    """
    found = re.search(rb"pickllm run ([0-9a-f]{12})\b", Path(path).read_bytes())
    return found[1].decode() if found else None


def find(name: str, study: Study | str | Path = "build") -> Found:
    """Return what a figure's or table's name, or a file, stands for.

    Parameters
    ----------
    name : str
        A figure of the record (``session-cost``), a table (``tables/locking``), or a
        path to a file.
    study : Study, or path of its folder
        Its record is asked first, then the studies in its folder.

    Returns
    -------
    Found

    Raises
    ------
    InputError
        Neither a known name nor a file.
    MissingFileError
        A name, and no record.
    """
    study = as_study(study)
    path = Path(name)
    if path.is_file():
        return (
            _in_record(path, study)
            or _in_studies(path, study)
            or Found(_unknown(path, study))
        )
    manifest = read(study.record / MANIFEST)
    known = [*manifest["figures"], *manifest["tables"]]
    if name not in known:
        raise InputError(f"no figure, table or file {name!r}; {nearest(name, known)}")
    return Found("the record's", manifest, name)


def _in_record(path: Path, study: Study) -> Found | None:
    record = study.record / MANIFEST
    if not record.exists():
        return None
    run = id_in(path)
    sha256 = provenance.sha256(path)
    manifest = read(record)
    receipts = manifest["figures"] | manifest["tables"]
    for key, receipt in receipts.items():
        if sha256 in _hashes(receipt):
            return Found("the record's, byte for byte", manifest, key)
    for key, receipt in receipts.items():
        if run == receipt["run"] and Path(key).name == path.stem:
            sentence = (
                "carries a run id of the record, but its bytes are not the record's:"
                " drawn again elsewhere, or changed since"
            )
            return Found(sentence, manifest, key)
    return None


def _hashes(receipt: dict[str, Any]) -> set[str]:
    files = receipt.get("pictures", {}) | receipt.get("files", {})
    return {receipt["numbers"]["sha256"], *files.values()}


def _in_studies(path: Path, study: Study) -> Found | None:
    run = id_in(path)
    sha256 = provenance.sha256(path)
    for other in studies(study):
        for name, stamp in stamps(other).items():
            if sha256 not in stamp["files"].values() and run != run_id(stamp):
                continue
            manifest = collect(other)
            explored = "explore" in other.folder.parts
            sentence = (
                f"not the record's but {'an exploration' if explored else 'a study'}'s:"
                f" run {run_id(stamp)} ('{name}') in {other.folder.as_posix()}"
            )
            key = path.stem if path.stem in manifest["figures"] else None
            return Found(sentence, manifest, key, other)
    return None


def _unknown(path: Path, study: Study) -> str:
    run = id_in(path)
    carried = f"carries run id {run}" if run else "carries no run id"
    return (
        f"unknown: {carried}, and no run of the record or in"
        f" {study.folder.as_posix()}/ made these bytes"
        f" (SHA-256 {provenance.sha256(path)[:12]})"
    )


def why(name: str, study: Study | str | Path = "build") -> tuple[list[str], bool]:
    """Return the chain behind a figure, a table or a file, as lines to print.

    Parameters
    ----------
    name : str
    study : Study, or path of its folder
        Both as for `find`.

    Returns
    -------
    (list of str, bool)
        The lines, and whether it is known where the thing comes from.
    """
    study = as_study(study)
    found = find(name, study)
    head = f"{name}: {found.sentence}"
    if found.manifest is None or found.key is None:
        return [head], found.manifest is not None
    lines = _chain(found, found.manifest, found.key, found.study or study)
    return [head, *(f"  {label:<11}{text}" for label, text in lines)], True


def _chain(
    found: Found, manifest: dict[str, Any], key: str, study: Study
) -> list[Line]:
    receipt = (manifest["figures"] | manifest["tables"])[key]
    made_by = receipt["made_by"]
    behind = upstream(manifest, made_by)
    runs = {name: manifest["runs"][name] for name in (made_by, *behind)}
    traces = [
        run["parameters"]["trace"]
        for run in runs.values()
        if "trace" in run["parameters"]
    ]
    of_record = found.study is None
    changed = _changed_since(key, receipt, study) if of_record else ""
    lines = _figure_lines(key, receipt, runs[made_by], changed)
    for name in behind:
        label = "from run" if name == behind[0] else ""
        values = _listed_values(runs[name]["parameters"])
        lines.append((label, f"{runs[name]['run']}  {name}: {values}"))
    for name in dict.fromkeys(traces):
        lines += _trace_lines(name, manifest["traces"][name])
    made = made_here(study, manifest)
    here = [made[name] for name in runs if name in made]
    lines += _code_lines(here, manifest, study)
    return lines + _making_lines(here, len(runs))


def _figure_lines(
    key: str, receipt: dict[str, Any], run: dict[str, Any], changed: str
) -> list[Line]:
    numbers = receipt["numbers"]
    columns = ", ".join(numbers["columns"])
    cell = receipt.get("cell")
    place = f", cell {cell['index']} from 0 (id {cell['id']})" if cell else ""
    values = _listed_values(run["parameters"])
    return [
        ("run", f"{receipt['run']} ('{receipt['made_by']}')"),
        ("numbers", f"{key}.csv, {numbers['rows']} rows, columns {columns}"),
        ("", f"SHA-256 {numbers['sha256']}{changed}"),
        ("notebook", f"{run['notebook']}{place}"),
        ("", f"SHA-256 {run['notebook_sha256']}"),
        (
            "parameters",
            values or "none of its own: reads the results of the runs below",
        ),
    ]


def _changed_since(key: str, receipt: dict[str, Any], study: Study) -> str:
    """Return a warning if the file in ``figures`` holds other numbers by now."""
    path = study.record / f"{key}.csv"
    if not path.exists() or provenance.sha256(path) == receipt["numbers"]["sha256"]:
        return ""
    return f"  ({path.parent.name}/{path.name} holds OTHER numbers)"


def _listed_values(values: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items() if value != "")


def _trace_lines(name: str, trace: dict[str, Any]) -> list[Line]:
    origin = trace["origin"]
    size = (
        f"{trace['queries']} queries, {len(trace['contexts'])} contexts,"
        f" {len(trace['models'])} LLMs"
    )
    lines = [("trace", f"{name}: {size}; SHA-256 {trace['sha256']}")]
    for file in (origin, *origin.get("further", ())):
        lines.append(("", f"from {_with_hash(file)}"))
    if "imported_from" in origin:
        lines.append(("", f"imported from {_with_hash(origin['imported_from'])}"))
    if "source" in origin:
        lines.append(("", _source(origin)))
    return [*lines, ("prices", _prices(trace["prices"]))]


def _with_hash(file: dict[str, Any]) -> str:
    sha256 = f", SHA-256 {file['sha256']}" if "sha256" in file else ""
    return f"{file['file']}{sha256}"


def _source(origin: dict[str, Any]) -> str:
    what = "rows" if "imported_from" in origin else "statistics"
    folder = f", folder {origin['folder']}" if "folder" in origin else ""
    commit = origin.get("commit", "unknown")
    return f"{what} of {origin['source']}, commit {commit}{folder}"


def _prices(prices: dict[str, Any] | None) -> str:
    if prices is None:
        return "none: the trace brought its own costs"
    text = f"of {', '.join(prices['as_of'])}: {'; '.join(prices['source'])}"
    if "file" in prices:
        text += f" ({prices['file']}, SHA-256 {prices['sha256']})"
    return text


STATES = {
    True: "clean: nothing changed since",
    False: "NOT clean: files were changed",
    None: "not known whether clean",
}


def _code_lines(
    here: list[dict[str, Any]], manifest: dict[str, Any], study: Study
) -> list[Line]:
    """Return the commits that ran, else the record's; and the locks."""
    lines = []
    for code in _distinct([stamp["code"] for stamp in here]):
        if code["commit"]:
            state = STATES[code["clean"]]
            lines.append(("commit", f"{code['commit']} of {code['date']} ({state})"))
        else:
            lines.append(("commit", "unknown: it ran outside git"))
    if not here:
        code = code_of_record(study)
        told = "unknown: outside git"
        if code["commit"]:
            told = f"{code['commit']} of {code['date']} (the code beside the record)"
        lines.append(("commit", told))
    locks = [stamp["lock"] for stamp in here] or [manifest.get("lock")]
    for lock in _distinct(locks):
        text = f"{lock['file']}, SHA-256 {lock['sha256']}" if lock else "none"
        lines.append(("lock", text))
    return lines


def _making_lines(here: list[dict[str, Any]], runs: int) -> list[Line]:
    """Return the machines, and when the last of the runs ended."""
    if not here:
        return [("machine", "not known here: these runs were made elsewhere")]
    lines = []
    for machine in _distinct([stamp["machine"] for stamp in here]):
        lines += _machine_lines(machine)
    seconds = sum(stamp["seconds"] for stamp in here)
    last = max(stamp["finished"] for stamp in here)
    count = f"{runs}" if len(here) == runs else f"{len(here)} of {runs}"
    told = f"{last}, after {seconds:.0f} s of notebook time in {count} runs"
    return [*lines, ("finished", told)]


def _machine_lines(machine: dict[str, Any]) -> list[Line]:
    others = machine["not_locked"]
    if others is None:
        locked = "no lock"
    elif others:
        locked = f"not as locked: {', '.join(others)}"
    else:
        locked = "as locked"
    versions = ", ".join(f"{name} {v}" for name, v in machine["versions"].items())
    return [("machine", describe(machine)), ("versions", f"{versions} ({locked})")]


def describe(machine: dict[str, Any]) -> str:
    """Return a machine in words: Python, system, cores, memory."""
    memory = f", {machine['memory_gb']:g} GiB" if machine.get("memory_gb") else ""
    return (
        f"Python {machine['python']} on {machine['system']}, {machine['cores']}"
        f" cores{memory}"
    )


def _distinct(values: list[Any]) -> list[Any]:
    """Return each value once, in the order of their first places."""
    found = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
