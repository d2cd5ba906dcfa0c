"""The pool: LLMs, their dated prices, and the limits declared for them.

Limits are declared before any outcome is read.
"""

# pandas has no types of its own:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportMissingTypeStubs=false

import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, nearest
from ..files import home
from ..readers import read_table

#: US dollars: the bound of a pool that is free, where any one above 0 does the same.
ALMOST_FREE = 1e-9
TEXTS = ("model", "vendor", "as_of", "source")
PRICES = ("usd_per_million_input_tokens", "usd_per_million_output_tokens")
PRICE_COLUMNS = ("model", "vendor", *PRICES, "as_of", "source")


@dataclass(frozen=True)
class Price:
    """What one LLM charges, as listed on a day.

    Parameters
    ----------
    model, vendor : str
    input_usd, output_usd : float
        US dollars per million input and output tokens, >= 0.
    as_of : str
        The day of the listing, ISO 8601.
    source : str
        Where the listing stands.
    """

    model: str
    vendor: str
    input_usd: float
    output_usd: float
    as_of: str
    source: str

    def cost_usd(self, input_tokens: Any, output_tokens: Any) -> Any:
        """Return US dollars for token counts, numbers or arrays (they broadcast).

        Examples
        --------
        >>> price = Price("m", "v", 10.0, 30.0, "2024-08-11", "list")
        >>> price.cost_usd(500, 20)
        0.0056
        """
        return (input_tokens * self.input_usd + output_tokens * self.output_usd) / 1e6


@dataclass(frozen=True)
class Limits:
    """What one query may cost and take; the reward's bounds come from it.

    Parameters
    ----------
    max_cost_usd : float
        The dearest query: token caps times the dearest LLM's price, US dollars, > 0.
    latency_floor_ms, latency_ceiling_ms : float
        The fastest and the slowest answer that is told apart, milliseconds, 1 < floor
        < ceiling.

    Raises
    ------
    InputError
    """

    max_cost_usd: float
    latency_floor_ms: float
    latency_ceiling_ms: float

    def __post_init__(self) -> None:
        if not 0 < self.max_cost_usd < np.inf:
            raise InputError(
                f"limits: max_cost_usd must be positive, got {self.max_cost_usd};"
                " declare a larger one"
            )
        if not 1 < self.latency_floor_ms < self.latency_ceiling_ms < np.inf:
            raise InputError(
                "limits: need 1 < latency_floor_ms < latency_ceiling_ms, got"
                f" {self.latency_floor_ms} and {self.latency_ceiling_ms}; declare both"
                " in milliseconds"
            )


def declared_pools() -> dict[str, dict[str, Any]]:
    """Return the pools that ship with the kit, by name (data/pools.json).

    Returns
    -------
    dict
        Name to ``models``, token caps, latency limits and ``contexts``.
    """
    return _declared()["pools"]


def declared_tables() -> dict[str, dict[str, Any]]:
    """Return the tables of measured rows that ship with the kit, by name.

    Returns
    -------
    dict
        As of `declared_pools`, with ``max_cost_usd``: their costs are their own.

    Examples
    --------
    >>> declared_tables()["coderouterbench"]["latency_ceiling_ms"]
    100000.0
    """
    return _declared()["tables"]


def limits_of_table(name: str) -> Limits:
    """Return the limits declared for a table that ships with the kit."""
    declared = declared_tables()[name]
    limits = "max_cost_usd", "latency_floor_ms", "latency_ceiling_ms"
    return Limits(*(declared[limit] for limit in limits))


@functools.cache
def _declared() -> dict[str, Any]:
    return json.loads((home("data") / "pools.json").read_text("utf-8"))


def read_prices(path: str | Path | None = None) -> dict[str, Price]:
    """Return the prices of a file (CSV); without a path, of the kit's dated list.

    Raises
    ------
    MissingFileError
        No such file.
    InputError
        A column is missing, a price is not a number >= 0, or an LLM has two rows.

    Examples
    --------
    >>> read_prices()["gpt-4-1106-preview"].output_usd
    30.0
    """
    path = home("data") / "prices.csv" if path is None else Path(path)
    remedy = f"give a CSV with the columns {', '.join(PRICE_COLUMNS)}"
    frame = read_table(path, "price file", remedy, texts=TEXTS)
    for column in ("model", *PRICES):
        if column not in frame:
            raise InputError(
                f"{path}: column '{column}' is missing; a price file has"
                f" {', '.join(PRICE_COLUMNS)}"
            )
    prices: dict[str, Price] = {}
    for number, row in enumerate(frame.to_dict("records"), start=2):
        place = f"{path}, row {number}"
        price = _price(row, place)
        if price.model in prices:
            raise InputError(
                f"{place}: model '{price.model}' has a second price; keep one row a"
                " model"
            )
        prices[price.model] = price
    return prices


def _price(row: Mapping[Any, Any], place: str) -> Price:
    """Return the price in a row of a price file."""
    for column in PRICES:
        value = row[column]
        if not isinstance(value, int | float) or not 0 <= value < np.inf:
            raise InputError(
                f"{place}, column '{column}': a price is a number >= 0, got {value!r};"
                " correct it"
            )
    texts = {name: str(row.get(name, "")) for name in TEXTS}
    return Price(
        input_usd=float(row[PRICES[0]]), output_usd=float(row[PRICES[1]]), **texts
    )


def price_of(model: str, prices: Mapping[str, Price]) -> Price:
    """Return an LLM's price.

    Raises
    ------
    InputError
        There is none: an LLM without a price row is refused.
    """
    if model not in prices:
        raise InputError(
            f"model '{model}' has no price; add its row to the price file or give"
            f" prices= ({nearest(model, prices)})"
        )
    return prices[model]


def declare_limits(
    models: Iterable[str],
    prices: Mapping[str, Price],
    pool: Mapping[str, Any] | None = None,
) -> Limits:
    """Return the limits of a pool: token caps at its dearest price, latency limits.

    Parameters
    ----------
    models : sequence of str
    prices : dict of str to Price
    pool : dict, optional
        ``max_input_tokens``, ``max_output_tokens``, ``latency_floor_ms``,
        ``latency_ceiling_ms``; without it, the caps that `data/pools.json` declares for
        pools of one's own.

    Examples
    --------
    >>> declare_limits(["gpt-4-1106-preview"], read_prices()).max_cost_usd
    0.019
    """
    caps = _declared()["default_limits"] if pool is None else pool
    tokens = caps["max_input_tokens"], caps["max_output_tokens"]
    dearest = max(price_of(name, prices).cost_usd(*tokens) for name in models)
    return Limits(
        dearest or ALMOST_FREE, caps["latency_floor_ms"], caps["latency_ceiling_ms"]
    )


@functools.cache
def default_limits() -> Limits:
    """Return the limits of the study's main pool.

    They are used where a reward is computed with no trace at hand.
    """
    pool = declared_pools()[_declared()["main"]]
    return declare_limits(pool["models"], read_prices(), pool)
