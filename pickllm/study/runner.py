"""Running a study: which notebooks still have to run, in parallel, and where their results stand.

A run is done when its result file holds the hash of everything it depends on: the notebook, its
parameters, the package's code, the trace, and the results it reads. Only what is not done runs.
"""

import ast
import json
import os
import pathlib
import shutil
import signal
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import suppress

from ..errors import InputError, nearest
from ..files import digest, home, root, write_json, written
from ..modules import code_hash
from . import provenance

#: Endings of the files in `data` that a run may read.
SHIPPED = {".csv", ".json", ".sha256"}


class RunFailed(Exception):
    """A notebook stopped with an error: its own traceback, and where the executed copy stands."""


def code_of(notebook):
    """Return the text of a notebook's code cells, without lines that are for the notebook's shell alone."""
    import nbformat

    book = nbformat.read(home("notebooks") / f"{notebook}.ipynb", as_version=4)
    lines = "\n".join(
        cell.source for cell in book.cells if cell.cell_type == "code"
    ).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def _shipped():
    """Hash of the prices, limits and statistics that the package ships."""
    paths = sorted(p for p in home("data").iterdir() if p.suffix in SHIPPED)
    return digest([p.name for p in paths], *paths)


def declared_parameters(notebook):
    """Return the names that a notebook's tagged cell declares, with their default values' text.

    Raises
    ------
    InputError
        No such notebook.
    """
    import papermill

    path = home("notebooks") / f"{notebook}.ipynb"
    if not path.exists():
        raise InputError(
            f"no notebook {path};"
            f" {nearest(notebook, sorted(p.stem for p in path.parent.glob('*.ipynb')))}"
        )
    return {
        name: p["default"] for name, p in papermill.inspect_notebook(str(path)).items()
    }


def plan(runs, folder, common):
    """Each run with its full parameters and input hash, and whether its result is already there.

    Parameters
    ----------
    runs : list of Run
    folder : path
        Where ``results``, ``notebooks`` and ``figures`` of this study stand.
    common : dict
        Parameters that every notebook which declares them gets, and ``fingerprint`` of the trace.

    Returns
    -------
    list of dict
        ``run``, ``parameters``, ``defaults`` (of the notebook), ``input``, ``done``.

    Raises
    ------
    InputError
        A parameter that the notebook does not declare.
    """
    folder = pathlib.Path(folder)
    declared = {n: declared_parameters(n) for n in {r.notebook for r in runs}}
    code = {n: code_hash(code_of(n)) for n in declared}
    shipped = _shipped()
    planned, hashes = [], {}
    for run in runs:
        for name in run.parameters:
            if name not in declared[run.notebook]:
                raise InputError(
                    f"notebook '{run.notebook}' declares no parameter {name!r};"
                    f" {nearest(name, declared[run.notebook])}"
                )
        offered = {
            k: v
            for k, v in common.items()
            if k in declared[run.notebook] and k != "fingerprint"
        }
        parameters = offered | run.parameters
        inputs = digest(
            home("notebooks") / f"{run.notebook}.ipynb",
            parameters,
            code[run.notebook],
            shipped,
            common.get("fingerprint", ""),
            [hashes.get(n) for n in run.needs],
        )
        hashes[run.name] = inputs
        places = {
            "result": f"{folder}/results/{run.name}.json",
            "results": f"{folder}/results",
            "figures": f"{folder}/figures",
            "run": inputs[:12],
        }
        parameters |= {k: v for k, v in places.items() if k in declared[run.notebook]}
        defaults = _values(declared[run.notebook])
        planned.append(
            {
                "run": run,
                "parameters": parameters,
                "defaults": defaults,
                "input": inputs,
                "done": _done(folder, run.name, inputs),
            }
        )
    return planned


def _values(declared):
    """Defaults of a notebook as values: the tests hold parameters to JSON scalars."""
    return {name: ast.literal_eval(text) for name, text in declared.items()}


def _stamp(folder, name):
    return root() / folder / "results" / f"{name}.stamp"


def _done(folder, name, inputs):
    try:
        stamp = json.loads(_stamp(folder, name).read_text("utf-8"))
        return (
            stamp["input"] == inputs
            and "defaults" in stamp
            and all(
                (root() / path).exists() and digest(root() / path) == sha
                for path, sha in stamp["files"].items()
            )
        )
    except (OSError, ValueError, KeyError):
        return False


