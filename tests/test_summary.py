"""The summary of a trace: what it keeps, what it hides, and whether its sample has the
law of the rows.
"""

import json
from collections import Counter

import numpy as np
import pytest
from scipy import stats

import pickllm as pk
from pickllm.core.pool import declared_pools
from pickllm.files import home
from pickllm.traces.sources import bundled_summary
from pickllm.traces.summary import GRID, VARIABLES

POOLS = tuple(name for name, p in declared_pools().items() if p.get("joint", True))
MAIN = POOLS[0]
EVERY = "bfcl-2024-08-11-all"
CONTEXTS = (
    "simple",
    "multiple",
    "parallel",
    "parallel_multiple",
    "relevance",
    "java_js",
    "executable",
    "rest",
)


def synthetic(n=300, accuracy=None, seed=0, contexts=("law",)):
    """A trace of two LLMs in contexts of n queries each: correlated accuracies, tokens
    and latencies.
    """
    rng = np.random.default_rng(seed)
    size = n * len(contexts)
    hard = rng.random(size)
    tokens = np.rint(rng.gamma(3, 40, size))
    return pk.Trace(
        models=("gpt-4o-2024-05-13", "command-r-plus"),
        query_id=[f"q{i}" for i in range(size)],
        context=np.repeat(contexts, n),
        accuracy=(
            np.column_stack([hard > 0.3, hard + 0.2 * rng.random(size) > 0.6]).astype(
                float
            )
            if accuracy is None
            else accuracy
        ),
        cost_usd=np.zeros((size, 2)),
        latency_ms=np.column_stack(
            [200 + tokens * rng.lognormal(1, 0.3, size), rng.lognormal(6.5, 0.5, size)]
        ),
        input_tokens=np.column_stack([tokens, tokens + 5]),
        output_tokens=np.rint(rng.gamma(2, 10, (size, 2))),
        prices=pk.read_prices(),
    ).reprice(pk.read_prices())


def same(a, b):
    arrays = (
        "query_id",
        "context",
        "accuracy",
        "cost_usd",
        "latency_ms",
        "input_tokens",
        "output_tokens",
    )
    return (
        a.models == b.models
        and a.limits == b.limits
        and all(np.array_equal(getattr(a, f), getattr(b, f)) for f in arrays)
    )


def patterns(trace):
    """How often each row of accuracies occurs."""
    return Counter(map(tuple, trace.accuracy.tolist()))


# A summary by itself


def test_a_saved_summary_samples_the_same_trace_after_loading_as_after_saving_again(
    tmp_path,
):
    pk.TraceSummary.of(synthetic(contexts=("law", "art"))).save(tmp_path / "a.json")
    loaded = pk.TraceSummary.load(tmp_path / "a.json")
    loaded.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert same(
        loaded.sample(700, seed=3),
        pk.TraceSummary.load(tmp_path / "b.json").sample(700, seed=3),
    )


def test_the_file_keeps_the_sample_but_for_the_digits_it_rounds(tmp_path):
    summary = pk.TraceSummary.of(synthetic())
    summary.save(tmp_path / "a.json")
    a, b = (
        summary.sample(500, seed=1),
        pk.TraceSummary.load(tmp_path / "a.json").sample(500, seed=1),
    )
    assert (a.accuracy == b.accuracy).all()
    assert a.latency_ms == pytest.approx(b.latency_ms, rel=2e-3)
    assert abs(a.input_tokens - b.input_tokens).max() <= 1
    assert abs(a.output_tokens - b.output_tokens).max() <= 1


def test_a_sample_is_reproducible_and_moves_with_its_seed():
    summary = bundled_summary(MAIN)
    a, b, other = (
        summary.sample(80, seed=5),
        summary.sample(80, seed=5),
        summary.sample(80, seed=6),
    )
    assert same(a, b)
    assert (a.latency_ms != other.latency_ms).mean() > 0.9
    assert a.n_queries == 8 * 80
    assert a.contexts == CONTEXTS
    assert len(set(a.query_id.tolist())) == a.n_queries


def test_the_bundled_trace_is_the_fixed_sample_of_5000_queries_a_context():
    for pool in (*POOLS, EVERY):
        trace = pk.load_trace(pool)
        assert Counter(trace.context.tolist()) == dict.fromkeys(CONTEXTS, 5000)
        assert list(trace.models) == declared_pools()[pool]["models"]
        assert same(
            trace,
            pk.TraceSummary.load(home("data") / f"{pool}.summary.json").sample(
                5000, seed=0
            ),
        )


