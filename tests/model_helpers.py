"""Small models, images and helper functions for the tests of models."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gen import GAN, VAE, WGAN, Autoencoder, networks

SHAPE = (8, 8, 1)
LATENT = 3
CLASSES = 4


def pixels(count=12, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), np.uint8)


def images(count=12, seed=0):
    return (pixels(count, seed) / 255).astype("float32")


def make_vae(*, eager=True, optimizer=None, seed=0, num_classes=0, **arguments):
    keras.utils.set_random_seed(seed)
    model = VAE(
        networks.mlp_encoder(SHAPE, latent_dim=LATENT, hidden=(6,), num_classes=num_classes),
        networks.mlp_decoder(SHAPE, latent_dim=LATENT, hidden=(6,), num_classes=num_classes),
        **arguments,
    )
    model.compile(optimizer or keras.optimizers.SGD(1e-3), run_eagerly=eager)
    return model


def linear_vae(matrix, offset, scale, *, mean_error=0.0, variance_factor=1.0, **arguments):
    """Make a VAE of images (2, 3, 1), x = matrix · z + offset + scale · ε, whose encoder is the posterior of z.

    The columns of the matrix must be orthogonal, so that the posterior is a diagonal Gaussian. The encoder can be
    wrong: its mean by `mean_error`, its variance by a factor.
    """
    size, latent_dim = matrix.shape
    variance = 1 / (1 + np.square(matrix).sum(axis=0) / scale**2)
    to_mean = matrix * variance / scale**2
    inputs = keras.Input((2, 3, 1))
    flat = keras.layers.Flatten()(inputs)
    heads = [keras.layers.Dense(latent_dim, name=name)(flat) for name in ("mean", "log_variance")]
    encoder = keras.Model(inputs, heads)
    encoder.get_layer("mean").set_weights([to_mean, mean_error - offset @ to_mean])
    encoder.get_layer("log_variance").set_weights([np.zeros_like(matrix), np.log(variance_factor * variance)])
    decoder = keras.Sequential([keras.Input((latent_dim,)), keras.layers.Dense(size), keras.layers.Reshape((2, 3, 1))])
    decoder.set_weights([matrix.T, offset])
    return VAE(encoder, decoder, likelihood="gaussian", scale=scale, from_logits=False, **arguments)


def make_gan(kind=GAN, *, eager=True, optimizers=None, seed=0, num_classes=0, **arguments):
    keras.utils.set_random_seed(seed)
    model = kind(
        networks.mlp_decoder(SHAPE, latent_dim=LATENT, hidden=(6,), num_classes=num_classes),
        networks.conv_discriminator(SHAPE, filters=(3,), dropout=0.0, num_classes=num_classes),
        **arguments,
    )
    # A gradient penalty of weight 10 makes larger steps of plain gradient descent diverge.
    rate = 0.01 if issubclass(kind, WGAN) else 0.1
    model.compile(*(optimizers or (keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))), run_eagerly=eager)
    return model


def make_autoencoder(*, eager=True, optimizer=None, seed=0, **arguments):
    keras.utils.set_random_seed(seed)
    model = Autoencoder(
        networks.pooling_encoder(SHAPE, filters=(3, 2)), networks.resizing_decoder(SHAPE, filters=(2, 3)), **arguments
    )
    model.compile(optimizer or keras.optimizers.SGD(0.1), run_eagerly=eager)
    return model


def make_denoiser(**arguments):
    return make_autoencoder(**{"corruption": "gaussian", "corruption_level": 0.3} | arguments)


def make(kind, **arguments):
    if kind == "vae":
        return make_vae(**arguments)
    if kind == "denoiser":
        return make_denoiser(**arguments)
    if kind == "wgan":
        return make_gan(WGAN, **{"critic_steps": 2} | arguments)
    return make_gan(**arguments)


KINDS = ["vae", "denoiser", "gan", "wgan"]


def mostly_slow(values, *fast):
    """Return test parameters, tuples if there are several names, of which only `fast` run by default."""
    slow = {"marks": pytest.mark.slow}
    return [
        value if value in fast else pytest.param(*(value if isinstance(value, tuple) else (value,)), **slow)
        for value in values
    ]


def encoder(shape=SHAPE, latent_dim=LATENT, num_classes=0):
    return networks.mlp_encoder(shape, latent_dim=latent_dim, hidden=(2,), num_classes=num_classes)


def decoder(shape=SHAPE, latent_dim=LATENT, num_classes=0):
    return networks.mlp_decoder(shape, latent_dim=latent_dim, hidden=(2,), num_classes=num_classes)


def critic(shape=SHAPE, num_classes=0):
    return networks.conv_discriminator(shape, filters=(2,), num_classes=num_classes)


def normalized_critic(shape=SHAPE):
    return networks.deep_conv_discriminator(shape, filters=(2, 2), normalization="batch")


def fit(model, x, y=None, **arguments):
    arguments = {"batch_size": 4, "shuffle": False, "verbose": 0} | arguments
    return model.fit(x, y, **arguments).history


def train(model, x, steps):
    """Train for `steps` steps, each on all of x."""
    model.fit(tf.data.Dataset.from_tensors(x).repeat(steps), verbose=0)


def smooth_blobs(count, seed=0):
    rng, (rows, columns) = np.random.default_rng(seed), np.mgrid[:8, :8]
    centers = rng.uniform(1, 7, (count, 2, 1, 1))
    squared_distances = (rows - centers[:, 0]) ** 2 + (columns - centers[:, 1]) ** 2
    return np.exp(-squared_distances / 6)[..., None].astype("float32")


def weights(model):
    return [variable.numpy() for variable in model.trainable_variables]


def differ(before, after):
    """Return for every weight array whether it changed."""
    return [not np.array_equal(old, new) for old, new in zip(before, after, strict=True)]


def assert_close(actual, expected, **tolerances):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, **tolerances)


def given(x, labels, num_classes):
    """Return the inputs of a network, with labels as one-hot rows if there are classes."""
    if not num_classes:
        return x
    return [tf.convert_to_tensor(x), tf.constant(np.eye(num_classes, dtype="float32")[labels])]


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, float)))


def latents_of(key, count):
    """Return the latents that an update of an adversarial model draws from its key, and the key of other noise."""
    first, second = tf.unstack(tf.random.split(key, 2))
    return tf.random.stateless_normal((count, LATENT), first), second
