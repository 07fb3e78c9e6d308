"""The models: subclasses of `keras.Model` that train with `fit` and generate images."""

from keras_gen.models.base import GenerativeModel
from keras_gen.models.gan import GAN
from keras_gen.models.vae import VAE
from keras_gen.models.wgan import WGAN

__all__ = ["GAN", "VAE", "WGAN", "GenerativeModel"]
