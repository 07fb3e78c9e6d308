"""Penalties on a discriminator's slope: closed forms, the objectives that include them, assignment, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_helpers import SHAPE, decoder, fit, images, make_gan, normalized_critic

import keras_gen
from keras_gen import GAN, WGAN, UsageError, networks
from keras_gen.models import regularizers
from keras_gen.models.regularizers import R1, R2, GradientPenalty

KEY = tf.constant([3, 4])


def linear(slope):
    return lambda x: tf.reduce_sum(x * slope, axis=(1, 2, 3))[:, None] + 5.0


def quadratic(x):
    """Return ½ ‖x‖², whose gradient is x."""
    return 0.5 * tf.reduce_sum(tf.square(x), axis=(1, 2, 3))[:, None]


def squared(x):
    return np.square(x).sum(axis=(1, 2, 3))


def test_penalties_of_a_linear_critic_depend_on_its_slope_only():
    real, fake = tf.constant(images(5)), tf.constant(images(5, seed=1))
    slope = np.random.default_rng(0).normal(size=SHAPE).astype("float32")
    norm = np.sqrt(np.square(slope).sum())
    for regularizer in (R1(), R2()):
        np.testing.assert_allclose(regularizer.penalty(linear(slope), real, fake, KEY), [norm**2 / 2] * 5, rtol=1e-5)
    np.testing.assert_allclose(
        GradientPenalty().penalty(linear(slope), real, fake, KEY), [(norm - 1) ** 2] * 5, rtol=1e-5
    )


def test_penalties_of_a_quadratic_critic_are_at_real_generated_and_mixed_images():
    real, fake = tf.constant(images(5)), tf.constant(images(5, seed=1))
    np.testing.assert_allclose(R1().penalty(quadratic, real, fake, KEY), squared(real) / 2, rtol=1e-5)
    np.testing.assert_allclose(R2().penalty(quadratic, real, fake, KEY), squared(fake) / 2, rtol=1e-5)
    mixing = tf.random.stateless_uniform((5, 1, 1, 1), KEY)
    norms = np.sqrt(squared(mixing * fake + (1 - mixing) * real))
    np.testing.assert_allclose(GradientPenalty().penalty(quadratic, real, fake, KEY), (norms - 1) ** 2, rtol=1e-4)


@pytest.mark.parametrize("kind", [GAN, pytest.param(WGAN, marks=pytest.mark.slow)])
def test_the_discriminators_loss_includes_the_weighted_penalties_which_are_tracked_without_weight(kind):
    arguments = {"critic_steps": 1, "gradient_penalty": 0.0} if kind is WGAN else {}
    plain, model = make_gan(kind, **arguments), make_gan(kind, regularizers=[R1(0.5), R2(2.0)], **arguments)
    x, name = images(4), kind.loss_name
    before, after = plain.evaluate(x, verbose=0, return_dict=True), model.evaluate(x, verbose=0, return_dict=True)
    assert after["r1"] > 0 < after["r2"]
    assert after[name] == pytest.approx(before[name] + 0.5 * after["r1"] + 2.0 * after["r2"], rel=1e-5)
    # The first update sees the same images and latents.
    history = fit(model, x)
    assert history[name][0] == pytest.approx(fit(plain, x)[name][0] + 0.5 * history["r1"][0] + 2 * history["r2"][0])


def test_noise_of_an_objective_is_not_that_of_a_penalty():
    keys = []

    class Noisy(GAN):
        def discriminator_loss(self, real, fake, labels, noise_key, *, training):
            keys.append(noise_key)
            return super().discriminator_loss(real, fake, labels, noise_key, training=training)

    class Watched(R1):
        def penalty(self, discriminate, real, fake, key):
            keys.append(key)
            return super().penalty(discriminate, real, fake, key)

    model = make_gan(Noisy, regularizers=[Watched(), R2()])
    x = tf.constant(images(2))
    model._regularized(x, x, None, KEY, training=True)
    assert len({tuple(key.numpy()) for key in keys}) == len(keys) == 2


@pytest.mark.slow
def test_a_penalty_slows_the_growth_of_the_slope():
    def slope_after(**arguments):
        model = make_gan(optimizers=(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.5)), **arguments)
        fit(model, images(12), epochs=10, batch_size=12)
        x = tf.constant(images(12))
        return float(tf.reduce_mean(R1().penalty(lambda x: model.discriminate(x, None, training=False), x, x, KEY)))

    assert slope_after(regularizers=[R1(5.0)]) < 0.5 * slope_after()


def test_the_shorthand_of_a_wgan_is_a_gradient_penalty_among_the_regularizers():
    model = make_gan(WGAN, gradient_penalty=3.0, regularizers=[R1(2.0)])
    assert model.penalties == (GradientPenalty(3.0), R1(2.0))
    config = model.get_config()
    assert config["gradient_penalty"] == 3.0
    assert WGAN.from_config(config).penalties == model.penalties
    assert make_gan(WGAN, gradient_penalty=0.0).penalties == ()
    with pytest.raises(UsageError, match="^regularizers must be a list of different regularizers"):
        make_gan(WGAN, gradient_penalty=3.0, regularizers=[GradientPenalty(2.0)])
    written_out = make_gan(WGAN, gradient_penalty=0.0, regularizers=[GradientPenalty(3.0)])
    short = make_gan(WGAN, gradient_penalty=3.0)
    assert fit(written_out, images(12)) == fit(short, images(12))


def test_text_names_regularizers_and_their_weights():
    given = {"": (), "r1": (R1(),), "r1:0.5,r2:2,gradient_penalty": (R1(0.5), R2(2.0), GradientPenalty())}
    for text, expected in given.items():
        assert keras_gen.zoo.build("gan-mlp", hidden=8, regularizers=text).regularizers == expected


@pytest.mark.parametrize("text", ["r3", "r1:", "r1,,r2", "R1", "r1=1"])
def test_other_text_is_refused(text):
    message = "^regularizers must be names among gradient_penalty, r1, r2, separated by commas, such as r1:0.5,r2:0.5"
    with pytest.raises(UsageError, match=message):
        regularizers.check("regularizers", text)


@pytest.mark.parametrize("text", ["r1:0", "r2,r1:-1", "r1:x", "r1:nan", "r1:inf"])
def test_text_with_another_weight_is_refused(text):
    with pytest.raises(UsageError, match="^regularizers must be r1 with a weight above 0, received: "):
        regularizers.check("regularizers", text)
    with pytest.raises(UsageError, match="different regularizers"):
        regularizers.check("regularizers", "r1,r1:2")


def test_regularizers_stay_those_of_the_constructor():
    model = make_gan(regularizers=[R1(1.0)])
    with pytest.raises(UsageError, match="^regularizers must be given to GAN when it is built, and stay"):
        model.regularizers = [R1(2.0)]


def test_batch_normalization_is_refused():
    for kind, argument in ((GAN, "discriminator"), (WGAN, "critic")):
        with pytest.raises(UsageError, match=f"^{argument} must be without batch normalization, since r1 is per image"):
            kind(
                decoder(), normalized_critic(), regularizers=[R1()], **({"gradient_penalty": 0} if kind is WGAN else {})
            )


@pytest.mark.parametrize("given", [[R1(), R1(2.0)], ["r1"], 3])
def test_other_regularizers_are_refused(given):
    with pytest.raises(UsageError, match="^regularizers must be a list of "):
        make_gan(regularizers=given)


@pytest.mark.parametrize("weight", [0, -1.0, "1", None, float("nan")])
def test_a_weight_is_a_number_above_0(weight):
    with pytest.raises(UsageError, match="^weight of R1 must be a number above 0"):
        R1(weight)


def test_a_loaded_model_has_the_regularizers_and_trains_alike(tmp_path):
    model = make_gan(regularizers=[R1(0.5), R2(2.0)], augment="color,translation")
    fit(model, images(8))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.regularizers, loaded.augment) == (model.regularizers, model.augment)
    assert fit(loaded, images(8)) == fit(model, images(8))


@pytest.mark.slow
def test_bfloat16_networks_have_penalties_near_those_of_float32():
    values = []
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        try:
            model = make_gan(regularizers=[GradientPenalty(), R1(), R2()])
        finally:
            keras.config.set_dtype_policy("float32")
        values.append(model.evaluate(images(8), verbose=0, return_dict=True))
    for name in ("gradient_penalty", "r1", "r2"):
        assert values[1][name] == pytest.approx(values[0][name], rel=0.05)


def test_spectral_normalization_keeps_float32_weights_under_bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        critic = networks.conv_discriminator(SHAPE, filters=(3,), normalization="spectral")
    finally:
        keras.config.set_dtype_policy("float32")
    critic(images(2), training=True)
    layer = critic.layers[1]
    assert layer.layer.compute_dtype == "bfloat16"
    kernel = layer.layer.kernel.value
    assert np.any(kernel.numpy() != tf.cast(tf.cast(kernel, "bfloat16"), "float32").numpy())
    with pytest.raises(
        UsageError, match="^normalized must be left out with normalization 'spectral', which is for all layers"
    ):
        networks.deep_conv_discriminator(SHAPE, normalized=[True, True], normalization="spectral")


def test_a_spectral_layer_with_an_activation_at_the_end_is_refused():
    x = keras.Input(SHAPE)
    last = keras.layers.SpectralNormalization(keras.layers.Dense(1, activation="sigmoid"))
    with pytest.raises(UsageError, match="^discriminator must be linear at its end, received: 'sigmoid'"):
        GAN(decoder(), keras.Model(x, last(keras.layers.Flatten()(x))))


def test_spectral_normalization_bounds_every_layer_of_every_builder():
    keras.utils.set_random_seed(0)
    builders = [
        lambda: networks.mlp_discriminator(SHAPE, hidden=(6,), normalization="spectral"),
        lambda: networks.conv_discriminator(SHAPE, filters=(3, 4), normalization="spectral"),
        lambda: networks.deep_conv_discriminator(SHAPE, filters=(3, 4), normalization="spectral"),
    ]
    for build in builders:
        network = build()
        for _ in range(30):  # the power iteration converges
            network(images(2), training=True)
        kernels = [weight.numpy() for weight in network.trainable_weights if weight.name == "kernel"]
        assert len(kernels) == len(network.trainable_weights) // 2
        for kernel in kernels:
            largest = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]
            assert largest == pytest.approx(1, abs=0.02)
