"""The Wasserstein GAN (Arjovsky et al. 2017), with gradient penalty (Gulrajani et al. 2017) or weight clipping."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import tensorflow as tf

from keras_gen import losses
from keras_gen.models.adversarial import AdversarialModel
from keras_gen.models.regularizers import GradientPenalty, Regularizer
from keras_gen.models.settings import Setting
from keras_gen.utils import checks


@keras.saving.register_keras_serializable("keras_gen")
class WGAN(AdversarialModel):
    """Wasserstein GAN, with a linear critic.

    A train step updates the critic `critic_steps` times, each on a new batch, then the generator once:

    - emd = mean critic(x) − mean critic(G(z)): the earth mover's distance W₁ as the critic estimates it, see
      `losses.wasserstein_estimate`;
    - gradient_penalty = (‖∇ critic(x̂)‖₂ − 1)² at random interpolates x̂, before its weight;
    - critic_loss = −emd + λ · gradient_penalty;
    - g_loss = −mean critic(G(z)).

    Args:
        generator: `keras.Model` from latents `(n, latent_dim)` to images or their logits.
        critic: `keras.Model` from images to one score, `(n, 1)`, without a final activation, and without batch
            normalization if there is a gradient penalty, which is per image. Labels as in `GAN`.
        critic_steps: int, critic updates per generator update. Defaults to 5.
        gradient_penalty: float, weight λ of the gradient penalty; 0 for none. A shorthand for a `GradientPenalty` among
            the `regularizers`. Defaults to 10.
        weight_clip: float, bound to which the critic's weights are clipped after every update, [−weight_clip,
            weight_clip]; 0, the default, for no clipping. If this and `gradient_penalty` are both 0, the critic's slope
            is unbounded and the generator learns noise.
        regularizers: as in `AdversarialModel`, further ones. Defaults to none.
        generator_batch_ratio, augment, moving_average, value_range, from_logits, seed: as in `AdversarialModel`.

    Raises:
        UsageError: the networks do not fit together, or another argument is out of range.

    Example:
        >>> generator = keras_gen.networks.transposed_conv_generator((28, 28, 1), latent_dim=100)
        >>> wgan = keras_gen.WGAN(generator, keras_gen.networks.conv_discriminator((28, 28, 1), dropout=0.0))
        >>> wgan.compile(keras.optimizers.Adam(1e-4, 0.0, 0.9), keras.optimizers.Adam(1e-4, 0.0, 0.9))
        >>> history = wgan.fit(images, batch_size=64, epochs=5, verbose=0)
    """

    tracked_names = ("critic_loss", "emd", "g_loss")
    discriminator_argument, update_names = "critic", ("critic_updates", "g_updates")
    loss_name = "critic_loss"

    critic_steps, gradient_penalty, weight_clip = Setting(), Setting(), Setting(checks.non_negative)

    def __init__(self, generator, critic, *, critic_steps=5, gradient_penalty=10.0, weight_clip=0.0, **kwargs):
        self.critic_steps = checks.positive_int("critic_steps", critic_steps)
        self.gradient_penalty = checks.non_negative("gradient_penalty", gradient_penalty)
        self.weight_clip = weight_clip
        super().__init__(generator, critic, **kwargs)

    @property
    def penalties(self) -> tuple[Regularizer, ...]:
        """All penalties of the critic: the gradient penalty, then `regularizers`."""
        first = (GradientPenalty(self.gradient_penalty),) if self.gradient_penalty else ()
        return (*first, *self.regularizers)

    @property
    def critic(self) -> keras.Model:
        """The critic, also available as `discriminator`."""
        return self.discriminator

    @property
    def batches_per_step(self) -> int:
        """Batches of real images in one train step: `critic_steps`."""
        return self.critic_steps

    def discriminator_loss(self, real, fake, labels, noise_key, *, training):
        """Return the critic's loss and metrics; see the class."""
        real_scores, fake_scores = self.discriminate_both(real, fake, labels, training=training)
        emd = losses.wasserstein_estimate(real_scores, fake_scores)
        return -emd, {"emd": emd}

    def generator_loss(self, real, fake, labels, *, training):
        """Return the generator's loss and metrics; see the class."""
        loss = -self.discriminate(fake, labels, training=training)[:, 0]
        return loss, {"g_loss": loss}

    def after_discriminator_update(self):
        """Clip the critic's weights to `weight_clip`."""
        if self.weight_clip > 0:
            for variable in self.critic.trainable_variables:
                variable.assign(tf.clip_by_value(variable.value, -self.weight_clip, self.weight_clip))
