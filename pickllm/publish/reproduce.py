"""The verbs of a study: reproduce it, verify it, archive it; run one notebook of it."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, UnpinnedWarning
from ..files import checkout, written
from ..study.lock import locked
from ..study.planning import Planned, declared_parameters, plan
from ..study.runner import execute, forget_others
from ..study.runs import Run, study_runs
from ..study.study import SECOND_TRACE, TRACE, Study

if TYPE_CHECKING:
    from ..core.trace import Trace


@dataclass(frozen=True)
class Reproduced:
    """What `reproduce` did.

    Attributes
    ----------
    report : pathlib.Path
        The page to open.
    executed, reused : int
        Runs.
    seconds : float
    """

    report: Path
    executed: int
    reused: int
    seconds: float


@dataclass(frozen=True)
class Verified:
    """What `verify` found.

    Attributes
    ----------
    tables : list of (str, str or None, int)
        Of each figure: its name, what differs, and the number of rows.
    receipts : list of (str, str or None)
        Of each figure: its name, and what its receipt does not resolve.
    outdated : list of str
        Figures whose record was made from other code, parameters or data.
    """

    tables: list[tuple[str, str | None, int]]
    receipts: list[tuple[str, str | None]]
    outdated: list[str]

    @property
    def differing(self) -> int:
        """Number of tables that differ from the committed ones."""
        return sum(difference is not None for _, difference, _ in self.tables)

    @property
    def unresolved(self) -> int:
        """Number of receipts that do not resolve."""
        return sum(problem is not None for _, problem in self.receipts)


@dataclass(frozen=True)
class Archived:
    """What `archive` wrote.

    Attributes
    ----------
    path : pathlib.Path
        The zip.
    files : int
        Number of files in it.
    """

    path: Path
    files: int


@dataclass(frozen=True)
class Executed:
    """What `run_notebook` left.

    Attributes
    ----------
    notebook : pathlib.Path
        The executed copy.
    executed : bool
        False where nothing had changed since the last time.
    """

    notebook: Path
    executed: bool


def reproduce(
    study: Study,
    trace: str = TRACE,
    prices: str = "",
    size: str = "full",
    seed: int = 0,
    jobs: int = 2,
    force: bool = False,
) -> Reproduced:
    """Execute every run of a study that is not done, then write its report.

    The study in ``build`` of a checkout, with its trace, size and seed as they are by
    default, also renews the record: ``figures/`` and the README's table of claims.

    Parameters
    ----------
    study : Study
        Where its files go.
    trace : str
        A name or a file, as `load_trace` takes it; of the Hub, with a commit.
    prices : str
        The price list for a file's LLMs.
    size : str
        A key of `study.runs.SIZES`.
    seed : int
    jobs : int
        Notebooks at once.
    force : bool
        Whether to run what is done, too.

    Returns
    -------
    Reproduced

    Raises
    ------
    InputError, MissingFileError, RunFailed
    """
    from . import report

    start = time.perf_counter()
    _require_commit(trace)
    loaded = _load(trace, prices)
    is_default = (trace, prices, size, seed) == (TRACE, "", "full", 0)
    with locked(study.path):
        planned = _plan_study(study, loaded, (trace, prices), size, seed)
        executed, reused = execute(study, planned, jobs, force=force)
        forget_others(study, planned)
        page = report.write(study.folder, loaded, size, planned)
        if is_default and study.renews_record:
            _renew_record(study)
    return Reproduced(page, executed, reused, time.perf_counter() - start)


def verify(study: Study, jobs: int = 2) -> Verified:
    """Run the whole study afresh, aside, and compare its numbers with the record's.

    Parameters
    ----------
    study : Study
        The record's; what is run for the comparison goes to ``verify`` in its folder.
    jobs : int
        Notebooks at once.

    Raises
    ------
    InputError
        There is no record here.
    """
    from . import check, receipts

    _require_checkout("verify", study)
    fresh = study.inside("verify")
    reproduce(fresh, jobs=jobs, force=True)
    tables = check.compare(fresh.folder / "figures")
    return Verified(tables, receipts.check(), receipts.outdated(fresh.folder))


def archive(
    study: Study, output: str | Path | None = None, dirty: bool = False
) -> Archived:
    """Write one zip of code, lock, data, record and study, that verifies itself.

    Parameters
    ----------
    study : Study
        The record's, all of its runs done.
    output : path, optional
        By default ``build/pickllm-<version>-<commit>.zip``.
    dirty : bool
        Whether to pack files that are not committed, too.

    Raises
    ------
    InputError
    """
    from . import archive as packing

    _require_checkout("archive", study)
    with locked(study.path):
        planned = _plan_study(study, _load(TRACE, ""), (TRACE, ""), "full", 0)
        path, files = packing.write(planned, study.folder.as_posix(), output, dirty)
    return Archived(path, files)


def run_notebook(
    study: Study,
    name: str,
    parameters: Mapping[str, Any],
    offered: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Executed:
    """Run one notebook alone, and leave what others have left in the folder.

    Parameters
    ----------
    study : Study
        Where its files go.
    name : str
        In `notebooks/`, without ending.
    parameters : dict
        Over the notebook's own; each must be declared there.
    offered : dict, optional
        Parameters that it gets if it declares them.
    force : bool
        Whether to run it though nothing has changed.

    Raises
    ------
    InputError, MissingFileError, RunFailed
    """
    declared = declared_parameters(name)
    given = dict(parameters)
    common = {k: v for k, v in (offered or {}).items() if k in declared} | given
    if "trace" in common and "trace" in declared:
        _fetch_rows(common["trace"])
        given["trace"] = _pinned(common["trace"])
    if "results" in declared:  # it reads what a study left
        given.setdefault("results", f"{Study.here().folder.as_posix()}/results")
    run = Run(name, name, given)
    with locked(study.path, shared=True), locked(study.path, name):
        planned = plan(study, [run], offered)
        count, _ = execute(study, planned, jobs=1, force=force)
    return Executed(study.notebooks / f"{name}.ipynb", bool(count))


def _plan_study(
    study: Study, trace: "Trace", source: tuple[str, str], size: str, seed: int
) -> list[Planned]:
    """Return the plan of the whole study; the record's has a second trace beside it."""
    name, prices = source
    second = SECOND_TRACE if (name, size) == (TRACE, "full") else None
    common = {"trace": name, "prices": prices, "seed": seed}
    fingerprints = {source: trace.fingerprint()}
    return plan(study, study_runs(trace, size, second), common, fingerprints)


