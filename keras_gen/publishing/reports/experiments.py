"""The trainings of a report: what is planned, and what came of it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_gen.evaluation.results import Evaluation
from keras_gen.evaluation.score import Score
from keras_gen.models import PretrainedModel
from keras_gen.publishing import finished_runs, records
from keras_gen.runs import history
from keras_gen.runs.settings import RunSettings
from keras_gen.utils import trained_models
from keras_gen.utils.errors import UsageError, must_be

MAY_DIFFER = ("moving_average",)
"""Hyperparameters in which a training may differ that takes the place of another: they leave its training alone."""


@dataclass(frozen=True)
class Experiment:
    """A training that a report needs.

    Args:
        name: str, name within the report.
        settings: RunSettings, as the report has them, or as we complete them.
        quick_epochs: int, epochs of the quick version, which trains on `digits`.
    """

    name: str
    settings: RunSettings
    quick_epochs: int

    def planned(self, *, quick: bool = False, data_dir: str | None = None) -> RunSettings:
        """Return the settings of the full version, on the data of its recipe and no others, or of the quick one.

        Args:
            quick: bool, whether it is the quick version. Defaults to False.
            data_dir: str or None, folder that holds the data. Defaults to `$KERAS_GEN_DATA`.
        """
        if not quick:
            return dataclasses.replace(self.settings, dataset=self.settings.recipe.dataset, data_dir=data_dir)
        shorter = {"dataset": "digits", "batch_size": None, "epochs": self.quick_epochs}
        return dataclasses.replace(self.settings, **shorter, fid_every=min(self.settings.fid_every, self.quick_epochs))

    def check(self, path: Path, trained: Trained, *, quick: bool) -> None:
        """Check that a training can take the place of this one: its recipe, hyperparameters and data are the same.

        It may have fewer epochs, as one that ended early, but not more.

        Raises:
            UsageError: they are not.
        """
        planned = self.planned(quick=quick)
        wanted = {"recipe": planned.model, **planned.arguments(), "data": planned.dataset}
        found = {"recipe": trained.settings.model, **trained.settings.arguments(), "data": trained.data.get("name")}
        if trained.settings.epochs > planned.epochs:
            wanted, found = wanted | {"epochs": planned.epochs}, found | {"epochs": trained.settings.epochs}
        differences = [name for name in wanted if name not in MAY_DIFFER and wanted[name] != found.get(name)]
        if differences:
            listed = ", ".join(f"{name} {wanted[name]}" for name in differences)
            received = ", ".join(f"{name} {found.get(name)}" for name in differences)
            raise must_be(f"use {self.name}", f"trained with {listed}", f"{path}, with {received}")


@dataclass(frozen=True)
class Trained:
    """A finished training: a run directory, or a published model.

    Args:
        path: Path, of the run directory or of the published model.
        settings: RunSettings, as it was trained.
        planned_epochs: int or None, epochs that it was started for if it ended early.
        history: list of dict, one row for each epoch.
        evaluation: Evaluation, its scores and losses of test images.
        data: mapping, description of its data set.
        machine: mapping, description of the machine that trained it.
    """

    path: Path
    settings: RunSettings
    planned_epochs: int | None
    history: Sequence[Mapping[str, float]]
    evaluation: Evaluation
    data: Mapping[str, object]
    machine: Mapping[str, object]

    @functools.cached_property
    def model(self) -> PretrainedModel:
        """Its SavedModel."""
        return PretrainedModel(self.path)

    @property
    def minutes(self) -> float:
        """Minutes of training, validation included."""
        return sum(row.get("seconds", 0.0) for row in self.history) / 60

    @property
    def extractor(self) -> str:
        """Name of the extractor of its scores."""
        return str(self._distance().protocol["extractor"])

    @property
    def distance(self) -> float:
        """Fréchet distance of its generated images."""
        return self._distance().value

    def _distance(self) -> Score:
        if (score := self.score("fid")) is None:
            raise UsageError(f"{self.path} must be evaluated with fid: the report compares Fréchet distances")
        return score

    def score(self, metric: str) -> Score | None:
        """Return its score by a metric such as `fid`, with whichever extractor; None if it has none."""
        return next((score for score in self.evaluation.scores if score.protocol["metric"] == metric), None)

    def value(self, metric: str) -> float | None:
        """Return the value of a score, or of a loss of the test images; None if it has neither."""
        score = self.score(metric)
        return self.evaluation.losses.get(metric) if score is None else score.value

    def grid(self, epoch: int, folder: str) -> Path | None:
        """Return the file of the grid of images after an epoch; None if there is none, as for a published model."""
        path = self.path / folder / f"epoch-{epoch:05d}.png"
        return path if path.is_file() else None


def published_for(experiments: Sequence[Experiment]) -> dict[str, Path]:
    """Return the published models, by name of an experiment, that can take the place of its training."""
    found = {}
    for name in trained_models.names():
        path = trained_models.find(name)
        with contextlib.suppress(UsageError):  # it has no record, or is damaged
            trained = read(path)
            for experiment in experiments:
                with contextlib.suppress(UsageError):
                    experiment.check(path, trained, quick=False)
                    found[experiment.name] = path
    return found


def read(path: str | os.PathLike) -> Trained:
    """Read a finished and evaluated run, or a published model.

    Raises:
        UsageError: it is neither, or damaged, or not evaluated.
    """
    path = Path(path)
    if (path / records.RECORD_FILE).is_file():
        published = records.read(path)
        if not published.has_weights:
            raise must_be("use", "a published model with its weights", str(path))
        record = published.record
        settings = RunSettings.from_json(dict(record.settings), str(path))
        rows = history.read(path / records.HISTORY_FILE)
        planned = record.runs[0].planned_epochs
        return Trained(path, settings, planned, rows, published.evaluation, record.data, record.machine)
    run = finished_runs.read(path)
    data, machine = run.record["data"], run.record["machine"]
    return Trained(path, run.settings, run.planned_epochs, run.history, run.evaluation, data, machine)
