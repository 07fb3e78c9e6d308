"""One picture of the published models of digits with the smallest Fréchet distances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_gen.publishing import quality, records
from keras_gen.publishing.records import Published
from keras_gen.report.figures import canvas, style
from keras_gen.utils import image_utils

COLUMNS, LARGEST_RATIO = 20, 10.0
"""Images of a model; largest Fréchet distance of its images, as a multiple of that of as many real images."""


def write_collage(models: Sequence[Published], path: Path) -> bool:
    """Write the first images of the best models of digits, those of `LARGEST_RATIO` with weights, one row per model.

    Models whose images have another shape than those of the first are left out.

    Args:
        models: sequence of published models.
        path: Path, the PNG file.

    Returns:
        Whether the file has changed.
    """
    rows = []
    for model in models:
        ratio = quality.distance_ratio(model)
        if model.has_weights and ratio is not None and ratio <= LARGEST_RATIO:
            kind = "RGB" if model.record.data["image_shape"][-1] == 3 else "L"  # without a palette
            file = model.path / records.SAMPLES_FILE
            grid = image_utils.read_picture(file, ["PNG"], lambda picture, kind=kind: np.asarray(picture.convert(kind)))
            cells = image_utils.split_grid(grid, *model.record.data["image_shape"][:2])
            images = cells.reshape(-1, *cells.shape[2:])[:COLUMNS]
            if not rows or images.shape == rows[0][1].shape:
                rows.append((model.record.name, images))
    if not rows:
        return False
    before = path.read_bytes() if path.is_file() else b""
    style.save_small(canvas.rows_figure("", rows, COLUMNS), path)
    return path.read_bytes() != before
