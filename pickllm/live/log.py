"""The log of calls: append-only, a line for each finished call."""

import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from ..errors import InputError, MissingFileError

if TYPE_CHECKING:
    import pandas as pd

#: What a line says of a call, besides the further columns of the queries file.
FIELDS = (
    "query_id",
    "context",
    "model",
    "repeat",
    "prompt",
    "prompt_sha256",
    "response",
    "response_sha256",
    "reference",
    "reference_sha256",
    "finish_reason",
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "latency_ms",
    "first_token_ms",
    "attempts",
    "started",
    "error",
    "requested_model",
    "returned_model",
    "provider",
    "temperature",
    "seed",
    "max_tokens",
    "stream",
    "settings",
    "charged_usd",
)
#: The fields that make two records those of one call.
IDENTITY = ("query_id", "model", "repeat", "settings", "prompt_sha256")


class Piece(NamedTuple):
    """A piece of a log's bytes that is no record: one that was cut in mid-write."""

    line: int
    start: int
    end: int


class Log:
    """An append-only file of finished calls, one JSON object a line.

    Each is on disk before `append` returns. Opening it takes it for this process alone.
    A line that was cut in mid-write is set aside in a file beside it, so that its call
    is made again.

    Parameters
    ----------
    path : path

    Attributes
    ----------
    records : list of dict
        What the file held when it was opened.
    set_aside : list of str
        One line for each piece that was moved out.

    Raises
    ------
    InputError
        Another recording writes the file, it is no log, or it cannot be written.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.set_aside: list[str] = []
        self._guard = threading.Lock()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = not self.path.exists()
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            if new:
                _sync_folder(self.path.parent)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._lock()
            self.records = self._repair()
        except BaseException:
            self.close()
            raise

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows has no such lock
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"{self.path}: another recording writes this log; wait for its end, or"
                " name another --output"
            ) from None

    def _repair(self) -> list[dict[str, Any]]:
        """Return the records, and leave nothing else in the file."""
        data = self.path.read_bytes()
        records, cut = parse(self.path, data)
        try:
            for piece in cut:
                self._set_aside(piece, data)
            self._end = os.lseek(self._file, 0, os.SEEK_END)
            if not cut and data and not data.endswith(b"\n"):
                self._write(b"\n")
        except OSError as error:
            raise self._unwritable(error) from error
        return records

    def _set_aside(self, piece: Piece, data: bytes) -> None:
        """Move a piece into a file of its own."""
        aside = self.path.with_name(f"{self.path.name}.cut-{time.time_ns()}")
        with open(aside, "xb") as file:
            file.write(data[piece.start : piece.end])
            os.fsync(file.fileno())
        _sync_folder(self.path.parent)
        if piece.end == len(data):
            os.ftruncate(self._file, piece.start)
        else:  # a blank line is none to any reader
            os.pwrite(self._file, b" " * (piece.end - piece.start), piece.start)
        self.set_aside.append(
            f"{self.path}: line {piece.line} was cut; set aside as {aside.name}, its"
            " call is made again"
        )

    def append(self, record: Mapping[str, Any]) -> None:
        """Add one finished call."""
        line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        with self._guard:
            try:
                self._write(line)
            except OSError as error:
                os.ftruncate(self._file, self._end)  # no half of a line on a full disk
                raise self._unwritable(error) from error

    def _write(self, data: bytes) -> None:
        at = self._end
        while data:
            written = os.pwrite(self._file, data, at)
            at += written
            data = data[written:]
        os.fsync(self._file)
        self._end = at

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(
            f"cannot write {self.path}: {error.strerror or error}; free some space or"
            " choose a folder that you may write"
        )

    def close(self) -> None:
        """Give the file back."""
        with self._guard:
            os.close(self._file)
            self._file = -1  # a late write must not go to another file's number

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _sync_folder(folder: Path) -> None:
    """Put a folder on disk: a new file's name is there only then."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # not on Windows
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def parse(path: str | Path, data: bytes) -> tuple[list[dict[str, Any]], list[Piece]]:
    """Return the records of a log's bytes, and the pieces that were cut.

    Raises
    ------
    InputError
        The file at `path` is no log.
    """
    records: list[dict[str, Any]] = []
    cut: list[Piece] = []
    start = 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        end = start + len(line)
        if line.strip():
            try:
                record = json.loads(line)
            except ValueError:
                last = end == len(data)
                cut.append(Piece(number, start, end if last else end - 1))
            else:
                if not isinstance(record, dict) or not record.keys() >= set(IDENTITY):
                    raise InputError(
                        f"{path}: line {number} is not a call's record; name another"
                        " file for the log"
                    )
                records.append(record)
        start = end
    if cut and not data.startswith(b"{"):
        raise InputError(
            f"{path}: not a log of calls (line {cut[0].line} is not JSON); name another"
            " file for the log"
        )
    return records, cut


