"""Responses: a table of what LLMs said, scored, is the rows of a trace."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.statistics import mean, share
from ..errors import InputError
from ..files import written
from ..live.log import read_answers
from ..readers import TABLES, read_table, read_text
from .choice import scorer

if TYPE_CHECKING:
    import pandas as pd

#: Columns that every table of responses has.
REQUIRED = ("query_id", "context", "model", "response")
#: Columns that hold texts, whatever they look like.
TEXTS = (*REQUIRED, "reference", "prompt", "error")
#: What a failed call used, where the log does not say.
NOTHING_USED = ("input_tokens", "output_tokens", "cost_usd")


def read_responses(path: str | Path) -> "pd.DataFrame":
    """Return responses as a table, one row per query and LLM.

    Of a log's repeats the first that succeeded is the answer, and latencies are medians
    (see `log.read_answers`).

    Parameters
    ----------
    path : path
        A log of `record`, or any .csv, .jsonl or .parquet file.

    Raises
    ------
    InputError, MissingFileError
    """
    path = Path(path)
    what = "file of responses"
    remedy = "check the path, or record some with `pickllm record`"
    if path.suffix != ".jsonl":
        return read_table(path, what, remedy, texts=TEXTS)
    text = read_text(path, what, remedy)
    first_line, _, _ = text.partition("\n")
    if '"prompt_sha256"' in first_line:
        return _of_log(path)
    return _of_lines(path, text)


def _of_log(path: Path) -> "pd.DataFrame":
    frame: Any = read_answers(path)
    without_text = frame["response"].isna().all()
    if without_text and frame["response_sha256"].notna().any():
        raise InputError(
            f"{path}: the log holds no texts, only their hashes (--no-text): there is"
            " nothing to score; record with texts"
        )
    return frame


def _of_lines(path: Path, text: str) -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(
                f"{path}, line {number}: not a JSON object ({error}); take the line out"
                " or record the call again"
            ) from error
        if not isinstance(row, dict):
            raise InputError(
                f"{path}, line {number}: not a JSON object (got"
                f" {type(row).__name__}); take the line out or record the call again"
            )
        rows.append(row)
    return pd.DataFrame(rows)


def score(
    frame: "pd.DataFrame", by: Any, *, failures: str = "zero"
) -> tuple["pd.DataFrame", int]:
    """Return the same rows with ``accuracy``: the rows of a trace.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``query_id``, ``context``, ``model``, ``response``; ``reference``, ``prompt``
        and ``error`` where there are any.
    by : Scorer or what `scorer` takes
    failures : {"zero", "drop"}
        A failed call (``error`` set, no response) scores 0, was charged nothing, and
        took as long as its LLM's slowest answer; or its query is left out, for every
        LLM, so that all answer the same ones.

    Returns
    -------
    frame : pandas.DataFrame
        With a judge's raw ``verdict`` besides.
    failed : int

    Raises
    ------
    InputError
    """
    by = scorer(by)
    if failures not in ("zero", "drop"):
        raise InputError(
            f"failures must be 'zero' or 'drop', got {failures!r}; zero counts a failed"
            " call as a wrong answer"
        )
    _check_rows(frame)
    scored: Any = frame.reset_index(drop=True)
    responses = scored["response"].astype(object).where(scored["response"].notna(), "")
    responses = responses.astype(str)
    failed = _failed(scored, responses)
    asked = np.flatnonzero(~failed)
    values, verdicts = by.judged(
        responses.iloc[asked].tolist(),
        _texts(scored, "reference", asked),
        _texts(scored, "prompt", asked),
        rows=asked + 1,
    )
    scored = scored.assign(accuracy=0.0)
    scored.loc[asked, "accuracy"] = values
    if verdicts is not None:
        scored.loc[asked, "verdict"] = verdicts
    if failures == "drop":
        return _without_failed(scored, failed), int(failed.sum())
    return _with_failed(scored, failed), int(failed.sum())


def _check_rows(frame: "pd.DataFrame") -> None:
    for column in REQUIRED:
        if column not in frame:
            raise InputError(
                f"no column {column!r} in the responses; it has"
                f" {', '.join(map(str, frame.columns)) or 'none'}"
            )
    if not len(frame):
        raise InputError("the responses hold no row; record some first")
    repeated = frame.duplicated(["query_id", "model"]).to_numpy()
    if repeated.any():
        raise InputError(
            f"row {int(repeated.argmax()) + 1}: a query and model stand twice; average"
            " repeats first, a trace holds one row each"
        )


def _failed(frame: Any, responses: Any) -> np.ndarray:
    """Whether each call failed: it has an error and no response, (n_rows,) bool."""
    if "error" not in frame:
        return np.zeros(len(frame), dtype=bool)
    told = frame["error"].notna() & (frame["error"].astype(str) != "")
    return (told & (responses == "")).to_numpy()


def _texts(frame: Any, column: str, rows: np.ndarray) -> list[str | None] | None:
    """Return a column's texts in some rows, None where it is not there."""
    if column not in frame:
        return None
    return [_text(column, row + 1, frame[column].iloc[row]) for row in rows]


