"""The world changes within a session: contexts, prices, LLMs, and feedback.

A change is plain data. Functions here give a trace as it is after something happened, a
`schedule` puts traces one after the other along a session, and `replay` runs it like
any other:

    after = slower(trace, "model", 4.0)
    joined, order = schedule({0: trace, 300: after})
    sessions = replay(joined, reward, learner, order=order)

What a learner is not told (an LLM that is not there yet, an answer without feedback,
feedback that comes late) stands in columns of the trace, and `Hindered` makes any
learner meet them.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.locking import LockRule
from ..core.one_session import uniforms_of
from ..core.protocols import Floats, Integers, bind, lock_rule_of, require_blind
from ..core.state import State
from ..core.trace import OUTCOMES, Trace
from ..errors import InputError, nearest
from .nested import within

if TYPE_CHECKING:
    import pandas as pd

    from ..core.reward import Reward
    from ..core.sessions import Sessions

#: Columns of `Trace.extra` that `Hindered` heeds, each (n_queries, n_models) of 0 or 1;
#: without them all are 1.
AVAILABLE = "available"
FEEDBACK = "feedback"


@dataclass(frozen=True)
class Schedule:
    """Which part of a joined trace each query is drawn from; an `order` for `replay`.

    Attributes
    ----------
    starts : tuple of int
        The query at which each phase begins; the first is 0.
    sizes : tuple of int
        Queries that each phase draws from, with replacement, one phase's rows after the
        other's.
    """

    starts: tuple[int, ...]
    sizes: tuple[int, ...]

    def phase(self, queries: int) -> Integers:
        """Return the phase of each query of a session, (queries,)."""
        return np.searchsorted(self.starts, np.arange(queries), side="right") - 1

    def place(self, uniforms: Floats) -> Integers:
        """Return positions in the joined trace for draws (n_sessions, n_queries).

        Raises
        ------
        InputError
            Sessions end before the last phase begins.
        """
        queries = uniforms.shape[1]
        if self.starts[-1] >= queries:
            raise InputError(
                f"schedule: its last phase starts at query {self.starts[-1]}, but"
                f" sessions have {queries}; make them longer"
            )
        phase = self.phase(queries)
        size = np.array(self.sizes)[phase]
        first = np.append(0, np.cumsum(self.sizes))[phase]
        return ((uniforms * size).astype(np.int32) + first).astype(np.int32)


def schedule(phases: Mapping[int, Trace]) -> tuple[Trace, Schedule]:
    """Return traces one after the other along a session.

    Parameters
    ----------
    phases : dict of int to Trace
        The query at which each begins, from 0 up. All of one pool; limits and name are
        the first one's.

    Returns
    -------
    Trace, Schedule
        All rows, phase after phase, and the order for `replay`. `Sessions.table`
        compares with the LLM that is best over all rows; `by_phase` with the best one
        of each phase.

    Raises
    ------
    InputError

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11")
    >>> simple = trace.select(context="simple")
    >>> joined, order = schedule({0: simple, 100: trace.select(context="rest")})
    >>> learner = pk.LinearRewardInaction(0.3)
    >>> s = pk.replay(
    ...     joined, pk.Reward(), learner, sessions=5, queries=200, order=order
    ... )
    >>> context = joined.context[s.queries]
    >>> np.unique(context[:, :100]).tolist(), np.unique(context[:, 100:]).tolist()
    (['simple'], ['rest'])
    """
    starts = sorted(phases)
    whole = all(isinstance(start, int | np.integer) for start in starts)
    if not starts or starts[0] != 0 or not whole:
        raise InputError(
            "schedule: phases begin at whole numbers of queries, the first at 0, got"
            f" {starts}; give {{0: trace, ...}}"
        )
    traces = [phases[s] for s in starts]
    for trace in traces[1:]:
        if trace.models != traces[0].models:
            raise InputError(
                "schedule: all phases need one pool in one order, got"
                f" {list(trace.models)} after {list(traces[0].models)};"
                " select(models=...)"
            )
    columns = {
        name: np.concatenate([getattr(trace, name) for trace in traces])
        for name in ("query_id", "context", *OUTCOMES)
    }
    heeded = {AVAILABLE, FEEDBACK} & {name for t in traces for name in t.extra}
    extra = {
        name: np.concatenate([_flags(trace, name) for trace in traces])
        for name in sorted(heeded)
    }
    order = Schedule(
        starts=tuple(int(start) for start in starts),
        sizes=tuple(trace.n_queries for trace in traces),
    )
    return replace(traces[0], extra=extra, **columns), order


def _flags(trace: Trace, name: str) -> Floats:
    return np.asarray(trace.extra.get(name, np.ones(trace.accuracy.shape)), dtype=float)


def _column(trace: Trace, model: str) -> int:
    if model not in trace.models:
        raise InputError(
            f"scenario: unknown model {model!r}; {nearest(model, trace.models)}"
        )
    return trace.models.index(model)


def _changed(
    trace: Trace, model: str, **functions: Callable[[Floats], Floats]
) -> Trace:
    """Return the trace with one LLM's outcomes as functions of what they were."""
    place = _column(trace, model)
    columns: dict[str, Any] = {}
    for name, function in functions.items():
        column = getattr(trace, name).copy()
        column[:, place] = function(column[:, place])
        columns[name] = column
    return replace(trace, **columns)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _require_factor(value: float) -> None:
    if not _is_number(value) or not np.isfinite(value) or value <= 0:
        raise InputError(
            f"scenario: a factor must be a number > 0, got {value!r}; 2 doubles"
        )