def test_a_summary_file_loads_as_the_trace_it_stands_for():
    assert same(
        pk.load_trace(home("data") / f"{MAIN}.summary.json"), pk.load_trace(MAIN)
    )


@pytest.mark.parametrize("n", [7, 300, 1000])
@pytest.mark.parametrize("seed", [0, 1])
def test_joint_accuracy_patterns_are_sampled_within_one_of_their_share(n, seed):
    trace = synthetic(n=211)
    shares, drawn = (
        patterns(trace),
        patterns(pk.TraceSummary.of(trace).sample(n, seed=seed)),
    )
    assert set(drawn) <= set(shares)
    assert len(shares) > 2
    assert all(abs(drawn[p] - n * count / 211) <= 1 for p, count in shares.items())


def test_a_sample_of_many_seeds_has_the_pattern_shares_on_average():
    trace = synthetic(n=211)
    summary, shares = pk.TraceSummary.of(trace), patterns(trace)
    drawn = [patterns(summary.sample(10, seed=seed)) for seed in range(400)]
    for (
        p,
        count,
    ) in (
        shares.items()
    ):  # ten at a time, so that rounding to whole counts must be unbiased
        counts = np.array([d[p] for d in drawn])
        assert abs(counts.mean() - 10 * count / 211) < 4 * max(counts.std(), 0.05) / 20


def test_the_order_of_a_sample_says_nothing_of_its_patterns():
    sample = pk.TraceSummary.of(synthetic()).sample(3000, seed=1)
    for j in range(2):
        assert abs(
            np.corrcoef(np.arange(3000), sample.accuracy[:, j])[0, 1]
        ) < 4 / np.sqrt(3000)


def test_sampled_costs_are_the_prices_of_sampled_whole_tokens():
    trace = bundled_summary(MAIN).sample(50)
    prices = [
        (0.25, 1.25),
        (0.7, 0.7),
        (3, 15),
        (10, 30),
    ]  # US dollars per million tokens, in and out
    assert (trace.input_tokens % 1 == 0).all()
    assert (trace.output_tokens % 1 == 0).all()
    for j, (in_, out) in enumerate(prices):
        assert trace.cost_usd[:, j] == pytest.approx(
            (trace.input_tokens[:, j] * in_ + trace.output_tokens[:, j] * out) / 1e6
        )


def test_a_sample_stays_within_the_extremes_of_its_rows():
    trace = synthetic()
    sample = pk.TraceSummary.of(trace).sample(4000)
    for v in VARIABLES:
        rows, drawn = getattr(trace, v), getattr(sample, v)
        assert (drawn.min(axis=0) >= rows.min(axis=0)).all()
        assert (drawn.max(axis=0) <= rows.max(axis=0)).all()


def test_at_most_eleven_accuracies_are_kept_and_more_are_binned_in_ten_equal_counts():
    rng = np.random.default_rng(2)
    few = pk.TraceSummary.of(
        synthetic(accuracy=rng.integers(0, 11, (300, 2)) / 10)
    ).contexts["law"]
    assert few["levels"] == pytest.approx(np.arange(11) / 10)
    accuracy = rng.random((300, 2)) ** 2
    many = pk.TraceSummary.of(synthetic(accuracy=accuracy))
    by_hand = np.sort(accuracy.ravel()).reshape(10, 60).mean(axis=1)
    assert many.contexts["law"]["levels"] == pytest.approx(by_hand)
    sizes = Counter()
    for a, b, count in many.contexts["law"]["patterns"]:
        sizes[a] += count
        sizes[b] += count
    assert sizes == dict.fromkeys(range(10), 60)
    assert many.sample(3000).accuracy.mean(axis=0) == pytest.approx(
        accuracy.mean(axis=0), abs=0.02
    )


def test_small_cells_hold_the_quantiles_of_all_answers_and_not_their_own_rows():
    accuracy = np.ones((300, 2))
    accuracy[:4, 0] = 0.0  # four wrong answers: fewer than five
    trace = synthetic(accuracy=accuracy)
    cells = pk.TraceSummary.of(trace).contexts["law"]["cells"]["gpt-4o-2024-05-13"]
    assert (cells[0]["n"], cells[1]["n"]) == (4, 296)
    for v, quantiles in zip(VARIABLES, cells[0]["quantiles"], strict=True):
        everything = getattr(trace, v)[:, 0]
        assert (quantiles[0], quantiles[-1]) == (everything.min(), everything.max())
        assert quantiles[GRID.index(0.5)] == pytest.approx(np.median(everything))
    held = {x for q in cells[0]["quantiles"] for x in q}
    assert not held & set(trace.latency_ms[:4, 0].tolist())
    own = pk.TraceSummary.of(trace, min_cell=4).contexts["law"]["cells"][
        "gpt-4o-2024-05-13"
    ][0]
    assert (
        own["quantiles"][2][0] == trace.latency_ms[:4, 0].min()
    )  # with a lower limit they would


