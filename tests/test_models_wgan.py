"""The Wasserstein GAN: its train steps against explicit formulas, its batches, its critic."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_helpers import (
    CLASSES,
    LATENT,
    SHAPE,
    assert_close,
    fit,
    given,
    images,
    latents_of,
    make_gan,
    mostly_slow,
    weights,
)

from keras_gen import WGAN, UsageError, networks


@pytest.mark.parametrize(
    "penalty, clip, eager, num_classes",
    mostly_slow(
        [
            (*slopes, *case)
            for slopes in ((0.0, 0.1), (10.0, 0.0), (10.0, 0.3))
            for case in ((True, 0), (False, 0), (False, CLASSES))
        ],
        (0.0, 0.1, True, 0),
        (10.0, 0.0, False, CLASSES),
    ),
)
def test_a_wgan_step_is_several_steps_of_the_critic_then_one_of_the_generator(penalty, clip, eager, num_classes):
    model = make_gan(
        WGAN,
        eager=eager,
        num_classes=num_classes,
        critic_steps=3,
        gradient_penalty=penalty,
        weight_clip=clip,
        optimizers=(keras.optimizers.SGD(0.02), keras.optimizers.SGD(0.01)),
    )
    batch, labels, key = images(12), np.random.default_rng(0).permutation(12) % CLASSES, model.training_key(0)

    def on(network, x, labels):
        return network(given(x, labels, num_classes))

    def by_hand():
        critic, emds, penalties = model.critic.trainable_variables, [], []
        for index in range(3):
            real, classes = batch[index::3], labels[index::3]
            latents, mixing_key = latents_of(tf.random.fold_in(key, index), 4)
            fake = tf.sigmoid(on(model.generator, latents, classes))
            mixing = tf.random.stateless_uniform((4, 1, 1, 1), mixing_key)
            between = tf.Variable((1 - mixing) * real + mixing * fake)
            with tf.GradientTape() as tape:
                emd = tf.reduce_mean(on(model.critic, real, classes) - on(model.critic, fake, classes))
                with tf.GradientTape() as inner:
                    scores = on(model.critic, between, classes)
                slopes = tf.norm(tf.reshape(inner.gradient(scores, between), (4, -1)), axis=1)
                gradient_penalty = tf.reduce_mean((slopes - 1) ** 2)
                loss = -emd + penalty * gradient_penalty
            gradients = tape.gradient(loss, critic, unconnected_gradients="zero")
            for variable, gradient in zip(critic, gradients, strict=True):
                variable.assign_sub(0.01 * gradient)
                if clip:
                    variable.assign(np.clip(variable, -clip, clip))
            emds.append(float(emd))
            penalties.append(float(gradient_penalty))
        latents = tf.random.stateless_normal((4, LATENT), tf.random.fold_in(key, 3))
        generator = model.generator.trainable_variables
        with tf.GradientTape() as tape:
            g_loss = -tf.reduce_mean(
                on(model.critic, tf.sigmoid(on(model.generator, latents, labels[2::3])), labels[2::3])
            )
        for variable, gradient in zip(generator, tape.gradient(g_loss, generator), strict=True):
            variable.assign_sub(0.02 * gradient)
        values = {"emd": np.mean(emds), "critic_loss": np.mean(np.multiply(penalty, penalties) - emds)}
        return values | {"g_loss": float(g_loss)} | ({"gradient_penalty": np.mean(penalties)} if penalty else {})

    start = model.get_weights()
    expected_values = by_hand()
    expected = weights(model)
    model.set_weights(start)
    history = fit(model, batch, labels, batch_size=4)
    assert_close(weights(model), expected, atol=1e-6)
    assert {name: values[0] for name, values in history.items()} == pytest.approx(expected_values, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("penalty", mostly_slow([0.0, 10.0], 10.0))
def test_wgan_quantities_hold_together(penalty):
    history = fit(make_gan(WGAN, gradient_penalty=penalty), images(20), validation_data=images(6, seed=1))
    names = {"critic_loss", "emd", "g_loss"} | ({"gradient_penalty"} if penalty else set())
    assert set(history) == names | {f"val_{name}" for name in names}
    for prefix in ("", "val_"):
        values = {name: np.array(history[prefix + name]) for name in names}
        expected = -values["emd"] + penalty * values.get("gradient_penalty", 0)
        np.testing.assert_allclose(values["critic_loss"], expected, rtol=1e-5, atol=1e-6)


class RecordingWGAN(WGAN):
    """Records the real images of every critic update."""

    def discriminator_loss(self, real, fake, labels, noise_key, *, training):
        if training:
            self.seen.append(np.array(real))
        assert real.shape == fake.shape
        assert labels is None
        return super().discriminator_loss(real, fake, labels, noise_key, training=training)


def recording_wgan(critic_steps, monkeypatch):
    monkeypatch.setattr(RecordingWGAN, "seen", [], raising=False)
    return make_gan(RecordingWGAN, critic_steps=critic_steps)


@pytest.mark.parametrize("critic_steps", mostly_slow([1, 3, 5], 3))
@pytest.mark.parametrize("form", ["array", "dataset"])
def test_every_critic_update_sees_a_batch_of_images_of_its_own(critic_steps, form, monkeypatch):
    model, x = recording_wgan(critic_steps, monkeypatch), images(4 * 2 * critic_steps)
    if form == "array":
        fit(model, x, batch_size=4)
    else:
        model.fit(tf.data.Dataset.from_tensor_slices((x, np.arange(len(x)))).batch(4), verbose=0)
    assert model.updates == {"critic_updates": 2 * critic_steps, "g_updates": 2}
    assert int(model.optimizer.iterations) == 2
    assert int(model.discriminator_optimizer.iterations) == 2 * critic_steps
    assert [len(batch) for batch in model.seen] == [4] * (2 * critic_steps)
    # An epoch is one pass: together they are the images, each once.
    together = np.concatenate(model.seen).reshape(len(x), -1)
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(x.reshape(len(x), -1), axis=0))
    assert len(np.unique(together, axis=0)) == len(x)


@pytest.mark.parametrize("count", mostly_slow([1, 3, 4, 17, 22], 3, 22))
def test_wgan_takes_an_uneven_last_batch_and_fewer_images_than_critic_steps(count, monkeypatch):
    model = recording_wgan(5, monkeypatch)
    history = fit(model, images(count), batch_size=4)
    steps = math.ceil(count / 20)
    assert model.updates == {"critic_updates": 5 * steps, "g_updates": steps}
    assert all(len(batch) >= 1 for batch in model.seen)
    assert np.all(np.isfinite([values for values in history.values()]))
    assert all(np.all(np.isfinite(array)) for array in weights(model))
    together = np.concatenate(model.seen).reshape(-1, 64)
    assert len(np.unique(together, axis=0)) == count


@pytest.mark.filterwarnings("error:Your input ran out of data")
@pytest.mark.parametrize("count", mostly_slow([16, 15, 19], 19))
def test_an_epoch_of_a_dataset_of_known_length_ends_without_a_warning(count):
    model = make_gan(WGAN, critic_steps=2)
    model.fit(tf.data.Dataset.from_tensor_slices(images(count)).batch(4), epochs=2, verbose=0)
    assert model.updates == {"critic_updates": 4 * math.ceil(count / 8), "g_updates": 2 * math.ceil(count / 8)}


@pytest.mark.slow
def test_wgan_takes_an_uneven_last_batch_in_the_graph():
    model = make_gan(WGAN, eager=False, critic_steps=3)
    history = fit(model, images(16), batch_size=4, validation_data=images(3, seed=1))
    assert model.updates == {"critic_updates": 6, "g_updates": 2}
    assert np.all(np.isfinite([values for values in history.values()]))


def test_weight_clipping_bounds_the_critic_and_leaves_the_generator_alone():
    clip = 0.02
    model = make_gan(WGAN, gradient_penalty=0.0, weight_clip=clip)
    generator = np.concatenate([array.ravel() for array in model.generator.get_weights()])
    assert np.abs(generator).max() > 2 * clip
    fit(model, images(20), epochs=2)
    critic = np.concatenate([array.ravel() for array in model.critic.get_weights()])
    assert np.abs(critic).max() == pytest.approx(clip, rel=1e-6)
    assert np.mean(np.abs(critic) < clip) > 0.1
    assert np.abs(np.concatenate([array.ravel() for array in model.generator.get_weights()])).max() > 2 * clip


def test_without_clipping_the_critic_is_not_bounded():
    model = make_gan(WGAN, gradient_penalty=0.0, weight_clip=0.0)
    fit(model, images(20))
    assert max(np.abs(array).max() for array in model.critic.get_weights()) > 0.1


def test_a_normalized_or_nonlinear_critic_is_refused():
    def critic(*layers):
        return keras.Sequential([keras.Input(SHAPE), *layers])

    generator = networks.mlp_decoder(SHAPE, latent_dim=2)
    flatten, dense = keras.layers.Flatten, keras.layers.Dense
    normalized = critic(keras.layers.BatchNormalization(), flatten(), dense(1))
    with pytest.raises(UsageError, match="^critic must be without batch normalization"):
        WGAN(generator, normalized)
    assert WGAN(generator, normalized, gradient_penalty=0.0, weight_clip=0.01).critic is normalized
    with pytest.raises(UsageError, match="^critic must be linear at its end, received: 'sigmoid'"):
        WGAN(generator, critic(flatten(), dense(1, activation="sigmoid")))
