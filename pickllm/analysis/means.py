"""Rows in reading order, and the mean over contexts beside the contexts."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..core import statistics
from ..errors import InputError

#: The context that stands for the mean of all others.
MEAN = "mean"


def in_order(frame: pd.DataFrame, column: str, order: Iterable) -> pd.DataFrame:
    """Return rows in the order that a list, or a dict's keys, gives one column.

    Ties keep their order.
    """
    position = {value: place for place, value in enumerate(order)}
    return frame.sort_values(
        column, key=lambda values: values.map(position), kind="stable"
    ).reset_index(drop=True)


def in_context_order(frame: pd.DataFrame, then: Sequence[str]) -> pd.DataFrame:
    """Return rows in the trace's order of contexts, then by other columns.

    Column ``position`` holds a context's place in its trace.
    """
    by = ["position", *then]
    return frame.sort_values(by, kind="stable").reset_index(drop=True)


def by_session(table: pd.DataFrame, column: str) -> NDArray[Any]:
    """Return a column of one setting's sessions as (n_sessions, n_contexts).

    Raises
    ------
    InputError
        A session is missing in some context, or there twice.
    """
    n_contexts = table.context.nunique()
    refusal = (
        f"a mean over contexts needs each session once in each of {n_contexts}"
        f" contexts, got {len(table)} rows of {table.session.nunique()} sessions; give"
        " one setting's sessions, all of them"
    )
    return arranged(table, column, table, refusal)


def arranged(
    mine: pd.DataFrame, column: str, table: pd.DataFrame, refusal: str
) -> NDArray[Any]:
    """Return a column as (n_sessions, n_contexts), in the order of a table's.

    Parameters
    ----------
    mine : pandas.DataFrame
        A row per session and context.
    column : str
    table : pandas.DataFrame
        Whose sessions and contexts count, in their order there.
    refusal : str
        What is said where a session is missing in some context, or there twice.

    Raises
    ------
    InputError
    """
    sessions = pd.Index(table.session.unique())
    contexts = pd.Index(table.context.unique())
    row = sessions.get_indexer(mine.session)
    place = row * len(contexts) + contexts.get_indexer(mine.context)
    size = len(sessions) * len(contexts)
    if (np.bincount(place, minlength=size) != 1).any():
        raise InputError(refusal)
    values = np.empty(size, dtype=mine[column].to_numpy().dtype)
    values[place] = mine[column].to_numpy()
    return values.reshape(len(sessions), len(contexts))


def mean_over_contexts(
    table: pd.DataFrame,
    by: Sequence[str],
    column: str,
    how: Callable[[NDArray[Any]], tuple[Any, Any, Any]] = statistics.mean_of_contexts,
) -> pd.DataFrame:
    """Return an estimate's mean over contexts, its interval clustered by session.

    Parameters
    ----------
    table : pandas.DataFrame
        A row per ``context``, ``session`` and group.
    by : sequence of str
        Columns that make a group.
    column : str
    how : callable
        Takes ``(n_sessions, n_contexts)``, returns ``(estimate, low, high)``: one of
        `statistics.mean_of_contexts`, `share_of_contexts` and `median_of_contexts`.

    Returns
    -------
    pandas.DataFrame
        `by`, ``value``, ``low``, ``high``.
    """
    rows = []
    for key, group in table.groupby(list(by), sort=False):
        assert isinstance(key, tuple)
        rows.append((*key, *(float(x) for x in how(by_session(group, column)))))
    return pd.DataFrame(rows, columns=[*by, "value", "low", "high"])


def locks_with_mean(
    frame: pd.DataFrame, table: pd.DataFrame, by: Sequence[str], queries: int
) -> pd.DataFrame:
    """Return the rows, and one more per group for the mean over contexts.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `statistics.locking` gives, a row per ``context`` and group.
    table : pandas.DataFrame
        The sessions behind it, a row each: ``locked_at``, ``locked_on_best``.
    by : sequence of str
        Columns that make a group.
    queries : int
        Of a session.

    Returns
    -------
    pandas.DataFrame
        The means have ``on_best`` and ``median``, each with ``_low`` and ``_high``; a
        mean of medians is left out where one lies beyond the session.
    """
    on_best = table.locked_on_best.fillna(False).astype(bool)
    table = table.assign(on_best=on_best)
    median = functools.partial(statistics.median_of_contexts, queries=queries)
    found = {
        "on_best": mean_over_contexts(
            table, by, "on_best", statistics.share_of_contexts
        ),
        "median": mean_over_contexts(table, by, "locked_at", median),
    }
    columns = []
    for name, numbers in found.items():
        ends = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
        named = numbers.rename(columns=ends).set_index(list(by))
        columns.append(named.replace(np.inf, np.nan))
    means = pd.concat(columns, axis=1).reset_index().assign(context=MEAN)
    return pd.concat([rename_mean(frame), means], ignore_index=True)


def exploration_with_mean(explored: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return exploration in reading order, with its mean over contexts.

    Parameters
    ----------
    explored : pandas.DataFrame
        ``learner``, ``context``, ``position``, ``learning_rate``, ``measure`` (cents,
        seconds), ``value``, ``low``, ``high``.
    table : pandas.DataFrame
        The sessions behind it, a row each: ``cents``, ``seconds``.
    """
    by = ["learner", "learning_rate", "measure"]
    setting = ["learner", "learning_rate"]
    parts = [
        mean_over_contexts(table, setting, measure).assign(measure=measure)
        for measure in explored.measure.unique()
    ]
    mean = pd.concat(parts).assign(context=MEAN)
    each = rename_mean(in_context_order(explored, by)).drop(columns="position")
    frame = pd.concat([each, mean], ignore_index=True)
    names = {"cents": "US cents per session", "seconds": "seconds per session"}
    return frame.assign(measure=frame.measure.map(names))


def rename_mean(frame: pd.DataFrame) -> pd.DataFrame:
    """Tell a context that is itself called "mean" apart from the mean of contexts."""
    names = frame.context.where(frame.context != MEAN, f"{MEAN} (a context)")
    return frame.assign(context=names)
