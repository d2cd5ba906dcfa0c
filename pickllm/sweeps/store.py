"""A folder of finished settings, so that a sweep that was stopped goes on with what is missing."""

import json
import os
import pathlib
import time

from ..errors import InputError
from ..files import digest, written


class Store:
    """A folder of finished settings: ``<name>.parquet`` each, with its inputs' hash in the file's own metadata.

    A file that is damaged, or was made by another version of the code, is set aside under a name that says
    so, and its setting computed again. Files of other sweeps are left alone.

    Parameters
    ----------
    folder : path
    """

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.set_aside = []
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(
                f"sweep: {self.folder} is a file; name a folder for the results"
            )

    def path(self, setting):
        """Where a setting's table stands; the name is of what it is, not of the code that computed it."""
        learner = "".join(
            c if c.isalnum() or c in "-_." else "-"
            for c in f"{setting.labels['context']}-{setting.labels['learner']}"
        )
        return self.folder / f"{learner[:60]}-{digest(setting.identity())[:12]}.parquet"

    def read(self, setting):
        """Return a finished setting's table, or None."""
        import pyarrow.parquet as pq

        path = self.path(setting)
        if not path.exists():
            return None
        try:
            held = json.loads(
                (pq.read_schema(path).metadata or {}).get(b"pickllm", b"{}")
            )
            table = pq.read_table(path, page_checksum_verification=True)
        except (OSError, ValueError) as error:
            return self._put_aside(path, "damaged", str(error).splitlines()[0])
        if held.get("inputs") != setting.inputs():
            return self._put_aside(
                path,
                "superseded",
                f"made by version {held.get('version', 'unknown')} of other code",
            )
        return table.to_pandas()

    def write(self, setting, table):
        """Write a setting's table under its name, whole or not at all."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from .. import __version__

        arrow = pa.Table.from_pandas(table, preserve_index=False)
        held = {
            "inputs": setting.inputs(),
            "version": __version__,
            **setting.identity(),
        }
        arrow = arrow.replace_schema_metadata(
            {
                **(arrow.schema.metadata or {}),
                b"pickllm": json.dumps(held, sort_keys=True).encode(),
            }
        )
        with written(self.path(setting), "wb") as file:
            pq.write_table(arrow, file, write_page_checksum=True)

    def _put_aside(self, path, state, why):
        aside = (
            self.folder / "_set-aside" / f"{path.stem}.{state}-{time.time_ns()}.parquet"
        )
        aside.parent.mkdir(exist_ok=True)
        os.replace(path, aside)
        self.set_aside.append(
            f"{path}: {state} ({why}); set aside as {aside.relative_to(self.folder)},"
            " its setting is computed again"
        )
