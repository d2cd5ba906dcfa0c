"""`PerContext`, `LinUCB` and `Hindered` over a session axis, in NumPy.

The same learners written another way, for the tests to compare with.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pickllm.beyond.contextual import context_and_length
from pickllm.core.locking import GreedyUnchanged, LockRule
from pickllm.core.protocols import (
    Floats,
    Integers,
    Learner,
    bind,
    lock_rule_of,
)
from pickllm.core.state import State, map_state, rows_of
from pickllm.errors import InputError, nearest


def with_rows(state, at, values):
    """The state with the part at an index replaced; the given one stays."""

    def replaced(array, new):
        after = array.copy()
        after[at] = new
        return after

    return map_state(replaced, state, values)


def certain(arm, n_models):
    return np.eye(n_models)[arm]


class Contexts(NamedTuple):
    """State of `PerContext`."""

    state: State
    watch: State
    locked: Integers
    now: Integers


@dataclass(frozen=True)
class PerContext:
    """One learner a context: a router per topic, in sessions that mix topics."""

    learner: Learner
    lock: bool = True
    contexts: tuple[str, ...] | None = None

    @property
    def lock_rule(self) -> LockRule | None:
        return self._rule if self.contexts and len(self.contexts) == 1 else None

    @property
    def _rule(self) -> LockRule | None:
        return lock_rule_of(self.learner) if self.lock else None

    def bind(self, trace, reward) -> "PerContext":
        learner: Any = bind(self.learner, trace, reward)
        contexts = tuple(self.contexts or trace.contexts)
        return replace(self, learner=learner, contexts=contexts)

    def describe(self, trace) -> NDArray[np.int64]:
        contexts = self._known_contexts()
        unknown = sorted(set(trace.contexts) - set(contexts))
        if unknown:
            raise InputError(
                f"PerContext: unknown context {unknown[0]!r};"
                f" {nearest(unknown[0], contexts)}"
            )
        position = {c: i for i, c in enumerate(contexts)}
        return np.array([position[c] for c in trace.context.tolist()], dtype=np.int64)

    def start(self, n_sessions: int, n_models: int) -> Contexts:
        shape = n_sessions, len(self._known_contexts())
        rows = shape[0] * shape[1]
        state = self.learner.start(rows, n_models)
        watch = np.zeros(rows)
        if self._rule:
            watch = self._rule.start(self.learner.probabilities(state))

        def by_context(array: NDArray[Any]) -> NDArray[Any]:
            return array.reshape(*shape, *array.shape[1:])

        return Contexts(
            state=map_state(by_context, state),
            watch=map_state(by_context, watch),
            locked=np.full(shape, -1),
            now=np.zeros(n_sessions, dtype=np.int64),
        )

    def _known_contexts(self) -> tuple[str, ...]:
        if self.contexts is None:
            raise InputError(
                "PerContext does not know the contexts yet; call bind(trace, reward),"
                " as replay does, or give contexts="
            )
        return self.contexts

    def observe(self, state: Contexts, seen: NDArray[Any]) -> Contexts:
        return state._replace(now=seen)

    def probabilities(self, state: Contexts) -> Floats:
        at = np.arange(len(state.now)), state.now
        p = self.learner.probabilities(rows_of(state.state, at))
        locked = state.locked[at]
        return np.where((locked >= 0)[:, None], certain(locked, p.shape[1]), p)

    def update(self, state: Contexts, arm: Integers, reward: Floats) -> Contexts:
        rows = np.arange(len(state.now))
        free = np.flatnonzero(state.locked[rows, state.now] < 0)
        if not len(free):
            return state
        at = free, state.now[free]
        learned = self.learner.update(rows_of(state.state, at), arm[free], reward[free])
        after = state._replace(state=with_rows(state.state, at, learned))
        if not self._rule:
            return after
        p = self.learner.probabilities(learned)
        watch, done = self._rule.step(rows_of(state.watch, at), p)
        model = np.where(done, p.argmax(axis=1), -1)
        return after._replace(
            watch=with_rows(state.watch, at, watch),
            locked=with_rows(state.locked, at, model),
        )


class Ridge(NamedTuple):
    """State of `LinUCB`."""

    inverse: Floats
    b: Floats
    x: Floats


@dataclass(frozen=True)
class LinUCB:
    """Optimism over rewards that are linear in the features x of a query."""

    alpha: float = 0.5
    features: Callable[[Any], ArrayLike] = field(default=context_and_length, repr=False)
    size: int | None = field(default=None, repr=False)
    lock_rule: ClassVar = None

    def bind(self, trace, reward) -> "LinUCB":
        return replace(self, size=self.describe(trace).shape[1])

    def describe(self, trace) -> Floats:
        x = np.asarray(self.features(trace), dtype=float)
        if x.ndim != 2 or len(x) != trace.n_queries or not np.isfinite(x).all():
            raise InputError(
                "LinUCB: features must give finite numbers of shape"
                f" ({trace.n_queries}, d), got shape {x.shape}; one row a query"
            )
        return x

    def start(self, n_sessions: int, n_models: int) -> Ridge:
        if self.size is None:
            raise InputError(
                "LinUCB does not know its features yet; call bind(trace, reward), as"
                " replay does"
            )
        d = self.size
        return Ridge(
            np.tile(np.eye(d), (n_sessions, n_models, 1, 1)),
            np.zeros((n_sessions, n_models, d)),
            np.zeros((n_sessions, d)),
        )

    def observe(self, state: Ridge, seen: NDArray[Any]) -> Ridge:
        return state._replace(x=seen)

    def index(self, state: Ridge) -> Floats:
        inner = np.einsum("smde,se->smd", state.inverse, state.x)  # A^-1 x
        width = np.sqrt(np.maximum(np.einsum("smd,sd->sm", inner, state.x), 0.0))
        return np.einsum("smd,smd->sm", inner, state.b) + self.alpha * width

    def probabilities(self, state: Ridge) -> Floats:
        return certain(self.index(state).argmax(axis=1), state.b.shape[1])

    def update(self, state: Ridge, arm: Integers, reward: Floats) -> Ridge:
        rows = np.arange(len(arm))
        inverse = state.inverse.copy()
        b = state.b.copy()
        inner = np.einsum("sde,se->sd", inverse[rows, arm], state.x)
        scale = 1.0 + np.einsum("sd,sd->s", inner, state.x)
        inverse[rows, arm] -= (
            inner[:, :, None] * inner[:, None, :] / scale[:, None, None]
        )
        b[rows, arm] += reward[:, None] * state.x
        return Ridge(inverse, b, state.x)


class Field(NamedTuple):
    """State of `Hindered`."""

    state: State
    arms: Integers
    rewards: Floats
    seen: NDArray[np.bool_]


@dataclass(frozen=True)
class Hindered:
    """Any learner where feedback is late or missing, and LLMs may be away."""

    sees_models = True

    learner: Learner
    delay: int = 0

    @property
    def lock_rule(self) -> LockRule | None:
        return lock_rule_of(self.learner)

    def bind(self, trace, reward) -> "Hindered":
        learner: Any = bind(self.learner, trace, reward)
        return replace(self, learner=learner)

    def describe(self, trace) -> NDArray[np.bool_]:
        every = np.ones(trace.accuracy.shape)
        columns = [trace.extra.get(name, every) for name in ("available", "feedback")]
        return np.stack(columns, axis=1) > 0

    def start(self, n_sessions: int, n_models: int) -> Field:
        under_way = n_sessions, self.delay + 1
        seen = np.ones((n_sessions, 2, n_models), dtype=bool)
        return Field(
            self.learner.start(n_sessions, n_models),
            np.zeros(under_way, dtype=np.int64),
            np.full(under_way, np.nan),
            seen,
        )

    def observe(self, state: Field, seen: NDArray[Any]) -> Field:
        return state._replace(seen=seen)

    def probabilities(self, state: Field) -> Floats:
        p = self.learner.probabilities(state.state)
        here = state.seen[:, 0]
        left = p * here
        total = left.sum(axis=1, keepdims=True)
        in_proportion = left / np.where(total > 0, total, 1.0)
        alike = here / here.sum(axis=1, keepdims=True)
        among = np.where(total > 0, in_proportion, alike)
        return np.where(here.all(axis=1, keepdims=True), p, among)

    def update(self, state: Field, arm: Integers, reward: Floats) -> Field:
        has_feedback = state.seen[np.arange(len(arm)), 1, arm]
        arms = np.column_stack([state.arms[:, 1:], arm])
        feedback = np.where(has_feedback, reward, np.nan)
        rewards = np.column_stack([state.rewards[:, 1:], feedback])
        due = np.flatnonzero(~np.isnan(rewards[:, 0]))
        if not len(due):
            return Field(state.state, arms, rewards, state.seen)
        before = rows_of(state.state, due)
        learned = self.learner.update(before, arms[due, 0], rewards[due, 0])
        after = with_rows(state.state, due, learned)
        return Field(after, arms, rewards, state.seen)


@dataclass(frozen=True)
class Optimist:
    """UCB1 over a session axis: a learner whose choice is certain."""

    width: float = 1.0
    lock_rule: ClassVar = GreedyUnchanged(20)

    def start(self, n_sessions, n_models):
        return np.zeros((n_sessions, 2, n_models))

    def probabilities(self, state):
        total, count = state[:, 0], state[:, 1]
        t = np.maximum(count.sum(axis=1, keepdims=True), 1.0)
        asked = np.maximum(count, 1.0)
        bound = total / asked + self.width * np.sqrt(np.log(t) / asked)
        index = np.where(count > 0, bound, np.inf)
        return certain(index.argmax(axis=1), count.shape[1])

    def update(self, state, arm, reward):
        rows = np.arange(len(arm))
        after = state.copy()
        after[rows, 0, arm] += reward
        after[rows, 1, arm] += 1.0
        return after
