"""The generative adversarial network (Goodfellow et al. 2014, "Generative adversarial nets")."""

from __future__ import annotations

import math

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import tensorflow as tf

from keras_gen import checks, distribution, losses
from keras_gen.errors import UsageError, must_be
from keras_gen.models.base import GenerativeModel, check_network


@keras.saving.register_keras_serializable("keras_gen")
class GAN(GenerativeModel):
    """A generator and a discriminator with the non-saturating cross-entropy objective.

    A train step updates the discriminator on a batch of real images and as many generated ones, then the generator:

    - d_loss_real = −log D(x), d_loss_fake = −log(1 − D(G(z))), d_loss = their mean;
    - g_loss = −log D(G(z));
    - jsd = log 2 − d_loss, a lower bound of the Jensen-Shannon divergence of data and model in nats, in [0, log 2] for
      an optimal discriminator (Goodfellow et al. 2014, theorem 1), and negative for one worse than guessing;
    - d_real, d_fake: mean D on real and on generated images, in [0, 1].

    Variants override `discriminator_values` and `generator_values`; the steps stay.

    Args:
        generator: latents `(n, latent_dim)` to images, or their logits.
        discriminator: images to one logit, `(n, 1)`.
        generator_batch_ratio: latents of a generator update for every real image of a discriminator update.
        value_range: (0, 1) or (-1, 1).
        from_logits: whether the generator ends in logits (see `GenerativeModel`). The discriminator always does.
        seed: of the latents.

    Raises:
        UsageError: networks that do not fit together, or another argument out of its range.

    Example:
        >>> generator = keras_gen.networks.transposed_conv_generator((28, 28, 1), latent_dim=100)
        >>> discriminator = keras_gen.networks.conv_discriminator((28, 28, 1))
        >>> gan = keras_gen.GAN(generator, discriminator)
        >>> gan.compile(keras.optimizers.Adam(1e-4, beta_1=0.5), keras.optimizers.Adam(1e-4, beta_1=0.5))
        >>> history = gan.fit(images, batch_size=128, epochs=5, verbose=0)
    """

    tracked = ("d_loss", "d_loss_real", "d_loss_fake", "g_loss", "jsd", "d_real", "d_fake")
    discriminator_argument = "discriminator"

    def __init__(
        self,
        generator,
        discriminator,
        *,
        generator_batch_ratio=1,
        value_range=(0, 1),
        from_logits=True,
        seed=0,
        **kwargs,
    ):
        super().__init__(value_range=value_range, from_logits=from_logits, seed=seed, tracked=self.tracked, **kwargs)
        self.generator_batch_ratio = checks.positive_int("generator_batch_ratio", generator_batch_ratio)
        self.generator = check_network("generator", generator)
        self.discriminator = check_network(self.discriminator_argument, discriminator)
        if len(generator.input_shape) != 2 or len(generator.output_shape) != 4:
            raise must_be(
                "generator",
                "a model of latents (n, latent_dim) that ends in images (n, height, width, channels)",
                f"{generator.input_shape} to {generator.output_shape}",
            )
        if discriminator.input_shape != generator.output_shape or discriminator.output_shape != (None, 1):
            raise must_be(
                self.discriminator_argument,
                f"a model of images {generator.output_shape} that ends in (None, 1)",
                f"{discriminator.input_shape} to {discriminator.output_shape}",
            )
        self.built = True

    @property
    def decoder_network(self) -> keras.Model:
        """The generator."""
        return self.generator

    @property
    def generator_optimizer(self) -> keras.optimizers.Optimizer:
        """The generator's optimizer, which is also `optimizer`, what Keras' callbacks look at."""
        return self.optimizer

    @property
    def optimizers(self) -> tuple[keras.optimizers.Optimizer, ...]:
        """The generator's and the discriminator's optimizer."""
        return (self.optimizer, self.discriminator_optimizer)

    @property
    def updates(self) -> dict[str, int]:
        """Updates of discriminator and generator."""
        return {
            "d_updates": int(self.discriminator_optimizer.iterations.numpy()),
            "g_updates": int(self.optimizer.iterations.numpy()),
        }

    def compile(self, generator_optimizer="adam", discriminator_optimizer="adam", **options) -> None:
        """As `GenerativeModel.compile`, with an optimizer for each network (names or two different objects)."""
        if "optimizer" in options:
            raise UsageError("compile takes no optimizer here, but a generator_optimizer and a discriminator_optimizer")
        if generator_optimizer is discriminator_optimizer and not isinstance(generator_optimizer, str):
            raise UsageError(
                "discriminator_optimizer must be another object than generator_optimizer: each keeps state"
            )
        super().compile(optimizer=generator_optimizer, **options)
        self.discriminator_optimizer = keras.optimizers.get(discriminator_optimizer)
        self.optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    def get_compile_config(self) -> dict:
        """Arguments of `compile`."""
        config = super().get_compile_config()
        if not config:
            return config
        config["generator_optimizer"] = config.pop("optimizer")
        config["discriminator_optimizer"] = keras.saving.serialize_keras_object(self.discriminator_optimizer)
        return config

    # The objective, which variants override

    def discriminator_values(self, real, fake, noise_key, *, training: bool) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """What the discriminator minimises, `(n,)`, and the quantities to track, from real and generated images."""
        real_logits = self.discriminator(real, training=training)
        fake_logits = self.discriminator(fake, training=training)
        on_real, on_fake = losses.real_cross_entropy(real_logits), losses.fake_cross_entropy(fake_logits)
        loss = 0.5 * (on_real + on_fake)
        return loss, {
            "d_loss": loss,
            "d_loss_real": on_real,
            "d_loss_fake": on_fake,
            "jsd": math.log(2) - loss,
            "d_real": tf.sigmoid(real_logits[:, 0]),
            "d_fake": tf.sigmoid(fake_logits[:, 0]),
        }

    def generator_values(self, fake, *, training: bool) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """What the generator minimises, `(n,)`, and the quantities to track, from generated images."""
        loss = losses.non_saturating_generator_loss(self.discriminator(fake, training=training))
        return loss, {"g_loss": loss}

    def after_discriminator_update(self) -> None:
        """Hook for a constraint on the discriminator's weights."""

    # The steps

    def train_step(self, data):
        """`batches_per_step` updates of the discriminator, each on images of its own, then one of the generator."""
        images = self.images_from(data)
        key = self.training_key(self.optimizer.iterations.value)
        for index in range(self.batches_per_step):
            batch = self._batch_of_step(images, index)
            self._update_discriminator(batch, tf.random.fold_in(key, index))
        latents = tf.shape(batch)[0] * self.generator_batch_ratio
        self._update_generator(latents, tf.random.fold_in(key, self.batches_per_step))
        return self.tracked_results()

    def test_step(self, data):
        """The objectives of both networks on a batch, with the same latents in every evaluation."""
        images = self.images_from(data)
        latents_key, objective_key = tf.unstack(tf.random.split(self.next_evaluation_key(), 2))
        fake = self._generated(tf.shape(images)[0], latents_key, training=False)
        _, discriminator_values = self.discriminator_values(images, fake, objective_key, training=False)
        _, generator_values = self.generator_values(fake, training=False)
        self.track(discriminator_values | generator_values)
        return self.tracked_results()

    def call(self, latents, training=False):
        """Images in the model's range from latents `(n, latent_dim)`."""
        return self.images_of(self.generator(latents, training=training))

    def _batch_of_step(self, images, index):
        """Every `batches_per_step`-th image from `index` on; if there are fewer images than that, one of them.

        Striding (rather than cutting) gives N replicas together the same batches as one device.
        """
        if self.batches_per_step == 1:
            return images
        count = tf.shape(images)[0]
        return tf.gather(
            images, tf.range(index, tf.maximum(count, self.batches_per_step), self.batches_per_step) % count
        )

    def _generated(self, count, key, *, training):
        return self(distribution.normal((count, self.latent_dim), key), training=training)

    def _update_discriminator(self, real, key):
        latents_key, objective_key = tf.unstack(tf.random.split(key, 2))
        fake = self._generated(tf.shape(real)[0], latents_key, training=True)
        with tf.GradientTape() as tape:
            values, tracked = self.discriminator_values(real, fake, objective_key, training=True)
            loss = distribution.mean_over_global_batch(values)
        variables = self.discriminator.trainable_variables
        self.discriminator_optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.after_discriminator_update()
        self.track(tracked)

    def _update_generator(self, count, key):
        with tf.GradientTape() as tape:
            values, tracked = self.generator_values(self._generated(count, key, training=True), training=True)
            loss = distribution.mean_over_global_batch(values)
        variables = self.generator.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.track(tracked)

    def get_config(self) -> dict:
        """Constructor arguments."""
        return super().get_config() | {
            "generator": keras.saving.serialize_keras_object(self.generator),
            self.discriminator_argument: keras.saving.serialize_keras_object(self.discriminator),
            "generator_batch_ratio": self.generator_batch_ratio,
        }