def _text(column: str, row: int, value: Any) -> str | None:
    """Return a cell as text, or None where it is empty."""
    if isinstance(value, (list, tuple, dict, np.ndarray)):
        raise InputError(
            f"row {row}, column {column!r}: must be a text, got {type(value).__name__};"
            " write several right answers as rows or as a function of one's own"
        )
    is_missing = value is None or value != value
    return None if is_missing else str(value)


def _without_failed(frame: Any, failed: np.ndarray) -> Any:
    """Return the rows of those queries that every LLM answered."""
    incomplete = frame["query_id"].isin(set(frame["query_id"][failed]))
    frame = frame[~incomplete].reset_index(drop=True)
    if not len(frame):
        raise InputError(
            "every query has a failed call, nothing is left; count failures as zero, or"
            " record again"
        )
    return frame


def _with_failed(frame: Any, failed: np.ndarray) -> Any:
    """Return failed calls with what they count.

    No tokens, no cost, and the latency of the LLM's slowest answer.
    """
    for column in NOTHING_USED:
        if column in frame:
            frame[column] = frame[column].mask(failed & frame[column].isna(), 0)
    if "latency_ms" not in frame:
        return frame
    slowest = frame.groupby("model")["latency_ms"].transform("max")
    silent = frame["model"][failed & slowest.isna()]
    if len(silent):
        raise InputError(
            f"LLM '{silent.iloc[0]}' answered nothing, so its latency is not known;"
            " record it again, or leave it out of the models file"
        )
    unknown = failed & frame["latency_ms"].isna()
    frame["latency_ms"] = frame["latency_ms"].mask(unknown, slowest)
    return frame


def summary(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Return accuracy per model and context with its interval.

    Wilson's where all accuracies are 0 or 1, else Student's.
    """
    import pandas as pd

    rows = []
    groups: Any = frame.groupby(["model", "context"], sort=False)
    for (model, context), part in groups:
        values = part["accuracy"].to_numpy(float)
        if np.isin(values, (0, 1)).all():
            centre, low, high = share(values.sum(), len(values))
        else:
            centre, low, high = mean(values)
        low = max(float(low), 0.0)
        high = min(float(high), 1.0)
        rows.append((model, context, len(values), float(centre), low, high))
    columns = ["model", "context", "n", "accuracy", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def save(frame: "pd.DataFrame", path: str | Path) -> None:
    """Write scored rows as CSV or Parquet, by the path's ending."""
    path = Path(path)
    if path.suffix not in TABLES:
        raise InputError(
            f"{path}: scored responses are written as .csv or .parquet, got"
            f" '{path.suffix}'; choose one of the two"
        )
    if path.suffix == ".parquet":
        with written(path, "wb") as file:
            frame.to_parquet(file, index=False)
    else:
        with written(path) as file:
            frame.to_csv(file, index=False, lineterminator="\n")
