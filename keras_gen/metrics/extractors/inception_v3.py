"""InceptionV3 of keras.applications."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np

from keras_gen.metrics.extractors import weight_files
from keras_gen.metrics.extractors.base import Extractor, preserved_keras_state
from keras_gen.metrics.extractors.bfloat16 import check_precision, in_bfloat16
from keras_gen.utils.errors import UsageError, must_be

_HDF5 = b"\x89HDF\r\n\x1a\n"


class InceptionV3(Extractor):
    """Extractor with `keras.applications.InceptionV3`, trained on ImageNet: 2048 pooled features, no logits.

    Gray images are repeated to 3 channels. Images are resized to 299 x 299 (`tf.image.resize`, bilinear, with
    `antialias=True`, which matters only for larger images), scaled by x / 127.5 − 1 and passed through the network
    without its last layer, in inference mode. Features are the average over the last 8 x 8 positions.

    This is not the network of 2015 that published FIDs use (`Inception2015`): weights, pooling, scaling and resizing
    differ. Scores are comparable only with scores of this extractor.

    Construction preserves Python's random state and Keras' dtype policy.

    Args:
        weights: path of the weights file: the one that keras.applications publishes or a `.weights.h5` of the same
            network. Defaults to the file in the folder where Keras keeps it.
        download: bool, download the file if it is missing; default False.
        precision: str, `float32` (the default) or `bfloat16` (see `in_bfloat16`): different, coarser features, faster.

    Raises:
        UsageError: if `weights` is no readable weights file of this network, or `precision` is unknown.
        DataUnavailableError: if the file is missing, and was not or can't be downloaded.

    Example:
        >>> extractor = InceptionV3(download=True)  # doctest: +SKIP
        >>> extractor(np.zeros((2, 28, 28, 1), "uint8")).features.shape  # doctest: +SKIP
        (2, 2048)
    """

    name = "inception-v3"
    dimensions = 2048
    resize = "bilinear to 299 x 299, antialiased (tf.image.resize)"

    def __init__(
        self, weights: str | os.PathLike | None = None, *, download: bool = False, precision: str = "float32"
    ) -> None:
        self.precision = check_precision(precision)
        path = weight_files.obtain(weight_files.INCEPTION_V3, weights, download=download)
        if not path.name.endswith((".h5", ".hdf5")) or not _is_hdf5(path):  # Keras chooses the format by the name
            raise _wrong_weights(path)
        self.sha256 = weight_files.sha256_of(path)
        self._network = _load(path)
        if self.precision == "bfloat16":
            self._network = in_bfloat16(self._network.get_concrete_function())

    def _extract(self, batch: np.ndarray):
        [features] = self._network(batch)
        return features, None


def _load(path: Path):
    """Return a function from uint8 images `(n, H, W, 3)` to a list of features, with one trace for all sizes."""
    import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
    import keras
    import tensorflow as tf

    with preserved_keras_state():
        network = keras.applications.InceptionV3(
            weights=None, include_top=False, pooling="avg", input_shape=(299, 299, 3)
        )
        try:
            with warnings.catch_warnings():
                # Keras only warns if layers are missing from a file.
                warnings.simplefilter("error", UserWarning)
                network.load_weights(path)
        except (OSError, ValueError, KeyError, TypeError, UserWarning) as error:
            raise _wrong_weights(path) from error
    network.trainable = False

    def extract(images):
        images = tf.image.resize(images, (299, 299), method="bilinear", antialias=True)
        return [network(images / 127.5 - 1.0, training=False)]

    # On two idle cores this processes 1.25 times the images per second of predict(); weights as constants, 1.4 times.
    return tf.function(extract, input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])


def _is_hdf5(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def _wrong_weights(path: Path) -> UsageError:
    requirement = "a readable weights file of keras.applications.InceptionV3 without its top"
    return must_be("weights", f"{requirement} ({weight_files.INCEPTION_V3.files[0]})", str(path))
