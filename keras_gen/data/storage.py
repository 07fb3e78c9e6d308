"""Room for stacks of images: in memory or, of a stack that is large for it, in a file without a name on the disk."""

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

IN_MEMORY = 1 / 4
"""Shard of the memory that a stack may take. While it is split, resized and binarized there are up to three of it."""

PIECE = 2**24
"""Bytes that are copied at a time."""

_ALIGNMENT = 64  # bytes: TensorFlow uses an array where it lies if it begins at a multiple of this
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of a container's memory
_FOR_LARGE_FILES = "/var/tmp"  # on a disk where /tmp is in memory
_FILES_IN_MEMORY = ("tmpfs", "ramfs")


class NoRoomError(UsageError):
    """A stack fits neither in memory nor on the disk."""


def allocate_images(where: object, shape: tuple[int, ...]) -> np.ndarray:
    """Room for uint8 images of that shape, not filled.

    A stack of more than `IN_MEMORY` of the memory is mapped to a file in the folder for temporary files ($TMPDIR), or
    in /var/tmp if that folder is in memory itself. The file has no name (on Windows one while it is in use), so that
    nothing is left of it when the array is gone or the process ends, however it ends.

    Args:
        where: what the images are of, for the error.
        shape: `(N, ...)`.

    Raises:
        NoRoomError: a `UsageError`: the disk hasn't the room either.

    Example:
        >>> allocate_images("digits", (10, 28, 28, 1)).shape
        (10, 28, 28, 1)
    """
    size = math.prod(shape)
    # An allocation alone may succeed, and the process be killed when the images come.
    if size <= IN_MEMORY * _memory():
        with contextlib.suppress(MemoryError, ValueError, OverflowError):  # the latter of what no array can be
            room = np.empty(size + _ALIGNMENT, np.uint8)
            start = -room.ctypes.data % _ALIGNMENT
            return room[start : start + size].reshape(shape)
    try:
        return _mapped(shape)
    except (OSError, OverflowError) as error:
        count, *image = shape
        raise NoRoomError(
            f"{where}: {count:,} images of {'x'.join(map(str, image))} are {size / 1e9:,.1f} GB, more than there is "
            f"memory for; a smaller image_size takes less, or TMPDIR can name a folder with that much room on a disk: "
            f"{getattr(error, 'strerror', None) or error}"
        ) from error


def take(images: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """`images[indices]`, for indices of shape `(n,)`, copied to where there is room for it.

    Raises:
        NoRoomError: there is none.

    Example:
        >>> take(np.zeros((5, 28, 28, 1), np.uint8), np.array([4, 0])).shape
        (2, 28, 28, 1)
    """
    result = allocate_images("the data", (len(indices), *images.shape[1:]))
    with progress.task("copying images", len(indices)) as step:
        for piece in slices(result.shape):
            result[piece] = images[indices[piece]]
            step.advance(len(result[piece]))
    return result


def slices(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of the first axis of uint8 images of that shape: together all, each of at most `PIECE` bytes or one image.

    Example:
        >>> [(piece.start, piece.stop) for piece in slices((3, 4096, 2048, 1))]
        [(0, 2), (2, 3)]
    """
    count, *image = shape
    each = max(1, PIECE // max(1, math.prod(image)))
    for start in range(0, count, each):
        yield slice(start, min(start + each, count))


def is_mapped(images: np.ndarray) -> bool:
    """Whether an array lies in a mapped file, as `numpy.memmap` and its slices do.

    Example:
        >>> is_mapped(np.zeros((5, 28, 28, 1), np.uint8))
        False
    """
    return _mapping(images) is not None


def read_in_any_order(images: np.ndarray) -> None:
    """Have the system read from the disk what is asked for and not megabytes around it, if images lie in a mapped file.

    Where the images don't fit in memory, the next ones are hardly among those.

    Example:
        >>> read_in_any_order(np.zeros((5, 28, 28, 1), np.uint8))  # not in a file: nothing to be said
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
    """Bytes of memory that there are for this process; infinity where the system doesn't say."""
    found = [math.inf]
    with contextlib.suppress(AttributeError, ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # the latter of "max": none
            found.append(int(Path(limit).read_text(encoding="ascii")))
    return min(found)


def _mapped(shape: tuple[int, ...]) -> np.memmap:
    """Room in a temporary file; `OSError` or `OverflowError` if there is none."""
    size, folder = math.prod(shape), _folder()
    if size > (free := shutil.disk_usage(folder).free):
        raise OSError(f"{folder} has {free / 1e9:,.1f} GB")
    with tempfile.TemporaryFile(dir=folder) as file:
        _reserve(file, size)
        return np.memmap(file, np.uint8, "r+", shape=shape)  # keeps the file when it is closed here


def _reserve(file, size: int) -> None:
    """Take the room now: where a disk fills up later, writing to mapped memory ends the process (SIGBUS)."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    zeros = bytes(PIECE)
    for start in range(0, size, PIECE):
        file.write(zeros[: size - start])
    file.flush()


def _folder() -> str:
    usual = tempfile.gettempdir()
    if not _is_in_memory(usual):
        return usual
    if os.access(_FOR_LARGE_FILES, os.W_OK | os.X_OK) and not _is_in_memory(_FOR_LARGE_FILES):
        return _FOR_LARGE_FILES
    raise OSError(f"{usual} is in memory itself")


def _is_in_memory(folder: str) -> bool:
    """Whether the files of a folder are in memory; False where the system doesn't say."""
    with contextlib.suppress(OSError, AttributeError, ValueError):
        device = os.stat(folder).st_dev
        number = f"{os.major(device)}:{os.minor(device)}"
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            fields = line.split()
            if fields[2] == number:
                return fields[fields.index("-") + 1] in _FILES_IN_MEMORY
    return False
