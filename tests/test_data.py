"""Loading: every source gives the same kind of data, and every fault of a source is named."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from PIL import Image

from keras_gen import data
from keras_gen import probing
from keras_gen.data import tensorflow_datasets_source
from keras_gen.data.image_data import Split, fingerprint
from keras_gen.errors import DataUnavailableError, UsageError


@pytest.fixture(autouse=True)
def _nothing_at_hand(monkeypatch, tmp_path):
    """An empty working directory and home, no data by environment, and no network but the machine's own."""
    real = os.environ.get("KERAS_GEN_DATA")
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KERAS_GEN_DATA", "TFDS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return real


def coded(count, size=8, channels=1, start=0):
    """Images that tell their index: pixel (0, 0) is its low byte, pixel (0, 1) its high byte."""
    images = np.zeros((count, size, size, channels), np.uint8)
    index = np.arange(start, start + count)
    images[:, 0, 0], images[:, 0, 1] = (index % 256)[:, None], (index // 256)[:, None]
    return images


def indices(split):
    return (split.images[:, 0, 0, 0].astype(int) + 256 * split.images[:, 0, 1, 0].astype(int)).tolist()


def write_npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def write_image(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path, **options)
    return path


def grey(value, height=8, width=8):
    return np.full((height, width), value, np.uint8)


def colour(red, green, blue, height=8, width=8):
    return np.full((height, width, 3), (red, green, blue), np.uint8)


def test_importing_the_package_imports_numpy_only():
    heavy = ("tensorflow", "keras", "PIL", "sklearn", "skimage", "scipy", "tensorflow_datasets", "absl")
    code = f"import sys, keras_gen.data; print([name for name in {heavy} if name in sys.modules])"
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


# Names


def test_names_and_shapes():
    assert data.names() == ("digits", "mnist", "fashion_mnist", "cifar10", "celeb_a", "imagenette")
    shapes = [data.image_shape(name) for name in data.names()]
    assert shapes == [(28, 28, 1)] * 3 + [(32, 32, 3)] + [(64, 64, 3)] * 2
    with pytest.raises(UsageError, match=r"name must be one of digits, mnist.*did you mean mnist\?.*received: 'mnst'"):
        data.image_shape("mnst")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fashion-mnist", r"one of digits, mnist.*did you mean fashion_mnist\?.*received: 'fashion-mnist'"),
        ("xyzzy", r"one of digits, .*an \.npz file or a folder, received: 'xyzzy'"),
        ("./digits", "an existing folder or .npz file"),
        ("missing.npz", "an existing folder or .npz file"),
        ("", "a name or a path"),
        (7, "a name or a path"),
        (None, "a name or a path"),
        ("x" * 5000, "one of digits"),
        ("nul\0", "one of digits"),
    ],
)
def test_a_name_that_leads_nowhere(name, message):
    with pytest.raises(UsageError, match=f"dataset must be {message}"):
        data.load(name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "image_size must be an integer of at least 1, received: 0"),
        ({"image_size": 2.5}, "image_size must be"),
        ({"channels": 2}, "channels must be one of 1, 3, received: 2"),
        ({"validation": 1.0}, "validation must be a fraction from 0 to below 1 or a count"),
        ({"validation": -0.1}, "validation must be"),
        ({"validation": -1}, "validation must be"),
        ({"validation": float("nan")}, "validation must be"),
        ({"validation": True}, "validation must be"),
        ({"validation": "0.1"}, "validation must be"),
        ({"validation": 1500}, "validation must be less than all 1500 training images, received: 1500"),
        ({"validation": 0.9999}, "validation must be less than all 1500"),
        ({"binarize": "otsu"}, "binarize must be one of None, threshold, stochastic, received: 'otsu'"),
        ({"binarize_seed": -1}, "binarize_seed must be"),
        ({"data_dir": "nowhere"}, "data_dir must be an existing folder, received: 'nowhere'"),
        ({"data_dir": 3}, "data_dir must be"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(UsageError, match=message):
        data.load("digits", **arguments)


# The embedded digits


def test_digits():
    digits = data.load("digits")
    assert (digits.name, digits.source, digits.image_shape) == ("digits", "embedded", (28, 28, 1))
    assert [len(split) for split in (digits.train, digits.validation, digits.test)] == [1375, 125, 297]
    for split in (digits.train, digits.validation, digits.test):
        assert split.images.dtype == np.uint8 and split.images.shape[1:] == (28, 28, 1)
        assert split.labels.dtype == np.int64 and set(split.labels) == set(range(10))
        assert not split.images.flags.writeable and not split.labels.flags.writeable
        assert split.images[:, 4:-4, 4:-4].max(axis=(1, 2, 3)).min() > 200
        assert split.images.sum() == split.images[:, 4:-4, 4:-4].sum()  # a margin of 4, as MNIST has


def test_digits_are_the_original_enlarged():
    from sklearn.datasets import load_digits

    original = load_digits()
    test = data.load("digits").test
    assert np.array_equal(test.labels, original.target[1500:])
    shrunk = np.stack(
        [
            np.asarray(Image.fromarray(image).resize((8, 8), Image.Resampling.BOX), float)
            for image in test.images[:, 4:-4, 4:-4, 0]
        ]
    )
    assert np.corrcoef(shrunk.ravel(), original.images[1500:].ravel())[0, 1] > 0.97


# Validation, fingerprint, description


def test_splits_are_disjoint_random_and_in_order(tmp_path):
    labels = np.arange(300) // 30  # ordered by class
    write_npz(tmp_path / "coded.npz", x_train=coded(300), y_train=labels, x_test=coded(20, start=300))
    loaded = data.load("coded", data_dir=tmp_path, validation=60)
    train, validation, test = map(indices, (loaded.train, loaded.validation, loaded.test))
    assert (len(train), len(validation), test) == (240, 60, list(range(300, 320)))
    assert sorted(train + validation) == list(range(300))
    assert train == sorted(train) and validation == sorted(validation)
    assert set(loaded.validation.labels) == set(range(10))  # not the last 60, which are two classes
    assert np.array_equal(loaded.train.labels, np.array(train) // 30)
    assert loaded.test.labels is None
    assert indices(data.load("coded", data_dir=tmp_path, validation=60).validation) == validation


@pytest.mark.parametrize(("validation", "count"), [(0, 0), (0.0, 0), (1, 1), (0.5, 150), (1 / 12, 25), (1e-9, 1)])
def test_validation_is_a_fraction_or_a_count(tmp_path, validation, count):
    write_npz(tmp_path / "coded.npz", x_train=coded(300), y_train=np.arange(300), x_test=coded(20))
    loaded = data.load("coded", data_dir=tmp_path, validation=validation)
    assert (len(loaded.train), len(loaded.validation)) == (300 - count, count)
    assert loaded.validation.images.shape == (count, 8, 8, 1) and loaded.validation.labels.shape == (count,)


def test_fingerprint_is_of_shapes_types_and_bytes():
    images, labels = coded(5), np.arange(5)
    digest = hashlib.sha256()
    digest.update(b"|u1(5, 8, 8, 1);" + images.tobytes() + b"<i8(5,);" + labels.tobytes())
    assert fingerprint(Split(images, labels)) == digest.hexdigest()
    flipped, relabelled = images.copy(), labels.copy()
    flipped[4, 7, 7, 0] ^= 1
    relabelled[0] = 9
    variants = [
        [Split(images, labels)],
        [Split(images)],
        [Split(flipped, labels)],
        [Split(images, relabelled)],
        [Split(images.reshape(5, 4, 16, 1), labels)],
        [Split(images[:2], labels[:2]), Split(images[2:], labels[2:])],
        [Split(images[2:], labels[2:]), Split(images[:2], labels[:2])],
        [Split(images, labels), Split(images[:0], labels[:0])],
    ]
    assert len({fingerprint(*splits) for splits in variants}) == len(variants)


def test_fingerprint_follows_the_content_of_the_file(tmp_path):
    images = coded(40)
    write_npz(tmp_path / "a.npz", x_train=images)
    write_npz(tmp_path / "b.npz", x_train=images)
    images[17, 5, 5, 0] ^= 1
    write_npz(tmp_path / "c.npz", x_train=images)
    first, same, other = (data.load(name, data_dir=tmp_path).fingerprint for name in "abc")
    assert first == same != other
    assert data.load("a", data_dir=tmp_path, validation=0).fingerprint != first


def test_description_is_json_and_repeats_the_load():
    digits = data.load("digits", image_size=16, validation=np.float64(0.1), binarize="stochastic", binarize_seed=4)
    description = json.loads(json.dumps(digits.description()))
    assert description == {
        "name": "digits",
        "source": "embedded",
        "origin": "sklearn.datasets.load_digits",
        "counts": {"train": 1350, "validation": 150, "test": 297},
        "image_shape": [16, 16, 1],
        "image_size": 16,
        "channels": None,
        "validation": 0.1,
        "binarize": "stochastic",
        "binarize_seed": 4,
        "notes": [],
        "fingerprint": digits.fingerprint,
    }
    assert data.load("digits", **digits.options).fingerprint == digits.fingerprint


# Preparing


def test_binarize_threshold(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    write_npz(tmp_path / "ramp.npz", x_train=ramp.repeat(4, 0), x_test=ramp)
    test = data.load("ramp", data_dir=tmp_path, binarize="threshold").test.images.ravel()
    assert test.tolist() == [0] * 128 + [255] * 128


def test_binarize_stochastic(tmp_path):
    levels = np.array([0, 1, 64, 128, 254, 255], np.uint8)
    images = np.broadcast_to(levels[:, None, None], (6, 300, 300))
    write_npz(tmp_path / "levels.npz", x_train=images, x_test=images)

    def load(seed):
        return data.load("levels", data_dir=tmp_path, validation=0, binarize="stochastic", binarize_seed=seed)

    first, again, other = load(3), load(3), load(4)
    assert set(np.unique(first.train.images)) == {0, 255}
    means = first.train.images.reshape(6, -1).mean(axis=1) / 255
    expected = levels / 255
    assert means[0] == 0 and means[-1] == 1
    assert np.all(np.abs(means - expected) <= 5 * np.sqrt(expected * (1 - expected) / 90_000))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert not np.array_equal(first.train.images, first.test.images)


def test_resizing_crops_the_centre(tmp_path):
    images = np.zeros((4, 8, 40, 3), np.uint8)
    images[:, :, 10:30] = (200, 100, 50)  # the central square and, around it, what Lanczos reaches at half the size
    write_npz(tmp_path / "wide.npz", x_train=images)
    assert data.load("wide", data_dir=tmp_path).image_shape == (8, 40, 3)
    small = data.load("wide", data_dir=tmp_path, image_size=4)
    assert small.image_shape == (4, 4, 3)
    assert np.all(small.train.images == (200, 100, 50))
    assert data.load("wide", data_dir=tmp_path, image_size=8).image_shape == (8, 8, 3)  # as high, but not as wide
    grey_images = data.load("wide", data_dir=tmp_path, image_size=4, channels=1).train.images
    assert grey_images.shape[1:] == (4, 4, 1)
    assert np.all(grey_images == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50))


def test_grey_to_colour_repeats_the_channel(tmp_path):
    write_npz(tmp_path / "coded.npz", x_train=coded(20))
    plain, wide = (data.load("coded", data_dir=tmp_path, channels=channels) for channels in (None, 3))
    assert np.array_equal(wide.train.images, plain.train.images.repeat(3, axis=-1))


# .npz files


def test_npz_without_test_images_gives_a_tenth(tmp_path):
    write_npz(tmp_path / "faces.npz", x_train=coded(40)[..., 0], y_train=np.arange(40, dtype=np.uint8)[:, None])
    faces = data.load("faces", data_dir=tmp_path)
    assert (faces.source, faces.origin, faces.name) == ("npz", str(tmp_path / "faces.npz"), "faces")
    assert [len(split) for split in (faces.train, faces.validation, faces.test)] == [33, 3, 4]
    assert sorted(indices(faces.train) + indices(faces.validation) + indices(faces.test)) == list(range(40))
    for split in (faces.train, faces.validation, faces.test):
        assert split.labels.dtype == np.int64 and split.labels.tolist() == indices(split)
    assert len(faces.notes) == 1 and "4 images" in faces.notes[0]


def test_npz_places_and_precedence(tmp_path, monkeypatch):
    for count, folder in ((10, "first"), (20, "second")):
        (tmp_path / folder).mkdir()
        write_npz(tmp_path / folder / "digits.npz", x_train=coded(count), x_test=coded(count))
    assert data.load("digits").source == "embedded"
    monkeypatch.setenv("KERAS_GEN_DATA", str(tmp_path / "second"))
    assert len(data.load("digits").test) == 20  # any .npz of that name wins over the embedded digits
    assert len(data.load("digits", data_dir=tmp_path / "first").test) == 10
    by_path = data.load(tmp_path / "first" / "digits.npz")
    assert (by_path.name, len(by_path.test)) == ("digits", 10)
    assert data.load(str(tmp_path / "first" / "digits.npz")).fingerprint == by_path.fingerprint


def _write_text(path):
    path.write_text("not a zip")


def _truncated(path):
    write_npz(path, x_train=coded(40))
    path.write_bytes(path.read_bytes()[:-300])


def _damaged(path):
    np.savez_compressed(path, x_train=np.random.default_rng(0).integers(0, 255, (40, 8, 8), np.uint8))
    content = bytearray(path.read_bytes())
    content[500:520] = bytes(20)
    path.write_bytes(content)


def _not_an_array(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", "no array")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_write_text, "can't be read as an .npz file: it is no zip archive"),
        (_truncated, "can't be read as an .npz file"),
        (_damaged, "can't be read as an .npz file"),
        (_not_an_array, "can't be read as an .npz file: x_train is no NumPy array"),
        ({"images": coded(9)}, "must hold an array x_train"),
        ({"x_train": coded(9) / 255.0}, "x_train must be uint8, 0 to 255, received: float64"),
        ({"x_train": coded(9).astype(np.int64)}, "x_train must be uint8.*int64"),
        ({"x_train": np.array([None] * 9, object)}, "can't be read.*allow_pickle"),
        ({"x_train": np.zeros((9, 64), np.uint8)}, r"x_train must have shape .*received: \(9, 64\)"),
        ({"x_train": np.zeros((9, 8, 8, 4), np.uint8)}, r"x_train must have 1 or 3 channels.*\(9, 8, 8, 4\)"),
        ({"x_train": coded(0)}, r"x_train must hold at least 1 image, received: shape \(0, 8, 8, 1\)"),
        ({"x_train": coded(9), "x_test": coded(0)}, "x_test must hold at least 1 image"),
        ({"x_train": coded(9), "x_test": coded(9, size=4)}, "one shape"),
        ({"x_train": coded(9), "y_train": np.arange(8)}, r"y_train must be 9 labels.*received: \(8,\)"),
        ({"x_train": coded(9), "y_train": np.arange(9.0)}, "y_train must be integers, received: float64"),
        ({"x_train": coded(9), "x_test": coded(3), "y_test": np.arange(9)}, "y_test must be 3 labels"),
        ({"x_train": coded(2)}, "must hold at least 3 images to be split, received: 2"),
        ({"x_train": coded(1), "x_test": coded(1)}, "validation must be less than all 1 training images"),
    ],
)
def test_a_wrong_npz_is_named_with_its_fault(tmp_path, write, message):
    path = tmp_path / "bad.npz"
    if callable(write):
        write(path)
    else:
        write_npz(path, **write)
    with pytest.raises(UsageError, match=message) as raised:
        data.load("bad", data_dir=tmp_path)
    assert "\n" not in str(raised.value)
    assert "bad.npz" in str(raised.value) or "validation" in str(raised.value)


def test_any_damage_to_an_npz_is_a_usage_error_or_none(tmp_path):
    np.savez_compressed(tmp_path / "good.npz", x_train=coded(30), y_train=np.arange(30))
    good = (tmp_path / "good.npz").read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        content = bytearray(good)
        for place in generator.integers(0, len(good), 3):
            content[place] = generator.integers(0, 256)
        (tmp_path / "bad.npz").write_bytes(content)
        try:
            data.load("bad", data_dir=tmp_path)
        except UsageError:
            refused += 1
    assert refused > 50


def test_the_real_mnist(_nothing_at_hand):
    real = _nothing_at_hand
    if not real or not os.path.exists(os.path.join(real, "mnist.npz")):
        pytest.skip("needs mnist.npz in $KERAS_GEN_DATA")
    mnist = data.load("mnist", data_dir=real)
    assert [len(split) for split in (mnist.train, mnist.validation, mnist.test)] == [55_000, 5_000, 10_000]
    assert mnist.image_shape == data.image_shape("mnist") == (28, 28, 1)
    assert np.bincount(mnist.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    start = time.perf_counter()
    fingerprint(mnist.train, mnist.validation, mnist.test)
    assert time.perf_counter() - start < 1


# Folders


def test_folder_of_squares_of_one_size(tmp_path):
    folder = tmp_path / "squares"
    for value in range(20):
        write_image(folder / f"{value:02d}.png", grey(value))
    squares = data.load(folder, validation=2)
    assert (squares.name, squares.source, squares.image_shape) == ("squares", "folder", (8, 8, 1))
    splits = (squares.train, squares.validation, squares.test)
    assert [len(split) for split in splits] == [16, 2, 2]
    values = [split.images[:, 0, 0, 0].tolist() for split in splits]
    assert sorted(values[0] + values[1] + values[2]) == list(range(20))
    assert all(value == sorted(value) for value in values)  # in the order of paths
    assert all(split.labels is None for split in splits)
    assert len(squares.notes) == 1 and "tenth" in squares.notes[0]
    assert data.load(str(folder), validation=2).fingerprint == squares.fingerprint


def test_folder_of_mixed_sizes_and_kinds_becomes_64(tmp_path):
    folder = tmp_path / "mixed"
    for index, suffix in enumerate(("png", "jpg", "JPEG", "bmp", "gif", "webp", "tif", "tiff")):
        write_image(folder / f"{index}.{suffix}", colour(200, 100, 50, 40 + index, 50))
    (folder / "readme.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "thumbnail.png").write_text("no image")
    mixed = data.load(folder, validation=0)
    assert mixed.image_shape == (64, 64, 3) and len(mixed.train) + len(mixed.test) == 8
    everything = np.concatenate([mixed.train.images, mixed.test.images]).astype(int)
    assert np.abs(everything - (200, 100, 50)).max() <= 6  # JPEG, WebP and GIF lose a little
    assert "64x64" in mixed.notes[0] and "8 different sizes" in mixed.notes[0]
    assert data.load(folder, image_size=16, channels=1).image_shape == (16, 16, 1)
    assert not any("64" in note for note in data.load(folder, image_size=16).notes)


def test_folder_of_equal_oblongs_becomes_64(tmp_path):
    for index in range(3):
        write_image(tmp_path / "wide" / f"{index}.png", grey(0, 10, 20))
    wide = data.load(tmp_path / "wide")
    assert wide.image_shape == (64, 64, 1) and "20x10" in wide.notes[0]


def test_folder_labels_are_sorted_sub_folders(tmp_path):
    folder = tmp_path / "pets"
    for label, name in enumerate(("ant", "bee", "cat")):
        for index in range(5):
            write_image(folder / name / "deeper" / f"{index}.png", grey(10 * label + index))
    pets = data.load(folder, validation=3)
    for split in (pets.train, pets.validation, pets.test):
        assert split.labels.tolist() == (split.images[:, 0, 0, 0] // 10).tolist()
    write_image(folder / "stray.png", grey(0))
    assert data.load(folder, validation=3).train.labels is None


@pytest.mark.parametrize("validation_folder", ["val", "validation", None])
def test_folder_with_splits(tmp_path, validation_folder):
    folder = tmp_path / "pets"
    roles = {"train": 12, "test": 4} | ({validation_folder: 3} if validation_folder else {})
    for number, (role, count) in enumerate(roles.items()):
        for index in range(count):
            write_image(folder / role / ("cat" if index % 2 else "ant") / f"{index}.png", grey(100 * number + index))
    pets = data.load(folder, validation=2)
    expected = [12, 3, 4] if validation_folder else [10, 2, 4]
    assert [len(split) for split in (pets.train, pets.validation, pets.test)] == expected
    assert set(pets.test.images.ravel()) == {100, 101, 102, 103}
    assert pets.test.labels.tolist() == [0, 0, 1, 1]
    assert any("argument validation" in note for note in pets.notes) == bool(validation_folder)


def test_folder_without_test_sub_folder_splits_train(tmp_path):
    for index in range(10):
        write_image(tmp_path / "half" / "train" / f"{index}.png", grey(index))
    half = data.load(tmp_path / "half", validation=0)
    assert (len(half.train), len(half.test)) == (9, 1) and half.train.labels is None


def test_folder_channels_transparency_and_depth(tmp_path):
    folder = tmp_path / "kinds"
    write_image(folder / "a.png", np.dstack([colour(10, 20, 30), grey(0)]))  # RGBA, fully transparent
    write_image(folder / "b.png", np.dstack([colour(100, 0, 0), grey(51)]))  # a fifth opaque
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(folder / "c.png")
    Image.new("1", (8, 8), 1).save(folder / "d.png")
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(folder / "e.tif")
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 9, 8, 7])
    palette.save(folder / "f.png")
    Image.new("LA", (8, 8), (7, 0)).save(folder / "g.png")
    for split in ("test", "val"):
        write_image(tmp_path / "all" / split / "x.png", colour(1, 2, 3))
    folder.rename(tmp_path / "all" / "train")
    pixels = data.load(tmp_path / "all").train.images[:, 3, 3].tolist()
    assert pixels == [[255] * 3, [224, 204, 204], [156] * 3, [255] * 3, [255, 0, 0], [9, 8, 7], [255] * 3]


def test_folder_is_grey_only_if_every_file_is(tmp_path):
    folder = tmp_path / "grey"
    for index in range(4):
        write_image(folder / f"{index}.png", grey(60))
    Image.fromarray(np.full((8, 8), 256 * 60, np.uint16)).save(folder / "deep.png")
    assert data.load(folder).image_shape == (8, 8, 1)
    assert set(data.load(folder).train.images.ravel()) == {60}
    assert data.load(folder, channels=3).image_shape == (8, 8, 3)
    write_image(folder / "colour.png", colour(60, 60, 60))
    assert data.load(folder).image_shape == (8, 8, 3)


def test_folder_turns_pictures_upright(tmp_path):
    sideways = Image.fromarray(np.concatenate([grey(0, 8, 4), grey(250, 8, 4)], axis=1))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to view
    for role in ("train", "test", "val"):
        (tmp_path / "up" / role).mkdir(parents=True)
        for index in range(2):
            sideways.save(tmp_path / "up" / role / f"{index}.png", exif=exif)
    image = data.load(tmp_path / "up").train.images[0, ..., 0]
    assert np.all(image[:4] == 0) and np.all(image[4:] == 250)


def _bomb():
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "can't be read as an image"),
        (b"not an image", "can't be read as an image"),
        (_bomb(), "is too large an image.*decompression bomb"),
    ],
)
def test_a_bad_file_in_a_folder_is_named(tmp_path, content, message):
    for index in range(4):
        write_image(tmp_path / "bad" / f"{index}.png", grey(index))
    (tmp_path / "bad" / "2.png").write_bytes(content)
    with pytest.raises(UsageError, match=rf"bad.2\.png {message}") as raised:
        data.load(tmp_path / "bad")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "tif", "bmp"])
