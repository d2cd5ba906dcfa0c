"""A trace of one's own: awkward names, free LLMs, ties, few queries."""

import numpy as np
import pandas as pd
import pytest

import pickllm as pk
from pickllm import experiments
from pickllm.analysis import findings, means, outcomes, pairs, verdicts
from pickllm.core import statistics
from pickllm.core.trace_file import COLUMNS
from pickllm.study.parameters import joined, listed
from pickllm.study.runs import study_runs

CONTEXTS = ("mean", "all", "a, b")
MODELS = ("random", 'say "hi", please', "x/y ü")


def own(
    models=MODELS,
    contexts=CONTEXTS,
    n=20,
    cost=(1e-4, 2e-3, 0.0),
    seed=0,
    alike=False,
    **changes,
):
    """A trace that brings its own costs; the last LLM costs nothing."""
    rng = np.random.default_rng(seed)
    rows = [
        (
            f"{c}-{i}",
            c,
            m,
            float(rng.random() < 0.4 + 0.15 * j) if not alike else i % 2,
            100,
            10,
            500.0 + 100 * i if alike else 300 * rng.lognormal(),
            cost[j],
        )
        for c in contexts
        for i in range(n)
        for j, m in enumerate(models)
    ]
    return pk.Trace.from_frame(
        pd.DataFrame(rows, columns=[*COLUMNS, "cost_usd"]).assign(**changes), name="own"
    )


def simulated(trace, sessions=12, queries=40):
    """What the sessions notebook computes, for all weights."""
    fixed = experiments.fixed(trace.models)
    strategies = experiments.routers() | experiments.CONTROLS | fixed
    tables = [
        pk.sweep(
            trace,
            experiments.reward(w),
            strategies,
            sessions=sessions,
            queries=queries,
            seed=0,
        ).assign(weights=w)
        for w in experiments.WEIGHTS
    ]
    return pd.concat(tables, ignore_index=True), fixed


def locked(trace, sessions=10, queries=40):
    """What the convergence notebooks compute."""
    table = locking_sessions(trace, sessions, queries)
    by = ["learner", "context", "position", "learning_rate"]
    found = statistics.locking(table, by, queries)
    return found.assign(chance=1 / len(trace.models))


def locking_sessions(trace, sessions=10, queries=40):
    """The sessions behind it."""
    parts = [
        pk.replay(
            trace.select(context=c),
            experiments.reward(),
            experiments.learner(name, rate),
            sessions=sessions,
            queries=queries,
            seed=0,
        )
        .table()
        .assign(learner=name, context=c, position=k, learning_rate=rate)
        for k, c in enumerate(trace.contexts)
        for name in experiments.ROUTERS
        for rate in (0.1, 0.3)
    ]
    return pd.concat(parts)


# Names


@pytest.mark.parametrize(
    "names",
    [
        ["all"],
        ["a, b", "all"],
        ['"', "'", ","],
        [" lead", "trail "],
        ["a\nb", "c"],
        ["NA", "None", "1"],
        ["x", "a=b; c"],
    ],
)
def test_a_list_of_names_survives_being_a_parameter(names):
    assert listed(joined(names), names, "context") == names
    assert listed("all", names, "context") == names  # the word itself still means each


def test_each_context_has_a_run_of_its_own_that_any_disk_can_hold():
    contexts = [
        "simple",
        "Simple",
        "a/b",
        "a b",
        "a.b",
        "../up",
        "*",
        "ü" * 300,
        "x" * 300,
        "v1.0",
        "v1.1",
    ]
    runs = study_runs(own(contexts=contexts, n=1))
    names = [r.name for r in runs]
    assert len({n.lower() for n in names}) == len(names)
    assert all(n.isascii() and len(n) < 100 and not set(n) & set("./* ") for n in names)
    assert "convergence-automaton-simple" in names  # a plain one stays as it is


def test_llms_called_like_strategies_change_none_of_them():
    called, plain = own(), own(models=("a", "b", "c"))
    (x, fixed), (y, _) = simulated(called), simulated(plain)
    mine, theirs = (
        t[t.learner.isin([*experiments.ROUTERS, *experiments.CONTROLS])] for t in (x, y)
    )
    for column in ("cost_usd", "latency_ms", "accuracy"):
        assert (mine[column].to_numpy() == theirs[column].to_numpy()).all()
    found = pairs.disguises(
        x[x.weights == "balanced"],
        experiments.ROUTERS,
        dict(zip(fixed, called.models, strict=True)),
    )
    assert set(found.model) <= set(MODELS)
    assert len(found) == 2 * len(CONTEXTS)


def test_a_context_called_mean_is_told_apart_from_the_mean_of_contexts():
    by = ["learner", "learning_rate"]
    table = locking_sessions(own())
    found = means.locks_with_mean(locked(own()), table, by, queries=40)
    assert set(found.context) == {"mean (a context)", "all", "a, b", "mean"}
    per = (
        found[found.context != "mean"]
        .groupby(["learner", "learning_rate"])
        .on_best.mean()
    )
    assert found[found.context == "mean"].set_index(
        ["learner", "learning_rate"]
    ).on_best.to_dict() == pytest.approx(per.to_dict())


# Nothing to divide by


def test_no_change_is_stated_against_a_cost_of_nothing():
    assert all(np.isnan(v) for v in pairs.relative_change([1.0, 2.0], [0.0, 0.0]))
    assert all(
        np.isnan(v) for v in pairs.relative_change(np.ones((5, 2)), [[0.0, 1.0]] * 5)
    )
    assert pairs.relative_change([0.0, 0.0], [1.0, 3.0])[0] == -1


