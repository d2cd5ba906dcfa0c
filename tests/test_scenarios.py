"""Scenarios: a schedule of one phase is plain replay, and what happens after a change
is known beforehand.
"""

from dataclasses import replace

import numpy as np
import pytest
from reference import IDENTITY, trace_of
from scipy import stats

import pickllm as pk
from pickllm.beyond import scenarios
from pickllm.testing import check_learner

LEARNERS = [
    pk.LinearRewardInaction(0.2),
    pk.QLearning(0.2, epsilon=0.2),
    pk.Pursuit(0.1, trials=2),
    pk.KLUCB(),
    pk.ThompsonBeta(),
]
each_learner = pytest.mark.parametrize(
    "learner", LEARNERS, ids=lambda x: type(x).__name__
)
REST = pk.load_trace("bfcl-2024-08-11").select(context="rest")


def same(a, b):
    return all(
        (getattr(a, name) == getattr(b, name)).all()
        for name in ("choices", "queries", "probabilities", "locked_at", "locked_model")
    )


@each_learner
def test_one_phase_is_plain_replay_and_nothing_hindered_is_the_learner_itself(learner):
    joined, order = pk.schedule({0: REST})
    options = {"sessions": 30, "queries": 300, "seed": 2}
    plain = pk.replay(REST, pk.Reward(), learner, **options)
    assert same(plain, pk.replay(joined, pk.Reward(), learner, order=order, **options))
    assert same(plain, pk.replay(REST, pk.Reward(), pk.Hindered(learner), **options))


def test_many_sessions_of_a_schedule_do_not_run_compiled_by_mistake():
    joined, order = pk.schedule({0: REST, 100: REST})
    s = pk.replay(
        joined,
        pk.Reward(),
        pk.LinearRewardInaction(0.2),
        order=order,
        sessions=1001,
        queries=200,
        seed=2,
    )
    assert s.queries[:, :100].max() < REST.n_queries <= s.queries[:, 100:].min()


def test_each_phase_draws_from_its_own_rows_alone_and_evenly():
    joined, order = pk.schedule(
        {
            0: trace_of([[0.1, 0.2]] * 3),
            40: trace_of([[0.3, 0.4]] * 5),
            60: trace_of([[0.5, 0.6]] * 2),
        }
    )
    s = pk.replay(
        joined,
        IDENTITY,
        pk.UniformRandom(),
        order=order,
        sessions=300,
        queries=100,
        seed=3,
    )
    for part, low, high in (
        (slice(0, 40), 0, 3),
        (slice(40, 60), 3, 8),
        (slice(60, 100), 8, 10),
    ):
        counts = np.bincount(s.queries[:, part].ravel(), minlength=10)
        assert counts[low:high].sum() == counts.sum()
        assert stats.chisquare(counts[low:high]).pvalue > 1e-3


def test_a_locked_session_does_not_notice_and_pays_the_gap_ever_after():
    joined, order = pk.schedule(
        {0: trace_of([[0.9, 0.1]]), 200: trace_of([[0.2, 0.7]])}
    )
    s = pk.replay(
        joined,
        IDENTITY,
        pk.LinearRewardInaction(0.3),
        order=order,
        sessions=60,
        queries=300,
        seed=4,
    )
    assert (s.locked_at < 200).all()
    assert (s.locked_at > 0).all()
    table = scenarios.by_phase(s, order).pivot(
        index="session", columns="phase", values=["regret", "share_best"]
    )
    on_first = s.locked_model == 0
    assert table["regret"][1].to_numpy() == pytest.approx(np.where(on_first, 0.5, 0.0))
    assert (table["share_best"][1] == np.where(on_first, 0.0, 1.0)).all()
    assert on_first.mean() > 0.7


