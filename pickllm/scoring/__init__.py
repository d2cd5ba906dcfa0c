"""Scoring: a response and its reference to an accuracy in [0, 1]."""

from .choice import scorer
from .judge import JUDGE_PROMPT, judged_by
from .responses import read_responses, save, score, summary
from .scorers import Scorer

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
