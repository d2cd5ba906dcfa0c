"""Comparing a study's numbers with the committed ones."""

import io
import pathlib

import numpy as np
import pandas as pd

from ..files import root
from ..study.provenance import git

#: Numbers agree within this relative difference (the tables hold six significant
#: digits).
TOLERANCE = 1e-5


def committed(name):
    """Return the committed text of a figure's CSV: as in git's HEAD, else as it lies in `figures/`; None if absent."""
    text, path = (
        git(root(), "show", f"HEAD:figures/{name}.csv"),
        root() / "figures" / f"{name}.csv",
    )
    return path.read_text("utf-8") if text is None and path.exists() else text


def _on_record():
    """Names of the tables committed, or lying in `figures/`, even if deleted since."""
    paths = (
        git(root(), "ls-tree", "--name-only", "HEAD", "figures/") or ""
    ).splitlines()
    return {pathlib.Path(p).stem for p in paths if p.endswith(".csv")} | {
        p.stem for p in (root() / "figures").glob("*.csv")
    }


def difference(expected, found):
    """Return the first difference between two tables in words, or None where they agree within `TOLERANCE`.

    Examples
    --------
    >>> a, b = pd.DataFrame({"x": [1.0, 2.0]}), pd.DataFrame({"x": [1.0, 2.1]})
    >>> difference(a, a), difference(a, b)
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
        a, b = expected[column], found[column]
        if pd.api.types.is_numeric_dtype(a) and pd.api.types.is_numeric_dtype(b):
            same = np.isclose(
                a.to_numpy(float),
                b.to_numpy(float),
                rtol=TOLERANCE,
                atol=1e-15,
                equal_nan=True,
            )
        else:
            same = (_words(a) == _words(b)).to_numpy()
        if not same.all():
            row = int(np.flatnonzero(~same)[0])
            return (
                f"row {row + 1}, column '{column}': committed {a.iloc[row]},"
                f" regenerated {b.iloc[row]}"
            )
    return None


def _words(column):
    """Return a column as text, empty cells alike."""
    return column.astype(object).where(column.notna(), "").astype(str)


def compare(folder):
    """Each figure's CSV in a folder against the committed one.

    Returns
    -------
    list of (str, str or None, int)
        Name, the first difference or None, and the number of rows.
    """
    rows = []
    found = {p.stem: p for p in (root() / folder).glob("*.csv")}
    for name in sorted(set(found) | _on_record()):
        text = committed(name)
        if name not in found or text is None:
            rows.append(
                (name, "not regenerated" if text is not None else "not committed", 0)
            )
            continue
        expected, regenerated = pd.read_csv(io.StringIO(text)), pd.read_csv(found[name])
        rows.append((name, difference(expected, regenerated), len(regenerated)))
    return rows
