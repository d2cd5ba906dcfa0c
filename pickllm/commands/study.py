"""Commands on a study: run, verify and archive it; sweeps and variants."""

import os
import pathlib
import sys
import time
from argparse import ArgumentParser, Namespace

from ..errors import InputError
from ..study.study import TRACE, Study
from .command import Command


def _run_arguments(sub: ArgumentParser) -> None:
    sub.add_argument("experiment", help="'study', or a notebook's name")
    sub.add_argument(
        "--trace",
        default=TRACE,
        help="a trace's name or file (default %(default)s)",
    )
    sub.add_argument(
        "--prices", default="", help="price list for a file's models (CSV)"
    )
    sub.add_argument("--size", default="full", help="full or smoke")
    sub.add_argument(
        "--jobs",
        type=int,
        default=min(4, os.cpu_count() or 1),
        help="notebooks at once (default %(default)s)",
    )
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument(
        "--folder",
        help=(
            "where everything goes (default: build in a checkout of the kit, else"
            " pickllm-study; a folder in it for all but the default study)"
        ),
    )
    sub.add_argument(
        "--force", action="store_true", help="run what is already done, too"
    )
    sub.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the one notebook",
    )


def _run(arguments: Namespace) -> int | None:
    from ..publish.reproduce import reproduce, run_notebook

    study = _study_of(arguments)
    offered = {"trace": TRACE, "prices": "", "seed": 0}
    given = {name: getattr(arguments, name) for name in offered}
    if arguments.experiment == "study":
        done = reproduce(
            study,
            **given,
            size=arguments.size,
            jobs=arguments.jobs,
            force=arguments.force,
        )
        print(
            f"{done.executed} runs executed, {done.reused} reused,"
            f" {done.seconds:.0f} s. Report: {os.path.relpath(done.report)}"
        )
        return
    asked = {name: value for name, value in given.items() if value != offered[name]}
    parameters = asked | dict(_parameter(text) for text in arguments.parameter)
    ran = run_notebook(
        study, arguments.experiment, parameters, offered, force=arguments.force
    )
    print(
        f"{os.path.relpath(ran.notebook)}"
        f" ({'executed' if ran.executed else 'nothing has changed'})"
    )


def _sweep_arguments(sub: ArgumentParser) -> None:
    sub.add_argument(
        "grid",
        nargs="?",
        help="YAML file: `name: value` or `name: [value, value]` a line",
    )
    sub.add_argument(
        "-s",
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE[,VALUE]",
        help="an axis or value of the grid, over the file's",
    )
    sub.add_argument(
        "--folder",
        default="build/sweep",
        help="where results are kept (default %(default)s)",
    )
    sub.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="a Dask scheduler, tcp://host:port (needs pickllm[cluster])",
    )
    sub.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="threads, without a scheduler (default %(default)s)",
    )


def _sweep(arguments: Namespace) -> int | None:
    from ..files import write_csv
    from ..sweeps.grid import from_text, grid, read_grid
    from ..sweeps.run import execute

    values = read_grid(arguments.grid) if arguments.grid else {}
    plan = grid(values | dict(from_text(text) for text in arguments.set))
    start = time.perf_counter()
    reduced = plan[0].reduce
    tables, counts = execute(
        plan,
        arguments.folder,
        arguments.scheduler,
        arguments.jobs,
        progress=True,
        keep=reduced,
    )
    for line in counts["set_aside"]:
        print(line, file=sys.stderr)
    where = pathlib.Path(arguments.folder)
    if reduced:
        import numpy as np

        frame = tables.frame()
        # lists stay in the Parquet files
        has_lists = frame.map(np.ndim).any()
        write_csv(where / "summary.csv", frame.loc[:, ~has_lists])
    decisions = sum(setting.decisions for setting in plan)
    counted = (
        f"{counts['computed']} settings computed, {counts['reused']} reused"
        f" ({decisions:.3g} decisions)"
    )
    print(f"{counted}, {time.perf_counter() - start:.1f} s. Results: {where}")


def _promote_arguments(sub: ArgumentParser) -> None:
    sub.add_argument("name", help="as it was exported to build/explore")


def _promote(arguments: Namespace) -> int | None:
    from ..study.variant import promote

    path = promote(arguments.name)
    print(
        f"{os.path.relpath(path)}: `make reproduce` now runs it and draws"
        f" figures/variant-{arguments.name}; delete both to take it back"
    )


def _verify_arguments(sub: ArgumentParser) -> None:
    sub.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))


def _verify(arguments: Namespace) -> int | None:
    from ..publish.check import TOLERANCE
    from ..publish.reproduce import verify

    found = verify(Study.here(), arguments.jobs)
    for name, difference, n in found.tables:
        verdict = "DIFFERS" if difference else "same   "
        print(f"{verdict}  {name}: {difference or f'{n} rows'}")
    n = len(found.tables)
    print(
        f"{n - found.differing} of {n} tables as committed (relative tolerance"
        f" {TOLERANCE:g})"
    )
    for name, problem in found.receipts:
        verdict = "WRONG  " if problem else "receipt"
        print(f"{verdict}  {name}: {problem or 'resolves'}")
    n = len(found.receipts)
    print(f"{n - found.unresolved} of {n} receipts resolve")
    if found.outdated:
        print(
            "note: code, notebook, parameters or trace have changed since the record"
            f" of {', '.join(found.outdated)}; `make reproduce` renews it"
        )
    return 1 if found.differing or found.unresolved else 0


def _archive_arguments(sub: ArgumentParser) -> None:
    sub.add_argument("--output", help="default: build/pickllm-VERSION-COMMIT.zip")
    sub.add_argument(
        "--dirty",
        action="store_true",
        help="pack files that are not committed, too; the archive says so",
    )


def _archive(arguments: Namespace) -> int | None:
    from ..publish.reproduce import archive

    done = archive(Study.here(), arguments.output, arguments.dirty)
    print(
        f"{os.path.relpath(done.path)}: {done.files} files,"
        f" {done.path.stat().st_size / 2**20:.1f} MiB."
        " Unpacked, `sha256sum -c SHA256SUMS` checks them"
    )


def _study_of(arguments: Namespace) -> Study:
    """Return the study in the folder asked for, or in the one that is its own."""
    from ..study.runs import default_folder

    if arguments.folder:
        return Study.here(arguments.folder)
    if arguments.experiment != "study":
        return Study.here().inside("explore")
    name = default_folder(
        arguments.trace, arguments.size, arguments.prices, arguments.seed
    )
    return Study.here().inside(name)


def _parameter(text: str) -> tuple[str, int | float | str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(
            f"-p takes NAME=VALUE, got {text!r}; put an equals sign between them"
        )
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            pass
    return name, value


COMMANDS = [
    Command("run", _run_arguments, _run, "run the whole study, or one notebook of it"),
    Command(
        "sweep",
        _sweep_arguments,
        _sweep,
        "replay a grid of settings; a sweep that was stopped goes on where it was",
    ),
    Command(
        "promote",
        _promote_arguments,
        _promote,
        "make a variant exported from notebooks/explore.ipynb a part of"
        " `make reproduce`",
    ),
    Command(
        "verify",
        _verify_arguments,
        _verify,
        "run the study afresh and compare every figure's numbers with the committed"
        " ones",
    ),
    Command(
        "archive",
        _archive_arguments,
        _archive,
        "write one zip of code, lock, data, record and study, that verifies itself",
    ),
]
