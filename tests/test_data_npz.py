"""Tests of images in .npz files: the folders searched, and errors that name the file."""

import zipfile

import numpy as np
import pytest
from data_helpers import coded, indices, write_npz

from keras_gen import data
from keras_gen.utils.errors import UsageError

pytestmark = pytest.mark.usefixtures("own_working_directory")


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
        (_write_text, "can't be read as an .npz file: File is not a zip file"),
        (_truncated, "can't be read as an .npz file"),
        (_damaged, "can't be read as an .npz file"),
        (_not_an_array, "can't be read as an .npz file: the magic string is not correct"),
        ({"faces": coded(9), "ids": np.arange(9)}, "must hold an array x_train .or .*, received: 'faces', 'ids'"),
        ({"images": coded(9), "data": coded(9)}, "must hold only one array x_train, received: images, data"),
        (
            {"x_train": coded(9) / 127.5 - 1},
            r"x_train must be uint8.*received: float64 from -1 to .*\(x \+ 1\) \* 127\.5",
        ),
        ({"x_train": coded(9) + np.nan}, "x_train must be uint8.*received: float64 from nan"),
        ({"x_train": coded(9) / 255, "x_test": coded(9) + np.nan}, "must be uint8.*received: float64 from nan"),
        ({"x_train": coded(9).astype(np.int64) - 1}, "x_train must be uint8.*int64 from -1"),
        ({"x_train": coded(9).astype(np.int64) * 2**14}, "x_train must be uint8.*int64 from 0 to 131072"),
        ({"x_train": coded(9).astype("M8[s]")}, "x_train must be uint8.*received: datetime64"),
        (
            {"x_train": np.array([None] * 9, object)},
            "can't be read.*x_train holds Python objects, which are not unpickled",
        ),
        ({"x_train": np.zeros((9, 65), np.uint8)}, r"x_train must have shape .*received: \(9, 65\)"),
        ({"x_train": np.zeros((9, 8, 8, 4), np.uint8)}, r"x_train must have 1 or 3 channels.*\(9, 8, 8, 4\)"),
        ({"x_train": coded(0)}, r"x_train must hold at least 1 image, received: shape \(0, 8, 8, 1\)"),
        ({"x_train": coded(9), "x_test": coded(0)}, "x_test must hold at least 1 image"),
        ({"x_train": coded(9), "x_test": coded(9, size=4)}, "the same shape"),
        ({"x_train": coded(9), "y_train": np.arange(8)}, r"y_train must be 9 labels.*received: \(8,\)"),
        ({"x_train": coded(9), "y_train": np.arange(9.0)}, "y_train must be integers or text, received: float64"),
        (
            {"x_train": coded(9), "y_train": np.eye(9, dtype=int)},
            r"must be 9 labels.*\(9, 9\); convert one-hot rows with y.argmax",
        ),
        (
            {"x_train": coded(9), "y_train": np.arange(9), "class_names": ["a"]},
            "class_names must be names of the labels",
        ),
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


X, LABELS = np.random.default_rng(0).integers(0, 256, (60, 16, 16), np.uint8), np.arange(60) % 3
X[0, 0] = np.arange(0, 256, 17)  # from 0 to 255


@pytest.mark.parametrize(
    ("train", "note"),
    [
        (X / 255, "values are in [0, 1]: multiplied by 255"),
        ((X / 255).astype(np.float32), "values are in [0, 1]: multiplied by 255"),
        (X.astype(np.float32), None),
        (X.astype(np.int64), "values are up to 255: read as 8 bits"),
        (X.astype(np.uint16) << 2, "up to 1,020: read as 10 bits"),
        (X.astype(">u2") << 4, "up to 4,080: read as 12 bits"),
        (X.astype(np.uint16) * 257, "up to 65,535: read as 16 bits"),
        (X.reshape(60, 256), "is flat, (60, 256): read as 16x16"),
        (X[:, np.newaxis], "has its channels first, (60, 1, 16, 16)"),
    ],
    ids=lambda value: f"{value.dtype.str[1:]}-{value.ndim}" if isinstance(value, np.ndarray) else "",
)
def test_an_npz_of_other_types_and_shapes_is_the_same_data(tmp_path, train, note):
    plain = data.load(write_npz(tmp_path / "plain.npz", x_train=X, y_train=LABELS))
    other = data.load(write_npz(tmp_path / "other.npz", x_train=train, y_train=LABELS))
    assert other.fingerprint == plain.fingerprint
    assert (note is None) == (other.notes == plain.notes) and (note or "") in other.notes[0]


