"""What telling the best LLM costs any learner: against the closed form for two coins,
and against a search by scipy that shares no line with the module.
"""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import interpolate, optimize

import pickllm as pk
from pickllm.analysis import findings
from pickllm.beyond import bounds
from pickllm.beyond.information import (
    Margin,
    law_of,
    least_queries,
    tell_apart,
)

MAIN = "bfcl-2024-08-11"
EXACT = Margin(0.0, 0.0, 1.0)


def coin(mean, n=1000):
    return np.repeat([0.0, 1.0], [n - round(n * mean), round(n * mean)])


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a > 0)


def k_inf(rewards, x):
    """Nats up to a mean of x, by Brent's method on the dual."""
    values, count = np.unique(rewards, return_counts=True)
    shares = count / count.sum()
    if values @ shares >= x:
        return 0.0
    found = optimize.minimize_scalar(
        lambda scale: -(shares @ np.log1p(-scale * (values - x))),
        bounds=(0.0, (1 - 1e-9) / (1 - x)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return -found.fun


def searched(rewards, answer, worst, top):
    """T of an answer by Nelder and Mead; `worst` and `top` say what will do."""
    pairs = []
    for j in range(rewards.shape[1]):
        if j == answer:
            continue
        y = np.linspace(rewards[:, j].mean(), top, 60)
        x = worst(y)
        down = [k_inf(1 - rewards[:, answer], 1 - v) for v in x]
        up = [k_inf(rewards[:, j], v) for v in y]
        curves = [interpolate.CubicSpline(y, values) for values in (down, up)]
        pairs.append((j, y, *curves))

    def evidence(w):
        return min(
            optimize.minimize_scalar(
                lambda v, d=down, u=up, k=j: w[answer] * d(v) + w[k] * u(v),
                bounds=(y[0], y[-1]),
                method="bounded",
                options={"xatol": 1e-9},
            ).fun
            for j, y, down, up in pairs
        )

    def softmax(z):
        return np.exp(z) / np.exp(z).sum()

    start = np.zeros(rewards.shape[1])
    best = evidence(softmax(start))
    for _ in range(3):  # a simplex may get stuck on a ridge
        found = optimize.minimize(
            lambda z, unit=best: -evidence(softmax(z)) / unit,
            start,
            method="Nelder-Mead",
            options={"xatol": 1e-4, "fatol": 1e-7, "maxfev": 600},
        )
        start, best = found.x, evidence(softmax(found.x))
    return 1 / best


@pytest.mark.parametrize(("a", "b"), [(0.7, 0.4), (0.95, 0.9), (0.3, 0.1)])
def test_two_coins_have_the_time_of_garivier_and_kaufmann(a, b):
    """1 / T = kl(a, x) = kl(b, x) at the x where both are equal."""
    x = optimize.brentq(lambda x: kl(a, x) - kl(b, x), b + 1e-9, a - 1e-9)
    laws = [law_of(coin(b)), law_of(coin(a))]
    assert tell_apart(laws, 1, EXACT) == pytest.approx(1 / kl(a, x), rel=1e-3)
    assert tell_apart(laws, 0, EXACT) == np.inf


def test_two_coins_with_a_margin_have_the_time_of_the_nearest_pair_of_means():
    margin = 0.1
    laws = [law_of(coin(0.6)), law_of(coin(0.58))]

    def evidence(w, a, b):
        return optimize.minimize_scalar(
            lambda y: w * kl(a, (1 - margin) * y) + (1 - w) * kl(b, y),
            bounds=(b, a / (1 - margin)),
            method="bounded",
        ).fun

    for answer, (a, b) in enumerate([(0.6, 0.58), (0.58, 0.6)]):
        found = optimize.minimize_scalar(
            lambda w, a=a, b=b: -evidence(w, a, b), bounds=(0, 1), method="bounded"
        )
        time = tell_apart(laws, answer, Margin(margin, 0.0, 1.0))
        assert time == pytest.approx(-1 / found.fun, rel=2e-3)


def test_a_mean_below_0_is_no_way_to_be_wrong():
    """A rival of mean y makes 0.4 wrong only where half its raw reward is above 0."""
    low, high, share = 0.5, 1.5, 0.5
    first = low / (1 - share) - low  # y at which the worst that will do is 0

    def evidence(w):
        return optimize.minimize_scalar(
            lambda y: (
                w * kl(0.4, (1 - share) * (low + y) - low) + (1 - w) * kl(0.02, y)
            ),
            bounds=(first + 1e-9, 1 - 1e-9),
            method="bounded",
        ).fun

    found = optimize.minimize_scalar(
        lambda w: -evidence(w), bounds=(0, 1), method="bounded"
    )
    laws = [law_of(coin(0.4)), law_of(coin(0.02))]
    time = tell_apart(laws, 0, Margin(share, low, high))
    assert time == pytest.approx(-1 / found.fun, rel=2e-3)


def test_where_no_reward_is_twice_another_every_answer_does():
    laws = [law_of(coin(0.4)), law_of(coin(0.9))]
    assert tell_apart(laws, 0, Margin(0.6, 1.0, 2.0)) == 0


@pytest.mark.parametrize("raw", [-0.8, -0.1, 0.0, 0.3, 1.2])
def test_a_margin_is_a_share_of_the_better_raw_reward(raw):
    margin = Margin(0.1, -1.0, 1.5)
    y = (raw + 1.0) / 2.5
    worst = float(margin.worst(np.array([y]))[0])
    assert worst * 2.5 - 1.0 == pytest.approx(raw - 0.1 * abs(raw))
    assert margin.least_better(worst) == pytest.approx(y)


@pytest.mark.parametrize(
    ("context", "share"),
    [("parallel_multiple", 0.0), ("parallel_multiple", 0.01), ("executable", 0.01)],
)
def test_the_main_pool_has_the_time_that_a_search_over_its_rewards_finds(
    context, share
):
    """The search takes every reward; the module merges those in one cell."""
    part = pk.load_trace(MAIN).select(context=context)
    reward = pk.Reward().within(part.limits)
    unit = reward.unit(part.accuracy, part.cost_usd, part.latency_ms)
    low, high = reward.declared_bounds()
    answer = int(unit.mean(axis=0).argmax())

    def worst(y):
        return (1 - share) * y - share * low / (high - low)

    top = optimize.brentq(lambda y: worst(y) - unit[:, answer].mean(), 0, 1)
    laws = [law_of(rewards) for rewards in unit.T]
    time = tell_apart(laws, answer, Margin(share, low, high))
    assert time == pytest.approx(searched(unit, answer, worst, top), rel=1e-3)


def test_the_main_pool_s_contexts_need_hundreds_or_tens_of_thousands_of_queries(rows):
    found = least_queries(rows[MAIN], pk.Reward()).set_index("context")
    hard = ["parallel_multiple", "java_js"]
    assert found.t_star[hard].tolist() == pytest.approx([31_500, 11_000], rel=0.01)
    others = found.drop(index=hard)
    assert others.t_star.between(130, 580).all()
    assert found.queries.tolist() == pytest.approx(
        (found.t_star * kl(0.05, 0.95)).tolist()
    )
    assert (found.queries[hard] > 29_000).all()
    assert others.queries.between(345, 1505).all()
    assert found.queries_within[hard].between(12_900, 14_100).all()
    assert (found.queries_within < found.queries).all()
    assert found.will_do.to_dict() == dict.fromkeys(found.index, 1) | {hard[0]: 2}
    best = {c: best_of(rows[MAIN], c) for c in found.index}
    assert found.best.to_dict() == best
    sample = least_queries(pk.load_trace(MAIN), pk.Reward()).set_index("context")
    np.testing.assert_allclose(sample.t_star, found.t_star[sample.index], rtol=0.1)


def best_of(trace, context):
    part = trace.select(context=context)
    raw = pk.Reward().raw(part.accuracy, part.cost_usd, part.latency_ms)
    return part.models[raw.mean(axis=0).argmax()]


def test_it_agrees_with_the_bound_that_the_comparison_prints():
    part = pk.load_trace(MAIN).select(context="rest")
    unit = (
        pk.Reward()
        .within(part.limits)
        .unit(part.accuracy, part.cost_usd, part.latency_ms)
    )
    found = least_queries(part, pk.Reward()).t_star.item()
    assert found == pytest.approx(bounds.identification_time(unit)[0], rel=0.01)


def test_without_a_margin_only_the_best_will_do():
    trace = pk.load_trace(MAIN).select(context=["parallel_multiple", "java_js"])
    found = least_queries(trace, pk.Reward(), margin=0.0)
    assert found.will_do.tolist() == [1, 1]
    assert found.queries_within.tolist() == pytest.approx(found.queries.tolist())


def test_cells_keep_means_and_nearly_variances():
    rewards = np.append(np.random.default_rng(0).beta(2, 3, 5000), [0.0, 1.0])
    law = law_of(rewards)
    assert len(law.values) <= 502
    assert law.shares.sum() == pytest.approx(1)
    assert law.mean == pytest.approx(rewards.mean(), rel=1e-12)
    variance = law.shares @ law.values**2 - law.mean**2
    assert variance == pytest.approx(rewards.var(), abs=1e-6)


def test_where_another_llm_will_do_less_is_needed_than_to_name_the_best():
    laws = [law_of(coin(mean)) for mean in (0.7, 0.698, 0.2)]
    exact = tell_apart(laws, 0, EXACT)
    within = tell_apart(laws, 0, Margin(0.01, 0.0, 1.0))
    assert exact > 10 * within > 0
    assert tell_apart(laws, 2, Margin(0.01, 0.0, 1.0)) == np.inf


def test_one_llm_needs_no_query_and_two_equal_ones_are_never_told_apart():
    part = pk.load_trace(MAIN).select(context="rest", models="command-r-plus")
    found = least_queries(part, pk.Reward())
    assert found.queries.item() == found.queries_within.item() == 0
    assert found.will_do.item() == 1
    assert tell_apart([law_of(coin(0.5))] * 2, 0, EXACT) == np.inf


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"error": 0.5}, r"error must be in \(0, 0.5\), got 0.5"),
        ({"margin": 1.0}, r"margin must be in \[0, 1\), got 1.0"),
    ],
)
def test_what_is_out_of_range_is_refused_in_one_line(given, said):
    with pytest.raises(pk.InputError, match=said) as caught:
        least_queries(pk.load_trace(MAIN), pk.Reward(), **given)
    assert "\n" not in str(caught.value)


def test_contexts_that_no_session_is_long_enough_for_are_named():
    needed = pd.DataFrame(
        {
            "context": ["a", "b", "c"],
            "queries": [400.0, 2000.0, 900.0],
            "queries_within": [100.0, 700.0, 300.0],
        }
    )
    said = findings.describe_needed(needed, queries=1000)
    assert "in 1 of 3 contexts: b (2,000, or 700 for one within 1 %)" in said
    assert "in the others 400 to 900" in said
    assert "in 0 of 3 contexts;" in findings.describe_needed(needed, queries=5000)
