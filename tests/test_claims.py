"""The claims: every statement, every rule, and a record that keeps to both."""

import re

import numpy as np
import pandas as pd
import pytest

from pickllm import experiments, figures
from pickllm.analysis import claims, verdicts
from pickllm.files import root
from pickllm.publish import latex, report

BASELINES = {"most expensive", "random", "best single", "cheapest"}
LEARNERS = {"automaton", "qlearning"}
N, CONTEXTS = 120, ("c", "d", "e", "f")
SIGNS = np.tile([-1.0, 1.0], N // 2)


def record():
    return pd.read_csv(root() / "figures" / "claims.csv")


# Every statement


def asked(words, source, how, value=None):
    """Whom the claims with these words, measure, rule and value are about."""
    mine = [
        c
        for c in claims.CLAIMS
        if all(w in c.statement for w in words)
        and c.source.startswith(source)
        and (c.measure, c.rule) == how
        and c.value == value
    ]
    return {(c.learner, c.baseline) for c in mine}


def both(*baselines):
    return {(learner, baseline) for learner in LEARNERS for baseline in baselines}


@pytest.mark.parametrize(
    ("words", "source", "how", "value", "who"),
    [
        (
            ["converges to a single LLM for the remaining queries"],
            "abstract",
            ("locked", "share"),
            None,
            both(""),
        ),
        (
            ["the LLM that it converges to is the best one"],
            "secondary: tomesphere, emergentmind",
            ("locked on best", "share"),
            None,
            both(""),
        ),
        (
            ["learning rate", "speed of convergence"],
            "abstract",
            ("speed", "contexts"),
            None,
            both(""),
        ),
        (
            ["lower cost per querying session"],
            "abstract",
            ("change", "lower"),
            None,
            both(*BASELINES),
        ),
        (
            ["lower overall response latency"],
            "abstract",
            ("change", "lower"),
            None,
            both(*BASELINES),
        ),
        (["Linear Reward-Inaction"], "secondary", ("", ""), None, {("", "")}),
        (
            ["reward = (w_a a - w_c c) / (w_l log10(l) / t_scaling)"],
            "secondary: emergentmind",
            ("", ""),
            None,
            {("", "")},
        ),
        (
            ["reward = w_a a - w_c c w_l log10(l) t_scaling"],
            "secondary: themoonlight",
            ("", ""),
            None,
            {("", "")},
        ),
        (
            ["session cost -20 %"],
            "secondary",
            ("change", "stated"),
            -20.0,
            both(*BASELINES),
        ),
        (["latency -15 %"], "secondary", ("change", "stated"), -15.0, both(*BASELINES)),
        (
            ["selection accuracy +10 %", "accuracy of the answers"],
            "secondary",
            ("change", "stated"),
            10.0,
            both(*BASELINES),
        ),
        (
            ["selection accuracy +10 %", "queries sent to the best LLM"],
            "secondary",
            ("best share", "stated"),
            10.0,
            both("random"),
        ),
        (
            ["session cost -60 %"],
            "secondary: rohan-paul.com, emergentmind",
            ("change", "stated"),
            -60.0,
            both("most expensive"),
        ),
        (
            ["latency -52 %"],
            "secondary: rohan-paul.com",
            ("change", "stated"),
            -52.0,
            both("random"),
        ),
        (
            ["accuracy stays competitive"],
            "secondary: rohan-paul.com",
            ("difference", "competitive"),
            None,
            both("most expensive", "best single"),
        ),
    ],
    ids=lambda v: v[0][:40] if isinstance(v, list) else "",
)
def test_every_statement_is_a_claim_about_everyone_it_may_mean(
    words, source, how, value, who
):
    assert asked(words, source, how, value) == who


def test_each_claim_says_in_words_what_it_measures():
    columns = {"cost": "cost_usd", "latency": "latency_ms", "accuracy": "accuracy"}
    for claim in claims.CLAIMS:
        if claim.baseline:
            word = claim.id.split("-")[0]
            assert claim.column == columns.get(word, "best_share"), claim.id
            assert claim.statement.endswith(f"({claims.NAMES[claim.learner]})")
            assert claim.baseline in claim.statement.replace("random choice", "random")
        if claim.value is not None and claim.baseline:
            assert f"{claim.value:+g} %" in claim.statement
            assert f"-{abs(claim.value):g}-" in claim.id


def test_differences_of_shares_count_in_points_and_relative_changes_in_percent():
    """Found from what each measure computes, on sessions whose answer is known."""
    table = sessions(
        cost_usd=constant(1.5),
        accuracy=constant(0.75),
        best_share=constant(0.5),
    )
    found = judged(
        "cost-better-lri-random",
        "accuracy-competitive-lri-best-single",
        "accuracy-10-lri-random",
        "selection-10-lri-random",
        table=table,
    )
    assert found.measured.tolist() == pytest.approx([50, 25, 50, 25])
    assert found.unit.tolist() == ["%", "points", "%", "points"]
    shown = {row["unit"]: row["value"] for row in report.claim_rows(found)}
    assert shown == {"%": "+50.0 %", "points": "+25.0 points"}


def test_points_are_called_points_wherever_a_claim_is_shown():
    row = record().query("id == 'selection-10-lri-random'")
    assert row.unit.item() == "points"
    (shown,) = report.claim_rows(row)
    assert shown["value"] == f"{row.measured.item():+.1f} points"
    assert shown["stated"] == "+10 points"
    assert latex.quantity(shown["value"]).endswith(" points")
    names = figures.claims(record()).axes[0].get_yticklabels()
    marked = {name.get_text() for name in names if "(points)" in name.get_text()}
    points = record().query("unit == 'points'").id
    assert marked == {f"{name} (points)" for name in points}
    assert len(marked) == 6


def test_every_claim_names_a_measure_and_a_rule_or_says_why_it_has_none():
    for claim in claims.CLAIMS:
        if claim.untestable:
            assert (claim.measure, claim.rule, claim.value) == ("", "", None)
        else:
            assert claim.measure in verdicts.MEASURES, claim.id
            assert claim.rule in verdicts.RULES, claim.id
    assert set(claims.UNITS) <= set(verdicts.MEASURES)


def test_ids_are_unique_and_the_record_has_every_claim_in_order():
    ids = [c.id for c in claims.CLAIMS]
    assert len(set(ids)) == len(ids)
    assert record().id.tolist() == ids


def test_the_records_columns_are_those_promised():
    with open(root() / "figures" / "claims.csv", encoding="utf-8") as file:
        assert (
            file.readline() == "id,statement,source,paper_value,measured,low,high,"
            "low_queries,high_queries,unit,verdict,reason,random,least,most\n"
        )


def test_the_record_repeats_statement_source_and_stated_value():
    for claim, row in zip(claims.CLAIMS, record().itertuples(index=False), strict=True):
        stated = np.nan if claim.value is None else claim.value
        assert (row.statement, row.source, row.unit) == (
            claim.statement,
            claim.source,
            claim.unit,
        )
        assert row.paper_value == stated or (
            np.isnan(row.paper_value) and np.isnan(stated)
        )


# The rules, on sessions made for each side of each bound


def constant(value):
    return {c: np.full(N, value) for c in CONTEXTS}


def spread(value, half):
    """Values in every context whose mean has a 95 % interval of +-half."""
    from scipy.stats import t

    return {
        c: value + half / (t.ppf(0.975, N - 1) * SIGNS.std(ddof=1) / np.sqrt(N)) * SIGNS
        for c in CONTEXTS
    }


def sessions(**router):
    """Sessions of all strategies in all settings, the routers' as told.

    Every control costs 1, takes 1 and is right with 0.5.
    """
    base = {
        "cost_usd": constant(1.0),
        "latency_ms": constant(1.0),
        "accuracy": constant(0.5),
    }
    locked, on_best, best_share = (
        router.pop(name, constant(value))
        for name, value in (("locked", 1.0), ("on_best", 1.0), ("best_share", 0.5))
    )
    parts = []
    for weights in experiments.WEIGHTS:
        for context in CONTEXTS:
            for name in (*experiments.ROUTERS, *experiments.CONTROLS):
                mine = base | (router if name in experiments.ROUTERS else {})
                routed = name in experiments.ROUTERS
                yes = (locked[context] if routed else np.zeros(N)).astype(bool)
                best = pd.array(
                    [
                        bool(b) if k else None
                        for k, b in zip(yes, on_best[context], strict=True)
                    ],
                    dtype="boolean",
                )
                share = (
                    best_share[context]
                    if routed
                    else np.full(N, 1.0 if name == "best single" else 0.25)
                )
                columns = {k: v[context] for k, v in mine.items()} | {
                    "locked_at": np.where(yes, 50, -1),
                    "locked_on_best": best,
                    "share:A": share,
                    "top_model": "A",
                }
                parts.append(
                    pd.DataFrame(
                        {
                            "weights": weights,
                            "context": context,
                            "learner": name,
                            "session": np.arange(N),
                        }
                        | columns
                    )
                )
    return pd.concat(parts, ignore_index=True)


SOONER = ((300, 100, 20),) * len(CONTEXTS)


def locking(medians=SOONER):
    rows = [
        (learner, c, rate, m)
        for learner in LEARNERS
        for c, row in zip(CONTEXTS, medians, strict=True)
        for rate, m in zip((0.05, 0.1, 0.3), row, strict=True)
    ]
    return pd.DataFrame(rows, columns=["learner", "context", "learning_rate", "median"])


def judged(*ids, table=None, lock=None, checks=None, spreads=None):
    """The rows of some claims; the others are not measured."""
    found = verdicts.judge(
        sessions() if table is None else table,
        locking() if lock is None else lock,
        checks,
        [c for c in claims.CLAIMS if c.id in ids],
        spreads,
    ).set_index("id")
    assert found.index.tolist() == list(ids)
    return found


def changed(percent):
    return {
        c: np.full(N, 1 + p / 100)
        for c, p in zip(
            CONTEXTS,
            percent if np.ndim(percent) else [percent] * len(CONTEXTS),
            strict=True,
        )
    }


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (-60, "reproduced"),
        (-74.9, "reproduced"),
        (-45.1, "reproduced"),
        (-75.1, "not reproduced"),
        (-44.9, "not reproduced"),
        (-0.1, "not reproduced"),
        (60, "not reproduced"),
    ],
)
def test_a_stated_fall_is_reproduced_within_a_quarter_of_it(change, verdict):
    (row,) = judged(
        "cost-60-lri-most-expensive", table=sessions(cost_usd=changed(change))
    ).itertuples()
    assert (row.verdict, row.measured, row.low, row.high) == (
        verdict,
        *[pytest.approx(change)] * 3,
    )
    assert row.paper_value == -60
    assert f"{abs(change + 60):.1f} points" in row.reason


