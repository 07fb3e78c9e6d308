"""Measure published models again, and train them again."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)

from keras_gen import evaluation, training
from keras_gen.evaluation import evaluator
from keras_gen.models import PretrainedModel
from keras_gen.publishing import protocols
from keras_gen.publishing.records import Published
from keras_gen.runs import loading
from keras_gen.runs.settings import RunSettings
from keras_gen.utils.errors import UsageError

CONFIDENCE = 0.95
"""Probability with which a further training's score is inside `Comparison.interval`."""

TOLERANCE = 0.01
"""Relative difference that other processors and versions may make to scores of the same weights."""


@dataclass(frozen=True)
class Comparison:
    """A score that was measured again.

    Args:
        name: str, name of the score or loss.
        published: float, the published value; the mean of the published trainings if `interval` is given.
        obtained: float, the value now.
        interval: float or None, by how much a further training is expected to differ from the mean; None if only one
            training was published.
    """

    name: str
    published: float
    obtained: float
    interval: float | None = None

    @property
    def is_within(self) -> bool | None:
        """Whether the value is within the interval, or None without one."""
        return None if self.interval is None else abs(self.obtained - self.published) <= self.interval

    @property
    def is_equal(self) -> bool:
        """Whether the values are equal up to `TOLERANCE`, as for the same weights."""
        return math.isclose(self.obtained, self.published, rel_tol=TOLERANCE, abs_tol=1e-6)


def prediction_interval(values: Sequence[float]) -> float | None:
    """Return by how much a further value differs from the mean of these with probability `CONFIDENCE` at most.

    For n values of a normal distribution with standard deviation s this is t s √(1 + 1/n), with the quantile t of
    Student's distribution with n − 1 degrees of freedom.

    Args:
        values: sequence of float.

    Returns:
        The distance, or None for fewer than two values.

    Example:
        >>> round(prediction_interval([24.0, 25.0, 26.0]), 2)
        4.97
    """
    if len(values) < 2:
        return None
    import numpy as np
    from scipy import stats

    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)
    return float(quantile * np.std(values, ddof=1) * math.sqrt(1 + 1 / len(values)))


def measure(published: Published, data_dir: str | os.PathLike | None = None) -> list[Comparison]:
    """Measure the images that a published model generates again, under the protocol of its scores.

    Args:
        published: the model, which generates images.
        data_dir: str or path, the folder that holds its data. Defaults to `$KERAS_GEN_DATA`.

    Raises:
        UsageError: the model generates no images.
        DataUnavailableError: its data or extractor are unavailable.
    """
    record = published.record
    if not record.exported_scores:
        raise UsageError(f"{record.name} has no scores of generated images")
    data, _ = loading.load_data(_settings(published, data_dir=data_dir))
    settings = protocols.settings_of(published.evaluation.scores)
    scores, _ = evaluator.score_generated(PretrainedModel(published.path), data, settings)
    values = {score.name: score.value for score in scores}
    return [Comparison(name, value, values[name]) for name, value in record.exported_scores.items() if name in values]


def reproduce(
    published: Published,
    out: str | os.PathLike = "runs",
    *,
    seed: int | None = None,
    data_dir: str | os.PathLike | None = None,
) -> tuple[Path, list[Comparison]]:
    """Train a published model again and evaluate it under the same protocols.

    Args:
        published: the model.
        out: str or path, folder of run directories. Defaults to `"runs"`.
        seed: int or None, seed of the training. Defaults to that of the published weights.
        data_dir: str or path, the folder that holds its data. Defaults to `$KERAS_GEN_DATA`.

    Returns:
        The run directory, and the comparisons of its scores and losses with the published ones.

    Raises:
        UsageError, DataUnavailableError: as `keras_gen.training.run`.
    """
    run = training.run(_settings(published, data_dir=data_dir, **({} if seed is None else {"seed": seed})), out=out)
    result = evaluation.evaluate(run, protocols.settings_of(published.evaluation.scores))
    found = {score.name: score.value for score in result.scores} | result.losses
    record = published.record
    return run, [
        Comparison(name, record.mean(name), value, prediction_interval(record.values(name)))
        for name, value in found.items()
        if record.values(name)
    ]


def _settings(published: Published, **changes: object) -> RunSettings:
    """Return the settings of the published run: with the epochs that were planned if it ended early."""
    record = published.record
    content = dict(record.settings) | {"epochs": record.runs[0].planned_epochs or record.runs[0].epochs}
    return RunSettings.from_json(content | changes, str(published.path))
