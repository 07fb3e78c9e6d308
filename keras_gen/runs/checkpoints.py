"""Checkpoints: the whole training state in one file, with weights, optimizers, random seeds and running averages."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import numpy as np

from keras_gen import distribution
from keras_gen.models import ImageModel
from keras_gen.runs.run_directory import CHECKPOINTS_FOLDER
from keras_gen.utils import archives, checks
from keras_gen.utils.errors import TrainingDiverged, UsageError
from keras_gen.utils.files import atomic_path

KEEP = 2
_FILE_NAME = re.compile(r"epoch-(\d+)(?:-step-(\d+))?\.npz")
_POSITION, _DIGEST = "position", "sha256"
"""Entries of a file that are not variables; the names of variables start with a digit."""


class DamagedCheckpointError(UsageError):
    """A checkpoint file that is truncated, corrupt or no checkpoint."""


@dataclass(frozen=True, order=True)
class TrainingPosition:
    """How far training has progressed.

    Args:
        epoch: int, number of completed epochs; default 0.
        step: int, number of completed train steps of the next epoch; default 0.
        seconds: float, duration of the incomplete epoch so far; default 0.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = field(default=0.0, compare=False)

    @property
    def steps(self) -> str:
        """The steps as text: `1 step`, `12 steps`."""
        return f"{self.step:,} step" + ("" if self.step == 1 else "s")

    def __str__(self) -> str:
        return f"epoch {self.epoch}" + (f" and {self.steps} of the next" if self.step else "")


def save(run: str | os.PathLike, model: ImageModel, position: TrainingPosition) -> Path | None:
    """Write the training state at `position` atomically, and delete all checkpoints but the newest `KEEP`.

    With several workers all of them must call this, since metrics are reduced over the workers; only the chief writes.

    Returns:
        The path of the file; None on workers other than the chief.

    Raises:
        TrainingDiverged: a variable is not finite. Nothing is written; the existing checkpoints are kept.
    """
    variables = _variables(model)
    # The index makes names unique: two layers may have the same path.
    state = {f"{index:05d} {v.path}": distribution.value(v) for index, v in enumerate(variables)}
    for variable, value in zip(variables, state.values(), strict=True):
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise TrainingDiverged(f"training diverged: {variable.path} is not finite after {position}")
    if not distribution.is_chief(model.distribute_strategy):
        return None
    state[_POSITION] = np.frombuffer(json.dumps(asdict(position)).encode(), np.uint8)
    folder = Path(run) / CHECKPOINTS_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    step = f"-step-{position.step:08d}" if position.step else ""
    path = folder / f"epoch-{position.epoch:05d}{step}.npz"
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **state, **{_DIGEST: _digest(state)})
    delete_old(run, KEEP)
    return path


def delete_old(run: str | os.PathLike, keep: int) -> None:
    """Delete all checkpoints of a run but the newest `keep`."""
    for _, old in _all(run)[:-keep]:
        old.unlink(missing_ok=True)


def restore_latest(run: str | os.PathLike, model: ImageModel) -> TrainingPosition:
    """Restore a run's newest checkpoint into `model`, or the previous one, with a printed note, if that is damaged.

    Returns:
        The position of the checkpoint; the start of training if the run has none.

    Raises:
        UsageError: every checkpoint is damaged, or one belongs to another model.
    """
    existing = _all(run)
    for index in reversed(range(len(existing))):
        try:
            return restore(existing[index][1], model)
        except DamagedCheckpointError as error:
            if index == 0:
                raise
            print(f"NOTE: {error}; using the previous one", flush=True)
    return TrainingPosition()


def latest(run: str | os.PathLike) -> tuple[TrainingPosition, Path] | None:
    """Return position and path of a run's newest checkpoint, or None without one. The position's `seconds` are 0."""
    existing = _all(run)
    return existing[-1] if existing else None


def restore(path: str | os.PathLike, model: ImageModel) -> TrainingPosition:
    """Restore the checkpoint `path` into a model that was built and compiled as when it was saved.

    Returns:
        The position of the checkpoint.

    Raises:
        DamagedCheckpointError: the file is damaged. The model is unchanged.
        UsageError: the checkpoint belongs to another model. The model is unchanged.
    """
    variables = _variables(model)
    state, position = _read(Path(path))
    values = [state[name] for name in sorted(state)]
    fits = len(values) == len(variables) and all(
        value.shape == tuple(v.shape) and value.dtype == np.dtype(v.dtype)
        for value, v in zip(values, variables, strict=True)
    )
    if not fits:
        raise UsageError(f"checkpoint {path} belongs to another model than the run's recipe now builds")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return position


def _read(path: Path) -> tuple[dict[str, np.ndarray], TrainingPosition]:
    """Return the variables' values by name, and the position, after checking the file's checksum."""
    try:
        state = archives.read(path, compressed=False)
        digest = state.pop(_DIGEST)
        if not np.array_equal(digest, _digest(state)):
            raise ValueError("its checksum does not match its content")
        position = TrainingPosition(**json.loads(state.pop(_POSITION).tobytes()))
        checks.non_negative_int("epoch", position.epoch)
        checks.non_negative_int("step", position.step)
        checks.non_negative("seconds", position.seconds)
    # RecursionError: deeply nested JSON in a forged file. The checksum detects corruption, not tampering.
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise DamagedCheckpointError(f"checkpoint {path} is damaged: {reason}") from error
    return state, position


def _digest(state: dict[str, np.ndarray]) -> np.ndarray:
    """Return the SHA-256 of names, types, shapes and bytes as 32 uint8 values."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name};{value.dtype.str};{value.shape};".encode())
        digest.update(np.ascontiguousarray(value))
    return np.frombuffer(digest.digest(), np.uint8)


def _variables(model: ImageModel) -> list:
    """Return the variables of a model, its metrics and its optimizers (seed generators included) in a fixed order."""
    averages = (variable for metric in model.metrics for variable in metric.variables)
    return [*model.variables, *averages, *(v for optimizer in model.optimizers for v in optimizer.variables)]


def _all(run: str | os.PathLike) -> list[tuple[TrainingPosition, Path]]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        paths = list((Path(run) / CHECKPOINTS_FOLDER).iterdir())
        matches = [(match, path) for path in paths if (match := _FILE_NAME.fullmatch(path.name))]
        return sorted((TrainingPosition(int(match[1]), int(match[2] or 0)), path) for match, path in matches)
    return []
