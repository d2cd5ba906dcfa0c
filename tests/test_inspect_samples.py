"""Inspect's tables of samples: their columns, on rows made here."""

import json

import numpy as np
import pandas as pd
import pytest

import pickllm as pk
from pickllm.__main__ import main
from pickllm.traces import inspect_samples as table
from pickllm.traces.inspect_samples import inspect_samples
from pickllm.traces.receipts import INCOMPLETE

LLMS = ("openai/one", "vendor/two")


def usage(model, read=100, written=20, **more):
    return json.dumps({model: {"input_tokens": read, "output_tokens": written, **more}})


def sample(name, model, **changes):
    row = {
        "sample_id": f"{name}-{model}",
        "eval_id": model,
        "id": name,
        "epoch": 1,
        "input": "q",
        "target": "a",
        "metadata_subject": "law" if name == "s5" else "maths",
        "score_match": "C",
        "model_usage": usage(model),
        "total_time": 9.0,
        "working_time": 2.0,
        "error": None,
        "limit": None,
        "retries": None,
    }
    return row | changes


@pytest.fixture
def samples():
    """Six samples of two LLMs; the calls of four are no measurement."""
    rows = {(i, m): sample(f"s{i}", m) for i in range(6) for m in LLMS}
    rows[0, LLMS[0]] |= {"error": "RuntimeError", "model_usage": None}
    rows[1, LLMS[1]] |= {"score_match": None}
    rows[2, LLMS[0]] |= {"working_time": 0}
    rows[3, LLMS[0]] |= {"model_usage": None}
    rows[4, LLMS[1]] |= {
        "score_match": "P",
        "limit": "token",
        "model_usage": usage(
            LLMS[1], input_tokens_cache_read=7, input_tokens_cache_write=3
        ),
    }
    rows[5, LLMS[0]] |= {"score_match": "I", "working_time": 0.25}
    return pd.DataFrame(rows.values())


@pytest.fixture
def prices(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text(
        "model,vendor,usd_per_million_input_tokens,usd_per_million_output_tokens,"
        "as_of,source\nopenai/one,v,1,10,d,s\nvendor/two,v,2,20,d,s\n"
    )
    return path


def written(frame, path):
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_each_rule_drops_its_samples_and_the_rest_is_measured(
    samples, prices, tmp_path, ending
):
    trace, receipt = inspect_samples(written(samples, tmp_path / f"x.{ending}"), prices)
    assert trace.query_id.tolist() == ["s4", "s5"]
    assert trace.models == LLMS[::-1]  # the first row's LLM is not known: it failed
    assert trace.contexts == ("x",)
    assert trace.accuracy.tolist() == [[0.5, 1.0], [1.0, 0.0]]
    assert trace.latency_ms.tolist() == [[2000, 2000], [2000, 250]]
    assert trace.input_tokens.tolist() == [[110, 100], [100, 100]]
    assert trace.cost_usd[0].tolist() == pytest.approx([620e-6, 300e-6])
    assert receipt.dropped == {
        table.FAILED: 1,
        table.UNSCORED: 1,
        table.UNTIMED: 1,
        table.UNCOUNTED: 1,
        INCOMPLETE: 4,
    }
    assert (receipt.rows, receipt.kept) == (12, 4)


def test_tasks_epochs_a_grader_and_a_column_of_contexts(samples, prices, tmp_path):
    """An epoch asks anew, and what a grader used is not the LLM's."""
    samples = samples[samples.id.isin(["s4", "s5"])].assign(score_other=0)
    parts = []
    for task in ("a", "b"):
        for epoch in (1, 2):
            model = samples.eval_id
            graded = [
                json.dumps(json.loads(u) | json.loads(usage("grader", 5000)))
                for u in samples.model_usage
            ]
            parts.append(
                samples.assign(
                    task_name=task, epoch=epoch, model=model, model_usage=graded
                )
            )
    path = written(pd.concat(parts), tmp_path / "x.parquet")
    with pytest.raises(pk.InputError, match="name one column of scores with score=, g"):
        inspect_samples(path, prices)
    trace, _ = inspect_samples(path, prices, score="score_match")
    assert trace.contexts == ("a", "b")
    assert trace.query_id.tolist()[:3] == ["a/s4#1", "a/s5#1", "a/s4#2"]
    assert trace.models == LLMS
    assert trace.input_tokens.max() == 110
    trace, _ = inspect_samples(path, prices, "score_match", "metadata_subject")
    assert trace.contexts == ("maths", "law")
    assert trace.n_queries == 8


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"score_match": "maybe"},
            r"row 13, column 'score_match': must be in \[0, 1\]",
        ),
        ({"score_match": "7"}, r"row 13, column 'score_match': must be in \[0, 1\]"),
        ({"model_usage": "{"}, "row 13, column 'model_usage': must be JSON, tokens"),
        ({"model_usage": "[1]"}, "row 13, column 'model_usage': must be JSON, tokens"),
        (
            {"model_usage": json.dumps({"a": {}, "b": {}})},
            "row 13, column 'model_usage': must be of one model in a table without",
        ),
        ({"working_time": -2.0}, "row 13, column 'working_time': must be seconds >= 0"),
        ({"working_time": "2 s"}, "row 13, column 'working_time': must be a number"),
        (
            {"id": "s4"},
            "row 13, column 'id': must be in one row for each epoch and LLM",
        ),
    ],
)
def test_a_cell_that_breaks_a_rule_is_named_by_its_row_in_the_table(
    samples, prices, tmp_path, change, said
):
    for column, value in change.items():
        samples[column] = samples[column].astype(object)
        samples.loc[11, column] = value
    with pytest.raises(pk.InputError, match=said) as caught:
        inspect_samples(written(samples, tmp_path / "x.csv"), prices)
    assert "\n" not in str(caught.value)


def test_a_column_or_a_price_that_is_not_there_is_named(samples, prices, tmp_path):
    path = written(samples, tmp_path / "x.csv")
    with pytest.raises(pk.InputError, match="no column 'metadata_x' of contexts; did"):
        inspect_samples(path, prices, context="metadata_x")
    with pytest.raises(pk.InputError, match="got 'score_mach'"):
        inspect_samples(path, prices, score="score_mach")
    with pytest.raises(pk.InputError, match=r"model 'vendor/two' has no price"):
        inspect_samples(path)
    path = written(samples.drop(columns="working_time"), tmp_path / "x.csv")
    with pytest.raises(pk.InputError, match="no column 'working_time'; a table of In"):
        inspect_samples(path, prices)
    failed = samples.assign(working_time=np.nan)
    with pytest.raises(pk.InputError, match="no query was answered by all of"):
        inspect_samples(written(failed, tmp_path / "x.csv"), prices)


def test_the_command_writes_a_trace_and_its_receipt(samples, prices, tmp_path, capsys):
    path, out = written(samples, tmp_path / "x.csv"), tmp_path / "mine.parquet"
    given = ["import", "inspect", str(path), "--output", str(out)]
    assert main([*given, "--prices", str(prices), "--context", "metadata_subject"]) == 0
    assert "dropped 1: error: the sample failed" in capsys.readouterr().out
    assert pk.load_trace(out).contexts == ("maths", "law")
    assert json.loads((tmp_path / "mine.receipt.json").read_text())["kept"] == 4
    assert main([*given, "--latency-ms", "5"]) == 2
    assert "--latency-ms: inspect holds its own" in capsys.readouterr().err
