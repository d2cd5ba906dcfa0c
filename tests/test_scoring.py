"""Scorers over rows: refusals with their row, failures, foreign modules, a trace."""

import numpy as np
import pandas as pd
import pytest
from endpoints import serving
from hypothesis import given
from hypothesis import strategies as st

import pickllm as pk
from pickllm import scoring
from pickllm.__main__ import main
from pickllm.core.trace import read_trace
from pickllm.errors import InputError
from pickllm.live import recording
from pickllm.live.endpoints import Endpoint

ROWS = pd.DataFrame(
    [
        (q, "maths", m, r, "4", 9, 3, 500.0, e)
        for q, m, r, e in [
            ("q1", "a", "4", ""),
            ("q1", "b", "5", ""),
            ("q2", "a", "4", ""),
            ("q2", "b", "", "429"),
        ]
    ],
    columns=[
        "query_id",
        "context",
        "model",
        "response",
        "reference",
        "input_tokens",
        "output_tokens",
        "latency_ms",
        "error",
    ],
)


@pytest.mark.parametrize("wrong", [float("nan"), -0.1, 1.1, None])
def test_a_score_outside_the_range_is_refused_with_its_row(wrong):
    by = scoring.scorer(
        lambda prediction, reference: wrong if prediction == "x" else 1.0
    )
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
    assert frame.accuracy.tolist() == [1, 0, 1, 0]
    assert failed == 1
    kept, failed = scoring.score(ROWS, "numeric_answer", failures="drop")
    assert kept.query_id.tolist() == ["q1", "q1"]
    assert failed == 1


def test_a_foreign_module_from_a_path_without_references(tmp_path):
    path = tmp_path / "shouting.py"
    path.write_text(
        "import datasets\nimport evaluate\nclass Shouting(evaluate.Measurement):\n   "
        " def _info(self):\n        return evaluate.MeasurementInfo(description='',"
        " citation='', features=datasets.Features({'predictions':"
        " datasets.Value('string')}))\n    def _compute(self, predictions):\n       "
        " return {'shouting': [float(p.isupper()) for p in predictions]}\n"
    )
    by = scoring.scorer(str(path), field="shouting", higher_is_worse=True)
    assert by(["HEY", "hey"]).tolist() == [0, 1]


def test_intervals_are_within_the_range_and_hold_the_estimate():
    table = scoring.summary(ROWS.assign(accuracy=[1.0, 0.0, 0.5, 1.0]))
    assert (
        (table.low >= 0)
        & (table.low <= table.accuracy)
        & (table.accuracy <= table.high)
        & (table.high <= 1)
    ).all()


def test_the_command_writes_a_trace(tmp_path, capsys):
    ROWS.to_json(tmp_path / "r.jsonl", orient="records", lines=True)
    assert (
        main(
            [
                "score",
                str(tmp_path / "r.jsonl"),
                "--scorer",
                "numeric_answer",
                "--output",
                str(tmp_path / "s.csv"),
            ]
        )
        == 0
    )
    assert "1 failed calls score 0" in capsys.readouterr().out
    (tmp_path / "p.csv").write_text(
        "model,vendor,usd_per_million_input_tokens,usd_per_million_output_tokens,as_of,source\na,v,1,2,2026-01-01,own\nb,v,1,2,2026-01-01,own\n"
    )
    trace = read_trace(tmp_path / "s.csv", str(tmp_path / "p.csv"))
    np.testing.assert_array_equal(trace.accuracy, [[1, 0], [1, 0]])
    assert main(["score", str(tmp_path / "r.jsonl"), "--scorer", "exact_mach"]) == 2
    assert "did you mean 'exact_match'" in capsys.readouterr().err


# Names, combinations, functions


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("exact_mach", "did you mean 'exact_match'"),
        ("judge", "--judge FILE"),
        ("half*exact_match", "like '0.7"),
        ("0.5*exact_match", "add up to 1"),
        ("none.py:f", "no file none.py"),
        (lambda: 1.0, "got 0 parameters"),
        ("owner/none", "cannot be loaded|--field"),
    ],
)
def test_what_is_no_scorer_is_one_line(spec, says):
    with pytest.raises((InputError, FileNotFoundError), match=says) as error:
        scoring.scorer(spec)
    assert "\n" not in str(error.value)


