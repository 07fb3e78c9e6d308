"""Results of an evaluation, and their file in the run directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keras_gen.evaluation.score import Score
from keras_gen.runs import hints, run_directory
from keras_gen.utils import files, safe_files, trained_models
from keras_gen.utils.errors import UsageError

EVALUATION_FILE = trained_models.EVALUATION_FILE


@dataclass(frozen=True)
class Evaluation:
    """Result of an evaluation.

    Args:
        losses: dict, the model's losses and metrics, averaged over the test images.
        scores: list of `Score`, each with its protocol.
        notes: list of str, one line for each score that is missing or unreliable, with the reason.
    """

    losses: dict[str, float]
    scores: list[Score]
    notes: list[str]

    def to_json(self) -> dict:
        """Return the evaluation as a JSON-serializable dict."""
        return {"losses": self.losses, "scores": [score.to_json() for score in self.scores], "notes": self.notes}


def write(run: str | os.PathLike, evaluation: Evaluation, details: Mapping[str, object]) -> None:
    """Write an evaluation and JSON-serializable details to a run directory, replacing an older evaluation."""
    files.write_json(Path(run) / EVALUATION_FILE, {**evaluation.to_json(), **details})


def read(run: str | os.PathLike) -> Evaluation:
    """Read the evaluation of a run directory.

    Raises:
        UsageError: if `run` is no run directory or was not evaluated, or the file is damaged.
    """
    run_directory.read_recipe(run)
    command = hints.evaluate(run)
    try:
        return read_file(Path(run) / EVALUATION_FILE)
    except OSError as error:
        raise UsageError(f"run {run} has not been evaluated yet: {command}") from error
    except UsageError as error:
        raise UsageError(f"{error}: evaluate the run again with {command}") from error


def read_file(path: str | os.PathLike) -> Evaluation:
    """Read an `evaluation.json`.

    Raises:
        OSError: it can't be read.
        UsageError: it is damaged.
    """
    try:
        content = safe_files.read_json(path)
        scores = [Score.from_json(score) for score in content["scores"]]
        losses, notes = content["losses"], content["notes"]
        if not all(isinstance(value, int | float) for value in losses.values()):
            raise TypeError("losses must be numbers")
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise TypeError("notes must be lines")
        return Evaluation(losses, scores, notes)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise UsageError(f"{path} is damaged, or from another version of keras_gen") from error
