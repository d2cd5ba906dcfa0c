"""A folder of finished settings, so that a stopped sweep goes on where it was."""

import contextlib
import functools
import json
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..errors import InputError
from ..files import digest, written
from ..identity import identity
from .batched import PATTERN, Batched, batched, write
from .rows import Row
from .settings import Setting, identify

if TYPE_CHECKING:
    import pandas as pd

#: Reduced settings to a file.
TOGETHER = 1024
#: Seconds between two writings of what was finished.
OFTEN = 1.0


class Store:
    """A folder of finished settings.

    A setting with a row a session is a file ``<name>.parquet`` of its own. Reduced ones
    stand together, `TOGETHER` to a file ``settings-<hash>.parquet``; what is finished
    of a file waits in ``_journal`` until all of it is. Files hold the hash of what each
    setting was computed from. One that is damaged, or was made by another version of
    the code, is set aside under a name that says so, and its settings computed again.
    Files of other sweeps are left alone.

    Parameters
    ----------
    folder : path
    plan : sequence of Setting
        What the sweep is to have.

    Attributes
    ----------
    set_aside : list of str
        A line for each file that was there and could not be used.
    """

    def __init__(self, folder: str | pathlib.Path, plan: Sequence[Setting]) -> None:
        self.folder = pathlib.Path(folder)
        self.set_aside: list[str] = []
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(
                f"sweep: {self.folder} is a file; name a folder for the results"
            )
        identify(plan)
        self.plan = plan
        self.places: dict[str, list[int]] = {}
        for place, setting in enumerate(plan):
            if setting.reduce:
                self.places.setdefault(setting.name, []).append(place)
        #: places that a journal holds; None stands for another sweep's
        self.journals: dict[pathlib.Path, set[int | None]] = {}
        self.settled: set[int] = set()
        #: places whose rows were in a file that has been set aside
        self.loose: set[int] = set()

    @property
    def journal(self) -> pathlib.Path:
        """Where finished settings wait for the others of their file."""
        return self.folder / "_journal"

    @functools.cached_property
    def order(self) -> list[int]:
        """Places of the plan's settings, those of equal traces and rewards together."""
        rewards: dict[int, str] = {}
        groups: dict[tuple[str, str], list[int]] = {}
        for place, setting in enumerate(self.plan):
            reward = id(setting.reward)
            if reward not in rewards:
                rewards[reward] = digest(identity(setting.reward))
            key = setting.fingerprint, rewards[reward]
            groups.setdefault(key, []).append(place)
        return [place for group in groups.values() for place in group]

    # A setting of its own file

    def path(self, setting: Setting) -> pathlib.Path:
        """Return where a setting's own table stands; it is named by what it is."""
        words = f"{setting.labels['context']}-{setting.labels['learner']}"
        plain = "".join(c if c.isalnum() or c in "-_." else "-" for c in words)
        return self.folder / f"{plain[:60]}-{setting.name[:12]}.parquet"

    def read(self, setting: Setting) -> "pd.DataFrame | None":
        """Return a finished setting's own table, or None."""
        import pyarrow.parquet as pq

        path = self.path(setting)
        if not path.exists():
            return None
        if setting.unknowable:
            return self._put_aside(path, "superseded", _unknowable(setting))
        try:
            held = json.loads(
                (pq.read_schema(path).metadata or {}).get(b"pickllm", b"{}")
            )
            table = pq.read_table(path, page_checksum_verification=True)
        except (OSError, ValueError) as error:
            return self._put_aside(path, "damaged", str(error).splitlines()[0])
        if held.get("inputs") != setting.inputs:
            why = _other_code(held.get("version", "unknown"))
            return self._put_aside(path, "superseded", why)
        return table.to_pandas()

    def write(self, setting: Setting, table: "pd.DataFrame") -> None:
        """Write a setting's own table under its name, whole or not at all."""
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

    # Reduced settings

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield the plan's reduced settings that are there, by their place in it.

        Those in `settled` have a file that is whole; the others are to be added again.
        """
        taken: set[int] = set()
        for path in [*batched(self.folder), *batched(self.journal)]:
            for place, row in self._rows_in(path):
                if place not in taken:
                    taken.add(place)
                    yield place, row
        self._drop_journals()

    def _rows_in(self, path: pathlib.Path) -> list[tuple[int, Row]]:
        """Return the rows of a file that the plan wants and that hold."""
        try:
            there = Batched(path)
            found = [self.places.get(name, []) for name in there.names]
            known = [(i, place) for i, some in enumerate(found) for place in some]
            valid, why = self._valid(there, known)
            rows = _read(there, [(i, self.plan[place]) for i, place in valid])
        except (OSError, ValueError, KeyError) as error:
            self._put_aside(path, "damaged", str(error).splitlines()[0])
            return []
        places = [place for _, place in valid]
        if why:
            self._put_aside(path, "superseded", why)
            self.loose.update(places)
        elif path.parent == self.journal:
            others: set[int | None] = set() if all(found) else {None}
            self.journals[path] = others | set(places)
        else:
            self.settled.update(places)
        return list(zip(places, rows, strict=True))

    def _valid(
        self, there: Batched, known: list[tuple[int, int]]
    ) -> tuple[list[tuple[int, int]], str]:
        """Return which rows hold, and why others do not."""
        valid: list[tuple[int, int]] = []
        why = ""
        for i, place in known:
            setting = self.plan[place]
            if setting.unknowable:
                why = _unknowable(setting)
            elif there.inputs[i] != setting.inputs:
                why = _other_code(there.version)
            else:
                valid.append((i, place))
        return valid, why

    def expect(self, places: Sequence[int]) -> None:
        """Say which reduced settings will be added, in the order of their files."""
        starts = range(0, len(places), TOGETHER)
        self.files = [list(places[start : start + TOGETHER]) for start in starts]
        self.file = {place: i for i, file in enumerate(self.files) for place in file}
        self.missing = [len(file) for file in self.files]
        self.next = 0
        self.added: dict[int, Row] = {}
        self.fresh: list[int] = []
        self.last = time.monotonic()

    def add(self, place: int, row: Row, computed: bool = True) -> None:
        """Keep a reduced setting's row; write what is due.

        Parameters
        ----------
        place : int
        row : Row
        computed : bool
            Whether it was, or else stood in the folder.
        """
        self.added[place] = row
        if computed or place in self.loose:
            self.fresh.append(place)
        self.missing[self.file[place]] -= 1
        while self.next < len(self.files) and not self.missing[self.next]:
            self._write_file(self.files[self.next])
            self.next += 1
        if self.fresh and time.monotonic() - self.last >= OFTEN:
            self.flush()

    def flush(self) -> None:
        """Write what was finished and stands nowhere yet into the journal."""
        if self.fresh:
            settings, rows = self._of(self.fresh)
            self.journals[write(self.journal, settings, rows)] = set(self.fresh)
        self.fresh = []
        self.last = time.monotonic()

    def _write_file(self, places: list[int]) -> None:
        """Write a file whose settings are all there, and drop what waited for it."""
        settings, rows = self._of(places)
        write(self.folder, settings, rows)
        self.settled.update(places)
        self.fresh = [place for place in self.fresh if place not in self.settled]
        for place in places:
            del self.added[place]
        self._drop_journals()

    def _of(self, places: list[int]) -> tuple[list[Setting], list[Row]]:
        settings = [self.plan[place] for place in places]
        return settings, [self.added[place] for place in places]

    def _drop_journals(self) -> None:
        """Remove what a journal held and files hold now."""
        for path, places in list(self.journals.items()):
            if places <= self.settled:
                path.unlink(missing_ok=True)
                del self.journals[path]
        with contextlib.suppress(OSError):  # there is none, or another sweep's is there
            self.journal.rmdir()

    def _put_aside(self, path: pathlib.Path, state: str, why: str) -> None:
        """Move a file that cannot be used, and note why."""
        aside = (
            self.folder / "_set-aside" / f"{path.stem}.{state}-{time.time_ns()}.parquet"
        )
        aside.parent.mkdir(exist_ok=True)
        os.replace(path, aside)
        many = PATTERN.fullmatch(path.name)
        whose = "its settings are" if many else "its setting is"
        self.set_aside.append(
            f"{path}: {state} ({why}); set aside as {aside.relative_to(self.folder)},"
            f" {whose} computed again"
        )


def _read(there: Batched, settings: list[tuple[int, Setting]]) -> list[Row]:
    """Return the rows of some settings in a file."""
    if not settings:
        return []
    row = there.cells()
    return [Row.read(row(i), setting.trace.models) for i, setting in settings]


def _unknowable(setting: Setting) -> str:
    return (
        f"its setting holds a {setting.unknowable[0]}, and one cannot be told from"
        " another"
    )


def _other_code(version: str) -> str:
    return f"made by version {version} of other code"
