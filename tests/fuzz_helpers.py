"""Arbitrary and damaged input, the same in every run, which must be accepted or refused in one line."""

import contextlib
import io
import json
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_gen.utils.errors import UsageError

AMOUNTS = pytest.mark.parametrize(
    "times", [pytest.param(0.1, id="few"), pytest.param(10, id="many", marks=pytest.mark.slow)]
)
"""Factor of a test's number of examples: a tenth by default, ten times as many with `-m slow`."""


def fuzz(check, *strategies, examples, known=()):
    """Call `check` with the `known` inputs, which once found a fault, and then with `examples` random ones."""
    test = given(*strategies)(check)
    for arguments in known:
        test = example(*arguments)(test)
    settings(
        max_examples=max(1, round(examples)),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(test)()


@contextlib.contextmanager
def done_or_refused():
    """Check that the block raises nothing but a `UsageError` of one line."""
    try:
        yield
    except UsageError as error:
        assert str(error).strip()
        assert "\n" not in str(error)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, -1, 2**31, 2**63, 10**30, 1e308]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "..", "../x", "/", "~", "~nobody-here/x", "a\0b", "\ud800", "NaN", "1e999", "<b>"]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=8,
)
"""Values that `json.loads` can return."""


def nested(depth):
    """Return a JSON text of `depth` nested lists."""
    return "[" * depth + "]" * depth


def spoiled(content):
    """Return a strategy of JSON objects like `content` with some values replaced, deleted or added, at any depth."""
    places = list(_places(content, ()))

    def spoil(changes, extra):
        copy = json.loads(json.dumps(content))
        for place, value, kind in changes:
            _change(copy, place, value, kind)
        return copy | extra

    change = st.tuples(st.sampled_from(places), JSON, st.sampled_from(["replace", "replace", "delete"]))
    extras = st.one_of(st.just({}), st.dictionaries(st.text(max_size=5), JSON, max_size=1))
    return st.builds(spoil, st.lists(change, min_size=1, max_size=3), extras)


def _places(content, before):
    for key in content if isinstance(content, dict) else range(len(content)):
        yield (*before, key)
        if isinstance(content[key], dict | list):
            yield from _places(content[key], (*before, key))


def _change(content, place, value, kind):
    try:
        for key in place[:-1]:
            content = content[key]
        if kind == "delete":
            del content[place[-1]]
        else:
            content[place[-1]] = value
    except (KeyError, IndexError, TypeError):  # an earlier change deleted the place
        pass


def damaged(content):
    """Return a strategy of bytes like `content`, some of them flipped, cut, inserted, repeated or overwritten."""
    position = st.integers(0, max(0, len(content) - 1))
    # An archive's directory and a picture's header are at the ends of a file.
    position = position | st.integers(0, min(64, len(content) - 1)).map(lambda p: len(content) - 1 - p)
    position = position | st.integers(0, min(64, len(content) - 1))
    some = st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\xff" * 4, b"\0" * 4, b"\xff" * 8]))
    edit = st.tuples(st.sampled_from(["flip", "cut", "end", "insert", "repeat", "overwrite"]), position, some)
    return st.lists(edit, min_size=1, max_size=4).map(lambda edits: _edited(content, edits))


def _edited(content, edits):
    content = bytearray(content)
    for kind, place, some in edits:
        place = min(place, max(0, len(content) - 1))
        if kind == "flip" and content:
            content[place] ^= some[0] or 1
        elif kind == "cut":
            del content[place : place + 16 * len(some)]
        elif kind == "end":
            del content[place:]
        elif kind == "insert":
            content[place:place] = some
        elif kind == "repeat":
            content[place:place] = content[place : place + 16 * len(some)]
        elif kind == "overwrite":
            content[place : place + len(some)] = some
    return bytes(content)


def array_file(header, values=b"", version=(1, 0)):
    """Return the bytes of a `.npy` file with that header."""
    written = header.encode("latin1")
    length = struct.pack("<H" if version == (1, 0) else "<I", len(written))
    return b"\x93NUMPY" + bytes(version) + length + written + values


def archive_of(members, kind=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


PIXELS = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)


def encoded(file_format, mode="RGB", **options):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(buffer, format=file_format, **options)
    return buffer.getvalue()


def deep():
    buffer = io.BytesIO()
    Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257).save(buffer, format="PNG")
    return buffer.getvalue()


def animated(file_format):
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    buffer = io.BytesIO()
    frames[0].save(buffer, format=file_format, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


PICTURES = {
    "rgb.png": encoded("PNG"),
    "palette.png": encoded("PNG", "P"),
    "deep.png": deep(),
    "transparent.png": encoded("PNG", "RGBA"),
    "animated.png": animated("PNG"),
    "rgb.jpg": encoded("JPEG", quality=90),
    "cmyk.jpg": encoded("JPEG", "CMYK"),
    "several.jpg": animated("MPO"),
    "animated.gif": animated("GIF"),
    "rgb.bmp": encoded("BMP"),
    "rgb.webp": encoded("WEBP"),
    "rgb.tif": encoded("TIFF"),
    "deflated.tif": encoded("TIFF", compression="tiff_deflate"),
}
"""Small pictures in each format, by file name."""
