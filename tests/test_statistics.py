"""Every interval and test, found another way: the formula written out, SciPy's own,
resampling, or counting.
"""

import math

import numpy as np
import pandas as pd
import pytest
from reference import trace_of
from scipy import stats

import pickllm as pk
from pickllm.analysis import locks, means, pairs
from pickllm.core import statistics
from pickllm.errors import InputError

Z = 1.959963984540054  # the normal quantile at 0.975


def sessions_table(learners, contexts=("c",), first=0):
    """A table of sessions as `sweep` gives it, from ``{learner: {context: {column:
    values}}}`` or one such dict a learner.
    """
    parts = []
    for context in contexts:
        for name, columns in learners.items():
            columns = columns.get(context, columns)
            n = len(next(iter(columns.values())))
            parts.append(
                pd.DataFrame(
                    {
                        "context": context,
                        "learner": name,
                        "session": np.arange(first, first + n),
                    }
                    | columns
                )
            )
    return pd.concat(parts, ignore_index=True)


# Shares and means


@pytest.mark.parametrize("n", [1, 2, 5, 17, 60, 1000])
def test_a_share_has_wilsons_interval_written_out(n):
    k = np.unique(np.linspace(0, n, 40).astype(int))
    estimate, low, high = statistics.share(k, n)
    middle = (k + Z**2 / 2) / (n + Z**2)
    half = Z / (n + Z**2) * np.sqrt(k * (n - k) / n + Z**2 / 4)
    np.testing.assert_allclose(estimate, k / n)
    np.testing.assert_allclose(low, middle - half, atol=1e-12)
    np.testing.assert_allclose(high, middle + half, atol=1e-12)


@pytest.mark.parametrize("n", [1, 7, 40, 1000])
def test_no_success_has_the_low_end_0_and_every_success_the_high_end_1(n):
    estimate, low, high = statistics.share([0, n], n)
    assert low[0] == 0 == estimate[0]
    assert high[1] == 1 == estimate[1]


@pytest.mark.parametrize(
    ("k", "n"), [(0, 1), (1, 1), (0, 60), (60, 60), (3, 60), (481, 1000)]
)
def test_a_share_agrees_with_scipy_and_statsmodels(k, n):
    from statsmodels.stats.proportion import proportion_confint

    _, low, high = statistics.share(k, n)
    theirs = stats.binomtest(k, n).proportion_ci(0.95, "wilson")
    assert (float(low), float(high)) == pytest.approx(
        (theirs.low, theirs.high), abs=1e-12
    )
    assert (float(low), float(high)) == pytest.approx(
        proportion_confint(k, n, 0.05, "wilson"), abs=1e-12
    )


@pytest.mark.parametrize("n", [2, 3, 30])
def test_a_mean_has_the_interval_of_the_one_sample_t_test(n):
    values = np.random.default_rng(n).lognormal(size=(n, 4))
    estimate, low, high = statistics.mean(values)
    theirs = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    np.testing.assert_allclose(estimate, values.mean(axis=0))
    np.testing.assert_allclose(low, theirs.low)
    np.testing.assert_allclose(high, theirs.high)
    np.testing.assert_allclose(statistics.mean(values.T, axis=1), (estimate, low, high))


def test_a_mean_of_one_session_is_not_known_at_all():
    assert statistics.mean([3.0]) == (3.0, -np.inf, np.inf)


def test_means_are_those_of_each_group():
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "w": list("aab") * 4,
            "context": ["x", "y", "x"] * 4,
            "cost": rng.random(12),
            "time": rng.random(12),
        }
    )
    found = statistics.means(table, ["w", "context"], ["cost", "time"])
    assert len(found) == 6
    for row in found.itertuples():
        mine = table[(table.w == row.w) & (table.context == row.context)][row.measure]
        half = mine.sem() * stats.t.ppf(0.975, len(mine) - 1)
        assert (row.value, row.low, row.high, row.sessions) == pytest.approx(
            (mine.mean(), mine.mean() - half, mine.mean() + half, len(mine))
        )


