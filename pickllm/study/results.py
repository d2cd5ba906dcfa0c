"""What a run leaves: its tables, its findings, and the file that says that it ended well."""

import fnmatch

from ..errors import InputError
from ..files import root, write_json, written


def write_result(result, notes=(), figures=(), **tables):
    """Write a run's tables as Parquet, then its result file, whose presence says that the run ended well.

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
    result = root() / result
    for name, table in tables.items():
        with written(result.with_name(f"{result.stem}.{name}.parquet"), "wb") as file:
            table.to_parquet(file, index=False)
    write_json(
        result,
        {"tables": sorted(tables), "notes": list(notes), "figures": list(figures)},
    )


def read_results(folder, runs, table, optional=False):
    """One table of all runs whose names match a pattern, as one frame with the column ``run``.

    Parameters
    ----------
    folder : path
        Where the results stand.
    runs : str
        A pattern of runs' names, such as ``"sessions-*"``.
    table : str
    optional : bool
        Whether no such table is an answer too: an empty frame.

    Raises
    ------
    InputError
        No such run has that table.
    """
    import pandas as pd

    folder = root() / folder
    names = sorted(
        p.stem for p in folder.glob("*.json") if fnmatch.fnmatch(p.stem, runs)
    )
    paths = [folder / f"{name}.{table}.parquet" for name in names]
    frames = [
        pd.read_parquet(p).assign(run=name)
        for name, p in zip(names, paths, strict=True)
        if p.exists()
    ]
    if not frames and optional:
        return pd.DataFrame({"run": []})
    if not frames:
        raise InputError(
            f"no result '{table}' of runs '{runs}' in {folder}; run `make reproduce`"
            " (or the notebook before this one) first"
        )
    return pd.concat(frames, ignore_index=True)
