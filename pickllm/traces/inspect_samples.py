"""Inspect's tables of samples (``inspect_ai.analysis.samples_df``), imported.

A table has a row for each sample, epoch and LLM, with scores, the usage of each model
and measured seconds. What Inspect writes as an error, or leaves empty, is no
measurement: each such rule is the importer's.
"""

import json
import math
import pathlib
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.pool import price_of, read_prices
from ..core.trace import Trace
from ..core.trace_file import COLUMNS as ROWS
from ..errors import InputError, nearest
from .receipts import Imported, Sieve

if TYPE_CHECKING:
    import pandas as pd

NAME = "inspect"
TIME, USAGE, SCORE = "working_time", "model_usage", "score_"
COLUMNS = ("id", "epoch", USAGE, TIME)
#: Inspect's letters and words for a score, as accuracy.
SCORES = {
    "C": 1.0,
    "P": 0.5,
    "I": 0.0,
    "N": 0.0,
    "yes": 1.0,
    "true": 1.0,
    "no": 0.0,
    "false": 0.0,
}
#: Usage that was read by the LLM, and written by it.
READ = ("input_tokens", "input_tokens_cache_read", "input_tokens_cache_write")
WRITTEN = ("output_tokens",)
FAILED = "error: the sample failed"
UNSCORED = "no score"
UNTIMED = f"{TIME} 0 or empty: not recorded"
UNCOUNTED = "no usage of the LLM: not recorded"
MS_PER_SECOND = 1000.0


def inspect_samples(
    path: str | pathlib.Path,
    prices: str | pathlib.Path | None = None,
    score: str = "",
    context: str = "",
) -> Imported:
    """Return a table of Inspect's samples as a trace, with its receipt.

    Parameters
    ----------
    path : path
        .csv or .parquet with `COLUMNS`, of every LLM's logs. The LLM is that of
        ``model``; without that column, the only one of ``model_usage``.
    prices : path, optional
        A price list of the kit with Inspect's names (``openai/gpt-4o``); by default the
        kit's own. Cached tokens are priced as tokens read.
    score : str, optional
        The column of scores; needed where there are several ``score_`` columns.
    context : str, optional
        The column of contexts; by default ``task_name`` where there is one, else all
        samples are one context.

    Returns
    -------
    Imported
        Latency is ``working_time``, of a whole sample with all of its calls; in several
        versions of Inspect that column holds the total time. Samples that a limit cut
        short, but that were scored, are kept.

    Raises
    ------
    InputError, MissingFileError
    """
    table = Sieve.read(path, "table of Inspect's samples", COLUMNS)
    column = _score_column(table, score)
    table.read_numbers(TIME)
    _name_rows(table, context)
    models = table.frame["model"].dropna().unique().tolist()
    listed = read_prices(prices)
    used = {model: price_of(model, listed) for model in models}
    _drop_what_is_no_measurement(table, column)
    _measure_rows(table, column)
    table.drop_incomplete(["query_id"], "model", models)
    trace = Trace.from_frame(table.frame[[*ROWS]], used, models=models, name=NAME)
    return table.imported(trace)


def _score_column(table: Sieve, score: str) -> str:
    """Return the column of scores: the one that is named, or the only one."""
    there = [str(c) for c in table.frame if str(c).startswith(SCORE)]
    if score and score in table.frame:
        return score
    if score or len(there) != 1:
        got = f"got {score!r}" if score else f"got none of {len(there)}"
        raise InputError(
            f"{table.path}: name one column of scores with score=, {got};"
            f" {nearest(score, there)}"
        )
    return there[0]


def _name_rows(table: Sieve, context: str) -> None:
    """Add usage as tokens, and name each row's LLM, context and query."""
    frame = table.frame
    if context and context not in frame:
        raise InputError(
            f"{table.path}: no column {context!r} of contexts;"
            f" {nearest(context, list(map(str, frame)))}"
        )
    context = context or ("task_name" if "task_name" in frame else "")
    frame = frame.assign(usage=_usages(table))
    if "model" not in frame:
        frame["model"] = _only_models(table, frame["usage"])
    tasks = frame["task_name"] + "/" if "task_name" in frame else ""
    names = tasks + frame["id"].astype(str)
    if frame["epoch"].nunique() > 1:
        names += "#" + frame["epoch"].astype(str)
    contexts = frame[context].astype(str) if context else table.path.stem
    table.frame = frame.assign(context=contexts, query_id=names)


def _usages(table: Sieve) -> "list[dict[str, dict[str, Any]]]":
    """Return what each row's models used, by name; {} where nothing is told."""
    cells = table.frame[USAGE]
    usages = [_usage(cell) for cell in cells]
    right = [usage is not None for usage in usages]
    table.require(right, USAGE, "JSON, tokens by model", "make the table again")
    return [usage or {} for usage in usages]


def _usage(cell: Any) -> dict[str, dict[str, Any]] | None:
    """Return what models used, by name; None where a cell does not tell it."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return {}
    try:
        usage = json.loads(cell) if isinstance(cell, str) else cell
    except ValueError:
        return None
    if not isinstance(usage, dict) or not all(
        isinstance(u, dict) for u in usage.values()
    ):
        return None
    return usage


def _only_models(table: Sieve, usages: "pd.Series[Any]") -> list[str | None]:
    """Return the only model that each row used; None where nothing was used."""
    right = [len(usage) <= 1 for usage in usages]
    remedy = "add the column model (columns=EvalModel + SampleSummary)"
    table.require(right, USAGE, "of one model in a table without model", remedy)
    return [next(iter(usage), None) for usage in usages]


def _drop_what_is_no_measurement(table: Sieve, score: str) -> None:
    """Drop samples that failed, or of which something was not recorded."""
    if "error" in table.frame:
        error = table.frame["error"]
        table.drop(error.notna() & (error.astype(str) != ""), FAILED)
    table.drop(table.frame[score].isna(), UNSCORED)
    table.drop(table.frame[TIME].fillna(0) == 0, UNTIMED)
    rows = table.frame.to_dict("records")
    counted = [row["model"] in row["usage"] for row in rows]
    table.drop(~np.array(counted, bool), UNCOUNTED)


def _measure_rows(table: Sieve, score: str) -> None:
    """Add accuracy, tokens and latency to each row."""
    frame = table.frame
    again = frame.duplicated(["query_id", "model"])
    rule = "in one row for each epoch and LLM of a task"
    remedy = "keep one of the two, or add task_name (columns=EvalTask + SampleSummary)"
    table.require(~again, "id", rule, remedy)
    used = [row["usage"][row["model"]] for row in frame.to_dict("records")]
    accuracy = np.array([_accuracy(value) for value in frame[score]], float)
    rule = f"in [0, 1] or one of {', '.join(SCORES)}"
    table.require((accuracy >= 0) & (accuracy <= 1), score, rule, "score it anew")
    table.require(frame[TIME] > 0, TIME, "seconds >= 0", "correct it")
    table.frame = frame.assign(
        accuracy=accuracy,
        input_tokens=[sum(each.get(name) or 0 for name in READ) for each in used],
        output_tokens=[sum(each.get(name) or 0 for name in WRITTEN) for each in used],
        latency_ms=MS_PER_SECOND * frame[TIME],
    )


def _accuracy(value: Any) -> float:
    """Return a score as accuracy; NaN where it is none.

    Examples
    --------
    >>> [_accuracy(value) for value in ("C", "I", True, "0.5", "maybe")]
    [1.0, 0.0, 1.0, 0.5, nan]
    """
    known = SCORES.get(value, SCORES.get(str(value).lower()))
    if known is not None:
        return known
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
