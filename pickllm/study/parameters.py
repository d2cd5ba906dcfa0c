"""Parameters of notebooks that list names or numbers, as text."""

import csv

from ..errors import InputError, nearest


def listed(text, known, what):
    """Return a parameter that lists names: ``"all"``, or names with commas between, each checked.

    A name with a comma or a quotation mark, or one called "all", stands in quotation marks, as in CSV.

    Examples
    --------
    >>> listed("all", ("a", "b"), "context"), listed("b", ("a", "b"), "context"), listed('"c, d", a', ("a", "c, d"), "context")
    (['a', 'b'], ['b'], ['c, d', 'a'])
    """
    names = (
        list(known)
        if text == "all"
        else next(csv.reader([str(text)], skipinitialspace=True, strict=True), [])
    )
    for name in names:
        if name not in known:
            raise InputError(f"unknown {what} {name!r}; {nearest(name, known)}")
    return names


def joined(names):
    """Return the text that `listed` reads back as these names, whatever they hold.

    Examples
    --------
    >>> joined(["a", "b, c"]), joined(["all"])
    ('a, "b, c"', '"all"')
    """
    plain = lambda n: n == n.strip() and not set(n) & set(',"\r\n') and n != "all"
    return ", ".join(n if plain(n) else '"' + n.replace('"', '""') + '"' for n in names)


def numbers(text):
    """Return a parameter that lists numbers, with commas between.

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
