"""Read image arrays, from an `.npz` file or given in memory, in the layout of Keras' `mnist.npz` or a similar one."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from keras_gen.data import preprocessing, splitting, storage
from keras_gen.data.image_data import SPLITS, RawData, Split, listed
from keras_gen.utils import archives, progress
from keras_gen.utils.errors import UsageError, must_be

_KINDS = {
    **dict.fromkeys(("x", "image", "images", "img", "imgs", "pictures", "data"), "x"),
    **dict.fromkeys(("y", "label", "labels", "target", "targets"), "y"),
}
_STANDARD = {"arr_0": "x_train", "arr_1": "y_train", "class_names": "class_names", "label_names": "class_names"}
"""Names in the layout of Keras of unnamed arrays, `numpy.savez(path, images, labels)`, and of names of classes."""


def read(path: Path, bits: int | None) -> RawData:
    """Return the splits in `path`, without unpickling.

    Raises:
        UsageError: the file is damaged, or its arrays are not as documented in `keras_gen.data.load`.
    """
    with progress.timer(f"reading {path.name}"):
        names = archives.names(path)
        arrays = archives.read(path, _parts(names, str(path)).values())
    return from_arrays(dict.fromkeys(names) | arrays, "npz", str(path), bits)


def from_arrays(arrays: Mapping[str, np.ndarray], source: str, origin: str, bits: int | None = None) -> RawData:
    """Return the splits in arrays that are named as in an `.npz` file.

    Args:
        arrays: mapping, the arrays by name; those of unknown names are not used.
        source, origin: str, what the data set records about where it is from; `origin` begins error messages.
        bits: int, as in `keras_gen.data.load`.

    Raises:
        UsageError: the arrays are not as documented in `keras_gen.data.load`.
    """
    parts = _parts(arrays, origin)
    used = {part: arrays[name] for part, name in parts.items()}
    if source != "npz":
        used = {part: _copy(array, f"{origin}: {parts[part]}") for part, array in used.items()}
    where = {part: f"{origin}: {name}" for part, name in parts.items()}
    images, notes = {}, []
    for role in SPLITS:
        if (part := f"x_{role}") in used:
            images[role] = _shaped(used[part], where[part], notes)
            shape, other = images["train"].shape[1:], images[role].shape[1:]
            if shape != other:
                names = f"{parts['x_train']} and {parts[part]}"
                raise UsageError(f"{origin}: {names} must hold images of the same shape, received: {shape} and {other}")
    images, bits, value_notes = _to_uint8(images, where, bits)
    splits = dict.fromkeys(SPLITS)
    for role, stack in images.items():
        labels = used.get(f"y_{role}")
        splits[role] = Split(stack, None if labels is None else _labels(labels, where[f"y_{role}"], len(stack)))
    if unused := [repr(name) for name in arrays if name not in parts.values()]:
        notes.append(f"arrays that were not read: {listed(unused)}")
    labelled = [role for role in images if splits[role].labels is not None]
    if labelled and len(labelled) < len(images):
        without = " and ".join(role for role in images if role not in labelled)
        notes.append(f"{without} images have no labels, {' and '.join(labelled)} images do")
    class_names = tuple(np.ravel(_text(used["class_names"])).tolist()) if "class_names" in used else None
    return RawData(source, origin, **splits, notes=(*notes, *value_notes), bits=bits, class_names=class_names)


def _parts(names: Collection[str], origin: str) -> dict[str, str]:
    """Return names of arrays by their names in the layout of Keras, such as `{"x_train": "train_images"}`."""
    parts = {}
    for name in sorted(names, key=lambda name: name != _standard(name)):  # Keras' own names are preferred
        if (part := _standard(name)) and (rival := parts.setdefault(part, name)) not in (part, name):
            raise UsageError(f"{origin} must hold only one array {part}, received: {rival}, {name}")
    if "x_train" not in parts:
        understood = "x_train (or train_images, images, data, arr_0; labels: y_train; also x_val, x_test)"
        raise UsageError(f"{origin} must hold an array {understood}, received: {listed(map(repr, names)) or 'none'}")
    labelled = [part.replace("x_", "y_") for part in parts if part[:2] == "x_"]
    return {part: name for part, name in parts.items() if part[:2] != "y_" or part in labelled}


def _standard(name: str) -> str | None:
    """Return the name in the layout of Keras of an array with a usual name; `None` for another one."""
    words = re.split("[_-]|(?<=[a-z])(?=[A-Z])", name)
    words = [word.lower() for word in words]
    kinds = [_KINDS[word] for word in words if word in _KINDS]
    others = "_".join(word for word in words if word not in _KINDS)
    role = splitting.role_of(others) if others else "train"
    return _STANDARD.get(name, f"{kinds[0]}_{role}" if role and len(kinds) == 1 else None)


def _shaped(images: np.ndarray, where: str, notes: list[str]) -> np.ndarray:
    """Return images of shape `(N, H, W, C)`; add a note if they were flat or had their channels first."""
    shape = images.shape
    if images.size == 0:
        raise UsageError(f"{where} must hold at least 1 image, received: shape {shape}")
    if images.ndim == 2 and (side := math.isqrt(shape[1])) ** 2 == shape[1]:
        images = images.reshape(-1, side, side)
        notes.append(f"{where} is flat, {shape}: read as {side}x{side}")
    elif images.ndim == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
        images = np.moveaxis(images, 1, 3)
        notes.append(f"{where} has its channels first, {shape}")
    if images.ndim not in (3, 4):
        raise UsageError(
            f"{where} must have shape (N, H, W) or (N, H, W, C), or be flattened squares, received: {shape}"
        )
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.shape[-1] not in (1, 3):
        raise UsageError(f"{where} must have 1 or 3 channels, received: {shape}")
    return images


def _to_uint8(
    images: dict[str, np.ndarray], where: dict[str, str], bits: int | None
) -> tuple[dict[str, np.ndarray], int | None, list[str]]:
    """Return images as uint8, the bits of integers of other types, and notes. One rule holds for all splits."""
    others = {role: stack for role, stack in images.items() if stack.dtype != np.uint8}
    if not others:
        return images, None, []
    kinds = {stack.dtype.kind for stack in others.values()}
    low = high = np.nan
    if kinds <= set("biuf"):
        low, high = (reduce([reduce(stack) for stack in others.values()]) for reduce in (np.min, np.max))
    factor, shift, chosen, notes = 1, 0, None, []
    if kinds <= set("bf") and 0 <= low and high <= 1:
        factor, notes = 255, ["values are in [0, 1]: multiplied by 255"]
    elif kinds <= set("iu") and 0 <= low and high <= 65535:
        chosen, notes = preprocessing.choose_bits(bits, int(high), where["x_train"])
        shift = chosen - 8
    elif not (kinds == {"f"} and 0 <= low and high <= 255 and all(map(_are_whole, others.values()))):
        role, stack = next(iter(others.items()))
        if 0 <= low and high <= 255:
            advice = "round them: x.round().astype('uint8')"
        elif -1 <= low and high <= 1:
            advice = "if they are in [-1, 1], convert them: ((x + 1) * 127.5).round().astype('uint8')"
        else:
            advice = "undo their normalization first"
        raise UsageError(
            f"{where[f'x_{role}']} must be uint8, 0 to 255 (or integers up to 16 bits, or floats in [0, 1]), received: "
            f"{stack.dtype} from {low:g} to {high:g}; {advice}"
        )
    for role, stack in others.items():
        others[role] = storage.allocate_images(where[f"x_{role}"], stack.shape)
        for chunk in storage.slices(stack.shape):
            values = stack[chunk]
            others[role][chunk] = values >> shift if shift else np.rint(np.multiply(values, factor, dtype=float))
    return images | others, chosen, notes


def _are_whole(images: np.ndarray) -> bool:
    return all(np.array_equal(images[chunk], np.rint(images[chunk])) for chunk in storage.slices(images.shape))


def _labels(labels: np.ndarray, where: str, count: int) -> np.ndarray:
    labels = _text(labels)
    if labels.dtype.kind not in "biuU":
        raise UsageError(f"{where} must be integers or text, received: {labels.dtype}")
    if labels.shape not in ((count,), (count, 1)):  # Keras' CIFAR labels have a second axis
        one_hot = "; convert one-hot rows with y.argmax(axis=1)" if labels.shape[:1] == (count,) else ""
        raise UsageError(f"{where} must be {count} labels, one for each image, received: {labels.shape}{one_hot}")
    labels = labels.reshape(count)
    return labels if labels.dtype.kind == "U" else labels.astype(np.int64)


def _text(array: np.ndarray) -> np.ndarray:
    """Return an array with bytes decoded."""
    return np.char.decode(array, "utf-8", "replace") if array.dtype.kind == "S" else array


def _copy(array: object, where: str) -> np.ndarray:
    """Return a copy of an array, since the data set will be read-only."""
    try:
        return np.array(array)
    except ValueError:  # rows of different shapes
        raise must_be(where, "an array", "rows of different shapes") from None
