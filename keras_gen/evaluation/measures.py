"""What can be measured on generated images: each measure is a function of their sample and the real images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from keras_gen.evaluation.reference import Reference
from keras_gen.evaluation.samples import Sample
from keras_gen.metrics import (
    data_copying,
    frechet,
    frechet_infinity,
    inception,
    manifold_overlap,
    modes,
    polynomial_mmd,
)

PAIRWISE_IMAGES = 10_000
"""Images of each kind in metrics that compare every image with every other."""

POINTS, SPLITS, NEIGHBORS = 15, 10, 5
MODE_THRESHOLD = 0.1


@dataclass(frozen=True)
class Measurement:
    """One number, named as the literature does; fields as in `keras_gen.evaluation.Score`."""

    metric: str
    value: float
    better: str | None = None
    spread: float | None = None
    spread_over: str | None = None
    bias: float | None = None
    settings: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """A way to measure.

    Args:
        function: from a sample, the reference, real images that are not in the reference (or None), and the seed.
        needs: what it can't do without, of `features`, `logits`, `classes` (the extractor's classes are the data's),
            `training_images` (the reference is of the train split) and `held_out`.
        least: the fewest generated images, and reference images, that it can be measured on.
    """

    function: Callable[[Sample, Reference, Reference | None, int], list[Measurement]]
    needs: tuple[str, ...] = ()
    least: int = 2


def _fid(sample, reference, held_out, seed):
    value = frechet.distance(sample.statistics, reference.statistics)
    if sample.count < 4:
        return [Measurement("fid", value, "low")]
    # FID falls with the count n as c / n (Chong & Forsyth 2020), so half the images add c / n.
    halves = [frechet.distance(half, reference.statistics) for half in sample.halves]
    return [Measurement("fid", value, "low", bias=sum(halves) / 2 - value)]


def _fid_infinity(sample, reference, held_out, seed):
    result = frechet_infinity.fid_infinity(sample.features, reference.statistics, points=POINTS, seed=seed)
    return [Measurement("fid_infinity", result.value, "low", settings={"points": POINTS})]


def _kid(sample, reference, held_out, seed):
    result = polynomial_mmd.kid(sample.features, reference.features, seed=seed)
    settings = {"subsets": result.subsets, "subset_size": result.subset_size}
    return [Measurement("kid", result.mean, "low", result.spread, f"{result.subsets} subsets", settings=settings)]


def _inception_score(sample, reference, held_out, seed):
    result = inception.inception_score(sample.logits, splits=SPLITS)
    settings = {"splits": result.splits}
    return [
        Measurement("inception_score", result.mean, "high", result.spread, f"{result.splits} splits", settings=settings)
    ]


def _precision_recall(sample, reference, held_out, seed):
    made, real = sample.features[:PAIRWISE_IMAGES], reference.features[:PAIRWISE_IMAGES]
    result = manifold_overlap.precision_recall(real, made, k=NEIGHBORS)
    settings = {"k": NEIGHBORS, "compared_generated": len(made), "compared_real": len(real)}
    return [Measurement(name, value, "high", settings=settings) for name, value in result._asdict().items()]


def _mode_coverage(sample, reference, held_out, seed):
    result = modes.mode_coverage(sample.logits, threshold=MODE_THRESHOLD)
    settings = {"threshold": MODE_THRESHOLD}
    return [
        Measurement("modes", result.reached, "high", settings=settings),
        Measurement("mode_entropy", result.entropy, settings=settings),
    ]


def _memorisation(sample, reference, held_out, seed):
    made, unseen = sample.features[:PAIRWISE_IMAGES], held_out.features[:PAIRWISE_IMAGES]
    result = data_copying.memorization(made, unseen, reference.features)
    settings = {
        "compared_generated": len(made),
        "held_out": held_out.split,
        "held_out_count": len(unseen),
        "held_out_fingerprint": held_out.fingerprint[:16],
        "searched": len(reference.features),
    }
    return [Measurement("memorisation", result.copying, settings=settings)]


MEASURES = {
    "fid": Measure(_fid),
    "fid_infinity": Measure(_fid_infinity, ("features",), least=2 * POINTS),
    "kid": Measure(_kid, ("features",)),
    "inception_score": Measure(_inception_score, ("features", "logits"), least=SPLITS),
    "precision_recall": Measure(_precision_recall, ("features",), least=NEIGHBORS + 1),
    "mode_coverage": Measure(_mode_coverage, ("features", "logits", "classes")),
    "memorisation": Measure(_memorisation, ("features", "training_images", "held_out")),
}
"""Name of a measure to how it is done. A new one is an entry here."""
