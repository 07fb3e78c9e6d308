"""The whole training state in one file: weights, optimizers, seed generators, moving averages, an epoch's averages."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
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
"""Entries of a file beside the variables, whose names start with a digit."""


class DamagedCheckpointError(UsageError):
    """A checkpoint that can't be read whole."""


@dataclass(frozen=True, order=True)
class TrainingPosition:
    """How far training has come.

    Args:
        epoch: whole epochs done.
        step: train steps done of the next one.
        seconds: that the broken epoch took up to here.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = field(default=0.0, compare=False)

    @property
    def steps(self) -> str:
        """The steps in words: `1 step`, `12 steps`."""
        return f"{self.step:,} step" + ("" if self.step == 1 else "s")

    def __str__(self) -> str:
        return f"epoch {self.epoch}" + (f" and {self.steps} of the next" if self.step else "")


def save(run: str | os.PathLike, model: ImageModel, position: TrainingPosition) -> Path | None:
    """Write the state at `position` in one atomic step, and drop all but the newest `KEEP` files.

    With several workers the chief writes, and all of them must call this: averages are gathered from all.

    Raises:
        TrainingDiverged: a variable is not finite. Nothing was written: the files there are of better days.
    """
    variables = _variables(model)
    # Names carry the place: two layers may share a path.
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
    for _, old in _all(run)[:-KEEP]:
        old.unlink(missing_ok=True)
    return path


def restore_latest(run: str | os.PathLike, model: ImageModel) -> TrainingPosition:
    """Bring a model to a run's newest checkpoint, or the one before it if that is damaged, with a printed line.

    Returns:
        Its position; the beginning if the run has no checkpoint.

    Raises:
        UsageError: every checkpoint is damaged, or one belongs to another model.
    """
    found = _all(run)
    for index in reversed(range(len(found))):
        try:
            return restore(found[index][1], model)
        except DamagedCheckpointError as error:
            if index == 0:
                raise
            print(f"NOTE: {error}; taking the one before it", flush=True)
    return TrainingPosition()


def latest(run: str | os.PathLike) -> tuple[TrainingPosition, Path] | None:
    """TrainingPosition and path of a run's newest checkpoint, or None if it has none. The seconds are not looked up."""
    found = _all(run)
    return found[-1] if found else None


def restore(path: str | os.PathLike, model: ImageModel) -> TrainingPosition:
    """Bring a freshly built and compiled model to the state in `path`.

    Returns:
        Where in training that is.

    Raises:
        DamagedCheckpointError: the file is damaged. The model is as it was.
        UsageError: it belongs to another model.
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
    """The variables' values by name, and the position; a file that was cut, mixed up or changed is recognized."""
    try:
        state = archives.read(path, compressed=False)
        digest = state.pop(_DIGEST)
        if not np.array_equal(digest, _digest(state)):
            raise ValueError("its checksum is not that of its content")
        position = TrainingPosition(**json.loads(state.pop(_POSITION).tobytes()))
        checks.non_negative_int("epoch", position.epoch)
        checks.non_negative_int("step", position.step)
        checks.non_negative("seconds", position.seconds)
    # The last of JSON that is deeply nested: the checksum is only a guard against accidents.
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise DamagedCheckpointError(f"checkpoint {path} is damaged: {reason}") from error
    return state, position


def _digest(state: dict[str, np.ndarray]) -> np.ndarray:
    """SHA-256 of names, types, shapes and bytes, as 32 uint8."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name};{value.dtype.str};{value.shape};".encode())
        digest.update(np.ascontiguousarray(value))
    return np.frombuffer(digest.digest(), np.uint8)


def _variables(model: ImageModel) -> list:
    """The model's variables (seed generators among them), its metrics' and its optimizers', in a fixed order."""
    averages = (variable for metric in model.metrics for variable in metric.variables)
    return [*model.variables, *averages, *(v for optimizer in model.optimizers for v in optimizer.variables)]


def _all(run: str | os.PathLike) -> list[tuple[TrainingPosition, Path]]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        paths = list((Path(run) / CHECKPOINTS_FOLDER).iterdir())
        found = [(match, path) for path in paths if (match := _FILE_NAME.fullmatch(path.name))]
        return sorted((TrainingPosition(int(match[1]), int(match[2] or 0)), path) for match, path in found)
    return []
