"""Tests of images that exceed the memory limit: on disk, identical, deleted with the process."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from data_helpers import coded, indices, write_image, write_npz

from keras_gen import data
from keras_gen.data import preprocessing, storage
from keras_gen.utils.errors import UsageError

pytestmark = pytest.mark.usefixtures("own_working_directory")

ROOT = Path(__file__).resolve().parent.parent
ROLES = ("train", "validation", "test")


@pytest.fixture
def scratch(monkeypatch, tmp_path):
    """An empty temporary folder."""
    path = tmp_path / "scratch"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def exceed_memory(monkeypatch):
    """Let every array exceed the memory limit and be copied in many chunks."""
    monkeypatch.setattr(storage, "MEMORY_FRACTION", 0)
    monkeypatch.setattr(storage, "CHUNK_BYTES", 1000)


def noise(count, size=9, channels=3):
    return np.random.default_rng(count).integers(0, 256, (count, size, size, channels), np.uint8)


def prepared_folder(tmp_path):
    for index, image in enumerate(noise(40)):
        write_image(tmp_path / "photos" / "ab"[index % 2] / f"{index:02d}.png", image)
    return tmp_path / "photos"


def prepared_folder_with_splits(tmp_path):
    for role, count in (("train", 12), ("val", 4), ("test", 5)):
        for index, image in enumerate(noise(count)):
            write_image(tmp_path / "splits" / role / f"{index:02d}.png", image)
    return tmp_path / "splits"


def npz_in_columns(tmp_path):
    return write_npz(tmp_path / "columns.npz", x_train=np.asfortranarray(noise(60)), x_test=np.asfortranarray(noise(7)))


def digits(tmp_path):
    return "digits"


@pytest.mark.parametrize("source", [prepared_folder, prepared_folder_with_splits, npz_in_columns, digits])
@pytest.mark.parametrize(
    "options",
    [{}, {"channels": 3, "image_size": 5, "binarize": "stochastic", "binarize_seed": 3, "validation": 3}],
    ids=["plain", "prepared"],
)
def test_data_on_disk_equal_those_in_memory(tmp_path, monkeypatch, scratch, source, options):
    name = source(tmp_path)
    inside = data.load(name, **options)
    assert not any(storage.is_mapped(getattr(inside, role).images) for role in ROLES)
    exceed_memory(monkeypatch)
    outside = data.load(name, **options)
    assert outside.fingerprint == inside.fingerprint
    for role in ROLES:
        there, here = getattr(outside, role), getattr(inside, role)
        assert np.array_equal(there.images, here.images) and np.array_equal(there.labels, here.labels)
        assert not there.images.flags.writeable and there.images.flags.c_contiguous
    assert storage.is_mapped(outside.validation.images)
    notes = [note for note in outside.notes if note not in inside.notes]
    assert notes == ["0.0 GB of images were written to disk, because they exceed the memory limit"]
    assert {**outside.description(), "notes": []} == {**inside.description(), "notes": []}


def test_taking_is_indexing(monkeypatch, scratch):
    exceed_memory(monkeypatch)
    order = np.random.default_rng(0).permutation(300)[:123]
    taken = data.Split(coded(300), np.arange(300)).take(order)
    assert storage.is_mapped(taken.images) and indices(taken) == taken.labels.tolist() == order.tolist()
    assert not storage.is_mapped(taken.images.copy())


@pytest.mark.parametrize("chunk", [1, 28, 1000, 2**24])
@pytest.mark.parametrize("shape", [(1, 3), (2, 7), (50, 9, 9, 3)], ids=str)
def test_draws_in_chunks_equal_those_of_one_call(monkeypatch, shape, chunk):
    monkeypatch.setattr(storage, "CHUNK_BYTES", chunk)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    ours, theirs = np.random.default_rng(1), np.random.default_rng(1)
    for _ in range(3):  # later draws are the same, too
        expected = np.where(theirs.integers(0, 255, shape, np.uint8) < images, 255, 0)
        assert np.array_equal(preprocessing.binarize(images, "stochastic", ours), expected)
    assert ours.bit_generator.state == theirs.bit_generator.state


def test_draws_are_the_same_on_every_machine():
    ramp = np.arange(0, 240, 10, np.uint8).reshape(4, 6)
    drawn = preprocessing.binarize(ramp, "stochastic", np.random.default_rng(5))
    assert (drawn // 255).tolist() == [[0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1], [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 1]]


_KILLED = """
import sys, tempfile, time
from keras_gen import data
from keras_gen.data import storage

tempfile.tempdir = sys.argv[2]
storage.MEMORY_FRACTION = 0
loaded = data.load(sys.argv[1])
print(storage.is_mapped(loaded.train.images), flush=True)
time.sleep(600)
"""


def test_no_file_remains_of_a_killed_process(tmp_path, scratch):
    arguments = [sys.executable, "-c", _KILLED, prepared_folder(tmp_path), scratch]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout.readline() == "True\n"
        finally:
            child.send_signal(signal.SIGKILL)
    assert os.listdir(scratch) == []


def test_a_full_disk_is_refused_in_one_line(tmp_path, monkeypatch, scratch):
    exceed_memory(monkeypatch)
    photos = prepared_folder(tmp_path)

    def refused(**options):
        with pytest.raises(UsageError) as raised:
            data.load(photos, **options)
        assert os.listdir(scratch) == [] and "\n" not in str(raised.value)
        return str(raised.value)

    message = refused(image_size=10**5)
    assert message.startswith(f"{photos}: 40 images of 100000x100000x3 take 1,200.0 GB, which exceeds the memory limit")
    assert (
        f"use a smaller image_size, or set TMPDIR to a folder with that much space on a disk: {scratch} has" in message
    )
    if hasattr(os, "posix_fallocate"):

        def refuse(*arguments):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "posix_fallocate", refuse)
        assert refused().endswith("on a disk: No space left on device")
