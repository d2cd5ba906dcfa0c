"""Metrics: the kit's measures as modules of the `evaluate` library, without any download."""

import datasets
import evaluate

from .measures import MEASURES


class Agreement(evaluate.Metric):
    """One of `answers.MEASURES` over texts: ``{"<name>": mean, "scores": [each in [0, 1]]}``."""

    def _info(self):
        features = datasets.Features(
            {
                "predictions": datasets.Value("string"),
                "references": datasets.Value("string"),
            }
        )
        return evaluate.MetricInfo(
            description=MEASURES[self.config_name].__doc__,
            citation="",
            inputs_description="texts, one a query",
            features=features,
        )

    def _compute(self, predictions, references):
        measure = MEASURES[self.config_name]
        scores = [measure(p, r) for p, r in zip(predictions, references, strict=True)]
        return {self.config_name: sum(scores) / len(scores), "scores": scores}


def metric(name):
    """Return the module of one measure, held in memory."""
    return Agreement(config_name=name, keep_in_memory=True)
