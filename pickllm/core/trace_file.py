"""A trace as a file or table: read it, name every row that breaks a rule, make arrays.

One row per query and LLM; see `COLUMNS`. ``cost_usd`` is optional, as is ``joint``,
which is False in every row where the LLMs' accuracies were not measured on the same
queries; any further column is kept.
"""

# pandas has no types of its own:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportMissingTypeStubs=false

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, nearest
from ..readers import read_table
from .pool import Limits, Price, declare_limits, read_prices

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("query_id", "context", "model")
NUMBERS = ("accuracy", "input_tokens", "output_tokens", "latency_ms")
COLUMNS = NAMES + NUMBERS
JOINT = "joint"
#: Whole numbers that a float holds exactly.
LARGEST_COUNT = 2**53

#: ``{model: Price}``, a price file's path, or None for the kit's own list.
Prices = Mapping[str, Price] | str | Path | None


def read_frame(path: str | Path) -> "pd.DataFrame":
    """Return a trace file (.csv or .parquet) as a table, values as they stand.

    Raises
    ------
    MissingFileError, InputError
        See `readers.read_table`.
    """
    remedy = "check the path, or `pickllm traces` for the names that load"
    return read_table(path, "trace file", remedy, texts=NAMES)


def arrays_of(
    frame: "pd.DataFrame",
    prices: Prices = None,
    limits: Limits | None = None,
    models: Sequence[str] | None = None,
    first_row: int = 1,
) -> dict[str, Any]:
    """Return what a `Trace` holds, from a table that breaks no rule.

    Parameters
    ----------
    frame, prices, limits, models
        See `Trace.from_frame`.
    first_row : int
        The number that the first row carries in a message.

    Returns
    -------
    dict
        The fields of a `Trace`, but its name.

    Raises
    ------
    InputError
        The first row that breaks a rule, and how many more do.
    """
    if models is not None and len(set(models)) != len(models):
        raise InputError(
            f"models must name each LLM once, got {list(models)}; leave out the repeats"
        )
    problems = find_problems(frame, prices, models, first_row)
    if problems:
        others = len(problems) - 1
        more = f" (and {others} more; `pickllm check` lists them)" if others else ""
        raise InputError(problems[0] + more)
    names = frame["model"].astype(str)
    pool = tuple(dict.fromkeys(names)) if models is None else tuple(models)
    first = frame[~frame["query_id"].astype(str).duplicated().to_numpy()]
    query_id = first["query_id"].astype(str).to_numpy()
    matrix = _Matrix(frame, query_id, pool)
    costs = _costs(matrix, pool, prices)
    known = _price_list(prices)
    if limits is None and all(model in known for model in pool):
        limits = declare_limits(pool, known)
    named = (*COLUMNS, "cost_usd", JOINT)
    own = [name for name in frame.columns if name not in named]
    return {
        "models": pool,
        "query_id": query_id,
        "context": first["context"].astype(str).to_numpy(),
        **{name: matrix.of_numbers(name) for name in NUMBERS},
        **costs,
        "limits": limits,
        "extra": {name: matrix.of(frame[name]) for name in own},
        "joint": JOINT not in frame or bool(frame[JOINT].iloc[0]),
    }


class _Matrix:
    """Columns of a table as arrays (n_queries, n_models)."""

    def __init__(
        self,
        frame: "pd.DataFrame",
        query_id: NDArray[Any],
        models: Sequence[str],
    ) -> None:
        self.frame = frame
        self.shape = len(query_id), len(models)
        row = {query: i for i, query in enumerate(query_id)}
        column = {model: j for j, model in enumerate(models)}
        self.rows = frame["query_id"].astype(str).map(row).to_numpy()
        self.columns = frame["model"].astype(str).map(column).to_numpy()

    def of(self, values: "pd.Series[Any]") -> NDArray[Any]:
        array = values.to_numpy()
        filled = np.empty(self.shape, dtype=array.dtype)
        filled[self.rows, self.columns] = array
        return filled

    def of_numbers(self, name: str) -> NDArray[np.float64]:
        return self.of(_as_numbers(self.frame[name]))


