"""Measures of generated images: functions of a `Sample` and of the real images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from keras_gen.evaluation.reference import Reference, ReferenceStatistics
from keras_gen.evaluation.samples import Sample
from keras_gen.metrics import data_copying, frechet, frechet_infinity, inception, manifold_overlap, modes
from keras_gen.metrics import polynomial_mmd

PAIRWISE_IMAGES = 10_000
"""Limit of the images of each kind in metrics that compare all pairs."""

POINTS, SPLITS, NEIGHBORS = 15, 10, 5
MODE_THRESHOLD, CONFIDENCE = 0.1, 0.9


@dataclass(frozen=True)
class Measurement:
    """A measured number, with the metric's usual name; fields as in `keras_gen.evaluation.Score`."""

    metric: str
    value: float
    spread: float | None = None
    spread_over: str | None = None
    bias: float | None = None
    settings: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """A measure and its requirements.

    Args:
        function: function of the sample, the reference, the held-out real images (or None), and the seed.
        better: mapping from the metrics that it measures to `low` or `high`, the better direction, or None.
        needs: tuple of str, its requirements: `features`, `logits`, `classes` (the extractor's classes are those of the
            data), `training_images` (the reference is the train split) and `held_out`.
        min_images: int, smallest number of generated images, and of reference images; default 2.
    """

    function: Callable[[Sample, Reference | ReferenceStatistics, Reference | None, int], list[Measurement]]
    better: Mapping[str, str | None]
    needs: tuple[str, ...] = ()
    min_images: int = 2


def _fid(sample, reference, held_out, seed):
    value = frechet.distance(sample.statistics, reference.statistics)
    if sample.count < 4:
        return [Measurement("fid", value)]
    # The bias of n images is c / n (Chong & Forsyth 2020), so that halving n adds another c / n.
    halves = [frechet.distance(half, reference.statistics) for half in sample.halves]
    return [Measurement("fid", value, bias=sum(halves) / 2 - value)]


def _fid_infinity(sample, reference, held_out, seed):
    result = frechet_infinity.fid_infinity(sample.features, reference.statistics, points=POINTS, seed=seed)
    return [Measurement("fid_infinity", result.value, settings={"points": POINTS})]


def _kid(sample, reference, held_out, seed):
    result = polynomial_mmd.kid(sample.features, reference.features, seed=seed)
    settings = {"subsets": result.subsets, "subset_size": result.subset_size}
    if (compared := len(reference.features)) != reference.count:
        settings["compared_real"] = compared
    return [Measurement("kid", result.mean, result.spread, f"{result.subsets} subsets", settings=settings)]


def _inception_score(sample, reference, held_out, seed):
    result = inception.inception_score(sample.logits, splits=SPLITS)
    settings = {"splits": result.splits}
    return [Measurement("inception_score", result.mean, result.spread, f"{result.splits} splits", settings=settings)]


def _precision_recall(sample, reference, held_out, seed):
    generated, real = sample.features[:PAIRWISE_IMAGES], reference.features[:PAIRWISE_IMAGES]
    result = manifold_overlap.precision_recall(real, generated, k=NEIGHBORS)
    settings = {"k": NEIGHBORS, "compared_generated": len(generated), "compared_real": len(real)}
    return [Measurement(name, value, settings=settings) for name, value in result._asdict().items()]


def _mode_coverage(sample, reference, held_out, seed):
    result = modes.mode_coverage(sample.logits, threshold=MODE_THRESHOLD)
    settings = {"threshold": MODE_THRESHOLD}
    values = {"modes": result.reached, "mode_entropy": result.entropy}
    return [Measurement(name, value, settings=settings) for name, value in values.items()]


def _confidence(sample, reference, held_out, seed):
    share = modes.confident_share(sample.logits, confidence=CONFIDENCE)
    return [Measurement("confident", share, settings={"confidence": CONFIDENCE})]


def _memorization(sample, reference, held_out, seed):
    generated, unseen = sample.features[:PAIRWISE_IMAGES], held_out.features[:PAIRWISE_IMAGES]
    result = data_copying.memorization(generated, unseen, reference.features)
    settings = {
        "compared_generated": len(generated),
        "held_out": held_out.split,
        "held_out_count": len(unseen),
        "held_out_fingerprint": held_out.fingerprint[:16],
        "searched": len(reference.features),
    }
    # British spelling: the name is part of stored protocols and their fingerprints.
    return [Measurement("memorisation", result.copying, settings=settings)]


MEASURES = {
    "fid": Measure(_fid, {"fid": "low"}),
    "fid_infinity": Measure(_fid_infinity, {"fid_infinity": "low"}, ("features",), min_images=2 * POINTS),
    "kid": Measure(_kid, {"kid": "low"}, ("features",)),
    "inception_score": Measure(_inception_score, {"inception_score": "high"}, ("features", "logits"), SPLITS),
    "precision_recall": Measure(
        _precision_recall,
        dict.fromkeys(("precision", "recall", "density", "coverage"), "high"),
        ("features",),
        min_images=NEIGHBORS + 1,
    ),
    "mode_coverage": Measure(
        _mode_coverage, {"modes": "high", "mode_entropy": None}, ("features", "logits", "classes")
    ),
    "confidence": Measure(_confidence, {"confident": "high"}, ("features", "logits", "classes")),
    "memorisation": Measure(_memorization, {"memorisation": None}, ("features", "training_images", "held_out")),
}
"""Measures by name. To add a measure, add an entry."""

BETTER = {metric: better for measure in MEASURES.values() for metric, better in measure.better.items()}
"""The better direction of every metric of `MEASURES`: `low`, `high` or None."""
