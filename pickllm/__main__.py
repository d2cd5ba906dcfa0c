"""The command line: arguments only; each command stands in `commands`."""

import argparse
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from .commands import data, live, receipts, study
from .errors import InputError, MissingFileError, UnpinnedWarning
from .study.runner import RunFailed

#: In the order in which ``--help`` lists them.
ORDER = (
    "traces",
    "check",
    "fetch",
    "summarise",
    "push",
    "record",
    "score",
    "import",
    "run",
    "sweep",
    "why",
    "promote",
    "cite",
    "diff",
    "archive",
    "verify",
    "bench",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake is one line on standard error and exit 2."""
    arguments = parser().parse_args(argv)
    try:
        if getattr(arguments, "jobs", 1) < 1:
            raise InputError(
                f"--jobs must be at least 1, got {arguments.jobs}; one works at a time"
                " then"
            )
        with warnings.catch_warnings():
            warnings.showwarning = _one_line(warnings.showwarning)
            return arguments.run(arguments) or 0
    except (InputError, MissingFileError) as error:
        print(f"pickllm: {error}", file=sys.stderr)
        return 2
    except RunFailed as error:
        print(f"pickllm: {error}", file=sys.stderr)
        print(
            "pickllm: a notebook failed; its traceback stands above, its executed copy"
            " is kept. Finished runs are kept too",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print(
            "pickllm: interrupted; what was finished is kept, the same command goes on"
            " from there",
            file=sys.stderr,
        )
        return 130


def _one_line(usual: Callable[..., None]) -> Callable[..., None]:
    """Return what shows a warning of the kit's own as one line, any other as usual."""

    def show(message: Any, category: type, *place: Any, **options: Any) -> None:
        if issubclass(category, UnpinnedWarning):
            print(f"pickllm: warning: {message}", file=sys.stderr)
        else:
            usual(message, category, *place, **options)

    return show


def parser() -> argparse.ArgumentParser:
    """Return the commands and their options."""
    top = argparse.ArgumentParser(
        prog="pickllm",
        description="PickLLM, reproduced: online routing of queries between LLMs.",
    )
    subparsers = top.add_subparsers(metavar="COMMAND", required=True)
    rooms = (data, live, study, receipts)
    commands = {command.name: command for room in rooms for command in room.COMMANDS}
    for name in ORDER:
        command = commands[name]
        sub = subparsers.add_parser(name, help=command.text, description=command.text)
        command.declare(sub)
        sub.set_defaults(run=command.run)
    return top


if __name__ == "__main__":
    sys.exit(main())
