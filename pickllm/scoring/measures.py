"""Answers: how well one response agrees with its reference, in [0, 1]; plain functions of two texts."""

import ast
import json
import re
import string
from collections import Counter
from fractions import Fraction
from functools import lru_cache

_NUMBER = re.compile(
    r"[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?(?:\s*/\s*\d+)?"
)
_FENCE = re.compile(r"```(?:json|python)?\s*(.*?)```", re.DOTALL)


def normalised(text):
    """Lower case, without punctuation and English articles, single blanks: SQuAD's rule (Rajpurkar et al. 2016).

    Examples
    --------
    >>> normalised("The  Eiffel Tower!")
    'eiffel tower'
    """
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(response, reference):
    """1 where both texts are the same once `normalised`, which drops decimal points, too: for numbers take `numeric_answer`."""
    return float(response == reference or normalised(response) == normalised(reference))


def token_f1(response, reference):
    """F1 of the words that both share, counted with their repeats; SQuAD's measure.

    Examples
    --------
    >>> token_f1("in the city of Paris", "Paris")
    0.4
    """
    ours, theirs = normalised(response).split(), normalised(reference).split()
    if not ours or not theirs:
        return float(ours == theirs)
    return (
        2 * sum((Counter(ours) & Counter(theirs)).values()) / (len(ours) + len(theirs))
    )


def number(text):
    """Return the number that a text answers with, or None: the first of its ``answer`` field if it is JSON, else the last (after ``####``).

    A comma parts thousands, never decimals; signs of currencies, units and percent are passed over.
    First or last was settled with the published accuracies of GSM8K in view, which both rules then were held against.

    Examples
    --------
    >>> number('{"reasoning": "9 * 2", "answer": "$1,018.50"}'), number("so 3 + 4 = 7."), number("none")
    (Fraction(2037, 2), Fraction(7, 1), None)
    """
    value, place = decoded(text), -1
    if isinstance(value, dict) and "answer" in value:
        text, place = (
            str(value["answer"]),
            0,
        )  # "$34 a month, by cancelling the $60 one": an answer comes first, a derivation ends in it
    elif field := re.findall(r'"answer"\s*:\s*"?([^"\n}]*)', text):
        text, place = field[-1], 0  # JSON that was cut or has a stray quote
    found = _NUMBER.findall(text.rpartition("####")[2].replace("\N{MINUS SIGN}", "-"))
    if not found:
        return None
    try:
        top, _, below = found[place].replace(",", "").replace(" ", "").partition("/")
        if abs(int((re.findall(r"[eE]([-+]?\d+)", top) or ["0"])[0])) > 300:
            return (
                None  # no answer is so large, and its exact form would fill the memory
            )
        return Fraction(top) / Fraction(below or 1)
    except (ValueError, ZeroDivisionError):
        return None


def numeric_answer(response, reference):
    """1 where both answer with the same `number`, to one part in a million."""
    ours, theirs = number(response), number(reference)
    return float(
        ours is not None
        and theirs is not None
        and abs(ours - theirs) <= abs(theirs) / 1_000_000
    )


def letter(text):
    """Return the option, A to Z, that a text chooses, or None; the last one said to be the answer counts.

    Examples
    --------
    >>> letter("(b)"), letter("The answer is C."), letter("A good question: the answer is D"), letter("Perhaps")
    ('B', 'C', 'D', None)
    """
    value = decoded(text)
    text = (
        str(value["answer"]) if isinstance(value, dict) and "answer" in value else text
    )
    text = re.sub(r"[*_`\"']", "", text)  # marks of emphasis
    one = (  # an answer that "is a matter of taste" chooses nothing
        r"\(?([A-Z]|[b-z]|a(?!\s+\w))\b"
    )
    said = re.findall(
        rf"(?i:answer|option|choice|choose|pick|select)(?i:\s+is)?\s*:?\s*{one}", text
    )
    alone = re.match(r"\s*\(?([A-Za-z])(?:[).:]|\s*$)", text) or re.fullmatch(
        r"(?s).*\(([A-Z])\).*", text
    )
    return said[-1].upper() if said else alone[1].upper() if alone else None


