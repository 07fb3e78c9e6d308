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
        keep: bool, keep the features and logits of all images. Otherwise memory does not grow with the number of
            images, and only statistics are available.
        label: str, name of the images in the progress bar; default "images".
        total: int, number of images for the progress bar, or None (the default) if unknown.
    """

    def __init__(
        self,
        chunks: Iterable[np.ndarray],
        extractor: Extractor,
        *,
        keep: bool,
        label: str = "images",
        total: int | None = None,
    ) -> None:
        self.halves = GaussianStatistics(), GaussianStatistics()
        features, logits = [], []
        with progress.task(f"features of {label}", total) as task:
            for chunk in chunks:
                extracted = extractor(chunk, task=task)
                # Alternating images, so that the halves are of about equal size for any size of the chunks.
                for half, statistics in enumerate(self.halves):
                    statistics.update(extracted.features[half::2])
                if keep:
                    features.append(extracted.features)
                    logits.append(extracted.logits)
        self._features, self._logits = features, logits

    @property
    def count(self) -> int:
        """Number of images."""
        return sum(half.count for half in self.halves)

    @property
    def statistics(self) -> GaussianStatistics:
        """`GaussianStatistics` of the features."""
        return self.halves[0].merged(self.halves[1])

    @property
    def features(self) -> np.ndarray:
        """float32 array of shape `(n, D)`; requires `keep`."""
        return np.concatenate(self._features)

    @property
    def logits(self) -> np.ndarray | None:
        """float32 array of shape `(n, K)`, or None if the extractor has no logits; requires `keep`."""
        return None if self._logits[0] is None else np.concatenate(self._logits)


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
