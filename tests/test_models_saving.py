"""`.keras` files, configurations and `export`."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_helpers import (
    CLASSES,
    LATENT,
    SHAPE,
    critic,
    decoder,
    differ,
    fit,
    images,
    make_autoencoder,
    make_gan,
    make_vae,
    mostly_slow,
    pixels,
)

from keras_gen import GAN, WGAN, Autoencoder, UsageError

ROUND_TRIPS = {
    "vae": lambda: make_vae(optimizer=keras.optimizers.Adam(3e-3, beta_1=0.7), beta=0.4, name="mine"),
    "gaussian vae": lambda: make_vae(
        optimizer=keras.optimizers.RMSprop(2e-3),
        likelihood="gaussian",
        scale=0.3,
        value_range=(-1, 1),
        from_logits=False,
        beta=2.0,
    ),
    "vae with a learned scale and free bits": lambda: make_vae(
        optimizer=keras.optimizers.Adam(3e-3), likelihood="gaussian", scale=0.6, learn_scale=True, free_bits=0.05
    ),
    "conditional vae": lambda: make_vae(optimizer=keras.optimizers.Adam(3e-3), num_classes=CLASSES),
    "autoencoder": lambda: make_autoencoder(optimizer=keras.optimizers.Adam(3e-3)),
    "denoiser": lambda: make_autoencoder(
        optimizer=keras.optimizers.Adam(3e-3),
        loss="squared_error",
        corruption="masking",
        corruption_level=0.4,
        value_range=(-1, 1),
        name="mine",
    ),
    "gan with a moving average": lambda: make_gan(
        optimizers=(keras.optimizers.Adam(1e-2), keras.optimizers.Adam(1e-2)),
        objective="least_squares",
        moving_average=0.3,
    ),
    "conditional wgan": lambda: make_gan(WGAN, num_classes=CLASSES, critic_steps=2, moving_average=0.9),
    "gan": lambda: make_gan(
        optimizers=(keras.optimizers.Adam(1e-3, beta_1=0.5), keras.optimizers.RMSprop(2e-3, momentum=0.3)),
        generator_batch_ratio=2,
        value_range=(-1, 1),
    ),
    "wgan": lambda: make_gan(
        WGAN,
        optimizers=(keras.optimizers.Adam(1e-3, 0.0, 0.9), keras.optimizers.Adam(3e-3, 0.1, 0.8)),
        critic_steps=2,
        gradient_penalty=3.0,
        weight_clip=0.4,
        from_logits=False,
    ),
    "wgan with a schedule": lambda: make_gan(
        WGAN,
        optimizers=(
            keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(1e-3, 2, 0.5)),
            keras.optimizers.SGD(1e-3, momentum=0.5),
        ),
        gradient_penalty=0.0,
    ),
}
SETTINGS = [
    "name", "value_range", "from_logits", "seed", "likelihood", "beta", "scale", "learn_scale", "free_bits",
    "reconstruction_loss", "corruption", "corruption_level", "generator_batch_ratio", "moving_average",
    "num_classes",
    "critic_steps", "gradient_penalty", "weight_clip", "batches_per_step", "latent_dim", "image_shape",
    "run_eagerly", "steps_per_execution", "jit_compile",
]  # fmt: skip


@pytest.mark.parametrize("name", mostly_slow(ROUND_TRIPS, "vae with a learned scale and free bits", "conditional wgan"))
def test_a_keras_file_restores_everything_and_training_continues_identically(name, tmp_path):
    model = ROUND_TRIPS[name]()
    model.seed = 9
    x, labels = pixels(12), np.arange(12) % CLASSES
    fit(model, x, labels)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)

    assert type(loaded) is type(model)
    missing = object()
    for setting in SETTINGS:
        assert getattr(loaded, setting, missing) == getattr(model, setting, missing), setting
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())
    assert not any(differ(model.get_weights(), loaded.get_weights()))
    assert len(loaded.optimizers) == len(model.optimizers)
    for old, new in zip(model.optimizers, loaded.optimizers, strict=True):
        assert type(new) is type(old)
        assert new.get_config() == old.get_config()
        assert int(new.iterations) > 0
        assert [v.path for v in new.variables] == [v.path for v in old.variables]
        assert not any(differ([v.numpy() for v in old.variables], [v.numpy() for v in new.variables]))
    assert loaded.updates == model.updates
    first, second = (m.evaluate(x, labels, verbose=0, return_dict=True) for m in (model, loaded))
    assert first == second
    if isinstance(model, Autoencoder):
        np.testing.assert_array_equal(loaded.reconstruct(x), model.reconstruct(x))
        np.testing.assert_array_equal(loaded.corrupted(x, seed=1), model.corrupted(x, seed=1))
    else:
        np.testing.assert_array_equal(loaded.generate(3)["images"], model.generate(3)["images"])

    assert fit(model, x, labels) == fit(loaded, x, labels)
    assert not any(differ(model.get_weights(), loaded.get_weights()))


def test_training_without_loss_scaling_is_saved(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = GAN(decoder(), critic())
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.Adam(), keras.optimizers.Adam(), auto_scale_loss=False)
    fit(model, pixels())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [type(optimizer) for optimizer in loaded.optimizers] == [keras.optimizers.Adam] * 2
    assert loaded.updates == model.updates == {"d_updates": 3, "g_updates": 3}


def test_get_config_holds_the_arguments_of_the_constructor():
    config = make_gan(WGAN, critic_steps=2).get_config()
    assert set(config) == {
        "name", "value_range", "from_logits", "seed", "generator", "critic", "generator_batch_ratio", "critic_steps",
        "gradient_penalty", "weight_clip", "moving_average", "regularizers", "augment",
    }  # fmt: skip
    copy = WGAN.from_config(config)
    assert copy.critic_steps == 2
    assert copy.image_shape == SHAPE


def test_a_model_that_was_never_compiled_can_be_saved(tmp_path):
    model = GAN(decoder(), critic())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not any(differ(model.get_weights(), loaded.get_weights()))


def test_a_vae_called_on_images_reconstructs_and_a_gan_called_on_latents_generates():
    vae, gan = make_vae(), make_gan()
    np.testing.assert_array_equal(vae(images(3)), vae.reconstruct(images(3)))
    latents = np.random.default_rng(0).normal(size=(3, LATENT)).astype("float32")
    np.testing.assert_array_equal(gan(latents), gan.decode(latents))
    np.testing.assert_allclose(vae.predict(images(3), verbose=0), vae.reconstruct(images(3)), atol=1e-6)


def test_export_writes_a_saved_model_by_default(tmp_path, capsys):
    model = make_gan()
    assert model.export(tmp_path / "exported", verbose=True, functions=["generate"]) is None
    assert capsys.readouterr().out == f"saved to {tmp_path / 'exported'}\n"
    loaded = tf.saved_model.load(tmp_path / "exported")
    np.testing.assert_array_equal(loaded.generate(n=2, seed=1)["images"], model.generate(2, seed=1)["images"])
    assert list(loaded.signatures) == ["generate"]
    for arguments, message in (
        ({"input_signature": []}, r"^input_signature must be None for the format tf_saved_model, received: \[\]$"),
        ({}, "^export .*exported"),  # it exists
    ):
        with pytest.raises(UsageError, match=message) as error:
            model.export(tmp_path / "exported", **arguments)
        assert "\n" not in str(error.value)


def test_export_passes_another_format_on_to_keras(monkeypatch):
    calls = []
    monkeypatch.setattr(keras.Model, "export", lambda self, *arguments, **options: calls.append((arguments, options)))
    make_vae().export("model.onnx", format="onnx", verbose=False, input_signature=[1], opset_version=18)
    options = {"format": "onnx", "verbose": False, "input_signature": [1], "opset_version": 18}
    assert calls == [(("model.onnx",), options)]
