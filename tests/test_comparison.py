"""Variants and scenarios: numbers by hand, and their notebooks from end to end."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from reference import IDENTITY, trace_of

import pickllm as pk
from pickllm import experiments, figures
from pickllm.analysis import comparison, findings
from pickllm.beyond import bounds, scenarios
from pickllm.core import statistics
from pickllm.files import root
from pickllm.publish.reproduce import run_notebook as run_notebook_alone
from pickllm.study.study import Study

CONTEXTS = ["simple", "rest"]
TRACE = pk.load_trace("bfcl-2024-08-11").select(context=CONTEXTS)


@pytest.fixture(scope="module")
def compared():
    learners = experiments.routers() | {
        "pursuit": pk.Pursuit(0.1),
        "UCB1": pk.UCB1(),
        "LUCB": pk.LUCB(),
    }
    return comparison.compare(
        TRACE, experiments.reward(), learners, sessions=40, queries=300
    )


def test_the_table_holds_what_replay_gives(compared):
    s = pk.replay(
        TRACE.select(context="rest"),
        experiments.reward(),
        pk.Pursuit(0.1),
        sessions=40,
        queries=300,
        checkpoints=[300],
    )
    mine = compared[(compared.context == "rest") & (compared.learner == "pursuit")]
    assert mine.regret.to_numpy() == pytest.approx(s.table().regret.to_numpy())
    assert mine.right.to_numpy() == pytest.approx(s.selection()[:, -1, s.best])
    assert (mine.family == "automata").all()
    assert mine.cents.to_numpy() == pytest.approx(
        100 * s.outcome("cost_usd").sum(axis=1)
    )
    assert mine.seconds.to_numpy() == pytest.approx(
        s.outcome("latency_ms").mean(axis=1) / 1000
    )
    assert dict(zip(compared.learner, compared.family, strict=True)) == {
        "automaton": "paper",
        "qlearning": "paper",
        "pursuit": "automata",
        "UCB1": "bandits",
        "LUCB": "identification",
    }


def test_the_mean_over_contexts_is_the_mean_of_the_contexts(compared):
    summary = comparison.summarise(compared, 300)
    for (_, measure), part in summary.groupby(["learner", "measure"]):
        each, mean = part[part.context != "mean"], part[part.context == "mean"]
        assert set(each.context) == set(CONTEXTS)
        assert len(mean) == each.value.notna().all()
        if len(mean):
            assert mean.value.item() == pytest.approx(each.value.mean())
            assert mean.low.item() <= mean.value.item() <= mean.high.item()
        assert measure in comparison.MEASURES


def test_the_bounds_are_those_of_the_unit_reward_in_raw_units():
    trace = trace_of([[1, 0], [1, 1], [0, 0], [1, 0]])  # coins of 3/4 and 1/4
    wide = pk.Reward("linear", w_cost=0.0, w_latency=0.0, bounds=(0.0, 1.0))
    row = comparison.limits(trace, wide, queries=100).iloc[0]
    kl = 0.25 * np.log(0.25 / 0.75) + 0.75 * np.log(0.75 / 0.25)
    assert row.best == "a"
    assert row.regret == pytest.approx(0.5 / kl * np.log(100))
    assert row.t_star == pytest.approx(
        1 / (0.75 * np.log(1.5) + 0.25 * np.log(0.5)), rel=2e-3
    )  # kl(3/4, 1/2) = kl(1/4, 1/2)
    doubled = pk.Reward(
        "linear", w_accuracy=2.0, w_cost=0.0, w_latency=0.0, bounds=(0.0, 2.0)
    )
    assert comparison.limits(trace, doubled, queries=100).iloc[
        0
    ].regret == pytest.approx(2 * row.regret)


def test_the_bounds_are_a_row_of_the_figures_table(compared):
    found = comparison.limits(TRACE, experiments.reward(), 300)
    summary = comparison.with_bounds(comparison.summarise(compared, 300), found)
    mine = summary[summary.family == comparison.BOUND].set_index(["measure", "context"])
    for row in found.itertuples():
        assert mine.value["regret", row.context] == row.regret
        least = row.t_star * 0.8 * np.log(9)  # kl(0.1, 0.9)
        assert mine.value["median", row.context] == pytest.approx(least)
    assert mine.value["regret", "mean"] == pytest.approx(found.regret.mean())
    assert mine.low.isna().all()
    assert len(mine) == 6


def test_a_context_called_mean_is_told_apart_from_the_mean_of_contexts(compared):
    renamed = compared.assign(context=compared.context.replace("rest", "mean"))
    summary = comparison.summarise(renamed, 300)
    assert set(summary.context) == {"simple", "mean (a context)", "mean"}
    assert not summary.duplicated(["learner", "measure", "context"]).any()


def test_what_the_lock_costs_is_paired_by_session_and_of_the_second_half():
    rng, rows = np.random.default_rng(1), []
    for scenario, gain in (("fails", -0.5), ("nothing", 0.0)):
        noise = rng.normal(size=30)
        for name in comparison.PAPER:
            for phase in (0, 1):
                for ending, shift in (("", 0.0), (comparison.NO_LOCK, gain)):
                    own = rng.normal(scale=0.01, size=30)
                    regret = noise + phase * (shift + own)
                    rows += [
                        (scenario, name + ending, k, phase, value)
                        for k, value in enumerate(regret)
                    ]
    names = ["scenario", "learner", "session", "phase", "regret"]
    table = pd.DataFrame(rows, columns=names)
    changes = comparison.lock_changes(table)
    assert changes.scenario.tolist() == ["fails", "fails", "nothing", "nothing"]
    after = table[table.phase == 1].groupby(["scenario", "learner"]).regret.mean()
    for row in changes.itertuples():
        free = after[row.scenario, row.learner + comparison.NO_LOCK]
        assert row.change == pytest.approx(free - after[row.scenario, row.learner])
        assert row.high - row.low < 0.05  # the sessions' own noise is not in it
    assert changes.told_apart.tolist() == [True, True, False, False]
    phases = statistics.means(table, ["scenario", "learner", "phase"], ["regret"])
    told = findings.describe_scenarios(phases, changes, "simple", 300)
    assert len(told) == 2 + 2
    assert "less regret in the second half in 1 (most in 'fails', -0." in told[-1]
    assert "and more in 0 of 2 scenarios" in told[-1]
    best = after.loc["fails"]
    assert (
        f"after query 150 is least with {best.idxmin()} {best.min():.3f} (" in told[0]
    )


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([[0.9], [0.4]], "None of 1 variants"),
        ([[1, 1], [0, 0]], "In 1 of 1 contexts two LLMs are equally the best"),
        ([[0.9, 0.1], [0.8, 0.3]], "more than a session has in 0 of 1 contexts"),
    ],
    ids=["one LLM", "two alike", "free LLMs"],
)
def test_a_small_pool_is_told_and_drawn_without_a_number_that_is_none(outcomes, said):
    trace = trace_of(outcomes)
    trace = dataclasses.replace(trace, cost_usd=np.zeros_like(trace.cost_usd))
    learners = experiments.routers() | {"UCB1": pk.UCB1()}
    table = comparison.compare(trace, IDENTITY, learners, sessions=8, queries=120)
    found = comparison.limits(trace, IDENTITY, 120)
    summary = comparison.with_bounds(comparison.summarise(table, 120), found)
    changes = comparison.against_paper(table)
    times = comparison.identification(table, found)
    text = " ".join(findings.describe_comparison(summary, changes, found, times, 120))
    assert said in text
    assert not {"nan", "inf"} & set(text.replace(",", " ").split())
    assert changes[changes.measure == "cents"].p_holm.isna().all()
    assert changes[changes.measure == "regret"].p_holm.notna().all()
    assert clipped(figures.variants(summary, comparison.MEASURES, 120)) == []
    assert clipped(figures.gains(changes, comparison.CHANGES)) == []
    assert clipped(figures.lock_times(times, 120)) == []


@pytest.mark.parametrize(
    ("models", "contexts", "missing"),
    [
        (4, ["simple"], "context: parallel_multiple"),
        (1, ["simple", "rest"], "best LLM appears"),
    ],
)
def test_a_scenario_that_a_pool_cannot_meet_is_left_out(models, contexts, missing):
    whole = pk.load_trace("bfcl-2024-08-11")
    reward = experiments.reward()
    every = experiments.scenarios(whole, reward, "simple", 40)
    pool = whole.select(context=contexts, models=whole.models[:models])
    worlds = experiments.scenarios(pool, reward, "simple", 40)
    assert missing in every
    assert missing not in worlds
    assert "best LLM fails" in worlds
    assert not [name for name in worlds if name.startswith("context: simple")]


def made_up(locked_at, on_best, learner="pursuit"):
    n = len(locked_at)
    return pd.DataFrame(
        {
            "context": "c",
            "learner": learner,
            "family": "automata",
            "session": np.arange(n),
            "locked_at": locked_at,
            "locked_on_best": pd.array(on_best, dtype="boolean"),
        }
    )


def test_time_and_error_are_those_of_the_sessions_that_locked():
    found = pd.DataFrame({"context": ["c"], "t_star": [50.0]})
    table = made_up([10, 20, 30, 40, -1], [True, True, True, False, None])
    row = comparison.identification(table, found).iloc[0]
    assert row.error == 0.25
    assert row.time == 25.0
    assert row.bound == pytest.approx(50 * 0.5 * np.log(3))
    assert row.bound_low == bounds.least_time(50.0, row.error_high)
    assert row.bound_high == pytest.approx(
        float(bounds.least_time(50.0, row.error_low))
    )
    assert comparison.identification(
        made_up([10, -1, -1], [True, None, None]), found
    ).empty


def test_who_beats_the_paper_needs_less_regret_than_both_and_certainty():
    rng, rows = np.random.default_rng(0), []
    for name, level in (
        ("automaton", 10.0),
        ("qlearning", 20.0),
        ("better", 5.0),
        ("between", 15.0),
        ("same", 10.0),
        ("best", 1.0),
    ):
        noise = rng.normal(size=50)
        rows.append(
            pd.DataFrame(
                {
                    "context": "c",
                    "learner": name,
                    "session": np.arange(50),
                    "regret": level + noise,
                    "right": 0.5 + 0.1 * noise,
                    "cents": 10 + noise,
                    "seconds": 1 + 0.1 * noise,
                }
            )
        )
    changes = comparison.against_paper(pd.concat(rows))
    assert comparison.winners(changes) == ["best", "better"]
    assert changes[
        (changes.learner == "best")
        & (changes.paper == "qlearning")
        & (changes.measure == "regret")
    ].change.item() == pytest.approx(-19, abs=1)


def test_the_sentences_state_the_numbers_of_the_tables(compared):
    summary, found = (
        comparison.summarise(compared, 300),
        comparison.limits(TRACE, experiments.reward(), 300),
    )
    changes, times = (
        comparison.against_paper(compared),
        comparison.identification(compared, found),
    )
    sentences = findings.describe_comparison(summary, changes, found, times, 300)
    text = " ".join(sentences)
    least = found.t_star * float(bounds.least_time(1.0, 0.1))
    assert f"{least.min():,.0f} to {least.max():,.0f} answers" in text
    assert "\n" not in text
    assert "nan" not in text
    assert f"{found.regret.mean():.0f} on average at 300 queries" in text
    names = comparison.winners(changes)
    assert (f"{len(names)} of 3 variants" if names else "None of 3 variants") in text


def test_the_sentences_name_the_winner_and_what_it_costs():
    # both of the paper's learners do badly: the best LLM is the last of the pool
    trace = trace_of([[0.3, 0.4, 0.9], [0.4, 0.3, 0.8]])
    learners = {
        "automaton": pk.LinearRewardInaction(0.9),
        "qlearning": pk.QLearning(0.1, 0.05),
        "pursuit": pk.Pursuit(0.1, trials=2),
    }
    table = comparison.compare(trace, IDENTITY, learners, sessions=60, queries=200)
    summary, changes, found = (
        comparison.summarise(table, 200),
        comparison.against_paper(table),
        comparison.limits(trace, IDENTITY, 200),
    )
    text = " ".join(
        findings.describe_comparison(
            summary, changes, found, comparison.identification(table, found), 200
        )
    )
    regret = table.groupby("learner").regret.mean()
    assert comparison.winners(changes) == ["pursuit"]
    assert f"Least has pursuit, {regret['pursuit']:.0f} (" in text
    assert f"{regret['pursuit'] - regret['automaton']:+.0f} (" in text
    assert f"{regret['pursuit'] - regret['qlearning']:+.0f} (" in text
    assert "Its sessions: cost -0 % (-0 to -0) against L_R-I" in text.replace(
        "+0", "-0"
    )  # every LLM costs the same here
    median = table[table.learner == "pursuit"].locked_at.median()
    assert f"its median lock comes after {median:.0f} (" in text


def test_learners_that_see_the_context_are_paired_with_the_first():
    frame = comparison.mixed(
        TRACE,
        experiments.reward(),
        {k: experiments.MIXED[k] for k in ("automaton", "LinUCB")},
        sessions=30,
        queries=400,
    )
    assert frame.change.iloc[0] == 0
    assert frame.change.iloc[1] == pytest.approx(
        frame.value.iloc[1] - frame.value.iloc[0]
    )
    assert frame.learner.iloc[1] in findings.describe_mixed(frame)


def test_every_named_variant_and_scenario_runs():
    s = trace_of([[0.9, 0.1], [0.5, 0.4]])
    for learner in experiments.VARIANTS.values():
        assert pk.replay(s, IDENTITY, learner, sessions=2, queries=8).choices.shape == (
            2,
            8,
        )
    worlds = experiments.scenarios(TRACE, experiments.reward(), "simple", 40)
    best = {
        c: pk.BestSingle().bind(TRACE.select(context=c), experiments.reward()).model
        for c in CONTEXTS
    }
    for name, (joined, order, delay) in worlds.items():
        run = pk.replay(
            joined,
            experiments.reward(),
            pk.Hindered(pk.KLUCB(), delay),
            sessions=2,
            queries=40,
            order=order,
        )
        phases = scenarios.by_phase(run, order).drop_duplicates("phase").best.tolist()
        assert (phases[0] == best["simple"]) == (name != "best LLM appears")
        if "fails" in name or "slower" in name:
            assert phases[1] != phases[0]
        if "feedback" in name or "nothing" in name:
            assert phases[1] == phases[0]


def clipped(figure):
    """Texts of a laid out figure that leave its canvas; no tick beyond an axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.05, h_pad=0.05)
    for _ in range(2):
        figure.draw_without_rendering()
    width, height = figure.get_size_inches() * figure.dpi
    texts = [
        *figure.texts,
        *(t for legend in figure.legends for t in legend.get_texts()),
    ]
    for axis in (a for a in figure.axes if a.get_visible()):
        ticks = [
            t
            for which in (axis.xaxis, axis.yaxis)
            for t, at in zip(which.get_ticklabels(), which.get_ticklocs(), strict=False)
            if which.get_view_interval()[0] <= at <= which.get_view_interval()[1]
        ]
        texts += [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts, *ticks]
    boxes = {
        t.get_text(): t.get_window_extent()
        for t in texts
        if t.get_text().strip() and t.get_visible()
    }
    return [
        text
        for text, b in boxes.items()
        if b.x0 < -0.5 or b.y0 < -0.5 or b.x1 > width + 0.5 or b.y1 > height + 0.5
    ]