def test_a_trajectory_is_the_mean_of_what_each_session_would_choose():
    trace = trace_of([[1.0, 0.0, 0.5], [0.8, 0.1, 0.4], [1.0, 0.3, 0.0]])
    s = pk.replay(
        trace,
        pk.Reward("linear", w_cost=0.0, w_latency=0.0),
        pk.LinearRewardInaction(0.5),
        sessions=40,
        queries=30,
        checkpoints=[0, 3, 30],
    )
    found = statistics.trajectory(s)
    assert set(found[found.best].model) == {"a"}
    for row in found.itertuples():
        k, j = list(s.checkpoints).index(row.query), trace.models.index(row.model)
        each = [
            (
                float(s.locked_model[i] == j)
                if 0 <= s.locked_at[i] <= row.query
                else s.probabilities[i, k, j]
            )
            for i in range(40)
        ]
        half = np.std(each, ddof=1) / math.sqrt(40) * stats.t.ppf(0.975, 39)
        assert (row.probability, row.low, row.high) == pytest.approx(
            (np.mean(each), max(0, np.mean(each) - half), min(1, np.mean(each) + half)),
            abs=1e-12,
        )


# Changes against a control


def lognormal_pair(rng, n, strata=1):
    """Paired costs of a router and a control that share each session's queries:
    (router, control, true change).
    """
    shared = rng.normal(0, 0.4, (n, 1))
    x = 0.6 * np.exp(shared + rng.normal(0, 0.3, (n, strata)))
    y = 1.0 * np.exp(shared + rng.normal(0, 0.2, (n, strata)))
    return x, y, 0.6 * math.exp(0.3**2 / 2) / math.exp(0.2**2 / 2) - 1


def test_a_relative_change_has_about_the_interval_of_a_paired_bootstrap():
    x, y, _ = lognormal_pair(np.random.default_rng(1), 300)
    estimate, low, high, _ = pairs.relative_change(x[:, 0], y[:, 0])
    theirs = stats.bootstrap(
        (x[:, 0], y[:, 0]),
        lambda a, b, axis: a.mean(axis) / b.mean(axis) - 1,
        paired=True,
        n_resamples=4000,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    width = theirs.high - theirs.low
    assert estimate == pytest.approx(x.mean() / y.mean() - 1)
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.06 * width)
    unpaired = (
        math.hypot(x.std() / x.mean(), y.std() / y.mean())
        * (1 + estimate)
        / math.sqrt(300)
        * 2
        * Z
    )
    assert high - low < 0.8 * unpaired  # what pairing is for


def test_a_relative_change_over_strata_resamples_whole_sessions():
    x, y, _ = lognormal_pair(np.random.default_rng(4), 250, strata=3)
    estimate, low, high, _ = pairs.relative_change(x, y)
    rng, n = np.random.default_rng(5), len(x)
    drawn = [
        (x[i].mean(0) / y[i].mean(0)).mean() - 1
        for i in (rng.integers(0, n, n) for _ in range(3000))
    ]
    assert estimate == pytest.approx((x.mean(0) / y.mean(0)).mean() - 1)
    assert (low, high) == pytest.approx(
        tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.07 * (high - low)
    )


@pytest.mark.parametrize("strata", [1, 3])
def test_intervals_of_a_relative_change_hold_the_truth_in_about_95_of_100_studies(
    strata,
):
    rng, held, studies = np.random.default_rng(6), 0, 500
    for _ in range(studies):
        x, y, truth = lognormal_pair(rng, 40, strata)
        _, low, high, _ = pairs.relative_change(x, y)
        held += low <= truth <= high
    assert 0.92 <= held / studies <= 0.975


def test_a_relative_change_of_one_stratum_is_tested_like_the_paired_difference():
    x, y, _ = lognormal_pair(np.random.default_rng(7), 25)
    x = x / 0.6
    assert pairs.relative_change(x[:, 0], y[:, 0])[3] == pytest.approx(
        stats.ttest_rel(x[:, 0], y[:, 0]).pvalue
    )


