"""The moving average of a generator against its recursion in NumPy; its use; files."""

import keras
import numpy as np
import pytest
from model_helpers import (
    CLASSES,
    LATENT,
    SHAPE,
    assert_close,
    differ,
    fit,
    images,
    make_gan,
    mostly_slow,
    sigmoid,
    weights,
)

from keras_gen import GAN, WGAN, UsageError, networks
from keras_gen.models import export


def make_normalized(kind=GAN, *, eager=True, **arguments):
    """Make a GAN whose generator has batch normalization, with statistics that no optimizer trains."""
    keras.utils.set_random_seed(0)
    generator = networks.deep_conv_generator(SHAPE, latent_dim=LATENT, filters=(4,), kernel_size=3)
    model = kind(generator, networks.conv_discriminator(SHAPE, filters=(3,), dropout=0.0), **arguments)
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), run_eagerly=eager)
    return model


def test_an_average_of_weights_in_bfloat16_is_refused():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("bfloat16")
    try:
        with pytest.raises(UsageError, match="^moving_average must be 0 unless the generator's weights are float32"):
            make_normalized(moving_average=0.9)
    finally:
        keras.config.set_dtype_policy(before)


class Recorder(keras.callbacks.Callback):
    """Records the generator's weights after every step."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.generator.get_weights())


CASES = {
    "gan": (make_gan, {}),
    "gan in the graph": (make_gan, {"eager": False}),
    "batch normalization": (make_normalized, {"eager": False}),
    "wgan": (make_gan, {"kind": WGAN, "critic_steps": 2}),
    "conditional": (make_gan, {"num_classes": CLASSES}),
}


@pytest.mark.parametrize(
    "case, decay",
    mostly_slow(
        [(case, decay) for case in CASES for decay in (0.25, 0.999)],
        ("gan", 0.25),
        ("batch normalization", 0.999),
        ("wgan", 0.999),
    ),
)
def test_the_average_is_its_recursion_over_the_updates_of_the_generator(case, decay):
    make, arguments = CASES[case]
    model, recorder = make(moving_average=decay, **arguments), Recorder()
    average = model.generator.get_weights()
    assert not any(differ(average, model.generator_average.get_weights()))
    fit(model, images(24), np.arange(24) % CLASSES, callbacks=[recorder])
    assert len(recorder.weights) == model.updates["g_updates"] >= 3
    decays = []
    for update, current in enumerate(recorder.weights, start=1):
        decays.append(min(decay, (1 + update) / (10 + update)))
        average = [decays[-1] * old + (1 - decays[-1]) * new for old, new in zip(average, current, strict=True)]
    assert decays[0] == 2 / 11
    assert (max(decays) == 0.25) == (decay == 0.25)
    assert_close(model.generator_average.get_weights(), average, atol=1e-6)
    assert any(differ(average, model.generator.get_weights()))


def test_the_statistics_of_batch_normalization_are_averaged_too():
    model = make_normalized(moving_average=0.5)
    fit(model, images(12))
    names = [variable.path.split("/")[-1] for variable in model.generator.non_trainable_variables]
    assert names == ["moving_mean", "moving_variance"]
    averages = {variable.path.split("/")[-1]: variable.numpy() for variable in model.generator_average.weights}
    for variable, name, start in zip(model.generator.non_trainable_variables, names, (0, 1), strict=True):
        assert np.all(averages[name] != start)
        # They lag behind, so they are between where the statistics began and where they are.
        assert np.all((averages[name] - start) * (variable.numpy() - averages[name]) > 0)


@pytest.mark.parametrize("make", mostly_slow([make_gan, make_normalized], make_gan))
def test_sampling_uses_the_average_and_nothing_else_does(make, tmp_path):
    model, plain = make(moving_average=0.9), make()
    x = images(8)
    history = fit(model, x, validation_data=x)
    assert history == fit(plain, x, validation_data=x)
    assert not any(differ(weights(plain), weights(model)))
    assert model.evaluate(x, verbose=0, return_dict=True) == plain.evaluate(x, verbose=0, return_dict=True)
    latents = np.random.default_rng(0).normal(size=(5, LATENT)).astype("float32")
    np.testing.assert_array_equal(model(latents), plain(latents))

    expected = sigmoid(model.generator_average(latents))
    np.testing.assert_allclose(model.decode(latents), expected, atol=1e-6)
    assert np.abs(plain.decode(latents) - expected).max() > 1e-4
    sampled, of_plain = (m.generate(5, seed=1)["images_float"] for m in (model, plain))
    assert np.abs(sampled - of_plain).max() > 1e-4
    # As from a model that has the average as its generator.
    plain.generator.set_weights(model.generator_average.get_weights())
    np.testing.assert_array_equal(plain.generate(5, seed=1)["images_float"], sampled)
    saved = export.generate(export.save(model, tmp_path / "saved", functions=["generate"]), 5, seed=1)
    np.testing.assert_array_equal(saved["images_float"], sampled)


def test_the_average_is_not_trained():
    model = make_gan(moving_average=0.9)
    ours = {id(variable) for variable in model.generator_average.weights}
    trained = {id(variable) for variable in model.trainable_variables}
    assert trained == {id(v) for network in (model.generator, model.discriminator) for v in network.weights}
    assert len(ours) == len(model.generator.weights)
    assert model.generator_average.trainable_variables == []
    assert not ours & trained


def test_without_a_moving_average_there_is_no_second_generator():
    model = make_gan()
    assert model.generator_average is None
    assert model.decoder_network is model.generator
    assert len(model.weights) == 1 + len(model.generator.weights) + len(model.discriminator.weights)


@pytest.mark.parametrize("make", [make_gan, make_normalized])
@pytest.mark.slow
def test_a_keras_file_keeps_the_average_and_its_recursion(make, tmp_path):
    model = make(moving_average=0.9)
    fit(model, images(12))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.moving_average == 0.9
    assert not any(differ(model.generator_average.get_weights(), loaded.generator_average.get_weights()))
    assert any(differ(loaded.generator.get_weights(), loaded.generator_average.get_weights()))
    np.testing.assert_array_equal(loaded.generate(3)["images_float"], model.generate(3)["images_float"])
    for m in (model, loaded):
        fit(m, images(12))
    assert not any(differ(model.get_weights(), loaded.get_weights()))
