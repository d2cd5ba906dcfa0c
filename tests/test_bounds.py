"""The bounds against their closed forms for coins, and against a search over
distributions.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

import pickllm as pk
from pickllm.beyond import bounds


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a > 0)


def coin(mean, n=200):
    return np.repeat([0.0, 1.0], [n - round(n * mean), round(n * mean)])


@given(st.integers(1, 99), st.floats(0.01, 0.99))
def test_for_coins_it_is_the_divergence_of_two_coins(p, x):
    expected = kl(p / 100, x) if x > p / 100 else 0.0
    assert bounds.divergence(coin(p / 100), x)[0] == pytest.approx(expected, abs=1e-8)


def test_a_law_without_spread_can_still_be_doubted():
    """All rewards at 0.4: the nearest law of mean x moves a share to 1, and costs -log
    of what stays.
    """
    assert bounds.divergence(np.full(5, 0.4), 0.7)[0] == pytest.approx(
        -math.log(0.3 / 0.6), abs=1e-8
    )


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=4, unique_by=lambda v: round(v, 2)),
    st.floats(0.05, 0.9),
)
@settings(max_examples=15)
def test_it_is_the_nearest_law_that_a_search_finds(values, share):
    values = np.array(values)
    x = values.mean() + share * (1 - values.mean())
    support, n = (
        np.append(values, 1.0),
        len(values),
    )  # what is moved goes to 1, where it lifts the mean most

    def goal(q):
        return float(-np.log(n * np.maximum(q[:n], 1e-300)).mean())

    def slope(q):
        return np.append(-1 / (n * np.maximum(q[:n], 1e-300)), 0.0)

    limits = [
        {"type": "eq", "fun": lambda q: q.sum() - 1, "jac": lambda q: np.ones(n + 1)},
        {"type": "ineq", "fun": lambda q: q @ support - x, "jac": lambda q: support},
    ]
    start = (1 - share) * np.append(np.full(n, 1 / n), 0.0) + share * np.eye(n + 1)[n]
    found = optimize.minimize(
        goal,
        start,
        jac=slope,
        bounds=[(1e-12, 1)] * (n + 1),
        constraints=limits,
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )
    assert bounds.divergence(values, x)[0] == pytest.approx(found.fun, abs=2e-5)


def test_two_coins_have_the_bound_of_lai_and_robbins():
    unit = np.column_stack(
        [np.random.default_rng(0).permutation(coin(m)) for m in (0.7, 0.4, 0.6)]
    )
    assert bounds.regret_rate(unit) == pytest.approx(
        0.3 / kl(0.4, 0.7) + 0.1 / kl(0.6, 0.7), rel=1e-6
    )
    assert bounds.regret_rate(unit[:, [0, 0]]) == 0


@pytest.mark.parametrize(("a", "b"), [(0.7, 0.4), (0.95, 0.9), (0.3, 0.1)])
def test_two_coins_have_the_characteristic_time_of_garivier_and_kaufmann(a, b):
    """1 / T* = kl(a, x) = kl(b, x) at the x where both are equal (their case of two
    arms).
    """
    x = optimize.brentq(lambda x: kl(a, x) - kl(b, x), b + 1e-9, a - 1e-9)
    t, weights = bounds.identification_time(np.column_stack([coin(a), coin(b)]))
    assert t == pytest.approx(1 / kl(a, x), rel=2e-3)
    assert weights.sum() == pytest.approx(1)
    assert weights == pytest.approx([0.5, 0.5], abs=0.06)


def test_several_coins_have_the_time_that_a_search_over_shares_finds():
    means = [0.7, 0.5, 0.45, 0.2]

    def evidence(w):
        pairs = [(w[0], w[j], m) for j, m in enumerate(means) if j]
        return min(
            optimize.minimize_scalar(
                lambda x, u=u, v=v, m=m: u * kl(0.7, x) + v * kl(m, x),
                bounds=(m, 0.7),
                method="bounded",
            ).fun
            for u, v, m in pairs
        )

    def softmax(z):
        return np.exp(z) / np.exp(z).sum()

    found = optimize.minimize(
        lambda z: -evidence(softmax(z)),
        [1.0, 1.0, 0.5, 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-6, "fatol": 1e-10, "maxiter": 4000},
    )
    t, weights = bounds.identification_time(np.column_stack([coin(m) for m in means]))
    assert t == pytest.approx(-1 / found.fun, rel=3e-3)
    assert weights == pytest.approx(softmax(found.x), abs=0.02)


def test_merging_rewards_into_cells_changes_little():
    rewards = np.random.default_rng(1).beta(2, 3, size=5001)
    values, shares = bounds._atoms(rewards)
    whole, cells = (
        bounds.divergence(rewards, 0.45)[0],
        bounds.divergence(values, 0.45, shares)[0],
    )
    assert whole <= cells < 1.001 * whole  # never less, by Jensen's inequality


def test_cells_change_the_bounds_of_the_bundled_trace_by_less_than_they_say(
    monkeypatch,
):
    trace = pk.load_trace("bfcl-2024-08-11")
    reward = pk.Reward().within(trace.limits)
    for context in ("rest", "simple"):
        part = trace.select(context=context)
        unit = reward.unit(part.accuracy, part.cost_usd, part.latency_ms)[::5]
        found = bounds.regret_rate(unit), bounds.identification_time(unit)[0]
        with monkeypatch.context() as patch:
            patch.setattr(bounds, "ATOMS", len(unit))
            each = bounds.regret_rate(unit), bounds.identification_time(unit)[0]
        assert found == pytest.approx(each, rel=1e-4)


def test_ties_and_certainty_have_no_finite_time():
    assert bounds.identification_time(np.tile(coin(0.5)[:, None], 2))[0] == np.inf
    assert bounds.least_time(10.0, 0.0) == np.inf
    assert bounds.least_time(10.0, 0.7) == 0.0
    assert bounds.least_time(10.0, 0.1) == pytest.approx(10 * kl(0.1, 0.9))


def test_rewards_outside_the_unit_interval_are_refused():
    with pytest.raises(pk.InputError, match=r"must be in \[0, 1\], got -1 to 2"):
        bounds.divergence(np.array([-1.0, 2.0]), 0.5)