def slower(trace: Trace, model: str, factor: float) -> Trace:
    """Return the trace where one LLM takes `factor` times as long."""
    _require_factor(factor)
    return _changed(trace, model, latency_ms=lambda v: v * factor)


def dearer(trace: Trace, model: str, factor: float) -> Trace:
    """Return the trace where one LLM costs `factor` times as much.

    Whole price lists change by `Trace.reprice`.
    """
    _require_factor(factor)
    return _changed(trace, model, cost_usd=lambda v: v * factor)


def failing(trace: Trace, model: str) -> Trace:
    """Return the trace where one LLM is down.

    No right answer, no cost, and the caller waits for the declared ceiling of latency.
    """
    down = trace.limits.latency_ceiling_ms
    return _changed(
        trace,
        model,
        accuracy=np.zeros_like,
        cost_usd=np.zeros_like,
        latency_ms=lambda v: np.full_like(v, down),
    )


def absent(trace: Trace, model: str) -> Trace:
    """Return the trace where one LLM cannot be asked (for `Hindered` learners).

    As before it appears, or once it is withdrawn.
    """
    flags = _flags(trace, AVAILABLE).copy()
    flags[:, _column(trace, model)] = 0.0
    if not flags.any(axis=1).all():
        raise InputError(f"scenario: without {model!r} no LLM is left; keep one")
    return replace(trace, extra=trace.extra | {AVAILABLE: flags})


def unanswered(trace: Trace, share: float, seed: int = 0) -> Trace:
    """Return the trace where a share of answers, at random, gets no feedback.

    For `Hindered` learners.
    """
    if not _is_number(share) or not 0 <= share <= 1:
        raise InputError(
            f"scenario: share must be in [0, 1], got {share!r}; choose one in that"
            " range"
        )
    drawn = np.random.default_rng(seed).random(trace.accuracy.shape) >= share
    flags = _flags(trace, FEEDBACK) * drawn
    return replace(trace, extra=trace.extra | {FEEDBACK: flags})


class Field(NamedTuple):
    """State of `Hindered`.

    Attributes
    ----------
    state : state
        The learner's.
    arms : ndarray of int, (delay + 1,)
        The LLMs asked of late, one after the other in a ring.
    rewards : ndarray, (delay + 1,)
        What will come for each, NaN where nothing will.
    next : ndarray of int, (1,)
        Where the next answer goes.
    here, told : ndarray of bool, (n_models,)
        Which LLMs can be asked, and get feedback, at the query just seen.
    p : ndarray, (n_models,)
        Room for the probabilities shown.
    """

    state: State
    arms: Integers
    rewards: Floats
    next: Integers
    here: NDArray[np.bool_]
    told: NDArray[np.bool_]
    p: Floats


