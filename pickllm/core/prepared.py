"""What a replay runs on, checked and made once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..engine import streams
from ..errors import InputError, nearest
from .learners import Oracle
from .locking import LockRule
from .one_session import OneSession
from .protocols import (
    Control,
    Floats,
    Integers,
    Learner,
    QueryOrder,
    as_learner,
    as_lock_rule,
    sees_queries,
)
from .reward import Reward
from .trace import Trace

ORDERS = ("bootstrap", "shuffle")
#: How ties between LLMs are broken: by an order of the pool drawn for each session, or
#: by the order in which it is listed.
TIES = ("random", "first")
#: What an answer adds to its session's sums: the last axis of `Prepared.outcomes`.
OUTCOMES = ("cost_usd", "latency_ms", "accuracy", "reward", "regret", "clipped")


@dataclass(frozen=True, eq=False)
class Tables:
    """What every answer is worth: made once for a trace and a reward.

    Attributes
    ----------
    trace : Trace
    reward : Reward
        With its bounds.
    raw, unit : ndarray, (n_queries, n_models)
        Raw reward of every LLM on every query, and the unit reward that teaches.
    """

    trace: Trace
    reward: Reward
    raw: Floats
    unit: Floats

    @classmethod
    def of(cls, trace: Trace, reward: Reward) -> "Tables":
        """Return the tables of a trace; the reward's bounds are those of its limits.

        Raises
        ------
        InputError
            The trace has an answer that the reward's equation cannot take.

        Examples
        --------
        >>> import pickllm as pk
        >>> trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
        >>> Tables.of(trace, pk.Reward()).unit.shape
        (5000, 4)
        """
        bounded = reward.within(trace.limits)
        answers = trace.accuracy, trace.cost_usd, trace.latency_ms
        return cls(trace, bounded, bounded.raw(*answers), bounded.unit(*answers))

    @cached_property
    def best(self) -> int:
        """Position of the LLM with the highest mean raw reward over the trace."""
        return int(self.raw.mean(axis=0).argmax())

    def near_best(self, share: float) -> NDArray[np.bool_]:
        """Return which LLMs' mean raw reward is near the best one's, relatively.

        Parameters
        ----------
        share : float
            Of the best LLM's, by which another may be lower.

        Returns
        -------
        ndarray of bool, (n_models,)
        """
        mean = self.raw.mean(axis=0)
        best = mean[self.best]
        return mean >= best - share * abs(best)

    @cached_property
    def outcomes(self) -> Floats:
        """What each answer adds to its session's sums, (n_queries, n_models, 6).

        The last axis is `OUTCOMES`: regret is the raw reward lost against the LLM that
        is best on average, on the same query; clipped is whether the raw reward lies
        outside the bounds.
        """
        trace = self.trace
        low, high = self.reward.declared_bounds()
        columns = {
            "cost_usd": trace.cost_usd,
            "latency_ms": trace.latency_ms,
            "accuracy": trace.accuracy,
            "reward": self.raw,
            "regret": self.raw[:, [self.best]] - self.raw,
            "clipped": (self.raw < low) | (self.raw > high),
        }
        tables = [np.asarray(columns[name], np.float64) for name in OUTCOMES]
        return np.stack(tables, axis=-1)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A replay before it runs: every argument checked, every table made.

    Attributes
    ----------
    tables : Tables
        Of the trace and the reward.
    learner : Learner, OneSession or Control
        As the pool makes it.
    rule : LockRule, optional
        None where no session locks.
    seen : ndarray, (n_queries, ...), optional
        What a learner that looks at queries sees of each.
    sessions : range
        Numbers of the sessions.
    queries : int
        Queries in each.
    seed : int
    order : {"bootstrap", "shuffle"} or QueryOrder
    ties : {"random", "first"}
    checkpoints : ndarray of int, (n_checkpoints,)
        Numbers of answered queries at which probabilities are recorded, in order.
    """

    tables: Tables
    learner: Learner | OneSession | Control
    rule: LockRule | None
    seen: NDArray[Any] | None
    sessions: range
    queries: int
    seed: int
    order: str | QueryOrder
    ties: str
    checkpoints: NDArray[np.int64]

    @property
    def trace(self) -> Trace:
        """The trace replayed."""
        return self.tables.trace

    @property
    def reward(self) -> Reward:
        """The reward, with its bounds."""
        return self.tables.reward

    @property
    def raw(self) -> Floats:
        """Raw reward of every LLM on every query, (n_queries, n_models)."""
        return self.tables.raw

    @property
    def unit(self) -> Floats:
        """The unit reward that teaches, (n_queries, n_models)."""
        return self.tables.unit

    @property
    def outcomes(self) -> Floats:
        """What each answer adds to its session's sums; see `Tables.outcomes`."""
        return self.tables.outcomes

    @property
    def n_models(self) -> int:
        """Number of LLMs."""
        return len(self.trace.models)

    @property
    def decisions(self) -> int:
        """Routing decisions of all sessions."""
        return len(self.sessions) * self.queries

    def asked(self) -> Integers:
        """Return positions in the trace of the queries, (n_sessions, n_queries)."""
        keys = streams.keys(self.seed, np.array(self.sessions), streams.QUERY)
        uniforms = streams.uniforms(keys, np.arange(self.queries))
        if isinstance(self.order, QueryOrder):
            return self.order.place(uniforms)
        if self.order == "bootstrap":
            return (uniforms * self.trace.n_queries).astype(np.int32)
        return _shuffled(uniforms, self.trace.n_queries)

    @cached_property
    def shown(self) -> Integers:
        """The LLM at each place of the pool as a session is shown it.

        A learner knows LLMs by their places alone, (n_sessions, n_models).
        """
        if self.ties == "first":
            return streams.listed(len(self.sessions), self.n_models)
        return streams.pool_orders(self.seed, np.array(self.sessions), self.n_models)

    def draws(self) -> Floats:
        """Return a uniform draw for each choice, (n_sessions, n_queries)."""
        return streams.uniforms(self._choice_keys, np.arange(self.queries))

    def own_draws(self, sessions: Integers, answered: int, uniforms: int) -> Floats:
        """Return draws for the next choice of a learner that asks for some.

        Those of some of the sessions, (n_sessions, uniforms).
        """
        steps = answered * uniforms + np.arange(uniforms)
        return streams.uniforms(self._choice_keys[sessions], steps)

    @cached_property
    def _choice_keys(self) -> NDArray[np.uint64]:
        return streams.keys(self.seed, np.array(self.sessions), streams.CHOICE)

    def parts(self, number: int) -> "list[Prepared]":
        """Return the same replay in parts of its sessions."""
        edges = np.linspace(0, len(self.sessions), number + 1).astype(int).tolist()
        return [
            replace(self, sessions=self.sessions[first:last])
            for first, last in pairwise(edges)
        ]


