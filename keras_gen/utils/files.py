"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_gen.utils.errors import UsageError, must_be


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside `path` that replaces it when the block ends well, and vanishes when it does not.

    The content is on disk (fsync) before the name appears, so after a crash `path` is the old file or the new one.

    Example:
        >>> with atomic_path("settings.txt") as temporary:
        ...     length = temporary.write_text("seed 0")
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes the file private, an ordinary file is not
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
        _sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` (UTF-8) to `path` in one atomic step."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike, content: object) -> None:
    """Write `content` as indented JSON to `path` in one atomic step."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_directory(
    path: str | os.PathLike,
    write: Callable[[Path], None],
    *,
    overwrite: bool,
    marker: str | None = None,
    argument: str = "path",
) -> Path:
    """Have `write(folder)` fill a new folder beside `path`, then give it the name `path`.

    Args:
        path: the folder to make; its parents are made if missing.
        write: fills the empty folder it is given.
        overwrite: whether an existing `path` may be replaced. It is moved aside first and removed last.
        marker: name of a file that a folder must have to be replaced, unless it is empty, so that nobody loses another.
        argument: what to call `path` in an error message.

    Raises:
        UsageError: `path` exists and `overwrite` is false, or it is not such a folder, or can't be made.
    """
    path = Path(path).absolute()
    check_can_write_directory(path, overwrite=overwrite, marker=marker, argument=argument)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        new, old = scratch / "new", scratch / "old"
        new.mkdir()
        write(new)
        _sync_tree(new)
        if path.exists():
            path.rename(old)
        try:
            new.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
        _sync_directory(path.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return path


def check_can_write_directory(
    path: str | os.PathLike, *, overwrite: bool, marker: str | None = None, argument: str = "path"
) -> None:
    """Raise `UsageError` if `write_directory` would refuse `path`, before any time was spent on its content."""
    path = Path(path).absolute()
    if not (path.exists() or path.is_symlink()):
        parent = next(folder for folder in path.parents if folder.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
            raise must_be(argument, f"in a folder that can be written, which {parent} is not", str(path))
        return
    if not path.is_dir() or path.is_symlink():
        raise must_be(argument, "a folder or a new name", str(path))
    if not overwrite:
        raise UsageError(f"{argument} exists already: {path} (give --overwrite to replace it)")
    if marker is not None and any(path.iterdir()) and not (path / marker).is_file():
        raise must_be(argument, f"an older folder with {marker} in it, to be replaced", str(path))


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


def _sync_tree(folder: Path) -> None:
    """Have every file below a folder, and every folder, on the disk."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            _sync_directory(path)
        else:
            with open(path, "rb+") as written:
                os.fsync(written.fileno())


def _sync_directory(path: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system lets a folder be opened or synced
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