def test_greedy_q_without_a_lock_moves_over_when_its_equation_says():
    rate, before = 0.1, 100
    joined, order = pk.schedule(
        {0: trace_of([[0.9, 0.0]]), before: trace_of([[0.2, 0.0]])}
    )
    s = pk.replay(
        joined,
        IDENTITY,
        pk.QLearning(rate, epsilon=0.0, initial_value=0.5),
        order=order,
        sessions=1,
        queries=200,
        seed=5,
        lock=False,
    )
    q = (
        0.9 + (0.5 - 0.9) * (1 - rate) ** before
    )  # and then 0.2 + (q - 0.2) 0.9^k, until below the other's 0.5
    k = next(k for k in range(100) if 0.2 + (q - 0.2) * (1 - rate) ** k < 0.5)
    assert (s.choices[0, : before + k] == 0).all()
    assert s.choices[0, before + k] == 1


def test_by_phase_adds_up_by_hand():
    joined, order = pk.schedule(
        {0: trace_of([[0.9, 0.1, 0.5]]), 3: trace_of([[0.2, 0.7, 0.4]])}
    )
    s = replace(
        pk.replay(
            joined,
            IDENTITY,
            pk.UniformRandom(),
            order=order,
            sessions=1,
            queries=5,
            seed=0,
        ),
        choices=np.array([[0, 1, 2, 1, 2]]),
    )
    table = scenarios.by_phase(s, order)
    assert table.best.tolist() == ["a", "b"]
    assert table.share_best.to_numpy() == pytest.approx([1 / 3, 1 / 2])
    assert table.reward.to_numpy() == pytest.approx([0.5, 0.55])
    assert table.regret.to_numpy() == pytest.approx([0.4, 0.15])


def test_changes_touch_one_llm_and_what_they_name():
    a, j = REST.models[1], 1
    slow, dear, down = (
        scenarios.slower(REST, a, 3.0),
        scenarios.dearer(REST, a, 2.0),
        scenarios.failing(REST, a),
    )
    assert (slow.latency_ms[:, j] == 3 * REST.latency_ms[:, j]).all()
    assert (slow.cost_usd == REST.cost_usd).all()
    assert (dear.cost_usd[:, j] == 2 * REST.cost_usd[:, j]).all()
    assert (dear.accuracy == REST.accuracy).all()
    assert (down.accuracy[:, j] == 0).all()
    assert (down.cost_usd[:, j] == 0).all()
    assert (down.latency_ms[:, j] == 10_000).all()
    for changed in (slow, dear, down):
        others = [0, 2, 3]
        assert all(
            (getattr(changed, c)[:, others] == getattr(REST, c)[:, others]).all()
            for c in ("accuracy", "cost_usd", "latency_ms")
        )


def test_an_llm_that_has_not_appeared_is_never_asked_and_then_like_any_other():
    trace = trace_of([[0.5, 0.5, 0.5]])
    joined, order = pk.schedule({0: scenarios.absent(trace, "b"), 50: trace})
    s = pk.replay(
        joined,
        IDENTITY,
        pk.Hindered(pk.UniformRandom()),
        order=order,
        sessions=400,
        queries=100,
        seed=6,
    )
    before, after = (
        np.bincount(part.ravel(), minlength=3)
        for part in (s.choices[:, :50], s.choices[:, 50:])
    )
    assert before[1] == 0
    assert stats.chisquare(before[[0, 2]]).pvalue > 1e-3
    assert stats.chisquare(after).pvalue > 1e-3
    assert scenarios.by_phase(
        pk.replay(
            joined,
            IDENTITY,
            pk.Hindered(pk.KLUCB()),
            order=order,
            sessions=1,
            queries=60,
        ),
        order,
    ).best.tolist() == [
        "a",
        "a",
    ]


def test_the_best_of_a_phase_is_one_that_can_be_asked():
    trace = trace_of([[0.5, 0.9, 0.6]])
    joined, order = pk.schedule({0: scenarios.absent(trace, "b"), 5: trace})
    s = pk.replay(
        joined, IDENTITY, pk.Hindered(pk.KLUCB()), order=order, sessions=1, queries=10
    )
    assert scenarios.by_phase(s, order).best.tolist() == ["c", "b"]


def test_a_certain_learner_whose_llm_is_away_asks_the_others_alike():
    learner = pk.Hindered(pk.LinearRewardInaction(1.0))
    state = learner.update(learner.start(1, 3), np.array([0]), np.array([1.0]))
    seen = np.array([[[False, True, True], [True, True, True]]])
    assert learner.probabilities(learner.observe(state, seen)).tolist() == [
        [0.0, 0.5, 0.5]
    ]


