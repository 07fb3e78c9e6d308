"""Write the report page of a run with figures that need its model: reconstructions, latents, nearest neighbors."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras_gen.utils.backend  # noqa: F401  (first: selects the TensorFlow backend of Keras)
import numpy as np

from keras_gen import report
from keras_gen.data import Split
from keras_gen.evaluation import evaluator
from keras_gen.models.base import ImageModel
from keras_gen.models.pretrained import PretrainedModel
from keras_gen.report.figures import interpolation
from keras_gen.report.pages import run_page
from keras_gen.report.pages.run_page import PageFigure
from keras_gen.runs import loading, run_directory
from keras_gen.utils import files, image_utils, progress
from keras_gen.utils.errors import UsageError, must_be

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_IMAGES = 20
"""Number of real images that are shown with their reconstructions."""

MAX_CODES = 2000
"""Maximum number of images that are encoded for figures of the codes."""

MAX_SEARCHED = 20_000
"""Maximum number of training images that are searched for nearest neighbors."""

_NEIGHBORS, _GENERATED = 5, 8
_MAX_TRAVERSED, _TRAVERSAL = 8, np.linspace(-2.5, 2.5, 9)
_PAIRS, _STEPS = 3, 9
_MANIFOLD = 20


def write(
    run: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    dataset: str | None = None,
    data_dir: str | os.PathLike | None = None,
) -> Path:
    """Write the report page of a run with figures of its model: the best with `keep_best`, else the newest.

    If the model is unavailable (no checkpoint yet, or its data are gone), the page states the reason in place of the
    figures. Arguments, result and errors are those of `run_page.write`; `dataset` and `data_dir` are where the data are
    now, as in `keras_gen.runs.load`.
    """
    run_directory.read_recipe(run)
    with files.folder_in_use(run):  # another run may take its place meanwhile
        try:
            opened = evaluator.open_run(run, dataset=dataset, data_dir=data_dir)
        except UsageError as error:
            figures = [PageFigure("Figures that need the model", None, str(error))]
        else:
            figures = illustrate(opened)
        return run_page.write(run, figures, out)


def refresh(run: str | os.PathLike, **place: str | None) -> None:
    """Write the report page of a run again, with figures of its model if it has them now; print its path.

    Args:
        run: path of the run directory.
        **place: `dataset` and `data_dir`, as in `write`.
    """
    page = Path(run) / run_page.REPORT_FILE
    is_quick = not page.is_file() or run_page.WITHOUT_FIGURES.encode() in page.read_bytes()
    run_page.write_or_note(run, run_page.write if is_quick else functools.partial(write, **place))


def illustrate(opened: loading.Run) -> list[PageFigure]:
    """Return the figures of a trained model in the order of the page; a figure that fails has the reason instead.

    - VAEs and autoencoders: images above their reconstructions, for a denoiser also the corrupted images; the codes by
      class (PCA and t-SNE, or a direct plot of two dimensions).
    - VAEs: the manifold, if the latents have two dimensions, and traversals of the dimensions that vary most.
    - Generative models: interpolations, and generated images beside their nearest training images.

    The images are the first test images, or validation or training images if there are no test images, or a
    conditional model lacks their labels.

    Args:
        opened: a run as `keras_gen.runs.load` returns it.
    """
    model, data, seed = opened.model, opened.data, opened.settings.seed
    splits = {role: getattr(data, role) for role in ("test", "validation", "train")}
    usable = (role for role, each in splits.items() if len(each) and (each.labels is not None or not model.num_classes))
    role = next(usable)
    split, split_name, names = data.evaluated(role), f"{role} images", data.class_names
    functions = model.endpoints()
    makers: dict[str, Callable[[], tuple[Figure, str]]] = {}
    if "encode" in functions:
        if getattr(model, "corruption", "none") != "none":
            makers["Denoised images"] = lambda: _denoised(model, split, split_name, seed)
        else:
            makers["Reconstructions"] = lambda: _reconstructions(model, split, split_name, opened.position)
        codes = _codes(model, split)
        makers |= _code_figures(codes, split.labels, split_name, names)
    has_prior = "generate" in functions and model.sampler is None
    if "encode" in functions and has_prior:
        if model.latent_dim == 2:
            makers["Manifold"] = lambda: _manifold(model)
        makers["Traversals"] = lambda: _traversals(model, codes, split, split_name)
    if has_prior:
        makers["Interpolations"] = lambda: _interpolations(model, seed)
    if "generate" in functions:
        makers["Nearest training images"] = lambda: _nearest(model, data.train, seed)
    figures = []
    with progress.task("figures of the model", len(makers), "figures") as task:
        for heading, make in makers.items():
            try:
                figures.append(PageFigure(heading, *make()))
            except UsageError as error:
                figures.append(PageFigure(heading, None, str(error)))
            task.advance()
    return figures


def interpolations_of(paths: Sequence[str | os.PathLike], seed: int = 0) -> Figure:
    """Draw interpolations between two latents, one row per model.

    The two latents of a model are drawn from its prior and interpolated spherically (linearly if they have one
    dimension). Images of conditional models are of class 0.

    Args:
        paths: sequence of paths of finished runs or SavedModels.
        seed: int, seed of the latents; default 0.

    Raises:
        UsageError: if a model can't be loaded, does not generate images from its prior, or its images have another
            shape than those of the others.
    """
    rows = []
    for path in paths:
        model = PretrainedModel(path)
        if "generate" not in model.functions or not model.has_prior:
            raise must_be("paths", "of models that generate images from their prior", str(path))
        (size,) = model.latent_shape
        interpolate, *_ = interpolation.kinds(size).values()
        latents = interpolate(*np.random.default_rng(seed).normal(size=(2, size)), _STEPS)
        rows.append((Path(path).name, model.decode(latents, 0 if model.num_classes else None)))
    return report.interpolations(rows, f"interpolation between two latents, seed {seed}")


def nearest_images(images: np.ndarray, train: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the training images that are nearest to given images in pixel space.

    Args:
        images: uint8 array of shape `(n, height, width, channels)`.
        train: uint8 array of shape `(N, height, width, channels)`.
        count: int, number of neighbors, at most N.

    Returns:
        Indices, int64 of shape `(n, count)`, the nearest first, and distances, float64 of the same shape: root mean
        square differences of pixels in [0, 1], exactly 0 for a copy.

    Example:
        >>> train = np.array([0, 255, 51], "uint8").reshape(3, 1, 1, 1)
        >>> nearest_images(train[:1], train, 2)
        (array([[0, 2]]), array([[0. , 0.2]]))
    """
    from sklearn.neighbors import NearestNeighbors

    images, train = (array.reshape(len(array), -1).astype(np.float32) for array in (images, train))
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(train)
    indices = search.kneighbors(images, return_distance=False)
    differences = (images[:, None] - train[indices]).astype(np.float64)
    return indices, np.sqrt((differences**2).mean(axis=-1)) / 255  # the squares are integers: equal ones stay equal


