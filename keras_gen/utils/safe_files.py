"""Read small files from untrusted sources, within limits of size and depth."""

from __future__ import annotations

import errno
import glob
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from keras_gen.utils.errors import UsageError, must_be

MAX_BYTES = 16 * 2**20
"""Largest file that is read; no record of a run has that size."""

MAX_DEPTH = 100
"""Deepest nesting of JSON that is read: writing it again is recursive."""

_NO_LINK = "links inside a run or a sweep are not followed"


def inside(root: str | os.PathLike, *parts: str | os.PathLike) -> Path:
    """Return `root` joined with `parts`; raise `UsageError` if one of the parts, not of `root`, is a symbolic link."""
    path = Path(root)
    for part in Path(*parts).parts:
        path /= part
        if path.is_symlink():
            raise must_be(os.fspath(path), f"a file or a folder, since {_NO_LINK}", "a link")
    return path


def check_entries(root: str | os.PathLike, patterns: Iterable[str]) -> None:
    """Raise `UsageError` if an entry below `root` that matches one of the glob patterns is a link, pipe or device."""
    for pattern in patterns:
        for name in glob.iglob(pattern, root_dir=root, recursive=True, include_hidden=True):
            path = Path(root, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise must_be(str(path), f"a file or a folder, since {_NO_LINK}", "a link, a pipe or a device")


def check_regular_file(path: str | os.PathLike) -> None:
    """Raise `OSError` unless `path` is a file or a folder: a pipe may block forever, a device may never end."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "Not a regular file", os.fspath(path))


def read_bytes(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the content of a file of at most `max_bytes` bytes.

    Raises:
        OSError: the file does not exist or is not a regular file.
        UsageError: it is larger.
    """
    check_regular_file(path)
    if os.path.getsize(path) > max_bytes:
        raise UsageError(f"{path} is damaged: it must have at most {max_bytes:,} bytes")
    return Path(path).read_bytes()


def read_json(path: str | os.PathLike) -> dict:
    """Return the JSON object in a file.

    Raises:
        OSError: as in `read_bytes`.
        UsageError: the file is too large, is not a JSON object, or can't be written again: it has strings that can't be
            encoded in UTF-8, or is nested deeper than `MAX_DEPTH`.

    Example:
        >>> with open("a.json", "w") as file:
        ...     length = file.write('{"seed": 0}')
        >>> read_json("a.json")
        {'seed': 0}
    """
    try:
        content = parse_json(read_bytes(path))
    except ValueError as error:
        raise UsageError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} is damaged: it must hold one JSON object")
    return content


def parse_json(text: bytes | str) -> object:
    """Return the value of a JSON text in UTF-8.

    Raises:
        ValueError: it is not JSON, or can't be written again: see `read_json`.

    Example:
        >>> parse_json(b'{"seed": 0}')
        {'seed': 0}
    """
    try:
        content = json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
        _check(content, MAX_DEPTH)
    except RecursionError as error:
        raise ValueError(str(error)) from error
    return content


def _check(value: object, depth: int) -> None:
    if isinstance(value, str):
        value.encode("utf-8")  # raises for half of a surrogate pair, which JSON can hold
    elif isinstance(value, dict):
        _check([*value, *value.values()], depth)
    elif isinstance(value, list):
        if not depth:
            raise ValueError(f"its lists and objects are nested deeper than {MAX_DEPTH}")
        for part in value:
            _check(part, depth - 1)
