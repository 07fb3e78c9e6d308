"""Models that turn random latents into images."""

from __future__ import annotations

import functools

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import tensorflow as tf

from keras_gen.models import inputs, network_checks, sampling
from keras_gen.models.base import Endpoint, ImageModel
from keras_gen.utils import checks


class GenerativeModel(ImageModel):
    """An `ImageModel` that generates images from standard normal latents, of given classes if it is conditional."""

    @property
    def latent_dim(self) -> int:
        """Size of a latent."""
        return network_checks.main_input_shape(self.decoder_network)[-1]

    def generate(self, n: int, seed: int = 0, labels=None) -> dict[str, tf.Tensor]:
        """Generate n images from standard normal latents.

        Args:
            n: how many, at least 1.
            seed: the same seed gives the same images; 0 to 2147483647.
            labels: of a conditional model, the class of every image, n integers or one for all. If not given, classes
                are drawn, each as likely.

        Returns:
            `images`, uint8 `(n, height, width, channels)`, and `images_float`, float32 in [0, 1]; of a conditional
            model also `labels`, int32 `(n,)`: exactly what the `generate` of the SavedModel returns.

        Raises:
            UsageError: an argument out of range, or labels for a model that has no classes.

        Example:
            >>> keras_gen.zoo.build("vae-mlp").generate(3, seed=1)["images"].shape
            TensorShape([3, 28, 28, 1])
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
        """`generate` and `decode`."""
        n, seed = tf.TensorSpec([], tf.int32, name="n"), tf.TensorSpec([], tf.int32, name="seed")
        generate = Endpoint(self._generate, [n, seed], (self.decoder_network,), optional=self._label_specs())
        return {"generate": generate} | super().endpoints()

    @functools.cached_property
    def _generate_function(self):
        return tf.function(self._generate, reduce_retracing=True)  # labels come in any number

    def _generate(self, n, seed, labels=None):
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
