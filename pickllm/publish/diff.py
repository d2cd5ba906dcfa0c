"""Two studies, or two runs, side by side: parameters, numbers and pictures that differ.

Numbers are matched by the row's labels (every column that holds no estimate), the
largest relative difference first.
"""

import io
import json
import pathlib
import re
import zipfile
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from ..errors import InputError, nearest
from ..files import root
from . import receipts
from .check import TOLERANCE

#: So many differing cells of a column are kept one by one, the largest; the rest is
#: counted.
_LISTED = 200


@dataclass(frozen=True)
class Side:
    """What is compared: one study, or one run of one.

    Attributes
    ----------
    name : str
        As the user gave it.
    runs : dict of str to dict
        Run's name -> ``run`` (its id) and ``parameters``.
    tables : dict of str to pandas.DataFrame
    pictures : dict of str to str
        Figure's name -> its SVG without the run's id.
    """

    name: str
    runs: dict
    tables: dict = field(repr=False)
    pictures: dict = field(repr=False)


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
        |b - a| / max(|a|, |b|), in [0, 1] where the signs agree; infinite where it is no number.
    more : int
        How many smaller ones of the same column are counted here and not listed.
    """

    kind: str
    where: str
    a: object
    b: object
    relative: float = np.inf
    more: int = 0


def open_side(name):
    """Return a study's folder, an archive of one, the record (``figures``), or a run by its name or id.

    Parameters
    ----------
    name : str
        A path; or a run's name or id, optionally with its study's folder before it: ``build/explore:sessions``.

    Returns
    -------
    Side

    Raises
    ------
    InputError
        Nothing of that name.
    """
    path = pathlib.Path(name)
    path = path if path.exists() else root() / name
    if path.is_file() and zipfile.is_zipfile(path):
        return _of_zip(name, path)
    if path.is_file() and path.name == receipts.MANIFEST:
        path = path.parent
    if path.is_dir():
        if (path / receipts.MANIFEST).exists():  # the record, or a study's figures
            files = sorted(p.name for p in path.iterdir())
            return _of_figures(
                name,
                receipts.read(path / receipts.MANIFEST),
                lambda file: (path / file).read_bytes(),
                files,
            )
        if (path / "results").is_dir():
            return _of_study(name, path)
        raise InputError(
            f"{name} holds no results and no {receipts.MANIFEST}; give a study's folder"
            " like build, an archive, or a run's name"
        )
    return _of_run(name)


def _of_study(name, folder):
    runs = {
        n: {"run": receipts.run_id(s), "parameters": receipts.parameters(s)}
        for n, s in receipts.stamps(folder.resolve()).items()
    }
    figures = folder / "figures"
    files = sorted(figures.iterdir()) if figures.is_dir() else []
    tables = {p.stem: pd.read_csv(p) for p in files if p.suffix == ".csv"}
    return Side(
        name,
        runs,
        tables,
        {p.stem: _without_id(p.read_bytes()) for p in files if p.suffix == ".svg"},
    )


def _of_figures(name, manifest, read, files):
    runs = {
        n: {"run": r["run"], "parameters": r["parameters"]}
        for n, r in manifest["runs"].items()
    }
    tables = {
        f[:-4]: pd.read_csv(io.BytesIO(read(f))) for f in files if f.endswith(".csv")
    }
    return Side(
        name,
        runs,
        tables,
        {f[:-4]: _without_id(read(f)) for f in files if f.endswith(".svg")},
    )


def _of_zip(name, path):
    with zipfile.ZipFile(path) as archive:
        found = [
            f
            for f in archive.namelist()
            if re.fullmatch(rf"[^/]+/figures/{receipts.MANIFEST}", f)
        ]
        if not found:
            raise InputError(
                f"{name} holds no figures/{receipts.MANIFEST}; give an archive that"
                " `make archive` wrote"
            )
        top = found[0].removesuffix(receipts.MANIFEST)
        files = sorted(
            f.removeprefix(top) for f in archive.namelist() if f.startswith(top)
        )
        return _of_figures(
            name,
            json.loads(archive.read(found[0])),
            lambda file: archive.read(top + file),
            files,
        )


def _of_run(name):
    wanted_folder, colon, wanted = name.rpartition(":")
    folders = [wanted_folder] if colon else receipts.studies()
    known = {}
    for folder in folders:
        for run, stamp in receipts.stamps(folder).items():
            known.setdefault(run, (folder, stamp))
            if len(wanted) >= 6 and stamp["input"].startswith(wanted):
                known.setdefault(wanted, (folder, stamp))
    if wanted not in known:
        raise InputError(
            f"no folder, archive or run {name!r}; {nearest(wanted, known)}"
        )
    folder, stamp = known[wanted]
    run = next(n for n, s in receipts.stamps(folder).items() if s == stamp)
    paths = sorted((root() / folder / "results").glob(f"{run}.*.parquet"))
    tables = {p.name.split(".")[-2]: pd.read_parquet(p) for p in paths}
    drawn = [root() / f for f in stamp["files"] if f.endswith(".csv")]
    tables |= {p.stem: pd.read_csv(p) for p in drawn}
    pictures = {p.stem: _without_id(p.with_suffix(".svg").read_bytes()) for p in drawn}
    # under one name on both sides: the two are compared with each other, whatever they
    # are called
    own = receipts.parameters(stamp) | {"notebook": stamp["notebook"]}
    return Side(
        name,
        {"run": {"run": receipts.run_id(stamp), "parameters": own}},
        tables,
        pictures,
    )


def _without_id(svg):
    return re.sub(rb"pickllm( run [0-9a-f]{12})?", b"pickllm", svg)


def differences(one, other, tolerance=TOLERANCE):
    """Everything that differs between two sides: runs and parameters, tables and numbers, pictures.

    Parameters
    ----------
    one, other : Side
    tolerance : float
        Relative; numbers within it are the same.

    Returns
    -------
    list of Difference
        By kind in that order; numbers by relative difference, the largest first.
    """
    found = [
        Difference(
            "run", n, one.runs.get(n, {}).get("run"), other.runs.get(n, {}).get("run")
        )
        for n in _only(one.runs, other.runs)
    ]
    for name in (n for n in one.runs if n in other.runs):
        a, b = one.runs[name]["parameters"], other.runs[name]["parameters"]
        changed = [
            k
            for k in dict.fromkeys([*a, *b])
            if a.get(k) != b.get(k) or (k in a) != (k in b)
        ]
        found += [
            Difference("parameter", f"{name}: {k}", a.get(k), b.get(k)) for k in changed
        ]
    found += [
        Difference("table", n, _size(one.tables.get(n)), _size(other.tables.get(n)))
        for n in _only(one.tables, other.tables)
    ]
    cells = [
        d
        for name in one.tables
        if name in other.tables
        for d in _cells(name, one.tables[name], other.tables[name], tolerance)
    ]
    found += [d for kind in ("table", "row") for d in cells if d.kind == kind]
    found += sorted(
        (d for d in cells if d.kind == "number"),
        key=lambda d: (-d.relative, -_absolute(d), d.where),
    )
    found += [d for d in cells if d.kind == "text"]
    drawn = sorted(set(one.pictures) & set(other.pictures))
    return found + [
        Difference("picture", n, "drawn", "drawn otherwise")
        for n in drawn
        if one.pictures[n] != other.pictures[n]
    ]


def _only(a, b):
    return sorted(set(a) ^ set(b))


def _size(frame):
    return None if frame is None else f"{len(frame)} rows"


def _absolute(d):
    return abs(d.b - d.a) if np.isfinite(d.a) and np.isfinite(d.b) else np.inf


def _cells(name, a, b, tolerance):
    """Differences of two tables, row by row; by labels where the rows are not the same ones."""
    columns = [c for c in a if c in b]
    there = lambda table, c: "there" if c in table else None
    found = [
        Difference("table", f"{name}: column {c}", there(a, c), there(b, c))
        for c in _only(a.columns, b.columns)
    ]
    a, b = _plain(a[columns]), _plain(b[columns])
    labels = [c for c in columns if _labels(a[c]) and _labels(b[c])]
    fixed = [
        c for c in labels if a[c].nunique() == b[c].nunique() == 1
    ]  # says what the table is about, not the row
    labels = [c for c in labels if c not in fixed]
    found += [
        Difference("table", f"{name}: column {c}", a[c][0], b[c][0])
        for c in fixed
        if str(a[c][0]) != str(b[c][0])
    ]
    if len(a) != len(b) or not (labels == [] or any(a[c].equals(b[c]) for c in labels)):
        a, b, lone = _matched(a, b, labels)
        found += [Difference("row", f"{name}: {text}", *sides) for text, *sides in lone]
    for column in (c for c in columns if c not in fixed):
        found += _column(name, column, a, b, labels, tolerance)
    return found


def _column(name, column, a, b, labels, tolerance):
    """Differences of one column, the `_LISTED` largest of them each."""
    x, y = a[column], b[column]
    where = lambda i: f"{name}: {_row(a, labels, i)}{column}"
    if not (pd.api.types.is_numeric_dtype(x) and pd.api.types.is_numeric_dtype(y)):
        rows = np.flatnonzero((x.map(str) != y.map(str)).to_numpy())
        kept = [Difference("text", where(i), x[i], y[i]) for i in rows[:_LISTED]]
    else:
        x, y = x.to_numpy(float), y.to_numpy(float)
        rows = np.flatnonzero(
            ~np.isclose(x, y, rtol=tolerance, atol=1e-15, equal_nan=True)
        )
        relative = _relative(x[rows], y[rows])
        largest = np.argsort(-relative, kind="stable")[:_LISTED]
        kept = [
            Difference(
                "number", where(rows[j]), x[rows[j]], y[rows[j]], float(relative[j])
            )
            for j in largest
        ]
    return (
        kept
        if len(kept) == len(rows)
        else [*kept[:-1], replace(kept[-1], more=len(rows) - len(kept))]
    )


def _plain(frame):
    """Return a table with rows from 0 and empty text where a text is missing."""
    frame = frame.reset_index(drop=True)
    texts = [c for c in frame if not pd.api.types.is_numeric_dtype(frame[c])]
    return frame.assign(
        **{c: frame[c].astype(object).where(frame[c].notna(), "") for c in texts}
    )


def _labels(column):
    """Whether a column says what a row is about: words, or whole numbers; never an estimate."""
    return not pd.api.types.is_float_dtype(column)


def _matched(a, b, labels):
    """Return the rows that both tables have, in one order, and a line for every row that only one has.

    Labels that leave rows alike are joined by further columns, from the left, where settings such as a rate stand.
    """
    for column in (c for c in a if c not in labels):
        if not any(t.duplicated(labels).any() for t in (a, b)):
            break
        labels = [*labels, column]
    alike = {
        c: float
        for c in labels
        if pd.api.types.is_numeric_dtype(a[c]) and pd.api.types.is_numeric_dtype(b[c])
    }  # 1 is 1.0
    keys = [
        pd.Series(
            list(map(str, t[labels].astype(alike).itertuples(index=False, name=None))),
            dtype=object,
        )
        for t in (a, b)
    ]
    if any(k.duplicated().any() for k in keys):
        n = min(len(a), len(b))
        return a[:n], b[:n], [("rows", f"{len(a)} rows", f"{len(b)} rows")]
    common = [k.isin(set(other)) for k, other in zip(keys, keys[::-1], strict=True)]
    lone = [
        (_row(a, labels, i).removesuffix(", "), "there", None)
        for i in np.flatnonzero(~common[0])
    ]
    lone += [
        (_row(b, labels, i).removesuffix(", "), None, "there")
        for i in np.flatnonzero(~common[1])
    ]
    a, b = (
        t.set_axis(k)[c.to_numpy()]
        for t, k, c in zip((a, b), keys, common, strict=True)
    )
    return a.reset_index(drop=True), b.loc[a.index].reset_index(drop=True), lone


def _row(frame, labels, i):
    words = [
        str(frame[c].iloc[i])
        for c in labels
        if not pd.api.types.is_numeric_dtype(frame[c])
        and 0 < len(str(frame[c].iloc[i])) <= 40
    ]
    return f"row {i + 1} ({', '.join(words)}), " if words else f"row {i + 1}, "


def _relative(x, y):
    """|y - x| / max(|x|, |y|), infinite where either is no finite number."""
    finite = np.isfinite(x) & np.isfinite(y)
    larger = np.maximum(np.abs(x), np.abs(y))
    return np.divide(np.abs(y - x), larger, out=np.full(len(x), np.inf), where=finite)


def lines(one, other, found, limit=20):
    """Return what differs, for printing: a count per kind, then each, numbers with absolute and relative difference.

    Parameters
    ----------
    one, other : Side
    found : list of Difference
    limit : int
        At most so many of each kind are shown, and how many more there are.

    Returns
    -------
    list of str
    """
    head = [
        f"{letter} = {s.name}: {len(s.runs)} runs, {len(s.tables)} tables"
        for letter, s in (("A", one), ("B", other))
    ]
    if not found:
        return [
            *head,
            (
                f"the same: parameters, numbers of {len(one.tables)} tables,"
                f" {len(one.pictures)} pictures"
            ),
        ]
    text = []
    for kind in dict.fromkeys(d.kind for d in found):
        mine = [d for d in found if d.kind == kind]
        n = sum(1 + d.more for d in mine)
        text += [
            "",
            f"{n} {kind}{'s' * (n > 1)} differ{'s' * (n == 1)}",
            *(f"  {_told(d)}" for d in mine[:limit]),
        ]
        text += [f"  and {n - len(mine[:limit])} more"] if n > len(mine[:limit]) else []
    return head + text


def _told(d):
    if d.kind == "number":
        amount = (
            f"{d.b - d.a:+.6g}, {100 * d.relative:.3g} %"
            if np.isfinite(d.relative)
            else "one of them is no number"
        )
        return f"{d.where}: A {d.a:.6g}, B {d.b:.6g} ({amount})"
    if d.kind == "picture":
        return d.where
    a, b = ("not there" if v is None else _clipped(v) for v in (d.a, d.b))
    return f"{d.where}: A {a}, B {b}"


def _clipped(value, width=100):
    text = str(value)
    return text if len(text) <= width else text[: width - 1] + "…"
