"""Planning a study: what each run depends on, and whether it is done.

A run is done when its stamp holds the hash of everything it depends on: the notebook,
its parameters, the modules that it reaches, the trace and files that its parameters
name, and the runs whose results it reads.
"""

import ast
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict

from ..errors import InputError, nearest
from ..files import digest, home, root
from ..modules import code_hash
from ..traces.sources import load_trace
from .runs import Run
from .study import Study

#: Endings of the files in `data` that a run may read.
SHIPPED = {".csv", ".json", ".sha256"}
#: Parameters that say where a run leaves its files, and its id; nobody else sets them.
SET_BY_RUN = ("result", "figures", "run")
#: Parameters that name a file which a run itself writes: what it left is no input.
WRITTEN_BY_RUN = ("state",)


class Planned(TypedDict):
    """A run with all that is known of it before it is executed."""

    run: Run
    #: What the notebook gets beside its own defaults.
    parameters: dict[str, Any]
    defaults: dict[str, Any]
    #: The hash of everything that it depends on.
    input: str
    done: bool


def code_of(notebook: str) -> str:
    """Return the text of a notebook's code cells, without lines for its shell alone."""
    import nbformat

    book = nbformat.read(home("notebooks") / f"{notebook}.ipynb", as_version=4)
    cells = [cell.source for cell in book.cells if cell.cell_type == "code"]
    lines = "\n".join(cells).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def declared_parameters(notebook: str) -> dict[str, str]:
    """Return the names in a notebook's tagged cell, with their defaults' text.

    Raises
    ------
    InputError
        No such notebook.
    """
    import papermill

    path = home("notebooks") / f"{notebook}.ipynb"
    if not path.exists():
        known = sorted(other.stem for other in path.parent.glob("*.ipynb"))
        raise InputError(f"no notebook {path}; {nearest(notebook, known)}")
    declared = papermill.inspect_notebook(str(path))
    return {name: parameter["default"] for name, parameter in declared.items()}


def plan(
    study: Study,
    runs: Iterable[Run],
    common: Mapping[str, Any] | None = None,
    fingerprints: Mapping[tuple[str, str], str] | None = None,
) -> list[Planned]:
    """Return each run with its full parameters and input hash, and whether it is done.

    Parameters
    ----------
    study : Study
    runs : list of Run
        Each after those that it needs.
    common : dict, optional
        Parameters that every notebook which declares them gets.
    fingerprints : dict, optional
        Of traces that are loaded already, by their name and their price list's.

    Returns
    -------
    list of Planned

    Raises
    ------
    InputError, MissingFileError
        No such notebook; a parameter that it does not declare; a trace that cannot be
        loaded.
    """
    runs = list(runs)
    declared = {name: declared_parameters(name) for name in {r.notebook for r in runs}}
    code = {name: code_hash(code_of(name)) for name in declared}
    shipped = _shipped()
    known = dict(fingerprints or {})
    hashes: dict[str, str] = {}
    planned: list[Planned] = []
    for run in runs:
        names = declared[run.notebook]
        _require_declared(run, names)
        defaults = {name: ast.literal_eval(text) for name, text in names.items()}
        offered = {k: v for k, v in (common or {}).items() if k in names}
        chosen = offered | run.parameters
        inputs = digest(
            home("notebooks") / f"{run.notebook}.ipynb",
            chosen,
            code[run.notebook],
            shipped,
            _data(defaults, chosen, known),
            [hashes.get(name) for name in run.needs],
        )
        hashes[run.name] = inputs
        places = _places(study, run.name) | {"run": inputs[:12]}
        set_by_run = {k: v for k, v in places.items() if k in names and k not in chosen}
        planned.append(
            {
                "run": run,
                "parameters": chosen | set_by_run,
                "defaults": defaults,
                "input": inputs,
                "done": is_done(study, run.name, inputs),
            }
        )
    return planned


def is_done(study: Study, run: str, inputs: str) -> bool:
    """Whether a run has ended well with these inputs, and all that it left is there.

    Parameters
    ----------
    study : Study
    run : str
        Its name.
    inputs : str
        The hash of all that it depends on.
    """
    try:
        stamp = json.loads(study.stamp(run).read_text("utf-8"))
        if stamp["input"] != inputs or "defaults" not in stamp:
            return False
        left = {study.root / path: sha for path, sha in stamp["files"].items()}
        return all(digest(path) == sha for path, sha in left.items())
    except (OSError, ValueError, KeyError):
        return False


def _require_declared(run: Run, names: Mapping[str, str]) -> None:
    """Refuse parameters that a notebook does not have, or that are not the user's."""
    for name in run.parameters:
        if name not in names:
            raise InputError(
                f"notebook '{run.notebook}' declares no parameter {name!r};"
                f" {nearest(name, names)}"
            )
        if name in SET_BY_RUN:
            raise InputError(
                f"parameter {name!r} says where a run leaves its files, got"
                f" {run.parameters[name]!r}; choose their folder with --folder"
            )


def _places(study: Study, run: str) -> dict[str, str]:
    """Return where a run finds and leaves its files, as its parameters say it."""
    folder = study.folder.as_posix()
    return {
        "result": f"{folder}/results/{run}.json",
        "results": f"{folder}/results",
        "figures": f"{folder}/figures",
    }


def _shipped() -> str:
    """Hash of the prices, limits and statistics that the package ships."""
    paths = sorted(p for p in home("data").iterdir() if p.suffix in SHIPPED)
    return digest([p.name for p in paths], *paths)


def _data(
    defaults: Mapping[str, Any],
    chosen: Mapping[str, Any],
    fingerprints: dict[tuple[str, str], str],
) -> dict[str, str]:
    """Hashes of the data that a run's parameters name: its trace, files, results."""
    values = dict(defaults) | dict(chosen)
    found = {}
    trace = values.pop("trace", None)
    if trace is not None:
        prices = values.get("prices") or ""
        key = (trace, prices)
        if key not in fingerprints:
            fingerprints[key] = load_trace(trace, prices or None).fingerprint()
        found["trace"] = fingerprints[key]
    for name, value in values.items():
        path = _file_named(value)
        if path is not None and name not in (*SET_BY_RUN, *WRITTEN_BY_RUN):
            found[name] = digest(path)
    if "results" in chosen:
        paths = sorted((root() / chosen["results"]).glob("*.*"))
        found["results"] = digest([path.name for path in paths], *paths)
    return found


def _file_named(value: object) -> Path | None:
    """Return the file that a parameter names, ``FILE`` or ``FILE.py:FUNCTION``."""
    if not isinstance(value, str):
        return None
    for text in (value, value.rpartition(":")[0]):
        try:
            if text and Path(text).is_file():
                return Path(text)
        except (OSError, ValueError):  # too long for a file's name, or no name at all
            return None
    return None
