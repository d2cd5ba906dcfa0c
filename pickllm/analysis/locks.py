"""When sessions lock, over all contexts, and which settings' curves differ."""

import itertools
from collections.abc import Sequence

import pandas as pd

from ..core import statistics
from .means import by_session
from .pairs import corrected


def curves_over_contexts(
    table: pd.DataFrame, by: Sequence[str], queries: int, points: int = 160
) -> pd.DataFrame:
    """Return the share of sessions locked by each query, as the mean over contexts.

    Parameters
    ----------
    table : pandas.DataFrame
        A row per session and context, with ``locked_at``.
    by : sequence of str
        Columns that tell settings apart.
    queries, points : int
        As in `statistics.lock_curve`.

    Returns
    -------
    pandas.DataFrame
        `by`, ``query``, ``locked``, ``low``, ``high``.
    """
    grid = statistics.lock_grid(queries, points)
    parts = {}
    for key, group in table.groupby(list(by), sort=False):
        yes = statistics.locked_by(by_session(group, "locked_at"), grid)
        numbers = statistics.share_of_contexts(yes)
        parts[key] = statistics.curve_frame(grid, *numbers)
    curves = pd.concat(parts, names=list(by))
    return curves.reset_index(list(by)).reset_index(drop=True)


def rates_apart(table: pd.DataFrame, queries: int) -> pd.DataFrame:
    """Compare each learning rate's lock curve with the next one's, by `logrank`.

    Parameters
    ----------
    table : pandas.DataFrame
        A row per session: ``learner``, ``context``, ``learning_rate``, ``locked_at``.
    queries : int
        Length of a session.

    Returns
    -------
    pandas.DataFrame
        ``learner``, ``context``, ``learning_rate``, ``next_rate``, ``measure``
        (locking), ``statistic`` (positive where the next rate locks sooner), ``p``, and
        ``p_holm`` and ``told_apart``: corrected over all rows.
    """
    rows = []
    for (learner, context), part in table.groupby(["learner", "context"], sort=False):
        times = {rate: own.locked_at for rate, own in part.groupby("learning_rate")}
        rates = list(times)
        for rate, faster in itertools.pairwise(rates):
            tested = statistics.logrank(times[faster], times[rate], queries)
            rows.append((learner, context, rate, faster, "locking", *tested))
    names = ["learner", "context", "learning_rate", "next_rate", "measure"]
    return corrected(pd.DataFrame(rows, columns=[*names, "statistic", "p"]))
