"""Monitor a run: the callbacks of `fit`, and the reference set that scores its generated images."""

from __future__ import annotations

from collections.abc import Sequence

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np

from keras_gen import callbacks
from keras_gen.data import ImageData
from keras_gen.evaluation import Reference, score_name
from keras_gen.metrics import extractors
from keras_gen.models import ImageModel, samplers
from keras_gen.runs import history, run_directory
from keras_gen.runs.settings import RunSettings
from keras_gen.training.early_stopping import EarlyStopping
from keras_gen.utils import files
from keras_gen.utils.errors import DataUnavailableError, UsageError, must_be
from keras_gen.utils.progress import print_line

FID_REFERENCE_IMAGES = 10_000
"""Maximum number of training images in the reference of scores during training; `evaluate` uses all of them."""

BY_CALLBACK = "a callback ended training"
"""Why training ended before its last epoch, if neither `patience` nor `max_minutes` did."""


def check_generates(settings: RunSettings, model: ImageModel, data: ImageData) -> None:
    """Check that a model whose images are to be scored generates images, and that a sampler can be fitted."""
    if settings.sampler != "prior":
        if "encode" not in model.endpoints():
            raise must_be("sampler", f"prior for {settings.model}, which has no encoder", settings.sampler)
        samplers.check_counts(len(data.train), data.train.labels, model.num_classes)
    if settings.fid_every and "generate" not in model.endpoints():
        raise must_be("fid_every", f"0 for {settings.model}, which generates no images", settings.fid_every)


def make_reference(settings: RunSettings, data: ImageData, why: str | None = None) -> Reference | None:
    """Return the reference set that generated images are scored against, or None if they are not scored.

    Prints one line: the score and why this extractor was picked, or why images are not scored.

    Args:
        settings: RunSettings. The run's settings.
        data: ImageData. The run's data; the reference is drawn from the training images.
        why: str or None. What to print as the reason for the extractor. Defaults to that of `extractors.pick`.

    Raises:
        UsageError: The extractor can't be used.
    """
    if not settings.fid_every:
        return None
    weights = settings.extractor_weights
    extractor, reason = extractors.pick(settings.extractor, data.name, data.image_shape, weights=weights)
    if extractor is not None:
        try:
            count = min(FID_REFERENCE_IMAGES, len(data.train))
            reference = Reference(data.train.images, extractor, data=data.name, count=count)
        except UsageError as error:  # such as a single training image: train without scores
            extractor, reason = None, str(error)
    if extractor is None:
        print_line(f"NOTE: generated images are not scored: {reason}")
        return None
    if settings.fid_every > settings.epochs:
        every = f"fid_every {settings.fid_every}"
        print_line(f"NOTE: generated images are not scored: {every} is above the number of epochs")
        return reference
    name = score_name("fid", extractor.name)
    every = "every epoch" if settings.fid_every == 1 else f"every {settings.fid_every} epochs"
    images = f"{settings.fid_images:,} generated images {every}"
    print_line(f"{name} of {images}, by {extractor.name}: {why or reason}")
    return reference


def check_keep_best(settings: RunSettings, model: ImageModel, data: ImageData, reference: Reference | None) -> None:
    """Check that `keep_best` names a column that the run will measure and of which lower values are better."""
    is_scored = reference is not None and settings.fid_every <= settings.epochs
    columns = [score_name("fid", reference.extractor.name)] if is_scored else []
    if any(metric.name == "loss" for metric in model.metrics):  # an adversarial model's losses measure no quality
        # Without its full beta, an epoch of the warmup has the lowest loss.
        columns += [] if getattr(model, "kl_warmup", 0) else ["loss"]
        columns += ["val_loss"] if len(data.validation) else []
    if settings.keep_best not in (None, *columns):
        raise must_be("keep_best", f"{' or '.join(columns) or 'left out'} for this run", settings.keep_best)


