"""Load a data set from any source with `load`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_gen.data import catalog, classes, preprocessing, splitting, storage
from keras_gen.data.image_data import ImageData, RawData, Split, fingerprint
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
    2. `NAME.npz` in `data_dir`, then in `$KERAS_GEN_DATA`, for any name: arrays `x_train` and, optionally, `y_train`,
       `x_val`, `y_val`, `x_test`, `y_test`, `class_names`. Other usual names, such as `train_images`, `images` and
       `arr_0`, are understood, too. Images are uint8, integers of up to 16 bits, booleans or floats in [0, 1], of shape
       `(N, H, W)`, `(N, H, W, C)`, `(N, C, H, W)` or flat squares; labels are integers or text of shape `(N,)`.
       Pickled arrays are refused. The images count as prepared: the faces in a `celeb_a.npz` are not cropped.
    3. A known name, see `names()`: a registered one (see `register`); `digits`, which comes with scikit-learn; the
       others through tensorflow-datasets, from `data_dir`, else `$TFDS_DATA_DIR`, else `~/tensorflow_datasets`;
       missing ones are downloaded there. A known name takes precedence over a folder in the working directory: write
       `./mnist` for the folder. The central 108x108 of celeb_a's 178x218 pictures is cut out before resizing; `crop` of
       the result records it.
    4. A folder in the working directory.

    A folder is searched recursively for picture files of all formats that Pillow reads, without hidden ones, in the
    order of their paths; links to folders are followed. Sub-folders `train`, `test` and `val` are the splits if `train`
    exists; they may also be called `Training`, `testing`, `valid`, `validation` and the like. A label is the index of
    the image's sub-folder among the sorted names, if every image is in a sub-folder. All pages of a TIFF are images; of
    animations the first frame is. Transparent pixels become white, `bits` bits become 8, and pictures are rotated
    according to their EXIF data. `notes` says what was left out.

    Classes are numbered from 0 without gaps: labels 3 and 7 become 0 and 1, called "3" and "7" in `class_names`.

    If a source has no test images, a random tenth of its images becomes `test`. Unless the source has a validation
    split, validation images are then taken at random from the training images. Both are the same in every load, and
    the remaining images keep the source's order.

    Images take N x H x W x C bytes (mnist 0.05 GB, celeb_a at 64x64 2.5 GB), temporarily twice that while they are
    split, converted, binarized or resized (except celeb_a, which has splits and is resized while it is read). An array
    of up to a quarter of the memory is held in memory. A larger one is mapped to a file in the temporary folder,
    and `notes` records it; set $TMPDIR if that folder is in memory itself. The file has no name and disappears with the
    process. An `.npz` file is read into memory first.

    Args:
        name: str or path, a known name, the name of an `.npz` file, or a path.
        data_dir: str or path, an existing folder to look in first.
        image_size: int, side in pixels of square images: central crop, then Lanczos. `None` keeps the source's size; if
            a folder's images are not squares of one size, they are resized to 64, and `notes` records it.
        channels: int, 1 or 3. `None` keeps the source's channels; for a folder, 1 if every file is gray.
        validation: float or int, fraction in [0, 1) of the training images, or their count; 0 for none.
        binarize: `None`; "threshold": 255 where a pixel is at least 128, else 0; or "stochastic": 255 with
            probability pixel / 255, else 0, drawn once and then fixed. The latter is the static binarization of
            Salakhutdinov & Murray (2008) and Larochelle & Murray (2011), but with other draws, so likelihoods
            are comparable with theirs except for the draws.
        binarize_seed: int, seed of those draws, made for train, validation and test in this order. Defaults to 0.
        bits: int, 8 to 16, bits of values that are stored as 16 bits, if the file does not state their range. `None`
            for the smallest of 8, 10, 12 and 16 that holds the largest value of the data; `notes` records it.
        skip_damaged: bool, whether files and folders of a folder that can't be read are left out, instead of an error
            that names them; `notes` counts them. Defaults to False.

    Returns:
        An `ImageData` with read-only arrays: images uint8 `(N, H, W, C)`, in a `numpy.memmap` if on disk, and
        labels int64 `(N,)` or `None`.

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
    raw = _read(name, _existing_folder(data_dir), options)
    name = _expand_user(name).resolve().stem if _is_path(name) else name
    return _prepared(name, raw, options)


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


def _checked(image_size, channels, validation, binarize, binarize_seed, bits, skip_damaged=False) -> dict[str, object]:
    """Return the options that shape the data, checked."""
    return {
        "image_size": None if image_size is None else checks.positive_int("image_size", image_size),
        "channels": None if channels is None else int(checks.one_of("channels", channels, (1, 3))),
        "validation": splitting.check_validation(validation),
        "binarize": checks.one_of("binarize", binarize, (None, *checks.BINARIZE)),
        "binarize_seed": checks.seed("binarize_seed", binarize_seed),
        "bits": None if bits is None else checks.one_of("bits", checks.positive_int("bits", bits), range(8, 17)),
        "skip_damaged": checks.boolean("skip_damaged", skip_damaged),
    }


def _prepared(name: str, raw: RawData, options: dict[str, object]) -> ImageData:
    """Return the data set of `raw`, split and prepared."""
    if options["bits"] is not None and raw.bits is None:
        raise must_be("bits", "left out: values of the data have 8 bits, or a stated range", options["bits"])
    if options["skip_damaged"] and raw.source != "folder":
        raise must_be("skip_damaged", "left out: the data are no folder of images", True)
    splits, notes = _split(raw, options["validation"])
    raw = replace(raw, train=None, validation=None, test=None)  # free the memory
    generator = np.random.default_rng(options["binarize_seed"])
    splits = [_prepare(splits.pop(0), options, generator) for _ in range(len(splits))]
    splits, class_names, class_notes = classes.number_classes(splits, raw.class_names, raw.origin)
    notes += [*class_notes, *_value_notes(splits)]
    for split in splits:
        if split.labels is not None:
            split.labels.flags.writeable = False
    return ImageData(
        name=name,
        source=raw.source,
        origin=raw.origin,
        train=splits[0],
        validation=splits[1],
        test=splits[2],
        image_shape=splits[0].images.shape[1:],
        fingerprint=fingerprint(*splits),
        options=options | {"bits": raw.bits},
        notes=notes,
        crop=raw.crop,
        class_names=class_names,
    )


def _read(name: str | os.PathLike, data_dir: Path | None, options: dict[str, object]) -> RawData:
    image_size, bits = options["image_size"], options["bits"]
    of_folder = image_size, options["channels"], bits, options["skip_damaged"]
    # os.path and not pathlib, which raises if a name is too long for the file system.
    if not isinstance(name, (str, os.PathLike)) or not str(name):
        raise must_be("dataset", "a name or a path", name)
    path = _expand_user(name)
    if _is_path(name):
        if os.path.isdir(path):
            return folder.read(path, *of_folder)
        if os.path.isfile(path) and path.suffix == ".npz":
            return npz.read(path, bits)
        raise must_be("dataset", "an existing folder or .npz file, when it is a path", str(name))
    for place in (data_dir, os.environ.get(DATA_DIR_VARIABLE)):
        if place and os.path.isfile(file := _expand_user(place) / f"{name}.npz"):
            return npz.read(file, bits)
    entry = catalog.find(name)
    if entry is not None and entry.function is not None:
        return npz.from_arrays(entry.function(), "registered", f"data set {name}", bits)
    if entry is not None:
        return tfds.read(entry, data_dir, image_size) if entry.tfds_name else digits.read()
    if os.path.isdir(path):
        return folder.read(path, *of_folder)
    known = ", ".join(catalog.names())
    raise must_be("dataset", f"one of {known}, an .npz file or a folder{catalog.suggestion(name)}", name)


def _expand_user(path: str | os.PathLike) -> Path:
    try:
        return Path(path).expanduser()
    except (RuntimeError, ValueError):  # `~name` without such a user, or an invalid name
        return Path(path)


def _is_path(name: str | os.PathLike) -> bool:
    if not isinstance(name, str):
        return True
    separators = (os.sep, os.altsep or os.sep)
    return any(mark in name for mark in separators) or name.endswith(".npz") or name in (".", "..", "~")


def _existing_folder(data_dir: str | os.PathLike | None) -> Path | None:
    if data_dir is None:
        return None
    if not isinstance(data_dir, (str, os.PathLike)) or not os.path.isdir(path := _expand_user(data_dir)):
        raise must_be("data_dir", "an existing folder", data_dir if isinstance(data_dir, str) else str(data_dir))
    return path


def _split(raw: RawData, validation: float | int) -> tuple[list[Split], list[str]]:
    """Return train, validation and test, and notes. The training images are copied once, after both splits."""
    notes = list(raw.notes)
    train, held_out, test = raw.train, raw.validation, raw.test
    kept = np.arange(len(train))
    if test is None:
        kept, tenth = splitting.split_off_test(len(train), raw.origin)
        test = train.take(tenth)
        notes.append(f"no test images in the source: {len(test)} images, a tenth, were split off")
    if held_out is None:
        others, chosen = splitting.split_off_validation(len(kept), validation)
        held_out, kept = train.take(kept[chosen]), kept[others]
    else:
        notes.append("validation is the source's own split; the argument validation was ignored")
    return [train.take(kept) if len(kept) < len(train) else train, held_out, test], notes


def _prepare(split: Split, options: dict[str, object], generator: np.random.Generator) -> Split:
    images = preprocessing.fit_stack(split.images, options["image_size"], options["channels"])
    images = preprocessing.binarize(images, options["binarize"], generator)
    if not images.flags.c_contiguous:
        images = storage.take(images, np.arange(len(images)))
    images.flags.writeable = False
    return replace(split, images=images)


def _value_notes(splits: Sequence[Split]) -> list[str]:
    """Return notes on images that are mapped to files, few, or nearly black."""
    train, notes = splits[0], []
    if size := sum(split.images.nbytes for split in splits if storage.is_mapped(split.images)):
        notes.append(f"{size / 1e9:,.1f} GB of images were written to disk, because they exceed the memory limit")
    if len(train) < _FEW_IMAGES:
        notes.append(f"only {len(train)} training images: a model memorizes so few, it needs hundreds or more")
    if all(train.images[chunk].max() <= 1 for chunk in storage.slices(train.images.shape)):
        notes.append("all training images are black, since their values are 0 and 1 of 255: multiply them by 255")
    return notes
