"""Read named data sets from tensorflow-datasets: prepared ones from disk, others by download if the host answers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_gen.data import storage
from keras_gen.data.catalog import DatasetSpec
from keras_gen.data.image_data import RawData, Split
from keras_gen.data.preprocessing import fit_picture
from keras_gen.utils import net, progress
from keras_gen.utils.errors import DataUnavailableError


def read(entry: DatasetSpec, data_dir: Path | None, image_size: int | None) -> RawData:
    """Return the splits of `entry`, cropped and resized while reading to save memory.

    Raises:
        DataUnavailableError: the data set is not on disk and can't be downloaded, or can't be read.
        UsageError: it fits neither in memory nor on disk.
    """
    folder = find_prepared(entry, data_dir)
    if folder is None:
        reason = net.connection_error(entry.probe_url)
        if reason is not None:
            raise _unavailable(entry, f"is not on this machine, and its host does not answer: {reason}")
    try:
        with _quiet():
            return _read(entry, _builder(entry, data_dir, folder), image_size)
    except storage.NoRoomError:  # the data are available, so no fallback is needed
        raise
    except Exception as error:  # a failed download, a wrong checksum, a full disk, a missing package, ...
        first_line = (str(error).strip() or "no message").splitlines()[0]
        raise _unavailable(entry, f"failed in tensorflow-datasets: {type(error).__name__}: {first_line}") from error


def find_prepared(entry: DatasetSpec, data_dir: Path | None) -> Path | None:
    """Return the folder of the newest prepared version of `entry`, or `None`, without importing tensorflow-datasets."""
    for root in _roots(data_dir):
        versions = [path.parent for path in root.joinpath(entry.tfds_name).glob("*.*.*/dataset_info.json")]
        versions = [path for path in versions if path.name.replace(".", "").isdigit()]
        if versions:
            return max(versions, key=lambda path: tuple(int(part) for part in path.name.split(".")))
    return None


def _roots(data_dir: Path | None) -> list[Path]:
    default = os.environ.get("TFDS_DATA_DIR") or os.path.join("~", "tensorflow_datasets")
    return [data_dir] * (data_dir is not None) + [Path(os.path.expanduser(default))]


def _builder(entry: DatasetSpec, data_dir: Path | None, folder: Path | None):
    import tensorflow_datasets as tfds

    if folder is not None:
        return tfds.builder_from_directory(folder)
    builder = tfds.builder(entry.tfds_name, data_dir=_roots(data_dir)[0])
    with progress.timer(f"downloading and preparing {entry.name}"):
        builder.download_and_prepare()
    return builder


def _read(entry: DatasetSpec, builder, image_size: int | None) -> RawData:
    roles = {"train": entry.train_split, "validation": entry.validation_split, "test": entry.test_split}
    splits = {role: name and _read_split(entry, builder, name, image_size) for role, name in roles.items()}
    features = builder.info.features
    class_names = getattr(features["label"], "names", None) if "label" in features else None
    return RawData(source="tfds", origin=builder.info.full_name, crop=entry.crop, class_names=class_names, **splits)


def _read_split(entry: DatasetSpec, builder, name: str, image_size: int | None) -> Split:
    import tensorflow_datasets as tfds
    from PIL import Image

    side, _, channels = entry.image_shape  # all are squares
    side = image_size or side
    count = builder.info.splits[name].num_examples
    images = storage.allocate_images(entry.name, (count, side, side, channels))
    labels = np.empty(count, np.int64) if "label" in builder.info.features else None
    # Read the files one after the other: by default several are interleaved.
    ordered = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    dataset = builder.as_dataset(split=name, shuffle_files=False, read_config=ordered)
    with progress.task(f"reading {name} images of {entry.name}", count) as task:
        for index, example in enumerate(tfds.as_numpy(dataset)):
            pixels = example["image"]
            picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
            images[index] = fit_picture(picture, side, channels, entry.crop)
            if labels is not None:
                labels[index] = example["label"]
            task.advance()
    return Split(images, labels)


def _unavailable(entry: DatasetSpec, problem: str) -> DataUnavailableError:
    return DataUnavailableError(
        f"{entry.name} {problem}; put {entry.name}.npz (x_train, y_train, x_test, y_test, all uint8) into --data-dir "
        f"or $KERAS_GEN_DATA, or use --dataset digits, which needs no download; {entry.name} is {entry.about}"
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress tensorflow-datasets' log lines, and its progress bars where they would fill a log file."""
    import tensorflow_datasets as tfds
    from absl import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    if not progress.draws_bars():
        tfds.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        tfds.enable_progress_bar()
