"""The manifest: for every figure and table of a study, what it was made from.

It holds what the same code makes again, byte for byte, wherever and whenever it runs:
inputs, parameters, the notebook's cell, and hashes of numbers, data and lock. When, on
which machine and from which commit a run was made stands in the run's stamp, in
``build``. The record's manifest is ``figures/manifest.json``, so a fresh clone has it.
"""

import ast
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..files import home, write_json
from ..readers import read_json
from ..study import provenance
from ..study.study import Study
from .stamps import as_study, parameters, run_id, stamps

if TYPE_CHECKING:
    from ..core.trace import Trace

MANIFEST = "manifest.json"
PICTURES = ("svg", "pdf", "png")
#: What is told of an origin's source, where it is known.
SOURCE = "source", "commit", "folder"


# Collecting


def collect(
    study: Study | str | Path,
    tables: dict[str, dict[str, Any]] | None = None,
    runs: Collection[str] | None = None,
) -> dict[str, Any]:
    """Return the manifest of a study: the same whenever the same code runs.

    Parameters
    ----------
    study : Study, or path of its folder
    tables : dict of str to dict, optional
        As `tables.write` returned them.
    runs : collection of str, optional
        Names of the runs that belong to the study; by default all that left a stamp.

    Returns
    -------
    dict
        ``figures``, ``tables``, ``runs``, ``traces``, and the kit's ``lock``.
    """
    from .. import __version__

    study = as_study(study)
    found = stamps(study)
    if runs is not None:
        found = {name: stamp for name, stamp in found.items() if name in runs}
    made = {name: _run(stamp) for name, stamp in found.items()}
    return {
        "format": 2,
        "kit": __version__,
        "lock": provenance.lock(study.root),
        "figures": dict(sorted(_figures(study, found))),
        "tables": {
            name: {
                "made_by": table["made_by"],
                "run": run_id(found[table["made_by"]]),
                "numbers": table["numbers"],
                "files": table["files"],
            }
            for name, table in (tables or {}).items()
        },
        "runs": made,
        "traces": _traces(study, made),
    }


def _run(stamp: dict[str, Any]) -> dict[str, Any]:
    return {
        "run": run_id(stamp),
        "input": stamp["input"],
        "notebook": f"notebooks/{stamp['notebook']}.ipynb",
        "notebook_sha256": stamp["notebook_sha256"],
        "parameters": parameters(stamp),
        "needs": stamp["needs"],
    }


