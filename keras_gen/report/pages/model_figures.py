"""The report page of a run with figures that need its model: reconstructions, latents, nearest training images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
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
"""Real images that are shown with their reconstructions."""

MAX_CODES = 2000
"""Images that are encoded for figures of the codes."""

MAX_NEIGHBOURS_OF = 20_000
"""Training images, at most, among which the nearest are looked for."""

_NEIGHBORS, _GENERATED = 5, 8
_MAX_TRAVERSED, _TRAVERSAL = 8, np.linspace(-2.5, 2.5, 9)
_WAYS, _STEPS = 3, 9
_MANIFOLD = 20
_CHUNK = 500


def write(run: str | os.PathLike, out: str | os.PathLike | None = None) -> Path:
    """Write a run's report page, with figures of its model as its newest checkpoint has it.

    Args:
        run: run directory. If its model can't be had (no checkpoint yet, or its data are not there any more), the page
            says why and has everything else.
        out: the file; by default `report.html` in the run directory.

    Returns:
        Where the page is.

    Raises:
        UsageError: `run` is no run directory, or its `recipe.json` is damaged.
        OSError: the file can't be written.

    Example:
        >>> settings = keras_gen.runs.settings.RunSettings("vae-mlp", dataset="digits", epochs=1, fid_every=0)
        >>> run = keras_gen.training.run(settings)
        vae-mlp (R2) on digits ...
        >>> write(run)
        PosixPath('runs/00001-vae-mlp/report.html')
    """
    try:
        opened = loading.load(run, strategy="none")
        if opened.position == TrainingPosition():
            raise UsageError(f"run {run} has no checkpoint yet")
    except UsageError as error:
        illustrations = [PageFigure("Figures that need the model", None, str(error))]
    else:
        illustrations = illustrate(opened)
    return run_page.write(run, illustrations, out)


def illustrate(opened: loading.Run) -> list[PageFigure]:
    """The figures of a trained model, in the order of the page; one that can't be made has the reason.

    - VAE, autoencoder: images over their reconstructions, of a denoiser corrupted ones; the codes in the plane by
      class (PCA and t-SNE, or as they are if they have two dimensions).
    - VAE: the manifold, if its latents have two dimensions, and traversals of those that vary most.
    - What generates: interpolations, and generated images beside the training images nearest to them.

    The images are the first of the test images, or where there are none of the validation or the training images.

    Args:
        opened: a run as `opening.open_run` returns it.
    """
    model, data = opened.model, opened.data
    role = next(role for role in ("test", "validation", "train") if len(getattr(data, role)))
    shown, which = getattr(data, role), f"{role} images"
    makers: list[tuple[str, Callable[[], PageFigure]]] = []
    if isinstance(model, EncoderDecoder):
        makers.append(("Reconstructions", lambda: _reconstructions(model, shown, which, opened)))
        codes, labels = _codes(model, shown), shown.labels
        makers += [(heading, _making(maker, codes, labels, which)) for heading, maker in _planes(codes)]
    if isinstance(model, VAE):
        if model.latent_dim == 2:
            makers.append(("Manifold", lambda: _manifold(model)))
        makers.append(("Traversals", lambda: _traversals(model, codes, shown, which)))
    if isinstance(model, GenerativeModel):
        makers.append(("Interpolations", lambda: _interpolations(model, opened.settings.seed)))
        makers.append(("Nearest training images", lambda: _nearest(model, data.train, opened.settings.seed)))
    illustrations = []
    with progress.task("figures of the model", len(makers), "figures", uniform=False, show_clock=True) as step:
        for heading, make in makers:
            step.note(heading)
            try:
                illustrations.append(make())
            except UsageError as error:
                illustrations.append(PageFigure(heading, None, str(error)))
            step.advance()
    return illustrations


def interpolations_of(paths: Sequence[str | os.PathLike], seed: int = 0) -> Figure:
    """Images of several models on the way from one latent to another, a model in each row.

    Each model's two latents are drawn from its prior and joined on the sphere (on the line if they have one
    dimension); a conditional model's images are of class 0.

    Args:
        paths: of finished runs, or of SavedModels.
        seed: of the latents.

    Returns:
        A matplotlib figure that belongs to no window.

    Raises:
        UsageError: a model can't be loaded, generates nothing, or makes images of another shape than the others.

    Example:
        >>> folder = keras_gen.models.export.save(model, "exported")
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
        way = interpolation.spherical_interpolation if len(start) > 1 else interpolation.linear_interpolation
        arguments = [tf.constant(way(start, end, _STEPS), tf.float32)]
        if "labels" in inputs:
            arguments.append(tf.zeros([_STEPS], tf.int32))
        rows.append((Path(path).name, np.asarray(model.decode(*arguments)["images"])))
    return report.interpolations(rows, f"on the sphere from one latent to another, seed {seed}")


