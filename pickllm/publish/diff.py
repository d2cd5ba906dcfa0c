"""Two studies, or two runs, side by side: what differs in parameters and results."""

from typing import Any

import numpy as np
import pandas as pd

from .cells import TOLERANCE, Difference, all_differences
from .sides import Side, open_side

__all__ = ["TOLERANCE", "Difference", "Side", "differences", "lines", "open_side"]

#: Longer values are cut where they are printed.
WIDTH = 100


def differences(
    one: Side, other: Side, tolerance: float = TOLERANCE
) -> list[Difference]:
    """Return everything that differs between two sides.

    Parameters
    ----------
    one, other : Side
    tolerance : float
        Relative; numbers within it are the same.

    Returns
    -------
    list of Difference
        Runs, parameters, tables, rows, numbers, texts, pictures, in that order; numbers
        by relative difference, the largest first.
    """
    cells = []
    for name, table in one.tables.items():
        if name in other.tables:
            cells += all_differences(name, table, other.tables[name], tolerance)
    numbers = [cell for cell in cells if cell.kind == "number"]
    numbers.sort(key=lambda d: (-d.relative, -_absolute(d), d.where))
    return [
        *_of_runs(one, other),
        *_of_parameters(one, other),
        *_of_tables(one, other),
        *(cell for cell in cells if cell.kind == "table"),
        *(cell for cell in cells if cell.kind == "row"),
        *numbers,
        *(cell for cell in cells if cell.kind == "text"),
        *_of_pictures(one, other),
    ]


def _of_runs(one: Side, other: Side) -> list[Difference]:
    """Return the runs that one side has alone."""
    found = []
    for name in sorted(set(one.runs) ^ set(other.runs)):
        a = one.runs.get(name, {}).get("run")
        b = other.runs.get(name, {}).get("run")
        found.append(Difference("run", name, a, b))
    return found


def _of_parameters(one: Side, other: Side) -> list[Difference]:
    """Return the parameters that differ in runs that both sides have."""
    found = []
    for run in one.runs:
        if run not in other.runs:
            continue
        a = one.runs[run]["parameters"]
        b = other.runs[run]["parameters"]
        for name in dict.fromkeys([*a, *b]):
            if (name in a) != (name in b) or a.get(name) != b.get(name):
                where = f"{run}: {name}"
                found.append(Difference("parameter", where, a.get(name), b.get(name)))
    return found


def _of_tables(one: Side, other: Side) -> list[Difference]:
    """Return the tables that one side has alone."""
    found = []
    for name in sorted(set(one.tables) ^ set(other.tables)):
        a = _size(one.tables.get(name))
        b = _size(other.tables.get(name))
        found.append(Difference("table", name, a, b))
    return found


def _size(table: pd.DataFrame | None) -> str | None:
    return None if table is None else f"{len(table)} rows"


def _of_pictures(one: Side, other: Side) -> list[Difference]:
    return [
        Difference("picture", name, "drawn", "drawn otherwise")
        for name in sorted(set(one.pictures) & set(other.pictures))
        if one.pictures[name] != other.pictures[name]
    ]


def _absolute(number: Difference) -> float:
    if np.isfinite(number.a) and np.isfinite(number.b):
        return abs(number.b - number.a)
    return np.inf


def lines(
    one: Side, other: Side, found: list[Difference], limit: int = 20
) -> list[str]:
    """Return what differs, for printing: a count per kind, then each.

    Parameters
    ----------
    one, other : Side
    found : list of Difference
        As `differences` returned them.
    limit : int
        At most so many of each kind are shown, and how many more there are.

    Returns
    -------
    list of str
    """
    text = [
        f"{letter} = {side.name}: {len(side.runs)} runs, {len(side.tables)} tables"
        for letter, side in (("A", one), ("B", other))
    ]
    if not found:
        same = (
            f"the same: parameters, numbers of {len(one.tables)} tables,"
            f" {len(one.pictures)} pictures"
        )
        return [*text, same]
    for kind in dict.fromkeys(difference.kind for difference in found):
        mine = [difference for difference in found if difference.kind == kind]
        count = sum(1 + difference.more for difference in mine)
        shown = mine[:limit]
        title = f"{count} {kind} differs" if count == 1 else f"{count} {kind}s differ"
        text += ["", title, *(f"  {_in_words(difference)}" for difference in shown)]
        if count > len(shown):
            text.append(f"  and {count - len(shown)} more")
    return text


def _in_words(difference: Difference) -> str:
    if difference.kind == "picture":
        return difference.where
    if difference.kind != "number":
        a = _clipped(difference.a)
        b = _clipped(difference.b)
        return f"{difference.where}: A {a}, B {b}"
    amount = "one of them is no number"
    if np.isfinite(difference.relative):
        change = difference.b - difference.a
        amount = f"{change:+.6g}, {100 * difference.relative:.3g} %"
    return f"{difference.where}: A {difference.a:.6g}, B {difference.b:.6g} ({amount})"


def _clipped(value: Any) -> str:
    """Return a value's text, cut at `WIDTH`."""
    text = "not there" if value is None else str(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
