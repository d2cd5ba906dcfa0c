"""Plans: the calls that a recording is to make, and what they are expected to cost."""

import hashlib
import itertools
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .endpoints import Endpoint
from .log import identity, parse

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Call:
    """One query to one LLM, for the so-many-th time."""

    query: dict[str, Any]
    endpoint: Endpoint
    repeat: int = 0

    @property
    def identity(self) -> tuple[Any, ...]:
        """What makes it the same call in another run, as `log.identity`."""
        return (
            self.query["query_id"],
            self.endpoint.name,
            self.repeat,
            self.endpoint.settings,
            sha256(self.query["prompt"]),
        )

    @property
    def worst_usd(self) -> float:
        """What one attempt can cost at most; 0 without a price."""
        return self.endpoint.worst_usd(self.query["prompt"]) or 0.0


def plan(
    queries: "pd.DataFrame",
    models: Mapping[str, Endpoint],
    repeats: int = 1,
    seed: int = 0,
) -> list[Call]:
    """Return every call, in an order that confounds no LLM with the time of day.

    Parameters
    ----------
    queries : pandas.DataFrame
        From `read_queries`.
    models : dict of str to Endpoint
    repeats : int
    seed : int

    Returns
    -------
    list of Call
    """
    rows = [
        {str(name): _plain(value) for name, value in row.items()}
        for row in queries.to_dict("records")
    ]
    calls = [
        Call(row, endpoint, repeat)
        for row, endpoint, repeat in itertools.product(
            rows, models.values(), range(repeats)
        )
    ]
    random.Random(seed).shuffle(calls)
    return calls


def missing(calls: Iterable[Call], records: Iterable[Mapping[str, Any]]) -> list[Call]:
    """Return the calls that a log holds no answer of; those that failed among them."""
    answered = {identity(record) for record in records if record["error"] is None}
    return [call for call in calls if call.identity not in answered]


def sha256(text: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Return a table's value as JSON has it; None for NaN, infinity and NaT."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    is_missing = value != value
    return None if is_missing else str(value)


def estimate(
    queries: "pd.DataFrame",
    models: Mapping[str, Endpoint],
    log: str | Path | None = None,
    repeats: int = 1,
    warm_up: int = 0,
) -> "pd.DataFrame":
    """Return what a recording would cost: calls still to make and dollars, per LLM.

    A token is expected for every `BYTES_PER_TOKEN` bytes of a prompt, and answers as
    long as those that the log holds of the LLM, else half of `max_tokens`. The worst
    case is of one attempt at each call.

    Returns
    -------
    pandas.DataFrame
        ``model, calls, expected_usd, worst_usd``; NaN without a price.
    """
    import pandas as pd

    records: list[dict[str, Any]] = []
    if log and Path(log).exists():
        records, _ = parse(log, Path(log).read_bytes())
    todo = missing(plan(queries, models, repeats), records)
    rows = []
    for name, endpoint in models.items():
        prompts = [call.query["prompt"] for call in todo if call.endpoint is endpoint]
        prompts += prompts[:warm_up]
        rows.append(
            (name, len(prompts), *_expected_and_worst(endpoint, prompts, records))
        )
    return pd.DataFrame(rows, columns=["model", "calls", "expected_usd", "worst_usd"])


def _expected_and_worst(
    endpoint: Endpoint, prompts: Sequence[str], records: Iterable[Mapping[str, Any]]
) -> tuple[float, float]:
    """Return the US dollars for an LLM's calls, NaN without a price."""
    if endpoint.price is None:
        return math.nan, math.nan
    known = [
        record["output_tokens"]
        for record in records
        if record["model"] == endpoint.name
        and record["settings"] == endpoint.settings
        and record["output_tokens"] is not None
    ]
    mean = sum(known) / len(known) if known else None
    expected = sum(endpoint.expected_usd(prompt, mean) or 0.0 for prompt in prompts)
    worst = sum(endpoint.worst_usd(prompt) or 0.0 for prompt in prompts)
    return expected, worst


def described(table: "pd.DataFrame") -> str:
    """Return an `estimate` in words, for the one who is to pay.

    Examples
    --------
    >>> import pandas as pd
    >>> columns = ["model", "calls", "expected_usd", "worst_usd"]
    >>> print(described(pd.DataFrame([("a", 3, 0.01, 0.02)], columns=columns)))
    a: 3 calls, expected 0.0100 USD, at worst 0.0200 USD
    together: 3 calls, expected 0.0100 USD, at worst 0.0200 USD
    """
    total = table[["calls", "expected_usd", "worst_usd"]].sum()
    rows = [
        *table.itertuples(index=False, name=None),
        ("together", int(total.calls), total.expected_usd, total.worst_usd),
    ]
    lines = []
    for name, calls, expected, worst in rows:
        if math.isnan(expected):
            usd = "no price"
        else:
            usd = f"expected {expected:.4f} USD, at worst {worst:.4f} USD"
        lines.append(f"{name}: {calls} calls, {usd}")
    if table.expected_usd.isna().any():
        lines[-1] += " for those that have a price"
    return "\n".join(lines)
