"""Which laws a learner of one's own breaks.

Replay, statistics and the live router rely on them.
"""

import copy
from typing import Any

import numpy as np

from .core.locking import LockRule
from .core.protocols import Control, SeesQueries, bind, lock_rule_of
from .core.reward import Reward
from .core.state import State, rows_of
from .core.trace import Trace

STEPS = 40

#: What each session meets: arms, rewards, queries, a trace, the number of LLMs.
World = dict[str, Any]


def check_learner(
    learner: object, n_models: int = 4, n_sessions: int = 5, seed: int = 0
) -> list[str]:
    """Return the laws that a learner breaks, one line each; none for a sound one.

    Made-up sessions drive the three functions (see `learners`): every LLM is asked with
    rewards of 0, of 1 and between. The laws:

    - probabilities: (n_sessions, n_models), float64, >= 0, rows sum to 1, for a pool of
      one LLM too;
    - state: an array or (named) tuple of arrays whose first axis is the session, of one
      shape and dtype throughout;
    - purity: no argument changes, nothing is kept in the learner, and the same input
      gives the same output;
    - independence: no session sees another, so that those which have locked can leave;
    - permutation: naming the LLMs in another order changes nothing else (ties apart);
    - the lock rule, if it brings one, answers with one bool a session.

    Parameters
    ----------
    learner : object
        Also one that sees queries (see `contextual`), or a control.
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
    bound = copy.deepcopy(learner)
    try:
        bound = bind(bound, world["trace"], Reward())
    except Exception as error:
        return [_raised("bind", error)]
    if isinstance(bound, Control):
        return _control(bound, world)
    absent = [
        name for name in _functions(bound) if not callable(getattr(bound, name, None))
    ]
    if absent:
        return [
            f"functions: the learner has no {absent[0]}(...); a learner has"
            f" {', '.join(_functions(bound))}"
        ]
    problems = []
    for law in (
        _simplex,
        _state,
        _purity,
        _independence,
        _permutation,
        _one_llm,
        _locks,
    ):
        try:
            problems += law(bound, world)
        except Exception as error:
            problems.append(_raised(law.__name__.strip("_"), error))
            break  # the laws after it would fail of the same cause
    return list(dict.fromkeys(problems))


def _functions(learner: Any) -> tuple[str, ...]:
    functions = ("start", "probabilities", "update")
    looks = hasattr(learner, "describe") or hasattr(learner, "observe")
    return (*functions, "describe", "observe") if looks else functions


def _raised(law: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    return (
        f"{law}: the learner raised {type(error).__name__}: {text}; arrays are"
        " (n_sessions, n_models), arm and reward (n_sessions,)"
    )


def _made_up(n_models: int, n_sessions: int, seed: int) -> World:
    """Return a tape of what each session meets.

    It holds a trace of two contexts for learners that look at queries.
    """
    rng = np.random.default_rng(seed)
    ordered = np.tile(
        np.repeat(np.arange(n_models), np.arange(n_models) + 2)[:, None], n_sessions
    )
    arms = np.concatenate([ordered, rng.integers(n_models, size=(STEPS, n_sessions))])
    rewards = rng.random(arms.shape)
    rewards[1::5] = 0.0
    rewards[3::7] = 1.0
    n = 12

    def table(low, high):
        return rng.uniform(low, high, size=(n, n_models))

    trace = Trace(
        models=tuple(f"llm-{j}" for j in range(n_models)),
        query_id=np.array([f"q{i}" for i in range(n)]),
        context=np.array(["a", "b"] * (n // 2)),
        accuracy=table(0, 1),
        cost_usd=table(1e-4, 1e-3),
        latency_ms=table(300, 3000),
        input_tokens=table(50, 500).round(),
        output_tokens=table(5, 50).round(),
    )
    return {
        "arms": arms,
        "rewards": rewards,
        "queries": rng.integers(n, size=arms.shape),
        "trace": trace,
        "n_models": n_models,
    }


def _walk(learner: Any, world: World, sessions=slice(None), order=None, steps=None):
    """Return every state of some sessions along the tape.

    The LLMs are in another order if wanted.
    """
    arms = world["arms"][:, sessions]
    rename = np.argsort(order) if order is not None else np.arange(world["n_models"])
    seen = (
        learner.describe(world["trace"]) if isinstance(learner, SeesQueries) else None
    )
    state = learner.start(arms.shape[1], world["n_models"])
    states = [state]
    for t, arm in enumerate(arms[:steps]):
        if seen is not None:
            state = learner.observe(state, seen[world["queries"][t, sessions]])
            states.append(state)
        state = learner.update(state, rename[arm], world["rewards"][t, sessions].copy())
        states.append(state)
    return states


def _arrays(state: State) -> list[Any]:
    if isinstance(state, tuple):
        return [array for part in state for array in _arrays(part)]
    return [state]


def _same(a: State, b: State) -> bool:
    return all(
        np.array_equal(x, y, equal_nan=np.asarray(x).dtype.kind == "f")
        for x, y in zip(_arrays(a), _arrays(b), strict=True)
    )


def _simplex(learner: Any, world: World) -> list[str]:
    n, m = world["arms"].shape[1], world["n_models"]
    for state in _walk(learner, world):
        p = learner.probabilities(state)
        if not isinstance(p, np.ndarray) or p.shape != (n, m):
            found = getattr(p, "shape", type(p).__name__)
            return [
                f"simplex: probabilities must have shape ({n}, {m}), got {found}; one"
                " row a session, one column an LLM"
            ]
        if p.dtype != np.float64:
            return [
                f"simplex: probabilities must be float64, got {p.dtype}; end with"
                " .astype(float)"
            ]
        if not np.isfinite(p).all():
            return [
                f"simplex: probabilities must be finite, got {p[~np.isfinite(p)][0]};"
                " look for 0 / 0 or log(0) in LLMs not asked yet"
            ]
        if (p < 0).any():
            return [
                f"simplex: probabilities must be >= 0, got {p.min():.6g}; clip or"
                " rescale the step"
            ]
        sums = p.sum(axis=1)
        if abs(sums - 1).max() > 1e-9:
            return [
                "simplex: probabilities must sum to 1, got a row that sums to"
                f" {sums[abs(sums - 1).argmax()]:.6g}; normalise each row"
            ]
    return []


def _state(learner: Any, world: World) -> list[str]:
    states, n = _walk(learner, world), world["arms"].shape[1]
    for state in states:
        for a in _arrays(state):
            if not isinstance(a, np.ndarray) or not a.ndim or len(a) != n:
                found = (
                    f"shape {a.shape}"
                    if isinstance(a, np.ndarray)
                    else f"a {type(a).__name__}"
                )
                return [
                    "state: every part must be an array whose first axis is the"
                    f" session ({n}), got {found}; give each session its own row"
                ]
    shapes = [[(a.shape, a.dtype.str) for a in _arrays(state)] for state in states]
    for now in shapes:
        if now != shapes[0]:
            return [
                f"state: shapes and dtypes must stay as start made them, {shapes[0]},"
                f" got {now}; start with what update returns"
            ]
    return []


def _purity(learner: Any, world: World) -> list[str]:
    problems = []
    before = copy.deepcopy(getattr(learner, "__dict__", {}))
    state = _walk(learner, world)[-1]
    arm = world["arms"][0].copy()
    reward = world["rewards"][0].copy()
    kept = copy.deepcopy(state)
    first = learner.update(state, arm, reward)
    if not _same(state, kept):
        problems.append(
            "purity: update changes the state it is given; work on state.copy()"
        )
        state = copy.deepcopy(kept)
    if not (
        np.array_equal(arm, world["arms"][0])
        and np.array_equal(reward, world["rewards"][0])
    ):
        problems.append("purity: update changes arm or reward; work on a copy")
    second = learner.update(
        copy.deepcopy(kept), world["arms"][0].copy(), world["rewards"][0].copy()
    )
    p = learner.probabilities(state)
    if not _same(state, kept):
        problems.append(
            "purity: probabilities changes the state it is given; work on state.copy()"
        )
    if not _same(first, second) or not _same(
        p.copy(), learner.probabilities(copy.deepcopy(kept))
    ):
        problems.append(
            "purity: the same input gave two outputs; a learner never draws: show the"
            " chances in probabilities and let replay draw"
        )
    after = getattr(learner, "__dict__", {})
    if before.keys() != after.keys() or any(
        not _equal(before[k], after[k]) for k in before
    ):
        problems.append(
            "purity: the learner keeps something in itself from call to call; put it"
            " into the state"
        )
    return problems


def _equal(a: Any, b: Any) -> bool:
    try:
        return bool(np.all(np.asarray(a == b)))
    except (ValueError, TypeError):
        return False


def _independence(learner: Any, world: World) -> list[str]:
    n, together = world["arms"].shape[1], _walk(learner, world)
    p = learner.probabilities(together[-1])
    for i in range(n):
        alone = learner.probabilities(_walk(learner, world, slice(i, i + 1))[-1])
        if not np.allclose(alone[0], p[i], rtol=0, atol=1e-12):
            return [
                "independence: a session alone has probabilities"
                f" {alone[0].round(4).tolist()}, among others {p[i].round(4).tolist()};"
                " reduce over the last axis (axis=1), never over sessions"
            ]
    keep = np.arange(n) % 2 == 0
    some = learner.update(
        rows_of(together[-1], keep), world["arms"][0][keep], world["rewards"][0][keep]
    )
    every = learner.update(together[-1], world["arms"][0], world["rewards"][0])
    if not np.allclose(
        learner.probabilities(some),
        learner.probabilities(every)[keep],
        rtol=0,
        atol=1e-12,
    ):
        return [
            "independence: a state with fewer rows, as when sessions have locked, goes"
            " on otherwise; take the number of sessions from the state"
        ]
    return []


def _permutation(learner: Any, world: World) -> list[str]:
    """Return where every LLM has been asked, and no two equally often.

    Ties may go by place.
    """
    m = world["n_models"]
    each = 2 if isinstance(learner, SeesQueries) else 1
    order = np.roll(np.arange(m), 1)
    world = world | {"queries": np.zeros_like(world["queries"])}  # of one context
    counts = np.cumsum(world["arms"][:, :, None] == np.arange(m), axis=0)
    differ = (np.diff(np.sort(counts, axis=2), axis=2) > 0).all(axis=2)
    told_apart: Any = differ & (counts > 0).all(axis=2)
    walks = _walk(learner, world), _walk(learner, world, order=order)
    pairs = list(zip(*walks, strict=True))[each::each]  # after each answer
    for (here, there), tell in zip(pairs, told_apart, strict=True):
        p = learner.probabilities(here)
        moved = learner.probabilities(there)
        wrong = tell & (abs(moved - p[:, order]).max(axis=1) > 1e-9)
        if wrong.any():
            i = int(wrong.argmax())
            before, after = p[i][order].round(4).tolist(), moved[i].round(4).tolist()
            return [
                f"permutation: with the LLMs in another order, probabilities {before}"
                f" became {after}; treat every column alike"
            ]
    return []


def _one_llm(learner: Any, world: World) -> list[str]:
    if isinstance(learner, SeesQueries):
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


def _locks(learner: Any, world: World) -> list[str]:
    rule = lock_rule_of(learner)
    if rule is None:
        return []
    if not isinstance(rule, LockRule):
        return [
            "lock rule: needs start(probabilities) and step(state, probabilities), got"
            f" {rule!r}; use MaxProbability, GreedyUnchanged or None"
        ]
    p = learner.probabilities(_walk(learner, world)[-1])
    _, locked = rule.step(rule.start(p), p)
    if (
        not isinstance(locked, np.ndarray)
        or locked.shape != (len(p),)
        or locked.dtype != bool
    ):
        return [
            f"lock rule: step must return (state, locked) with {len(p)} bools, got"
            f" {locked!r}; one a session"
        ]
    return []


def _control(learner: Any, world: World) -> list[str]:
    """Return whether a control chooses from each query's raw rewards alone."""
    raw = world["trace"].accuracy
    chosen = np.asarray(learner.choose(raw))
    if (
        chosen.shape != (len(raw),)
        or chosen.dtype.kind not in "iu"
        or not ((chosen >= 0) & (chosen < raw.shape[1])).all()
    ):
        return [
            f"control: choose must give one position in [0, {raw.shape[1] - 1}] a"
            f" query, got {chosen!r}; use argmax(axis=1)"
        ]
    return []
