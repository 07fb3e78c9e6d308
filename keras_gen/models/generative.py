"""The base class of models that generate images from random latents."""

from __future__ import annotations

import functools
import math

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import tensorflow as tf

from keras_gen.models import inputs, network_checks, samplers, sampling
from keras_gen.models.base import Endpoint, ImageModel
from keras_gen.models.samplers import GaussianMixture
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be


class GenerativeModel(ImageModel):
    """Base class of models that generate images from random latents, of given classes if conditional.

    The latents are standard normal, or from the distribution `sampler`, which `fit_sampler` of models with an encoder
    sets.
    """

    traced_functions = ("_generate_function",)

    @property
    def sampler(self) -> GaussianMixture | None:
        """Distribution of the latents; None for the standard normal one."""
        return vars(self).get("_sampler")

    @sampler.setter
    def sampler(self, sampler: GaussianMixture | None) -> None:
        shape = (self.num_classes or 1, self.latent_dim)
        if sampler is not None and sampler.means.shape[::2] != shape:
            raise must_be("sampler", f"of {shape[0]} mixtures in {shape[1]} dimensions", sampler.means.shape[::2])
        # Not tracked by Keras: its arrays are constants of the function that draws from it, which is made anew.
        vars(self)["_sampler"] = sampler
        vars(self).pop("_generate_function", None)

    def save_own_variables(self, store) -> None:
        """Save the sampler, which Keras saves with the weights of the networks."""
        super().save_own_variables(store)
        for name, array in (self.sampler.to_arrays() if self.sampler else {}).items():
            store[f"sampler_{name}"] = array

    def load_own_variables(self, store) -> None:
        """Load what `save_own_variables` saved."""
        own = {name: store[name] for name in store.keys()}
        arrays = {name: own.pop(f"sampler_{name}", None) for name in samplers.ARRAYS}
        self.sampler = None if arrays["means"] is None else GaussianMixture.from_arrays(arrays)
        super().load_own_variables(own)

    @property
    def latent_dim(self) -> int:
        """Number of values of a latent."""
        return math.prod(self.latent_shape)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of a latent: `(latent_dim,)`, or that of an autoencoder's code, such as (4, 4, 8)."""
        return tuple(network_checks.main_input_shape(self.decoder_network)[1:])

    @property
    def can_generate(self) -> bool:
        """Whether the distribution of the latents is known."""
        return True

    def generate(self, n: int, seed: int = 0, labels=None, *, truncation: float | None = None) -> dict[str, tf.Tensor]:
        """Generate n images from random latents.

        Args:
            n: int, number of images, at least 1.
            seed: int, 0 to 2147483647; the same seed gives the same images. Defaults to 0.
            labels: n integers, or one for all images: the classes of a conditional model's images. Drawn uniformly by
                default.
            truncation: float above 0; draws each value of the latents from the normal distribution truncated to
                [−truncation, truncation], which gives better and more similar images (Brock et al. 2019,
                arXiv:1809.11096). Defaults to None, no limit.

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
        if not self.can_generate:
            raise UsageError(f"{type(self).__name__} must have a sampler to generate: call fit_sampler(images)")
        if labels is not None:
            labels = tf.constant(inputs.labels_to_generate(labels, n, self.num_classes))
        if truncation is None:
            return self._generate_function(tf.constant(n), tf.constant(seed), *([] if labels is None else [labels]))
        if self.sampler is not None:
            raise must_be("truncation", f"None with sampler {self.sampler.name}", truncation)
        if self.num_classes and labels is None:
            labels = sampling.labels(tf.constant(n), self.num_classes, seed)
        return self._outputs(sampling.truncated_latents(n, self.latent_dim, seed, truncation), labels)

    def endpoints(self) -> dict[str, Endpoint]:
        """Return the functions of a SavedModel; here also `generate`, if the model can."""
        n, seed = tf.TensorSpec([], tf.int32, name="n"), tf.TensorSpec([], tf.int32, name="seed")
        generate = Endpoint(self._generate, [n, seed], (self.decoder_network,), optional=self._label_specs())
        return ({"generate": generate} if self.can_generate else {}) | super().endpoints()

    @functools.cached_property
    def _generate_function(self):
        return tf.function(self._generate, reduce_retracing=True, autograph=False)  # as labels vary

    def _generate(self, n, seed=0, labels=None):
        with tf.control_dependencies([tf.debugging.assert_positive(n, "n must be at least 1")]):
            n = tf.identity(n)
        if self.num_classes:
            labels = sampling.labels(n, self.num_classes, seed) if labels is None else labels
            labels = self._labels_in_range(labels, n)
        if self.sampler is None:
            latents = sampling.latents(n, self.latent_dim, seed)
        else:
            latents = tf.reshape(self.sampler.draw(n, seed, labels), [-1, *self.latent_shape])
        return self._outputs(latents, labels)

    def _outputs(self, latents, labels):
        outputs = self._decode_outputs(latents, labels)
        return outputs | {"labels": labels} if self.num_classes else outputs
