"""The autoencoder, and with a corruption the denoising autoencoder (Vincent et al. 2008)."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen import distribution, losses
from keras_gen.models import inputs, network_checks
from keras_gen.models.encoder_decoder import EncoderDecoder
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be

CORRUPTIONS = ("none", "gaussian", "masking")
RECONSTRUCTION_LOSSES = ("cross_entropy", "squared_error")


@keras.saving.register_keras_serializable("keras_gen")
class Autoencoder(EncoderDecoder):
    """An encoder and a decoder that learn to give images back, from corrupted ones if asked to.

    It does not generate: its codes follow no known distribution. What it reports, averaged over the images:

    - loss: the reconstruction loss, a mean over pixels;
    - mse: mean squared error of the reconstruction, in squared units of the value range;
    - corrupted_mse, with a corruption: mean squared error of what the encoder saw, so what a denoiser starts from.

    Args:
        encoder: images `(n, height, width, channels)` to codes of any shape.
        decoder: codes to images, or their logits.
        loss: `cross_entropy` (values in [0, 1] as probabilities) or `squared_error`.
        corruption: what happens to images before the encoder sees them, in training and evaluation: `none`; `gaussian`,
            noise added and the result clipped to the value range; `masking`, pixels set to the range's low end, all
            channels of one together (Vincent et al. 2008). The uncorrupted images are the target.
        corruption_level: standard deviation of the noise in units of the value range's scale, or the fraction of masked
            pixels, below 1. Must be 0 for `none`.
        value_range: (0, 1), or with squared error also (-1, 1).
        from_logits: whether the decoder ends in logits (see `ImageModel`).
        seed: of the corruption.

    Raises:
        UsageError: networks that do not fit together, or another argument out of its range.

    Example:
        >>> encoder = keras_gen.networks.pooling_encoder((28, 28, 1))
        >>> decoder = keras_gen.networks.resizing_decoder((28, 28, 1))
        >>> denoiser = keras_gen.Autoencoder(encoder, decoder, corruption="gaussian", corruption_level=0.5)
        >>> denoiser.compile("adam")
        >>> history = denoiser.fit(images, epochs=5, verbose=0)
    """

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
        # Not `self.loss`, which is Keras' own.
        self.reconstruction_loss = checks.one_of("loss", loss, RECONSTRUCTION_LOSSES)
        self.corruption = checks.one_of("corruption", corruption, CORRUPTIONS)
        self.corruption_level = _check_level(corruption, corruption_level)
        metric_names = ("loss", "mse") if corruption == "none" else ("loss", "mse", "corrupted_mse")
        super().__init__(
            value_range=value_range, from_logits=from_logits, seed=seed, metric_names=metric_names, **kwargs
        )
        if loss == "cross_entropy" and self.value_range != (0, 1):
            raise UsageError("value_range must be (0, 1) with loss cross_entropy, received: (-1, 1)")
        self.encoder = network_checks.check_network("encoder", encoder)
        self.decoder = network_checks.check_network("decoder", decoder)
        if not isinstance(encoder.output_shape, tuple):
            raise must_be("encoder", "a model with one output", encoder.output_shape)
        network_checks.check_encoder_and_decoder(encoder, decoder, encoder.output_shape, "codes")
        self.built = True

    def objective(self, images, labels, noise_key, *, training):
        """`loss`, `mse` and, with a corruption, `corrupted_mse`; see the class."""
        seen = self.corrupt(images, noise_key)
        output = self.call_network(self.decoder, self.code(seen, labels, training=training), labels, training=training)
        mse = losses.mean_squared_error(images, self.to_images(output))
        values = {"loss": mse, "mse": mse, "corrupted_mse": losses.mean_squared_error(images, seen)}
        if self.reconstruction_loss == "cross_entropy":
            values["loss"] = losses.mean_cross_entropy(images, output, from_logits=self.from_logits)
        return values

    def corrupt(self, images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """Images in the model's range as the encoder is to see them; `key` is two integers, a seed."""
        low, high = self.value_range
        if self.corruption == "gaussian":
            noise = distribution.normal(tf.unstack(tf.shape(images)), key)
            return tf.clip_by_value(images + self.corruption_level * (high - low) * noise, low, high)
        if self.corruption == "masking":
            shape = tf.unstack(tf.shape(images))
            kept = distribution.uniform((*shape[:-1], 1), key) >= self.corruption_level
            return tf.where(kept, images, low)
        return images

    def code(self, images, labels=None, *, training=False):
        """The encoder's output."""
        return self.call_network(self.encoder, images, labels, training=training)

    def encode(self, images, labels=None) -> tf.Tensor:
        """Codes of images and, if conditional, labels, both as in `fit`."""
        return tf.concat(self._encode_in_chunks(images, labels), axis=0)

    def corrupted(self, images, seed: int = 0) -> np.ndarray:
        """Images, as in `fit`, corrupted, in the model's range: what `fit` shows the encoder.

        Example:
            >>> denoiser = keras_gen.zoo.build("dae-conv")
            >>> noisy = denoiser.corrupted(images[:8], seed=1)
            >>> denoised = denoiser.reconstruct(noisy)
        """
        images = inputs.check_images("images", images, self.image_shape, self.value_range)
        key = tf.constant([checks.seed("seed", seed), 0])
        return self.corrupt(self.to_value_range(tf.constant(images)), key).numpy()

    def _encode_endpoint(self, images, labels=None):
        return {"codes": self.code(self.to_value_range(images), labels)}

    def get_config(self) -> dict:
        """Constructor arguments."""
        return super().get_config() | {
            "loss": self.reconstruction_loss,
            "corruption": self.corruption,
            "corruption_level": self.corruption_level,
        }


def _check_level(corruption, level):
    if corruption == "none":
        if level != 0:
            raise must_be("corruption_level", "0 without a corruption", level)
        return 0.0
    check = checks.positive if corruption == "gaussian" else checks.fraction
    return check("corruption_level", level)