def test_a_difference_is_the_paired_t_test():
    rng = np.random.default_rng(8)
    x = rng.normal(0.3, 1, 30)
    y = 0.7 * x + rng.normal(0, 0.5, 30)
    theirs = stats.ttest_rel(x, y)
    interval = theirs.confidence_interval(0.95)
    assert pairs.difference(x, y) == pytest.approx(
        ((x - y).mean(), interval.low, interval.high, theirs.pvalue)
    )


def test_a_difference_over_strata_is_the_test_of_each_sessions_mean():
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=(20, 4)), rng.normal(0.2, 1, (20, 4))
    theirs = stats.ttest_rel(x.mean(1), y.mean(1))
    assert pairs.difference(x, y)[3] == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("how", [pairs.difference, pairs.relative_change])
def test_no_difference_at_all_has_p_1_and_a_constant_one_p_0(how):
    x = np.array([1.0, 2.0, 4.0])
    assert how(x, x)[0] == 0
    assert how(x, x)[3] == 1
    assert pairs.difference(x + 0.5, x)[3] == 0
    assert how(np.full(3, 2.0), np.full(3, 1.0))[1:] == pytest.approx((1.0, 1.0, 0.0))


# When sessions lock


@pytest.mark.parametrize(
    "locked_at",
    [[3, 5, 5, 9, -1, -1, 20], [1, 2, 3], [20, 20, -1], [7, -1], [4] * 5 + [-1] * 15],
    ids=str,
)
def test_a_lock_curve_is_the_estimate_of_kaplan_and_meier_with_wilsons_interval(
    locked_at,
):
    curve = statistics.lock_curve(locked_at, 20)
    never = np.array(locked_at) < 0
    times = np.where(never, 20, locked_at)
    survival = stats.ecdf(stats.CensoredData.right_censored(times, never)).sf
    np.testing.assert_allclose(curve.locked, 1 - survival.evaluate(curve["query"]))
    assert (curve["query"].iloc[0], curve["query"].iloc[-1]) == (0, 20)
    for row in curve[curve["query"] > 0].itertuples():
        k = sum(0 <= t <= row.query for t in locked_at)
        theirs = stats.binomtest(k, len(locked_at)).proportion_ci(0.95, "wilson")
        assert (row.low, row.high) == pytest.approx(tuple(theirs), abs=1e-12)


def test_where_every_session_has_locked_the_curve_is_still_not_certain():
    curve = statistics.lock_curve([3] * 20, 50)
    assert curve.low[curve["query"] >= 3].to_numpy() == pytest.approx(20 / (20 + Z**2))


def test_the_lock_curve_holds_the_share_in_simulated_studies():
    """Also where nearly all have locked, and nearly none."""
    rng = np.random.default_rng(30)
    at = [5, 50, 200, 450]
    true = 1 - np.exp(-np.array(at) / 100)
    held = np.zeros(len(at))
    for _ in range(400):
        times = np.ceil(rng.exponential(100, 40)).astype(int)
        curve = statistics.lock_curve(np.where(times <= 500, times, -1), 500, 4000)
        rows = curve.set_index("query").loc[at]
        held += ((rows.low <= true) & (true <= rows.high)).to_numpy()
    assert (held / 400 > 0.92).all(), held / 400


def test_the_logrank_test_is_the_sum_of_observed_less_expected_locks():
    """Mantel's, written out: over the times of locks, the first's less its share of
    those at risk."""
    rng = np.random.default_rng(31)
    first, second = rng.integers(1, 60, 40), rng.integers(1, 80, 50)
    first[first > 50] = -1
    second[second > 50] = -1
    score = variance = 0.0
    for time in range(1, 51):
        risk = [((one < 0) | (one >= time)).sum() for one in (first, second)]
        locks = [(one == time).sum() for one in (first, second)]
        n, d = sum(risk), sum(locks)
        if d:
            score += locks[0] - d * risk[0] / n
            if n > 1:
                variance += risk[0] * risk[1] * d * (n - d) / (n**2 * (n - 1))
    statistic, p = statistics.logrank(first, second, 50)
    assert abs(statistic) == pytest.approx(abs(score) / math.sqrt(variance))
    assert p == pytest.approx(2 * stats.norm.sf(abs(statistic)))
    assert (statistic > 0) == (score > 0)
    assert statistics.logrank([-1, -1], [-1, -1, -1], 50) == (0.0, 1.0)


