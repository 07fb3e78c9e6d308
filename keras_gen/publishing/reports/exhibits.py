"""What the page of a report shows: numbers, tables and pictures."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_gen import report
from keras_gen.data import ImageData
from keras_gen.metrics import extractors
from keras_gen.metrics.extractors import Extractor
from keras_gen.publishing import records
from keras_gen.publishing.reports.experiments import Trained
from keras_gen.publishing.reports.record import Table, dark_picture
from keras_gen.report.figures import style
from keras_gen.runs import loading, run_directory
from keras_gen.utils import image_utils
from keras_gen.utils.errors import UsageError
from keras_gen.utils.text import significant

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEED = 0
"""Seed of all generated images and latents."""

SCORES = {
    "fid": "Fréchet distance",
    "coverage": "coverage",
    "precision": "precision",
    "recall": "recall",
    "confident": "certain digits",
    "mode_entropy": "class entropy",
    "inception_score": "classifier score",
}
"""Metrics of the tables of scores, and the headings of their columns."""


class Exhibits:
    """What a report shows: numbers, tables, and pictures, which are written to a folder immediately.

    Args:
        folder: Path, which exists.
        data_dir: str or None, folder that holds the data. Defaults to None, where they were.

    Attributes:
        values: dict of numbers by name, for the text.
        tables: dict of `Table` by name.
        pictures: list of names.
    """

    def __init__(self, folder: Path, data_dir: str | None = None):
        self.values: dict[str, object] = {}
        self.tables: dict[str, Table] = {}
        self.pictures: list[str] = []
        self._folder = folder
        self._data_dir = data_dir
        self._data: dict[str, ImageData] = {}

    def data(self, trained: Trained) -> ImageData:
        """Return the data set of a training."""
        name = str(trained.data["name"])
        if name not in self._data:
            settings, place = records.without_place(trained.settings, trained.data), trained.settings.dataset
            if self._data_dir is None and place is not None and os.path.isabs(place):
                settings = dataclasses.replace(settings, dataset=place)
            self._data[name], _ = loading.load_data(dataclasses.replace(settings, data_dir=self._data_dir))
        return self._data[name]

    def grid(self, name: str, images: np.ndarray, columns: int = 20) -> None:
        """Write a grid of uint8 images."""
        image_utils.save_png(self._path(name), image_utils.grid(images, columns=columns))

    def generated(self, name: str, trained: Trained, count: int = 100) -> None:
        """Write a grid of generated images."""
        self.grid(name, trained.model.generate(count, SEED)["images"])

    def reconstructed(self, name: str, trained: Trained, count: int = 20) -> None:
        """Write the first test images above their reconstructions."""
        images = self.data(trained).test.images[:count]
        self.grid(name, np.concatenate([images, trained.model.reconstruct(images)]), columns=count)

    def figure(self, name: str, figure: Figure) -> None:
        """Write a light and a dark version of a figure, with few colors to keep them small; the figure becomes dark."""
        path = self._path(name)
        style.save_small(figure, path)
        style.darken(figure)
        style.save_small(figure, dark_picture(path))

    def losses(self, name: str, trained: Trained) -> None:
        """Write the curves of the losses and scores of a training."""
        self.figure(name, report.loss_curves(trained.history, columns=3))

    def reconstructions_through_training(self, name: str, trained: Trained, epochs: Sequence[int]) -> None:
        """Write validation images above their reconstructions after some epochs, as `through_training`."""
        rows = self._rows(trained, epochs, run_directory.RECONSTRUCTIONS_FOLDER)
        if rows:
            originals = rows[0][1][0]
            self.figure(name, report.reconstructions(originals, [(epoch, cells[1]) for epoch, cells in rows]))

    def through_training(self, name: str, trained: Trained, epochs: Sequence[int]) -> None:
        """Write the first generated images of the run's grids after some epochs, if there are any.

        A published model has none.
        """
        if rows := self._rows(trained, epochs, run_directory.SAMPLES_FOLDER):
            self.figure(name, report.samples_through_training([(epoch, cells[0]) for epoch, cells in rows]))

    def _rows(self, trained: Trained, epochs: Sequence[int], folder: str) -> list[tuple[int, np.ndarray]]:
        """Return the epochs that have a grid, and its images by row and column."""
        height, width, _ = trained.data["image_shape"]
        grids = {epoch: path for epoch in epochs if (path := trained.grid(epoch, folder))}
        pictures = {epoch: image_utils.read_picture(path, ["PNG"], np.asarray) for epoch, path in grids.items()}
        return [(epoch, image_utils.split_grid(each, height, width)) for epoch, each in pictures.items()]

    def _path(self, name: str) -> Path:
        self.pictures.append(name)
        return self._folder / f"{name}.png"


@functools.cache
def extractor(name: str) -> Extractor:
    """Return an extractor of features by name."""
    return extractors.build(name)


def scores(trained: Mapping[str, Trained]) -> Table:
    """Return a table of scores: a row for each training, and one for real images.

    Args:
        trained: mapping of names to trainings on the same data.
    """
    metrics = [metric for metric in SCORES if any(each.score(metric) for each in trained.values())]
    rows = [(name, *(cell(each.value(metric)) for metric in metrics)) for name, each in trained.items()]
    first = next(iter(trained.values()))
    _check_comparable(trained, metrics)
    rows.append(("real images", *(cell(score.floor if (score := first.score(metric)) else None) for metric in metrics)))
    protocol = first.score(metrics[0]).protocol
    caption = (
        f"{protocol['generated']:,} generated images against {protocol['reference_count']:,} real ones, features of "
        f"{protocol['extractor']}"
    )
    return Table(("", *(SCORES[metric] for metric in metrics)), rows, caption)


def _check_comparable(trained: Mapping[str, Trained], metrics: Sequence[str]) -> None:
    """Check that scores of one table have the same numbers of images and the same extractor."""
    if not metrics:
        raise UsageError(f"{', '.join(str(each.path) for each in trained.values())} must be evaluated with fid")
    found = {str(each.path): each.score(metrics[0]) for each in trained.values()}
    for name in ("generated", "reference_count", "extractor"):
        values = {path: score.protocol[name] if score else None for path, score in found.items()}
        if len(set(values.values())) > 1:
            listed = ", ".join(f"{path}: {value}" for path, value in values.items())
            raise UsageError(f"trainings of one table must be evaluated with the same {name}, received: {listed}")


def last_values(trained: Mapping[str, Trained], columns: Sequence[str]) -> Table:
    """Return a table of the last epoch's values of columns of the history: a row for each training."""
    shown = [column for column in columns if any(column in each.history[-1] for each in trained.values())]
    rows = [(name, *(cell(each.history[-1].get(column)) for column in shown)) for name, each in trained.items()]
    return Table(("", *shown), rows, "After the last epoch; the columns with `val_` are of held-out images")


def by_epoch(trained: Trained, columns: Sequence[str]) -> Table:
    """Return a table of columns of a history: a row for each epoch that has all of them."""
    rows = [(row["epoch"], [row.get(column) for column in columns]) for row in trained.history]
    lines = [(str(epoch), *map(significant, values)) for epoch, values in rows if all(map(_is_number, values))]
    return Table(("epoch", *columns), lines)


def rank_correlation(trained: Trained, first: str, second: str) -> tuple[float | None, int]:
    """Return Spearman's rank correlation of two columns of a history, and the number of epochs that have both.

    The correlation is None for fewer than three such epochs.
    """
    from scipy import stats

    pairs = [(row.get(first), row.get(second)) for row in trained.history]
    pairs = [pair for pair in pairs if all(map(_is_number, pair))]
    if len(pairs) < 3:
        return None, len(pairs)
    return float(stats.spearmanr(*zip(*pairs, strict=True)).statistic), len(pairs)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))


def cell(value: object) -> str:
    """Return a number as the text of a table's cell, and a dash for None or what is no finite number."""
    return significant(value) if _is_number(value) else "–"
