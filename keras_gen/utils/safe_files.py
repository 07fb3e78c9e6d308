"""Small files that somebody else may have made: read as far as they can be meant well, and no further."""

from __future__ import annotations

import errno
import json
import os
import stat

from keras_gen.utils.errors import UsageError

MAX_BYTES = 16 * 2**20
"""More than any record of a run has; a larger file is somebody's trap, or another file."""

MAX_DEPTH = 100
"""Lists and objects inside each other: what is read has to survive being written, which recurses."""


def check_regular_file(path: str | os.PathLike) -> None:
    """Raise `OSError` unless `path` is a file or a folder: opening a pipe waits for ever, a device may never end."""
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "no ordinary file", os.fspath(path))


def read_bytes(path: str | os.PathLike, most_bytes: int = MAX_BYTES) -> bytes:
    """The content of a file of at most `most_bytes` bytes.

    Raises:
        OSError: there is no such file, or it is no ordinary one.
        UsageError: it is larger.
    """
    check_regular_file(path)
    with open(path, "rb") as file:
        is_large = os.fstat(file.fileno()).st_size > most_bytes
        content = b"" if is_large else file.read(most_bytes + 1)  # it may be growing
    if is_large or len(content) > most_bytes:
        raise UsageError(f"{path} is damaged: it must have at most {most_bytes:,} bytes")
    return content


def read_json(path: str | os.PathLike) -> dict:
    """The JSON object in a file.

    Raises:
        OSError: as `read_bytes`.
        UsageError: the file is too large, holds something else, or what could not be written again: strings that no
            encoding has, or more than `MAX_DEPTH` lists and objects inside each other.

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


def parse_json(written: bytes | str) -> object:
    """What UTF-8 text stands for.

    Raises:
        ValueError: it is no JSON, or what could not be written again: see `read_json`.

    Example:
        >>> parse_json(b'{"seed": 0}')
        {'seed': 0}
    """
    try:
        content = json.loads(written.decode("utf-8") if isinstance(written, bytes) else written)
        _check(content, MAX_DEPTH)
    except RecursionError as error:
        raise ValueError(str(error)) from error
    return content


def is_name(value: object) -> bool:
    """Whether `value` is a name of one file in a folder, and leads nowhere else.

    Example:
        >>> is_name("00001-vae"), is_name("../00001-vae"), is_name("/etc"), is_name("..")
        (True, False, False, False)
    """
    return isinstance(value, str) and value not in ("", ".", "..") and not set(value) & {"/", "\\", "\0"}


def _check(value: object, depth: int) -> None:
    if isinstance(value, str):
        value.encode("utf-8")  # JSON can write half of a surrogate pair, and a file can't hold it
    elif isinstance(value, dict | list):
        if not depth:
            raise ValueError(f"it has more than {MAX_DEPTH} lists and objects inside each other")
        for part in value:
            _check(part, depth - 1)
        for part in value.values() if isinstance(value, dict) else ():
            _check(part, depth - 1)