def multiple_choice(response, reference):
    """1 where both choose the same `letter`."""
    return float(letter(response) is not None and letter(response) == letter(reference))


def decoded(text):
    """Return the JSON value of a text, bare or in a fenced block, or None."""
    for part in (text, *_FENCE.findall(text)):
        try:
            return json.loads(part)
        except (ValueError, RecursionError):
            continue
    return None


def json_match(response, reference):
    """1 where both hold the same JSON value or the same function calls; order of keys and named arguments is free.

    A call is ``f(x=1)``, or JSON with ``name`` and ``arguments``; one alone is a list of one. Order in lists
    counts, and true is not 1.

    Examples
    --------
    >>> json_match('{"name": "f", "arguments": {"x": 1, "y": 2}}', '{"arguments": {"y": 2, "x": 1.0}, "name": "f"}')
    1.0
    >>> json_match("[f(y='a', x=1)]", '{"name": "f", "arguments": {"x": 1, "y": "a"}}'), json_match("f(x=1)", "f(x=2)")
    (1.0, 0.0)
    """
    ours, theirs = _structured(response), _structured(reference)
    return float(ours is not None and ours == theirs)


def _structured(text):
    value = decoded(text)
    value = calls(text) if value is None else value
    return None if value is None else _form(_one_call(value))


def calls(text):
    """Return the calls that a text writes in Python, ``f(x=1)`` or a list of them, as JSON has calls; or None.

    Examples
    --------
    >>> calls("math.gcd(a=4, b=-6)"), calls("2 + 2")
    ([{'name': 'math.gcd', 'arguments': {'a': 4, 'b': -6}}], None)
    """
    for part in (text, *_FENCE.findall(text)):
        try:
            node = ast.parse(part.strip(), mode="eval").body
            nodes = node.elts if isinstance(node, ast.List) else [node]
            return [_call(n) for n in nodes]
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
    return None


def _call(node):
    if not isinstance(node, ast.Call) or any(k.arg is None for k in node.keywords):
        raise ValueError("no call with named arguments")
    values = [*enumerate(node.args), *((k.arg, k.value) for k in node.keywords)]
    return {
        "name": ast.unparse(node.func),
        "arguments": {str(name): ast.literal_eval(value) for name, value in values},
    }


def _one_call(value):
    return (
        [value]
        if isinstance(value, dict) and set(value) == {"name", "arguments"}
        else value
    )


def _form(value):
    """Return a value in a form that equality is right for; a call's arguments may come as a text of JSON."""
    if isinstance(value, dict):
        return {
            k: _form(decoded(v) if k == "arguments" and isinstance(v, str) else v)
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_form(v) for v in value]
    return (isinstance(value, bool), value)


def rouge_l(response, reference):
    """ROUGE-L F1 (Lin 2004), by rouge-score, words stemmed."""
    return float(_rouge().score(reference, response)["rougeL"].fmeasure)


@lru_cache
def _rouge():
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)


def chrf(response, reference):
    """ChrF (Popovic 2015) of one sentence, by sacrebleu, over 100."""
    from sacrebleu import sentence_chrf

    return min(sentence_chrf(response, [reference]).score / 100, 1.0)


def bleu(response, reference):
    """BLEU of one sentence, exponentially smoothed, by sacrebleu, over 100."""
    from sacrebleu import sentence_bleu

    return min(
        sentence_bleu(response, [reference]).score / 100, 1.0
    )  # 100 comes with a rounding error


MEASURES = {
    f.__name__: f
    for f in (
        exact_match,
        numeric_answer,
        multiple_choice,
        token_f1,
        rouge_l,
        chrf,
        bleu,
        json_match,
    )
}
