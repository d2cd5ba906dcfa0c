"""The command line: the only place with argv and default paths."""

import argparse
import os
import pathlib
import shutil
import sys
import time

from .errors import InputError, MissingFileError

DEFAULT_TRACE = "bfcl-2024-08-11"


def main(argv=None):
    """Run one command; a user's mistake is one line on standard error and exit code 2."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.command(arguments) or 0
    except (InputError, MissingFileError) as error:
        print(f"pickllm: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pickllm: interrupted; what was finished is kept, the same command goes on from there", file=sys.stderr)
        return 130


def parser():
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="pickllm", description="PickLLM, reproduced: online routing of queries between LLMs.")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def command(name, function, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=function)
        return sub

    command("traces", _traces, "list the traces that load by name")
    sub = command("check", _check, "check a trace file; name every wrong row")
    sub.add_argument("file")
    sub.add_argument("--prices", help="price list for its models (CSV)")
    sub = command("fetch", _fetch, "download the measured rows behind a bundled trace, checked by SHA-256")
    sub.add_argument("name", choices=[DEFAULT_TRACE], metavar="NAME")
    sub.add_argument("--mirror", help="address or folder with the repository's layout (or set PICKLLM_MIRROR)")
    sub = command("summarise", _summarise, "write the shareable statistics of a trace")
    sub.add_argument("file", help="a trace's name or file")
    sub.add_argument("--prices", help="price list for its models (CSV)")
    sub.add_argument("--output", help="default: FILE.summary.json in the current folder")
    sub.add_argument("--min-cell", type=int, default=5, help="cells with fewer queries give no quantiles of their own (default 5)")
    sub = command("run", _run, "run the whole study, or one notebook of it")
    sub.add_argument("experiment", help="'study', or a notebook's name")
    sub.add_argument("--trace", default=DEFAULT_TRACE, help="a trace's name or file (default %(default)s)")
    sub.add_argument("--prices", default="", help="price list for a file's models (CSV)")
    sub.add_argument("--size", default="full", help="full or smoke")
    sub.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="notebooks at once (default %(default)s)")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--force", action="store_true", help="run what is already done, too")
    sub.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the one notebook")
    sub = command("why", _why, "print what a figure was made from, back to the trace, the prices and the commit")
    sub.add_argument("figure", metavar="FIGURE", help="a figure's name, tables/NAME, or a file (its run id is read from it)")
    sub = command("cite", _cite, "print BibTeX for the paper, this kit and the data, or one claim as a sentence")
    sub.add_argument("--claim", metavar="ID", help="a claim's id, as in figures/claims.csv")
    sub = command("diff", _diff, "what differs between two studies or runs; exit 0 same, 1 different, 2 misuse")
    sub.add_argument("one", metavar="RUN_A", help="a study's folder (build), an archive (.zip), figures, or a run's name or id")
    sub.add_argument("other", metavar="RUN_B")
    sub.add_argument("--limit", type=int, default=20, help="at most so many lines of each kind (default %(default)s)")
    sub.add_argument("--tolerance", type=float, help="relative difference up to which numbers are the same (default: as in verify)")
    sub = command("archive", _archive, "write one zip of code, lock, data, record and study, that verifies itself")
    sub.add_argument("--output", help="default: build/pickllm-VERSION-COMMIT.zip")
    sub.add_argument("--dirty", action="store_true", help="pack files that are not committed, too; the archive says so")
    sub = command("verify", _verify, "run the study afresh and compare every figure's numbers with the committed ones")
    sub.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    return top


def _traces(arguments):
    from . import leaderboard
    from .pool import declared_pools
    from .sources import list_traces

    for name in list_traces():
        state = "bundled" if name in declared_pools() else "fetched" if leaderboard.fetched() else f"needs `pickllm fetch {DEFAULT_TRACE}`"
        print(f"{name}  ({state})")


def _check(arguments):
    from .trace import find_problems, read_frame, read_trace

    first = 2 if arguments.file.endswith(".csv") else 1
    found = find_problems(read_frame(arguments.file), arguments.prices, first_row=first)
    if not found:
        print(f"{arguments.file}: sound. {read_trace(arguments.file, arguments.prices)}")
        return 0
    for text in found[:10]:
        print(f"{arguments.file}: {text}", file=sys.stderr)
    if len(found) > 10:
        print(f"{arguments.file}: and {len(found) - 10} more", file=sys.stderr)
    return 2


def _fetch(arguments):
    from . import leaderboard

    folder = leaderboard.fetch(arguments.mirror)
    print(f"{len(leaderboard.checksums())} files, checksums verified, in {folder}")


def _summarise(arguments):
    from . import leaderboard
    from .pool import declared_pools
    from .sources import load_trace
    from .summary import TraceSummary

    trace = load_trace(arguments.file, arguments.prices)
    bundled = trace.name.removesuffix("-rows") in declared_pools()
    provenance = leaderboard.PROVENANCE if bundled else {}
    path = pathlib.Path(arguments.output or f"{trace.name.removesuffix('-rows')}.summary.json")
    TraceSummary.of(trace, arguments.min_cell, provenance).save(path)
    print(f"{path}: {trace.n_queries} queries, {len(trace.contexts)} contexts, {len(trace.models)} models; statistics only, no row")
    if bundled:  # what a session does on the rows, kept so that the sample can be held against it without them
        from .files import write_csv
        from .outcomes import lock_shares

        write_csv(path.with_name(path.name.replace(".summary.json", ".rows-replay.csv")), lock_shares(trace))


def _run(arguments):
    if arguments.experiment == "study":
        return _study(arguments, _folder(arguments.trace, arguments.size))
    from . import study
    from .experiments import Run

    parameters = dict(_parameter(text) for text in arguments.parameter)
    runs = [Run(arguments.experiment, arguments.experiment, parameters)]
    planned = study.plan(runs, "build/explore", _common(arguments))
    count, _ = _execute(planned, "build/explore", arguments)
    print(f"build/explore/notebooks/{arguments.experiment}.ipynb ({'executed' if count else 'nothing has changed'})")


def _parameter(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"-p takes NAME=VALUE, got {text!r}; put an equals sign between them")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            pass
    return name, value


def _folder(trace, size):
    """The record's folder for the default study; one of its own for any other."""
    name = "" if trace == DEFAULT_TRACE else pathlib.Path(trace).stem if "." in trace else trace.replace("/", "-").replace(":", "-")
    parts = [part for part in (name, "" if size == "full" else size) if part]
    return "/".join(["build", *parts])


