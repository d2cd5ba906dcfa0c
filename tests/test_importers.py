"""Public tables to traces: the schemas that their pages state, on rows made here."""

import json

import pandas as pd
import pytest

from pickllm.__main__ import main
from pickllm.core.trace import read_trace
from pickllm.errors import InputError, MissingFileError
from pickllm.traces.importers import llmrouterbench, routellm, routerbench


@pytest.fixture
def wide(tmp_path):
    path = tmp_path / "wide.csv"
    columns = {
        "sample_id": ["s1", "s2"],
        "prompt": "p",
        "eval_name": ["x", "y"],
        "a": [1, 0.5],
        "b": [0, 1],
        "a|total_cost": [0.1, 0.2],
        "b|total_cost": 0.3,
    }
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


def run(folder, model, scores, dataset="maths", **changes):
    """A file as LLMRouterBench writes one."""
    records = [
        {
            "index": i,
            "origin_query": "q",
            "prompt": "p",
            "prompt_tokens": 10 + i,
            "completion_tokens": 5,
            "cost": 0.001 * (i + 1),
            "score": s,
            "prediction": "x",
            "ground_truth": "y",
            "raw_output": "x",
        }
        for i, s in enumerate(scores)
    ]
    path = folder / f"{dataset}-test-{model}-20250101_000000.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(
            {
                "performance": 0.5,
                "model_name": model,
                "dataset_name": dataset,
                "split": "test",
                "demo": False,
                "records": records,
            }
            | changes
        )
    )
    return path


def test_routerbench(wide):
    trace = routerbench(wide, {"a": 100, "b": 200})
    assert trace.accuracy.tolist() == [
        [1, 0],
        [0.5, 1],
    ]
    assert trace.cost_usd.tolist() == [[0.1, 0.3], [0.2, 0.3]]
    assert trace.latency_ms.tolist() == [[100, 200]] * 2


def test_llmrouterbench_keeps_the_queries_that_all_answered(tmp_path):
    run(tmp_path / "maths" / "a", "a", [1.0, 0.0, 1.0])
    run(tmp_path / "maths" / "b", "b", [0.0, 1.0])
    run(tmp_path / "law" / "a", "a", [1.0], dataset="law")
    run(tmp_path / "law" / "b", "b", [0.5], dataset="law")
    run(tmp_path / "trial", "a", [0.0], dataset="law", demo=True)
    trace = llmrouterbench(tmp_path, 300.0)
    rows = trace.to_frame().set_index(["query_id", "model"])
    assert sorted(set(rows.index.get_level_values(0))) == [
        "law-test-0",
        "maths-test-0",
        "maths-test-1",
    ]
    assert trace.contexts == ("law", "maths")
    assert rows.accuracy["maths-test-1", "a"] == 0
    assert rows.accuracy["law-test-0", "b"] == 0.5
    assert rows.cost_usd["maths-test-1", "b"] == 0.002
    assert rows.input_tokens["maths-test-1", "b"] == 11
    assert (rows.latency_ms == 300).all()


def test_routellm_takes_columns_of_right_and_wrong(tmp_path):
    path = tmp_path / "mmlu_anatomy.csv"
    path.write_text(
        "prompt,weak/one,strong,strong_response\nWhy?,False,True,since\nHow?,True,True,so\n"
    )
    trace = routellm(
        path, {"weak/one": 200, "strong": 900}, {"weak/one": 0.001, "strong": 0.01}
    )
    assert trace.models == ("weak/one", "strong")
    assert trace.accuracy.tolist() == [[0, 1], [1, 1]]
    assert trace.contexts == ("mmlu_anatomy",)
    assert trace.cost_usd.tolist() == [[0.001, 0.01]] * 2
    assert trace.latency_ms.tolist() == [[200, 900]] * 2


@pytest.mark.parametrize("path", ["x.pkl", "x.pickle"])
@pytest.mark.parametrize(
    "importer", [lambda p: routerbench(p, 1), lambda p: routellm(p, 1, 1)]
)
def test_a_pickle_is_never_loaded(tmp_path, path, importer):
    import pickle

    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was loaded",))

    (tmp_path / path).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="never loaded"):
        importer(tmp_path / path)


def test_what_is_wrong_is_said(tmp_path, wide):
    for wrong, says in ((None, "no latency_ms"), ({"a": 1}, "'b'")):
        with pytest.raises(InputError, match=says):
            routerbench(wide, wrong)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"no column .sample_id."):
        routerbench(tmp_path / "other.csv", 100)
    with pytest.raises(InputError, match="two LLMs or more"):
        routellm(tmp_path / "other.csv", 100, 1)
    with pytest.raises(MissingFileError):
        llmrouterbench(tmp_path / "none.json", 100)
    (tmp_path / "half.json").write_text('{"records": [')
    with pytest.raises(InputError, match="not a run of LLMRouterBench, as JSON"):
        llmrouterbench(tmp_path / "half.json", 100)
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(InputError, match="no 'dataset_name'"):
        llmrouterbench(tmp_path / "other.json", 100)
    first, again = run(tmp_path / "1", "a", [1.0]), run(tmp_path / "2", "a", [1.0])
    with pytest.raises(InputError, match="already; keep one"):
        llmrouterbench([first, again], 100)
    with pytest.raises(InputError, match="no query was answered by all"):
        llmrouterbench([first, run(tmp_path / "3", "b", [1.0], dataset="law")], 100)


def test_a_shifted_column_is_refused_by_line(tmp_path, wide):
    lines = wide.read_text().splitlines()
    wide.write_text("\n".join([lines[0], *(f"{line}," for line in lines[1:])]) + "\n")
    correct = tmp_path / "law.csv"
    correct.write_text("prompt,a,b\nWhy?,False,True,\nHow?,True,True,\n")
    for importer in (lambda: routerbench(wide, 100), lambda: routellm(correct, 1, 1)):
        with pytest.raises(
            InputError, match=r"csv, line 2: \d fields under \d columns"
        ):
            importer()


def test_the_command_writes_a_trace_that_checks(tmp_path, wide, capsys):
    out = tmp_path / "mine.csv"
    assert (
        main(
            [
                "import",
                "routerbench",
                str(wide),
                "--latency-ms",
                "a=100",
                "--latency-ms",
                "b=200",
                "--output",
                str(out),
            ]
        )
        == 0
    )
    assert "as declared" in capsys.readouterr().out
    assert read_trace(out).accuracy.tolist() == [[1, 0], [0.5, 1]]
    assert main(["check", str(out)]) == 0
    capsys.readouterr()
    assert (
        main(
            [
                "import",
                "routerbench",
                str(wide),
                "--latency-ms",
                "a=fast",
                "--output",
                str(out),
            ]
        )
        == 2
    )
    assert "--latency-ms must be a number" in capsys.readouterr().err
