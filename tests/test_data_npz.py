"""Tests of images in .npz files: the folders searched, and errors that name the file."""

import time
import zipfile

import data_helpers
import numpy as np
import pytest
from data_helpers import coded, indices, write_npz

from keras_gen import data
from keras_gen.data.image_data import fingerprint
from keras_gen.utils.errors import UsageError

nothing_at_hand = data_helpers.nothing_at_hand


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
        ({"images": coded(9)}, "must hold an array x_train"),
        ({"x_train": coded(9) / 255.0}, "x_train must be uint8, 0 to 255, received: float64"),
        ({"x_train": coded(9).astype(np.int64)}, "x_train must be uint8.*int64"),
        (
            {"x_train": np.array([None] * 9, object)},
            "can't be read.*x_train holds Python objects, which are not unpickled",
        ),
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


def test_the_real_mnist(mnist_folder):
    mnist = data.load("mnist", data_dir=mnist_folder)
    assert [len(split) for split in (mnist.train, mnist.validation, mnist.test)] == [55_000, 5_000, 10_000]
    assert mnist.image_shape == data.image_shape("mnist") == (28, 28, 1)
    assert np.bincount(mnist.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    start = time.perf_counter()
    fingerprint(mnist.train, mnist.validation, mnist.test)
    assert time.perf_counter() - start < 1
