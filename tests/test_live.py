"""The notebook of a live session, as a user runs it, on endpoints on loopback."""

import json
import pathlib

import pandas as pd
import pytest
import yaml
from endpoints import serving

import pickllm as pk
from pickllm import experiments, figures
from pickllm.files import home

N = 120


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Two files for two endpoints: one good, fast, cheap, one bad, slow, dear."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(home("notebooks").parent))
    rows = [(f"q{i}", f"please say {i}", str(i)) for i in range(N)]
    pd.DataFrame(rows, columns=["query_id", "prompt", "reference"]).to_csv(
        "queries.csv", index=False
    )
    prices = dict.fromkeys(
        ("usd_per_million_input_tokens", "usd_per_million_output_tokens")
    )
    with (
        serving(model="g", quality=0.95, seconds=0.004) as good,
        serving(model="b", quality=0.2, seconds=0.03, script=[500]) as bad,
    ):
        both = {"bad": (bad, 20.0), "good": (good, 1.0)}
        said = {
            name: {
                "model": stub.model,
                "base_url": stub.base_url,
                "max_tokens": 50,
                **dict.fromkeys(prices, usd),
            }
            for name, (stub, usd) in both.items()
        }
        pathlib.Path("models.yaml").write_text(yaml.safe_dump(said))
        yield good, bad


def executed(tmp_path, **parameters):
    """The notebook's table of the session and the notebook as it was executed."""
    import nbformat
    import papermill

    parameters = {
        "latency_floor_ms": 2.0,
        "latency_ceiling_ms": 1000.0,
        "every": 40,
        **parameters,
    }
    parameters |= {
        "result": str(tmp_path / "results" / "live.json"),
        "figures": str(tmp_path / "figures"),
    }
    source, copy = home("notebooks") / "live.ipynb", tmp_path / "live.ipynb"
    papermill.execute_notebook(
        str(source),
        str(copy),
        parameters=parameters,
        kernel_name="python3",
        progress_bar=False,
        log_output=False,
    )
    return pd.read_parquet(
        tmp_path / "results" / "live.session.parquet"
    ), nbformat.read(copy, as_version=4)


@pytest.mark.xdist_group("notebooks")
def test_a_live_session_converges_to_the_better_endpoint_as_its_picture_grows(
    asked, tmp_path
):
    good, bad = asked
    table, notebook = executed(
        tmp_path, seed=2, learning_rate=0.3, state=str(tmp_path / "state.json")
    )
    assert len(table) == N
    assert table.locked.iloc[-1] == "good"
    assert len(bad.requests) < N / 2
    assert len(good.requests) + len(bad.requests) == N + 1
    assert table.failed.tolist().count("bad") == 1
    assert table.model.tail(20).eq("good").all()
    assert table.accuracy[table.model == "good"].mean() > 0.85

    # the same learner, told the same outcomes query by query, has the same
    # probabilities
    limits = pk.Limits(20 * (1000 + 50) / 1e6, 2.0, 1000.0)
    router = pk.Router(
        ["bad", "good"],
        pk.LinearRewardInaction(0.3),
        experiments.reward(),
        seed=2,
        limits=limits,
    )
    for row in table.to_dict("records"):
        first = router.pick()
        if row["failed"]:
            assert first == row["failed"]
            router.learn(first, 0.0)
        else:
            assert first == row["model"]
        router.update(
            row["model"],
            accuracy=row["accuracy"],
            cost_usd=row["cost_usd"],
            latency_ms=row["latency_ms"],
        )
        assert (row["p bad"], row["p good"]) == tuple(router.probabilities.values())
    assert pk.Router.load(tmp_path / "state.json").probabilities == router.probabilities

    assert 1 < table.router_us.median() < 1000 * table.latency_ms.median() / 2
    images = [
        o
        for c in notebook.cells
        if c.cell_type == "code"
        for o in c.outputs
        if "image/png" in o.get("data", {})
    ]
    assert (
        len(images) == 2
    )  # the one that grew, in its place, and the one that is saved
    notes = json.loads((tmp_path / "results" / "live.json").read_text("utf-8"))["notes"]
    assert f"{N} queries, 1 with a call that failed; locked: good." in notes
    assert {p.suffix for p in (tmp_path / "figures").iterdir()} == {
        ".svg",
        ".pdf",
        ".png",
        ".csv",
    }


def test_the_picture_shows_the_probabilities_and_the_times():
    table = pd.DataFrame(
        {
            "query": [1, 2],
            "model": ["a", "b"],
            "latency_ms": [500.0, 20.0],
            "router_us": [30.0, 40.0],
            "p a": [0.6, 0.7],
            "p b": [0.4, 0.3],
        }
    )
    left, right = figures.live(table).axes
    lines = {line.get_label(): line.get_ydata().tolist() for line in left.lines}
    assert lines["a"] == [0.6, 0.7]
    assert lines["b"] == [0.4, 0.3]
    assert sorted(line.get_ydata().tolist() for line in right.lines) == [
        [0.03, 0.04],
        [20.0],
        [500.0],
    ]
    assert right.get_yscale() == "log"
    assert figures.glance(figures.live(table)).data.startswith(b"\x89PNG")


def test_what_the_router_itself_took_is_neither_calls_nor_scores():
    import time

    router = pk.Router(["a", "b"], pk.LinearRewardInaction(0.1), pk.Reward(), seed=0)
    live = pk.LiveSession(
        router,
        {m: lambda p: time.sleep(0.02) or ("x", 0.0) for m in "ab"},
        lambda text, reference: time.sleep(0.02) or 1.0,
    )
    assert all(0 < live.ask("x").router_us < 15_000 for _ in range(5))