def identity(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what makes a record that of the same call in another run."""
    return tuple(record[name] for name in IDENTITY)


def read_log(path: str | Path) -> "pd.DataFrame":
    """Return every call of a log, one row each.

    A call that failed before is there by its last attempt. Texts stay texts: an id
    ``"007"`` is one.

    Parameters
    ----------
    path : path

    Returns
    -------
    pandas.DataFrame
        The columns of `FIELDS`, then the further ones of the queries file.

    Raises
    ------
    InputError, MissingFileError
    """
    import pandas as pd

    path = Path(path)
    if not path.exists():
        raise MissingFileError(f"no log {path}; write one with `pickllm record`")
    data = path.read_bytes()
    records, cut = parse(path, data)
    if any(piece.end < len(data) for piece in cut):
        raise InputError(
            f"{path}: line {cut[0].line} was cut; run `pickllm record` again, which"
            " sets it aside and makes its call"
        )
    if not records:
        raise InputError(
            f"{path}: the log holds no finished call; run `pickllm record` again"
        )
    latest = {identity(record): record for record in records}
    frame = pd.DataFrame(list(latest.values()))
    columns = [name for name in FIELDS if name in frame]
    further = [name for name in frame if name not in columns]
    return frame.loc[:, [*columns, *further]]


def read_answers(path: str | Path) -> "pd.DataFrame":
    """Return a log as scoring reads it: one row per query and LLM, sorted by name.

    Of several repeats the first that succeeded gives the answer, and `latency_ms` and
    `first_token_ms` are medians over those that did. Where none did, the row has an
    `error` and no response.

    Parameters
    ----------
    path : path

    Returns
    -------
    pandas.DataFrame
        As `read_log`, with the column ``repeats``, how many succeeded.

    Raises
    ------
    InputError
        The log holds answers of an LLM under two settings, or to two prompts of one
        query.
    """
    frame: Any = read_log(path)
    _refuse_two(path, frame, "settings", of="model", what="settings of LLM")
    _refuse_two(path, frame, "prompt_sha256", of="query_id", what="prompts of query")
    frame = frame.assign(failed=frame["error"].notna())
    frame = frame.sort_values(["failed", "repeat"], kind="stable")
    grouped = frame.groupby(["query_id", "model"], sort=False)
    succeeded = grouped["failed"].transform("size") - grouped["failed"].transform("sum")
    summarised = {"repeats": succeeded}
    for column in ("latency_ms", "first_token_ms"):
        if frame[column].notna().any():
            summarised[column] = grouped[column].transform("median")
    frame = frame.assign(**summarised)
    frame = frame.drop_duplicates(["query_id", "model"]).drop(columns="failed")
    return frame.sort_values(["query_id", "model"], ignore_index=True)


def _refuse_two(
    path: str | Path, frame: Any, column: str, *, of: str, what: str
) -> None:
    """Refuse a log that holds two values of a column for one LLM or query."""
    values = frame.groupby(of)[column].nunique()
    for name, number in values.items():
        if number > 1:
            raise InputError(
                f"{path}: the log holds two {what} '{name}'; record each into a log of"
                " its own"
            )
