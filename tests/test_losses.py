"""Losses against closed forms, scipy.stats and analytic derivatives."""

import math

import numpy as np
import pytest
import scipy.spatial.distance
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
def test_bernoulli_on_gray_pixels_is_the_cross_entropy(from_logits):
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


def test_summed_squared_error_is_a_gaussian_of_variance_one_half_up_to_a_constant():
    images, mean = _images(3, 4, 4, 1), _images(3, 4, 4, 1)[::-1].copy()
    values = losses.gaussian_negative_log_likelihood(tf.constant(images), tf.constant(mean), math.sqrt(0.5))
    squared_errors = ((images - mean) ** 2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(values - squared_errors, [8 * math.log(math.pi)] * 3, rtol=1e-5)


@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0])
def test_a_tensor_as_scale_is_the_number_and_has_the_right_gradient(scale):
    images, mean = _images(3, 4, 4, 1), _images(3, 4, 4, 1)[::-1].copy()
    variable = tf.Variable(scale)
    with tf.GradientTape() as tape:
        values = losses.gaussian_negative_log_likelihood(tf.constant(images), tf.constant(mean), variable)
        total = tf.reduce_sum(values)
    expected = -scipy.stats.norm.logpdf(images.astype(float), mean.astype(float), scale).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    # Of Σ ½ e² / σ² + log σ in σ.
    slope = 48 / scale - ((images - mean) ** 2).sum() / scale**3
    assert float(tape.gradient(total, variable)) == pytest.approx(slope, rel=1e-4)


def test_the_best_scale_is_the_root_of_the_mean_squared_error():
    images, mean = tf.constant(_images(3, 4, 4, 1)), tf.constant(_images(3, 4, 4, 1)[::-1].copy())
    best = math.sqrt(np.mean((images - mean) ** 2))
    scale = tf.Variable(best)
    with tf.GradientTape() as tape:
        at_best = tf.reduce_mean(losses.gaussian_negative_log_likelihood(images, mean, scale))
    assert float(tape.gradient(at_best, scale)) == pytest.approx(0, abs=1e-4)
    assert float(at_best) == pytest.approx(8 * (1 + math.log(2 * math.pi * best**2)), rel=1e-5)
    for factor in (0.5, 0.9, 1.1, 2.0):
        other = tf.reduce_mean(losses.gaussian_negative_log_likelihood(images, mean, factor * best))
        # D (log f + (1 / f² − 1) / 2) more, which is over 0 for every f but 1.
        excess = 16 * (math.log(factor) + (factor**-2 - 1) / 2)
        assert float(other - at_best) == pytest.approx(excess, rel=1e-2)
        assert excess > 0.1


def test_the_mean_squared_error_is_a_mean_over_the_pixels_of_each_image():
    images, others = _images(3, 4, 5, 2), _images(3, 4, 5, 2)[::-1].copy()
    values = losses.mean_squared_error(tf.constant(images), tf.constant(others))
    np.testing.assert_allclose(values, ((images - others) ** 2).reshape(3, 40).mean(axis=1), rtol=1e-5)


# Mean cross-entropy


@pytest.mark.parametrize("from_logits", [True, False])
def test_the_mean_cross_entropy_is_a_mean_over_pixels_and_channels(from_logits):
    images, logits = _images(3, 4, 5, 2), _rng().normal(size=(3, 4, 5, 2)).astype("float32")
    probabilities = 1 / (1 + np.exp(-logits))
    actual = losses.mean_cross_entropy(
        tf.constant(images), tf.constant(logits if from_logits else probabilities), from_logits=from_logits
    )
    pixels = -(images * np.log(probabilities) + (1 - images) * np.log(1 - probabilities))
    np.testing.assert_allclose(actual, pixels.reshape(3, 40).mean(axis=1), rtol=1e-5)