def test_a_context_too_small_to_hide_its_rows_is_not_summarised():
    trace = synthetic(n=3)
    with pytest.raises(pk.InputError, match="law"):
        pk.TraceSummary.of(trace)


def test_a_summary_holds_no_row_and_no_text_of_the_trace(tmp_path):
    pk.TraceSummary.of(synthetic()).save(tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    assert not any(f'"q{i}"' in text for i in range(300))


def damage(change):
    content = json.loads((home("data") / f"{MAIN}.summary.json").read_text("utf-8"))
    change(content)
    return json.dumps(content).encode()


DAMAGED = {
    "empty": lambda: b"",
    "cut off": lambda: damage(lambda c: None)[:30_000],
    "not text": lambda: b"\xff\xfe\x00",
    "a list": lambda: b"[1, 2]",
    "a word": lambda: b'"summary"',
    "another format": lambda: damage(lambda c: c.update(format=9)),
    "another grid": lambda: damage(lambda c: c["grid"].pop()),
    "no contexts": lambda: damage(lambda c: c.pop("contexts")),
    "no cells": lambda: damage(lambda c: c["contexts"]["rest"].pop("cells")),
    "no patterns": lambda: damage(lambda c: c["contexts"]["rest"].pop("patterns")),
    "no levels": lambda: damage(lambda c: c["contexts"]["rest"].pop("levels")),
    "a level that is no number": lambda: damage(
        lambda c: c["contexts"]["rest"]["cells"]["command-r-plus"].update(x={})
    ),
    "short quantiles": lambda: damage(
        lambda c: c["contexts"]["rest"]["cells"]["command-r-plus"]["1"]["quantiles"][
            0
        ].pop()
    ),
    "another model": lambda: damage(lambda c: c["models"].__setitem__(0, "other")),
    "no price": lambda: damage(lambda c: c["prices"].pop()),
    "wrong limits": lambda: damage(lambda c: c["limits"].update(max_cost_usd=-1)),
    "limits of text": lambda: damage(lambda c: c["limits"].update(max_cost_usd="much")),
    "nothing in it": lambda: damage(lambda c: c.update(contexts={})),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, case):
    path = tmp_path / "s.json"
    path.write_bytes(DAMAGED[case]())
    with pytest.raises(pk.InputError) as error:
        pk.TraceSummary.load(path).sample(20)
    assert str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named_with_the_next_move(tmp_path):
    with pytest.raises(FileNotFoundError, match="pickllm summarise") as error:
        pk.TraceSummary.load(tmp_path / "none.json")
    assert str(tmp_path / "none.json") in str(error.value)


@pytest.mark.parametrize("n", [0, -5])
def test_an_empty_sample_is_refused(n):
    with pytest.raises(pk.InputError, match=f"n_queries must be >= 1, got {n}"):
        bundled_summary(MAIN).sample(n)


# A sample against a trace whose law is known


def test_a_sample_of_a_summary_has_the_marginals_and_rank_correlations_of_its_rows():
    trace = synthetic(n=4000, seed=5)
    sample = pk.TraceSummary.of(trace).sample(4000, seed=9)
    for j in range(2):
        for v in VARIABLES:
            assert (
                stats.ks_2samp(
                    getattr(trace, v)[:, j], getattr(sample, v)[:, j], method="asymp"
                ).pvalue
                > 1e-3
            )
        for a, b in (
            ("input_tokens", "latency_ms"),
            ("output_tokens", "latency_ms"),
            ("input_tokens", "output_tokens"),
        ):
            rho = [
                stats.spearmanr(getattr(t, a)[:, j], getattr(t, b)[:, j]).statistic
                for t in (trace, sample)
            ]
            assert rho[0] == pytest.approx(rho[1], abs=4 * np.sqrt(2 / 4000))


# The bundled statistics against the measured rows


def outcomes(trace, context):
    """Accuracy, cost, latency and raw reward of each LLM on a context's queries."""
    here = trace.select(context=context)
    reward = pk.Reward().raw(here.accuracy, here.cost_usd, here.latency_ms)
    return {
        "accuracy": here.accuracy,
        "cost": here.cost_usd,
        "latency": here.latency_ms,
        "reward": reward,
    }


@pytest.mark.parametrize("pool", POOLS)
def test_the_shipped_summary_is_the_summary_of_the_measured_rows(rows, pool, tmp_path):
    pk.TraceSummary.of(rows[pool]).save(tmp_path / "again.json")
    shipped, again = (
        json.loads(p.read_text("utf-8"))
        for p in (home("data") / f"{pool}.summary.json", tmp_path / "again.json")
    )

    def agree(a, b):
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(agree(a[k], b[k]) for k in a)
        if isinstance(a, list):
            return len(a) == len(b) and all(map(agree, a, b))
        return (
            abs(a - b) <= 1e-4 + 1e-5 * abs(a)
            if isinstance(a, (int, float))
            else a == b
        )

    for part in ("format", "models", "limits", "prices", "grid", "contexts"):
        assert agree(shipped[part], again[part]), part


@pytest.mark.parametrize("pool", POOLS)
def test_every_outcome_of_the_bundled_trace_has_the_law_of_the_rows(rows, pool):
    sample, found = pk.load_trace(pool), {}
    for context in CONTEXTS:
        measured, drawn = outcomes(rows[pool], context), outcomes(sample, context)
        for name in measured:
            for j, model in enumerate(sample.models):
                found[context, name, model] = stats.ks_2samp(
                    measured[name][:, j], drawn[name][:, j], method="asymp"
                )
    assert min(f.pvalue for f in found.values()) > 0.01 / len(found)  # Bonferroni
    assert (
        max(f.statistic for f in found.values()) < 0.15
    )  # and nearer than a fresh sample of the rows' size need be


@pytest.mark.parametrize("pool", POOLS)
def test_the_bundled_trace_has_the_means_of_the_rows(rows, pool):
    sample = pk.load_trace(pool)
    for context in CONTEXTS:
        measured, drawn = outcomes(rows[pool], context), outcomes(sample, context)
        assert drawn["accuracy"].mean(axis=0) == pytest.approx(
            measured["accuracy"].mean(axis=0), abs=8 / 5000
        )  # each of some 14 patterns within one query
        for name in ("cost", "latency"):
            assert drawn[name].mean(axis=0) == pytest.approx(
                measured[name].mean(axis=0), rel=0.05
            ), (context, name)


@pytest.mark.parametrize("pool", POOLS)
def test_the_bundled_trace_has_the_rank_correlations_of_the_rows(rows, pool):
    sample, gaps = pk.load_trace(pool), []
    for context in CONTEXTS:
        measured, drawn = (
            rows[pool].select(context=context),
            sample.select(context=context),
        )
        for j in range(4):
            for a, b in (
                ("input_tokens", "output_tokens"),
                ("input_tokens", "latency_ms"),
                ("output_tokens", "latency_ms"),
            ):
                rho = [
                    stats.spearmanr(getattr(t, a)[:, j], getattr(t, b)[:, j]).statistic
                    for t in (measured, drawn)
                ]
                gaps.append(abs(rho[0] - rho[1]))
    # the largest is that of one LLM on 70 queries, near .09 in large samples too
    assert max(gaps) < 0.12
    assert np.median(gaps) < 0.03


@pytest.mark.parametrize("pool", POOLS)
def test_joint_accuracies_of_the_bundled_trace_have_the_shares_of_the_rows(rows, pool):
    for context in CONTEXTS:
        measured, drawn = (
            rows[pool].select(context=context),
            pk.load_trace(pool).select(context=context),
        )
        counts = patterns(drawn)
        assert set(counts) == set(patterns(measured))
        assert all(
            abs(counts[p] - 5000 * n / measured.n_queries) <= 1
            for p, n in patterns(measured).items()
        )


@pytest.mark.parametrize("context", CONTEXTS)
def test_sessions_lock_alike_on_the_bundled_trace_and_on_the_rows(rows, context):
    def locks(trace, seed):
        here = trace.select(context=context)
        s = pk.replay(
            here,
            pk.Reward(),
            pk.LinearRewardInaction(0.1),
            sessions=2000,
            queries=1200,
            seed=seed,
            checkpoints=2,
        )
        return np.bincount(s.locked_model + 1, minlength=5) / 2000, np.median(
            s.locked_at[s.locked_at > 0]
        )

    (a, time), (b, bundled_time) = locks(rows[MAIN], 1), locks(pk.load_trace(MAIN), 1)
    assert abs(a - b).max() < 0.04
    assert a[0] < 0.02
    assert bundled_time == pytest.approx(time, rel=0.1)


# A protected summary: no number speaks for fewer than min_cell queries


def awkward(kind, n=60, models=2, seed=4):
    """A trace with what gives single queries away: rare patterns, rare levels, extreme
    and unique values.
    """
    rng = np.random.default_rng(seed)
    accuracy = {
        "rare": (rng.random((n, models)) < 0.03).astype(float),
        "unique": rng.random((n, models)),
        "levels": rng.choice([0, 0.5, 1.0], (n, models), p=[0.5, 0.48, 0.02]),
        "one odd": (
            np.where(np.arange(n)[:, None] == 7, 0.37, 1.0) * np.ones((n, models))
        ),
    }[kind]
    tokens = rng.permutation(np.arange(1000, 1000 + n * models)).reshape(n, models)
    return pk.Trace(
        models=[f"m{j}" for j in range(models)],
        query_id=[f"q{i}" for i in range(n)],
        context=["law"] * n,
        accuracy=accuracy,
        cost_usd=np.zeros((n, models)),
        latency_ms=rng.permutation(rng.lognormal(7, 1, n * models)).reshape(n, models),
        input_tokens=tokens,
        output_tokens=tokens + 5000,
        prices={
            f"m{j}": pk.Price(f"m{j}", "v", 1.0, 2.0, "2025-01-01", "list")
            for j in range(models)
        },
    ).reprice(
        {
            f"m{j}": pk.Price(f"m{j}", "v", 1.0, 2.0, "2025-01-01", "list")
            for j in range(models)
        }
    )


KINDS = ("rare", "unique", "levels", "one odd")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("n", "models", "k"), [(60, 2, 5), (60, 7, 5), (12, 3, 5), (5, 2, 5), (200, 4, 20)]
)
def test_every_published_count_is_of_enough_queries(kind, n, models, k):
    trace = awkward(kind, n, models)
    here = pk.TraceSummary.of(trace, k, protect=True).contexts["law"]
    counts = [p[-1] for p in here["patterns"]]
    assert min(counts) >= k
    assert sum(counts) == n
    for j, levels in enumerate(here["cells"].values()):
        assert {level: cell["n"] for level, cell in levels.items()} == Counter(
            p[j] for p in here["patterns"] for _ in range(p[-1])
        )
        assert min(cell["n"] for cell in levels.values()) >= k
    assert sorted({code for p in here["patterns"] for code in p[:-1]}) == list(
        range(len(here["levels"]))
    )  # no level that nobody has


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "models", "k"), [(60, 2, 5), (12, 3, 5), (200, 4, 20)])
def test_no_published_quantile_is_one_query_s_own_value(kind, n, models, k):
    trace = awkward(kind, n, models)  # whose tokens and latencies are all different
    cells = pk.TraceSummary.of(trace, k, protect=True).contexts["law"]["cells"]
    open_cells = pk.TraceSummary.of(trace, k).contexts["law"]["cells"]
    assert any(
        q[0] in getattr(trace, v)
        for v, q in zip(
            VARIABLES, open_cells["m0"][max(open_cells["m0"])]["quantiles"], strict=True
        )
    )  # unprotected ones are
    for j, levels in enumerate(cells.values()):
        for cell in levels.values():
            for v, q in zip(VARIABLES, cell["quantiles"], strict=True):
                values = np.sort(getattr(trace, v)[:, j])
                # no lower than the mean of the k smallest, no higher than that of the k
                # largest, of all the LLM's answers
                assert values[:k].mean() - 1e-9 <= q[0]
                assert q[-1] <= values[-k:].mean() + 1e-9
                assert v != "latency_ms" or not set(q) & set(values.tolist())


