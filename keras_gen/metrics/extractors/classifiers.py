"""The small classifiers that ship with the package: features of digits and of small photographs, with no download."""

from __future__ import annotations

import hashlib
import importlib.resources
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np

from keras_gen.metrics.extractors import classifier_networks
from keras_gen.metrics.extractors.base import Extractor, surroundings_untouched
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError


@dataclass(frozen=True)
class ClassifierSpec:
    """What a shipped classifier takes: images of `channels` channels, brought to `size` x `size`, and what for."""

    channels: int
    size: int
    build: Callable
    takes: str
    classes_of: tuple[str, ...]


KINDS = {
    "lenet": ClassifierSpec(
        channels=1,
        size=28,
        build=classifier_networks.lenet,
        takes="gray images (n, H, W, 1)",
        classes_of=("mnist", "digits"),
    ),
    "cifar": ClassifierSpec(
        channels=3,
        size=32,
        build=classifier_networks.cifar_resnet,
        takes="color images (n, H, W, 3)",
        classes_of=("cifar10",),
    ),
}


class ShippedClassifier(Extractor):
    """The last hidden layer, and the logits, of a small classifier whose weights come with the package.

    `lenet` was trained on handwritten digits and takes gray images, brought to 28 x 28; `cifar` was trained on CIFAR-10
    and takes color images, brought to 32 x 32. Other images are refused: no score rather than a wrong one. Their
    scores compare with scores of the same extractor only, and never with published FIDs.

    Building it leaves Python's random state and Keras' dtype policy as they were.

    Args:
        name: `lenet` or `cifar`.
        folder: with `NAME.npz`, the arrays `0`, `1`, … of `network.get_weights()`, and `NAME.json`, whose `sha256` is
            that of the former; None for the package's own.
        kind: what it takes and how its network is built; None for what `KINDS` has.

    Raises:
        UsageError: `name` is neither, or a file is missing, damaged, or not of this network.

    Example:
        >>> lenet = ShippedClassifier("lenet")
        >>> features, logits = lenet(np.zeros((2, 28, 28, 1), "uint8"))
        >>> features.shape, logits.shape
        ((2, 128), (2, 10))
    """

    def __init__(
        self, name: str, *, folder: Path | Traversable | None = None, kind: ClassifierSpec | None = None
    ) -> None:
        self.name = checks.one_of("name", name, KINDS)
        self._kind = kind or KINDS[name]
        self.classes_of = self._kind.classes_of
        self.resize = f"bilinear to {self._kind.size} x {self._kind.size}, antialiased (tf.image.resize)"
        arrays, self.sha256 = _read(folder or shipped_folder(), name)
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


def shipped_folder() -> Traversable:
    """Where the package keeps the weights of its own classifiers."""
    return importlib.resources.files("keras_gen.metrics.extractors") / "shipped"


def is_shipped(name: str) -> bool:
    """Whether the package has the weights of a classifier.

    Example:
        >>> is_shipped("lenet")
        True
    """
    return all((shipped_folder() / f"{name}.{suffix}").is_file() for suffix in ("npz", "json"))


def _read(folder: Path | Traversable, name: str) -> tuple[list[np.ndarray], str]:
    """Arrays in order, and the SHA-256 of their file."""
    file = folder / f"{name}.npz"
    try:
        content = file.read_bytes()
        expected = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"the weights of {name} are missing or damaged: {file}; install keras_gen anew") from error
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise UsageError(
            f"the weights of {name} are damaged: SHA-256 of {file} is {found}, expected {expected}; "
            "install keras_gen anew"
        )
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return [archive[str(index)].astype(np.float32) for index in range(len(archive.files))], found
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise _no_weights(name, file) from error


def _build(name: str, kind: ClassifierSpec, arrays: list[np.ndarray]):
    with surroundings_untouched():
        network = kind.build()
        try:
            network.set_weights(arrays)
        except ValueError as error:
            raise _no_weights(name, f"{name}.npz") from error
    network.trainable = False
    return network


def _as_function(network, kind: ClassifierSpec):
    """From uint8 images of any size to features and logits; one trace for all sizes."""
    import tensorflow as tf

    def extract(images):
        # Without effect, to the bit, on images that have the size.
        images = tf.image.resize(images, (kind.size, kind.size), method="bilinear", antialias=True)
        return network(images / 255.0, training=False)

    return tf.function(extract, input_signature=[tf.TensorSpec((None, None, None, kind.channels), tf.uint8)])


def _no_weights(name: str, file: object) -> UsageError:
    return UsageError(f"the weights of {name} are not of its network: {file}; install keras_gen anew")
