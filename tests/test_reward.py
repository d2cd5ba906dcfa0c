"""The three readings of the equation, their bounds, and what is refused."""

import math
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import pickllm as pk

FORMS = ("ratio", "product", "linear")
WEIGHTS = st.just(0.0) | st.floats(1e-6, 1e6)
ANSWERS = st.tuples(
    st.floats(0, 1), st.floats(0, 1e4), st.floats(1, 1e9, exclude_min=True)
)  # accuracy, US dollars, ms


def equation(form, a, usd, ms, w_a, w_c, w_l, t):
    """The readings in plain arithmetic; cost in US cents."""
    cents, scale = 100 * usd, math.log10(ms)
    if form == "ratio":
        return (w_a * a - w_c * cents) * t / (w_l * scale)
    return (
        w_a * a - w_c * cents * w_l * scale * t
        if form == "product"
        else w_a * a - w_c * cents - w_l * scale / t
    )


@st.composite
def rewards(draw, **fixed):
    """(reward, its equation) for any reading and weights that make a reward at all."""
    form, w_a, w_c = draw(st.sampled_from(FORMS)), draw(WEIGHTS), draw(WEIGHTS)
    w_l, t = (
        draw(WEIGHTS if form != "ratio" else st.floats(1e-6, 1e6)),
        draw(st.floats(1e-3, 1e3)),
    )
    assume(w_a or (w_c and (w_l or form != "product")) or (form == "linear" and w_l))
    reward = pk.Reward(
        form,
        w_a,
        w_c,
        w_l,
        t,
        **{name: draw(strategy) for name, strategy in fixed.items()},
    )
    return reward, lambda a, usd, ms: equation(form, a, usd, ms, w_a, w_c, w_l, t)


# The equations


@pytest.mark.parametrize(
    ("form", "first", "second"),
    [
        (
            "ratio",
            0.9,
            0.3,
        ),  # (1 - 0.1 * 1) / (3 / 3);        (2 * 0.5 - 0.5 * 0.2) / (3 * 2 / 2)
        (
            "product",
            0.1,
            -0.2,
        ),  # 1 - 0.1 * 1 * 1 * 3 * 3;     2 * 0.5 - 0.5 * 0.2 * 3 * 2 * 2
        (
            "linear",
            -0.1,
            -2.1,
        ),  # 1 - 0.1 * 1 - 3 / 3;         2 * 0.5 - 0.5 * 0.2 - 3 * 2 / 2
    ],
)
def test_the_readings_give_the_values_computed_by_hand(form, first, second):
    assert pk.Reward(form, w_cost=0.1).raw(1.0, 0.01, 1000.0) == pytest.approx(
        first
    )  # one US cent, one second
    assert pk.Reward(form, 2.0, 0.5, 3.0, 2.0).raw(0.5, 0.002, 100.0) == pytest.approx(
        second
    )


@given(rewards(), ANSWERS)
def test_raw_is_the_equation_for_any_weights_and_answer(pair, answer):
    reward, by_hand = pair
    assert float(reward.raw(*answer)) == pytest.approx(
        by_hand(*answer), rel=1e-9, abs=1e-9 * (1 + reward.w_accuracy)
    )


def test_raw_broadcasts():
    reward = pk.Reward("linear")
    table = reward.raw(
        np.array([[0.0], [1.0]]), 0.001, np.array([100.0, 1000.0, 5000.0])
    )
    assert table.shape == (2, 3)
    assert table[1, 2] == reward.raw(1.0, 0.001, 5000.0)


def test_in_the_ratio_latency_weight_and_scale_rescale_alone():
    trace = pk.load_trace("bfcl-2024-08-11").select(context="rest")
    outcome = trace.accuracy, trace.cost_usd, trace.latency_ms
    plain, scaled = (
        pk.Reward("ratio").raw(*outcome),
        pk.Reward("ratio", w_latency=4.0, t_scaling=6.0).raw(*outcome),
    )
    assert scaled == pytest.approx(plain * (6 / 3) / 4)
    assert (scaled.argmax(axis=1) == plain.argmax(axis=1)).all()
    others = [
        pk.Reward("linear", w_latency=w).raw(*outcome).argmax(axis=1) for w in (1, 4)
    ]
    assert (
        others[0] != others[1]
    ).any()  # not so in the linear reading: the weight matters there


def test_in_the_ratio_a_negative_numerator_makes_slower_answers_score_higher():
    ratio, linear = (
        pk.Reward(form, w_cost=1.0).raw(0.0, 0.01, np.array([200.0, 9000.0]))
        for form in ("ratio", "linear")
    )
    assert ratio[0] < ratio[1] < 0
    assert linear[0] > linear[1]


# Bounds and the unit reward


@given(
    rewards(
        limits=st.builds(
            pk.Limits, st.floats(1e-6, 10), st.floats(1.5, 100), st.floats(101, 1e6)
        )
    )
)
def test_declared_bounds_are_the_extremes_over_a_dense_grid_of_the_limits(pair):
    reward, by_hand = pair
    box = reward.limits
    grid = [
        by_hand(a, usd, ms)
        for a in np.linspace(0, 1, 6)
        for usd in np.linspace(0, box.max_cost_usd, 6)
        for ms in np.geomspace(box.latency_floor_ms, box.latency_ceiling_ms, 8)
    ]
    low, high = reward.declared_bounds()
    assert low < high
    assert (low, high) == pytest.approx(
        (min(grid), max(grid)), rel=1e-9, abs=1e-9 * (high - low)
    )


@given(rewards(), ANSWERS)
def test_the_unit_reward_lies_in_the_unit_interval_with_declared_bounds(pair, answer):
    assert 0 <= float(pair[0].unit(*answer)) <= 1


