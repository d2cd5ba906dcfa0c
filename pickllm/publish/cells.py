"""Two tables, cell by cell: what differs beyond a tolerance, and in which row.

`verify` asks for the first difference of two tables of one form; `diff` for all, with
rows matched by their labels (every column that holds no estimate).
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_float_dtype, is_numeric_dtype

from ..errors import InputError

#: Numbers agree within this relative difference (the tables hold six significant
#: digits).
TOLERANCE = 1e-5
#: So many differing cells of a column are kept one by one, the largest; the rest is
#: counted.
LISTED = 200
#: Longer words do not name a row.
LONGEST_NAME = 40


@dataclass(frozen=True)
class Difference:
    """One thing that differs.

    Attributes
    ----------
    kind : str
        ``run``, ``parameter``, ``table``, ``row``, ``number``, ``text`` or ``picture``.
    where : str
    a, b : object
        The two sides; None where one has nothing there.
    relative : float
        |b - a| / max(|a|, |b|), in [0, 1] where the signs agree; infinite where it is
        no number.
    more : int
        How many smaller ones of the same column are counted here and not listed.
    """

    kind: str
    where: str
    a: Any
    b: Any
    relative: float = np.inf
    more: int = 0


def read_cells(file: str, content: bytes) -> pd.DataFrame:
    """Return the table in a CSV file's bytes.

    Raises
    ------
    InputError
        They hold no table.
    """
    try:
        return pd.read_csv(io.BytesIO(content))
    except ValueError as error:  # pandas' own are of this kind
        reason = str(error).strip().partition("\n")[0]
        message = f"{file} is no table ({reason}); restore it, or run the study again"
        raise InputError(message) from error


def unequal(one: pd.Series, other: pd.Series, tolerance: float) -> np.ndarray:
    """Return the numbers of the rows, from 0, in which two columns differ.

    Numbers agree within the tolerance, anything else as text; empty cells agree with
    empty cells alone.

    Parameters
    ----------
    one, other : pandas.Series, (n,)
    tolerance : float
        Relative.

    Returns
    -------
    numpy.ndarray, (n_unequal,)

    Examples
    --------
    >>> a, b = pd.Series([1.0, 2.0, None]), pd.Series([1.0, 2.1, None])
    >>> unequal(a, b, TOLERANCE).tolist()
    [1]
    """
    if is_numeric_dtype(one) and is_numeric_dtype(other):
        x = one.to_numpy(float)
        y = other.to_numpy(float)
        same = np.isclose(x, y, rtol=tolerance, atol=1e-15, equal_nan=True)
    else:
        same = _words(one).to_numpy() == _words(other).to_numpy()
    return np.flatnonzero(~same)


def _words(column: pd.Series) -> pd.Series:
    """Return a column as text, empty where a cell is empty."""
    return column.astype(object).where(column.notna(), "").map(str)


def first_difference(expected: pd.DataFrame, found: pd.DataFrame) -> str | None:
    """Return the first difference between two tables of one form, in words.

    Parameters
    ----------
    expected, found : pandas.DataFrame
        The committed table and the regenerated one.

    Returns
    -------
    str or None
        None where they agree within `TOLERANCE`.

    Examples
    --------
    >>> a, b = pd.DataFrame({"x": [1.0, 2.0]}), pd.DataFrame({"x": [1.0, 2.1]})
    >>> first_difference(a, a), first_difference(a, b)
    (None, "row 2, column 'x': committed 2.0, regenerated 2.1")
    """
    if list(expected.columns) != list(found.columns):
        return (
            f"columns differ: committed {', '.join(expected.columns)}; regenerated"
            f" {', '.join(found.columns)}"
        )
    if len(expected) != len(found):
        return f"rows differ: committed {len(expected)}, regenerated {len(found)}"
    for column in expected:
        rows = unequal(expected.loc[:, column], found.loc[:, column], TOLERANCE)
        if rows.size:
            row = int(rows[0])
            return (
                f"row {row + 1}, column '{column}': committed"
                f" {expected[column].iloc[row]}, regenerated {found[column].iloc[row]}"
            )
    return None


def all_differences(
    name: str, one: pd.DataFrame, other: pd.DataFrame, tolerance: float
) -> list[Difference]:
    """Return everything that differs between two tables, whatever their form.

    Parameters
    ----------
    name : str
        Of the table, for `Difference.where`.
    one, other : pandas.DataFrame
    tolerance : float
        Relative; numbers within it are the same.

    Returns
    -------
    list of Difference
        Columns, then rows, that one has alone; then cells, column by column.
    """
    found = []
    for column in sorted({*one.columns} ^ {*other.columns}):
        a = "there" if column in one else None
        b = "there" if column in other else None
        found.append(Difference("table", f"{name}: column {column}", a, b))
    columns = [column for column in one if column in other]
    one = _with_empty_text(one.loc[:, columns])
    other = _with_empty_text(other.loc[:, columns])
    labels, constants = _labels(one, other)
    for column in constants:
        a = one.loc[0, column]
        b = other.loc[0, column]
        if str(a) != str(b):
            found.append(Difference("table", f"{name}: column {column}", a, b))
    if not _in_step(one, other, labels):
        one, other, lone = _matched(name, one, other, labels)
        found += lone
    for column in columns:
        if column not in constants:
            places = partial(_place, name, one, labels, column)
            x = one.loc[:, column]
            y = other.loc[:, column]
            found += _column(places, x, y, tolerance)
    return found


def _with_empty_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with rows from 0 and empty text where a text is missing."""
    frame = frame.reset_index(drop=True)
    texts = [column for column in frame if not is_numeric_dtype(frame[column])]
    filled = {c: frame[c].astype(object).where(frame[c].notna(), "") for c in texts}
    return frame.assign(**filled)


