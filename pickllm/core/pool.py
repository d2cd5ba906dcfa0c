"""The pool: LLMs, their dated prices, and the limits declared for them before any outcome is read."""

import functools
import json
import pathlib
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, MissingFileError, nearest
from ..files import home

_NOTHING = 1e-9  # US dollars: the bound of a pool that is free, where any one above 0 does the same
PRICE_COLUMNS = (
    "model",
    "vendor",
    "usd_per_million_input_tokens",
    "usd_per_million_output_tokens",
    "as_of",
    "source",
)


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

    def cost_usd(self, input_tokens, output_tokens):
        """US dollars for the given token counts (arrays broadcast).

        Examples
        --------
        >>> Price("m", "v", 10.0, 30.0, "2024-08-11", "list").cost_usd(500, 20)
        0.0056
        """
        return (input_tokens * self.input_usd + output_tokens * self.output_usd) / 1e6


@dataclass(frozen=True)
class Limits:
    """What one query may cost and take, declared before the session; the reward's bounds come from it.

    Parameters
    ----------
    max_cost_usd : float
        The dearest query: token caps times the dearest LLM's price, US dollars, > 0.
    latency_floor_ms, latency_ceiling_ms : float
        The fastest and the slowest answer that is told apart, milliseconds, 1 < floor < ceiling.
    """

    max_cost_usd: float
    latency_floor_ms: float
    latency_ceiling_ms: float

    def __post_init__(self):
        if not (np.isfinite(self.max_cost_usd) and self.max_cost_usd > 0):
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


def declared_pools():
    """Return the pools that ship with the kit: name -> models, token caps, latency limits, contexts (data/pools.json)."""
    return _declared()["pools"]


@functools.cache
def _declared():
    return json.loads((home("data") / "pools.json").read_text("utf-8"))


def read_prices(path=None):
    """Read a price file (CSV) into ``{model: Price}``; without a path, the kit's dated list.

    Raises
    ------
    MissingFileError
        No such file.
    InputError
        A column is missing, a price is not a number >= 0, or a model has two rows.

    Examples
    --------
    >>> read_prices()["gpt-4-1106-preview"].output_usd
    30.0
    """
    import pandas as pd

    path = home("data") / "prices.csv" if path is None else pathlib.Path(path)
    if not path.exists():
        raise MissingFileError(
            f"no price file {path}; give a CSV with the columns"
            f" {', '.join(PRICE_COLUMNS)}"
        )
    try:
        frame = pd.read_csv(
            path, dtype={"model": str, "vendor": str, "as_of": str, "source": str}
        )
    except (
        UnicodeDecodeError,
        pd.errors.ParserError,
        pd.errors.EmptyDataError,
    ) as error:
        raise InputError(
            f"{path}: not a UTF-8 CSV table ({error}); save it again as CSV, UTF-8"
        ) from error
    for column in PRICE_COLUMNS[:1] + PRICE_COLUMNS[2:4]:
        if column not in frame:
            raise InputError(
                f"{path}: column '{column}' is missing; a price file has"
                f" {', '.join(PRICE_COLUMNS)}"
            )
    prices = {}
    for number, row in enumerate(frame.to_dict("records"), start=2):
        for column in PRICE_COLUMNS[2:4]:
            value = row[column]
            if (
                not isinstance(value, (int, float))
                or not np.isfinite(value)
                or value < 0
            ):
                raise InputError(
                    f"{path}, row {number}, column '{column}': a price is a number >="
                    f" 0, got {value!r}; correct it"
                )
        if row["model"] in prices:
            raise InputError(
                f"{path}, row {number}: model '{row['model']}' has a second price; keep"
                " one row a model"
            )
        extra = [str(row.get(column, "")) for column in ("vendor", "as_of", "source")]
        prices[row["model"]] = Price(
            row["model"],
            extra[0],
            float(row[PRICE_COLUMNS[2]]),
            float(row[PRICE_COLUMNS[3]]),
            *extra[1:],
        )
    return prices


def price_of(model, prices):
    """Return the model's price; a model without a price row is refused.

    Raises
    ------
    InputError
        No row for the model.
    """
    if model not in prices:
        raise InputError(
            f"model '{model}' has no price; add its row to the price file or give"
            f" prices= ({nearest(model, prices)})"
        )
    return prices[model]


def declare_limits(models, prices, pool=None):
    """Return the limits of a pool: token caps at the dearest of its prices, and its latency limits.

    Parameters
    ----------
    models : sequence of str
    prices : dict of str to Price
    pool : dict, optional
        ``max_input_tokens``, ``max_output_tokens``, ``latency_floor_ms``, ``latency_ceiling_ms``;
        without it, the caps that `data/pools.json` declares for pools of one's own.

    Examples
    --------
    >>> declare_limits(["gpt-4-1106-preview"], read_prices()).max_cost_usd
    0.019
    """
    caps = _declared()["default_limits"] if pool is None else pool
    dearest = max(
        price_of(m, prices).cost_usd(
            caps["max_input_tokens"], caps["max_output_tokens"]
        )
        for m in models
    )
    return Limits(
        dearest or _NOTHING, caps["latency_floor_ms"], caps["latency_ceiling_ms"]
    )


@functools.cache
def default_limits():
    """Return the limits of the study's main pool, used where a reward is computed with no trace at hand."""
    pool = declared_pools()[_declared()["main"]]
    return declare_limits(pool["models"], read_prices(), pool)
