"""The importance-weighted objective of a VAE and the warmup of its KL term, against a linear Gaussian model."""

import keras
import model_helpers
import numpy as np
import pytest
import tensorflow as tf
from model_helpers import fit, images, make_vae

from keras_gen import UsageError
from keras_gen.distribution import normal

DIMENSION, SCALE = 6, 0.5
DIRECTION = np.array([0.5, -0.3, 0.2, 0.4, -0.1, 0.3])
OFFSET = np.linspace(0.1, 0.6, DIMENSION)
"""Of the model x = OFFSET + z · DIRECTION + SCALE · ε."""


def linear_vae(*, exact, **arguments):
    """Make a VAE with this model as decoder, and as encoder its posterior or one that is wrong."""
    wrong = {} if exact else {"mean_error": 0.4, "variance_factor": np.exp(0.6)}
    model = model_helpers.linear_vae(DIRECTION[:, None], OFFSET, SCALE, **wrong, **arguments)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    return model


def data(count=7):
    return np.random.default_rng(1).uniform(0, 1, (count, 2, 3, 1)).astype("float32")


def log_density(x):
    """Return log p(x), whose covariance is DIRECTION DIRECTIONᵀ + SCALE² I."""
    centered = x.reshape(len(x), -1) - OFFSET
    covariance = np.outer(DIRECTION, DIRECTION) + SCALE**2 * np.eye(DIMENSION)
    quadratic = np.einsum("ni,ij,nj->n", centered, np.linalg.inv(covariance), centered)
    return -0.5 * (quadratic + np.linalg.slogdet(2 * np.pi * covariance)[1])


def objective(model, x, key=(0, 0)):
    return model.objective(tf.constant(x), None, tf.constant(key), training=True)


@pytest.mark.parametrize("samples", [2, 5])
def test_with_the_exact_posterior_the_bound_is_the_log_density_for_any_draw(samples):
    loss = objective(linear_vae(exact=True, importance_samples=samples), data())["loss"]
    np.testing.assert_allclose(-loss, log_density(data()), rtol=1e-5, atol=1e-5)


def test_the_bound_is_that_of_the_weights_of_its_samples():
    model, x, key, samples = linear_vae(exact=False, importance_samples=3, beta=0.7), data(), tf.constant((5, 6)), 3
    noise = normal((len(x), samples, 1), key).numpy().astype(float)
    mean, log_variance = (part.numpy().astype(float)[:, None] for part in model.encoder(x))
    z = mean + np.exp(log_variance / 2) * noise
    error = x.reshape(len(x), 1, -1) - OFFSET - z * DIRECTION
    log_likelihood = -0.5 * (np.square(error / SCALE) + np.log(2 * np.pi * SCALE**2)).sum(axis=-1)
    log_ratio = -0.5 * (z**2 - noise**2 - log_variance)[..., 0]
    values = objective(model, x, (5, 6))
    weights = np.exp(log_likelihood + 0.7 * log_ratio)
    np.testing.assert_allclose(-values["loss"], np.log(weights.mean(axis=1)), rtol=1e-4)
    np.testing.assert_allclose(values["reconstruction"], -log_likelihood.mean(axis=1), rtol=1e-4)


def test_the_gradient_of_many_samples_is_that_of_the_log_density():
    model, x = linear_vae(exact=False, importance_samples=20_000), data(3)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(objective(model, x)["loss"])
    of_direction, of_offset = tape.gradient(loss, model.decoder.trainable_variables)
    covariance = np.outer(DIRECTION, DIRECTION) + SCALE**2 * np.eye(DIMENSION)
    centered = x.reshape(3, -1) - OFFSET
    solved = np.linalg.solve(covariance, centered.T).T
    np.testing.assert_allclose(-of_offset, solved.sum(axis=0), atol=0.1)
    expected = solved.T @ (solved @ DIRECTION) - 3 * np.linalg.solve(covariance, DIRECTION)
    np.testing.assert_allclose(-of_direction[0], expected, atol=0.1)


def test_the_gradient_of_the_encoder_is_the_slope_of_the_bound():
    """With fixed noise, the bound depends on the encoder through the samples and through log q(z | x)."""
    model, x, step = linear_vae(exact=False, importance_samples=3), data(4), 1e-2

    def bound():
        return tf.reduce_sum(objective(model, x)["loss"])

    for name in ("mean", "log_variance"):
        bias = model.encoder.get_layer(name).bias
        with tf.GradientTape() as tape:
            loss = bound()
        slope = tape.gradient(loss, bias.value, unconnected_gradients="zero")
        values = []
        for offset in (step, -2 * step, step):
            bias.assign_add([offset])
            values.append(float(bound()))
        assert float(slope[0]) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-3)
        assert abs(float(slope[0])) > 0.1


