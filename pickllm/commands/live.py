"""Commands on LLMs of one's own: record their answers, and score them."""

import pathlib
import sys
from argparse import ArgumentParser, Namespace

from ..errors import InputError
from .command import Command


def _record_arguments(sub: ArgumentParser) -> None:
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
    _call_arguments(sub)
    _request_arguments(sub)


def _call_arguments(sub: ArgumentParser) -> None:
    """Declare how, and how often, LLMs are called."""
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


def _request_arguments(sub: ArgumentParser) -> None:
    """Declare what is sent with each query."""
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


def _record(arguments: Namespace) -> int | None:
    from ..live import recording

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


def _score_arguments(sub: ArgumentParser) -> None:
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


def _score(arguments: Namespace) -> int | None:
    from .. import scoring

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


COMMANDS = [
    Command(
        "record",
        _record_arguments,
        _record,
        "ask LLMs behind endpoints every query; log answers, tokens, latencies; goes"
        " on where it was stopped",
    ),
    Command(
        "score",
        _score_arguments,
        _score,
        "score recorded responses; the result is a trace",
    ),
]
