"""The record of a published model: how it was trained, and what it reached."""

from __future__ import annotations

import dataclasses
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_gen.evaluation import results
from keras_gen.evaluation.results import Evaluation
from keras_gen.runs.settings import PLACES, RunSettings
from keras_gen.utils import safe_files, trained_models
from keras_gen.utils.command_lines import SCRIPTS
from keras_gen.utils.errors import UsageError, must_be

RECORD_FILE, HISTORY_FILE, CARD_FILE = trained_models.RECORD_FILE, "history.csv", "README.md"
SAMPLES_FILE, LATENTS_FILE, CURVE_FILE = "samples.png", "latents.png", "curve.png"

_ENTRIES = {
    "data": ("name", "counts", "image_shape"),
    "machine": ("cores", "processor"),
    "versions": ("keras_gen", "tensorflow", "keras"),
}
"""Entries of the record of a run that cards and tables show."""


def check_description(record: Mapping[str, object]) -> None:
    """Check that the record of a run or of a published model describes its data, machine and versions.

    Raises:
        ValueError: it does not.
    """
    for part, names in _ENTRIES.items():
        if not isinstance(found := record.get(part), dict) or not found.keys() >= set(names):
            raise ValueError(f"{part} must have {', '.join(names)}")
    counts, shape = record["data"]["counts"], record["data"]["image_shape"]
    if not isinstance(counts, dict) or "train" not in counts:
        raise ValueError("counts of the data must have train")
    if not isinstance(shape, list | tuple) or [type(size) for size in shape] != [int] * 3:
        raise ValueError("image_shape of the data must be three integers")


