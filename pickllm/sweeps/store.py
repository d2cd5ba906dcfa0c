"""A folder of finished settings, so that a stopped sweep goes on where it was."""

import json
import os
import pathlib
import time
from typing import TYPE_CHECKING

from ..errors import InputError
from ..files import digest, written
from .settings import Setting

if TYPE_CHECKING:
    import pandas as pd


class Store:
    """A folder of finished settings: ``<name>.parquet`` each.

    A file's own metadata hold the hash of what it was computed from. One that is
    damaged, or was made by another version of the code, is set aside under a name that
    says so, and its setting computed again. Files of other sweeps are left alone.

    Parameters
    ----------
    folder : path

    Attributes
    ----------
    set_aside : list of str
        A line for each file that was there and could not be used.
    """

    def __init__(self, folder: str | pathlib.Path):
        self.folder = pathlib.Path(folder)
        self.set_aside: list[str] = []
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(
                f"sweep: {self.folder} is a file; name a folder for the results"
            )

    def path(self, setting: Setting) -> pathlib.Path:
        """Return where a setting's table stands; it is named by what the setting is."""
        words = f"{setting.labels['context']}-{setting.labels['learner']}"
        plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in words)
        return self.folder / f"{plain[:60]}-{digest(setting.identity)[:12]}.parquet"

    def read(self, setting: Setting) -> "pd.DataFrame | None":
        """Return a finished setting's table, or None."""
        import pyarrow.parquet as pq

        path = self.path(setting)
        if not path.exists():
            return None
        if setting.unknowable:
            kind = setting.unknowable[0]
            why = f"its setting holds a {kind}, and one cannot be told from another"
            return self._put_aside(path, "superseded", why)
        try:
            held = json.loads(
                (pq.read_schema(path).metadata or {}).get(b"pickllm", b"{}")
            )
            table = pq.read_table(path, page_checksum_verification=True)
        except (OSError, ValueError) as error:
            return self._put_aside(path, "damaged", str(error).splitlines()[0])
        if held.get("inputs") != setting.inputs:
            why = f"made by version {held.get('version', 'unknown')} of other code"
            return self._put_aside(path, "superseded", why)
        return table.to_pandas()

    def write(self, setting: Setting, table: "pd.DataFrame") -> None:
        """Write a setting's table under its name, whole or not at all."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from .. import __version__

        held = {"inputs": setting.inputs, "version": __version__, **setting.identity}
        arrow = pa.Table.from_pandas(table, preserve_index=False)
        metadata = dict(arrow.schema.metadata or {})
        metadata[b"pickllm"] = json.dumps(held, sort_keys=True).encode()
        arrow = arrow.replace_schema_metadata(metadata)
        with written(self.path(setting), "wb") as file:
            pq.write_table(arrow, file, write_page_checksum=True)

    def _put_aside(self, path: pathlib.Path, state: str, why: str) -> None:
        """Move a file that cannot be used, and note why."""
        aside = (
            self.folder / "_set-aside" / f"{path.stem}.{state}-{time.time_ns()}.parquet"
        )
        aside.parent.mkdir(exist_ok=True)
        os.replace(path, aside)
        self.set_aside.append(
            f"{path}: {state} ({why}); set aside as {aside.relative_to(self.folder)},"
            " its setting is computed again"
        )
