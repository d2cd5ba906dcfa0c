"""Learners that see the query: one context is the learner itself, two are two sessions,
LinUCB is ridge regression, and compiled they are the same to the last bit.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy_contextual as over_sessions
import pytest
from reference import IDENTITY, trace_of
from test_kernels import assert_same_bits, both

import pickllm as pk
from pickllm.beyond.contextual import context_and_length
from pickllm.core.one_session import as_one_session, uniforms_of
from pickllm.engine import streams


@dataclass(frozen=True)
class Optimist:
    """UCB1 for one session: a learner that chooses."""

    width: float = 1.0
    lock_rule: ClassVar = pk.GreedyUnchanged(20)

    def start(self, n_models):
        return np.zeros((2, n_models))

    def choose(self, state):
        t = 0.0
        for j in range(state.shape[1]):
            t += state[1, j]
        best = 0
        highest = -1.0
        for j in range(state.shape[1]):
            n = state[1, j]
            if n == 0.0:
                return j
            bound = state[0, j] / n + self.width * math.sqrt(math.log(t) / n)
            if bound > highest:
                best, highest = j, bound
        return best

    def update(self, state, arm, reward):
        state[0, arm] += reward
        state[1, arm] += 1.0


@dataclass(frozen=True)
class Dreamer:
    """A learner that chooses by draws: the highest mean, perturbed."""

    noise: float = 1.0
    lock_rule: ClassVar = pk.GreedyUnchanged(8)

    def uniforms(self, n_models):
        return n_models

    def start(self, n_models):
        return np.zeros((2, n_models))

    def choose(self, state, draws):
        best = 0
        highest = -1.0
        for j in range(state.shape[1]):
            n = state[1, j] + 1.0
            dreamt = state[0, j] / n + self.noise * draws[j] / n
            if dreamt > highest:
                best, highest = j, dreamt
        return best

    def update(self, state, arm, reward):
        state[0, arm] += reward
        state[1, arm] += 1.0


INNER = [
    pk.LinearRewardInaction(0.2),
    pk.QLearning(0.2, epsilon=0.2),
    pk.Pursuit(0.1, trials=2),
    pk.KLUCB(),
    pk.TrackAndStop(0.3, 0.2),
    pk.UniformRandom(),
]


def written(learners):
    """Those that are written for one session; the others are skipped until they are."""
    waits = pytest.mark.skip(reason="not written for one session yet")
    return [x if as_one_session(x) else pytest.param(x, marks=waits) for x in learners]


ALONE = [*written(INNER), Optimist(), Dreamer()]
each_inner = pytest.mark.parametrize("inner", ALONE, ids=lambda x: type(x).__name__)


def two_contexts(a, b):
    """A trace whose queries have rewards a in context 'a' and b in context 'b'."""
    trace = trace_of([*a, *b])
    return replace(trace, context=np.array(["a"] * len(a) + ["b"] * len(b)))


MIXED = two_contexts(
    [[0.9, 0.1, 0.3], [0.8, 0.3, 0.1]],
    [[0.1, 0.2, 0.9], [0.2, 0.0, 0.8], [0.1, 0.4, 0.6]],
)


@pytest.mark.parametrize("lock", [True, False])
@each_inner
def test_in_one_context_it_is_the_learner_itself(inner, lock):
    trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
    options = {
        "sessions": 25,
        "queries": 400,
        "seed": 4,
        "lock": lock,
        "checkpoints": 9,
    }
    alone, wrapped = (
        pk.replay(trace, pk.Reward(), inner, **options),
        pk.replay(trace, pk.Reward(), pk.PerContext(inner, lock=lock), **options),
    )
    assert (alone.choices == wrapped.choices).all()
    assert (alone.queries == wrapped.queries).all()
    assert (alone.locked_at == wrapped.locked_at).all()
    assert (alone.locked_model == wrapped.locked_model).all()
    assert (alone.selection() == wrapped.selection()).all()


def asks(learner, state, draws):
    """What a learner for one session asks, as probabilities of LLMs."""
    if not hasattr(learner, "choose"):
        return np.array(learner.probabilities(state))
    given = (draws,) if len(draws) else ()
    return np.eye(3)[learner.choose(state, *given)]


@each_inner
def test_in_two_contexts_each_learns_from_its_own_queries_alone(inner):
    """Walk every session's choices through one learner a context, by hand.

    The rule of a context sees what the learner shows after each answer, or what it
    chose for each query.
    """
    queries = 300
    s = pk.replay(
        MIXED,
        IDENTITY,
        pk.PerContext(inner),
        sessions=6,
        queries=queries,
        seed=5,
        checkpoints=range(queries),
        engine="numpy",
        ties="first",
    )
    rule = getattr(inner, "lock_rule", None)
    alone = as_one_session(inner)
    shows = not hasattr(alone, "choose")
    count = uniforms_of(alone, 3)
    keys = streams.keys(5, np.arange(6), streams.CHOICE)
    draws = streams.uniforms(keys, np.arange(queries * count)).reshape(6, queries, -1)
    for i in range(6):
        states = {c: alone.start(3) for c in "ab"}
        watch = {}
        if shows and rule:
            watch = {c: rule.start(asks(alone, states[c], ())[None]) for c in "ab"}
        fixed = {}
        for t in range(queries):
            c = MIXED.context[s.queries[i, t]]
            if c in fixed:
                assert (s.probabilities[i, t] == np.eye(3)[fixed[c]]).all()
                continue
            p = asks(alone, states[c], draws[i, t])
            assert (s.probabilities[i, t] == p).all()
            arm = s.choices[i, t]
            alone.update(states[c], arm, s.outcome("accuracy")[i, t])
            if not rule:
                continue
            if shows:
                p = asks(alone, states[c], ())
            elif c not in watch:
                watch[c] = rule.start(p[None])
                continue
            watch[c], done = rule.step(watch[c], p[None])
            if done[0]:
                fixed[c] = p.argmax()
    assert (s.locked_at == -1).all()


@pytest.mark.parametrize("lock", [True, False])
@pytest.mark.parametrize(
    ("inner", "theirs"),
    [
        (pk.LinearRewardInaction(0.2), pk.LinearRewardInaction(0.2)),
        (pk.QLearning(0.2), pk.QLearning(0.2)),
        (pk.UniformRandom(), pk.UniformRandom()),
        (Optimist(), over_sessions.Optimist()),
    ],
    ids=["automaton", "Q", "random", "chooses"],
)
def test_per_context_is_what_it_is_over_a_session_axis_to_the_bit(inner, theirs, lock):
    options = {"sessions": 7, "queries": 300, "seed": 11, "engine": "numpy"}
    ours = pk.PerContext(inner, lock)
    same = over_sessions.PerContext(theirs, lock)
    found = pk.replay(MIXED, IDENTITY, ours, **options)
    expected = pk.replay(MIXED, IDENTITY, same, **options)
    assert_same_bits(expected, found)


def test_linucb_asks_what_it_asks_over_a_session_axis():
    """A^-1 b is kept in place of b: bounds may differ by rounding, choices do not."""
    trace = pk.load_trace("bfcl-2024-08-11")
    options = {"sessions": 3, "queries": 250, "seed": 12, "engine": "numpy"}
    found = pk.replay(trace, pk.Reward(), pk.LinUCB(), **options)
    expected = pk.replay(trace, pk.Reward(), over_sessions.LinUCB(), **options)
    assert_same_bits(expected, found)


@pytest.mark.parametrize("order", ["bootstrap", "shuffle", "schedule"])
@pytest.mark.parametrize(
    "learner",
    [
        pk.PerContext(pk.LinearRewardInaction(0.3)),
        pk.PerContext(pk.QLearning(0.2, epsilon=0.2)),
        pk.PerContext(Optimist()),
        pk.PerContext(Dreamer()),
        pk.LinUCB(),
    ],
    ids=["automaton", "Q", "chooses", "chooses by draws", "LinUCB"],
)
def test_compiled_it_is_pythons_loop_to_the_last_bit(learner, order):
    """By any rule of the session's, besides the contexts', and on two threads."""
    trace = pk.load_trace("bfcl-2024-08-11").select(context=["simple", "rest"])
    if order == "schedule":
        simple = trace.select(context="simple")
        trace, order = pk.schedule({0: trace, 60: simple, 140: trace})
    rules = (True, False, pk.MaxProbability(0.6), pk.GreedyUnchanged(17))
    for rule, sessions, n_jobs in zip(rules, (1, 13, 9, 7), (1, 2, 1, 2), strict=True):
        options = {"sessions": sessions, "queries": 150, "seed": 3, "order": order}
        options |= {"lock": rule, "n_jobs": n_jobs}
        assert_same_bits(*both(trace, pk.Reward(), learner, **options))


@pytest.mark.parametrize("inner", [Optimist(), pk.LinearRewardInaction(0.05)])
def test_without_a_lock_no_context_locks(inner):
    options = {"sessions": 9, "queries": 600, "seed": 2}
    expected, found = both(MIXED, IDENTITY, pk.PerContext(inner, lock=False), **options)
    assert_same_bits(expected, found)
    locking = pk.replay(MIXED, IDENTITY, pk.PerContext(inner), **options)
    assert (locking.choices != found.choices).any()


def test_it_beats_the_same_learner_without_eyes_where_contexts_disagree():
    means = [
        pk.replay(MIXED, IDENTITY, x, sessions=50, queries=600, seed=6)
        .outcome("accuracy")
        .mean()
        for x in (
            pk.PerContext(pk.LinearRewardInaction(0.1)),
            pk.LinearRewardInaction(0.1),
        )
    ]
    assert means[0] > means[1] + 0.1


def test_linucb_is_ridge_regression_solved_another_way():
    rng, d, n = np.random.default_rng(2), 3, 4
    learner = pk.LinUCB(alpha=0.7, size=d)
    state = learner.start(n)
    seen = rng.normal(size=(60, d)) * rng.integers(2, size=(60, d))  # some are 0
    arms = rng.integers(n, size=60)
    rewards = rng.random(60)
    for x, arm, reward in zip(seen, arms, rewards, strict=True):
        learner.observe(state, x)
        learner.update(state, arm, reward)
        before = state.bound[arm]
        learner.observe(state, x)
        assert state.bound[arm] == pytest.approx(before)  # also without a new look
    new = rng.normal(size=d)
    learner.observe(state, new)
    for j in range(n):
        x, y = seen[arms == j], rewards[arms == j]
        a = np.eye(d) + x.T @ x
        expected = new @ np.linalg.solve(a, x.T @ y) + 0.7 * np.sqrt(
            new @ np.linalg.solve(a, new)
        )
        assert state.bound[j] == pytest.approx(expected)
    assert learner.choose(state) == state.bound.argmax()


def test_linucb_follows_another_library():
    from mabwiser.mab import MAB, LearningPolicy

    rng = np.random.default_rng(3)
    x, arms, rewards = rng.random((60, 4)), rng.integers(3, size=60), rng.random(60)
    theirs = MAB([0, 1, 2], LearningPolicy.LinUCB(alpha=1.2, l2_lambda=1.0))
    theirs.fit(arms, rewards, x)
    learner = pk.LinUCB(1.2, size=4)
    state = learner.start(3)
    for row, arm, reward in zip(x, arms, rewards, strict=True):
        learner.observe(state, row)
        learner.update(state, arm, reward)
    new = rng.random(4)
    learner.observe(state, new)
    assert state.bound == pytest.approx(
        list(theirs.predict_expectations(new[None]).values())
    )


def test_linucb_learns_which_llm_suits_which_context():
    s = pk.replay(MIXED, IDENTITY, pk.LinUCB(0.3), sessions=20, queries=400, seed=7)
    late = MIXED.context[s.queries[:, -100:]]
    best = np.where(late == "a", 0, 2)
    assert (s.choices[:, -100:] == best).mean() > 0.97


def test_the_default_features_are_the_context_and_the_length():
    trace = replace(MIXED, input_tokens=np.full((5, 3), 100.0))
    assert context_and_length(trace).tolist() == [[1, 0, 0.5]] * 2 + [[0, 1, 0.5]] * 3


@pytest.mark.parametrize(
    "learner",
    [pk.PerContext(pk.LinearRewardInaction(0.2)), pk.LinUCB()],
    ids=lambda x: type(x).__name__,
)
def test_workers_and_more_sessions_change_nothing(learner):
    one, two, fewer = (
        pk.replay(MIXED, IDENTITY, learner, sessions=n, queries=80, seed=8, n_jobs=j)
        for n, j in ((12, 1), (12, 2), (5, 1))
    )
    assert (one.choices == two.choices).all()
    assert (one.choices[:5] == fewer.choices).all()
    assert (one.probabilities == two.probabilities).all()


class Rows(pk.LinearRewardInaction):
    """Over a session axis alone: `one_session` cannot say what a subclass means."""


class Returns(Optimist):
    def update(self, state, arm, reward):
        return state + reward


class Never(pk.MaxProbability):
    pass


class Patient(Optimist):
    lock_rule = Never()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pk.PerContext(pk.Oracle()), "PerContext: takes a learner with start"),
        (lambda: pk.PerContext(pk.LinUCB()), "PerContext: takes a learner with start"),
        (
            lambda: pk.PerContext(Rows()).bind(MIXED, IDENTITY),
            "written for one session, got Rows over a session axis; write start",
        ),
        (
            lambda: pk.PerContext(Returns()).bind(MIXED, IDENTITY),
            "changes its state in place, got Returns, whose update returns",
        ),
        (
            lambda: pk.PerContext(Patient()).bind(MIXED, IDENTITY),
            "locks by MaxProbability or GreedyUnchanged, got Never; give",
        ),
        (
            lambda: pk.replay(
                MIXED,
                IDENTITY,
                pk.PerContext(pk.QLearning(), contexts=("a", "c")),
                sessions=1,
                queries=1,
            ),
            "unknown context 'b'.*known: a, c",
        ),
        (lambda: pk.LinUCB().start(2), "does not know its features yet"),
        (
            lambda: pk.LinUCB(features=3),
            "features must be a function of a trace, got 3",
        ),
        (
            lambda: pk.replay(
                MIXED,
                IDENTITY,
                pk.LinUCB(features=lambda t: t.accuracy[:2]),
                sessions=1,
                queries=1,
            ),
            r"finite numbers of shape \(5, d\), got shape \(2, 3\)",
        ),
        (
            lambda: pk.Router(["a", "b"], pk.PerContext(pk.QLearning()), pk.Reward()),
            "start one Router per context",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, message):
    with pytest.raises(pk.InputError, match=message) as error:
        make()
    assert "\n" not in str(error.value)
