"""What a user's input can raise: the rule, the value received, the next move."""

from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave breaks a rule; the message is one line: what to do.

    The command line prints the message alone and exits with 2; code that calls the
    package may catch it as the ``ValueError`` it is.
    """


class MissingFileError(FileNotFoundError):
    """A file that a name or a path stands for is not there; how to get it."""

    def __str__(self) -> str:  # OSError would show its argument as a tuple
        return str(self.args[0]) if self.args else ""


class UnpinnedWarning(UserWarning):
    """What was loaded is named by something that may move.

    The same line may load other data tomorrow.
    """


class SlowWarning(UserWarning):
    """A learner runs in Python, some hundred times slower than if it were compiled."""


def nearest(word: object, known: Iterable[object]) -> str:
    """Return the tail of an error about an unknown name: the likeliest, and all known.

    Examples
    --------
    >>> nearest("simpel", ["simple", "rest"])
    "did you mean 'simple'? (known: simple, rest)"
    """
    from difflib import get_close_matches

    names = [str(name) for name in known]
    listing = ", ".join(names) or "none"
    for name in get_close_matches(str(word), names, n=1):
        return f"did you mean {name!r}? (known: {listing})"
    return f"known: {listing}"
