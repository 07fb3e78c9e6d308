"""Distributions fitted to codes: their draws, models that generate with them, saving, truncation."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_helpers import CLASSES, fit, images, make_autoencoder, make_gan, make_vae, pixels

from keras_gen import UsageError
from keras_gen.models import export
from keras_gen.models.samplers import GaussianMixture


def mixture():
    """Return two mixtures of two well separated components in the plane."""
    weights = [[0.25, 0.75], [0.5, 0.5]]
    means = [[[-20, 0], [20, 5]], [[0, 30], [0, -30]]]
    factors = [[[[1, 0], [0.5, 2]], [[3, 0], [0, 0.1]]], [[[1, 0], [0, 1]], [[2, 0], [-1, 1]]]]
    return GaussianMixture(*(np.array(array, "float32") for array in (weights, means, factors)))


def test_draws_have_the_weights_means_and_covariances_of_the_mixture():
    sampler, n = mixture(), 20_000
    for label in (0, 1):
        codes = np.asarray(sampler.draw(n, 3, tf.fill([n], label)))
        distances = np.linalg.norm(codes[:, None] - sampler.means[label], axis=2)
        nearest = distances.argmin(axis=1)
        for component in (0, 1):
            chosen = codes[nearest == component]
            factor = sampler.factors[label, component]
            assert len(chosen) / n == pytest.approx(sampler.weights[label, component], abs=0.015)
            np.testing.assert_allclose(chosen.mean(axis=0), sampler.means[label, component], atol=0.1)
            np.testing.assert_allclose(np.cov(chosen.T), factor @ factor.T, atol=0.25)


def test_draws_depend_on_the_seed_and_an_image_on_its_place_alone():
    sampler = mixture()
    labels = tf.constant([0, 1] * 50)
    first = sampler.draw(100, 1, labels)
    np.testing.assert_array_equal(first, sampler.draw(100, 1, labels))
    assert not np.array_equal(first, sampler.draw(100, 2, labels))
    np.testing.assert_allclose(sampler.draw(37, 1, labels[:37]), first[:37], atol=1e-5)
    other = sampler.draw(100, 1, tf.tensor_scatter_nd_update(labels, [[36]], [1]))
    changed = np.any(np.asarray(other) != first, axis=1)
    np.testing.assert_array_equal(np.flatnonzero(changed), [36])


def test_a_fit_finds_the_components_of_each_class():
    sampler = mixture()
    labels = np.arange(4000) % 2
    found = GaussianMixture.fit(np.asarray(sampler.draw(4000, 0, labels)), labels, components=2)
    assert found.name == "gmm-2"
    for label in (0, 1):
        order = np.argsort(found.means[label] @ [1, 1]), np.argsort(sampler.means[label] @ [1, 1])
        np.testing.assert_allclose(found.means[label][order[0]], sampler.means[label][order[1]], atol=0.3)
        np.testing.assert_allclose(found.weights[label][order[0]], sampler.weights[label][order[1]], atol=0.05)
        covariances = [
            each.factors[label][places] @ each.factors[label][places].transpose(0, 2, 1)
            for each, places in zip((found, sampler), order, strict=True)
        ]
        np.testing.assert_allclose(covariances[0], covariances[1], atol=0.25)
    np.testing.assert_array_equal(found.factors, np.tril(found.factors))


@pytest.mark.parametrize("kind", ["autoencoder", pytest.param("vae", marks=pytest.mark.slow), "conditional vae"])
def test_a_model_generates_with_the_sampler_as_do_its_saved_forms(kind, tmp_path):
    labels = np.arange(60) % CLASSES if kind.startswith("conditional") else None
    if kind == "autoencoder":
        model = make_autoencoder()
        assert "generate" not in model.endpoints()
        with pytest.raises(UsageError, match="^Autoencoder must have a sampler to generate: call fit_sampler"):
            model.generate(3)
    else:
        model = make_vae(num_classes=0 if labels is None else CLASSES)
        before = model.generate(20, seed=1)["images_float"].numpy()
    model.fit_sampler(pixels(60), labels, components=2)
    generated = model.generate(20, seed=1)
    assert generated["images"].shape == (20, 8, 8, 1)
    codes = tf.reshape(model.sampler.draw(20, 1, generated.get("labels")), (-1, *model.latent_shape))
    expected = model.decode(codes, generated.get("labels"))
    np.testing.assert_allclose(generated["images_float"], expected, atol=1e-6)
    assert len(np.unique(generated["images_float"].numpy().reshape(20, -1), axis=0)) == 20
    if kind != "autoencoder":
        assert not np.array_equal(generated["images_float"], before)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    exported = export.load(export.save(model, tmp_path / "exported"))
    for images_of in (loaded.generate(20, seed=1), exported.generate(n=20, seed=1)):
        np.testing.assert_array_equal(images_of["images"], generated["images"])
    model.load_own_variables({"0": np.zeros((), "int32")})  # of a file without a sampler
    assert model.sampler is None
    if kind != "autoencoder":
        np.testing.assert_array_equal(model.generate(20, seed=1)["images_float"], before)


def test_codes_of_a_vae_are_drawn_from_the_posterior():
    model = make_vae()
    mean, log_variance = (np.asarray(part) for part in model.encode(pixels(500)))
    codes = model._codes(pixels(500), None, 0)
    assert ((codes - mean) / np.exp(log_variance / 2)).std() == pytest.approx(1, abs=0.05)


def test_labels_are_as_in_fit_and_every_class_has_its_images():
    model, labels = make_vae(num_classes=CLASSES), np.arange(60) % CLASSES
    model.fit_sampler(pixels(60), labels, components=2)
    means = model.sampler.means
    model.fit_sampler(pixels(60), np.eye(CLASSES)[labels], components=2)
    np.testing.assert_array_equal(model.sampler.means, means)
    for missing in (0, CLASSES - 1):
        others = np.where(labels == missing, 1, labels)
        message = f"^images of class {missing} must be at least 4 to fit a mixture of 2 components, received: 0"
        with pytest.raises(UsageError, match=message):
            model.fit_sampler(pixels(60), others, components=2)


def test_codes_whose_values_depend_on_each_other_have_a_mixture():
    generator = np.random.default_rng(0)
    codes = (generator.normal(size=(400, 20)) @ generator.normal(size=(20, 128))).astype("float32")
    assert GaussianMixture.fit(codes, components=4).means.shape == (1, 4, 128)
    with pytest.raises(UsageError, match="^a Gaussian mixture can't be fitted to these codes: Input X contains NaN"):
        GaussianMixture.fit(codes * np.nan)


def test_training_goes_on_with_a_sampler():
    with_sampler, without = make_vae(), make_vae()
    with_sampler.fit_sampler(pixels(60), components=2)
    assert fit(with_sampler, images(8)) == fit(without, images(8))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"components": 0}, "components must be an integer of at least 1"),
        ({"components": 31}, "images must be at least 62 to fit a mixture of 31 components, received: 60"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_arguments_of_fit_sampler_are_checked(arguments, message):
    with pytest.raises(UsageError, match=f"^{message}"):
        make_vae().fit_sampler(pixels(60), **arguments)


def test_a_sampler_of_other_codes_is_refused():
    with pytest.raises(UsageError, match="^sampler must be of 1 mixtures in 3 dimensions"):
        make_vae().sampler = mixture()


def test_truncation_limits_the_latents():
    model = make_gan()
    model.compile(run_eagerly=True)
    seen = []
    model._decode_outputs = lambda latents, labels=None: seen.append(np.asarray(latents)) or {}
    model.generate(4000, seed=2, truncation=0.7)
    latents = seen[0]
    assert np.abs(latents).max() <= 0.7
    # The standard deviation of N(0, 1) truncated to [-0.7, 0.7].
    assert latents.std() == pytest.approx(0.393, abs=0.015)


def test_truncated_images_are_those_of_the_seed_and_have_the_labels():
    model = make_gan(num_classes=CLASSES)
    first, again, other = (model.generate(6, seed=seed, truncation=0.5) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first["images"], again["images"])
    assert not np.array_equal(first["images"], other["images"])
    np.testing.assert_array_equal(first["labels"], model.generate(6, seed=0)["labels"])
    np.testing.assert_array_equal(model.generate(2, labels=[3, 1], truncation=0.5)["labels"], [3, 1])


@pytest.mark.parametrize("truncation", [0, -1.0, "0.7", float("nan"), True])
def test_truncation_is_a_number_above_0(truncation):
    with pytest.raises(UsageError, match="^truncation must be a number above 0"):
        make_gan().generate(3, truncation=truncation)


def test_truncation_needs_the_prior():
    model = make_vae()
    model.fit_sampler(pixels(60), components=2)
    with pytest.raises(UsageError, match="^truncation must be None with sampler gmm-2"):
        model.generate(3, truncation=0.7)


@pytest.mark.parametrize("num_classes", [pytest.param(0, marks=pytest.mark.slow), CLASSES])
def test_a_saved_model_is_truncated_as_the_model(num_classes, tmp_path):
    model = make_gan(num_classes=num_classes)
    path = export.save(model, tmp_path / "exported")
    expected = model.generate(6, seed=3, truncation=0.5)
    for name, value in export.generate(path, 6, 3, truncation=0.5).items():
        np.testing.assert_array_equal(value, expected[name])
