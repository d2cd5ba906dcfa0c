"""What routers can reach: against enumeration, a grid of all mixtures, and one context
in closed form.
"""

import itertools

import numpy as np
import pandas as pd
import pytest

import pickllm as pk
from pickllm.beyond.attainable import (
    BASELINES,
    MEASURES,
    attainable,
    changes,
    feasible,
)

MAIN, ALL = "bfcl-2024-08-11", "bfcl-2024-08-11-all"
REWARD = pk.Reward(form="linear", w_cost=0.01, w_latency=0.05)
#: context -> LLM -> accuracy, US dollars, milliseconds.
MEANS = {
    "maths": {"a": (0.9, 0.03, 3000.0), "b": (0.6, 0.01, 900.0), "c": (0.5, 0.02, 400)},
    "law": {"a": (0.4, 0.02, 2000.0), "b": (0.7, 0.03, 1000.0), "c": (0.3, 0.01, 700)},
}


def small(means=MEANS, spread=0.1):
    """Two queries to a context, whose means are those given."""
    rows = [
        (f"{c}{i}", c, m, a + s * spread, 1, 1, ms * (1 + s * spread), usd)
        for c, llms in means.items()
        for i, s in enumerate((-1, 1))
        for m, (a, usd, ms) in llms.items()
    ]
    columns = ["query_id", "context", "model", "accuracy", "input_tokens"]
    columns += ["output_tokens", "latency_ms", "cost_usd"]
    return pk.Trace.from_frame(pd.DataFrame(rows, columns=columns))


def by_hand(mixture, measure, baseline):
    """The mean over contexts of a mixture's change, from the means alone."""
    column = {"accuracy": 0, "cost": 1, "latency": 2}[measure.split()[-1]]
    best = {"maths": "a", "law": "b"}  # by the accuracies: cost and time weigh little
    dearest, cheapest = {"maths": "a", "law": "b"}, {"maths": "b", "law": "c"}
    total = []
    for context, shares in mixture.items():
        llms = MEANS[context]
        level = sum(w * llms[m][column] for m, w in zip("abc", shares, strict=True))
        named = {"most expensive": dearest, "best single": best, "cheapest": cheapest}
        if baseline == "random":
            base = sum(llm[column] for llm in llms.values()) / 3
        else:
            base = llms[named[baseline][context]][column]
        points = measure == "accuracy"
        total.append(level - base if points else level / base - 1)
    return 100 * sum(total) / len(total)


def test_the_ends_are_those_of_all_ways_to_choose_one_llm_in_each_context():
    found = attainable(small(), REWARD)
    assert len(found) == len(MEASURES) * len(BASELINES)
    for row in found.itertuples():
        corners = [
            by_hand({"maths": one, "law": other}, row.measure, row.baseline)
            for one, other in itertools.product(np.eye(3), repeat=2)
        ]
        assert row.low == pytest.approx(min(corners))
        assert row.high == pytest.approx(max(corners))
        third = np.full(3, 1 / 3)
        even = by_hand({"maths": third, "law": third}, row.measure, row.baseline)
        assert row.random == pytest.approx(even, abs=1e-9)


def test_in_one_context_they_are_those_of_single_llms_and_linprog_s():
    for context in MEANS:
        trace = small().select(context=context)
        for row in attainable(trace, REWARD).itertuples():
            (alone,) = changes(trace, REWARD, row.measure, row.baseline)
            assert (row.low, row.high) == (alone.min(), alone.max())
            wanted = {(row.measure, row.baseline): 0.0}
            better = alone.min()
            if not MEASURES[row.measure].less_is_better:
                better = -alone.max()
            assert feasible(trace, REWARD, wanted).shortfall == pytest.approx(better)


WANTED = {("cost", "most expensive"): -30.0, ("accuracy", "random"): 8.0}


