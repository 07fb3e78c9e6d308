"""The autoencoder and the denoising autoencoder (Vincent et al. 2008)."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen import distribution, losses
from keras_gen.models import inputs
from keras_gen.models.encoder_decoder import EncoderDecoder
from keras_gen.models.generative import GenerativeModel
from keras_gen.models.settings import Setting
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be

CORRUPTIONS = ("none", "gaussian", "masking")
RECONSTRUCTION_LOSSES = ("cross_entropy", "squared_error")


@keras.saving.register_keras_serializable("keras_gen")
class Autoencoder(EncoderDecoder, GenerativeModel):
    """Autoencoder, which with a corruption is a denoising autoencoder.

    Without classes, `fit(images, targets)` trains it to map images to other ones, such as noisy images to clean ones.
    It can generate images once `fit_sampler` has fitted a distribution to its codes. It reports, averaged over images:

    - loss: the reconstruction loss, a mean over pixels;
    - mse: mean squared error of the reconstruction, in squared units of the value range;
    - corrupted_mse, with a corruption: mean squared error of the corrupted image, the encoder's input.

    Args:
        encoder: `keras.Model` from images `(n, height, width, channels)` to codes of any shape.
        decoder: `keras.Model` from codes to images or their logits.
        loss: str, `"cross_entropy"` (pixel values in [0, 1] are probabilities) or `"squared_error"`. Defaults to
            `"cross_entropy"`.
        corruption: str, how the encoder's input is corrupted in training and evaluation; the target is the uncorrupted
            image. `"none"`, the default; `"gaussian"` adds noise and clips to the value range; `"masking"` sets all
            channels of random pixels to the lower end of the value range (Vincent et al. 2008).
        corruption_level: float, standard deviation of the noise as a fraction of the width of the value range, or the
            fraction of masked pixels, below 1. Must be 0, the default, for `"none"`.
        value_range: tuple, (0, 1), the default, or with squared error also (-1, 1).
        from_logits: bool, whether the decoder returns logits (see `ImageModel`). Defaults to `True`.
        seed: int, seed of the corruption. Defaults to 0.

    Raises:
        UsageError: the networks do not fit together, or another argument is out of range.

    Example:
        >>> encoder = keras_gen.networks.pooling_encoder((28, 28, 1))
        >>> decoder = keras_gen.networks.resizing_decoder((28, 28, 1))
        >>> denoiser = keras_gen.Autoencoder(encoder, decoder, corruption="gaussian", corruption_level=0.5)
        >>> denoiser.compile("adam")
        >>> history = denoiser.fit(images, epochs=5, verbose=0)
    """

    takes_targets = True

    @property
    def can_generate(self) -> bool:
        """Whether `fit_sampler` has fitted the distribution of the codes."""
        return self.sampler is not None

    reconstruction_loss, corruption, corruption_level = Setting(), Setting(), Setting()

    def __init__(
        self,
        encoder,
        decoder,
        *,
        loss="cross_entropy",
        corruption="none",
        corruption_level=0.0,
        value_range=(0, 1),
        from_logits=True,
        seed=0,
        **kwargs,
    ):
        # `self.loss` is an attribute of Keras.
        self.reconstruction_loss = checks.one_of("loss", loss, RECONSTRUCTION_LOSSES)
        self.corruption = checks.one_of("corruption", corruption, CORRUPTIONS)
        self.corruption_level = _check_level(corruption, corruption_level)
        tracked_names = ("loss", "mse") if corruption == "none" else ("loss", "mse", "corrupted_mse")
        super().__init__(
            value_range=value_range, from_logits=from_logits, seed=seed, tracked_names=tracked_names, **kwargs
        )
        if loss == "cross_entropy" and self.value_range != (0, 1):
            raise UsageError("value_range must be (0, 1) with loss cross_entropy, received: (-1, 1)")
        self._set_networks(encoder, decoder, "codes", is_range_fixed=loss == "cross_entropy")
        self.built = True

    def _latent_shape(self, encoder):
        if not isinstance(encoder.output_shape, tuple):
            raise must_be("encoder", "a model with one output", encoder.output_shape)
        return encoder.output_shape

    def objective(self, images, labels, noise_key, *, training):
        """Return the quantities of the class; without classes, `labels` are target images or None."""
        corrupted = self.corrupt(images, noise_key)
        target, labels = (images, labels) if self.num_classes or labels is None else (labels, None)
        codes = self.to_latents(corrupted, labels, training=training)
        output = self.call_network(self.decoder, codes, labels, training=training)
        mse = losses.mean_squared_error(target, self.to_images(output))
        values = {"loss": mse, "mse": mse}
        if self.corruption != "none":
            values["corrupted_mse"] = losses.mean_squared_error(target, corrupted)
        if self.reconstruction_loss == "cross_entropy":
            values["loss"] = losses.mean_cross_entropy(target, output, from_logits=self.from_logits)
        return values

    def corrupt(self, images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """Corrupt images in `value_range`. `key` is a random key, two integers."""
        low, high = self.value_range
        if self.corruption == "gaussian":
            noise = distribution.normal(tf.unstack(tf.shape(images)), key)
            return tf.clip_by_value(images + self.corruption_level * (high - low) * noise, low, high)
        if self.corruption == "masking":
            shape = tf.unstack(tf.shape(images))
            kept = distribution.uniform((*shape[:-1], 1), key) >= self.corruption_level
            return tf.where(kept, images, low)
        return images

    def to_latents(self, images, labels=None, *, training=False):
        """Return the encoder's output."""
        return self.call_network(self.encoder, images, labels, training=training)

    def encode(self, images, labels=None) -> tf.Tensor:
        """Encode images to codes; `images` and, if conditional, `labels` as in `fit`."""
        return tf.concat(self._encode_in_chunks(images, labels), axis=0)

    def corrupted(self, images, seed: int = 0) -> np.ndarray:
        """Return corrupted images in `value_range`, as `fit` passes them to the encoder; `images` as in `fit`.

        Example:
            >>> denoiser = keras_gen.zoo.build("dae-conv")
            >>> noisy = denoiser.corrupted(images[:8], seed=1)
            >>> denoised = denoiser.reconstruct(noisy)
        """
        images = inputs.check_images("images", images, self.image_shape, self.value_range)
        key = tf.constant([checks.seed("seed", seed), 0])
        return self.corrupt(self.to_value_range(tf.constant(images)), key).numpy()

    def _encode_endpoint(self, images, labels=None):
        labels = self._labels_in_range(labels, tf.shape(images)[0])
        return {"codes": self.to_latents(self.to_value_range(images), labels)}

    def get_config(self) -> dict:
        """Return the constructor arguments."""
        config = super().get_config()
        config["loss"] = config.pop("reconstruction_loss")
        return config


def _check_level(corruption, level):
    if corruption == "none":
        if level != 0:
            raise must_be("corruption_level", "0 without a corruption", level)
        return 0.0
    check = checks.positive if corruption == "gaussian" else checks.fraction
    return check("corruption_level", level)
