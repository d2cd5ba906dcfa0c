"""Which laws a learner of one's own breaks.

Replay, the statistics and the live router rely on them.
"""

import copy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .core.locking import LockRule
from .core.one_session import OverSessions, faults, is_one_session, uniforms_of
from .core.protocols import (
    Bindable,
    Control,
    Floats,
    Integers,
    is_control,
    lock_rule_of,
    sees_queries,
)
from .core.replay import certain
from .core.reward import Reward
from .core.state import State, map_state
from .core.trace import Trace
from .engine.held import what_is_frozen

STEPS = 40


def check_learner(
    learner: object, n_models: int = 4, n_sessions: int = 5, seed: int = 0
) -> list[str]:
    """Return the laws that a learner breaks, one line each; none for a sound one.

    Made-up sessions drive the three functions (see `core.protocols`): every LLM is
    asked with rewards of 0, of 1 and between. The laws:

    * probabilities: (n_sessions, n_models), float64, >= 0, rows sum to 1, for a pool of
      one LLM too;
    * state: an array or (named) tuple of arrays whose first axis is the session, of one
      shape and dtype throughout;
    * purity: no argument changes, nothing is kept in the learner, and the same input
      gives the same output;
    * independence: no session sees another, so that those which have locked can leave;
    * permutation: naming the LLMs in another order changes nothing else (ties apart);
    * the lock rule, if it brings one, answers with one bool a session;
    * of a learner for one session besides: its state keeps its shapes and types, its
      functions end, read nothing from outside that may change, and give the same answer
      when they are asked again.

    Parameters
    ----------
    learner : object
        Also one that sees queries (see `beyond.contextual`), or a control.
    n_models, n_sessions : int
        Size of the sessions made up, each >= 2.
    seed : int
        Of arms and rewards.

    Returns
    -------
    list of str
        The law, what was found, and the next move.

    Examples
    --------
    >>> import pickllm as pk
    >>> check_learner(pk.QLearning())
    []
    >>> class Greedy(pk.QLearning):
    ...     def probabilities(self, state):
    ...         return state / state.max()
    >>> check_learner(Greedy(initial_value=1.0))[0]
    'simplex: probabilities must sum to 1, got a row that sums to 4; normalise each row'
    """
    world = _made_up(n_models, n_sessions, seed)
    bound: Any = copy.deepcopy(learner)
    if isinstance(bound, Bindable):
        try:
            bound = bound.bind(world.trace, Reward())
        except Exception as error:
            return [_raised("bind", error)]
    if is_control(bound):
        return _control(bound, world)
    alone = is_one_session(bound)
    needed = _functions(bound)
    for name in needed:
        if not callable(getattr(bound, name, None)):
            return [
                f"functions: the learner has no {name}(...); a learner has"
                f" {', '.join(needed)}"
            ]
    problems: list[str] = []
    if alone:
        try:
            problems += [f"one session: {fault}" for fault in _alone(bound, world)]
        except Exception as error:
            problems.append(_raised("one session", error))
        if problems:
            return problems
        bound = _SeeingRows(bound) if sees_queries(bound) else _Rows(bound)
    laws = _simplex, _state, _purity, _independence, _permutation, _one_llm, _locks
    for law in laws:
        try:
            problems += law(bound, world)
        except Exception as error:
            problems.append(_raised(law.__name__.strip("_"), error))
            break  # the laws after it would fail of the same cause
    return list(dict.fromkeys(problems))


class _World(NamedTuple):
    """What made-up sessions meet, answer after answer.

    Attributes
    ----------
    arms, rewards, queries : ndarray, (n_steps, n_sessions)
    trace : Trace
        Of two contexts, for learners that look at queries.
    """

    arms: Integers
    rewards: Floats
    queries: Integers
    trace: Trace

    @property
    def n_sessions(self) -> int:
        return self.arms.shape[1]

    @property
    def n_models(self) -> int:
        return len(self.trace.models)


class _Rows:
    """A learner for one session over a session axis, as the laws take it.

    One that chooses is certain of its choice, at the same draws every time.
    """

    def __init__(self, learner: Any) -> None:
        self.learner = learner
        self.rows = OverSessions(learner)

    @property
    def lock_rule(self) -> Any:
        return lock_rule_of(self.learner)

    def start(self, n_sessions: int, n_models: int) -> State:
        return self.rows.start(n_sessions, n_models), np.zeros((n_sessions, n_models))

    def probabilities(self, state: State) -> Floats:
        own, blank = copy.deepcopy(state)
        if not hasattr(self.learner, "choose"):
            return self.rows.probabilities(own)
        n_models = blank.shape[1]
        draws = np.random.default_rng(0).random(uniforms_of(self.learner, n_models))
        return certain(self.rows.choose(own, np.tile(draws, (len(blank), 1))), n_models)

    def update(self, state: State, arm: Integers, reward: Floats) -> State:
        return self.rows.update(state[0], arm, reward), state[1]