def test_a_truncated_image_is_named(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    for index in range(4):
        write_image(tmp_path / "cut" / f"{index}.{suffix}", noise)
    path = tmp_path / "cut" / f"3.{suffix}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UsageError, match=rf"3\.{suffix} can't be read as an image"):
        data.load(tmp_path / "cut")


def test_folders_that_hold_too_little(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="empty holds no images"):
        data.load(empty)
    for index in range(2):
        write_image(empty / f"{index}.png", grey(0))
    with pytest.raises(UsageError, match="must hold at least 3 images to be split, received: 2"):
        data.load(empty)
    write_image(empty / "2.png", grey(0))
    loaded = data.load(empty)
    assert [len(split) for split in (loaded.train, loaded.validation, loaded.test)] == [1, 1, 1]
    write_image(tmp_path / "halves" / "train" / "0.png", grey(0))
    (tmp_path / "halves" / "test").mkdir()
    with pytest.raises(UsageError, match="test holds no images"):
        data.load(tmp_path / "halves")
    for name in ("val", "validation"):
        write_image(tmp_path / "halves" / name / "0.png", grey(0))
    with pytest.raises(UsageError, match="must hold val or validation, not both"):
        data.load(tmp_path / "halves")


def test_known_names_win_over_folders_unless_written_as_paths(tmp_path):
    for folder in ("digits", "mine"):
        for index in range(3):
            write_image(tmp_path / "work" / folder / f"{index}.png", grey(0))
    assert data.load("digits").source == "embedded"
    assert data.load("./digits").source == "folder"
    assert data.load("mine").source == "folder"
    assert data.load("./mine/").name == "mine"


# tensorflow-datasets


def _prepare_tfds(root, name, version, shape, counts, config=None):
    """Write a small data set as tensorflow-datasets prepares it; the images tell their labels."""
    import tensorflow_datasets as tfds

    def examples(count):
        return [(index, {"image": np.full(shape, index, np.uint8), "label": index % 10}) for index in range(count)]

    builder = tfds.dataset_builders.AdhocBuilder(
        name=name,
        config=config,
        version=version,
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, shape[-1]), encoding_format="png"),
                "label": tfds.features.ClassLabel(num_classes=10),
            }
        ),
        split_datasets={split: examples(count) for split, count in counts.items()},
        data_dir=root,
    )
    builder.download_and_prepare()


