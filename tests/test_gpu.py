"""Training on a GPU: skipped on a machine without one."""

import numpy as np
import pytest
import tensorflow as tf

from keras_gen import distribution, zoo

DEVICE = "GPU"
SHAPE = (12, 12, 1)
RECIPES = {
    "dae-conv": {},
    "vae-lstm": {"units": 4, "latent_dim": 3, "dropout": 0.0},
    "vae-conv": {"width": 4, "latent_dim": 3, "depth": 2},
    "gan-conv": {"latent_dim": 3, "dropout": 0.0, "moving_average": 0.9},
    "wgan-gp": {"latent_dim": 3, "width": 4, "critic_steps": 2},
}

pytestmark = pytest.mark.skipif(not tf.config.list_physical_devices(DEVICE), reason="this machine has no GPU")


def trained(name, strategy, precision="float32"):
    """Train a recipe for two steps and return the model and its losses."""
    images = np.random.default_rng(0).integers(0, 256, (32, *SHAPE), np.uint8)
    with strategy.scope():
        model = zoo.build(name, SHAPE, seed=0, precision=precision, **RECIPES[name])
    history = model.fit(images, batch_size=16 // model.batches_per_step, shuffle=False, verbose=0).history
    return model, {key: values[-1] for key, values in history.items()}


def weights(model):
    return [distribution.value(variable) for variable in model.trainable_variables]


@pytest.fixture(scope="module", params=RECIPES)
def on_cpu(request):
    return request.param, *trained(request.param, tf.distribute.OneDeviceStrategy("CPU:0"))


@pytest.mark.parametrize("every", [False, True], ids=["one", "all"])
def test_gpus_train_as_a_cpu_does(on_cpu, every):
    name, expected, expected_losses = on_cpu
    strategy = tf.distribute.MirroredStrategy() if every else tf.distribute.OneDeviceStrategy(f"{DEVICE}:0")
    model, losses = trained(name, strategy)
    # TF32, the default on recent GPUs, has 11 bits of mantissa.
    for key, value in expected_losses.items():
        assert losses[key] == pytest.approx(value, rel=1e-2, abs=1e-2), key
    for actual, wanted in zip(weights(model), weights(expected), strict=True):
        # Adam's first steps move a weight by the learning rate, whose direction rounding can change.
        np.testing.assert_allclose(actual, wanted, rtol=1e-2, atol=2e-2)
    latents = np.random.default_rng(1).normal(size=(4, *expected.decoder_network.input_shape[1:])).astype("float32")
    np.testing.assert_allclose(model.decode(latents), expected.decode(latents), atol=2e-2)


def test_bfloat16_trains_on_a_gpu(on_cpu):
    name, _, expected = on_cpu
    _, losses = trained(name, tf.distribute.OneDeviceStrategy(f"{DEVICE}:0"), "bfloat16")
    for key, value in expected.items():
        assert losses[key] == pytest.approx(value, rel=0.1, abs=0.2), key
