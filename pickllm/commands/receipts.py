"""Commands on what a study left: why, cite, diff; and the bench."""

import sys
from argparse import ArgumentParser, Namespace

from ..errors import InputError
from .command import Command


def _why_arguments(sub: ArgumentParser) -> None:
    sub.add_argument(
        "figure",
        metavar="FIGURE",
        help="a figure's name, tables/NAME, or a file (its run id is read from it)",
    )


def _why(arguments: Namespace) -> int | None:
    from ..publish import receipts

    lines, known = receipts.why(arguments.figure)
    print("\n".join(lines))
    return 0 if known else 1


def _cite_arguments(sub: ArgumentParser) -> None:
    sub.add_argument(
        "--claim", metavar="ID", help="a claim's id, as in figures/claims.csv"
    )


def _cite(arguments: Namespace) -> int | None:
    from ..publish import citation

    print(citation.sentence(arguments.claim) if arguments.claim else citation.bibtex())


def _diff_arguments(sub: ArgumentParser) -> None:
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


def _diff(arguments: Namespace) -> int | None:
    from ..publish import diff

    one = diff.open_side(arguments.one)
    other = diff.open_side(arguments.other)
    given = arguments.tolerance
    tolerance = diff.TOLERANCE if given is None else given
    found = diff.differences(one, other, tolerance)
    print("\n".join(diff.lines(one, other, found, arguments.limit)))
    return 1 if found else 0


def _bench_arguments(sub: ArgumentParser) -> None:
    sub.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help="of engine, learners, scaling, starts, live, memory, study (default: all)",
    )
    sub.add_argument(
        "--repetitions",
        type=int,
        default=5,
        help="interleaved rounds, at least 5 for the record (default %(default)s)",
    )


def _bench(arguments: Namespace) -> int | None:
    from ..files import root

    if not (root() / "benchmarks").is_dir():
        raise InputError(
            f"bench: no folder benchmarks in {root()}; run it in a checkout of the kit"
        )
    sys.path.insert(0, str(root()))
    from benchmarks.bench import main as measure

    measure(arguments.parts, arguments.repetitions)


COMMANDS = [
    Command(
        "why",
        _why_arguments,
        _why,
        "print what a figure was made from, back to the trace, the prices and the"
        " commit",
    ),
    Command(
        "cite",
        _cite_arguments,
        _cite,
        "print BibTeX for the paper, this kit and the data, or one claim as a sentence",
    ),
    Command(
        "diff",
        _diff_arguments,
        _diff,
        "what differs between two studies or runs; exit 0 same, 1 different, 2 misuse",
    ),
    Command(
        "bench",
        _bench_arguments,
        _bench,
        "measure speeds beside C and peers; all parts together write the README's"
        " table (in a checkout)",
    ),
]
