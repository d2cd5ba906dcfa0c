"""Measures: how well one response agrees with its reference, in [0, 1].

Plain functions of two texts.
"""

import ast
import json
import re
import string
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

#: A number as texts write it, with its exponent or its denominator.
NUMBER = re.compile(
    r"[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?(?:\s*/\s*\d+)?"
)
#: A block of code in a text.
FENCE = re.compile(r"```(?:json|python)?\s*(.*?)```", re.DOTALL)
#: No answer has a larger exponent, and its exact form would fill the memory.
LARGEST_EXPONENT = 300


def normalised(text: str) -> str:
    """Return a text by SQuAD's rule (Rajpurkar et al. 2016).

    In lower case, without punctuation and English articles, with single blanks.

    Examples
    --------
    >>> normalised("The  Eiffel Tower!")
    'eiffel tower'
    """
    letters = [letter for letter in text.lower() if letter not in string.punctuation]
    without_articles = re.sub(r"\b(a|an|the)\b", " ", "".join(letters))
    return " ".join(without_articles.split())


def exact_match(response: str, reference: str) -> float:
    """1 where both texts are the same once `normalised`.

    That drops decimal points, too: for numbers take `numeric_answer`.
    """
    return float(response == reference or normalised(response) == normalised(reference))


def token_f1(response: str, reference: str) -> float:
    """F1 of the words that both share, counted with their repeats; SQuAD's measure.

    Examples
    --------
    >>> token_f1("in the city of Paris", "Paris")
    0.4
    """
    ours = normalised(response).split()
    theirs = normalised(reference).split()
    if not ours or not theirs:
        return float(ours == theirs)
    shared = (Counter(ours) & Counter(theirs)).total()
    return 2 * shared / (len(ours) + len(theirs))


def number(text: str) -> Fraction | None:
    """Return the number that a text answers with, or None.

    The first of its ``answer`` field if it is JSON, else the last (after ``####``). A
    comma parts thousands, never decimals; signs of currencies, units and percent are
    passed over. First or last was settled with the published accuracies of GSM8K in
    view, which both rules then were held against.

    Examples
    --------
    >>> number('{"reasoning": "9 * 2", "answer": "$1,018.50"}')
    Fraction(2037, 2)
    >>> number("so 3 + 4 = 7.")
    Fraction(7, 1)
    >>> number("none")
    """
    # "$34 a month, by cancelling the $60 one": a field begins with its answer, a
    # derivation ends in it
    field = _answer_field(text)
    said = text if field is None else field
    said = said.rpartition("####")[2].replace("\N{MINUS SIGN}", "-")
    found = NUMBER.findall(said)
    if not found:
        return None
    return _fraction(found[-1] if field is None else found[0])


def _answer_field(text: str) -> str | None:
    """Return the ``answer`` field of JSON, also of JSON cut or with a stray quote."""
    value = decoded(text)
    if isinstance(value, dict) and "answer" in value:
        return str(value["answer"])
    fields = re.findall(r'"answer"\s*:\s*"?([^"\n}]*)', text)
    return fields[-1] if fields else None


def _fraction(text: str) -> Fraction | None:
    """Return the exact value of what `NUMBER` finds, or None."""
    top, _, below = text.replace(",", "").replace(" ", "").partition("/")
    exponents = re.findall(r"[eE]([-+]?\d+)", top)
    try:
        if exponents and abs(int(exponents[0])) > LARGEST_EXPONENT:
            return None
        return Fraction(top) / Fraction(below or 1)
    except (ValueError, ZeroDivisionError):
        return None


def numeric_answer(response: str, reference: str) -> float:
    """1 where both answer with the same `number`, to one part in a million."""
    ours = number(response)
    theirs = number(reference)
    if ours is None or theirs is None:
        return 0.0
    return float(abs(ours - theirs) <= abs(theirs) / 1_000_000)


def letter(text: str) -> str | None:
    """Return the option, A to Z, that a text chooses, or None.

    The last one said to be the answer counts.

    Examples
    --------
    >>> letter("(b)"), letter("The answer is C.")
    ('B', 'C')
    >>> letter("A good question: the answer is D")
    'D'
    >>> letter("Perhaps")
    """
    value = decoded(text)
    if isinstance(value, dict) and "answer" in value:
        text = str(value["answer"])
    text = re.sub(r"[*_`\"']", "", text)  # marks of emphasis
    # an answer that "is a matter of taste" chooses nothing
    one = r"\(?([A-Z]|[b-z]|a(?!\s+\w))\b"
    words = r"(?i:answer|option|choice|choose|pick|select)(?i:\s+is)?\s*:?\s*"
    said = re.findall(words + one, text)
    if said:
        return said[-1].upper()
    first = re.match(r"\s*\(?([A-Za-z])(?:[).:]|\s*$)", text)
    alone = first or re.fullmatch(r"(?s).*\(([A-Z])\).*", text)
    return alone[1].upper() if alone else None


