"""Minimum scores of published models of digits, and which models reach them."""

from __future__ import annotations

from dataclasses import dataclass

from keras_gen.evaluation.score import by_metric, of_generated
from keras_gen.publishing.records import Published

REQUIRED = {"confident": 0.8, "mode_entropy": 2.25, "coverage": 0.6}
"""Minimum values of the metrics of generated digits: the share of images of which the classifier is certain, the
entropy of their classes in nats (ten even classes have 2.303), and the share of real images with a generated one
nearby."""

_EXTRACTOR, _IMAGES = "lenet", 10_000
"""With fewer images coverage is another quantity, and the classifier of other data knows other classes."""


@dataclass(frozen=True)
class Requirement:
    """A score and its minimum value.

    Args:
        metric: str, name of the metric.
        value: float, the mean over the trainings.
        least: float, the minimum value.
    """

    metric: str
    value: float
    least: float

    @property
    def is_met(self) -> bool:
        """Whether the value is high enough."""
        return self.value >= self.least


def requirements(published: Published) -> list[Requirement]:
    """Return the requirements on a model; none if it is of other data than digits, or was measured otherwise.

    Args:
        published: the model.
    """
    scores = {
        metric: score.name
        for metric, score in by_metric(of_generated(published.evaluation.scores)).items()
        if score.protocol["extractor"] == _EXTRACTOR and score.protocol["generated"] == _IMAGES
    }
    if not REQUIRED.keys() <= scores.keys():
        return []
    return [Requirement(name, published.record.mean(scores[name]), least) for name, least in REQUIRED.items()]