def test_rates_whose_curves_differ_are_told_apart_and_the_same_one_is_not():
    rng = np.random.default_rng(40)
    rows = [
        ("automaton", context, rate, session, min(at, 101) if at <= 100 else -1)
        for context in "cd"
        for rate, mean in ((0.1, 60), (0.2, 60), (0.5, 10))
        for session, at in enumerate(np.ceil(rng.exponential(mean, 80)).astype(int))
    ]
    columns = ["learner", "context", "learning_rate", "session", "locked_at"]
    apart = locks.rates_apart(pd.DataFrame(rows, columns=columns), 100)
    assert apart.learning_rate.tolist() == [0.1, 0.2] * 2
    assert apart.told_apart.tolist() == [False, True] * 2
    assert (apart.statistic[apart.told_apart] > 0).all()
    assert apart.p_holm.tolist() == pytest.approx(holm(apart.p.tolist()))


# Means over contexts that share their draws


def test_a_mean_over_contexts_is_that_of_the_sessions_averages():
    values = np.random.default_rng(33).lognormal(size=(30, 5))
    estimate, low, high = statistics.mean_of_contexts(values)
    theirs = stats.ttest_1samp(values.mean(axis=1), 0).confidence_interval(0.95)
    assert (estimate, low, high) == pytest.approx((values.mean(), *theirs))


def test_a_share_over_contexts_has_wilsons_interval_of_what_they_are_worth():
    """Contexts that always agree are worth one, independent ones each its own."""
    one = np.random.default_rng(34).random((400, 1)) < 0.3
    student = (Z / stats.t.ppf(0.975, 399)) ** 2
    estimate, low, high = statistics.share_of_contexts(np.repeat(one, 6, axis=1))
    m = 399 * student
    theirs = statistics.share(estimate * m, m)
    assert (estimate, low, high) == pytest.approx(theirs)
    apart = np.random.default_rng(35).random((400, 6)) < 0.3
    _, low, high = statistics.share_of_contexts(apart)
    wide = stats.binomtest(int(apart.sum()), apart.size).proportion_ci(0.95, "wilson")
    assert high - low == pytest.approx(wide.high - wide.low, rel=0.1)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_share_over_contexts_without_spread_is_known_to_so_many_sessions(value):
    found = statistics.share_of_contexts(np.full((50, 8), value))
    theirs = stats.binomtest(int(50 * value), 50).proportion_ci(0.95, "wilson")
    assert found == pytest.approx((value, *theirs))


def contexts_with_shared_draws(rng, sessions, contexts=8):
    """Uniform draws of each session in each context, most of each one the session's."""
    shared = rng.normal(size=(sessions, 1))
    own = rng.normal(size=(sessions, contexts))
    return stats.norm.cdf(0.8 * shared + 0.6 * own)


@pytest.mark.parametrize(
    ("how", "of", "true"),
    [
        (statistics.mean_of_contexts, lambda u: -100 * np.log(1 - u), 100.0),
        (statistics.share_of_contexts, lambda u: u < 0.9, 0.9),
        (
            lambda at: statistics.median_of_contexts(at, 500),
            lambda u: np.ceil(-100 * np.log(1 - u)),
            70.0,
        ),
    ],
    ids=["mean", "share", "median"],
)
def test_means_over_contexts_with_shared_draws_hold_the_truth_and_unclustered_do_not(
    how, of, true
):
    rng = np.random.default_rng(36)
    held = independent = 0
    for _ in range(300):
        values = of(contexts_with_shared_draws(rng, 60))
        estimate, low, high = how(values)
        held += low <= true <= high
        each = np.array([how(values[:, [j]]) for j in range(8)])
        half = np.sqrt(((each[:, 2] - each[:, 1]) ** 2).sum()) / 8 / 2
        independent += abs(estimate - true) <= half
    assert held / 300 > 0.9
    assert independent / 300 < 0.85


