"""Measures of agreement: published accuracies, other libraries, and laws."""

import json
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickllm.scoring.measures import (
    MEASURES,
    bleu,
    chrf,
    exact_match,
    json_match,
    letter,
    multiple_choice,
    numeric_answer,
    rouge_l,
    token_f1,
)

GSM8K = (
    pathlib.Path(__file__).resolve().parents[2]
    / "shared"
    / "data"
    / "zeroeval"
    / "result_dirs"
    / "gsm"
)
PUBLISHED = {
    "gpt-3.5-turbo-0125": 80.36,
    "claude-3-haiku-20240307": 88.78,
    "gpt-4o-2024-05-13": 95.38,
    "claude-3-opus-20240229": 95.60,
}


@pytest.mark.skipif(
    not GSM8K.is_dir(), reason="the responses of ZeroEval are not beside this checkout"
)
@pytest.mark.parametrize("model", PUBLISHED)
def test_published_accuracy_on_gsm8k(model):
    rows = json.loads((GSM8K / f"{model}.json").read_text())
    right = [numeric_answer(row["output"][0], str(row["answer"])) for row in rows]
    assert len(rows) == 1319
    assert 100 * sum(right) / len(right) == pytest.approx(PUBLISHED[model], abs=0.1)


@pytest.mark.parametrize("name", MEASURES)
@given(st.text(max_size=40), st.text(max_size=40))
def test_bounded(name, response, reference):
    assert 0 <= MEASURES[name](response, reference) <= 1


WORDS = st.lists(
    st.sampled_from(["cat", "sat", "mat", "tall", "river"]), min_size=4, max_size=9
).map(" ".join)


@pytest.mark.parametrize("measure", [exact_match, token_f1, rouge_l, chrf, bleu])
@given(text=WORDS)
def test_identical_is_one(measure, text):
    assert measure(text, text) == pytest.approx(1)


def test_f1_by_hand():
    assert token_f1("a cat sat sat", "the cat sat down here") == pytest.approx(
        2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)
    )
    assert token_f1("", "") == 1
    assert token_f1("", "cat") == 0


def test_libraries_called_directly():
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU, CHRF

    a, b = "the cat sat on the mat today", "a cat sat on a mat"
    assert bleu(a, b) == pytest.approx(
        BLEU(effective_order=True).sentence_score(a, [b]).score / 100
    )
    assert chrf(a, b) == pytest.approx(CHRF().sentence_score(a, [b]).score / 100)
    assert (
        rouge_l(a, b)
        == RougeScorer(["rougeL"], use_stemmer=True).score(b, a)["rougeL"].fmeasure
    )


@pytest.mark.parametrize(
    ("response", "right"),
    [
        ("(b)", 1),
        ("The answer is B.", 1),
        ("A hard one. Answer: B", 1),
        ("B) Paris", 1),
        ("C", 0),
        ("", 0),
    ],
)
def test_choices(response, right):
    assert multiple_choice(response, "B") == right


def test_calls():
    assert (
        json_match(
            '```json\n{"name": "f", "arguments": "{\\"x\\": 1}"}\n```',
            '{"name": "f", "arguments": {"x": 1}}',
        )
        == 1
    )
    assert (
        json_match("[1, 2]", "[2, 1]")
        == json_match("true", "1")
        == json_match("cut {", "{}")
        == 0
    )


@pytest.mark.parametrize(
    ("response", "chosen"),
    [
        ("**B**", "B"),
        ("I choose A", "A"),
        ("The answer is a bit unclear", None),
        ("Answer: **D**", "D"),
        ("the answer is b", "B"),
        ("I pick (c)", "C"),
    ],
)
def test_letters(response, chosen):
    assert letter(response) == chosen


def test_a_printed_minus_is_a_minus():
    assert numeric_answer("It is \N{MINUS SIGN}7.", "-7") == 1
    assert numeric_answer("It is \N{MINUS SIGN}7.", "7") == 0
