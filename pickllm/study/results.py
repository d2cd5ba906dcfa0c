"""What a run leaves: its tables, its findings, and the names of its figures."""

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..files import root, write_json, written

if TYPE_CHECKING:
    import pandas as pd


def write_result(
    result: str | Path,
    notes: Sequence[str] = (),
    figures: Sequence[str] = (),
    **tables: "pd.DataFrame",
) -> None:
    """Write a run's tables as Parquet, then its result file: the run has ended well.

    Parameters
    ----------
    result : path
        ``<folder>/<run>.json``; relative paths start at the checkout.
    notes : sequence of str
        Findings, written by code, for the report.
    figures : sequence of str
        Files that the run drew, as `figures.save` returned them.
    **tables : pandas.DataFrame
    """
    path = root() / result
    for name, table in tables.items():
        with written(path.with_name(f"{path.stem}.{name}.parquet"), "wb") as file:
            table.to_parquet(file, index=False)
    write_json(
        path,
        {"tables": sorted(tables), "notes": list(notes), "figures": list(figures)},
    )


def read_results(
    folder: str | Path, runs: str, table: str, optional: bool = False
) -> "pd.DataFrame":
    """Return a table of all runs whose names match a pattern, as one frame.

    Parameters
    ----------
    folder : path
        Where the results stand.
    runs : str
        A pattern of runs' names, such as ``"sessions-*"``.
    table : str
    optional : bool
        Whether no such table is an answer too: an empty frame.

    Returns
    -------
    pandas.DataFrame
        With the column ``run``.

    Raises
    ------
    InputError
        No such run has that table.
    """
    import pandas as pd

    place = root() / folder
    frames = []
    for result in sorted(place.glob("*.json")):
        path = place / f"{result.stem}.{table}.parquet"
        if fnmatch.fnmatch(result.stem, runs) and path.exists():
            frames.append(pd.read_parquet(path).assign(run=result.stem))
    if not frames and optional:
        return pd.DataFrame({"run": []})
    if not frames:
        raise InputError(
            f"no result '{table}' of runs '{runs}' in {place}; run `make reproduce`"
            " (or the notebook before this one) first"
        )
    return pd.concat(frames, ignore_index=True)