@dataclass(frozen=True)
class Hindered:
    """Any learner where feedback is late or missing, and LLMs may be away.

    An LLM that is not available has probability 0, and the others keep their
    proportions (alike where these are 0, as when a learner that chooses has chosen that
    LLM); an answer without feedback teaches nothing; feedback comes `delay` queries
    later than it could. With none of these it is the learner itself.

    Parameters
    ----------
    learner : OneSession
        Or one that has a `one_session`, as the paper's; it changes its state in place.
    delay : int
        Queries between an answer and its feedback, >= 0.

    Raises
    ------
    InputError
    """

    learner: object
    delay: int = 0

    def __post_init__(self) -> None:
        require_blind(self.learner, "Hindered")
        whole = isinstance(self.delay, int | np.integer)
        if not whole or isinstance(self.delay, bool) or self.delay < 0:
            raise InputError(
                "Hindered: delay must be a whole number of queries >= 0, got"
                f" {self.delay!r}; choose one"
            )

    def bind(
        self, trace: Trace, reward: "Reward"
    ) -> "HinderedChances | HinderedChoices | HinderedDraws":
        """Return it with the learner as the pool makes it.

        Raises
        ------
        InputError
            The learner is not written for one session, or returns its next state.
        """
        learner = bind(self.learner, trace, reward)
        n_models = len(trace.models)
        alone = within(learner, "Hindered", n_models)
        kind = HinderedChances
        if hasattr(alone, "choose"):
            draws = uniforms_of(alone, n_models)
            kind = HinderedDraws if draws else HinderedChoices
        return kind(alone, int(self.delay), lock_rule_of(learner))

    def describe(self, trace: Trace) -> NDArray[np.bool_]:
        """Return who can be asked, and who would get feedback.

        Of shape (n_queries, 2, n_models).

        Raises
        ------
        InputError
            A query that no LLM can be asked.
        """
        return _who_is_here(trace)


def _who_is_here(trace: Trace) -> NDArray[np.bool_]:
    """Return who can be asked, and gets feedback, (n_queries, 2, n_models)."""
    seen = np.stack([_flags(trace, AVAILABLE), _flags(trace, FEEDBACK)], axis=1) > 0
    nobody = np.flatnonzero(~seen[:, 0].any(axis=1))
    if len(nobody):
        raise InputError(
            f"Hindered: at least one LLM must be available at each query, got none at"
            f" {str(trace.query_id[nobody[0]])!r}; keep one"
        )
    return seen


@dataclass(frozen=True)
class _InTheField:
    """What `Hindered` is once it knows the pool; see there.

    Attributes
    ----------
    learner : OneSession
    delay : int
    lock_rule : LockRule, optional
        The learner's own.
    """

    learner: Any
    delay: int
    lock_rule: LockRule | None

    sees_models: ClassVar = True

    def describe(self, trace: Trace) -> NDArray[np.bool_]:
        """Return who can be asked, and gets feedback, (n_queries, 2, n_models)."""
        return _who_is_here(trace)

    def start(self, n_models: int) -> Field:
        """Return how the learner starts, nothing under way."""
        return Field(
            state=self.learner.start(n_models),
            arms=np.zeros(self.delay + 1, np.int64),
            rewards=np.full(self.delay + 1, np.nan),
            next=np.zeros(1, np.int64),
            here=np.ones(n_models, np.bool_),
            told=np.ones(n_models, np.bool_),
            p=np.zeros(n_models),
        )

    def observe(self, state: Field, seen: NDArray[np.bool_]) -> None:
        """Note what holds for the query at hand."""
        for j in range(len(state.here)):
            state.here[j] = seen[0, j]
            state.told[j] = seen[1, j]

    def update(self, state: Field, arm: int, reward: float) -> None:
        """Send this answer on its way, and take the step for the one that is due."""
        place = state.next[0]
        state.arms[place] = arm
        state.rewards[place] = reward if state.told[arm] else math.nan
        due = place + 1 if place < self.delay else 0
        state.next[0] = due
        if not math.isnan(state.rewards[due]):
            self.learner.update(state.state, state.arms[due], state.rewards[due])


