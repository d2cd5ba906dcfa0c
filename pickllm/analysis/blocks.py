"""A multiverse in blocks, each a file: memory stays as it is however many there are."""

# distributed has no types of its own:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.prepared import require_whole
from ..core.trace import Trace
from ..errors import InputError
from ..files import digest, written
from ..modules import code_hash
from ..sweeps.workers import client_of, require_workers
from .multiverse import CHOICES, Places, drawn, measured

if TYPE_CHECKING:
    import pandas as pd

#: Specifications to a block.
BLOCK = 10_000


def in_blocks(  # noqa: PLR0913 - those of `multiverse`
    trace: Trace,
    number: Any,
    sessions: int,
    seed: int,
    folder: str | Path | None,
    scheduler: Any,
    n_jobs: int,
    progress: bool,
) -> "pd.DataFrame":
    """Return a multiverse whose blocks are kept in a folder; see `multiverse`.

    Raises
    ------
    InputError
        A scheduler without a folder, or specifications that are not a number.
    """
    import pandas as pd

    if folder is None:
        raise InputError(
            "multiverse: a scheduler needs a folder for what its workers find, got"
            " none; give folder="
        )
    require_whole("specifications", number)
    mark = _mark(trace, sessions, seed)
    paths = {
        range(first, min(first + BLOCK, number)): Path(folder)
        / f"worlds-{mark}-{first}-{min(first + BLOCK, number) - 1}.parquet"
        for first in range(0, number, BLOCK)
    }
    missing = [ids for ids, path in paths.items() if not path.exists()]
    blocks = (
        _here(trace, missing, sessions, seed, n_jobs, progress)
        if scheduler is None
        else _there(trace, missing, sessions, seed, scheduler)
    )
    for ids, table in blocks:
        with written(paths[ids], "wb") as file:
            table.to_parquet(file, index=False)
    return pd.concat(map(pd.read_parquet, paths.values()), ignore_index=True)


def _mark(trace: Trace, sessions: int, seed: int) -> str:
    """Return a hash of what a block depends on, but for its ids."""
    code = code_hash(Path(__file__).with_name("multiverse.py"))
    choices = [repr(choice) for choice in CHOICES.values()]
    return digest(trace.fingerprint(), sessions, seed, code, choices)[:16]


def block(places: Places, ids: range, sessions: int, seed: int) -> "pd.DataFrame":
    """Return one block: the specifications of some ids, measured."""
    return measured(places, drawn(places, ids, seed)[0], sessions)


def _here(
    trace: Trace,
    missing: list[range],
    sessions: int,
    seed: int,
    n_jobs: int,
    progress: bool,
) -> Iterator[tuple[range, "pd.DataFrame"]]:
    """Yield blocks as this process measures them."""
    places = Places(trace)
    for ids in missing:
        table = drawn(places, ids, seed)[0]
        yield ids, measured(places, table, sessions, n_jobs, progress)


def _there(
    trace: Trace, missing: list[range], sessions: int, seed: int, scheduler: Any
) -> Iterator[tuple[range, "pd.DataFrame"]]:
    """Yield blocks as a cluster's workers measure them."""
    client, own = client_of(scheduler)
    try:
        require_workers(client)
        from distributed import as_completed

        places = client.submit(Places, trace)
        futures = {
            client.submit(block, places, ids, sessions, seed): ids for ids in missing
        }
        for future in as_completed(list(futures)):
            yield futures[future], future.result()
            future.release()
    finally:
        if own:
            client.close()