def _first(model: ImageModel, split: Split, count: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the first images, and their labels if the model is conditional."""
    labels = model.labels_of(split)
    return split.images[:count], None if labels is None else labels[:count]


def _reconstructions(model: ImageModel, split: Split, split_name: str, position: object) -> tuple[Figure, str]:
    originals, labels = _first(model, split, SHOWN_IMAGES)
    decoded = _to_uint8(model, model.reconstruct(originals, labels))
    words = f"The first {len(originals)} {split_name} above their reconstructions after {position}."
    return report.reconstructions(originals, [(position.epoch, decoded)]), words


def _denoised(model: ImageModel, split: Split, split_name: str, seed: int) -> tuple[Figure, str]:
    originals, labels = _first(model, split, SHOWN_IMAGES)
    corrupted = model.corrupted(originals, seed)
    denoised = _to_uint8(model, model.reconstruct(corrupted, labels))
    words = f"The first {len(originals)} {split_name}: corrupted ({model.corruption}), denoised, and clean."
    return report.denoising(_to_uint8(model, corrupted), denoised, originals), words


def _codes(model: ImageModel, split: Split) -> np.ndarray:
    """Return the codes of the first images, `(n, D)`; for a VAE the means of the posteriors."""
    encoded = model.encode(*_first(model, split, MAX_CODES))
    codes = np.asarray(encoded[0] if isinstance(encoded, tuple) else encoded)
    return codes.reshape(len(codes), -1)


def _code_figures(
    codes: np.ndarray, labels: np.ndarray | None, split_name: str, names: Sequence[str] | None
) -> dict[str, Callable]:
    """Return the functions that draw the codes, by heading; none for codes of one dimension."""
    labels = None if labels is None or labels.min() < 0 else labels[: len(codes)]
    words = f"Codes of the first {len(codes):,} {split_name}{'' if labels is None else ' by class'}"
    if codes.shape[1] < 2:
        return {}
    if codes.shape[1] == 2:
        return {"Codes": lambda: (report.scatter(codes, labels, names=names), f"{words}.")}
    projected = f"{words}, projected onto their first two principal components."
    reading = f"{words}; nearby points are nearby codes; sizes and distances of clusters are not meaningful."

    def drawn(embed, text):
        return report.embedding_figure(embed(codes), labels, names=names), text

    return {
        "Principal components of the codes": lambda: drawn(report.pca, projected),
        "t-SNE of the codes": lambda: drawn(report.tsne, reading),
    }


def _manifold(model: ImageModel) -> tuple[Figure, str]:
    values = interpolation.normal_quantiles(_MANIFOLD)
    plane = interpolation.manifold(values)
    images = _decoded(model, plane, np.zeros(plane.shape[:2], np.int64))
    of_class = "of class 0 " if model.num_classes else ""
    words = f"Images {of_class}decoded from a plane of latents, at evenly spaced quantiles (5 to 95 %) of the prior."
    return report.manifold(images, values), words


def _traversals(model: ImageModel, codes: np.ndarray, split: Split, split_name: str) -> tuple[Figure, str]:
    variances = interpolation.largest_variances(codes, _MAX_TRAVERSED)
    chosen = list(variances)
    latents = interpolation.traversal(codes[0], _TRAVERSAL, chosen)
    label = int(model.labels_of(split)[0]) if model.num_classes else 0
    images = _decoded(model, latents, np.full(latents.shape[:2], label))
    listed = ", ".join(f"{variance:.2g}" for variance in variances.values())
    words = (
        f"The code of the first of the {split_name}, varied in one dimension at a time: the {len(chosen)} of "
        f"{codes.shape[1]} dimensions with the largest variances over {len(codes):,} codes, from the top: {listed}."
    )
    return report.traversals(images, _TRAVERSAL.tolist(), dimensions=chosen), words


def _interpolations(model: ImageModel, seed: int) -> tuple[Figure, str]:
    ends = np.random.default_rng(seed).normal(size=(_PAIRS, 2, model.latent_dim))
    kinds = interpolation.kinds(model.latent_dim)
    rows = []
    for pair, (start, end) in enumerate(ends):
        label = pair % max(1, model.num_classes)
        for name, interpolate in kinds.items():
            images = _decoded(model, interpolate(start, end, _STEPS), np.full(_STEPS, label))
            rows.append((f"{name} {pair + 1}", images))
    words = f"Interpolations between {_PAIRS} pairs of random latents, {' and '.join(kinds)}; seed {seed}"
    words += f"; of classes 0 to {min(_PAIRS, model.num_classes) - 1}." if model.num_classes else "."
    return report.interpolations(rows), words


def _nearest(model: ImageModel, train: Split, seed: int) -> tuple[Figure, str]:
    generated = image_utils.to_uint8(model.generate(_GENERATED, seed)["images_float"])
    searched = train.images[:MAX_SEARCHED]
    indices, distances = nearest_images(generated, searched, min(_NEIGHBORS, len(searched)))
    measure = "root mean square difference of pixels in [0, 1]"
    figure = report.nearest_neighbors(generated, searched[indices], distances, measure=measure)
    subset = "all" if len(searched) == len(train) else "the first"
    words = f"the nearest in pixel space of {subset} {len(searched):,} training images."
    return figure, f"Generated images (seed {seed}) and {words}"


def _decoded(model: ImageModel, latents: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Decode latents `(…, latent_dim)` to uint8 images `(…, height, width, channels)`; labels `(…)` may be unused."""
    flat = latents.reshape(-1, latents.shape[-1]).astype(np.float32)
    images = _to_uint8(model, model.decode(flat, labels.ravel() if model.num_classes else None))
    return images.reshape(*latents.shape[:-1], *images.shape[1:])


def _to_uint8(model, values) -> np.ndarray:
    return image_utils.to_uint8(model.to_unit_range(values))