@given(
    weight=st.floats(0, 1),
    texts=st.lists(
        st.tuples(
            st.sampled_from(["a b", "b", "c d"]), st.sampled_from(["a", "b", "c d"])
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_a_combination_is_the_weighted_sum_of_its_parts(weight, texts):
    predictions, references = map(list, zip(*texts, strict=True))
    one, two = scoring.scorer("exact_match"), scoring.scorer("token_f1")
    mixed = scoring.scorer({"exact_match": weight, "token_f1": 1 - weight})
    np.testing.assert_allclose(
        mixed(predictions, references),
        weight * one(predictions, references)
        + (1 - weight) * two(predictions, references),
        atol=1e-12,
    )
    np.testing.assert_allclose(
        scoring.scorer("0.25*exact_match + 0.75*token_f1")(predictions, references),
        0.25 * one(predictions, references) + 0.75 * two(predictions, references),
    )


def test_a_function_in_a_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        "def short(prediction):\n    return 1.0 / len(prediction)\n"
    )
    assert scoring.scorer(f"{tmp_path}/mine.py:short")(["ab", "abcd"]).tolist() == [
        0.5,
        0.25,
    ]
    with pytest.raises(InputError, match="did you mean 'short'"):
        scoring.scorer(f"{tmp_path}/mine.py:shrt")


def test_a_module_of_the_library_agrees_with_the_function_and_computes_a_mean():
    from pickllm.scoring.metric import metric

    found = metric("token_f1").compute(
        predictions=["a cat", "dog"], references=["cat", "cat"]
    )
    assert found == {"token_f1": 0.5, "scores": [1.0, 0.0]}


def test_a_module_that_fails_without_a_word_is_one_line(tmp_path):
    (tmp_path / "mute.py").write_text("raise RuntimeError\n")
    with pytest.raises(InputError, match=r"cannot be loaded \(\w+: .*\); check"):
        scoring.scorer(str(tmp_path / "mute.py"), field="x")


# A judge


@pytest.fixture
def judge(tmp_path):
    """A models file of an LLM that grades 10 where the answer is four, else 1."""
    with serving(model="j") as stub:
        stub.answer = lambda prompt: (
            "Grade: 10/10" if "Answer:\nfour" in prompt else "1"
        )
        path = tmp_path / "judge.yaml"
        path.write_text(
            f"grader: {{model: j-1, base_url: '{stub.base_url}', stream: false,"
            " max_tokens: 8}"
        )
        stub.path = path
        yield stub


def test_a_judge_grades_on_its_scale_and_its_words_are_kept(judge, tmp_path):
    rows = ROWS.assign(response=["four", "five", "four", ""], prompt="two and two?")
    by = scoring.scorer("judge", judge=judge.path, log=tmp_path / "j.jsonl")
    frame, failed = scoring.score(rows, by)
    assert frame.accuracy.tolist() == [1, 0, 1, 0]
    assert failed == 1
    assert frame.verdict.tolist()[:3] == [
        "Grade: 10/10",
        "1",
        "Grade: 10/10",
    ]
    assert pd.isna(frame.verdict[3])
    sent = judge.requests[0]
    assert (sent["temperature"], sent["seed"], sent["max_tokens"]) == (
        0,
        0,
        8,
    )
    assert "two and two?" in sent["messages"][-1]["content"]
    assert (
        len(judge.requests) == 2
    )  # the same answer to the same question is graded once
    scoring.score(rows, by)
    assert len(judge.requests) == 2  # nor is it again


def test_a_judge_grades_one_answer_of_a_live_session(judge):
    router = pk.Router(
        ["a"],
        pk.LinearRewardInaction(0.1),
        pk.Reward(),
        seed=0,
        limits=pk.Limits(1.0, 2.0, 1e4),
    )
    answer = pk.LiveSession(
        router,
        {"a": lambda prompt: ("four", 0.0)},
        scoring.scorer("judge", judge=judge.path),
    ).ask("two and two?")
    assert answer.accuracy == 1
    assert "two and two?" in judge.requests[0]["messages"][-1]["content"]


@pytest.mark.parametrize("said", ["excellent", "11", "between 3 and 7", "", "1" * 5000])
def test_a_verdict_off_the_scale_is_refused_with_its_row_and_words(judge, said):
    judge.answer = lambda prompt: said
    with pytest.raises(InputError, match="row 1: judge j-1 gave the verdict") as error:
        scoring.scorer("judge", judge=judge.path)(["four"], ["4"], ["q"])
    assert repr(said[:60]) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_judge_that_fails_keeps_what_it_has_said(judge, tmp_path):
    judge.script = [None, 400]
    by = scoring.scorer("judge", judge=judge.path, log=tmp_path / "j.jsonl")
    with pytest.raises(InputError, match="the same command goes on"):
        by(["four", "five"], None, ["q", "q"])
    assert by(["four", "five"], None, ["q", "q"]).tolist() == [1, 0]
    assert len(judge.requests) == 3


# Failed calls, and logs


def test_a_failed_call_costs_nothing_and_takes_as_long_as_its_slowest_answer():
    rows = ROWS.assign(
        latency_ms=[500.0, 700.0, 600.0, None],
        input_tokens=[9, 9, 9, None],
        output_tokens=[3, 3, 3, None],
    )
    frame, _ = scoring.score(rows, "numeric_answer")
    assert frame.latency_ms[3] == 700
    assert frame.input_tokens[3] == frame.output_tokens[3] == 0
    silent = rows.assign(
        latency_ms=[500.0, None, 600.0, None],
        response=["4", "", "4", ""],
        error=["", "500", "", "429"],
    )
    with pytest.raises(InputError, match="'b' answered nothing"):
        scoring.score(silent, "numeric_answer")


def test_a_log_without_texts_has_nothing_to_score(tmp_path):
    with serving(model="a") as stub:
        endpoint = Endpoint("a", "a", base_url=stub.base_url)
        queries = pd.DataFrame(
            [("q1", "c", "please say 4", "4")],
            columns=["query_id", "context", "prompt", "reference"],
        )
        recording.record(queries, {"a": endpoint}, tmp_path / "t.jsonl")
        recording.record(
            queries, {"a": endpoint}, tmp_path / "n.jsonl", keep_text=False
        )
    assert scoring.score(scoring.read_responses(tmp_path / "t.jsonl"), "exact_match")[
        0
    ].accuracy.tolist() == [1]
    with pytest.raises(InputError, match="no texts, only their hashes"):
        scoring.read_responses(tmp_path / "n.jsonl")


def test_an_extra_comma_in_each_row_of_responses_is_named_with_its_line(tmp_path):
    path = tmp_path / "r.csv"
    header = "query_id,context,model,response,reference"
    path.write_text(f"{header}\nq1,sums,a,4,4,\nq2,sums,a,5,4,\n")
    with pytest.raises(
        InputError, match=r"r.csv, line 2: 6 fields under 5 columns; take the extra"
    ):
        scoring.read_responses(path)


def test_a_response_in_a_csv_is_the_text_that_stands_there(tmp_path):
    path = tmp_path / "r.csv"
    header = "query_id,context,model,response,reference,error"
    path.write_text(f"{header}\nq1,sums,a,007,007,\nq2,sums,a,,4,429\n")
    frame, failed = scoring.score(scoring.read_responses(path), "exact_match")
    assert frame.response[0] == "007"
    assert frame.accuracy.tolist() == [1, 0]
    assert failed == 1


def test_a_line_of_responses_ends_where_its_json_ends(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text('{"response": "one\u2028line"}\n{"response": "x"}\n', "utf-8")
    assert scoring.read_responses(path).response.tolist() == ["one\u2028line", "x"]
    path.write_text('{"response": "x"}\n[1]\n', "utf-8")
    with pytest.raises(InputError, match=r"line 2: not a JSON object .got list."):
        scoring.read_responses(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows.iloc[:0], "hold no row"),
        (
            lambda rows: rows.assign(reference=[["4", "four"], "4", "4", "4"]),
            "row 1, column 'reference': must be a text, got list",
        ),
        (lambda rows: rows.drop(columns="model"), "no column 'model'"),
    ],
)
def test_responses_that_cannot_be_scored_are_one_line(change, says):
    with pytest.raises(InputError, match=says):
        scoring.score(change(ROWS), "exact_match")


def test_a_function_that_fails_is_one_line_with_its_own_error():
    with pytest.raises(
        InputError,
        match="scoring function <lambda> failed on the response 'x': ZeroDivisionError",
    ):
        scoring.scorer(lambda prediction: 1 / 0)(["x"])


def test_a_part_that_stands_twice_counts_twice():
    assert scoring.scorer("0.5*exact_match + 0.5*exact_match")(
        ["a", "b"], ["a", "a"]
    ).tolist() == [1, 0]
