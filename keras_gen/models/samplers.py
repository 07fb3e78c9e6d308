"""Distributions from which `generate` draws latents: the prior, or one fitted to the codes of training images."""

from __future__ import annotations

from dataclasses import dataclass

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import numpy as np
import tensorflow as tf

from keras_gen.models import sampling
from keras_gen.utils.errors import UsageError, must_be

COMPONENTS = 10
"""Default number of components of a mixture."""

ARRAYS = ("weights", "means", "factors")
"""The arrays of a `GaussianMixture`, as files store them."""


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of Gaussians with full covariances, one for each class of a conditional model.

    Fitted to the codes of training images after training, it is a better description of them than the prior, and makes
    an autoencoder a generative model (Ghosh et al. 2020, "From variational to deterministic autoencoders",
    arXiv:1903.12436).

    Args:
        weights: float32 array `(classes, components)`, which sum to 1 for each class.
        means: float32 array `(classes, components, dimensions)`.
        factors: float32 array `(classes, components, dimensions, dimensions)`, lower triangular: each covariance is
            factor · factorᵀ.
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray

    def __post_init__(self):
        classes, components, dimensions = np.shape(self.means)
        if np.shape(self.weights) != (classes, components):
            raise must_be("weights", f"of shape {(classes, components)}, like means", np.shape(self.weights))
        if np.shape(self.factors) != (classes, components, dimensions, dimensions):
            shape = (classes, components, dimensions, dimensions)
            raise must_be("factors", f"of shape {shape}, like means", np.shape(self.factors))
        for name in ARRAYS:
            array = np.asarray(getattr(self, name), np.float32)
            if not np.isfinite(array).all():
                raise must_be(f"{name} of a Gaussian mixture", "finite", "other values")
            object.__setattr__(self, name, array)

    @property
    def name(self) -> str:
        """Name in records, such as `gmm-10`, with the number of components."""
        return f"gmm-{self.weights.shape[1]}"

    @classmethod
    def fit(
        cls, codes: np.ndarray, labels: np.ndarray | None = None, *, components: int = COMPONENTS, seed: int = 0
    ) -> GaussianMixture:
        """Fit a mixture to codes by expectation maximization, with scikit-learn.

        Args:
            codes: float array `(n, dimensions)`.
            labels: integers `(n,)`, the classes of a conditional model. Defaults to None, a single mixture.
            components: int, number of components of each mixture. Defaults to `COMPONENTS`, 10.
            seed: int, seed of the first assignment. Defaults to 0.

        Raises:
            UsageError: a class has too few codes, or they are degenerate.

        Example:
            >>> codes = np.random.default_rng(0).normal(size=(500, 3))
            >>> GaussianMixture.fit(codes, components=2).draw(4, seed=0).shape
            TensorShape([4, 3])
        """
        from sklearn import mixture

        codes = np.asarray(codes, np.float64)  # float32 covariances of dependent codes aren't positive definite
        groups = [codes] if labels is None else [codes[labels == label] for label in range(int(np.max(labels)) + 1)]
        fitted = [mixture.GaussianMixture(components, covariance_type="full", random_state=seed) for _ in groups]
        try:
            for each, group in zip(fitted, groups, strict=True):
                each.fit(group)
            factors = np.stack([np.linalg.cholesky(each.covariances_) for each in fitted])
        except ValueError as error:  # LinAlgError is one
            raise UsageError(f"a Gaussian mixture can't be fitted to these codes: {error}") from error
        return cls(np.stack([each.weights_ for each in fitted]), np.stack([each.means_ for each in fitted]), factors)

    def draw(self, n: int | tf.Tensor, seed: int | tf.Tensor, labels: tf.Tensor | None = None) -> tf.Tensor:
        """Draw n codes, float32 `(n, dimensions)`; the same int `seed` gives the same ones on every machine.

        Args:
            n: int or int tensor, number of codes.
            seed: int or int tensor.
            labels: int tensor `(n,)`, the classes, if there are several mixtures.
        """
        n, seed = tf.cast(n, tf.int32), tf.cast(seed, tf.int32)
        classes = tf.zeros([n], tf.int32) if labels is None else tf.cast(labels, tf.int32)
        noise = sampling.latents(n, self.means.shape[-1], seed)
        uniform = tf.random.stateless_uniform([n], tf.stack([seed, 2]), alg="philox")
        bounds = tf.gather(tf.constant(np.cumsum(self.weights, axis=1)[:, :-1]), classes)
        chosen = tf.reduce_sum(tf.cast(uniform[:, tf.newaxis] >= bounds, tf.int32), axis=1)
        codes = tf.gather_nd(tf.constant(self.means), tf.stack([classes, chosen], axis=1))
        for place in np.ndindex(self.weights.shape):  # a factor for each code would take much memory
            is_here = (classes == place[0]) & (chosen == place[1])
            codes += tf.where(is_here[:, tf.newaxis], noise @ tf.constant(self.factors[place].T), 0.0)
        return codes

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, for `from_arrays`."""
        return {name: getattr(self, name) for name in ARRAYS}

    @classmethod
    def from_arrays(cls, arrays) -> GaussianMixture:
        """Return the mixture of a mapping with the arrays of `to_arrays`."""
        return cls(*(np.asarray(arrays[name]) for name in ARRAYS))


def check_counts(count: int, labels: np.ndarray | None, num_classes: int, components: int = COMPONENTS) -> None:
    """Check that there are enough images to fit mixtures to.

    Args:
        count: int, number of images n.
        labels: integers `(n,)`, the classes of a conditional model.
        num_classes: int, number of classes of the model, 0 if it is not conditional.
        components: int, number of components of each mixture. Defaults to `COMPONENTS`.

    Raises:
        UsageError: a class has fewer than two images for each component.
    """
    counts = np.bincount(labels, minlength=num_classes) if num_classes else np.array([count])
    if (fewest := int(counts.min())) < 2 * components:
        what = f"images of class {counts.argmin()}" if num_classes else "images"
        raise must_be(what, f"at least {2 * components} to fit a mixture of {components} components", fewest)
