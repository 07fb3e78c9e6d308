"""Pictures of a published model: samples, paths through its latents, and its learning curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_gen import report
from keras_gen.models import PretrainedModel, sampling
from keras_gen.report.figures import interpolation, style
from keras_gen.runs import history
from keras_gen.utils import image_utils

ROWS, COLUMNS = 6, 10
PLANE = 14
"""Images along a side of the plane of two latent dimensions."""


def write_samples(model: PretrainedModel, path: Path) -> None:
    """Write a grid of `ROWS` by `COLUMNS` images of seed 0; of a conditional model, with a class in each column."""
    count, classes = ROWS * COLUMNS, model.num_classes
    labels = np.arange(count) % COLUMNS % classes if classes else None
    _save(path, image_utils.grid(model.generate(count, 0, labels)["images"], columns=COLUMNS))


def write_latents(model: PretrainedModel, path: Path) -> None:
    """Write images along paths through the latents, if the model has latents for that.

    Of two latent dimensions with a standard normal prior it is the plane on its quantiles (Kingma & Welling 2013), also
    with another sampler. Otherwise it is four interpolations, spherical ones if there are several dimensions: between
    latents of the prior or, with another sampler, between the codes of generated images.
    """
    if not model.has_latent_vector or "generate" not in model.functions:
        return
    if model.latent_shape == (2,) and not model.has_codes:
        latents, columns = interpolation.manifold(interpolation.normal_quantiles(PLANE)), PLANE
    else:
        ends = _ends(model, 2 * 4)
        if ends is None:
            return
        pairs = zip(ends[::2], ends[1::2], strict=True)
        interpolate = next(iter(interpolation.kinds(*model.latent_shape).values()))
        latents = np.concatenate([interpolate(*pair, COLUMNS) for pair in pairs])
        columns = COLUMNS
    latents = latents.reshape(-1, *model.latent_shape)
    labels = np.zeros(len(latents), int) if model.num_classes else None
    _save(path, image_utils.grid(model.decode(latents, labels), columns=columns, padding=0))


def _save(path: Path, picture: np.ndarray) -> None:
    image_utils.save_png(path, picture, colors=256)  # color photographs take a third of the space


def _ends(model: PretrainedModel, count: int) -> Sequence[np.ndarray] | None:
    if model.has_prior:
        return sampling.latents(count, model.latent_shape[0], 0).numpy()
    if "encode" not in model.functions or model.num_classes:
        return None
    return model.encode(model.generate(count, 0)["images"])


def write_curve(history_file: Path, path: Path) -> None:
    """Write the learning curve of a history."""
    style.save_small(report.loss_curves(history.read(history_file)), path)