def test_a_mean_of_medians_is_of_one_context_its_own_and_beyond_the_session_none():
    at = np.random.default_rng(37).integers(1, 100, (31, 1))
    assert statistics.median_of_contexts(at, 100) == pytest.approx(
        statistics.median_lock(at[:, 0])
    )
    never = np.full((31, 1), -1)
    assert statistics.median_of_contexts(np.hstack([at, never]), 100)[0] == np.inf


def test_a_mean_over_contexts_refuses_sessions_that_are_not_in_each():
    table = paired(np.random.default_rng(38), n=6)
    mine = table[table.learner == "router"]
    found = means.mean_over_contexts(mine, ["learner"], "reward")
    wide = pairs.wide(table, "reward", "router")
    assert found[["value", "low", "high"]].iloc[0].tolist() == pytest.approx(
        statistics.mean_of_contexts(wide)
    )
    with pytest.raises(InputError, match="each session once in each of 2 contexts"):
        means.mean_over_contexts(mine.iloc[1:], ["learner"], "reward")


def test_curves_over_contexts_are_the_mean_of_the_contexts_curves():
    rng = np.random.default_rng(39)
    rows = [
        (rate, context, session, int(rng.integers(1, 30)))
        for rate in (0.1, 0.5)
        for context in "cde"
        for session in range(20)
    ]
    names = ["rate", "context", "session", "locked_at"]
    table = pd.DataFrame(rows, columns=names)
    curves = locks.curves_over_contexts(table, ["rate"], 30)
    for rate, part in table.groupby("rate"):
        each = [
            statistics.lock_curve(own.locked_at, 30).locked
            for _, own in part.groupby("context")
        ]
        mine = curves[curves.rate == rate]
        np.testing.assert_allclose(mine.locked, np.mean(each, axis=0))
        assert ((mine.low <= mine.locked) & (mine.locked <= mine.high)).all()


def test_a_curve_with_no_lock_is_0_up_to_wilsons_bound():
    curve = statistics.lock_curve([-1] * 12, 50)
    bound = Z**2 / (12 + Z**2)
    assert (curve.locked == 0).all()
    assert (curve.low == 0).all()
    assert curve.high.iloc[0] == 0
    assert curve.high.iloc[1:].to_numpy() == pytest.approx(bound)


def test_a_curve_where_every_session_locks_ends_at_1_and_never_falls():
    locked_at = np.random.default_rng(10).integers(1, 400, 100)
    curve = statistics.lock_curve(locked_at, 1000)
    assert curve.locked.iloc[-1] == 1
    assert (curve.locked.diff().dropna() >= 0).all()
    assert curve.locked.to_numpy() == pytest.approx(
        [(locked_at <= q).mean() for q in curve["query"]]
    )
    assert (
        (curve.low >= 0)
        & (curve.low <= curve.locked)
        & (curve.locked <= curve.high)
        & (curve.high <= 1)
    ).all()


@pytest.mark.parametrize("n", range(6, 41))
def test_the_medians_interval_is_the_narrowest_symmetric_one_that_holds_95_of_100(n):
    _, low, high = statistics.median_lock(np.arange(1, n + 1))
    assert low + high == n + 1  # ranks, so symmetric

    def holds(rank):  # P(rank <= number of sessions below the median <= n - rank)
        return sum(math.comb(n, k) for k in range(rank, n - rank + 1)) / 2**n

    assert holds(int(low)) >= 0.95 > holds(int(low) + 1)


def test_the_medians_interval_holds_it_in_simulated_studies():
    rng, held = np.random.default_rng(11), 0
    for _ in range(400):
        times = rng.exponential(100, 25)
        locked = np.where(times < 150, times, -1)  # censored where the session ends
        middle, low, high = statistics.median_lock(locked)
        assert low <= middle <= high
        held += low <= 100 * math.log(2) <= high
    assert held / 400 >= 0.93


def test_a_median_beyond_the_session_is_infinite_and_so_may_its_upper_end_be():
    assert statistics.median_lock([10, -1, -1])[0] == np.inf
    middle, _, high = statistics.median_lock([1, 2, 3, 4, 5, 6, 7, -1, -1, -1])
    assert (middle, high) == (5.5, np.inf)


