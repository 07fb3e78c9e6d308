"""Helpers of the tests of data."""

import struct
import zlib

import numpy as np
from PIL import Image


def coded(count, size=8, channels=1, start=0):
    """Return images that encode their index: pixel (0, 0) is its low byte, pixel (0, 1) its high byte."""
    images = np.zeros((count, size, size, channels), np.uint8)
    index = np.arange(start, start + count)
    images[:, 0, 0], images[:, 0, 1] = (index % 256)[:, None], (index // 256)[:, None]
    return images


def indices(split):
    """Return the index that `coded` put in each image."""
    return (split.images[:, 0, 0, 0].astype(int) + 256 * split.images[:, 0, 1, 0].astype(int)).tolist()


def write_npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def write_image(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path, **options)
    return path


def gray(value, height=8, width=8):
    return np.full((height, width), value, np.uint8)


def color(red, green, blue, height=8, width=8):
    return np.full((height, width, 3), (red, green, blue), np.uint8)


def png_chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(width, height, *chunks, depth=8, color=2):
    """Return a PNG with that header."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + b"".join(chunks) + png_chunk(b"IEND", b"")
