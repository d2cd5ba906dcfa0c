"""Queries: the file of what is to be asked."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..readers import read_table
from .log import FIELDS

if TYPE_CHECKING:
    import pandas as pd

#: The columns that every table of queries has, in their order.
COLUMNS = ("query_id", "context", "prompt", "reference")
#: Those of them that hold a text in every row.
FILLED = ("query_id", "context", "prompt")
#: The context of queries that name none.
CONTEXT = "all"


def read_queries(path: str | Path) -> "pd.DataFrame":
    """Return the queries of a CSV or Parquet file.

    Parameters
    ----------
    path : path
        Columns ``query_id`` and ``prompt`` (or ``text``); optionally ``context`` (else
        all stand in one, `CONTEXT`) and ``reference``; further columns are kept.

    Returns
    -------
    pandas.DataFrame
        ``query_id, context, prompt, reference`` (None where there is none), then the
        further columns.

    Raises
    ------
    InputError, MissingFileError
    """
    remedy = "give a CSV or Parquet file with the columns query_id, prompt"
    frame = read_table(path, "queries file", remedy, texts=(*COLUMNS, "text"))
    first_row = 2 if str(path).endswith(".csv") else 1
    frame.index += first_row  # as a reader of the file counts its rows
    frame = frame.loc[frame.notna().any(axis=1)]
    _check_columns(path, frame)
    frame = frame.rename(columns={"text": "prompt"})
    if not len(frame):
        raise InputError(f"{path}: the table has no rows; give one a query")
    if "context" not in frame:
        frame = frame.assign(context=CONTEXT)
    if "reference" not in frame:
        frame = frame.assign(reference=None)
    for column in FILLED:
        _check_filled(path, frame, column)
    frame = frame.astype(dict.fromkeys(FILLED, str))
    _check_ids(path, frame)
    further = [column for column in frame.columns if column not in COLUMNS]
    return frame.loc[:, [*COLUMNS, *further]].reset_index(drop=True)


def _check_columns(path: str | Path, frame: "pd.DataFrame") -> None:
    columns = list(frame.columns)
    for column in columns:
        if columns.count(column) > 1:
            raise InputError(
                f"{path}: column '{column}' stands twice; keep one of the two"
            )
        if column in FIELDS and column not in COLUMNS:
            raise InputError(
                f"{path}: column '{column}' has a name that the log uses itself;"
                " rename it"
            )
    if "text" in columns and "prompt" in columns:
        raise InputError(
            f"{path}: columns 'prompt' and 'text' both stand there; keep the one that"
            " is to be sent"
        )
    rule = "a queries file has query_id, prompt and optionally context, reference"
    if "query_id" not in columns:
        raise InputError(f"{path}: column 'query_id' is missing; {rule}")
    if "prompt" not in columns and "text" not in columns:
        raise InputError(f"{path}: column 'prompt' (or 'text') is missing; {rule}")


def _check_filled(path: str | Path, frame: "pd.DataFrame", column: str) -> None:
    texts = frame[column].astype(str).str.strip()
    blank = frame[column].isna() | (texts == "")
    if blank.any():
        row = blank.idxmax()
        raise InputError(
            f"{path}: row {row}, column '{column}': must be a text, got"
            f" {frame.loc[row, column]!r}; fill it in or drop the row"
        )


def _check_ids(path: str | Path, frame: "pd.DataFrame") -> None:
    repeated = frame["query_id"].duplicated()
    if repeated.any():
        row = repeated.idxmax()
        raise InputError(
            f"{path}: row {row}: query '{frame.loc[row, 'query_id']}' stands twice;"
            " give each query an id of its own"
        )
