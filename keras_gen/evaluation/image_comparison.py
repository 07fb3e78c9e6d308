"""Score images that are there already, as arrays, files or a named data set, against real ones."""

from __future__ import annotations

import dataclasses
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_gen.data import loading
from keras_gen.evaluation import evaluator
from keras_gen.evaluation.evaluator import EvaluationSettings
from keras_gen.evaluation.reference import STATISTICS, Reference, ReferenceStatistics
from keras_gen.evaluation.results import Evaluation
from keras_gen.evaluation.score import Score, aggregate_seeds
from keras_gen.evaluation.scorer import Scorer, add_floors, available
from keras_gen.metrics import extractors
from keras_gen.metrics.extractors import Extractor, as_images
from keras_gen.runs import loading as runs
from keras_gen.runs import run_directory
from keras_gen.utils import checks, progress
from keras_gen.utils.errors import UsageError, must_be

ALL = "all"
"""Name of the split of all images."""

MIXED_SIZE = 299
"""Side, in pixels, to which images of different sizes are resized: that of the Inceptions' input."""


@dataclasses.dataclass(frozen=True)
class Images:
    """Images of a folder, a file or a named data set.

    Args:
        name: str, of the data set, the file or the folder.
        split: str, `train`, `validation`, `test` or `all`.
        arrays: tuple of uint8 arrays `(n, H, W, C)`.
        others: tuple of such arrays, of the other splits.
    """

    name: str
    split: str
    arrays: tuple[np.ndarray, ...]
    others: tuple[np.ndarray, ...] = ()


def compare_images(
    generated: np.ndarray | Sequence[np.ndarray],
    real: np.ndarray | Reference | ReferenceStatistics,
    *,
    extractor: Extractor | str | None = None,
    measures: Sequence[str] | None = None,
    held_out: np.ndarray | Reference | None = None,
    seed: int = 0,
) -> Evaluation:
    """Score generated images against real ones.

    Args:
        generated: uint8 array `(n, H, W, 1 or 3)`, n at least 2, or a sequence of such arrays, scored together.
        real: such an array, of any size of images, a `Reference` or `ReferenceStatistics`.
        extractor: `Extractor`, or the name of one, such as `"inception-2015"`; not with a `Reference`, which has one.
        measures: sequence of names of `keras_gen.evaluation.MEASURES`. Defaults to all that are available.
        held_out: real images that are not in `real`, or a `Reference` of them, for the floors and for `memorisation`.
            Defaults to None.
        seed: int, seed of the random subsets of some measures; default 0.

    Returns:
        An `Evaluation` with the scores, and a note on each measure that is unavailable.

    Raises:
        UsageError: an argument is not as above, or a measure is unavailable.

    Example:
        >>> digits = keras_gen.data.load("digits")
        >>> result = compare_images(digits.test.images, digits.train.images, extractor="lenet", measures=["fid"])
        >>> result.scores[0].name
        'fd_lenet'
    """
    if isinstance(real, Reference | ReferenceStatistics):
        if extractor is not None:
            raise must_be("extractor", "left out with a Reference, which has one", extractor)
        reference = real
    elif extractor is None:
        raise must_be("extractor", "given with real images, such as 'inception-2015'", None)
    else:
        reference = Reference(real, extractor)
    if held_out is not None and not isinstance(held_out, Reference):
        held_out = Reference(held_out, reference.extractor, split="held out")
    generated = [generated] if isinstance(generated, np.ndarray) else generated
    arrays = [as_images("generated", array) for array in generated]
    scorer, notes = _scorer(reference, held_out, sum(map(len, arrays)), measures)
    return _evaluation(scorer, scorer.score_images(arrays, seed), notes, seed)


