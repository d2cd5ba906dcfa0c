"""Scorers: a measure over many responses, its scores checked row by row."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..errors import InputError

#: Scores, and what a judge said to each response (None of any other scorer).
Judged = tuple[np.ndarray, list[str] | None]


@dataclass(frozen=True)
class Scorer:
    """Accuracy of responses; make one with `scorer`.

    Attributes
    ----------
    name : str
    function : callable
        ``function(predictions, references, prompts)``, lists of texts, gives one score
        each, or (scores, verdicts).
    needs_reference : bool

    Examples
    --------
    >>> import pickllm as pk
    >>> score = pk.scorer("exact_match")
    >>> score("The Seine.", "seine")
    1.0
    >>> score(["Paris", "Rome"], ["paris", "paris"]).tolist()
    [1.0, 0.0]
    """

    name: str
    function: Callable[..., Any]
    needs_reference: bool = True

    #: `LiveSession` hands it the prompt, too.
    sees_prompt: ClassVar[bool] = True

    def __call__(
        self,
        predictions: str | Sequence[str],
        references: Any = None,
        prompts: Any = None,
    ) -> Any:
        """Score a list of responses, or one.

        Returns
        -------
        ndarray, (n_responses,), or float
            In [0, 1]; a float where `predictions` is one text, as `LiveSession` asks.

        Raises
        ------
        InputError
            A reference is missing where one is needed, or a score is no number in
            [0, 1]; the row is named, from 1.
        """
        if isinstance(predictions, str):
            scores, _ = self.judged([predictions], [references], [prompts])
            return float(scores[0])
        return self.judged(predictions, references, prompts)[0]

    def judged(
        self,
        predictions: Sequence[str],
        references: Iterable[str | None] | None = None,
        prompts: Iterable[str | None] | None = None,
        rows: Iterable[int] | None = None,
    ) -> Judged:
        """Return scores, and what a judge said to each response.

        Parameters
        ----------
        predictions : sequence of str
        references, prompts : sequence of str, optional
        rows : sequence of int, optional
            The numbers that errors name, by default from 1.

        Returns
        -------
        scores : ndarray, (n_responses,)
        verdicts : list of str, or None
        """
        n = len(predictions)
        references = [None] * n if references is None else list(references)
        prompts = [None] * n if prompts is None else list(prompts)
        rows = list(range(1, n + 1)) if rows is None else list(rows)
        if not n == len(references) == len(prompts):
            raise InputError(
                f"{self.name}: {n} responses, {len(references)} references and"
                f" {len(prompts)} prompts; give one each"
            )
        self._check_references(rows, references)
        if not n:
            return np.zeros(0), None
        found = self.function(list(predictions), references, prompts)
        scores, verdicts = found if isinstance(found, tuple) else (found, None)
        if len(scores) != n:
            raise InputError(
                f"{self.name}: {len(scores)} scores for {n} responses; name the field"
                " that holds one score each"
            )
        self._check_scores(rows, scores, verdicts)
        return np.array(scores, dtype=float), verdicts

    def _check_references(
        self, rows: Sequence[int], references: Sequence[str | None]
    ) -> None:
        if not self.needs_reference:
            return
        for row, reference in zip(rows, references, strict=True):
            if not isinstance(reference, str):
                raise InputError(
                    f"row {row}: {self.name} needs a reference, got {reference!r}; fill"
                    " it in or choose a measure without one"
                )

    def _check_scores(
        self, rows: Sequence[int], scores: Sequence[Any], verdicts: list[str] | None
    ) -> None:
        for place, (row, score) in enumerate(zip(rows, scores, strict=True)):
            if _is_accuracy(score):
                continue
            if verdicts is None:
                gave = repr(score)
                rule = "a number in [0, 1]"
            else:
                gave = f"the verdict {verdicts[place][:60]!r}"
                rule = "one whole number on the scale; choose another judge or prompt"
            raise InputError(f"row {row}: {self.name} gave {gave}; it must be {rule}")


def _is_accuracy(score: Any) -> bool:
    number = isinstance(score, (int, float, np.number, np.bool_))
    return number and bool(0 <= score <= 1)
