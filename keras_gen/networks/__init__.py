"""Builders of networks: functional Keras models that any model of the zoo, or a user's own, can be made of.

Encoders map images to a mean and a log-variance, decoders (generators) map latents to the logits of images,
discriminators (critics) map images to one logit (score). None has an output activation: the model owns it.
"""

from keras_gen.networks.decoders import lstm_vae_decoder, mlp_decoder, transposed_conv_generator
from keras_gen.networks.discriminators import conv_discriminator
from keras_gen.networks.encoders import lstm_encoder, mlp_encoder

__all__ = [
    "conv_discriminator",
    "lstm_encoder",
    "lstm_vae_decoder",
    "mlp_decoder",
    "mlp_encoder",
    "transposed_conv_generator",
]
