"""Files of many reduced settings: a row each, as in a sweep's table.

Beside its columns stand hashes of what each setting is and of what its row was computed
from, and what it is, as JSON.
"""

import json
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..files import digest, written
from .rows import LOCKED_BY, MISSING, Row, columns_of
from .settings import Setting

if TYPE_CHECKING:
    import pyarrow as pa

NAME, INPUTS, IDENTITY = "_setting", "_inputs", "_identity"
PATTERN = re.compile(r"settings-[0-9a-f]{12}\.parquet")


def batched(folder: pathlib.Path) -> list[pathlib.Path]:
    """Return the files of many settings in a folder, in order of their names."""
    found = sorted(folder.glob("settings-*.parquet"))
    return [path for path in found if PATTERN.fullmatch(path.name)]


def write(
    folder: pathlib.Path, settings: Sequence[Setting], rows: Sequence[Row]
) -> pathlib.Path:
    """Write settings' rows as one file, whole or not at all; return where it is.

    Its name and bytes depend on the settings and their rows alone.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from .. import __version__

    cells = (
        setting.labels | row.cells(setting.trace.models)
        for setting, row in zip(settings, rows, strict=True)
    )
    columns = {name: _arrow(name, cell) for name, cell in columns_of(cells).items()}
    names = [setting.name for setting in settings]
    inputs = [setting.inputs for setting in settings]
    columns[NAME] = pa.array(names)
    columns[INPUTS] = pa.array(inputs)
    columns[IDENTITY] = pa.array([setting.known.text for setting in settings])
    held = json.dumps({"version": __version__})
    table = pa.table(columns, metadata={b"pickllm": held.encode()})
    path = folder / f"settings-{digest(names, inputs)[:12]}.parquet"
    with written(path, "wb") as file:
        texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
        pq.write_table(table, file, use_dictionary=texts, write_page_checksum=True)
    return path


def _arrow(name: str, cells: list[Any]) -> "pa.Array":
    """Return a column; cells that fit no one type become text."""
    import pyarrow as pa

    values = [None if cell is MISSING else cell for cell in cells]
    if name in LOCKED_BY:
        return pa.array(values, pa.float64())
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if value is None else str(value) for value in values])


class Batched:
    """A file of many settings, read.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    names, inputs : list of str
        Hashes of each row's setting, and of what it was computed from.
    version : str
        Of the package that wrote it.

    Raises
    ------
    OSError, ValueError
        It is damaged.
    """

    def __init__(self, path: pathlib.Path) -> None:
        import pyarrow.parquet as pq

        self.path = path
        table = pq.read_table(
            path, columns=[NAME, INPUTS], page_checksum_verification=True
        )
        self.names: list[str] = table.column(NAME).to_pylist()
        self.inputs: list[str] = table.column(INPUTS).to_pylist()
        held = json.loads((table.schema.metadata or {}).get(b"pickllm", b"{}"))
        self.version = held.get("version", "unknown")

    def cells(self) -> "Callable[[int], Callable[[str], Any]]":
        """Return a function from a row's number to one from a column to its cell.

        Raises
        ------
        OSError, ValueError
            It is damaged.
        """
        import pyarrow.parquet as pq

        table = pq.read_table(self.path, page_checksum_verification=True)
        columns: dict[str, Any] = {}

        def cell(row: int, name: str) -> Any:
            if name not in columns:
                columns[name] = table.column(name).to_numpy()
            return columns[name][row]

        return lambda row: lambda name: cell(row, name)