def test_figures_show_every_learner_and_clip_nothing(compared):
    learners = list(experiments.routers()) + list(experiments.VARIANTS)
    table = pd.concat(
        [
            compared[compared.learner == "pursuit"].assign(
                learner=n,
                family=(
                    "paper"
                    if n in comparison.PAPER
                    else comparison.family(experiments.VARIANTS[n])
                ),
            )
            for n in learners
        ]
    )
    found = comparison.limits(TRACE, experiments.reward(), 300)
    summary = comparison.with_bounds(comparison.summarise(table, 300), found)
    figure = figures.variants(summary, comparison.MEASURES, 300)
    assert len(figure.axes[0].get_yticklabels()) == len(learners) + 1
    assert clipped(figure) == []
    changes = comparison.against_paper(table)
    assert clipped(figures.gains(changes, comparison.CHANGES)) == []
    times = comparison.identification(compared, found)
    assert clipped(figures.lock_times(times, 300)) == []
    assert clipped(figures.lock_times(times.iloc[:0], 300)) == []


def test_the_figure_of_scenarios_clips_nothing():
    worlds = experiments.scenarios(TRACE, experiments.reward(), "simple", 40)
    long = pd.DataFrame(
        [
            (w, n, p, m, 0.2, 0.1, 0.3)
            for w in worlds
            for n in experiments.SCENARIO_LEARNERS
            for p in (0, 1)
            for m in ("regret", "share_best")
        ]
    )
    long.columns = ["scenario", "learner", "phase", "measure", "value", "low", "high"]
    long = long.replace("context: rest", "context: parallel_multiple")
    changes = pd.DataFrame(
        [(w, n, -0.4, -0.5, 0.1) for w in worlds for n in comparison.PAPER],
        columns=["scenario", "learner", "change", "low", "high"],
    ).replace("context: rest", "context: parallel_multiple")
    assert clipped(figures.scenarios(long, changes)) == []