def test_the_mean_cross_entropy_of_a_gray_prediction_is_log_2_whatever_the_image_and_its_size():
    for shape in ((2, 4, 4, 1), (2, 9, 7, 3)):
        values = losses.mean_cross_entropy(tf.constant(_images(*shape)), tf.zeros(shape), from_logits=True)
        np.testing.assert_allclose(values, [math.log(2)] * 2, rtol=1e-5)


# KL


def test_kl_of_the_prior_is_zero():
    assert losses.kl_per_dimension(tf.zeros((2, 3)), tf.zeros((2, 3))).numpy().tolist() == [[0, 0, 0]] * 2


def test_kl_equals_the_closed_form_in_standard_deviations():
    rng = _rng()
    mean, deviation = rng.normal(size=(6, 5)), rng.uniform(0.1, 3, size=(6, 5))
    expected = -np.log(deviation) + (deviation**2 + mean**2) / 2 - 0.5
    actual = losses.kl_per_dimension(tf.constant(mean, tf.float32), tf.constant(2 * np.log(deviation), tf.float32))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_kl_equals_a_monte_carlo_mean_of_the_log_ratio():
    rng = _rng()
    mean, deviation = np.array([0.5, -1.0, 0.0]), np.array([0.5, 1.0, 2.0])
    draws = rng.normal(mean, deviation, size=(200_000, 3))
    ratios = scipy.stats.norm.logpdf(draws, mean, deviation) - scipy.stats.norm.logpdf(draws)
    error = ratios.std(axis=0) / math.sqrt(len(ratios))
    actual = losses.kl_per_dimension(tf.constant(mean, tf.float32), tf.constant(2 * np.log(deviation), tf.float32))
    assert error.max() < 0.01
    assert np.all(np.abs(actual - ratios.mean(axis=0)) <= 4 * error)


def test_kl_is_positive_away_from_the_prior():
    rng = _rng()
    values = losses.kl_per_dimension(
        tf.constant(rng.normal(size=(50, 4)), tf.float32), tf.constant(rng.normal(size=(50, 4)), tf.float32)
    )
    assert np.all(values.numpy() > 0)


# Free bits


def _floored(terms, free_bits):
    """The KL term with a floor of some terms `(batch, latent_dim)`, and its gradient in them."""
    variable = tf.Variable(np.asarray(terms, "float32"))
    with tf.GradientTape() as tape:
        values = losses.free_bits_kl(variable, tf.reduce_mean(tf.stop_gradient(variable), axis=0), free_bits)
        mean = tf.reduce_mean(values)
    assert values.shape == (len(terms),)
    return float(mean), tape.gradient(mean, variable).numpy()


def test_a_dimension_over_the_floor_costs_its_mean_and_one_below_costs_the_floor():
    # Means 2 and ¼. The first has an example below the floor, the second one over it: only the mean counts.
    value, gradient = _floored([[0.1, 0.0], [3.9, 0.0], [2.0, 0.75]], free_bits=0.5)
    assert value == pytest.approx(2 + 0.5)
    np.testing.assert_allclose(gradient, [[1 / 3, 0]] * 3)


def test_without_a_dimension_over_the_floor_there_is_no_gradient_at_all():
    value, gradient = _floored(np.full((4, 3), 0.2), free_bits=0.5)
    assert value == pytest.approx(1.5)
    np.testing.assert_array_equal(gradient, np.zeros((4, 3)))


def test_a_floor_of_zero_leaves_the_kl_as_it_is():
    terms = _rng().uniform(0.01, 2, size=(5, 3))
    value, gradient = _floored(terms, free_bits=0.0)
    assert value == pytest.approx(terms.sum(axis=1).mean(), rel=1e-5)
    np.testing.assert_allclose(gradient, np.full((5, 3), 1 / 5), rtol=1e-6)


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


