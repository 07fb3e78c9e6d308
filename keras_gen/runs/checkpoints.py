"""Checkpoints: the whole training state in one file, with weights, optimizers, random seeds and running averages."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import numpy as np

from keras_gen import distribution
from keras_gen.models import ImageModel
from keras_gen.runs import history
from keras_gen.runs.run_directory import CHECKPOINTS_FOLDER, HISTORY_FILE
from keras_gen.utils import archives, checks, files, safe_files
from keras_gen.utils.errors import TrainingDiverged, UsageError
from keras_gen.utils.progress import print_line
from keras_gen.utils.text import counted

KEEP = 2
_FILE_NAME = re.compile(r"epoch-(\d+)(?:-step-(\d+))?\.npz")
_POSITION, _DIGEST = "position", "sha256"
"""Entries of a file that are not variables; the names of variables start with a digit."""

_NUMBER = re.compile(r"_\d+(?=_|$)")
"""Matches the numbers in variables' names, which depend on what else the process built."""

_intact: set[tuple[Path, int]] = set()
"""Files that this process wrote or read, with their times in ns."""


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
        return counted(self.step, "step")

    def __str__(self) -> str:
        return f"epoch {self.epoch}" + (f" and {self.steps} of the next" if self.step else "")


State = dict[str, np.ndarray]
"""The values of all variables of a training, by name, in a fixed order."""


def state_of(model: ImageModel) -> State:
    """Return the training state of a model, which does not change when training goes on.

    On a CPU the arrays are the memory of the variables, and TensorFlow copies a variable whose memory is used elsewhere
    before it updates it. With several workers all of them must call this, since metrics are reduced over the workers.
    """
    # The index makes names unique: two layers may have the same path.
    return {f"{index:05d} {v.path}": distribution.value(v) for index, v in enumerate(_variables(model))}


def check_finite(state: State, position: TrainingPosition) -> None:
    """Raise `TrainingDiverged` if a value of the training state at `position` is not finite."""
    for name, value in state.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise TrainingDiverged(f"training diverged: {name.partition(' ')[2]} is not finite after {position}")


def write(run: str | os.PathLike, state: State, position: TrainingPosition, *, keep_best: str | None = None) -> Path:
    """Write the training state at `position` atomically, and delete older checkpoints but the newest `KEEP`.

    The `best` one by the column `keep_best`, if that is given, is also kept.

    Returns:
        The path of the file.

    Raises:
        TrainingDiverged: a variable is not finite. Nothing is written; the existing checkpoints are kept.
    """
    check_finite(state, position)
    state = {**state, _POSITION: np.frombuffer(json.dumps(asdict(position)).encode(), np.uint8)}
    folder = safe_files.inside(run, CHECKPOINTS_FOLDER)
    files.make_folder(folder)
    step = f"-step-{position.step:08d}" if position.step else ""
    path = folder / f"epoch-{position.epoch:05d}{step}.npz"
    with files.atomic_path(path) as temporary:
        np.savez(temporary, **state, **{_DIGEST: _digest(state)})
    _intact.add((path, path.stat().st_mtime_ns))
    delete_old(run, position, KEEP, keep_best=keep_best)
    return path


def delete_old(run: str | os.PathLike, position: TrainingPosition, keep: int, *, keep_best: str | None = None) -> None:
    """Delete all checkpoints of a run up to `position` but the newest `keep` that are intact, and the `best` one.

    Later ones are damaged, since training goes on from the newest intact one: they are neither counted nor deleted.
    """
    kept = best(run, keep_best)
    for place, path in reversed([each for each in _all(run) if each[0] <= position]):
        if kept and place == kept.position:
            continue
        if keep and _is_intact(path):
            keep -= 1
        elif not keep and path.is_file():
            files.check_folder_in_use(path)
            path.unlink(missing_ok=True)


def restore_latest(
    run: str | os.PathLike, model: ImageModel, *, epochs: float = math.inf, steps: float = math.inf
) -> TrainingPosition:
    """Restore a run's newest checkpoint into `model`, or the previous one, with a printed note, if that is damaged.

    Returns:
        The position of the checkpoint; the start of training if the run has none.

    Raises:
        UsageError: every checkpoint is damaged, or one belongs to another model.
    """
    existing = _all(run)
    for index in reversed(range(len(existing))):
        try:
            return restore(existing[index][1], model, epochs=epochs, steps=steps)
        except DamagedCheckpointError as error:
            if index == 0:
                raise
            print_line(f"NOTE: {error}; using the previous one")
    return TrainingPosition()


def latest(run: str | os.PathLike) -> tuple[TrainingPosition, Path] | None:
    """Return position and path of a run's newest checkpoint, or None without one. The position's `seconds` are 0."""
    existing = _all(run)
    return existing[-1] if existing else None