def nearest_images(images: np.ndarray, train: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The training images whose pixels are nearest to those of other images.

    Args:
        images: uint8, shape `(n, height, width, channels)`.
        train: uint8, shape `(N, height, width, channels)`.
        count: how many, at most N.

    Returns:
        Their indices, int64 of shape `(n, count)`, the nearest first (of equally near ones the earlier), and their
        distances, float64 of that shape: root mean square differences of pixels in [0, 1].

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
        # Sums of products of integers below 2^53: exact, in whatever order they are added, and 0 for a copy.
        squared[:, start : start + _CHUNK] = lengths + (chunk**2).sum(1) - 2 * images @ chunk.T
    indices = np.argsort(squared, axis=1, kind="stable")[:, :count]
    return indices, np.sqrt(np.take_along_axis(squared, indices, axis=1) / images.shape[1]) / 255


def _reconstructions(model: EncoderDecoder, shown: Split, which: str, opened: loading.Run) -> PageFigure:
    originals = shown.images[:SHOWN_IMAGES]
    labels = model.labels_of(shown)
    labels = None if labels is None else labels[:SHOWN_IMAGES]
    if isinstance(model, Autoencoder) and model.corruption != "none":
        corrupted = model.corrupted(originals, opened.settings.seed)
        denoised = _to_uint8(model, model.reconstruct(corrupted, labels))
        figure = report.denoising(_to_uint8(model, corrupted), denoised, originals, "")
        words = f"The first {len(originals)} {which}: corrupted ({model.corruption}), denoised, and as they are."
        return PageFigure("Denoised images", figure, words)
    made = _to_uint8(model, model.reconstruct(originals, labels))
    words = f"The first {len(originals)} {which} over what the model makes of them after {opened.position}."
    return PageFigure("Reconstructions", report.reconstructions(originals, [(opened.position.epoch, made)], ""), words)


def _codes(model: EncoderDecoder, shown: Split) -> np.ndarray:
    """Codes of the first images, `(n, D)`: a VAE's are the means of the posteriors."""
    labels = model.labels_of(shown)
    encoded = model.encode(shown.images[:MAX_CODES], None if labels is None else labels[:MAX_CODES])
    codes = np.asarray(encoded[0] if isinstance(model, VAE) else encoded)
    return codes.reshape(len(codes), -1)


def _planes(codes: np.ndarray) -> list[tuple[str, Callable]]:
    """Headings of the figures of codes that there are, and what makes each."""
    if codes.shape[1] < 2:
        return []
    if codes.shape[1] == 2:
        return [("Codes", _scatter)]
    return [("Principal components of the codes", _pca), ("t-SNE of the codes", _tsne)]


def _making(maker: Callable, codes: np.ndarray, labels: np.ndarray | None, which: str) -> Callable[[], PageFigure]:
    labels = None if labels is None or labels.min() < 0 else labels[: len(codes)]
    by_class = "" if labels is None else " by class"
    return lambda: maker(codes, labels, f"Codes of the first {len(codes):,} {which}{by_class}")


def _scatter(codes, labels, words: str) -> PageFigure:
    return PageFigure("Codes", report.scatter(codes, labels, ""), f"{words}.")


def _pca(codes, labels, words: str) -> PageFigure:
    figure = report.embedding_figure(report.pca(codes), labels, "")
    return PageFigure("Principal components of the codes", figure, f"{words}, on their first two components.")


def _tsne(codes, labels, words: str) -> PageFigure:
    figure = report.embedding_figure(report.tsne(codes, most=MAX_CODES), labels, "")
    reading = "what lies near each other does so in the code; sizes and distances of clusters mean nothing"
    return PageFigure("t-SNE of the codes", figure, f"{words}; {reading}.")


def _manifold(model: VAE) -> PageFigure:
    values = interpolation.normal_quantiles(_MANIFOLD)
    plane = interpolation.manifold(values)
    images = _decoded(model, plane, np.zeros(plane.shape[:2], np.int64))
    what = "of class 0 " if model.num_classes else ""
    words = f"Images {what}decoded from a plane of latents, at evenly spaced quantiles (5 to 95 %) of the prior."
    return PageFigure("Manifold", report.manifold(images, values, ""), words)


def _traversals(model: VAE, codes: np.ndarray, shown: Split, which: str) -> PageFigure:
    variances = codes.astype(np.float64).var(axis=0)
    chosen = np.argsort(-variances, kind="stable")[:_MAX_TRAVERSED].tolist()
    ways = interpolation.traversal(codes[0], _TRAVERSAL, chosen)
    label = int(model.labels_of(shown)[0]) if model.num_classes else 0
    images = _decoded(model, ways, np.full(ways.shape[:2], label))
    listed = ", ".join(f"{variances[dimension]:.2g}" for dimension in chosen)
    words = (
        f"The code of the first of the {which}, changed in one dimension at a time: the {len(chosen)} of "
        f"{codes.shape[1]} that vary most over {len(codes):,} codes. Their variances from the top: {listed}."
    )
    return PageFigure("Traversals", report.traversals(images, _TRAVERSAL.tolist(), "", chosen), words)


def _interpolations(model: GenerativeModel, seed: int) -> PageFigure:
    ends = np.random.default_rng(seed).normal(size=(_WAYS, 2, model.latent_dim))
    ways = {"linear": interpolation.linear_interpolation, "spherical": interpolation.spherical_interpolation}
    if model.latent_dim == 1:
        del ways["spherical"]  # a line has no circle
    rows = []
    for pair, (start, end) in enumerate(ends):
        label = pair % max(1, model.num_classes)
        for name, way in ways.items():
            rows.append((f"{name} {pair + 1}", _decoded(model, way(start, end, _STEPS), np.full(_STEPS, label))))
    words = f"Images from one random latent to another, {_WAYS} pairs, {' and '.join(ways)}; seed {seed}"
    words += f"; of classes 0 to {min(_WAYS, model.num_classes) - 1}." if model.num_classes else "."
    return PageFigure("Interpolations", report.interpolations(rows, ""), words)


def _nearest(model: GenerativeModel, train: Split, seed: int) -> PageFigure:
    generated = model.generate(_GENERATED, seed)
    if not np.isfinite(generated["images_float"]).all():
        raise UsageError("the model generates values that are not finite")
    generated, searched = np.asarray(generated["images"]), train.images[:MAX_NEIGHBOURS_OF]
    indices, distances = nearest_images(generated, searched, min(_NEIGHBORS, len(searched)))
    measure = "root mean square difference of pixels in [0, 1]"
    figure = report.nearest_neighbors(generated, searched[indices], distances, "", measure)
    which = "all" if len(searched) == len(train) else "the first"
    words = f"Generated images (seed {seed}), and of {which} {len(searched):,} training images those nearest in pixels."
    return PageFigure("Nearest training images", figure, words)


def _decoded(model, latent: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """uint8 images `(…, height, width, channels)` of latents `(…, latent_dim)` and labels `(…)`, if they are used."""
    flat, parts = latent.reshape(-1, latent.shape[-1]).astype(np.float32), []
    for start in range(0, len(flat), _CHUNK):
        chosen = labels.ravel()[start : start + _CHUNK] if model.num_classes else None
        parts.append(_to_uint8(model, model.decode(flat[start : start + _CHUNK], chosen)))
    images = np.concatenate(parts)
    return images.reshape(*latent.shape[:-1], *images.shape[1:])


def _to_uint8(model, values) -> np.ndarray:
    unit = np.asarray(model.to_unit_range(values))
    if not np.isfinite(unit).all():
        raise UsageError("the model gives images with values that are not finite")
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
