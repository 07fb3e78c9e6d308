"""Network builders: functions that return functional Keras models, from which models are composed.

Encoders map images to a mean and a log-variance, decoders (generators) latents to the logits of images, discriminators
(critics) images to one logit (score). The encoder of a plain autoencoder maps images to codes, its decoder codes to the
logits of images. No network has an output activation: the model applies it. With `num_classes` a network is
conditional: one-hot labels `(n, num_classes)` are its second input.
"""

from keras_gen.networks.decoders import (
    conv_decoder,
    dcgan_generator,
    deep_conv_generator,
    lstm_vae_decoder,
    mlp_decoder,
    transposed_conv_generator,
    upsampling_generator,
)
from keras_gen.networks.discriminators import conv_discriminator, deep_conv_discriminator, mlp_discriminator
from keras_gen.networks.encoders import conv_encoder, lstm_encoder, mlp_encoder
from keras_gen.networks.layers import Conv2D, Conv2DTranspose, Dense, Dropout, NarrowConv2D
from keras_gen.networks.pooling import pooling_encoder, resizing_decoder

__all__ = [
    "Conv2D",
    "Conv2DTranspose",
    "Dense",
    "Dropout",
    "NarrowConv2D",
    "conv_decoder",
    "conv_discriminator",
    "conv_encoder",
    "dcgan_generator",
    "deep_conv_discriminator",
    "deep_conv_generator",
    "lstm_encoder",
    "lstm_vae_decoder",
    "mlp_decoder",
    "mlp_discriminator",
    "mlp_encoder",
    "pooling_encoder",
    "resizing_decoder",
    "transposed_conv_generator",
    "upsampling_generator",
]
