"""Distances between real and generated images as Keras metrics."""

from __future__ import annotations

from types import UnionType

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen.evaluation.reference import Reference, ReferenceStatistics
from keras_gen.evaluation.score import score_name
from keras_gen.metrics import extractors, frechet, polynomial_mmd
from keras_gen.metrics.extractors import Extractor, as_images
from keras_gen.metrics.frechet import GaussianStatistics
from keras_gen.models.inputs import RANGE_TOLERANCE
from keras_gen.utils import checks, image_utils
from keras_gen.utils.errors import UsageError, must_be


class _Distance(keras.metrics.Metric):
    """Base class of the metrics: features of real and of generated images that arrive in batches.

    Subclasses implement `_empty`, `_add` and `_distance`.
    """

    metric: str
    """Name of the metric in the literature."""

    references: type | UnionType = Reference
    """Types of `reference` that are accepted."""

    def __init__(self, extractor, reference, name, dtype=None) -> None:
        if (extractor is None) == (reference is None):
            raise must_be("extractor", "given without reference, or left out with it", extractor)
        if reference is not None and not isinstance(reference, self.references):
            raise must_be("reference", "a keras_gen.evaluation.Reference", reference)
        self.extractor = extractors.as_extractor(extractor) if reference is None else reference.extractor
        self.reference = reference
        super().__init__(name=name or score_name(self.metric, self.extractor.name), dtype=dtype)
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
            raise must_be("sample_weight", "None", sample_weight)
        if (y_true is None) == (self.reference is None):
            requirement = "real images" if self.reference is None else "None, since reference has the real images"
            raise must_be("y_true", requirement, None if y_true is None else "images")
        real = None if y_true is None else self._features("y_true", y_true)
        generated = self._features("y_pred", y_pred)
        self._generated = self._add(self._generated, generated)
        if real is not None:
            self._real = self._add(self._real, real)

    def result(self) -> tf.Tensor:
        """Return the distance of all images so far, a float64 scalar; NaN as long as they are too few."""
        return tf.constant(self._distance(), tf.float64)

    def get_config(self) -> dict:
        """Return the arguments that a file can keep: not a reference, nor an extractor of one's own."""
        return super().get_config() | {"extractor": self.extractor.name}

    def _features(self, argument, images) -> np.ndarray:
        if tf.is_symbolic_tensor(images):
            remedy = "compile the model with run_eagerly=True, or use keras_gen.callbacks"
            raise UsageError(f"{argument} of {self.name} must be images in eager execution: {remedy}")
        images = tf.convert_to_tensor(images)
        if images.dtype.is_floating:
            images = np.asarray(tf.cast(images, tf.float32))
            if images.size and not -RANGE_TOLERANCE <= images.min() <= images.max() <= 1 + RANGE_TOLERANCE:
                found = f"values from {images.min():.3g} to {images.max():.3g}"
                raise must_be(argument, "uint8 images, or floats in [0, 1]", found)
            images = image_utils.to_uint8(images)
        return self.extractor(as_images(argument, images)).features


@keras.saving.register_keras_serializable("keras_gen")
class FrechetDistance(_Distance):
    """Fréchet distance of generated to real images, as a metric: FID with `inception-2015`.

    It equals `keras_gen.metrics.fid` of all features, to rounding, and keeps only their means and covariances. As a
    metric of `compile`, it needs a model that runs eagerly, and Keras asks for its value after each batch: with 2,048
    features that takes a second or more each time, so use a callback for these.

    Args:
        extractor: `Extractor`, or the name of one (`keras_gen.metrics.extractors.NAMES`).
        reference: `Reference` or `ReferenceStatistics`, in place of an extractor and of real images in each batch.
            Defaults to None.
        name: str. Defaults to `fid`, or such as `fd_lenet` with another extractor.

    Raises:
        UsageError: both or none of `extractor` and `reference` are given.

    Example:
        >>> digits = keras_gen.data.load("digits")
        >>> metric = FrechetDistance("lenet")
        >>> metric.update_state(digits.train.images[:500], digits.test.images)
        >>> metric.name, float(metric.result()) < 30
        ('fd_lenet', True)
    """

    metric = "fid"
    references = Reference | ReferenceStatistics

    def __init__(
        self,
        extractor: Extractor | str | None = None,
        *,
        reference: Reference | ReferenceStatistics | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(extractor, reference, name, dtype)

    def _empty(self):
        return GaussianStatistics()

    def _add(self, statistics, features):
        statistics.update(features)
        return statistics

    def _distance(self):
        real = self._real if self.reference is None else self.reference.statistics
        return frechet.distance(self._generated, real) if min(self._generated.count, real.count) > 1 else np.nan


@keras.saving.register_keras_serializable("keras_gen")
class KernelDistance(_Distance):
    """Kernel distance of generated to real images, as a metric: KID with `inception-2015`.

    It equals the mean of `keras_gen.metrics.kid` of all features, which it keeps; a `reference` keeps at most 50,000.
    What `FrechetDistance` says of `compile` holds for it, too.

    Args:
        extractor: as in `FrechetDistance`.
        reference: `Reference`, in place of an extractor and of real images in each batch. Defaults to None.
        name: str. Defaults to `kid`, or such as `kd_lenet` with another extractor.
        subsets, subset_size, seed: as in `keras_gen.metrics.kid`.

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
        subsets: int = 100,
        subset_size: int | None = None,
        seed: int = 0,
        dtype: str | None = None,
    ) -> None:
        self.subsets, self.seed = checks.positive_int("subsets", subsets), checks.seed("seed", seed)
        self.subset_size = None if subset_size is None else checks.positive_int("subset_size", subset_size)
        super().__init__(extractor, reference, name, dtype)

    def get_config(self) -> dict:
        """Return the arguments that a file can keep, as `FrechetDistance`."""
        return super().get_config() | {name: getattr(self, name) for name in ("subsets", "subset_size", "seed")}

    def _empty(self):
        return []

    def _add(self, batches, features):
        return [*batches, features]

    def _distance(self):
        empty = np.empty((0, self.extractor.dimensions), np.float32)
        generated = np.concatenate([empty, *self._generated])
        real = np.concatenate([empty, *self._real]) if self.reference is None else self.reference.features
        if min(len(generated), len(real)) < max(2, self.subset_size or 0):
            return np.nan
        options = {"subsets": self.subsets, "subset_size": self.subset_size, "seed": self.seed}
        return polynomial_mmd.kid(generated, real, **options).mean