def test_one_rule_converts_all_splits_and_bits_can_be_told(tmp_path):
    dark = write_npz(tmp_path / "dark.npz", x_train=X.astype(np.uint16) << 4, x_test=X[:3] // np.uint16(2))
    loaded = data.load(dark)
    assert loaded.options["bits"] == 12 and np.array_equal(loaded.test.images[..., 0], (X[:3] // 2) >> 4)
    assert data.load(dark, **loaded.options).fingerprint == loaded.fingerprint
    assert np.array_equal(data.load(dark, bits=14).test.images[..., 0], (X[:3] // 2) >> 6)
    with pytest.raises(UsageError, match="bits must be at least 12, since .*dark.npz: x_train has a value of 4,080"):
        data.load(dark, bits=10)
    masks = data.load(write_npz(tmp_path / "masks.npz", x_train=X > 99))
    assert set(masks.train.images.ravel()) == {0, 255}
    for dtype in (np.uint8, np.int64):
        zeros_and_ones = data.load(write_npz(tmp_path / "ones.npz", x_train=(X > 99).astype(dtype)))
        assert "all training images are black" in zeros_and_ones.notes[-1]
    mixed = data.load(
        write_npz(tmp_path / "mixed.npz", x_train=X.astype(np.int64) << 4, x_test=X[:3].astype(np.uint16))
    )
    assert mixed.options["bits"] == 12 and np.array_equal(mixed.test.images[..., 0], X[:3] >> 4)


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
        ("X_train", "Y_train", "X_valid", "Y_valid", "X_test", "Y_test"),
        ("images", "labels", "images_validation", "labels_validation", "images_test", "labels_test"),
        ("data", "targets", "dev_data", "dev_targets", "data-test", "targets-test"),
        ("arr_0", "arr_1", "x_val", "y_val", "x_test", "y_test"),
        ("train_set_x", "train_set_y", "valX", "valY", "testImages", "testLabels"),
    ],
    ids=lambda names: names[0],
)
def test_usual_names_of_arrays_are_understood(tmp_path, names):
    parts = [
        part for start, stop in ((0, 40), (40, 50), (50, 60)) for part in (coded(60)[start:stop], LABELS[start:stop])
    ]
    loaded = data.load(write_npz(tmp_path / "a.npz", **dict(zip(names, parts, strict=True)), ids=np.arange(9)))
    splits = loaded.train, loaded.validation, loaded.test
    assert [indices(split) for split in splits] == [list(range(40)), list(range(40, 50)), list(range(50, 60))]
    assert all(split.labels.tolist() == LABELS[indices(split)].tolist() for split in splits)
    assert "arrays that were not read: 'ids'" in loaded.notes


def test_keras_names_win_over_others_in_one_file(tmp_path):
    plain = data.load(write_npz(tmp_path / "a.npz", x_train=X, y_train=LABELS))
    more = data.load(write_npz(tmp_path / "b.npz", x_train=X, y_train=LABELS, images=X[:4], y_test=LABELS))
    assert more.fingerprint == plain.fingerprint and "arrays that were not read: 'images', 'y_test'" in more.notes


def test_the_real_mnist(mnist_folder):
    mnist = data.load("mnist", data_dir=mnist_folder)
    assert [len(split) for split in (mnist.train, mnist.validation, mnist.test)] == [55_000, 5_000, 10_000]
    assert mnist.image_shape == data.image_shape("mnist") == (28, 28, 1)
    assert np.bincount(mnist.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
