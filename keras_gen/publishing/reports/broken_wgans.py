"""A Wasserstein GAN that does not work, to compare with those that do: what R1 may have trained."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import tensorflow as tf

import keras_gen
from keras_gen.zoo import common


class SigmoidCriticWGAN(keras_gen.WGAN):
    """WGAN whose critic ends in a sigmoid, as the discriminator of a GAN does."""

    def discriminate(self, images, labels, *, training):
        """Return the critic's outputs, between 0 and 1."""
        return tf.sigmoid(super().discriminate(images, labels, training=training))


@keras_gen.zoo.recipe("wgan-conv-sigmoid", source="R1 §3.4", dataset="mnist", epochs=2, batch_size=64)
def wgan_conv_sigmoid(image_shape, *, gradient_penalty: float = 0.0) -> keras_gen.WGAN:
    """WGAN with the networks and optimizers of wgan-conv, and a sigmoid at the critic's end."""
    linear = keras_gen.zoo.build("wgan-conv", image_shape)
    model = SigmoidCriticWGAN(linear.generator, linear.critic, gradient_penalty=gradient_penalty)
    model.compile(*common.critic_optimizers("none", 5e-4))
    return model
