"""The recipes that ours are compared with: their train steps against those of the package, under the same noise."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gen
from keras_gen import distribution, zoo

FILE = Path(keras_gen.__file__).parents[1] / "experiments" / "zoo" / "stock_twins.py"
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 1), dtype=np.uint8)


@pytest.fixture
def twins():
    zoo.load_recipes(FILE)
    return sys.modules[zoo.get("keras-io-vae").function.__module__]


@pytest.fixture
def same_noise(monkeypatch):
    """All latents and coefficients are 0.5."""

    def half(shape, *_, **__):
        return tf.fill(shape, 0.5)

    for where, names in ((keras.random, ("normal", "uniform")), (distribution, ("normal", "uniform"))):
        for name in names:
            monkeypatch.setattr(where, name, half)


def network(inputs, outputs, activation=None):
    size = int(np.prod(outputs))
    layers = [keras.Input(inputs), keras.layers.Flatten(), keras.layers.Dense(5, "tanh")]
    layers += [keras.layers.Dense(size, activation), keras.layers.Reshape(outputs)]
    return keras.Sequential(layers)


def copies(*networks):
    """The networks, and others with the same weights."""
    both = networks, tuple(keras.models.clone_model(each) for each in networks)
    for one, other in zip(*both, strict=True):
        other.set_weights(one.get_weights())
    return both


def assert_same_update(model, reference, pairs):
    before = [np.copy(weight) for one, _ in pairs for weight in one.get_weights()]
    for each in (model, reference):
        each.fit(IMAGES, batch_size=len(IMAGES), epochs=2, shuffle=False, verbose=0)
    after = [weight for one, _ in pairs for weight in one.get_weights()]
    expected = [weight for _, other in pairs for weight in other.get_weights()]
    assert all(np.abs(new - old).max() > 1e-4 for new, old in zip(after, before, strict=True))
    for weight, other in zip(after, expected, strict=True):
        np.testing.assert_allclose(weight, other, atol=2e-6)


@pytest.mark.parametrize("options", [{"likelihood": "bernoulli"}, {"likelihood": "gaussian", "scale": 0.5}])
def test_the_vae_steps_as_ours(twins, same_noise, options):
    images = keras.Input((4, 4, 1))
    hidden = keras.layers.Dense(5, "tanh")(keras.layers.Flatten()(images))
    encoder = keras.Model(images, [keras.layers.Dense(2)(hidden), keras.layers.Dense(2)(hidden)])
    own, others = copies(encoder, network((2,), (4, 4, 1)))
    model, reference = twins.PlainVAE(*own, **options), keras_gen.VAE(*others, **options)
    for each in (model, reference):
        each.compile(keras.optimizers.SGD(0.01))
    assert_same_update(model, reference, list(zip(own, others, strict=True)))
    assert model.history.history == {
        name: pytest.approx(values, rel=1e-5) for name, values in reference.history.history.items()
    }


def test_the_gan_steps_as_ours_whose_discriminator_has_the_other_sign(twins, same_noise):
    own, others = copies(network((2,), (4, 4, 1), "sigmoid"), network((4, 4, 1), (1,)))
    last = others[1].layers[-2]
    last.set_weights([-weight for weight in last.get_weights()])
    model = twins.PlainGAN(*own, label_noise=0.0, generator_batch_ratio=2, from_logits=False)
    reference = keras_gen.GAN(*others, generator_batch_ratio=2, from_logits=False)
    for each in (model, reference):
        each.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    assert_same_update(model, reference, [(own[0], others[0])])
    assert model.history.history == {
        name: pytest.approx(values, rel=1e-5) for name, values in reference.history.history.items()
    }
    scores = [each.evaluate(IMAGES, verbose=0, return_dict=True) for each in (model, reference)]
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_noise_makes_the_labels_of_the_gan_larger(twins):
    own, others = copies(network((2,), (4, 4, 1), "sigmoid"), network((4, 4, 1), (1,)))
    gradients = []
    for networks, noise in ((own, 0.0), (others, 0.4)):
        model = twins.PlainGAN(*networks, label_noise=noise, from_logits=False)
        model.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(1.0))
        bias = networks[1].layers[-2].weights[1]
        before = float(bias[0])
        model.fit(np.repeat(IMAGES, 50, axis=0), batch_size=300, epochs=1, shuffle=False, verbose=0)
        gradients.append(float(bias[0]) - before)
    # The gradient of the mean cross-entropy is the mean of sigmoid(output) − label; the labels' mean grows by 0.2.
    assert gradients[1] - gradients[0] == pytest.approx(0.2, abs=0.03)


def test_the_wgan_steps_as_ours(twins, same_noise):
    own, others = copies(network((2,), (4, 4, 1), "tanh"), network((4, 4, 1), (1,)))
    options = {"critic_steps": 1, "gradient_penalty": 3.0, "value_range": (-1, 1), "from_logits": False}
    model, reference = twins.PlainWGAN(*own, **options), keras_gen.WGAN(*others, **options)
    for each in (model, reference):
        each.compile(keras.optimizers.SGD(0.01), keras.optimizers.SGD(0.01))
    changing = [pair for pair in zip(own, others, strict=True)]
    assert_same_update(model, reference, changing[:1])
    for one, other in zip(own[1].get_weights(), others[1].get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)
    assert model.history.history == {
        name: pytest.approx(values, rel=1e-4) for name, values in reference.history.history.items()
    }


def test_the_wgan_counts_several_critic_updates_on_a_batch(twins):
    networks = network((2,), (4, 4, 1), "tanh"), network((4, 4, 1), (1,))
    model = twins.PlainWGAN(*networks, critic_steps=3, value_range=(-1, 1), from_logits=False)
    model.compile()
    model.fit(IMAGES, batch_size=2, epochs=1, verbose=0)
    assert model.updates == {"critic_updates": 9, "g_updates": 3}


def test_every_twin_is_built_and_small_ones_train(twins):
    names = {recipe.name for recipe in zoo.recipes() if recipe.file == FILE}
    plain, pages = {"plain-vae-lstm", "plain-vae-mlp", "plain-gan-conv"}, {"keras-io-vae", "keras-io-wgan-gp"}
    assert names == {*plain, *pages, "keras-io-gan", "keras-io-gan-cifar10"}
    digits = keras_gen.data.load("digits").train.images[:4]
    for name in sorted(names):
        model = zoo.build(name, seed=0)
        if name in ("keras-io-vae", "keras-io-gan", "plain-vae-mlp"):
            model.fit(digits, batch_size=4, epochs=1, verbose=0)
            assert model.generate(2, seed=0)["images"].shape == (2, 28, 28, 1)


def test_the_noise_depends_on_the_seed(twins):
    states = [zoo.build("keras-io-vae", seed=seed).noise.state.numpy().tolist() for seed in (0, 1, 0)]
    assert states[0] == states[2] != states[1]