@pytest.mark.parametrize("delay", [1, 7])
@each_learner
def test_late_feedback_leaves_the_learner_where_it_was_so_many_queries_ago(
    learner, delay
):
    queries = 60
    s = pk.replay(
        REST,
        pk.Reward(),
        pk.Hindered(learner, delay),
        sessions=6,
        queries=queries,
        seed=7,
        lock=False,
        checkpoints=range(queries + 1),
    )
    unit = s.reward.unit(REST.accuracy, REST.cost_usd, REST.latency_ms)[
        s.queries, s.choices
    ]
    state = learner.start(6, 4)
    for t in range(queries + 1):
        assert (s.probabilities[:, t] == learner.probabilities(state)).all()
        if t + 1 > delay:
            k = t - delay
            state = (
                learner.update(state, s.choices[:, k], unit[:, k])
                if t < queries
                else state
            )


def test_without_feedback_nothing_is_learned_and_with_some_it_comes_from_it_alone():
    nothing = pk.replay(
        scenarios.unanswered(REST, 1.0),
        pk.Reward(),
        pk.Hindered(pk.LinearRewardInaction(0.5)),
        sessions=5,
        queries=50,
    )
    assert (nothing.probabilities == 0.25).all()
    assert (nothing.locked_at == -1).all()
    half, learner = (
        scenarios.unanswered(REST, 0.5, seed=1),
        pk.LinearRewardInaction(0.1),
    )
    told = half.extra["feedback"] > 0
    assert abs(told.mean() - 0.5) < 0.02
    s = pk.replay(
        half,
        pk.Reward(),
        pk.Hindered(learner),
        sessions=4,
        queries=80,
        seed=8,
        lock=False,
        checkpoints=[80],
    )
    unit = s.reward.unit(half.accuracy, half.cost_usd, half.latency_ms)
    for i in range(4):
        p = learner.start(1, 4)
        for q, arm in zip(s.queries[i], s.choices[i], strict=True):
            p = (
                learner.update(p, np.array([arm]), unit[q, [arm]])
                if told[q, arm]
                else p
            )
        assert (s.probabilities[i, 0] == p[0]).all()


@each_learner
def test_a_hindered_learner_keeps_every_law(learner):
    assert check_learner(pk.Hindered(learner)) == []
    late = check_learner(pk.Hindered(learner, delay=2))
    assert [
        line for line in late if not line.startswith("permutation")
    ] == []  # while answers are under way, LLMs are tied


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pk.schedule({10: REST}), "the first at 0, got"),
        (
            lambda: pk.schedule({0: REST, 5: REST.select(models=REST.models[:2])}),
            "one pool in one order",
        ),
        (
            lambda: pk.replay(
                REST,
                pk.Reward(),
                pk.UniformRandom(),
                order=pk.schedule({0: REST, 50: REST})[1],
                sessions=1,
                queries=20,
            ),
            "last phase starts at query 50, but sessions have 20",
        ),
        (
            lambda: pk.replay(
                REST,
                pk.Reward(),
                pk.QLearning(),
                order=pk.schedule({0: REST})[1],
                engine="compiled",
            ),
            "no compiled loop for QLearning.* in phases",
        ),
        (lambda: scenarios.slower(REST, "gpt", 2), "unknown model 'gpt'"),
        (
            lambda: scenarios.slower(REST, REST.models[0], 0),
            "factor must be a number > 0, got 0",
        ),
        (
            lambda: scenarios.unanswered(REST, 1.5),
            r"share must be in \[0, 1\], got 1.5",
        ),
        (
            lambda: scenarios.absent(
                REST.select(models=REST.models[0]), REST.models[0]
            ),
            "no LLM is left",
        ),
        (lambda: pk.Hindered(pk.LinUCB()), "Hindered: takes a learner"),
        (
            lambda: pk.Hindered(pk.KLUCB(), delay=-1),
            "delay must be a whole number of queries >= 0, got -1",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, message):
    with pytest.raises(pk.InputError, match=message) as error:
        make()
    assert "\n" not in str(error.value)
