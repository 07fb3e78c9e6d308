"""Scores that published models of digits should reach, and which models reach them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from keras_gen.evaluation.score import Score, by_metric, of_generated
from keras_gen.publishing.records import Published

REQUIRED = {"confident": 0.8, "mode_entropy": 2.25, "coverage": 0.6}
"""Minimum values of the metrics of generated digits: the share of images of which the classifier is certain, the
entropy of their classes in nats (ten even classes have 2.303), and the share of real images with a generated one
nearby."""

LARGEST_RATIO = {"gan": 4.0, "vae": 25.0}
"""Largest Fréchet distance of the best GAN and the best VAE, as a multiple of that of as many real images."""

_EXTRACTOR, _DATA, _IMAGES = "lenet", ("mnist", "digits"), 10_000
"""With fewer images coverage is another quantity, and the classifier knows only classes of digits."""


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


@dataclass(frozen=True)
class Best:
    """The best model of a family.

    Args:
        family: str, a key of `LARGEST_RATIO`.
        model: Published, the model of the smallest ratio.
        ratio: float, its Fréchet distance divided by that of as many real images.
        has_labels: bool, whether it is conditional.
    """

    family: str
    model: Published
    ratio: float
    has_labels: bool

    @property
    def is_met(self) -> bool:
        """Whether the ratio is small enough."""
        return self.ratio <= LARGEST_RATIO[self.family]


def requirements(published: Published) -> list[Requirement]:
    """Return the requirements on a model; none if it is of other data than digits, or was measured otherwise.

    Args:
        published: the model.
    """
    scores = _scores(published)
    if not REQUIRED.keys() <= scores.keys():
        return []
    return [Requirement(name, published.record.mean(scores[name].name), least) for name, least in REQUIRED.items()]


def best(models: Sequence[Published]) -> Iterator[Best]:
    """Yield the best unconditional model of each family, and before it the best conditional one if that is better.

    Args:
        models: sequence of published models, of which those of other data than digits do not count.
    """
    for family in LARGEST_RATIO:
        found: dict[bool, Best] = {}
        for model in models:
            ratio = distance_ratio(model)
            if ratio is not None and family in model.record.recipe.partition("-")[0]:
                has_labels = bool(_scores(model)["fid"].protocol.get("generated_labels"))
                if has_labels not in found or ratio < found[has_labels].ratio:
                    found[has_labels] = Best(family, model, ratio, has_labels)
        if True in found and (False not in found or found[True].ratio < found[False].ratio):
            yield found[True]
        if False in found:
            yield found[False]


def distance_ratio(published: Published) -> float | None:
    """Return the Fréchet distance of a model of digits as a multiple of that of as many real images.

    None if it was not measured, or the model is of other data or was measured with another number of images.
    """
    distance = _scores(published).get("fid")
    return published.record.mean(distance.name) / distance.floor if distance and distance.floor else None


def _scores(published: Published) -> dict[str, Score]:
    """Return the scores by metric of the images that a model of digits generates."""
    return {
        metric: score
        for metric, score in by_metric(of_generated(published.evaluation.scores)).items()
        if score.protocol["extractor"] == _EXTRACTOR
        and score.protocol["reference"] in _DATA
        and score.protocol["generated"] == _IMAGES
    }
