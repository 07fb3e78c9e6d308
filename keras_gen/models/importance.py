"""Compute the importance weights of a VAE's posterior samples in chunks of bounded size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import numpy as np
import tensorflow as tf

from keras_gen import losses
from keras_gen.models import sampling
from keras_gen.utils import progress
from keras_gen.utils.errors import must_be

if TYPE_CHECKING:
    from keras_gen.models.vae import VAE

IMPORTANCE_SAMPLING = 2
"""Second element of the random key, different from `base.TRAINING` and `base.EVALUATION`."""

VALUES_AT_A_TIME = 2_000_000
"""Values of the images that are decoded at a time: for MNIST twice as fast as `sampling.CHUNK` images."""


def check_binary(argument: str, images: np.ndarray) -> None:
    """Check that images, uint8 or floats in [0, 1], are only black (0) and white (255, or 1), or raise `UsageError`."""
    white = 255 if images.dtype == np.uint8 else 1
    gray = images.size - int(np.isin(images, (0, white)).sum())
    if gray:
        requirement = f"binary (only 0 and {white}), since a Bernoulli likelihood of gray pixels is not normalized"
        raise must_be(argument, requirement, f"{gray} of {images.size} values in between")


def log_weights(
    model: VAE, images: np.ndarray, labels: np.ndarray | None, samples: int, seed: int, *, rows: int | None = None
) -> np.ndarray:
    """Return the result of `VAE.log_importance_weights` for checked arguments.

    `rows` latents are decoded at a time, by default as many as `VALUES_AT_A_TIME` allow; the samples do not depend on
    it.
    """
    rows = rows or max(sampling.CHUNK, VALUES_AT_A_TIME // math.prod(model.image_shape))
    mean, log_variance = model.encode(images, labels)
    labels = np.zeros(len(images), np.int32) if labels is None else labels  # an unconditional model ignores them
    key = tf.constant([seed, IMPORTANCE_SAMPLING])
    weights = np.empty((len(images), samples))
    images_at_a_time, samples_at_a_time = max(1, rows // samples), min(rows, samples)
    with progress.task("importance weights", weights.size, "samples") as task:
        for first_image in range(0, len(images), images_at_a_time):
            chosen = slice(first_image, first_image + images_at_a_time)
            scaled = model.to_value_range(tf.convert_to_tensor(images[chosen]))
            indices = range(len(images))[chosen]
            noise = tf.stack([_noise(key, index, samples, model.latent_dim) for index in indices])
            for first in range(0, samples, samples_at_a_time):
                part = slice(first, first + samples_at_a_time)
                arguments = scaled, tf.constant(labels[chosen]), mean[chosen], log_variance[chosen], noise[:, part]
                weights[chosen, part] = model._log_weights_function(*arguments).numpy()
                task.advance(weights[chosen, part].size)
    return weights


def log_weights_function(model: VAE) -> tf.types.experimental.PolymorphicFunction:
    """Return a `tf.function` that computes log weights `(n, samples)`, float64.

    Its arguments are images `(n, …)` in the model's range, labels `(n,)`, mean and log-variance of their posteriors
    `(n, latent_dim)` and noise ε `(n, samples, latent_dim)`.
    """

    def function(images, labels, mean, log_variance, noise):
        latents, values = model.decode_samples(images, labels, mean, log_variance, noise, training=False)
        log_likelihood = -tf.cast(values["reconstruction"], tf.float64)
        posterior = [tf.cast(part, tf.float64) for part in (latents, log_variance[:, tf.newaxis], noise)]
        return log_likelihood + losses.log_prior_ratio(*posterior) + _log_volume(model)

    vectors, noise = (tf.TensorSpec([*[None] * rank, model.latent_dim], tf.float32) for rank in (1, 2))
    images, labels = tf.TensorSpec([None, *model.image_shape], tf.float32), tf.TensorSpec([None], tf.int32)
    return tf.function(function, input_signature=[images, labels, vectors, vectors, noise], autograph=False)


def _noise(key, index, samples, latent_dim):
    # Each image has its own key, so that its samples do not depend on the chunk it is in.
    return tf.random.stateless_normal([samples, latent_dim], tf.random.fold_in(key, index), alg="philox")


def _log_volume(model):
    """Return the change of an image's log density when its pixels are rescaled to [0, 1]; 0 for the range (0, 1)."""
    low, high = model.value_range
    return np.prod(model.image_shape) * np.log(high - low)
