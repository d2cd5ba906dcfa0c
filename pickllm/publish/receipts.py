"""Receipts: from a figure back to what made it.

The chain: the numbers drawn, the notebook and its cell, parameters and seeds, the runs
whose results it read and theirs, the trace's hash, the price list and its date, the
commit, the lock, the machine. `collect` reads it off a study's stamps; the record's
stands in ``figures/manifest.json``, so a fresh clone has it.
"""

import ast
import json
import os
import pathlib
import re

from ..errors import InputError, nearest
from ..files import home, root, write_json
from ..study import provenance

MANIFEST = "manifest.json"
#: Parameters that only say where results go: the same run in another folder is the same
#: run.
PLACES = ("result", "results", "figures", "run")
PICTURES = ("svg", "pdf", "png")
#: What of a manifest differs between two runs of the same code: when, how long, on
#: what.
VARYING = "machine"


def run_id(stamp):
    """Return a run's id: the first 12 hex digits of the hash of everything that it depends on."""
    return stamp["input"][:12]


def parameters(stamp):
    """All parameters that a run had, the notebook's own defaults among them, without where its results went.

    Examples
    --------
    >>> parameters({"defaults": {"seed": 0, "rate": 0.1}, "parameters": {"rate": 0.2, "result": "r.json"}})
    {'seed': 0, 'rate': 0.2}
    """
    return {
        k: v
        for k, v in (stamp["defaults"] | stamp["parameters"]).items()
        if k not in PLACES
    }


def stamps(folder):
    """Return the stamps of a study's folder by run's name; those of before receipts are left out."""
    found = {}
    for path in sorted((root() / folder / "results").glob("*.stamp")):
        try:
            stamp = json.loads(path.read_text("utf-8"))
        except ValueError:
            continue
        if {"input", "code", "defaults"} <= set(stamp):
            found[path.stem] = stamp
    return found


def collect(folder, tables=None):
    """Return the receipts of all figures and tables of a study.

    Parameters
    ----------
    folder : path
        The study's folder, with ``results`` and ``figures``.
    tables : dict of str to dict, optional
        As `tables.write` returned them.

    Returns
    -------
    dict
        ``runs``, ``traces``, ``figures``, ``tables`` (the same bytes whenever the same
        code runs), and `VARYING`.
    """
    from .. import __version__

    found = stamps(folder)
    runs = {
        name: {
            "run": run_id(s),
            "input": s["input"],
            "notebook": f"notebooks/{s['notebook']}.ipynb",
            "notebook_sha256": s["notebook_sha256"],
            "parameters": parameters(s),
            "needs": s["needs"],
            "code": s["code"],
            "lock": s["lock"],
        }
        for name, s in found.items()
    }
    used = {
        (r["parameters"]["trace"], r["parameters"].get("prices", ""))
        for r in runs.values()
        if "trace" in r["parameters"]
    }
    machines = []
    for s in found.values():
        if s["machine"] not in machines:
            machines.append(s["machine"])
    return {
        "format": 1,
        "kit": __version__,
        "figures": _figures(found),
        "tables": {
            name: {
                "made_by": t["made_by"],
                "run": run_id(found[t["made_by"]]),
                "numbers": t["numbers"],
                "files": t["files"],
            }
            for name, t in (tables or {}).items()
        },
        "runs": runs,
        "traces": {name: _trace(name, prices) for name, prices in sorted(used)},
        VARYING: {
            "runs": {
                n: {
                    "seconds": s["seconds"],
                    "finished": s["finished"],
                    "on": machines.index(s["machine"]),
                }
                for n, s in found.items()
            },
            "machines": machines,
        },
    }


def _figures(found):
    figures = {}
    for name, stamp in found.items():
        for drawn in sorted(f for f in stamp["files"] if f.endswith(".csv")):
            stem = drawn.removesuffix(".csv")
            cell = find_cell(
                home("notebooks") / f"{stamp['notebook']}.ipynb",
                pathlib.Path(drawn).stem,
            )
            figures[pathlib.Path(drawn).stem] = {
                "made_by": name,
                "run": run_id(stamp),
                "cell": cell,
                "numbers": numbers(root() / drawn),
                "pictures": {
                    e: provenance.sha256(root() / f"{stem}.{e}")
                    for e in PICTURES
                    if (root() / f"{stem}.{e}").exists()
                },
            }
    return dict(sorted(figures.items()))


def numbers(path):
    """Return what a table file holds: rows, columns, SHA-256."""
    import pandas as pd

    frame = pd.read_csv(path)
    return {
        "rows": len(frame),
        "columns": list(frame.columns),
        "sha256": provenance.sha256(path),
    }


