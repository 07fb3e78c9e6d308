"""Scores: measured numbers with their names, protocols and uncertainties."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from keras_gen.evaluation import protocol
from keras_gen.evaluation.protocol import Protocol

DIRECTION = {"low": "lower", "high": "higher", None: "–"}
"""Which value of a score is better, in words, by `Score.better`."""

_OTHER_NAMES = {"fid": "fd", "fid_infinity": "fd_infinity", "kid": "kd", "inception_score": "classifier_score"}

_OF_DENSITIES = ("nll", "active_units")


def of_generated(scores: Sequence[Score]) -> list[Score]:
    """Return the scores that are of generated images, in contrast to reconstructed or encoded ones."""
    return [score for score in scores if {"generated", "seed"} <= score.protocol.keys()]


def of_images(scores: Sequence[Score]) -> list[Score]:
    """Return the scores of generated and reconstructed images, which a SavedModel is enough for."""
    return [score for score in scores if score.protocol["metric"] not in _OF_DENSITIES]


def by_metric(scores: Sequence[Score]) -> dict[str, Score]:
    """Return the scores by metric."""
    return {score.protocol["metric"]: score for score in scores}


def score_name(metric: str, extractor: str) -> str:
    """Return the name of a score: its metric and extractor.

    Names of the literature (FID, KID) are reserved for its extractor, `inception-2015`. Scores of other extractors are
    not comparable with them and have other names.

    Example:
        >>> score_name("fid", "inception-2015"), score_name("fid", "lenet"), score_name("precision", "inception-v3")
        ('fid', 'fd_lenet', 'precision_inception_v3')
    """
    if extractor == "inception-2015":
        return metric
    return f"{_OTHER_NAMES.get(metric, metric)}_{extractor.replace('-', '_')}"


@dataclass(frozen=True)
class Score:
    """A measured property of a model.

    Args:
        name: str, name of the score, as from `score_name`.
        value: float, the measured value.
        protocol: `Protocol`, everything that the value depends on besides the model.
        better: str, `low` or `high`, or None (the default) if neither is better.
        spread: float, standard deviation over `spread_over`, or None. If that is a mean, it is its standard error.
        spread_over: str, what the spread is over, such as `10 splits` or `3 sets of images`, or None.
        floor: float, score of the same number of held-out real images, or None if it was not measured.
        bias: float, estimate of how much too high the value is because of the number of images, or None.
    """

    name: str
    value: float
    protocol: Protocol
    better: str | None = None
    spread: float | None = None
    spread_over: str | None = None
    floor: float | None = None
    bias: float | None = None
    fingerprint: str = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "fingerprint", protocol.fingerprint(self.protocol))

    @property
    def warning(self) -> str | None:
        """One line of text if the bias is at least a tenth of the value, else None."""
        if self.bias is None or self.bias < 0.1 * abs(self.value):
            return None
        return (
            f"{self.name} is measured on too few images ({self.protocol['generated']:,}): "
            f"about {self.bias:.2g} of {self.value:.4g} is sample-size bias"
        )

    def to_json(self) -> dict:
        """Return the score as a JSON-serializable dict. Infinite values become strings."""
        content = dataclasses.asdict(self)
        for name in ("value", "spread", "floor", "bias"):
            if content[name] is not None and not math.isfinite(content[name]):
                content[name] = str(content[name])
        return content

    @classmethod
    def from_json(cls, content: dict) -> Score:
        """Restore a score from `to_json`. Raises KeyError, TypeError or ValueError for another dict."""
        content = dict(content)
        recorded = content.pop("fingerprint")
        for name in ("value", "spread", "floor", "bias"):
            if isinstance(content[name], str):
                content[name] = float(content[name])
        score = cls(**content)
        numbers = (score.value, *(n for n in (score.spread, score.floor, score.bias) if n is not None))
        if not isinstance(score.name, str) or score.better not in ("low", "high", None):
            raise TypeError(f"invalid name or better of a score: {score.name!r}, {score.better!r}")
        if not all(isinstance(number, int | float) for number in numbers):
            raise TypeError(f"value, spread, floor and bias of {score.name} must be numbers")
        if score.fingerprint != recorded:
            raise ValueError(f"the fingerprint of {score.name} does not match its protocol")
        return score


def aggregate_seeds(runs: list[list[Score]]) -> list[Score]:
    """Return the mean and standard deviation (n − 1) of scores over seeds. A single list is returned unchanged.

    Args:
        runs: list with one list of scores per seed, each with the same names in the same order.
    """
    if len(runs) == 1:
        return runs[0]
    merged = []
    for same in zip(*runs, strict=True):
        values = [score.value for score in same]
        seeds = ", ".join(str(score.protocol["seed"]) for score in same)
        biases = [score.bias for score in same if score.bias is not None]
        merged.append(
            dataclasses.replace(
                same[0],
                value=statistics.fmean(values),
                spread=statistics.stdev(values),
                spread_over=f"{len(values)} sets of images",
                bias=sum(biases) / len(biases) if biases else None,
                protocol=dict(same[0].protocol) | {"seed": seeds},
            )
        )
    return merged
