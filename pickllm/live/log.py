"""The log of calls: append-only, a line for each finished call, on disk before the next is begun."""

import json
import os
import pathlib
import threading
import time

from ..errors import InputError, MissingFileError

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
_NAMED = {"query_id", "model", "repeat", "settings", "prompt_sha256"}


class Log:
    """An append-only file of finished calls, one JSON object a line, each on disk before `append` returns.

    Opening it takes it for this process alone. A line that was cut in mid-write is set aside in a file
    beside it, so that its call is made again.

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

    def __init__(self, path):
        self.path, self.set_aside = pathlib.Path(path), []
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
            self._take()
            self.records = self._repair()
        except BaseException:
            self.close()
            raise

    def _take(self):
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

    def _repair(self):
        data = self.path.read_bytes()
        records, wrong = parse(self.path, data)
        try:
            for number, start, end in wrong:
                aside = self.path.with_name(f"{self.path.name}.cut-{time.time_ns()}")
                with open(aside, "xb") as file:
                    file.write(data[start:end])
                    os.fsync(file.fileno())
                _sync_folder(self.path.parent)
                if end == len(data):
                    os.ftruncate(self._file, start)
                else:
                    os.pwrite(
                        self._file, b" " * (end - start), start
                    )  # a blank line is none to any reader
                self.set_aside.append(
                    f"{self.path}: line {number} was cut; set aside as {aside.name},"
                    " its call is made again"
                )
            self._end = os.lseek(self._file, 0, os.SEEK_END)
            if not wrong and data and not data.endswith(b"\n"):
                self._write(b"\n")
        except OSError as error:
            raise self._unwritable(error) from error
        return records

    def append(self, record):
        """Add one finished call."""
        line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        with self._guard:
            try:
                self._write(line)
            except OSError as error:
                os.ftruncate(
                    self._file, self._end
                )  # a disk that is full holds no half of a line
                raise self._unwritable(error) from error

    def _write(self, data):
        at = self._end
        while data:
            written = os.pwrite(self._file, data, at)
            at, data = at + written, data[written:]
        os.fsync(self._file)
        self._end = at

    def _unwritable(self, error):
        return InputError(
            f"cannot write {self.path}: {error.strerror or error}; free some space or"
            " choose a folder that you may write"
        )

    def close(self):
        """Give the file back."""
        with self._guard:
            os.close(self._file)
            self._file = (
                -1
            )  # its number may be another file's by the time a late thread writes

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _sync_folder(folder):
    """A new file's name is on disk only when its folder is."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # not on Windows
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def parse(path, data):
    """Return the records of a log's bytes, and ``(line, start, end)`` of the pieces that are cut."""
    records, wrong, start = [], [], 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        end = start + len(line)
        if line.strip():
            try:
                record = json.loads(line)
            except ValueError:
                wrong.append((number, start, end if end == len(data) else end - 1))
            else:
                if not isinstance(record, dict) or not record.keys() >= _NAMED:
                    raise InputError(
                        f"{path}: line {number} is not a call's record; name another"
                        " file for the log"
                    )
                records.append(record)
        start = end
    if wrong and not data.startswith(b"{"):
        raise InputError(
            f"{path}: not a log of calls (line {wrong[0][0]} is not JSON); name another"
            " file for the log"
        )
    return records, wrong


def identity(record):
    return (
        record["query_id"],
        record["model"],
        record["repeat"],
        record["settings"],
        record["prompt_sha256"],
    )


def read_log(path):
    """Every call of a log as a table, one row each, its last attempt where it failed before.

    Texts stay texts: an id ``"007"`` is one (`pandas.read_json` would make a number of it).

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

    path = pathlib.Path(path)
    if not path.exists():
        raise MissingFileError(f"no log {path}; write one with `pickllm record`")
    records, wrong = parse(path, path.read_bytes())
    if any(end < path.stat().st_size for _, _, end in wrong):
        raise InputError(
            f"{path}: line {wrong[0][0]} was cut; run `pickllm record` again, which"
            " sets it aside and makes its call"
        )
    if not records:
        raise InputError(
            f"{path}: the log holds no finished call; run `pickllm record` again"
        )
    frame = pd.DataFrame(list({identity(r): r for r in records}.values()))
    columns = [c for c in FIELDS if c in frame]
    return frame[[*columns, *(c for c in frame if c not in columns)]]


def answers(path):
    """Return a log as scoring reads it: one row per query and LLM, in the order of their names.

    Of several repeats the first that succeeded gives the answer, and `latency_ms` and `first_token_ms` are
    medians over those that did. Where none did, the row has an `error` and no response.

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
        The log holds answers of an LLM under two settings, or to two prompts of one query.
    """
    frame = read_log(path)
    for column, of, what in (
        ("settings", "model", "settings of LLM"),
        ("prompt_sha256", "query_id", "prompts of query"),
    ):
        several = frame.groupby(of)[column].nunique()
        if (several > 1).any():
            raise InputError(
                f"{path}: the log holds two {what} '{several.index[several > 1][0]}';"
                " record each into a log of its own"
            )
    frame = frame.assign(failed=frame["error"].notna()).sort_values(
        ["failed", "repeat"], kind="stable"
    )
    grouped = frame.groupby(["query_id", "model"], sort=False)
    frame = frame.assign(
        repeats=grouped["failed"].transform(lambda failed: int((~failed).sum())),
        **{
            c: grouped[c].transform("median")
            for c in ("latency_ms", "first_token_ms")
            if frame[c].notna().any()
        },
    )
    frame = frame.drop_duplicates(["query_id", "model"]).drop(columns="failed")
    return frame.sort_values(
        ["query_id", "model"], ignore_index=True
    )  # in the log, the order is one of chance
