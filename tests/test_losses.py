"""Losses against closed forms, scipy.stats and derivatives taken by hand."""

import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from keras_gen import losses


def _rng():
    return np.random.default_rng(0)


def _images(*shape):
    return _rng().uniform(size=shape).astype("float32")


# Bernoulli


@pytest.mark.parametrize("from_logits", [True, False])
def test_bernoulli_equals_scipy_on_binary_pixels(from_logits):
    rng = _rng()
    pixels = rng.integers(0, 2, size=(5, 4, 3, 2))
    probabilities = rng.uniform(0.02, 0.98, size=pixels.shape)
    prediction = np.log(probabilities / (1 - probabilities)) if from_logits else probabilities
    actual = losses.bernoulli_negative_log_likelihood(
        tf.constant(pixels, tf.float32), tf.constant(prediction, tf.float32), from_logits=from_logits
    )
    expected = -scipy.stats.bernoulli.logpmf(pixels, probabilities).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("from_logits", [True, False])
def test_bernoulli_on_grey_pixels_is_the_cross_entropy(from_logits):
    images = _images(5, 4, 3, 2)
    logits = _rng().normal(size=images.shape)
    probabilities = 1 / (1 + np.exp(-logits))
    prediction = logits if from_logits else probabilities
    actual = losses.bernoulli_negative_log_likelihood(
        tf.constant(images), tf.constant(prediction, tf.float32), from_logits=from_logits
    )
    expected = -(images * np.log(probabilities) + (1 - images) * np.log(1 - probabilities)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_bernoulli_is_exact_and_finite_at_extreme_logits():
    images = tf.constant([0.0, 1.0, 0.0, 1.0], shape=(4, 1, 1, 1))
    logits = tf.Variable(tf.constant([1e4, -1e4, -1e4, 1e4], shape=(4, 1, 1, 1)))
    with tf.GradientTape() as tape:
        values = losses.bernoulli_negative_log_likelihood(images, logits, from_logits=True)
    np.testing.assert_allclose(values, [1e4, 1e4, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(tf.reshape(tape.gradient(values, logits), [-1]), [1, -1, 0, 0], atol=1e-6)


def test_bernoulli_clips_probabilities_of_zero_and_one():
    images = tf.constant([0.0, 1.0, 0.0, 1.0], shape=(4, 1, 1, 1))
    probabilities = tf.constant([1.0, 0.0, 0.0, 1.0], shape=(4, 1, 1, 1))
    values = losses.bernoulli_negative_log_likelihood(images, probabilities, from_logits=False)
    assert np.all(np.isfinite(values))
    # The float32 next to 1 - 1e-7 is 1 - 2^-23, so the first is 15.94 rather than 16.12.
    np.testing.assert_allclose(values[:2], [23 * math.log(2), -math.log(1e-7)], rtol=1e-3)
    np.testing.assert_allclose(values[2:], [0, 0], atol=2e-7)


# Gaussian


@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0])
def test_gaussian_equals_scipy(scale):
    images, mean = _images(6, 5, 4, 3), _rng().normal(size=(6, 5, 4, 3)).astype("float32")
    actual = losses.gaussian_negative_log_likelihood(tf.constant(images), tf.constant(mean), scale)
    expected = -scipy.stats.norm.logpdf(images.astype(float), mean.astype(float), scale).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_gaussian_of_784_pixels_attains_its_bound_of_720_nats_exactly_at_the_mean():
    images = tf.constant(_images(2, 28, 28, 1))
    at_mean = losses.gaussian_negative_log_likelihood(images, images, 1.0)
    bound = 392 * math.log(2 * math.pi)
    assert round(bound, 1) == 720.4
    np.testing.assert_allclose(at_mean, [bound, bound], rtol=1e-6)
    off_mean = losses.gaussian_negative_log_likelihood(images, images + 0.1, 1.0)
    np.testing.assert_allclose(off_mean - at_mean, [0.5 * 784 * 0.01] * 2, rtol=1e-3)


def test_gaussian_with_a_small_scale_is_negative():
    image = tf.zeros((1, 28, 28, 1))
    value = float(losses.gaussian_negative_log_likelihood(image, image, 0.1)[0])
    assert value == pytest.approx(784 * (math.log(0.1) + 0.5 * math.log(2 * math.pi)), rel=1e-5)
    assert value < 0


def test_summed_squared_error_is_a_gaussian_of_variance_one_half_up_to_a_constant():
    images, mean = _images(3, 4, 4, 1), _images(3, 4, 4, 1)[::-1].copy()
    values = losses.gaussian_negative_log_likelihood(tf.constant(images), tf.constant(mean), math.sqrt(0.5))
    squared_errors = ((images - mean) ** 2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(values - squared_errors, [8 * math.log(math.pi)] * 3, rtol=1e-5)


# KL


def test_kl_of_the_prior_is_zero():
    assert losses.kl_divergence(tf.zeros((3, 7)), tf.zeros((3, 7))).numpy().tolist() == [0, 0, 0]


def test_kl_equals_the_closed_form_in_standard_deviations():
    rng = _rng()
    mean, deviation = rng.normal(size=(6, 5)), rng.uniform(0.1, 3, size=(6, 5))
    expected = (-np.log(deviation) + (deviation**2 + mean**2) / 2 - 0.5).sum(axis=1)
    actual = losses.kl_divergence(tf.constant(mean, tf.float32), tf.constant(2 * np.log(deviation), tf.float32))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_kl_equals_a_monte_carlo_mean_of_the_log_ratio():
    rng = _rng()
    mean, deviation = np.array([0.5, -1.0, 0.0]), np.array([0.5, 1.0, 2.0])
    draws = rng.normal(mean, deviation, size=(200_000, 3))
    ratios = (scipy.stats.norm.logpdf(draws, mean, deviation) - scipy.stats.norm.logpdf(draws)).sum(axis=1)
    error = ratios.std() / math.sqrt(len(ratios))
    actual = losses.kl_divergence(
        tf.constant(mean[None], tf.float32), tf.constant(2 * np.log(deviation)[None], tf.float32)
    )
    assert error < 0.01
    assert float(actual[0]) == pytest.approx(ratios.mean(), abs=4 * error)


def test_kl_is_positive_away_from_the_prior():
    rng = _rng()
    values = losses.kl_divergence(
        tf.constant(rng.normal(size=(50, 4)), tf.float32), tf.constant(rng.normal(size=(50, 4)), tf.float32)
    )
    assert np.all(values.numpy() > 0)


# Cross-entropies


def test_cross_entropies_are_minus_the_log_of_the_sigmoid_and_of_its_complement():
    logits = np.linspace(-8, 8, 33)
    probabilities = 1 / (1 + np.exp(-logits))
    given = tf.constant(logits[:, None], tf.float32)
    np.testing.assert_allclose(losses.real_cross_entropy(given), -np.log(probabilities), rtol=1e-5)
    np.testing.assert_allclose(losses.fake_cross_entropy(given), -np.log1p(-probabilities), rtol=1e-5)
    np.testing.assert_allclose(losses.non_saturating_generator_loss(given), -np.log(probabilities), rtol=1e-5)


def test_cross_entropies_are_finite_at_extreme_logits():
    logits = tf.constant([[-1e4], [1e4]])
    np.testing.assert_allclose(losses.real_cross_entropy(logits), [1e4, 0], atol=1e-6)
    np.testing.assert_allclose(losses.fake_cross_entropy(logits), [0, 1e4], atol=1e-6)


def test_the_generator_loss_keeps_its_gradient_where_the_discriminator_is_sure():
    logits = tf.Variable([[-30.0]])
    with tf.GradientTape() as tape:
        loss = losses.non_saturating_generator_loss(logits)
    assert float(tape.gradient(loss, logits)[0, 0]) == pytest.approx(-1, abs=1e-6)


# Gradient penalty


def _linear_critic(weights):
    return lambda images: tf.reduce_sum(images * weights, axis=[1, 2, 3])[:, None]


@pytest.mark.parametrize("norm", [0.5, 1.0, 3.0])
def test_gradient_penalty_of_a_linear_critic_is_its_norm_minus_one_squared(norm):
    rng = _rng()
    weights = rng.normal(size=(1, 4, 5, 3))
    weights = tf.constant(norm * weights / np.sqrt((weights**2).sum()), tf.float32)
    real, fake = tf.constant(_images(6, 4, 5, 3)), tf.constant(_images(6, 4, 5, 3)[::-1].copy())
    mixing = tf.constant(_images(6, 1, 1, 1))
    values = losses.gradient_penalty(_linear_critic(weights), real, fake, mixing)
    np.testing.assert_allclose(values, [(norm - 1) ** 2] * 6, atol=2e-6)


def test_gradient_penalty_of_a_quadratic_critic_is_taken_at_the_interpolates():
    # critic(x) = a |x|², so its gradient is 2 a x and its norm 2 a |x|.
    factor = 0.7
    real, fake, mixing = _images(6, 4, 5, 2), -2 * _images(6, 4, 5, 2)[::-1], _images(6, 1, 1, 1)
    between = (1 - mixing) * real + mixing * fake
    expected = (2 * factor * np.sqrt((between**2).sum(axis=(1, 2, 3))) - 1) ** 2
    values = losses.gradient_penalty(
        lambda images: factor * tf.reduce_sum(tf.square(images), axis=[1, 2, 3])[:, None],
        tf.constant(real),
        tf.constant(fake, tf.float32),
        tf.constant(mixing),
    )
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("mixing, at", [(0.0, 0), (1.0, 1)])
def test_gradient_penalty_mixes_from_the_real_image_to_the_generated_one(mixing, at):
    pair = [tf.ones((1, 2, 2, 1)), 3 * tf.ones((1, 2, 2, 1))]
    value = losses.gradient_penalty(
        lambda images: tf.reduce_sum(tf.square(images), axis=[1, 2, 3])[:, None], *pair, tf.fill((1, 1, 1, 1), mixing)
    )
    # |∇| = 2 |x|, and |x| is 2 for the first image, 6 for the second.
    assert float(value[0]) == pytest.approx(((2 * 2 - 1) ** 2, (2 * 6 - 1) ** 2)[at], rel=1e-6)


def test_gradient_penalty_of_a_dead_critic_is_one_and_its_own_gradient_is_finite():
    weights = tf.Variable(tf.zeros((1, 3, 3, 1)))
    images = tf.constant(_images(4, 3, 3, 1))
    with tf.GradientTape() as tape:
        values = losses.gradient_penalty(_linear_critic(weights), images, images, tf.zeros((4, 1, 1, 1)))
        loss = tf.reduce_mean(values)
    np.testing.assert_allclose(values, [1] * 4, rtol=1e-5)
    gradient = tape.gradient(loss, weights)
    assert gradient is not None
    assert np.all(np.isfinite(gradient))


def test_gradient_penalty_has_the_right_gradient_in_the_weights():
    # d/dw (|w| - 1)² = 2 (|w| - 1) w / |w|
    start = np.array([3.0, 4.0], "float32").reshape(1, 1, 2, 1)
    weights = tf.Variable(start)
    images = tf.constant(_images(5, 1, 2, 1))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(
            losses.gradient_penalty(_linear_critic(weights), images, images + 1, tf.constant(_images(5, 1, 1, 1)))
        )
    np.testing.assert_allclose(tape.gradient(loss, weights), 2 * 4 * start / 5, rtol=1e-5)


# Shapes


def test_every_loss_gives_one_value_an_example():
    images, latents, scores = tf.zeros((3, 4, 5, 2)), tf.zeros((3, 7)), tf.zeros((3, 1))
    results = {
        "bernoulli": losses.bernoulli_negative_log_likelihood(images, images, from_logits=True),
        "bernoulli of probabilities": losses.bernoulli_negative_log_likelihood(images, images, from_logits=False),
        "gaussian": losses.gaussian_negative_log_likelihood(images, images, 1.0),
        "kl": losses.kl_divergence(latents, latents),
        "real": losses.real_cross_entropy(scores),
        "fake": losses.fake_cross_entropy(scores),
        "generator": losses.non_saturating_generator_loss(scores),
        "penalty": losses.gradient_penalty(
            lambda x: tf.reduce_sum(x, axis=[1, 2, 3])[:, None], images, images, tf.zeros((3, 1, 1, 1))
        ),
    }
    assert {name: tuple(values.shape) for name, values in results.items()} == dict.fromkeys(results, (3,))
