"""Read the files of a run directory for a report. Missing and damaged files are recorded as problems, not raised."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from keras_gen.evaluation import results
from keras_gen.evaluation.results import Evaluation
from keras_gen.report import history_columns
from keras_gen.runs import history, run_directory
from keras_gen.runs.settings import RunSettings, read_settings
from keras_gen.utils import safe_files
from keras_gen.utils.errors import UsageError
from keras_gen.utils.text import counted

_GRID_NAME = re.compile(r"epoch-(\d{5,})\.png")


@dataclass(frozen=True)
class RunFiles:
    """Content of a run directory.

    Args:
        path: path of the directory, as given.
        record: dict, content of `recipe.json`.
        settings: settings of the run; None if they can't be read.
        history: list of one row per epoch; empty if there is none.
        evaluation: results of `evaluate.py`; None if there are none.
        evaluated_epoch: int, epoch that was evaluated; None if unknown.
        samples, reconstructions: list of (epoch, file) of the saved image grids, sorted by epoch.
        summary: str, summary of the networks; None if it is missing.
        problems: dict from `settings`, `history`, `evaluation` or `summary` to one line on why it is missing.
    """

    path: Path
    record: dict
    settings: RunSettings | None
    history: list[dict[str, int | float]]
    evaluation: Evaluation | None
    evaluated_epoch: int | None
    samples: list[tuple[int, Path]]
    reconstructions: list[tuple[int, Path]]
    summary: str | None
    problems: dict[str, str]

    @property
    def name(self) -> str:
        """Name of the directory."""
        return self.path.absolute().name

    @property
    def model(self) -> str:
        """Name of the recipe."""
        return str(self.part("settings").get("model", "unnamed model"))

    @property
    def data_name(self) -> str:
        """Name of the data set."""
        return str(self.part("data").get("name", "unnamed data"))

    @property
    def epochs(self) -> tuple[int, int | None]:
        """Finished epochs according to the history, and requested epochs (None if unknown)."""
        requested = self.part("settings").get("epochs")
        done = int(self.last.get("epoch", 0))
        return done, requested if type(requested) is int else None

    @property
    def planned_epochs(self) -> int | None:
        """Epochs that the run was started for: more than the requested ones if it ended early. None if unknown."""
        return run_directory.planned_epochs(self.record) or self.epochs[1]

    @property
    def early_end(self) -> str | None:
        """How a run ended early, in words; None for another run."""
        reason = self.part(run_directory.ENDED_EARLY).get("reason")
        return f"after {self.epochs[0]} of {self.planned_epochs} epochs: {reason}" if reason else None

    @property
    def note_on_scores(self) -> str | None:
        """The epoch of the scores in words, if it is not the last one."""
        done, _ = self.epochs
        if not self.history or self.evaluated_epoch in (None, done):
            return None
        return f"measured after epoch {self.evaluated_epoch}; the run has finished {counted(done, 'epoch')}"

    @property
    def last(self) -> dict[str, int | float]:
        """Row of the last epoch; empty if there is none."""
        return self.history[-1] if self.history else {}

    @property
    def seconds(self) -> list[float]:
        """Durations of the epochs for which the history has one."""
        return [row["seconds"] for row in self.history if math.isfinite(row.get("seconds", math.nan))]

    @property
    def image_height(self) -> int | None:
        """Height of an image in pixels; None if unknown."""
        shape = self.part("data").get("image_shape")
        height = shape[0] if isinstance(shape, list) and shape else None
        return height if isinstance(height, int) and height > 0 else None

    def part(self, name: str) -> dict:
        """Return the entry `name` of the record if it is a dictionary, else an empty one."""
        value = self.record.get(name)
        return value if isinstance(value, dict) else {}


def read(run: str | os.PathLike) -> RunFiles:
    """Read a run directory; the run may be training, interrupted, or incomplete.

    Raises:
        UsageError: if `run` is not a run directory, or its `recipe.json` is damaged.
    """
    path, problems = Path(run), {}
    record = run_directory.read_recipe(path)
    settings = _or_problem(problems, "settings", lambda: read_settings(path)[1])
    rows = _or_problem(problems, "history", lambda: _history(path / run_directory.HISTORY_FILE)) or []
    evaluation = _or_problem(problems, "evaluation", lambda: results.read(path))
    return RunFiles(
        path=path,
        record=record,
        settings=settings,
        history=rows,
        evaluation=evaluation,
        evaluated_epoch=None if evaluation is None else _evaluated_epoch(path),
        samples=_grids(path / run_directory.SAMPLES_FOLDER),
        reconstructions=_grids(path / run_directory.RECONSTRUCTIONS_FOLDER),
        summary=_or_problem(problems, "summary", lambda: _summary(path / run_directory.SUMMARY_FILE)),
        problems=problems,
    )


def _history(path: Path) -> list[dict[str, int | float]]:
    if not path.exists():
        raise UsageError("no epoch is finished yet: there is no history")
    return list(history_columns.check_history(history.read(path)))


def _evaluated_epoch(path: Path) -> int | None:
    epoch = run_directory.read_json(path / results.EVALUATION_FILE).get("epoch")
    return epoch if type(epoch) is int else None  # not True


def _summary(path: Path) -> str:
    try:
        return safe_files.read_bytes(path).decode("utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {error}") from error


def _grids(folder: Path) -> list[tuple[int, Path]]:
    try:
        matches = [(match, entry) for entry in folder.iterdir() if (match := _GRID_NAME.fullmatch(entry.name))]
    except OSError:
        return []
    return sorted((int(match[1]), entry) for match, entry in matches)


def _or_problem(problems: dict[str, str], name: str, reader):
    """Return `reader()`; if it raises a UsageError, store the message under `name` and return None."""
    try:
        return reader()
    except UsageError as error:
        problems[name] = str(error)
        return None
