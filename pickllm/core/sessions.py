"""Sessions: what a replay chose, and what came of it."""

# pandas has no types of its own:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# pyright: reportMissingTypeStubs=false

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .compiled import pays, tally_compiled
from .one_session import OneSession
from .prepared import OUTCOMES, Played, Prepared
from .protocols import Control, Floats, Integers, Learner
from .reward import Reward
from .trace import Trace

if TYPE_CHECKING:
    import pandas as pd

COST, LATENCY, ACCURACY, REWARD, REGRET, CLIPPED = range(len(OUTCOMES))
#: Columns of a table of sessions in which a session that never locked has NA.
NULLABLE = {"locked_model": "string", "locked_on_best": "boolean"}


@dataclass(frozen=True, eq=False)
class Sessions:
    """What a number of sessions chose; everything else is looked up in the trace.

    Attributes
    ----------
    trace : Trace
    reward : Reward
        With the bounds that the learner saw.
    learner : Learner, OneSession or Control
        As the pool made it.
    choices : ndarray of int, (n_sessions, n_queries)
        Position in `trace.models` of the LLM that each query went to.
    queries : ndarray of int, (n_sessions, n_queries)
        Position in the trace of each query.
    checkpoints : ndarray of int, (n_checkpoints,)
        Numbers of answered queries at which probabilities were recorded.
    probabilities : ndarray, (n_sessions, n_checkpoints, n_models)
        The learner's selection probabilities; after a lock its frozen state's.
    locked_at : ndarray of int, (n_sessions,)
        Queries answered when the session locked; -1 = never (censored at the session's
        end).
    locked_model : ndarray of int, (n_sessions,)
        Position of the LLM it locked on; -1 = never.
    """

    trace: Trace
    reward: Reward
    learner: Learner | OneSession | Control
    choices: Integers
    queries: Integers
    checkpoints: NDArray[np.int64]
    probabilities: Floats
    locked_at: Integers
    locked_model: Integers
    prepared: Prepared = field(repr=False)
    engine: str = field(default="auto", repr=False)

    @classmethod
    def of(cls, prepared: Prepared, played: Played, engine: str) -> "Sessions":
        """Return the sessions of a replay and what they chose."""
        return cls(
            prepared.trace,
            prepared.reward,
            prepared.learner,
            checkpoints=prepared.checkpoints,
            prepared=prepared,
            engine=engine,
            **played._asdict(),
        )

    def outcome(self, name: str) -> Floats:
        """Return an outcome of each query as answered, (n_sessions, n_queries).

        Parameters
        ----------
        name : {"accuracy", "cost_usd", "latency_ms", "reward"}
            The reward is the raw one.
        """
        table = self.prepared.raw if name == "reward" else getattr(self.trace, name)
        return table[self.queries, self.choices]

    @property
    def best(self) -> int:
        """Position of the LLM with the highest mean raw reward over the trace."""
        return self.prepared.tables.best

    def selection(self) -> Floats:
        """Return probabilities at the checkpoints as sessions then route.

        A locked session asks its LLM alone.

        Returns
        -------
        ndarray, (n_sessions, n_checkpoints, n_models)
        """
        p = self.probabilities.copy()
        ever = (self.locked_at >= 0)[:, None]
        locked = ever & (self.checkpoints >= np.maximum(self.locked_at, 0)[:, None])
        alone = np.eye(p.shape[-1])
        p[locked] = alone[self.locked_model[np.nonzero(locked)[0]]]
        return p

    def table(self) -> "pd.DataFrame":
        """Return one row per session.

        Returns
        -------
        pandas.DataFrame
            ``session``; ``cost_usd`` (sum), ``latency_ms`` (mean), ``accuracy`` (mean),
            ``reward`` (mean raw), ``regret`` (sum of raw reward lost against always
            asking the best LLM, same queries), ``clipped`` (share of rewards outside
            the bounds), ``locked_at`` (-1 = never), ``locked_model`` (name or NA),
            ``locked_on_best`` (bool or NA), ``top_model`` and ``top_share`` (the LLM
            asked most and its share of queries), ``exploration_usd`` and
            ``exploration_ms`` (sums: what the session paid and waited beyond sending
            the same queries to the LLM it locked on, or to its top LLM; may be
            negative), and the share of each LLM as ``share:<model>``.
        """
        return frame_of(self.columns())

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the columns of `table` as plain arrays; None stands for NA."""
        names = np.array(self.trace.models, dtype=object)
        locked = self.locked_at >= 0
        unknown = np.full(len(locked), None)
        n_queries = self.choices.shape[1]
        counts, sums, extra = self._tally()
        columns = {
            "session": np.array(self.prepared.sessions),
            "cost_usd": sums[:, COST],
            "latency_ms": sums[:, LATENCY] / n_queries,
            "accuracy": sums[:, ACCURACY] / n_queries,
            "reward": sums[:, REWARD] / n_queries,
            "regret": sums[:, REGRET],
            "clipped": sums[:, CLIPPED] / n_queries,
            "locked_at": self.locked_at,
            "locked_model": np.where(locked, names[self.locked_model], unknown),
            "locked_on_best": np.where(locked, self.locked_model == self.best, unknown),
            "top_model": names[counts.argmax(axis=1)],
            "top_share": counts.max(axis=1) / n_queries,
            "exploration_usd": extra[:, COST],
            "exploration_ms": extra[:, LATENCY],
        }
        shares = {
            f"share:{name}": counts[:, j] / n_queries for j, name in enumerate(names)
        }
        return columns | shares

    def _tally(self) -> "tuple[Integers, Floats, Floats]":
        """Return `tally`, by the engine that is quicker; the bits are the same."""
        run = tally_compiled if pays(self.choices.size, self.engine) else tally
        outcomes = self.prepared.outcomes
        return run(self.queries, self.choices, outcomes, self.locked_model)


def frame_of(columns: dict[str, Any]) -> "pd.DataFrame":
    """Return `Sessions.columns` as a table, with the types that hold NA."""
    import pandas as pd

    typed = {
        name: pd.array(columns[name], dtype=kind)  # pyright: ignore
        for name, kind in NULLABLE.items()
    }
    return pd.DataFrame(columns | typed)


def tally(
    queries: Integers, choices: Integers, outcomes: Floats, locked_model: Integers
) -> tuple[Integers, Floats, Floats]:
    """Return counts and sums of each session.

    Added up query after query, so that every engine rounds alike.

    Parameters
    ----------
    queries, choices : ndarray of int, (n_sessions, n_queries)
    outcomes : ndarray, (n_queries, n_models, 6)
        See `Prepared.outcomes`.
    locked_model : ndarray of int, (n_sessions,)

    Returns
    -------
    counts : ndarray of int, (n_sessions, n_models)
        Queries sent to each LLM.
    sums : ndarray, (n_sessions, 6)
        Of each outcome.
    extra : ndarray, (n_sessions, 2)
        Cost and latency beyond those of the LLM locked on, or else asked most, on the
        same queries.
    """
    n_models = outcomes.shape[1]
    counts = np.stack([(choices == j).sum(axis=1) for j in range(n_models)], axis=1)
    final = np.where(locked_model >= 0, locked_model, counts.argmax(axis=1))
    sums = np.zeros((len(choices), len(OUTCOMES)))
    extra = np.zeros((len(choices), 2))
    for query, choice in zip(queries.T, choices.T, strict=True):
        outcome = outcomes[query, choice]
        sums += outcome
        extra += outcome[:, :2] - outcomes[query, final, :2]
    return counts, sums, extra
