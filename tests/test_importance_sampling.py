"""Importance sampling: formulas on known weights, and VAEs whose likelihood is known or integrable."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from model_helpers import CLASSES, SHAPE, fit, given, images, linear_vae, make_vae, pixels, sigmoid, weights

from keras_gen import VAE, networks
from keras_gen.metrics.importance_sampling import effective_sample_size, log_likelihood_bound
from keras_gen.models import importance
from keras_gen.utils.errors import UsageError

# The formulas


def test_the_bound_is_the_log_of_the_mean_weight():
    given_weights = np.random.default_rng(0).uniform(0.1, 2, size=(6, 9))
    np.testing.assert_allclose(
        log_likelihood_bound(np.log(given_weights)), np.log(given_weights.mean(axis=1)), rtol=1e-12
    )
    one = np.array([[-3.0], [2.5]])
    assert log_likelihood_bound(one).tolist() == [-3.0, 2.5]


@pytest.mark.parametrize("level", [-1e5, 1e5])
def test_the_bound_neither_over_nor_underflows(level):
    log_weights = level + np.log([[1.0, 2.0, 3.0], [1e-200, 1.0, 5.0]])
    np.testing.assert_allclose(log_likelihood_bound(log_weights) - level, np.log([2.0, 2.0]), atol=1e-9)
    np.testing.assert_allclose(effective_sample_size(log_weights), [36 / 14, 36 / 26], rtol=1e-9)


def test_effective_sample_sizes_worked_by_hand():
    log_weights = np.log([[5.0, 5, 5, 5], [1, 1e-30, 1e-30, 1e-30], [1, 1, 1e-30, 1e-30], [3, 1, 1, 1]])
    np.testing.assert_allclose(effective_sample_size(log_weights), [4, 1, 2, 3], rtol=1e-9)


def test_the_standard_error_in_the_docstring():
    log_weights = 0.7 * np.random.default_rng(1).normal(size=(4000, 200))
    found = log_likelihood_bound(log_weights).std()
    predicted = np.sqrt(1 / effective_sample_size(log_weights) - 1 / 200).mean()
    assert found == pytest.approx(predicted, rel=0.05)


@pytest.mark.parametrize("function", [log_likelihood_bound, effective_sample_size])
@pytest.mark.parametrize(
    ("log_weights", "message"),
    [
        (np.zeros(3), r"^log_weights must be of shape \(n, k\), n and k at least 1, received: shape \(3,\)$"),
        (np.zeros((2, 0)), r"^log_weights must be of shape .* received: shape \(2, 0\)$"),
        (np.zeros((0, 2)), r"^log_weights must be of shape .* received: shape \(0, 2\)$"),
        ([[0.0, np.nan]], "^log_weights must be finite, received: 1 of 2"),
        ([[0.0, -np.inf]], "^log_weights must be finite, received: 1 of 2"),
    ],
)
def test_other_weights_are_refused(function, log_weights, message):
    with pytest.raises(UsageError, match=message):
        function(log_weights)


# A linear Gaussian VAE: x = W z + b + σ ε with orthogonal columns in W has a diagonal Gaussian posterior

SIGMA, SIZE = 0.3, 6
STRENGTHS = np.array([0.2, 0.4])


class Linear:
    """Such a model of images (2, 3, 1) with pixels u in [0, 1]; the VAE receives x = low + (high − low) u."""

    def __init__(self, value_range=(0, 1), learn_scale=False, mean_error=0.0, variance_factor=1.0):
        rng = np.random.default_rng(0)
        directions, _ = np.linalg.qr(rng.normal(size=(SIZE, 2)))
        matrix, offset = directions * STRENGTHS, np.full(SIZE, 0.5)
        self.posterior_variance = 1 / (1 + STRENGTHS**2 / SIGMA**2)
        wrong = {"mean_error": mean_error, "variance_factor": variance_factor}
        options = {"value_range": value_range, "learn_scale": learn_scale}
        self.model = linear_vae(matrix, offset, SIGMA, **wrong, **options)

        (low, high), covariance = value_range, matrix @ matrix.T + SIGMA**2 * np.eye(SIZE)
        self.images = rng.integers(0, 256, (5, 2, 3, 1), np.uint8)
        in_unit_range = scipy.stats.multivariate_normal((offset - low) / (high - low), covariance / (high - low) ** 2)
        self.log_likelihood = in_unit_range.logpdf(self.images.reshape(5, SIZE) / 255)


@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1)])
@pytest.mark.parametrize("learn_scale", [False, True])
def test_with_the_exact_posterior_every_weight_is_the_likelihood_of_pixels_in_0_to_1(value_range, learn_scale):
    linear = Linear(value_range, learn_scale)
    log_weights = linear.model.log_importance_weights(linear.images, samples=40, seed=1)
    assert log_weights.shape == (5, 40)
    assert log_weights.dtype == np.float64
    np.testing.assert_allclose(log_weights, np.repeat(linear.log_likelihood[:, None], 40, axis=1), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(effective_sample_size(log_weights), 40, rtol=1e-5)
    assert np.ptp(linear.log_likelihood) > 1


def test_floats_in_the_value_range_are_the_same_images():
    linear = Linear((-1, 1))
    as_floats = (linear.images / 127.5 - 1).astype("float32")
    expected = linear.model.log_importance_weights(linear.images, samples=3)
    np.testing.assert_allclose(linear.model.log_importance_weights(as_floats, samples=3), expected, rtol=1e-5)


def test_with_another_posterior_the_bound_rises_from_the_elbo_to_the_likelihood():
    error, factor, samples = 0.5, 1.5, 20_000
    linear = Linear(mean_error=error, variance_factor=factor)
    log_weights = linear.model.log_importance_weights(linear.images, samples=samples)
    # −ELBO is too large by KL(q ‖ posterior) of two Gaussians.
    kl = 0.5 * np.sum(factor + error**2 / linear.posterior_variance - 1 - np.log(factor))
    standard_error = log_weights.std(axis=1) / math.sqrt(samples)
    assert np.all(np.abs(log_weights.mean(axis=1) - (linear.log_likelihood - kl)) < 4 * standard_error)
    assert kl > 20 * standard_error.max()

    def average_bound(k):
        return log_likelihood_bound(log_weights.reshape(-1, k)).reshape(5, -1).mean(axis=1)

    bounds = np.array([average_bound(k) for k in (1, 5, 50, 500, samples)])
    assert np.all(np.diff(bounds, axis=0) > 0)
    errors = np.sqrt(1 / effective_sample_size(log_weights) - 1 / samples)
    assert np.all(np.abs(bounds[-1] - linear.log_likelihood) < 4 * errors)
    assert errors.max() < 0.02


# A Bernoulli VAE of one latent dimension, whose likelihood is an integral over a line


def binary(count, seed=0):
    return np.where(pixels(count, seed) < 128, 0, 255).astype(np.uint8)


def bernoulli_vae(num_classes=0, latent_dim=1, shape=SHAPE):
    """Make a VAE whose images depend on the latent, with posteriors about as wide as the prior: no weight is huge."""
    keras.utils.set_random_seed(3)
    options = {"latent_dim": latent_dim, "hidden": (6,), "num_classes": num_classes}
    encoder, decoder = networks.mlp_encoder(shape, **options), networks.mlp_decoder(shape, **options)
    encoder.set_weights([0.3 * array for array in encoder.get_weights()])
    rng = np.random.default_rng(3)  # biases too, so that not all images are about as likely
    decoder.set_weights([array + 0.5 * rng.normal(size=array.shape) for array in decoder.get_weights()])
    return VAE(encoder, decoder)


@pytest.mark.parametrize("num_classes", [0, CLASSES])
def test_the_likelihood_of_a_bernoulli_vae_is_its_integral_over_the_latent(num_classes):
    model, x, labels = bernoulli_vae(num_classes), binary(3), np.array([2, 0, 3])
    z = np.linspace(-8, 8, 2001)
    integrals = []
    for image, label in zip(x, labels, strict=True):
        network_input = given(z[:, None].astype("float32"), np.full(len(z), label), num_classes)
        p = sigmoid(model.decoder(network_input)).reshape(len(z), -1)
        joint = np.where(image.reshape(-1) > 0, p, 1 - p).prod(axis=1) * scipy.stats.norm.pdf(z)
        integrals.append(math.log(scipy.integrate.simpson(joint, x=z)))
    log_weights = model.log_importance_weights(x, samples=4000, seed=5, labels=labels if num_classes else None)
    errors = np.sqrt(1 / effective_sample_size(log_weights) - 1 / 4000)
    assert np.all(np.abs(log_likelihood_bound(log_weights) - integrals) < 4 * errors)
    assert errors.max() < 0.05 < 0.5 < np.ptp(integrals)
    if num_classes:
        other = model.log_importance_weights(x, samples=4000, seed=5, labels=labels[::-1].copy())
        assert np.any(np.abs(log_likelihood_bound(other) - integrals) > 10 * errors)


def test_probabilities_of_all_binary_images_add_up_to_one():
    """Of 2 x 2 pixels, all 16 images: a density in the wrong units or a lost constant would not."""
    model = bernoulli_vae(shape=(2, 2, 1))
    every = np.array([[i >> bit & 1 for bit in range(4)] for i in range(16)], np.float32).reshape(16, 2, 2, 1)
    bounds = log_likelihood_bound(model.log_importance_weights(every, samples=3000))
    assert np.exp(bounds).sum() == pytest.approx(1, abs=0.02)


# Noise, chunks, state


def test_the_seed_alone_decides():
    model, x = bernoulli_vae(latent_dim=2), binary(4)
    first, again, other = (model.log_importance_weights(x, samples=6, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.any(np.isclose(first, other, atol=1e-6))


def test_equal_images_have_different_samples():
    x = np.repeat(binary(1), 3, axis=0)
    log_weights = bernoulli_vae().log_importance_weights(x, samples=5)
    assert len(np.unique(log_weights.round(6))) == 15


@pytest.mark.parametrize("num_classes", [0, CLASSES])
def test_the_number_decoded_at_a_time_does_not_matter(num_classes):
    model, x = bernoulli_vae(num_classes, latent_dim=2), binary(7)
    labels = np.array([2, 0, 3, 1, 1, 0, 2], np.int32) if num_classes else None
    whole = importance.log_weights(model, x, labels, 11, 0)
    for rows in (1, 4, 11, 25, 77):  # parts of an image's samples, one image, two images with a rest of one, all
        np.testing.assert_allclose(importance.log_weights(model, x, labels, 11, 0, rows=rows), whole, rtol=1e-5)


def test_more_than_one_chunk_of_images_and_samples_in_one_trace(monkeypatch):
    model, decoded = bernoulli_vae(), []
    monkeypatch.setattr(importance, "VALUES_AT_A_TIME", 300 * 64)
    x = binary(320)
    compute = model._log_weights_function
    monkeypatch.setattr(
        model, "_log_weights_function", lambda *values: decoded.append(values[4].shape[:2]) or compute(*values)
    )
    assert np.isfinite(model.log_importance_weights(x, samples=3)).all()
    assert np.isfinite(model.log_importance_weights(x[:2], samples=600)).all()
    assert max(images * samples for images, samples in decoded) <= 300
    assert sum(images * samples for images, samples in decoded) == 3 * len(x) + 2 * 600
    assert compute.experimental_get_tracing_count() == 1


def test_training_is_not_affected():
    histories, ends = [], []
    for looks in (False, True):
        model = make_vae(likelihood="gaussian", learn_scale=True)
        first = fit(model, images())
        if looks:
            before = weights(model)
            model.log_importance_weights(pixels(), samples=3)
            for variable, earlier in zip(weights(model), before, strict=True):
                np.testing.assert_array_equal(variable, earlier)
        histories.append([first, fit(model, images()), model.evaluate(images(), verbose=0)])
        ends.append(weights(model))
    assert histories[0] == histories[1]
    for with_it, without in zip(*ends, strict=True):
        np.testing.assert_array_equal(with_it, without)


def test_the_objectives_weights_have_no_effect():
    plain, weighted = make_vae(likelihood="gaussian"), make_vae(likelihood="gaussian", beta=7.0, free_bits=2.0)
    expected = plain.log_importance_weights(pixels(3), samples=4)
    np.testing.assert_array_equal(weighted.log_importance_weights(pixels(3), samples=4), expected)


# Refusals

GREY = binary(2)
GREY[0, 0, 0, 0] = 254


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (GREY, {}, r"^images must be binary \(only 0 and 255\), since .* received: '1 of 128 values in between'$"),
        (
            np.full((1, *SHAPE), 0.5),
            {},
            r"^images must be binary \(only 0 and 1\), since .*'64 of 64 values in between'$",
        ),
        (binary(2) * 2.0, {}, "^images must be uint8 images, or floats from 0 to 1"),
        (binary(2)[:, :4], {}, r"^images must be images of shape \(n, 8, 8, 1\)"),
        (binary(2), {"samples": 0}, "^samples must be an integer of at least 1, received: 0$"),
        (binary(2), {"seed": -1}, "^seed must be an integer from 0 to 2147483647, received: -1$"),
    ],
)
def test_bad_arguments_are_refused_by_name(x, options, message):
    with pytest.raises(UsageError, match=message):
        bernoulli_vae().log_importance_weights(x, **({"samples": 2} | options))


def test_a_conditional_model_needs_labels():
    model = bernoulli_vae(CLASSES)
    with pytest.raises(UsageError, match="^labels of images must be 2 integers from 0 to 3, since the model is cond"):
        model.log_importance_weights(binary(2), samples=2)
