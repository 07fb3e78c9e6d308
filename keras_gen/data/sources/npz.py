"""Read image arrays, from an `.npz` file or given in memory, in the layout of Keras' `mnist.npz`."""

from __future__ import annotations

from collections.abc import Mapping
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
    return from_arrays(arrays, "npz", str(path))


def from_arrays(arrays: Mapping[str, np.ndarray], source: str, origin: str) -> RawData:
    """Return the splits in arrays as an `.npz` file has them: `x_train` and, optionally, `y_train`, `x_test`, `y_test`.

    Args:
        arrays: mapping, the arrays by name.
        source, origin: str, what the data set records about where it is from; `origin` begins error messages.

    Raises:
        UsageError: the arrays are not as documented in `keras_gen.data.load`.
    """
    if "x_train" not in arrays:
        raise UsageError(f"{origin} must hold an array x_train")
    if unknown := sorted(arrays.keys() - set(_NAMES)):
        raise UsageError(f"{origin} must hold arrays named {', '.join(_NAMES)}, received: {unknown[0]!r}")
    if source != "npz":
        arrays = {name: np.array(array) for name, array in arrays.items()}  # a copy: the data set will be read-only
    train = _split(origin, arrays, "train")
    test = _split(origin, arrays, "test") if "x_test" in arrays else None
    if test is not None and test.images.shape[1:] != train.images.shape[1:]:
        shapes = f"{train.images.shape[1:]} and {test.images.shape[1:]}"
        raise UsageError(f"{origin}: x_train and x_test must hold images of one shape, received: {shapes}")
    return RawData(source, origin, train, None, test)


def _split(origin: str, arrays: Mapping[str, np.ndarray], role: str) -> Split:
    images = arrays[f"x_{role}"]
    where = f"{origin}: x_{role}"
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
    return Split(images, _labels(origin, arrays.get(f"y_{role}"), role, len(images)))


def _labels(origin: str, labels: np.ndarray | None, role: str, count: int) -> np.ndarray | None:
    if labels is None:
        return None
    if labels.dtype.kind not in "iu":
        raise UsageError(f"{origin}: y_{role} must be integers, received: {labels.dtype}")
    if labels.shape not in ((count,), (count, 1)):  # Keras' CIFAR labels have a second axis
        raise UsageError(f"{origin}: y_{role} must be {count} labels, one for each image, received: {labels.shape}")
    return labels.reshape(count).astype(np.int64)
