"""Where traces come from: bundled summaries, the rows behind them, the Hub, files."""

import functools
import pathlib
from dataclasses import replace

from ..core.pool import (
    Limits,
    Price,
    declare_limits,
    declared_pools,
    declared_tables,
    limits_of_table,
    price_of,
    read_prices,
)
from ..core.trace import Trace, read_trace
from ..errors import InputError, MissingFileError, nearest
from ..files import home
from . import hub, leaderboard
from .summary import TraceSummary

#: Queries per context in the bundled sample, and its seed: the bundled trace is one
#: fixed sample.
BUNDLED_QUERIES, BUNDLED_SEED = 5000, 0
#: What the name of a measured pool's rows ends in, and that of a repriced pool.
ROWS, REPRICED = "-rows", "-repriced"

#: A price list, or where it stands.
Prices = dict[str, Price] | str | pathlib.Path


def list_traces() -> list[str]:
    """Return the names that `load_trace` knows: bundled ones, then rows to be fetched.

    Examples
    --------
    >>> list_traces()[0]
    'bfcl-2024-08-11'
    """
    pools = declared_pools()
    return [*pools, *declared_tables(), *(f"{name}{ROWS}" for name in pools)]


def load_trace(
    name: str | pathlib.Path,
    prices: Prices | None = None,
    limits: Limits | None = None,
) -> Trace:
    """Return a trace by name or from a file.

    Parameters
    ----------
    name : str or path
        A name of `list_traces` (the bundled ones need nothing; those that end in
        ``-rows`` need `pickllm fetch` once), an address of the Hub, or a path (.csv,
        .parquet, or a summary .json).
    prices : path or dict of str to Price, optional
        The price list for its models, over any that it brings: tokens are priced anew.
    limits : Limits, optional
        Declared for its pool; by default those that it brings, or where prices are
        given its token caps at these.

    Returns
    -------
    Trace

    Raises
    ------
    InputError, MissingFileError
        No such trace, or one that breaks a rule; a model without a price; prices for a
        trace that has costs but no tokens.
    """
    text = str(name)
    pool = text.removesuffix(ROWS)
    if pool in declared_pools():
        trace = _bundled(text) if text == pool else leaderboard.read(pool=pool)
        if prices is not None:
            trace = _priced(trace, prices, declared_pools()[pool])
            trace = replace(trace, name=f"{text}{REPRICED}")
    elif text in declared_tables():
        trace = _table(text)
        if prices is not None:
            trace = _priced(trace, prices, declared_tables()[text])
            trace = replace(trace, name=f"{text}{REPRICED}")
    elif text.startswith(hub.SCHEME):
        trace = _shared(text, prices, limits)
    elif text.endswith(".json"):
        trace = _sampled(text, prices)
    elif pathlib.Path(text).suffix or pathlib.Path(text).exists():
        trace = _read(text, prices, limits)
    else:
        raise InputError(
            f"unknown trace {text!r}; a path ends in .csv, .parquet or .json, and of"
            f" names {nearest(text, list_traces())}"
        )
    return trace if limits is None else replace(trace, limits=limits)


@functools.lru_cache(maxsize=4)
def _bundled(name: str) -> Trace:
    sample = bundled_summary(name).sample(BUNDLED_QUERIES, BUNDLED_SEED)
    return replace(sample, name=name)


@functools.lru_cache(maxsize=4)
def _table(name: str) -> Trace:
    """Return measured rows that ship with the kit."""
    return read_trace(home("data") / f"{name}.parquet", limits=limits_of_table(name))


def _sampled(path: str | pathlib.Path, prices: Prices | None) -> Trace:
    """Return a sample of a summary's file."""
    trace = TraceSummary.load(path).sample(BUNDLED_QUERIES, BUNDLED_SEED)
    return trace if prices is None else _priced(trace, prices)


def _read(
    path: str | pathlib.Path, prices: Prices | None, limits: Limits | None
) -> Trace:
    """Return a trace from its file; prices stand over costs that the file brings."""
    trace = read_trace(path, prices, limits)
    return trace if prices is None else _priced(trace, prices)


def _priced(trace: Trace, prices: Prices, pool: dict | None = None) -> Trace:
    """Return a trace at other prices, with its pool's token caps at these as limits."""
    listed = prices if isinstance(prices, dict) else read_prices(prices)
    mine = {model: price_of(model, listed) for model in trace.models}
    tokens = trace.input_tokens.any() or trace.output_tokens.any()
    if trace.cost_usd.any() and not tokens:
        raise InputError(
            f"{trace.name}: has costs but no tokens, so that prices cannot be applied;"
            " leave prices out, or fill in input_tokens and output_tokens"
        )
    limits = declare_limits(trace.models, mine, pool)
    return replace(trace.reprice(mine), limits=limits)


def _shared(address: str, prices: Prices | None, limits: Limits | None) -> Trace:
    """Return a trace from the Hub, named by its commit.

    Its rows where there are any, else a sample of its summary.
    """
    files = hub.download(address, stacklevel=4)
    repo, commit = hub.parse(files.address)
    try:
        trace = _shared_trace(files, prices, limits)
    except (InputError, MissingFileError, TypeError) as error:
        there = str(error).replace(str(files.file.parent), repo)
        raise InputError(
            f"{files.address}: a dataset in another schema ({there}); its columns must"
            " be those of a trace: download it, convert it and load the file"
        ) from error
    if prices is None and limits is None and not hub.is_as_pushed(trace, files.note):
        raise InputError(
            f"{files.address}: not the trace that was pushed (its fingerprint differs"
            " from trace.json's); ask its owner to push it again, or give prices= to"
            " load it as it is"
        )
    return replace(trace, name=f"{repo}@{str(commit)[:12]}")


def _shared_trace(
    files: hub.Shared, prices: Prices | None, limits: Limits | None
) -> Trace:
    if files.file.name == hub.SUMMARY_FILE:
        return _sampled(files.file, prices)
    if prices is not None:
        return _read(files.file, prices, limits)
    if limits is None and "limits" in files.note:
        limits = Limits(**files.note["limits"])
    return read_trace(files.file, files.prices, limits)


def bundled_summary(name: str) -> TraceSummary:
    """Return the TraceSummary that ships with the kit under this name."""
    return TraceSummary.load(home("data") / f"{name}.summary.json")
