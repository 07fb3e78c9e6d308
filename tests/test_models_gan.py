"""The GAN: its train steps against explicit formulas, for every objective."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_helpers import (
    CLASSES,
    LATENT,
    assert_close,
    differ,
    fit,
    given,
    images,
    latents_of,
    make_gan,
    mostly_slow,
    sigmoid,
    weights,
)

from keras_gen import GAN, UsageError


@pytest.mark.parametrize("ratio", mostly_slow([1, 2], 2))
def test_gan_quantities_hold_together(ratio):
    model = make_gan(generator_batch_ratio=ratio)
    history = fit(model, images(), validation_data=(images(seed=1), np.arange(12)))
    names = {"d_loss", "d_loss_real", "d_loss_fake", "g_loss", "jsd", "d_real", "d_fake"}
    assert set(history) == names | {f"val_{name}" for name in names}
    for prefix in ("", "val_"):
        values = {name: np.array(history[prefix + name]) for name in names}
        np.testing.assert_allclose(values["d_loss"], (values["d_loss_real"] + values["d_loss_fake"]) / 2, rtol=1e-5)
        np.testing.assert_allclose(values["jsd"], math.log(2) - values["d_loss"], atol=1e-6)
        assert np.all((values["d_real"] > 0) & (values["d_real"] < 1) & (values["d_fake"] > 0) & (values["d_fake"] < 1))


def test_a_discriminator_that_knows_nothing_has_jsd_zero():
    model = make_gan()
    model.discriminator.layers[-1].set_weights([np.zeros((48, 1)), np.zeros(1)])
    values = model.evaluate(images(), verbose=0, return_dict=True)
    log_2 = math.log(2)
    expected = {"d_loss": log_2, "d_loss_real": log_2, "d_loss_fake": log_2, "g_loss": log_2}
    assert values == pytest.approx(expected | {"jsd": 0, "d_real": 0.5, "d_fake": 0.5}, abs=1e-6)


@pytest.mark.parametrize(
    "value_range, eager, num_classes",
    mostly_slow(
        [(low, *case) for low in ((0, 1), (-1, 1)) for case in ((True, 0), (False, 0), (False, CLASSES))],
        ((0, 1), True, 0),
        ((-1, 1), False, CLASSES),
    ),
)
def test_a_gan_step_is_descent_of_the_discriminator_then_of_the_generator(value_range, eager, num_classes):
    model = make_gan(
        eager=eager,
        num_classes=num_classes,
        generator_batch_ratio=2,
        value_range=value_range,
        optimizers=(keras.optimizers.SGD(0.3), keras.optimizers.SGD(0.2)),
    )
    activation = tf.sigmoid if value_range == (0, 1) else tf.tanh
    batch = images(5) if value_range == (0, 1) else 2 * images(5) - 1
    labels, key = np.array([2, 0, 3, 3, 1]), model.training_key(0)
    # Two latents for every image, and with each the image's label.
    repeated = np.array([2, 2, 0, 0, 3, 3, 3, 3, 1, 1])

    def by_hand():
        discriminator = model.discriminator.trainable_variables
        latents, _ = latents_of(tf.random.fold_in(key, 0), 5)
        with tf.GradientTape() as tape:
            on_real = tf.sigmoid(model.discriminator(given(batch, labels, num_classes)))
            fake = activation(model.generator(given(latents, labels, num_classes)))
            on_fake = tf.sigmoid(model.discriminator(given(fake, labels, num_classes)))
            real_loss, fake_loss = tf.reduce_mean(-tf.math.log(on_real)), tf.reduce_mean(-tf.math.log(1 - on_fake))
            loss = (real_loss + fake_loss) / 2
        for variable, gradient in zip(discriminator, tape.gradient(loss, discriminator), strict=True):
            variable.assign_sub(0.2 * gradient)
        latents = generator_latents()
        generator = model.generator.trainable_variables
        with tf.GradientTape() as tape:
            fake = activation(model.generator(given(latents, repeated, num_classes)))
            scores = tf.sigmoid(model.discriminator(given(fake, repeated, num_classes)))
            g_loss = tf.reduce_mean(-tf.math.log(scores))
        for variable, gradient in zip(generator, tape.gradient(g_loss, generator), strict=True):
            variable.assign_sub(0.3 * gradient)
        return {
            "d_loss": loss,
            "d_loss_real": real_loss,
            "d_loss_fake": fake_loss,
            "g_loss": g_loss,
            "jsd": math.log(2) - loss,
            "d_real": tf.reduce_mean(on_real),
            "d_fake": tf.reduce_mean(on_fake),
        }

    def generator_latents():
        return tf.random.stateless_normal((10, LATENT), tf.random.fold_in(key, 1))

    start, before = model.get_weights(), weights(model)
    expected_values = {name: float(value) for name, value in by_hand().items()}
    expected = weights(model)
    model.set_weights(start)
    history = fit(model, batch, labels, batch_size=5)
    assert all(differ(before, weights(model)))
    assert_close(weights(model), expected, atol=1e-6)
    assert {name: values[0] for name, values in history.items()} == pytest.approx(expected_values, rel=1e-5, abs=1e-6)


# Objectives


class Curve:
    """A loss as a function of the discriminator's output, and its derivative, in NumPy."""

    def __init__(self, value, slope):
        self.value, self.slope = value, slope


