"""The Fréchet distance of generated to real images, measured while a model trains."""

from __future__ import annotations

from collections.abc import Callable

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import numpy as np

from keras_gen import checks
from keras_gen.errors import must_be
from keras_gen.metrics.features import as_images
from keras_gen.metrics.fid import GaussianStatistics, frechet_distance

_CHUNK = 1000  # images whose features are held at once


class FID(keras.callbacks.Callback):
    """Score generated images against training images every few epochs.

    At the end of epochs `every`, `2 * every`, … (counted from 1) the model generates min(`count`, N) images with
    `model.generate(n, seed)["images"]`, and they are compared with as many real ones, the same at every score: the
    first ones of a permutation of `real_images` drawn from `seed`. The images come from the same `seed` at every
    score, too, so that scores of one run differ by the weights alone. No global random state is read or changed.

    Those epochs' `logs` gain `fid` (float) and `fid_images` (int, how many images of each kind it was measured on);
    other epochs' gain nothing. Put this callback before those that are to record them. One line is printed.

    Args:
        real_images: uint8, shape `(N, H, W, 1)` or `(N, H, W, 3)`, N at least 2.
        features: extractor, from uint8 images to `(n, D)` features, with its description in `name`.
        every: epochs from one score to the next.
        count: images of each kind, at least 2. Scores of different counts do not compare: FID falls as it grows.
        seed: of the choice of real images and of the generated ones.

    Raises:
        UsageError: an argument is not as above.

    Example:
        >>> from keras_gen.metrics.features import InceptionV3Features
        >>> score = FID(train_images, InceptionV3Features(), every=5)
        >>> model.fit(dataset, epochs=10, callbacks=[score]).history["fid_images"]
        [1000, 1000]
    """

    def __init__(
        self,
        real_images: np.ndarray,
        features: Callable[[np.ndarray], np.ndarray],
        every: int = 10,
        count: int = 1000,
        seed: int = 0,
    ) -> None:
        super().__init__()
        real_images = as_images("real_images", real_images)
        if len(real_images) < 2:
            raise must_be("real_images", "at least 2 images", len(real_images))
        if not callable(features) or not isinstance(getattr(features, "name", None), str):
            raise must_be("features", "a feature extractor, a callable with a name", features)
        if checks.positive_int("count", count) < 2:
            raise must_be("count", "an integer of at least 2", count)
        self.features = features
        self.every = checks.positive_int("every", every)
        self.count = min(int(count), len(real_images))
        self.seed = checks.seed("seed", seed)
        chosen = np.random.default_rng(self.seed).permutation(len(real_images))[: self.count]
        self._real_images = real_images[chosen]
        self._real: GaussianStatistics | None = None

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Score if it is time for it."""
        if (epoch + 1) % self.every:
            return
        score = self.score()
        if logs is not None:
            logs["fid"] = score
            logs["fid_images"] = self.count
        # A progress bar leaves the cursor behind itself.
        start = "\n" if self.params and self.params.get("verbose") in (1, "auto") else ""
        against = f"{self.count} generated against {self.count} training images"
        print(f"{start}FID {score:.1f} ({against}, {self.features.name})", flush=True)

    def score(self) -> float:
        """The distance for the model as it is now. The real images' features are extracted the first time only."""
        if self._real is None:
            self._real = self._statistics(self._real_images)
        images = self.model.generate(self.count, self.seed)["images"]
        made = self._statistics(np.asarray(images))
        return frechet_distance(self._real.mean, self._real.covariance, made.mean, made.covariance)

    def _statistics(self, images: np.ndarray) -> GaussianStatistics:
        statistics = GaussianStatistics()
        for start in range(0, len(images), _CHUNK):
            statistics.update(self.features(images[start : start + _CHUNK]))
        return statistics
