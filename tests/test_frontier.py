"""The frontier: corners by a linear programme, numbers by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

import pickllm as pk
from pickllm import experiments
from pickllm.analysis import frontier

TRACE = pk.load_trace("bfcl-2024-08-11").select(context=["simple", "rest", "java_js"])


@pytest.mark.parametrize("paid", frontier.PAID)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_no_mixture_is_more_accurate_for_what_it_pays(paid, part):
    """By linear programming: the most accuracy for a budget, LLM by LLM and context."""
    column, scale = frontier.PAID[paid]
    parts = [TRACE.select(context=name) for name in TRACE.contexts]
    x = np.array([scale * getattr(p, column).mean(axis=0) for p in parts]) / 3
    y = np.array([p.accuracy.mean(axis=0) for p in parts]) / 3
    corners = frontier.hull(TRACE, paid)
    budget = (1 - part) * corners.paid.min() + part * corners.paid.max()
    found = optimize.linprog(
        -y.ravel(),
        A_ub=[x.ravel()],
        b_ub=[budget],
        A_eq=np.kron(np.eye(3), np.ones(4)),
        b_eq=np.ones(3),
    )
    there = np.interp(budget, corners.paid, corners.accuracy)
    assert there == pytest.approx(-found.fun, abs=1e-9)


def test_a_router_that_never_learns_is_where_random_choice_is():
    learners = {"automaton": pk.UniformRandom()}
    options = {"sessions": 200, "queries": 400, "seed": 1}
    found = frontier.frontier(TRACE, learners, weights=[0.0, 0.5], **options)
    for paid in frontier.PAID:
        alone = frontier.alone(TRACE, paid)
        chance = alone[alone.model == "random choice"].iloc[0]
        rows = found[found.measure == paid]
        half = (rows.high - rows.low) / 2
        assert (abs(rows.value - chance.paid) < 2.5 * half).all()


def test_values_are_means_over_contexts_of_what_replay_gives():
    options = {"sessions": 20, "queries": 60, "seed": 4}
    learner = pk.LinearRewardInaction(0.1)
    found = frontier.frontier(TRACE, {"automaton": learner}, weights=[0.2], **options)
    tables = [
        pk.replay(TRACE.select(context=c), pk.Reward(w_cost=0.2), learner, **options)
        for c in TRACE.contexts
    ]
    cents = np.mean([100 * s.table().cost_usd.mean() / 60 for s in tables])
    value = found[found.measure == "cents"].value.iloc[0]
    assert value == pytest.approx(cents, rel=1e-9)


def test_the_upper_hull_leaves_out_what_a_mixture_beats():
    x, y = frontier.upper_hull(
        np.array([1.0, 2.0, 3.0, 2.5, 4.0]), np.array([0.0, 0.2, 1.0, 0.1, 0.9])
    )
    assert (x.tolist(), y.tolist()) == ([1.0, 3.0], [0.0, 1.0])


def test_two_numbers_by_hand():
    single = pd.DataFrame(
        [
            ("cents", "small", 1.0, 0.4),
            ("cents", "large", 3.0, 0.8),
            ("cents", "random choice", 2.0, 0.6),
        ],
        columns=["measure", "model", "paid", "accuracy"],
    )
    hulls = pd.DataFrame(
        [("cents", 1.0, 0.4), ("cents", 2.0, 0.8)],
        columns=["measure", "paid", "accuracy"],
    )
    routers = pd.DataFrame(
        [
            ("automaton", 0.0, "cents", 2.0),
            ("automaton", 0.0, "accuracy", 0.5),
            ("automaton", 1.0, "cents", 2.5),
            ("automaton", 1.0, "accuracy", 0.45),
        ],
        columns=["learner", "w_cost", "measure", "value"],
    )
    numbers = frontier.summary(routers, single, hulls).set_index("who")
    # from 0.4 at 1 to 0.5 at 2, then level to 3
    assert numbers.aiq["automaton"] == pytest.approx((0.45 + 0.5) / 2)
    assert numbers.pgr["automaton"] == pytest.approx(0.25)
    assert numbers.aiq["random choice"] == pytest.approx((0.5 + 0.6) / 2)
    assert numbers.aiq["query-blind mixtures"] == pytest.approx((0.6 + 0.8) / 2)
    assert "L_R-I 0.475 and 25 %" in frontier.describe(numbers.reset_index(), "x")[0]


def test_the_figure_names_every_router_and_llm():
    from pickllm import figures

    options = {"sessions": 5, "queries": 50, "seed": 0}
    routers = frontier.frontier(TRACE, experiments.routers(), [0.0, 1.0], **options)
    parts = {}
    for name, make in (("hull", frontier.hull), ("alone", frontier.alone)):
        tables = {paid: make(TRACE, paid) for paid in frontier.PAID}
        parts[name] = pd.concat(tables, names=["measure"]).reset_index(level=0)
    figure = figures.frontier(routers, parts["hull"], parts["alone"])
    texts = {text.get_text() for axis in figure.axes for text in axis.texts}
    assert {"a", "b", "c", "d", "0", "1"} <= texts
    named = {text.get_text() for own in figure.legends for text in own.texts}
    assert {"gpt-4", "open-mixtral-8x7b", "random choice"} <= named
