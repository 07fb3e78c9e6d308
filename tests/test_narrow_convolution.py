"""`NarrowConv2D` against `keras.layers.Conv2D`: values, gradients, files."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gen import UsageError, networks
from keras_gen.networks.layers import NarrowConv2D


def pair(filters, kernel_size, channels, **options):
    """Return both layers, with the same weights."""
    ours = NarrowConv2D(filters, kernel_size, **options)
    theirs = keras.layers.Conv2D(filters, kernel_size, padding="same", **options)
    for layer in (ours, theirs):
        layer.build((None, 9, 10, channels))
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=weight.shape).astype("float32") for weight in theirs.weights]
    for layer in (ours, theirs):
        layer.set_weights(weights)
    return ours, theirs


CASES = [
    (1, 7, 128, {}),
    (3, 5, 16, {}),
    (2, (3, 5), 4, {"use_bias": False}),
    (1, 1, 3, {}),
    (3, (7, 1), 2, {"activation": "tanh"}),
    (1, (1, 9), 2, {}),
]


@pytest.mark.parametrize(("filters", "kernel_size", "channels", "options"), CASES, ids=str)
def test_values_and_gradients_are_those_of_a_convolution(filters, kernel_size, channels, options):
    layers = pair(filters, kernel_size, channels, **options)
    inputs = tf.random.stateless_normal((4, 9, 10, channels), [1, 2])
    weighting = tf.random.stateless_normal((4, 9, 10, filters), [3, 4])
    found = []
    for layer in layers:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            loss = tf.reduce_sum(outputs * weighting)
        sources = [inputs, *(weight.value for weight in layer.trainable_weights)]
        found.append([outputs, *tape.gradient(loss, sources)])
    for one, other in zip(*found, strict=True):
        scale = float(tf.reduce_max(tf.abs(other)))
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * scale)


def test_an_image_may_be_narrower_than_the_kernel():
    ours, theirs = pair(1, 9, 2)
    inputs = tf.random.stateless_normal((2, 3, 2, 2), [1, 2])
    np.testing.assert_allclose(ours(inputs), theirs(inputs), rtol=1e-5, atol=1e-5)


def test_its_weights_have_the_shapes_and_names_of_a_convolutions():
    ours, theirs = pair(3, 5, 16)
    assert [(w.name, w.shape) for w in ours.weights] == [(w.name, w.shape) for w in theirs.weights]


@pytest.mark.parametrize(
    ("kernel_size", "options", "message"),
    [
        (4, {}, "kernel_size must be odd, received: 4"),
        ((3, 2), {}, "kernel_size must be odd"),
        (3, {"strides": 2}, "NarrowConv2D takes no strides"),
        (3, {"padding": "valid"}, "NarrowConv2D takes no padding"),
    ],
)
def test_unsupported_options_are_refused(kernel_size, options, message):
    with pytest.raises(UsageError, match=message):
        NarrowConv2D(1, kernel_size, **options)


def test_a_model_with_it_is_saved_and_loaded(tmp_path):
    model = networks.transposed_conv_generator((8, 8, 1), latent_dim=2, filters=3)
    assert isinstance(model.layers[-1], NarrowConv2D)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(np.ones((1, 2), "float32")), model(np.ones((1, 2), "float32")))


def test_the_width_may_be_unknown_when_the_layer_is_traced():
    ours, theirs = pair(2, 5, 3)
    inputs = np.random.default_rng(0).normal(size=(2, 9, 10, 3)).astype("float32")
    traced = tf.function(ours, input_signature=[tf.TensorSpec([None, None, None, 3])])
    np.testing.assert_allclose(traced(inputs), theirs(inputs), rtol=1e-4, atol=1e-4)
