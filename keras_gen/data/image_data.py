"""Containers for loaded data: three splits of uint8 images, and their fingerprint."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from keras_gen.data import preprocessing, storage
from keras_gen.utils.checks import DYNAMIC

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Images and, if the source has them, their labels.

    Args:
        images: uint8, shape `(N, height, width, channels)`, 0 to 255; in memory, or mapped to a file on disk.
        labels: int64, shape `(N,)`, or `None`.
    """

    images: np.ndarray
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: np.ndarray) -> Split:
        """Return a copy of the images at `indices` (int64, shape `(n,)`), in that order, in memory or on disk."""
        return Split(storage.take(self.images, indices), None if self.labels is None else self.labels[indices])


@dataclass(frozen=True)
class RawData:
    """Data as read from a source, before validation is split off and images are prepared."""

    source: str
    origin: str
    train: Split
    validation: Split | None
    test: Split | None
    notes: tuple[str, ...] = ()
    crop: int | None = None
    bits: int | None = None
    class_names: tuple[str, ...] | None = None
    resized_to: int | None = None
    """Side of the images if the source had to choose it, since they are not squares of one size."""


@dataclass(frozen=True)
class ImageData:
    """A prepared data set. Its arrays are read-only, so that `fingerprint` stays valid.

    Args:
        name: str, the name it was loaded by; for a file or a folder, the last part of its path without the suffix.
        source: str, "embedded", "npz", "folder", "tfds", "registered" or "arrays".
        origin: str, the file, folder or package that it was read from.
        train, validation, test: disjoint `Split`s of one `image_shape`; `validation` may be empty.
        image_shape: `(height, width, channels)`.
        fingerprint: str, SHA-256, in hexadecimal, of shapes, dtypes and bytes of all splits after preparation.
        options: dict, the arguments of `load` that shaped the data, ready for JSON.
        notes: list of str, decisions made by default, such as the size of the images in a folder.
        crop: int, side of the central square that was cut out of each picture (celeb_a: 108), or `None`.
        class_names: tuple of str, the name of each label from 0; `None` if unknown.

    Example:
        >>> data = load("digits")
        >>> data.train.images.shape, data.image_shape
        ((1375, 28, 28, 1), (28, 28, 1))
    """

    name: str
    source: str
    origin: str
    train: Split
    validation: Split
    test: Split
    image_shape: tuple[int, int, int]
    fingerprint: str
    options: Mapping[str, object]
    notes: list[str]
    crop: int | None = None
    class_names: tuple[str, ...] | None = None

    @property
    def place(self) -> str:
        """The absolute path of the file or folder, else the name."""
        return os.path.abspath(self.origin) if self.source in ("npz", "folder") else self.name

    @property
    def num_classes(self) -> int:
        """Number of classes: 1 + the largest label of all splits; 0 if labels to train on are missing or negative.

        Example:
            >>> data.num_classes
            10
        """
        labels = [split.labels for split in (self.train, self.validation) if len(split)]
        if self.test.labels is not None:  # if not, a conditional model can be trained all the same
            labels.append(self.test.labels)
        if any(array is None or array.min() < 0 for array in labels):
            return 0
        return 1 + max(int(array.max()) for array in labels)

    @property
    def is_dynamic(self) -> bool:
        """Whether images are binarized anew in each epoch."""
        return self.options.get("binarize") == DYNAMIC

    def evaluated(self, role: str) -> Split:
        """Return the split `role` as losses are computed on it: binarized once if the data are binarized dynamically.

        Example:
            >>> dynamic = load("digits", binarize="dynamic")
            >>> len(np.unique(dynamic.test.images)) > 2, np.unique(dynamic.evaluated("test").images).tolist()
            (True, [0, 255])
        """
        split = getattr(self, role)
        if not self.is_dynamic:
            return split
        generator = np.random.default_rng([self.options.get("binarize_seed", 0), SPLITS.index(role)])
        return replace(split, images=preprocessing.binarize(split.images, "stochastic", generator))

    def description(self) -> dict:
        """Return everything except the arrays as a dictionary for `json.dumps`. Runs record it."""
        return {
            "name": self.name,
            "source": self.source,
            "origin": self.origin,
            "counts": {role: len(getattr(self, role)) for role in SPLITS},
            "image_shape": list(self.image_shape),
            "crop": self.crop,
            "class_names": self.class_names and list(self.class_names),
            **self.options,
            "notes": list(self.notes),
            "fingerprint": self.fingerprint,
        }


def fingerprint(*splits: Split) -> str:
    """Return the SHA-256, in hexadecimal, of shapes, dtypes and bytes of `splits` in the order given."""
    digest = hashlib.sha256()
    for split in splits:
        for array in (split.images, split.labels):
            if array is None:
                digest.update(b"none;")
            else:
                digest.update(f"{array.dtype.str}{array.shape};".encode())
                for chunk in storage.slices(array.shape):
                    digest.update(np.ascontiguousarray(array[chunk]))
    return digest.hexdigest()


def listed(names: Iterable[object]) -> str:
    """Return the first ten names, for a message."""
    names = [str(name) for name in names]
    return ", ".join(names[:10] + ["…"] * (len(names) > 10))