@pytest.fixture
def _no_probe(monkeypatch):
    def probe(url):
        raise AssertionError(f"{url} was asked for, though the data are on the disk")

    monkeypatch.setattr(probing, "why_unreachable", probe)


def test_tfds_reads_what_is_prepared(tmp_path, monkeypatch, _no_probe):
    for version, count in (("3.0.9", 30), ("3.0.10", 40)):
        _prepare_tfds(tmp_path, "mnist", version, (28, 28, 1), {"train": count, "test": 7})
    mnist = data.load("mnist", data_dir=tmp_path, validation=10)
    assert (mnist.source, mnist.origin, mnist.image_shape) == ("tfds", "mnist/3.0.10", (28, 28, 1))
    assert [len(split) for split in (mnist.train, mnist.validation, mnist.test)] == [30, 10, 7]
    values = np.concatenate([split.images[:, 0, 0, 0] for split in (mnist.train, mnist.validation)])
    assert sorted(values) == list(range(40))
    assert np.array_equal(mnist.train.labels, mnist.train.images[:, 5, 5, 0] % 10)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    again = data.load("mnist", validation=10)
    assert again.fingerprint == mnist.fingerprint
    assert data.load("mnist", validation=10, image_size=32, channels=3).image_shape == (32, 32, 3)