def multiple_choice(response: str, reference: str) -> float:
    """1 where both choose the same `letter`."""
    chosen = letter(response)
    return float(chosen is not None and chosen == letter(reference))


def decoded(text: str) -> Any:
    """Return the JSON value of a text, bare or in a fenced block, or None."""
    for part in (text, *FENCE.findall(text)):
        try:
            return json.loads(part)
        except (ValueError, RecursionError):
            continue
    return None


def json_match(response: str, reference: str) -> float:
    """1 where both hold the same JSON value or the same function calls.

    A function call is ``f(x=1)``, or JSON with ``name`` and ``arguments``; one alone is
    a list of one. The order of keys and named arguments is free, order in lists counts,
    and true is not 1.

    Examples
    --------
    >>> as_json = '{"name": "f", "arguments": {"x": 1, "y": "a"}}'
    >>> json_match('{"arguments": {"y": "a", "x": 1.0}, "name": "f"}', as_json)
    1.0
    >>> json_match("[f(y='a', x=1)]", as_json)
    1.0
    >>> json_match("f(x=1)", "f(x=2)")
    0.0
    """
    ours = _structured(response)
    return float(ours is not None and ours == _structured(reference))


def _structured(text: str) -> Any:
    """Return what a text holds, in a form that equality is right for, or None."""
    value = decoded(text)
    if value is None:
        value = function_calls(text)
    if value is None:
        return None
    if isinstance(value, dict) and set(value) == {"name", "arguments"}:
        value = [value]
    return _comparable(value)


def function_calls(text: str) -> list[dict[str, Any]] | None:
    """Return the function calls that a text writes in Python, as JSON has them.

    ``f(x=1)`` or a list of such; None where there are none.

    Examples
    --------
    >>> function_calls("math.gcd(a=4, b=-6)")
    [{'name': 'math.gcd', 'arguments': {'a': 4, 'b': -6}}]
    >>> function_calls("2 + 2")
    """
    for part in (text, *FENCE.findall(text)):
        try:
            node = ast.parse(part.strip(), mode="eval").body
            nodes = node.elts if isinstance(node, ast.List) else [node]
            return [_function_call(one) for one in nodes]
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
    return None


def _function_call(node: ast.expr) -> dict[str, Any]:
    if not isinstance(node, ast.Call):
        raise ValueError("no function call")
    arguments = {
        str(place): ast.literal_eval(value) for place, value in enumerate(node.args)
    }
    for keyword in node.keywords:
        if keyword.arg is None:
            raise ValueError("no named arguments")
        arguments[keyword.arg] = ast.literal_eval(keyword.value)
    return {"name": ast.unparse(node.func), "arguments": arguments}


def _comparable(value: Any) -> Any:
    """Return a value in a form that equality is right for.

    The arguments of a function call may come as a text of JSON.
    """
    if isinstance(value, dict):
        fields = dict(value)
        if isinstance(fields.get("arguments"), str):
            fields["arguments"] = decoded(fields["arguments"])
        return {name: _comparable(field) for name, field in fields.items()}
    if isinstance(value, (list, tuple)):
        return [_comparable(part) for part in value]
    return (isinstance(value, bool), value)


def rouge_l(response: str, reference: str) -> float:
    """ROUGE-L F1 (Lin 2004), by rouge-score, words stemmed."""
    return float(_rouge().score(reference, response)["rougeL"].fmeasure)


@cache
def _rouge() -> "RougeScorer":
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)


def chrf(response: str, reference: str) -> float:
    """ChrF (Popovic 2015) of one sentence, by sacrebleu, over 100."""
    from sacrebleu import sentence_chrf

    return _share(sentence_chrf(response, [reference]).score)


def bleu(response: str, reference: str) -> float:
    """BLEU of one sentence, exponentially smoothed, by sacrebleu, over 100."""
    from sacrebleu import sentence_bleu

    return _share(sentence_bleu(response, [reference]).score)


def _share(percent: float) -> float:
    """Return a percentage as a share; 100 comes with a rounding error."""
    return min(percent / 100, 1.0)


#: The kit's measures by name.
MEASURES: dict[str, Callable[[str, str], float]] = {
    "exact_match": exact_match,
    "numeric_answer": numeric_answer,
    "multiple_choice": multiple_choice,
    "token_f1": token_f1,
    "rouge_l": rouge_l,
    "chrf": chrf,
    "bleu": bleu,
    "json_match": json_match,
}
