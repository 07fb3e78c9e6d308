"""One call of the discriminator for real and generated images: the same training as two calls."""

import itertools

import keras
import numpy as np
import pytest

from keras_gen import GAN, WGAN, networks
from keras_gen.models import network_checks
from keras_gen.utils import keras_internals
from model_helpers import SHAPE, images, make_gan, mostly_slow, normalized_critic, weights


def _trained(is_together, kind, num_classes, **arguments):
    model = make_gan(kind, num_classes=num_classes, eager=False, **arguments)
    assert model._joins_calls
    model._joins_calls = is_together
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
    model._joins_calls = False
    model.discriminate_both(real, fake, labels, training=True)
    assert calls == [8, 4, 4]


def test_a_model_that_overrides_discriminate_gets_one_kind_of_images_at_a_time():
    class Centered(GAN):
        def discriminate(self, images, labels, *, training):
            return _centered(super().discriminate(images, labels, training=training))

    model = make_gan(Centered)
    for outputs in model.discriminate_both(images(4, seed=1), images(4, seed=2), None, training=True):
        np.testing.assert_allclose(np.mean(outputs), 0, atol=1e-6)


def _centered(x):
    return x - keras.ops.mean(x, axis=0, keepdims=True)


class OwnLayer(keras.layers.Layer):
    def call(self, x):
        return _centered(x)


class OwnModel(keras.Model):
    def call(self, x, training=None):
        return _centered(super().call(x, training=training))


def _own_model():
    inputs = keras.Input(SHAPE)
    return OwnModel(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))


def _critic_with(*functions):
    x = inputs = keras.Input(SHAPE)
    for function in (keras.layers.Flatten(), *functions, keras.layers.Dense(1)):
        x = function(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize(
    ("critic", "is_per_image"),
    [
        (lambda: _critic_with(keras.layers.LayerNormalization(), keras.layers.Dropout(0.5)), True),
        (lambda: _critic_with(keras.layers.Dense(4, "relu"), keras.layers.Activation("tanh")), True),
        (lambda: _critic_with(keras.layers.SpectralNormalization(keras.layers.Dense(2))), True),
        (lambda: keras.Sequential([_critic_with()]), True),
        (lambda: normalized_critic(), False),
        (lambda: keras.Sequential([keras.Input(SHAPE), normalized_critic()]), False),
        (lambda: _critic_with(OwnLayer()), False),
        (lambda: _critic_with(_centered), False),
        (_own_model, False),
        (lambda: _critic_with(keras.layers.Dense(4, activation=_centered)), False),
        (lambda: _critic_with(keras.layers.Activation(_centered)), False),
        (lambda: _critic_with(keras.layers.Softmax(axis=0)), False),
        (lambda: _critic_with(keras.layers.Dense(4, activity_regularizer="l2")), False),
        (lambda: _critic_with(keras.layers.ActivityRegularization(l2=0.1)), False),
        (lambda: _critic_with(keras.Sequential([keras.layers.Dense(2), keras.layers.Lambda(lambda x: x)])), False),
    ],
)
def test_only_a_network_that_certainly_treats_images_independently_is_called_once(critic, is_per_image):
    assert network_checks.is_per_image(critic()) is is_per_image


@pytest.mark.parametrize(
    ("name", "normalization"),
    [
        *itertools.product(("mlp_discriminator", "conv_discriminator", "deep_conv_discriminator"), ("none", "spectral")),
        ("deep_conv_discriminator", "layer"),
    ],
)
def test_the_discriminators_of_the_package_are_called_once(name, normalization):
    network = getattr(networks, name)((16, 16, 1), normalization=normalization, num_classes=3)
    assert network_checks.is_per_image(network)


def test_a_penalty_on_activations_is_the_same_for_both_kinds_of_images_together():
    """Keras divides it by the number of images in a call."""
    critic = _critic_with(keras.layers.Dense(4, activity_regularizer=keras.regularizers.L2(0.1)))
    model = GAN(networks.mlp_decoder(SHAPE, latent_dim=3, hidden=(4,)), critic)
    real, fake = images(4, seed=1), images(4, seed=2)
    with keras_internals.collect_losses(critic):
        model.discriminate_both(real, fake, None, training=True)
        total = sum(map(float, critic.losses))
    expected = 0.0
    for each in (real, fake):
        critic(each, training=True)
        expected += sum(map(float, critic.losses))
    assert total == pytest.approx(expected, rel=1e-5)
