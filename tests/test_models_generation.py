"""`generate`: shapes, types, seeds."""

import numpy as np
import pytest
import tensorflow as tf
from model_helpers import LATENT, SHAPE, fit, images, make_gan, make_vae, sigmoid

from keras_gen import GAN, UsageError

# Generation


@pytest.fixture(scope="module")
def generators():
    # Larger weights, so that images are not all gray.
    models = {"vae": make_vae(), "gan": make_gan(), "tanh": make_gan(value_range=(-1, 1))}
    models["linear"] = make_gan(from_logits=False)
    for model in models.values():
        for variable in model.decoder_network.trainable_variables:
            variable.assign(3.0 * variable)
    return models


@pytest.mark.parametrize("name", ["vae", "gan", "tanh", "linear"])
@pytest.mark.parametrize("n", [7, 600])
def test_generated_images_have_their_shape_type_and_rounding(generators, name, n):
    result = generators[name].generate(n, seed=3)
    assert set(result) == {"images", "images_float"}
    assert (result["images"].dtype, result["images_float"].dtype) == (tf.uint8, tf.float32)
    floats = result["images_float"].numpy()
    assert result["images"].shape == floats.shape == (n, *SHAPE)
    assert floats.min() >= 0
    assert floats.max() <= 1
    assert floats.std() > 0.01
    np.testing.assert_array_equal(result["images"], np.rint(floats * np.float32(255)).astype("uint8"))
    assert len(np.unique(floats.reshape(n, -1), axis=0)) > 0.98 * n


@pytest.mark.parametrize("name", ["vae", "gan", "tanh", "linear"])
def test_generation_decodes_standard_normal_latents_in_order(generators, name):
    model = generators[name]
    latents = tf.random.stateless_normal((600, LATENT), [11, 0])
    expected = {
        "linear": lambda x: np.clip(x, 0, 1),
        "tanh": lambda x: (np.tanh(x) + 1) / 2,
    }.get(name, sigmoid)(np.array(model.decoder_network(latents)))
    np.testing.assert_allclose(model.generate(600, seed=11)["images_float"], expected, atol=1e-5)


def test_the_same_seed_gives_the_same_images_and_another_seed_others(generators):
    model = generators["gan"]
    first = model.generate(5, seed=1)["images"].numpy()
    np.testing.assert_array_equal(model.generate(5, seed=1)["images"], first)
    assert np.any(model.generate(5, seed=2)["images"] != first)
    np.testing.assert_array_equal(model.generate(5)["images"], model.generate(5, seed=0)["images"])
    model.generate(1, seed=2**31 - 1)


def test_generation_follows_the_training():
    model = make_gan()
    before = model.generate(2)["images_float"].numpy()
    fit(model, images())
    assert np.any(model.generate(2)["images_float"] != before)


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "3", None], ids=repr)
def test_a_bad_number_of_images_is_refused(generators, n):
    with pytest.raises(UsageError, match="^n must be an integer of at least 1, received: "):
        generators["vae"].generate(n)


@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, True, "3", None], ids=repr)
def test_a_bad_seed_is_refused(generators, seed):
    with pytest.raises(UsageError, match="^seed must be an integer from 0 to 2147483647, received: "):
        generators["vae"].generate(1, seed=seed)
    with pytest.raises(UsageError, match="^seed must be"):
        GAN(generators["gan"].generator, generators["gan"].discriminator, seed=seed)
