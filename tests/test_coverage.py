"""Coverage: on intervals whose coverage is known, and at smoke size on the kit's."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import pickllm as pk
from pickllm.analysis import coverage
from pickllm.core import statistics
from pickllm.errors import InputError

TRACE = pk.load_trace("bfcl-2024-08-11").select(context=["simple", "rest"])
ONE = dict.fromkeys(coverage.KEYS, "x")


def study(widths, truth=0.0, draws=4000, seed=0):
    """Intervals of a standard normal estimate, some too narrow, some too wide."""
    values = np.random.default_rng(seed).normal(size=draws)
    frames = [
        pd.DataFrame(
            ONE | {"kind": kind, "value": values, "low": values - w, "high": values + w}
        )
        for kind, w in widths.items()
    ]
    known = pd.DataFrame([ONE | {"kind": kind, "value": truth} for kind in widths])
    return coverage.covered(pd.concat(frames), known)


def test_coverage_is_that_of_the_normal_law_and_has_an_interval():
    widths = {"exact": 1.96, "narrow": 1.0, "wide": 3.0}
    frame = study(widths).set_index("kind")
    for kind, width in widths.items():
        expected = 2 * stats.norm.cdf(width) - 1
        assert frame.low[kind] <= expected <= frame.high[kind]
        assert frame.width[kind] == pytest.approx(2 * width)


def test_what_is_off_the_band_is_counted_and_named():
    frame = study({"exact": 1.96, "narrow": 1.0, "wide": 3.0})
    kinds = coverage.by_kind(frame).set_index("kind")
    assert kinds.below.to_dict() == {"exact": 0, "narrow": 1, "wide": 0}
    assert kinds.above.to_dict() == {"exact": 0, "narrow": 0, "wide": 1}
    exact, narrow, wide = coverage.describe(frame)
    assert "below" not in exact
    assert "above" not in exact
    assert "1 below 93 to 97 %" in narrow
    assert "1 above 93 to 97 %" in wide


def test_few_replications_put_nothing_off_the_band():
    kinds = coverage.by_kind(study({"narrow": 1.7}, draws=20))
    assert kinds.below.sum() == 0


def test_an_interval_around_another_value_covers_nothing():
    assert study({"exact": 1.96}, truth=9.0).coverage.item() == 0


def test_what_no_draw_can_change_is_left_out():
    rows = [ONE | {"value": 1.0, "low": 1.0, "high": 1.0}] * 5
    truth = pd.DataFrame([ONE | {"value": 1.0}])
    assert coverage.covered(pd.DataFrame(rows), truth).empty


def test_a_median_beyond_the_session_is_held_by_an_end_beyond_it_alone():
    values = [(5.0, 3.0, np.inf), (np.inf, 6.0, np.inf), (4.0, 2.0, 8.0)]
    found = [ONE | dict(zip(("value", "low", "high"), v, strict=True)) for v in values]
    truth = pd.DataFrame([ONE | {"value": np.inf}])
    assert coverage.covered(pd.DataFrame(found), truth).coverage.item() == 2 / 3


@pytest.fixture(scope="module")
def small():
    return coverage.of_sessions(TRACE, replications=16, sessions=30, queries=400)


def test_every_kind_over_sessions_is_there_and_covers_about_as_it_says(small):
    kinds = coverage.by_kind(small).set_index("kind")
    contexts = {k.removesuffix(", over contexts") for k in kinds.index}
    assert contexts == {
        "Wilson, share",
        "Student, mean",
        "ranks, median lock",
        "Wilson, lock curve",
        "paired delta, relative change",
        "Student, paired difference",
    }
    assert {k for k in kinds.index if k.endswith("over contexts")} == {
        f"{k}, over contexts" for k in contexts
    }
    assert kinds.coverage.between(0.85, 1).all()
    assert kinds.below.sum() == 0


def test_the_truth_over_sessions_is_that_of_all_of_them_together(monkeypatch):
    """An interval that is its replication's estimate alone never holds it."""
    monkeypatch.setattr(
        statistics, "mean", lambda values: (np.mean(values),) * 3, raising=True
    )
    own = [("Student, mean", "cost_usd", statistics.mean, statistics.mean)]
    monkeypatch.setattr(coverage, "OWN", own)
    few = {"replications": 4, "sessions": 20, "queries": 50}
    frame = coverage.of_sessions(TRACE.select(context="rest"), **few)
    assert frame[frame.measure == "cost_usd"].coverage.max() == 0


def test_intervals_on_the_pool_cover_about_as_they_say():
    kinds = coverage.by_kind(coverage.of_pool(TRACE, replications=60))
    assert kinds.kind.tolist() == ["pool: Wilson, accuracy", "pool: Student, mean"]
    assert kinds.coverage.between(0.88, 1).all()


def test_other_queries_are_held_by_the_two_level_interval_not_by_the_sessions():
    """70 queries of 5,000: sessions know them well, and not their law."""
    few = {"replications": 8, "resamples": 4, "sessions": 100, "queries": 100}
    frame = coverage.of_queries(TRACE.select(context="rest"), **few)
    measure = frame[frame.measure == "accuracy against most expensive"]
    by_kind = measure.groupby("kind").coverage.min()
    assert by_kind["two levels"] >= 0.6
    assert by_kind["sessions alone"] < by_kind["two levels"]


@pytest.mark.parametrize("study", [coverage.of_sessions, coverage.of_pool])
def test_one_replication_is_refused(study):
    with pytest.raises(InputError, match="replications must be >= 2, got 1"):
        study(TRACE, replications=1)