def test_tfds_fits_photographs_and_uses_their_own_splits(tmp_path, _no_probe):
    _prepare_tfds(tmp_path, "celeb_a", "2.1.0", (21, 17, 3), {"train": 9, "validation": 4, "test": 5})
    faces = data.load("celeb_a", data_dir=tmp_path)
    assert faces.image_shape == (64, 64, 3)
    assert [len(split) for split in (faces.train, faces.validation, faces.test)] == [9, 4, 5]
    assert any("source's own" in note for note in faces.notes)
    _prepare_tfds(tmp_path, "imagenette", "1.0.0", (16, 24, 3), {"train": 9, "validation": 4}, config="160px-v2")
    nette = data.load("imagenette", data_dir=tmp_path, image_size=8, validation=0)
    assert nette.image_shape == (8, 8, 3)
    assert [len(split) for split in (nette.train, nette.validation, nette.test)] == [9, 0, 4]
    assert sorted(nette.test.images[:, 0, 0, 0]) == [0, 1, 2, 3]


def test_tfds_damage_on_the_disk_is_reported(tmp_path, _no_probe):
    _prepare_tfds(tmp_path, "mnist", "3.0.1", (28, 28, 1), {"train": 9, "test": 3})
    for record in (tmp_path / "mnist" / "3.0.1").glob("*train*"):
        content = bytearray(record.read_bytes())
        content[20:40] = bytes(20)
        record.write_bytes(content)
    with pytest.raises(DataUnavailableError, match=r"^mnist failed in tensorflow-datasets: .*DataLossError") as raised:
        data.load("mnist", data_dir=tmp_path)
    assert "\n" not in str(raised.value)


