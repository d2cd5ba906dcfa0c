"""Tables in blocks, each a file: memory stays as it is however many rows there are."""

# distributed has no types of its own:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false, reportUnknownArgumentType=false

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import written
from .workers import client_of, require_workers

if TYPE_CHECKING:
    import pandas as pd

#: Rows to a block.
BLOCK = 10_000


def in_blocks(
    block: "Callable[[range], pd.DataFrame]",
    number: int,
    mark: str,
    folder: str | Path,
    scheduler: Any = None,
) -> "pd.DataFrame":
    """Return a table whose blocks are kept in a folder; those there are not made again.

    Parameters
    ----------
    block : callable
        Ids of its rows -> table; for a cluster it can be pickled.
    number : int
        Rows in all.
    mark : str
        Hash of what every block depends on, a part of its file's name.
    folder : path
    scheduler : None, str or distributed.Client
        As in `sweep`.
    """
    import pandas as pd

    ends = [
        range(first, min(first + BLOCK, number)) for first in range(0, number, BLOCK)
    ]
    paths = {
        ids: Path(folder) / f"{mark}-{ids.start}-{ids.stop - 1}.parquet" for ids in ends
    }
    missing = [ids for ids, path in paths.items() if not path.exists()]
    made = _here(block, missing)
    if scheduler is not None:
        made = _there(block, missing, scheduler)
    for ids, table in made:
        with written(paths[ids], "wb") as file:
            table.to_parquet(file, index=False)
    return pd.concat(map(pd.read_parquet, paths.values()), ignore_index=True)


def _here(
    block: "Callable[[range], pd.DataFrame]", missing: list[range]
) -> "Iterator[tuple[range, pd.DataFrame]]":
    """Yield blocks as this process makes them."""
    for ids in missing:
        yield ids, block(ids)


def _there(
    block: "Callable[[range], pd.DataFrame]", missing: list[range], scheduler: Any
) -> "Iterator[tuple[range, pd.DataFrame]]":
    """Yield blocks as a cluster's workers make them, to which the maker goes once."""
    client, own = client_of(scheduler)
    try:
        require_workers(client)
        from distributed import as_completed

        maker = client.submit(_same, block)
        futures = {client.submit(_made, maker, ids): ids for ids in missing}
        for future in as_completed(list(futures)):
            yield futures[future], future.result()
            future.release()
    finally:
        if own:
            client.close()


def _same(block: Any) -> Any:
    return block


def _made(block: "Callable[[range], pd.DataFrame]", ids: range) -> "pd.DataFrame":
    return block(ids)
