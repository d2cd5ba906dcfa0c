"""Rows: a reduced setting's results as arrays, and many of them as one table.

A table is made once, from all rows; until then a row is a handful of small arrays.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.protocols import Floats, Integers
from .totals import OUTCOMES, QUANTILES, Totals

if TYPE_CHECKING:
    import pandas as pd

#: Names of the shares of sessions that locked, as columns.
LOCKED_BY = tuple(f"locked_at_q{100 * q:.0f}" for q in QUANTILES)
#: Each LLM's columns over the checkpoints.
TRAJECTORIES = ("probability", "probability_sd", "selection")


class Row(NamedTuple):
    """Results of one reduced setting.

    Attributes
    ----------
    sessions : int
    mean, deviation : ndarray, (6,)
        Of each of `totals.OUTCOMES` over sessions.
    locked_on_best : int
        Sessions locked on the LLM that is best on average.
    locked_by : ndarray, (5,)
        Queries by which shares `totals.QUANTILES` of the sessions had locked; inf where
        beyond the session.
    share : ndarray, (n_models,)
        Of queries sent to each LLM.
    locked_on : ndarray of int, (n_models,)
        Sessions locked on each LLM.
    locked_at : ndarray of int, (n_queries + 1,)
        Sessions that locked after 0, 1, 2, ... queries.
    checkpoint : ndarray of int, (n_checkpoints,)
    trajectories : ndarray, (n_models, 3, n_checkpoints)
        Of each LLM: its probability, that one's deviation, and the chance to be routed
        to, as means over sessions.
    """

    sessions: int
    mean: Floats
    deviation: Floats
    locked_on_best: int
    locked_by: Floats
    share: Floats
    locked_on: Integers
    locked_at: Integers
    checkpoint: Integers
    trajectories: Floats

    @classmethod
    def of(cls, totals: Totals) -> "Row":
        """Return the row of a setting's totals."""
        deviation = np.sqrt(totals.squares / max(totals.sessions - 1, 1))
        trajectories = (totals.moments / totals.sessions).transpose(2, 1, 0).copy()
        probability, second = trajectories[:, 0], trajectories[:, 1]
        variance = np.clip(second - probability**2, 0, None)
        trajectories[:, 1] = np.sqrt(variance)
        return cls(
            sessions=totals.sessions,
            mean=totals.mean,
            deviation=deviation,
            locked_on_best=int(totals.locked_on[totals.best]),
            locked_by=totals.quantiles(),
            share=totals.asked / totals.asked.sum(),
            locked_on=totals.locked_on,
            locked_at=narrow(totals.locked_at, totals.sessions),
            checkpoint=_one(totals.marks.tobytes()),
            trajectories=trajectories,
        )

    def cells(self, models: Sequence[str]) -> dict[str, Any]:
        """Return the row's cells by the columns of a sweep's table, in their order.

        Returns
        -------
        dict
            ``queries``, ``sessions``; each outcome's mean over sessions and ``_sd``;
            ``locked`` and ``locked_on_best`` (sessions); ``locked_at_q10`` to ``_q90``
            (None where beyond the session); ``share:<model>`` (of queries),
            ``locked_on:<model>`` (sessions); and as sequences ``locked_at`` (sessions
            that locked after 0, 1, 2, ... queries), ``checkpoint``, and per LLM
            ``probability:<model>``, ``probability_sd:<model>``, ``selection:<model>``.
        """
        cells: dict[str, Any] = {
            "queries": len(self.locked_at) - 1,
            "sessions": self.sessions,
        }
        means, deviations = self.mean.tolist(), self.deviation.tolist()
        for name, mean, deviation in zip(OUTCOMES, means, deviations, strict=True):
            cells[name] = mean
            cells[f"{name}_sd"] = deviation
        cells["locked"] = int(self.locked_on.sum())
        cells["locked_on_best"] = self.locked_on_best
        for name, at in zip(LOCKED_BY, self.locked_by.tolist(), strict=True):
            cells[name] = at if at < np.inf else None
        for name, share in zip(models, self.share.tolist(), strict=True):
            cells[f"share:{name}"] = share
        for name, locked in zip(models, self.locked_on.tolist(), strict=True):
            cells[f"locked_on:{name}"] = locked
        cells["locked_at"] = self.locked_at
        cells["checkpoint"] = _listed(self.checkpoint.tobytes())
        for name, parts in zip(models, self.trajectories, strict=True):
            for kind, values in zip(TRAJECTORIES, parts, strict=True):
                cells[f"{kind}:{name}"] = values
        return cells

    @classmethod
    def read(cls, cell: Callable[[str], Any], models: Sequence[str]) -> "Row":
        """Return a row from the cells of a file's table.

        Parameters
        ----------
        cell : callable
            Takes a column's name and returns the cell; None or NaN where there is none.
        models : sequence of str
        """
        by = [cell(name) for name in LOCKED_BY]
        sessions = int(cell("sessions"))
        trajectories = [
            [cell(f"{kind}:{name}") for kind in TRAJECTORIES] for name in models
        ]
        return cls(
            sessions=sessions,
            mean=np.array([cell(name) for name in OUTCOMES]),
            deviation=np.array([cell(f"{name}_sd") for name in OUTCOMES]),
            locked_on_best=int(cell("locked_on_best")),
            locked_by=np.array([np.inf if at is None or at != at else at for at in by]),
            share=np.array([cell(f"share:{name}") for name in models]),
            locked_on=np.array([cell(f"locked_on:{name}") for name in models], int),
            locked_at=narrow(np.asarray(cell("locked_at")), sessions),
            checkpoint=_one(np.asarray(cell("checkpoint"), np.int64).tobytes()),
            trajectories=np.array(trajectories),
        )


