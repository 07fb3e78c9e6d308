"""Allocate arrays of images: in memory or, if they are too large, in an unnamed file on disk."""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from keras_gen.utils import progress
from keras_gen.utils.errors import UsageError

MEMORY_FRACTION = 1 / 4
"""Fraction of the memory that one array may take. Splitting, resizing and binarizing need up to three copies."""

CHUNK_BYTES = 2**24
"""Bytes that are copied at a time."""

_ALIGNMENT = 64  # bytes: TensorFlow uses an array without a copy if it begins at a multiple of this


class NoRoomError(UsageError):
    """The images fit neither in memory nor on disk."""


def allocate_images(where: object, shape: tuple[int, ...]) -> np.ndarray:
    """Return an uninitialized uint8 array of shape `(N, ...)` for the images of a source.

    An array of more than `MEMORY_FRACTION` of the memory is mapped to a file in the temporary folder ($TMPDIR). The
    file has no name (on Windows, a name while it is in use), so it disappears with the array or the process.

    Raises:
        NoRoomError: a `UsageError`: the disk has too little space, too.

    Example:
        >>> allocate_images("digits", (10, 28, 28, 1)).shape
        (10, 28, 28, 1)
    """
    size = math.prod(shape)
    # A too large allocation may succeed, and the process be killed later, when the array is filled.
    if size <= MEMORY_FRACTION * _memory():
        with contextlib.suppress(MemoryError):
            buffer = np.empty(size + _ALIGNMENT, np.uint8)
            start = -buffer.ctypes.data % _ALIGNMENT
            return buffer[start : start + size].reshape(shape)
    try:
        folder = tempfile.gettempdir()
        if size > (free := shutil.disk_usage(folder).free):
            raise OSError(f"{folder} has {free / 1e9:,.1f} GB")
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # if the disk is full later, a write kills the process (SIGBUS)
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, np.uint8, "w+", shape=shape)  # keeps the file open
    except OSError as error:
        count, *image = shape
        raise NoRoomError(
            f"{where}: {count:,} images of {'x'.join(map(str, image))} take {size / 1e9:,.1f} GB, which exceeds the "
            f"memory limit; use a smaller image_size, or set TMPDIR to a folder with that much space on a disk: "
            f"{error.strerror or error}"
        ) from error


def _memory() -> int:
    """Return the bytes of memory that this process may use: the machine's or, in a container, the container's."""
    total = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


def take(images: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return a copy of `images[indices]`, for indices of shape `(n,)`, as `allocate_images` places it."""
    result = allocate_images("the data", (len(indices), *images.shape[1:]))
    with progress.task("copying images", len(indices)) as task:
        for chunk in slices(result.shape):
            result[chunk] = images[indices[chunk]]
            task.advance(len(result[chunk]))
    return result


def slices(shape: tuple[int, ...]) -> Iterator[slice]:
    """Iterate over slices that cover the first axis, each of at most `CHUNK_BYTES` bytes of uint8 images or one image.

    Example:
        >>> [(chunk.start, chunk.stop) for chunk in slices((3, 4096, 2048, 1))]
        [(0, 2), (2, 4)]
    """
    count, *image = shape
    each = max(1, CHUNK_BYTES // max(1, math.prod(image)))
    return (slice(start, start + each) for start in range(0, count, each))


def is_mapped(images: np.ndarray) -> bool:
    """Return whether an array is mapped to a file."""
    return getattr(images, "_mmap", None) is not None  # a copy is a numpy.memmap without a file


def disable_read_ahead(images: np.ndarray) -> None:
    """Disable kernel read-ahead (MADV_RANDOM) for a mapped array, since shuffled images are not read in order."""
    if is_mapped(images) and hasattr(mmap, "MADV_RANDOM"):
        images._mmap.madvise(mmap.MADV_RANDOM)