REAL_CROSS_ENTROPY = Curve(lambda y: -np.log(sigmoid(y)), lambda y: sigmoid(y) - 1)
FAKE_CROSS_ENTROPY = Curve(lambda y: -np.log(1 - sigmoid(y)), sigmoid)
SATURATING = Curve(lambda y: np.log(1 - sigmoid(y)), lambda y: -sigmoid(y))
TO_ONE = Curve(lambda y: (y - 1) ** 2, lambda y: 2 * (y - 1))
TO_ZERO = Curve(lambda y: y**2, lambda y: 2 * y)
SIGMOID_TO_ONE = Curve(lambda y: (sigmoid(y) - 1) ** 2, lambda y: 2 * (sigmoid(y) - 1) * sigmoid(y) * (1 - sigmoid(y)))
SIGMOID_TO_ZERO = Curve(lambda y: sigmoid(y) ** 2, lambda y: 2 * sigmoid(y) * sigmoid(y) * (1 - sigmoid(y)))
REAL_HINGE = Curve(lambda y: np.maximum(0, 1 - y), lambda y: -1.0 * (y < 1))
FAKE_HINGE = Curve(lambda y: np.maximum(0, 1 + y), lambda y: 1.0 * (y > -1))

# The discriminator's losses on real and generated images, the generator's loss, the activation of D.
OBJECTIVES = {
    "non_saturating": (REAL_CROSS_ENTROPY, FAKE_CROSS_ENTROPY, REAL_CROSS_ENTROPY, sigmoid),
    "saturating": (REAL_CROSS_ENTROPY, FAKE_CROSS_ENTROPY, SATURATING, sigmoid),
    "least_squares": (TO_ONE, TO_ZERO, TO_ONE, lambda y: y),
    "least_squares_sigmoid": (SIGMOID_TO_ONE, SIGMOID_TO_ZERO, SIGMOID_TO_ONE, sigmoid),
    "hinge": (REAL_HINGE, FAKE_HINGE, Curve(lambda y: -y, lambda y: -np.ones_like(y)), lambda y: y),
}