@dataclass(frozen=True)
class TrainedRun:
    """One run of a published model.

    Args:
        seed: int, seed of the run.
        epochs: int, epochs that were trained.
        planned_epochs: int or None, epochs that it was started for if it ended early.
        ended_early: str or None, the reason.
        evaluated_epoch: int, epoch of the weights that were measured.
        minutes: float, training time, validation included.
        updates: dict, updates of each network by name.
        resumed: int, how often training was resumed, after an interruption or an early end.
        losses: dict, losses of the test images by name.
        scores: dict, values of the scores by name.
    """

    seed: int
    epochs: int
    planned_epochs: int | None
    ended_early: str | None
    evaluated_epoch: int
    minutes: float
    updates: Mapping[str, int]
    resumed: int
    losses: Mapping[str, float]
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Record:
    """How a published model was trained.

    Args:
        name: str, name of the model.
        recipe, summary, source: str, name of the recipe, what it is, and where it is from.
        settings: dict, settings of the run as `RunSettings.to_json`, without places of this machine.
        command: list of str, words of run.py's command line.
        data: dict, description of the data set.
        machine, versions: dicts, as in a run's record.
        sampler: str, distribution of the latents of generated images, such as `prior`; None if it generates none.
        runs: sequence of `TrainedRun`; the published weights are of the first, the others have other seeds.
        exported_scores: dict, values of the scores of the published weights as they are stored, by name.
        note: str, remark on the images; empty for none.
        license: str, license of the weights; empty if none is stated.
        rank: int or None, rank of the factors as which large matrices of weights are stored; None for exact ones.
    """

    name: str
    recipe: str
    summary: str
    source: str
    settings: Mapping[str, object]
    command: Sequence[str]
    data: Mapping[str, object]
    machine: Mapping[str, object]
    versions: Mapping[str, str]
    sampler: str | None
    runs: Sequence[TrainedRun]
    exported_scores: Mapping[str, float]
    note: str = ""
    license: str = ""
    rank: int | None = None

    def to_json(self) -> dict:
        """Return the record as a JSON-serializable dict."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: dict) -> Record:
        """Restore a record from `to_json`. Raises KeyError, TypeError or ValueError for another dict."""
        check_description(content)
        record = cls(**content | {"runs": [TrainedRun(**run) for run in content["runs"]]})
        texts = (record.name, record.recipe, record.summary, record.source, record.note, record.license)
        numbers = [record.exported_scores, *(part for run in record.runs for part in (run.losses, run.scores))]
        if not record.runs or not all(isinstance(text, str) for text in (*texts, *record.command)):
            raise TypeError("runs, or a text, are missing")
        if record.rank is not None and not isinstance(record.rank, int):
            raise TypeError("rank must be an integer")
        if not all(isinstance(table, dict) for table in (record.settings, *numbers)):
            raise TypeError("settings, losses and scores must be objects")
        if not all(isinstance(value, int | float) for table in numbers for value in table.values()):
            raise TypeError("losses and scores must be numbers")
        return record

    def values(self, name: str) -> list[float]:
        """Return the values of a score or loss in all runs that have it."""
        found = [run.scores.get(name, run.losses.get(name)) for run in self.runs]
        return [value for value in found if value is not None]

    def mean(self, name: str) -> float:
        """Return the mean of a score or loss over the runs; NaN if none has it."""
        return statistics.fmean(values) if (values := self.values(name)) else math.nan

    def spread(self, name: str) -> float | None:
        """Return the standard deviation (n − 1) of a score or loss over the runs; None for fewer than two."""
        return statistics.stdev(values) if len(values := self.values(name)) > 1 else None


@dataclass(frozen=True)
class Published:
    """A published model: its folder, record and evaluation. The SavedModel may be missing."""

    path: Path
    record: Record
    evaluation: Evaluation

    @property
    def has_weights(self) -> bool:
        """Whether the folder has the SavedModel."""
        return (self.path / trained_models.SAVED_MODEL_FILE).is_file()


def read(path: str | os.PathLike) -> Published:
    """Read the record and the evaluation of a published model.

    Raises:
        UsageError: they are missing or damaged.
    """
    path = Path(path)
    try:
        record = Record.from_json(safe_files.read_json(path / RECORD_FILE))
        evaluation = results.read_file(path / trained_models.EVALUATION_FILE)
        if unknown := record.exported_scores.keys() - {score.name for score in evaluation.scores}:
            raise ValueError(f"{', '.join(sorted(unknown))} is not in {trained_models.EVALUATION_FILE}")
        return Published(path, record, evaluation)
    except OSError as error:
        wanted = f"a published model, with {RECORD_FILE} and {trained_models.EVALUATION_FILE}"
        raise must_be("path", wanted, str(path)) from error
    except UsageError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path / RECORD_FILE} is damaged, or from another version of keras_gen: {error!r}") from error


def without_place(settings: RunSettings, data: Mapping[str, object]) -> RunSettings:
    """Return the settings of a run with the name of its data set in place of the file or folder on this machine.

    Args:
        settings: RunSettings.
        data: mapping, the run's description of its data set.
    """
    content = settings.to_json() | {"dataset": data["name"]} | dict.fromkeys(PLACES)
    # Under the name of the recipe's own data set, None would be the recipe's choice.
    chosen = {
        "binarize": "none",
        "validation": data["counts"].get("validation", 0),
        "image_size": data["image_shape"][0],
    }
    for name, value in chosen.items():
        if content[name] is None and getattr(settings.recipe, name) is not None:
            content[name] = value
    return RunSettings.from_json(content, settings.model)


def command_of(settings: RunSettings, epochs: int | None = None) -> list[str]:
    """Return the words of run.py's command line for the settings of `without_place`.

    Args:
        settings: RunSettings.
        epochs: int or None, the number of epochs that the run was started for if it ended early. Defaults to None.
    """
    settings = settings if epochs is None else dataclasses.replace(settings, epochs=epochs)
    file, root = settings.recipe.file, SCRIPTS.parent
    place = file and (file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name)
    return [*settings.words(only_changed=True), *([f"--recipes={place}"] if place else [])]


def published(folder: str | os.PathLike | None = None) -> list[Published]:
    """Return the published models, sorted by name.

    Args:
        folder: str or path, a folder of published models, with or without weights. Defaults to all models with weights
            that are found by name.
    """
    if folder is not None:
        return [read(file.parent) for file in sorted(Path(folder).glob(f"*/{RECORD_FILE}"))]
    return [read(path) for path in trained_models.published()]
