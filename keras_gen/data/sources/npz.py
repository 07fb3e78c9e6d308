"""Read image arrays from an `.npz` file, in the layout of Keras' `mnist.npz`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_gen.data.image_data import RawData, Split
from keras_gen.utils import archives, progress
from keras_gen.utils.errors import UsageError

_NAMES = ("x_train", "y_train", "x_test", "y_test")


def read(path: Path) -> RawData:
    """Return the splits in `path`, without unpickling.

    Raises:
        UsageError: the file is damaged, or its arrays are not as documented in `keras_gen.data.load`.
    """
    with progress.timer(f"reading {path.name}"):
        arrays = archives.read(path, _NAMES)
    if "x_train" not in arrays:
        raise UsageError(f"{path} must hold an array x_train")
    train = _split(path, arrays, "train")
    test = _split(path, arrays, "test") if "x_test" in arrays else None
    if test is not None and test.images.shape[1:] != train.images.shape[1:]:
        shapes = f"{train.images.shape[1:]} and {test.images.shape[1:]}"
        raise UsageError(f"{path}: x_train and x_test must hold images of one shape, received: {shapes}")
    return RawData("npz", str(path), train, None, test)


def _split(path: Path, arrays: dict[str, np.ndarray], role: str) -> Split:
    images = arrays[f"x_{role}"]
    where = f"{path}: x_{role}"
    if images.dtype != np.uint8:
        raise UsageError(f"{where} must be uint8, 0 to 255, received: {images.dtype}")
    if images.ndim not in (3, 4):
        raise UsageError(f"{where} must have shape (N, H, W) or (N, H, W, C), received: {images.shape}")
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.shape[-1] not in (1, 3):
        raise UsageError(f"{where} must have 1 or 3 channels, received: {images.shape}")
    if images.size == 0:
        raise UsageError(f"{where} must hold at least 1 image, received: shape {images.shape}")
    return Split(images, _labels(path, arrays.get(f"y_{role}"), role, len(images)))


def _labels(path: Path, labels: np.ndarray | None, role: str, count: int) -> np.ndarray | None:
    if labels is None:
        return None
    if labels.dtype.kind not in "iu":
        raise UsageError(f"{path}: y_{role} must be integers, received: {labels.dtype}")
    if labels.shape not in ((count,), (count, 1)):  # Keras' CIFAR labels have a second axis
        raise UsageError(f"{path}: y_{role} must be {count} labels, one for each image, received: {labels.shape}")
    return labels.reshape(count).astype(np.int64)