def test_changing_one_query_within_its_group_moves_no_quantile_by_more_than_its_share():
    trace, k = awkward("one odd"), 5
    from dataclasses import replace

    latency = trace.latency_ms.copy()
    latency[latency[:, 0].argmax(), 0] *= 3  # the slowest answer, three times as slow
    a, b = (
        pk.TraceSummary.of(t, k, protect=True).contexts["law"]["cells"]["m0"]
        for t in (trace, replace(trace, latency_ms=latency))
    )

    def top(cells):
        return max(cell["quantiles"][2][-1] for cell in cells.values())

    assert 0 < top(b) - top(a) <= 2 * trace.latency_ms[:, 0].max() / k + 1e-9


def test_levels_of_accuracy_that_one_query_has_are_not_published(tmp_path):
    summary = pk.TraceSummary.of(awkward("one odd"), protect=True)
    summary.save(tmp_path / "s.json")
    assert summary.contexts["law"]["levels"] == [1.0]
    assert "0.37" not in (tmp_path / "s.json").read_text()
    assert 0.37 in pk.TraceSummary.of(awkward("one odd")).contexts["law"]["levels"]


@pytest.mark.parametrize("seed", range(20))
def test_each_published_level_is_the_own_accuracy_of_enough_queries_or_a_mean(seed):
    rng, k = np.random.default_rng(seed), 5
    accuracy = rng.choice(
        [0, 0.1, 0.2, 0.37, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
        (12, 3),
        p=[0.2, *[0.075] * 8, 0.2],
    )  # nearly every pattern and level is rare
    from dataclasses import replace

    here = pk.TraceSummary.of(
        replace(awkward("rare", 12, 3), accuracy=accuracy), k, protect=True
    ).contexts["law"]
    for level in here["levels"]:
        assert (
            (accuracy == level).any(axis=1).sum() >= k
            or level not in accuracy
            or len(here["levels"]) == 1
        )


def test_protection_keeps_means_and_leaves_common_patterns_as_they_are():
    trace = synthetic(n=400)
    assert (
        min(patterns(trace).values()) >= 5
    )  # nothing rare: accuracy stays, query by query
    open_one, protected = (
        pk.TraceSummary.of(trace, 5, protect=p).contexts["law"] for p in (False, True)
    )
    assert open_one["patterns"] == protected["patterns"]
    for model, open_rows in open_one["rows"].items():
        for outcome, (mean, spread) in open_rows.items():
            kept, less = protected["rows"][model][outcome]
            assert kept == mean
            assert less == spread if outcome == "accuracy" else less < spread
    sample = pk.TraceSummary.of(trace, 5, protect=True).sample(20_000)
    for v in VARIABLES:
        assert getattr(sample, v).mean(axis=0) == pytest.approx(
            getattr(trace, v).mean(axis=0), rel=0.03
        )


def test_a_protected_summary_loads_samples_and_says_what_it_discloses(tmp_path):
    trace = awkward("rare")
    summary = pk.TraceSummary.of(trace, 6, protect=True)
    summary.save(tmp_path / "s.json")
    again = pk.TraceSummary.load(tmp_path / "s.json")
    assert again.sample(100).n_queries == 100
    assert "trace_sha256" not in (tmp_path / "s.json").read_text()
    said = again.disclosed()
    rarest = min(p[-1] for p in summary.contexts["law"]["patterns"])
    assert f"the rarest of {rarest} queries" in said[0]
    assert "at least 6 queries" in said[-1]
    assert "60 queries" in said[0]
    assert "not protected" in pk.TraceSummary.of(trace).disclosed()[-1]
    assert summary.shift(trace) == pytest.approx(
        np.abs(
            again.sample(6000).accuracy.mean(axis=0) - trace.accuracy.mean(axis=0)
        ).max(),
        abs=0.01,
    )


@pytest.mark.parametrize(
    ("least", "protect"), [(1, True), (0, False), (-3, True), (2.5, True)]
)
def test_a_limit_that_hides_nothing_is_refused(least, protect):
    with pytest.raises(pk.InputError, match="min_cell must be a whole number"):
        pk.TraceSummary.of(awkward("rare"), least, protect=protect)


def test_costs_that_no_price_gives_back_are_summarised_as_they_are():
    trace = synthetic(n=500)
    from dataclasses import replace

    own = replace(trace, cost_usd=trace.latency_ms * [[2e-6, 5e-6]], prices={})
    for summary in (pk.TraceSummary.of(own), pk.TraceSummary.of(own, protect=True)):
        sample = summary.sample(8000)
        assert sample.prices == {}
        assert sample.cost_usd.mean(axis=0) == pytest.approx(
            own.cost_usd.mean(axis=0), rel=0.05
        )
        assert (
            stats.spearmanr(sample.cost_usd[:, 0], sample.latency_ms[:, 0]).statistic
            > 0.95
        )
        assert "cost" in summary.disclosed()[0]
    assert "cost" not in pk.TraceSummary.of(trace).disclosed()[0]


def test_summarise_protects_what_is_not_bundled(tmp_path, capsys):
    from pickllm.__main__ import main

    awkward("rare").save(tmp_path / "mine.csv")
    assert (
        main(
            [
                "summarise",
                str(tmp_path / "mine.csv"),
                "--output",
                str(tmp_path / "s.json"),
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "Whoever reads it learns:" in out
    assert "at least 5 queries" in out
    assert "moved an LLM's mean accuracy" in out
    assert pk.load_trace(tmp_path / "s.json").sample_of.provenance == {
        "trace": "mine",
        "min_cell": 5,
        "protected": True,
    }
    assert (
        main(
            [
                "summarise",
                str(tmp_path / "mine.csv"),
                "--min-cell",
                "61",
                "--output",
                str(tmp_path / "t.json"),
            ]
        )
        == 2
    )
    assert "must have at least 61 queries" in capsys.readouterr().err
    assert not (tmp_path / "t.json").exists()


# What LLMs share on one query


def across(trace, variable):
    """Rank correlations between LLMs, pair by pair."""
    values = getattr(trace, variable)
    rho = np.atleast_2d(stats.spearmanr(values).statistic)
    return rho[np.triu_indices(len(rho), 1)] if len(rho) > 1 else rho.ravel()


def headroom(trace):
    """What choosing per query gains over the best LLM, in raw reward."""
    raw = pk.Reward().raw(trace.accuracy, trace.cost_usd, trace.latency_ms)
    return raw.max(axis=1).mean() - raw.mean(axis=0).max()


@pytest.mark.parametrize("pool", POOLS)
def test_llms_share_on_a_query_of_the_sample_what_they_share_in_the_rows(rows, pool):
    within = {"input_tokens": 0.05, "cost_usd": 0.15, "latency_ms": 0.25}
    sample, gains = pk.load_trace(pool), []
    for context in CONTEXTS:
        measured, drawn = (t.select(context=context) for t in (rows[pool], sample))
        for variable, gap in within.items():
            a, b = across(measured, variable), across(drawn, variable)
            assert b == pytest.approx(a, abs=gap), (context, variable)
        gains.append((headroom(drawn), headroom(measured)))
    of_sample, of_rows = np.sum(gains, axis=0)
    assert of_sample == pytest.approx(of_rows, rel=0.03)


def test_each_llm_s_own_law_does_not_depend_on_what_it_shares():
    from dataclasses import replace

    summary = bundled_summary(MAIN)
    rest = summary.contexts["rest"]
    alone = {key: part for key, part in rest.items() if key != "shared"}
    samples = [
        replace(summary, contexts={"rest": part}).sample(40_000, seed=seed)
        for seed, part in enumerate((rest, alone))
    ]
    for j in range(4):
        for level in (0.0, 1.0):
            a, b = (
                np.stack(
                    [getattr(s, v)[s.accuracy[:, j] == level, j] for v in VARIABLES]
                )
                for s in samples
            )
            far = 4 * np.sqrt(2 / a.shape[1])
            for v in range(3):
                assert stats.ks_2samp(a[v], b[v], method="asymp").statistic < far / 2
            rho = [stats.spearmanr(x.T).statistic for x in (a, b)]
            assert rho[0] == pytest.approx(rho[1], abs=far)


def test_factors_are_standard_normal_and_independent_within_each_level():
    from pickllm.traces.copula import Shared, draw_shared

    patterns = np.array([[0, 0, 30], [0, 1, 5], [1, 0, 15], [1, 1, 50]])
    codes = np.repeat(patterns[:, :-1], 400 * patterns[:, -1], axis=0)
    shifts = {(0, 0): np.array([0.6, -0.5]), (1, 1): np.array([-0.4, 0.7])}
    shared = Shared(np.full((2, 2), 0.9), shifts)
    scores = draw_shared(shared, patterns, codes, np.random.default_rng(1))
    for j in range(2):
        for level in (0, 1):
            here = scores[:, codes[:, j] == level, j]
            for values in here:
                assert stats.kstest(values, "norm").pvalue > 1e-3
            assert abs(np.corrcoef(here)[0, 1]) < 4 / np.sqrt(here.shape[1])


def test_a_summary_of_the_first_format_samples_llms_apart(tmp_path):
    content = json.loads((home("data") / f"{MAIN}.summary.json").read_text())
    content["format"] = 1
    del content["joint"]
    for part in content["contexts"].values():
        del part["shared"]
    (tmp_path / "old.json").write_text(json.dumps(content))
    sample = pk.TraceSummary.load(tmp_path / "old.json").sample(2000)
    assert sample.joint
    assert abs(across(sample.select(context="rest"), "input_tokens")).max() < 0.2


def test_a_protected_spread_gives_no_outlier_away():
    trace = synthetic(n=60, seed=3)
    latency = trace.latency_ms.copy()
    latency[7, 0] = 60_000.0
    from dataclasses import replace

    trace = replace(trace, latency_ms=latency)
    model = trace.models[0]
    mean, spread = pk.TraceSummary.of(trace, protect=True).contexts["law"]["rows"][
        model
    ]["latency_ms"]
    exact = latency[:, 0].std()
    assert mean == pytest.approx(latency[:, 0].mean())
    # one outlier's distance is nearly all of n times the variance
    assert mean + np.sqrt(60) * exact == pytest.approx(60_000, rel=0.05)
    assert mean + np.sqrt(60) * spread < 0.6 * 60_000


# Every LLM of the leaderboard, each on its own


def test_the_summary_of_every_llm_is_that_of_its_measured_rows(all_rows, tmp_path):
    pk.TraceSummary.of(all_rows, joint=False).save(tmp_path / "again.json")
    shipped, again = (
        json.loads(p.read_text("utf-8"))["contexts"]
        for p in (home("data") / f"{EVERY}.summary.json", tmp_path / "again.json")
    )
    for context in CONTEXTS:
        assert "patterns" not in shipped[context]
        assert "shifts" not in shipped[context]["shared"]
        for model, cells in shipped[context]["cells"].items():
            j = all_rows.models.index(model)
            right = all_rows.select(context=context).accuracy[:, j]
            by_hand = {str(int(v)): n for v, n in Counter(right.tolist()).items()}
            assert {k: c["n"] for k, c in cells.items()} == by_hand
            for level, cell in cells.items():
                other = again[context]["cells"][model][level]["quantiles"]
                np.testing.assert_allclose(cell["quantiles"], other, rtol=1e-5)


def test_a_pool_of_four_is_a_view_of_one_fixed_sample():
    every = pk.load_trace(EVERY)
    four = every.select(models=["mistral-tiny-2312", "gpt-4-0613", "claude-2.1"])
    for name in four.models:
        at, there = four.models.index(name), every.models.index(name)
        for v in ("accuracy", "cost_usd", "latency_ms"):
            assert (getattr(four, v)[:, at] == getattr(every, v)[:, there]).all()
    assert not four.joint


def test_each_of_all_llms_has_the_accuracy_and_tokens_of_its_rows(all_rows):
    every = pk.load_trace(EVERY)
    for context in CONTEXTS:
        a, b = (t.select(context=context) for t in (all_rows, every))
        assert b.accuracy.mean(axis=0) == pytest.approx(
            a.accuracy.mean(axis=0), abs=1.01 / 5000
        )
        for v in ("cost_usd", "latency_ms"):
            far = [
                stats.ks_2samp(x, y, method="asymp").pvalue
                for x, y in zip(getattr(a, v).T, getattr(b, v).T, strict=True)
            ]
            assert min(far) > 0.01 / (8 * 2 * 23)


def test_the_oracle_is_not_known_where_accuracies_are_not_joint(tmp_path):
    part = pk.load_trace(EVERY).select(
        context="rest", models=["claude-2.1", "gpt-4-0613"]
    )
    part.save(tmp_path / "t.csv")
    for trace in (part, pk.load_trace(tmp_path / "t.csv")):
        assert not trace.joint
        with pytest.raises(pk.InputError, match="the oracle is not known") as error:
            pk.replay(trace, pk.Reward(), pk.Oracle(), sessions=2, queries=2)
        assert "\n" not in str(error.value)
        for control in (pk.BestSingle(), pk.UniformRandom()):
            pk.replay(trace, pk.Reward(), control, sessions=2, queries=2)
    with pytest.raises(pk.InputError, match="joint=True needs joint accuracies"):
        pk.TraceSummary.of(part, joint=True)
    assert not pk.TraceSummary.of(part).sample(10).joint
    bad = part.to_frame()
    bad["joint"] = ["perhaps"] + [False] * (len(bad) - 1)
    with pytest.raises(pk.InputError, match="row 1, column 'joint'"):
        pk.Trace.from_frame(bad)
