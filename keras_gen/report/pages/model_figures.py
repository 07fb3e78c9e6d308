"""Write the report page of a run with figures that need its model: reconstructions, latents, nearest neighbors."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras_gen.utils.backend  # noqa: F401  (first: selects the TensorFlow backend of Keras)
import numpy as np
import tensorflow as tf

from keras_gen import report
from keras_gen.data import Split
from keras_gen.models import VAE, Autoencoder, GenerativeModel, export
from keras_gen.models.encoder_decoder import EncoderDecoder
from keras_gen.report.figures import interpolation
from keras_gen.report.pages import run_page
from keras_gen.report.pages.run_page import PageFigure
from keras_gen.runs import loading
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.utils import progress
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
_CHUNK = 500


def write(run: str | os.PathLike, out: str | os.PathLike | None = None) -> Path:
    """Write the report page of a run with figures of its model, loaded from its newest checkpoint.

    Args:
        run: path of a run directory. If its model is unavailable (no checkpoint yet, or its data are gone), the page
            states the reason in place of the figures.
        out: file to write; default `report.html` in the run directory.

    Returns:
        The path of the page.

    Raises:
        UsageError: if `run` is not a run directory, or its `recipe.json` is damaged.
        OSError: if the file can't be written.

    Example:
        >>> from keras_gen.utils import files
        >>> Path("run").mkdir()
        >>> files.write_json("run/recipe.json", {"settings": {"model": "vae-mlp", "dataset": "digits", "epochs": 50}})
        >>> write("run")
        PosixPath('run/report.html')
    """
    try:
        opened = loading.load(run, strategy="none")
        if opened.position == TrainingPosition():
            raise UsageError(f"run {run} has no checkpoint yet")
    except UsageError as error:
        figures = [PageFigure("Figures that need the model", None, str(error))]
    else:
        figures = illustrate(opened)
    return run_page.write(run, figures, out)


def illustrate(opened: loading.Run) -> list[PageFigure]:
    """Return the figures of a trained model in the order of the page; a figure that fails has the reason instead.

    - VAEs and autoencoders: images above their reconstructions, for a denoiser also the corrupted images; the codes by
      class (PCA and t-SNE, or a direct plot of two dimensions).
    - VAEs: the manifold, if the latents have two dimensions, and traversals of the dimensions that vary most.
    - Generative models: interpolations, and generated images beside their nearest training images.

    The images are the first test images, or validation or training images if there are no test images.

    Args:
        opened: a run as `keras_gen.runs.load` returns it.
    """
    model, data = opened.model, opened.data
    role = next(role for role in ("test", "validation", "train") if len(getattr(data, role)))
    split, split_name = getattr(data, role), f"{role} images"
    makers: list[tuple[str, Callable[[], PageFigure]]] = []
    if isinstance(model, EncoderDecoder):
        makers.append(("Reconstructions", lambda: _reconstructions(model, split, split_name, opened)))
        codes, labels = _codes(model, split), split.labels
        makers += [(heading, _bind(draw, codes, labels, split_name)) for heading, draw in _code_figures(codes)]
    if isinstance(model, VAE):
        if model.latent_dim == 2:
            makers.append(("Manifold", lambda: _manifold(model)))
        makers.append(("Traversals", lambda: _traversals(model, codes, split, split_name)))
    if isinstance(model, GenerativeModel):
        makers.append(("Interpolations", lambda: _interpolations(model, opened.settings.seed)))
        makers.append(("Nearest training images", lambda: _nearest(model, data.train, opened.settings.seed)))
    figures = []
    with progress.task("figures of the model", len(makers), "figures", uniform=False, show_clock=True) as task:
        for heading, make in makers:
            task.note(heading)
            try:
                figures.append(make())
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

    Returns:
        A matplotlib figure, unknown to pyplot.

    Raises:
        UsageError: if a model can't be loaded, does not generate images, or its images have another shape than those of
            the others.

    Example:
        >>> folder = keras_gen.export.save(model, "exported", functions=["generate", "decode"])
        >>> figure = interpolations_of([folder, folder])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['exported', 'exported']
    """
    rows = []
    for path in paths:
        model = export.load(path, "decode")
        if not hasattr(model, "generate"):
            raise must_be("paths", "of models that generate images", str(path))
        inputs = model.signatures["decode"].structured_input_signature[1]
        start, end = np.random.default_rng(seed).normal(size=(2, inputs["latents"].shape[-1]))
        interpolate = interpolation.spherical_interpolation if len(start) > 1 else interpolation.linear_interpolation
        arguments = [tf.constant(interpolate(start, end, _STEPS), tf.float32)]
        if "labels" in inputs:
            arguments.append(tf.zeros([_STEPS], tf.int32))
        rows.append((Path(path).name, np.asarray(model.decode(*arguments)["images"])))
    return report.interpolations(rows, f"spherical interpolation between two latents, seed {seed}")