def _figures(
    study: Study, found: dict[str, dict[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for run, stamp in found.items():
        for file in stamp["files"]:
            if not file.endswith(".csv"):
                continue
            drawn = study.root / file
            pictures = {ending: drawn.with_suffix(f".{ending}") for ending in PICTURES}
            yield (
                drawn.stem,
                {
                    "made_by": run,
                    "run": run_id(stamp),
                    "cell": find_cell(_notebook(study, stamp), drawn.stem),
                    "numbers": numbers(drawn),
                    "pictures": {
                        ending: provenance.sha256(path)
                        for ending, path in pictures.items()
                        if path.exists()
                    },
                },
            )


def _notebook(study: Study, stamp: dict[str, Any]) -> Path:
    name = f"{stamp['notebook']}.ipynb"
    here = study.root / "notebooks" / name
    return here if here.exists() else home("notebooks") / name


def numbers(path: str | Path) -> dict[str, Any]:
    """Return what a table file holds: rows, columns, SHA-256."""
    import pandas as pd

    frame = pd.read_csv(path)
    return {
        "rows": len(frame),
        "columns": list(frame.columns),
        "sha256": provenance.sha256(path),
    }


def find_cell(notebook: Path, figure: str) -> dict[str, Any] | None:
    """Return the cell of a notebook that calls ``save`` with a figure's name.

    Parameters
    ----------
    notebook : pathlib.Path
    figure : str

    Returns
    -------
    dict or None
        ``index`` among all cells, from 0, and ``id``. A cell that saves under a name
        computed at run time is taken where it is the only one; None where none or
        several may have drawn it.
    """
    computed = []
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    for index, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        place = {"index": index, "id": cell.get("id")}
        for name in _saved_names(cell):
            if not isinstance(name, ast.Constant):
                computed.append(place)
            elif name.value == figure:
                return place
    return computed[0] if len(computed) == 1 else None


def _saved_names(cell: dict[str, Any]) -> Iterator[ast.expr]:
    """Yield the second argument of each call of a method ``save`` in a cell."""
    only_ipython_reads = r"^\s*[%!].*$"
    source = re.sub(only_ipython_reads, "", "".join(cell["source"]), flags=re.MULTILINE)
    for call in ast.walk(ast.parse(source)):
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "save"
            and len(call.args) >= 2
        ):
            yield call.args[1]


def _traces(study: Study, runs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return hash, origin and price list of every trace that a run replayed."""
    from ..traces.sources import load_trace

    given = [run["parameters"] for run in runs.values()]
    used = {(p["trace"], p.get("prices", "")) for p in given if "trace" in p}
    traces = {}
    for name, prices in sorted(used):
        trace = load_trace(name, prices or None)
        traces[name] = {
            "sha256": trace.fingerprint(),
            "queries": trace.n_queries,
            "contexts": list(trace.contexts),
            "models": list(trace.models),
            "origin": _origin(study, name),
            "prices": _price_list(study, trace, prices),
        }
    return traces


def _origin(study: Study, name: str) -> dict[str, Any]:
    """Return the file that a trace was read or sampled from, and that file's source."""
    from ..core.pool import declared_pools, declared_tables
    from ..traces.sources import ROWS

    if name in declared_pools():
        return _origin_of_sample(study, name)
    if name.removesuffix(ROWS) in declared_pools():
        return _origin_of_rows(study, name.removesuffix(ROWS))
    if name in declared_tables():
        return _origin_of_table(study, name)
    if Path(name).exists():
        return _file(study, Path(name))
    return {"file": name}


def _origin_of_sample(study: Study, name: str) -> dict[str, Any]:
    """Return the summary that a bundled trace is a sample of, and its source."""
    from ..traces.sources import bundled_summary

    stated = bundled_summary(name).provenance
    origin = _file(study, home("data") / f"{name}.summary.json")
    origin |= {key: stated[key] for key in SOURCE if key in stated}
    if "trace_sha256" in stated:
        origin["rows_sha256"] = stated["trace_sha256"]
    return origin


def _origin_of_rows(study: Study, pool: str) -> dict[str, Any]:
    """Return the checksums of the files that a pool's rows were read from."""
    from ..traces import leaderboard

    lists = dict.fromkeys([leaderboard.NAME, leaderboard.fetched_as(pool)])
    first, *further = [_file(study, home("data") / f"{n}.sha256") for n in lists]
    origin = first | {key: leaderboard.PROVENANCE[key] for key in SOURCE}
    return origin | ({"further": further} if further else {})


def _origin_of_table(study: Study, name: str) -> dict[str, Any]:
    """Return a shipped table of rows, and what its receipt says of its source."""
    receipt = read_json(home("data") / f"{name}.receipt.json", "receipt", "restore it")
    origin = _file(study, home("data") / f"{name}.parquet")
    origin |= {key: receipt[key] for key in SOURCE if key in receipt}
    origin["imported_from"] = {key: receipt[key] for key in ("file", "sha256")}
    return origin


def _price_list(study: Study, trace: "Trace", prices: str) -> dict[str, Any] | None:
    rows = [price for model, price in trace.prices.items() if model in trace.models]
    if not rows:
        return None
    listed = {
        "as_of": sorted({str(price.as_of) for price in rows}),
        "source": sorted({price.source for price in rows}),
        "usd_per_million": {p.model: [p.input_usd, p.output_usd] for p in rows},
    }
    return listed | _file(study, Path(prices)) if prices else listed


def _file(study: Study, path: Path) -> dict[str, Any]:
    """Return a file's hash, and its place where it lies in the checkout."""
    whole = path.resolve()
    # the kit's own data stand in its checkout whatever the study's root is
    for top in (study.root, home("data").parent):
        if whole.is_relative_to(top):
            shown = whole.relative_to(top).as_posix()
            break
    else:
        shown = path.name
    return {"file": shown, "sha256": provenance.sha256(path)}


# Writing and reading


def write(
    study: Study | str | Path,
    tables: dict[str, dict[str, Any]] | None = None,
    runs: Collection[str] | None = None,
) -> dict[str, Any]:
    """Write a study's manifest beside its figures, and return it.

    Parameters
    ----------
    study : Study, or path of its folder
    tables, runs : optional
        As for `collect`.

    Returns
    -------
    dict
    """
    study = as_study(study)
    manifest = collect(study, tables, runs)
    write_json(study.figures / MANIFEST, manifest)
    return manifest


def same(one: str | Path, other: str | Path) -> bool:
    """Whether two manifest files tell the same; False where one cannot be read."""
    try:
        first = json.loads(Path(one).read_text("utf-8"))
        second = json.loads(Path(other).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return first == second


def read(path: str | Path) -> dict[str, Any]:
    """Return the manifest in a file.

    Raises
    ------
    MissingFileError
        There is none.
    InputError
        The file is no manifest.
    """
    remedy = "run `make reproduce`, which writes it, in a checkout of the kit"
    manifest = read_json(path, "manifest of receipts", remedy)
    needed = {"figures", "runs", "traces"}
    if not isinstance(manifest, dict) or not needed <= set(manifest):
        raise InputError(
            f"{path} is no manifest of receipts; run `make reproduce` to write it anew"
        )
    return manifest


def upstream(manifest: dict[str, Any], name: str) -> list[str]:
    """Return the runs that a run was computed from, nearest first, each once.

    Parameters
    ----------
    manifest : dict
    name : str
        A run of the manifest.

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        A run of the chain is not in the manifest.
    """
    chain = [name]
    for run in chain:  # which grows on the way
        if run not in manifest["runs"]:
            raise InputError(
                f"run '{run}', which '{name}' was computed from, is not in the"
                " manifest; run `make reproduce` to write it anew"
            )
        chain += [n for n in manifest["runs"][run]["needs"] if n not in chain]
    return chain[1:]
