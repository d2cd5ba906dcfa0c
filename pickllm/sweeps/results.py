"""Results: what came of a plan, as tables that are made when they are asked for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.sessions import frame_of
from .rows import Row, frame
from .settings import Setting
from .work import Columns

if TYPE_CHECKING:
    import pandas as pd


class Results(Sequence["pd.DataFrame"]):
    """What came of a plan: a table for each setting, made when it is asked for.

    Parameters
    ----------
    settings : sequence of Setting
    outcomes : sequence
        Of each setting: a `Row`, columns of its sessions, or its table.
    """

    def __init__(self, settings: Sequence[Setting], outcomes: Sequence[Any]) -> None:
        self.settings = settings
        self.outcomes = outcomes

    def __len__(self) -> int:
        return len(self.outcomes)

    def __getitem__(self, place: Any) -> Any:
        """Return a setting's table, or a slice of them."""
        if isinstance(place, slice):
            return Results(self.settings[place], self.outcomes[place])
        return table(self.settings[place], self.outcomes[place])

    def frame(self) -> "pd.DataFrame":
        """Return all tables as one, in the plan's order."""
        import pandas as pd

        kinds = {type(outcome) for outcome in self.outcomes}
        if kinds == {Row}:
            return frame(map(_cells, self.settings, self.outcomes))
        if kinds == {dict}:
            return _sessions(self.settings, self.outcomes)
        return pd.concat(self, ignore_index=True)


def _cells(setting: Setting, row: Row) -> dict[str, Any]:
    return setting.labels | row.cells(setting.trace.models)


def _sessions(
    settings: Sequence[Setting], outcomes: Sequence[Columns]
) -> "pd.DataFrame":
    """Return a row a session of several settings, each under its labels."""
    import pandas as pd

    lengths = [len(outcome["session"]) for outcome in outcomes]
    number = np.repeat(np.arange(len(settings)), lengths)
    labels = frame(setting.labels for setting in settings)
    names = dict.fromkeys(name for outcome in outcomes for name in outcome)
    columns = {name: _stacked(name, outcomes, lengths) for name in names}
    repeated = labels.iloc[number].reset_index(drop=True)
    together = pd.concat([repeated, frame_of(columns)], axis=1)
    both = zip(settings, outcomes, strict=True)
    first_seen = dict.fromkeys(name for s, o in both for name in (*s.labels, *o))
    return together[list(first_seen)]


def _stacked(
    name: str, outcomes: Sequence[Columns], lengths: Sequence[int]
) -> NDArray[Any]:
    """Return a column of several settings; NaN where one has no such column."""
    parts = [
        outcome[name] if name in outcome else np.full(length, np.nan)
        for outcome, length in zip(outcomes, lengths, strict=True)
    ]
    return np.concatenate(parts)


def table(setting: Setting, outcome: Any) -> "pd.DataFrame":
    """Return the rows of a setting as a sweep's table has them."""
    import pandas as pd

    if isinstance(outcome, Row):
        return frame([_cells(setting, outcome)])
    if isinstance(outcome, dict):
        rows = frame_of(outcome)
        labels = pd.DataFrame(setting.labels, index=rows.index)
        return pd.concat([labels, rows], axis=1)
    return outcome
