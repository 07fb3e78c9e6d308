"""Draw latents and labels and compute in chunks, for `model.generate` and the SavedModel alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import numpy as np
import tensorflow as tf

from keras_gen.utils import checks

CHUNK = 256
"""Images decoded at a time, so that memory does not grow with the number of images."""


def latents(n: tf.Tensor, latent_dim: int, seed: tf.Tensor) -> tf.Tensor:
    """Draw n standard normal latents, `(n, latent_dim)`; the same int `seed` gives the same ones on every machine."""
    n, seed = tf.cast(n, tf.int32), tf.cast(seed, tf.int32)
    return tf.random.stateless_normal(tf.stack([n, latent_dim]), tf.stack([seed, 0]), alg="philox")


def truncated_latents(n: int, latent_dim: int, seed: int, threshold: float) -> np.ndarray:
    """Draw n latents, `(n, latent_dim)`, from the normal distribution truncated to [−threshold, threshold].

    This is the truncation of Brock et al. 2019 (arXiv:1809.11096, section 3.1), who draw values beyond it again.
    """
    from scipy.special import ndtr, ndtri

    threshold = checks.positive("truncation", threshold)
    uniform = np.random.Generator(np.random.Philox(seed)).random((n, latent_dim))
    low = ndtr(-threshold)
    return np.clip(ndtri(low + uniform * (1 - 2 * low)), -threshold, threshold).astype(np.float32)


def labels(n: tf.Tensor, num_classes: int, seed: tf.Tensor) -> tf.Tensor:
    """Draw n classes uniformly from [0, num_classes), int32 `(n,)`; as reproducible as `latents`."""
    key = tf.stack([tf.cast(seed, tf.int32), 1])
    return tf.random.stateless_uniform([n], key, maxval=num_classes, dtype=tf.int32, alg="philox")


def images_in_chunks(function: Callable[..., tf.Tensor], shape: tuple, *arguments: tf.Tensor | None) -> dict:
    """Return `images_float`, in [0, 1], which `function` computes from the arguments, and `images`, these as uint8.

    It gets at most `CHUNK` rows at a time, and None for None. `shape` is that of an image: LiteRT needs a list of
    tensors of one shape.
    """
    n = tf.shape(arguments[0])[0]
    chunks, most = (n + CHUNK - 1) // CHUNK, tf.minimum(n, CHUNK)

    def body(index, outputs):
        rows = slice(index * CHUNK, (index + 1) * CHUNK)
        chunk = function(*[None if argument is None else argument[rows] for argument in arguments])
        padded = tf.pad(chunk, [[0, most - tf.shape(chunk)[0]], *[[0, 0]] * len(shape)])
        return index + 1, tf.raw_ops.TensorListSetItem(input_handle=outputs, index=index, item=padded)

    # A TensorArray takes no shape that is known only at run time.
    outputs = tf.raw_ops.TensorListReserve(
        element_shape=tf.stack([most, *shape]), num_elements=chunks, element_dtype=tf.float32
    )
    _, outputs = tf.while_loop(lambda index, _: index < chunks, body, (tf.constant(0), outputs), parallel_iterations=1)
    stacked = tf.raw_ops.TensorListStack(
        input_handle=outputs, element_shape=tf.constant([-1, *shape]), element_dtype=tf.float32
    )
    images = tf.reshape(stacked, [-1, *shape])[:n]
    return {"images": tf.cast(tf.round(images * 255.0), tf.uint8), "images_float": images}


def chunks_of(*arrays: np.ndarray | None) -> Iterator[list[tf.Tensor | None]]:
    """Yield at most `CHUNK` rows of the arrays at a time, as tensors; None stays None. For eager execution."""
    for start in range(0, len(arrays[0]), CHUNK):
        yield [None if a is None else tf.convert_to_tensor(a[start : start + CHUNK]) for a in arrays]
