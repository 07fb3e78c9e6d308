"""Evaluate a trained run: its losses on the test images and all scores that its model and extractor support."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np

from keras_gen.data import ImageData, evaluation_batches
from keras_gen.evaluation import MEASURES, Reference, Score, Scorer, encoder_scores, results
from keras_gen.evaluation.encoder_scores import REC_FID
from keras_gen.evaluation.measures import PAIRWISE_IMAGES
from keras_gen.evaluation.results import Evaluation
from keras_gen.evaluation.score import aggregate_seeds
from keras_gen.evaluation.scorer import add_floors, available
from keras_gen.losses import LIKELIHOODS
from keras_gen.metrics import extractors
from keras_gen.metrics.extractors import Extractor
from keras_gen.metrics.reconstruction import WINDOW
from keras_gen.runs import hints, loading, provenance, run_directory
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.utils import checks, files, progress
from keras_gen.utils.errors import UsageError, must_be

if TYPE_CHECKING:
    from keras_gen.models import GenerativeModel, PretrainedModel

REFERENCES = ("train", "test")
DEFAULT_IMAGES = 10_000


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of an evaluation.

    Args:
        measures: sequence of names of `keras_gen.evaluation.MEASURES`, and `rec_fid`, the Fréchet distance of
            reconstructed test images to the test images; () for none. Defaults to all that the extractor supports.
        extractor: str, `auto` (the default) or one of `keras_gen.metrics.extractors.NAMES`, which is downloaded if it
            is missing.
        extractor_weights: path of its weights file, only with a named extractor; default None.
        extractor_precision: str, precision of its arithmetic: `float32` (the default), or `bfloat16` for
            `inception-2015` and `inception-v3`.
        num_images: int, number of images to generate. Defaults to 10,000, or fewer if there are fewer real images
            outside the reference, so that these can give the floor.
        reference: str, split that generated images are compared with, `train` (the default) or `test`.
        seed: int, seed of the generated images, of subsets, and of the samples of the likelihood; default 0.
        seeds: int, number of repetitions with seed, seed + 1, …; default 1. If above 1, the spread is over the seeds.
        likelihood_images: int, number of test images, the first ones, for a VAE's negative log-likelihood, or 0 for
            none; default 1000.
        likelihood_samples: int, posterior samples per image; default 100.
        likelihood_binarizations: int, number of binarizations of gray images over which a Bernoulli likelihood is
            averaged; default 1.

    Raises:
        UsageError: if an argument is not as above.
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
    likelihood_binarizations: int = 1

    def __post_init__(self):
        for name in self.measures or ():
            checks.one_of("measures", name, (*MEASURES, REC_FID))
        if len(set(self.measures or ())) < len(self.measures or ()):
            raise must_be("measures", "different names", tuple(self.measures))
        extractors.check_choice(self.extractor, self.extractor_weights)
        checks.one_of("extractor_precision", self.extractor_precision, checks.PRECISIONS)
        if self.num_images is not None:
            checks.count("num_images", checks.integer("num_images", self.num_images, 2))
        checks.one_of("reference", self.reference, REFERENCES)
        last = checks.seed("seed", self.seed) + checks.positive_int("seeds", self.seeds) - 1
        if last >= 2**31:
            raise must_be("seeds", f"at most {2**31 - self.seed:,} for seed {self.seed}", self.seeds)
        checks.non_negative_int("likelihood_images", self.likelihood_images)
        checks.positive_int("likelihood_samples", self.likelihood_samples)
        checks.positive_int("likelihood_binarizations", self.likelihood_binarizations)


def evaluate(
    run: str | os.PathLike,
    settings: EvaluationSettings | None = None,
    *,
    data: ImageData | np.ndarray | tuple[np.ndarray, np.ndarray] | None = None,
    dataset: str | None = None,
    data_dir: str | os.PathLike | None = None,
) -> Evaluation:
    """Evaluate a run and write the result to the run's `evaluation.json`.

    A run with `keep_best` is evaluated at its best epoch, others at their newest checkpoint.

    Args:
        run: path of the run directory.
        settings: `EvaluationSettings`; by default its defaults.
        data: the data of a run that was trained on arrays, as in `keras_gen.training.run`.
        dataset, data_dir: where the data are now, as in `keras_gen.runs.load`; by default where they were.

    Raises:
        UsageError: if `run` is no run directory or has no checkpoint, the data have no test images or changed since
            training, or a requested measure is unavailable.
    """
    run, settings = Path(run), settings or EvaluationSettings()
    run_directory.read_recipe(run)
    if not os.access(run, os.W_OK | os.X_OK):
        raise must_be("run", "a folder that can be written", str(run))
    with files.folder_in_use(run):  # another run may take its place meanwhile
        # On one device, which counts every image.
        opened = open_run(run, data=data, dataset=dataset, data_dir=data_dir)
        if len(opened.data.test) == 0:
            raise UsageError(f"data set {opened.data.name} has no test images")
        result = _measured(opened.model, opened.data, settings)
        results.write(run, result, _details(opened))
        return result


def open_run(run: str | os.PathLike, **place: object) -> loading.Run:
    """Return a run with its model, which has been trained, as `loading.load`; `place` are its arguments.

    Raises:
        UsageError: as `loading.load`, or the run has no checkpoint.
    """
    opened = loading.load(run, strategy="none", **place)
    if opened.position == TrainingPosition():
        raise UsageError(f"run {run} has no checkpoint yet: resume it with {hints.resume(run)}")
    return opened


def _measured(model, data: ImageData, settings: EvaluationSettings) -> Evaluation:
    scores, notes = score_model(model, data, settings)
    losses = {} if _lacks_labels(model, data) else _losses(model, data)
    return Evaluation(losses, scores, notes + [score.warning for score in scores if score.warning])


def score_model(
    model: GenerativeModel | PretrainedModel, data: ImageData, settings: EvaluationSettings
) -> tuple[list[Score], list[str]]:
    """Return the scores of a model, and notes on those that are missing, as `evaluate` does.

    Args:
        model: a model, or a trained one as `keras_gen.zoo.load` gives it, of which only the images that it generates
            and reconstructs are scored.
        data: the data set that it was trained on.
        settings: `EvaluationSettings`.
    """
    extractor, notes = _extractor(model, data, settings)
    scores, more_notes = _generated_scores(model, data, settings, extractor)
    notes += more_notes
    if _lacks_labels(model, data):
        notes.append("no losses and no scores of test images: they have no labels")
        return scores, notes
    encoder_scores, encoder_notes = _encoder_scores(model, data, settings, extractor)
    return scores + encoder_scores, notes + encoder_notes


def _lacks_labels(model, data: ImageData) -> bool:
    return bool(model.num_classes) and data.test.labels is None


def _generated_scores(model, data, settings, extractor: Extractor | None) -> tuple[list[Score], list[str]]:
    scorer, notes = _scorer(model, data, settings, extractor)
    if scorer is None:
        return [], notes
    scores, note = with_floors(scorer, aggregate_seeds(scores_per_seed(scorer, model, settings)), settings.seed)
    return scores, notes + note


def _losses(model, data: ImageData) -> dict[str, float]:
    split = data.evaluated("test")
    dataset = evaluation_batches(split.images, model.labels_of(split))
    with progress.task("losses", len(dataset), "batches") as task:
        count = keras.callbacks.LambdaCallback(on_test_batch_end=lambda batch, logs: task.advance())
        losses = model.evaluate(dataset, verbose=0, return_dict=True, callbacks=[count])
    return {name: float(value) for name, value in losses.items()}


def scores_per_seed(scorer: Scorer, model, settings: EvaluationSettings) -> list[list[Score]]:
    """Return the scores of images that a model generates, for each of the settings' seeds."""
    scores = []
    with progress.task("generated images", settings.seeds, "seeds") as task:
        for seed in range(settings.seed, settings.seed + settings.seeds):
            scores.append(scorer.score(model, seed))
            task.advance()
    return scores


