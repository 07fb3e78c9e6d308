"""Loss functions, one value an example (no reduction over the batch), named as in the papers. Everything in nats.

Shapes: a batch of images is `(batch, height, width, channels)`, latents are `(batch, latent_dim)`, a
discriminator's logits or a critic's scores `(batch, 1)`. Every function returns shape `(batch,)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import tensorflow as tf

PROBABILITY_EPSILON = 1e-7
"""Probabilities that a network gives itself are clipped to [1e-7, 1 - 1e-7]; logits need no clipping."""


def bernoulli_negative_log_likelihood(images: tf.Tensor, prediction: tf.Tensor, *, from_logits: bool) -> tf.Tensor:
    """−log p(x) of independent Bernoulli pixels, summed over the image: −Σ x log p + (1 − x) log(1 − p).

    A likelihood only for pixels that are 0 or 1. For gray ones it is the usual objective, but not normalized
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


def gaussian_negative_log_likelihood(images: tf.Tensor, mean: tf.Tensor, scale: float | tf.Tensor) -> tf.Tensor:
    """−log N(x; mean, scale² I), constants included, summed over the image: Σ ½((x − mean)/σ)² + log σ + ½ log 2π.

    With scale 1 it is at least ½ D log 2π (720.4 nats for D = 784), so a negative value is a mistake somewhere. With
    scale √½ it is the summed squared error but for the constant ½ D log π.

    Args:
        images: the pixels.
        mean: the likelihood's mean; shape of `images`.
        scale: σ, above 0, in units of the pixels.
    """
    scale = tf.convert_to_tensor(scale, tf.float32)
    pixels = 0.5 * tf.square((images - mean) / scale) + tf.math.log(scale) + 0.5 * math.log(2 * math.pi)
    return _sum_over_example(pixels)


