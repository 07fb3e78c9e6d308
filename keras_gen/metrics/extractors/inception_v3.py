"""InceptionV3 of keras.applications."""

from __future__ import annotations

import warnings
from pathlib import Path

from keras_gen.metrics.extractors import weight_files
from keras_gen.metrics.extractors.base import DownloadedExtractor, preserved_keras_state
from keras_gen.utils.errors import UsageError, must_be

_HDF5 = b"\x89HDF\r\n\x1a\n"


class InceptionV3(DownloadedExtractor):
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
        download, precision: as in `DownloadedExtractor`, with the same errors.

    Example:
        >>> extractor = InceptionV3(download=True)  # doctest: +SKIP
        >>> extractor(np.zeros((2, 28, 28, 1), "uint8")).features.shape  # doctest: +SKIP
        (2, 2048)
    """

    source = weight_files.INCEPTION_V3
    name = "inception-v3"
    dimensions = 2048
    resize = "bilinear to 299 x 299, antialiased (tf.image.resize)"

    def _load(self, path: Path):
        if not path.name.endswith((".h5", ".hdf5")) or not _is_hdf5(path):  # Keras chooses the format by the name
            raise _wrong_weights(path)
        return _load_network(path), weight_files.digest(path)


def _load_network(path: Path):
    import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
    import keras
    import tensorflow as tf

    with preserved_keras_state():
        shape = (299, 299, 3)
        network = keras.applications.InceptionV3(weights=None, include_top=False, pooling="avg", input_shape=shape)
        try:
            with warnings.catch_warnings(action="error", category=UserWarning):  # Keras only warns of missing layers
                network.load_weights(path)
        except (OSError, ValueError, KeyError, TypeError, UserWarning) as error:
            raise _wrong_weights(path) from error
    network.trainable = False

    def extract(images):
        images = tf.image.resize(images, (299, 299), method="bilinear", antialias=True)
        return [network(images / 127.5 - 1.0, training=False)]

    # On two idle cores this processes 1.25 times the images per second of predict(); weights as constants, 1.4 times.
    return tf.function(extract, autograph=False).get_concrete_function(tf.TensorSpec((None, None, None, 3), tf.uint8))


def _is_hdf5(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def _wrong_weights(path: Path) -> UsageError:
    requirement = "a readable weights file of keras.applications.InceptionV3 without its top"
    return must_be("weights", f"{requirement} ({weight_files.INCEPTION_V3.files[0]})", str(path))
