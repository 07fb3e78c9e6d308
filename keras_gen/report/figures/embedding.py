"""Codes of many dimensions in two: principal components and t-SNE."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils import checks, progress
from keras_gen.utils.errors import UsageError

TSNE_CODES = 5000
"""Codes that t-SNE takes, at most: its time grows faster than their number."""


class Embedding(NamedTuple):
    """What `pca` and `tsne` return.

    Args:
        points: float64, shape `(m, 2)`.
        indices: which codes they are of, int64, shape `(m,)`, ascending.
        total: how many codes there were.
        description: one line on how the points were made.
        axis_names: of the two dimensions.
        has_scale: whether lengths in the plane mean something.
    """

    points: np.ndarray
    indices: np.ndarray
    total: int
    description: str
    axis_names: tuple[str, str]
    has_scale: bool


def pca(codes: np.ndarray) -> Embedding:
    """The projection of codes onto their first two principal components, of all of them.

    Args:
        codes: real numbers of shape `(n, D)`, n and D at least 2; flatten what has more axes.

    Returns:
        An `Embedding`, whose axes say which share of the variance they hold.

    Raises:
        UsageError: another shape, a value that is not finite, or codes that are all the same.

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
        indices=np.arange(len(codes)),
        total=len(codes),
        description=f"PCA of {len(codes):,} codes of {codes.shape[1]} dimensions",
        axis_names=(f"first component ({first})", f"second component ({second})"),
        has_scale=True,
    )


def tsne(codes: np.ndarray, seed: int = 0, perplexity: float = 30.0, most: int = TSNE_CODES) -> Embedding:
    """A plane in which codes that are near each other stay so (van der Maaten & Hinton 2008, "Visualizing data using
    t-SNE").

    Read neighborhoods from it, not sizes or distances of clusters: they have no scale.

    Args:
        codes: real numbers of shape `(n, D)`, n at least 4; flatten what has more axes.
        seed: of the choice of codes and of the algorithm, 0 to 2147483647. The same seed on the same machine gives the
            same points.
        perplexity: how many neighbors a code has, roughly; above 0. It is lowered to (m − 1) / 3 for the m codes
            embedded if it is above that; the description states what was used.
        most: how many codes are embedded, at least 4; of more, so many are drawn by chance, and the description
            says so.

    Returns:
        An `Embedding`.

    Raises:
        UsageError: another shape, a value that is not finite, codes that are all the same, or a number out of range.

    Example:
        >>> embedding = tsne(np.random.default_rng(0).normal(size=(60, 8)), seed=1, most=40)
        >>> embedding.points.shape, embedding.description
        ((40, 2), 't-SNE (perplexity 13, seed 1) of 40 of 60 codes of 8 dimensions')
    """
    codes = _check(codes, minimum=4)
    seed, perplexity = checks.seed("seed", seed), checks.positive("perplexity", perplexity)
    most = checks.positive_int("most", most)
    if most < 4:
        raise UsageError(f"most must be at least 4, received: {most}")
    indices = _subsample(len(codes), most, seed)
    chosen = codes[indices]
    perplexity = min(perplexity, (len(chosen) - 1) / 3)
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # which scikit-learn requires

    # From principal components, not from chance, the large-scale order is that of the data; of one dimension there are
    # none.
    start = "pca" if chosen.shape[1] > 1 and np.ptp(chosen, axis=0).any() else "random"
    # On one thread: several add up in an order that differs from run to run, and get into each other's way.
    with threadpool_limits(limits=1), progress.timer(f"t-SNE of {len(chosen):,} codes"):
        points = TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(chosen.astype(np.float32))
    count = f"{len(codes):,}" if len(chosen) == len(codes) else f"{len(chosen):,} of {len(codes):,}"
    return Embedding(
        points=points.astype(np.float64),
        indices=indices,
        total=len(codes),
        description=f"t-SNE (perplexity {perplexity:.3g}, seed {seed}) of {count} codes of {codes.shape[1]} dimensions",
        axis_names=("", ""),
        has_scale=False,
    )


def _subsample(total: int, most: int, seed: int) -> np.ndarray:
    if total <= most:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, most, replace=False))


def _check(codes: object, *, minimum: int = 2, dimensions: int = 1) -> np.ndarray:
    codes = arrays.features("codes", codes, minimum=minimum)
    if codes.shape[1] < dimensions:
        raise UsageError(f"codes must have at least {dimensions} dimensions, received: {codes.shape[1]}")
    if not np.ptp(codes, axis=0).any():
        raise UsageError(f"codes must not be all the same, received: {len(codes)} equal ones")
    return codes