class Played(NamedTuple):
    """What sessions chose; see `sessions.Sessions` for each array."""

    choices: Integers
    queries: Integers
    probabilities: Floats
    locked_at: Integers
    locked_model: Integers

    @classmethod
    def empty(cls, prepared: Prepared) -> "Played":
        """Return sessions with their queries drawn and nothing chosen yet."""
        n_sessions = len(prepared.sessions)
        n_checkpoints = len(prepared.checkpoints)
        return cls(
            choices=np.empty((n_sessions, prepared.queries), np.int16),
            queries=prepared.asked(),
            probabilities=np.empty((n_sessions, n_checkpoints, prepared.n_models)),
            locked_at=np.full(n_sessions, -1),
            locked_model=np.full(n_sessions, -1),
        )


def prepare(  # noqa: PLR0913 the parameters of `replay`, which design fixes
    trace: Trace,
    reward: Reward,
    learner: object,
    *,
    sessions: int = 1000,
    queries: int = 1000,
    seed: int = 0,
    order: str | QueryOrder = "bootstrap",
    lock: bool | LockRule | None = True,
    checkpoints: int | Sequence[int] = 100,
    first: int = 0,
    ties: str = "random",
    tables: Tables | None = None,
) -> Prepared:
    """Return a replay, ready to run; parameters and errors as in `replay`.

    Parameters
    ----------
    tables : Tables, optional
        Of this trace and reward, where they are made already.

    Raises
    ------
    InputError
    """
    marks = checkpoint_marks(checkpoints, require_whole("queries", queries))
    require_whole("sessions", sessions)
    require_whole("first", first, least=0)
    require_seed(seed)
    require_order(order, queries, trace.n_queries)
    require_ties(ties)
    if tables is None:
        tables = Tables.of(trace, reward)
    trace = tables.trace
    bound = as_learner(learner, trace, tables.reward)
    require_known(bound, trace)
    return Prepared(
        tables=tables,
        learner=bound,
        rule=as_lock_rule(lock, bound),
        seen=described(bound, trace),
        sessions=range(first, first + sessions),
        queries=queries,
        seed=seed,
        order=order,
        ties=ties,
        checkpoints=marks,
    )


