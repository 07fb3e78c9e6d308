"""Measuring a trained run on the test images, which training never saw."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from keras_gen import checks, runs, training
from keras_gen.callbacks import FID
from keras_gen.data import evaluation_batches
from keras_gen.errors import UsageError, must_be
from keras_gen.metrics import features
from keras_gen.models import GenerativeModel

EVALUATION_FILE = "evaluation.json"
DEFAULT_FID_IMAGES = 1000


def evaluate(
    run: str | os.PathLike,
    *,
    fid_images: int | None = 0,
    inception_weights: str | None = None,
    fid_download: bool = False,
) -> dict[str, float]:
    """Evaluate a run's newest checkpoint on its test images, and write the result to the run's `evaluation.json`.

    Args:
        run: run directory.
        fid_images: images of each kind for the FID; 0 for no FID; None for 1,000 of a model that generates.
        inception_weights, fid_download: as in `keras_gen.settings.RunSettings`. Where the weights are not to be had,
            one printed line says so and there is no FID.

    Returns:
        Every quantity that the model reports, averaged over the test images, and `fid` with `fid_images` where
        measured.

    Raises:
        UsageError: no run directory, no checkpoint in it, no test images, or its data are not what they were.
    """
    run = Path(run)
    if fid_images is not None and checks.non_negative_int("fid_images", fid_images) == 1:
        raise must_be("fid_images", "0 or an integer of at least 2", fid_images)
    if fid_images == 0 and inception_weights is not None:
        raise UsageError("inception weights must be left out where no FID is asked for (fid_images 0)")
    opened = training.open_run(run, strategy="none")  # one device, and every image counts
    if opened.epoch == 0:
        raise UsageError(f"run {run} has no checkpoint yet: go on with --resume {run}")
    generates = isinstance(opened.model, GenerativeModel)
    if fid_images is None:
        fid_images = DEFAULT_FID_IMAGES if generates else 0
    if fid_images and not generates:
        raise must_be("fid_images", f"0 for {opened.settings.model}, which generates no images", fid_images)
    images = opened.data.test.images
    if len(images) == 0:
        raise UsageError(f"data set {opened.data.name} has no test images")
    labels = training.labels_for(opened.model, opened.data.test)
    dataset = evaluation_batches(images, labels, batch_size=training.EVALUATION_BATCH)
    results = opened.model.evaluate(dataset, verbose=0, return_dict=True)
    results = {name: float(value) for name, value in results.items()}
    extractor = features.inception_if_available(inception_weights, download=fid_download) if fid_images else None
    if extractor is not None:
        callback = FID(images, extractor, count=fid_images, seed=opened.settings.seed)
        callback.set_model(opened.model)
        results |= {"fid": callback.score(), "fid_images": callback.count}
    runs.write_json(
        run / EVALUATION_FILE,
        {
            "results": results,
            "epoch": opened.epoch,
            "split": "test",
            "images": len(images),
            "data": opened.data.description(),
            "versions": training.versions(),
            "measured": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        },
    )
    return results