def test_the_figure_of_mixed_contexts_clips_nothing():
    frame = pd.DataFrame({"learner": list(experiments.MIXED), "value": 0.8})
    ends = {"low": 0.7, "high": 0.9, "change": 0.1, "change_low": 0, "change_high": 0.2}
    assert clipped(figures.mixed(frame.assign(**ends))) == []


def run_notebook(name, tmp_path, **parameters):
    ran = run_notebook_alone(Study.here(tmp_path), name, parameters)
    assert ran.executed
    return json.loads((tmp_path / "results" / f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("name", "parameters", "figure"),
    [
        (
            "variants",
            {"sessions": 4, "queries": 110, "contexts": "simple, rest"},
            "lock-times.png",
        ),
        (
            "own-learner",
            {"sessions": 8, "queries": 120, "contexts": "simple, rest"},
            "own-cost.png",
        ),
        ("scenarios", {"sessions": 4, "queries": 120}, "scenarios.png"),
    ],
)
def test_these_notebooks_run_alone_from_end_to_end(name, parameters, figure, tmp_path):
    content = run_notebook(name, tmp_path, **parameters)
    assert any(f.endswith(figure) for f in content["figures"])
    assert content["notes"]
    assert all((root() / f).exists() for f in content["figures"])
    assert not any("nan" in note.split() for note in content["notes"])
