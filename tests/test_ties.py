"""No result depends on the order in which a pool is listed.

Each session is shown the pool in an order of its own. Two facts make the law of every
result the same for any listing, whatever the learner and the lock rule: all orders are
equally likely; and a session that is shown the same LLMs at the same places does the
same, however the pool is listed.
"""

import itertools

import numpy as np
import pytest
from reference import IDENTITY, trace_of
from scipy import stats

import pickllm as pk
from pickllm import experiments
from pickllm.engine import streams

LISTED = [2, 0, 3, 1]
TRACE = pk.load_trace("bfcl-2024-08-11").select(context="rest")
MOVED = TRACE.select(models=[TRACE.models[j] for j in LISTED])
LEARNERS = experiments.routers() | experiments.VARIANTS
RULES = [True, False, pk.MaxProbability(0.6), pk.GreedyUnchanged(20)]


@pytest.mark.parametrize("n_models", [2, 3, 4])
def test_all_orders_of_the_pool_are_equally_likely(n_models):
    shown = streams.pool_orders(3, np.arange(24_000), n_models).tolist()
    orders = list(itertools.permutations(range(n_models)))
    counts = [shown.count(list(order)) for order in orders]
    assert sum(counts) == 24_000
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_order_of_the_pool_is_independent_of_queries_and_choices():
    shown = streams.pool_orders(3, np.arange(12_000), 3)[:, 0]
    for purpose in (streams.QUERY, streams.CHOICE):
        draws = streams.uniforms(streams.keys(3, np.arange(12_000), purpose), [0])
        table = np.histogram2d(shown, draws[:, 0], bins=[3, 8])[0]
        assert stats.chi2_contingency(table).pvalue > 1e-3


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("name", LEARNERS)
def test_the_same_llms_at_the_same_places_give_the_same_session(
    name, engine, monkeypatch
):
    options = {"sessions": 6, "queries": 60, "seed": 4, "engine": engine}
    rules = RULES if engine == "numpy" else RULES[:1]
    shown = streams.pool_orders(4, np.arange(6), 4)
    there = np.argsort(LISTED)[shown]  # where those LLMs stand in the other list
    for rule in rules:
        plain = pk.replay(TRACE, pk.Reward(), LEARNERS[name], lock=rule, **options)
        with monkeypatch.context() as patch:
            patch.setattr(streams, "pool_orders", lambda *_: there)
            moved = pk.replay(MOVED, pk.Reward(), LEARNERS[name], lock=rule, **options)
        assert (plain.choices == np.array(LISTED)[moved.choices]).all()
        there_now = moved.probabilities[..., np.argsort(LISTED)]
        assert (plain.probabilities == there_now).all()
        assert (plain.locked_at == moved.locked_at).all()


def test_a_tie_falls_on_every_llm_alike_and_on_the_first_if_asked_to():
    trace = trace_of([[0.5] * 4])
    greedy = pk.QLearning(0.1, epsilon=0.0)
    some = {"sessions": 4000, "queries": 120, "seed": 1}
    drawn = pk.replay(trace, IDENTITY, greedy, **some)
    assert stats.chisquare(np.bincount(drawn.locked_model)).pvalue > 1e-3
    first = pk.replay(trace, IDENTITY, greedy, ties="first", **some)
    assert (first.choices == 0).all()


@pytest.mark.parametrize("ties", ["random", "first"])
def test_a_router_breaks_ties_as_replay_does(ties):
    learner = pk.QLearning(0.2, epsilon=0.3)
    some = {"sessions": 5, "queries": 80, "seed": 8, "lock": False}
    s = pk.replay(TRACE, pk.Reward(), learner, ties=ties, **some)
    for i in range(5):
        router = pk.Router(
            TRACE.models,
            learner,
            pk.Reward(),
            seed=8,
            session=i,
            lock=False,
            limits=TRACE.limits,
            ties=ties,
        )
        for query, model in zip(s.queries[i], s.choices[i], strict=True):
            assert router.pick() == TRACE.models[model]
            router.update(
                TRACE.models[model],
                accuracy=TRACE.accuracy[query, model],
                cost_usd=TRACE.cost_usd[query, model],
                latency_ms=TRACE.latency_ms[query, model],
            )


def test_a_saved_router_goes_on_in_the_order_that_it_was_shown(tmp_path):
    router = pk.Router(TRACE.models, pk.QLearning(0.2), pk.Reward(), seed=5)
    for _ in range(7):
        router.update(router.pick(), accuracy=1.0, cost_usd=1e-4, latency_ms=500.0)
    router.save(tmp_path / "state.json")
    again = pk.Router.load(tmp_path / "state.json")
    assert again.probabilities == router.probabilities
    assert [again.pick() for _ in range(40)] == [router.pick() for _ in range(40)]


def test_an_unknown_way_to_break_ties_is_one_line():
    with pytest.raises(pk.InputError, match="unknown ties 'last'") as error:
        pk.replay(TRACE, pk.Reward(), pk.QLearning(), ties="last")
    assert "\n" not in str(error.value)