def _load(trace: str, prices: str) -> "Trace":
    from ..traces.sources import load_trace

    _fetch_rows(trace)
    return load_trace(trace, prices or None)


def _fetch_rows(trace: str) -> None:
    """Download the measured rows, if they are meant and not here."""
    from ..core.pool import declared_pools
    from ..traces import leaderboard
    from ..traces.sources import ROWS

    pool = trace.removesuffix(ROWS)
    are_rows = pool != trace and pool in declared_pools()
    if are_rows and not leaderboard.fetched(pool):
        leaderboard.fetch(pool=leaderboard.fetched_as(pool))


def _pinned(trace: str) -> str:
    """Return a trace's name as a run records it: on the Hub, with its commit."""
    from ..traces import hub

    return hub.pinned(trace) if str(trace).startswith(hub.SCHEME) else trace


def _require_commit(trace: str) -> None:
    """Refuse to make a study on what may move."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnpinnedWarning)
        address = _pinned(trace)
    if address != trace:
        raise InputError(
            f"{trace} may move, and a study must be one that others can repeat; it now"
            f" is {address}: give that"
        )


def _require_checkout(verb: str, study: Study) -> None:
    """Refuse what needs the record where there is none."""
    if checkout() is None:
        raise InputError(
            f"{verb} needs the record in figures/ of a checkout of the kit, and"
            f" {study.root} is none; clone the kit and run it there"
        )


def _renew_record(study: Study) -> None:
    """Bring the figures, and the table of claims, to where they are committed."""
    from . import receipts, report

    manifest = study.figures / receipts.MANIFEST
    drawn = [p for p in sorted(study.figures.iterdir()) if not p.name.startswith(".")]
    for path in drawn:
        if path != manifest:
            _copy(path, study.record / path.name)
    if not receipts.same(manifest, study.record / manifest.name):
        _copy(manifest, study.record / manifest.name)
    report.update_readme(report.readme_claims(study.record))


def _copy(path: Path, target: Path) -> None:
    """Copy a file that differs; the target is never there half-written."""
    content = path.read_bytes()
    if not target.exists() or target.read_bytes() != content:
        with written(target, "wb") as file:
            file.write(content)