def find_cell(notebook, figure):
    """Which cell of a notebook draws a figure: the one that calls ``save`` with its name.

    Parameters
    ----------
    notebook : pathlib.Path
    figure : str

    Returns
    -------
    dict or None
        ``index`` among all cells, from 0, and ``id``. A cell that saves under a name computed at run time
        is taken where it is the only one; None where none or several may have drawn it.
    """
    computed = []
    for index, cell in enumerate(json.loads(notebook.read_text("utf-8"))["cells"]):
        if cell["cell_type"] != "code":
            continue
        for call in ast.walk(ast.parse(_python(cell))):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr == "save"
                and len(call.args) >= 2
            ):
                name = call.args[1]
                if isinstance(name, ast.Constant) and name.value == figure:
                    return {"index": index, "id": cell.get("id")}
                if not isinstance(name, ast.Constant):
                    computed.append({"index": index, "id": cell.get("id")})
    return computed[0] if len(computed) == 1 else None


def _python(cell):
    """Return a cell's source without the lines that only IPython understands."""
    return re.sub(r"^\s*[%!].*$", "", "".join(cell["source"]), flags=re.MULTILINE)


def _trace(name, prices):
    """Return a trace's hash, what it was read or sampled from, and its price list with dates."""
    from ..core.pool import declared_pools
    from ..traces import leaderboard
    from ..traces.sources import bundled_summary, load_trace

    trace = load_trace(name, prices or None)
    if name in declared_pools():
        stated = bundled_summary(name).provenance
        origin = _file(home("data") / f"{name}.summary.json") | {
            k: stated[k] for k in ("source", "commit", "folder") if k in stated
        }
        origin |= (
            {"rows_sha256": stated["trace_sha256"]} if "trace_sha256" in stated else {}
        )
    elif name.removesuffix("-rows") in declared_pools():
        stated = leaderboard.PROVENANCE
        origin = _file(home("data") / f"{leaderboard.NAME}.sha256") | {
            k: stated[k] for k in ("source", "commit", "folder") if k in stated
        }
    else:
        origin = (
            _file(pathlib.Path(name)) if pathlib.Path(name).exists() else {"file": name}
        )
    rows = [p for model, p in trace.prices.items() if model in trace.models]
    listed = {
        "as_of": sorted({str(p.as_of) for p in rows}),
        "source": sorted({p.source for p in rows}),
        "usd_per_million": {p.model: [p.input_usd, p.output_usd] for p in rows},
    }
    return {
        "sha256": trace.fingerprint(),
        "queries": trace.n_queries,
        "contexts": list(trace.contexts),
        "models": list(trace.models),
        "origin": origin,
        "prices": (
            listed | (_file(pathlib.Path(prices)) if prices else {}) if rows else None
        ),
    }


def _file(path):
    shown = path.resolve()
    return {
        "file": (
            os.path.relpath(shown, root())
            if shown.is_relative_to(root())
            else path.name
        ),
        "sha256": provenance.sha256(path),
    }


def write(folder, tables=None):
    """Write a study's receipts to ``<folder>/figures/manifest.json`` and return them.

    Parameters
    ----------
    folder : path
    tables : dict, optional
        As for `collect`.

    Returns
    -------
    dict
    """
    manifest = collect(folder, tables)
    write_json(root() / folder / "figures" / MANIFEST, manifest)
    return manifest


def constant(manifest):
    """Return a manifest without what varies from run to run of the same code."""
    return {k: v for k, v in manifest.items() if k != VARYING}


def same(one, other):
    """Whether two manifest files tell the same, machine and time aside; False where one is not there or not readable."""
    try:
        a, b = (
            json.loads(pathlib.Path(path).read_text("utf-8")) for path in (one, other)
        )
    except (OSError, ValueError):
        return False
    return constant(a) == constant(b)


def read(path=None):
    """Return the receipts in a manifest file; by default the record's.

    Raises
    ------
    InputError
        There is none, or it is not one.
    """
    path = pathlib.Path(path or root() / "figures" / MANIFEST)
    try:
        manifest = json.loads(path.read_text("utf-8"))
    except OSError:
        raise InputError(
            f"no receipts at {path}; run `make reproduce`, which writes them, in a"
            " checkout of the kit"
        ) from None
    except ValueError as error:
        raise InputError(
            f"{path} is not JSON ({error}); run `make reproduce` to write it anew"
        ) from None
    if not isinstance(manifest, dict) or not {
        "figures",
        "runs",
        "traces",
        VARYING,
    } <= set(manifest):
        raise InputError(
            f"{path} is no manifest of receipts; run `make reproduce` to write it anew"
        )
    return manifest


