"""Learners for one session: the compiled loop is the Python one to the last bit."""

import numpy as np
import pytest
from test_kernels import ARRAYS, LEARNERS, RULES, assert_same_bits, both, simple

import pickllm as pk

assert simple


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
