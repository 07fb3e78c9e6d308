"""Runs that can be published or shown in a report: finished, and evaluated with the weights that they have now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_gen.evaluation import results
from keras_gen.evaluation.results import Evaluation
from keras_gen.publishing import records
from keras_gen.runs import checkpoints, hints, history, run_directory
from keras_gen.runs.settings import RunSettings, read_settings
from keras_gen.utils.errors import UsageError, must_be


@dataclass(frozen=True)
class FinishedRun:
    """What the files of a run say.

    Args:
        path: Path, of the run directory.
        record: dict, content of `recipe.json`, with the entries `data`, `machine` and `versions`.
        settings: RunSettings, as it was trained.
        history: list of dict, one row for each epoch.
        evaluation: Evaluation, its scores and losses of test images.
        content: mapping, content of `evaluation.json`.
    """

    path: Path
    record: dict
    settings: RunSettings
    history: Sequence[Mapping[str, float]]
    evaluation: Evaluation
    content: Mapping[str, object]

    @property
    def planned_epochs(self) -> int | None:
        """Epochs that it was started for if it ended early."""
        return run_directory.planned_epochs(self.record)


def read(path: Path) -> FinishedRun:
    """Read a run.

    Raises:
        UsageError: it is damaged, not finished, or was not evaluated after its last epoch, or its best one.
    """
    record, settings = read_settings(path)
    evaluation = results.read(path)
    rows = history.read(path / run_directory.HISTORY_FILE)
    content = run_directory.read_json(path / results.EVALUATION_FILE)
    if run_directory.finished_epochs(path) != settings.epochs:
        raise UsageError(f"run {path} is not finished: {hints.resume(path)}")
    best = checkpoints.best(path, settings.keep_best)
    if content.get("epoch") != (best.position.epoch if best else settings.epochs):
        raise UsageError(f"run {path} was evaluated after another epoch: evaluate it again: {hints.evaluate(path)}")
    if [row["epoch"] for row in rows] != list(range(1, settings.epochs + 1)):
        raise UsageError(f"history of {path} must have one row for each of its {settings.epochs} epochs")
    if settings.learning_rate_decay != "none":
        for resumed in record.get("resumed", ()):  # its command would train another model
            if epochs := resumed.get("planned_epochs"):
                what = f"one whose learning rates decayed over {epochs} epochs at first"
                raise must_be("run", f"a run whose learning rates decay once, over its {settings.epochs} epochs", what)
    try:
        records.check_description(record)
    except ValueError as error:
        raise UsageError(f"{path / run_directory.RECIPE_FILE} is damaged: {error}") from error
    if not isinstance(content.get("data", {}), dict):
        raise UsageError(f"{path / results.EVALUATION_FILE} is damaged: data must be an object")
    return FinishedRun(path, record, settings, rows, evaluation, content)
