"""Queries drawn again: the split of variance against a world in which it is known."""

import numpy as np
import pandas as pd
import pytest
from reference import IDENTITY, trace_of

import pickllm as pk
from pickllm.analysis import claims, queries, verdicts
from pickllm.errors import InputError

TRACE = pk.load_trace("bfcl-2024-08-11").select(context=["simple", "rest"])


def test_a_resample_holds_as_many_queries_as_were_measured_each_a_row_of_the_trace():
    drawn = queries.resample(TRACE, seed=3, number=1)
    assert pd.Series(drawn.context).value_counts().to_dict() == {
        "simple": 400,
        "rest": 70,
    }
    rows = {tuple(row) for row in np.hstack([TRACE.accuracy, TRACE.latency_ms])}
    assert {tuple(row) for row in np.hstack([drawn.accuracy, drawn.latency_ms])} <= rows
    assert drawn.sample_of is None
    again = queries.resample(TRACE, seed=3, number=1)
    other = queries.resample(TRACE, seed=3, number=2)
    assert drawn.fingerprint() == again.fingerprint() != other.fingerprint()


def test_the_rows_of_ones_own_trace_are_drawn_as_often_as_a_binomial_says():
    trace = trace_of(np.arange(8)[:, None] / 8)
    counts = [
        np.bincount((queries.resample(trace, number=k).accuracy[:, 0] * 8).astype(int))
        for k in range(400)
    ]
    first = np.array([count[0] for count in counts])
    assert first.mean() == pytest.approx(1.0, abs=0.15)
    assert first.var() == pytest.approx(7 / 8, abs=0.25)  # n p (1 - p)


def test_the_spread_of_a_mean_is_its_standard_error_over_queries():
    """Random choice against the dearest LLM, accuracy: a mean over queries, so its
    spread has a closed form; the sessions' own share is taken off, though larger."""
    rng = np.random.default_rng(4)
    accuracy = (rng.random((60, 2)) < [0.4, 0.7]).astype(float)
    trace = trace_of(accuracy)
    claim = claims.Claim(
        "x",
        "x",
        "ours",
        "difference",
        "competitive",
        "accuracy",
        learner="random",
        baseline="most expensive",
    )
    found = queries.spreads(
        trace, IDENTITY, resamples=200, sessions=12, queries=30, claims=[claim]
    ).set_index("context")
    dearest = trace.cost_usd.mean(axis=0).argmax()
    gap = accuracy.mean(axis=1) - accuracy[:, dearest]
    expected = 100 * gap.std() / np.sqrt(60)
    assert found.spread["mean"] == pytest.approx(expected, rel=0.3)
    assert found.of_sessions["mean"] > 0.3 * expected
    assert found.resamples.unique().tolist() == [200]


def test_every_claim_that_sessions_measure_has_its_spread_in_each_context():
    found = queries.spreads(TRACE, resamples=3, sessions=8, queries=40)
    measured = [c.id for c in claims.CLAIMS if c.measure in queries.RESAMPLED]
    assert list(dict.fromkeys(found.id)) == measured
    assert (found.groupby("id").size() == 3).all()
    assert set(found.context) == {"mean", "simple", "rest"}
    assert (found.spread >= 0).all()
    again = queries.spreads(TRACE, resamples=3, sessions=8, queries=40)
    pd.testing.assert_frame_equal(found, again)
    with pytest.raises(InputError, match="resamples must be >= 2, got 1"):
        queries.spreads(TRACE, resamples=1)


def test_the_wider_interval_adds_both_as_squares_and_is_never_narrower():
    estimate = verdicts.Estimate(10.0, 6.0, 12.0)
    assert verdicts.widened(estimate, 0.0, 30) == estimate
    wide = verdicts.widened(estimate, 3 / 1.959963984540054, 10**9)
    assert wide == pytest.approx((10, 5, 10 + np.sqrt(13)))
    assert verdicts.widened(estimate, np.nan, 30) == estimate


def test_the_best_stays_the_best_as_often_as_the_normal_law_says():
    rng = np.random.default_rng(5)
    accuracy = (rng.random((200, 2)) < [0.62, 0.6]).astype(float)
    trace = trace_of(accuracy)
    (row,) = queries.best_stays_best(trace, IDENTITY, resamples=4000).to_dict("records")
    gap = np.abs(accuracy[:, 0].mean() - accuracy[:, 1].mean())
    error = (accuracy[:, 0] - accuracy[:, 1]).std() / np.sqrt(200)
    from scipy.stats import norm

    assert row["stays"] == pytest.approx(norm.cdf(gap / error), abs=0.05)
    assert row["lead"] == pytest.approx(gap)
    assert row["queries"] == 200
    assert {row["model"], row["rival"]} == set(trace.models)


def test_one_llm_is_always_the_best():
    (row,) = queries.best_stays_best(trace_of([[0.2], [0.9]]), IDENTITY).to_dict(
        "records"
    )
    assert (row["stays"], row["rival"]) == (1.0, "")
