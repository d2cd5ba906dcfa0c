"""Recording: what live endpoints answer, what it costs and takes, kept call by call.

A queries file and a models file give the calls. A run that was stopped, or killed, goes
on with the calls whose answers are not in the log.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.pool import PRICE_COLUMNS
from ..errors import InputError
from ..files import write_csv
from .calls import Count, Purse, Run, Settings
from .endpoints import USD_KEYS, Endpoint, read_models
from .log import Log, read_answers, read_log
from .plan import Call, described, estimate, missing, plan
from .queries import read_queries

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "described",
    "estimate",
    "plan",
    "read_answers",
    "read_log",
    "read_models",
    "read_queries",
    "record",
    "shortcomings",
    "write_prices",
]


def record(  # noqa: PLR0913 - the options of `pickllm record`
    queries: "pd.DataFrame",
    models: Mapping[str, Endpoint],
    log: str | Path,
    *,
    repeats: int = 1,
    warm_up: int = 0,
    seed: int = 0,
    concurrency: int = 4,
    attempts: int = 5,
    wait: float = 1.0,
    budget: float | None = None,
    keep_text: bool = True,
    progress: bool = False,
) -> Count:
    """Ask every LLM every query, and log each finished call.

    Calls that the log answers already are not made.

    Parameters
    ----------
    queries : pandas.DataFrame
        From `read_queries`.
    models : dict of str to Endpoint
        From `read_models`.
    log : path
        Appended to. Warm-up calls are logged in a file of their own beside it.
    repeats : int
        How often each query is put to each LLM, for its latency; >= 1.
    warm_up : int
        Calls to each LLM before those that count.
    seed : int
        Of the order of calls.
    concurrency : int
        Calls at once, in [1, 100].
    attempts : int
        At one call, >= 1; again after 408, 429, 5xx, no or a cut connection, a timeout
        or a malformed answer.
    wait : float
        Seconds before the second attempt, doubled before each further one, unless the
        endpoint says how long.
    budget : float, optional
        US dollars for the whole log, earlier runs and warm-up included. No call is
        begun that might pass it: one under way counts with its worst case, as does an
        attempt that ended without a bill.
    keep_text : bool
        Whether prompts, responses and references are written; else only their SHA-256,
        and of the further columns only numbers.
    progress : bool

    Returns
    -------
    Count

    Raises
    ------
    InputError
        A number out of its range, a key that is not in the environment, a budget with
        an LLM without a price, a log that is none or cannot be written.
    """
    settings = Settings(
        repeats=repeats,
        warm_up=warm_up,
        seed=seed,
        concurrency=concurrency,
        attempts=attempts,
        wait=wait,
        budget=budget,
        keep_text=keep_text,
        progress=progress,
    )
    if budget is not None:
        _check_prices(models)
    return _record_calls(plan(queries, models, repeats, seed), Path(log), settings)


def _check_prices(models: Mapping[str, Endpoint]) -> None:
    for model in models.values():
        if model.price is None:
            raise InputError(
                f"a budget needs the price of every LLM, and '{model.name}' has none;"
                f" add {' and '.join(USD_KEYS)} to it"
            )


def _record_calls(calls: Sequence[Call], path: Path, settings: Settings) -> Count:
    """Make those calls whose answers a log does not hold."""
    with ExitStack() as stack:
        log = stack.enter_context(Log(path))
        todo = missing(calls, log.records)
        keys = {call.endpoint.name: call.endpoint.key() for call in _first_calls(todo)}
        warm_up = _first_calls(todo, settings.warm_up)
        warm_path = path.with_name(f"{path.stem}.warm-up{path.suffix}")
        records = list(log.records)
        warm_log = None
        if warm_up or warm_path.exists():
            warm_log = stack.enter_context(Log(warm_path))
            records += warm_log.records
        spent = sum(record.get("charged_usd") or 0.0 for record in records)
        run = Run(keys, Purse(settings.budget, spent), settings)
        if warm_log:
            run.make(warm_up, warm_log, Count(), "warm-up")
        count = Count(reused=len(calls) - len(todo), set_aside=list(log.set_aside))
        run.make(todo, log, count, "record")
    count.spent_usd = run.purse.spent
    count.given_up = dict(run.given_up)
    count.errors = dict(run.errors)
    count.left = len(todo) - count.answered - count.failed
    return count


def _first_calls(calls: Iterable[Call], number: int = 1) -> list[Call]:
    """Return the first calls to each LLM, LLM by LLM."""
    by_model: dict[str, list[Call]] = {}
    for call in calls:
        by_model.setdefault(call.endpoint.name, []).append(call)
    return [call for several in by_model.values() for call in several[:number]]


def shortcomings(count: Count) -> list[str]:
    """Return what did not go as asked in a recording, one line each."""
    lines = list(count.set_aside)
    for name, why in count.errors.items():
        if name not in count.given_up:
            lines.append(f"LLM '{name}': {why} (the last of its errors)")
    for name, why in list(count.given_up.items())[1:]:
        lines.append(f"LLM '{name}' was given up: {why}")
    if count.unmetered:
        lines.append(
            f"{count.unmetered} answers came without usage: their tokens are not known,"
            " and a cost cannot be scored from them"
        )
    if count.over_budget:
        lines.append(
            f"the budget ends here: {count.left} calls are left; a larger --budget goes"
            " on with them"
        )
    return lines


def write_prices(path: str | Path, models: Mapping[str, Endpoint]) -> bool:
    """Write the prices of a models file as a price file (CSV).

    LLMs without a price are left out, and no file is written without any.

    Returns
    -------
    bool
        Whether there is a file.
    """
    import pandas as pd

    prices = [model.price for model in models.values() if model.price is not None]
    rows = [
        (
            price.model,
            price.vendor,
            price.input_usd,
            price.output_usd,
            price.as_of,
            price.source,
        )
        for price in prices
    ]
    if rows:
        write_csv(path, pd.DataFrame(rows, columns=list(PRICE_COLUMNS)), digits=12)
    return bool(rows)
