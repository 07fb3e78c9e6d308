"""Embed latent codes in two dimensions with PCA or t-SNE."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils import checks, progress
from keras_gen.utils.errors import UsageError


class Embedding(NamedTuple):
    """Result of `pca` and `tsne`.

    Args:
        points: float64 array of shape `(n, 2)`.
        description: str, one line on how the points were computed.
        axis_names: pair of str, names of the two dimensions.
        has_scale: bool, whether distances in the plane are meaningful.
    """

    points: np.ndarray
    description: str
    axis_names: tuple[str, str]
    has_scale: bool


def pca(codes: np.ndarray) -> Embedding:
    """Project codes onto their first two principal components.

    Args:
        codes: array of real numbers of shape `(n, D)`, n and D at least 2, not all the same.

    Returns:
        An `Embedding` whose axis names state the explained variance.

    Example:
        >>> embedding = pca([[3, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]])
        >>> embedding.axis_names
        ('first component (90 % of the variance)', 'second component (10 % of the variance)')
    """
    codes = _check(codes, dimensions=2)
    from sklearn.decomposition import PCA

    model = PCA(n_components=2, svd_solver="full")
    points = model.fit_transform(codes)
    first, second = (f"{100 * share:.0f} % of the variance" for share in model.explained_variance_ratio_)
    return Embedding(
        points=points,
        description=f"PCA of {len(codes):,} codes of {codes.shape[1]} dimensions",
        axis_names=(f"first component ({first})", f"second component ({second})"),
        has_scale=True,
    )


def tsne(codes: np.ndarray, seed: int = 0) -> Embedding:
    """Embed codes in a plane with t-SNE (van der Maaten & Hinton 2008, "Visualizing data using t-SNE").

    Nearby codes stay nearby. Sizes and distances of clusters are not meaningful. The time grows faster than linearly
    with the number of codes. The perplexity, the approximate number of neighbors of a code, is 30, or (n − 1) / 3 if
    that is less.

    Args:
        codes: array of real numbers of shape `(n, D)`, n at least 4, not all the same; flatten codes with more axes.
        seed: int from 0 to 2147483647, seed of the algorithm; default 0. The same seed on the same machine gives the
            same points.

    Example:
        >>> embedding = tsne(np.random.default_rng(0).normal(size=(40, 8)), seed=1)
        >>> embedding.points.shape, embedding.description
        ((40, 2), 't-SNE (perplexity 13, seed 1) of 40 codes of 8 dimensions')
    """
    codes, seed = _check(codes, minimum=4), checks.seed("seed", seed)
    perplexity = min(30.0, (len(codes) - 1) / 3)
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # which scikit-learn requires

    # Starting from principal components keeps the large-scale order of the data; PCA needs two dimensions.
    start = "pca" if codes.shape[1] > 1 else "random"
    # One thread: several sum in an order that differs from run to run, and slow each other down.
    with threadpool_limits(limits=1), progress.timer(f"t-SNE of {len(codes):,} codes"):
        points = TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(codes.astype(np.float32))
    settings = f"perplexity {perplexity:.3g}, seed {seed}"
    return Embedding(
        points=points.astype(np.float64),
        description=f"t-SNE ({settings}) of {len(codes):,} codes of {codes.shape[1]} dimensions",
        axis_names=("", ""),
        has_scale=False,
    )


def _check(codes: object, *, minimum: int = 2, dimensions: int = 1) -> np.ndarray:
    codes = arrays.features("codes", codes, minimum=minimum)
    if codes.shape[1] < dimensions:
        raise UsageError(f"codes must have at least {dimensions} dimensions, received: {codes.shape[1]}")
    if not np.ptp(codes, axis=0).any():
        raise UsageError(f"codes must not be all the same, received: {len(codes)} equal ones")
    return codes
