"""Measuring a trained run: its losses on the test images, and every score that its model and extractor allow."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import numpy as np

from keras_gen.data import ImageData, evaluation_batches
from keras_gen.evaluation import MEASURES, Reference, Score, Scorer, encoder_scores, results
from keras_gen.evaluation.measures import PAIRWISE_IMAGES
from keras_gen.evaluation.results import Evaluation
from keras_gen.evaluation.score import aggregate_seeds
from keras_gen.evaluation.scorer import add_floors, missing_requirement
from keras_gen.metrics import extractors
from keras_gen.metrics.reconstruction import WINDOW
from keras_gen.models import VAE, GenerativeModel
from keras_gen.models.encoder_decoder import EncoderDecoder
from keras_gen.runs import loading, provenance
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.utils import checks, progress
from keras_gen.utils.errors import UsageError, must_be

REFERENCES = ("train", "test")
DEFAULT_IMAGES = 10_000


@dataclass(frozen=True)
class EvaluationSettings:
    """How a run is to be measured.

    Args:
        measures: names of `keras_gen.evaluation.MEASURES`; None is all that the extractor allows, () none.
        extractor: `auto`, or one of `keras_gen.metrics.extractors.NAMES`, which is downloaded if it is missing.
        extractor_weights: path of its weights file; only with a named extractor.
        extractor_precision: of its arithmetic: `float32`, or of `inception-2015` and `inception-v3` also `bfloat16`.
        num_images: how many images to generate; None is 10,000, or as many as there are real ones outside the
            reference, so that these can give the floor.
        reference: which split generated images are compared with, `train` or `test`.
        seed: of the generated images, the subsets that some measures take, and the samples of the likelihood.
        seeds: how often everything generated is measured, with seed, seed + 1, …; above 1 the spread is over these.
        likelihood_images: test images for a VAE's negative log-likelihood; 0 for none.
        likelihood_samples: samples of the posterior for each of them.

    Raises:
        UsageError: an argument is not as above.
    """

    measures: Sequence[str] | None = None
    extractor: str = "auto"
    extractor_weights: str | None = None
    extractor_precision: str = "float32"
    num_images: int | None = None
    reference: str = "train"
    seed: int = 0
    seeds: int = 1
    likelihood_images: int = 1000
    likelihood_samples: int = 100

    def __post_init__(self):
        for name in self.measures or ():
            checks.one_of("measures", name, MEASURES)
        if len(set(self.measures or ())) < len(self.measures or ()):
            raise must_be("measures", "different names", tuple(self.measures))
        extractors.check_choice(self.extractor, self.extractor_weights)
        extractors.check_precision(self.extractor_precision)
        if self.num_images is not None and checks.count("num_images", self.num_images) < 2:
            raise must_be("num_images", "an integer of at least 2", self.num_images)
        checks.one_of("reference", self.reference, REFERENCES)
        checks.seed("seed", self.seed)
        checks.seed("seed", self.seed + checks.positive_int("seeds", self.seeds) - 1)
        checks.non_negative_int("likelihood_images", self.likelihood_images)
        checks.positive_int("likelihood_samples", self.likelihood_samples)


def evaluate(run: str | os.PathLike, settings: EvaluationSettings | None = None) -> Evaluation:
    """Measure a run's newest checkpoint, and write the result to the run's `evaluation.json`.

    Args:
        run: run directory.
        settings: how; by default as `EvaluationSettings` has it.

    Raises:
        UsageError: no run directory, no checkpoint in it, no test images, its data are not what they were, or a measure
            that was asked for can't be had.
    """
    run, settings = Path(run), settings or EvaluationSettings()
    opened = loading.load(run, strategy="none")  # one device, and every image counts
    if opened.position == TrainingPosition():
        raise UsageError(f"run {run} has no checkpoint yet: go on with --resume {run}")
    model, data = opened.model, opened.data
    if len(data.test) == 0:
        raise UsageError(f"data set {data.name} has no test images")
    scorer, notes = _scorer(model, data, settings)
    losses = _losses(model, data)
    scores = []
    if scorer is not None:
        scores += add_floors(aggregate_seeds(_of_seeds(scorer, model, settings)), scorer.floors(settings.seed))
        if scorer.held_out is None or scorer.held_out.count < scorer.num_images:
            notes.append(f"no floors: there are no {scorer.num_images:,} real images outside the reference")
    scores_of_encoder, encoder_notes = _encoder_scores(model, data, settings)
    scores += scores_of_encoder
    notes += encoder_notes
    notes += [score.warning for score in scores if score.warning]
    result = Evaluation(losses, scores, notes)
    results.write(run, result, _details(opened))
    return result


def _losses(model, data: ImageData) -> dict[str, float]:
    labels = model.labels_of(data.test)
    dataset = evaluation_batches(data.test.images, labels)
    with progress.task("losses", len(dataset), "batches") as step:
        count = keras.callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: step.advance())
        losses = model.evaluate(dataset, verbose=0, return_dict=True, callbacks=[count])
    return {name: float(value) for name, value in losses.items()}


def _of_seeds(scorer: Scorer, model, settings: EvaluationSettings) -> list[list[Score]]:
    found = []
    with progress.task("generated images", settings.seeds, "seeds", show_clock=True) as step:
        for seed in range(settings.seed, settings.seed + settings.seeds):
            step.note(f"seed {seed}")
            found.append(scorer.score(model, seed))
            step.advance()
    return found


def _scorer(model, data: ImageData, settings: EvaluationSettings) -> tuple[Scorer | None, list[str]]:
    """What measures generated images, if anything does, and notes on what is not measured."""
    asked = settings.measures
    if not isinstance(model, GenerativeModel):
        if asked:
            raise must_be("measures", "left out for a model that generates no images", tuple(asked))
        return None, []
    if asked is not None and not asked:
        return None, []
    extractor, reason = extractors.pick(
        settings.extractor,
        data.name,
        data.image_shape,
        weights=settings.extractor_weights,
        precision=settings.extractor_precision,
    )
    if extractor is None and asked:
        raise UsageError(f"measures can't be had: {reason}")
    if extractor is None:
        return None, [f"generated images were not measured: {reason}"]
    print(f"extractor {extractor.name}: {reason}", flush=True)
    try:
        reference, held_out = _real_images(data, settings, extractor)
    except UsageError as error:  # too few images, say: that is no reason not to measure the rest
        if asked:
            raise
        return None, [f"generated images were not measured: {error}"]
    available = PAIRWISE_IMAGES if held_out is None else held_out.count
    num_images = settings.num_images or max(2, min(DEFAULT_IMAGES, available))
    notes = []
    if asked is None:
        missing = {name: missing_requirement(name, num_images, reference, held_out) for name in MEASURES}
        notes = [f"no {name}: {why}" for name, why in missing.items() if why]
        asked = [name for name, why in missing.items() if not why]
    return Scorer(reference, asked, num_images=num_images, held_out=held_out), notes


def _real_images(data: ImageData, settings: EvaluationSettings, extractor) -> tuple[Reference, Reference | None]:
    """The reference, and real images that are not in it."""
    other = "test" if settings.reference == "train" else "train"
    outside = np.concatenate([getattr(data, other).images, data.validation.images])
    reference = Reference(getattr(data, settings.reference).images, extractor, data=data.name, split=settings.reference)
    if len(outside) < 2:
        return reference, None
    count = min(len(outside), max(settings.num_images or 0, DEFAULT_IMAGES))
    split = other + " and validation" * bool(len(data.validation))
    return reference, Reference(outside, extractor, data=data.name, split=split, count=count)


def _encoder_scores(model, data: ImageData, settings: EvaluationSettings) -> tuple[list[Score], list[str]]:
    """Scores of what encodes images, and notes on what is not measured."""
    scores, notes = [], []
    if not isinstance(model, EncoderDecoder):
        return scores, notes
    images, labels = data.test.images, model.labels_of(data.test)
    base = {"data": data.name, "split": "test", "batch_norm": "moving averages"}
    if min(images.shape[1:3]) < WINDOW:
        height, width = images.shape[1:3]
        smallest = f"images of {height}x{width} are smaller than the window of SSIM, {WINDOW}x{WINDOW}"
        notes.append(f"no reconstruction scores: {smallest}")
    else:
        scores += encoder_scores.reconstruction_scores(model, images, labels, base)
    if not isinstance(model, VAE):
        return scores, notes
    if settings.likelihood_images:
        scores += encoder_scores.likelihood_scores(
            model,
            images,
            labels,
            base,
            count=settings.likelihood_images,
            samples=settings.likelihood_samples,
            seed=settings.seed,
        )
    if len(images) > 1:
        scores += encoder_scores.latent_scores(model, images, labels, base)
    else:
        notes.append("no active_units: their variance needs at least 2 test images")
    return scores, notes


def _details(opened: loading.Run) -> dict:
    return {
        "model": opened.settings.model,
        "epoch": opened.position.epoch,
        "step": opened.position.step,
        "split": "test",
        "images": len(opened.data.test),
        "data": opened.data.description(),
        "versions": provenance.versions(),
        "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
