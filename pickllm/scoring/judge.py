"""An LLM as a judge: a grade on a scale, by the same calls and log as a recording."""

import hashlib
import math
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..live.endpoints import Endpoint, read_models
from ..live.log import read_log
from ..live.recording import record
from .scorers import Scorer

#: What a judge is asked; the numbers are its scale's ends.
JUDGE_PROMPT = """\
You grade an answer. Read the question, the reference answer (there may be none) \
and the answer.
Reply with one whole number from {low} (wrong or useless) to {high} (entirely right), \
and nothing else.

Question:
{prompt}

Reference answer:
{reference}

Answer:
{response}
"""
#: Answers to grade from which on a bar shows how far the judge is.
MANY = 20


def judged_by(
    endpoint: Endpoint | str | Path | None,
    *,
    scale: tuple[int, int] = (1, 10),
    template: str = JUDGE_PROMPT,
    log: str | Path | None = None,
) -> Scorer:
    """Return a scorer that asks an LLM to grade.

    Model, settings, prompt and scale are pinned, and its raw verdicts kept.

    Parameters
    ----------
    endpoint : Endpoint or path
        The judge, or a models file with it alone. Grades want ``temperature: 0``, which
        is the default.
    scale : (int, int)
        Lowest and highest grade; the accuracy is linear between them.
    template : str
        With the fields ``low, high, prompt, reference, response``.
    log : path, optional
        A log as `record` writes it, one line a verdict: a judge that was stopped goes
        on there, and the same answer is never graded twice. Without one, verdicts are
        kept only where the scored rows are.

    Raises
    ------
    InputError
        No judge, or several; a scale that is none. When it scores: a verdict that is no
        whole number on the scale.
    """
    judge = _one_judge(endpoint)
    low, high = scale
    if not (isinstance(low, int) and isinstance(high, int) and low < high):
        raise InputError(
            "a judge's scale must be two whole numbers (low, high), low < high, got"
            f" {scale!r}; correct it"
        )

    def scores(
        predictions: Sequence[str],
        references: Sequence[str | None],
        prompts: Sequence[str | None],
    ) -> tuple[list[float], list[str]]:
        asked = [
            template.format(
                low=low,
                high=high,
                prompt=prompt or "",
                reference=reference or "",
                response=response,
            )
            for response, reference, prompt in zip(
                predictions, references, prompts, strict=True
            )
        ]
        verdicts = _verdicts(judge, asked, log)
        return [_accuracy(verdict, low, high) for verdict in verdicts], verdicts

    return Scorer(f"judge {judge.model}", scores, needs_reference=False)


def _one_judge(endpoint: Endpoint | str | Path | None) -> Endpoint:
    if endpoint is None:
        raise InputError(
            "scorer 'judge' needs the LLM that grades; give a models file that holds it"
            " alone (--judge FILE)"
        )
    if isinstance(endpoint, Endpoint):
        return endpoint
    models = read_models(endpoint)
    if len(models) != 1:
        raise InputError(
            f"{endpoint}: a judge is one LLM, got {len(models)}; keep it alone in a"
            " models file"
        )
    return next(iter(models.values()))


def _verdicts(
    judge: Endpoint, asked: Sequence[str], log: str | Path | None
) -> list[str]:
    """Return what the judge says to each prompt."""
    import pandas as pd

    ids = [hashlib.sha256(prompt.encode()).hexdigest()[:24] for prompt in asked]
    queries = pd.DataFrame(
        {"query_id": ids, "context": "judge", "prompt": asked, "reference": None}
    ).drop_duplicates("query_id")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(log or f"{folder}/judge.jsonl")
        progress = len(queries) > MANY
        count = record(queries, {judge.name: judge}, path, progress=progress)
        ungraded = count.failed + count.left
        if ungraded:
            reasons = [*count.errors.values(), *count.given_up.values(), "no answer"]
            raise InputError(
                f"the judge '{judge.name}' left {ungraded} answers ungraded"
                f" ({reasons[0]}); the same command goes on with them"
            )
        calls: Any = read_log(path)
    calls = calls[(calls["settings"] == judge.settings) & calls["error"].isna()]
    verdicts = dict(zip(calls["query_id"], calls["response"], strict=True))
    return [verdicts[query_id] for query_id in ids]


def _accuracy(verdict: str, low: int, high: int) -> float:
    """Return the accuracy of a verdict like ``7`` or ``Grade: 7/10``.

    NaN where it is no one number on the scale.

    Examples
    --------
    >>> _accuracy("Grade: 7/10", 1, 13)
    0.5
    """
    found = re.fullmatch(r"\D*?(-?\d{1,9})(?:\s*/\s*\d{1,9})?\D*", verdict, re.DOTALL)
    if not found:
        return math.nan
    grade = int(found[1])
    return (grade - low) / (high - low) if low <= grade <= high else math.nan
