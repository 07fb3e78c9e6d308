"""Measure published models again, and train them again."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)

from keras_gen import evaluation, training
from keras_gen.data import catalog
from keras_gen.evaluation.score import Score
from keras_gen.models import PretrainedModel
from keras_gen.publishing import protocols
from keras_gen.publishing.records import Published
from keras_gen.runs import loading
from keras_gen.runs.settings import RunSettings, read_settings
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.progress import print_line

CONFIDENCE = 0.95
"""Probability with which a further training's score is within `prediction_margin`."""

RELATIVE, ABSOLUTE = 0.01, 0.005
"""By how much scores of the same weights may differ with the processor and the versions, at least; the second is for
images that are drawn at random."""


@dataclass(frozen=True)
class Comparison:
    """A score that was measured again.

    Args:
        name: str, name of the score or loss.
        published: float, the published value, or the mean of several trainings.
        obtained: float, the value now.
        margin: float or None, by how much it may differ from the published one; None if that is not known.
    """

    name: str
    published: float
    obtained: float
    margin: float | None

    @property
    def is_within(self) -> bool | None:
        """Whether the value is within the margin, or None without one."""
        return None if self.margin is None else abs(self.obtained - self.published) <= self.margin


def prediction_margin(values: Sequence[float]) -> float | None:
    """Return by how much a further value differs from the mean of these with probability `CONFIDENCE` at most.

    For n values of a normal distribution with standard deviation s this is t s √(1 + 1/n), with the quantile t of
    Student's distribution with n − 1 degrees of freedom.

    Args:
        values: sequence of float.

    Returns:
        Half the width of the prediction interval, or None for fewer than two values.

    Example:
        >>> round(prediction_margin([24.0, 25.0, 26.0]), 2)
        4.97
    """
    if len(values) < 2:
        return None
    import numpy as np
    from scipy import stats

    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return float(quantile * np.std(values, ddof=1) * math.sqrt(1 + 1 / len(values)))


def measure(
    published: Published, data_dir: str | os.PathLike | None = None, *, extractor_weights: str | None = None
) -> list[Comparison]:
    """Measure the images that a published model generates and reconstructs again, under the protocols of its scores.

    Args:
        published: the model, which has its weights.
        data_dir: str or path, the folder that holds its data. Defaults to `$KERAS_GEN_DATA`.
        extractor_weights: str or None, file of the weights of the scores' extractor. Defaults to None.

    Raises:
        UsageError: the model has no scores of images or no weights, or the data have other images, or another order.
        DataUnavailableError: its data or extractor are unavailable.
    """
    record, scores = published.record, {score.name: score for score in published.evaluation.scores}
    model = PretrainedModel(published.path)
    if not record.exported_scores:
        raise UsageError(f"{record.name} has no scores of images")
    data, _ = loading.load_data(_settings(published, data_dir))
    measured = [scores[name] for name in record.exported_scores]
    values = protocols.measure_again(model, data, measured, extractor_weights)
    return [
        Comparison(name, value, values[name], _rounding(value, scores[name]))
        for name, value in record.exported_scores.items()
    ]


def _rounding(value: float, score: Score) -> float:
    """Return by how much the score of the same weights may differ from its value on another machine."""
    return max(RELATIVE * abs(value), ABSOLUTE if "generated" in score.protocol else 0.0)


