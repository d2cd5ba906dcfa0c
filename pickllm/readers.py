"""Readers: the road by which JSON, YAML and tables come in from a file.

Each returns plain data, or raises one line: the file, what is wrong with it and where,
and the next move.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError, MissingFileError

if TYPE_CHECKING:
    import pandas as pd

#: Endings of the tables that can be read.
TABLES = (".csv", ".parquet")
#: Characters that a CSV's field may have; Python's own limit is less than a long prompt.
LONGEST_FIELD = 2**31 - 1


def read_text(path: str | Path, what: str, remedy: str) -> str:
    """Return a UTF-8 file's text.

    Parameters
    ----------
    path : path
    what : str
        What the file is to the user, such as ``"price file"``.
    remedy : str
        What to do where there is none.

    Raises
    ------
    MissingFileError
        No such file.
    InputError
        A folder, a file that may not be read, or not UTF-8.
    """
    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"no {what} {path}; {remedy}")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"{path}: not UTF-8 (byte {error.start}); save it again as UTF-8"
        raise InputError(message) from error
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); check the path"
        raise InputError(message) from error


def read_json(path: str | Path, what: str, remedy: str) -> Any:
    """Return what a JSON file holds; parameters and errors as in `read_text`.

    Raises
    ------
    MissingFileError, InputError
    """
    text = read_text(path, what, remedy)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a {what}, as JSON ({error}); {remedy}") from error


def read_yaml(path: str | Path, what: str, remedy: str) -> Any:
    """Return what a YAML file holds; parameters and errors as in `read_text`.

    Raises
    ------
    MissingFileError
        No such file.
    InputError
        Not YAML, or a key that stands twice in one mapping: YAML itself keeps the last.
    """
    import yaml

    text = read_text(path, what, remedy)
    try:
        repeated = _repeated_key(yaml.compose(text, Loader=yaml.SafeLoader))
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is not YAML: {reason}; {remedy}") from None
    if repeated:
        key, line = repeated
        raise InputError(
            f"{path}: '{key}' stands twice, in line {line} again; keep one of the two"
        )
    return values


def _repeated_key(node: Any) -> tuple[str, int] | None:
    """Return a key that some mapping holds twice, and the line of the second."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if key.value in keys:
                return str(key.value), key.start_mark.line + 1
            keys.add(key.value)
            if found := _repeated_key(value):
                return found
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            if found := _repeated_key(value):
                return found
    return None


def read_table(
    path: str | Path, what: str, remedy: str, texts: Sequence[str] = ()
) -> "pd.DataFrame":
    """Return a table from CSV or Parquet, values as they stand.

    Parameters
    ----------
    path : path
        Ends in ``.csv`` or ``.parquet``.
    what, remedy : str
        See `read_text`.
    texts : sequence of str
        Columns of a CSV that hold text whatever it looks like: ``007`` and ``NA`` are
        names too. Elsewhere a column of numbers is one of numbers.

    Returns
    -------
    pandas.DataFrame
        The columns named as in the header, a name that stands twice included. Of a CSV,
        blank lines at the end are left out, and others kept, so that row ``i`` stands in
        line ``i + 2`` where no cell holds a line break.

    Raises
    ------
    MissingFileError
        No such file.
    InputError
        Another ending, a damaged file, not UTF-8, no table, or a row that is wider than
        the header.
    """
    import pandas as pd

    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"no {what} {path}; {remedy}")
    if path.suffix not in TABLES:
        raise InputError(
            f"{path}: a {what} ends in .csv or .parquet, got '{path.suffix}';"
            " convert it, or use an importer"
        )
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path).reset_index(drop=True)
        return _read_csv(path, what, remedy, texts)
    except (OSError, ValueError) as error:  # pandas and pyarrow raise both
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path}: cannot be read as {path.suffix[1:]} ({reason}); write it again"
        ) from error


def _read_csv(
    path: Path, what: str, remedy: str, texts: Sequence[str]
) -> "pd.DataFrame":
    import pandas as pd

    text = read_text(path, what, remedy)
    header = _checked_header(path, text)
    frame = pd.read_csv(
        path,
        dtype=dict.fromkeys(texts, str),
        keep_default_na=False,
        na_values=[""],
        skip_blank_lines=False,
        index_col=False,
    )
    if len(header) == frame.columns.size:
        frame.columns = header  # pandas gives a name that stands twice a number
    filled = frame.notna().any(axis=1).to_numpy().nonzero()[0]
    return frame.iloc[: filled[-1] + 1 if len(filled) else 0]


def _checked_header(path: Path, text: str) -> list[str]:
    """Return a CSV's column names, once every row is as wide as they are."""
    csv.field_size_limit(LONGEST_FIELD)
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    try:
        header = next(rows, [])
        for row in rows:
            if len(row) > len(header):
                raise InputError(
                    f"{path}, line {rows.line_num}: {len(row)} fields under"
                    f" {len(header)} columns; take the extra comma out, or put the"
                    " text that holds it in quotation marks"
                )
    except csv.Error as error:
        message = f"{path}, line {rows.line_num}: not CSV ({error}); write it again"
        raise InputError(message) from error
    if not header:
        raise InputError(f"{path}: not a CSV table, it is empty; give it a header")
    return header
