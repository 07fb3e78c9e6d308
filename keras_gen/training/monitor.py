"""What a run watches itself with: the callbacks of `fit`, and the extractor that scores its images."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras

from keras_gen import callbacks
from keras_gen.data import ImageData
from keras_gen.evaluation import Reference, score_name
from keras_gen.metrics import extractors
from keras_gen.models import GenerativeModel, ImageModel
from keras_gen.models.encoder_decoder import EncoderDecoder
from keras_gen.runs import run_directory
from keras_gen.runs.settings import RunSettings
from keras_gen.utils.errors import DataUnavailableError, UsageError, must_be

FID_REFERENCE_IMAGES = 10_000
"""Training images, at most, that a run's own Fréchet distances compare with; `evaluate` takes them all."""


def make_reference(settings: RunSettings, data: ImageData, model: ImageModel) -> Reference | None:
    """What the run's images are scored against, and by which extractor, if they are; one line says what and why."""
    if not settings.fid_every:
        return None
    if not isinstance(model, GenerativeModel):
        raise must_be("fid_every", f"0 for {settings.model}, which generates no images", settings.fid_every)
    weights = settings.extractor_weights
    extractor, reason = extractors.pick(settings.extractor, data.name, data.image_shape, weights=weights)
    if extractor is not None:
        try:
            count = min(FID_REFERENCE_IMAGES, len(data.train))
            reference = Reference(data.train.images, extractor, data=data.name, count=count)
        except UsageError as error:  # a single training image, say: that is no reason not to train
            extractor, reason = None, str(error)
    if extractor is None:
        print(f"NOTE: generated images are not scored: {reason}", flush=True)
        return None
    name = score_name("fid", extractor.name)
    how = f"{settings.fid_images:,} generated images every {settings.fid_every} epochs"
    print(f"{name} of {how}, by {extractor.name}: {reason}", flush=True)
    return reference


def restore_reference(settings: RunSettings, data: ImageData, model: ImageModel, record: dict) -> Reference | None:
    """What a run that goes on was scored against; without its extractor it goes on, too."""
    try:
        reference = make_reference(settings, data, model)
    except DataUnavailableError as error:
        print(f"NOTE: generated images are not scored any more: {error}", flush=True)
        return None
    recorded = record.get("extractor")
    if reference is not None and isinstance(recorded, dict) and recorded != reference.extractor.description():
        name = reference.extractor.name
        raise UsageError(f"extractor {name} is no longer the one that scored this run, whose record has {recorded}")
    return reference


def callbacks_of(path, settings, model, data, reference, start, requests) -> list[keras.callbacks.Callback]:
    """In an order that matters: what adds to the logs, what records them, the checkpoint when all that is on disk.

    Without a path, on a worker that writes nothing, only what all workers have to do.
    """
    chosen = [callbacks.StopOnDivergence(start.step)]
    if start.step:
        chosen.append(callbacks.ContinueEpoch(model))
    if path is not None:
        chosen += _observers(path, settings, model, data, reference, start)
    chosen.append(callbacks.Checkpoint(path, settings.checkpoint_every, start=start, requests=requests))
    return chosen


def _observers(path, settings, model, data, reference, start) -> list[keras.callbacks.Callback]:
    """What looks at a run and records it."""
    chosen = []
    if reference is not None:
        chosen.append(callbacks.FID(reference, settings.fid_every, settings.fid_images))
    chosen.append(callbacks.HistoryCSV(path / run_directory.HISTORY_FILE, start.epoch, start.seconds))
    chosen.append(callbacks.Health(data.train.images, settings.seed))
    if settings.samples_every:
        when = (settings.samples_every, settings.sample_count, settings.seed)
        if isinstance(model, GenerativeModel):
            chosen.append(callbacks.SampleGrid(path / run_directory.SAMPLES_FOLDER, *when))
        if isinstance(model, EncoderDecoder):
            shown = data.validation if len(data.validation) else data.train
            examples = (shown.images, model.labels_of(shown))
            chosen.append(callbacks.ReconstructionGrid(path / run_directory.RECONSTRUCTIONS_FOLDER, *examples, *when))
    chosen.append(keras.callbacks.TensorBoard(path / "tensorboard", write_graph=False))
    return chosen
