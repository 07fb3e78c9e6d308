"""Generated images as an extractor sees them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from keras_gen.evaluation.reference import CHUNK
from keras_gen.metrics.extractors import Extractor
from keras_gen.metrics.frechet import GaussianStatistics
from keras_gen.utils import checks, progress
from keras_gen.utils.errors import UsageError

if TYPE_CHECKING:
    from keras_gen.models import GenerativeModel


class Sample:
    """The features of images that arrive in chunks.

    Args:
        chunks: uint8 images, chunk by chunk.
        extractor: what looks at them.
        keep: whether the features of every image are held. Without them memory does not grow with the images, and there
            are `statistics` only.
        what: the images are, for those who watch the progress.
        total: how many images there will be, if that is known.
    """

    def __init__(
        self,
        chunks: Iterable[np.ndarray],
        extractor: Extractor,
        *,
        keep: bool,
        what: str = "images",
        total: int | None = None,
    ) -> None:
        self.halves = GaussianStatistics(), GaussianStatistics()
        features, logits = [], []
        # Ticking, since a chunk may have to be generated first.
        with progress.task(f"features of {what}", total, show_clock=True) as step:
            for chunk in chunks:
                extracted = extractor(chunk, step=step)
                # Every other image: the halves are as large as they can be, whatever the chunks are.
                for half, statistics in enumerate(self.halves):
                    statistics.update(extracted.features[half::2])
                if keep:
                    features.append(extracted.features)
                    logits.append(extracted.logits)
        self._features, self._logits = features, logits

    @property
    def count(self) -> int:
        """How many images."""
        return sum(half.count for half in self.halves)

    @property
    def statistics(self) -> GaussianStatistics:
        """Count, mean and covariance of the features."""
        return self.halves[0].merged(self.halves[1])

    @property
    def features(self) -> np.ndarray:
        """float32 `(n, D)`, if they were kept."""
        return np.concatenate(self._features)

    @property
    def logits(self) -> np.ndarray | None:
        """float32 `(n, K)`, if they were kept; None if the extractor gives none."""
        return None if self._logits[0] is None else np.concatenate(self._logits)


def generate_chunks(model: GenerativeModel, count: int, seed: int) -> Iterator[np.ndarray]:
    """uint8 images of `model.generate`, at most `CHUNK` at a time, `count` in all; a function of the seed.

    Each chunk is generated with a seed of its own, drawn from `seed`, so that memory does not grow with `count`.

    Raises:
        UsageError: the model generates values that are not finite, which uint8 would hide.
    """
    count, seed = checks.count("count", count), checks.seed("seed", seed)
    for index, start in enumerate(range(0, count, CHUNK)):
        chunk_seed = int(np.random.SeedSequence([seed, index]).generate_state(1)[0] >> 1)
        generated = model.generate(min(CHUNK, count - start), chunk_seed)
        if not np.isfinite(generated["images_float"]).all():
            raise UsageError("the model generates images with values that are not finite: there is nothing to measure")
        yield np.asarray(generated["images"])