def test_the_locking_table_counts_what_pandas_counts():
    table = pd.DataFrame(
        {
            "learner": ["a"] * 4 + ["b"] * 4,
            "learning_rate": [0.1] * 8,
            "locked_at": [10, 20, -1, 40, -1, -1, -1, -1],
            "locked_on_best": pd.array(
                [True, False, None, True] + [None] * 4, dtype="boolean"
            ),
        }
    )
    a, b = statistics.locking(table, ["learner", "learning_rate"], 50).to_dict(
        "records"
    )
    assert (a["learner"], a["learning_rate"], a["sessions"], a["queries"]) == (
        "a",
        0.1,
        4,
        50,
    )
    assert (a["locked"], a["on_best"], a["right"], a["median"]) == (
        0.75,
        0.5,
        pytest.approx(2 / 3),
        30.0,
    )
    for name, k, n in (("locked", 3, 4), ("on_best", 2, 4), ("right", 2, 3)):
        theirs = stats.binomtest(k, n).proportion_ci(0.95, "wilson")
        assert (a[f"{name}_low"], a[f"{name}_high"]) == pytest.approx(tuple(theirs))
    assert (b["locked"], b["on_best"]) == (0, 0)
    assert b["locked_high"] > 0
    assert all(
        np.isnan(b[k])
        for k in (
            "right",
            "right_low",
            "right_high",
            "median",
            "median_low",
            "median_high",
        )
    )


# Paired tables


def paired(rng, n=30, contexts=("c", "d")):
    one = {
        c: {
            "cost_usd": rng.lognormal(size=n),
            "latency_ms": rng.lognormal(size=n),
            "accuracy": rng.random(n),
            "reward": rng.random(n),
        }
        for c in contexts
    }
    two = {
        c: {k: v * 1.1 + 0.02 * rng.random(n) for k, v in one[c].items()}
        for c in contexts
    }
    three = {c: {k: rng.permutation(v) for k, v in one[c].items()} for c in contexts}
    return sessions_table({"router": one, "random": two, "cheapest": three}, contexts)


def test_wide_puts_sessions_in_rows_and_contexts_in_columns():
    table = paired(np.random.default_rng(12), n=5)
    found = pairs.wide(table, "cost_usd", "router")
    expected = table[table.learner == "router"].pivot(
        index="session", columns="context", values="cost_usd"
    )
    np.testing.assert_array_equal(found, expected.to_numpy())


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t.drop(t.index[(t.context == "d") & (t.session == 3)]),
        lambda t: t.drop(
            t.index[
                ((t.context == "d") & (t.session == 3))
                | ((t.context == "c") & (t.session == 1))
            ]
        ),
        lambda t: t.assign(session=t.session + (t.context == "d")),
        lambda t: pd.concat([t, t]),
    ],
    ids=[
        "one row filtered",
        "as many rows, other sessions",
        "other seeds",
        "two settings at once",
    ],
)
def test_wide_refuses_tables_whose_sessions_do_not_pair(damage):
    table = damage(paired(np.random.default_rng(13), n=6))
    with pytest.raises(InputError, match="not the same ones in each context"):
        pairs.wide(table, "cost_usd", "router")


@pytest.mark.parametrize(
    "how",
    [
        lambda t: t.sample(frac=1, random_state=0),
        lambda t: t.sort_values("session", kind="stable"),
    ],
    ids=["shuffled", "by session"],
)
def test_pairing_does_not_depend_on_the_order_of_the_rows(how):
    table = paired(np.random.default_rng(13), n=6)
    moved = how(table)
    for t in (table, moved):
        difference = pairs.wide(t, "reward", "router") - pairs.wide(
            t, "reward", "random"
        )
        frame = (
            pd.DataFrame(
                difference, index=t.session.unique(), columns=t.context.unique()
            )
            .sort_index()
            .sort_index(axis=1)
        )
        np.testing.assert_array_equal(
            frame,
            pairs.wide(table, "reward", "router")
            - pairs.wide(table, "reward", "random"),
        )


