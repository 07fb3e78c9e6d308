"""Create run directories, read their JSON files and clean up after killed processes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from keras_gen.utils import files, safe_files
from keras_gen.utils.errors import UsageError, must_be

RECIPE_FILE, MODEL_FILE, SUMMARY_FILE, HISTORY_FILE = "recipe.json", "model.json", "model.txt", "history.csv"
CHECKPOINTS_FOLDER, SAMPLES_FOLDER, RECONSTRUCTIONS_FOLDER = "checkpoints", "samples", "reconstructions"

_RUN_NAME = re.compile(r"(\d{5,})-.+")
_NAMES = re.compile(
    r"lock|(?:recipe|model|evaluation)\.json|model\.txt|history\.csv|losses\.png|report\.html"
    r"|(?:checkpoints|samples|reconstructions)(?:/epoch-.*)?|(?:saved_model|tensorboard)(?:/.+)?"
)
"""Matches the names of what keras_gen writes into a run directory; others in it are the user's."""

_OLD_LEFTOVER = re.compile(r"\.(.+(\.\w+)|saved_model)\.(?=[a-z_]*[0-9])[a-z0-9_]{8}(?:\2)?", re.ASCII)
"""Matches the names of temporary files of keras_gen 0.3 and earlier, and some others."""


def create(root: str | os.PathLike, name: str) -> Path:
    """Create the next numbered run directory, `root/00003-name`, and return its path.

    A number is not reused while a higher one exists, and two processes never get the same directory.

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
    """Return the JSON object in a file of a run directory.

    Raises:
        UsageError: the file is missing or damaged.
    """
    path = Path(path)
    try:
        return safe_files.read_json(path)
    except OSError as error:
        raise must_be("run", f"a run directory, a folder with {path.name}", str(path.parent)) from error


def read_recipe(run: str | os.PathLike) -> dict:
    """Return the content of a run directory's `recipe.json`.

    Raises:
        UsageError: `run` is not a run directory, its `recipe.json` is damaged, or one of its files is a link, a pipe or
            a device. Every command that reads or writes a run reads this file first.
    """
    safe_files.check_entries(run, _NAMES)
    return read_json(Path(run) / RECIPE_FILE)


def finished_epochs(run: str | os.PathLike) -> int | float:
    """Return the number of epochs after which a run's SavedModel, which is written last, was saved; 0 without one."""
    with contextlib.suppress(UsageError):
        epochs = read_json(safe_files.inside(run, "saved_model", "description.json")).get("epochs")
        return epochs if isinstance(epochs, int | float) else 0
    return 0


def remove_leftovers(run: str | os.PathLike) -> None:
    """Remove the temporary files that a process left in a run directory when it was killed while writing.

    Rename a folder that `write_directory` finished but did not rename. The caller must hold the run's lock.

    Only files whose names keras_gen wrote are removed: hidden files of the user's have others.
    """
    for name in ("", CHECKPOINTS_FOLDER, SAMPLES_FOLDER, RECONSTRUCTIONS_FOLDER):
        folder = safe_files.inside(run, name)
        for path in folder.iterdir() if folder.is_dir() else ():
            match = files.TEMPORARY_NAME.fullmatch(path.name) or _OLD_LEFTOVER.fullmatch(path.name)
            if match is None or path.is_symlink() or not _NAMES.fullmatch(os.path.join(name, match[1])):
                continue
            files.check_folder_in_use(path)
            if path.is_file():
                path.unlink()
            elif path.is_dir() and {entry.name for entry in path.iterdir()} <= {"new", "old"}:
                _finish_directory(path, folder / match[1])


def _finish_directory(scratch: Path, path: Path) -> None:
    if (scratch / "old").exists() and not path.exists() and not (scratch / "new").is_symlink():
        (scratch / "new").rename(path)  # complete, since the old one was already moved aside
    shutil.rmtree(scratch)
