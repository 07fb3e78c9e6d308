"""The VAE: its objective against closed forms, its train steps against NumPy and explicit formulas."""

import math

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from model_helpers import (
    CLASSES,
    LATENT,
    SHAPE,
    assert_close,
    differ,
    fit,
    given,
    images,
    linear_vae,
    make_vae,
    mostly_slow,
    pixels,
    sigmoid,
    smooth_blobs,
    train,
    weights,
)

from keras_gen import VAE, networks


@pytest.mark.parametrize("beta", mostly_slow([0.0, 0.3, 1.0, 4.0], 0.3))
def test_vae_loss_is_reconstruction_plus_beta_times_kl(beta):
    model = make_vae(beta=beta)
    history = fit(model, images(), validation_data=images(seed=1))
    assert set(history) == {p + name for p in ("", "val_") for name in ("loss", "reconstruction", "kl")}
    for prefix in ("", "val_"):
        loss, reconstruction, kl = (np.array(history[prefix + name]) for name in ("loss", "reconstruction", "kl"))
        np.testing.assert_allclose(loss, reconstruction + beta * kl, rtol=1e-5)
        assert np.all(kl > 0)
        assert np.all(reconstruction > 0)


@pytest.mark.parametrize(
    "arguments, names",
    [
        ({"likelihood": "gaussian"}, {"mse"}),
        ({"likelihood": "gaussian", "learn_scale": True}, {"mse", "scale"}),
    ],
    ids=["gaussian", "learned scale"],
)
def test_a_vae_reports_exactly_its_quantities(arguments, names):
    assert set(fit(make_vae(**arguments), images())) == {"loss", "reconstruction", "kl"} | names


def test_with_beta_zero_the_log_variance_is_trained_by_the_reconstruction_alone():
    # Without any noise from the decoder (its weights at 0), nothing is left that moves the encoder.
    model = make_vae(beta=0.0)
    model.decoder.layers[1].kernel.assign(tf.zeros_like(model.decoder.layers[1].kernel))
    before = [v.numpy() for v in model.encoder.trainable_variables]
    fit(model, images(), batch_size=12)
    assert not any(differ(before, [v.numpy() for v in model.encoder.trainable_variables]))


@pytest.mark.slow
def test_a_gaussian_vae_is_never_below_half_d_log_two_pi():
    model = make_vae(likelihood="gaussian", optimizer=keras.optimizers.Adam(0.05), eager=False)
    history = fit(model, np.full((8, *SHAPE), 0.9, "float32"), epochs=12, batch_size=8)
    bound = 32 * math.log(2 * math.pi)
    assert min(history["loss"]) >= bound
    assert min(history["reconstruction"]) >= bound
    assert history["loss"][-1] < bound + 1 < bound + 4 < history["loss"][0]


