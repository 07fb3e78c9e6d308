"""Building blocks shared by recipes: optimizers, constraints and networks. Keras is imported when they are called."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from keras_gen.utils import checks

if TYPE_CHECKING:
    import keras

    from keras_gen.optimizers import Adam, RMSprop

SQUARED_ERROR_SCALE = math.sqrt(0.5)
"""Standard deviation with which −log N is the summed squared error plus a constant."""

VAE_OPTIONS = {"num_classes": 0, "beta": 1.0, "free_bits": 0.0, "importance_samples": 1, "kl_warmup": 0}
GAUSSIAN_OPTIONS = {**VAE_OPTIONS, "scale": SQUARED_ERROR_SCALE, "learn_scale": False}
ADVERSARIAL_OPTIONS = {"num_classes": 0, "moving_average": 0.0, "augment": "", "regularizers": ""}
"""Hyperparameters that the recipes of a family share, with their defaults; see `keras_gen.VAE` and `keras_gen.GAN`."""

CONSTRAINTS = ("gradient_penalty", "weight_clipping", "none")
"""Constraints that bound the slope of a critic."""

MAX_DEPTH = 5

SHORT_STEPS = 32
"""Train steps per call of TensorFlow for models whose step takes less than a millisecond, about as long as the call."""


def adam(learning_rate: float, beta_1: float = 0.9, beta_2: float = 0.999) -> Adam:
    """Return the package's Adam after checking the arguments."""
    from keras_gen.optimizers import Adam

    learning_rate = checks.positive("learning_rate", learning_rate)
    beta_1, beta_2 = checks.fraction("beta_1", beta_1), checks.fraction("beta_2", beta_2)
    return Adam(learning_rate, beta_1=beta_1, beta_2=beta_2)


def adam_pair(learning_rate: float, beta_1: float = 0.9, beta_2: float = 0.999) -> list[Adam]:
    """Return two optimizers as `adam` makes them: the generator's and the discriminator's."""
    return [adam(learning_rate, beta_1, beta_2) for _ in range(2)]


def rmsprop(learning_rate: float) -> RMSprop:
    """Return the package's RMSprop after checking the argument."""
    from keras_gen.optimizers import RMSprop

    return RMSprop(checks.positive("learning_rate", learning_rate))


def critic_optimizers(constraint: str, learning_rate: float) -> list[Adam] | list[RMSprop]:
    """Return the generator's and the critic's optimizers for a constraint on the critic, one of `CONSTRAINTS`.

    With weight clipping both are RMSprop, as in Arjovsky et al. 2017, who advise against momentum; otherwise both are
    Adam with β₁ 0.5 and β₂ 0.9.
    """
    if checks.one_of("constraint", constraint, CONSTRAINTS) == "weight_clipping":
        return [rmsprop(learning_rate) for _ in range(2)]
    return adam_pair(learning_rate, 0.5, 0.9)


def critic_constraint(constraint: str) -> dict[str, float]:
    """Return the constraint as arguments of `WGAN`: a penalty of weight 10, clipping at 0.01, or neither."""
    return {
        "gradient_penalty": 10.0 if constraint == "gradient_penalty" else 0.0,
        "weight_clip": 0.01 if constraint == "weight_clipping" else 0.0,
    }


def doubling_filters(depth: int, first: int = 32, largest: int = 128) -> tuple[int, ...]:
    """Return the filters of `depth` convolutions (1 to 5), image side first: doubled from `first` up to `largest`."""
    return tuple(min(first * 2**level, largest) for level in range(checks.integer("depth", depth, 1, MAX_DEPTH)))


def conv_vae_networks(image_shape, *, latent_dim, filters, hidden, num_classes) -> tuple[keras.Model, keras.Model]:
    """Return an encoder and a decoder of strided convolutions; `filters` starts at the image side."""
    from keras_gen import networks

    sizes = {"latent_dim": latent_dim, "num_classes": num_classes}
    return (
        networks.conv_encoder(image_shape, filters=filters, hidden=hidden, **sizes),
        networks.conv_decoder(image_shape, filters=filters[::-1], **sizes),
    )


def conv_gan_networks(image_shape, *, latent_dim, dropout, slope, num_classes) -> tuple[keras.Model, keras.Model]:
    """Return the generator and discriminator of report R1, used by gan-conv and wgan-conv."""
    from keras_gen import networks

    return (
        networks.transposed_conv_generator(image_shape, latent_dim=latent_dim, slope=slope, num_classes=num_classes),
        networks.conv_discriminator(image_shape, dropout=dropout, slope=slope, num_classes=num_classes),
    )


def deep_conv_gan_networks(
    image_shape, *, depth, latent_dim, width, num_classes, normalization="batch"
) -> tuple[keras.Model, keras.Model]:
    """Return the generator and discriminator of report R3 with depth 1 to 5, used by lsgan-conv and wgan-deep."""
    from keras_gen import networks

    filters = doubling_filters(depth, first=checks.positive_int("width", width), largest=4 * width)
    return (
        networks.deep_conv_generator(
            image_shape, latent_dim=latent_dim, filters=filters[::-1], num_classes=num_classes
        ),
        networks.deep_conv_discriminator(
            image_shape,
            filters=(*filters, filters[-1]),
            normalized=(False, *[True] * (depth - 1), False),
            normalization=normalization,
            num_classes=num_classes,
        ),
    )


def gan_jsd_networks(
    image_shape, *, latent_dim, width, num_classes, normalization="batch"
) -> tuple[keras.Model, keras.Model]:
    """Return the generator and discriminator of report R5, used by gan-jsd and wgan-gp."""
    from keras_gen import networks

    width = checks.positive_int("width", width)
    return (
        networks.deep_conv_generator(
            image_shape, latent_dim=latent_dim, filters=(4 * width, 2 * width, width), num_classes=num_classes
        ),
        networks.deep_conv_discriminator(
            image_shape, filters=(width, 2 * width), normalization=normalization, num_classes=num_classes
        ),
    )
