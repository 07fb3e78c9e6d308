"""What was measured of a run, and the file in the run directory that keeps it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keras_gen.evaluation.score import Score
from keras_gen.runs import run_directory
from keras_gen.utils import files, safe_files
from keras_gen.utils.errors import UsageError

EVALUATION_FILE = "evaluation.json"


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Args:
        losses: every quantity that the model reports, averaged over the test images.
        scores: the scores, each with its protocol.
        notes: one line for everything that was not measured, with the reason, or that is to be taken with care.
    """

    losses: dict[str, float]
    scores: list[Score]
    notes: list[str]


def write(run: str | os.PathLike, evaluation: Evaluation, details: Mapping[str, object]) -> None:
    """Keep an evaluation in a run directory, with details that JSON can hold, in place of an older one."""
    content = {
        "losses": evaluation.losses,
        "scores": [score.to_json() for score in evaluation.scores],
        "notes": evaluation.notes,
        **details,
    }
    files.write_json(Path(run) / EVALUATION_FILE, content)


def read(run: str | os.PathLike) -> Evaluation:
    """The evaluation of a run directory.

    Raises:
        UsageError: `run` is no run directory, was not measured, or the file is damaged.
    """
    path = Path(run) / EVALUATION_FILE
    run_directory.read_recipe(run)
    how = f"python experiments/evaluate.py {run}"
    try:
        content = safe_files.read_json(path)
        scores = [Score.from_json(score) for score in content["scores"]]
        losses, notes = content["losses"], content["notes"]
        if not all(isinstance(value, int | float) for value in losses.values()):
            raise TypeError("losses must be numbers")
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise TypeError("notes must be lines")
        return Evaluation(losses, scores, notes)
    except OSError as error:
        raise UsageError(f"run {run} was not measured yet: {how}") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        message = f"{path} is damaged, or of another version of keras_gen: measure the run again with {how}"
        raise UsageError(message) from error