class _SeeingRows(_Rows):
    """The same of a learner that looks at queries."""

    def describe(self, trace: Trace) -> NDArray[Any]:
        return self.learner.describe(trace)

    def observe(self, state: State, seen: NDArray[Any]) -> State:
        return self.rows.observe(state[0], seen), state[1]


def _alone(learner: Any, world: _World) -> list[str]:
    """Return what a learner for one session breaks beside the laws of all."""
    seen = learner.describe(world.trace) if sees_queries(learner) else None
    found = list(faults(learner, world.n_models, 3 * STEPS, seen))
    if found:
        return found
    frozen = what_is_frozen(learner)
    return [frozen] if frozen else _asked_twice(learner, world)


def _asked_twice(learner: Any, world: _World) -> list[str]:
    """Return whether it matters how often a learner is asked what it would choose."""
    rows = _Rows(learner)
    state = rows.start(1, world.n_models)
    for arm, reward in zip(world.arms[:, 0], world.rewards[:, 0], strict=True):
        state = rows.update(state, arm[None], reward[None])
    own = map_state(lambda array: array[0], state[0])
    draws = (np.full(n, 0.5),) if (n := uniforms_of(learner, world.n_models)) else ()
    ask = getattr(learner, "choose", None) or learner.probabilities
    first = copy.deepcopy(ask(own, *draws))
    if _same(np.asarray(first), np.asarray(ask(own, *draws))):
        return []
    return [
        f"{type(learner).__name__}.{ask.__name__} gives another answer when it is asked"
        " again; what an answer teaches belongs into update"
    ]


def _functions(learner: object) -> list[str]:
    """Return the names of what a learner must have."""
    needed = ["start", "probabilities", "update"]
    if is_one_session(learner) and hasattr(learner, "choose"):
        needed = ["start", "choose", "update"]
    # by one name, so that a learner with half of `SeesQueries` is told the other half
    if hasattr(learner, "describe"):
        needed += ["describe", "observe"]
    return needed


