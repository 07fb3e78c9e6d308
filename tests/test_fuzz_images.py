"""Damaged pictures are read to images of the right shape or refused in one line that names the file."""

import zlib

import pytest
from data_helpers import png, png_chunk
from fuzz_helpers import AMOUNTS, PICTURES, damaged, done_or_refused, fuzz
from hypothesis import strategies as st

from keras_gen import data
from keras_gen.report.pages import data_uri

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about damage that it repairs


@pytest.fixture
def folder(tmp_path):
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(PICTURES["rgb.png"])
    return tmp_path


def test_undamaged_pictures_are_read(folder):
    for name, content in PICTURES.items():
        (folder / name).write_bytes(content)
    loaded = data.load(folder, image_size=8)
    assert sum(len(split) for split in (loaded.train, loaded.validation, loaded.test)) == 3 + len(PICTURES)


@AMOUNTS
@pytest.mark.parametrize("name", PICTURES)
def test_damaged_pictures(folder, name, times):
    def check(content, channels):
        (folder / name).write_bytes(content)
        with done_or_refused():
            loaded = data.load(folder, image_size=8, channels=channels)
            assert loaded.image_shape == (8, 8, channels)

    fuzz(check, damaged(PICTURES[name]), st.sampled_from([1, 3]), examples=25 * times)


@AMOUNTS
def test_png_files_of_odd_parts(folder, times):
    def check(content):
        (folder / "odd.png").write_bytes(content)
        with done_or_refused():
            data.load(folder, image_size=8)
        with done_or_refused():
            assert data_uri.grid(folder / "odd.png", cell_height=3).startswith("data:image/")

    sides = st.sampled_from([0, 1, 7, 2**15, 60_000, 2**31 - 1, 2**32 - 1])
    kinds = st.sampled_from([b"IDAT", b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"eXIf", b"acTL", b"fdAT", b"iTXt", b"gAMA"])
    contents = st.binary(max_size=30) | st.binary(max_size=300).map(zlib.compress) | st.just(b"k\0\0" + bytes(50))
    chunks = st.lists(st.builds(png_chunk, kinds, contents), max_size=4)
    made = st.builds(
        lambda width, height, chunks, depth, color: png(width, height, *chunks, depth=depth, color=color),
        sides,
        sides,
        chunks,
        st.sampled_from([0, 1, 2, 4, 8, 16, 32]),
        st.integers(0, 7),
    )
    fuzz(check, made, examples=100 * times)


@AMOUNTS
def test_damaged_grids_of_a_report(tmp_path, times):
    def check(content, cell_height, rows):
        (tmp_path / "epoch-00001.png").write_bytes(content)
        with done_or_refused():
            assert data_uri.grid(tmp_path / "epoch-00001.png", cell_height, rows).startswith("data:image/")

    cell_heights, rows = st.sampled_from([None, 1, 3, 100]), st.sampled_from([None, 1, 50])
    anything = damaged(PICTURES["rgb.png"]) | damaged(PICTURES["deep.png"]) | st.sampled_from(list(PICTURES.values()))
    fuzz(check, anything, cell_heights, rows, examples=150 * times)