@pytest.mark.parametrize(
    ("middle", "half", "verdict"),
    [
        (-74, 0.9, "reproduced"),
        (-74, 1.1, "inconclusive"),
        (-46, 0.9, "reproduced"),
        (-46, 1.1, "inconclusive"),
        (-60, 16, "inconclusive"),
        (-76, 1.1, "inconclusive"),
        (-76, 0.9, "not reproduced"),
        (-2, 1.9, "not reproduced"),
    ],
)
def test_a_stated_fall_is_judged_by_the_whole_interval_not_the_estimate(
    middle, half, verdict
):
    (row,) = judged(
        "cost-60-lri-most-expensive",
        table=sessions(cost_usd=spread(1 + middle / 100, half / 100)),
    ).itertuples()
    assert (row.measured, row.low, row.high) == pytest.approx(
        (middle, middle - half, middle + half)
    )
    assert row.verdict == verdict


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (10, "reproduced"),
        (12.4, "reproduced"),
        (12.6, "not reproduced"),
        (7.4, "not reproduced"),
        (-10, "not reproduced"),
    ],
)
def test_a_stated_rise_has_the_other_side(change, verdict):
    accuracy = {c: 0.5 * v for c, v in changed(change).items()}
    (row,) = judged(
        "accuracy-10-qlearning-random", table=sessions(accuracy=accuracy)
    ).itertuples()
    assert row.verdict == verdict


