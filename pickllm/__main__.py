"""The command line: the only place with argv and default paths."""

import argparse
import os
import pathlib
import shutil
import sys
import time
import warnings

from .errors import InputError, MissingFileError, UnpinnedWarning

DEFAULT_TRACE = "bfcl-2024-08-11"


def main(argv=None):
    """Run one command; a user's mistake is one line on standard error and exit code 2."""
    arguments = parser().parse_args(argv)
    try:
        if getattr(arguments, "jobs", 1) < 1:
            raise InputError(
                f"--jobs must be at least 1, got {arguments.jobs}; one works at a time"
                " then"
            )
        with warnings.catch_warnings():
            warnings.showwarning = _one_line(warnings.showwarning)
            return arguments.command(arguments) or 0
    except (InputError, MissingFileError) as error:
        print(f"pickllm: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "pickllm: interrupted; what was finished is kept, the same command goes on"
            " from there",
            file=sys.stderr,
        )
        return 130


def _one_line(usual):
    """Return a warning of the kit's own as one line on standard error; any other as usual."""

    def show(message, category, *place, **options):
        if issubclass(category, UnpinnedWarning):
            print(f"pickllm: warning: {message}", file=sys.stderr)
        else:
            usual(message, category, *place, **options)

    return show


def parser():
    """Return the commands and their options."""
    top = argparse.ArgumentParser(
        prog="pickllm",
        description="PickLLM, reproduced: online routing of queries between LLMs.",
    )
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def command(name, function, text):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=function)
        return sub

    command("traces", _traces, "list the traces that load by name")
    sub = command("check", _check, "check a trace file; name every wrong row")
    sub.add_argument("file")
    sub.add_argument("--prices", help="price list for its models (CSV)")
    sub = command(
        "fetch",
        _fetch,
        "download the measured rows behind a bundled trace, checked by SHA-256",
    )
    sub.add_argument("name", choices=[DEFAULT_TRACE], metavar="NAME")
    sub.add_argument(
        "--mirror",
        help="address or folder with the repository's layout (or set PICKLLM_MIRROR)",
    )
    sub = command("summarise", _summarise, "write the shareable statistics of a trace")
    sub.add_argument("file", help="a trace's name or file")
    sub.add_argument("--prices", help="price list for its models (CSV)")
    sub.add_argument(
        "--output", help="default: FILE.summary.json in the current folder"
    )
    sub.add_argument(
        "--min-cell",
        type=int,
        default=5,
        help="no number speaks for fewer queries than this (default %(default)s)",
    )
    sub = command(
        "push",
        _push,
        "publish a trace, or its summary, as a dataset of the Hugging Face Hub; the"
        " token comes from HF_TOKEN",
    )
    sub.add_argument("file", help="a trace's name or file, or a summary (.json)")
    sub.add_argument("repo", metavar="owner/name")
    sub.add_argument("--prices", help="price list for its models (CSV)")
    sub.add_argument(
        "--summary-only", action="store_true", help="statistics and no row"
    )
    sub.add_argument(
        "--min-cell",
        type=int,
        default=5,
        help=(
            "with --summary-only: no number speaks for fewer queries than this (default"
            " %(default)s)"
        ),
    )
    sub.add_argument(
        "--licence",
        default="unknown",
        help=(
            "the Hub's name of it, such as cc-by-4.0 (default %(default)s: nobody may"
            " reuse it)"
        ),
    )
    sub.add_argument(
        "--source",
        default="",
        help="where the outcomes come from, for the dataset's card",
    )
    sub.add_argument(
        "--private", action="store_true", help="readable by its owner alone"
    )
    sub.add_argument(
        "--with-text",
        action="store_true",
        help="share further columns that are not numbers (prompts, responses), too",
    )
    sub = command(
        "record",
        _record,
        "ask LLMs behind endpoints every query; log answers, tokens, latencies; goes on"
        " where it was stopped",
    )
    sub.add_argument(
        "queries",
        help=(
            "CSV or Parquet: query_id, prompt (or text), optionally context, reference"
        ),
    )
    sub.add_argument(
        "--models",
        required=True,
        help=(
            "YAML: for each LLM's name `model`, `base_url` or `provider`, `key_env`,"
            " prices"
        ),
    )
    sub.add_argument(
        "--output", help="the log; default: QUERIES.jsonl in the current folder"
    )
    sub.add_argument(
        "--dry-run",
        action="store_true",
        help="only say how many calls there are and what they would cost",
    )
    sub.add_argument(
        "--budget",
        type=float,
        metavar="USD",
        help="begin no call that might pass it; counts the whole log",
    )
    sub.add_argument(
        "--temperature",
        type=float,
        default=0.0,
        help="sent where the models file has none (default %(default)s)",
    )
    sub.add_argument(
        "--seed", type=int, default=0, help="likewise (default %(default)s)"
    )
    sub.add_argument(
        "--max-tokens", type=int, default=512, help="likewise (default %(default)s)"
    )
    sub.add_argument(
        "--timeout",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="likewise (default %(default)s)",
    )
    sub.add_argument(
        "--no-stream",
        action="store_true",
        help="whole answers, without the time to the first token",
    )
    sub.add_argument(
        "--repeats",
        type=int,
        default=1,
        help=(
            "times each query is put to each LLM, for its latency (default %(default)s)"
        ),
    )
    sub.add_argument(
        "--warm-up",
        type=int,
        default=0,
        help="calls to each LLM before those that count (default %(default)s)",
    )
    sub.add_argument(
        "--concurrency", type=int, default=4, help="calls at once (default %(default)s)"
    )
    sub.add_argument(
        "--attempts", type=int, default=5, help="at one call (default %(default)s)"
    )
    sub.add_argument(
        "--order-seed",
        type=int,
        default=0,
        help="of the order of calls (default %(default)s)",
    )
    sub.add_argument(
        "--no-text",
        action="store_true",
        help="write SHA-256 in place of prompts, responses and references",
    )
    sub = command("score", _score, "score recorded responses; the result is a trace")
    sub.add_argument(
        "file", help="a log of `record`, or responses (.csv, .jsonl or .parquet)"
    )
    sub.add_argument(
        "--scorer",
        required=True,
        help=(
            "a measure's name, 'judge', FILE.py:FUNCTION, a module that `evaluate`"
            " loads, or '0.7*A + 0.3*B'"
        ),
    )
    sub.add_argument(
        "--field", help="of a module: the result with one score a response"
    )
    sub.add_argument(
        "--higher-is-worse",
        action="store_true",
        help="of a module: 1 - x is the accuracy",
    )
    sub.add_argument(
        "--judge", metavar="FILE", help="a models file with the LLM that grades"
    )
    sub.add_argument(
        "--failures",
        default="zero",
        choices=["zero", "drop"],
        help="a failed call scores 0, or its query is left out (default %(default)s)",
    )
    sub.add_argument("--output", help="write the scored rows (.csv or .parquet)")
    sub = command("import", _import, "make a trace of a public table of outcomes")
    sub.add_argument("format", choices=["routerbench", "llmrouterbench", "routellm"])
    sub.add_argument(
        "files", nargs="+", help="the table, or several; a folder for llmrouterbench"
    )
    sub.add_argument(
        "--latency-ms",
        action="append",
        default=[],
        metavar="[LLM=]MS",
        help="declared, for all LLMs or for one; none of the tables holds it",
    )
    sub.add_argument(
        "--cost-usd",
        action="append",
        default=[],
        metavar="[LLM=]USD",
        help="likewise, of an answer; for routellm alone",
    )
    sub.add_argument("--output", required=True, help="the trace (.csv or .parquet)")
    sub = command("run", _run, "run the whole study, or one notebook of it")
    sub.add_argument("experiment", help="'study', or a notebook's name")
    sub.add_argument(
        "--trace",
        default=DEFAULT_TRACE,
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
    sub = command(
        "sweep",
        _sweep,
        "replay a grid of settings; a sweep that was stopped goes on where it was",
    )
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
    sub = command(
        "why",
        _why,
        "print what a figure was made from, back to the trace, the prices and the"
        " commit",
    )
    sub.add_argument(
        "figure",
        metavar="FIGURE",
        help="a figure's name, tables/NAME, or a file (its run id is read from it)",
    )
    sub = command(
        "promote",
        _promote,
        "make a variant exported from notebooks/explore.ipynb a part of `make"
        " reproduce`",
    )
    sub.add_argument("name", help="as it was exported to build/explore")
    sub = command(
        "cite",
        _cite,
        "print BibTeX for the paper, this kit and the data, or one claim as a sentence",
    )
    sub.add_argument(
        "--claim", metavar="ID", help="a claim's id, as in figures/claims.csv"
    )
    sub = command(
        "diff",
        _diff,
        "what differs between two studies or runs; exit 0 same, 1 different, 2 misuse",
    )
    sub.add_argument(
        "one",
        metavar="RUN_A",
        help=(
            "a study's folder (build), an archive (.zip), figures, or a run's name"
            " or id"
        ),
    )
    sub.add_argument("other", metavar="RUN_B")
    sub.add_argument(
        "--limit",
        type=int,
        default=20,
        help="at most so many lines of each kind (default %(default)s)",
    )
    sub.add_argument(
        "--tolerance",
        type=float,
        help=(
            "relative difference up to which numbers are the same (default: as in"
            " verify)"
        ),
    )
    sub = command(
        "archive",
        _archive,
        "write one zip of code, lock, data, record and study, that verifies itself",
    )
    sub.add_argument("--output", help="default: build/pickllm-VERSION-COMMIT.zip")
    sub.add_argument(
        "--dirty",
        action="store_true",
        help="pack files that are not committed, too; the archive says so",
    )
    sub = command(
        "verify",
        _verify,
        "run the study afresh and compare every figure's numbers with the committed"
        " ones",
    )
    sub.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    sub = command(
        "bench",
        _bench,
        "measure speeds beside C and peers; all parts together write the README's table"
        " (in a checkout)",
    )
    sub.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help="of engine, scaling, starts, live, memory, study (default: all)",
    )
    sub.add_argument(
        "--repetitions",
        type=int,
        default=5,
        help="interleaved rounds, at least 5 for the record (default %(default)s)",
    )
    return top


