"""Features of generated images, and the generation of images in chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from keras_gen.evaluation.reference import CHUNK
from keras_gen.metrics.extractors import Extractor
from keras_gen.metrics.frechet import GaussianStatistics
from keras_gen.utils import checks, image_utils, progress

if TYPE_CHECKING:
    from keras_gen.models import GenerativeModel


class Sample:
    """The features of images that arrive in chunks.

    Args:
        chunks: iterable of uint8 arrays of images.
        extractor: `Extractor` to compute the features with.
        total: int, number of images.
        keep: bool, keep the features and logits of all images. Otherwise memory does not grow with the number of
            images, and only statistics are available.
        label: str, name of the images in the progress bar; default "images".
        shuffle_seed: int, seed of the order in which the features are kept and the images divided into halves. Defaults
            to None, the order in which they arrive.

    Attributes:
        features: float32 array of shape `(n, D)`, or None if they are not kept.
        logits: float32 array of shape `(n, K)`, or None if they are not kept or the extractor has none.
    """

    def __init__(
        self,
        chunks: Iterable[np.ndarray],
        extractor: Extractor,
        total: int,
        *,
        keep: bool,
        label: str = "images",
        shuffle_seed: int | None = None,
    ) -> None:
        places = None
        if shuffle_seed is not None:
            places = np.argsort(np.random.default_rng(shuffle_seed).permutation(total))
        self.halves = GaussianStatistics(), GaussianStatistics()
        self.features = np.empty((total, extractor.dimensions), np.float32) if keep else None
        keep_logits = keep and extractor.num_classes > 0
        self.logits = np.empty((total, extractor.num_classes), np.float32) if keep_logits else None
        with progress.task(f"features of {label}", total) as task:
            for chunk in chunks:
                rows = np.arange(self.count, self.count + len(chunk))
                rows = rows if places is None else places[rows]
                extracted = extractor(chunk, task=task)
                for half, statistics in enumerate(self.halves):
                    statistics.update(extracted.features[rows % 2 == half])
                if self.features is not None:
                    self.features[rows] = extracted.features
                if self.logits is not None:
                    self.logits[rows] = extracted.logits

    @property
    def count(self) -> int:
        """Number of images."""
        return sum(half.count for half in self.halves)

    @property
    def statistics(self) -> GaussianStatistics:
        """`GaussianStatistics` of the features."""
        return self.halves[0].merged(self.halves[1])


def generate_chunks(model: GenerativeModel, count: int, seed: int) -> Iterator[np.ndarray]:
    """Yield `count` uint8 images of `model.generate`, at most `CHUNK` at a time, determined by the seed.

    Each chunk has its own seed, derived from `seed`, so that memory does not grow with `count`.

    Raises:
        UsageError: if the model generates values that are not finite, which uint8 would hide.
    """
    count, seed = checks.count("count", count), checks.seed("seed", seed)
    for index, start in enumerate(range(0, count, CHUNK)):
        chunk_seed = int(np.random.SeedSequence([seed, index]).generate_state(1)[0] >> 1)
        yield image_utils.to_uint8(model.generate(min(CHUNK, count - start), chunk_seed)["images_float"])
