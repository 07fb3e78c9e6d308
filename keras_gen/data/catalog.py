"""The catalog of named data sets: their prepared shape and where they come from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_gen.utils import functions
from keras_gen.utils.errors import UsageError, must_be, suggestion

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class DatasetSpec:
    """One named data set.

    Args:
        name: str, the name that `keras_gen.data.load` takes.
        image_shape: `(height, width, channels)` as prepared without `image_size` and `channels`.
        about: str, one line on content, cropping, size and terms of use; part of the error if it is unavailable.
        tfds_name: str, name in tensorflow-datasets; `None` for an embedded data set.
        train_split, validation_split, test_split: str, splits in tensorflow-datasets; without one, validation images
            are taken out of `train`.
        probe_url: str, URL whose host must answer before a download starts.
        crop: int, side of the central square that is cut out of tensorflow-datasets' pictures before they are resized;
            `None` for the largest one.
        max_batch_size: int, largest batch size that is a default: of few images, large batches make few updates. `None`
            for no limit.
        function: callable, returns the arrays of a registered data set; see `register`.
    """

    name: str
    image_shape: tuple[int, int, int]
    about: str
    tfds_name: str | None = None
    train_split: str = "train"
    validation_split: str | None = None
    test_split: str = "test"
    probe_url: str | None = None
    crop: int | None = None
    max_batch_size: int | None = None
    function: Callable[[], Mapping[str, np.ndarray]] | None = None


_ENTRIES = (
    DatasetSpec(
        name="digits",
        image_shape=(28, 28, 1),
        about="1,797 handwritten digits (UCI, CC BY 4.0), 8x8 enlarged; comes with scikit-learn, no download",
        max_batch_size=64,
    ),
    DatasetSpec(
        name="mnist",
        image_shape=(28, 28, 1),
        about="70,000 handwritten digits, 11 MB download (CC BY-SA 3.0)",
        tfds_name="mnist",
        probe_url="https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz",
    ),
    DatasetSpec(
        name="fashion_mnist",
        image_shape=(28, 28, 1),
        about="70,000 pieces of clothing, 30 MB download (MIT)",
        tfds_name="fashion_mnist",
        probe_url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
    ),
    DatasetSpec(
        name="cifar10",
        image_shape=(32, 32, 3),
        about="60,000 photographs of 10 kinds of objects, 162 MB download (no license stated)",
        tfds_name="cifar10",
        probe_url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    ),
    DatasetSpec(
        name="celeb_a",
        image_shape=(64, 64, 3),
        about="202,599 faces, the central 108x108 of each 178x218 picture, "
        "1.4 GB download, 2.5 GB of memory at 64x64 (non-commercial research only)",
        tfds_name="celeb_a",
        validation_split="validation",
        probe_url="https://drive.google.com/",
        crop=108,  # the face without most of the hair and background; the report's recipe trains on it
    ),
    DatasetSpec(
        name="imagenette",
        image_shape=(64, 64, 3),
        about="13,394 photographs of 10 ImageNet classes, 160 pixels on the shorter side, the largest central square "
        "of each, 95 MB download (ImageNet's terms: non-commercial research)",
        tfds_name="imagenette/160px-v2",
        test_split="validation",  # there is no third split, and papers report on this one
        probe_url="https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
    ),
)
_BY_NAME = {entry.name: entry for entry in _ENTRIES}


def names() -> tuple[str, ...]:
    """Return the names of the data sets that `keras_gen.data.load` knows."""
    return tuple(_BY_NAME)


def register(
    name: str, function: Callable[[], Mapping[str, np.ndarray]], image_shape: tuple[int, int, int], *, about: str = ""
) -> None:
    """Make a data set of your own available by name, to `load`, to recipes and to run.py, until the process ends.

    Args:
        name: str, a new name of letters, digits, hyphens and underscores; a notebook's cell can be run again.
        function: callable without arguments that returns a mapping of NumPy arrays as in an `.npz` file, see `load`:
            `x_train` and, optionally, `y_train`, `x_test` and others. It is called at each load.
        image_shape: tuple of int, `(height, width, channels)` of the images.
        about: str, one line on the data set. Defaults to none.

    Raises:
        UsageError: the name is taken.

    Example:
        >>> keras_gen.data.register("noise", lambda: {"x_train": np.zeros((99, 8, 8), np.uint8)}, (8, 8, 1))
        >>> keras_gen.data.load("noise").image_shape
        (8, 8, 1)
    """
    if not callable(function):
        raise must_be("function", "a function without arguments", type(function).__name__)
    present = find(name) and find(name).function
    is_taken = name in names() and not (present and functions.is_again(present, function))
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name) or is_taken:
        raise must_be("name", "a word that is not yet a data set's name", name)
    if not isinstance(image_shape, tuple) or len(image_shape) != 3 or not all(type(n) is int for n in image_shape):
        raise must_be("image_shape", "a tuple of three integers, (height, width, channels)", image_shape)
    _BY_NAME[name] = DatasetSpec(name=name, image_shape=image_shape, about=about, function=function)


def find(name: object) -> DatasetSpec | None:
    """Return the entry called `name`, or `None`."""
    return _BY_NAME.get(name) if isinstance(name, str) else None


def image_shape(name: str) -> tuple[int, int, int]:
    """Return `(height, width, channels)` of a named data set as `load` prepares it by default.

    Raises:
        UsageError: no data set has this name.

    Example:
        >>> image_shape("cifar10")
        (32, 32, 3)
    """
    entry = find(name)
    if entry is None:
        raise unknown("name", name)
    return entry.image_shape


def unknown(argument: str, name: object, others: str = "") -> UsageError:
    """Return the error that no data set has this name, with the one that is meant if it looks like a mistyped name."""
    error = must_be(argument, f"one of {', '.join(_BY_NAME)}{others}", name)
    return UsageError(f"{error}{suggestion(str(name).lower(), _BY_NAME)}")
