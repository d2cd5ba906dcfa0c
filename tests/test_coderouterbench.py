"""CodeRouterBench: the shipped rows against the public table, read by plain Python."""

import csv
import hashlib
import json
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest

import pickllm as pk
from pickllm.__main__ import main
from pickllm.files import home
from pickllm.traces import coderouterbench as table
from pickllm.traces.coderouterbench import coderouterbench

NAME = "coderouterbench"
LLMS = ("a", "b", "c")
COLUMNS = list(table.COLUMNS)


@pytest.fixture
def small(tmp_path):
    """Four tasks of three LLMs, one of them with a call of each kind that failed."""
    rows = [
        [f"t{i}", "algorithm" if i < 2 else "bugs", m, 0.25 * i, 100 + i, 10, 900, 0.01]
        for i in range(4)
        for m in LLMS
    ]
    rows[1][4:] = [0, 0, 0, 0.0]  # t0 of b failed, whatever its latency says
    rows[5][6] = 0  # t1 of c was not recorded
    path = tmp_path / "small.csv"
    pd.DataFrame(rows, columns=COLUMNS).to_csv(path, index=False)
    return path


def kept_by_hand(path):
    """Return {task: {LLM: row}} of complete tasks, and how many rows each rule took."""
    took, tasks, models = Counter(), defaultdict(dict), set()
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            models.add(row["model"])
            if row["cost_source"] == "missing_token_record_zero_total":
                took["failed"] += 1
            elif int(row["latency_ms"]) == 0:
                took["unrecorded"] += 1
            else:
                tasks[row["task_id"]][row["model"]] = row
    whole = {t: rows for t, rows in tasks.items() if rows.keys() == models}
    took["incomplete"] = sum(map(len, tasks.values())) - 8 * len(whole)
    return whole, took


def test_the_shipped_rows_are_those_of_the_public_table(measured_table):
    whole, took = kept_by_hand(measured_table)
    trace = pk.load_trace(NAME)
    assert trace.n_queries == len(whole) == 2417
    assert set(trace.query_id.tolist()) == set(whole)
    for i, (task, context) in enumerate(
        zip(trace.query_id.tolist(), trace.context.tolist(), strict=True)
    ):
        for j, model in enumerate(trace.models):
            row = whole[task][model]
            assert row["dimension"] == context
            assert float(row["score"]) == trace.accuracy[i, j]
            assert float(row["cost_usd"]) == trace.cost_usd[i, j]
            assert int(row["latency_ms"]) == trace.latency_ms[i, j]
            assert int(row["input_tokens"]) == trace.input_tokens[i, j]
            assert int(row["output_tokens"]) == trace.output_tokens[i, j]
    receipt = json.loads((home("data") / f"{NAME}.receipt.json").read_text())
    assert list(receipt["dropped"].values()) == [
        took["failed"],
        took["unrecorded"],
        took["incomplete"],
    ]
    assert receipt["rows"] - sum(receipt["dropped"].values()) == receipt["kept"]
    assert receipt["kept"] == trace.accuracy.size
    content = measured_table.read_bytes()
    assert receipt["sha256"] == hashlib.sha256(content).hexdigest() == table.SHA256
    assert receipt["as_pinned"] is True


def test_the_means_are_those_that_its_readers_computed():
    accuracy = pk.load_trace(NAME).accuracy
    assert accuracy.mean() == pytest.approx(0.406, abs=5e-4)  # random choice
    assert accuracy.mean(axis=0).max() == pytest.approx(0.473, abs=5e-4)
    assert accuracy.max(axis=1).mean() == pytest.approx(0.566, abs=5e-4)
    halves = np.isin(accuracy, (0, 1)).mean(axis=0)
    assert 0.5 < halves.min() < halves.max() < 0.7  # the other scores are fractions


def test_declared_limits_hold_every_measured_answer():
    trace = pk.load_trace(NAME)
    limits = trace.limits
    assert limits.latency_floor_ms < trace.latency_ms.min()
    assert 90_000 < trace.latency_ms.max() < limits.latency_ceiling_ms == 100_000
    assert trace.cost_usd.max() < limits.max_cost_usd
    assert limits.max_cost_usd == pytest.approx((2000 * 5 + 4096 * 25) / 1e6)
    assert len(trace.contexts) == 9
    assert trace.joint


