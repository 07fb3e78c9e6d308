"""A run directory as a report reads it: what is missing or damaged is said, and stops nothing."""

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
from keras_gen.runs.settings import RunSettings
from keras_gen.utils import safe_files
from keras_gen.utils.errors import UsageError

_PICTURE = re.compile(r"epoch-(\d{5,})\.png")


@dataclass(frozen=True)
class RunFiles:
    """What a run directory holds.

    Args:
        path: of the directory, as it was given.
        record: the content of `recipe.json`.
        settings: of the run; None if they are not understood.
        history: a row an epoch; empty if there is none.
        evaluation: what was measured; None if nothing was.
        evaluated_epoch: after which epoch that was; None if it is not known.
        samples, reconstructions: epoch and file of each picture, in the order of the epochs.
        summary: of the networks; None if it is missing.
        problems: why `settings`, `history`, `evaluation` or `summary` is missing, one line each, by that name.
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
        """Of the directory."""
        return self.path.absolute().name

    @property
    def model(self) -> str:
        """Name of the recipe."""
        return str(self.part("settings").get("model", "a model that is not named"))

    @property
    def data_name(self) -> str:
        """Name of the data set."""
        return str(self.part("data").get("name", "data that are not named"))

    @property
    def epochs(self) -> tuple[int, int | None]:
        """Epochs done, as the history has them, and epochs asked for, None if that is not known."""
        asked = self.part("settings").get("epochs")
        done = int(self.history[-1]["epoch"]) if self.history else 0
        return done, asked if isinstance(asked, int) and not isinstance(asked, bool) else None

    @property
    def seconds(self) -> list[float]:
        """Of each epoch that has them."""
        return [row["seconds"] for row in self.history if math.isfinite(row.get("seconds", math.nan))]

    @property
    def image_height(self) -> int | None:
        """Of the data, in pixels; None if it is not known."""
        shape = self.part("data").get("image_shape")
        height = shape[0] if isinstance(shape, list) and shape else None
        return height if isinstance(height, int) and height > 0 else None

    def part(self, name: str) -> dict:
        """A part of the record that is a dictionary; empty if it is not there."""
        value = self.record.get(name)
        return value if isinstance(value, dict) else {}


def read(run: str | os.PathLike) -> RunFiles:
    """What a run directory holds, also of a run that goes on, was interrupted, or lost files.

    Raises:
        UsageError: `run` is no run directory, or its `recipe.json` is damaged.

    Example:
        >>> Path("run").mkdir()
        >>> runs.write_json("run/recipe.json", {"settings": {"model": "vae-mlp", "epochs": 50}})
        >>> read("run").epochs
        (0, 50)
    """
    path, problems = Path(run), {}
    record = run_directory.read_recipe(path)
    settings = _or_problem(problems, "settings", lambda: _settings(path, record))
    rows = _or_problem(problems, "history", lambda: _history(path / run_directory.HISTORY_FILE)) or []
    evaluation = _or_problem(problems, "evaluation", lambda: results.read(path))
    return RunFiles(
        path=path,
        record=record,
        settings=settings,
        history=rows,
        evaluation=evaluation,
        evaluated_epoch=None if evaluation is None else _evaluated_epoch(path),
        samples=_pictures(path / run_directory.SAMPLES_FOLDER),
        reconstructions=_pictures(path / run_directory.RECONSTRUCTIONS_FOLDER),
        summary=_or_problem(problems, "summary", lambda: _summary(path / run_directory.SUMMARY_FILE)),
        problems=problems,
    )


def _history(path: Path) -> list[dict[str, int | float]]:
    """The rows of a history file in the order of their epochs."""
    if not path.exists():
        raise UsageError("no epoch is finished yet: there is no history")
    return list(history_columns.check_history(history.read(path)))


def _settings(path: Path, record: dict) -> RunSettings:
    return RunSettings.from_json(record.get("settings"), os.fspath(path / run_directory.RECIPE_FILE))


def _evaluated_epoch(path: Path) -> int | None:
    epoch = run_directory.read_json(path / results.EVALUATION_FILE).get("epoch")
    return epoch if type(epoch) is int else None  # not True


def _summary(path: Path) -> str:
    try:
        return safe_files.read_bytes(path).decode("utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {error}") from error


def _pictures(folder: Path) -> list[tuple[int, Path]]:
    try:
        found = [(match, entry) for entry in folder.iterdir() if (match := _PICTURE.fullmatch(entry.name))]
    except OSError:
        return []
    return sorted((int(match[1]), entry) for match, entry in found)


def _or_problem(problems: dict[str, str], name: str, reading):
    try:
        return reading()
    except UsageError as error:
        problems[name] = str(error)
        return None