@dataclass(frozen=True)
class HinderedChances(_InTheField):
    """`Hindered` of a learner that shows probabilities."""

    def probabilities(self, state: Field) -> Floats:
        """Return the learner's, of those that can be asked, (n_models,)."""
        shown = self.learner.probabilities(state.state)
        total = 0.0
        number = 0
        for j in range(len(state.p)):
            state.p[j] = shown[j] if state.here[j] else 0.0
            total += state.p[j]
            number += 1 if state.here[j] else 0
        if number < len(state.p):
            for j in range(len(state.p)):
                if total > 0.0:
                    state.p[j] /= total
                elif state.here[j]:
                    state.p[j] = 1.0 / number
        return state.p


def _instead(here: NDArray[np.bool_], arm: int, u: float) -> int:
    """Return the LLM chosen; if it is away, the one of the others that a draw gives."""
    if arm < 0 or arm >= len(here) or here[arm]:
        return arm
    number = 0
    for j in range(len(here)):
        number += 1 if here[j] else 0
    below = 0.0
    last = arm
    for j in range(len(here)):
        if here[j]:
            last = j
            below += 1.0 / number
            if below > u:
                return j
    return last


@dataclass(frozen=True)
class HinderedChoices(_InTheField):
    """`Hindered` of a learner that chooses, without draws of its own."""

    def uniforms(self, n_models: int) -> int:
        """Return 1: a draw for when the LLM chosen is away."""
        return 1

    def choose(self, state: Field, draws: Floats) -> int:
        """Return the LLM to ask: the learner's choice, or any of the others."""
        return _instead(state.here, self.learner.choose(state.state), draws[0])


@dataclass(frozen=True)
class HinderedDraws(_InTheField):
    """`Hindered` of a learner that chooses by draws of its own.

    They stay as they are. Where the LLM chosen is away, the last 27 bits of the first
    of them, which the choice hardly depends on, decide between the others.
    """

    def uniforms(self, n_models: int) -> int:
        """Return how many draws each choice of the learner takes."""
        return uniforms_of(self.learner, n_models)

    def choose(self, state: Field, draws: Floats) -> int:
        """Return the LLM to ask: the learner's choice, or any of the others."""
        shifted = draws[0] * 2.0**26
        u = shifted - math.floor(shifted)
        return _instead(state.here, self.learner.choose(state.state, draws), u)


def by_phase(sessions: "Sessions", order: Schedule) -> "pd.DataFrame":
    """Return each session in each phase of a schedule.

    Parameters
    ----------
    sessions : Sessions
        Of a joined trace.
    order : Schedule
        That it was replayed in.

    Returns
    -------
    pandas.DataFrame
        ``session``, ``phase``, ``best`` (the LLM with the highest mean raw reward over
        the phase's queries, among those available), ``share_best`` (of the phase's
        queries), ``reward`` (mean raw), ``regret`` (mean raw reward lost against that
        LLM on the same queries), ``cost_usd``, ``latency_ms`` and ``accuracy`` (means).
    """
    import pandas as pd

    trace = sessions.trace
    phase = order.phase(sessions.queries.shape[1])
    raw = sessions.reward.raw(trace.accuracy, trace.cost_usd, trace.latency_ms)
    edges = np.append(0, np.cumsum(order.sizes))
    parts: list[pd.DataFrame] = []
    names = ("reward", "cost_usd", "latency_ms", "accuracy")
    outcome = {name: sessions.outcome(name) for name in names}
    for k, (low, high) in enumerate(itertools.pairwise(edges)):
        here = phase == k
        available = _flags(trace, AVAILABLE)[low:high].all(axis=0)
        mean = raw[low:high].mean(axis=0)
        best = int(np.where(available, mean, -np.inf).argmax())
        means = {name: outcome[name][:, here].mean(axis=1) for name in names}
        frame = pd.DataFrame(
            {
                "session": np.arange(len(sessions.choices)),
                "phase": k,
                "best": trace.models[best],
            }
        )
        regret = raw[sessions.queries[:, here], best].mean(axis=1) - means["reward"]
        parts.append(
            frame.assign(
                share_best=(sessions.choices[:, here] == best).mean(axis=1),
                regret=regret,
                **means,
            )
        )
    return pd.concat(parts, ignore_index=True)