# Reading a file back


def id_in(path):
    """Return the run id that a file carries in its metadata or its comments; None where it carries none.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (pathlib.Path(folder) / "a.svg").write_text("<dc:description>pickllm run 0123456789ab</dc:description>")
    ...     id_in(pathlib.Path(folder) / "a.svg")
    '0123456789ab'
    """
    found = re.search(rb"pickllm run ([0-9a-f]{12})\b", pathlib.Path(path).read_bytes())
    return found[1].decode() if found else None


def find(name):
    """Return what a figure's or table's name, or a file, stands for.

    Parameters
    ----------
    name : str
        A figure of the record (``session-cost``), a table (``tables/locking``), or a
        path to a file.

    Returns
    -------
    (dict or None, str or None, str)
        The manifest that knows it, the key in it, and a sentence: the record's, an
        exploration's, or unknown.

    Raises
    ------
    InputError
        Neither a known name nor a file.
    """
    path = pathlib.Path(name)
    if path.is_file():
        return _find_file(path)
    manifest = read()
    known = [*manifest["figures"], *manifest["tables"]]
    if name not in known:
        raise InputError(f"no figure, table or file {name!r}; {nearest(name, known)}")
    return manifest, name, "the record's"


def _find_file(path):
    run, sha = id_in(path), provenance.sha256(path)
    if (root() / "figures" / MANIFEST).exists():
        manifest = read()
        for key, receipt in _all(manifest):
            if sha in _hashes(receipt):
                return manifest, key, "the record's, byte for byte"
        for key, receipt in _all(manifest):
            if run == receipt["run"] and pathlib.Path(key).name == path.stem:
                return (
                    manifest,
                    key,
                    (
                        "carries a run id of the record, but its bytes are not the"
                        " record's: drawn again elsewhere, or changed since"
                    ),
                )
    for folder in studies():
        for name, stamp in stamps(folder).items():
            if sha in stamp["files"].values() or (run and run == run_id(stamp)):
                manifest = collect(folder)
                kind = (
                    "an exploration's"
                    if "explore" in pathlib.Path(folder).parts
                    else "a study's"
                )
                key = path.stem if path.stem in manifest["figures"] else None
                return (
                    manifest,
                    key,
                    (
                        f"not the record's but {kind}: run {run_id(stamp)} ('{name}')"
                        f" in {folder}"
                    ),
                )
    what = f"carries run id {run}" if run else "carries no run id"
    return (
        None,
        None,
        (
            f"unknown: {what}, and no run of the record or in build/ made these bytes"
            f" (SHA-256 {sha[:12]})"
        ),
    )


def _all(manifest):
    return [*manifest["figures"].items(), *manifest["tables"].items()]


def _hashes(receipt):
    return {
        receipt["numbers"]["sha256"],
        *receipt.get("pictures", {}).values(),
        *receipt.get("files", {}).values(),
    }


def studies():
    """Folders under ``build`` with stamped runs, nearest first."""
    found = {
        p.parent.parent.relative_to(root())
        for p in (root() / "build").rglob("*.stamp")
        if p.parent.name == "results"
    }
    return [f.as_posix() for f in sorted(found, key=lambda f: (len(f.parts), f))]


# Telling


def upstream(manifest, name):
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
    seen, todo = [], [name]
    while todo:
        run = todo.pop(0)
        if run not in manifest["runs"]:
            raise InputError(
                f"run '{run}', which '{name}' was computed from, is not in the"
                " manifest; run `make reproduce` to write it anew"
            )
        seen += [run] if run not in seen else []
        todo += [
            n for n in manifest["runs"][run]["needs"] if n not in seen and n not in todo
        ]
    return seen[1:]


def why(name):
    """Return the chain behind a figure, a table or a file, as lines to print.

    Parameters
    ----------
    name : str
        As for `find`.

    Returns
    -------
    (list of str, bool)
        The lines, and whether the chain is known.
    """
    manifest, key, sentence = find(name)
    if manifest is None:
        return [f"{name}: {sentence}"], False
    if key is None:
        return [f"{name}: {sentence}"], True
    return [
        f"{name}: {sentence}",
        *_chain(manifest, key, of_record=not sentence.startswith("not the record's")),
    ], True


