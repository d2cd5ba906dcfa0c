"""Scoring: a response and its reference to an accuracy in [0, 1]."""

from .scorers import (
    JUDGE_PROMPT,
    Scorer,
    judged_by,
    read_responses,
    save,
    score,
    scorer,
    summary,
)

__all__ = [
    "JUDGE_PROMPT",
    "Scorer",
    "judged_by",
    "read_responses",
    "save",
    "score",
    "scorer",
    "summary",
]