def execute(planned, folder, jobs=2, progress=True, force=False):
    """Run what is not done yet, in parallel, each as soon as the results it needs are there.

    Returns
    -------
    (int, int)
        Runs executed, and runs whose results were already there.

    Raises
    ------
    RunFailed
        A notebook failed; runs under way are stopped, finished ones are kept.
    """
    from multiprocessing import get_context

    from tqdm import tqdm

    waiting = {p["run"].name: p for p in planned if force or not p["done"]}
    here = [p for p in planned if p["run"].name not in waiting]
    _require_writable(root() / folder)
    names = {p["run"].name for p in planned}
    for old in (root() / folder / "results").glob(
        "*.*"
    ):  # of runs that are no longer in the plan
        if old.name.split(".")[0] not in names:
            old.unlink()
    if not waiting:
        return 0, len(here)
    origin = {
        "code": provenance.code(),
        "lock": provenance.lock(),
        "machine": provenance.machine(),
    }
    bar = tqdm(
        total=len(waiting),
        desc="notebooks",
        unit="run",
        disable=not progress,
        smoothing=0,
    )
    pool = ProcessPoolExecutor(min(jobs, len(waiting)), mp_context=get_context("spawn"))
    running, count = {}, len(waiting)
    try:
        while waiting or running:
            for name, p in list(waiting.items()):
                if not any(
                    n in waiting or n in running.values() for n in p["run"].needs
                ):
                    running[
                        pool.submit(_run_one, p | {"origin": origin}, str(folder))
                    ] = waiting.pop(name)["run"].name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                future.result()
                bar.set_postfix_str(name)
                bar.update()
    except BaseException:
        workers = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        _stop(workers)
        raise
    finally:
        bar.close()
    pool.shutdown()
    return count, len(here)


def _stop(workers, patience=5.0):
    """End processes: an interrupt, which lets each end its kernel too, and force for what is left after a while."""
    for worker in workers:
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGINT)
    until = time.monotonic() + patience
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
        worker.kill()


def _require_writable(folder):
    with written(folder / ".writable"):
        pass
    (folder / ".writable").unlink()


def _run_one(p, folder):
    """Execute one notebook in a kernel of its own, and stamp its result."""
    import logging

    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    os.environ["JUPYTER_PREFER_ENV_PATH"] = (
        "1"  # this environment's kernel, whatever else the user has
    )
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    import papermill
    from traitlets.config import Config

    logging.getLogger("papermill").setLevel(logging.ERROR)
    run, base = p["run"], root() / folder
    result = base / "results" / f"{run.name}.json"
    for old in [
        result,
        _stamp(folder, run.name),
        *result.parent.glob(f"{run.name}.*.parquet"),
    ]:
        old.unlink(missing_ok=True)
    output = base / "notebooks" / f"{run.name}.ipynb"
    failed, part = (
        output.with_suffix(".failed.ipynb"),
        output.with_suffix(".part.ipynb"),
    )
    output.parent.mkdir(parents=True, exist_ok=True)
    failed.unlink(missing_ok=True)
    start = time.perf_counter()
    sockets = tempfile.mkdtemp(prefix="pickllm-")
    # kernels that start at once race for TCP ports; sockets in a folder of their own do
    # not
    transport = {"transport": "ipc", "ip": f"{sockets}/k"} if os.name == "posix" else {}
    try:
        papermill.execute_notebook(
            os.path.relpath(
                home("notebooks") / f"{run.notebook}.ipynb"
            ),  # the executed copy keeps both paths: nobody's home folder in it
            os.path.relpath(part),
            parameters=p["parameters"],
            kernel_name="python3",
            progress_bar=False,
            log_output=False,
            config=Config(
                {
                    "KernelManager": transport,
                    "NotebookClient": {"shutdown_kernel": "immediate"},
                }
            ),  # all is written by then
            extra_arguments=[
                "--log-level=CRITICAL"
            ],  # a kernel told to stop while idle calls that an error
        )
    except papermill.PapermillExecutionError as error:
        os.replace(part, failed)
        raise RunFailed(
            f"{run.name}: {error.ename}:"
            f" {error.evalue}\n{_plain(error.traceback)}\nexecuted copy: {failed}"
        ) from None
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
    if not result.exists():
        os.replace(part, failed)
        raise RunFailed(
            f"{run.name}: the notebook ended without writing its result"
            f" {result}\nexecuted copy: {failed}"
        )
    os.replace(part, output)
    files = [result, *sorted(result.parent.glob(f"{run.name}.*.parquet"))]
    content = json.loads(result.read_text("utf-8"))
    files += [root() / name for name in content.get("figures", [])]
    write_json(
        _stamp(folder, run.name),
        {
            "input": p["input"],
            "seconds": round(time.perf_counter() - start, 2),
            "parameters": p["parameters"],
            "defaults": p["defaults"],
            "notebook": run.notebook,
            "notebook_sha256": provenance.sha256(
                home("notebooks") / f"{run.notebook}.ipynb"
            ),
            "needs": list(run.needs),
            "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **p["origin"],
            "files": {os.path.relpath(f, root()): digest(f) for f in files},
        },
    )


def _plain(lines):
    """Return a traceback without terminal colours."""
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))
