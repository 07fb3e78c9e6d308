"""Damaged and odd `.npz` files are read correctly or refused in one line."""

import io
import struct
import zipfile

import numpy as np
import pytest
from fuzz_helpers import AMOUNTS, archive_of, array_file, damaged, done_or_refused, fuzz
from hypothesis import strategies as st
from model_helpers import make_vae
from run_helpers import save_checkpoint

from keras_gen import data
from keras_gen.runs import checkpoints
from keras_gen.utils import archives
from keras_gen.utils.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name")

IMAGES = np.arange(12 * 4 * 4, dtype=np.uint8).reshape(12, 4, 4)
LABELS = np.arange(12) % 3


def packed(save=np.savez, **arrays):
    buffer = io.BytesIO()
    save(buffer, **arrays)
    return buffer.getvalue()


STORED = packed(x_train=IMAGES, y_train=LABELS)
DEFLATED = packed(np.savez_compressed, x_train=IMAGES, y_train=LABELS)


def claims(header, offset, value, size="<I"):
    """Return `STORED` with `value` at `offset` of its first `header`."""
    content = bytearray(STORED)
    struct.pack_into(size, content, content.index(header) + offset, value)
    return bytes(content)


KNOWN = [
    claims(b"PK\x01\x02", 10, 8, "<H"),  # claims to be deflated: zlib.error
    claims(b"PK\x01\x02", 10, 14, "<H"),  # claims to be LZMA
    claims(b"PK\x01\x02", 10, 12, "<H"),  # claims to be bzip2
    claims(b"PK\x01\x02", 8, 1, "<H"),  # claims to be encrypted
    claims(b"PK\x01\x02", 24, 2**32 - 1),  # 4 GB, or zip64 without its record
    claims(b"PK\x01\x02", 42, 2**31),  # at another offset
    claims(b"PK\x05\x06", 16, 2**32 - 1),
]


@AMOUNTS
def test_damaged_data(tmp_path, times):
    path = tmp_path / "bad.npz"

    def check(content):
        path.write_bytes(content)
        with done_or_refused():
            arrays = archives.read(path, ("x_train", "y_train"))
            for name, expected in (("x_train", IMAGES), ("y_train", LABELS)):  # verified by checksums
                assert name not in arrays or np.array_equal(arrays[name], expected)
            assert len(data.load(path).train) == 10

    fuzz(check, damaged(STORED) | damaged(DEFLATED), examples=300 * times, known=[(content,) for content in KNOWN])


@AMOUNTS
def test_odd_archives(tmp_path, times):
    path = tmp_path / "odd.npz"

    def check(members, kind):
        path.write_bytes(archive_of(members, kind))
        with done_or_refused():
            assert all(isinstance(array, np.ndarray) for array in archives.read(path).values())
        with done_or_refused():
            data.load(path)

    good = packed(x_train=IMAGES)
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        member = archive.read("x_train.npy")
    shapes = st.lists(st.sampled_from([0, 1, 2, 12, -1, 2**31, 2**63, 10**30, True]), max_size=5)
    types = st.sampled_from(["|u1", "<i8", "|O", "|V0", "<U0", "S3", ">c16", "M8[s]", "nonsense", "(4,)u1", "<f2,<f4"])
    headers = st.builds(
        lambda dtype, shape, order: f"{{'descr': {dtype!r}, 'fortran_order': {order}, 'shape': {tuple(shape)!r}, }}\n",
        types,
        shapes,
        st.booleans(),
    ) | st.text(st.characters(max_codepoint=255), max_size=30)
    versions = st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)])
    made = st.builds(array_file, headers, st.binary(max_size=50), versions)
    names = st.sampled_from(["x_train.npy", "x_train", "y_train.npy", "x_test.npy", "../x_train.npy", "/", "é.npy"])
    members = st.lists(st.tuples(names, made | damaged(member) | st.just(member)), max_size=4)
    kinds = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    known = [
        ([("x_train.npy", array_file("{'descr': '|u1', 'fortran_order': False, 'shape': (10000000000,), }\n"))], 0),
        ([("x_train.npy", array_file("{'descr': '|V0', 'fortran_order': False, 'shape': (10000000000,), }\n"))], 0),
        ([("x_train.npy", member), ("x_train.npy", member)], 0),
        ([("x_train.npy", member), ("x_train", member)], 0),
    ]
    fuzz(check, members, kinds, examples=120 * times, known=known)


@AMOUNTS
def test_damaged_checkpoints(tmp_path, times):
    """A restored model has the saved weights, and a refused checkpoint leaves the model unchanged."""
    model, other = make_vae(), make_vae(seed=1)
    content = save_checkpoint(tmp_path, model, checkpoints.TrainingPosition(3, 2, 0.5)).read_bytes()
    path = tmp_path / "epoch-00009.npz"
    saved, before = ([np.asarray(v.value) for v in checkpoints._variables(m)] for m in (model, other))

    def check(content):
        path.write_bytes(content)
        expected = before
        with done_or_refused():
            assert checkpoints.restore(path, other) == checkpoints.TrainingPosition(3, 2)
            expected = saved
        variables = checkpoints._variables(other)
        for variable, value in zip(variables, expected, strict=True):
            np.testing.assert_array_equal(variable.value, value)
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)

    fuzz(check, damaged(content), examples=120 * times)


def test_undamaged_files_are_read(tmp_path):
    """Without this test, a reader that refuses everything would pass."""
    for content in (STORED, DEFLATED):
        (tmp_path / "a.npz").write_bytes(content)
        np.testing.assert_array_equal(archives.read(tmp_path / "a.npz")["y_train"], LABELS)
        assert len(data.load(tmp_path / "a.npz").train) == 10


def test_known_damage_is_refused(tmp_path):
    for content in KNOWN:
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(UsageError, match=r"a\.npz can't be read as an \.npz file: "):
            archives.read(tmp_path / "a.npz")
