"""Loss functions, one value an example (no reduction over the batch), named as in the papers. Everything in nats.

Shapes: a batch of images is `(batch, height, width, channels)`, latents are `(batch, latent_dim)`, a
discriminator's logits or a critic's scores `(batch, 1)`. Every function returns shape `(batch,)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import tensorflow as tf

PROBABILITY_EPSILON = 1e-7
"""Probabilities that a network gives itself are clipped to [1e-7, 1 - 1e-7]; logits need no clipping."""


def bernoulli_negative_log_likelihood(images: tf.Tensor, prediction: tf.Tensor, *, from_logits: bool) -> tf.Tensor:
    """−log p(x) of independent Bernoulli pixels, summed over the image: −Σ x log p + (1 − x) log(1 − p).

    A likelihood only for pixels that are 0 or 1. For grey ones it is the usual objective, but not normalised
    (Loaiza-Ganem & Cunningham 2019, "The continuous Bernoulli").

    Args:
        images: values in [0, 1].
        prediction: logits of p, or p itself with `from_logits=False`; shape of `images`.
        from_logits: what `prediction` is.

    Example:
        >>> float(bernoulli_negative_log_likelihood(tf.ones((1, 1, 1, 1)), tf.zeros((1, 1, 1, 1)), from_logits=True)[0])
        0.6931471824645996
    """
    if from_logits:
        pixels = tf.nn.sigmoid_cross_entropy_with_logits(labels=images, logits=prediction)
    else:
        prediction = tf.clip_by_value(prediction, PROBABILITY_EPSILON, 1 - PROBABILITY_EPSILON)
        pixels = -(images * tf.math.log(prediction) + (1 - images) * tf.math.log1p(-prediction))
    return _sum_over_example(pixels)


def gaussian_negative_log_likelihood(images: tf.Tensor, mean: tf.Tensor, scale: float) -> tf.Tensor:
    """−log N(x; mean, scale² I), constants included, summed over the image: Σ ½((x − mean)/σ)² + log σ + ½ log 2π.

    With scale 1 it is at least ½ D log 2π (720.4 nats for D = 784), so a negative value is a mistake somewhere.

    Args:
        images: the pixels.
        mean: the likelihood's mean; shape of `images`.
        scale: σ, above 0, in units of the pixels.
    """
    pixels = 0.5 * tf.square((images - mean) / scale) + math.log(scale) + 0.5 * math.log(2 * math.pi)
    return _sum_over_example(pixels)


def kl_divergence(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL(N(mean, exp(log_variance)) ‖ N(0, I)), summed over the latent: ½ Σ μ² + σ² − 1 − log σ².

    Kingma & Welling 2013, appendix B. Exactly 0 for mean 0 and log-variance 0, positive otherwise.
    """
    return 0.5 * tf.reduce_sum(tf.square(mean) + tf.exp(log_variance) - 1.0 - log_variance, axis=-1)


def real_cross_entropy(logits: tf.Tensor) -> tf.Tensor:
    """−log D(x), D(x) = sigmoid(logits): what a discriminator pays on real images."""
    return tf.nn.softplus(-logits[:, 0])


def fake_cross_entropy(logits: tf.Tensor) -> tf.Tensor:
    """−log(1 − D(x)), D(x) = sigmoid(logits): what a discriminator pays on generated images."""
    return tf.nn.softplus(logits[:, 0])


def non_saturating_generator_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """−log D(G(z)) (Goodfellow et al. 2014, §3): the generator's loss whose gradient does not vanish early on."""
    return real_cross_entropy(fake_logits)


def gradient_penalty(
    critic: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor, fake: tf.Tensor, mixing: tf.Tensor
) -> tf.Tensor:
    """(‖∇ critic(x̂)‖₂ − 1)² at x̂ = real + mixing · (fake − real) (Gulrajani et al. 2017, equation 3, without λ).

    The norm is over all pixels of an image. The critic must treat images independently: batch normalisation breaks
    that.

    Args:
        critic: maps images to scores `(batch, 1)`.
        real: images.
        fake: images, shape of `real`.
        mixing: uniform in [0, 1), shape `(batch, 1, 1, 1)`.
    """
    mixed = real + mixing * (fake - real)
    with tf.GradientTape() as tape:
        tape.watch(mixed)
        scores = critic(mixed)
    # The sum's gradient holds each image's own gradient, since no score depends on another image.
    squared_norm = _sum_over_example(tf.square(tape.gradient(scores, mixed)))
    # A square root has no derivative at 0; the small constant keeps a dead critic from turning the weights to NaN.
    return tf.square(tf.sqrt(squared_norm + 1e-12) - 1.0)


def _sum_over_example(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(values, axis=list(range(1, values.shape.rank)))
