"""CodeRouterBench (arXiv 2606.22902): the ID test split, fetched and imported.

Its long table has a row for each coding task and LLM: score, cost, tokens and measured
latency of eight LLMs of 2026. Some rows are no measurement, and each such rule is the
importer's: without a token record the call failed, and a latency of 0 was not
recorded. Tasks that are then not complete for all eight LLMs are left out.
"""

import os
import pathlib

from ..core.pool import declared_tables, limits_of_table
from ..core.trace import Trace
from .downloads import bring
from .receipts import Imported, Sieve

NAME = "coderouterbench"
REPOSITORY = "https://huggingface.co/datasets/Lance1573/CodeRouterBench"
COMMIT = "e567d89bdd569c9c74ffc7c7118e50d15e46b886"
FILE = "id_test_results_long.csv"
SHA256 = "88b4f7a66937d7a5ded743961a9219978414881d8cc3d66785d15ee277f9c417"
#: Column of the table -> column of a trace.
COLUMNS = {
    "task_id": "query_id",
    "dimension": "context",
    "model": "model",
    "score": "accuracy",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "latency_ms": "latency_ms",
    "cost_usd": "cost_usd",
}
FAILED = "no token record: the call failed"
UNRECORDED = "latency 0 with tokens: not recorded"


def coderouterbench(path: str | pathlib.Path) -> Imported:
    """Return CodeRouterBench's long table as a trace, with its receipt.

    Parameters
    ----------
    path : path
        ``id_test_results_long.csv``, or another table of these columns; the receipt
        says whether it is the pinned one. Costs are its own ``cost_usd``.

    Returns
    -------
    Imported
        The trace's contexts are the table's dimensions.

    Raises
    ------
    InputError, MissingFileError
    """
    table = Sieve.read(path, "table of CodeRouterBench", tuple(COLUMNS))
    models = table.frame["model"].unique().tolist()
    tokens = table.frame["input_tokens"] + table.frame["output_tokens"]
    table.drop(tokens == 0, FAILED)
    table.drop(table.frame["latency_ms"] == 0, UNRECORDED)
    table.drop_incomplete(["task_id"], "model", models)
    known = set(models) <= set(declared_tables()[NAME]["models"])
    trace = Trace.from_frame(
        table.frame[list(COLUMNS)].rename(columns=COLUMNS),
        limits=limits_of_table(NAME) if known else None,
        models=models,
        name=NAME,
    )
    return table.imported(trace, REPOSITORY, COMMIT, SHA256)


def fetch(
    url: str | None = None, folder: str | pathlib.Path | None = None
) -> pathlib.Path:
    """Download the table, checked by SHA-256; one that is here stays.

    Parameters
    ----------
    url : str, optional
        A mirror that holds the table (http, https or a folder); by default
        ``PICKLLM_MIRROR``, else the public dataset at the pinned commit.
    folder : path, optional
        By default ``PICKLLM_CACHE``, or the user's cache.

    Returns
    -------
    pathlib.Path
        The table.

    Raises
    ------
    MissingFileError, InputError
        See `downloads.bring`.
    """
    import pooch

    url = url or os.environ.get("PICKLLM_MIRROR") or f"{REPOSITORY}/resolve/{COMMIT}/"
    cache = os.environ.get("PICKLLM_CACHE") or pooch.os_cache("pickllm")
    here = pathlib.Path(folder or pathlib.Path(cache) / NAME)
    bring(url, FILE, here, SHA256)
    return here / FILE