def test_wide_names_the_learners_there_are():
    with pytest.raises(
        InputError, match=r"no sessions of 'nobody'.*router, random, cheapest"
    ):
        pairs.wide(paired(np.random.default_rng(14)), "cost_usd", "nobody")


@pytest.mark.parametrize(
    "control",
    [
        lambda t: t.assign(session=t.session + 100),
        lambda t: t[t.session < 10],
        lambda t: t.sort_values("context", ascending=False, kind="stable"),
    ],
    ids=["other sessions", "fewer sessions", "contexts in another order"],
)
def test_a_comparison_is_refused_or_right_when_router_and_control_stand_differently(
    control,
):
    whole = paired(np.random.default_rng(15))
    expected = pairs.comparisons(whole, ["router"], ["random"])
    table = pd.concat(
        [whole[whole.learner == "router"], control(whole[whole.learner == "random"])],
        ignore_index=True,
    )
    try:
        found = pairs.comparisons(table, ["router"], ["random"])
    except InputError:
        return
    assert set(table[table.learner == "random"].session) == set(
        table[table.learner == "router"].session
    ), "paired sessions that are not the same"
    pd.testing.assert_frame_equal(found, expected)


def holm(p):
    """Holm's step-down, by hand: the adjusted p-values in the order given."""
    order, adjusted, largest = (
        sorted(range(len(p)), key=p.__getitem__),
        [0.0] * len(p),
        0.0,
    )
    for step, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - step) * p[i]))
        adjusted[i] = largest
    return adjusted


def test_comparisons_hold_every_pair_and_correct_over_the_rows_of_a_measure():
    table = paired(np.random.default_rng(16))
    found = pairs.comparisons(table, ["router"], ["random", "cheapest"])
    assert len(found) == 2 * 2 * 4
    for measure, part in found.groupby("measure"):
        assert part.p_holm.tolist() == pytest.approx(holm(part.p.tolist()))
        assert set(part.kind) == {
            "relative" if measure in ("cost_usd", "latency_ms") else "absolute"
        }
    for row in found.itertuples():
        x, y = (
            table[(table.context == row.context) & (table.learner == name)][
                row.measure
            ].to_numpy()
            for name in (row.learner, row.control)
        )
        assert row.p == pytest.approx(stats.ttest_rel(x, y).pvalue)
        assert row.change == pytest.approx(
            x.mean() / y.mean() - 1 if row.kind == "relative" else x.mean() - y.mean()
        )


# Groups and disguises


def grouped(values, **options):
    found = pairs.groups(
        sessions_table(
            {name: {"reward": np.asarray(v, float)} for name, v in values.items()}
        ),
        **options,
    )
    return dict(zip(found.learner, found.group, strict=True))


def test_strategies_that_are_the_same_share_a_group_and_distinct_ones_do_not():
    base = np.random.default_rng(17).normal(size=50)
    noise = np.random.default_rng(18).normal(size=50)
    found = grouped(
        {"worst": base - 3 + 0.1 * noise, "twin": base, "best": base + 2, "one": base}
    )
    assert found == {"best": 1, "one": 2, "twin": 2, "worst": 3}


def test_strategies_within_noise_of_each_other_share_a_group():
    rng = np.random.default_rng(19)
    found = grouped({name: rng.normal(size=200) for name in "abcd"})
    assert set(found.values()) == {1}


def test_where_less_is_better_the_groups_run_the_other_way():
    base = np.random.default_rng(20).normal(size=30)
    assert grouped({"low": base, "high": base + 1}) == {"high": 1, "low": 2}
    assert grouped({"low": base, "high": base + 1}, larger_is_better=False) == {
        "low": 1,
        "high": 2,
    }


def test_groups_are_those_of_each_context_with_means_and_intervals():
    rng = np.random.default_rng(21)
    x = rng.normal(size=40)
    table = sessions_table(
        {
            "a": {"c": {"reward": x + 1}, "d": {"reward": x}},
            "b": {"c": {"reward": x}, "d": {"reward": x + 1}},
        },
        ("c", "d"),
    )
    found = pairs.groups(table).set_index(["context", "learner"])
    assert found.group.to_dict() == {
        ("c", "a"): 1,
        ("c", "b"): 2,
        ("d", "b"): 1,
        ("d", "a"): 2,
    }
    theirs = stats.ttest_1samp(x + 1, 0).confidence_interval(0.95)
    assert tuple(found.loc[("c", "a"), ["low", "high"]]) == pytest.approx(
        (theirs.low, theirs.high)
    )


