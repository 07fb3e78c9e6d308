"""The generative adversarial network (Goodfellow et al. 2014, "Generative adversarial nets")."""

from __future__ import annotations

import math

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras

from keras_gen import losses
from keras_gen.models.adversarial import AdversarialModel
from keras_gen.models.settings import Setting
from keras_gen.utils import checks

MIN_LOSS = 1e-3
"""Minimum loss of a healthy discriminator, without penalties: the mean of real and generated images."""


@keras.saving.register_keras_serializable("keras_gen")
class GAN(AdversarialModel):
    """Generative adversarial network.

    A train step updates the discriminator on a batch of real images and the same number of generated ones,
    `discriminator_steps` times, then the generator. With the objective `non_saturating`:

    - d_loss_real = −log D(x), d_loss_fake = −log(1 − D(G(z))), d_loss = their mean;
    - g_loss = −log D(G(z));
    - jsd: an estimate of the Jensen-Shannon divergence, see `losses.jensen_shannon_estimate`;
    - d_real, d_fake: mean D on real and on generated images, in [0, 1].

    `saturating` has g_loss = log(1 − D(G(z))). `least_squares` has d_loss_real = (D(x) − 1)², d_loss_fake = D(G(z))²
    and g_loss = (D(G(z)) − 1)² for a linear D (Mao et al. 2017), `least_squares_sigmoid` the same for a D with a
    sigmoid. `hinge` has d_loss_real = max(0, 1 − D(x)), d_loss_fake = max(0, 1 + D(G(z))) and g_loss = −D(G(z)) for a
    linear D (Miyato et al. 2018). `relativistic` has d_loss = −log sigmoid(D(x) − D(G(z))) and g_loss with x and G(z)
    exchanged, for pairs of a real and a generated image (Huang et al. 2025, who add `R1` and `R2`), without the two
    separate losses. Only the first two have jsd. d_loss also includes the weighted `regularizers`.

    Args:
        generator: `keras.Model` from latents `(n, latent_dim)` to images or their logits.
        discriminator: `keras.Model` from images to one logit, `(n, 1)`. If both networks take one-hot labels as a
            second input, the model is conditional (Mirza & Osindero 2014).
        objective: str, a key of `losses.ADVERSARIAL_OBJECTIVES`. Defaults to `"non_saturating"`.
        discriminator_steps: int, discriminator updates per generator update, each on a batch of its own. Defaults to 1.
        generator_batch_ratio, regularizers, augment, moving_average, value_range, from_logits, seed: as in
            `AdversarialModel`.

    Raises:
        UsageError: the networks do not fit together, or another argument is out of range.

    Example:
        >>> generator = keras_gen.networks.transposed_conv_generator((28, 28, 1), latent_dim=100)
        >>> discriminator = keras_gen.networks.conv_discriminator((28, 28, 1))
        >>> gan = keras_gen.GAN(generator, discriminator)
        >>> gan.compile(keras.optimizers.Adam(1e-4, beta_1=0.5), keras.optimizers.Adam(1e-4, beta_1=0.5))
        >>> history = gan.fit(images, batch_size=128, epochs=5, verbose=0)
    """

    tracked_names = ("d_loss", "d_loss_real", "d_loss_fake", "g_loss", "d_real", "d_fake")

    objective = Setting()

    discriminator_steps = Setting()

    def __init__(self, generator, discriminator, *, objective="non_saturating", discriminator_steps=1, **kwargs):
        self.discriminator_steps = checks.positive_int("discriminator_steps", discriminator_steps)
        self.objective = checks.one_of("objective", objective, losses.ADVERSARIAL_OBJECTIVES)
        names, chosen = type(self).tracked_names, losses.ADVERSARIAL_OBJECTIVES[objective]
        if chosen.sees_real:
            names = tuple(name for name in names if name not in ("d_loss_real", "d_loss_fake"))
        self.tracked_names = (*names, "jsd") if chosen.is_cross_entropy else names
        super().__init__(generator, discriminator, **kwargs)

    @property
    def batches_per_step(self) -> int:
        """Batches of real images in one train step: `discriminator_steps`."""
        return self.discriminator_steps

    def discriminator_loss(self, real, fake, labels, noise_key, *, training):
        """Return the discriminator's loss and metrics; see the class."""
        real_output, fake_output = self.discriminate_both(real, fake, labels, training=training)
        objective = losses.ADVERSARIAL_OBJECTIVES[self.objective]
        values = objective.discriminator(real_output, fake_output)
        loss = values["d_loss"] if "d_loss" in values else 0.5 * (values["d_loss_real"] + values["d_loss_fake"])
        values |= {
            "d_real": objective.activation(real_output)[:, 0],
            "d_fake": objective.activation(fake_output)[:, 0],
        }
        if objective.is_cross_entropy:
            values["jsd"] = losses.jensen_shannon_estimate(loss)
        return loss, values

    def generator_loss(self, real, fake, labels, *, training):
        """Return the generator's loss and metrics; see the class."""
        objective = losses.ADVERSARIAL_OBJECTIVES[self.objective]
        seen = (fake, real) if objective.sees_real else (fake,)
        loss = objective.generator(*[self.discriminate(images, labels, training=training) for images in seen])
        return loss, {"g_loss": loss}

    def signs_of_collapse(self, logs: dict[str, float]) -> dict[str, str]:
        """Report a discriminator whose loss is below `MIN_LOSS`: the generator gets little information from it."""
        parts = [logs[name] for name in ("d_loss_real", "d_loss_fake") if name in logs]  # without penalties
        loss = sum(parts) / 2 if parts else logs.get("d_loss", math.inf)
        symptom = f"its loss is {loss:.2g}, it separates generated from real images with certainty"
        return {"the discriminator": symptom} if loss < MIN_LOSS else {}