def _raised(law: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    return (
        f"{law}: the learner raised {type(error).__name__}: {text}; arrays are"
        " (n_sessions, n_models), arm and reward (n_sessions,)"
    )


def _made_up(n_models: int, n_sessions: int, seed: int) -> _World:
    rng = np.random.default_rng(seed)
    models = np.arange(n_models)
    ordered = np.tile(np.repeat(models, models + 2)[:, None], n_sessions)
    arms = np.concatenate([ordered, rng.integers(n_models, size=(STEPS, n_sessions))])
    rewards = rng.random(arms.shape)
    rewards[1::5] = 0.0
    rewards[3::7] = 1.0
    n_queries = 12

    def table(low: float, high: float) -> Floats:
        return rng.uniform(low, high, size=(n_queries, n_models))

    trace = Trace(
        models=tuple(f"llm-{j}" for j in range(n_models)),
        query_id=np.array([f"q{i}" for i in range(n_queries)]),
        context=np.array(["a", "b"] * (n_queries // 2)),
        accuracy=table(0, 1),
        cost_usd=table(1e-4, 1e-3),
        latency_ms=table(300, 3000),
        input_tokens=table(50, 500).round(),
        output_tokens=table(5, 50).round(),
    )
    return _World(arms, rewards, rng.integers(n_queries, size=arms.shape), trace)


def _walk(
    learner: Any,
    world: _World,
    sessions: slice = slice(None),
    order: Integers | None = None,
) -> list[State]:
    """Return every state of some sessions, the LLMs in another order if wanted."""
    arms = world.arms[:, sessions]
    rename = np.arange(world.n_models) if order is None else np.argsort(order)
    seen = learner.describe(world.trace) if sees_queries(learner) else None
    state = learner.start(arms.shape[1], world.n_models)
    states = [state]
    for t, arm in enumerate(arms):
        if seen is not None:
            state = learner.observe(state, seen[world.queries[t, sessions]])
            states.append(state)
        state = learner.update(state, rename[arm], world.rewards[t, sessions].copy())
        states.append(state)
    return states


def _arrays(state: State) -> list[Any]:
    """Return the parts of a state, whatever a learner put there."""
    parts: list[Any] = []
    map_state(parts.append, state)
    return parts


def _same(one: State, other: State) -> bool:
    pairs = zip(_arrays(one), _arrays(other), strict=True)
    return all(
        np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f")
        for a, b in pairs
    )


def _simplex(learner: Any, world: _World) -> list[str]:
    shape = world.n_sessions, world.n_models
    for state in _walk(learner, world):
        problem = _not_probabilities(learner.probabilities(state), shape)
        if problem:
            return [f"simplex: probabilities must {problem}"]
    return []


def _not_probabilities(p: Any, shape: tuple[int, int]) -> str:
    """Return what selection probabilities are not; nothing if they are sound."""
    if not isinstance(p, np.ndarray) or p.shape != shape:
        found = getattr(p, "shape", type(p).__name__)
        return f"have shape {shape}, got {found}; one row a session, one column an LLM"
    if p.dtype != np.float64:
        return f"be float64, got {p.dtype}; end with .astype(float)"
    finite = np.isfinite(p)
    if not finite.all():
        return (
            f"be finite, got {p[~finite][0]}; look for 0 / 0 or log(0) in LLMs not"
            " asked yet"
        )
    if (p < 0).any():
        return f"be >= 0, got {p.min():.6g}; clip or rescale the step"
    sums = p.sum(axis=1)
    away = abs(sums - 1)
    if away.max() > 1e-9:
        return (
            f"sum to 1, got a row that sums to {sums[away.argmax()]:.6g}; normalise"
            " each row"
        )
    return ""


def _state(learner: Any, world: _World) -> list[str]:
    states = _walk(learner, world)
    n = world.n_sessions
    for part in [part for state in states for part in _arrays(state)]:
        if isinstance(part, np.ndarray) and part.ndim and len(part) == n:
            continue
        found = f"a {type(part).__name__}"
        if isinstance(part, np.ndarray):
            found = f"shape {part.shape}"
        return [
            "state: every part must be an array whose first axis is the session"
            f" ({n}), got {found}; give each session its own row"
        ]
    shapes = [[(a.shape, a.dtype.str) for a in _arrays(state)] for state in states]
    for now in shapes:
        if now != shapes[0]:
            return [
                f"state: shapes and dtypes must stay as start made them, {shapes[0]},"
                f" got {now}; start with what update returns"
            ]
    return []


def _purity(learner: Any, world: _World) -> list[str]:
    before = copy.deepcopy(_kept(learner))
    state = _walk(learner, world)[-1]
    problems = _impure_calls(learner, world, state)
    after = _kept(learner)
    unchanged = before.keys() == after.keys() and all(
        _equal(before[name], after[name]) for name in before
    )
    if not unchanged:
        problems.append(
            "purity: the learner keeps something in itself from call to call; put it"
            " into the state"
        )
    return problems


def _impure_calls(learner: Any, world: _World, state: State) -> list[str]:
    """Return what update and probabilities change, and whether they draw."""
    problems: list[str] = []
    original = copy.deepcopy(state)
    arm = world.arms[0].copy()
    reward = world.rewards[0].copy()
    updated = learner.update(state, arm, reward)
    if not _same(state, original):
        problems.append(
            "purity: update changes the state it is given; work on state.copy()"
        )
        state = copy.deepcopy(original)
    if not _same((arm, reward), (world.arms[0], world.rewards[0])):
        problems.append("purity: update changes arm or reward; work on a copy")
    again = learner.update(
        copy.deepcopy(original), world.arms[0].copy(), world.rewards[0].copy()
    )
    p = learner.probabilities(state)
    if not _same(state, original):
        problems.append(
            "purity: probabilities changes the state it is given; work on state.copy()"
        )
    p_again = learner.probabilities(copy.deepcopy(original))
    if not (_same(updated, again) and _same(p, p_again)):
        problems.append(
            "purity: the same input gave two outputs; a learner never draws: show the"
            " chances in probabilities and let replay draw"
        )
    return problems


def _kept(learner: object) -> dict[str, Any]:
    """Return what a learner holds; nothing for one with slots."""
    inner = learner.learner if isinstance(learner, _Rows) else learner
    return getattr(inner, "__dict__", {})


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(np.all(np.asarray(one == other)))
    except (ValueError, TypeError):
        return False


def _independence(learner: Any, world: _World) -> list[str]:
    together = _walk(learner, world)[-1]
    p = learner.probabilities(together)
    for i in range(world.n_sessions):
        alone = learner.probabilities(_walk(learner, world, slice(i, i + 1))[-1])
        if not _close(alone[0], p[i]):
            return [
                "independence: a session alone has probabilities"
                f" {alone[0].round(4).tolist()}, among others {p[i].round(4).tolist()};"
                " reduce over the last axis (axis=1), never over sessions"
            ]
    arm = world.arms[0]
    reward = world.rewards[0]
    stay = np.arange(world.n_sessions) % 2 == 0
    fewer = map_state(lambda array: array[stay], together)
    some = learner.probabilities(learner.update(fewer, arm[stay], reward[stay]))
    every = learner.probabilities(learner.update(together, arm, reward))
    if not _close(some, every[stay]):
        return [
            "independence: a state with fewer rows, as when sessions have locked, goes"
            " on otherwise; take the number of sessions from the state"
        ]
    return []


def _close(one: Floats, other: Floats) -> bool:
    return np.allclose(one, other, rtol=0, atol=1e-12)


def _permutation(learner: Any, world: _World) -> list[str]:
    if isinstance(learner, _Rows) and uniforms_of(learner.learner, world.n_models):
        return []  # its draws go by the place of an LLM
    order = np.roll(np.arange(world.n_models), 1)
    world = world._replace(queries=np.zeros_like(world.queries))  # of one context
    walk = _walk(learner, world)
    other = _walk(learner, world, order=order)
    each = 2 if sees_queries(learner) else 1  # states an answer
    answered = zip(walk[each::each], other[each::each], _told_apart(world), strict=True)
    for here, there, untied in answered:
        p = learner.probabilities(here)[:, order]
        moved = learner.probabilities(there)
        wrong = untied & (abs(moved - p).max(axis=1) > 1e-9)
        if wrong.any():
            i = int(wrong.argmax())
            return [
                "permutation: with the LLMs in another order, probabilities"
                f" {p[i].round(4).tolist()} became {moved[i].round(4).tolist()}; treat"
                " every column alike"
            ]
    return []


def _told_apart(world: _World) -> NDArray[np.bool_]:
    """Return where every LLM has been asked, and no two equally often.

    Elsewhere ties may go by the place of an LLM in the pool. (n_steps, n_sessions).
    """
    counts = np.cumsum(world.arms[:, :, None] == np.arange(world.n_models), axis=0)
    gaps = np.diff(np.sort(counts, axis=2), axis=2)
    return np.logical_and((gaps > 0).all(axis=2), (counts > 0).all(axis=2))


def _one_llm(learner: Any, world: _World) -> list[str]:
    if sees_queries(learner):
        return []  # its features are of this pool
    state = learner.start(2, 1)
    for _ in range(3):
        state = learner.update(state, np.zeros(2, dtype=int), np.array([0.0, 1.0]))
    p = learner.probabilities(state)
    if np.allclose(p, 1.0):
        return []
    return [
        f"simplex: in a pool of one LLM its probability must be 1, got {p[0].tolist()};"
        " mind divisions by n_models - 1"
    ]


def _locks(learner: Any, world: _World) -> list[str]:
    rule: Any = lock_rule_of(learner)
    if rule is None:
        return []
    if not isinstance(rule, LockRule):
        return [
            "lock rule: needs start(probabilities) and step(state, probabilities), got"
            f" {rule!r}; use MaxProbability, GreedyUnchanged or None"
        ]
    p = learner.probabilities(_walk(learner, world)[-1])
    locked: Any = rule.step(rule.start(p), p)[1]
    bools = isinstance(locked, np.ndarray) and locked.dtype == bool
    if bools and locked.shape == (len(p),):
        return []
    return [
        f"lock rule: step must return (state, locked) with {len(p)} bools, got"
        f" {locked!r}; one a session"
    ]


def _control(control: Control, world: _World) -> list[str]:
    raw = world.trace.accuracy
    n_queries, n_models = raw.shape
    chosen = np.asarray(control.choose(raw))
    whole = chosen.dtype.kind in "iu" and chosen.shape == (n_queries,)
    if whole and ((chosen >= 0) & (chosen < n_models)).all():
        return []
    return [
        f"control: choose must give one position in [0, {n_models - 1}] a query, got"
        f" {chosen!r}; use argmax(axis=1)"
    ]