def _costs(matrix: _Matrix, models: Sequence[str], prices: Prices) -> dict[str, Any]:
    """Return ``cost_usd``, and the ``prices`` that it is made of."""
    own = "cost_usd" in matrix.frame
    used = {} if own and prices is None else _price_list(prices)
    listed = {model: used[model] for model in models if model in used}
    if own:
        return {"cost_usd": matrix.of_numbers("cost_usd"), "prices": listed}
    tokens = [matrix.of_numbers(name) for name in ("input_tokens", "output_tokens")]
    columns = [
        used[model].cost_usd(tokens[0][:, j], tokens[1][:, j])
        for j, model in enumerate(models)
    ]
    return {"cost_usd": np.column_stack(columns), "prices": listed}


def _price_list(prices: Prices) -> Mapping[str, Price]:
    return prices if isinstance(prices, Mapping) else read_prices(prices)


# What is wrong with a table


def find_problems(
    frame: "pd.DataFrame",
    prices: Prices = None,
    models: Sequence[str] | None = None,
    first_row: int = 1,
) -> list[str]:
    """Return a line for every row of a table that breaks a rule, in row order.

    Each line states the rule, the value received, its row and column, and the next
    move.

    Parameters
    ----------
    frame, prices, models
        See `Trace.from_frame`.
    first_row : int
        The number that the first row carries in a message.

    Examples
    --------
    >>> import pandas as pd
    >>> row = ("q1", "maths", "command-r-plus", 1.5, 90, 9, 800.0)
    >>> bad = pd.DataFrame([row], columns=COLUMNS)
    >>> find_problems(bad)[0][:59]
    "row 1, column 'accuracy': must be a number in [0, 1], got 1"
    """
    repeated = frame.columns[frame.columns.duplicated()]
    if len(repeated):
        return [f"column '{repeated[0]}' stands twice; keep one of the two"]
    frame = frame.reset_index(drop=True)  # an index means nothing, and may repeat
    missing = [name for name in COLUMNS if name not in frame]
    if missing:
        there = ", ".join(str(name) for name in frame.columns)
        return [
            f"column '{missing[0]}' is missing; a trace has the columns"
            f" {', '.join(COLUMNS)}, this table {_shown(there, 200)}"
        ]
    if not len(frame):
        return ["the table has no rows; a trace has one row per query and model"]
    problems = [*_wrong_values(frame, first_row), *_of_two_minds(frame, first_row)]
    if "cost_usd" not in frame:
        problems += _without_price(frame, _price_list(prices), first_row)
    problems += _misplaced_rows(frame, models, first_row)
    if not problems:  # a wrong name leaves its query incomplete too
        problems += _missing_rows(frame, models, first_row)
    return [text for _, text in sorted(problems, key=lambda problem: problem[0])]


Problem = tuple[int, str]


def _wrong_values(frame: "pd.DataFrame", first_row: int) -> Iterator[Problem]:
    """Yield each cell that does not hold what its column must."""
    for name, right, rule, remedy in _value_rules(frame):
        for position in np.flatnonzero(~np.asarray(right)):
            value = _shown(frame[name].iloc[position])
            yield (
                int(position),
                f"row {position + first_row}, column '{name}': must be {rule}, got"
                f" {value}; {remedy}",
            )


def _value_rules(
    frame: "pd.DataFrame",
) -> Iterator[tuple[str, ArrayLike, str, str]]:
    """Yield each column's name, where it is right, its rule and the remedy."""
    for name in NAMES:
        filled = frame[name].notna() & (frame[name].astype(str).str.strip() != "")
        yield name, filled, "a name", "fill it in"
    accuracy = _as_numbers(frame["accuracy"])
    within = accuracy.between(0, 1)
    yield "accuracy", within, "a number in [0, 1]", "scale or correct it"
    for name in ("input_tokens", "output_tokens"):
        count = _as_numbers(frame[name])
        with np.errstate(invalid="ignore"):  # the remainder of infinity
            whole = (count >= 0) & (count < LARGEST_COUNT) & (count % 1 == 0)
        yield name, whole, "a whole number >= 0", "correct it"
    latency = _as_numbers(frame["latency_ms"])
    positive = (latency > 0) & np.isfinite(latency)
    remedy = "measure it again or leave the query out"
    yield "latency_ms", positive, "a number of milliseconds > 0", remedy
    if "cost_usd" in frame:
        cost = _as_numbers(frame["cost_usd"])
        paid = (cost >= 0) & np.isfinite(cost)
        remedy = "correct it, or drop the column to price the tokens"
        yield "cost_usd", paid, "US dollars >= 0", remedy


