"""The base class of GANs and Wasserstein GANs: two networks, two optimizers, alternating updates."""

from __future__ import annotations

import functools

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import tensorflow as tf

from keras_gen import distribution
from keras_gen.distribution import sharding
from keras_gen.models import augmentation, network_checks, updates
from keras_gen.models.generative import GenerativeModel
from keras_gen.models.regularizers import Regularizer
from keras_gen.models.regularizers import check as check_regularizers
from keras_gen.models.settings import Setting
from keras_gen.utils import checks, keras_internals
from keras_gen.utils.errors import UsageError, must_be


AUGMENTATION, NOISE = 2**30, 2**30 + 1
"""Numbers by which the random keys of augmentation and of the objective's noise differ from those of regularizers."""


class AdversarialModel(GenerativeModel):
    """Base class of models with a generator and a discriminator (or critic).

    Subclasses implement the objective: `discriminator_loss` and `generator_loss`. Each network's update also minimizes
    the losses of its layers (regularizers of weights, `add_loss`), which the reported quantities do not include.

    Args:
        generator: `keras.Model` from latents `(n, latent_dim)` to images or their logits.
        discriminator: `keras.Model` from images to one logit (score), `(n, 1)`. If both networks take one-hot labels as
            a second input, the model is conditional.
        generator_batch_ratio: int, latents of a generator update per real image of a discriminator update. Defaults
            to 1.
        regularizers: list of `keras_gen.models.regularizers.Regularizer`, or text such as `"r1:0.5,r2:0.5"`: penalties
            that are added to the discriminator's loss, on images as it sees them; each is tracked under its name,
            before its weight. Defaults to none.
        augment: str, how the discriminator's images, real and generated, are augmented in training; names of
            `augmentation.POLICIES` such as `"color,translation"`. Defaults to `""`, not at all.
        moving_average: float, decay m of a moving average of the generator's weights, which sampling then uses. After
            update t the average moves by the fraction 1 − min(m, (1 + t) / (10 + t)), so that it forgets the first
            updates. Defaults to 0, no average.
        value_range: tuple, (0, 1) or (-1, 1). Defaults to (0, 1).
        from_logits: bool, whether the generator returns logits (see `ImageModel`). The discriminator always does.
            Defaults to `True`.
        seed: int, seed of the latents. Defaults to 0.

    Raises:
        UsageError: the networks do not fit together, or another argument is out of range.
    """

    tracked_names: tuple[str, ...]
    """Names of the quantities that the objective reports."""

    discriminator_argument, update_names = "discriminator", ("d_updates", "g_updates")

    generator, discriminator, moving_average = Setting(), Setting(), Setting()
    generator_batch_ratio = Setting(checks.positive_int)
    regularizers, augment = Setting(), Setting(augmentation.check)

    loss_name = "d_loss"
    """Name of the discriminator's loss among the quantities of `discriminator_loss`."""

    def __init__(
        self,
        generator,
        discriminator,
        *,
        generator_batch_ratio=1,
        regularizers=(),
        augment="",
        moving_average=0.0,
        value_range=(0, 1),
        from_logits=True,
        seed=0,
        **kwargs,
    ):
        self.regularizers, self.augment = check_regularizers("regularizers", regularizers), augment
        penalties = check_regularizers("regularizers", self.penalties)
        tracked_names = (*self.tracked_names, *(entry.name for entry in penalties))
        super().__init__(
            value_range=value_range, from_logits=from_logits, seed=seed, tracked_names=tracked_names, **kwargs
        )
        self.generator_batch_ratio = generator_batch_ratio
        self.moving_average = checks.fraction("moving_average", moving_average)
        self.generator = network_checks.check_network("generator", generator)
        self.discriminator = network_checks.check_network(self.discriminator_argument, discriminator)
        network_checks.check_makes_images("generator", generator)
        shapes = network_checks.main_input_shape(discriminator), discriminator.output_shape
        if shapes != (generator.output_shape, (None, 1)):
            requirement = f"a model of images {generator.output_shape} that ends in (None, 1)"
            raise must_be(self.discriminator_argument, requirement, f"{shapes[0]} to {shapes[1]}")
        network_checks.check_same_classes(self.discriminator_argument, discriminator, "generator", generator)
        network_checks.check_image_range("generator", generator, self.from_logits, self.value_range)
        network_checks.check_logits(self.discriminator_argument, discriminator)
        is_overridden = type(self).discriminate is not AdversarialModel.discriminate
        self._joins_calls = network_checks.is_per_image(discriminator) and not is_overridden
        _check_per_image(self.discriminator_argument, discriminator, penalties)
        if self.moving_average and (coarse := {w.dtype for w in generator.weights} & {"bfloat16", "float16"}):
            requirement = "0 unless the generator's weights are float32, as with a policy mixed_bfloat16"
            raise must_be("moving_average", requirement, f"{self.moving_average} with {coarse.pop()}")
        self.generator_average = _frozen_copy(generator) if self.moving_average else None
        self.built = True

    @property
    def decoder_network(self) -> keras.Model:
        """The generator, or its moving average."""
        return self.generator if self.generator_average is None else self.generator_average

    @property
    def penalties(self) -> tuple[Regularizer, ...]:
        """All penalties of the discriminator: `regularizers`, and those of a subclass."""
        return self.regularizers

    @property
    def generator_optimizer(self) -> keras.optimizers.Optimizer:
        """The generator's optimizer; also `optimizer`, which Keras' callbacks use."""
        return self.optimizer

    @property
    def optimizers(self) -> tuple[keras.optimizers.Optimizer, ...]:
        """The optimizers of generator and discriminator."""
        return (self.optimizer, self.discriminator_optimizer)

    @property
    def updates_per_step(self) -> tuple[int, ...]:
        """Updates of the generator and of the discriminator in a train step."""
        return (1, self.batches_per_step)

    def trained_networks(self) -> tuple[keras.Model, ...]:
        """Return generator and discriminator."""
        return (self.generator, self.discriminator)

    def compile(
        self, generator_optimizer="adam", discriminator_optimizer="adam", *further, auto_scale_loss=True, **options
    ) -> None:
        """Configure the model for training, with an optimizer for each network.

        Args:
            generator_optimizer, discriminator_optimizer: str or `keras.optimizers.Optimizer`, two different objects.
                Default to `"adam"`.
            auto_scale_loss, **options: as in `ImageModel.compile`.
        """
        if "optimizer" in options:
            raise UsageError("compile takes generator_optimizer and discriminator_optimizer instead of optimizer")
        optimizers = {"generator_optimizer": generator_optimizer, "discriminator_optimizer": discriminator_optimizer}
        for name, optimizer in optimizers.items():
            if optimizer is None:
                raise must_be(name, "a Keras optimizer or its name", None)
        if generator_optimizer is discriminator_optimizer and not isinstance(generator_optimizer, str):
            raise UsageError("discriminator_optimizer must be a different object than generator_optimizer")
        if hasattr(generator_optimizer, "optimizers") or hasattr(discriminator_optimizer, "optimizers"):
            raise UsageError("generator_optimizer and discriminator_optimizer must not be a MultiOptimizer")
        super().compile(generator_optimizer, *further, auto_scale_loss=auto_scale_loss, **options)
        optimizer = updates.with_loss_scaling(discriminator_optimizer, self.discriminator, auto_scale_loss)
        self.discriminator_optimizer = keras.optimizers.get(optimizer)
        if not self.discriminator_optimizer.built:
            self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    def get_compile_config(self) -> dict:
        """Return the arguments of `compile`."""
        config = super().get_compile_config()
        if config:
            config["generator_optimizer"] = config.pop("optimizer")
            config["discriminator_optimizer"] = keras.saving.serialize_keras_object(self.discriminator_optimizer)
        return config

    # The objective, which subclasses implement

    def discriminator_loss(
        self, real, fake, labels, noise_key, *, training: bool
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Return the discriminator's loss `(n,)` and the quantities to track, without `regularizers`.

        Args:
            real, fake: real and generated images, of the same labels, augmented if the model augments.
            labels: integers `(n,)`, or None for an unconditional model.
            noise_key: random key for noise of the objective.
            training: bool, as in `keras.layers.Layer.__call__`.
        """
        raise NotImplementedError

    def generator_loss(self, real, fake, labels, *, training: bool) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Return the generator's loss `(n,)` and the quantities to track; arguments as in `discriminator_loss`."""
        raise NotImplementedError

    def discriminate(self, images, labels, *, training: bool) -> tf.Tensor:
        """Return the discriminator's logits or the critic's scores, `(n, 1)`."""
        return self.call_network(self.discriminator, images, labels, training=training)

    def discriminate_both(self, real, fake, labels, *, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Return `discriminate` of real and of generated images of the same labels, from one call, which is faster.

        If the discriminator may not treat images independently (see `network_checks.is_per_image`), or a subclass
        overrides `discriminate`, there are two calls. With one, spectral normalization makes one step of its power
        iteration in an update, as in the algorithm of Miyato et al. 2018.
        """
        if not self._joins_calls:
            return tuple(self.discriminate(images, labels, training=training) for images in (real, fake))
        # In pairs, so that a replica's part of the images is also a contiguous part of those of all replicas.
        images = tf.reshape(tf.stack([real, fake], axis=1), (-1, *self.image_shape))
        shard = sharding.current_shard()
        with sharding.use_shard(shard and shard.times(2)):
            outputs = self.discriminate(images, None if labels is None else tf.repeat(labels, 2), training=training)
        return outputs[0::2], outputs[1::2]

    def after_discriminator_update(self) -> None:
        """Apply a constraint to the discriminator's weights; a hook for subclasses."""

    # The steps

    def train_step(self, data):
        """Update the discriminator `batches_per_step` times, each on different images, then the generator once."""
        with self.unpack_batch(data) as examples:
            calls = [keras_internals.calls(optimizer) for optimizer in self.optimizers]  # 0 for a frozen network
            key = self.training_key(tf.maximum(calls[0], calls[1] // self.batches_per_step))
            for index in range(self.batches_per_step):
                batch = self._batch_of_step(examples, index)
                with self._shard_of_step(index):
                    self._update_discriminator(*batch, tf.random.fold_in(key, index))
            ratio = self.generator_batch_ratio
            real, labels = batch
            if ratio > 1:
                real, labels = (None if part is None else tf.repeat(part, ratio, axis=0) for part in batch)
            with self._shard_of_step(index, ratio):
                self._update_generator(real, labels, tf.random.fold_in(key, self.batches_per_step))
        return self.metric_results()

    def test_step(self, data):
        """Compute the objectives of both networks on a batch, with the same latents in every evaluation."""
        with self.unpack_batch(data) as (images, labels):
            latents_key, objective_key = tf.unstack(tf.random.split(self.next_evaluation_key(), 2))
            fake = self._generated(tf.shape(images)[0], labels, latents_key, training=False)
            _, discriminator_metrics = self._regularized(images, fake, labels, objective_key, training=False)
            _, generator_metrics = self.generator_loss(images, fake, labels, training=False)
            self.track(discriminator_metrics | generator_metrics)
        return self.metric_results()

    def call(self, latents, labels=None, training=False):
        """Return images in `value_range` for latents `(n, latent_dim)` and, if conditional, labels `(n,)`."""
        return self.to_images(self.call_network(self.generator, latents, labels, training=training))

    def _batch_of_step(self, examples, index):
        """Return every `batches_per_step`-th example from `index` on, but at least one example.

        Striding (rather than cutting) gives N replicas together the same batches as one device.
        """
        if self.batches_per_step == 1:
            return examples
        count = tf.shape(examples[0])[0]
        chosen = tf.range(index, tf.maximum(count, self.batches_per_step), self.batches_per_step) % count
        return tuple(None if part is None else tf.gather(part, chosen) for part in examples)

    def _shard_of_step(self, index, ratio=1):
        """Use the shard of `_batch_of_step`, with every example repeated `ratio` times."""
        shard = sharding.current_shard()
        return sharding.use_shard(shard and shard.strided(index, self.batches_per_step).times(ratio))

    def _generated(self, count, labels, key, *, training):
        return self(distribution.normal((count, self.latent_dim), key), labels, training=training)

    def _update_discriminator(self, real, labels, key):
        latents_key, objective_key = tf.unstack(tf.random.split(key, 2))
        fake = self._generated(tf.shape(real)[0], labels, latents_key, training=True)
        real, fake = self._augmented(real, fake, objective_key)
        objective = functools.partial(self._regularized, real, fake, labels, objective_key, training=True)
        metrics = updates.update(self.discriminator_optimizer, self.discriminator, objective)
        self.after_discriminator_update()
        self.track(metrics)

    def _regularized(self, real, fake, labels, key, *, training):
        """Return the discriminator's loss and quantities with the penalties."""
        loss, values = self.discriminator_loss(real, fake, labels, tf.random.fold_in(key, NOISE), training=training)
        discriminate = functools.partial(self.discriminate, labels=labels, training=training)
        for index, regularizer in enumerate(self.penalties):
            own_key = tf.random.fold_in(key, index) if index else key
            values[regularizer.name] = regularizer.penalty(discriminate, real, fake, own_key)
            loss += regularizer.weight * values[regularizer.name]
        return loss, values | {self.loss_name: loss}

    def _augmented(self, real, fake, key):
        """Return what the discriminator sees in training."""
        if not self.augment:
            return real, fake
        keys = tf.unstack(tf.random.split(tf.random.fold_in(key, AUGMENTATION), 2))
        return tuple(
            augmentation.augment(images, self.augment, own_key, self.value_range)
            for images, own_key in zip((real, fake), keys, strict=True)
        )

    def _update_generator(self, real, labels, key):
        def objective():
            fake = self._generated(tf.shape(real)[0], labels, key, training=True)
            return self.generator_loss(*self._augmented(real, fake, key), labels, training=True)

        before = keras.ops.cast(self.optimizer.iterations, "float32")
        self.track(updates.update(self.optimizer, self.generator, objective))
        if self.generator_average is None:
            return
        count = keras.ops.cast(self.optimizer.iterations, "float32")
        decay = tf.minimum(self.moving_average, (1.0 + count) / (10.0 + count))
        decay = tf.where(count > before, decay, 1.0)  # no update while gradients accumulate
        # `weights` includes the moving statistics of batch normalization.
        for average, weight in zip(self.generator_average.weights, self.generator.weights, strict=True):
            share = tf.cast(decay, average.dtype)
            average.assign(share * average.value + (1 - share) * weight.value)

    def get_config(self) -> dict:
        """Return the constructor arguments."""
        config = super().get_config()
        config[self.discriminator_argument] = config.pop("discriminator")
        config["regularizers"] = [keras.saving.serialize_keras_object(entry) for entry in self.regularizers]
        return config


def _check_per_image(argument, network, penalties):
    """Refuse batch normalization with a penalty on gradients per image: with both, WGANs learned noise."""
    layers = keras_internals.flatten_layers(network)
    normalized = [layer.name for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    if penalties and normalized:
        requirement = f"without batch normalization, since {penalties[0].name} is per image"
        raise must_be(argument, requirement, normalized[0])


def _frozen_copy(network):
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    copy.trainable = False
    copy.name = f"{network.name}_average"
    return copy
