"""Models: subclasses of `keras.Model` that train with `fit`; base classes `ImageModel` and `GenerativeModel`."""

from keras_gen.models import augmentation, conversion, export, regularizers, samplers
from keras_gen.models.autoencoder import Autoencoder
from keras_gen.models.base import ImageModel
from keras_gen.models.gan import GAN
from keras_gen.models.generative import GenerativeModel
from keras_gen.models.pretrained import PretrainedModel
from keras_gen.models.vae import VAE
from keras_gen.models.wgan import WGAN

__all__ = [
    "GAN",
    "VAE",
    "WGAN",
    "Autoencoder",
    "GenerativeModel",
    "ImageModel",
    "PretrainedModel",
    "augmentation",
    "conversion",
    "export",
    "regularizers",
    "samplers",
]
