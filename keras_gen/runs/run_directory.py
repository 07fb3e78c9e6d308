"""Create run directories, read their JSON files and clean up after killed processes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path

from keras_gen.utils import files, safe_files
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.trained_models import DESCRIPTION_FILE, EVALUATION_FILE, RUN_FOLDER

RECIPE_FILE, MODEL_FILE, SUMMARY_FILE, HISTORY_FILE = "recipe.json", "model.json", "model.txt", "history.csv"
SAMPLER_FILE = "sampler.npz"
CHECKPOINTS_FOLDER, SAMPLES_FOLDER, RECONSTRUCTIONS_FOLDER = "checkpoints", "samples", "reconstructions"

ENDED_EARLY = "ended_early"
"""Entry of `recipe.json` if training ended before its last epoch: the reason, and the planned number of epochs."""

_RUN_NAME = re.compile(r"(\d{5,})-.+")
_FOLDERS = (CHECKPOINTS_FOLDER, SAMPLES_FOLDER, RECONSTRUCTIONS_FOLDER)
_ENTRIES = (
    *(
        "lock",
        RECIPE_FILE,
        MODEL_FILE,
        SUMMARY_FILE,
        HISTORY_FILE,
        EVALUATION_FILE,
        "losses.png",
        "report.html",
        SAMPLER_FILE,
    ),
    *(*_FOLDERS, *(f"{name}/epoch-*" for name in _FOLDERS)),
    *(RUN_FOLDER, f"{RUN_FOLDER}/**/*", "tensorboard", "tensorboard/**/*"),
)
"""Patterns of what keras_gen writes into a run directory; other entries are the user's."""


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


def is_run(path: str | os.PathLike) -> bool:
    """Return whether a folder is a run directory, by its `recipe.json`."""
    return os.path.isfile(os.path.join(path, RECIPE_FILE))


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
    safe_files.check_entries(run, _ENTRIES)
    return read_json(Path(run) / RECIPE_FILE)


def finished_epochs(run: str | os.PathLike) -> int | float:
    """Return the number of epochs after which a run's SavedModel, which is written last, was saved; 0 without one."""
    with contextlib.suppress(UsageError):
        epochs = read_json(safe_files.inside(run, RUN_FOLDER, DESCRIPTION_FILE)).get("epochs")
        return epochs if isinstance(epochs, int | float) else 0
    return 0


def planned_epochs(record: dict) -> int | None:
    """Return the number of epochs that a run which ended early was started for; None for another run.

    Args:
        record: dict, content of `recipe.json`.
    """
    ended = record.get(ENDED_EARLY)
    epochs = ended.get("planned_epochs") if isinstance(ended, dict) else None
    return epochs if type(epochs) is int else None


def remove_leftovers(run: str | os.PathLike) -> None:
    """Remove the temporary files that a process left in a run directory when it was killed while writing.

    Rename a folder that `write_directory` finished but did not rename. The caller must hold the run's lock.
    """
    for name in ("", *_FOLDERS):
        folder = safe_files.inside(run, name)
        for path in folder.iterdir() if folder.is_dir() else ():
            if not (match := files.TEMPORARY_NAME.fullmatch(path.name)):
                continue
            if path.is_symlink() or not path.is_dir():
                path.unlink()
                continue
            final = folder / match[1]
            if (path / "old").exists() and not final.exists():
                (path / "new").rename(final)  # complete, since the old one was already moved aside
            shutil.rmtree(path)
