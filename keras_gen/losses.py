"""Loss functions, named as in the papers, without reduction over the batch. Likelihoods and divergences are in nats.

Shapes: images `(batch, height, width, channels)`, latents `(batch, latent_dim)`, a discriminator's logits or a critic's
scores `(batch, 1)`. Functions return `(batch,)` unless noted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import tensorflow as tf

PROBABILITY_EPSILON = 1e-7
"""Probabilities from a network are clipped to [1e-7, 1 - 1e-7]; logits need no clipping."""


def bernoulli_negative_log_likelihood(images: tf.Tensor, prediction: tf.Tensor, *, from_logits: bool) -> tf.Tensor:
    """Return −log p(x) of independent Bernoulli pixels, summed over the image: −Σ x log p + (1 − x) log(1 − p).

    This is a likelihood only for pixels that are 0 or 1. For gray pixels it is the usual objective, but not normalized
    (Loaiza-Ganem & Cunningham 2019, "The continuous Bernoulli").

    Args:
        images: values in [0, 1].
        prediction: logits of p, or p itself with `from_logits=False`; shape of `images`.
        from_logits: bool, whether `prediction` are logits.

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
    """Return −log N(x; mean, scale² I), summed over the image: Σ ½((x − mean)/σ)² + log σ + ½ log 2π.

    With scale 1 it is at least ½ D log 2π (720.4 nats for D = 784), so that a negative value indicates a mistake. With
    scale √½ it equals the summed squared error plus the constant ½ D log π.

    Args:
        images: values of the pixels.
        mean: mean of the likelihood; shape of `images`.
        scale: float or tensor, σ, above 0, in units of the pixels.
    """
    scale = tf.convert_to_tensor(scale, tf.float32)
    pixels = 0.5 * tf.square((images - mean) / scale) + tf.math.log(scale) + 0.5 * math.log(2 * math.pi)
    return _sum_over_example(pixels)


