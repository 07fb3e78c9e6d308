"""What autoencoders and VAEs share: an encoder and a decoder that one optimizer trains on one objective."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen import distribution
from keras_gen.models import sampling
from keras_gen.models.base import Endpoint, ImageModel
from keras_gen.utils import progress


class EncoderDecoder(ImageModel):
    """An `ImageModel` of two networks, `encoder` and `decoder`. Subclasses write `objective`, `code` and `encode`."""

    encoder: keras.Model
    decoder: keras.Model

    @property
    def decoder_network(self) -> keras.Model:
        """The decoder."""
        return self.decoder

    @property
    def optimizers(self) -> tuple[keras.optimizers.Optimizer, ...]:
        """The one optimizer."""
        return (self.optimizer,)

    @property
    def updates(self) -> dict[str, int]:
        """Updates of encoder and decoder, which share an optimizer."""
        return {"updates": int(self.optimizer.iterations.numpy())}

    def compile(self, optimizer="adam", **options) -> None:
        """As `ImageModel.compile`; the optimizer is of encoder and decoder."""
        super().compile(optimizer=optimizer, **options)
        self.optimizer.build(self.trainable_variables)

    # What subclasses write

    def objective(self, images: tf.Tensor, labels, noise_key: tf.Tensor, *, training: bool) -> dict[str, tf.Tensor]:
        """`loss` and all other tracked quantities of images in the model's range, one value an image."""
        raise NotImplementedError

    def code(self, images: tf.Tensor, labels=None, *, training: bool = False) -> tf.Tensor:
        """The latents that stand for images in the model's range when they are reconstructed."""
        raise NotImplementedError

    def encode(self, images, labels=None):
        """What the encoder makes of images, as in `fit`."""
        raise NotImplementedError

    # The steps

    def train_step(self, data):
        """One update of encoder and decoder."""
        with self.unpack_batch(data) as (images, labels):
            with tf.GradientTape() as tape:
                key = self.training_key(self.optimizer.iterations.value)
                values = self.objective(images, labels, key, training=True)
                loss = distribution.scaled_loss(values["loss"])
            variables = self.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            self.track(values)
        return self.metric_results()

    def test_step(self, data):
        """The objective of a batch, with one noise sample an image, the same in every evaluation."""
        with self.unpack_batch(data) as (images, labels):
            self.track(self.objective(images, labels, self.next_evaluation_key(), training=False))
        return self.metric_results()

    # Reconstructions

    def call(self, images, labels=None, training=False):
        """Reconstructions in the model's range; `images` likewise, or uint8, and labels `(n,)` if conditional."""
        code = self.code(self.to_value_range(tf.convert_to_tensor(images)), labels, training=training)
        return self.to_images(self.call_network(self.decoder, code, labels, training=training))

    def reconstruct(self, images, labels=None) -> tf.Tensor:
        """Reconstructions in the model's range; `images` and `labels` as in `fit`."""
        examples = self._checked_arrays("images", images, labels)
        return tf.concat(_of_chunks("reconstructions", self, *examples), axis=0)

    def endpoints(self) -> dict[str, Endpoint]:
        """`encode` and `reconstruct` of uint8 images."""
        images = tf.TensorSpec([None, *self.image_shape], tf.uint8, name="images")
        labels = self._label_specs()
        return super().endpoints() | {
            "encode": Endpoint(self._encode_endpoint, [images, *labels], (self.encoder,)),
            "reconstruct": Endpoint(self._reconstruct_outputs, [images, *labels], (self.encoder, self.decoder)),
        }

    def _encode_endpoint(self, images, labels=None):
        raise NotImplementedError

    def _reconstruct_outputs(self, images, labels=None):
        return sampling.image_outputs(sampling.in_chunks(self._reconstruct_unit, images, labels))

    def _reconstruct_unit(self, images, labels=None):
        return self.to_unit_range(self(images, labels))

    def _encode_in_chunks(self, images: np.ndarray, labels) -> list:
        """The encoder's output for each chunk of checked images."""
        examples = self._checked_arrays("images", images, labels)
        return _of_chunks("codes", self._encode_chunk, *examples)

    def _encode_chunk(self, images, labels):
        return self.call_network(self.encoder, self.to_value_range(images), labels, training=False)

    def get_config(self) -> dict:
        """Constructor arguments."""
        return super().get_config() | {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
        }


def _of_chunks(what: str, function, images: np.ndarray, labels: np.ndarray | None) -> list:
    """What a function of images and labels gives for each chunk of them."""
    outputs = []
    with progress.task(what, len(images)) as step:
        for part in sampling.chunks_of(images, labels):
            outputs.append(function(*part))
            step.advance(len(part[0]))
    return outputs