def _common(arguments):
    from . import leaderboard
    from .pool import declared_pools
    from .sources import load_trace

    if arguments.trace.removesuffix("-rows") in set(declared_pools()) - {arguments.trace} and not leaderboard.fetched():
        leaderboard.fetch()
    trace = load_trace(arguments.trace, arguments.prices or None)
    arguments.loaded = trace
    return {"trace": arguments.trace, "prices": arguments.prices, "seed": arguments.seed, "fingerprint": trace.fingerprint()}


def _execute(planned, folder, arguments):
    from . import study

    try:
        return study.execute(planned, folder, arguments.jobs, force=arguments.force)
    except study.RunFailed as error:
        print(f"pickllm: {error}", file=sys.stderr)
        raise InputError("a notebook failed; its traceback stands above, its executed copy is kept. Finished runs are kept too") from error


def _study(arguments, folder, record=True):
    """Every run of the study that is not done, then the report; the default study also renews the record."""
    from . import experiments, receipts, report, study
    from .files import root

    start = time.perf_counter()
    common = _common(arguments)
    trace = arguments.loaded
    default = arguments.trace == DEFAULT_TRACE and arguments.size == "full"
    runs = experiments.study(trace, arguments.size, f"{DEFAULT_TRACE}-second" if default else None)
    planned = study.plan(runs, folder, common)
    count, reused = _execute(planned, folder, arguments)
    page = report.write(folder, trace, arguments.size, planned)
    if default and record:
        for path in sorted((root() / folder / "figures").iterdir()):
            kept = root() / "figures" / path.name
            if not path.name.startswith(".") and not (path.name == receipts.MANIFEST and receipts.same(path, kept)):
                shutil.copy2(path, kept)
        import pandas as pd

        report.update_readme(pd.read_csv(root() / "figures" / "claims.csv"))
    print(f"{count} runs executed, {reused} reused, {time.perf_counter() - start:.0f} s. Report: {os.path.relpath(page)}")


def _why(arguments):
    from . import receipts

    lines, known = receipts.why(arguments.figure)
    print("\n".join(lines))
    return 0 if known else 1


def _cite(arguments):
    from . import citation

    print(citation.sentence(arguments.claim) if arguments.claim else citation.bibtex())


def _diff(arguments):
    from . import compare

    sides = [compare.open_side(name) for name in (arguments.one, arguments.other)]
    found = compare.differences(*sides, compare.TOLERANCE if arguments.tolerance is None else arguments.tolerance)
    print("\n".join(compare.lines(*sides, found, arguments.limit)))
    return 1 if found else 0


def _archive(arguments):
    from . import archive, experiments, study

    arguments.trace, arguments.prices, arguments.seed = DEFAULT_TRACE, "", 0
    common = _common(arguments)
    planned = study.plan(experiments.study(arguments.loaded, "full", f"{DEFAULT_TRACE}-second"), "build", common)
    path, n = archive.write(planned, "build", arguments.output, arguments.dirty)
    print(f"{os.path.relpath(path)}: {n} files, {path.stat().st_size / 2**20:.1f} MiB. Unpacked, `python verify_archive.py` checks them")


def _verify(arguments):
    from . import receipts
    from .verify import TOLERANCE, compare

    arguments.trace, arguments.prices, arguments.size, arguments.seed, arguments.force = DEFAULT_TRACE, "", "full", 0, True
    _study(arguments, "build/verify", record=False)
    rows = compare("build/verify/figures")
    for name, difference, n in rows:
        print(f"{'DIFFERS' if difference else 'same   '}  {name}: {difference or f'{n} rows'}")
    wrong = sum(difference is not None for _, difference, _ in rows)
    print(f"{len(rows) - wrong} of {len(rows)} tables as committed (relative tolerance {TOLERANCE:g})")
    checked = receipts.check()
    for name, problem in checked:
        print(f"{'WRONG  ' if problem else 'receipt'}  {name}: {problem or 'resolves'}")
    unproven = sum(problem is not None for _, problem in checked)
    print(f"{len(checked) - unproven} of {len(checked)} receipts resolve")
    older = receipts.outdated("build/verify")
    if older:
        print(f"note: code, notebook, parameters or trace have changed since the record of {', '.join(older)}; `make reproduce` renews it")
    return 1 if wrong or unproven else 0


if __name__ == "__main__":
    sys.exit(main())
