"""Base class of the feature extractors, and the type of their results."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_gen.metrics.extractors import weight_files
from keras_gen.metrics.extractors.bfloat16 import in_bfloat16
from keras_gen.utils import checks, progress
from keras_gen.utils.errors import UsageError


class Features(NamedTuple):
    """Result of an extractor for n images.

    Args:
        features: float32 array of shape `(n, D)`.
        logits: float32 array of shape `(n, K)`, unnormalized log-probabilities of K classes, or None.
    """

    features: np.ndarray
    logits: np.ndarray | None = None


class Extractor:
    """Base class of the feature extractors: checks and batches images. Subclasses implement `_extract`.

    Attributes:
        name: str, one of `keras_gen.metrics.extractors.NAMES`; part of the protocol of every score.
        sha256: str, hexadecimal SHA-256 of the weights. Scores are comparable only if it is the same.
        dimensions: int, D, length of a feature vector.
        num_classes: int, K, length of a vector of logits; 0 if there are no logits.
        classes_of: tuple of str, names of the data sets whose classes the logits stand for.
        resize: str, one line that describes how images are resized to the network's input size.
        precision: str, precision of the network's arithmetic.
    """

    name: str
    sha256: str
    dimensions: int
    num_classes: int = 0
    classes_of: tuple[str, ...] = ()
    resize: str
    precision: str = "float32"

    def description(self) -> dict[str, object]:
        """Return the entries that identify this extractor in the protocol of a score."""
        names = ("name", "sha256", "dimensions", "num_classes", "resize", "precision")
        return {name: getattr(self, name) for name in names}

    def __call__(self, images: np.ndarray, batch_size: int = 64, task: progress.Task | None = None) -> Features:
        """Return the features and logits of `images`. The whole result is in memory: pass many images in chunks.

        Args:
            images: uint8 array of shape `(n, H, W, 1)` or `(n, H, W, 3)`.
            batch_size: int, images per call of the network; it bounds memory and changes results only by rounding.
                Defaults to 64.
            task: `progress.Task` to advance by the number of images. By default a new one is shown.

        Raises:
            UsageError: if images have the wrong type or shape, or the network returns values that are not finite.
        """
        images = self._accepted(as_images("images", images))
        batch_size = checks.positive_int("batch_size", batch_size)
        features = np.empty((len(images), self.dimensions), np.float32)
        logits = np.empty((len(images), self.num_classes), np.float32) if self.num_classes else None
        new = progress.task(f"features by {self.name}", len(images)) if task is None else contextlib.nullcontext(task)
        with new as task:
            for start in range(0, len(images), batch_size):
                rows = slice(start, start + batch_size)
                batch_features, batch_logits = self._extract(self._channels(images[rows]))
                features[rows] = self._finite("features", batch_features)
                if logits is not None:
                    logits[rows] = self._finite("logits", batch_logits)
                task.advance(len(batch_features))
        return Features(features, logits)

    def _extract(self, batch: np.ndarray):
        """Return features and logits (or None) of uint8 images from `_channels`, as tensors or arrays."""
        raise NotImplementedError

    def _accepted(self, images: np.ndarray) -> np.ndarray:
        """Return `images`, or raise `UsageError` if this extractor does not support them."""
        return images

    def _channels(self, batch: np.ndarray) -> np.ndarray:
        """Return `batch` with the network's number of channels: three, equal ones for gray images."""
        return np.repeat(batch, 3, axis=-1) if batch.shape[-1] == 1 else batch

    def _finite(self, name: str, values) -> np.ndarray:
        values = np.asarray(values)
        if not np.isfinite(values).all():
            bad = np.count_nonzero(~np.isfinite(values).all(axis=1))
            raise UsageError(
                f"extractor {self.name} gives {name} that are not finite for {bad} of {len(values)} images"
            )
        return values


class DownloadedExtractor(Extractor):
    """Base class of the extractors whose weights are downloaded. Subclasses implement `_load`.

    Args:
        weights: path of the weights file, as described by the subclass. Defaults to the file on this machine.
        download: bool, download the file if it is missing; default False.
        precision: str, `float32` (the default) or `bfloat16` (see `in_bfloat16`): different, coarser features, faster.

    Raises:
        UsageError: if `weights` is no such file, or `precision` is unknown.
        DataUnavailableError: if the file is missing, and was not or can't be downloaded.
    """

    source: weight_files.Source

    def __init__(
        self, weights: str | os.PathLike | None = None, *, download: bool = False, precision: str = "float32"
    ) -> None:
        self.precision = checks.one_of("precision", precision, checks.PRECISIONS)
        path = weight_files.obtain(self.source, weights, download=download)
        function, self.sha256 = self._load(path)
        self._network = in_bfloat16(function) if self.precision == "bfloat16" else function

    def _load(self, path: Path) -> tuple[Callable, str]:
        """Return the network in the file and the SHA-256, in hexadecimal, of its weights.

        The network is a concrete function from a tensor of uint8 images `(n, H, W, 3)` to a list of features and, if
        there are any, logits.
        """
        raise NotImplementedError

    def _extract(self, batch: np.ndarray):
        import tensorflow as tf

        features, *logits = self._network(batch if self.precision == "bfloat16" else tf.constant(batch))
        return features, logits[0] if logits else None


def as_images(argument: str, value: object) -> np.ndarray:
    """Return `value` as a uint8 array of shape `(N, H, W, C)` with C = 1 or 3, or raise `UsageError`.

    Example:
        >>> as_images("images", np.zeros((2, 28, 28, 1), "uint8")).shape
        (2, 28, 28, 1)
    """
    images = np.asarray(value)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape[1:]:
        shape = ", ".join(map(str, images.shape))
        raise UsageError(
            f"{argument} must be uint8 images of shape (N, H, W, 1 or 3), received: {images.dtype} of shape ({shape})"
        )
    return images


@contextlib.contextmanager
def preserved_keras_state() -> Iterator[None]:
    """Build a network in float32 for channels last, and restore Keras' settings and Python's random state afterwards.

    Keras draws initializer seeds from Python's global random state, although the weights are replaced here.
    """
    from keras_gen.utils import backend  # first: Keras must run on TensorFlow
    import keras

    random_state, policy = random.getstate(), keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        with backend.channels_last():
            yield
    finally:
        keras.config.set_dtype_policy(policy)
        random.setstate(random_state)
