"""Feature extractors: from uint8 images to the vectors that metrics compare; and where their weights come from.

An extractor is a callable `(images, batch_size=...) -> features` with a `name`, which every score it makes carries.
TensorFlow is imported when an extractor is built.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import socket
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_gen import checks
from keras_gen.errors import DataUnavailableError, UsageError, must_be
from keras_gen.probing import why_unreachable

# As keras.applications has them (keras/src/applications/inception_v3.py), which does not export them.
INCEPTION_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
INCEPTION_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/{INCEPTION_FILE}"
INCEPTION_MD5 = "bcbd6486424b2319ff4ef7d526e38f63"

_PROBE_SECONDS = 10.0
_STALL_SECONDS = 30.0


class InceptionV3Features:
    """The 2048 pooled features of `keras.applications.InceptionV3`, trained on ImageNet.

    Grey images are repeated to 3 channels; images are resized to 299 x 299 (`tf.image.resize`, bilinear, with
    `antialias=True`, which matters only where it shrinks), scaled by x / 127.5 − 1 and sent through the network in
    inference mode, without its last layer; features are the average over the last 8 x 8 positions.

    This is not the network of 2015 that published FIDs use: its weights, its pooling, its scaling and its resizing
    differ. Scores compare with scores of this extractor only, so always give `name` with them.

    Building it loads the weights and leaves Python's random state and Keras' dtype policy as they were.

    Args:
        weights: path of the weights file, or None to look for it where Keras keeps it (`find_inception_weights`).
            Both the file that keras.applications publishes and a `.weights.h5` of the same network are read.

    Raises:
        UsageError: `weights` is no readable weights file of this network.
        DataUnavailableError: `weights` is None and Keras' cache does not have them. Nothing is downloaded here.

    Example:
        >>> features = InceptionV3Features(download_inception_weights())
        >>> features(np.zeros((2, 28, 28, 1), "uint8")).shape
        (2, 2048)
    """

    name = "inception-v3 (keras.applications, ImageNet)"
    dimensions = 2048

    def __init__(self, weights: str | os.PathLike | None = None) -> None:
        path = find_inception_weights(weights)
        if path is None:
            raise DataUnavailableError(f"the weights of inception-v3 are not in {_keras_home()}: {_how_to_get_them()}")
        import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
        import keras
        import tensorflow as tf

        with _surroundings_untouched():
            network = keras.applications.InceptionV3(
                weights=None, include_top=False, pooling="avg", input_shape=(299, 299, 3)
            )
            try:
                with warnings.catch_warnings():
                    # Keras warns, and goes on, about layers that a file does not have.
                    warnings.simplefilter("error", UserWarning)
                    network.load_weights(path)
            except (OSError, ValueError, KeyError, TypeError, UserWarning) as error:
                raise _no_weights_file(path) from error
        network.trainable = False

        def extract(images):
            images = tf.image.resize(images, (299, 299), method="bilinear", antialias=True)
            return network(images / 127.5 - 1.0, training=False)

        # One trace for all sizes of images and batches. predict() took about twice as long.
        self._extract = tf.function(extract, input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])

    def __call__(self, images: np.ndarray, batch_size: int = 32) -> np.ndarray:
        """The features of `images`.

        Args:
            images: uint8, shape `(N, H, W, 1)` or `(N, H, W, 3)`, values 0 to 255.
            batch_size: images sent through the network at once; it bounds memory and does not change the features
                beyond rounding.

        Returns:
            float32 of shape `(N, 2048)`, all at least 0.

        Raises:
            UsageError: images of another type or shape.
        """
        images = as_images("images", images)
        batch_size = checks.positive_int("batch_size", batch_size)
        features = np.empty((len(images), self.dimensions), np.float32)
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            if batch.shape[-1] == 1:
                batch = np.repeat(batch, 3, axis=-1)
            features[start : start + batch_size] = self._extract(batch)
        return features


def inception_if_available(
    weights: str | os.PathLike | None = None, *, download: bool = False
) -> InceptionV3Features | None:
    """The extractor if its weights are to be had; otherwise one printed line says how to get them, and None.

    Args:
        weights: path of the weights file; None looks where Keras keeps its downloads.
        download: whether to download them if they are not there.

    Raises:
        UsageError: `weights` is given and is no such file.
    """
    try:
        path = find_inception_weights(weights)
        if path is None and download:
            path = download_inception_weights()
        return InceptionV3Features(path)
    except DataUnavailableError as error:
        print(f"NOTE: no FID: {error}", flush=True)
        return None


def as_images(argument: str, value: object) -> np.ndarray:
    """`value` as a NumPy array of images, uint8 of shape `(N, H, W, C)` with 1 or 3 channels; else `UsageError`."""
    images = np.asarray(value)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape[1:]:
        shape = ", ".join(map(str, images.shape))
        raise UsageError(
            f"{argument} must be uint8 images of shape (N, H, W, 1 or 3), received: {images.dtype} of shape ({shape})"
        )
    return images


def find_inception_weights(path: str | os.PathLike | None = None) -> Path | None:
    """Where the weights of `InceptionV3Features` lie on this machine. Neither the network nor Keras is used.

    Args:
        path: a file to take instead of the one in Keras' cache.

    Returns:
        `path` if it was given; else the file in Keras' cache (`models` in `$KERAS_HOME`, by default `~/.keras`, or
        in `.keras` of the folder for temporary files, where Keras turns if it can't write there); else None.

    Raises:
        UsageError: `path` is not an HDF5 file (`.h5` or `.hdf5`) that can be read. Whether its content fits the
            network shows when the extractor is built.

    Example:
        >>> if find_inception_weights() is None:
        ...     download_inception_weights()
    """
    if path is not None:
        path = Path(path)
        if not path.is_file() or not path.name.endswith((".h5", ".hdf5")) or not _is_hdf5(path):
            raise _no_weights_file(path)
        return path
    for home in (_keras_home(), Path(tempfile.gettempdir(), ".keras")):
        if (file := home / "models" / INCEPTION_FILE).is_file():
            return file
    return None


def download_inception_weights() -> Path:
    """Have the published weights in Keras' cache, and download them (about 88 MB) if they are not there yet.

    A file that is there and has the right checksum is returned without using the network. Whether the server
    answers is found out first, in 10 seconds at most; the file appears in the cache when it is complete and its
    checksum is right.

    Returns:
        The path of the file, for `InceptionV3Features`.

    Raises:
        DataUnavailableError: the server does not answer, or the download fails.
        UsageError: Keras' cache can't be written.

    Example:
        >>> download_inception_weights().name
        'inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5'
    """
    present = find_inception_weights()
    if present is not None and hashlib.md5(present.read_bytes(), usedforsecurity=False).hexdigest() == INCEPTION_MD5:
        return present
    if reason := why_unreachable(INCEPTION_URL, _PROBE_SECONDS):
        raise DataUnavailableError(f"the weights of inception-v3 can't be downloaded ({reason}): {_how_to_get_them()}")
    import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
    import keras

    folder = _keras_home() / "models"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(dir=folder, prefix=".download.")
    except OSError as error:
        raise UsageError(f"KERAS_HOME can't be written: {folder} ({error.strerror})") from error
    with scratch, _socket_timeout(_STALL_SECONDS):
        try:
            file = keras.utils.get_file(
                INCEPTION_FILE, INCEPTION_URL, cache_dir=scratch.name, cache_subdir="", file_hash=INCEPTION_MD5
            )
        except Exception as error:  # get_file raises bare Exception when the transfer fails
            message = f"the download of the weights of inception-v3 failed ({_one_line(error)}): {_how_to_get_them()}"
            raise DataUnavailableError(message) from error
        os.replace(file, folder / INCEPTION_FILE)
    return folder / INCEPTION_FILE


def _is_hdf5(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(8) == b"\x89HDF\r\n\x1a\n"
    except OSError:
        return False


def _keras_home() -> Path:
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()


def _how_to_get_them() -> str:
    return (
        "--fid-every N (run.py) or --fid-images N (evaluate.py) downloads them; without a network, "
        f"get {INCEPTION_URL} on a machine that can, and give its path here with --inception-weights PATH"
    )


def _no_weights_file(path: Path) -> UsageError:
    requirement = "a readable weights file of keras.applications.InceptionV3 without its top"
    return must_be("inception weights", f"{requirement} ({INCEPTION_FILE})", str(path))


def _one_line(error: object) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """A download that stalls ends: get_file has no timeout of its own, and takes the default of new sockets."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextlib.contextmanager
def _surroundings_untouched() -> Iterator[None]:
    """Build a network in float32 without a trace in what is built after it.

    Keras draws the seeds of initializers from Python's global random state, although the weights are replaced here.
    """
    import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
    import keras

    random_state, policy = random.getstate(), keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
        random.setstate(random_state)
