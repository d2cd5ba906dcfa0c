"""What `diff` compares: a study, an archive of one, the record, or one run."""

import json
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import InputError, nearest
from ..study.study import Study
from .cells import read_cells
from .manifest import MANIFEST, read
from .stamps import as_study, parameters, run_id, stamps, studies

#: Fewer digits of a run's id might mean several runs.
FEWEST_DIGITS = 6


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes
    ----------
    name : str
        As the user gave it.
    runs : dict of str to dict
        Run's name -> ``run`` (its id) and ``parameters``.
    tables : dict of str to pandas.DataFrame
    pictures : dict of str to bytes
        Figure's name -> its SVG without the run's id.
    """

    name: str
    runs: dict[str, dict[str, Any]]
    tables: dict[str, pd.DataFrame] = field(repr=False)
    pictures: dict[str, bytes] = field(repr=False)


def open_side(name: str, study: Study | str | Path = "build") -> Side:
    """Return what a name stands for.

    Parameters
    ----------
    name : str
        The path of a study's folder, of an archive or of the record (``figures``); or a
        run's name or id, optionally with its study's folder before it:
        ``build/explore:sessions``.
    study : Study, or path of its folder
        Where runs without a folder are looked for, and relative paths start.

    Returns
    -------
    Side

    Raises
    ------
    InputError
        Nothing of that name.
    """
    study = as_study(study)
    path = Path(name)
    if not path.exists():
        path = study.root / name
    if path.is_file() and zipfile.is_zipfile(path):
        return _of_archive(name, path)
    if path.is_file() and path.name == MANIFEST:
        path = path.parent
    if not path.is_dir():
        return _of_run(name, study)
    if (path / MANIFEST).exists():  # the record, or a study's figures
        return _of_manifest(name, read(path / MANIFEST), _files(path))
    if (path / "results").is_dir():
        return _of_study(name, Study(study.root, path.resolve()))
    raise InputError(
        f"{name} holds no results and no {MANIFEST}; give a study's folder like build,"
        " an archive, or a run's name"
    )


def _of_study(name: str, study: Study) -> Side:
    runs = {
        run: {"run": run_id(stamp), "parameters": parameters(stamp)}
        for run, stamp in stamps(study).items()
    }
    return Side(name, runs, *_drawn(_files(study.figures)))


def _files(folder: Path) -> dict[str, bytes]:
    """Return a folder's files by path; none where there is no folder."""
    paths = sorted(path for path in folder.glob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in paths}


def _drawn(
    files: dict[str, bytes],
) -> tuple[dict[str, pd.DataFrame], dict[str, bytes]]:
    """Return the tables and the pictures among files, by name without ending."""
    tables = {}
    pictures = {}
    for file, content in files.items():
        path = Path(file)
        if path.suffix == ".csv":
            tables[path.stem] = read_cells(file, content)
        elif path.suffix == ".svg":
            # without the run's id, which is no part of what is drawn
            no_id = re.sub(rb"pickllm( run [0-9a-f]{12})?", b"pickllm", content)
            pictures[path.stem] = no_id
    return tables, pictures


def _of_manifest(name: str, manifest: dict[str, Any], files: dict[str, bytes]) -> Side:
    runs = {
        run: {"run": entry["run"], "parameters": entry["parameters"]}
        for run, entry in manifest["runs"].items()
    }
    return Side(name, runs, *_drawn(files))


def _of_archive(name: str, path: Path) -> Side:
    with zipfile.ZipFile(path) as archive:
        held = archive.namelist()
        record = rf"[^/]+/figures/{re.escape(MANIFEST)}"
        found = [file for file in held if re.fullmatch(record, file)]
        if not found:
            raise InputError(
                f"{name} holds no figures/{MANIFEST}; give an archive that"
                " `make archive` wrote"
            )
        top = found[0].removesuffix(MANIFEST)
        files = {f: archive.read(f) for f in held if f.startswith(top)}
        return _of_manifest(name, json.loads(files[found[0]]), files)


def _of_run(name: str, study: Study) -> Side:
    folder, colon, wanted = name.rpartition(":")
    places = [Study(study.root, Path(folder))] if colon else studies(study)
    known: dict[str, tuple[Study, str, dict[str, Any]]] = {}
    for place in places:
        for run, stamp in stamps(place).items():
            known.setdefault(run, (place, run, stamp))
            if len(wanted) >= FEWEST_DIGITS and stamp["input"].startswith(wanted):
                known.setdefault(wanted, (place, run, stamp))
    if wanted not in known:
        raise InputError(
            f"no folder, archive or run {name!r}; {nearest(wanted, list(known))}"
        )
    place, run, stamp = known[wanted]
    results = sorted(place.results.glob(f"{run}.*.parquet"))
    tables = {path.name.split(".")[-2]: pd.read_parquet(path) for path in results}
    made = {file: (study.root / file).read_bytes() for file in stamp["files"]}
    drawn, pictures = _drawn(made)
    # one name on both sides, so that two runs are compared whatever they are called
    own = parameters(stamp) | {"notebook": stamp["notebook"]}
    runs = {"run": {"run": run_id(stamp), "parameters": own}}
    return Side(name, runs, tables | drawn, pictures)
