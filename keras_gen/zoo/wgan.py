"""Recipes of Wasserstein GANs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_gen.zoo import common
from keras_gen.zoo.registry import recipe

if TYPE_CHECKING:
    from keras_gen.models import WGAN


@recipe(
    "wgan-conv",
    aliases=("wgan",),
    source="R1 §3.4",
    dataset="mnist",
    epochs=100,
    batch_size=64,
    weights=1_204_994,
    options=common.ADVERSARIAL_OPTIONS,
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
    num_classes,
    **options,
) -> WGAN:
    """WGAN: the networks of gan-conv with a linear critic, gradient penalty or weight clipping.

    From the report: the networks, the Wasserstein loss, Adam and RMSprop. The report got no usable images; it names
    neither a constraint on the critic nor the number of critic updates.

    Ours, chosen so that it learns digits: 5 critic updates per generator update, batch size 64, no dropout in the
    critic (a random critic has no single slope to bound), images in [0, 1] from a sigmoid, and a `constraint` on the
    critic:

    - gradient_penalty (Gulrajani et al. 2017): weight 10, Adam with β₂ 0.9. Learning rate 5e-4 and β₁ 0.5 were chosen
      by inspecting samples: the paper's 1e-4 and 0 need 1,000 generator updates for what these reach after 350.
    - weight_clipping (Arjovsky et al. 2017): at 0.01, RMSprop with learning rate 5e-5.
    - none: shows the effect of a missing constraint; optimizers as with the penalty.

    `learning_rate` None selects the constraint's own.

    Measured (wgan-conv): saved_models/wgan-conv/README.md.
    """
    from keras_gen.models import WGAN

    if learning_rate is None:
        learning_rate = 5e-5 if constraint == "weight_clipping" else 5e-4
    optimizers = common.critic_optimizers(constraint, learning_rate)
    model = WGAN(
        *common.conv_gan_networks(
            image_shape, latent_dim=latent_dim, dropout=dropout, slope=slope, num_classes=num_classes
        ),
        critic_steps=critic_steps,
        **common.critic_constraint(constraint),
        **options,
    )
    model.compile(*optimizers)
    return model


@recipe(
    "wgan-deep",
    source="R3",
    dataset="mnist",
    epochs=20,
    batch_size=64,
    weights=2_770_498,
    options=common.ADVERSARIAL_OPTIONS,
)
def wgan_deep(
    image_shape,
    *,
    depth: int = 5,
    constraint: str = "gradient_penalty",
    latent_dim: int = 100,
    width: int = 32,
    critic_steps: int = 5,
    learning_rate: float = 3e-4,
    num_classes,
    **options,
) -> WGAN:
    """WGAN: the networks of lsgan-conv with a linear critic, gradient penalty or weight clipping.

    From the report: lsgan-conv's networks, the critic without the sigmoid; the critic's loss mean(fake) − mean(real),
    the generator's −mean(fake). The report names no constraint on the critic.

    Ours: 5 critic updates per generator update, batch size 64, lsgan-conv's learning rate, and a `constraint`:

    - gradient_penalty (Gulrajani et al. 2017): weight 10, Adam with β₁ 0.5 and β₂ 0.9. The batch normalization of the
      report's critic is removed, since the penalty is per image.
    - weight_clipping (Arjovsky et al. 2017): at 0.01, RMSprop. The batch normalization stays, and the images show few
      shapes: emd was 3.5 from generator update 344 to 1,032, and the grid had a few figures like 3, 7 and 9.
    - none: shows the effect of a missing constraint; optimizers as with the penalty.

    The rest is as in lsgan-conv.

    Measured (wgan-deep): saved_models/wgan-deep/README.md.
    """
    from keras_gen.models import WGAN

    optimizers = common.critic_optimizers(constraint, learning_rate)
    model = WGAN(
        *common.deep_conv_gan_networks(
            image_shape,
            depth=depth,
            latent_dim=latent_dim,
            width=width,
            normalization="none" if constraint == "gradient_penalty" else "batch",
            num_classes=num_classes,
        ),
        critic_steps=critic_steps,
        value_range=(-1, 1),
        **common.critic_constraint(constraint),
        **options,
    )
    model.compile(*optimizers)
    return model


@recipe(
    "wgan-gp-cifar10",
    source="R5 §2.5",
    dataset="cifar10",
    epochs=100,
    batch_size=64,
    weights=3_345_540,
    defaults={"latent_dim": 512},
    options=common.ADVERSARIAL_OPTIONS,
)
@recipe(
    "wgan-gp",
    source="R5 §2.5",
    dataset="mnist",
    epochs=100,
    batch_size=64,
    weights=1_502_210,
    options=common.ADVERSARIAL_OPTIONS,
)
def wgan_gp(
    image_shape,
    *,
    latent_dim: int = 64,
    width: int = 64,
    critic_steps: int = 5,
    gradient_penalty: float = 10.0,
    learning_rate: float = 5e-5,
    num_classes,
    **options,
) -> WGAN:
    """WGAN with gradient penalty that reports its estimate of the earth mover's distance: the networks of gan-jsd.

    From the report: gan-jsd's networks, the critic without the sigmoid; the earth mover's distance with a gradient
    penalty at interpolates; sizes, epochs and batch size as in gan-jsd, learning rate 5e-5. The report's critic has
    batch normalization, with which the penalty is no longer per image.

    Ours: layer normalization instead, uniform interpolation and penalty weight 10 (Gulrajani et al. 2017; the
    report's is cut off), 5 critic updates, Adam with β₁ 0.5 and β₂ 0.9.

    Measured (wgan-gp): saved_models/wgan-gp/README.md.

    Measured (wgan-gp-cifar10): saved_models/wgan-gp-cifar10/README.md.
    """
    from keras_gen.models import WGAN

    model = WGAN(
        *common.gan_jsd_networks(
            image_shape, latent_dim=latent_dim, width=width, normalization="layer", num_classes=num_classes
        ),
        critic_steps=critic_steps,
        gradient_penalty=gradient_penalty,
        value_range=(-1, 1),
        **options,
    )
    model.compile(*common.adam_pair(learning_rate, 0.5, 0.9))
    return model
