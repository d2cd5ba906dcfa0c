"""Commands on traces: list, check, fetch, summarise, share and import them."""

import pathlib
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import InputError
from ..study.study import TRACE
from .command import Command, no_arguments

if TYPE_CHECKING:
    from ..core.trace import Trace
    from ..traces.receipts import Imported

TABLE = "coderouterbench"
#: What `pickllm fetch` takes: the pools of four, every LLM of the leaderboard, a table.
FETCHED = [TRACE, f"{TRACE}-all", TABLE]
XROUTE, INSPECT = "xroutebench", "inspect"
#: Importers of tables with measured latency, which give a receipt.
MEASURED = (TABLE, XROUTE, INSPECT)
#: Options of `pickllm import` that only some of these formats take.
TAKEN_BY = {"prices": (XROUTE, INSPECT), "score": (INSPECT,), "context": (INSPECT,)}


def _traces(arguments: Namespace) -> int | None:
    from ..core.pool import declared_pools, declared_tables
    from ..traces import leaderboard
    from ..traces.sources import ROWS, list_traces

    for name in list_traces():
        pool = name.removesuffix(ROWS)
        if name in declared_tables() or name in declared_pools():
            state = "bundled"
        elif leaderboard.fetched(pool):
            state = "fetched"
        else:
            state = f"needs `pickllm fetch {leaderboard.fetched_as(pool)}`"
        print(f"{name}  ({state})")


def _check_arguments(sub: ArgumentParser) -> None:
    sub.add_argument("file")
    sub.add_argument("--prices", help="price list for its models (CSV)")


def _check(arguments: Namespace) -> int | None:
    from ..core.trace_file import find_problems, read_frame
    from ..traces.hub import SCHEME
    from ..traces.sources import load_trace

    found = []
    if not arguments.file.startswith(SCHEME):  # what is shared is checked on loading
        first_row = 2 if arguments.file.endswith(".csv") else 1
        frame = read_frame(arguments.file)
        found = find_problems(frame, arguments.prices, first_row=first_row)
    if not found:
        trace = load_trace(arguments.file, arguments.prices)
        print(f"{arguments.file}: sound. {trace}")
        for note in _doubts(trace):
            print(f"{arguments.file}: note: {note}")
        return 0
    for text in found[:10]:
        print(f"{arguments.file}: {text}", file=sys.stderr)
    if len(found) > 10:
        print(f"{arguments.file}: and {len(found) - 10} more", file=sys.stderr)
    return 2


