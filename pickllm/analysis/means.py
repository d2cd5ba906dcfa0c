"""Rows in reading order, and the mean over contexts beside the contexts."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

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


def mean_over_contexts(
    frame: pd.DataFrame,
    by: Sequence[str],
    value: str = "value",
    low: str = "low",
    high: str = "high",
) -> pd.DataFrame:
    """Return the mean of an estimate over contexts, with its interval.

    The interval comes from the contexts' own half-widths, taken as independent.

    Parameters
    ----------
    frame : pandas.DataFrame
        A row per context and group.
    by : sequence of str
        Columns that make a group.
    value, low, high : str
        Columns of the estimate and of its interval.

    Returns
    -------
    pandas.DataFrame
        `by`, then ``value``, ``low`` and ``high`` under their columns' names.
    """
    squares = frame.assign(
        below=(frame[value] - frame[low]) ** 2, above=(frame[high] - frame[value]) ** 2
    )
    found = squares.groupby(list(by), sort=False).agg(
        mean=(value, "mean"),
        size=(value, "size"),
        below=("below", "sum"),
        above=("above", "sum"),
    )
    table = pd.DataFrame(
        {
            value: found["mean"],
            low: found["mean"] - np.sqrt(found["below"]) / found["size"],
            high: found["mean"] + np.sqrt(found["above"]) / found["size"],
        }
    )
    return table.reset_index()


def with_mean(
    frame: pd.DataFrame, by: Sequence[str], estimates: Sequence[str]
) -> pd.DataFrame:
    """Return the rows, and one more per group for the mean of the contexts' estimates.

    A mean is left out where one of its contexts has no estimate.

    Parameters
    ----------
    frame : pandas.DataFrame
        A row per ``context`` and group.
    by : sequence of str
        Columns that make a group.
    estimates : sequence of str
        Columns, each with ``_low`` and ``_high``.
    """
    means = []
    frame = rename_mean(frame)
    for name in estimates:
        low = f"{name}_low"
        high = f"{name}_high"
        complete = all_there(frame, by, name)
        bounded = complete.assign(**{high: complete[high].fillna(complete[name])})
        if len(bounded):
            mean = mean_over_contexts(bounded, by, name, low, high)
            means.append(mean.set_index(list(by)))
    if not means:
        return frame
    table = pd.concat(means, axis=1).reset_index().assign(context=MEAN)
    return pd.concat([frame, table], ignore_index=True)


def all_there(frame: pd.DataFrame, by: Sequence[str], column: str) -> pd.DataFrame:
    """Return the rows of the groups that have a value in each of their rows."""
    whole = frame.groupby(list(by), sort=False)[column].transform(
        lambda values: values.notna().all()
    )
    return pd.DataFrame(frame[whole.astype(bool)])


def exploration_with_mean(explored: pd.DataFrame) -> pd.DataFrame:
    """Return exploration in reading order, with its mean over contexts.

    Parameters
    ----------
    explored : pandas.DataFrame
        ``learner``, ``context``, ``position``, ``learning_rate``, ``measure`` (cents,
        seconds), ``value``, ``low``, ``high``.
    """
    by = ["learner", "learning_rate", "measure"]
    mean = mean_over_contexts(explored, by).assign(context=MEAN)
    each = rename_mean(in_context_order(explored, by)).drop(columns="position")
    frame = pd.concat([each, mean], ignore_index=True)
    names = {"cents": "US cents per session", "seconds": "seconds per session"}
    return frame.assign(measure=frame.measure.map(names))


def rename_mean(frame: pd.DataFrame) -> pd.DataFrame:
    """Tell a context that is itself called "mean" apart from the mean of contexts."""
    names = frame.context.where(frame.context != MEAN, f"{MEAN} (a context)")
    return frame.assign(context=names)
