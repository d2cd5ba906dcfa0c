"""The panel shows what replay gives; a variant goes from it to the study and back."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import pickllm as pk
from pickllm.study import panel as panel_module
from pickllm.study import runs, study
from pickllm.study import variant as explore
from pickllm.study.panel import Panel
from pickllm.study.planning import declared_parameters
from pickllm.study.runs import all_figures, study_runs

SMALL = {"sessions": 60, "queries": 80}


def test_the_panels_numbers_are_the_replays_and_the_traces():
    frame = explore.numbers(
        explore.Variant(
            context="rest", w_cost=0.5, learner="qlearning", learning_rate=0.3, **SMALL
        )
    )
    here = pk.load_trace("bfcl-2024-08-11").select(context="rest")
    s = pk.replay(
        here,
        pk.Reward(w_cost=0.5),
        pk.QLearning(0.3, 0.1),
        sessions=60,
        queries=80,
        seed=0,
    )
    table = s.table()
    value = frame.set_index(["panel", "series"]).value
    assert value["cost_cents", "qlearning"] == pytest.approx(
        100 * table.cost_usd.mean()
    )
    assert value["latency_s", "qlearning"] == pytest.approx(
        table.latency_ms.mean() / 1e3
    )
    assert value["accuracy", "qlearning"] == pytest.approx(table.accuracy.mean())
    for j, model in enumerate(here.models):
        assert value["locked_on", model] == (s.locked_model == j).mean()
    assert frame[frame.best].series.unique().tolist() == [here.models[s.best]]


def test_controls_are_what_long_sessions_of_them_come_to():
    frame = (
        explore.numbers(explore.Variant(context="simple", **SMALL))
        .set_index(["panel", "series"])
        .value
    )
    here = pk.load_trace("bfcl-2024-08-11").select(context="simple")
    for name, control in {
        "random": pk.UniformRandom(),
        "oracle": pk.Oracle(),
        here.models[1]: pk.Always(here.models[1]),
    }.items():
        table = pk.replay(
            here, pk.Reward(), control, sessions=400, queries=500, checkpoints=2
        ).table()
        for panel, values in (
            ("cost_cents", 100 * 80 / 500 * table.cost_usd),
            ("latency_s", table.latency_ms / 1e3),
            ("accuracy", table.accuracy),
        ):
            error = values.std() / np.sqrt(len(values))
            assert abs(values.mean() - frame[panel, name]) < 4.5 * error + 1e-12, (
                panel,
                name,
            )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"models": "gpt-4-1106-preview"}, "a pool needs two LLMs"),
        ({"models": "gpt"}, "unknown LLM 'gpt'"),
        ({"learner": "ucb"}, "unknown learner 'ucb'"),
        ({"context": "x"}, "unknown context 'x'"),
    ],
)
def test_a_choice_that_cannot_be_drawn_is_one_line(change, text):
    with pytest.raises(pk.InputError, match=text):
        explore.numbers(explore.Variant(**SMALL | change))


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A checkout of its own for exports and promotions."""
    monkeypatch.setattr(study, "root", lambda: tmp_path)
    monkeypatch.setattr(panel_module, "root", lambda: tmp_path)
    monkeypatch.setattr(runs, "home", lambda folder: tmp_path / folder)
    return tmp_path


@pytest.fixture
def panel(tree):
    return Panel(explore.Variant(context="rest", **SMALL))


def test_moving_a_control_redraws_and_says_what_came_of_it(panel):
    before, said = panel.picture.value, panel.message.value
    assert bytes(before).startswith(b"\x89PNG")
    assert "% of sessions locked" in said
    panel.controls["w_cost"].value = 2.0
    assert panel.picture.value != before
    assert panel.message.value != said
    panel.controls["w_cost"].value = 0.1
    assert panel.picture.value == before
    assert panel.variant == explore.Variant(context="rest", **SMALL)


def test_another_trace_brings_its_contexts_and_pool_and_draws_once(panel, monkeypatch):
    drawn = []
    monkeypatch.setattr(panel, "draw", lambda: drawn.append(panel.variant))
    panel.controls["trace"].value = "bfcl-2024-08-11-second"
    second = pk.load_trace("bfcl-2024-08-11-second")
    assert panel.controls["models"].options == second.models
    assert len(drawn) == 1
    assert drawn[0].models == "all"


def test_one_llm_is_one_line_under_the_picture(panel):
    before = panel.picture.value
    panel.controls["models"].value = panel.controls["models"].options[:1]
    assert "a pool needs two LLMs" in panel.message.value
    assert panel.picture.value == before


def test_a_variant_goes_from_the_panel_to_the_study_and_back(panel, tree, monkeypatch):
    panel.controls["w_cost"].value = 0.5
    panel.name.value = "Cost First"
    panel.button.click()
    assert "small letters, digits and hyphens" in panel.message.value
    assert not list(tree.rglob("variant.json"))
    panel.name.value = "cost-first"
    panel.button.click()
    assert "pickllm promote cost-first" in panel.message.value
    folder = tree / "build/explore/cost-first"
    assert explore.read(folder / "variant.json") == panel.variant
    svg = (folder / "cost-first.svg").read_text()
    assert explore.MARK in svg
    assert (folder / "cost-first.png").exists()
    pd.testing.assert_frame_equal(
        pd.read_csv(folder / "cost-first.csv"),
        explore.numbers(panel.variant).round(12),
        check_dtype=False,
        rtol=1e-4,
    )

    trace = pk.load_trace("bfcl-2024-08-11")
    before = study_runs(trace, "smoke", "bfcl-2024-08-11-second")
    assert explore.promote("cost-first") == tree / "data/variants/cost-first.json"
    after = study_runs(trace, "smoke", "bfcl-2024-08-11-second")
    (new,) = after[len(before) :]
    assert after[: len(before)] == before
    assert new.name == "variant-cost-first"
    assert new.notebook == "variant"
    assert new.parameters == json.loads((folder / "variant.json").read_text()) | {
        "name": "cost-first"
    }
    assert "variant-cost-first" in all_figures()
    assert study_runs(trace, "smoke") == [
        r for r in before if r.name != "check-second"
    ] or len(study_runs(trace, "smoke")) < len(before)
    shutil.rmtree(tree / "data")
    assert study_runs(trace, "smoke", "bfcl-2024-08-11-second") == before


def test_the_notebook_declares_every_parameter_of_a_variant():
    assert set(declared_parameters("variant")) == set(
        explore.Variant.__dataclass_fields__
    ) | {"name", "result", "figures", "run"}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ('{"w_cots": 1}', "unknown parameter 'w_cots'; did you mean 'w_cost'"),
        ("{", "is not a variant's parameter file"),
        ("[1]", "unknown parameter 1|is not a variant"),
    ],
)
def test_a_damaged_parameter_file_is_one_line(tmp_path, content, text):
    (tmp_path / "v.json").write_text(content)
    with pytest.raises(pk.InputError, match=text):
        explore.read(tmp_path / "v.json")


def test_what_was_not_exported_cannot_be_promoted(tree):
    with pytest.raises(FileNotFoundError, match=r"no exported variant 'x'.*export one"):
        explore.promote("x")