def reproduce(
    published: Published,
    out: str | os.PathLike = "runs",
    *,
    seed: int | None = None,
    run: str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    extractor_weights: str | None = None,
) -> tuple[Path, list[Comparison]]:
    """Train a published model again and evaluate it under the same protocols.

    A training that ended early by its `patience` has it again; one that ended by the clock gets as many epochs, unless
    its learning rates decay, which depends on the number of epochs that were planned.

    Args:
        published: the model.
        out: str or path, folder of run directories. Defaults to `"runs"`.
        seed: int or None, seed of the training. Defaults to the next one after those of several published trainings,
            so that the new one can be compared with their spread, or to that of a single one.
        run: str or path, a run directory of an earlier call, which is resumed if it is not finished. Defaults to None,
            a new run.
        data_dir: str or path, the folder that holds its data. Defaults to `$KERAS_GEN_DATA`.
        extractor_weights: str or None, file of the weights of the scores' extractor. Defaults to None.

    Returns:
        The run directory, and the comparisons of its scores and losses with the published ones.

    Raises:
        RunInterrupted: Ctrl-C, also in the evaluation, or SIGTERM in training; its `run` can be passed as `run`.
        UsageError, DataUnavailableError: as `keras_gen.training.run`; the data set is another, or has another number
            of training images, or `run` is of another recipe or has other parameters.
    """
    record = published.record
    evaluation_settings = protocols.settings_of(published.evaluation.scores, extractor_weights)
    if run is None:
        seeds = [each.seed for each in record.runs]
        default = seeds[0] if len(seeds) == 1 else max(seeds) + 1
        changes: dict[str, object] = {"seed": default if seed is None else checks.seed("seed", seed)}
        if record.settings["extractor"] == evaluation_settings.extractor:  # training may have scored with another one
            changes["extractor_weights"] = extractor_weights
        settings = _settings(published, data_dir, **changes)
        _check_decay(published, settings)
        _check_data(published, loading.load_data(settings)[0].description())
        run = training.run(settings, out=out)
    else:
        run = Path(run)
        found, settings = read_settings(run)
        if settings.model != record.recipe or settings.arguments() != _settings(published, data_dir).arguments():
            raise must_be("run", f"a run of {record.recipe} with the parameters of {record.name}", str(run))
        _check_data(published, found.get("data") or {})
        training.resume(run, data_dir=data_dir)
    try:
        result = evaluation.evaluate(run, evaluation_settings, data_dir=data_dir)
    except KeyboardInterrupt:
        how = f"call reproduce again with run={os.fspath(run)!r}"
        raise training.RunInterrupted(f"interrupted in the evaluation; {how}", run=run) from None
    found = {score.name: score.value for score in result.scores} | result.losses
    return run, [
        Comparison(name, record.mean(name), value, prediction_margin(record.values(name)))
        for name, value in found.items()
        if record.values(name)
    ]


def _settings(published: Published, data_dir: str | os.PathLike | None, **changes: object) -> RunSettings:
    """Return the settings of the published run, with which its training ends as it did."""
    record, first = published.record, published.record.runs[0]
    changes["data_dir"] = None if data_dir is None else os.fspath(data_dir)
    folder = Path(data_dir or "") / str(record.data["name"])
    if data_dir is not None and catalog.find(folder.name) is None and folder.is_dir():  # a folder of images
        changes["dataset"] = str(folder)
    # Its reason begins with the column that did not improve; a run can have both limits.
    ended_by_patience = str(first.ended_early).startswith(f"{record.settings.get('keep_best')} ")
    content = dict(record.settings) | {"epochs": first.planned_epochs if ended_by_patience else first.epochs}
    return RunSettings.from_json(content | {"max_minutes": None} | changes, str(published.path))


def _check_decay(published: Published, settings: RunSettings) -> None:
    """Check that learning rates which decay over the epochs have the number of epochs that was planned."""
    first = published.record.runs[0]
    if settings.learning_rate_decay != "none" and settings.epochs != (first.planned_epochs or first.epochs):
        raise UsageError(
            f"{published.record.name} can't be reproduced: its training ended by the clock after {first.epochs} of "
            f"{first.planned_epochs} epochs, and its learning rates decay over all of them"
        )


def _check_data(published: Published, found: Mapping[str, object]) -> None:
    """Check that a data set, given by its description, is that of the published model.

    Another order of the images, or other test images, only lead to a note.

    Raises:
        UsageError: the name of the data set, or the number or the shape of its training images differ.
    """
    record = published.record
    wanted, received = _training_images(record.data), _training_images(found)
    if wanted != received:
        raise must_be("data", f"those of {record.name}, {wanted}", received)
    if found.get("fingerprint") != record.data.get("fingerprint"):
        print_line(
            f"NOTE: data set {found['name']} is not exactly what {record.name} was trained on: the images, or their "
            "order, are others, so that scores can differ"
        )


def _training_images(description: Mapping[str, object]) -> str:
    try:
        shape = "×".join(map(str, description["image_shape"]))
        return f"{description['name']} with {description['counts']['train']:,} training images of {shape}"
    except (KeyError, TypeError, ValueError) as error:  # of a damaged record
        raise UsageError(f"the description of the data is damaged: {error!r}") from error
