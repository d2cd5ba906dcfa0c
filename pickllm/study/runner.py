"""Running a study: the runs that are not done yet, several at once."""

import json
import logging
import multiprocessing
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from ..files import digest, home, write_json, written
from . import provenance
from .planning import Planned
from .stage import Stage
from .study import Study


class RunFailed(Exception):  # noqa: N818, it names an event
    """A notebook stopped with an error; the message holds its traceback."""


def execute(
    study: Study,
    planned: Sequence[Planned],
    jobs: int = 2,
    progress: bool = True,
    force: bool = False,
) -> tuple[int, int]:
    """Run what is not done yet, each as soon as the results that it needs are there.

    Long runs start first, the others in the plan's order.

    Returns
    -------
    (int, int)
        Runs executed, and runs whose results were already there.

    Raises
    ------
    RunFailed
        A notebook failed; runs under way are stopped, finished ones are kept.
    """
    waiting = [p for p in planned if force or not p["done"]]
    _require_writable(study.path)
    if waiting:
        _execute_all(study, waiting, jobs, progress)
    return len(waiting), len(planned) - len(waiting)


def _execute_all(
    study: Study, planned: list[Planned], jobs: int, progress: bool
) -> None:
    """Run each of these, by up to ``jobs`` processes at once."""
    from tqdm import tqdm

    origin = {
        "code": provenance.code(),
        "lock": provenance.lock(),
        "machine": provenance.machine(),
    }
    longest_first = sorted(planned, key=lambda p: not p["run"].long)
    waiting = {p["run"].name: p for p in longest_first}
    running: dict[Future[None], str] = {}
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(jobs, len(waiting)), mp_context=context, initializer=_Worker.begin
    )
    bar = tqdm(
        total=len(waiting),
        desc="notebooks",
        unit="run",
        disable=not progress,
        smoothing=0,
    )
    try:
        while waiting or running:
            unfinished = {*waiting, *running.values()}
            for name, one in list(waiting.items()):
                if not unfinished.intersection(one["run"].needs):
                    running[pool.submit(_Worker.work, study, one, origin)] = name
                    del waiting[name]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                _raise_failure(future, name)
                bar.set_postfix_str(name)
                bar.update()
    except BaseException:
        workers = set(multiprocessing.active_children()) - others
        pool.shutdown(wait=False, cancel_futures=True)
        _stop(workers)
        raise
    finally:
        bar.close()
    pool.shutdown()


class _Worker:
    """What a worker process knows of interrupts: one ends its work, and all to come."""

    busy = False
    stopped = False

    @classmethod
    def begin(cls) -> None:
        signal.signal(signal.SIGINT, cls._stop)

    @classmethod
    def _stop(cls, number: int, frame: object) -> None:
        cls.stopped = True
        if cls.busy:
            raise KeyboardInterrupt

    @classmethod
    def work(cls, study: Study, planned: Planned, origin: dict[str, Any]) -> None:
        if cls.stopped:
            raise KeyboardInterrupt
        cls.busy = True
        try:
            _run_one(study, planned, origin)
        finally:
            cls.busy = False


def _raise_failure(future: Future[None], name: str) -> None:
    """Raise what a finished run failed with, if it failed."""
    try:
        future.result()
    except BrokenProcessPool:
        raise RunFailed(
            f"{name}: the process was ended from outside, for lack of memory perhaps;"
            " run again with --jobs 1"
        ) from None


def _stop(workers: set[BaseProcess], patience: float = 5.0) -> None:
    """End processes, by an interrupt, which ends their kernels too, then by force."""
    for worker in workers:
        with suppress(ProcessLookupError):
            if worker.pid is not None:
                os.kill(worker.pid, signal.SIGINT)
    until = time.monotonic() + patience
    for worker in workers:
        worker.join(max(0.0, until - time.monotonic()))
        worker.kill()


def _require_writable(folder: Path) -> None:
    with written(folder / ".writable"):
        pass
    (folder / ".writable").unlink()


def _run_one(study: Study, planned: Planned, origin: dict[str, Any]) -> None:
    """Execute one notebook aside, move what it made to its place, and stamp it."""
    start = time.perf_counter()
    run = planned["run"]
    stage = Stage(study, planned)
    try:
        failure = _execute_notebook(run.notebook, stage.open(), stage.notebook)
        if failure is None and not stage.result.exists():
            failure = (
                "the notebook ended without writing its result"
                f" {stage.in_place(str(stage.result))}"
            )
        if failure is not None:
            failed = stage.keep_failed()
            raise RunFailed(
                f"{run.name}: {stage.in_place(failure)}\nexecuted copy: {failed}"
            )
        files = stage.settle()
    finally:
        stage.close()
    path = home("notebooks") / f"{run.notebook}.ipynb"
    stamp = {
        "input": planned["input"],
        "seconds": round(time.perf_counter() - start, 2),
        "parameters": planned["parameters"],
        "defaults": planned["defaults"],
        "notebook": run.notebook,
        "notebook_sha256": provenance.sha256(path),
        "needs": list(run.needs),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **origin,
        "files": {os.path.relpath(f, study.root): digest(f) for f in files},
    }
    write_json(study.stamp(run.name), stamp)


def _execute_notebook(
    notebook: str, parameters: dict[str, Any], output: Path
) -> str | None:
    """Execute a notebook in a kernel of its own.

    Returns
    -------
    str or None
        The error that it stopped with, and its traceback; None if it ended well.
    """
    _set_environment()
    import papermill
    from traitlets.config import Config

    logging.getLogger("papermill").setLevel(logging.ERROR)
    # kernels that start at once race for TCP ports; sockets in a folder of their own do
    # not
    sockets = tempfile.mkdtemp(prefix="pickllm-")
    transport = {"transport": "ipc", "ip": f"{sockets}/k"} if os.name == "posix" else {}
    # all is written by the time a kernel is shut down
    client = {"shutdown_kernel": "immediate"}
    try:
        # relative paths: the executed copy keeps both, and nobody's home folder in it
        papermill.execute_notebook(
            os.path.relpath(home("notebooks") / f"{notebook}.ipynb"),
            os.path.relpath(output),
            parameters=parameters,
            kernel_name="python3",
            progress_bar=False,
            log_output=False,
            config=Config({"KernelManager": transport, "NotebookClient": client}),
            # a kernel told to stop while idle calls that an error
            extra_arguments=["--log-level=CRITICAL"],
        )
    except papermill.PapermillExecutionError as error:
        return f"{error.ename}: {error.evalue}\n{_plain(error.traceback)}"
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
    return None


def _set_environment() -> None:
    """Set what a kernel inherits: its own environment's kernel, and one thread each."""
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _plain(lines: Sequence[str]) -> str:
    """Return a traceback without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))


def forget_others(study: Study, planned: Sequence[Planned]) -> None:
    """Remove what runs left that are no longer in the plan: results, tables, figures.

    Parameters
    ----------
    study : Study
    planned : list of Planned
        The runs of the study, all of them done.
    """
    names = {p["run"].name for p in planned}
    kept: set[str] = set()
    others: set[str] = set()
    for path in study.results.glob("*.stamp"):
        files = set(json.loads(path.read_text("utf-8")).get("files", ()))
        if path.stem in names:
            kept |= files
        else:
            others |= files
    for name in others - kept:
        path = study.root / name
        if Path(os.path.abspath(path)).is_relative_to(study.path):
            path.unlink(missing_ok=True)
    for path in study.results.glob("*.*"):
        if path.name.split(".")[0] not in names:
            path.unlink()
