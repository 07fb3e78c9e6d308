"""Read `.npz` files safely: no pickles, no array larger than its entry."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterable

import numpy as np

from keras_gen.utils.errors import UsageError, one_line
from keras_gen.utils.safe_files import check_regular_file

MAX_RATIO, ALWAYS_ALLOWED = 100, 2**30
"""The arrays may take this many times the file's size, or this many bytes if that is more. Images deflate tenfold."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read(
    path: str | os.PathLike, names: Iterable[str] | None = None, *, compressed: bool = True
) -> dict[str, np.ndarray]:
    """Return the arrays in an `.npz` file, by name.

    Every array is read completely, so the archive's checksums are verified.

    Args:
        path: str or path of the file.
        names: iterable of str, names of the arrays to read; missing ones are skipped. `None` for all.
        compressed: bool, whether compressed entries (`np.savez_compressed`) are allowed. If not, the arrays together
            are at most as large as the file. Defaults to True.

    Raises:
        UsageError: the file can't be opened, is damaged, has an array of Python objects, or claims more than
            `MAX_RATIO` times its size.

    Example:
        >>> np.savez("a.npz", x=np.arange(3))
        >>> read("a.npz")["x"].tolist()
        [0, 1, 2]
    """
    try:
        check_regular_file(path)
        with zipfile.ZipFile(path) as archive:
            _check_claims(archive, os.path.getsize(path), compressed)
            members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
            selected = members if names is None else [name for name in names if name in members]
            return {name: _array(archive, name, members[name]) for name in selected}
    except MemoryError:  # the entries were no larger than allowed
        raise
    except Exception as error:  # a damaged archive fails in many ways: zlib.error, KeyError, EOFError, ...
        raise UsageError(f"{path} can't be read as an .npz file: {one_line(error)}") from error


def names(path: str | os.PathLike) -> list[str]:
    """Return the names of the arrays in an `.npz` file.

    Raises:
        UsageError: the file can't be opened or is no archive.
    """
    read(path, ())
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def _check_claims(archive: zipfile.ZipFile, size: int, compressed: bool) -> None:
    """Raise `ValueError` if the entries of an archive of `size` bytes could take much more memory than that."""
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if compressed else (zipfile.ZIP_STORED,)
    if any(member.compress_type not in kinds for member in archive.infolist()):
        # zipfile decompresses blocks of the kinds that NumPy doesn't write at once, whatever their size.
        raise ValueError("its compression is not supported")
    claimed = sum(member.file_size for member in archive.infolist())
    if claimed > (max(ALWAYS_ALLOWED, MAX_RATIO * size) if compressed else size):
        raise ValueError(f"its entries claim {claimed:,} bytes, but the file has {size:,}")


def _array(archive: zipfile.ZipFile, name: str, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{name} is a NumPy array of the unknown format {version}")
        shape, _, dtype = _HEADERS[version](file)
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects, which are not unpickled")
        # Check the size before NumPy allocates what the header claims.
        claimed, actual = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
        if claimed != actual:
            raise ValueError(f"{name} of shape {shape} needs {claimed:,} bytes, and its entry has {actual:,}")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
