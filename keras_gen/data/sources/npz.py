"""Read image arrays, from an `.npz` file or given in memory, in the layout of Keras' `mnist.npz` or a similar one."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_gen.data import preprocessing, splitting, storage
from keras_gen.data.image_data import SPLITS, RawData, Split
from keras_gen.utils import archives, progress
from keras_gen.utils.errors import UsageError

_KINDS = {
    "images": ("x", "image", "images", "img", "imgs", "pictures", "data"),
    "labels": ("y", "label", "labels", "target", "targets"),
}
_UNNAMED = {"arr_0": ("train", "images"), "arr_1": ("train", "labels")}  # numpy.savez(path, images, labels)
_CLASS_NAMES = ("class_names", "label_names")
_UNDERSTOOD = "x_train (or train_images, images, data, arr_0; labels: y_train; also x_val, x_test)"


def read(path: Path, bits: int | None) -> RawData:
    """Return the splits in `path`, without unpickling.

    Raises:
        UsageError: the file is damaged, or its arrays are not as documented in `keras_gen.data.load`.
    """
    with progress.timer(f"reading {path.name}"):
        archives.read(path, ())  # raises if it is no archive
        with zipfile.ZipFile(path) as archive:
            names = list(dict.fromkeys(name.removesuffix(".npy") for name in archive.namelist()))
        parts, left_out = _parts(names, str(path))
        arrays = archives.read(path, [*parts.values(), *(name for name in _CLASS_NAMES if name in names)])
    return from_arrays(arrays, "npz", str(path), bits, left_out)


def from_arrays(
    arrays: Mapping[str, np.ndarray],
    source: str,
    origin: str,
    bits: int | None = None,
    left_out: list[str] | None = None,
) -> RawData:
    """Return the splits in arrays as an `.npz` file has them: `x_train` and, optionally, `y_train`, `x_test`, `y_test`.

    Args:
        arrays: mapping, the arrays by name.
        source, origin: str, what the data set records about where it is from; `origin` begins error messages.
        bits: int, as in `keras_gen.data.load`.
        left_out: list of str, names of the file's other arrays.

    Raises:
        UsageError: the arrays are not as documented in `keras_gen.data.load`.
    """
    parts, unknown = _parts(list(arrays), origin)
    if unknown:
        raise UsageError(f"{origin} must hold arrays named x_train, y_train, x_test, y_test, received: {unknown[0]!r}")
    if source != "npz":
        arrays = {name: np.array(array) for name, array in arrays.items()}  # a copy: the data set will be read-only
    names = {role: name for (role, kind), name in parts.items() if kind == "images"}
    images, notes = {}, []
    for role, name in names.items():
        images[role], note = _shaped(arrays[name], f"{origin}: {name}")
        notes += [f"{name} {note}"] if note else []
    shapes = {role: stack.shape[1:] for role, stack in images.items()}
    for role, shape in shapes.items():
        if shape != shapes["train"]:
            both = f"{names['train']} and {names[role]}"
            raise UsageError(f"{origin}: {both} must hold images of one shape, received: {shapes['train']} and {shape}")
    images, bits, note = _to_uint8(images, {role: f"{origin}: {name}" for role, name in names.items()}, bits)
    notes += note
    splits = {}
    for role, stack in images.items():
        name = parts.get((role, "labels"))
        splits[role] = Split(stack, name and _labels(f"{origin}: {name}", arrays[name], len(stack)))
    unused = [*(left_out or ()), *(name for (role, _), name in parts.items() if role not in names)]
    if unused:
        notes.append(f"arrays that were not read: {', '.join(map(repr, unused[:10]))}{', …' * (len(unused) > 10)}")
    labelled = [role for role, split in splits.items() if split.labels is not None]
    if labelled and len(labelled) < len(splits):
        without = " and ".join(role for role in splits if role not in labelled)
        notes.append(f"{without} images have no labels, {' and '.join(labelled)} images have")
    class_names = next((_labels(f"{origin}: {n}", a, a.size) for n, a in arrays.items() if n in _CLASS_NAMES), None)
    class_names = None if class_names is None else tuple(class_names.tolist())
    splits = dict.fromkeys(SPLITS) | splits
    return RawData(source, origin, **splits, notes=tuple(notes), bits=bits, class_names=class_names)


def _parts(names: list[str], origin: str) -> tuple[dict[tuple[str, str], str], list[str]]:
    """Return the names of the arrays by split and kind, such as `("train", "images")`, and names not understood."""
    candidates = {}
    for name in names:
        candidates.setdefault(None if name in _CLASS_NAMES else _part(name), []).append(name)
    left_out = [name for name in candidates.pop(None, []) if name not in _CLASS_NAMES]
    parts = {}
    for (role, kind), rivals in candidates.items():
        own = f"{'x' if kind == 'images' else 'y'}_{role}"
        if len(rivals) > 1 and own not in rivals:
            raise UsageError(f"{origin} must hold one array of {role} {kind}, received: {', '.join(rivals)}")
        parts[role, kind] = own if own in rivals else rivals[0]
        left_out += [name for name in rivals if name != parts[role, kind]]
    if ("train", "images") not in parts:
        listed = ", ".join(map(repr, names[:10])) + ", …" * (len(names) > 10)
        raise UsageError(f"{origin} must hold an array {_UNDERSTOOD}, received: {listed or 'none'}")
    return parts, left_out


def _part(name: str) -> tuple[str, str] | None:
    if name in _UNNAMED:
        return _UNNAMED[name]
    words = re.split("[_-]", name.lower())
    kinds = [kind for kind, known in _KINDS.items() if any(word in known for word in words)]
    roles = [role for role in map(splitting.role_of, words) if role]
    if len(kinds) != 1 or len(words) != len(roles) + 1:
        return None
    return (roles[0] if roles else "train"), kinds[0]


def _shaped(images: np.ndarray, where: str) -> tuple[np.ndarray, str | None]:
    """Return images of shape `(N, H, W, C)`, and a note if they were flat or had their channels first."""
    shape, note = images.shape, None
    if images.size == 0:
        raise UsageError(f"{where} must hold at least 1 image, received: shape {shape}")
    if images.ndim == 2 and (side := math.isqrt(shape[1])) ** 2 == shape[1]:
        images, note = images.reshape(-1, side, side), f"is flat, {shape}: taken for {side}x{side}"
    elif images.ndim == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
        images, note = np.moveaxis(images, 1, 3), f"has its channels first, {shape}"
    if images.ndim not in (3, 4):
        raise UsageError(f"{where} must have shape (N, H, W) or (N, H, W, C), or flat squares, received: {shape}")
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.shape[-1] not in (1, 3):
        raise UsageError(f"{where} must have 1 or 3 channels, received: {shape}")
    return images, note


def _to_uint8(
    images: dict[str, np.ndarray], where: dict[str, str], bits: int | None
) -> tuple[dict[str, np.ndarray], int | None, list[str]]:
    """Return images as uint8, the bits of integers of more than 8, and notes. One rule holds for all splits."""
    converted, chosen, notes = dict(images), None, []
    for kind in sorted({stack.dtype.kind for stack in images.values() if stack.dtype != np.uint8}):
        roles = [role for role, stack in images.items() if stack.dtype != np.uint8 and stack.dtype.kind == kind]
        low = high = None
        if kind in "biuf":
            low, high = min(images[role].min() for role in roles), max(images[role].max() for role in roles)
        factor, shift = 1, 0
        if kind == "b" or kind == "f" and low >= 0 and high <= 1:
            factor = 255
            notes.append(f"values are {'booleans' if kind == 'b' else 'floats in [0, 1]'}: multiplied by 255")
        elif kind in "iu" and low >= 0 and 1 < high <= 65535:
            chosen, note = preprocessing.choose_bits(bits, int(high), where[roles[0]])
            shift = chosen - 8
            notes += note
        elif not (kind == "f" and low >= 0 and high <= 255 and all(_are_whole(images[role]) for role in roles)):
            found = images[roles[0]].dtype if low is None else f"{images[roles[0]].dtype} from {low:g} to {high:g}"
            raise UsageError(
                f"{where[roles[0]]} must be uint8, 0 to 255 (or integers of up to 16 bits, or floats in [0, 1]), "
                f"received: {found}; of images in [-1, 1] ((x + 1) * 127.5).round().astype('uint8') makes such"
            )
        for role in roles:
            converted[role] = storage.allocate_images(where[role], images[role].shape)
            for chunk in storage.slices(images[role].shape):
                values = images[role][chunk]
                converted[role][chunk] = values >> shift if shift else np.rint(np.multiply(values, factor, dtype=float))
    return converted, chosen, notes


def _are_whole(images: np.ndarray) -> bool:
    return all(np.array_equal(images[chunk], np.rint(images[chunk])) for chunk in storage.slices(images.shape))


def _labels(where: str, labels: np.ndarray, count: int) -> np.ndarray:
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind not in "iuU":
        raise UsageError(f"{where} must be integers or text, received: {labels.dtype}")
    if labels.shape not in ((count,), (count, 1)):  # Keras' CIFAR labels have a second axis
        one_hot = "; of one-hot rows, y.argmax(axis=1) makes such" if labels.shape[:1] == (count,) else ""
        raise UsageError(f"{where} must be {count} labels, one for each image, received: {labels.shape}{one_hot}")
    labels = labels.reshape(count)
    return labels if labels.dtype.kind == "U" else labels.astype(np.int64)
