"""The network of `Inception2015` in Keras, for the weights of its port to PyTorch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import numpy as np
import tensorflow as tf
from keras import ops

SIZE = 299
EPSILON = 0.001
"""Added to the variances of batch normalization."""


def build(weights: Mapping[str, np.ndarray]) -> Callable:
    """Return the network as a concrete function from uint8 images `(n, H, W, 3)` to a list of features and logits.

    Images are resized bilinearly as by TensorFlow 1 (corners not aligned, pixel centers not at halves, no
    antialiasing), then scaled to (x − 128) / 128, as the graph of 2015 does itself. Logits are features times the
    weights of the last layer, without its bias.

    Args:
        weights: float32 arrays by the names of the port's `state_dict`, with kernels `(out, in, height, width)`.

    Raises:
        ValueError: arrays are missing or do not fit together.
    """

    def extract(images):
        options = {"align_corners": False, "half_pixel_centers": False}
        resized = tf.raw_ops.ResizeBilinear(images=images, size=(SIZE, SIZE), **options)
        features = _features((resized - 128.0) / 128.0, functools.partial(_convolutions, weights))
        return [features, ops.matmul(features, weights["fc.weight"].T)]

    function = tf.function(extract, autograph=False)
    try:
        return function.get_concrete_function(tf.TensorSpec((None, None, None, 3), tf.uint8))
    except KeyError as error:
        raise ValueError(f"it has no {error.args[0]}") from error


def _convolutions(weights, x, *names, strides=1, padding="same"):
    """Return the output of convolutions, one after the other; `strides` and `padding` are those of the last.

    Each has its batch normalization folded into its kernel and bias: with s = γ / √(variance + ε), the kernel times s,
    and β − s · mean.
    """
    for name in names:
        kernel = weights[f"{name}.conv.weight"].transpose(2, 3, 1, 0)
        parts = ("weight", "bias", "running_mean", "running_var")
        gamma, beta, mean, variance = (weights[f"{name}.bn.{part}"] for part in parts)
        scale = gamma / np.sqrt(variance + EPSILON)
        options = (strides, padding) if name == names[-1] else (1, "same")
        x = ops.relu(ops.conv(x, kernel * scale, *options, data_format="channels_last") + (beta - scale * mean))
    return x


def _features(x, conv):
    """Return the features of images of a network with the convolutions `conv`."""
    x = conv(x, "Conv2d_1a_3x3", strides=2, padding="valid")
    x = conv(x, "Conv2d_2a_3x3", padding="valid")
    x = _maximum(conv(x, "Conv2d_2b_3x3"))
    x = conv(x, "Conv2d_3b_1x1")
    x = _maximum(conv(x, "Conv2d_4a_3x3", padding="valid"))
    for name, block in _BLOCKS.items():
        x = ops.concatenate([*block(x, functools.partial(_within, conv, name))], axis=-1)
    return ops.mean(x, axis=(1, 2))


def _within(conv, block, x, *names, **options):
    """Return the output of the convolutions of a block."""
    return conv(x, *(f"{block}.{name}" for name in names), **options)


def _block_a(x, conv):
    """Yield the branches of a block at 35 × 35."""
    yield conv(x, "branch1x1")
    yield conv(x, "branch5x5_1", "branch5x5_2")
    yield conv(x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
    yield conv(_average(x), "branch_pool")


def _block_b(x, conv):
    """Yield the branches of the block from 35 × 35 to 17 × 17."""
    yield conv(x, "branch3x3", strides=2, padding="valid")
    yield conv(x, "branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3", strides=2, padding="valid")
    yield _maximum(x)


def _block_c(x, conv):
    """Yield the branches of a block at 17 × 17, with convolutions of 7 × 7 as 1 × 7 and 7 × 1."""
    yield conv(x, "branch1x1")
    yield conv(x, "branch7x7_1", "branch7x7_2", "branch7x7_3")
    yield conv(x, *(f"branch7x7dbl_{index}" for index in range(1, 6)))
    yield conv(_average(x), "branch_pool")


def _block_d(x, conv):
    """Yield the branches of the block from 17 × 17 to 8 × 8."""
    yield conv(x, "branch3x3_1", "branch3x3_2", strides=2, padding="valid")
    yield conv(x, *(f"branch7x7x3_{index}" for index in range(1, 5)), strides=2, padding="valid")
    yield _maximum(x)


def _block_e(x, conv, *, pooled=None):
    """Yield the branches of a block at 8 × 8, some of which end in a 1 × 3 beside a 3 × 1."""
    yield conv(x, "branch1x1")
    end = conv(x, "branch3x3_1")
    yield from (conv(end, "branch3x3_2a"), conv(end, "branch3x3_2b"))
    end = conv(x, "branch3x3dbl_1", "branch3x3dbl_2")
    yield from (conv(end, "branch3x3dbl_3a"), conv(end, "branch3x3dbl_3b"))
    yield conv(_average(x) if pooled is None else pooled, "branch_pool")


def _last_block(x, conv):
    """Yield the branches of the last block, which has a maximum in place of the average in the network of 2015."""
    return _block_e(x, conv, pooled=_maximum(x, strides=1, padding="same"))


def _average(x):
    """Return averages of 3 × 3 positions, at the border of those that exist: zeros around do not count."""
    return ops.average_pool(x, 3, 1, "same", data_format="channels_last")


def _maximum(x, strides=2, padding="valid"):
    return ops.max_pool(x, 3, strides, padding, data_format="channels_last")


_BLOCKS = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), _block_a),
    "Mixed_6a": _block_b,
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), _block_c),
    "Mixed_7a": _block_d,
    "Mixed_7b": _block_e,
    "Mixed_7c": _last_block,
}
"""The blocks by name, in order."""