def _traces(arguments):
    from .core.pool import declared_pools
    from .traces import leaderboard
    from .traces.sources import list_traces

    for name in list_traces():
        state = (
            "bundled"
            if name in declared_pools()
            else (
                "fetched"
                if leaderboard.fetched()
                else f"needs `pickllm fetch {DEFAULT_TRACE}`"
            )
        )
        print(f"{name}  ({state})")


def _check(arguments):
    from .core.trace import find_problems, read_frame
    from .traces.hub import SCHEME
    from .traces.sources import load_trace

    first, shared = (
        (2 if arguments.file.endswith(".csv") else 1),
        arguments.file.startswith(SCHEME),
    )  # what is shared was checked as it was loaded
    found = (
        []
        if shared
        else find_problems(
            read_frame(arguments.file), arguments.prices, first_row=first
        )
    )
    if not found:
        trace = load_trace(arguments.file, arguments.prices)
        print(f"{arguments.file}: sound. {trace}")
        middle = float(sorted(trace.latency_ms.ravel())[trace.latency_ms.size // 2])
        if middle < 20:  # no LLM answers so fast
            print(
                f"{arguments.file}: note: half of all answers took less than"
                f" {middle:.3g} ms; latency_ms is in milliseconds, are these seconds?"
            )
        limits = trace.limits
        beyond = (
            (trace.latency_ms < limits.latency_floor_ms)
            | (trace.latency_ms > limits.latency_ceiling_ms)
        ).mean()
        if beyond > 0.05:
            print(
                f"{arguments.file}: note: {100 * beyond:.0f} % of answers are faster"
                f" than {limits.latency_floor_ms:g} ms or slower than"
                f" {limits.latency_ceiling_ms:g} ms, the limits declared for the pool;"
                " the unit reward may not tell them apart: declare others with"
                " load_trace(..., limits=pk.Limits(...))"
            )
        return 0
    for text in found[:10]:
        print(f"{arguments.file}: {text}", file=sys.stderr)
    if len(found) > 10:
        print(f"{arguments.file}: and {len(found) - 10} more", file=sys.stderr)
    return 2


def _fetch(arguments):
    from .traces import leaderboard

    folder = leaderboard.fetch(arguments.mirror)
    print(f"{len(leaderboard.checksums())} files, checksums verified, in {folder}")


def _score(arguments):
    from . import scoring

    path = pathlib.Path(arguments.file)
    log = path.with_name(f"{path.stem}.judge.jsonl")
    by = scoring.scorer(
        arguments.scorer,
        field=arguments.field,
        higher_is_worse=arguments.higher_is_worse,
        judge=arguments.judge,
        log=log,
    )
    frame, failed = scoring.score(
        scoring.read_responses(path), by, failures=arguments.failures
    )
    if arguments.output:
        scoring.save(frame, arguments.output)
    print(scoring.summary(frame).to_string(index=False, float_format="{:.4f}".format))
    print(
        "Mean accuracy with 95 % intervals over queries"
        + (f": {arguments.output}" if arguments.output else "")
    )
    if failed:
        counts = (
            "score 0, cost nothing and took as long as their LLM's slowest answer"
            if arguments.failures == "zero"
            else "are left out with their queries"
        )
        print(f"{failed} failed calls {counts}")


def _import(arguments):
    from .traces import importers

    latency, cost = (
        _by_llm(name, values)
        for name, values in (
            ("--latency-ms", arguments.latency_ms),
            ("--cost-usd", arguments.cost_usd),
        )
    )
    if arguments.format == "routellm":
        trace = importers.routellm(arguments.files, latency, cost)
    elif arguments.format == "llmrouterbench":
        trace = importers.llmrouterbench(arguments.files, latency)
    elif len(arguments.files) > 1:
        raise InputError(
            f"routerbench is one table, got {len(arguments.files)} files; import them"
            " one by one"
        )
    else:
        trace = importers.routerbench(arguments.files[0], latency)
    trace.save(arguments.output)
    print(
        f"{arguments.output}: {trace.n_queries} queries, {len(trace.contexts)}"
        f" contexts, {len(trace.models)} LLMs; latencies as declared"
    )


def _by_llm(option, given):
    """``["200", "b=300"]`` as a number for all LLMs, or a number for each."""
    values = {}
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            values[name] = float(number)
        except ValueError:
            raise InputError(
                f"{option} must be a number, or LLM=NUMBER, got {text!r}; correct it"
            ) from None
    return values[""] if set(values) == {""} else values or None


def _summarise(arguments):
    from .core.pool import declared_pools
    from .traces import leaderboard
    from .traces.sources import load_trace
    from .traces.summary import TraceSummary

    trace = load_trace(arguments.file, arguments.prices)
    bundled = trace.name.removesuffix("-rows") in declared_pools()
    name = trace.name.removesuffix("-rows").replace("/", "-")
    path = pathlib.Path(arguments.output or f"{name}.summary.json")
    # the bundled outcomes are public row by row; nobody else's are taken to be
    summary = TraceSummary.of(
        trace,
        arguments.min_cell,
        leaderboard.PROVENANCE if bundled else {},
        protect=not bundled,
    )
    summary.save(path)
    print(
        f"{path}: {trace.n_queries} queries, {len(trace.contexts)} contexts,"
        f" {len(trace.models)} models; statistics only, no row"
    )
    print("Whoever reads it learns:", *summary.disclosed(), sep="\n  ")
    if not bundled:
        print(
            "Merging rare patterns moved an LLM's mean accuracy in a context by at"
            f" most {summary.shift(trace):.3f}."
        )
    if bundled:  # what a session does on the rows, kept so that the sample can be held against it without them
        from .analysis.outcomes import lock_shares
        from .files import write_csv

        write_csv(
            path.with_name(path.name.replace(".summary.json", ".rows-replay.csv")),
            lock_shares(trace),
        )


def _record(arguments):
    from .live import recording

    queries = recording.read_queries(arguments.queries)
    settings = {
        name: getattr(arguments, name)
        for name in ("temperature", "seed", "max_tokens", "timeout")
    }
    models = recording.read_models(
        arguments.models, stream=not arguments.no_stream, **settings
    )
    log = pathlib.Path(
        arguments.output or f"{pathlib.Path(arguments.queries).stem}.jsonl"
    )
    if arguments.dry_run:
        print(
            recording.described(
                recording.estimate(
                    queries, models, log, arguments.repeats, arguments.warm_up
                )
            )
        )
        return 0
    count = recording.record(
        queries,
        models,
        log,
        repeats=arguments.repeats,
        warm_up=arguments.warm_up,
        seed=arguments.order_seed,
        concurrency=arguments.concurrency,
        attempts=arguments.attempts,
        budget=arguments.budget,
        keep_text=not arguments.no_text,
        progress=True,
    )
    prices = log.with_suffix(".prices.csv")
    if recording.write_prices(prices, models):
        print(f"prices: {prices}")
    for line in recording.shortcomings(count):
        print(line, file=sys.stderr)
    made = (
        f"{count.answered} calls answered, {count.failed} failed, {count.reused} there"
        f" already, {count.left} left"
    )
    print(f"{log}: {made}; at most {count.spent_usd:.4f} USD")
    if count.given_up:
        name, why = next(iter(count.given_up.items()))
        raise InputError(
            f"LLM '{name}' was given up: {why}; correct {arguments.models} or start the"
            " endpoint, the same command goes on from there"
        )
    return 1 if count.failed or count.left else 0


def _push(arguments):
    from .traces import hub
    from .traces.sources import load_trace
    from .traces.summary import TraceSummary

    summary = arguments.file.endswith(".json") and not arguments.file.startswith(
        hub.SCHEME
    )
    data = (
        TraceSummary.load(arguments.file)
        if summary
        else load_trace(arguments.file, arguments.prices)
    )
    names = ("summary_only", "min_cell", "licence", "source", "private", "with_text")
    pushed = hub.push(
        data, arguments.repo, **{name: getattr(arguments, name) for name in names}
    )
    print(
        f"{'Its owner' if arguments.private else 'Anybody'} can read:",
        *pushed.disclosed,
        sep="\n  ",
    )
    print(pushed.address)


def _run(arguments):
    arguments.trace = _pinned(arguments)
    if arguments.experiment == "study":
        return _study(arguments, _folder(arguments.trace, arguments.size))
    from .study import runner
    from .study.runs import Run

    parameters = dict(_parameter(text) for text in arguments.parameter)
    runs = [Run(arguments.experiment, arguments.experiment, parameters)]
    planned = runner.plan(runs, "build/explore", _common(arguments))
    count, _ = _execute(planned, "build/explore", arguments)
    print(
        f"build/explore/notebooks/{arguments.experiment}.ipynb"
        f" ({'executed' if count else 'nothing has changed'})"
    )


def _parameter(text):
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


def _folder(trace, size):
    """Return the record's folder for the default study; one of its own for any other."""
    from .study.runs import SIZES
    from .traces import hub

    if trace == DEFAULT_TRACE:
        name = ""
    elif trace.startswith(hub.SCHEME):
        repo, revision = hub.parse(trace)
        name = f"{repo}@{(revision or '')[:12]}".replace("/", "-")
    else:
        name = pathlib.Path(trace).stem if "." in trace else trace
        name += (
            "-trace"
            if name
            in {
                *SIZES,
                "verify",
                "explore",
                "results",
                "notebooks",
                "figures",
                "report",
            }
            else ""
        )
    return "/".join(
        part for part in ("build", name, "" if size == "full" else size) if part
    )


def _pinned(arguments):
    """Return the trace's name as a run may record it: a study is made on a commit of the Hub and on nothing that moves."""
    from .traces import hub

    if not arguments.trace.startswith(hub.SCHEME):
        return arguments.trace
    if arguments.experiment != "study":
        return hub.pinned(arguments.trace)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnpinnedWarning)
        address = hub.pinned(arguments.trace)
    if address != arguments.trace:
        raise InputError(
            f"{arguments.trace} may move, and a study must be one that others can"
            f" repeat; it now is {address}: give that"
        )
    return address


def _common(arguments):
    from .core.pool import declared_pools
    from .traces import leaderboard
    from .traces.sources import load_trace

    if (
        arguments.trace.removesuffix("-rows")
        in set(declared_pools()) - {arguments.trace}
        and not leaderboard.fetched()
    ):
        leaderboard.fetch()
    trace = load_trace(arguments.trace, arguments.prices or None)
    arguments.loaded = trace
    return {
        "trace": arguments.trace,
        "prices": arguments.prices,
        "seed": arguments.seed,
        "fingerprint": trace.fingerprint(),
    }


def _execute(planned, folder, arguments):
    from .study import runner

    try:
        return runner.execute(planned, folder, arguments.jobs, force=arguments.force)
    except runner.RunFailed as error:
        print(f"pickllm: {error}", file=sys.stderr)
        raise InputError(
            "a notebook failed; its traceback stands above, its executed copy is kept."
            " Finished runs are kept too"
        ) from error


def _study(arguments, folder, record=True):
    """Every run of the study that is not done, then the report; the default study also renews the record."""
    from .files import root
    from .publish import receipts, report
    from .study import runner
    from .study.runs import study_runs

    start = time.perf_counter()
    common = _common(arguments)
    trace = arguments.loaded
    default = (
        arguments.trace == DEFAULT_TRACE
        and arguments.size == "full"
        and not arguments.prices
    )
    runs = study_runs(
        trace, arguments.size, f"{DEFAULT_TRACE}-second" if default else None
    )
    planned = runner.plan(runs, folder, common)
    count, reused = _execute(planned, folder, arguments)
    page = report.write(folder, trace, arguments.size, planned)
    if default and record:
        for path in sorted((root() / folder / "figures").iterdir()):
            kept = root() / "figures" / path.name
            if not path.name.startswith(".") and not (
                path.name == receipts.MANIFEST and receipts.same(path, kept)
            ):
                shutil.copy2(path, kept)
        import pandas as pd

        report.update_readme(pd.read_csv(root() / "figures" / "claims.csv"))
    print(
        f"{count} runs executed, {reused} reused, {time.perf_counter() - start:.0f} s."
        f" Report: {os.path.relpath(page)}"
    )


def _sweep(arguments):
    from .files import write_csv
    from .sweeps.grid import from_text, grid, read_grid
    from .sweeps.run import execute

    values = (read_grid(arguments.grid) if arguments.grid else {}) | dict(
        from_text(text) for text in arguments.set
    )
    plan = grid(values)
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
        import pandas as pd

        frame = pd.concat(tables, ignore_index=True)
        write_csv(
            where / "summary.csv",
            frame[[name for name in frame if frame[name].map(np.ndim).eq(0).all()]],
        )  # lists stay in the Parquet files
    decisions = sum(setting.decisions for setting in plan)
    counted = (
        f"{counts['computed']} settings computed, {counts['reused']} reused"
        f" ({decisions:.3g} decisions)"
    )
    print(f"{counted}, {time.perf_counter() - start:.1f} s. Results: {where}")


def _why(arguments):
    from .publish import receipts

    lines, known = receipts.why(arguments.figure)
    print("\n".join(lines))
    return 0 if known else 1


def _promote(arguments):
    from .study.panel import promote

    path = promote(arguments.name)
    print(
        f"{os.path.relpath(path)}: `make reproduce` now runs it and draws"
        f" figures/variant-{arguments.name}; delete both to take it back"
    )


def _cite(arguments):
    from .publish import citation

    print(citation.sentence(arguments.claim) if arguments.claim else citation.bibtex())


def _diff(arguments):
    from .publish import diff

    sides = [diff.open_side(name) for name in (arguments.one, arguments.other)]
    found = diff.differences(
        *sides, diff.TOLERANCE if arguments.tolerance is None else arguments.tolerance
    )
    print("\n".join(diff.lines(*sides, found, arguments.limit)))
    return 1 if found else 0


def _archive(arguments):
    from .publish import archive
    from .study import runner
    from .study.runs import study_runs

    arguments.trace, arguments.prices, arguments.seed = DEFAULT_TRACE, "", 0
    common = _common(arguments)
    planned = runner.plan(
        study_runs(arguments.loaded, "full", f"{DEFAULT_TRACE}-second"), "build", common
    )
    path, n = archive.write(planned, "build", arguments.output, arguments.dirty)
    print(
        f"{os.path.relpath(path)}: {n} files, {path.stat().st_size / 2**20:.1f} MiB."
        " Unpacked, `python verify_archive.py` checks them"
    )


def _bench(arguments):
    from .files import root

    if not (root() / "benchmarks").is_dir():
        raise InputError(
            f"bench: no folder benchmarks in {root()}; run it in a checkout of the kit"
        )
    sys.path.insert(0, str(root()))
    from benchmarks.bench import main as measure

    measure(arguments.parts, arguments.repetitions)


def _verify(arguments):
    from .publish import receipts
    from .publish.check import TOLERANCE, compare

    (
        arguments.trace,
        arguments.prices,
        arguments.size,
        arguments.seed,
        arguments.force,
    ) = (DEFAULT_TRACE, "", "full", 0, True)
    _study(arguments, "build/verify", record=False)
    rows = compare("build/verify/figures")
    for name, difference, n in rows:
        print(
            f"{'DIFFERS' if difference else 'same   '}  {name}:"
            f" {difference or f'{n} rows'}"
        )
    wrong = sum(difference is not None for _, difference, _ in rows)
    print(
        f"{len(rows) - wrong} of {len(rows)} tables as committed (relative tolerance"
        f" {TOLERANCE:g})"
    )
    checked = receipts.check()
    for name, problem in checked:
        print(f"{'WRONG  ' if problem else 'receipt'}  {name}: {problem or 'resolves'}")
    unproven = sum(problem is not None for _, problem in checked)
    print(f"{len(checked) - unproven} of {len(checked)} receipts resolve")
    older = receipts.outdated("build/verify")
    if older:
        print(
            "note: code, notebook, parameters or trace have changed since the record"
            f" of {', '.join(older)}; `make reproduce` renews it"
        )
    return 1 if wrong or unproven else 0


if __name__ == "__main__":
    sys.exit(main())
