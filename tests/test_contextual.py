"""Learners that see the query: one context is the learner itself, two are two sessions,
and LinUCB is ridge regression.
"""

from dataclasses import replace

import numpy as np
import pytest
from reference import IDENTITY, trace_of

import pickllm as pk
from pickllm.beyond.contextual import context_and_length

INNER = [
    pk.LinearRewardInaction(0.2),
    pk.QLearning(0.2, epsilon=0.2),
    pk.Pursuit(0.1, trials=2),
    pk.KLUCB(),
    pk.TrackAndStop(0.3, 0.2),
    pk.UniformRandom(),
]
each_inner = pytest.mark.parametrize("inner", INNER, ids=lambda x: type(x).__name__)


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


@each_inner
def test_in_two_contexts_each_learns_from_its_own_queries_alone(inner):
    """Walk every session's choices through one learner a context, by hand."""
    queries, learner = 300, pk.PerContext(inner)
    s = pk.replay(
        MIXED,
        IDENTITY,
        learner,
        sessions=10,
        queries=queries,
        seed=5,
        checkpoints=range(queries),
    )
    rule = getattr(inner, "lock_rule", None)
    for i in range(10):
        states = {c: inner.start(1, 3) for c in "ab"}
        watch = {
            c: rule.start(inner.probabilities(states[c])) if rule else None
            for c in "ab"
        }
        fixed = {}
        for t in range(queries):
            c = MIXED.context[s.queries[i, t]]
            expected = (
                np.eye(3)[fixed[c]] if c in fixed else inner.probabilities(states[c])[0]
            )
            assert (s.probabilities[i, t] == expected).all()
            if c not in fixed:
                states[c] = inner.update(
                    states[c], s.choices[i, [t]], s.outcome("accuracy")[i, [t]]
                )
                if rule:
                    watch[c], done = rule.step(watch[c], inner.probabilities(states[c]))
                    if done[0]:
                        fixed[c] = int(inner.probabilities(states[c])[0].argmax())
    assert (s.locked_at == -1).all()


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
    learner = pk.LinUCB(
        alpha=0.7, features=lambda trace: np.zeros((trace.n_queries, d))
    ).bind(MIXED, IDENTITY)
    state, seen, arms, rewards = (
        learner.start(2, n),
        rng.normal(size=(30, 2, d)),
        rng.integers(n, size=(30, 2)),
        rng.random((30, 2)),
    )
    for x, arm, reward in zip(seen, arms, rewards, strict=True):
        state = learner.update(learner.observe(state, x), arm, reward)
    new = rng.normal(size=(2, d))
    index = learner.index(learner.observe(state, new))
    for i in range(2):
        for j in range(n):
            mine = arms[:, i] == j
            x, y = seen[mine, i], rewards[mine, i]
            a = np.eye(d) + x.T @ x
            expected = new[i] @ np.linalg.solve(a, x.T @ y) + 0.7 * np.sqrt(
                new[i] @ np.linalg.solve(a, new[i])
            )
            assert index[i, j] == pytest.approx(expected)


def test_linucb_follows_another_library():
    from mabwiser.mab import MAB, LearningPolicy

    rng = np.random.default_rng(3)
    x, arms, rewards = rng.random((60, 4)), rng.integers(3, size=60), rng.random(60)
    theirs = MAB([0, 1, 2], LearningPolicy.LinUCB(alpha=1.2, l2_lambda=1.0))
    theirs.fit(arms, rewards, x)
    learner = pk.LinUCB(
        1.2, features=lambda trace: np.zeros((trace.n_queries, 4))
    ).bind(MIXED, IDENTITY)
    state = learner.start(1, 3)
    for row, arm, reward in zip(x, arms, rewards, strict=True):
        state = learner.update(
            learner.observe(state, row[None]), np.array([arm]), np.array([reward])
        )
    new = rng.random((1, 4))
    assert learner.index(learner.observe(state, new))[0] == pytest.approx(
        list(theirs.predict_expectations(new).values())
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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pk.PerContext(pk.Oracle()), "PerContext: takes a learner with start"),
        (lambda: pk.PerContext(pk.LinUCB()), "PerContext: takes a learner with start"),
        (
            lambda: pk.PerContext(pk.KLUCB()).start(1, 2),
            "does not know the contexts yet",
        ),
        (
            lambda: pk.replay(
                MIXED,
                IDENTITY,
                pk.PerContext(pk.KLUCB(), contexts=("a", "c")),
                sessions=1,
                queries=1,
            ),
            "unknown context 'b'.*known: a, c",
        ),
        (lambda: pk.LinUCB().start(1, 2), "does not know its features yet"),
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
            lambda: pk.Router(["a", "b"], pk.PerContext(pk.KLUCB()), pk.Reward()),
            "start one Router per context",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, message):
    with pytest.raises(pk.InputError, match=message) as error:
        make()
    assert "\n" not in str(error.value)
