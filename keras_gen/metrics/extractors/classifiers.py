"""Extractors from the classifiers that ship with the package, for digits and small photographs. No download."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_gen.metrics.extractors import classifier_networks, weight_files
from keras_gen.metrics.extractors.base import Extractor, preserved_keras_state
from keras_gen.utils import archives, checks
from keras_gen.utils.errors import UsageError


@dataclass(frozen=True)
class ClassifierSpec:
    """Inputs, network and classes of a shipped classifier.

    Args:
        channels: int, channels of its input images.
        size: int, side that images are resized to.
        build: function without arguments that builds the network.
        takes: str, its input images in words, for error messages.
        classes_of: tuple of str, names of the data sets whose classes the logits stand for.
    """

    channels: int
    size: int
    build: Callable
    takes: str
    classes_of: tuple[str, ...]


KINDS = {
    "lenet": ClassifierSpec(1, 28, classifier_networks.lenet, "gray images (n, H, W, 1)", ("mnist", "digits")),
    "cifar": ClassifierSpec(3, 32, classifier_networks.cifar_resnet, "color images (n, H, W, 3)", ("cifar10",)),
}
SHIPPED_FOLDER = Path(__file__).parent / "shipped"


class ShippedClassifier(Extractor):
    """Extractor from a small classifier that ships with the package: its last hidden layer and its logits.

    `lenet` was trained on handwritten digits and takes gray images, resized to 28 x 28; `cifar` was trained on CIFAR-10
    and takes color images, resized to 32 x 32. Images with another number of channels are rejected. Scores are
    comparable only with scores of the same extractor, never with published FIDs.

    Construction preserves Python's random state and Keras' dtype policy.

    Args:
        name: str, `lenet` or `cifar`.
        folder: path of a folder with `NAME.npz`, the arrays `0`, `1`, … of `network.get_weights()`, and `NAME.json`,
            whose `sha256` is that of the former. Defaults to the package's own.
        kind: `ClassifierSpec`. Defaults to that of `KINDS`.

    Raises:
        UsageError: if `name` is unknown, or a file is missing, damaged, or not of this network.

    Example:
        >>> lenet = ShippedClassifier("lenet")
        >>> features, logits = lenet(np.zeros((2, 28, 28, 1), "uint8"))
        >>> features.shape, logits.shape
        ((2, 128), (2, 10))
    """

    def __init__(self, name: str, *, folder: Path = SHIPPED_FOLDER, kind: ClassifierSpec | None = None) -> None:
        self.name = checks.one_of("name", name, KINDS)
        self._kind = kind or KINDS[name]
        self.classes_of = self._kind.classes_of
        self.resize = f"bilinear to {self._kind.size} x {self._kind.size}, antialiased (tf.image.resize)"
        arrays, self.sha256 = _read(folder / f"{name}.npz")
        network = _build(name, self._kind, arrays)
        self.dimensions, self.num_classes = (output.shape[-1] for output in network.outputs)
        self._network = _as_function(network, self._kind)

    def _extract(self, batch: np.ndarray):
        return self._network(batch)

    def _accepted(self, images: np.ndarray) -> np.ndarray:
        if images.shape[-1] != self._kind.channels:
            shape = ", ".join(map(str, images.shape))
            raise UsageError(f"images must be {self._kind.takes} for extractor {self.name}, received: ({shape})")
        return images

    def _channels(self, batch: np.ndarray) -> np.ndarray:
        return batch


def _read(file: Path) -> tuple[list[np.ndarray], str]:
    """Return the arrays in order, and the SHA-256 of their file."""
    name = file.stem
    try:
        actual = weight_files.digest(file)
        expected = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"the weights of {name} are missing or damaged: {file}; reinstall keras_gen") from error
    if actual != expected:
        raise UsageError(
            f"the weights of {name} are damaged: SHA-256 of {file} is {actual}, expected {expected}; "
            "reinstall keras_gen"
        )
    try:
        arrays = archives.read(file)
        return [arrays[str(index)].astype(np.float32) for index in range(len(arrays))], actual
    except (UsageError, KeyError, ValueError) as error:
        raise _wrong_weights(name, file) from error


def _build(name: str, kind: ClassifierSpec, arrays: list[np.ndarray]):
    with preserved_keras_state():
        network = kind.build()
        try:
            network.set_weights(arrays)
        except ValueError as error:
            raise _wrong_weights(name, f"{name}.npz") from error
    network.trainable = False
    return network


def _as_function(network, kind: ClassifierSpec):
    """Return a function from uint8 images of any size to features and logits, with one trace for all sizes."""
    import tensorflow as tf

    def extract(images):
        # Images that already have this size are unchanged, bit for bit.
        images = tf.image.resize(images, (kind.size, kind.size), method="bilinear", antialias=True)
        return network(images / 255.0, training=False)

    return tf.function(
        extract, input_signature=[tf.TensorSpec((None, None, None, kind.channels), tf.uint8)], autograph=False
    )


def _wrong_weights(name: str, file: object) -> UsageError:
    return UsageError(f"the weights of {name} do not fit its network: {file}; reinstall keras_gen")