def _doubts(trace: "Trace") -> Iterator[str]:
    """Yield what of a sound trace looks like a mistake of units or limits."""
    latency = trace.latency_ms
    middle = float(sorted(latency.ravel())[latency.size // 2])
    if middle < 20:  # no LLM answers so fast
        yield (
            f"half of all answers took less than {middle:.3g} ms; latency_ms is in"
            " milliseconds, are these seconds?"
        )
    limits = trace.limits
    is_below = latency < limits.latency_floor_ms
    is_above = latency > limits.latency_ceiling_ms
    beyond = (is_below | is_above).mean()
    if beyond > 0.05:
        yield (
            f"{100 * beyond:.0f} % of answers are faster than"
            f" {limits.latency_floor_ms:g} ms or slower than"
            f" {limits.latency_ceiling_ms:g} ms, the limits declared for the pool; the"
            " unit reward may not tell them apart: declare others with"
            " load_trace(..., limits=pk.Limits(...))"
        )


def _fetch_arguments(sub: ArgumentParser) -> None:
    sub.add_argument("name", choices=FETCHED, metavar="NAME", help=" or ".join(FETCHED))
    sub.add_argument(
        "--mirror",
        help="address or folder with the repository's layout (or set PICKLLM_MIRROR)",
    )


def _fetch(arguments: Namespace) -> int | None:
    from ..traces import coderouterbench, leaderboard

    if arguments.name == TABLE:
        table = coderouterbench.fetch(arguments.mirror)
        print(f"{table}: checksum verified; `pickllm import {TABLE}` makes a trace")
        return
    folder = leaderboard.fetch(arguments.mirror, pool=arguments.name)
    number = len(leaderboard.checksums(arguments.name))
    print(f"{number} files, checksums verified, in {folder}")


def _summarise_arguments(sub: ArgumentParser) -> None:
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


def _summarise(arguments: Namespace) -> int | None:
    from ..core.pool import declared_pools
    from ..traces import leaderboard
    from ..traces.sources import load_trace
    from ..traces.summary import TraceSummary

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
        joint=declared_pools()[name].get("joint", True) if bundled else None,
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
    if bundled:
        # what a session does on the rows, so that the sample can be held against it
        from ..analysis.outcomes import lock_shares
        from ..files import write_csv

        write_csv(
            path.with_name(path.name.replace(".summary.json", ".rows-replay.csv")),
            lock_shares(trace),
        )


def _push_arguments(sub: ArgumentParser) -> None:
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


def _push(arguments: Namespace) -> int | None:
    from ..traces import hub
    from ..traces.sources import load_trace
    from ..traces.summary import TraceSummary

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


def _import_arguments(sub: ArgumentParser) -> None:
    formats = ["routerbench", "llmrouterbench", "routellm", *MEASURED]
    sub.add_argument("format", choices=formats)
    sub.add_argument(
        "files",
        nargs="*",
        help=(
            "the table, or several; a folder for llmrouterbench; without one, for"
            " coderouterbench, what `pickllm fetch coderouterbench` brought"
        ),
    )
    sub.add_argument(
        "--latency-ms",
        action="append",
        default=[],
        metavar="[LLM=]MS",
        help=(
            "declared, for all LLMs or for one; for routerbench, llmrouterbench and"
            " routellm, which do not hold it"
        ),
    )
    sub.add_argument(
        "--cost-usd",
        action="append",
        default=[],
        metavar="[LLM=]USD",
        help="likewise, of an answer; for routellm alone",
    )
    sub.add_argument(
        "--prices",
        help="price list for its LLMs (CSV); for xroutebench, also its own price table",
    )
    sub.add_argument("--score", default="", help="column of scores; for inspect")
    sub.add_argument("--context", default="", help="column of contexts; for inspect")
    sub.add_argument(
        "--output",
        required=True,
        help="the trace (.csv or .parquet); a receipt, if any, is written beside it",
    )


def _import(arguments: Namespace) -> int | None:
    from ..traces import coderouterbench, importers

    if not arguments.files:
        if arguments.format != TABLE:
            raise InputError(f"{arguments.format}: no file given; name its table")
        arguments.files = [coderouterbench.fetch()]
    for option, formats in TAKEN_BY.items():
        if getattr(arguments, option) and arguments.format not in formats:
            raise InputError(
                f"--{option}: {arguments.format} takes none, got"
                f" {getattr(arguments, option)!r}; leave it out"
            )
    if arguments.format in MEASURED:
        _import_measured(arguments)
        return
    latency = _by_llm("--latency-ms", arguments.latency_ms)
    cost = _by_llm("--cost-usd", arguments.cost_usd)
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


def _import_measured(arguments: Namespace) -> None:
    """Write a trace whose latencies are measured, and its receipt beside it."""
    for option in ("latency_ms", "cost_usd"):
        if getattr(arguments, option):
            raise InputError(
                f"--{option.replace('_', '-')}: {arguments.format} holds its own, got"
                f" {getattr(arguments, option)[0]!r}; leave it out"
            )
    if len(arguments.files) > 1:
        raise InputError(
            f"{arguments.format} is one table, got {len(arguments.files)} files; import"
            " them one by one"
        )
    trace, receipt = _measured(arguments)
    trace.save(arguments.output)
    receipt.save(pathlib.Path(arguments.output).with_suffix(".receipt.json"))
    print(*receipt.sentences(), sep="\n")
    print(
        f"{arguments.output}: {trace.n_queries} queries, {len(trace.contexts)}"
        f" contexts, {len(trace.models)} LLMs; latencies as measured"
    )


def _measured(arguments: Namespace) -> "Imported":
    """Return what the importer of a table with measured latency makes of it."""
    from ..traces.coderouterbench import coderouterbench
    from ..traces.inspect_samples import inspect_samples
    from ..traces.xroutebench import xroutebench

    file, prices = arguments.files[0], arguments.prices
    if arguments.format == XROUTE:
        return xroutebench(file, prices)
    if arguments.format == INSPECT:
        return inspect_samples(file, prices, arguments.score, arguments.context)
    return coderouterbench(file)


def _by_llm(option: str, given: list[str]) -> float | dict[str, float] | None:
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


COMMANDS = [
    Command("traces", no_arguments, _traces, "list the traces that load by name"),
    Command(
        "check", _check_arguments, _check, "check a trace file; name every wrong row"
    ),
    Command(
        "fetch",
        _fetch_arguments,
        _fetch,
        "download the measured rows behind a bundled trace, checked by SHA-256",
    ),
    Command(
        "summarise",
        _summarise_arguments,
        _summarise,
        "write the shareable statistics of a trace",
    ),
    Command(
        "push",
        _push_arguments,
        _push,
        "publish a trace, or its summary, as a dataset of the Hugging Face Hub; the"
        " token comes from HF_TOKEN",
    ),
    Command(
        "import",
        _import_arguments,
        _import,
        "make a trace of a public table of outcomes",
    ),
]
