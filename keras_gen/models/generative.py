"""The base class of models that generate images from random latents."""

from __future__ import annotations

import functools

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import tensorflow as tf

from keras_gen.models import inputs, network_checks, sampling
from keras_gen.models.base import Endpoint, ImageModel
from keras_gen.utils import checks


class GenerativeModel(ImageModel):
    """Base class of models that generate images from standard normal latents, of given classes if conditional."""

    @property
    def latent_dim(self) -> int:
        """Size of a latent vector."""
        return network_checks.main_input_shape(self.decoder_network)[-1]

    def generate(self, n: int, seed: int = 0, labels=None) -> dict[str, tf.Tensor]:
        """Generate n images from standard normal latents.

        Args:
            n: int, number of images, at least 1.
            seed: int, 0 to 2147483647; the same seed gives the same images. Defaults to 0.
            labels: n integers, or one for all images: the classes of a conditional model's images. Drawn uniformly by
                default.

        Returns:
            A dictionary of `images`, uint8 `(n, height, width, channels)`, `images_float`, float32 in [0, 1], and for a
            conditional model `labels`, int32 `(n,)`: exactly the result of the SavedModel's `generate`.

        Raises:
            UsageError: an argument is out of range, or labels are given to an unconditional model.

        Example:
            >>> vae = keras_gen.zoo.build("vae-mlp", num_classes=10)
            >>> vae.generate(3, labels=[7, 1, 7])["labels"].numpy()
            array([7, 1, 7], dtype=int32)
        """
        n, seed = checks.count("n", n), checks.seed("seed", seed)
        arguments = [tf.constant(n), tf.constant(seed)]
        if labels is not None:
            arguments.append(tf.constant(inputs.labels_to_generate(labels, n, self.num_classes)))
        return self._generate_function(*arguments)

    def endpoints(self) -> dict[str, Endpoint]:
        """Return the functions of a SavedModel; here also `generate`."""
        n, seed = tf.TensorSpec([], tf.int32, name="n"), tf.TensorSpec([], tf.int32, name="seed")
        generate = Endpoint(self._generate, [n, seed], (self.decoder_network,), optional=self._label_specs())
        return {"generate": generate} | super().endpoints()

    @functools.cached_property
    def _generate_function(self):
        return tf.function(self._generate, reduce_retracing=True)  # the number of labels varies

    def _generate(self, n, seed=0, labels=None):
        with tf.control_dependencies([tf.debugging.assert_positive(n, "n must be at least 1")]):
            latents = sampling.latents(tf.identity(n), self.latent_dim, seed)
        if not self.num_classes:
            return self._decode_outputs(latents)
        if labels is None:
            labels = sampling.labels(n, self.num_classes, seed)
        valid = [
            tf.debugging.assert_equal(tf.size(labels), n, "labels must be n integers"),
            tf.debugging.assert_non_negative(labels, "labels must be at least 0"),
            tf.debugging.assert_less(labels, self.num_classes, f"labels must be below {self.num_classes}"),
        ]
        with tf.control_dependencies(valid):
            labels = tf.identity(labels)
        return self._decode_outputs(latents, labels) | {"labels": labels}
