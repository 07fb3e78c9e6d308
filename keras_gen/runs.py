"""Run directories, and writing files so that a reader never meets half of one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_gen import untrusted
from keras_gen.errors import UsageError, must_be

RECIPE_FILE, MODEL_FILE, SUMMARY_FILE, HISTORY_FILE = "recipe.json", "model.json", "model.txt", "history.csv"
CHECKPOINTS_FOLDER, SAMPLES_FOLDER, RECONSTRUCTIONS_FOLDER = "checkpoints", "samples", "reconstructions"

_RUN_NAME = re.compile(r"(\d{5,})-.+")
_LEFTOVER = re.compile(r"\.(.+)\.[a-z0-9_]{8}(?:\.[a-z]+)?")
"""Names that `tempfile` makes for `atomic_path` and `write_directory`."""


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


def create(root: str | os.PathLike, name: str) -> Path:
    """Make the next numbered run directory, `root/00003-name`, and return it.

    Numbers are never reused while a higher one exists, and two processes never share a directory.

    Raises:
        UsageError: `root` can't be written.
    """
    root = Path(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
        while True:
            taken = [int(match[1]) for entry in root.iterdir() if (match := _RUN_NAME.fullmatch(entry.name))]
            path = root / f"{max(taken, default=0) + 1:05d}-{name}"
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                return path
    except OSError as error:
        raise UsageError(f"out can't be written: {root} ({error.strerror})") from error


def read_json(path: str | os.PathLike) -> dict:
    """The JSON object in a file of a run directory.

    Raises:
        UsageError: there is no such file, or it is damaged.
    """
    path = Path(path)
    try:
        return untrusted.read_json(path)
    except OSError as error:
        raise must_be("run", f"a run directory, a folder with {path.name}", str(path.parent)) from error


def read_recipe(run: str | os.PathLike) -> dict:
    """The content of a run directory's `recipe.json`.

    Raises:
        UsageError: `run` is no run directory, or its `recipe.json` is damaged.
    """
    return read_json(Path(run) / RECIPE_FILE)


def remove_leftovers(run: str | os.PathLike) -> None:
    """Remove what a process that was killed while it wrote has left in a run directory under temporary names.

    A folder that `write_directory` had finished and not yet given its name gets it. Only for who holds the run's lock.
    """
    folders = [Path(run), *(Path(run) / name for name in (CHECKPOINTS_FOLDER, SAMPLES_FOLDER, RECONSTRUCTIONS_FOLDER))]
    for folder in filter(Path.is_dir, folders):
        for path in folder.iterdir():
            if match := _LEFTOVER.fullmatch(path.name):
                if path.is_dir():
                    _finish_directory(path, folder / match[1])
                else:
                    path.unlink()


def _finish_directory(scratch: Path, path: Path) -> None:
    if (scratch / "old").exists() and not path.exists():
        (scratch / "new").rename(path)  # whole, or the old one would not have been moved aside
    shutil.rmtree(scratch)


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
