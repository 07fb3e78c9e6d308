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

from keras_gen.utils import progress
from keras_gen.utils.errors import UsageError

MEMORY_FRACTION = 1 / 4
"""Fraction of the memory that one array may take. Splitting, resizing and binarizing need up to three copies."""

CHUNK_BYTES = 2**24
"""Bytes that are copied at a time."""

_ALIGNMENT = 64  # bytes: TensorFlow uses an array without a copy if it begins at a multiple of this
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container
_LARGE_FILES_FOLDER = "/var/tmp"  # usually on disk, even if /tmp is in memory
_MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")


class NoRoomError(UsageError):
    """The images fit neither in memory nor on disk."""


def allocate_images(where: object, shape: tuple[int, ...]) -> np.ndarray:
    """Return an uninitialized uint8 array of that shape.

    An array of more than `MEMORY_FRACTION` of the memory is mapped to a file in the temporary folder ($TMPDIR), or in
    /var/tmp if that folder is in memory itself. The file has no name (on Windows, a name while it is in use), so it
    disappears with the array or the process, even if the process is killed.

    Args:
        where: str or path, source of the images, for the error message.
        shape: `(N, ...)`.

    Raises:
        NoRoomError: a `UsageError`: the disk has too little space, too.

    Example:
        >>> allocate_images("digits", (10, 28, 28, 1)).shape
        (10, 28, 28, 1)
    """
    size = math.prod(shape)
    # A too large allocation may succeed, and the process be killed later, when the array is filled.
    if size <= MEMORY_FRACTION * _memory():
        with contextlib.suppress(MemoryError, ValueError, OverflowError):  # the last two: beyond NumPy's sizes
            buffer = np.empty(size + _ALIGNMENT, np.uint8)
            start = -buffer.ctypes.data % _ALIGNMENT
            return buffer[start : start + size].reshape(shape)
    try:
        return _allocate_on_disk(shape)
    except (OSError, OverflowError) as error:
        count, *image = shape
        raise NoRoomError(
            f"{where}: {count:,} images of {'x'.join(map(str, image))} take {size / 1e9:,.1f} GB, which exceeds the "
            f"memory limit; use a smaller image_size, or set TMPDIR to a folder with that much space on a disk: "
            f"{getattr(error, 'strerror', None) or error}"
        ) from error


def take(images: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return a copy of `images[indices]`, for indices of shape `(n,)`, in memory or on disk.

    Raises:
        NoRoomError: it fits in neither.

    Example:
        >>> take(np.zeros((5, 28, 28, 1), np.uint8), np.array([4, 0])).shape
        (2, 28, 28, 1)
    """
    result = allocate_images("the data", (len(indices), *images.shape[1:]))
    with progress.task("copying images", len(indices)) as step:
        for chunk in slices(result.shape):
            result[chunk] = images[indices[chunk]]
            step.advance(len(result[chunk]))
    return result


def slices(shape: tuple[int, ...]) -> Iterator[slice]:
    """Iterate over slices that cover the first axis, each of at most `CHUNK_BYTES` bytes of uint8 images or one image.

    Example:
        >>> [(chunk.start, chunk.stop) for chunk in slices((3, 4096, 2048, 1))]
        [(0, 2), (2, 3)]
    """
    count, *image = shape
    each = max(1, CHUNK_BYTES // max(1, math.prod(image)))
    for start in range(0, count, each):
        yield slice(start, min(start + each, count))


def is_mapped(images: np.ndarray) -> bool:
    """Return whether an array is mapped to a file, as `numpy.memmap` and its slices are.

    Example:
        >>> is_mapped(np.zeros((5, 28, 28, 1), np.uint8))
        False
    """
    return _mapping(images) is not None


def disable_read_ahead(images: np.ndarray) -> None:
    """Disable kernel read-ahead (MADV_RANDOM) for a mapped array, since shuffled images are not read in order.

    Example:
        >>> disable_read_ahead(np.zeros((5, 28, 28, 1), np.uint8))  # not mapped: no effect
    """
    mapping = _mapping(images)
    if mapping is not None and hasattr(mmap, "MADV_RANDOM"):
        mapping.madvise(mmap.MADV_RANDOM)


def _mapping(images: np.ndarray) -> mmap.mmap | None:
    base = images
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _memory() -> float:
    """Return the bytes of memory that this process may use; infinity if the system doesn't report them."""
    limits = [math.inf]
    with contextlib.suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # ValueError: "max", no limit
            limits.append(int(Path(path).read_text(encoding="ascii")))
    return min(limits)


def _allocate_on_disk(shape: tuple[int, ...]) -> np.memmap:
    """Return an array in a temporary file; raise `OSError` or `OverflowError` if the disk has too little space."""
    size, folder = math.prod(shape), _temporary_folder()
    if size > (free := shutil.disk_usage(folder).free):
        raise OSError(f"{folder} has {free / 1e9:,.1f} GB")
    with tempfile.TemporaryFile(dir=folder) as file:
        _reserve(file, size)
        return np.memmap(file, np.uint8, "r+", shape=shape)  # keeps the file open


def _reserve(file, size: int) -> None:
    """Reserve the space now: if the disk is full later, a write to mapped memory kills the process (SIGBUS)."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    zeros = bytes(CHUNK_BYTES)
    for start in range(0, size, CHUNK_BYTES):
        file.write(zeros[: size - start])
    file.flush()


def _temporary_folder() -> str:
    default = tempfile.gettempdir()
    if not _is_in_memory(default):
        return default
    if os.access(_LARGE_FILES_FOLDER, os.W_OK | os.X_OK) and not _is_in_memory(_LARGE_FILES_FOLDER):
        return _LARGE_FILES_FOLDER
    raise OSError(f"{default} is in memory itself")


def _is_in_memory(folder: str) -> bool:
    """Return whether the files of a folder are in memory; False if the system doesn't report it."""
    with contextlib.suppress(OSError, AttributeError, ValueError):
        device = os.stat(folder).st_dev
        number = f"{os.major(device)}:{os.minor(device)}"
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            fields = line.split()
            if fields[2] == number:
                return fields[fields.index("-") + 1] in _MEMORY_FILE_SYSTEMS
    return False
