"""Score images that are there already, as arrays, files or a named data set, against real ones."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_gen.data import loading, preprocessing
from keras_gen.evaluation import evaluator
from keras_gen.evaluation.encoder_scores import REC_FID
from keras_gen.evaluation.evaluator import EvaluationSettings
from keras_gen.evaluation.reference import STATISTICS, Reference, ReferenceStatistics
from keras_gen.evaluation.results import Evaluation
from keras_gen.evaluation.score import Score, aggregate_seeds
from keras_gen.evaluation.scorer import Scorer, available
from keras_gen.metrics import extractors
from keras_gen.metrics.extractors import Extractor, as_images
from keras_gen.runs import loading as runs
from keras_gen.runs import run_directory
from keras_gen.utils import archives, checks, files, progress
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
        preparation: str, what was done to the images.
    """

    name: str
    split: str
    arrays: tuple[np.ndarray, ...]
    others: tuple[np.ndarray, ...]
    preparation: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels."""
        return self.arrays[0].shape[1:]


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
        reference = _reference_of("real", real, extractors.as_extractor(extractor), split="train")
    if held_out is not None and not isinstance(held_out, Reference):
        held_out = _reference_of("held_out", held_out, reference.extractor, split="held out")
    arrays = list(generated) if isinstance(generated, list | tuple) else [generated]
    return _scores_of([as_images("generated", array) for array in arrays], reference, held_out, measures, seed)


def _reference_of(argument, images, extractor, **options) -> Reference:
    images = as_images(argument, images)
    if len(images) < 2:
        raise must_be(argument, "at least 2 images", len(images))
    return Reference(images, extractor, **options)


def compare_files(
    generated: str | os.PathLike,
    real: str | os.PathLike,
    settings: EvaluationSettings | None = None,
    *,
    real_split: str | None = None,
    data_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    bits: int | None = None,
    skip_damaged: bool = False,
) -> Evaluation:
    """Score images of a folder, a file, a named data set or a run against others.

    Args:
        generated: a folder of images, an `.npz` file, a named data set (its training images), or a run directory, which
            stands for images that its model generates.
        real: a folder, an `.npz` file, a named data set, a run directory, which stands for the images that it was
            trained on, or a file of `ReferenceStatistics`.
        settings: `EvaluationSettings`; by default its defaults. `num_images` and `seeds` are for a run: of other places
            all images are used. `reference` and the likelihood's settings are not used.
        real_split: str, `train`, `validation`, `test` or `all`, of the real images. Defaults to `train` of a named data
            set or a run, and to `all` of a folder or file.
        data_dir, bits, skip_damaged: as in `keras_gen.data.load`.
        image_size, channels: as in `keras_gen.data.load`, for all images but those that a run generates. Extractors
            resize images themselves; if those of a folder are not squares of one size, they are cropped and resized to
            299 pixels by default.

    Raises:
        UsageError: there are no such images, or a measure is unavailable.
        DataUnavailableError: a named data set, or the extractor's weights, are unavailable.
    """
    settings = settings or EvaluationSettings()
    if REC_FID in (settings.measures or ()):
        raise must_be("measures", f"without {REC_FID}, which is for the reconstructions of a run", settings.measures)
    options = {"data_dir": data_dir, "image_size": image_size, "channels": channels}
    options |= {"bits": bits, "skip_damaged": skip_damaged}
    if run_directory.is_run(generated):
        return _compare_run(Path(generated), real, real_split, settings, options)
    if settings.num_images is not None:
        raise must_be("num_images", "left out: all generated images are used", settings.num_images)
    if settings.seeds > 1:
        raise must_be("seeds", "1 unless a run generates the images", settings.seeds)
    real_images = _real_images(real, real_split, options)
    images = _read("generated", generated, None, options)
    count = sum(map(len, images.arrays))
    reference, held_out, notes = _references(real, real_images, settings, images.shape, count)
    result = _scores_of(
        images.arrays, reference, held_out, settings.measures, settings.seed, preparation=images.preparation
    )
    return dataclasses.replace(result, notes=notes + result.notes)


def _compare_run(run: Path, real, real_split, settings: EvaluationSettings, options: dict) -> Evaluation:
    """Score images that a run generates."""
    real_images = _real_images(real, real_split, options)
    with files.folder_in_use(run):
        opened = evaluator.open_run(run, data_dir=options["data_dir"])
        if "generate" not in opened.model.endpoints():
            raise must_be("generated", "a run whose model generates images", str(run))
        progress.print_line(f"generated: by {run.name} after epoch {opened.position.epoch}")
        shape = opened.model.image_shape
        reference, held_out, notes = _references(real, real_images, settings, shape, settings.num_images)
        count = settings.num_images or evaluator.default_count(held_out)
        scorer, more_notes = _scorer(reference, held_out, count, settings.measures)
        scores = aggregate_seeds(evaluator.scores_per_seed(scorer, opened.model, settings))
    return _evaluation(scorer, scores, notes + more_notes, settings.seed)


def _real_images(real, split, options) -> Images | None:
    """Return the real images, or None if the place is a file of statistics."""
    if not _is_statistics(real):
        return _read("real", real, split, options)
    if split is not None:
        raise must_be("real_split", "left out with statistics", split)
    return None


def _references(
    real: str | os.PathLike,
    images: Images | None,
    settings: EvaluationSettings,
    generated_shape: tuple[int, int, int],
    generated_count: int | None,
) -> tuple[Reference | ReferenceStatistics, Reference | None, list[str]]:
    """Return the real images, or the statistics in the file `real`; the images of other splits, or None; and notes."""
    if images is None:
        extractor = _extractor(settings, "generated", generated_shape)
        return ReferenceStatistics(real, extractor), None, []
    extractor = _extractor(settings, images.name, images.shape)
    extractors.check_supports(extractor.name, "generated", generated_shape)
    reference = Reference(images.arrays, extractor, data=images.name, split=images.split)
    if (total := sum(map(len, images.others))) < 2:
        return reference, None, []
    count = evaluator.held_out_count(total, generated_count)
    try:
        return reference, Reference(images.others, extractor, data=images.name, split="other splits", count=count), []
    except UsageError as error:  # such as images that are all the same, which the other scores don't need
        return reference, None, [f"images of other splits were not used: {error}"]


def _scorer(reference, held_out, count, measures) -> tuple[Scorer, list[str]]:
    """Return the scorer of `count` images with the given measures or all that are available, and notes on others."""
    if count < 2:
        raise must_be("generated", "at least 2 images", count)
    notes = []
    if measures is None:
        measures, notes = available(count, reference, held_out)
    return Scorer(reference, measures, num_images=count, held_out=held_out), notes


def _scores_of(arrays, reference, held_out, measures, seed, **options) -> Evaluation:
    scorer, notes = _scorer(reference, held_out, sum(map(len, arrays)), measures)
    return _evaluation(scorer, scorer.score_images(arrays, seed, **options), notes, seed)


def _evaluation(scorer: Scorer, scores: list[Score], notes: list[str], seed: int) -> Evaluation:
    scores, note = evaluator.with_floors(scorer, scores, seed)
    return Evaluation({}, scores, notes + note + [score.warning for score in scores if score.warning])


def _extractor(settings, name, shape) -> Extractor:
    choice = {"weights": settings.extractor_weights, "precision": settings.extractor_precision}
    extractor, reason = extractors.pick(settings.extractor, name, shape, **choice)
    if extractor is None:
        raise UsageError(f"images can't be scored: {reason}")
    progress.print_line(f"extractor {extractor.name}: {reason}")
    return extractor


def _read(argument: str, place: str | os.PathLike, split: str | None, options: dict) -> Images:
    """Return the images of a place, and print what they are and what their source says about them."""
    sizes = {name: options[name] for name in ("image_size", "channels")}
    done = [f"{name} {value}" for name, value in sizes.items() if value is not None]
    if run_directory.is_run(place):
        data = runs.load(place, strategy="none", data_dir=options["data_dir"]).data
        name, split, notes = data.name, split or "train", []
        parts = {role: preprocessing.fit_stack(getattr(data, role).images, **sizes) for role in loading.SPLITS}
    else:
        whole = loading.load_whole(place, mixed_size=MIXED_SIZE, **options)
        name, parts, notes = whole.name, whole.splits, whole.notes
        split = split or ("train" if whole.is_named else ALL)
        deep = whole.bits if whole.bits != 8 else None
        changes = {"resized to {}": whole.resized_to, "cropped to {}": whole.crop, "from {} bits": deep}
        done += [change.format(value) for change, value in changes.items() if value]
    for note in notes:
        progress.print_line(f"NOTE: {argument}: {note}")
    checks.one_of(f"{argument}_split", split, (*(role for role, images in parts.items() if len(images)), ALL))
    chosen = tuple(images for role, images in parts.items() if split in (role, ALL) and len(images))
    others = tuple(images for role, images in parts.items() if split not in (role, ALL))
    images = Images(name, split, chosen, others, ", ".join(done) or "as given")
    shape = "x".join(map(str, images.shape))
    count = sum(map(len, chosen))
    progress.print_line(f"{argument}: {count:,} images {shape} of {name} ({split}; {images.preparation})")
    return images


def _is_statistics(place: str | os.PathLike) -> bool:
    """Return whether a file has `STATISTICS` and nothing else; one that also has images is read for these."""
    try:
        return os.path.isfile(place) and set(archives.names(place)) == set(STATISTICS)
    except UsageError:  # no archive, which reading it will say
        return False