def _chain(manifest, key, of_record):
    receipt = manifest["figures"].get(key) or manifest["tables"][key]
    run = manifest["runs"][receipt["made_by"]]
    runs = [receipt["made_by"], *upstream(manifest, receipt["made_by"])]
    n = receipt["numbers"]
    cell = receipt.get("cell")
    lines = [
        ("run", f"{receipt['run']} ('{receipt['made_by']}')"),
        ("numbers", f"{key}.csv, {n['rows']} rows, columns {', '.join(n['columns'])}"),
        ("", f"SHA-256 {n['sha256']}{_still(key, n['sha256']) if of_record else ''}"),
        (
            "notebook",
            f"{run['notebook']}"
            + (f", cell {cell['index']} from 0 (id {cell['id']})" if cell else ""),
        ),
        ("", f"SHA-256 {run['notebook_sha256']}"),
        (
            "parameters",
            _listed_values(run["parameters"])
            or "none of its own: reads the results of the runs below",
        ),
    ]
    behind = {r: manifest["runs"][r] for r in runs}
    for r in runs[1:]:
        lines.append(
            (
                "from run" if r == runs[1] else "",
                f"{behind[r]['run']}  {r}: {_listed_values(behind[r]['parameters'])}",
            )
        )
    for name in dict.fromkeys(
        b["parameters"]["trace"] for b in behind.values() if "trace" in b["parameters"]
    ):
        lines += _trace_lines(name, manifest["traces"][name])
    for code in _distinct(b["code"] for b in behind.values()):
        state = {
            True: "clean: nothing changed since",
            False: "NOT clean: files were changed",
            None: "not known whether clean",
        }[code["clean"]]
        lines.append(
            (
                "commit",
                (
                    f"{code['commit']} of {code['date']} ({state})"
                    if code["commit"]
                    else "unknown: it ran outside git"
                ),
            )
        )
    for lock in _distinct(b["lock"] for b in behind.values()):
        lines.append(
            ("lock", f"{lock['file']}, SHA-256 {lock['sha256']}" if lock else "none")
        )
    varying = manifest[VARYING]
    for number in _distinct(
        varying["runs"][r]["on"] for r in runs if r in varying["runs"]
    ):
        lines += _machine_lines(varying["machines"][number])
    seconds = sum(varying["runs"][r]["seconds"] for r in runs if r in varying["runs"])
    last = max(
        (varying["runs"][r]["finished"] for r in runs if r in varying["runs"]),
        default="unknown",
    )
    lines.append(
        (
            "finished",
            f"{last}, after {seconds:.0f} s of notebook time in {len(runs)} runs",
        )
    )
    return [f"  {label:<11}{text}" for label, text in lines]


def _still(key, sha):
    """Whether the file in ``figures`` still holds these numbers."""
    path = root() / "figures" / f"{key}.csv"
    return (
        ""
        if not path.exists() or provenance.sha256(path) == sha
        else f"  ({os.path.relpath(path, root())} holds OTHER numbers)"
    )


def _listed_values(values):
    return ", ".join(f"{k}={v}" for k, v in values.items() if v != "")


def _trace_lines(name, trace):
    origin, prices = trace["origin"], trace["prices"]
    size = (
        f"{trace['queries']} queries, {len(trace['contexts'])} contexts,"
        f" {len(trace['models'])} LLMs"
    )
    lines = [("trace", f"{name}: {size}; SHA-256 {trace['sha256']}")]
    lines.append(
        (
            "",
            f"from {origin['file']}"
            + (f", SHA-256 {origin['sha256']}" if "sha256" in origin else ""),
        )
    )
    if "source" in origin:
        lines.append(
            (
                "",
                (
                    f"statistics of {origin['source']}, commit"
                    f" {origin.get('commit', 'unknown')}, folder"
                    f" {origin.get('folder', '')}"
                ),
            )
        )
    if prices is None:
        return [*lines, ("prices", "none: the trace brought its own costs")]
    listed = (
        f" ({prices['file']}, SHA-256 {prices['sha256']})" if "file" in prices else ""
    )
    return [
        *lines,
        (
            "prices",
            f"of {', '.join(prices['as_of'])}: {'; '.join(prices['source'])}{listed}",
        ),
    ]


def _machine_lines(machine):
    memory = f", {machine['memory_gb']:g} GiB" if machine.get("memory_gb") else ""
    other = machine["not_locked"]
    locked = (
        "no lock"
        if other is None
        else f"not as locked: {', '.join(other)}"
        if other
        else "as locked"
    )
    versions = ", ".join(f"{n} {v}" for n, v in machine["versions"].items())
    return [
        (
            "machine",
            (
                f"Python {machine['python']} on {machine['system']}, {machine['cores']}"
                f" cores{memory}"
            ),
        ),
        ("versions", f"{versions} ({locked})"),
    ]


def _distinct(values):
    found = []
    for value in values:
        found += [value] if value not in found else []
    return found