def test_alike_strategies_stay_together_in_all_contexts_of_95_studies_in_100():
    """In each of eight contexts a test at 5 % alone would part them in a third."""
    rng = np.random.default_rng(41)
    contexts = tuple("abcdefgh")
    parted = alone = 0
    for _ in range(100):
        each = {
            name: {c: {"reward": rng.normal(size=25)} for c in contexts}
            for name in ("one", "twin")
        }
        found = pairs.groups(sessions_table(each, contexts))
        parted += found.group.max() > 1
        p = [
            stats.ttest_rel(*(each[name][c]["reward"] for name in each)).pvalue
            for c in contexts
        ]
        alone += min(p) < 0.05
    assert stats.binomtest(parted, 100, 0.05, alternative="greater").pvalue > 0.01
    assert alone / 100 > 0.25


def test_a_groups_test_is_corrected_over_all_contexts():
    x = np.random.default_rng(22).normal(size=60)
    rng = np.random.default_rng(23)
    y = x - 0.05 + rng.normal(0, 0.17, 60)
    p = stats.ttest_rel(x, y).pvalue
    assert (
        0.05 / 6 < p < 0.05
    )  # alone it would be told apart, among six tests it is not
    assert grouped({"x": x, "y": y}) == {"x": 1, "y": 2}
    table = sessions_table(
        {
            "x": {"c": {"reward": x}} | {c: {"reward": x} for c in "defgh"},
            "y": {"c": {"reward": y}} | {c: {"reward": x} for c in "defgh"},
        },
        tuple("cdefgh"),
    )
    assert set(pairs.groups(table).group) == {1}
    assert grouped({"x": x, "y": y, "x again": x, "y again": y}) == {
        "x": 1,
        "x again": 1,
        "y": 1,
        "y again": 1,
    }


@pytest.mark.parametrize(
    ("share", "gain", "warning"),
    [
        (0.95, 0.0, True),
        (0.875, 0.0, True),
        (0.87, 0.0, False),
        (0.95, 0.5, False),
        (0.95, -0.5, True),
    ],
    ids=[
        "almost always one LLM",
        "at the bound",
        "below it",
        "but better",
        "and worse",
    ],
)
def test_a_disguise_is_one_llm_asked_almost_always_and_not_beaten(share, gain, warning):
    x = np.random.default_rng(24).normal(size=20)
    learners = {
        "router": {
            "reward": x + gain,
            "share:A": np.full(20, share),
            "share:B": np.full(20, 1 - share),
        },
        "A": {"reward": x, "share:A": np.ones(20), "share:B": np.zeros(20)},
        "B": {"reward": x - 9, "share:A": np.zeros(20), "share:B": np.ones(20)},
    }
    (row,) = pairs.disguises(
        sessions_table(learners), ["router"], ["A", "B"], share_of_queries=0.875
    ).to_dict("records")
    assert (row["model"], row["share"], row["warning"]) == (
        "A",
        pytest.approx(share),
        warning,
    )
    assert row["change"] == pytest.approx(gain)


def test_a_disguise_is_looked_for_in_each_context_on_its_own():
    x = np.random.default_rng(25).normal(size=10)

    def shares(a):
        return {"reward": x, "share:A": np.full(10, a), "share:B": np.full(10, 1 - a)}

    table = sessions_table(
        {
            "router": {"c": shares(1.0), "d": shares(0.0), "e": shares(0.5)},
            "A": shares(1.0),
            "B": shares(0.0),
        },
        ("c", "d", "e"),
    )
    found = pairs.disguises(table, ["router"], ["A", "B"])
    assert found.warning.tolist() == [True, True, False]
    assert found.model.tolist()[:2] == ["A", "B"]