def require_known(learner: object, trace: Trace) -> None:
    """Refuse a control that needs joint accuracies of a trace that has none.

    Raises
    ------
    InputError
    """
    if isinstance(learner, Oracle) and not trace.joint:
        raise InputError(
            "replay: Oracle needs accuracies of all LLMs on the same queries, got"
            f" {trace.name}, which holds each LLM on its own: the oracle is not known"
            " there; choose another control, such as BestSingle(), or a trace with"
            " joint accuracies"
        )


def described(learner: Any, trace: Trace) -> NDArray[Any] | None:
    """Return what a learner sees of each query; None if it looks at none."""
    return learner.describe(trace) if sees_queries(learner) else None


def checkpoint_marks(
    checkpoints: int | Sequence[int] | Integers, queries: int
) -> NDArray[np.int64]:
    """Return numbers of answered queries to record probabilities at.

    Parameters
    ----------
    checkpoints : int or sequence of int
        How many, evenly from 0 to `queries`, or which.
    queries : int

    Raises
    ------
    InputError
    """
    if isinstance(checkpoints, int) or np.ndim(checkpoints) == 0:
        count = require_whole("checkpoints", checkpoints)
        return _evenly(min(count, queries + 1), queries).copy()
    marks: NDArray[np.int64] = np.unique(np.asarray(checkpoints, dtype=np.int64))
    if not len(marks) or marks[0] < 0 or marks[-1] > queries:
        raise InputError(
            f"replay: checkpoints must lie in [0, {queries}], got"
            f" {np.asarray(checkpoints)[:5].tolist()}; count answered queries"
        )
    return marks


@lru_cache(maxsize=64)
def _evenly(count: int, queries: int) -> NDArray[np.int64]:
    """Return so many numbers of answered queries, from 0 to all."""
    return np.unique(np.linspace(0, queries, count).round().astype(np.int64))


def require_whole(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number that is at least `least`.

    Raises
    ------
    InputError
    """
    if isinstance(value, np.integer):
        value = value.item()
    if isinstance(value, int) and not isinstance(value, bool) and value >= least:
        return value
    raise InputError(
        f"replay: {name} must be a whole number >= {least}, got {value!r}; choose one"
    )


def require_seed(seed: object) -> None:
    """Refuse a seed that no stream starts from.

    Raises
    ------
    InputError
    """
    if not (type(seed) is int and 0 <= seed < 2**63):
        streams.keys(seed, 0, streams.QUERY)  # pyright: ignore[reportArgumentType]


def require_ties(ties: object) -> None:
    """Refuse a way to break ties that there is none of.

    Raises
    ------
    InputError
    """
    if ties not in TIES:
        raise InputError(f"replay: unknown ties {ties!r}; {nearest(str(ties), TIES)}")


def require_order(order: object, queries: int, available: int) -> None:
    """Refuse an order of queries that there is none of, or too few queries for it.

    Raises
    ------
    InputError
    """
    if not isinstance(order, str) and isinstance(order, QueryOrder):
        return
    if order not in ORDERS:
        raise InputError(f"replay: unknown order {order!r}; {nearest(order, ORDERS)}")
    if order == "shuffle" and queries > available:
        raise InputError(
            "replay: order 'shuffle' uses each query once, so queries must be <="
            f" {available}, got {queries}; shorten the session or use"
            " order='bootstrap'"
        )


def _shuffled(uniforms: Floats, available: int) -> NDArray[np.int32]:
    """Return queries, each at most once a session: Fisher and Yates, swap by swap."""
    n_sessions, queries = uniforms.shape
    deck = np.tile(np.arange(available, dtype=np.int32), (n_sessions, 1))
    sessions = np.arange(len(uniforms))
    for t in range(queries):
        other = t + (uniforms[:, t] * (available - t)).astype(np.int64)
        drawn = deck[sessions, other]
        deck[sessions, other] = deck[:, t]
        deck[:, t] = drawn
    return deck[:, :queries].copy()