@functools.lru_cache(maxsize=64)
def _one(marks: bytes) -> Integers:
    """Return checkpoints as an array that all rows with the same share."""
    return np.frombuffer(marks, np.int64)


@functools.lru_cache(maxsize=64)
def _listed(marks: bytes) -> list[int]:
    """Return checkpoints as a list that all cells with the same share."""
    return _one(marks).tolist()


def narrow(counts: Integers, most: int) -> Integers:
    """Return counts in half the memory, where none can be too large for it."""
    return counts.astype(np.int32 if most < 2**31 else np.int64)


class _Missing:
    """What stands where a row has no such column."""


MISSING = _Missing()


def columns_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as columns, in the order in which they first appear.

    Parameters
    ----------
    rows : iterable of dict
        They need not have the same columns.

    Returns
    -------
    dict of str to list
        `MISSING` stands where a row has no such column.

    Examples
    --------
    >>> columns_of([{"a": 1}, {"a": 2, "b": 3}])["b"][1]
    3
    """
    columns: dict[str, list[Any]] = {}
    number = 0
    for number, row in enumerate(rows, start=1):
        for name, value in row.items():
            column = columns.setdefault(name, [])
            if len(column) < number - 1:
                column.extend([MISSING] * (number - 1 - len(column)))
            column.append(value)
    for column in columns.values():
        column.extend([MISSING] * (number - len(column)))
    return columns


def frame(rows: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    """Return rows as one table, as if tables of one row each were put together.

    A cell that a row has no column for is NaN; one that is None stays None.

    Examples
    --------
    >>> frame([{"a": 1}, {"a": 2, "b": None}]).b.tolist()
    [nan, None]
    """
    import pandas as pd

    columns = columns_of(rows)
    # a column's cells go as soon as it stands
    typed = {name: _typed(columns.pop(name)) for name in list(columns)}
    return pd.DataFrame(typed, copy=False)


def _typed(values: list[Any]) -> Any:
    """Return a column's values, so that pandas gives it the type of its cells."""
    values = [np.nan if value is MISSING else value for value in values]
    if any(value is None or isinstance(value, list | np.ndarray) for value in values):
        column = np.empty(len(values), dtype=object)
        for place, value in enumerate(values):
            column[place] = value
        return column
    return values