def mean_squared_error(images: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Mean over an image's pixels of (x − y)², in squared units of the pixels."""
    return tf.reduce_mean(tf.square(images - others), axis=list(range(1, images.shape.rank)))


def mean_cross_entropy(images: tf.Tensor, prediction: tf.Tensor, *, from_logits: bool) -> tf.Tensor:
    """`bernoulli_negative_log_likelihood` divided by the number of an image's values: nats a pixel (and channel)."""
    pixels = tf.cast(tf.reduce_prod(tf.shape(images)[1:]), tf.float32)
    return bernoulli_negative_log_likelihood(images, prediction, from_logits=from_logits) / pixels


def kl_per_dimension(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) of each latent dimension, `(batch, latent_dim)`."""
    return 0.5 * (tf.square(mean) + tf.exp(log_variance) - 1.0 - log_variance)


def kl_divergence(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL(N(mean, exp(log_variance)) ‖ N(0, I)), summed over the latent: ½ Σ μ² + σ² − 1 − log σ².

    Kingma & Welling 2013, appendix B. Exactly 0 for mean 0 and log-variance 0, positive otherwise.
    """
    return tf.reduce_sum(kl_per_dimension(mean, log_variance), axis=-1)


def free_bits_kl(terms: tf.Tensor, batch_mean: tf.Tensor, free_bits: float) -> tf.Tensor:
    """The KL term with a floor, Σ_j max(λ, mean over the batch of KL_j) (Kingma et al. 2016, equation 15).

    The mean of the returned `(batch,)` is that sum: a dimension whose batch mean is below the floor counts as the
    floor, and so has no gradient.

    Args:
        terms: `(batch, latent_dim)` as from `kl_per_dimension`.
        batch_mean: their mean over the whole batch, `(latent_dim,)`.
        free_bits: λ, nats a latent dimension.
    """
    return tf.reduce_sum(tf.where(batch_mean > free_bits, terms, free_bits), axis=-1)


def real_cross_entropy(logits: tf.Tensor) -> tf.Tensor:
    """−log D(x), D(x) = sigmoid(logits): what a discriminator pays on real images."""
    return tf.nn.softplus(-logits[:, 0])


def fake_cross_entropy(logits: tf.Tensor) -> tf.Tensor:
    """−log(1 − D(x)), D(x) = sigmoid(logits): what a discriminator pays on generated images."""
    return tf.nn.softplus(logits[:, 0])


def non_saturating_generator_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """−log D(G(z)) (Goodfellow et al. 2014, §3): the generator's loss whose gradient does not vanish early on."""
    return real_cross_entropy(fake_logits)


def saturating_generator_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """log(1 − D(G(z))) (Goodfellow et al. 2014, equation 1): the minimax game's own; its gradient vanishes early on."""
    return -fake_cross_entropy(fake_logits)


def least_squares(output: tf.Tensor, target: float) -> tf.Tensor:
    """(D(x) − target)² (Mao et al. 2017, "Least squares GANs", without their factor ½)."""
    return tf.square(output[:, 0] - target)


def jensen_shannon_estimate(d_loss: tf.Tensor) -> tf.Tensor:
    """log 2 − d_loss, with `d_loss` the mean of both cross-entropies: nats, in [0, log 2] for an optimal D.

    For any D a lower bound of the Jensen-Shannon divergence of data and model (Goodfellow et al. 2014, theorem 1);
    negative for a D worse than guessing.
    """
    return math.log(2) - d_loss


def wasserstein_estimate(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """critic(x) − critic(G(z)): its mean estimates W₁ (Arjovsky et al. 2017), in units of pixel distance.

    For a critic of slope at most 1 a lower bound; with weight clipping only up to an unknown factor.
    """
    return real_scores[:, 0] - fake_scores[:, 0]


def gradient_penalty(
    critic: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor, fake: tf.Tensor, mixing: tf.Tensor
) -> tf.Tensor:
    """(‖∇ critic(x̂)‖₂ − 1)² at x̂ = real + mixing · (fake − real) (Gulrajani et al. 2017, equation 3, without λ).

    The norm is over all pixels of an image. The critic must treat images independently: batch normalization breaks
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


@dataclass(frozen=True)
class AdversarialObjective:
    """A pair of losses that a discriminator and a generator play with; all are of the discriminator's raw output.

    Args:
        on_real, on_fake: the discriminator's on real and on generated images; it minimizes their mean.
        generator: the generator's, on its images.
        activation: turns the raw output into what the discriminator says, D.
        is_cross_entropy: whether the discriminator's losses are −log D and −log(1 − D), so that they give an estimate
            of the Jensen-Shannon divergence.
    """

    on_real: Callable[[tf.Tensor], tf.Tensor]
    on_fake: Callable[[tf.Tensor], tf.Tensor]
    generator: Callable[[tf.Tensor], tf.Tensor]
    activation: Callable[[tf.Tensor], tf.Tensor]
    is_cross_entropy: bool


def _least_squares(activation):
    return AdversarialObjective(
        on_real=lambda output: least_squares(activation(output), 1.0),
        on_fake=lambda output: least_squares(activation(output), 0.0),
        generator=lambda output: least_squares(activation(output), 1.0),
        activation=activation,
        is_cross_entropy=False,
    )


ADVERSARIAL_OBJECTIVES = {
    "non_saturating": AdversarialObjective(
        real_cross_entropy, fake_cross_entropy, non_saturating_generator_loss, tf.sigmoid, is_cross_entropy=True
    ),
    "saturating": AdversarialObjective(
        real_cross_entropy, fake_cross_entropy, saturating_generator_loss, tf.sigmoid, is_cross_entropy=True
    ),
    "least_squares": _least_squares(tf.identity),
    "least_squares_sigmoid": _least_squares(tf.sigmoid),
}
"""The objectives that a `GAN` can have. `least_squares` is Mao et al.'s, on a linear D; `least_squares_sigmoid` is the
same of a D that ends in a sigmoid. A new one is an entry here."""
