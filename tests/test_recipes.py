"""Check the recipes' models against what the reports state about their systems."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gen import VAE, WGAN, losses, optimizers, zoo

ADAM, RMSPROP = optimizers.Adam, optimizers.RMSprop

# Epochs, batch size, then optimizer, learning rate and latent size, where the reports give them (or the docstrings as
# ours); value range of the last activation.
STATED = {
    "vae-lstm": (100, 256, ADAM, 1e-3, 64, (0, 1)),
    "gan-conv": (100, 128, ADAM, (1e-4, 5e-4), 100, (0, 1)),
    "vae-mlp": (50, 64, ADAM, 5e-3, 16, (0, 1)),
    "gan-mlp": (50, 64, ADAM, 2e-4, 16, (0, 1)),
    "vae-conv": (20, 128, ADAM, 3e-4, 100, (-1, 1)),
    "lsgan-conv": (20, 64, ADAM, 3e-4, 100, (-1, 1)),
    "wgan-deep": (20, 64, ADAM, 3e-4, 100, (-1, 1)),
    "vae-2d": (7, 16, RMSPROP, 1e-3, 2, (0, 1)),
    "dcgan": (20, 64, ADAM, 2e-4, 100, (-1, 1)),
    "dcgan-celeba": (1, 32, ADAM, 2e-4, 100, (-1, 1)),
    "vae-dense": (100, 128, ADAM, 1e-4, 64, (0, 1)),
    "vae-dense-cifar10": (100, 128, ADAM, 1e-4, 512, (0, 1)),
    "gan-jsd": (100, 64, ADAM, 1e-4, 64, (-1, 1)),
    "gan-jsd-cifar10": (100, 64, ADAM, 1e-4, 512, (-1, 1)),
    "wgan-gp": (100, 64, ADAM, 5e-5, 64, (-1, 1)),
    "wgan-gp-cifar10": (100, 64, ADAM, 5e-5, 512, (-1, 1)),
}


@pytest.mark.parametrize("name", STATED)
def test_a_recipe_is_set_up_as_stated(name):
    recipe, model = zoo.get(name), zoo.build(name, (8, 8, 1))
    optimizers = {(type(optimizer), round(float(optimizer.learning_rate), 9)) for optimizer in model.optimizers}
    epochs, batch_size, optimizer, learning_rate, latent_dim, value_range = STATED[name]
    assert (recipe.epochs, recipe.batch_size) == (epochs, batch_size)
    assert optimizers == {(optimizer, rate) for rate in np.atleast_1d(learning_rate)}
    assert model.latent_dim == latent_dim
    assert model.value_range == value_range


@pytest.mark.parametrize(("name", "epochs", "level"), [("ae-conv", 20, 0.0), ("dae-conv", 100, 0.5)])
def test_an_autoencoder_is_set_up_as_stated(name, epochs, level):
    recipe, model = zoo.get(name), zoo.build(name)
    assert (recipe.epochs, recipe.batch_size) == (epochs, 200)
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)
    assert model.reconstruction_loss == "cross_entropy"
    assert (model.corruption, model.corruption_level) == ("gaussian" if level else "none", level)
    assert model.encoder.output_shape == (None, 4, 4, 16 if level else 8)


def test_the_discriminator_of_gan_conv_has_the_learning_rate_of_the_report():
    model = zoo.build("gan-conv", (8, 8, 1))
    assert float(model.discriminator_optimizer.learning_rate) == pytest.approx(1e-4)
    equal = zoo.build("gan-conv", (8, 8, 1), generator_learning_rate=None)
    assert [float(optimizer.learning_rate) for optimizer in equal.optimizers] == pytest.approx([1e-4, 1e-4])


def weights_of(network):
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


def test_networks_of_r1_have_the_parameters_that_the_report_prints():
    for name in ("gan-conv", "wgan-conv"):
        model = zoo.build(name)
        assert (weights_of(model.discriminator), weights_of(model.generator)) == (40_705, 1_164_289)


@pytest.mark.parametrize("name", ["vae-dense", pytest.param("vae-dense-cifar10", marks=pytest.mark.slow)])
def test_loss_of_r5_is_squared_error_plus_kl_plus_a_constant(name):
    model = zoo.build(name, seed=0)
    model.run_eagerly = True
    pixels = int(np.prod(model.image_shape))
    images = np.random.default_rng(0).integers(0, 256, (16, *model.image_shape), dtype=np.uint8)
    values = model.evaluate(images, verbose=0, return_dict=True)
    constant = 0.5 * pixels * np.log(np.pi)
    assert constant == pytest.approx({784: 448.7, 3072: 1758.3}[pixels], abs=0.1)
    assert values["loss"] == pytest.approx(pixels * values["mse"] + values["kl"] + constant, rel=1e-5)


def test_beta_of_r4_converts_mean_losses_to_summed_nats():
    generator = np.random.default_rng(0)
    mean, log_variance = generator.normal(size=(2, 5, 2))
    of_the_code = -5e-4 * np.mean(1 + log_variance - mean**2 - np.exp(log_variance), axis=-1)  # beside a mean over 784
    kl = np.sum(losses.kl_per_dimension(mean, log_variance), axis=-1)
    np.testing.assert_allclose(zoo.build("vae-2d").beta * kl, 784 * of_the_code)


DEPTHS = [
    pytest.param(
        depth,
        shape,
        id=f"{depth}-{shape}",
        marks=[] if (depth, shape) in ((1, (28, 28, 1)), (5, (30, 30, 3))) else pytest.mark.slow,
    )
    for depth in (1, 2, 3, 4, 5)
    for shape in ((28, 28, 1), (30, 30, 3))
]


@pytest.mark.parametrize(("depth", "shape"), DEPTHS)
@pytest.mark.parametrize("name", ["vae-conv", "lsgan-conv", "wgan-deep"])
def test_systems_of_r3_train_at_every_depth(name, depth, shape):
    model = zoo.build(name, shape, seed=0, depth=depth, width=2, latent_dim=4)
    model.run_eagerly = True
    images = np.random.default_rng(0).integers(0, 256, (4 * model.batches_per_step, *shape), dtype=np.uint8)
    history = model.fit(images, batch_size=4, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    encoder = model.encoder if isinstance(model, VAE) else model.discriminator
    convolutions = [layer for layer in encoder.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) == depth + (not isinstance(model, VAE))
    transposed = [layer for layer in model.decoder_network.layers if isinstance(layer, keras.layers.Conv2DTranspose)]
    assert len(transposed) == (depth - 1 if isinstance(model, VAE) else depth + 1)


@pytest.mark.parametrize("name", ["vae-conv", "lsgan-conv", "wgan-deep"])
def test_a_depth_beyond_five_is_refused(name):
    with pytest.raises(ValueError, match="^depth must be an integer from 1 to 5, received: 6"):
        zoo.build(name, depth=6)


def normalized(network, kind):
    return [layer for layer in network.layers if isinstance(layer, kind)]


@pytest.mark.parametrize(
    ("constraint", "penalty", "clip", "optimizer"),
    [
        ("gradient_penalty", 10.0, 0.0, ADAM),
        ("weight_clipping", 0.0, 0.01, RMSPROP),
        ("none", 0.0, 0.0, ADAM),
    ],
)
@pytest.mark.parametrize("name", ["wgan-conv", "wgan-deep"])
def test_a_critic_has_the_requested_constraint(name, constraint, penalty, clip, optimizer):
    model = zoo.build(name, (8, 8, 1), constraint=constraint)
    assert isinstance(model, WGAN)
    assert (model.gradient_penalty, model.weight_clip) == (penalty, clip)
    assert all(type(each) is optimizer for each in model.optimizers)
    # Batch normalization mixes images, which a penalty per image excludes.
    expected = 4 if name == "wgan-deep" and constraint != "gradient_penalty" else 0
    assert len(normalized(model.critic, keras.layers.BatchNormalization)) == expected


def test_the_gradient_of_a_clipped_critic_reaches_the_generator():
    model = zoo.build("wgan-deep", (12, 12, 1), seed=0, constraint="weight_clipping")
    model.run_eagerly = True
    model.fit(np.random.default_rng(0).integers(0, 256, (40, 12, 12, 1), np.uint8), batch_size=4, verbose=0)
    with tf.GradientTape() as tape:
        images = model.generator(tf.random.stateless_normal((8, 100), (0, 0)), training=True)
        loss, _ = model.generator_loss(images, images, None, training=True)
    gradients = tape.gradient(loss, model.generator.trainable_variables)
    # With an epsilon of 1e-3 in batch normalization it was 1e-9, less than RMSprop's own epsilon.
    assert all(np.abs(gradient).max() > 1e-6 for gradient in gradients if gradient.shape.rank > 1)


def test_the_critic_of_r5_has_layer_instead_of_batch_normalization():
    gan, wgan = zoo.build("gan-jsd", (8, 8, 1)), zoo.build("wgan-gp", (8, 8, 1))
    assert len(normalized(gan.discriminator, keras.layers.BatchNormalization)) == 1
    assert not normalized(wgan.critic, keras.layers.BatchNormalization)
    assert len(normalized(wgan.critic, keras.layers.GroupNormalization)) == 1
    assert [layer.groups for layer in normalized(wgan.critic, keras.layers.GroupNormalization)] == [1]


@pytest.mark.parametrize("latent_dim", [2, *(pytest.param(size, marks=pytest.mark.slow) for size in (64, 512))])
@pytest.mark.parametrize("name", ["vae-dense", "gan-jsd", "wgan-gp"])
def test_latent_sizes_of_r5_are_an_argument(name, latent_dim):
    model = zoo.build(name, (8, 8, 3), latent_dim=latent_dim)
    assert model.latent_dim == latent_dim
    assert model.generate(2)["images"].shape == (2, 8, 8, 3)
