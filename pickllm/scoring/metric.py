"""Metrics: the kit's measures as modules of the `evaluate` library, not downloaded."""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

from .measures import MEASURES


class Agreement(evaluate.Metric):
    """One of `MEASURES` over texts.

    It computes ``{"<name>": mean, "scores": [each in [0, 1]]}``.
    """

    def _info(self) -> evaluate.MetricInfo:
        text = datasets.Value("string")
        return evaluate.MetricInfo(
            description=str(MEASURES[str(self.config_name)].__doc__),
            citation="",
            inputs_description="texts, one a query",
            features=datasets.Features({"predictions": text, "references": text}),
        )

    def _compute(  # pyright: ignore[reportIncompatibleMethodOverride] - its columns
        self, predictions: Sequence[str], references: Sequence[str]
    ) -> dict[str, Any]:
        name = str(self.config_name)
        measure = MEASURES[name]
        scores = [
            measure(prediction, reference)
            for prediction, reference in zip(predictions, references, strict=True)
        ]
        return {name: sum(scores) / len(scores), "scores": scores}


def metric(name: str) -> Agreement:
    """Return the module of one measure, held in memory."""
    return Agreement(config_name=name, keep_in_memory=True)
