"""Tests of `data.load`: names, splits, fingerprint, description and preprocessing."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from data_helpers import coded, indices, write_npz
from PIL import Image

from keras_gen import data
from keras_gen.data import classes
from keras_gen.data.image_data import Split, fingerprint
from keras_gen.data.preprocessing import fit_picture
from keras_gen.utils.errors import UsageError

pytestmark = pytest.mark.usefixtures("own_working_directory")

ROLES = ("train", "validation", "test")


@pytest.fixture(scope="module")
def digits():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KERAS_GEN_DATA", raising=False)
        return data.load("digits")


# Names


def test_names_and_shapes():
    assert data.names() == ("digits", "mnist", "fashion_mnist", "cifar10", "celeb_a", "imagenette")
    shapes = [data.image_shape(name) for name in data.names()]
    assert shapes == [(28, 28, 1)] * 3 + [(32, 32, 3)] + [(64, 64, 3)] * 2
    with pytest.raises(
        UsageError, match=r"name must be one of digits, mnist.*received: 'mnst', did you mean 'mnist'\?"
    ):
        data.image_shape("mnst")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fashion-mnist", r"one of digits, mnist.*received: 'fashion-mnist', did you mean 'fashion_mnist'\?"),
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
def test_unknown_names_are_refused(name, message):
    with pytest.raises(UsageError, match=f"dataset must be {message}"):
        data.load(name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "image_size must be an integer of at least 1, received: 0"),
        ({"image_size": 2.5}, "image_size must be"),
        ({"channels": 2}, "channels must be one of 1, 3, received: 2"),
        ({"validation": 1.0}, r"validation must be a number in \[0, 1\)"),
        ({"validation": -0.1}, "validation must be"),
        ({"validation": -1}, "validation must be"),
        ({"validation": float("nan")}, "validation must be"),
        ({"validation": True}, "validation must be"),
        ({"validation": "0.1"}, "validation must be"),
        ({"validation": 1500}, "validation must be less than all 1500 training images, received: 1500"),
        ({"validation": 0.9999}, "validation must be less than all 1500"),
        ({"binarize": "otsu"}, "binarize must be one of None, threshold, stochastic, dynamic, received: 'otsu'"),
        ({"binarize_seed": -1}, "binarize_seed must be"),
        ({"bits": 7}, "bits must be one of 8, 9, .*, 16, received: 7"),
        ({"bits": 12}, "bits must be left out: the data have 8-bit values"),
        ({"skip_damaged": 1}, "skip_damaged must be True or False"),
        ({"skip_damaged": True}, "skip_damaged must be left out: the data are not a folder of images"),
        ({"data_dir": "nowhere"}, "data_dir must be an existing folder, received: 'nowhere'"),
        ({"data_dir": 3}, "data_dir must be"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(UsageError, match=message):
        data.load("digits", **arguments)


# The embedded digits


def test_digits(digits):
    assert (digits.name, digits.source, digits.image_shape) == ("digits", "embedded", (28, 28, 1))
    assert [len(split) for split in (digits.train, digits.validation, digits.test)] == [1375, 125, 297]
    for split in (digits.train, digits.validation, digits.test):
        assert split.images.dtype == np.uint8 and split.images.shape[1:] == (28, 28, 1)
        assert split.labels.dtype == np.int64 and set(split.labels) == set(range(10))
        assert not split.images.flags.writeable and not split.labels.flags.writeable
        assert split.images[:, 4:-4, 4:-4].max(axis=(1, 2, 3)).min() > 200
        assert split.images.sum() == split.images[:, 4:-4, 4:-4].sum()  # a margin of 4, as MNIST has


def test_digits_are_the_original_enlarged(digits):
    from sklearn.datasets import load_digits

    original = load_digits()
    test = digits.test
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


def test_description_is_json_and_repeats_the_load(digits):
    small = data.load("digits", image_size=16, validation=np.float64(0.1), binarize="stochastic", binarize_seed=4)
    description = json.loads(json.dumps(small.description()))
    assert description == {
        "name": "digits",
        "source": "embedded",
        "origin": "sklearn.datasets.load_digits",
        "counts": {"train": 1350, "validation": 150, "test": 297},
        "image_shape": [16, 16, 1],
        "crop": None,
        "class_names": None,
        "image_size": 16,
        "channels": None,
        "validation": 0.1,
        "binarize": "stochastic",
        "binarize_seed": 4,
        "bits": None,
        "skip_damaged": False,
        "notes": [],
        "fingerprint": small.fingerprint,
    }
    assert data.load("digits", **small.options).fingerprint == small.fingerprint
    assert data.load("digits", **digits.options).fingerprint == digits.fingerprint != small.fingerprint


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (([0, 1], [2], [6]), 7),  # the largest is a test label
        (([4, 1], [0], [3]), 5),
        (([0, 0], [0], [0]), 1),
        (([0, 1], [], [1]), 2),
        (([0, 1], "none", [1]), 2),  # no images need no labels
        (([0, 1], None, [1]), 0),
        (([0, 1], [2], None), 3),  # test labels are not needed to train
        ((None, None, None), 0),
        (([0, 1], [-1], [1]), 0),
    ],
)
def test_number_of_classes(digits, labels, classes):
    def split(values):
        if values in (None, "none"):
            return Split(coded(0 if values else 2))
        return Split(coded(len(values)), np.array(values, np.int64))

    loaded = dataclasses.replace(digits, **dict(zip(ROLES, map(split, labels), strict=True)))
    assert loaded.num_classes == classes and type(loaded.num_classes) is int


def test_number_of_classes_of_loaded_data(digits, tmp_path):
    assert digits.num_classes == data.load("digits", validation=0).num_classes == 10
    write_npz(tmp_path / "half.npz", x_train=coded(9), y_train=np.arange(9), x_test=coded(3))
    half = data.load("half", data_dir=tmp_path)
    assert half.num_classes == 9 and "test images have no labels, train images do" in half.notes
    write_npz(tmp_path / "other.npz", x_train=coded(9), x_test=coded(3), y_test=np.arange(3))
    assert data.load("other", data_dir=tmp_path).num_classes == 0


@pytest.mark.parametrize(
    ("labels", "options", "names", "numbers"),
    [
        ([3, 7], {}, ("3", "7"), [0, 1]),
        ([26, 1], {}, ("1", "26"), [1, 0]),
        ([1, 0], {}, None, [1, 0]),
        (["dog", "cat"], {}, ("cat", "dog"), [1, 0]),
        ([b"dog", b"cat"], {}, ("cat", "dog"), [1, 0]),
        ([True, False], {}, None, [1, 0]),
        ([2, 0], {"class_names": np.array(["a", "b", "c"])}, ("a", "c"), [1, 0]),
        ([1, 0], {"class_names": np.array(["a", "b", "c"])}, ("a", "b"), [1, 0]),
        ([1, 0], {"label_names": np.array([[b"a"], [b"b"]])}, ("a", "b"), [1, 0]),
        ([-1, 1], {}, None, [-1, 1]),
    ],
)
def test_classes_are_numbered_without_gaps_and_named(tmp_path, labels, options, names, numbers):
    write_npz(tmp_path / "a.npz", x_train=coded(60), y_train=np.array(labels * 30), x_test=coded(2), **options)
    loaded = data.load("a", data_dir=tmp_path)
    assert loaded.class_names == names
    assert loaded.num_classes == (0 if -1 in labels else 2)
    assert loaded.train.labels.tolist() == [numbers[index % 2] for index in indices(loaded.train)]
    assert loaded.train.labels.dtype == np.int64 and not loaded.train.labels.flags.writeable
    assert json.loads(json.dumps(loaded.description()))["class_names"] == (names and list(names))


def test_a_run_of_an_old_version_gets_its_labels_with_gaps_again(tmp_path):
    labels = np.array([3, 7] * 30)
    write_npz(tmp_path / "a.npz", x_train=coded(60), y_train=labels, x_test=coded(2), y_test=labels[:2])
    loaded = data.load("a", data_dir=tmp_path)
    old = classes.with_source_labels(loaded)
    assert (old.num_classes, old.class_names) == (8, None)
    assert old.train.labels.tolist() == [labels[index] for index in indices(loaded.train)]
    assert old.fingerprint == fingerprint(old.train, old.validation, old.test) != loaded.fingerprint


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


def test_resizing_crops_the_center(tmp_path):
    images = np.zeros((4, 8, 40, 3), np.uint8)
    images[:, :, 10:30] = (200, 100, 50)  # the central square and, around it, what Lanczos reaches at half the size
    write_npz(tmp_path / "wide.npz", x_train=images)
    assert data.load("wide", data_dir=tmp_path).image_shape == (8, 40, 3)
    small = data.load("wide", data_dir=tmp_path, image_size=4)
    assert small.image_shape == (4, 4, 3)
    assert np.all(small.train.images == (200, 100, 50))
    assert data.load("wide", data_dir=tmp_path, image_size=8).image_shape == (8, 8, 3)  # as high, but not as wide
    gray_images = data.load("wide", data_dir=tmp_path, image_size=4, channels=1).train.images
    assert gray_images.shape[1:] == (4, 4, 1)
    assert np.all(gray_images == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    ("height", "width", "crop", "top", "left"),
    [
        (218, 178, 108, 55, 35),
        (178, 218, 108, 35, 55),
        (9, 12, 4, 2, 4),
        (8, 8, 5, 1, 1),  # what is left over is odd: the larger part is below and to the right
        (7, 9, 7, 0, 1),
        (5, 5, 5, 0, 0),
        (6, 3, 1, 2, 1),
    ],
)
def test_a_crop_is_the_center_to_the_pixel(mode, height, width, crop, top, left):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    pixels = pixels[..., :1] if mode == "L" else pixels
    picture = Image.fromarray(pixels[..., 0] if mode == "L" else pixels)
    expected = pixels[top : top + crop, left : left + crop]
    for image_size in (None, crop):  # neither resizes
        assert np.array_equal(fit_picture(picture, image_size, pixels.shape[-1], crop), expected)


def test_the_largest_square_is_cut_out_without_resizing_it():
    stripes = np.tile(np.uint8([[0], [255]]), (33, 64))[:65]  # one row more than columns
    assert np.array_equal(fit_picture(Image.fromarray(stripes), 64, 1)[..., 0], stripes[:64])


@pytest.mark.parametrize("image_size", [10, 28, 40, 64])  # the last is the whole picture's size
def test_pixels_outside_a_crop_have_no_influence(image_size):
    generator = np.random.default_rng(0)
    one, other = generator.integers(0, 256, (2, 64, 64, 3), np.uint8)
    other[12:52, 12:52] = one[12:52, 12:52]
    first, second = (fit_picture(Image.fromarray(pixels), image_size, 3, crop=40) for pixels in (one, other))
    assert first.shape == (image_size, image_size, 3)
    assert np.array_equal(first, second)
    other[12, 12] += 128  # the first pixel inside the crop
    assert not np.array_equal(first, fit_picture(Image.fromarray(other), image_size, 3, crop=40))


def test_gray_to_color_repeats_the_channel(tmp_path):
    write_npz(tmp_path / "coded.npz", x_train=coded(20))
    plain, wide = (data.load("coded", data_dir=tmp_path, channels=channels) for channels in (None, 3))
    assert np.array_equal(wide.train.images, plain.train.images.repeat(3, axis=-1))
