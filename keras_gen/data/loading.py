"""Load a data set from any source with `load`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_gen.data import catalog, classes, preprocessing, splitting, storage
from keras_gen.data.image_data import SPLITS, ImageData, RawData, Split, fingerprint
from keras_gen.data.sources import digits, folder, npz, tfds
from keras_gen.utils import checks
from keras_gen.utils.errors import must_be

DATA_DIR_VARIABLE = "KERAS_GEN_DATA"

_FEW_IMAGES = 20  # a note says that training images are fewer


def load(
    name: str | os.PathLike,
    *,
    data_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    validation: float | int = 1 / 12,
    binarize: str | None = None,
    binarize_seed: int = 0,
    bits: int | None = None,
    skip_damaged: bool = False,
) -> ImageData:
    """Load a data set as uint8 images, split into train, validation and test.

    `name` is looked up in this order:

    1. A path (it contains a separator, ends in `.npz`, or is a `pathlib.Path`): that folder or `.npz` file.
    2. `NAME.npz` in `data_dir`, then in `$KERAS_GEN_DATA`, for any name.
    3. A known name, see `names()`: a registered one (see `register`); `digits`, which comes with scikit-learn; the
       others through tensorflow-datasets, from `data_dir`, else `$TFDS_DATA_DIR`, else `~/tensorflow_datasets`;
       missing ones are downloaded there. The central 108x108 of celeb_a's pictures is cut out before resizing.
    4. A folder in the working directory. Write `./mnist` for a folder with a known name.

    An `.npz` file holds `x_train` and, optionally, `y_train`, `x_val`, `y_val`, `x_test`, `y_test`, `class_names`, or
    arrays of other usual names, such as `train_images`, `images` and `arr_0`. Images are uint8, integers of up to 16
    bits, booleans, floats in [0, 1], or whole numbers up to 255 as floats, of shape `(N, H, W)`, `(N, H, W, C)`,
    `(N, C, H, W)` or flat squares. Labels are integers or text, `(N,)`. Pickled arrays are refused.

    A folder is searched recursively for picture files of all formats that Pillow reads, without hidden ones, in the
    order of their paths; links to folders are followed. Folders `train`, `test` and `val` (`Training`, `valid`, ...)
    are the splits if the first exists. A label is the index of the image's sub-folder among the sorted names, if every
    image is in one. All pages of a TIFF are images; of animations the first frame is. Transparent pixels become white,
    `bits` bits become 8, and pictures are rotated according to their EXIF data. `notes` says what was left out.

    Classes are numbered from 0 without gaps: labels 3 and 7 become 0 and 1, called "3" and "7" in `class_names`.
    Without test images, a random tenth of the source's images becomes `test`; without a validation split, validation
    images are then taken at random from the training images. Both are the same in every load, in the source's order.
    An array of more than a quarter of the memory is mapped to a file in the temporary folder ($TMPDIR), which has no
    name and disappears with the process; `notes` records it. An `.npz` file is read into memory first.

    Args:
        name: str or path, a known name, the name of an `.npz` file, or a path.
        data_dir: str or path, an existing folder to look in first.
        image_size: int, side in pixels of square images: central crop, then Lanczos. `None` keeps the source's size; if
            a folder's images are not squares of one size, they are resized to 64, and `notes` records it.
        channels: int, 1 or 3. `None` keeps the source's channels; for a folder, 1 if every file is gray.
        validation: float or int, fraction in [0, 1) of the training images, or their count; 0 for none.
        binarize: `None`; "threshold": 255 where a pixel is at least 128, else 0; or "stochastic": 255 with
            probability pixel / 255, else 0, drawn once: the static binarization of Larochelle & Murray (2011); or
            "dynamic": the images stay gray, and a run trains on draws that are new in each epoch, see `batches`, and
            evaluates on `ImageData.evaluated`.
        binarize_seed: int, seed of those draws, made for train, validation and test in this order. Defaults to 0.
        bits: int, 8 to 16, bits of values that are stored as more than 8. `None` for the smallest of 8, 10, 12 and 16
            that holds the largest value of the data; `notes` records it.
        skip_damaged: bool, whether files of a folder that can't be read are left out, and counted in `notes`, instead
            of an error that names them. Defaults to False.

    Returns:
        An `ImageData` with read-only arrays: images uint8 `(N, H, W, C)`, labels int64 `(N,)` or `None`.

    Raises:
        UsageError: an argument is wrong, a file or folder is damaged or not of the form above, or the images fit
            neither in memory nor on disk.
        DataUnavailableError: a known data set is neither on this machine nor available from the network.

    Example:
        >>> data = load("digits", validation=100)
        >>> len(data.train), len(data.validation), len(data.test)
        (1400, 100, 297)
    """
    options = _checked(image_size, channels, validation, binarize, binarize_seed, bits, skip_damaged)
    data_dir = _checked_folder(data_dir)
    data = _prepared(name, _read(name, data_dir, options), options)  # no variable keeps what was read in memory
    return replace(data, name=_expand_user(name).resolve().stem) if _is_path(name) else data


class Whole(NamedTuple):
    """All images of a source.

    Args:
        name: str, as of an `ImageData`.
        is_named: bool, whether it is a data set with a name of its own, and no folder or file that a user named.
        splits: dict, the images by split, of those that the source has itself.
        notes: list of str, as of an `ImageData`.
        resized_to: int, side to which a folder's images were resized since they are not squares of one size, or None.
        crop: int, as of an `ImageData`.
        bits: int, assumed bit depth of values that are not stored as uint8, or None.
    """

    name: str
    is_named: bool
    splits: dict[str, np.ndarray]
    notes: list[str]
    resized_to: int | None
    crop: int | None
    bits: int | None


def load_whole(
    name: str | os.PathLike,
    *,
    mixed_size: int,
    data_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    bits: int | None = None,
    skip_damaged: bool = False,
) -> Whole:
    """Return all images of a source by the splits that it has itself: none is split off, and there are no labels.

    Args:
        name, data_dir, image_size, channels, bits, skip_damaged: as in `load`, but the last two also where they have no
            effect.
        mixed_size: int, side in pixels to which a folder's images are resized if they are not squares of one size.

    Raises:
        UsageError, DataUnavailableError: as in `load`.
    """
    options = _checked(image_size, channels, 0, None, bits=bits, skip_damaged=skip_damaged)
    raw = _read(name, _checked_folder(data_dir), options, mixed_size)
    found = {role: split for role in SPLITS if (split := getattr(raw, role)) is not None and len(split)}
    sizes = options["image_size"], options["channels"]
    splits = {role: preprocessing.fit_stack(split.images, *sizes) for role, split in found.items()}
    is_named = not _is_path(name) and raw.source != "folder"
    shown = str(name) if is_named else _expand_user(name).resolve().stem
    return Whole(shown, is_named, splits, list(raw.notes), raw.resized_to, raw.crop, raw.bits)


def from_arrays(
    x_train: np.ndarray,
    y_train: np.ndarray | None = None,
    x_test: np.ndarray | None = None,
    y_test: np.ndarray | None = None,
    *,
    name: str = "arrays",
    image_size: int | None = None,
    channels: int | None = None,
    validation: float | int = 1 / 12,
    binarize: str | None = None,
    binarize_seed: int = 0,
    bits: int | None = None,
) -> ImageData:
    """Return a data set made of arrays in memory, split and prepared as by `load`.

    Args:
        x_train, x_test: images as in an `.npz` file, see `load`; `x_test` defaults to a random tenth of `x_train`.
        y_train, y_test: integers or text, shape `(N,)`, or None, the default.
        name: str, what the data set is called in records. Defaults to `"arrays"`.
        image_size, channels, validation, binarize, binarize_seed, bits: As in `load`.

    Raises:
        UsageError: an argument is wrong.

    Example:
        >>> images = np.random.default_rng(0).integers(0, 256, (120, 8, 8), np.uint8)
        >>> data = keras_gen.data.from_arrays(images)
        >>> len(data.train), len(data.validation), len(data.test)
        (99, 9, 12)
    """
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    arrays = {role: array for role, array in arrays.items() if array is not None}
    options = _checked(image_size, channels, validation, binarize, binarize_seed, bits)
    return _prepared(name, npz.from_arrays(arrays, "arrays", "data", options["bits"]), options)


def _checked_folder(data_dir) -> Path | None:
    if data_dir is None:
        return None
    if not isinstance(data_dir, (str, os.PathLike)) or not os.path.isdir(_expand_user(data_dir)):
        raise must_be("data_dir", "an existing folder", data_dir)
    return _expand_user(data_dir)


def _checked(
    image_size, channels, validation, binarize, binarize_seed=0, bits=None, skip_damaged=False
) -> dict[str, object]:
    """Return the options that shape the data, checked."""
    return {
        "image_size": None if image_size is None else checks.positive_int("image_size", image_size),
        "channels": None if channels is None else int(checks.one_of("channels", channels, (1, 3))),
        "validation": splitting.check_validation(validation),
        "binarize": checks.one_of("binarize", binarize, (None, *checks.BINARIZE)),
        "binarize_seed": checks.seed("binarize_seed", binarize_seed),
        "bits": None if bits is None else int(checks.one_of("bits", bits, range(8, 17))),
        "skip_damaged": checks.boolean("skip_damaged", skip_damaged),
    }


def _prepared(name: str | os.PathLike, raw: RawData, options: dict[str, object]) -> ImageData:
    """Return the data set of `raw`, split and prepared."""
    if options["bits"] is not None and raw.bits is None:
        raise must_be("bits", "left out: the data have 8-bit values", options["bits"])
    if options["skip_damaged"] and raw.source != "folder":
        raise must_be("skip_damaged", "left out: the data are not a folder of images", True)
    splits, notes = splitting.split(raw, options["validation"])
    raw = replace(raw, train=None, validation=None, test=None)  # free the memory
    generator = np.random.default_rng(options["binarize_seed"])
    for index, split in enumerate(splits):
        images = preprocessing.fit_stack(split.images, options["image_size"], options["channels"])
        rule = None if options["binarize"] == checks.DYNAMIC else options["binarize"]
        images = preprocessing.binarize(images, rule, generator)
        if not images.flags.c_contiguous:
            images = storage.take(images, np.arange(len(images)))
        splits[index] = split = replace(split, images=images)
    splits, class_names, class_notes = classes.number_classes(splits, raw.class_names, raw.origin)
    for array in (array for split in splits for array in (split.images, split.labels) if array is not None):
        array.flags.writeable = False
    return ImageData(
        name=name,
        source=raw.source,
        origin=raw.origin,
        **dict(zip(SPLITS, splits, strict=True)),
        image_shape=splits[0].images.shape[1:],
        fingerprint=fingerprint(*splits),
        options=options | {"bits": raw.bits},
        notes=[*notes, *class_notes, *_value_notes(splits)],
        crop=raw.crop,
        class_names=class_names,
    )


def _read(
    name: str | os.PathLike,
    data_dir: Path | None,
    options: dict[str, object],
    mixed_size: int = folder.DEFAULT_SIZE,
) -> RawData:
    if not isinstance(name, (str, os.PathLike)) or not str(name):
        raise must_be("dataset", "a name or a path", name)
    image_size, bits = options["image_size"], options["bits"]
    path, entry = _expand_user(name), catalog.find(name)
    # os.path and not pathlib, which raises if a name is too long for the file system.
    is_folder = os.path.isdir(path)
    if _is_path(name):
        if path.suffix == ".npz" and os.path.isfile(path):
            return npz.read(path, bits)
        if not is_folder:
            raise must_be("dataset", "an existing folder or .npz file, when it is a path", str(name))
    else:
        for place in (data_dir, os.environ.get(DATA_DIR_VARIABLE)):
            if place and os.path.isfile(file := _expand_user(place) / f"{name}.npz"):
                return npz.read(file, bits)
        if entry is not None and entry.function is not None:
            return _registered(entry, bits)
        if entry is not None:
            return tfds.read(entry, data_dir, image_size) if entry.tfds_name else digits.read()
    if not is_folder:
        raise catalog.unknown("dataset", name, ", an .npz file or a folder")
    return folder.read(path, image_size, options["channels"], bits, options["skip_damaged"], mixed_size)


def _registered(entry: catalog.DatasetSpec, bits: int | None) -> RawData:
    """Return the data that the function of a registered data set returns."""
    origin, arrays = f"data set {entry.name}", entry.function()
    if not isinstance(arrays, Mapping):
        raise must_be(origin, "a mapping of names to arrays, from its function", type(arrays).__name__)
    raw = npz.from_arrays(arrays, "registered", origin, bits)
    if raw.train.images.shape[1:] != entry.image_shape:
        raise must_be(origin, f"images of shape {entry.image_shape}, as registered", raw.train.images.shape[1:])
    return raw


def _expand_user(path: str | os.PathLike) -> Path:
    try:
        return Path(path).expanduser()
    except (RuntimeError, ValueError):  # `~name` without such a user, or an invalid name
        return Path(path)


def _is_path(name: str | os.PathLike) -> bool:
    if not isinstance(name, str):
        return True
    return bool({os.sep, os.altsep} & set(name)) or name.endswith(".npz") or name in (".", "..", "~")


def _value_notes(splits: Sequence[Split]) -> list[str]:
    """Return notes on images that are mapped to files, few, or nearly black."""
    train, notes = splits[0], []
    if size := sum(split.images.nbytes for split in splits if storage.is_mapped(split.images)):
        notes.append(f"{size / 1e9:,.1f} GB of images were written to disk, because they exceed the memory limit")
    if len(train) < _FEW_IMAGES:
        notes.append(f"only {len(train)} training images: models memorize so few; they need hundreds or more")
    if all(train.images[chunk].max() <= 1 for chunk in storage.slices(train.images.shape)):
        notes.append("all training images are black, since their values are only 0 and 1: multiply them by 255")
    return notes