def _of_two_minds(frame: "pd.DataFrame", first_row: int) -> Iterator[Problem]:
    """Yield each row whose ``joint`` is not a truth value, or not the first row's."""
    if JOINT not in frame:
        return
    told = frame[JOINT]
    right = told.isin([True, False]) & (told == told.iloc[0])
    for position in np.flatnonzero(~right.to_numpy()):
        yield (
            int(position),
            f"row {position + first_row}, column '{JOINT}': must be True in every row"
            f" or False in every row, got {_shown(told.iloc[position])}; correct it,"
            " or give a column of another meaning another name",
        )


def _without_price(
    frame: "pd.DataFrame", prices: Mapping[str, Price], first_row: int
) -> Iterator[Problem]:
    """Yield the first row of each LLM that has no price."""
    names = frame["model"].dropna().astype(str)
    for position, model in names[~names.duplicated()].items():
        if model not in prices:
            yield (
                int(position),
                f"row {position + first_row}, column 'model': model {_shown(model)}"
                " has no price; add its row to the price file or give prices="
                f" ({nearest(model, prices)})",
            )


def _misplaced_rows(
    frame: "pd.DataFrame", models: Sequence[str] | None, first_row: int
) -> Iterator[Problem]:
    """Yield rows that repeat a pair, change a query's context, or name no LLM of it."""
    keys = frame[["query_id", "model"]].astype(str)
    for position in np.flatnonzero(keys.duplicated()):
        query, model = keys.iloc[position]
        yield (
            int(position),
            f"row {position + first_row}: query {_shown(query)} has a second row for"
            f" model {_shown(model)}; keep one row per query and model",
        )
    contexts = frame.groupby(keys["query_id"], sort=False)["context"]
    first_context = contexts.transform("first")
    moved = (first_context != frame["context"]) & frame["context"].notna()
    for position in np.flatnonzero(moved):
        yield (
            int(position),
            f"row {position + first_row}, column 'context': query"
            f" {_shown(keys['query_id'].iloc[position])} stands in"
            f" {_shown(first_context.iloc[position])} too, got"
            f" {_shown(frame['context'].iloc[position])}; a query has one context",
        )
    pool = _pool(keys, models)
    for position in np.flatnonzero(~keys["model"].isin(pool)):
        model = keys["model"].iloc[position]
        yield (
            int(position),
            f"row {position + first_row}, column 'model': unknown model"
            f" {_shown(model)}; {nearest(model, pool)}",
        )


def _missing_rows(
    frame: "pd.DataFrame", models: Sequence[str] | None, first_row: int
) -> Iterator[Problem]:
    """Yield each query that some LLM of the pool has not answered."""
    keys = frame[["query_id", "model"]].astype(str)
    pool = _pool(keys, models)
    counts = keys["query_id"].map(keys["query_id"].value_counts())
    short = keys[(counts < len(pool)).to_numpy()]
    for query, answered in short.groupby("query_id", sort=False)["model"]:
        absent = next(model for model in pool if model not in set(answered))
        position = int(answered.index[0])
        yield (
            position,
            f"row {position + first_row}: query {_shown(query)} has no row for model"
            f" {_shown(absent)}; every LLM of the pool answers every query: add the"
            " row or drop the query",
        )


def _pool(keys: "pd.DataFrame", models: Sequence[str] | None) -> list[str]:
    return list(dict.fromkeys(keys["model"]) if models is None else models)


def _as_numbers(column: "pd.Series[Any]") -> "pd.Series[float]":
    """Return a column as floats, NaN where it holds no number.

    A time span is none: its unit is anybody's guess.
    """
    import pandas as pd

    if column.dtype.kind in "mM":
        return pd.Series(np.nan, index=column.index)
    return pd.to_numeric(column, errors="coerce").astype(float)


def _shown(value: Any, longest: int = 60) -> str:
    """Return a value as an error shows it: on one line, no longer than one reads."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    if len(text) <= longest:
        return text
    return f"{text[: longest - 12]}...{text[-9:]}"