def linear_gan(kind=GAN, **arguments):
    """Make a GAN of the generator z A + a and the discriminator x b + c."""
    keras.utils.set_random_seed(0)
    generator = keras.Sequential([keras.Input((2,)), keras.layers.Dense(6), keras.layers.Reshape((2, 3, 1))])
    discriminator = keras.Sequential([keras.Input((2, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    rng = np.random.default_rng(1)
    for network in (generator, discriminator):
        network.set_weights([rng.normal(size=array.shape) for array in network.get_weights()])
    model = kind(generator, discriminator, from_logits=False, **arguments)
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.05), run_eagerly=True)
    return model


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_step_of_every_objective_is_that_of_its_derivatives_for_a_linear_pair(objective):
    on_real, on_fake, of_generator, activation = OBJECTIVES[objective]
    model = linear_gan(objective=objective)
    x = np.random.default_rng(0).uniform(size=(5, 2, 3, 1)).astype("float32")
    key = model.training_key(0)
    to_images, image_offset, to_output, output_offset = (np.asarray(array, float) for array in model.get_weights()[-4:])

    discriminator_key = tf.random.split(tf.random.fold_in(key, 0), 2)[0]
    real = x.reshape(5, 6)
    fake = tf.random.stateless_normal((5, 2), discriminator_key).numpy() @ to_images + image_offset
    real_output, fake_output = (flat @ to_output[:, 0] + output_offset for flat in (real, fake))
    expected = {
        "d_loss": np.mean(on_real.value(real_output) + on_fake.value(fake_output)) / 2,
        "d_loss_real": np.mean(on_real.value(real_output)),
        "d_loss_fake": np.mean(on_fake.value(fake_output)),
        "d_real": np.mean(activation(real_output)),
        "d_fake": np.mean(activation(fake_output)),
    }
    if "saturating" in objective:
        expected["jsd"] = math.log(2) - expected["d_loss"]
    slopes = on_real.slope(real_output) / 10, on_fake.slope(fake_output) / 10
    to_output = to_output - 0.05 * (slopes[0] @ real + slopes[1] @ fake)[:, None]
    output_offset = output_offset - 0.05 * (slopes[0].sum() + slopes[1].sum())

    latents = tf.random.stateless_normal((5, 2), tf.random.fold_in(key, 1)).numpy()
    output = (latents @ to_images + image_offset) @ to_output[:, 0] + output_offset
    expected["g_loss"] = np.mean(of_generator.value(output))
    of_images = np.outer(of_generator.slope(output) / 5, to_output)
    to_images, image_offset = to_images - 0.1 * latents.T @ of_images, image_offset - 0.1 * of_images.sum(axis=0)

    before = model.get_weights()[-4:]
    history = fit(model, x, batch_size=5)
    assert all(differ(before, model.get_weights()[-4:]))
    assert_close(model.get_weights()[-4:], (to_images, image_offset, to_output, output_offset), atol=1e-5)
    assert {name: value for name, (value,) in history.items()} == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_an_unknown_objective_is_refused_with_the_known_ones():
    known = ", ".join([*OBJECTIVES, "relativistic"])
    with pytest.raises(UsageError, match=f"^objective must be one of {known}, received: 'hinges'"):
        linear_gan(objective="hinges")


@pytest.mark.parametrize("ratio", [1, 2])
def test_a_step_of_the_relativistic_objective_is_that_of_its_derivatives_for_a_linear_pair(ratio):
    model = linear_gan(objective="relativistic", generator_batch_ratio=ratio)
    x = np.random.default_rng(0).uniform(size=(5, 2, 3, 1)).astype("float32")
    key, real = model.training_key(0), x.reshape(5, 6)
    to_images, image_offset, to_output, output_offset = (np.asarray(array, float) for array in model.get_weights()[-4:])
    discriminator_key = tf.random.split(tf.random.fold_in(key, 0), 2)[0]
    fake = tf.random.stateless_normal((5, 2), discriminator_key).numpy() @ to_images + image_offset
    real_output, fake_output = (flat @ to_output[:, 0] + output_offset for flat in (real, fake))
    margin = real_output - fake_output
    expected = {
        "d_loss": np.mean(-np.log(sigmoid(margin))),
        "d_real": real_output.mean(),
        "d_fake": fake_output.mean(),
    }
    slopes = (sigmoid(margin) - 1) / 5  # the offset of the output cancels
    to_output = to_output - 0.05 * (slopes @ (real - fake))[:, None]

    latents = tf.random.stateless_normal((5 * ratio, 2), tf.random.fold_in(key, 1)).numpy()
    pairs = np.repeat(real, ratio, axis=0)
    margin = (latents @ to_images + image_offset - pairs) @ to_output[:, 0]
    expected["g_loss"] = np.mean(-np.log(sigmoid(margin)))
    of_images = np.outer((sigmoid(margin) - 1) / len(margin), to_output)
    to_images, image_offset = to_images - 0.1 * latents.T @ of_images, image_offset - 0.1 * of_images.sum(axis=0)
    history = fit(model, x, batch_size=5)
    assert_close(model.get_weights()[-4:], (to_images, image_offset, to_output, output_offset), atol=1e-5)
    assert {name: value for name, (value,) in history.items()} == pytest.approx(expected, rel=1e-4, abs=1e-5)


class Brightening(GAN):
    """A GAN whose generator maximizes brightness and ignores the discriminator."""

    def generator_loss(self, real, fake, labels, *, training):
        brightness = tf.reduce_mean(fake, axis=[1, 2, 3])
        return -brightness, {"g_loss": -brightness}


def test_a_subclass_overrides_the_generators_objective():
    model, plain = linear_gan(Brightening), linear_gan()
    x = np.random.default_rng(0).uniform(size=(5, 2, 3, 1)).astype("float32")
    to_images, image_offset = model.generator.get_weights()
    latents = tf.random.stateless_normal((5, 2), tf.random.fold_in(model.training_key(0), 1)).numpy()
    history, plain_history = fit(model, x, batch_size=5), fit(plain, x, batch_size=5)
    assert set(history) == set(plain_history)
    # The discriminator's step is the same.
    assert {name for name, values in history.items() if values != plain_history[name]} == {"g_loss"}
    assert not any(differ(model.discriminator.get_weights(), plain.discriminator.get_weights()))
    assert history["g_loss"] == [pytest.approx(-np.mean(latents @ to_images + image_offset), rel=1e-5)]
    # Each of 6 pixels of each of 5 images weighs 1 / 30 in the mean brightness.
    expected = to_images + 0.1 * np.repeat(latents.sum(axis=0)[:, None], 6, axis=1) / 30, image_offset + 0.1 / 6
    assert_close(model.generator.get_weights(), expected, atol=1e-6)
    assert "val_g_loss" in fit(model, x, validation_data=x)
