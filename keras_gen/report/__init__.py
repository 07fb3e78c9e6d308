"""Report of a run: figures drawn from arrays and history rows, HTML pages, and the explorer.

Functions that draw return a matplotlib figure, unknown to pyplot; save it with `save` or `save_figure`. All functions
raise `UsageError` for an argument of another type, shape or range than documented.
"""

from keras_gen.report.figures.animation import animate, animate_samples
from keras_gen.report.figures.curves import loss_curves, metric_curves
from keras_gen.report.figures.embedding import Embedding, pca, tsne
from keras_gen.report.figures.image_figures import (
    denoising,
    nearest_neighbors,
    reconstructions,
    sample_grid,
    samples_through_training,
)
from keras_gen.report.figures.latent_figures import interpolations, manifold, traversals
from keras_gen.report.figures.scatter import embedding_figure, scatter
from keras_gen.report.figures.style import save, save_figure

__all__ = [
    "Embedding",
    "animate",
    "animate_samples",
    "denoising",
    "embedding_figure",
    "interpolations",
    "loss_curves",
    "manifold",
    "metric_curves",
    "nearest_neighbors",
    "pca",
    "reconstructions",
    "sample_grid",
    "samples_through_training",
    "save",
    "save_figure",
    "scatter",
    "traversals",
    "tsne",
]
