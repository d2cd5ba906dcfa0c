"""What a command is."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command of the command line.

    Attributes
    ----------
    name : str
    declare : callable
        Declares its arguments.
    run : callable
        Does it; the exit code, None for 0.
    text : str
        What it does, for ``--help``.
    """

    name: str
    declare: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int | None]
    text: str


def no_arguments(sub: ArgumentParser) -> None:
    """Declare nothing."""