def test_fewer_sessions_never_make_more_values_reproduced():
    """Whatever the value is: the chance to be called reproduced grows with sessions
    where it is near the stated one, and is never above 5 % where it is not."""
    rng = np.random.default_rng(1)
    claim = next(c for c in claims.CLAIMS if c.id == "cost-60-lri-most-expensive")
    found = {}
    for true in (-60, -70, -44, -20, 0):
        for n in (5, 20, 100, 1000):
            values = rng.normal(1 + true / 100, 0.3, (200, n))
            verdict = [
                verdicts.RULES["stated"](
                    claim, verdicts.Measured(estimate, [estimate])
                )[0]
                for row in values
                for estimate in [verdicts._change(claim, row, np.ones(n))]
            ]
            found[true, n] = np.mean(np.array(verdict) == "reproduced")
    for true in (-60, -70):
        shares = [found[true, n] for n in (5, 20, 100, 1000)]
        assert shares == sorted(shares)
        assert shares[0] < 0.1 < 0.9 < shares[-1]
    assert max(found[true, n] for true, n in found if true > -45) <= 0.05
    counts = [sum(found[true, n] for true in (-60, -70)) for n in (5, 20, 100, 1000)]
    assert counts == sorted(counts)


@pytest.mark.parametrize("middle", np.linspace(-90, 10, 41))
def test_a_wider_interval_never_turns_a_verdict_into_reproduced_or_not(middle):
    claim = next(c for c in claims.CLAIMS if c.id == "cost-60-lri-most-expensive")
    last = ""
    for half in np.linspace(0, 60, 25):
        estimate = verdicts.Estimate(middle, middle - half, middle + half)
        found = verdicts.Measured(estimate, [estimate])
        verdict = verdicts.RULES["stated"](claim, found)[0]
        assert verdict in (last or verdict, "inconclusive")
        last = verdict
    assert last == "inconclusive"


