"""Parameters of notebooks that list names or numbers, as text."""

import csv
from collections.abc import Iterable, Sequence

from ..errors import InputError, nearest


def listed(text: str, known: Sequence[str], what: str) -> list[str]:
    """Return a parameter that lists names: ``"all"``, or names with commas between.

    A name with a comma or a quotation mark, or one called "all", stands in quotation
    marks, as in CSV.

    Raises
    ------
    InputError
        A name that is not known.

    Examples
    --------
    >>> listed("all", ("a", "b"), "context"), listed("b", ("a", "b"), "context")
    (['a', 'b'], ['b'])
    >>> listed('"c, d", a', ("a", "c, d"), "context")
    ['c, d', 'a']
    """
    if text == "all":
        return list(known)
    rows = csv.reader([str(text)], skipinitialspace=True, strict=True)
    names = next(rows, [])
    for name in names:
        if name not in known:
            raise InputError(f"unknown {what} {name!r}; {nearest(name, known)}")
    return names


def joined(names: Iterable[str]) -> str:
    """Return the text that `listed` reads back as these names, whatever they hold.

    Examples
    --------
    >>> joined(["a", "b, c"]), joined(["all"])
    ('a, "b, c"', '"all"')
    """
    return ", ".join(map(_quoted, names))


def _quoted(name: str) -> str:
    """Return a name as it stands in a list: in quotation marks where it needs them."""
    is_plain = name == name.strip() and not set(name) & set(',"\r\n')
    if is_plain and name != "all":
        return name
    return '"' + name.replace('"', '""') + '"'


def numbers(text: str) -> list[float]:
    """Return a parameter that lists numbers, with commas between.

    Raises
    ------
    InputError

    Examples
    --------
    >>> numbers("0.1, 0.5")
    [0.1, 0.5]
    """
    try:
        return [float(part) for part in str(text).split(",")]
    except ValueError:
        raise InputError(
            f"not a list of numbers: {text!r}; write them with commas between, like"
            " '0.1, 0.5'"
        ) from None