def restore_reference(settings: RunSettings, data: ImageData, record: dict) -> Reference | None:
    """Return the reference set of a resumed run, or None with a note if its extractor is unavailable.

    Args:
        settings, data: As in `make_reference`.
        record: dict. The run's record, which describes its extractor.

    Raises:
        UsageError: The extractor differs from the recorded one.
    """
    try:
        reference = make_reference(settings, data, "as before")
    except DataUnavailableError as error:
        print_line(f"NOTE: generated images are no longer scored: {error}")
        return None
    recorded = record.get("extractor")
    if reference is not None and isinstance(recorded, dict) and recorded != reference.extractor.description():
        name = reference.extractor.name
        raise UsageError(f"extractor {name} is no longer the one that scored this run, which recorded {recorded}")
    return reference


def callbacks_of(path, settings, model, data, reference, start, requests, others) -> list[keras.callbacks.Callback]:
    """Return the callbacks of `fit`, with those of the user among them.

    The order matters: scores are added to the logs, the user's callbacks see them and may add others, then the logs are
    recorded, then the checkpoint is saved. Without a path (on a worker that writes no files) only the callbacks that
    every worker needs are returned.
    """
    chosen = [callbacks.StopOnDivergence(start.step)]
    if path is not None:
        if reference is not None:
            chosen.append(callbacks.FID(reference, settings.fid_every, settings.fid_images))
        chosen.append(others)  # which may be further scores
        chosen += [*_recorders(path, settings, model, data, start), EarlyStopping(path, settings)]
    options = {"start": start, "requests": requests, "keep_best": settings.keep_best}
    chosen.append(callbacks.Checkpoint(path, settings.checkpoint_every, **options))
    if start.step:
        chosen.append(callbacks.ContinueEpoch(model))
    return chosen


class UserCallbacks(keras.callbacks.CallbackList):
    """Callbacks of the user, for which training begins and ends once, even if `fit` is called more than once.

    Args:
        callbacks: sequence of Keras callbacks.

    Attributes:
        ended_by: str, how one of them has ended training; empty if none has.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]):
        super().__init__(list(callbacks))
        self.ended_by, self._have_begun = "", False
        self._last_logs = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Tell the callbacks of the first begin."""
        if not self._have_begun:
            super().on_train_begin(logs)
        self._have_begun = True

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Tell the callbacks, and note whether they end training within an epoch."""
        super().on_train_batch_end(batch, logs)
        if self.model.stop_training and batch + 1 < self.params["steps"]:
            self.ended_by = f"{BY_CALLBACK} within its last epoch"

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Tell the callbacks, keep the numbers that they add to the logs, and note whether they end training."""
        given = dict(logs or {})  # one for all: Keras would give each of them a copy
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, given)
        if logs is not None:
            logs |= {name: value for name, value in history.numbers(given).items() if name not in logs}
        self.ended_by = (self.ended_by or BY_CALLBACK) if self.model.stop_training else ""

    def on_train_end(self, logs: dict | None = None) -> None:
        """Keep the logs: training may go on."""
        self._last_logs = logs

    def end(self) -> None:
        """Tell the callbacks that training has ended."""
        if self._have_begun:
            super().on_train_end(self._last_logs)


def _recorders(path, settings, model, data, start) -> list[keras.callbacks.Callback]:
    """Return the callbacks that record a run."""
    tensorboard, table = path / "tensorboard", path / run_directory.HISTORY_FILE
    history.read_until(table, start.epoch)  # fails if it is gone
    chosen = [callbacks.HistoryCSV(table, start.seconds)]
    if np.ptp(data.train.images[:1000], axis=0).any():
        chosen.append(callbacks.Health(data.train.images, settings.seed))
    if settings.samples_every:
        options = (settings.samples_every, settings.sample_count, settings.seed)
        if "generate" in model.endpoints():
            chosen.append(callbacks.SampleGrid(path / run_directory.SAMPLES_FOLDER, *options))
        if "reconstruct" in model.endpoints():
            shown = data.evaluated("validation" if len(data.validation) else "train")
            examples = (shown.images, model.labels_of(shown))
            chosen.append(
                callbacks.ReconstructionGrid(path / run_directory.RECONSTRUCTIONS_FOLDER, *examples, *options)
            )
    # TensorBoard would make the folder anew, whatever became of the run's.
    files.make_folder(tensorboard)
    chosen.append(keras.callbacks.LambdaCallback(on_test_begin=lambda logs: files.make_folder(tensorboard)))
    chosen.append(keras.callbacks.TensorBoard(tensorboard, write_graph=False))
    return chosen
