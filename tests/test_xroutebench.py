"""xRouteBench: the columns that its page states, on rows made here."""

import json

import pandas as pd
import pytest

import pickllm as pk
from pickllm.__main__ import main
from pickllm.traces import xroutebench as table
from pickllm.traces.receipts import INCOMPLETE
from pickllm.traces.xroutebench import xroutebench

LLMS = ("small", "large")


def call(task, number, model, **changes):
    row = {
        "task_name": task,
        "query": "what?",
        "ground_truth": "x",
        "metric": "em",
        "choices": None,
        "task_id": number,
        "model_name": model,
        "response": "x",
        "token_num": 12,
        "input_tokens": 10 + LLMS.index(model),
        "output_tokens": 2,
        "response_time": 0.5 + number,
        "performance": 1.0,
        "embedding_id": 0,
    }
    return row | changes


FAILURE = {"response_time": 0, "input_tokens": 0, "output_tokens": 0, "performance": 0}


@pytest.fixture
def calls():
    """Two tasks of five and of one query; four calls are no measurement."""
    rows = {
        (task, n, m): call(task, n, m)
        for task, size in (("maths", 5), ("law", 1))
        for n in range(size)
        for m in LLMS
    }
    rows["maths", 0, "small"] |= FAILURE | {"response": None}
    rows["maths", 1, "large"] |= {"response": "API Error: 500"}  # whatever else it says
    rows["maths", 2, "large"] |= {"response_time": 0}
    rows["maths", 3, "small"] |= {"performance": None}
    rows["law", 0, "large"] |= {"performance": 0.25}
    return pd.DataFrame(rows.values())


@pytest.fixture
def prices(tmp_path):
    path = tmp_path / "llms.csv"
    columns = "model_name", "size", "input_price_per_1m", "output_price_per_1m"
    rows = [("small", "8B", 0.2, 0.4), ("large", "70B", 2, 4)]
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


@pytest.fixture(params=["csv", "parquet"])
def path(calls, tmp_path, request):
    return written(calls, tmp_path / f"x.{request.param}")


def written(frame, path):
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


def test_each_rule_drops_its_calls_and_the_rest_is_measured(path, prices):
    trace, receipt = xroutebench(path, prices)
    assert trace.query_id.tolist() == ["maths/4", "law/0"]
    assert trace.context.tolist() == ["maths", "law"]
    assert trace.models == LLMS
    assert trace.latency_ms.tolist() == [[4500, 4500], [500, 500]]
    assert trace.accuracy.tolist() == [[1, 1], [1, 0.25]]
    expected = [(10 * 0.2 + 2 * 0.4) / 1e6, (11 * 2 + 2 * 4) / 1e6]
    assert trace.cost_usd[0].tolist() == pytest.approx(expected)
    assert receipt.dropped == {
        table.FAILED: 2,
        table.UNRECORDED: 1,
        table.UNSCORED: 1,
        INCOMPLETE: 4,
    }
    assert (receipt.rows, receipt.kept, receipt.as_pinned) == (12, 4, None)


def test_the_kits_price_list_and_one_in_its_form_are_taken_too(calls, tmp_path):
    calls["model_name"] = calls.model_name.map(
        {"small": "command-r-plus", "large": "gpt-4-0613"}
    )
    path = written(calls, tmp_path / "x.csv")
    assert xroutebench(path).trace.cost_usd[1].tolist() == pytest.approx(
        [(10 * 3 + 2 * 15) / 1e6, (11 * 30 + 2 * 60) / 1e6]
    )
    mine = tmp_path / "mine.csv"
    mine.write_text(
        "model,vendor,usd_per_million_input_tokens,usd_per_million_output_tokens,"
        "as_of,source\ncommand-r-plus,v,1,1,d,s\ngpt-4-0613,v,1,1,d,s\n"
    )
    costs = xroutebench(path, mine).trace.cost_usd[1].tolist()
    assert costs == pytest.approx([12e-6, 13e-6])


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        (
            "performance",
            80.0,
            r"row 11, column 'performance': must be in \[0, 1\], got",
        ),
        ("response_time", -1.0, "row 11, column 'response_time': must be seconds >= 0"),
        ("response_time", "fast", "row 11, column 'response_time': must be a number"),
        ("input_tokens", float("inf"), "row 11, column 'input_tokens': must be a num"),
        (
            "model_name",
            "large",
            "row 11, column 'task_id': must be in one row for each",
        ),
    ],
)
def test_a_cell_that_breaks_a_rule_is_named_by_its_row_in_the_table(
    calls, prices, tmp_path, column, value, said
):
    calls[column] = calls[column].astype(object)
    calls.loc[9, column] = value  # maths/4 of the large LLM: line 11 of the file
    if column == "model_name":
        calls.loc[8, column] = value
    with pytest.raises(pk.InputError, match=said) as caught:
        xroutebench(written(calls, tmp_path / "x.csv"), prices)
    assert "\n" not in str(caught.value)


def test_a_missing_column_or_price_is_named(calls, prices, tmp_path):
    path = written(calls.drop(columns="response_time"), tmp_path / "x.csv")
    with pytest.raises(pk.InputError, match="no column 'response_time'; a table of"):
        xroutebench(path, prices)
    path = written(calls, tmp_path / "x.csv")
    with pytest.raises(pk.InputError, match="model 'small' has no price"):
        xroutebench(path)
    prices.write_text(prices.read_text().replace("0.2", "-1"))
    said = "row 2, column 'input_price_per_1m': must be US dollars per million"
    with pytest.raises(pk.InputError, match=said):
        xroutebench(path, prices)


def test_the_command_writes_a_trace_and_its_receipt(path, prices, tmp_path, capsys):
    out = tmp_path / "mine.csv"
    given = ["import", "xroutebench", str(path), "--output", str(out)]
    assert main([*given, "--prices", str(prices)]) == 0
    assert "dropped 2: an error in place of a response" in capsys.readouterr().out
    assert pk.load_trace(out).n_queries == 2
    assert json.loads((tmp_path / "mine.receipt.json").read_text())["rows"] == 12
    assert main([*given, "--score", "s"]) == 2
    assert "--score: xroutebench takes none, got 's'" in capsys.readouterr().err