@pytest.mark.slow
def test_more_samples_give_a_tighter_bound_between_the_elbo_and_the_log_density():
    bounds = []
    for samples in (1, 5, 50):
        model = linear_vae(exact=False, importance_samples=samples)
        bounds.append(
            np.mean([-objective(model, np.repeat(data(), 5, axis=0), (0, seed))["loss"] for seed in range(20)])
        )
    assert bounds[0] < bounds[1] < bounds[2] < log_density(data()).mean() + 0.01
    assert bounds[2] == pytest.approx(log_density(data()).mean(), abs=0.02)


def test_one_sample_is_on_average_the_elbo():
    """The objective of one sample has the KL divergence in closed form; the weight of a sample is an estimate of it."""
    model, x, key = linear_vae(exact=False, beta=0.7), np.repeat(data(2), 20_000, axis=0), tf.constant((5, 6))
    elbo = objective(model, x, (5, 6))
    mean, log_variance = model.encoder(x)
    weighted = model._importance_weighted(tf.constant(x), None, mean, log_variance, key, training=True)
    noise = normal((len(x), 1), key).numpy().astype(float)
    z = mean + np.exp(log_variance / 2) * noise
    log_ratio = -0.5 * (z**2 - noise**2 - log_variance)[:, 0]
    np.testing.assert_allclose(weighted["reconstruction"], elbo["reconstruction"], rtol=1e-5)
    np.testing.assert_allclose(weighted["loss"], elbo["reconstruction"] - 0.7 * log_ratio, rtol=1e-4, atol=1e-4)
    means = [np.reshape(values["loss"], (2, -1)).mean(axis=1) for values in (weighted, elbo)]
    np.testing.assert_allclose(means[0], means[1], atol=0.03)


@pytest.mark.slow
def test_a_conditional_vae_trains_with_several_samples_in_a_graph_as_eagerly():
    labels = np.arange(12) % 4
    histories = [
        fit(make_vae(eager=eager, num_classes=4, importance_samples=3), images(12), labels, epochs=2)
        for eager in (True, False)
    ]
    for name, values in histories[0].items():
        assert values == pytest.approx(histories[1][name], rel=1e-4)


def test_beta_grows_linearly_with_the_updates_and_an_evaluation_has_all_of_it():
    model = make_vae(optimizer=keras.optimizers.SGD(0.0), beta=2.0, kl_warmup=4)
    history = fit(model, images(4), epochs=6)
    betas = (np.array(history["loss"]) - history["reconstruction"]) / history["kl"]
    np.testing.assert_allclose(betas, [0, 0.5, 1, 1.5, 2, 2], atol=1e-3)
    np.testing.assert_allclose(history["elbo"], -np.add(history["reconstruction"], history["kl"]), rtol=1e-6)
    result = model.evaluate(images(4), verbose=0, return_dict=True)
    assert result["loss"] == pytest.approx(result["reconstruction"] + 2.0 * result["kl"], rel=1e-6)
    assert "elbo" not in fit(make_vae(), images(4))


def test_the_warmup_is_part_of_what_a_loaded_model_continues(tmp_path):
    model = make_vae(kl_warmup=10, importance_samples=2)
    fit(model, images(12))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.kl_warmup, loaded.importance_samples) == (10, 2)
    assert fit(loaded, images(12)) == fit(model, images(12))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"importance_samples": 0}, "importance_samples must be an integer of at least 1"),
        ({"importance_samples": 2, "free_bits": 0.5}, "free_bits must be 0 with importance_samples above 1"),
        ({"kl_warmup": -1}, "kl_warmup must be an integer of at least 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(UsageError, match=f"^{message}"):
        make_vae(**arguments)


def test_free_bits_that_are_set_later_are_refused_too():
    model = make_vae(importance_samples=2)
    model.free_bits = 0.5
    with pytest.raises(UsageError, match="^free_bits must be 0 with importance_samples above 1, received: 0.5"):
        fit(model, images(4))


def test_samples_are_drawn_from_the_likelihood():
    model = make_vae()
    kernel = model.decoder.trainable_variables[-2]
    kernel.assign(20 * kernel)  # probabilities far from that of a coin
    means = np.asarray(model.generate(400, seed=3)["images_float"])
    drawn = np.asarray(model.sample(400, seed=3))
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert means.std() > 0.3
    for low in np.arange(0, 1, 0.1):
        likely = (means >= low) & (means < low + 0.1)
        assert drawn[likely].mean() == pytest.approx(means[likely].mean(), abs=0.04)
    assert np.square(drawn - means).mean() == pytest.approx((means * (1 - means)).mean(), rel=0.03)
    np.testing.assert_array_equal(drawn, model.sample(400, seed=3))
    gaussian = make_vae(likelihood="gaussian", scale=0.2)
    means = np.asarray(gaussian.generate(400, seed=3)["images_float"])
    assert (np.asarray(gaussian.sample(400, seed=3)) - means).std() == pytest.approx(0.2, rel=0.02)