def of_queries(claim, all_, each=None, resamples=30):
    """Spreads over queries as `queries.spreads` gives them."""
    each = [all_] * len(CONTEXTS) if each is None else each
    return pd.DataFrame(
        {
            "id": claim,
            "context": ["mean", *CONTEXTS],
            "spread": [all_, *each],
            "of_sessions": 0.1,
            "resamples": resamples,
        }
    )


def test_a_verdict_goes_by_the_interval_for_queries_like_these():
    from scipy.stats import t

    name = "cost-60-lri-most-expensive"
    table = sessions(cost_usd=spread(0.4, 0.05))
    (row,) = judged(name, table=table, spreads=of_queries(name, 8.0)).itertuples()
    half = np.hypot(5, t.ppf(0.975, 29) * 8)
    assert (row.low, row.high) == pytest.approx((-65, -55))
    assert (row.low_queries, row.high_queries) == pytest.approx(
        (-60 - half, -60 + half)
    )
    assert row.verdict == "inconclusive"
    (alone,) = judged(name, table=table).itertuples()
    assert alone.verdict == "reproduced"
    assert np.isnan([alone.low_queries, alone.high_queries]).all()


def test_a_context_is_better_only_if_it_is_for_queries_like_these():
    name = "cost-better-lri-random"
    table = sessions(cost_usd=changed(-10))
    for each, verdict in (([1, 1, 1, 9], "reproduced"), ([1, 1, 9, 9], "partly")):
        found = judged(name, table=table, spreads=of_queries(name, 1.0, each))
        assert found.verdict.tolist() == [verdict]


def test_an_interval_for_such_queries_ends_where_its_measure_does():
    name = "converges-lri"
    locked = {c: (np.arange(N) % 40 < 38).astype(float) for c in CONTEXTS}
    found = judged(name, table=sessions(locked=locked), spreads=of_queries(name, 20.0))
    assert found.high_queries.item() == 100.0
    fall = "cost-60-lri-most-expensive"
    found = judged(
        fall, table=sessions(cost_usd=changed(-60)), spreads=of_queries(fall, 90.0)
    )
    assert found.low_queries.item() == -100.0