def _labels(one: pd.DataFrame, other: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Return the columns that say what a row is about, and those that hold for all.

    A label is a word or a whole number, never an estimate. One value in a whole column
    says what the table is about, not the row.
    """
    labels = []
    constants = []
    for column in one:
        if is_float_dtype(one[column]) or is_float_dtype(other[column]):
            continue
        if {len(set(table[column])) for table in (one, other)} == {1}:
            constants.append(column)
        else:
            labels.append(column)
    return labels, constants


def _in_step(one: pd.DataFrame, other: pd.DataFrame, labels: Sequence[str]) -> bool:
    """Whether the rows of two tables are the same ones in one order."""
    if len(one) != len(other):
        return False
    if not labels:
        return True
    return any(one[label].equals(other[label]) for label in labels)


def _matched(
    name: str, one: pd.DataFrame, other: pd.DataFrame, labels: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame, list[Difference]]:
    """Return the rows that both tables have, in one order, and those of one alone.

    Labels that leave rows alike are joined by further columns, from the left, where
    settings such as a rate stand.
    """
    labels = list(labels)
    for column in one:
        alike = one.duplicated(labels).any() or other.duplicated(labels).any()
        if not alike:
            break
        if column not in labels:
            labels.append(column)
    numeric = [c for c in labels if is_numeric_dtype(one[c])]
    as_float = {c: float for c in numeric if is_numeric_dtype(other[c])}  # 1 is 1.0
    keys_one = _keys(one.loc[:, labels].astype(as_float))
    keys_other = _keys(other.loc[:, labels].astype(as_float))
    if keys_one.has_duplicates or keys_other.has_duplicates:
        n = min(len(one), len(other))
        a = f"{len(one)} rows"
        b = f"{len(other)} rows"
        return one.head(n), other.head(n), [Difference("row", f"{name}: rows", a, b)]
    lone = []
    for row in np.flatnonzero(~keys_one.isin(keys_other)).tolist():
        where = f"{name}: {_row_name(one, labels, row)}"
        lone.append(Difference("row", where, "there", None))
    for row in np.flatnonzero(~keys_other.isin(keys_one)).tolist():
        where = f"{name}: {_row_name(other, labels, row)}"
        lone.append(Difference("row", where, None, "there"))
    places = keys_other.get_indexer(keys_one)  # -1 where the other has no such row
    one = _rows(one, np.flatnonzero(places >= 0))
    other = _rows(other, places[places >= 0])
    return one, other, lone


def _rows(frame: pd.DataFrame, places: np.ndarray) -> pd.DataFrame:
    return frame.take(places).set_axis(range(len(places)))


def _keys(labels: pd.DataFrame) -> pd.Index:
    rows = labels.itertuples(index=False, name=None)
    return pd.Index([str(row) for row in rows], dtype=object)


def _place(
    name: str, frame: pd.DataFrame, labels: Sequence[str], column: str, row: int
) -> str:
    return f"{name}: {_row_name(frame, labels, row)}, {column}"


def _row_name(frame: pd.DataFrame, labels: Sequence[str], row: int) -> str:
    """Return a row's number, from 1, and its short words."""
    texts = [label for label in labels if not is_numeric_dtype(frame[label])]
    words_there = [str(frame[label].iloc[row]) for label in texts]
    short = [word for word in words_there if 0 < len(word) <= LONGEST_NAME]
    return f"row {row + 1} ({', '.join(short)})" if short else f"row {row + 1}"


def _column(
    places: Callable[[int], str], one: pd.Series, other: pd.Series, tolerance: float
) -> list[Difference]:
    """Return the differences of one column, the `LISTED` largest of them each."""
    rows = unequal(one, other, tolerance).tolist()
    if is_numeric_dtype(one) and is_numeric_dtype(other):
        x = one.to_numpy(float)[rows]
        y = other.to_numpy(float)[rows]
        relative = _relative(x, y)
        largest = np.argsort(-relative, kind="stable")[:LISTED].tolist()
        kept = [
            Difference("number", places(rows[i]), x[i], y[i], float(relative[i]))
            for i in largest
        ]
    else:
        kept = [
            Difference("text", places(row), one.iloc[row], other.iloc[row])
            for row in rows[:LISTED]
        ]
    if kept:
        kept[-1] = replace(kept[-1], more=len(rows) - len(kept))
    return kept


def _relative(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return |y - x| / max(|x|, |y|), infinite where either is no finite number."""
    finite = np.isfinite(x) & np.isfinite(y)
    larger = np.maximum(np.abs(x), np.abs(y))
    infinite = np.full(len(x), np.inf)
    return np.divide(np.abs(y - x), larger, out=infinite, where=finite)