def test_the_mean_of_the_objective_is_the_exact_likelihood_for_a_linear_decoder_with_its_exact_posterior():
    # x = W z + b + σ ε with orthogonal columns in W: the posterior is the diagonal Gaussian that the encoder gives,
    # and −ELBO is −log N(x; b, W Wᵀ + σ² I).
    rng, size, sigma = np.random.default_rng(0), 6, 0.3
    directions, _ = np.linalg.qr(rng.normal(size=(size, 2)))
    matrix, offset = directions * [0.2, 0.4], np.full(size, 0.5)
    model = linear_vae(matrix, offset, sigma)
    model.compile("sgd")
    image = rng.uniform(size=size)
    exact = -scipy.stats.multivariate_normal.logpdf(image, offset, matrix @ matrix.T + sigma**2 * np.eye(size))
    copies = np.broadcast_to(image.reshape(1, 2, 3, 1), (40_000, 2, 3, 1)).astype("float32")
    loss = model.evaluate(copies, batch_size=20_000, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(exact, abs=0.02)


def vae_step_by_hand(model, batch, labels, key, rate, negative_log_likelihood):
    """Return the weights after one step of gradient descent, and the three means, from explicit formulas."""
    noise = tf.random.stateless_normal((len(batch), LATENT), key)
    variables = model.encoder.trainable_variables + model.decoder.trainable_variables
    with tf.GradientTape() as tape:
        mean, log_variance = model.encoder(given(batch, labels, model.num_classes))
        deviation = tf.sqrt(tf.exp(log_variance))
        output = model.decoder(given(mean + deviation * noise, labels, model.num_classes))
        reconstruction = tf.reduce_mean(tf.reduce_sum(negative_log_likelihood(batch, output), axis=[1, 2, 3]))
        kl = tf.reduce_mean(tf.reduce_sum((mean**2 + deviation**2 - 1) / 2 - tf.math.log(deviation), axis=1))
        loss = reconstruction + model.beta * kl
    gradients = tape.gradient(loss, variables)
    return [np.array(w - rate * g) for w, g in zip(variables, gradients, strict=True)], [
        float(value) for value in (loss, reconstruction, kl)
    ]


VAE_LIKELIHOODS = {
    "bernoulli": (
        {"likelihood": "bernoulli", "beta": 2.0},
        lambda x, output: -x * tf.math.log(tf.sigmoid(output)) - (1 - x) * tf.math.log(1 - tf.sigmoid(output)),
    ),
    "gaussian": (
        {"likelihood": "gaussian", "scale": 0.5, "beta": 0.5},
        lambda x, output: (x - tf.sigmoid(output)) ** 2 / (2 * 0.25) + math.log(0.5 * math.sqrt(2 * math.pi)),
    ),
    "gaussian of (-1, 1)": (
        {"likelihood": "gaussian", "value_range": (-1, 1)},
        lambda x, output: (2 * x - 1 - tf.tanh(output)) ** 2 / 2 + math.log(2 * math.pi) / 2,
    ),
}


@pytest.mark.parametrize(
    "eager, num_classes", mostly_slow([(True, 0), (False, 0), (False, CLASSES)], (True, 0), (False, CLASSES))
)
@pytest.mark.parametrize("likelihood", VAE_LIKELIHOODS)
def test_a_vae_step_is_gradient_descent_on_the_objective(likelihood, eager, num_classes):
    arguments, by_hand = VAE_LIKELIHOODS[likelihood]
    model = make_vae(eager=eager, optimizer=keras.optimizers.SGD(1e-3), num_classes=num_classes, **arguments)
    batch, labels = images(5), np.array([2, 0, 3, 3, 1])
    if arguments.get("value_range") == (-1, 1):
        batch, unscaled = 2 * batch - 1, by_hand

        def by_hand(x, output):
            return unscaled((x + 1) / 2, output)

    expected, values = vae_step_by_hand(model, batch, labels, model.training_key(0), 1e-3, by_hand)
    before = weights(model)
    history = fit(model, batch, labels, batch_size=5)
    assert all(differ(before, weights(model)))
    variables = model.encoder.trainable_variables + model.decoder.trainable_variables
    assert_close(variables, expected, atol=1e-6)
    np.testing.assert_allclose([history[name][0] for name in ("loss", "reconstruction", "kl")], values, rtol=1e-5)


def test_a_vae_of_probabilities_equals_one_of_logits():
    model = make_vae()
    outputs = keras.layers.Activation("sigmoid")(model.decoder.output)
    other = VAE(model.encoder, keras.Model(model.decoder.input, outputs), from_logits=False)
    other.compile("sgd", run_eagerly=True)
    expected, actual = (m.evaluate(images(), verbose=0, return_dict=True) for m in (model, other))
    assert actual == pytest.approx(expected, rel=1e-5)
    latents = np.random.default_rng(0).normal(size=(4, LATENT)).astype("float32")
    np.testing.assert_allclose(model.decode(latents), other.decode(latents), atol=1e-6)


def test_reconstruct_is_the_image_of_the_posterior_mean():
    model = make_vae()
    expected = sigmoid(model.decoder(model.encoder(images())[0]))
    np.testing.assert_allclose(model.reconstruct(images()), expected, atol=1e-6)
    np.testing.assert_allclose(model.reconstruct(pixels()), expected, atol=1e-6)


# The bound of report 2


@pytest.mark.parametrize("seed, spread", mostly_slow([(0, 0.01), (1, 1.0), (2, 5.0)], (1, 1.0)))
def test_with_unit_variance_no_networks_bring_minus_elbo_below_720_nats(seed, spread):
    shape, rng = (28, 28, 1), np.random.default_rng(seed)
    model = VAE(
        networks.mlp_encoder(shape, latent_dim=LATENT, hidden=(4,)),
        networks.mlp_decoder(shape, latent_dim=LATENT, hidden=(4,)),
        likelihood="gaussian",
        from_logits=False,
    )
    model.compile("sgd")
    model.set_weights([(spread * rng.normal(size=array.shape)).astype(array.dtype) for array in model.get_weights()])
    x = rng.uniform(size=(8, *shape)).astype("float32")
    values = model.evaluate(x, verbose=0, return_dict=True)
    assert values["loss"] >= values["reconstruction"] > 392 * math.log(2 * math.pi) > 720.4
    # All that is over the bound is error and KL.
    over = values["loss"] - 392 * math.log(2 * math.pi)
    assert over == pytest.approx(392 * values["mse"] + values["kl"], rel=1e-3)


@pytest.mark.parametrize("scale, expected", [(1.0, 720.4), (0.1, 720.4 - 784 * math.log(10))])
def test_a_perfect_decoder_of_the_prior_attains_the_bound_which_only_a_small_scale_makes_negative(scale, expected):
    shape = (28, 28, 1)
    picture = np.random.default_rng(0).uniform(size=784).astype("float32")
    model = VAE(
        networks.mlp_encoder(shape, latent_dim=LATENT, hidden=(4,)),
        networks.mlp_decoder(shape, latent_dim=LATENT, hidden=(4,)),
        likelihood="gaussian",
        scale=scale,
        from_logits=False,
    )
    model.compile("sgd")
    # All weights 0: the posterior is the prior, and the decoder says the bias of its last layer.
    model.set_weights([np.zeros_like(array) for array in model.get_weights()])
    model.decoder.weights[-1].assign(picture)
    values = model.evaluate(np.broadcast_to(picture.reshape(1, *shape), (4, *shape)), verbose=0, return_dict=True)
    assert (values["kl"], values["mse"]) == (0, 0)
    assert values["loss"] == pytest.approx(expected, abs=0.1)


def test_mse_is_the_mean_squared_error_a_pixel_of_the_sampled_reconstruction():
    model = make_vae(likelihood="gaussian", scale=0.7, value_range=(-1, 1))
    values = model.evaluate(2 * images() - 1, batch_size=12, verbose=0, return_dict=True)
    constant = 64 * (math.log(0.7) + 0.5 * math.log(2 * math.pi))
    assert values["mse"] == pytest.approx((values["reconstruction"] - constant) * 2 * 0.7**2 / 64, rel=1e-4)
    assert values["mse"] > 0.1


# The learned scale


def test_a_step_of_a_learned_scale_is_gradient_descent_on_the_likelihood():
    rate, start = 1e-3, 0.8
    model = make_vae(likelihood="gaussian", scale=start, learn_scale=True, optimizer=keras.optimizers.SGD(rate))
    noise = tf.random.stateless_normal((12, LATENT), model.training_key(0)).numpy()
    mean, log_variance = (value.numpy() for value in model.encode(images()))
    made = sigmoid(model.decoder(mean + np.exp(log_variance / 2) * noise))
    squared_errors = ((images() - made) ** 2).sum(axis=(1, 2, 3))
    # Of Σ ½ e² / σ² + 64 log σ in log σ.
    gradient = np.mean(64 - squared_errors / start**2)
    history = fit(model, images(), batch_size=12)
    assert history["scale"] == [pytest.approx(start, rel=1e-6)]
    assert history["mse"] == [pytest.approx(squared_errors.mean() / 64, rel=1e-5)]
    assert float(model.log_scale) == pytest.approx(math.log(start) - rate * gradient, abs=1e-6)
    assert abs(rate * gradient) > 1e-3
    assert fit(model, images(), batch_size=12)["scale"] == [pytest.approx(math.exp(float(model.log_scale)), rel=0.1)]


def test_a_learned_scale_ends_at_the_root_of_the_mean_squared_error():
    model = make_vae(likelihood="gaussian", learn_scale=True, eager=False)
    # The decoder ignores the latent, so that the error is one number.
    model.decoder.layers[1].kernel.assign(tf.zeros_like(model.decoder.layers[1].kernel))
    model.encoder.trainable = model.decoder.trainable = False
    model.compile(keras.optimizers.SGD(5e-3))
    assert [variable.name for variable in model.trainable_variables] == ["log_scale"]
    assert model.evaluate(images(), verbose=0, return_dict=True)["scale"] == 1
    train(model, images(), steps=60)
    values = model.evaluate(images(), verbose=0, return_dict=True)
    error = np.mean((images() - sigmoid(model.decoder(np.zeros((1, LATENT), "float32")))) ** 2)
    assert error < 0.3
    assert values["mse"] == pytest.approx(error, rel=1e-5)
    assert values["scale"] == pytest.approx(math.sqrt(error), rel=1e-3)
    assert values["reconstruction"] == pytest.approx(32 * (1 + math.log(2 * math.pi * error)), rel=1e-4)


def test_a_scale_that_is_not_learned_stays_and_is_no_weight():
    model = make_vae(likelihood="gaussian", scale=0.5)
    assert not hasattr(model, "log_scale")
    assert len(model.trainable_variables) == len(model.encoder.weights) + len(model.decoder.weights)


# Free bits


@pytest.mark.parametrize("free_bits", [0.0, 0.12, 10.0])
def test_free_bits_put_a_floor_under_each_dimensions_mean_kl(free_bits):
    model = make_vae(free_bits=free_bits, beta=2.0)
    mean, log_variance = (np.asarray(value, float) for value in model.encode(images()))
    means = (0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance)).mean(axis=0)
    values = model.evaluate(images(), batch_size=12, verbose=0, return_dict=True)
    if free_bits == 0.12:  # one dimension over it and one below it at least
        assert means.min() < 0.11 < 0.13 < means.max()
    assert values["kl"] == pytest.approx(means.sum(), rel=1e-5)
    floored = sum(max(free_bits, value) for value in means)
    assert values["loss"] == pytest.approx(values["reconstruction"] + 2 * floored, rel=1e-5)


@pytest.mark.slow
def test_free_bits_keep_the_kl_from_collapsing_where_it_does_without_them():
    ends = {}
    for free_bits in (0.0, 0.5):
        model = make_vae(eager=False, beta=30.0, free_bits=free_bits, optimizer=keras.optimizers.Adam(0.01))
        train(model, smooth_blobs(32), steps=150)
        ends[free_bits] = model.evaluate(smooth_blobs(32), verbose=0, return_dict=True)["kl"]
    assert ends[0.0] < 0.05
    assert ends[0.5] > 0.8 * 0.5 * LATENT