def test_each_rule_drops_its_rows_and_counts_them(small):
    trace, receipt = coderouterbench(small)
    assert trace.query_id.tolist() == ["t2", "t3"]
    assert trace.models == LLMS
    assert trace.accuracy.tolist() == [[0.5] * 3, [0.75] * 3]
    assert receipt.dropped == {
        table.FAILED: 1,
        table.UNRECORDED: 1,
        "query not answered by every LLM": 4,
    }
    assert (receipt.rows, receipt.kept, receipt.as_pinned) == (12, 6, False)
    assert "not the pinned file of" in receipt.sentences()[1]


def test_a_table_without_a_column_or_without_a_whole_task_is_refused(small, tmp_path):
    frame = pd.read_csv(small)
    path = tmp_path / "other.csv"
    frame.drop(columns="latency_ms").to_csv(path, index=False)
    with pytest.raises(pk.InputError, match="no column 'latency_ms'"):
        coderouterbench(path)
    frame.assign(latency_ms=[0, 9, 9] * 4).to_csv(path, index=False)
    with pytest.raises(pk.InputError, match="no query was answered by all of a, b, c"):
        coderouterbench(path)
    (tmp_path / "t.pkl").write_bytes(b"")
    with pytest.raises(pk.InputError, match="never loaded"):
        coderouterbench(tmp_path / "t.pkl")


def test_the_command_writes_a_trace_and_its_receipt(small, tmp_path, capsys):
    out = tmp_path / "mine.parquet"
    assert main(["import", NAME, str(small), "--output", str(out)]) == 0
    assert "dropped 4: query not answered" in capsys.readouterr().out
    assert pk.load_trace(out).n_queries == 2
    assert json.loads((tmp_path / "mine.receipt.json").read_text())["rows"] == 12
    given = ["import", NAME, str(small), "--latency-ms", "5", "--output", str(out)]
    assert main(given) == 2
    assert "coderouterbench holds its own" in capsys.readouterr().err
    assert main(["import", "routellm", "--output", str(out)]) == 2
    assert "no file given" in capsys.readouterr().err


def test_the_pinned_table_is_fetched_and_imported_as_it_is_shipped(
    measured_table, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("PICKLLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PICKLLM_MIRROR", str(measured_table.parent))
    assert main(["fetch", NAME]) == 0
    assert "checksum verified" in capsys.readouterr().out
    out = tmp_path / f"{NAME}.parquet"
    assert main(["import", NAME, "--output", str(out)]) == 0
    for ending in ("parquet", "receipt.json"):
        if ending == "parquet":
            again = pd.read_parquet(out)
            shipped = pd.read_parquet(home("data") / out.name)
            pd.testing.assert_frame_equal(again, shipped)
        else:
            shipped = (home("data") / f"{NAME}.{ending}").read_text()
            assert (tmp_path / f"{NAME}.{ending}").read_text() == shipped


def test_a_table_that_differs_from_its_checksum_is_refused(tmp_path):
    (tmp_path / table.FILE).write_text("task_id\n")
    with pytest.raises(pk.InputError, match="differs from the pinned SHA-256 88b4f7"):
        table.fetch(str(tmp_path), tmp_path / "cache")


def test_prices_that_are_given_stand_over_its_own_costs():
    models = pk.load_trace(NAME).models
    prices = {m: pk.Price(m, "v", 1.0, 2.0, "2026-01-01", "mine") for m in models}
    trace = pk.load_trace(NAME, prices)
    expected = (trace.input_tokens + 2 * trace.output_tokens) / 1e6
    np.testing.assert_allclose(trace.cost_usd, expected, rtol=1e-12)
    assert trace.limits.max_cost_usd == pytest.approx((2000 + 2 * 4096) / 1e6)
    assert trace.name == "coderouterbench-repriced"
