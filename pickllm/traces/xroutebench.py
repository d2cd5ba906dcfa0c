"""xRouteBench: its table of calls, imported at declared prices.

The table (dataset ulab-ai/xRouteBench of the Hugging Face Hub) has a row for each task
and LLM, with tokens, measured seconds and performance. Calls that failed stand in it as
zeros: each rule by which a row is no measurement is the importer's.
"""

import pathlib
from typing import TYPE_CHECKING

from ..core.pool import Price, price_of, read_prices
from ..core.trace import Trace
from .receipts import Imported, Sieve

if TYPE_CHECKING:
    import pandas as pd

NAME = "xroutebench"
REPOSITORY = "https://huggingface.co/datasets/ulab-ai/xRouteBench"
#: The commit whose columns these are; no file of it is pinned.
COMMIT = "ea4b6e1b29d9a734f55f0a637baf326bad6aa681"
COUNTS = ("input_tokens", "output_tokens")
NUMBERS = (*COUNTS, "response_time", "performance")
COLUMNS = ("task_name", "task_id", "model_name", "response", *NUMBERS)
PRICES = ("input_price_per_1m", "output_price_per_1m")
#: What a response of a failed call starts with.
ERRORS = ("ERROR:", "API Error:")
FAILED = "an error in place of a response, or no time and no token: the call failed"
UNRECORDED = "response_time 0 or empty with tokens: not recorded"
UNSCORED = "no performance: not scored"
MS_PER_SECOND = 1000.0


def xroutebench(
    path: str | pathlib.Path, prices: str | pathlib.Path | None = None
) -> Imported:
    """Return xRouteBench's table as a trace, with its receipt.

    Parameters
    ----------
    path : path
        .csv or .parquet with `COLUMNS`; a query is a ``task_id`` of a ``task_name``.
    prices : path, optional
        Its own price table (``model_name``, ``input_price_per_1m``,
        ``output_price_per_1m``) or a price list of the kit; by default the kit's.

    Returns
    -------
    Imported
        The trace's contexts are the table's tasks.

    Raises
    ------
    InputError, MissingFileError
    """
    table = Sieve.read(path, "table of xRouteBench", COLUMNS)
    table.read_numbers(*NUMBERS)
    models = table.frame["model_name"].unique().tolist()
    listed = _prices(prices)
    used = {model: price_of(model, listed) for model in models}
    _drop_what_is_no_measurement(table)
    _check(table)
    table.drop_incomplete(["task_name", "task_id"], "model_name", models)
    trace = Trace.from_frame(_rows(table.frame), used, models=models, name=NAME)
    return table.imported(trace, REPOSITORY, COMMIT)


def _drop_what_is_no_measurement(table: Sieve) -> None:
    """Drop calls that failed, or of which no time or no score was recorded."""
    frame = table.frame
    is_empty = (frame[["response_time", *COUNTS]].fillna(0) == 0).all(axis=1)
    is_error = frame["response"].astype(str).str.startswith(ERRORS)
    table.drop(is_empty | is_error, FAILED)
    table.drop(table.frame["response_time"].fillna(0) == 0, UNRECORDED)
    table.drop(table.frame["performance"].isna(), UNSCORED)


def _check(table: Sieve) -> None:
    """Refuse rows that break a rule of traces, by their place in the table."""
    frame = table.frame
    right = frame["performance"].between(0, 1)
    table.require(right, "performance", "in [0, 1]", "scale it or leave the task out")
    right = frame["response_time"] > 0
    table.require(right, "response_time", "seconds >= 0", "correct it")
    again = frame.duplicated(["task_name", "task_id", "model_name"])
    rule = "in one row for each task_id and LLM of a task_name"
    table.require(~again, "task_id", rule, "keep one of the two")


def _rows(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return the rows of a trace."""
    import pandas as pd

    return pd.DataFrame(
        {
            "query_id": frame["task_name"] + "/" + frame["task_id"].astype(str),
            "context": frame["task_name"],
            "model": frame["model_name"],
            "accuracy": frame["performance"],
            **{name: frame[name] for name in COUNTS},
            "latency_ms": MS_PER_SECOND * frame["response_time"],
        }
    )


def _prices(path: str | pathlib.Path | None) -> dict[str, Price]:
    """Return a price list: the kit's own, one in its form, or xRouteBench's table."""
    if path is None:
        return read_prices()
    table = Sieve.read(path, "price list", ())
    if "model_name" not in table.frame:
        return read_prices(path)
    table = Sieve.read(path, "price table of xRouteBench", ("model_name", *PRICES))
    table.read_numbers(*PRICES)
    frame = table.frame
    for column in PRICES:
        rule = "US dollars per million tokens, >= 0"
        table.require(frame[column] >= 0, column, rule, "correct it")
    again = frame.duplicated("model_name")
    table.require(~again, "model_name", "in one row", "keep one of the two")
    source = pathlib.Path(path).name
    return {
        row["model_name"]: Price(
            row["model_name"], "", row[PRICES[0]], row[PRICES[1]], "", source
        )
        for row in frame.to_dict("records")
    }
