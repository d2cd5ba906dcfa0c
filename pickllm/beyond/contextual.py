"""Learners for sessions that mix contexts: they see the query before they choose.

Each is written for one session (see `core.one_session`), and what it would ask is about
the query just seen. No session as a whole locks on one LLM here, where different
contexts have different best ones.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.compiled import RULES, limits_of
from ..core.learners import require_in_range
from ..core.locking import LockRule
from ..core.one_session import uniforms_of
from ..core.protocols import Floats, Integers, bind, lock_rule_of, require_blind
from ..core.state import State
from ..errors import InputError, nearest
from .nested import within

if TYPE_CHECKING:
    from ..core.reward import Reward
    from ..core.trace import Trace


@dataclass(frozen=True)
class PerContext:
    """One learner a context: a router per topic, in sessions that mix topics.

    Each context has a state of its own, and locks on its own by the learner's rule:
    from then on its queries go to one LLM. In a session of one context this is the
    learner itself.

    Parameters
    ----------
    learner : OneSession
        Or one that has a `one_session`, as the paper's; it changes its state in place,
        and locks by `MaxProbability`, `GreedyUnchanged` or never. One that chooses is
        certain of its choice.
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

    learner: object
    lock: bool = True
    contexts: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require_blind(self.learner, "PerContext")

    def bind(
        self, trace: "Trace", reward: "Reward"
    ) -> "PerContextChances | PerContextChoices":
        """Return it for the trace's contexts, with the learner as the pool makes it.

        Raises
        ------
        InputError
            The learner is not written for one session, returns its next state, or locks
            by another rule.
        """
        learner = bind(self.learner, trace, reward)
        rule = lock_rule_of(learner) if self.lock else None
        if rule is not None and type(rule) not in RULES:
            known = " or ".join(kind.__name__ for kind in RULES)
            raise InputError(
                f"PerContext: a context locks by {known}, got"
                f" {type(rule).__name__}; give a learner with one of them, or"
                " lock=False"
            )
        alone = within(learner, "PerContext", len(trace.models))
        contexts = tuple(self.contexts or trace.contexts)
        limit, patience = limits_of(rule)
        chooses = hasattr(alone, "choose")
        kind = PerContextChoices if chooses else PerContextChances
        return kind(
            learner=alone,
            contexts=contexts,
            limit=limit,
            patience=patience,
            lock_rule=rule if len(contexts) == 1 else None,
        )

    def describe(self, trace: "Trace") -> NDArray[np.int64]:
        """Return each query's context as a position in `contexts`, (n_queries,)."""
        return _positions(trace, tuple(self.contexts or trace.contexts))


def _positions(trace: "Trace", contexts: tuple[str, ...]) -> NDArray[np.int64]:
    """Return each query's context as a position among some, (n_queries,)."""
    unknown = sorted(set(trace.contexts) - set(contexts))
    if unknown:
        raise InputError(
            f"PerContext: unknown context {unknown[0]!r};"
            f" {nearest(unknown[0], contexts)}"
        )
    position = {c: i for i, c in enumerate(contexts)}
    return np.array([position[c] for c in trace.context.tolist()], dtype=np.int64)


class Contexts(NamedTuple):
    """State of `PerContext`.

    Attributes
    ----------
    each : tuple of states
        The learner's, one a context.
    locked : ndarray of int, (n_contexts,)
        The LLM that each context has locked on, -1 = none.
    followed : ndarray of int, (n_contexts,)
        The LLM that was last the most probable one; -1 before a choice.
    run : ndarray of int, (n_contexts,)
        For how many answers it has been.
    now : ndarray of int, (1,)
        The context of the query just seen.
    p : ndarray, (n_models,)
        Room for the probabilities shown.
    """

    each: tuple[State, ...]
    locked: Integers
    followed: Integers
    run: Integers
    now: Integers
    p: Floats


def _lock_converged(
    state: Contexts, best: int, top: float, limit: float, patience: int
) -> None:
    """Lock the context at hand where its most probable LLM has converged."""
    c = state.now[0]
    state.run[c] = state.run[c] + 1 if best == state.followed[c] else 0
    state.followed[c] = best
    if top >= limit or state.run[c] >= patience:
        state.locked[c] = best


