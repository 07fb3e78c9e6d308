"""The whole training state in one file: weights, optimizers, seed generators, moving averages."""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import numpy as np

from keras_gen.errors import UsageError
from keras_gen.models import ImageModel
from keras_gen.runs import atomic_path

FOLDER = "checkpoints"
KEEP = 2
_FILE_NAME = re.compile(r"epoch-(\d+)\.npz")


class DamagedCheckpointError(UsageError):
    """A checkpoint that can't be read whole."""


def save(run: str | os.PathLike, model: ImageModel, epoch: int) -> Path:
    """Write the state after `epoch` whole epochs in one atomic step, and drop all but the newest `KEEP` files."""
    folder = Path(run) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"epoch-{epoch:05d}.npz"
    # Names carry the position: two layers may share a path.
    state = {f"{index:05d} {v.path}": np.asarray(v.value) for index, v in enumerate(_variables(model))}
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **state)
    for _, old in _all(run)[:-KEEP]:
        old.unlink(missing_ok=True)
    return path


def restore_latest(run: str | os.PathLike, model: ImageModel) -> int:
    """Bring a model to a run's newest checkpoint, or the one before it if that is damaged, with a printed line.

    Returns:
        Its epoch; 0 if the run has no checkpoint.

    Raises:
        UsageError: every checkpoint is damaged, or one belongs to another model.
    """
    found = _all(run)
    for index in reversed(range(len(found))):
        epoch, path = found[index]
        try:
            restore(path, model)
        except DamagedCheckpointError as error:
            if index == 0:
                raise
            print(f"NOTE: {error}; taking the one before it", flush=True)
        else:
            return epoch
    return 0


def latest(run: str | os.PathLike) -> tuple[int, Path] | None:
    """Epoch and path of a run's newest checkpoint, or None if it has none."""
    found = _all(run)
    return found[-1] if found else None


def restore(path: str | os.PathLike, model: ImageModel) -> None:
    """Bring a freshly built and compiled model to the state in `path`.

    Raises:
        DamagedCheckpointError: the file is damaged. The model is as it was.
        UsageError: it belongs to another model.
    """
    variables = _variables(model)
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = [archive[name] for name in sorted(archive.files)]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        # The last two: zipfile, of flipped bits that ask for a password or for another compression.
        raise DamagedCheckpointError(f"checkpoint {path} is damaged: {error}") from error
    fits = len(values) == len(variables) and all(
        value.shape == tuple(v.shape) for value, v in zip(values, variables, strict=True)
    )
    if not fits:
        raise UsageError(f"checkpoint {path} belongs to another model than the run's recipe now builds")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _variables(model: ImageModel) -> list:
    """The model's variables (seed generators and metrics among them) and its optimizers', in a fixed order."""
    return [*model.variables, *(variable for optimizer in model.optimizers for variable in optimizer.variables)]


def _all(run: str | os.PathLike) -> list[tuple[int, Path]]:
    folder = Path(run) / FOLDER
    if not folder.is_dir():
        return []
    return sorted((int(match[1]), path) for path in folder.iterdir() if (match := _FILE_NAME.fullmatch(path.name)))
