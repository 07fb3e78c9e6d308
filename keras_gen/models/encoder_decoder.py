"""The base class of autoencoders and VAEs: an encoder and a decoder with one optimizer and one objective."""

from __future__ import annotations

import functools

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen.models import network_checks, samplers, sampling, updates
from keras_gen.models.base import Endpoint, ImageModel
from keras_gen.models.settings import Setting
from keras_gen.utils import checks, keras_internals, progress
from keras_gen.utils.errors import must_be

MAX_FITTED = 20_000
"""Maximum number of images to whose codes a sampler is fitted: for 128 dimensions that takes a minute or two."""


class EncoderDecoder(ImageModel):
    """Base class of models with an encoder and a decoder. Subclasses implement `objective`, `to_latents`, `encode`."""

    encoder, decoder = Setting(), Setting()

    @property
    def decoder_network(self) -> keras.Model:
        """The decoder."""
        return self.decoder

    @property
    def input_network(self) -> keras.Model:
        """The encoder."""
        return self.encoder

    def _set_networks(self, encoder, decoder, latents: str, *, is_range_fixed: bool) -> None:
        """Check the networks and set them; `latents` is what an error message calls the decoder's input."""
        self.encoder = network_checks.check_network("encoder", encoder)
        self.decoder = network_checks.check_network("decoder", decoder)
        network_checks.check_encoder_and_decoder(encoder, decoder, self._latent_shape(encoder), latents)
        settings = self.from_logits, self.value_range
        network_checks.check_image_range("decoder", decoder, *settings, is_fixed=is_range_fixed)

    # Methods that subclasses implement

    def _latent_shape(self, encoder: keras.Model) -> network_checks.Shape:
        """Check the outputs of the encoder and return the shape of the decoder's input, batch first."""
        raise NotImplementedError

    def objective(self, images: tf.Tensor, labels, noise_key: tf.Tensor, *, training: bool) -> dict[str, tf.Tensor]:
        """Return the quantities in `tracked_names`, such as `loss`, of images in `value_range`, each `(n,)`."""
        raise NotImplementedError

    def to_latents(self, images: tf.Tensor, labels=None, *, training: bool = False) -> tf.Tensor:
        """Return the latents from which images in `value_range` are reconstructed."""
        raise NotImplementedError

    def encode(self, images, labels=None):
        """Return the encoder's output for images, as in `fit`."""
        raise NotImplementedError

    def fit_sampler(self, images, labels=None, *, components: int = samplers.COMPONENTS, seed: int = 0) -> None:
        """Fit the mixture of Gaussians from which `generate` draws latents to the codes of training images.

        It is `sampler`, a `samplers.GaussianMixture`, with one mixture for each class of a conditional model. Training
        changes the codes, but not the sampler: fit it again afterwards. It is saved with the model, also in a
        SavedModel. To return to the standard normal distribution, set `sampler` to None.

        Args:
            images, labels: arrays, as in `fit`; `MAX_FITTED` of them, drawn at random, are used if there are more.
            components: int, number of components of a mixture. Defaults to 10.
            seed: int, seed of the fit. Defaults to 0.

        Raises:
            UsageError: there are too few images, or the codes are degenerate.

        Example:
            >>> model = keras_gen.zoo.build("ae-conv", width=2)
            >>> model.fit_sampler(images, components=3)
            >>> model.generate(5, seed=1)["images"].shape
            TensorShape([5, 28, 28, 1])
        """
        components, seed = checks.positive_int("components", components), checks.seed("seed", seed)
        images, labels = self._checked_arrays("images", images, labels)
        if len(images) > MAX_FITTED:
            chosen = np.sort(np.random.default_rng(seed).choice(len(images), MAX_FITTED, replace=False))
            images, labels = images[chosen], None if labels is None else labels[chosen]
        samplers.check_counts(len(images), labels, self.num_classes, components)
        codes = self._codes(images, labels, seed)
        classes = labels if self.num_classes else None
        fitted = samplers.GaussianMixture.fit(codes.reshape(len(codes), -1), classes, components=components, seed=seed)
        self.sampler = fitted

    def _codes(self, images, labels, seed: int) -> np.ndarray:
        """Return what the decoder gets for images in training."""
        return np.asarray(self.encode(images, labels))

    # The steps

    def train_step(self, data):
        """Update encoder and decoder once."""
        with self.unpack_batch(data) as (images, labels):
            key = self.training_key(keras_internals.calls(self.optimizer))
            objective = functools.partial(self._objective, images, labels, key, training=True)
            self.track(updates.update(self.optimizer, self, objective))
        return self.metric_results()

    def test_step(self, data):
        """Compute the objective of a batch, with one noise sample per image, the same in every evaluation."""
        with self.unpack_batch(data) as (images, labels):
            key = self.next_evaluation_key()
            objective = functools.partial(self._objective, images, labels, key, training=False)
            self.track(updates.with_layer_losses(self, objective)[1])
        return self.metric_results()

    def _objective(self, images, labels, key, *, training):
        values = self.objective(images, labels, key, training=training)
        if missing := [tracker.name for tracker in self.metrics if tracker.name not in values]:
            raise must_be("objective", f"a function that also returns {', '.join(missing)}", ", ".join(values))
        return values["loss"], values

    # Reconstructions

    def call(self, images, labels=None, training=False):
        """Reconstruct a batch of images, uint8 or in `value_range`, with labels `(n,)` if conditional."""
        latents = self.to_latents(self.to_value_range(tf.convert_to_tensor(images)), labels, training=training)
        return self.to_images(self.call_network(self.decoder, latents, labels, training=training))

    def reconstruct(self, images, labels=None) -> tf.Tensor:
        """Return reconstructions in `value_range`; `images` and, if conditional, `labels` as in `fit`."""
        return tf.concat(self._in_chunks("reconstructions", self, images, labels), axis=0)

    def reconstruct_float(self, images, labels=None) -> np.ndarray:
        """Return reconstructions in [0, 1], float32, for any `value_range`; arguments as in `reconstruct`."""
        return np.asarray(self.to_unit_range(self.reconstruct(images, labels)))

    def endpoints(self) -> dict[str, Endpoint]:
        """Return the functions of a SavedModel; here also `encode` and `reconstruct` of uint8 images."""
        images = tf.TensorSpec([None, *self.image_shape], tf.uint8, name="images")
        labels = self._label_specs()
        return super().endpoints() | {
            "encode": Endpoint(self._encode_endpoint, [images, *labels], (self.encoder,)),
            "reconstruct": Endpoint(self._reconstruct_outputs, [images, *labels], (self.encoder, self.decoder)),
        }

    def _encode_endpoint(self, images, labels=None):
        raise NotImplementedError

    def _reconstruct_outputs(self, images, labels=None):
        return self._images_of(self, images, self._labels_in_range(labels, tf.shape(images)[0]))

    def _encode_in_chunks(self, images, labels) -> list:
        """Return the encoder's output for each chunk of images."""
        return self._in_chunks("codes", self._encode_chunk, images, labels)

    def _encode_chunk(self, images, labels):
        return self.call_network(self.encoder, self.to_value_range(images), labels, training=False)

    def _in_chunks(self, title: str, function, images, labels) -> list:
        """Return the results of `function` for each chunk of images and labels, with a progress bar."""
        images, labels = self._checked_arrays("images", images, labels)
        outputs = []
        with progress.task(title, len(images)) as task:
            for chunk in sampling.chunks_of(images, labels):
                outputs.append(function(*chunk))
                task.advance(len(chunk[0]))
        return outputs