def compare_files(
    generated: str | os.PathLike,
    real: str | os.PathLike,
    settings: EvaluationSettings | None = None,
    *,
    real_split: str | None = None,
    data_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    channels: int | None = None,
) -> Evaluation:
    """Score images of a folder, a file, a named data set or a run against others.

    Args:
        generated: a folder of images, an `.npz` file, a named data set (its training images), or a run directory,
            whose model generates the images.
        real: the same; of a run directory the data that it was trained on; or a file of `ReferenceStatistics`.
        settings: `EvaluationSettings`; by default its defaults. The number of images is that of all generated ones, or
            of the settings for a run; `reference` and the likelihood's settings are not used.
        real_split: str, `train`, `validation`, `test` or `all`, of the real images. Defaults to `train` of a named data
            set or a run, and to `all` of a folder or file.
        data_dir: as in `keras_gen.data.load`.
        image_size, channels: as in `keras_gen.data.load`, for both. Extractors resize images themselves; if those of a
            folder are not squares of one size, they are cropped and resized to 299 pixels by default.

    Raises:
        UsageError: there are no such images, or a measure is unavailable.
        DataUnavailableError: a named data set, or the extractor's weights, are unavailable.
    """
    settings = settings or EvaluationSettings()
    options = {"data_dir": data_dir, "image_size": image_size, "channels": channels}
    if _is_statistics(real) and real_split is not None:
        raise must_be("real_split", "left out with statistics", real_split)
    real_images = None if _is_statistics(real) else _read("real", real, real_split, options)
    if not run_directory.is_run(generated):
        if settings.num_images is not None:
            raise must_be("num_images", "left out: all generated images are used", settings.num_images)
        if settings.seeds > 1:
            raise must_be("seeds", "1 unless a run generates the images", settings.seeds)
        images = _read("generated", generated, None, options).arrays
        reference, held_out = _reference(real, real_images, settings, images[0].shape[1:])
        choice = {"measures": settings.measures, "held_out": held_out, "seed": settings.seed}
        return compare_images(images, reference, **choice)
    model = runs.load(generated, strategy="none", data_dir=data_dir).model
    if "generate" not in model.endpoints():
        raise must_be("generated", "a run whose model generates images", str(generated))
    reference, held_out = _reference(real, real_images, settings, model.image_shape)
    count = settings.num_images or evaluator.DEFAULT_IMAGES
    scorer, notes = _scorer(reference, held_out, count, settings.measures)
    scores = aggregate_seeds(evaluator.scores_per_seed(scorer, model, settings))
    return _evaluation(scorer, scores, notes, settings.seed)


def _reference(
    real: str | os.PathLike, images: Images | None, settings: EvaluationSettings, generated_shape: tuple[int, int, int]
) -> tuple[Reference | ReferenceStatistics, Reference | None]:
    """Return the real images, or the statistics in the file `real`, and the images of other splits, or None."""
    if images is None:
        return ReferenceStatistics(real, _extractor(settings, Path(real).name, generated_shape)), None
    extractor = _extractor(settings, images.name, images.arrays[0].shape[1:])
    reference = Reference(images.arrays, extractor, data=images.name, split=images.split)
    has_others = sum(map(len, images.others)) > 1
    return reference, Reference(images.others, extractor, split="other splits") if has_others else None


def _scorer(reference, held_out, count, measures) -> tuple[Scorer, list[str]]:
    """Return the scorer of `count` images with the given measures or all that are available, and notes on others."""
    if count < 2:
        raise must_be("generated", "at least 2 images", count)
    notes = []
    if measures is None:
        measures, notes = available(count, reference, held_out)
    return Scorer(reference, measures, num_images=count, held_out=held_out), notes


def _evaluation(scorer: Scorer, scores: list[Score], notes: list[str], seed: int) -> Evaluation:
    scores = add_floors(scores, scorer.floors(seed))
    return Evaluation({}, scores, notes + [score.warning for score in scores if score.warning])


def _extractor(settings, name, shape) -> Extractor:
    choice = {"weights": settings.extractor_weights, "precision": settings.extractor_precision}
    extractor, reason = extractors.pick(settings.extractor, name, shape, **choice)
    if extractor is None:
        raise UsageError(f"images can't be scored: {reason}")
    progress.print_line(f"extractor {extractor.name}: {reason}")
    return extractor


def _read(argument: str, place: str | os.PathLike, split: str | None, options: dict) -> Images:
    """Return the images of a place, and print what their source says about them."""
    if run_directory.is_run(place):
        data = runs.load(place, strategy="none", data_dir=options["data_dir"]).data
        name, parts, notes = data.name, {role: getattr(data, role).images for role in loading.SPLITS}, []
        split = split or "train"
    else:
        name, is_named, parts, notes = loading.load_whole(place, mixed_size=MIXED_SIZE, **options)
        split = split or ("train" if is_named else ALL)
    for note in notes:
        progress.print_line(f"NOTE: {argument}: {note}")
    checks.one_of(f"{argument}_split", split, (*(role for role, images in parts.items() if len(images)), ALL))
    chosen = tuple(images for role, images in parts.items() if split in (role, ALL))
    return Images(name, split, chosen, tuple(images for role, images in parts.items() if split not in (role, ALL)))


def _is_statistics(place: str | os.PathLike) -> bool:
    if not (os.path.isfile(place) and zipfile.is_zipfile(place)):
        return False
    with zipfile.ZipFile(place) as archive:
        return {f"{name}.npy" for name in STATISTICS} <= set(archive.namelist())