def test_offline_failure_says_what_to_do(monkeypatch):
    asked = []
    monkeypatch.setattr(probing, "why_unreachable", lambda url: asked.append(url) or "no route")
    with pytest.raises(DataUnavailableError) as raised:
        data.load("mnist")
    assert asked == ["https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz"]
    assert str(raised.value) == (
        "mnist is not on this machine, and its host does not answer: no route; "
        "put mnist.npz (x_train, y_train, x_test, y_test, all uint8) into --data-dir or $KERAS_GEN_DATA, "
        "or use --dataset digits, which needs no download"
    )


def test_a_failing_download_is_reported_by_its_first_line(monkeypatch, tmp_path):
    import tensorflow_datasets as tfds

    asked = []

    class Builder:
        def download_and_prepare(self):
            raise tfds.download.DownloadError("Failed to get url https://example.org/x.\nHTTP code: 404.")

    def builder(name, data_dir):
        asked.append((name, str(data_dir)))
        return Builder()

    monkeypatch.setattr(probing, "why_unreachable", lambda url: None)
    monkeypatch.setattr(tfds, "builder", builder)
    for data_dir in (tmp_path, None):
        with pytest.raises(
            DataUnavailableError, match=r"DownloadError: Failed to get url https://example\.org/x\.; put"
        ):
            data.load("imagenette", data_dir=data_dir)
    home = str(tmp_path / "home" / "tensorflow_datasets")
    assert asked == [("imagenette/160px-v2", str(tmp_path)), ("imagenette/160px-v2", home)]


def test_every_name_to_download_has_a_host_to_ask():
    for name in data.names():
        entry = data.catalog.find(name)
        assert (entry.tfds_name is None) == (entry.probe_url is None) == (name == "digits")
        assert tensorflow_datasets_source.find_prepared(entry, None) is None if entry.tfds_name else True


# Probing


def test_probe_of_a_closed_port():
    start = time.perf_counter()
    reason = probing.why_unreachable("http://127.0.0.1:9/")
    assert "refused" in reason.lower()
    assert time.perf_counter() - start < 5


def test_probe_is_bounded_when_nobody_answers():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.perf_counter()
        reason = probing.why_unreachable(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.5)
        assert time.perf_counter() - start < 3
    assert "timed out" in reason or "no answer within 0.5 s" in reason


@pytest.mark.parametrize(("status", "reachable"), [(200, True), (403, True), (404, True), (407, False), (503, False)])
def test_probe_takes_any_answer_of_the_host_itself(status, reachable):
    methods = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            methods.append(self.command)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        reason = probing.why_unreachable(f"http://127.0.0.1:{server.server_port}/x")
        server.shutdown()
    assert methods == ["HEAD"]
    assert (reason is None) == reachable
    assert reachable or f"HTTP {status}" in reason