@dataclass(frozen=True)
class _OfContexts:
    """What `PerContext` is once it knows the contexts; see there.

    Attributes
    ----------
    learner : OneSession
    contexts : tuple of str
    limit : float
        Probability to lock at.
    patience : int
        Answers for which the most probable LLM stays the same, to lock.
    lock_rule : LockRule, optional
        The context's rule in a session of one context; others never lock.
    """

    learner: Any
    contexts: tuple[str, ...]
    limit: float
    patience: int
    lock_rule: LockRule | None

    def describe(self, trace: "Trace") -> NDArray[np.int64]:
        """Return each query's context as a position in `contexts`, (n_queries,).

        Raises
        ------
        InputError
            A context that it does not know.
        """
        return _positions(trace, self.contexts)

    def start(self, n_models: int) -> Contexts:
        """Return every context as the learner starts."""
        contexts = len(self.contexts)
        return Contexts(
            each=tuple(self.learner.start(n_models) for _ in self.contexts),
            locked=np.full(contexts, -1),
            followed=np.full(contexts, -1),
            run=np.zeros(contexts, np.int64),
            now=np.zeros(1, np.int64),
            p=np.zeros(n_models),
        )

    def observe(self, state: Contexts, seen: int) -> None:
        """Note the context of the query at hand."""
        state.now[0] = seen


@dataclass(frozen=True)
class PerContextChances(_OfContexts):
    """`PerContext` of a learner that shows probabilities."""

    def start(self, n_models: int) -> Contexts:
        """Return every context as the learner starts."""
        state = super().start(n_models)
        state.followed[:] = np.argmax(self.learner.probabilities(state.each[0]))
        return state

    def probabilities(self, state: Contexts) -> Floats:
        """Return those of the context just seen; certain where it has locked."""
        c = state.now[0]
        if state.locked[c] >= 0:
            state.p[:] = 0.0
            state.p[state.locked[c]] = 1.0
            return state.p
        shown = self.learner.probabilities(state.each[c])
        for j in range(len(state.p)):
            state.p[j] = shown[j]
        return state.p

    def update(self, state: Contexts, arm: int, reward: float) -> None:
        """Take the learner's step and its rule's in the context just seen.

        Nothing changes where that has locked.
        """
        c = state.now[0]
        if state.locked[c] < 0:
            self.learner.update(state.each[c], arm, reward)
            shown = self.learner.probabilities(state.each[c])
            best = 0
            for j in range(1, len(shown)):
                if shown[j] > shown[best]:
                    best = j
            _lock_converged(state, best, shown[best], self.limit, self.patience)


@dataclass(frozen=True)
class PerContextChoices(_OfContexts):
    """`PerContext` of a learner that chooses.

    A context follows what it asked. So it locks one answer later than by what it would
    ask next, and asks the same LLMs.
    """

    def uniforms(self, n_models: int) -> int:
        """Return how many draws of its own each choice of the learner takes."""
        return uniforms_of(self.learner, n_models)

    def choose(self, state: Contexts, *draws: Floats) -> int:
        """Return the LLM to ask in the context just seen."""
        c = state.now[0]
        if state.locked[c] >= 0:
            return int(state.locked[c])
        return self.learner.choose(state.each[c], *draws)

    def update(self, state: Contexts, arm: int, reward: float) -> None:
        """Take the learner's step and its rule's in the context just seen.

        Nothing changes where that has locked.
        """
        c = state.now[0]
        if state.locked[c] < 0:
            self.learner.update(state.each[c], arm, reward)
            certain = 1.0 if state.followed[c] >= 0 else 0.0
            _lock_converged(state, arm, certain, self.limit, self.patience)


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
    """State of `LinUCB`; from `x` on it is about the query just seen.

    Attributes
    ----------
    inverse : ndarray, (n_models, d, d)
        A^-1, which is symmetric.
    theta : ndarray, (n_models, d)
        A^-1 b.
    x : ndarray, (d,)
        Its features.
    places : ndarray of int, (1 + d,)
        How many of them are not 0, and which, in order.
    expected, square, bound : ndarray, (n_models,)
        x^T A^-1 b, x^T A^-1 x, and the bound to choose by.
    inner : ndarray, (d,)
        Room for A^-1 x of one LLM.
    """

    inverse: Floats
    theta: Floats
    x: Floats
    places: Integers
    expected: Floats
    square: Floats
    bound: Floats
    inner: Floats


