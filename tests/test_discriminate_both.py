"""One call of the discriminator for real and generated images: the same training as two calls."""

import keras
import numpy as np
import pytest

from keras_gen import GAN, WGAN
from keras_gen.models import network_checks
from model_helpers import SHAPE, images, make_gan, mostly_slow, normalized_critic, weights


def _trained(is_together, kind, num_classes, **arguments):
    model = make_gan(kind, num_classes=num_classes, eager=False, **arguments)
    assert model._is_per_image
    model._is_per_image = is_together
    labels = np.arange(12) % num_classes if num_classes else None
    history = model.fit(images(), labels, batch_size=6, epochs=2, shuffle=False, verbose=0).history
    return weights(model), {name: values[-1] for name, values in history.items()}


@pytest.mark.parametrize(
    ("kind", "num_classes", "arguments"),
    mostly_slow(
        [
            (GAN, 0, {}),
            (GAN, 3, {"objective": "relativistic"}),
            (WGAN, 0, {"critic_steps": 2}),
            (WGAN, 3, {"critic_steps": 1, "gradient_penalty": 0.0, "weight_clip": 0.1}),
        ],
        (GAN, 3, {"objective": "relativistic"}),
        (WGAN, 0, {"critic_steps": 2}),
    ),
)
def test_one_call_trains_as_two_calls_do(kind, num_classes, arguments):
    together, apart = (_trained(is_together, kind, num_classes, **arguments) for is_together in (True, False))
    for one, other in zip(together[0], apart[0], strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    assert together[1] == pytest.approx(apart[1], abs=1e-5)


def test_real_and_generated_images_keep_their_order_and_labels():
    model = make_gan(num_classes=3)
    real, fake, labels = images(4, seed=1), images(4, seed=2), np.array([0, 2, 1, 1])
    calls = []
    original = model.discriminate
    model.discriminate = lambda *given, **options: calls.append(len(given[0])) or original(*given, **options)
    for outputs, each in zip(model.discriminate_both(real, fake, labels, training=True), (real, fake), strict=True):
        np.testing.assert_allclose(outputs, original(each, labels, training=True), atol=1e-6)
    assert calls == [8]
    model._is_per_image = False
    model.discriminate_both(real, fake, labels, training=True)
    assert calls == [8, 4, 4]


class OwnLayer(keras.layers.Layer):
    def call(self, x):
        return x - keras.ops.mean(x, axis=0, keepdims=True)


def _critic_with(*functions):
    x = inputs = keras.Input(SHAPE)
    for function in (keras.layers.Flatten(), *functions, keras.layers.Dense(1)):
        x = function(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    ("critic", "is_per_image"),
    [
        (lambda: _critic_with(keras.layers.LayerNormalization(), keras.layers.Dropout(0.5)), True),
        (lambda: _critic_with(keras.layers.SpectralNormalization(keras.layers.Dense(2))), True),
        (lambda: keras.Sequential([_critic_with()]), True),
        (lambda: normalized_critic(), False),
        (lambda: keras.Sequential([keras.Input(SHAPE), normalized_critic()]), False),
        (lambda: _critic_with(OwnLayer()), False),
        (lambda: _critic_with(lambda x: x - keras.ops.mean(x, axis=0, keepdims=True)), False),
        (lambda: _critic_with(keras.Sequential([keras.layers.Dense(2), keras.layers.Lambda(lambda x: x)])), False),
    ],
)
def test_only_a_network_that_certainly_treats_images_independently_is_called_once(critic, is_per_image):
    assert network_checks.is_per_image(critic()) is is_per_image
