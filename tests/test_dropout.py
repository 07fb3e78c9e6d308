"""`Dropout` on one device equals Keras'; test_distribution.py has several replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gen import distribution, networks


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_on_one_device_it_is_keras_own(rate, dtype):
    x = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    ours, theirs = (layer(rate, seed=7, dtype=dtype) for layer in (networks.Dropout, keras.layers.Dropout))
    for _ in range(2):
        results = [np.asarray(layer(x, training=True)).astype("float32") for layer in (ours, theirs)]
        np.testing.assert_array_equal(*results)
        assert (results[0] == 0).any() == (rate > 0)
    np.testing.assert_array_equal(np.asarray(ours(x)), np.asarray(theirs(x)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_mask_that_replicas_share_is_keras_own(dtype):
    x = tf.cast(tf.random.stateless_normal((4, 5, 3), [1, 2]), dtype)
    seed = tf.constant([3, 4])
    expected = tf.nn.experimental.stateless_dropout(x, 0.3, seed)
    result = distribution.dropout(x, 0.3, seed)
    assert result.dtype == dtype
    np.testing.assert_array_equal(tf.cast(result, tf.float32), tf.cast(expected, tf.float32))


@pytest.mark.parametrize("noise_shape", [(None, 1, None), (1, 5, 3), (1, 1, None)], ids=str)
def test_a_mask_of_another_shape_is_keras_own(noise_shape):
    x = tf.random.stateless_normal((4, 5, 3), [1, 2])
    seed = tf.constant([3, 4])
    shape = [own if given is None else given for own, given in zip(x.shape, noise_shape, strict=True)]
    expected = tf.nn.experimental.stateless_dropout(x, 0.3, seed, noise_shape=shape)
    np.testing.assert_array_equal(distribution.dropout(x, 0.3, seed, noise_shape), expected)


def test_a_saved_network_has_it_again(tmp_path):
    network = networks.conv_discriminator((8, 8, 1), filters=(3,), dropout=0.25)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    (layer,) = (layer for layer in loaded.layers if isinstance(layer, keras.layers.Dropout))
    assert type(layer) is networks.Dropout
    assert layer.rate == 0.25
