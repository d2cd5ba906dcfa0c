"""The one kind of error a user's input can raise: the rule, the value received, the next move."""


class InputError(ValueError):
    """Something the user gave breaks a rule; the message is one line and says what to do.

    The command line prints the message alone and exits with 2; code that calls the package may
    catch it as the ``ValueError`` it is.
    """


class MissingFileError(FileNotFoundError):
    """A file that a name or a path stands for is not there; the message says how to get it."""

    def __str__(self):  # OSError would show its argument as a tuple
        return str(self.args[0]) if self.args else ""


class UnpinnedWarning(UserWarning):
    """What was loaded is named by something that may move, so the same line may load other data tomorrow."""


def nearest(word, known):
    """Return the tail of an error about an unknown name: what is known, and the likeliest meant.

    Examples
    --------
    >>> nearest("simpel", ["simple", "rest"])
    "did you mean 'simple'? (known: simple, rest)"
    """
    from difflib import get_close_matches

    known = [str(k) for k in known]
    close = get_close_matches(str(word), known, n=1)
    listing = ", ".join(known) or "none"
    return (
        f"did you mean {close[0]!r}? (known: {listing})"
        if close
        else f"known: {listing}"
    )