def _extractor(model, data: ImageData, settings: EvaluationSettings) -> tuple[Extractor | None, list[str]]:
    """Return the extractor for images that the model makes, or None, and a note if there should be one."""
    measures = settings.measures
    if measures is not None and not measures:
        return None, []
    generates, reconstructs = (name in model.endpoints() for name in ("generate", "reconstruct"))
    if not generates and not reconstructs and not measures:
        return None, []
    if not generates and set(measures or ()) - {REC_FID}:
        raise must_be("measures", "left out for a model that generates no images", tuple(measures))
    if not reconstructs and REC_FID in (measures or ()):
        raise must_be("measures", f"without {REC_FID}, since the model reconstructs no images", tuple(measures))
    extractor, reason = extractors.pick(
        settings.extractor,
        data.name,
        data.image_shape,
        weights=settings.extractor_weights,
        precision=settings.extractor_precision,
    )
    if extractor is None and measures:
        raise UsageError(f"measures are unavailable: {reason}")
    if extractor is None:
        return None, [f"{'generated images' if generates else 'reconstructions'} were not measured: {reason}"]
    progress.print_line(f"extractor {extractor.name}: {reason}")
    return extractor, []


def _scorer(
    model, data: ImageData, settings: EvaluationSettings, extractor: Extractor | None
) -> tuple[Scorer | None, list[str]]:
    """Return the scorer of generated images, or None, and notes on what is not measured."""
    measures = None if settings.measures is None else [name for name in settings.measures if name != REC_FID]
    if extractor is None or "generate" not in model.endpoints() or measures == []:
        return None, []
    try:
        reference, held_out = _real_images(data, settings, extractor)
    except UsageError as error:  # such as too few images, which should not prevent the other scores
        if measures:
            raise
        return None, [f"generated images were not measured: {error}"]
    num_images = settings.num_images or default_count(held_out)
    notes = []
    if measures is None:
        measures, notes = available(num_images, reference, held_out)
    return Scorer(reference, measures, num_images=num_images, held_out=held_out), notes


