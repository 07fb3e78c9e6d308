"""The settings of an evaluation, from the protocols of its scores."""

from __future__ import annotations

from collections.abc import Sequence

from keras_gen.evaluation import MEASURES, EvaluationSettings
from keras_gen.evaluation.score import Score, of_generated


def settings_of(scores: Sequence[Score], extractor_weights: str | None = None) -> EvaluationSettings:
    """Return settings with which another model is measured under the protocols of these scores.

    Args:
        scores: sequence of `Score` of one evaluation.
        extractor_weights: str or None, file of the weights of their extractor, which no protocol names. Defaults to
            None.
    """
    options = {"measures": (), "likelihood_images": 0, "extractor_weights": extractor_weights}
    of_images = [score.protocol for score in of_generated(scores)]
    if of_images:
        protocol, metrics = of_images[0], {each["metric"] for each in of_images}
        seeds = [int(seed) for seed in str(protocol["seed"]).split(", ")]
        options |= {
            "measures": tuple(name for name, measure in MEASURES.items() if metrics & measure.better.keys()),
            "extractor": protocol["extractor"],
            "extractor_precision": protocol["extractor_precision"],
            "num_images": protocol["generated"],
            "reference": protocol["reference_split"],
            "seed": seeds[0],
            "seeds": len(seeds),
        }
    distances = [score.protocol for score in scores if score.protocol["metric"] == "rec_fid"]
    if distances:
        options |= {name: distances[0][name] for name in ("extractor", "extractor_precision")}
        options |= {"measures": (*options["measures"], "rec_fid")}
    likelihoods = [score.protocol for score in scores if score.protocol["metric"] == "nll"]
    if likelihoods:
        protocol = likelihoods[0]
        last = str(protocol["binarized"]).rpartition(" to ")[2]
        options |= {
            "seed": protocol["seed"],
            "likelihood_images": protocol["images_count"],
            "likelihood_samples": protocol["samples"],
            "likelihood_binarizations": int(last) + 1 if last.isdecimal() else 1,
        }
    return EvaluationSettings(**options)
