"""The readings that the study compares: each changes what its name says."""

import json

import numpy as np
import pytest

import pickllm as pk
from pickllm import experiments
from pickllm.files import root

SIZE = {"sessions": 40, "queries": 400, "seed": 3}


@pytest.fixture(scope="module")
def trace():
    return pk.load_trace("bfcl-2024-08-11").select(context="simple")


def replayed(trace, name, **options):
    """Q-learning's sessions under a reading."""
    reading = experiments.readings(trace)[name]
    return pk.replay(
        reading.trace,
        reading.reward,
        reading.learners["qlearning"],
        lock=reading.lock["qlearning"],
        ties=reading.ties,
        **SIZE | options,
    )


def names_of(sessions):
    return np.array(sessions.trace.models)[sessions.choices]


def test_the_first_studys_reading_asks_the_first_llm_first_and_no_other_does(trace):
    chance = {
        name: replayed(trace, name, queries=1).probabilities[:, 0, 0]
        for name, reading in experiments.readings(trace).items()
        if "qlearning" in reading.learners
    }
    first = {name for name, p in chance.items() if (p > 0.5).all()}
    assert first == {"ties to the first LLM (the first study)"}


def test_the_order_of_the_pool_decides_under_the_first_studys_reading_alone(trace):
    backwards = trace.select(models=trace.models[::-1])
    for name, decides in (
        ("ties to the first LLM (the first study)", True),
        ("ratio, declared bounds (the study)", False),
    ):
        asked = [
            np.bincount(s.choices.ravel(), minlength=4)
            for s in (replayed(trace, name), replayed(backwards, name))
        ]
        leads = [s[0] == s.max() for s in asked]
        assert all(leads) == decides, name


def test_exploration_that_falls_is_below_a_twentieth_after_380_queries(trace):
    sessions = replayed(trace, "epsilon falls", checkpoints=[0, 20, 100])
    share = 1 / (1 + 0.05 * np.array([0, 20, 100]))
    highest = sessions.probabilities.max(axis=2)
    assert highest == pytest.approx(np.tile(1 - share + share / 4, (40, 1)))
    assert set(sessions.locked_at) <= {380, 381}


def test_values_never_settle_where_single_rewards_move_them_far(trace):
    assert (replayed(trace, "values settled for 100").locked_at == -1).all()


def test_a_gap_is_there_at_once_where_q_starts_at_0(trace):
    at = replayed(trace, "gap of 0.05 for 50").locked_at
    assert ((at >= 50) & (at < 75)).mean() > 0.9


@pytest.mark.parametrize(
    "name", ["Q starts at 1 (optimistic)", "Q starts at the first reward"]
)
def test_other_beginnings_lock_on_the_best_llm_more_often(trace, name):
    plain = replayed(trace, "ratio, declared bounds (the study)", sessions=200)
    other = replayed(trace, name, sessions=200, queries=1000)
    right = [(s.locked_model == s.best).mean() for s in (plain, other)]
    assert right[1] > right[0] + 0.15


def test_the_notebook_passes_ties_on():
    cells = json.loads((root() / "notebooks" / "readings.ipynb").read_text("utf-8"))
    code = "".join("".join(cell["source"]) for cell in cells["cells"])
    assert '"ties": ties' in code