@dataclass(frozen=True)
class LinUCB:
    """Optimism over rewards that are linear in the features x of a query.

    One ridge regression an LLM. With A_j = I + sum of x x^T and b_j = sum of r x over
    LLM j's answers, ask the LLM with the highest

        x^T A_j^-1 b_j + alpha sqrt(x^T A_j^-1 x)

    (Li, Chu, Langford and Schapire 2010, *WWW*, algorithm 1). Ties go to the first LLM
    shown; no session locks.

    Parameters
    ----------
    alpha : float
        Width of the bound, in [0, 10].
    features : callable
        trace -> (n_queries, d): what may be known of each query before it is answered.

    Examples
    --------
    >>> learner = LinUCB(alpha=1.0, size=1)
    >>> state = learner.start(n_models=2)
    >>> learner.observe(state, np.array([2.0]))
    >>> learner.update(state, arm=0, reward=1.0)
    >>> state.theta[0], state.bound.round(2)  # A = 1 + 2 * 2, b = 1 * 2
    (array([0.4]), array([1.69, 2.  ]))
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

    def start(self, n_models: int) -> Ridge:
        """Return nothing known: A = I, b = 0."""
        if self.size is None:
            raise InputError(
                "LinUCB does not know its features yet; call bind(trace, reward), as"
                " replay does"
            )
        d = self.size
        return Ridge(
            inverse=np.tile(np.eye(d), (n_models, 1, 1)),
            theta=np.zeros((n_models, d)),
            x=np.zeros(d),
            places=np.zeros(1 + d, np.int64),
            expected=np.zeros(n_models),
            square=np.zeros(n_models),
            bound=np.zeros(n_models),
            inner=np.zeros(d),
        )

    def observe(self, state: Ridge, seen: Floats) -> None:
        """Note the features of the query at hand, and every LLM's bound for it."""
        number = 0
        for e in range(len(state.x)):
            state.x[e] = seen[e]
            if seen[e] != 0.0:  # most are, one context being the query's
                number += 1
                state.places[number] = e
        state.places[0] = number
        for j in range(len(state.bound)):
            self.note_bound(state, j)

    def note_bound(self, state: Ridge, j: int) -> None:
        """Note the bound above of LLM j."""
        expected = 0.0
        square = 0.0
        for k in range(1, state.places[0] + 1):
            e = state.places[k]
            before = 0.0
            for i in range(1, k):
                f = state.places[i]
                before += state.inverse[j, e, f] * state.x[f]
            expected += state.x[e] * state.theta[j, e]
            square += state.x[e] * (state.inverse[j, e, e] * state.x[e] + 2.0 * before)
        state.expected[j] = expected
        state.square[j] = max(square, 0.0)
        state.bound[j] = expected + self.alpha * math.sqrt(state.square[j])

    def choose(self, state: Ridge) -> int:
        """Return the LLM of the highest bound."""
        best = 0
        for j in range(1, len(state.bound)):
            if state.bound[j] > state.bound[best]:
                best = j
        return best

    def update(self, state: Ridge, arm: int, reward: float) -> None:
        """Take one answer more: A^-1 by Sherman and Morrison's formula.

        With K = A^-1 x / (1 + x^T A^-1 x), before the answer,

            A^-1 <- A^-1 - K x^T A^-1,    A^-1 b <- A^-1 b + K (r - x^T A^-1 b).
        """
        d = len(state.x)
        for f in range(d):
            state.inner[f] = 0.0
        for k in range(1, state.places[0] + 1):
            e = state.places[k]
            x = state.x[e]
            for f in range(d):
                state.inner[f] += x * state.inverse[arm, e, f]
        share = 1.0 / (1.0 + state.square[arm])
        error = reward - state.expected[arm]
        for e in range(d):
            gain = state.inner[e] * share
            state.theta[arm, e] += gain * error
            for f in range(d):
                state.inverse[arm, e, f] -= gain * state.inner[f]
        state.square[arm] *= share
        state.expected[arm] += state.square[arm] * error
        width = math.sqrt(state.square[arm])
        state.bound[arm] = state.expected[arm] + self.alpha * width
