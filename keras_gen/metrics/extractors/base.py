"""What every feature extractor is: from uint8 images to the vectors, and class scores, that metrics compare."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from keras_gen.utils import checks, progress
from keras_gen.utils.errors import UsageError


class Features(NamedTuple):
    """What an extractor says of n images.

    Args:
        features: float32 of shape `(n, D)`.
        logits: float32 of shape `(n, K)`, unnormalized log-probabilities of K classes; None if there are none.
    """

    features: np.ndarray
    logits: np.ndarray | None = None


class Extractor:
    """Base of the feature extractors: checks, batches and records; a subclass writes `_extract`.

    Attributes:
        name: one of `keras_gen.metrics.extractors.NAMES`; every score it makes carries it.
        sha256: of its weights, in hexadecimal: scores compare only if it is the same.
        dimensions: D, the length of a feature vector.
        num_classes: K, the length of a vector of logits; 0 if it gives none.
        classes_of: names of the data sets whose classes its logits are.
        resize: how images are brought to the size that the network takes, in one line.
        precision: of the network's arithmetic.
    """

    name: str
    sha256: str
    dimensions: int
    num_classes: int = 0
    classes_of: tuple[str, ...] = ()
    resize: str
    precision: str = "float32"

    def description(self) -> dict[str, object]:
        """What a record of a score has to say of its extractor."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "dimensions": self.dimensions,
            "num_classes": self.num_classes,
            "resize": self.resize,
            "precision": self.precision,
        }

    def __call__(self, images: np.ndarray, batch_size: int = 64, step: progress.Task | None = None) -> Features:
        """The features and logits of `images`. The result is held in memory as a whole: give many images in chunks.

        Args:
            images: uint8, shape `(n, H, W, 1)` or `(n, H, W, 3)`, values 0 to 255.
            batch_size: images sent through the network at once; it bounds memory and does not change the result
                beyond rounding.
            step: what is told how many images are done; None for one of its own.

        Raises:
            UsageError: images of another type or shape, or the network gives values that are not finite.
        """
        images = self._accepted(as_images("images", images))
        batch_size = checks.positive_int("batch_size", batch_size)
        features = np.empty((len(images), self.dimensions), np.float32)
        logits = np.empty((len(images), self.num_classes), np.float32) if self.num_classes else None
        own = progress.task(f"features by {self.name}", len(images)) if step is None else contextlib.nullcontext(step)
        with own as told:
            for start in range(0, len(images), batch_size):
                place = slice(start, start + batch_size)
                batch_features, batch_logits = self._extract(self._channels(images[place]))
                features[place] = self._finite("features", batch_features)
                if logits is not None:
                    logits[place] = self._finite("logits", batch_logits)
                told.advance(len(batch_features))
        return Features(features, logits)

    def _extract(self, batch: np.ndarray):
        """Features and logits (or None) of uint8 images as `_channels` gives them, as tensors or arrays."""
        raise NotImplementedError

    def _accepted(self, images: np.ndarray) -> np.ndarray:
        """`images`, or `UsageError` if they are none that this extractor was made for."""
        return images

    def _channels(self, batch: np.ndarray) -> np.ndarray:
        """`batch` with the number of channels that the network takes: three, of which a gray image has equal ones."""
        return np.repeat(batch, 3, axis=-1) if batch.shape[-1] == 1 else batch

    def _finite(self, what: str, values) -> np.ndarray:
        values = np.asarray(values)
        if not np.isfinite(values).all():
            bad = np.count_nonzero(~np.isfinite(values).all(axis=1))
            raise UsageError(
                f"extractor {self.name} gives {what} that are not finite for {bad} of {len(values)} images"
            )
        return values


def as_images(argument: str, value: object) -> np.ndarray:
    """`value` as a NumPy array of images, uint8 of shape `(N, H, W, C)` with 1 or 3 channels; else `UsageError`.

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
def surroundings_untouched() -> Iterator[None]:
    """Build a network in float32 without a trace in what is built after it.

    Keras draws the seeds of initializers from Python's global random state, although the weights are replaced here.
    """
    import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
    import keras

    random_state, policy = random.getstate(), keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        random.setstate(random_state)