def mean_squared_error(images: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Return the mean over an image's pixels of (x − y)², in squared units of the pixels."""
    return tf.reduce_mean(tf.square(images - others), axis=list(range(1, images.shape.rank)))


def mean_cross_entropy(images: tf.Tensor, prediction: tf.Tensor, *, from_logits: bool) -> tf.Tensor:
    """Return `bernoulli_negative_log_likelihood` divided by the number of an image's values: nats per pixel value."""
    pixels = tf.cast(tf.reduce_prod(tf.shape(images)[1:]), tf.float32)
    return bernoulli_negative_log_likelihood(images, prediction, from_logits=from_logits) / pixels


def kl_per_dimension(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """Return KL(N(mean, exp(log_variance)) ‖ N(0, 1)) of each latent dimension, `(batch, latent_dim)`.

    It is ½ (μ² + σ² − 1 − log σ²) (Kingma & Welling 2013, appendix B): exactly 0 for mean 0 and log-variance 0,
    positive otherwise.
    """
    return 0.5 * (tf.square(mean) + tf.exp(log_variance) - 1.0 - log_variance)


def log_prior_ratio(latents: tf.Tensor, log_variance: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """Return log p(z) − log q(z | x), without the last axis, for z = μ + σ ε: ½ Σ ε² + log σ² − z².

    Args:
        latents: z, `(…, latent_dim)`, from the posterior N(μ, σ²).
        log_variance: log σ², broadcast to `latents`.
        noise: ε, shape of `latents`.
    """
    # The constants ½ log 2π cancel.
    return 0.5 * tf.reduce_sum(tf.square(noise) + log_variance - tf.square(latents), axis=-1)


def free_bits_kl(terms: tf.Tensor, batch_mean: tf.Tensor, free_bits: float) -> tf.Tensor:
    """Return the KL term with free bits, Σ_j max(λ, mean over the batch of KL_j) (Kingma et al. 2016, equation 15).

    The mean of the returned `(batch,)` is that sum: a dimension whose batch mean is below λ contributes λ and has no
    gradient.

    Args:
        terms: `(batch, latent_dim)` as from `kl_per_dimension`.
        batch_mean: mean of the terms over the whole batch, `(latent_dim,)`.
        free_bits: float, λ, nats per latent dimension.
    """
    return tf.reduce_sum(tf.where(batch_mean > free_bits, terms, free_bits), axis=-1)


def real_cross_entropy(logits: tf.Tensor) -> tf.Tensor:
    """Return −log D(x), D(x) = sigmoid(logits), the discriminator's loss on real images."""
    return tf.nn.softplus(-logits[:, 0])


def fake_cross_entropy(logits: tf.Tensor) -> tf.Tensor:
    """Return −log(1 − D(x)), D(x) = sigmoid(logits), the discriminator's loss on generated images."""
    return tf.nn.softplus(logits[:, 0])


def non_saturating_generator_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """Return −log D(G(z)) (Goodfellow et al. 2014, §3), whose gradient does not vanish early in training."""
    return real_cross_entropy(fake_logits)


def saturating_generator_loss(fake_logits: tf.Tensor) -> tf.Tensor:
    """Return log(1 − D(G(z))) (Goodfellow et al. 2014, equation 1), the minimax loss; its gradient vanishes early."""
    return -fake_cross_entropy(fake_logits)


def least_squares(output: tf.Tensor, target: float) -> tf.Tensor:
    """Return (D(x) − target)² (Mao et al. 2017, "Least squares GANs", without their factor ½)."""
    return tf.square(output[:, 0] - target)


def jensen_shannon_estimate(d_loss: tf.Tensor) -> tf.Tensor:
    """Return log 2 − d_loss, where `d_loss` is the mean of both cross-entropies; in [0, log 2] nats for an optimal D.

    It is a lower bound of the Jensen-Shannon divergence of data and model for any D (Goodfellow et al. 2014, theorem
    1), and negative for a D worse than guessing.
    """
    return math.log(2) - d_loss


def wasserstein_estimate(real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """Return critic(x) − critic(G(z)), whose mean estimates W₁ (Arjovsky et al. 2017) in units of pixel distance.

    It is a lower bound for a critic of slope at most 1; with weight clipping only up to an unknown factor.
    """
    return real_scores[:, 0] - fake_scores[:, 0]


def gradient_penalty(
    critic: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor, fake: tf.Tensor, mixing: tf.Tensor
) -> tf.Tensor:
    """Return (‖∇ critic(x̂)‖₂ − 1)² at x̂ = real + mixing · (fake − real) (Gulrajani et al. 2017, equation 3, without λ).

    The norm is over all pixels of an image. The critic must treat images independently, so batch normalization is
    excluded.

    Args:
        critic: callable from images to scores `(batch, 1)`.
        real: real images.
        fake: generated images, shape of `real`.
        mixing: uniform random numbers in [0, 1), shape `(batch, 1, 1, 1)`.
    """
    squared_norm = squared_gradient_norm(critic, real + mixing * (fake - real))
    # The square root has no derivative at 0: without the constant a critic with zero gradient gives NaN.
    return tf.square(tf.sqrt(squared_norm + 1e-12) - 1.0)


def squared_gradient_norm(critic: Callable[[tf.Tensor], tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    """Return ‖∇ critic(x)‖₂² over the pixels of each image.

    Half of it is the regularizer R1 on real images, R2 on generated ones, without γ (Mescheder et al. 2018, "Which
    training methods for GANs do actually converge?", equation 9).

    Args:
        critic: callable from images to scores `(batch, 1)`, which must treat images independently.
        images: the images.
    """
    with tf.GradientTape() as tape:
        tape.watch(images)
        scores = critic(images)
    # The gradient of the sum of scores contains each image's gradient, since no score depends on another image.
    return _sum_over_example(tf.square(tape.gradient(scores, images)))


def _sum_over_example(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(values, axis=list(range(1, values.shape.rank)))


def hinge(output: tf.Tensor, sign: float) -> tf.Tensor:
    """Return max(0, 1 − sign · D(x)), the discriminator's hinge loss (Miyato et al. 2018, equation 16).

    `sign` is 1 on real and −1 on generated images.
    """
    return tf.nn.relu(1.0 - sign * output[:, 0])


def relativistic(output: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Return −log sigmoid(D(a) − D(b)) of pairs of a real and a generated image, in nats.

    The discriminator minimizes it with a real and b generated, the generator the other way round: the relativistic
    pairing loss (Jolicoeur-Martineau 2019, arXiv:1807.00734; Huang et al. 2025, arXiv:2501.05441).
    """
    return tf.nn.softplus(other[:, 0] - output[:, 0])


@dataclass(frozen=True)
class AdversarialObjective:
    """The losses of discriminator and generator as functions of the discriminator's output without activation.

    Args:
        discriminator: callable from the outputs on real and on generated images to a dictionary: `d_loss_real` and
            `d_loss_fake`, of which the discriminator minimizes the mean, or `d_loss` alone.
        generator: callable from the output on generated images, and that on real images if it `sees_real`, to the
            generator's loss.
        activation: callable from the output to D.
        is_cross_entropy: bool, whether the discriminator's losses are −log D and −log(1 − D), from which the
            Jensen-Shannon divergence is estimated. Defaults to `False`.
        sees_real: bool, whether the generator's loss depends on the real images. Defaults to `False`.
    """

    discriminator: Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]
    generator: Callable[..., tf.Tensor]
    activation: Callable[[tf.Tensor], tf.Tensor]
    is_cross_entropy: bool = False
    sees_real: bool = False


def _separate(on_real, on_fake):
    """Return the discriminator's losses from one on real and one on generated images."""
    return lambda real, fake: {"d_loss_real": on_real(real), "d_loss_fake": on_fake(fake)}


_CROSS_ENTROPY = _separate(real_cross_entropy, fake_cross_entropy)


def _least_squares(activation):
    def loss(target):
        return lambda output: least_squares(activation(output), target)

    return AdversarialObjective(_separate(loss(1.0), loss(0.0)), loss(1.0), activation)


ADVERSARIAL_OBJECTIVES = {
    "non_saturating": AdversarialObjective(
        _CROSS_ENTROPY, non_saturating_generator_loss, tf.sigmoid, is_cross_entropy=True
    ),
    "saturating": AdversarialObjective(_CROSS_ENTROPY, saturating_generator_loss, tf.sigmoid, is_cross_entropy=True),
    "least_squares": _least_squares(tf.identity),
    "least_squares_sigmoid": _least_squares(tf.sigmoid),
    "hinge": AdversarialObjective(
        _separate(lambda output: hinge(output, 1.0), lambda output: hinge(output, -1.0)),
        lambda output: -output[:, 0],
        tf.identity,
    ),
    "relativistic": AdversarialObjective(
        lambda real, fake: {"d_loss": relativistic(real, fake)},
        lambda fake, real: relativistic(fake, real),
        tf.identity,
        sees_real=True,
    ),
}
"""Objectives of a `GAN` by name. With cross-entropies and `least_squares_sigmoid` D has a sigmoid, otherwise it is
linear. To add an objective, add an entry."""


@dataclass(frozen=True)
class Likelihood:
    """A distribution p(x | z) of an image's values, which are independent given the decoder's output for z.

    Args:
        negative_log: callable to −log p(x | z), `(n,)`, from images and, by keyword, the decoder's `output`, the `mean`
            image, the `scale` and `from_logits`, whether the mean is sigmoid(output).
        sample: callable from mean images, the scale and a random key to images.
        has_scale: bool, whether it has a standard deviation `scale`, in units of the pixels.
        is_discrete: bool, whether it is a probability, normalized on the values 0 and 1 only; otherwise a density.
    """

    negative_log: Callable[..., tf.Tensor]
    sample: Callable[[tf.Tensor, float | tf.Tensor, tf.Tensor], tf.Tensor]
    has_scale: bool
    is_discrete: bool


def _bernoulli_sample(mean, scale, key):
    return tf.cast(tf.random.stateless_uniform(tf.shape(mean), key, alg="philox") < mean, tf.float32)


def _gaussian_sample(mean, scale, key):
    return mean + scale * tf.random.stateless_normal(tf.shape(mean), key, alg="philox")


LIKELIHOODS = {
    "bernoulli": Likelihood(
        lambda images, *, output, from_logits, **_: bernoulli_negative_log_likelihood(
            images, output, from_logits=from_logits
        ),
        _bernoulli_sample,
        has_scale=False,
        is_discrete=True,
    ),
    "gaussian": Likelihood(
        lambda images, *, mean, scale, **_: gaussian_negative_log_likelihood(images, mean, scale),
        _gaussian_sample,
        has_scale=True,
        is_discrete=False,
    ),
}
"""Likelihoods of a `VAE` by name. To add one, add an entry."""
