"""Write files and folders atomically: a reader never sees a partial one."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_gen.utils import safe_files
from keras_gen.utils.errors import UsageError, must_be

TEMPORARY_NAME = re.compile(r"\.(.+)\.keras_gen-[a-z0-9_]{8}(?:\.\w+)?", re.ASCII)
"""Matches the names of temporary files and folders; the group is the final name."""

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Errors of files that may name none."""

_folders_in_use: list[tuple[Path, Path, int]] = []
"""Folder, path of an entry in it, and the descriptor of the file or folder that the entry must still be."""


@contextlib.contextmanager
def folder_in_use(folder: str | os.PathLike, entry: str = "") -> Iterator[None]:
    """While the block runs, write below `folder` only if it is still the same folder, and through no link in it.

    Another process may have removed it and made one of the same name: two runs would be mixed. It is recognized by
    `entry`, a file in it; default: itself.
    """
    path = Path(folder, entry).absolute()
    opened = os.open(path, os.O_RDONLY)
    _folders_in_use.append((Path(folder).absolute(), path, opened))
    try:
        yield
    finally:
        _folders_in_use.pop()
        os.close(opened)


def check_folder_in_use(path: str | os.PathLike) -> None:
    """Raise `UsageError` if `path` is below a folder in use that was removed or replaced, or behind a link in it."""
    path = Path(path).absolute()
    for folder, entry, opened in _folders_in_use:
        if folder not in path.parents:
            continue
        if not entry.exists() or not os.path.samestat(entry.stat(), os.fstat(opened)):
            raise UsageError(f"{folder} was removed or replaced by another folder: nothing more is written to it")
        safe_files.inside(folder, path.parent.relative_to(folder))


def make_folder(path: str | os.PathLike) -> None:
    """Make a folder and its parents, if they are missing; not below a folder in use that is gone."""
    check_folder_in_use(Path(path) / "file")
    Path(path).mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Provide a temporary path that replaces `path` if the block succeeds, and is deleted if it fails.

    The content is on disk (fsync) before it is renamed, so after a crash `path` is the old file or the new one.
    An `OSError` names `path`; a folder, a pipe or a device at `path` is not replaced.

    Example:
        >>> with atomic_path("settings.txt") as temporary:
        ...     length = temporary.write_text("seed 0")
    """
    path = Path(path)
    check_folder_in_use(path)
    if path.exists():
        safe_files.check_regular_file(path)
    temporary = path.with_name(f".{path.name}.keras_gen-{secrets.token_hex(4)}{path.suffix}")
    with _naming(path):
        try:
            yield temporary
            _sync(temporary)
            check_folder_in_use(path)
            os.replace(temporary, path)
            _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, content: object) -> None:
    """Write `content` as indented JSON to `path` atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_directory(
    path: str | os.PathLike,
    write: Callable[[Path], None],
    *,
    overwrite: bool,
    marker: str | None = None,
    argument: str = "path",
) -> Path:
    """Fill a new folder beside `path` with `write(folder)`, then rename it to `path`.

    Args:
        path: str or path, the folder to create; missing parents are created.
        write: callable that fills the empty folder it is given.
        overwrite: bool, whether an existing `path` may be replaced. It is moved aside first and deleted last.
        marker: str, name of a file that an existing, non-empty `path` must contain before it is replaced, so that no
            unrelated folder is deleted. `None` for no such check.
        argument: str, name of `path` in error messages. Defaults to "path".

    Raises:
        UsageError: `path` exists and `overwrite` is false, or it is not such a folder, or can't be created.
    """
    path = Path(path).absolute()
    check_can_write_directory(path, overwrite=overwrite, marker=marker, argument=argument)
    make_folder(path.parent)
    options = {"dir": path.parent, "prefix": f".{path.name}.keras_gen-", "ignore_cleanup_errors": True}
    with _naming(path), tempfile.TemporaryDirectory(**options) as scratch:
        new, old = Path(scratch, "new"), Path(scratch, "old")
        new.mkdir()
        write(new)
        for written in [*new.rglob("*"), new]:
            _sync(written)
        check_folder_in_use(path)
        try:
            if path.exists():
                path.rename(old)
            new.rename(path)
        except BaseException:  # also Ctrl-C: the old folder would be deleted with the scratch folder
            if old.exists() and not path.exists():
                old.rename(path)
            raise
        _sync(path.parent)
    return path


def check_can_write_directory(
    path: str | os.PathLike, *, overwrite: bool, marker: str | None = None, argument: str = "path"
) -> None:
    """Raise `UsageError` if `write_directory` would refuse `path`, before its content is computed."""
    path = Path(path).absolute()
    if not (path.exists() or path.is_symlink()):
        parent = next(folder for folder in path.parents if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise must_be(argument, f"in a writable folder, which {parent} is not", str(path))
        return
    if not path.is_dir() or path.is_symlink():
        raise must_be(argument, "a folder or a new name", str(path))
    if not overwrite:
        raise UsageError(f"{argument} exists already: {path} (--overwrite, or overwrite=True in Python, replaces it)")
    if marker is not None and any(path.iterdir()) and not (path / marker).is_file():
        raise must_be(argument, f"a folder that is empty or contains {marker}", str(path))


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put `path` into an `OSError` raised in the block that names no file or a temporary one."""
    try:
        yield
    except OSError as error:
        # Without a number, as for a connection that timed out, it is no error of a file.
        if error.errno is not None and (error.filename is None or ".keras_gen-" in str(error.filename)):
            error.filename, error.filename2 = os.fspath(path), None
        raise


def _sync(path: Path) -> None:
    """Flush a file or a folder to disk (fsync), which some file systems do not support for folders."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(handle)
