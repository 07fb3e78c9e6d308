"""Measure a trained model as its run was measured: the settings of an evaluation, from the protocols of its scores."""

from __future__ import annotations

from collections.abc import Sequence

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
from keras_gen.data import ImageData
from keras_gen.evaluation import MEASURES, EvaluationSettings, evaluator
from keras_gen.evaluation.score import Score, of_generated, of_images
from keras_gen.models import PretrainedModel
from keras_gen.utils.errors import UsageError


def settings_of(scores: Sequence[Score], extractor_weights: str | None = None) -> EvaluationSettings:
    """Return settings with which another model is measured under the protocols of these scores.

    Args:
        scores: sequence of `Score` of one evaluation.
        extractor_weights: str or None, file of the weights of their extractor, which no protocol names. Defaults to
            None.
    """
    options = {"measures": (), "likelihood_images": 0, "extractor_weights": extractor_weights}
    generated = [score.protocol for score in of_generated(scores)]
    if generated:
        protocol, metrics = generated[0], {each["metric"] for each in generated}
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


def measure_again(
    model: PretrainedModel, data: ImageData, scores: Sequence[Score], extractor_weights: str | None = None
) -> dict[str, float]:
    """Return the scores of the images that a trained model makes, by name, under the protocols of its run's scores.

    Args:
        model: the trained model.
        data: the data set that it was trained on.
        scores: sequence of `Score` of its run.
        extractor_weights: str or None, as in `settings_of`.

    Raises:
        UsageError: a score can't be measured, or only under another protocol.
    """
    expected = {score.name: score.fingerprint for score in of_images(scores)}
    if not expected:
        return {}
    found, notes = evaluator.score_model(model, data, settings_of(scores, extractor_weights))
    same = {score.name: score.value for score in found if expected.get(score.name) == score.fingerprint}
    if missing := [name for name in expected if name not in same]:
        reasons = "; ".join(notes) or "the data or the extractor's weights are others"
        raise UsageError(f"{', '.join(missing)} can't be measured as for the run: {reasons}")
    return same
