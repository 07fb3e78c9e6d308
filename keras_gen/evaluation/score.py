"""One measured number, with all that is needed to trust it; and how it is called."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

from keras_gen.evaluation import protocol
from keras_gen.evaluation.protocol import Protocol

_NAMES_ELSEWHERE = {
    "fid": "fd",
    "fid_infinity": "fd_infinity",
    "kid": "kd",
    "inception_score": "classifier_score",
}


def score_name(metric: str, extractor: str) -> str:
    """How a metric is called that was measured with an extractor.

    The names that the literature knows belong to the network that it uses, `inception-2015`; with another extractor
    a number has another name, so that nobody takes the one for the other.

    Example:
        >>> score_name("fid", "inception-2015"), score_name("fid", "lenet"), score_name("precision", "inception-v3")
        ('fid', 'fd_lenet', 'precision_inception_v3')
    """
    if extractor == "inception-2015":
        return metric
    return f"{_NAMES_ELSEWHERE.get(metric, metric)}_{extractor.replace('-', '_')}"


@dataclass(frozen=True)
class Score:
    """One number about a model.

    Args:
        name: what it is called; a number of another extractor has another name.
        value: the number.
        protocol: what it depends on besides the model.
        better: `low`, `high`, or None where neither is better.
        spread: standard deviation over `spread_over`; None if there is none.
        spread_over: of what the spread is, such as `10 splits` or `3 seeds`.
        floor: what real images score in the place of the generated ones, as many; None where that was not measured.
        bias: by how much the value is estimated to be too high because of the number of images; None where unknown.
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
        """One line if the bias is a tenth of the value or more; else None."""
        if self.bias is None or self.bias < 0.1 * abs(self.value):
            return None
        return (
            f"{self.name} is measured on too few images ({self.protocol['generated']:,}): "
            f"about {self.bias:.2g} of {self.value:.4g} is bias of the sample size"
        )

    def to_json(self) -> dict:
        """As a dictionary that JSON can hold; an infinite value is written as a string."""
        content = dataclasses.asdict(self)
        for name in ("value", "spread", "floor", "bias"):
            if content[name] is not None and not math.isfinite(content[name]):
                content[name] = str(content[name])
        return content

    @classmethod
    def from_json(cls, content: dict) -> Score:
        """The score that `to_json` wrote; KeyError, TypeError or ValueError if it is no such dictionary."""
        content = dict(content)
        recorded = content.pop("fingerprint")
        for name in ("value", "spread", "floor", "bias"):
            if isinstance(content[name], str):
                content[name] = float(content[name])
        score = cls(**content)
        numbers = (score.value, *(n for n in (score.spread, score.floor, score.bias) if n is not None))
        if not isinstance(score.name, str) or score.better not in ("low", "high", None):
            raise TypeError(f"no name and better side of a score: {score.name!r}, {score.better!r}")
        if not all(isinstance(number, int | float) for number in numbers):
            raise TypeError(f"the value of {score.name}, and what goes with it, must be numbers")
        if score.fingerprint != recorded:
            raise ValueError(f"the fingerprint of {score.name} is not that of its protocol")
        return score


def aggregate_seeds(runs: list[list[Score]]) -> list[Score]:
    """The mean and standard deviation (n − 1) of scores measured with several seeds; a single list is kept as it is.

    Args:
        runs: one list of scores a seed, each with the same names in the same order.
    """
    if len(runs) == 1:
        return runs[0]
    merged = []
    for same in zip(*runs, strict=True):
        values = [score.value for score in same]
        mean = sum(values) / len(values)
        spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
        seeds = ", ".join(str(score.protocol["seed"]) for score in same)
        biases = [score.bias for score in same if score.bias is not None]
        merged.append(
            dataclasses.replace(
                same[0],
                value=mean,
                spread=spread,
                spread_over=f"{len(values)} seeds",
                bias=sum(biases) / len(biases) if biases else None,
                protocol=dict(same[0].protocol) | {"seed": seeds},
            )
        )
    return merged
