"""Number the classes of a data set from 0 without gaps, and keep their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from keras_gen.data.image_data import SPLITS, ImageData, Split, fingerprint, listed
from keras_gen.utils.errors import must_be


def number_classes(
    splits: Sequence[Split], names: Sequence[object] | None, origin: str
) -> tuple[list[Split], tuple[str, ...] | None, list[str]]:
    """Return splits whose labels, integers or text, became 0 to n - 1, the names of the classes, and notes.

    `names` are those of integer labels from 0; `None` if unknown. `origin` is the source in error messages.

    Raises:
        UsageError: a label has no name.

    Example:
        >>> images = np.zeros((3, 8, 8, 1), np.uint8)
        >>> (split,), names, notes = number_classes([Split(images, np.array([7, 3, 7]))], None, "data")
        >>> split.labels.tolist(), names
        ([1, 0, 1], ('3', '7'))
    """
    labels = [split.labels for split in splits if split.labels is not None and len(split)]
    if not labels:
        return list(splits), None, []
    values = np.unique(np.concatenate(labels))
    class_names = None
    if values.dtype.kind != "U":
        if values[0] < 0:
            return list(splits), None, ["labels are not used as classes, since some are negative"]
        if names is not None and len(names) <= values[-1]:
            raise must_be(f"{origin}: class_names", f"names of the labels 0 to {values[-1]}", tuple(names))
        if names is not None:
            class_names = tuple(str(names[value]) for value in values)
        if len(values) == values[-1] + 1:
            return list(splits), class_names, []
    class_names = class_names or tuple(map(str, values))
    numbered = list(splits)
    for index, split in enumerate(splits):
        if split.labels is not None:
            numbered[index] = replace(split, labels=np.searchsorted(values, split.labels))
    return numbered, class_names, [f"the source's labels became classes 0 to {len(values) - 1}: {listed(class_names)}"]


def with_source_labels(data: ImageData) -> ImageData:
    """Return data whose class names are integer labels of the source with these as labels again, gaps included.

    Versions up to 0.3.0 trained with them.
    """
    values = np.array([int(name) for name in data.class_names], np.int64)
    splits = {role: getattr(data, role) for role in SPLITS}
    for role, split in splits.items():
        if split.labels is not None:
            splits[role] = replace(split, labels=values[split.labels])
    return replace(data, **splits, class_names=None, fingerprint=fingerprint(*splits.values()))
