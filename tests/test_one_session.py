"""Learners for one session: the compiled loop is Python's to the last bit, and each
learner is the one that was written over a session axis, in NumPy, apart from it.
"""

import math

import numpy as np
import numpy_learners
import pytest
from reference import trace_of
from test_kernels import ARRAYS, LEARNERS, RULES, assert_same_bits, both, simple

import pickllm as pk
from pickllm import experiments
from pickllm.beyond import bandits
from pickllm.core.one_session import OverSessions, is_one_session, uniforms_of
from pickllm.core.replay import certain

assert simple
BEYOND = {
    name: learner
    for name, learner in experiments.VARIANTS.items()
    if is_one_session(learner)
}
DRAWING = {name for name, learner in BEYOND.items() if uniforms_of(learner, 4)}


@pytest.mark.parametrize("order", ["bootstrap", "shuffle"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("learner", LEARNERS)
def test_the_papers_learners_are_the_same_written_for_one_session(
    simple, learner, rule, order
):
    two_ways = LEARNERS[learner]
    rule = RULES[rule]
    options = {
        "sessions": 33,
        "queries": 250,
        "seed": 3,
        "order": order,
        "lock": two_ways.lock_rule if rule is True else rule,
    }
    numpy = pk.replay(simple, pk.Reward(), two_ways, engine="numpy", **options)
    alone = two_ways.one_session()
    expected, found = both(simple, pk.Reward(), alone, n_jobs=2, **options)
    assert_same_bits(expected, found)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(numpy, name), getattr(found, name))


@pytest.mark.parametrize(
    ("rule", "order", "sessions", "n_jobs"),
    [
        ("own rule", "bootstrap", 17, 2),
        ("never", "shuffle", 5, 1),
        ("threshold", "bootstrap", 1, 2),
        ("run", "shuffle", 33, 1),
    ],
)
@pytest.mark.parametrize("name", BEYOND)
def test_compiled_is_python_to_the_last_bit(
    simple, name, rule, order, sessions, n_jobs
):
    expected, found = both(
        simple,
        pk.Reward(),
        BEYOND[name],
        n_jobs=n_jobs,
        sessions=sessions,
        queries=150,
        seed=5,
        order=order,
        lock=RULES[rule],
        checkpoints=7,
    )
    assert_same_bits(expected, found)


@pytest.mark.parametrize("m", [1, 2, 3, 9])
@pytest.mark.parametrize("name", BEYOND)
def test_any_number_of_llms(name, m):
    rng = np.random.default_rng(m)
    trace = trace_of(rng.random((50, m)))
    expected, found = both(
        trace, pk.Reward(), BEYOND[name], sessions=6, queries=90, seed=1
    )
    assert_same_bits(expected, found)


@pytest.mark.parametrize("m", [1, 2, 4, 7])
@pytest.mark.parametrize("name", sorted(set(BEYOND) - DRAWING))
def test_each_is_the_learner_written_in_numpy(name, m):
    alone = OverSessions(BEYOND[name])
    kind = getattr(numpy_learners, type(BEYOND[name]).__name__)
    numpy = kind(**vars(BEYOND[name]))
    rng = np.random.default_rng(0)
    n_sessions = 40
    one, other = alone.start(n_sessions, m), numpy.start(n_sessions, m)
    best = rng.random(m)
    for _ in range(120):
        shown = numpy.probabilities(other)
        arm = (shown.cumsum(axis=1) < rng.random((n_sessions, 1))).sum(axis=1) % m
        reward = np.clip(best[arm] + rng.normal(0, 0.2, n_sessions), 0.0, 1.0)
        reward[rng.random(n_sessions) < 0.1] = rng.integers(2)
        one = alone.update(one, arm, reward)
        other = numpy.update(other, arm, reward)
        expected = numpy.probabilities(other)
        if hasattr(alone.learner, "choose"):
            chosen = alone.choose(one, np.zeros((n_sessions, 0)))
            index = numpy.index(other)
            tied = index[np.arange(n_sessions), chosen] >= index.max(axis=1) - 1e-12
            found = np.where(tied[:, None], expected, certain(chosen, m))
        else:
            found = alone.probabilities(one)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", sorted(DRAWING))
def test_thompson_draws_as_often_as_each_llm_is_the_best(name):
    learner = BEYOND[name]
    rng = np.random.default_rng(3)
    for asked in (0, 1, 6, 40):
        state = learner.start(4)
        for arm in range(4):
            for _ in range(asked):
                learner.update(state, arm, float(rng.random() * (0.5 + 0.15 * arm)))
        chances = learner.chances(state)
        numpy = getattr(numpy_learners, type(learner).__name__)()
        rows = numpy_learners.Means(state.total[None], state.count[None])
        np.testing.assert_allclose(chances, numpy.probabilities(rows)[0], atol=1e-12)
        n = 4000
        draws = rng.random((n, learner.uniforms(4)))
        chosen = [learner.choose(state, row) for row in draws]
        share = np.bincount(chosen, minlength=4) / n
        error = np.sqrt(chances * (1 - chances) / n)
        assert (abs(share - chances) < 4.5 * error + 1e-3).all(), (share, chances)


@pytest.mark.parametrize(
    ("a", "b"), [(0.5, 0.5), (1, 1), (1, 3.2), (2.5, 0.7), (40, 9)]
)
def test_beta_variates_are_of_the_law(a, b):
    from scipy.stats import beta, kstest

    rng = np.random.default_rng(11)
    draws = rng.random((4000, 2 * bandits.PROPOSALS))
    variates = [bandits.beta(float(a), float(b), row, 0) for row in draws]
    assert kstest(variates, beta(a, b).cdf).pvalue > 1e-3


def test_normal_variates_are_of_the_law():
    from scipy.stats import kstest

    draws = np.random.default_rng(12).random((4000, 2))
    assert kstest([bandits.normal(u, v) for u, v in draws], "norm").pvalue > 1e-3


@pytest.mark.parametrize("mean", [0.0, 1e-9, 0.1, 0.5, 0.93, 1.0])
@pytest.mark.parametrize("level", [1e-6, 0.01, 0.3, 2.0, 40.0])
def test_the_upper_bound_by_divergence_is_the_one_by_bisection(mean, level):
    low, high = mean, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if kl(mean, middle) <= level else (low, middle)
    assert bandits.kl_upper(mean, level) == pytest.approx(low, abs=1e-9)


def kl(p, q):
    if q in (0.0, 1.0):
        return 0.0 if p == q else math.inf
    heads = p * math.log(p / q) if p else 0.0
    return heads + ((1 - p) * math.log((1 - p) / (1 - q)) if p < 1 else 0.0)
