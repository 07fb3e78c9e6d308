"""Score generated images against real ones, with the protocol, floor and bias of every score."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_gen.evaluation.measures import BETTER, MEASURES, Measurement
from keras_gen.evaluation.reference import Reference, ReferenceStatistics, chunks_of
from keras_gen.evaluation.samples import Sample, generate_chunks
from keras_gen.evaluation.score import Score, score_name
from keras_gen.utils import checks, progress
from keras_gen.utils.errors import must_be

if TYPE_CHECKING:
    from keras_gen.models import GenerativeModel


class Scorer:
    """Scorer of generated images with a fixed protocol.

    Args:
        reference: `Reference`, the real images and their extractor; or `ReferenceStatistics`.
        measures: sequence of different names of `keras_gen.evaluation.MEASURES`; default `("fid",)`.
        num_images: int, number of images to generate, at least 2; default 10,000.
        held_out: `Reference` with the same extractor, of real images that are not in `reference`, for floors and
            memorization. Defaults to None.

    Raises:
        UsageError: if an argument is not as above, or a measure requires another extractor or `held_out`.

    Example:
        >>> digits = keras_gen.data.load("digits")
        >>> scorer = Scorer(Reference(digits.train.images, "lenet"), ("fid",), num_images=500)
        >>> [score] = scorer.score(keras_gen.zoo.build("vae-mlp"))
        >>> score.name
        'fd_lenet'
    """

    def __init__(
        self,
        reference: Reference | ReferenceStatistics,
        measures: Sequence[str] = ("fid",),
        *,
        num_images: int = 10_000,
        held_out: Reference | None = None,
    ) -> None:
        if not isinstance(reference, Reference | ReferenceStatistics):
            raise must_be("reference", "a keras_gen.evaluation.Reference or ReferenceStatistics", reference)
        if held_out is not None and (
            not isinstance(held_out, Reference) or held_out.extractor is not reference.extractor
        ):
            raise must_be("held_out", "a Reference with the extractor of reference, or None", held_out)
        checks.count("num_images", checks.integer("num_images", num_images, 2))
        if isinstance(measures, str):
            raise must_be("measures", "a sequence of names", measures)
        for name in measures:
            checks.one_of("measures", name, MEASURES)
        if not measures or len(set(measures)) < len(measures):
            raise must_be("measures", "one or more different names", tuple(measures))
        self.reference, self.held_out, self.num_images = reference, held_out, num_images
        self.measures = tuple(measures)
        for name in measures:
            if missing := missing_requirement(name, num_images, reference, held_out):
                raise must_be("measures", f"without {name}, since {missing}", self.measures)

    def score(self, model: GenerativeModel, seed: int = 0) -> list[Score]:
        """Return the scores of images that a model generates.

        Args:
            model: `GenerativeModel`.
            seed: int, seed of the images and of the random subsets of some measures; default 0.
        """
        generated = {
            "generated": self.num_images,
            "generated_labels": "uniform" if model.num_classes else None,
            "quantisation": "uint8, rounded",  # British: stored protocols and fingerprints contain the spelling
            "batch_norm": "moving averages",
            "moving_average": getattr(model, "moving_average", None) or None,
            "seed": checks.seed("seed", seed),
        }
        return self._scores(generate_chunks(model, self.num_images, seed), generated, seed)

    def score_images(
        self, images: Sequence[np.ndarray], seed: int = 0, *, preparation: str = "as given"
    ) -> list[Score]:
        """Return the scores of images that are there already, `num_images` in all.

        They are shuffled: images of a folder or file may be in an order, and some measures use only the first ones or
        compare parts.

        Args:
            images: sequence of uint8 arrays `(n, H, W, 1 or 3)`, which are scored together.
            seed: int, seed of the shuffle and of the random subsets of some measures; default 0.
            preparation: str, what was done to the images, for the protocol; default "as given".
        """
        if (count := sum(map(len, images))) != self.num_images:
            raise must_be("images", f"{self.num_images:,} images, the num_images of the scorer", f"{count:,}")
        generated = {
            "generated": self.num_images,
            "generated_shape": "x".join(map(str, images[0].shape[1:])),
            "quantisation": f"uint8, {preparation}",
            "seed": checks.seed("seed", seed),
        }
        chunks = (chunk for array in images for chunk in chunks_of(array))
        return self._scores(chunks, generated, seed, shuffle=True)

    def floors(self, seed: int = 0) -> dict[str, float]:
        """Return the scores of `num_images` held-out real images by name; empty if there are fewer."""
        if self.held_out is None or self.held_out.count < self.num_images:
            return {}
        measures = tuple(name for name in self.measures if name != "memorisation")  # ½ by definition
        scorer = Scorer(self.reference, measures, num_images=self.num_images) if measures else None
        images = self.held_out.chunks(self.num_images)
        return {score.name: score.value for score in scorer._scores(images, {}, seed)} if scorer else {}

    def _scores(
        self, chunks: Iterable[np.ndarray], generated: dict, seed: int, *, shuffle: bool = False
    ) -> list[Score]:
        extractor = self.reference.extractor
        keep = any("features" in MEASURES[name].needs for name in self.measures)
        if keep:
            _ = self.reference.features  # computed first, so that its statistics need no second pass over the images
        label = "generated images" if generated else "held-out images"
        shuffle_seed = seed if shuffle else None
        sample = Sample(chunks, extractor, self.num_images, keep=keep, label=label, shuffle_seed=shuffle_seed)
        return [
            Score(
                score_name(measurement.metric, extractor.name),
                float(measurement.value),
                {"metric": measurement.metric, **self.reference.protocol, **generated, **measurement.settings},
                better=BETTER[measurement.metric],
                spread=measurement.spread,
                spread_over=measurement.spread_over,
                bias=measurement.bias,
            )
            for measurement in self._measure(sample, label, seed)
        ]

    def _measure(self, sample: Sample, label: str, seed: int) -> list[Measurement]:
        results = []
        with progress.task(f"scores of {label}", len(self.measures), "measures") as task:
            for measure in self.measures:
                results += MEASURES[measure].function(sample, self.reference, self.held_out, seed)
                task.advance()
        return results


def available(
    num_images: int, reference: Reference | ReferenceStatistics, held_out: Reference | None
) -> tuple[list[str], list[str]]:
    """Return the names of the measures that are available, and a note on each that is not."""
    missing = {name: missing_requirement(name, num_images, reference, held_out) for name in MEASURES}
    notes = [f"no {name}: {reason}" for name, reason in missing.items() if reason]
    return [name for name, reason in missing.items() if not reason], notes


def missing_requirement(
    measure: str, num_images: int, reference: Reference | ReferenceStatistics, held_out: Reference | None
) -> str | None:
    """Return in words why a measure is unavailable, or None if it is available."""
    extractor, minimum = reference.extractor, MEASURES[measure].min_images
    if isinstance(reference, ReferenceStatistics):
        return None if measure == "fid" else "only mean and covariance of the reference are known"
    if min(num_images, reference.count) < minimum:
        return f"it needs {minimum} generated and {minimum} reference images"
    its_classes = reference.data in extractor.classes_of
    absent = {
        "logits": None if extractor.num_classes else f"{extractor.name} has no classifier",
        "classes": None if its_classes else f"{extractor.name} does not know the classes of {reference.data}",
        "training_images": None if reference.split == "train" else "the reference images are not training images",
        "held_out": None if held_out is not None else "there are no held-out real images",
    }
    return next((absent[need] for need in MEASURES[measure].needs if absent.get(need)), None)


def add_floors(scores: list[Score], floors: dict[str, float]) -> list[Score]:
    """Return the scores with the floors of the same names."""
    return [dataclasses.replace(score, floor=floors.get(score.name)) for score in scores]
