"""NumPy's `.npz` files from anybody: nothing is unpickled, and nothing is larger than it says it is."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterable

import numpy as np

from keras_gen.utils.errors import UsageError
from keras_gen.utils.safe_files import check_regular_file

MAX_RATIO, ALWAYS_ALLOWED = 100, 2**30
"""How much larger than the file its arrays may be, and the bytes they may always have: images shrink to a tenth."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# zipfile unpacks a piece of the other kinds at once, whatever its size; NumPy writes neither.
_COMPRESSED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read(
    path: str | os.PathLike, names: Iterable[str] | None = None, *, compressed: bool = True
) -> dict[str, np.ndarray]:
    """The arrays in an `.npz` file, by name.

    Every array is read to its end, so that the archive's own checksum was looked at.

    Args:
        path: of the file.
        names: of the arrays to read; those that the file has not are left out. None for all.
        compressed: whether they may be (`np.savez_compressed`). If not, all of them together fit in the file.

    Raises:
        UsageError: the file can't be opened, is damaged, has an array of Python objects, two entries of one name, or
            entries that claim more than `MAX_RATIO` times the file's size.

    Example:
        >>> np.savez("a.npz", x=np.arange(3))
        >>> read("a.npz")["x"].tolist()
        [0, 1, 2]
    """
    try:
        check_regular_file(path)
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no zip archive")
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, os.path.getsize(path), compressed)
            wanted = members if names is None else [name for name in names if name in members]
            return {name: _array(archive, name, members[name]) for name in wanted}
    except Exception as error:  # a damaged archive fails in many ways: zlib.error, KeyError, MemoryError, ...
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"{path} can't be read as an .npz file: {reason}") from error


def _members(archive: zipfile.ZipFile, size: int, compressed: bool) -> dict[str, zipfile.ZipInfo]:
    """The archive's entries by name; a file is refused that claims more than it can mean."""
    members = {}
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in members:
            raise ValueError(f"it has two entries {name!r:.60}")
        if member.compress_type not in (_COMPRESSED if compressed else (zipfile.ZIP_STORED,)):
            raise ValueError(f"its entry {name!r:.60} is compressed as no such file is")
        members[name] = member
    claimed = sum(member.file_size for member in members.values())
    if claimed > (max(ALWAYS_ALLOWED, MAX_RATIO * size) if compressed else size):
        raise ValueError(f"its entries claim {claimed:,} bytes, of a file of {size:,}")
    return members


def _array(archive: zipfile.ZipFile, name: str, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        if file.read(len(np.lib.format.MAGIC_PREFIX)) != np.lib.format.MAGIC_PREFIX:
            raise ValueError(f"{name} is no NumPy array")
        version = tuple(file.read(2))
        if version not in _HEADERS:
            raise ValueError(f"{name} is a NumPy array of an unknown format {version}")
        shape, _, dtype = _HEADERS[version](file)
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects, and nothing is unpickled")
        # Compared before NumPy allocates what the header asks for.
        claimed, there = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
        if claimed != there or min(shape, default=0) < 0:
            raise ValueError(f"{name} of shape {shape} needs {claimed:,} bytes, and its entry has {there:,}")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