@pytest.mark.parametrize(
    ("contexts", "verdict"),
    [
        ((-10, -10, -10, -10), "reproduced"),
        ((-10, -10, -10, 20), "reproduced"),
        ((-10, -10, -10, 40), "partly"),
        ((-10, -10, 5, 5), "partly"),
        ((-10, -10, 20, 20), "partly"),
        ((-40, 5, 5, 5), "partly"),
        ((-10, 5, 5, 5), "not reproduced"),
        ((5, 5, 5, 5), "not reproduced"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("column", "claim"), [("cost_usd", "cost-better"), ("latency_ms", "latency-better")]
)
def test_better_needs_the_mean_and_three_quarters_of_the_contexts(
    contexts, verdict, column, claim
):
    (row,) = judged(
        f"{claim}-lri-cheapest", table=sessions(**{column: changed(contexts)})
    ).itertuples()
    assert row.verdict == verdict
    assert row.measured == pytest.approx(np.mean(contexts))
    assert row.reason.startswith(
        f"lower in {sum(c < 0 for c in contexts)} of 4 contexts"
    )


@pytest.mark.parametrize(
    ("half", "verdict"), [(0.9, "reproduced"), (1.1, "not reproduced")]
)
def test_a_context_counts_as_better_only_with_an_interval_below_0(half, verdict):
    (row,) = judged(
        "cost-better-lri-random", table=sessions(cost_usd=spread(0.99, half / 100))
    ).itertuples()
    assert row.verdict == verdict


@pytest.mark.parametrize(
    ("points", "half", "verdict"),
    [
        (-4.9, 0, "reproduced"),
        (-4, 0.9, "reproduced"),
        (-4, 1.1, "partly"),
        (-4.9, 3, "partly"),
        (-5.1, 0, "not reproduced"),
        (-5.1, 3, "not reproduced"),
        (8, 1, "reproduced"),
    ],
)
def test_competitive_accuracy_is_within_the_margin(points, half, verdict):
    (row,) = judged(
        "accuracy-competitive-lri-best-single",
        table=sessions(accuracy=spread(0.5 + points / 100, half / 100)),
    ).itertuples()
    assert (row.verdict, row.unit) == (verdict, "points")
    assert (row.measured, row.low) == pytest.approx((points, points - half), abs=1e-9)


@pytest.mark.parametrize(
    ("share", "verdict"),
    [
        (10, "reproduced"),
        (7.6, "reproduced"),
        (12.4, "reproduced"),
        (12.6, "not reproduced"),
        (7.4, "not reproduced"),
        (-10, "not reproduced"),
    ],
)
def test_selection_counts_queries_sent_to_the_best_llm_against_random_choice(
    share, verdict
):
    (row,) = judged(
        "selection-10-lri-random",
        table=sessions(best_share=constant(0.25 + share / 100)),
    ).itertuples()
    assert (row.verdict, row.measured) == (verdict, pytest.approx(share))


def of_40(*counts):
    """How many of 40 sessions say yes in each context, three times over."""
    return {
        c: (np.arange(N) % 40 < k).astype(float)
        for c, k in zip(CONTEXTS, counts, strict=True)
    }


@pytest.mark.parametrize(
    ("yes", "verdict"),
    [
        ((40, 40, 40, 40), "reproduced"),
        ((38, 38, 38, 38), "partly"),
        ((40, 40, 40, 36), "reproduced"),
        ((40, 40, 40, 35), "partly"),
        ((19, 19, 19, 19), "partly"),
        ((18, 19, 19, 19), "not reproduced"),
        ((0, 0, 0, 0), "not reproduced"),
    ],
    ids=str,
)
def test_convergence_needs_its_bound_or_half_of_it(yes, verdict):
    (row,) = judged("converges-lri", table=sessions(locked=of_40(*yes))).itertuples()
    assert row.measured == pytest.approx(100 * sum(yes) / 160)
    assert 0 <= row.low <= row.measured <= row.high <= 100
    assert row.verdict == verdict
    assert np.isnan(row.paper_value)  # the bound is ours, no value is stated


@pytest.mark.parametrize(
    ("right", "verdict"),
    [
        ((40, 40, 40, 40), "reproduced"),
        ((38, 38, 38, 38), "partly"),
        ((19, 19, 19, 19), "partly"),
        ((18, 19, 19, 19), "not reproduced"),
    ],
    ids=str,
)
def test_convergence_to_the_right_llm_counts_all_sessions(right, verdict):
    found = judged(
        "converges-lri", "converges-right-lri", table=sessions(on_best=of_40(*right))
    )
    assert found.verdict.tolist() == ["reproduced", verdict]
    (row,) = judged(
        "converges-right-qlearning", table=sessions(locked=of_40(20, 20, 20, 20))
    ).itertuples()
    assert row.measured == pytest.approx(50)


INF = np.nan  # a median beyond the session has no number


@pytest.mark.parametrize(
    ("medians", "holds", "verdict"),
    [
        ([(300, 100, 20)] * 4, 4, "reproduced"),
        ([(INF, INF, 20)] * 4, 4, "reproduced"),
        ([(300, 100, 20)] * 3 + [(300, 100, 100)], 3, "partly"),
        ([(300, 100, 20)] * 2 + [(100, INF, INF)] * 2, 2, "partly"),
        ([(300, 100, 20)] + [(20, 100, 300)] * 3, 1, "not reproduced"),
        ([(100, 100, INF)] * 4, 0, "not reproduced"),
    ],
    ids=[
        "all",
        "beyond the session counts as last",
        "a tie does not count",
        "half",
        "less than half",
        "none",
    ],
)
def test_speed_counts_contexts_where_every_higher_rate_locks_sooner(
    medians, holds, verdict
):
    (row,) = judged("speed-lri", lock=locking(medians)).itertuples()
    assert (row.verdict, row.measured) == (verdict, holds / 4)
    assert f"in {holds} of 4 contexts" in row.reason


def test_statements_that_outcomes_cannot_decide_are_not_testable_and_have_no_number():
    untested = judged("update-lri", "reward-ratio", "reward-product")
    assert set(untested.verdict) == {"not testable"}
    numbers = ["measured", "low", "high", "low_queries", "high_queries"]
    assert untested[numbers].isna().all(axis=None)
    assert (untested.reason.str.len() > 20).all()


def test_another_check_is_named_in_the_reason_and_moves_no_verdict():
    other = sessions(cost_usd=changed(30))
    checks = {"second pool": other[other.weights == experiments.MAIN_WEIGHTS]}
    (row,) = judged(
        "cost-60-lri-most-expensive",
        table=sessions(cost_usd=changed(-60)),
        checks=checks,
    ).itertuples()
    assert row.verdict == "reproduced"
    assert row.reason.endswith("second pool +30.0 (+30.0 to +30.0)")


def test_claims_are_measured_at_the_main_weights_and_the_reason_names_the_others():
    table = sessions(cost_usd=changed(-60))
    other = (table.weights == "cost first") & table.learner.isin(experiments.ROUTERS)
    table.loc[other, "cost_usd"] = 0.25
    (row,) = judged("cost-60-lri-most-expensive", table=table).itertuples()
    assert row.measured == pytest.approx(-60)
    assert "cost first -75.0" in row.reason


def test_fixed_llms_in_the_table_change_nothing():
    table = sessions(cost_usd=changed(-60))
    fixed = table[table.learner == "cheapest"].assign(learner="model-a", cost_usd=7.0)
    ids = ["converges-lri", "cost-60-lri-most-expensive", "selection-10-lri-random"]
    pd.testing.assert_frame_equal(
        judged(*ids, table=table),
        judged(*ids, table=pd.concat([table, fixed], ignore_index=True)),
    )


def test_every_claim_gets_one_row_with_a_verdict_and_a_reason():
    found = verdicts.judge(sessions(), locking())
    assert found.id.tolist() == [c.id for c in claims.CLAIMS]
    assert found.columns.tolist() == list(verdicts.COLUMNS)
    assert set(found.verdict) <= {
        "reproduced",
        "partly",
        "inconclusive",
        "not reproduced",
        "not testable",
    }
    assert found.reason.str.len().gt(10).all()


# The record against its own rules


def recomputed(row):
    """The verdict that a row's own numbers give, found from the rules' text."""
    rule = {c.id: c for c in claims.CLAIMS}[row.id].rule
    lower = re.search(r"lower in (\d+) of (\d+) contexts", row.reason)
    low, high = row.low, row.high
    if not np.isnan(row.low_queries):
        low, high = row.low_queries, row.high_queries
    if rule == "stated":
        reach = abs(row.paper_value) / 4
        if high < row.paper_value - reach or low > row.paper_value + reach:
            return "not reproduced"
        inside = row.paper_value - reach <= low and high <= row.paper_value + reach
        return "reproduced" if inside else "inconclusive"
    if rule == "lower":
        share = int(lower[1]) / int(lower[2])
        first = high < 0 and share >= 0.75
        second = high < 0 or share >= 0.5
        by_chance = row.random < 0 and not row.id.endswith("-random")
        if second and by_chance:
            return "not informative"
    elif rule == "competitive":
        first = low > -5
        second = row.measured > -5
    elif rule == "share":
        first = low >= 95
        second = row.measured >= 47.5
    elif rule == "contexts":
        first = row.measured == 1
        second = row.measured >= 0.5
    else:
        return "not testable"
    if first:
        return "reproduced"
    return "partly" if second else "not reproduced"


@pytest.mark.parametrize("claim", [c.id for c in claims.CLAIMS])
def test_each_verdict_on_record_follows_from_its_own_numbers(claim):
    (row,) = (r for r in record().itertuples() if r.id == claim)
    verdict = recomputed(row)
    assert row.verdict == verdict


def test_measured_values_on_record_lie_within_their_intervals():
    frame = record().dropna(subset="measured")
    assert ((frame.low <= frame.measured) & (frame.measured <= frame.high)).all()
    known = {"reproduced", "partly", "inconclusive", "not reproduced"}
    known |= {"not informative"}
    assert set(frame.verdict) <= known


def test_the_readmes_table_is_the_record():
    text = (root() / "README.md").read_text("utf-8")
    begin, end = report.MARKERS
    assert text.count(begin) == text.count(end) == 1
    table = text.split(begin)[1].split(end)[0].strip()
    assert table == report.readme_claims(root() / "figures"), (
        "README's table of claims is stale: run `make reproduce`"
    )


def test_the_readmes_table_is_replaced_between_its_markers_alone(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(
        f"before\n{report.MARKERS[0]}\nold\n{report.MARKERS[1]}\nafter\n", "utf-8"
    )
    report.update_readme(report.claims_markdown(record().head(3)), path)
    first = path.read_text("utf-8")
    assert first.startswith(f"before\n{report.MARKERS[0]}\n| claim |")
    assert first.endswith(f"{report.MARKERS[1]}\nafter\n")
    assert "old" not in first
    report.update_readme(report.claims_markdown(record().head(3)), path)
    assert path.read_text("utf-8") == first


def test_a_readme_without_markers_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("nothing", "utf-8")
    with pytest.raises(ValueError, match="markers"):
        report.update_readme(report.claims_markdown(record()), path)
    assert path.read_text("utf-8") == "nothing"


# In the light of what chance has, and none can reach

REACH = pd.DataFrame(
    [
        ("cost", "most expensive", -90.0, 0.0, -60.0),
        ("cost", "random", -75.0, 150.0, -1e-14),  # 0, but for rounding
        ("latency", "random", -33.8, 40.0, 0.0),
    ],
    columns=["measure", "baseline", "low", "high", "random"],
)


def test_a_direction_that_random_choice_has_too_is_not_informative():
    names = ["cost-better-lri-most-expensive", "cost-better-lri-random"]
    chosen = [claim for claim in claims.CLAIMS if claim.id in names]
    plain = verdicts.judge(sessions(), locking(), claims=chosen).set_index("id")
    seen = verdicts.judge(sessions(), locking(), claims=chosen, reach=REACH)
    seen = seen.set_index("id")
    for name in names:
        holds = plain.verdict[name] in ("reproduced", "partly")
        dull = holds and name.endswith("most-expensive")
        expected = "not informative" if dull else plain.verdict[name]
        assert seen.verdict[name] == expected
    row = seen.loc["cost-better-lri-most-expensive"]
    assert (row["random"], row.least, row.most) == (-60.0, -90.0, 0.0)
    assert seen.measured.equals(plain.measured)


def test_a_stated_number_that_no_blind_router_reaches_says_so():
    chosen = [claim for claim in claims.CLAIMS if claim.id == "latency-52-lri-random"]
    row = verdicts.judge(sessions(), locking(), claims=chosen, reach=REACH).iloc[0]
    assert row.reason.startswith(
        "no router that does not see the query is beyond -33.8"
    )
