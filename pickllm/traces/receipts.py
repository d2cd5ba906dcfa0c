"""Receipts of imports: what a table was, and which rows of it no rule let in."""

import pathlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.trace import Trace
from ..errors import InputError
from ..files import write_json
from ..readers import read_table
from .downloads import sha256

if TYPE_CHECKING:
    import pandas as pd

#: The rule by which queries are dropped that not every LLM answered.
INCOMPLETE = "query not answered by every LLM"
#: Columns that hold text whatever it looks like.
TEXTS = "task_id", "id", "model", "task_name", "model_name", "response", "error"


@dataclass(frozen=True)
class Receipt:
    """What a trace was imported from.

    Attributes
    ----------
    source, commit : str
        Where the table comes from; empty where nobody said.
    file, sha256 : str
        The table's name and SHA-256.
    as_pinned : bool, optional
        Whether the SHA-256 is that of the pinned source; None where none is pinned.
    rows, kept : int
        Rows of the table, and of the trace.
    dropped : dict of str to int
        Rule -> rows that it dropped; rules apply in this order.
    """

    source: str
    commit: str
    file: str
    sha256: str
    as_pinned: bool | None
    rows: int
    kept: int
    dropped: dict[str, int]

    def sentences(self) -> tuple[str, ...]:
        """Return the receipt as lines to read.

        Examples
        --------
        >>> Receipt("", "", "t.csv", "ab12", None, 9, 8, {"failed call": 1}).sentences()
        ('t.csv (SHA-256 ab12): 9 rows, 8 kept', 'dropped 1: failed call')
        """
        first = f"{self.file} (SHA-256 {self.sha256[:12]}): {self.rows} rows"
        lines = [f"{first}, {self.kept} kept"]
        if self.as_pinned is False:
            lines.append(f"not the pinned file of {self.source} at {self.commit}")
        lines += [f"dropped {n}: {rule}" for rule, n in self.dropped.items()]
        return tuple(lines)

    def save(self, path: str | pathlib.Path) -> None:
        """Write the receipt as JSON."""
        write_json(path, vars(self))


class Imported(NamedTuple):
    """A trace, and the receipt of the table that it was made of."""

    trace: Trace
    receipt: Receipt


@dataclass
class Sieve:
    """A table whose rows are dropped rule by rule, and counted.

    Attributes
    ----------
    path : path
    frame : pandas.DataFrame
        What is left.
    rows : int
        Of the whole table.
    dropped : dict of str to int
    """

    path: pathlib.Path
    frame: "pd.DataFrame"
    rows: int = 0
    dropped: dict[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def read(
        cls, path: str | pathlib.Path, what: str, columns: tuple[str, ...]
    ) -> "Sieve":
        """Return a table with columns that it must have; all texts but the numbers.

        Raises
        ------
        InputError, MissingFileError
        """
        path = pathlib.Path(path)
        if path.suffix in (".pkl", ".pickle"):
            raise InputError(
                f"{path}: a pickle may run code and is never loaded; convert it where"
                " you trust it: pandas.read_pickle(...).to_parquet(...)"
            )
        frame = read_table(path, what, "check the path", TEXTS)
        for column in columns:
            if column not in frame:
                raise InputError(
                    f"{path}: no column {column!r}; a {what} has it; its columns are"
                    f" {', '.join(map(str, frame))}"
                )
        return cls(path, frame, len(frame))

    def require(self, right: Any, column: str, rule: str, remedy: str) -> None:
        """Refuse a table of which a row that is left breaks a rule.

        Raises
        ------
        InputError
            The first such row: column, rule, value and remedy.
        """
        wrong = np.flatnonzero(~np.asarray(right, bool))
        if len(wrong):
            first_row = 2 if self.path.suffix == ".csv" else 1
            row = int(self.frame.index[wrong[0]]) + first_row
            others = len(wrong) - 1
            raise InputError(
                f"{self.path}, row {row}, column {column!r}: must be {rule}, got"
                f" {self.frame[column].iloc[wrong[0]]!r}; {remedy}"
                + (f" (and {others} more)" if others else "")
            )

    def read_numbers(self, *columns: str) -> None:
        """Make columns numbers; an empty cell stays empty.

        Raises
        ------
        InputError
            A cell that holds something else, or a number that is not finite.
        """
        import pandas as pd

        for column in columns:
            number = pd.to_numeric(self.frame[column], errors="coerce")
            right = np.isfinite(number) | self.frame[column].isna()
            self.require(right, column, "a number", "correct it")
            self.frame = self.frame.assign(**{column: number})

    def drop(self, wrong: Any, rule: str) -> None:
        """Drop the rows that a rule finds wrong, and count them."""
        wrong = np.asarray(wrong, bool)
        self.dropped[rule] = self.dropped.get(rule, 0) + int(wrong.sum())
        self.frame = self.frame[~wrong]

    def drop_incomplete(self, query: list[str], model: str, models: list[str]) -> None:
        """Drop queries that some LLM of the whole table did not answer.

        Parameters
        ----------
        query : list of str
            Columns that together name a query.
        model : str
            Column of LLMs.
        models : list of str
            The LLMs of the whole table.

        Raises
        ------
        InputError
            No query is left.
        """
        answered = self.frame.groupby(query)[model].transform("nunique")
        self.drop(answered < len(models), INCOMPLETE)
        if not len(self.frame):
            raise InputError(
                f"{self.path}: no query was answered by all of {', '.join(models)};"
                " leave out the LLMs that failed, or import them apart"
            )

    def imported(
        self, trace: Trace, source: str = "", commit: str = "", pinned: str = ""
    ) -> Imported:
        """Return a trace of what is left, with its receipt."""
        sha = sha256(self.path.read_bytes())
        receipt = Receipt(
            source=source,
            commit=commit,
            file=self.path.name,
            sha256=sha,
            as_pinned=sha == pinned if pinned else None,
            rows=self.rows,
            kept=trace.accuracy.size,
            dropped=self.dropped,
        )
        return Imported(trace, receipt)