def nearest_images(images: np.ndarray, train: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the training images that are nearest to given images in pixel space.

    Args:
        images: uint8 array of shape `(n, height, width, channels)`.
        train: uint8 array of shape `(N, height, width, channels)`.
        count: int, number of neighbors, at most N.

    Returns:
        Indices, int64 of shape `(n, count)`, the nearest first (the earlier one of equally near images), and distances,
        float64 of the same shape: root mean square differences of pixels in [0, 1].

    Example:
        >>> train = np.array([0, 255, 51], "uint8").reshape(3, 1, 1, 1)
        >>> nearest_images(train[:1], train, 2)
        (array([[0, 2]]), array([[0. , 0.2]]))
    """
    images = images.reshape(len(images), -1).astype(np.float64)
    lengths = (images**2).sum(1)[:, None]
    squared = np.empty((len(images), len(train)))
    for start in range(0, len(train), _CHUNK):
        chunk = train[start : start + _CHUNK].reshape(len(train[start : start + _CHUNK]), -1).astype(np.float64)
        # Sums of products of integers below 2^53 are exact in any order, and 0 for a copy.
        squared[:, start : start + _CHUNK] = lengths + (chunk**2).sum(1) - 2 * images @ chunk.T
    indices = np.argsort(squared, axis=1, kind="stable")[:, :count]
    return indices, np.sqrt(np.take_along_axis(squared, indices, axis=1) / images.shape[1]) / 255


def _reconstructions(model: EncoderDecoder, split: Split, split_name: str, opened: loading.Run) -> PageFigure:
    originals = split.images[:SHOWN_IMAGES]
    labels = model.labels_of(split)
    labels = None if labels is None else labels[:SHOWN_IMAGES]
    if isinstance(model, Autoencoder) and model.corruption != "none":
        corrupted = model.corrupted(originals, opened.settings.seed)
        denoised = _to_uint8(model, model.reconstruct(corrupted, labels))
        figure = report.denoising(_to_uint8(model, corrupted), denoised, originals, "")
        words = f"The first {len(originals)} {split_name}: corrupted ({model.corruption}), denoised, and clean."
        return PageFigure("Denoised images", figure, words)
    decoded = _to_uint8(model, model.reconstruct(originals, labels))
    figure = report.reconstructions(originals, [(opened.position.epoch, decoded)], "")
    words = f"The first {len(originals)} {split_name} above their reconstructions after {opened.position}."
    return PageFigure("Reconstructions", figure, words)


def _codes(model: EncoderDecoder, split: Split) -> np.ndarray:
    """Return the codes of the first images, `(n, D)`; for a VAE the means of the posteriors."""
    labels = model.labels_of(split)
    encoded = model.encode(split.images[:MAX_CODES], None if labels is None else labels[:MAX_CODES])
    codes = np.asarray(encoded[0] if isinstance(model, VAE) else encoded)
    return codes.reshape(len(codes), -1)


def _code_figures(codes: np.ndarray) -> list[tuple[str, Callable]]:
    """Return (heading, function) of the figures that can be drawn of the codes."""
    if codes.shape[1] < 2:
        return []
    if codes.shape[1] == 2:
        return [("Codes", _scatter)]
    return [("Principal components of the codes", _pca), ("t-SNE of the codes", _tsne)]


def _bind(draw: Callable, codes: np.ndarray, labels: np.ndarray | None, split_name: str) -> Callable[[], PageFigure]:
    labels = None if labels is None or labels.min() < 0 else labels[: len(codes)]
    by_class = "" if labels is None else " by class"
    return lambda: draw(codes, labels, f"Codes of the first {len(codes):,} {split_name}{by_class}")


def _scatter(codes, labels, words: str) -> PageFigure:
    return PageFigure("Codes", report.scatter(codes, labels, ""), f"{words}.")


def _pca(codes, labels, words: str) -> PageFigure:
    figure = report.embedding_figure(report.pca(codes), labels, "")
    return PageFigure(
        "Principal components of the codes", figure, f"{words}, projected onto their first two principal components."
    )


def _tsne(codes, labels, words: str) -> PageFigure:
    figure = report.embedding_figure(report.tsne(codes, most=MAX_CODES), labels, "")
    reading = "nearby points are nearby codes; sizes and distances of clusters are not meaningful"
    return PageFigure("t-SNE of the codes", figure, f"{words}; {reading}.")


def _manifold(model: VAE) -> PageFigure:
    values = interpolation.normal_quantiles(_MANIFOLD)
    plane = interpolation.manifold(values)
    images = _decoded(model, plane, np.zeros(plane.shape[:2], np.int64))
    of_class = "of class 0 " if model.num_classes else ""
    words = f"Images {of_class}decoded from a plane of latents, at evenly spaced quantiles (5 to 95 %) of the prior."
    return PageFigure("Manifold", report.manifold(images, values, ""), words)


def _traversals(model: VAE, codes: np.ndarray, split: Split, split_name: str) -> PageFigure:
    variances = codes.astype(np.float64).var(axis=0)
    chosen = np.argsort(-variances, kind="stable")[:_MAX_TRAVERSED].tolist()
    latents = interpolation.traversal(codes[0], _TRAVERSAL, chosen)
    label = int(model.labels_of(split)[0]) if model.num_classes else 0
    images = _decoded(model, latents, np.full(latents.shape[:2], label))
    listed = ", ".join(f"{variances[dimension]:.2g}" for dimension in chosen)
    words = (
        f"The code of the first of the {split_name}, varied in one dimension at a time: the {len(chosen)} of "
        f"{codes.shape[1]} dimensions with the largest variances over {len(codes):,} codes, from the top: {listed}."
    )
    return PageFigure("Traversals", report.traversals(images, _TRAVERSAL.tolist(), "", chosen), words)


def _interpolations(model: GenerativeModel, seed: int) -> PageFigure:
    ends = np.random.default_rng(seed).normal(size=(_PAIRS, 2, model.latent_dim))
    kinds = {"linear": interpolation.linear_interpolation, "spherical": interpolation.spherical_interpolation}
    if model.latent_dim == 1:
        del kinds["spherical"]  # needs two dimensions
    rows = []
    for pair, (start, end) in enumerate(ends):
        label = pair % max(1, model.num_classes)
        for name, interpolate in kinds.items():
            rows.append(
                (f"{name} {pair + 1}", _decoded(model, interpolate(start, end, _STEPS), np.full(_STEPS, label)))
            )
    words = f"Interpolations between {_PAIRS} pairs of random latents, {' and '.join(kinds)}; seed {seed}"
    words += f"; of classes 0 to {min(_PAIRS, model.num_classes) - 1}." if model.num_classes else "."
    return PageFigure("Interpolations", report.interpolations(rows, ""), words)


def _nearest(model: GenerativeModel, train: Split, seed: int) -> PageFigure:
    generated = model.generate(_GENERATED, seed)
    if not np.isfinite(generated["images_float"]).all():
        raise UsageError("the model generates values that are not finite")
    generated, searched = np.asarray(generated["images"]), train.images[:MAX_SEARCHED]
    indices, distances = nearest_images(generated, searched, min(_NEIGHBORS, len(searched)))
    measure = "root mean square difference of pixels in [0, 1]"
    figure = report.nearest_neighbors(generated, searched[indices], distances, "", measure)
    subset = "all" if len(searched) == len(train) else "the first"
    words = (
        f"Generated images (seed {seed}) and the nearest in pixel space of {subset} {len(searched):,} training images."
    )
    return PageFigure("Nearest training images", figure, words)


def _decoded(model, latent: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Decode latents `(…, latent_dim)` to uint8 images `(…, height, width, channels)`; labels `(…)` may be unused."""
    flat, parts = latent.reshape(-1, latent.shape[-1]).astype(np.float32), []
    for start in range(0, len(flat), _CHUNK):
        chosen = labels.ravel()[start : start + _CHUNK] if model.num_classes else None
        parts.append(_to_uint8(model, model.decode(flat[start : start + _CHUNK], chosen)))
    images = np.concatenate(parts)
    return images.reshape(*latent.shape[:-1], *images.shape[1:])


def _to_uint8(model, values) -> np.ndarray:
    unit = np.asarray(model.to_unit_range(values))
    if not np.isfinite(unit).all():
        raise UsageError("the model returns images with values that are not finite")
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