@pytest.mark.parametrize("exactly", [False, True])
@pytest.mark.parametrize(
    "wanted",
    [
        WANTED,
        WANTED | {("latency", "random"): -30.0},
        {("latency", "best single"): -40.0, ("relative accuracy", "cheapest"): 30.0},
        {("cost", "random"): 10.0, ("latency", "most expensive"): -20.0},
    ],
)
def test_the_shortfall_is_the_least_on_a_grid_of_all_mixtures(wanted, exactly):
    steps = np.arange(0, 1.001, 1 / 30)
    grid = np.array([(x, y, 1 - x - y) for x in steps for y in steps if x + y < 1.001])
    missed = []
    for (measure, baseline), stated in wanted.items():
        none = np.zeros(3)
        parts = [  # a measure is a sum of what each context adds
            [by_hand({c: w, d: none}, measure, baseline) for w in grid]
            for c, d in (("maths", "law"), ("law", "maths"))
        ]
        offset = by_hand({"maths": none, "law": none}, measure, baseline)
        change = np.add.outer(*map(np.array, parts)) - offset
        sign = 1 if MEASURES[measure].less_is_better else -1
        missed.append(abs(change - stated) if exactly else sign * (change - stated))
    least = np.max(missed, axis=0).min()
    found = feasible(small(), REWARD, wanted, exactly=exactly)
    assert least - 1.5 < found.shortfall <= least + 1e-9
    assert found.met == (found.shortfall <= 1e-6)
    assert (found.mixture > -1e-9).all()
    np.testing.assert_allclose(found.mixture.sum(axis=1), 1)
    mixture = dict(zip(MEANS, found.mixture, strict=True))
    for pair, reached in found.reached.items():
        assert reached == pytest.approx(by_hand(mixture, *pair), abs=1e-6)


def test_what_is_missed_by_the_tolerance_is_met():
    wanted = {("latency", "random"): -95.0}
    found = feasible(small(), REWARD, wanted)
    assert not found.met
    assert found.shortfall > 1
    assert feasible(small(), REWARD, wanted, found.shortfall).met
    assert not feasible(small(), REWARD, wanted, found.shortfall - 0.01).met


@pytest.fixture(scope="module")
def pools():
    """Every pool of four from the seven LLMs of the two pools of four."""
    names = {m for n in (MAIN, f"{MAIN}-second") for m in pk.load_trace(n).models}
    trace = pk.load_trace(ALL)
    return [trace.select(models=p) for p in itertools.combinations(sorted(names), 4)]


def test_no_router_of_the_main_pool_halves_the_latency_of_random_choice(rows):
    found = attainable(rows[MAIN], pk.Reward()).set_index(["measure", "baseline"])
    assert found.low["latency", "random"] == pytest.approx(-33.8, abs=0.05)
    sample = attainable(pk.load_trace(MAIN), pk.Reward())
    lowest = sample.set_index(["measure", "baseline"]).low["latency", "random"]
    assert lowest == pytest.approx(-33.8, abs=0.3)


def test_the_two_stated_savings_are_met_together_in_no_pool_of_seven_llms(pools):
    """Read as equal within 5; as "at least", four pools with Opus can."""
    stated = {("cost", "most expensive"): -60.0, ("latency", "random"): -52.0}
    assert len(pools) == 35
    exact = [feasible(p, pk.Reward(), stated, 5.0, exactly=True) for p in pools]
    assert not any(found.met for found in exact)
    least = [p for p in pools if feasible(p, pk.Reward(), stated).met]
    assert len(least) == 4
    assert all("claude-3-opus-20240229" in pool.models for pool in least)


@pytest.mark.parametrize("exactly", [False, True])
def test_the_three_stated_numbers_can_only_be_against_random_choice(pools, exactly):
    """Within 5 points, accuracy as relative change."""
    met = {}
    for baseline in BASELINES:
        three = {"cost": -20.0, "latency": -15.0, "relative accuracy": 10.0}
        wanted = {(measure, baseline): value for measure, value in three.items()}
        each = [feasible(p, pk.Reward(), wanted, 5.0, exactly).met for p in pools]
        met[baseline] = sum(each)
    assert met.pop("random") == 35
    assert set(met.values()) == {0}


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({}, "no number is wanted"),
        ({("price", "random"): 1.0}, "unknown 'price'"),
        ({("cost", "dearest"): 1.0}, "unknown 'dearest'"),
        ({("cost", "random"): float("nan")}, "must be a finite number, got nan"),
    ],
)
def test_a_question_that_has_no_answer_is_refused_in_one_line(wanted, said):
    with pytest.raises(pk.InputError, match=said) as caught:
        feasible(small(), REWARD, wanted)
    assert "\n" not in str(caught.value)


def test_a_change_relative_to_nothing_is_no_number():
    free = {
        c: {m: (a, 0.0, ms) for m, (a, _, ms) in v.items()} for c, v in MEANS.items()
    }
    found = attainable(small(free), REWARD).set_index("measure")
    assert found.loc["cost", ["low", "high", "random"]].isna().all(axis=None)
    assert found.loc["latency"].notna().all(axis=None)
    with pytest.raises(pk.InputError, match="got 0 there in a context"):
        feasible(small(free), REWARD, {("cost", "random"): -1.0})
