"""What GANs and Wasserstein GANs share: two networks, two optimizers, and the alternating train step."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import tensorflow as tf

from keras_gen import distribution
from keras_gen.distribution import sharding
from keras_gen.models import network_checks
from keras_gen.models.generative import GenerativeModel
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be


class AdversarialModel(GenerativeModel):
    """A generator and a discriminator (or critic) that train against each other.

    Subclasses write the objective: `discriminator_loss` and `generator_loss`. The steps stay.

    Args:
        generator: latents `(n, latent_dim)` to images, or their logits.
        discriminator: images to one logit (score), `(n, 1)`. If both networks take one-hot labels as a second input,
            the model is conditional.
        generator_batch_ratio: latents of a generator update for every real image of a discriminator update.
        moving_average: decay m of a moving average of the generator's weights that sampling uses in their place; 0 for
            none. After update t the average moves by the fraction 1 − min(m, (1 + t) / (10 + t)), so that the first
            updates leave no trace in it.
        value_range: (0, 1) or (-1, 1).
        from_logits: whether the generator ends in logits (see `ImageModel`). The discriminator always does.
        seed: of the latents.

    Raises:
        UsageError: networks that do not fit together, or another argument out of its range.
    """

    metric_names: tuple[str, ...]
    """Names of the quantities that the objective gives."""

    discriminator_argument = "discriminator"

    def __init__(
        self,
        generator,
        discriminator,
        *,
        generator_batch_ratio=1,
        moving_average=0.0,
        value_range=(0, 1),
        from_logits=True,
        seed=0,
        **kwargs,
    ):
        super().__init__(
            value_range=value_range, from_logits=from_logits, seed=seed, metric_names=self.metric_names, **kwargs
        )
        self.generator_batch_ratio = checks.positive_int("generator_batch_ratio", generator_batch_ratio)
        self.moving_average = checks.fraction("moving_average", moving_average)
        self.generator = network_checks.check_network("generator", generator)
        self.discriminator = network_checks.check_network(self.discriminator_argument, discriminator)
        _check_pair(generator, self.discriminator_argument, discriminator)
        self.generator_average = _frozen_copy(generator) if self.moving_average else None
        self.built = True

    @property
    def decoder_network(self) -> keras.Model:
        """The generator, or the moving average of it."""
        return self.generator if self.generator_average is None else self.generator_average

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
        """As `ImageModel.compile`, with an optimizer for each network (names or two different objects)."""
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

    # The objective, which subclasses write

    def discriminator_loss(
        self, real, fake, labels, noise_key, *, training: bool
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """What the discriminator minimizes, `(n,)`, and the quantities to track, from real and generated images.

        Both have the same `labels` if the model is conditional; else these are None.
        """
        raise NotImplementedError

    def generator_loss(self, fake, labels, *, training: bool) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """What the generator minimizes, `(n,)`, and the quantities to track, from generated images."""
        raise NotImplementedError

    def discriminate(self, images, labels, *, training: bool) -> tf.Tensor:
        """The discriminator's logits, or the critic's scores, `(n, 1)`."""
        return self.call_network(self.discriminator, images, labels, training=training)

    def after_discriminator_update(self) -> None:
        """Hook for a constraint on the discriminator's weights."""

    # The steps

    def train_step(self, data):
        """`batches_per_step` updates of the discriminator, each on images of its own, then one of the generator."""
        with self.unpack_batch(data) as examples:
            key = self.training_key(self.optimizer.iterations.value)
            for index in range(self.batches_per_step):
                batch = self._batch_of_step(examples, index)
                with self._share_of_step(index):
                    self._update_discriminator(*batch, tf.random.fold_in(key, index))
            images, labels = batch
            ratio = self.generator_batch_ratio
            if labels is not None:
                labels = tf.repeat(labels, ratio)
            with self._share_of_step(index, ratio):
                key = tf.random.fold_in(key, self.batches_per_step)
                self._update_generator(tf.shape(images)[0] * ratio, labels, key)
        return self.metric_results()

    def test_step(self, data):
        """The objectives of both networks on a batch, with the same latents in every evaluation."""
        with self.unpack_batch(data) as (images, labels):
            latents_key, objective_key = tf.unstack(tf.random.split(self.next_evaluation_key(), 2))
            fake = self._generated(tf.shape(images)[0], labels, latents_key, training=False)
            _, discriminator_loss = self.discriminator_loss(images, fake, labels, objective_key, training=False)
            _, generator_loss = self.generator_loss(fake, labels, training=False)
            self.track(discriminator_loss | generator_loss)
        return self.metric_results()

    def call(self, latents, labels=None, training=False):
        """Images in the model's range from latents `(n, latent_dim)` and, if conditional, labels `(n,)`."""
        return self.to_images(self.call_network(self.generator, latents, labels, training=training))

    def _batch_of_step(self, examples, index):
        """Every `batches_per_step`-th example from `index` on; if there are fewer than that, one of them.

        Striding (rather than cutting) gives N replicas together the same batches as one device.
        """
        if self.batches_per_step == 1:
            return examples
        count = tf.shape(examples[0])[0]
        chosen = tf.range(index, tf.maximum(count, self.batches_per_step), self.batches_per_step) % count
        return tuple(None if part is None else tf.gather(part, chosen) for part in examples)

    def _share_of_step(self, index, ratio=1):
        """The share in use becomes that of `_batch_of_step`, with `ratio` examples for each."""
        share = sharding.current_shard()
        return sharding.use_shard(share and share.strided(index, self.batches_per_step).times(ratio))

    def _generated(self, count, labels, key, *, training):
        return self(distribution.normal((count, self.latent_dim), key), labels, training=training)

    def _update_discriminator(self, real, labels, key):
        latents_key, objective_key = tf.unstack(tf.random.split(key, 2))
        fake = self._generated(tf.shape(real)[0], labels, latents_key, training=True)
        with tf.GradientTape() as tape:
            values, metric_names = self.discriminator_loss(real, fake, labels, objective_key, training=True)
            loss = distribution.scaled_loss(values)
        variables = self.discriminator.trainable_variables
        self.discriminator_optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.after_discriminator_update()
        self.track(metric_names)

    def _update_generator(self, count, labels, key):
        with tf.GradientTape() as tape:
            fake = self._generated(count, labels, key, training=True)
            values, metric_names = self.generator_loss(fake, labels, training=True)
            loss = distribution.scaled_loss(values)
        variables = self.generator.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self._update_average()
        self.track(metric_names)

    def _update_average(self):
        if self.generator_average is None:
            return
        updates = tf.cast(self.optimizer.iterations.value, tf.float32)
        decay = tf.minimum(self.moving_average, (1.0 + updates) / (10.0 + updates))
        # All weights, the moving statistics of batch normalization among them.
        for average, weight in zip(self.generator_average.weights, self.generator.weights, strict=True):
            average.assign(decay * average.value + (1.0 - decay) * weight.value)

    def get_config(self) -> dict:
        """Constructor arguments."""
        return super().get_config() | {
            "generator": keras.saving.serialize_keras_object(self.generator),
            self.discriminator_argument: keras.saving.serialize_keras_object(self.discriminator),
            "generator_batch_ratio": self.generator_batch_ratio,
            "moving_average": self.moving_average,
        }


def _check_pair(generator, discriminator_argument, discriminator):
    network_checks.check_makes_images("generator", generator)
    shapes = network_checks.main_input_shape(discriminator), discriminator.output_shape
    if shapes != (generator.output_shape, (None, 1)):
        raise must_be(
            discriminator_argument,
            f"a model of images {generator.output_shape} that ends in (None, 1)",
            f"{shapes[0]} to {shapes[1]}",
        )
    network_checks.check_same_classes(discriminator_argument, discriminator, "generator", generator)


def _frozen_copy(network):
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    copy.trainable = False
    copy.name = f"{network.name}_average"
    return copy