@pytest.mark.parametrize(
    "cost", [(1e-4, 2e-3, 0.0), (0.0, 0.0, 0.0)], ids=["one is free", "all are free"]
)
def test_a_free_llm_makes_its_claims_untestable_and_leaves_the_others(cost):
    trace = own(cost=cost, contexts=("one", "two"))
    table, _ = simulated(trace, sessions=10)
    compared = pairs.comparisons(
        table[table.weights == "balanced"],
        experiments.ROUTERS,
        tuple(experiments.CONTROLS),
    )
    spent = (
        table[table.weights == "balanced"]
        .groupby(["context", "learner"])
        .cost_usd.sum()
    )
    against_nothing = (compared.measure == "cost_usd") & (
        spent.loc[list(zip(compared.context, compared.control, strict=True))] == 0
    ).to_numpy()
    assert compared.change.isna().equals(against_nothing)
    assert against_nothing[compared.control == "cheapest"].sum() == 4
    assert compared[compared.measure != "cost_usd"].p_holm.notna().all()
    assert compared[against_nothing].p_holm.isna().all()
    checks = {"second pool": table[table.weights == "balanced"]}
    judged = verdicts.judge(table, locked(trace), checks).set_index("id")
    assert judged.verdict["cost-better-lri-cheapest"] == "not testable"
    assert "cost is 0" in judged.reason["cost-better-lri-cheapest"]
    assert (judged.verdict["cost-60-lri-most-expensive"] == "not testable") == (
        max(cost) == 0
    )
    assert judged.measured.isna().equals(judged.verdict == "not testable")
    assert judged.verdict["latency-52-lri-random"] != "not testable"
    groups = pairs.groups(
        table[(table.weights == "balanced") & table.learner.isin(experiments.CONTROLS)]
    ).assign(weights="balanced")
    disguises = pairs.disguises(
        table[table.weights == "balanced"],
        experiments.ROUTERS,
        {f"always {m}": m for m in MODELS},
    ).assign(weights="balanced")
    said = findings.describe_sessions(
        compared.assign(weights="balanced"), groups, disguises
    )
    assert not any("nan" in s or "inf" in s for s in said)


def test_the_pool_is_described_without_dividing_by_a_free_llm():
    trace = own()
    said = findings.describe_pool(
        outcomes.measured(trace), outcomes.rows_against_sample(trace)
    )
    assert "1 of them cost nothing" in said[0]
    assert not any("inf" in s or "nan" in s for s in said)


def test_tied_llms_go_through_every_table():
    trace = own(models=("a", "b"), contexts=("one",), cost=(1e-3, 1e-3), alike=True)
    table, _ = simulated(trace)
    judged = verdicts.judge(table, locked(trace))
    assert set(judged.verdict) <= {
        "reproduced",
        "partly",
        "inconclusive",
        "not reproduced",
        "not testable",
    }
    assert judged.set_index("id").measured["cost-better-lri-random"] == 0
    assert (
        outcomes.winners(trace).model == "a"
    ).all()  # a tie goes to the first of the pool


def test_an_llm_that_is_best_and_cheapest_is_what_best_single_means():
    trace = own(
        models=("good", "bad"),
        contexts=("one",),
        cost=(1e-5, 1e-3),
        accuracy=[1.0, 0.0] * 20,
        latency_ms=[300.0, 900.0] * 20,
    )
    table, _ = simulated(trace)
    main = table[(table.weights == "balanced")].groupby("learner").cost_usd.mean()
    assert (
        main["best single"]
        == main["cheapest"]
        == main["oracle"]
        < main["random"]
        < main["most expensive"]
    )


# Few queries, and samples of a summary


@pytest.mark.parametrize("n", [1, 3, 20])
def test_few_queries_go_through_the_tables_of_the_pool(n):
    trace = own(n=n)
    for frame in (
        outcomes.measured(trace),
        outcomes.latency_tail(trace),
        outcomes.winners(trace),
        outcomes.rows_against_sample(trace),
    ):
        assert len(frame)


def test_intervals_of_a_shared_sample_count_the_queries_measured(tmp_path):
    rows = own(n=30)
    pk.TraceSummary.of(rows).save(tmp_path / "s.json")
    sample = pk.load_trace(tmp_path / "s.json")
    assert (
        outcomes.n_measured(sample)
        == outcomes.n_measured(rows)
        == dict.fromkeys(CONTEXTS, 30)
    )
    a, b = (
        outcomes.measured(t).set_index(["context", "model", "measure"])
        for t in (sample, rows)
    )
    where = a.index.get_level_values("measure").isin(
        ["accuracy", "cost_cents", "latency_s"]
    )
    assert a[where][["value", "low", "high"]].to_numpy() == pytest.approx(
        b[where][["value", "low", "high"]].to_numpy(), rel=1e-5
    )
    against = outcomes.rows_against_sample(sample)
    assert "sessions locked on it" not in set(against.measure)
    assert findings.describe_pool(outcomes.measured(sample), against)


def test_a_file_named_like_a_bundled_trace_is_read_as_the_file_it_is(tmp_path):
    own(n=20).save(tmp_path / "bfcl-2024-08-11.csv")
    trace = pk.load_trace(tmp_path / "bfcl-2024-08-11.csv")
    assert outcomes.n_measured(trace) == dict.fromkeys(CONTEXTS, 20)
    assert set(outcomes.rows_against_sample(trace).context) == set(CONTEXTS)


def test_a_repriced_sample_shows_the_costs_of_its_own_prices():
    sample = pk.load_trace("bfcl-2024-08-11").select(context="rest")
    dear = sample.reprice(
        {m: pk.Price(m, "v", 1000.0, 0.0, "2025-01-01", "list") for m in sample.models}
    )
    shown = outcomes.measured(dear).query("measure == 'cost_cents'").value.to_numpy()
    assert shown == pytest.approx(100 * dear.cost_usd.mean(axis=0))