def default_count(held_out: Reference | None) -> int:
    """Return how many images are generated by default: as many as there are real ones for the floors."""
    return max(2, min(DEFAULT_IMAGES, PAIRWISE_IMAGES if held_out is None else held_out.count))


def held_out_count(total: int, num_images: int | None) -> int:
    """Return how many of `total` real images outside the reference are used, for a number of generated images."""
    return min(total, max(num_images or 0, DEFAULT_IMAGES))


def with_floors(scorer: Scorer, scores: list[Score], seed: int) -> tuple[list[Score], list[str]]:
    """Return the scores with their floors, and a note if there are too few real images for these."""
    if scorer.held_out is None or scorer.held_out.count < scorer.num_images:
        return scores, [f"no floors: fewer than {scorer.num_images:,} real images are outside the reference"]
    return add_floors(scores, scorer.floors(seed)), []


def _real_images(data: ImageData, settings: EvaluationSettings, extractor) -> tuple[Reference, Reference | None]:
    """Return the reference, and the held-out real images or None."""
    other = "test" if settings.reference == "train" else "train"
    outside = getattr(data, other).images, data.validation.images
    reference = Reference(getattr(data, settings.reference).images, extractor, data=data.name, split=settings.reference)
    total = sum(map(len, outside))
    if total < 2:
        return reference, None
    count = held_out_count(total, settings.num_images)
    split = other + " and validation" * bool(len(data.validation))
    return reference, Reference(outside, extractor, data=data.name, split=split, count=count)


def _encoder_scores(
    model, data: ImageData, settings: EvaluationSettings, extractor: Extractor | None
) -> tuple[list[Score], list[str]]:
    """Return the scores of a model that encodes images, and notes on what is not measured."""
    scores, notes = [], []
    if "reconstruct" not in model.endpoints():
        return scores, notes
    images, labels = data.evaluated("test").images, data.test.labels if model.num_classes else None
    base = {"data": data.name, "split": "test", "batch_norm": "moving averages"}
    if min(images.shape[1:3]) < WINDOW:
        height, width = images.shape[1:3]
        smallest = f"images of {height}x{width} are smaller than the window of SSIM, {WINDOW}x{WINDOW}"
        notes.append(f"no reconstruction scores: {smallest}")
    else:
        scores += encoder_scores.reconstruction_scores(model, images, labels, base)
    if extractor is not None and (settings.measures is None or REC_FID in settings.measures):
        try:
            reference = Reference(data.test.images, extractor, data=data.name, split="test")
            inputs = {"inputs": "binarized"} if data.is_dynamic else {}
            scores += encoder_scores.reconstruction_distance(model, images, labels, reference, inputs)
        except UsageError as error:  # such as a single test image
            if settings.measures:
                raise
            notes.append(f"no {REC_FID}: {error}")
    if not hasattr(model, "log_importance_weights"):
        return scores, notes
    if settings.likelihood_images:
        # `likelihood_scores` binarizes gray images itself if the likelihood is of black and white ones.
        is_discrete = LIKELIHOODS[model.likelihood].is_discrete
        scores += encoder_scores.likelihood_scores(
            model,
            data.test.images if is_discrete else images,
            labels,
            base,
            binarizations=settings.likelihood_binarizations,
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
        "sampler": opened.model.sampler.name if opened.model.sampler else "prior",
        "data": opened.data.description(),
        "versions": provenance.versions(),
        "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
