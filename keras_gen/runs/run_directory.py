"""Run directories, and writing files so that a reader never meets half of one."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from keras_gen.utils import safe_files
from keras_gen.utils.errors import UsageError, must_be

RECIPE_FILE, MODEL_FILE, SUMMARY_FILE, HISTORY_FILE = "recipe.json", "model.json", "model.txt", "history.csv"
CHECKPOINTS_FOLDER, SAMPLES_FOLDER, RECONSTRUCTIONS_FOLDER = "checkpoints", "samples", "reconstructions"

_RUN_NAME = re.compile(r"(\d{5,})-.+")
_LEFTOVER = re.compile(r"\.(.+)\.[a-z0-9_]{8}(?:\.[a-z]+)?")
"""Names that `tempfile` makes for `atomic_path` and `write_directory`."""


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
        return safe_files.read_json(path)
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
