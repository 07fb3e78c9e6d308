"""Distances between real and generated images as Keras metrics."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen.evaluation.reference import Reference
from keras_gen.evaluation.score import score_name
from keras_gen.metrics import extractors, frechet, polynomial_mmd
from keras_gen.metrics.extractors import Extractor
from keras_gen.metrics.frechet import GaussianStatistics
from keras_gen.models.inputs import RANGE_TOLERANCE
from keras_gen.utils import image_utils
from keras_gen.utils.errors import UsageError, must_be

class _Distance(keras.metrics.Metric):
    """Base class of the metrics: features of real and of generated images that arrive in batches.

    Subclasses implement `_empty`, `_add` and `_distance`.
    """

    metric: str
    """Name of the metric in the literature."""

    def __init__(
        self, extractor: Extractor | str | None = None, *, reference: Reference | None = None, name: str | None = None
    ) -> None:
        if (extractor is None) == (reference is None):
            raise must_be("extractor", "given, or reference, and not both", extractor)
        if reference is not None and not isinstance(reference, Reference):
            raise must_be("reference", "a keras_gen.evaluation.Reference", reference)
        extractor = reference.extractor if reference is not None else extractor
        self.extractor = extractors.build(extractor) if isinstance(extractor, str) else extractor
        self.reference = reference
        super().__init__(name=name or score_name(self.metric, self.extractor.name))
        self.reset_state()

    def reset_state(self) -> None:
        """Forget all images."""
        self._real, self._generated = self._empty(), self._empty()

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
        """Add a batch of images.

        Args:
            y_true: real images, uint8 or floats in [0, 1], `(n, H, W, 1 or 3)`; None with a `reference`.
            y_pred: generated images, likewise.
            sample_weight: None; images have no weights.

        Raises:
            UsageError: an argument is not as above, or is a symbolic tensor of a graph.
        """
        if sample_weight is not None:
            raise must_be("sample_weight", "left out", "weights")
        if self.reference is None:
            self._real = self._add(self._real, self._features("y_true", y_true))
        elif y_true is not None:
            raise must_be("y_true", "None, since the real images are those of the reference", "images")
        self._generated = self._add(self._generated, self._features("y_pred", y_pred))

    def result(self) -> tf.Tensor:
        """Return the distance of all images so far, a float64 scalar."""
        return tf.constant(self._distance(), tf.float64)

    def _features(self, argument, images) -> np.ndarray:
        if tf.is_symbolic_tensor(images):
            remedy = "compile the model with run_eagerly=True, or use keras_gen.callbacks"
            raise UsageError(f"{argument} of {self.name} must be images of eager execution: {remedy}")
        images = np.asarray(images)
        if images.dtype.kind == "f":
            if images.size and not -RANGE_TOLERANCE <= images.min() <= images.max() <= 1 + RANGE_TOLERANCE:
                found = f"values from {images.min():.3g} to {images.max():.3g}"
                raise must_be(argument, "uint8 images, or floats in [0, 1]", found)
            images = image_utils.to_uint8(images)
        return self.extractor(images).features


class FrechetDistance(_Distance):
    """Fréchet distance of generated to real images, as a metric: FID with `inception-2015`.

    It equals `keras_gen.metrics.fid` of all features, to rounding, and keeps only their means and covariances.

    Args:
        extractor: `Extractor`, or the name of one (`keras_gen.metrics.extractors.NAMES`).
        reference: `Reference`, in place of an extractor and of real images in each batch. Defaults to None.
        name: str. Defaults to `fid`, or such as `fd_lenet` with another extractor.

    Raises:
        UsageError: both or none of `extractor` and `reference` are given; by `result`, fewer than two images of a kind.

    Example:
        >>> digits = keras_gen.data.load("digits")
        >>> metric = FrechetDistance("lenet")
        >>> metric.update_state(digits.train.images[:500], digits.test.images)
        >>> metric.name, float(metric.result()) < 30
        ('fd_lenet', True)
    """

    metric = "fid"

    def _empty(self):
        return GaussianStatistics()

    def _add(self, statistics, features):
        statistics.update(features)
        return statistics

    def _distance(self):
        real = self._real if self.reference is None else self.reference.statistics
        return frechet.distance(self._generated, real)


class KernelDistance(_Distance):
    """Kernel distance of generated to real images, as a metric: KID with `inception-2015`.

    It equals the mean of `keras_gen.metrics.kid` of all features, which it keeps.

    Args:
        extractor, reference, name: as in `FrechetDistance`; the name is `kid`, or such as `kd_lenet`.
        **options: `subsets`, `subset_size` and `seed` of `keras_gen.metrics.kid`.

    Raises:
        UsageError: as in `FrechetDistance`.
    """

    metric = "kid"

    def __init__(
        self,
        extractor: Extractor | str | None = None,
        *,
        reference: Reference | None = None,
        name: str | None = None,
        **options: int,
    ) -> None:
        super().__init__(extractor, reference=reference, name=name)
        self.options = options

    def _empty(self):
        return []

    def _add(self, batches, features):
        return [*batches, features]

    def _distance(self):
        empty = np.empty((0, self.extractor.dimensions), np.float32)
        real = np.concatenate([empty, *self._real]) if self.reference is None else self.reference.features
        return polynomial_mmd.kid(np.concatenate([empty, *self._generated]), real, **self.options).mean
