"""Learners for sessions that mix contexts: they see the query before they choose.

Each is a `Learner` that also `SeesQueries`, so that probabilities(state) is about the
query just seen. No session as a whole locks on one LLM here, where different contexts
have different best ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.learners import require_in_range
from ..core.locking import LockRule
from ..core.protocols import (
    Floats,
    Integers,
    Learner,
    bind,
    lock_rule_of,
    require_blind,
)
from ..core.replay import certain
from ..core.state import State, map_state, rows_of, with_rows
from ..errors import InputError, nearest

if TYPE_CHECKING:
    from ..core.reward import Reward
    from ..core.trace import Trace


class Contexts(NamedTuple):
    """State of `PerContext`.

    The learner's state and its lock rule's, each array (n_sessions, n_contexts, ...);
    the LLM that each context has locked on, -1 = none, (n_sessions, n_contexts); and
    the context of the query just seen, (n_sessions,).
    """

    state: State
    watch: State
    locked: Integers
    now: Integers


@dataclass(frozen=True)
class PerContext:
    """One learner a context: a router per topic, in sessions that mix topics.

    Each context has a state of its own, and locks on its own by the learner's rule:
    from then on its queries go to one LLM. In a session of one context this is the
    learner itself.

    Parameters
    ----------
    learner : Learner
    lock : bool
        Whether a context that has converged stays with its LLM.
    contexts : tuple of str, optional
        By default those of the trace replayed.

    Raises
    ------
    InputError
        A control, or a learner that sees queries itself.

    Examples
    --------
    >>> import pickllm as pk
    >>> trace = pk.load_trace("bfcl-2024-08-11").select(context=["simple", "rest"])
    >>> learner = PerContext(pk.LinearRewardInaction(0.3))
    >>> s = pk.replay(trace, pk.Reward(), learner, sessions=20, queries=600)
    >>> rest = trace.context[s.queries[:, -100:]] == "rest"
    >>> late = s.choices[:, -100:]
    >>> in_rest = np.bincount(late[rest], minlength=4) / rest.sum()
    >>> in_simple = np.bincount(late[~rest], minlength=4) / (~rest).sum()
    >>> bool(abs(in_rest - in_simple).max() > 0.05)  # other contexts, other LLMs
    True
    """

    learner: Learner
    lock: bool = True
    contexts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require_blind(self.learner, "PerContext")

    @property
    def lock_rule(self) -> LockRule | None:
        """The context's rule in a session of one context; others never lock."""
        return self._rule if self.contexts and len(self.contexts) == 1 else None

    @property
    def _rule(self) -> LockRule | None:
        return lock_rule_of(self.learner) if self.lock else None

    def bind(self, trace: "Trace", reward: "Reward") -> "PerContext":
        """Return it with the trace's contexts, and the learner as the pool makes it."""
        learner: Any = bind(self.learner, trace, reward)
        contexts = tuple(self.contexts or trace.contexts)
        return replace(self, learner=learner, contexts=contexts)

    def describe(self, trace: "Trace") -> NDArray[np.int64]:
        """Return each query's context as a position in `contexts`, (n_queries,).

        Raises
        ------
        InputError
            A context that it does not know.
        """
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
        """Return every context as the learner starts."""
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
        """Return the context of the query at hand."""
        return state._replace(now=seen)

    def probabilities(self, state: Contexts) -> Floats:
        """Return those of the context just seen; certain where it has locked."""
        at = np.arange(len(state.now)), state.now
        p = self.learner.probabilities(rows_of(state.state, at))
        locked = state.locked[at]
        return np.where((locked >= 0)[:, None], certain(locked, p.shape[1]), p)

    def update(self, state: Contexts, arm: Integers, reward: Floats) -> Contexts:
        """Return the learner's step and its rule's in the context just seen.

        Nothing changes where that has locked.
        """
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


def context_and_length(trace: "Trace") -> Floats:
    """Return what `LinUCB` sees by default: context and length of each query.

    The context is a one-hot, the length log10 of the input tokens over 4. Input tokens
    are known before a query is sent; of the LLMs' different counts it takes the mean.
    The 4 makes 10,000 tokens count as much as the context.

    Returns
    -------
    ndarray, (n_queries, n_contexts + 1)
    """
    one_hot = trace.context[:, None] == np.array(trace.contexts)
    tokens = np.maximum(trace.input_tokens.mean(axis=1), 1.0)
    return np.column_stack([one_hot, np.log10(tokens) / 4.0])


class Ridge(NamedTuple):
    """State of `LinUCB`.

    Inverses of A, (n_sessions, n_models, d, d); b, (n_sessions, n_models, d); and the
    features of the query just seen, (n_sessions, d).
    """

    inverse: Floats
    b: Floats
    x: Floats


@dataclass(frozen=True)
class LinUCB:
    """Optimism over rewards that are linear in the features x of a query.

    One ridge regression an LLM. With A_j = I + sum of x x^T and b_j = sum of r x over
    LLM j's answers, ask the LLM with the highest

        x^T A_j^-1 b_j + alpha sqrt(x^T A_j^-1 x)

    (Li, Chu, Langford and Schapire 2010, *WWW*, algorithm 1). Ties go to the first LLM
    of the pool; no session locks.

    Parameters
    ----------
    alpha : float
        Width of the bound, in [0, 10].
    features : callable
        trace -> (n_queries, d): what may be known of each query before it is answered.
    """

    alpha: float = 0.5
    features: Callable[[Any], ArrayLike] = field(default=context_and_length, repr=False)
    size: int | None = field(default=None, repr=False)
    lock_rule: ClassVar = None

    def __post_init__(self) -> None:
        require_in_range(self, "alpha", 0, 10)
        if not callable(self.features):
            raise InputError(
                "LinUCB: features must be a function of a trace, got"
                f" {self.features!r}; see context_and_length"
            )

    def bind(self, trace: "Trace", reward: "Reward") -> "LinUCB":
        """Return it with the number of features d."""
        return replace(self, size=self.describe(trace).shape[1])

    def describe(self, trace: "Trace") -> Floats:
        """Return the features of each query, (n_queries, d).

        Raises
        ------
        InputError
        """
        x = np.asarray(self.features(trace), dtype=float)
        if x.ndim != 2 or len(x) != trace.n_queries or not np.isfinite(x).all():
            raise InputError(
                "LinUCB: features must give finite numbers of shape"
                f" ({trace.n_queries}, d), got shape {x.shape}; one row a query"
            )
        return x

    def start(self, n_sessions: int, n_models: int) -> Ridge:
        """Return nothing known: A = I, b = 0."""
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
        """Return the features of the query at hand."""
        return state._replace(x=seen)

    def index(self, state: Ridge) -> Floats:
        """Return the bound above for the query just seen, (n_sessions, n_models)."""
        inner = np.einsum("smde,se->smd", state.inverse, state.x)  # A^-1 x
        width = np.sqrt(np.maximum(np.einsum("smd,sd->sm", inner, state.x), 0.0))
        return np.einsum("smd,smd->sm", inner, state.b) + self.alpha * width

    def probabilities(self, state: Ridge) -> Floats:
        """Return certainty: the LLM of the highest bound."""
        return certain(self.index(state).argmax(axis=1), state.b.shape[1])

    def update(self, state: Ridge, arm: Integers, reward: Floats) -> Ridge:
        """Return one answer more: A^-1 by Sherman and Morrison's formula."""
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