# Checking


def check(folder="figures"):
    """Each committed figure's receipt: whether it is there, true, and resolves to a trace, a price date and a commit.

    It reads git's HEAD where there is git, else the folder. HEAD may have moved on since the record was made.

    Parameters
    ----------
    folder : path
        The record, from the checkout's top.

    Returns
    -------
    list of (str, str or None)
        Name, and the first thing that is wrong or None.
    """
    text = _committed(f"{folder}/{MANIFEST}")
    names = sorted(
        {pathlib.Path(p).stem for p in _listed(folder) if p.endswith(".csv")}
    )
    if text is None:
        return [
            (name, f"no {folder}/{MANIFEST}; run `make reproduce` and commit {folder}/")
            for name in names
        ]
    manifest = json.loads(text)
    rows = [(name, _wrong(manifest, name, folder)) for name in names]
    return rows + [
        (name, "a receipt without a figure")
        for name in sorted(set(manifest["figures"]) - set(names))
    ]


def _wrong(manifest, name, folder):
    import hashlib

    receipt = manifest["figures"].get(name)
    if receipt is None:
        return "no receipt"
    files = {"csv": receipt["numbers"]["sha256"], **receipt["pictures"]}
    for ending in ("csv", *PICTURES):
        content = _committed(f"{folder}/{name}.{ending}")
        if content is None or ending not in files:
            return (
                f"{name}.{ending} is not committed"
                if content is None
                else f"no receipt of {name}.{ending}"
            )
        if hashlib.sha256(content).hexdigest() != files[ending]:
            return (
                f"{name}.{ending} is not the file of the receipt: SHA-256"
                f" {hashlib.sha256(content).hexdigest()[:12]}, receipt"
                f" {files[ending][:12]}"
            )
        if ending != "csv" and f"pickllm run {receipt['run']}".encode() not in content:
            return f"{name}.{ending} does not carry run id {receipt['run']}"
    return unresolved(manifest, receipt)


def unresolved(manifest, receipt):
    """Return the first link that is missing in a receipt's chain to the trace, the prices and the commit, or None.

    Parameters
    ----------
    manifest : dict
    receipt : dict
        Of ``figures`` of the manifest.

    Returns
    -------
    str or None
    """
    try:
        runs = [receipt["made_by"], *upstream(manifest, receipt["made_by"])]
    except InputError as error:
        return str(error).partition(";")[0]
    runs = {name: manifest["runs"][name] for name in runs}
    if receipt["run"] != runs[receipt["made_by"]]["run"] or any(
        run_id(r) != r["run"] for r in runs.values()
    ):
        return "its run id is not that of the inputs"
    if receipt["cell"] is None:
        return f"no single cell of {runs[receipt['made_by']]['notebook']} draws it"
    traces = {
        r["parameters"]["trace"] for r in runs.values() if "trace" in r["parameters"]
    }
    if not traces or not traces <= set(manifest["traces"]):
        return (
            "no trace at the end of its chain"
            if not traces
            else (
                "no hash of trace"
                f" {', '.join(sorted(traces - set(manifest['traces'])))}"
            )
        )
    if any(
        manifest["traces"][t]["prices"] is not None
        and not manifest["traces"][t]["prices"]["as_of"]
        for t in traces
    ):
        return "no date of its prices"
    return (
        None
        if all(r["code"]["commit"] for r in runs.values())
        else "no commit of the code that ran"
    )


def outdated(folder, record="figures"):
    """Figures whose inputs in a fresh study are not those of the record: code, notebook, parameters or trace have changed since.

    Parameters
    ----------
    folder : path
        The fresh study's folder.
    record : path

    Returns
    -------
    list of str
    """
    text, fresh = (
        _committed(f"{record}/{MANIFEST}"),
        root() / folder / "figures" / MANIFEST,
    )
    if text is None or not fresh.exists():
        return []
    old, new = json.loads(text)["figures"], read(fresh)["figures"]
    return sorted(
        name for name in set(old) & set(new) if old[name]["run"] != new[name]["run"]
    )


def _committed(path):
    """Return a committed file's bytes: as in git's HEAD, else as it lies in the folder; None if absent."""
    if (root() / ".git").exists():
        return provenance.git(root(), "show", f"HEAD:{path}", binary=True)
    return (root() / path).read_bytes() if (root() / path).exists() else None


def _listed(folder):
    if (root() / ".git").exists():
        return (
            provenance.git(root(), "ls-tree", "--name-only", "HEAD", f"{folder}/") or ""
        ).splitlines()
    return [p.name for p in (root() / folder).iterdir()]