@given(
    rewards(
        bounds=st.tuples(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6)).map(
            lambda b: (b[0], b[0] + b[1])
        )
    ),
    ANSWERS,
)
def test_the_unit_reward_is_affine_between_its_bounds_and_clipped_outside(pair, answer):
    reward, by_hand = pair
    low, high = reward.bounds
    value = by_hand(*answer)
    expected = min(max((value - low) / (high - low), 0.0), 1.0)
    assert float(reward.unit(*answer)) == pytest.approx(
        expected,
        abs=1e-9 * (1 + (abs(value) + abs(low) + reward.w_accuracy) / (high - low)),
    )


def test_clipped_marks_the_answers_outside_the_bounds():
    reward = pk.Reward("linear", w_cost=0.0, w_latency=0.0, bounds=(0.2, 0.7))
    accuracy = np.array([0.0, 0.2, 0.5, 0.7, 0.71, 1.0])
    assert reward.clipped(accuracy, 0.0, 500.0).tolist() == [
        True,
        False,
        False,
        False,
        True,
        True,
    ]
    assert reward.unit(accuracy, 0.0, 500.0) == pytest.approx([0, 0, 0.6, 1, 1, 1])


def test_bounds_come_from_those_given_then_limits_given_then_the_trace():
    mine, other = pk.Limits(0.5, 100, 1000), pk.Limits(0.1, 10, 100)
    reward = pk.Reward("linear")
    assert reward.within(mine).declared_bounds() == pytest.approx(
        (-5 - 1, 1 - 2 / 3)
    )  # -0.1 * 50 cents - log10(1000) / 3
    assert reward.within(mine).within(other) == reward.within(mine)
    assert pk.Reward(bounds=(0, 1)).within(mine).declared_bounds() == (0.0, 1.0)


# What is refused


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"form": "ratoi"}, "unknown reading 'ratoi'; did you mean 'ratio'"),
        ({"w_accuracy": -1}, "w_accuracy must be a finite number >= 0, got -1"),
        ({"w_cost": float("nan")}, "w_cost must be a finite number >= 0, got nan"),
        ({"w_cost": float("inf")}, "w_cost must be a finite number >= 0, got inf"),
        ({"w_latency": "1"}, "w_latency must be a finite number >= 0, got '1'"),
        ({"w_accuracy": True}, "w_accuracy must be a finite number >= 0, got True"),
        ({"w_accuracy": None}, "w_accuracy must be a finite number >= 0, got None"),
        ({"w_latency": 0}, "w_latency must be > 0 in the reading 'ratio', got 0"),
        (
            {"t_scaling": 0, "form": "linear"},
            "t_scaling must be > 0 in the reading 'linear', got 0",
        ),
        ({"w_accuracy": 0, "w_cost": 0}, "all weights are 0"),
        (
            {"w_accuracy": 0, "w_cost": 0, "w_latency": 0, "form": "linear"},
            "all weights are 0",
        ),
        ({"bounds": (1, 0)}, "bounds must be finite with low < high, got (1.0, 0.0)"),
        ({"bounds": (1, 1)}, "bounds must be finite with low < high, got (1.0, 1.0)"),
        (
            {"bounds": (0, float("nan"))},
            "bounds must be finite with low < high, got (0.0, nan)",
        ),
        (
            {"bounds": (0, 1, 2)},
            "bounds must be two numbers (low, high), got (0, 1, 2)",
        ),
        ({"bounds": 1.0}, "bounds must be two numbers (low, high), got 1.0"),
        (
            {"bounds": ("a", "b")},
            "bounds must be two numbers (low, high), got ('a', 'b')",
        ),
    ],
)
def test_a_wrong_parameter_is_refused_in_one_line_with_the_value(wrong, message):
    with pytest.raises(pk.InputError, match=re.escape(message)) as error:
        pk.Reward(**wrong)
    assert "\n" not in str(error.value)


def test_weights_under_which_every_answer_scores_the_same_are_refused():
    with pytest.raises(pk.InputError, match="every answer scores the same"):
        pk.Reward(
            "product", w_accuracy=0.0, w_cost=1.0, w_latency=0.0
        )  # cost enters times w_latency


@pytest.mark.parametrize(
    ("form", "ms"),
    [
        ("ratio", 1.0),
        ("ratio", 0.5),
        ("linear", 0.0),
        ("product", -3.0),
        ("linear", float("nan")),
    ],
)
def test_a_latency_that_the_equation_cannot_take_is_refused_with_the_value(form, ms):
    with pytest.raises(
        pk.InputError,
        match=(
            rf"latency_ms must be > {int(form == 'ratio')} in the reading '{form}', got"
            rf" {ms:g}"
        ),
    ) as error:
        pk.Reward(form).raw(1.0, 0.001, np.array([500.0, ms]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ((0.0, 200, 1000), "max_cost_usd must be positive, got 0.0"),
        ((0.1, 1, 1000), "got 1 and 1000"),
        ((0.1, 300, 200), "got 300 and 200"),
    ],
)
def test_limits_that_give_no_bounds_are_refused(limits, message):
    with pytest.raises(pk.InputError, match=message):
        pk.Limits(*limits)


@given(
    accuracy=st.floats(0, 1),
    cost=st.floats(0, 1),
    latency=st.floats(1.5, 1e6),
    w_cost=st.floats(0, 5),
    form=st.sampled_from(["ratio", "product", "linear"]),
)
def test_one_answer_has_the_reward_that_it_has_among_many(
    accuracy, cost, latency, w_cost, form
):
    reward = pk.Reward(form=form, w_cost=w_cost)
    assert (
        reward.unit(accuracy, cost, latency)
        == reward.unit([accuracy, 0.5], [cost, 0.0], [latency, 10.0])[0]
    )
