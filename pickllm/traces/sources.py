"""Where traces come from: the bundled summaries, the measured rows once fetched, the Hub, or a file."""

import functools
import pathlib
from dataclasses import replace

from ..core.pool import Limits, declared_pools
from ..core.trace import read_trace
from ..errors import InputError, MissingFileError, nearest
from ..files import home
from . import hub, leaderboard
from .summary import TraceSummary

#: Queries per context in the bundled sample, and its seed: the bundled trace is one
#: fixed sample.
BUNDLED_QUERIES, BUNDLED_SEED = 5000, 0


def list_traces():
    """Return the names that `load_trace` knows: the bundled traces, then the measured rows behind them.

    Examples
    --------
    >>> list_traces()[0]
    'bfcl-2024-08-11'
    """
    return [*declared_pools(), *(f"{name}-rows" for name in declared_pools())]


def load_trace(name, prices=None, limits=None):
    """Return a trace by name or from a file.

    Parameters
    ----------
    name : str or path
        A name of `list_traces` (the bundled ones need nothing; those that end in
        ``-rows`` need `pickllm fetch` once), or a path (.csv, .parquet, or a summary
        .json).
    prices : path or dict of str to Price, optional
        For a file, or a trace of the Hub: the price list for its models.
    limits : Limits, optional
        For a file, or a trace of the Hub: the limits declared for its pool.

    Returns
    -------
    Trace

    Raises
    ------
    InputError, MissingFileError
    """
    text = str(name)
    if text in declared_pools():
        return _bundled(text)
    if text.removesuffix("-rows") in declared_pools():
        return leaderboard.read(pool=text.removesuffix("-rows"))
    if text.startswith(hub.SCHEME):
        return _shared(text, prices, limits)
    if text.endswith(".json"):
        return TraceSummary.load(text).sample(BUNDLED_QUERIES, BUNDLED_SEED)
    if pathlib.Path(text).suffix or pathlib.Path(text).exists():
        return read_trace(text, prices, limits)
    raise InputError(
        f"unknown trace {text!r}; a path ends in .csv, .parquet or .json, and of names"
        f" {nearest(text, list_traces())}"
    )


def _shared(address, prices, limits):
    """Return a trace from the Hub, named by its commit; rows where there are any, else a sample of the summary."""
    files = hub.download(address, stacklevel=4)
    repo, commit = hub.parse(files.address)
    name = f"{repo}@{commit[:12]}"
    try:
        if files.summary:
            return replace(
                TraceSummary.load(files.summary).sample(BUNDLED_QUERIES, BUNDLED_SEED),
                name=name,
            )
        recorded = (
            Limits(**files.note["limits"])
            if "limits" in files.note and prices is None
            else None
        )
        trace = replace(
            read_trace(
                files.trace,
                files.prices if prices is None else prices,
                limits or recorded,
            ),
            name=name,
        )
    except (InputError, MissingFileError, TypeError) as error:
        there = str(error).replace(str((files.trace or files.summary).parent), repo)
        remedy = (
            "its columns must be those of a trace: download it, convert it and load the"
            " file"
        )
        raise InputError(
            f"{files.address}: a dataset in another schema ({there}); {remedy}"
        ) from error
    if (
        prices is None
        and limits is None
        and files.note.get("fingerprint", trace.fingerprint()) != trace.fingerprint()
    ):
        raise InputError(
            f"{files.address}: not the trace that was pushed (its fingerprint differs"
            " from trace.json's); ask its owner to push it again, or give prices= to"
            " load it as it is"
        )
    return trace


@functools.lru_cache(maxsize=4)
def _bundled(name):
    return replace(
        bundled_summary(name).sample(BUNDLED_QUERIES, BUNDLED_SEED), name=name
    )


def bundled_summary(name):
    """Return the TraceSummary that ships with the kit under this name."""
    return TraceSummary.load(home("data") / f"{name}.summary.json")
