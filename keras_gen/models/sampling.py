"""Latents to images, in chunks, in the graph: the same function serves `model.generate` and the SavedModel."""

from __future__ import annotations

from collections.abc import Callable

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import numpy as np
import tensorflow as tf

CHUNK = 256
"""Images decoded at a time, so that asking for 50,000 does not need 50,000 images' activations."""


def generate(decode: Callable[[tf.Tensor], tf.Tensor], latent_dim: int, n: tf.Tensor, seed: tf.Tensor):
    """n images from standard normal latents.

    Args:
        decode: latents `(count, latent_dim)` to images in [0, 1].
        latent_dim: size of a latent.
        n: int scalar, at least 1.
        seed: int scalar; the same seed gives the same latents on every machine.

    Returns:
        As `image_outputs`.
    """
    n, seed = tf.cast(n, tf.int32), tf.cast(seed, tf.int32)
    latents = tf.random.stateless_normal(tf.stack([n, latent_dim]), tf.stack([seed, 0]), alg="philox")
    return image_outputs(in_chunks(decode, latents))


def in_chunks(decode: Callable[[tf.Tensor], tf.Tensor], inputs: tf.Tensor) -> tf.Tensor:
    """`decode(inputs)`, at most `CHUNK` rows at a time."""
    n = tf.shape(inputs)[0]
    chunks = (n + CHUNK - 1) // CHUNK

    def body(index, outputs):
        return index + 1, outputs.write(index, decode(inputs[index * CHUNK : (index + 1) * CHUNK]))

    outputs = tf.TensorArray(tf.float32, size=chunks, infer_shape=False)
    _, outputs = tf.while_loop(lambda index, _: index < chunks, body, (tf.constant(0), outputs), parallel_iterations=1)
    return outputs.concat()


def chunks_of(images: np.ndarray) -> list[tf.Tensor]:
    """The images as tensors of at most `CHUNK` each, for work outside a graph."""
    return [tf.convert_to_tensor(images[start : start + CHUNK]) for start in range(0, len(images), CHUNK)]


def image_outputs(unit_images: tf.Tensor) -> dict[str, tf.Tensor]:
    """`images_float`: float32 in [0, 1]; `images`: the same rounded to uint8."""
    return {
        "images": tf.cast(tf.round(unit_images * 255.0), tf.uint8),
        "images_float": unit_images,
    }
