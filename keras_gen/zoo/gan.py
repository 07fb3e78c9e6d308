"""Generative adversarial networks and Wasserstein GANs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_gen.zoo.registry import recipe

if TYPE_CHECKING:
    from keras_gen.models import GAN, WGAN


@recipe(
    "gan-conv",
    aliases=("gan",),
    report="R1 §3",
    dataset="mnist",
    epochs=100,
    batch_size=128,
    weights=1_204_994,
    fid_every=10,
)
def gan_conv(
    image_shape,
    *,
    latent_dim: int = 100,
    dropout: float = 0.4,
    slope: float = 0.2,
    learning_rate: float = 1e-4,
    beta_1: float = 0.5,
) -> GAN:
    """GAN: convolutional discriminator and generator, non-saturating cross-entropy.

    From the report: both networks layer by layer (40,705 and 1,164,289 parameters), a discriminator batch of 128 real
    and 128 generated images (`batch_size` counts the real ones), a generator batch of 256 latents, Adam with learning
    rate 1e-4 for the discriminator, 100 epochs, FID every 10.

    Ours: the same learning rate for the generator, β₁ 0.5, LeakyReLU slope 0.2, dropout rate 0.4, images in [0, 1]
    from a sigmoid.
    """
    import keras_gen.backend  # noqa: F401
    import keras

    from keras_gen import checks, networks
    from keras_gen.models import GAN

    def adam():
        return keras.optimizers.Adam(checks.positive("learning_rate", learning_rate), checks.fraction("beta_1", beta_1))

    generator = networks.transposed_conv_generator(image_shape, latent_dim=latent_dim, slope=slope)
    discriminator = networks.conv_discriminator(image_shape, dropout=dropout, slope=slope)
    model = GAN(generator, discriminator, generator_batch_ratio=2)
    model.compile(adam(), adam())
    return model


WGAN_CONSTRAINTS = ("gradient_penalty", "weight_clipping", "none")


@recipe(
    "wgan-conv",
    aliases=("wgan",),
    report="R1 §3.4",
    dataset="mnist",
    epochs=100,
    batch_size=64,
    weights=1_204_994,
    fid_every=10,
)
def wgan_conv(
    image_shape,
    *,
    constraint: str = "gradient_penalty",
    latent_dim: int = 100,
    critic_steps: int = 5,
    dropout: float = 0.0,
    slope: float = 0.2,
    learning_rate: float | None = None,
) -> WGAN:
    """WGAN: the networks of gan-conv with a linear critic, gradient penalty or weight clipping.

    From the report: the networks, the Wasserstein loss, Adam and RMSprop. It got nothing sensible, and names neither a
    constraint on the critic nor the number of critic updates.

    Ours, so that it makes digits: 5 critic updates a generator update, batch 64, no dropout in the critic (a random
    critic has no one slope to bound), images in [0, 1] from a sigmoid, and a `constraint` on the critic:

    - gradient_penalty (Gulrajani et al. 2017): weight 10, Adam with β₂ 0.9. Learning rate 5e-4 and β₁ 0.5 were chosen
      by looking: with the paper's 1e-4 and 0 the grid after 1,000 generator updates is where this is after 350.
    - weight_clipping (Arjovsky et al. 2017): at 0.01, RMSprop with learning rate 5e-5.
    - none: to see what a constraint is for; optimizers as with the penalty.

    `learning_rate` None is the constraint's own.
    """
    import keras_gen.backend  # noqa: F401
    import keras

    from keras_gen import checks, networks
    from keras_gen.models import WGAN

    clipping = checks.one_of("constraint", constraint, WGAN_CONSTRAINTS) == "weight_clipping"
    if learning_rate is None:
        learning_rate = 5e-5 if clipping else 5e-4
    checks.positive("learning_rate", learning_rate)

    def optimizer():
        if clipping:
            return keras.optimizers.RMSprop(learning_rate)
        return keras.optimizers.Adam(learning_rate, beta_1=0.5, beta_2=0.9)

    model = WGAN(
        networks.transposed_conv_generator(image_shape, latent_dim=latent_dim, slope=slope),
        networks.conv_discriminator(image_shape, dropout=dropout, slope=slope),
        critic_steps=critic_steps,
        gradient_penalty=10.0 if constraint == "gradient_penalty" else 0.0,
        weight_clip=0.01 if clipping else 0.0,
    )
    model.compile(optimizer(), optimizer())
    return model