def check_none_later(run: str | os.PathLike, start: TrainingPosition) -> None:
    """Raise `UsageError` if a run has an intact checkpoint after `start`, where its training begins."""
    for position, path in _all(run):
        if position > start and _is_intact(path):
            what = f"has a checkpoint after {position} of an earlier training"
            raise UsageError(f"run {run} {what}: choose another folder, delete {path.parent}, or continue from there")


@dataclass(frozen=True)
class BestCheckpoint:
    """The checkpoint of a run with the lowest value of a column of its history."""

    value: float
    position: TrainingPosition
    path: Path


def best(run: str | os.PathLike, column: str | None, rows: Sequence[Mapping] = ()) -> BestCheckpoint | None:
    """Return the best of a run's checkpoints, the first of equal ones.

    Args:
        run: str or path, the run directory.
        column: str, a column of `history.csv` of which lower values are better; None for no choice.
        rows: rows of `history.csv`. By default they are read.

    Returns:
        The checkpoint after the epoch with the lowest value, among those that exist and are intact; None without one.
    """
    table = Path(run) / HISTORY_FILE
    if column is None or not (rows or table.exists()):
        return None
    values = {TrainingPosition(row["epoch"]): row.get(column, math.nan) for row in rows or history.read(table)}
    found = [BestCheckpoint(values[place], place, path) for place, path in _all(run) if place in values]
    ranked = sorted((each for each in found if math.isfinite(each.value)), key=lambda each: each.value)
    for each in ranked:
        if _is_intact(each.path):
            return each
        print_line(f"NOTE: checkpoint {each.path} is damaged; the best by {column} is chosen among the others")
    return None


def restore(
    path: str | os.PathLike,
    model: ImageModel,
    *,
    epochs: float = math.inf,
    steps: float = math.inf,
    only_model: bool = False,
) -> TrainingPosition:
    """Restore the checkpoint `path` into a model that was built and compiled as when it was saved.

    Its position must lie within the run's number of epochs and an epoch's number of train steps. With several workers
    all must call this, unless `only_model` leaves out metrics, which are reduced over the workers, and optimizers.

    Returns:
        The position of the checkpoint.

    Raises:
        DamagedCheckpointError: the file is damaged. The model is unchanged.
        UsageError: the checkpoint belongs to another model. The model is unchanged.
    """
    variables = _variables(model)
    state, position = _read(Path(path))
    stored = sorted(state.items())
    fits = len(stored) == len(variables) and all(
        value.shape == tuple(v.shape) and value.dtype == np.dtype(v.dtype) and _kind(name) == _kind(v.path)
        for (name, value), v in zip(stored, variables, strict=True)
    )
    if not fits:
        raise UsageError(f"checkpoint {path} belongs to a different model than the run's recipe now builds")
    updates = [int(value) for name, value in stored if name.endswith("/iteration") and not value.shape]
    most = math.inf if steps == math.inf else (position.epoch * steps + position.step) * model.batches_per_step
    if position > TrainingPosition(epochs) or position.step >= steps or any(not 0 <= n <= most for n in updates):
        what = f"it holds {position} with {max(updates, default=0):,} weight updates"
        raise DamagedCheckpointError(f"checkpoint {path} is damaged: {what}, of {epochs} epochs of {steps} steps")
    restored = model.variables if only_model else variables
    for variable, (_, value) in zip(restored, stored):
        variable.assign(value)
    return position


def _kind(name: str) -> str:
    """Return the last part of a variable's path without numbers."""
    return _NUMBER.sub("", name.rpartition("/")[2].rpartition(" ")[2])


def _is_intact(path: Path) -> bool:
    with contextlib.suppress(OSError, DamagedCheckpointError):
        if (path, path.stat().st_mtime_ns) not in _intact:
            _read(path)
        return True
    return False


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
        match = _FILE_NAME.fullmatch(path.name)
        if match and TrainingPosition(int(match[1]), int(match[2] or 0)) != position:
            raise ValueError(f"it holds the state after {position}")
        if any(value.dtype.kind == "f" and not np.isfinite(value).all() for value in state.values()):
            raise ValueError("it holds values that are not finite")
        _intact.add((path, path.stat().st_mtime_ns))
    # RecursionError: deeply nested JSON in a forged file. The checksum detects corruption, not tampering.
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error.__cause__, PermissionError):
            raise
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
    try:
        names = os.listdir(safe_files.inside(run, CHECKPOINTS_FOLDER))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"{error.filename} can't be read ({error.strerror})") from error
    places = [
        (match, safe_files.inside(run, CHECKPOINTS_FOLDER, n)) for n in names if (match := _FILE_NAME.fullmatch(n))
    ]
    return sorted((TrainingPosition(int(match[1]), int(match[2] or 0)), path) for match, path in places)
