"""Scorers over rows: every refusal with its row, failures, foreign modules, and the way to a trace."""

import numpy as np
import pandas as pd
import pytest

from pickllm import scoring
from pickllm.__main__ import main
from pickllm.errors import InputError
from pickllm.trace import read_trace

ROWS = pd.DataFrame(
    [(q, "maths", m, r, "4", 9, 3, 500.0, e) for q, m, r, e in [("q1", "a", "4", ""), ("q1", "b", "5", ""), ("q2", "a", "4", ""), ("q2", "b", "", "429")]],
    columns=["query_id", "context", "model", "response", "reference", "input_tokens", "output_tokens", "latency_ms", "error"],
)


@pytest.mark.parametrize("wrong", [float("nan"), -0.1, 1.1, None])
def test_a_score_outside_the_range_is_refused_with_its_row(wrong):
    by = scoring.scorer(lambda prediction, reference: wrong if prediction == "x" else 1.0)
    with pytest.raises(InputError, match="row 2"):
        by(["y", "x"], ["", ""])


def test_a_missing_reference_is_refused_with_its_row():
    with pytest.raises(InputError, match="row 2: exact_match needs a reference"):
        scoring.score(ROWS.assign(reference=["4", None, "4", "4"]), "exact_match")


def test_prompts_reach_a_function_and_one_text_gives_a_float():
    by = scoring.scorer(lambda prediction, reference, prompt: float(prompt == "p"))
    assert by(["a", "a"], ["", ""], ["p", "q"]).tolist() == [1, 0]
    assert scoring.scorer("numeric_answer")("so it is 4", "4") == 1


def test_failed_calls_score_zero_or_are_left_out():
    frame, failed = scoring.score(ROWS, "numeric_answer")
    assert frame.accuracy.tolist() == [1, 0, 1, 0] and failed == 1
    assert len(scoring.score(ROWS, "numeric_answer", failures="drop")[0]) == 3


def test_a_foreign_module_from_a_path_without_references(tmp_path):
    path = tmp_path / "shouting.py"
    path.write_text(
        "import datasets\nimport evaluate\n"
        "class Shouting(evaluate.Measurement):\n"
        "    def _info(self):\n"
        "        return evaluate.MeasurementInfo(description='', citation='', features=datasets.Features({'predictions': datasets.Value('string')}))\n"
        "    def _compute(self, predictions):\n"
        "        return {'shouting': [float(p.isupper()) for p in predictions]}\n"
    )
    by = scoring.scorer(str(path), field="shouting", higher_is_worse=True, reference_free=True)
    assert by(["HEY", "hey"]).tolist() == [0, 1]


def test_intervals_are_within_the_range_and_hold_the_estimate():
    table = scoring.summary(ROWS.assign(accuracy=[1.0, 0.0, 0.5, 1.0]))
    assert ((0 <= table.low) & (table.low <= table.accuracy) & (table.accuracy <= table.high) & (table.high <= 1)).all()


def test_the_command_writes_a_trace(tmp_path, capsys):
    ROWS.to_json(tmp_path / "r.jsonl", orient="records", lines=True)
    assert main(["score", str(tmp_path / "r.jsonl"), "--scorer", "numeric_answer", "--output", str(tmp_path / "s.csv")]) == 0
    assert "1 failed calls score 0" in capsys.readouterr().out
    (tmp_path / "p.csv").write_text(
        "model,vendor,usd_per_million_input_tokens,usd_per_million_output_tokens,as_of,source\na,v,1,2,2026-01-01,own\nb,v,1,2,2026-01-01,own\n"
    )
    trace = read_trace(tmp_path / "s.csv", str(tmp_path / "p.csv"))
    np.testing.assert_array_equal(trace.accuracy, [[1, 0], [1, 0]])
    assert main(["score", str(tmp_path / "r.jsonl"), "--scorer", "exact_mach"]) == 2
    assert "did you mean 'exact_match'" in capsys.readouterr().err