def test_the_saturating_loss_is_what_the_discriminator_does_not_pay_and_loses_its_gradient():
    logits = np.linspace(-8, 8, 33)
    variable = tf.Variable(logits[:, None].astype("float32"))
    with tf.GradientTape() as tape:
        values = losses.saturating_generator_loss(variable)
    np.testing.assert_allclose(values, np.log(1 - 1 / (1 + np.exp(-logits))), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(values, -losses.fake_cross_entropy(variable))
    slopes = tape.gradient(values, variable)[:, 0]
    np.testing.assert_allclose(slopes, -1 / (1 + np.exp(-logits)), rtol=1e-4)
    assert -1e-3 < slopes[0] < 0  # where the discriminator is sure, unlike the non-saturating loss


# Least squares


def test_squared_distance_is_of_the_output_to_its_target():
    outputs = tf.constant([[-1.0], [0.0], [0.5], [3.0]])
    np.testing.assert_allclose(losses.least_squares(outputs, 1.0), [4, 1, 0.25, 4])
    np.testing.assert_allclose(losses.least_squares(outputs, 0.0), [1, 0, 0.25, 9])


@pytest.mark.parametrize(
    "name, says", [("least_squares", lambda x: x), ("least_squares_sigmoid", lambda x: 1 / (1 + np.exp(-x)))]
)
def test_least_squares_draw_real_images_to_1_and_generated_ones_to_0_or_for_the_generator_to_1(name, says):
    objective, outputs = losses.ADVERSARIAL_OBJECTIVES[name], np.linspace(-3, 3, 13).astype("float32")
    given = tf.constant(outputs[:, None])
    np.testing.assert_allclose(objective.activation(given)[:, 0], says(outputs), rtol=1e-5)
    values = objective.discriminator(given, given)
    np.testing.assert_allclose(values["d_loss_real"], (says(outputs) - 1) ** 2, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(values["d_loss_fake"], says(outputs) ** 2, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(objective.generator(given), (says(outputs) - 1) ** 2, rtol=1e-4, atol=1e-6)


def test_only_cross_entropies_estimate_the_jensen_shannon_divergence():
    of_cross_entropy = {name for name, o in losses.ADVERSARIAL_OBJECTIVES.items() if o.is_cross_entropy}
    assert of_cross_entropy == {"non_saturating", "saturating"}


# The Jensen-Shannon estimate


def _jensen_shannon_estimate(data, model, logits):
    """The estimate for two distributions over as many points as there are logits of a discriminator."""
    outputs = tf.constant(np.asarray(logits)[:, None], tf.float32)
    on_real, on_fake = losses.real_cross_entropy(outputs).numpy(), losses.fake_cross_entropy(outputs).numpy()
    return float(losses.jensen_shannon_estimate(tf.constant((data @ on_real + model @ on_fake) / 2)))


def _two_distributions(seed, points=7):
    return np.random.default_rng(seed).dirichlet(np.full(points, 0.7), size=2)


@pytest.mark.parametrize("seed", range(4))
def test_the_estimate_of_the_optimal_discriminator_is_the_jensen_shannon_divergence(seed):
    data, model = _two_distributions(seed)
    # D = p / (p + q) (Goodfellow et al. 2014, proposition 1), as a logit.
    estimate = _jensen_shannon_estimate(data, model, np.log(data / model))
    assert estimate == pytest.approx(scipy.spatial.distance.jensenshannon(data, model) ** 2, abs=1e-6)
    assert 0.01 < estimate < math.log(2)


def test_the_estimate_runs_from_0_for_equal_to_log_2_for_disjoint_distributions():
    uniform = np.full(4, 0.25)
    assert _jensen_shannon_estimate(uniform, uniform, np.zeros(4)) == pytest.approx(0, abs=1e-7)
    disjoint = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.5, 0.5])
    assert _jensen_shannon_estimate(*disjoint, [40, 40, -40, -40]) == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_estimate_of_any_discriminator_is_a_lower_bound_and_of_a_bad_one_negative(seed):
    data, model = _two_distributions(seed)
    divergence = scipy.spatial.distance.jensenshannon(data, model) ** 2
    for logits in np.random.default_rng(seed).normal(0, 3, size=(50, 7)):
        assert _jensen_shannon_estimate(data, model, logits) < divergence
    assert _jensen_shannon_estimate(data, model, np.log(model / data)) < 0


# The earth mover's estimate


def _earth_movers_estimate(real_scores, fake_scores):
    real, fake = (tf.constant(np.asarray(scores)[:, None], tf.float32) for scores in (real_scores, fake_scores))
    return float(tf.reduce_mean(losses.wasserstein_estimate(real, fake)))


@pytest.mark.parametrize("real, fake", [(2.0, -1.5), (-4.0, 3.0)])
def test_the_estimate_of_the_optimal_critic_of_two_points_is_their_distance(real, fake):
    slope = np.sign(real - fake)
    expected = scipy.stats.wasserstein_distance([real], [fake])
    assert _earth_movers_estimate([slope * real], [slope * fake]) == pytest.approx(expected, rel=1e-6)
    assert _earth_movers_estimate([-slope * real], [-slope * fake]) == pytest.approx(-expected, rel=1e-6)


def test_the_estimate_of_the_optimal_critic_of_a_shifted_distribution_is_the_shift():
    real = _rng().normal(size=500)
    fake = _rng().permutation(real) - 1.25
    assert scipy.stats.wasserstein_distance(real, fake) == pytest.approx(1.25)
    assert _earth_movers_estimate(real, fake) == pytest.approx(1.25, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_estimate_of_the_optimal_critic_of_two_samples_is_their_earth_movers_distance(seed):
    rng = np.random.default_rng(seed)
    real, fake = rng.normal(0, 1, 40), rng.normal(0.3, 2, 40)
    # W₁ = ∫ |F − G|, and the critic that attains it rises where the model's distribution function is over the data's.
    points = np.sort(np.concatenate([real, fake]))
    over = [np.mean(fake <= point) - np.mean(real <= point) for point in points[:-1]]
    rises = np.concatenate([[0], np.cumsum(np.sign(over) * np.diff(points))])
    assert np.any(np.diff(rises) > 0) and np.any(np.diff(rises) < 0)

    def critic(values):
        return rises[np.searchsorted(points, values)]

    expected = scipy.stats.wasserstein_distance(real, fake)
    assert _earth_movers_estimate(critic(real), critic(fake)) == pytest.approx(expected, rel=1e-4)
    # Another critic of slope at most 1 gives less; one twice as steep gives twice as much.
    assert abs(_earth_movers_estimate(np.abs(real), np.abs(fake))) < expected
    assert _earth_movers_estimate(2 * critic(real), 2 * critic(fake)) == pytest.approx(2 * expected, rel=1e-4)


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
        "gaussian of a learned scale": losses.gaussian_negative_log_likelihood(images, images, tf.Variable(1.0)),
        "mean cross-entropy": losses.mean_cross_entropy(images, images, from_logits=True),
        "mean squared error": losses.mean_squared_error(images, images),
        "free bits": losses.free_bits_kl(latents, tf.zeros(7), 0.5),
        "saturating": losses.saturating_generator_loss(scores),
        "least squares": losses.least_squares(scores, 1.0),
        "jensen-shannon": losses.jensen_shannon_estimate(losses.real_cross_entropy(scores)),
        "earth mover": losses.wasserstein_estimate(scores, scores),
        "real": losses.real_cross_entropy(scores),
        "fake": losses.fake_cross_entropy(scores),
        "generator": losses.non_saturating_generator_loss(scores),
        "penalty": losses.gradient_penalty(
            lambda x: tf.reduce_sum(x, axis=[1, 2, 3])[:, None], images, images, tf.zeros((3, 1, 1, 1))
        ),
    }
    assert {name: tuple(values.shape) for name, values in results.items()} == dict.fromkeys(results, (3,))
