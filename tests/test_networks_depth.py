"""Convolutional stacks at every depth and size, and their normalization."""

import math

import numpy as np
import pytest
from model_helpers import mostly_slow

from keras_gen import networks

# The side of the image, and of what is left of it after each of five convolutions.
SIDES_DOWN = {
    28: (28, 14, 7, 4, 4, 4),
    32: (32, 16, 8, 4, 4, 4),
    64: (64, 32, 16, 8, 4, 4),
    8: (8, 4, 4, 4, 4, 4),
    30: (30, 15, 8, 4, 4, 4),
}
CHANNELS = {28: 1, 32: 3, 64: 3, 8: 1, 30: 3}
FILTERS = (3, 4, 5, 6, 7)


def _sides(model, kind):
    return [layer.output.shape[1] for layer in model.layers if type(layer).__name__ == kind]


def _kinds(model):
    return [type(layer).__name__ for layer in model.layers[1:]]


@pytest.mark.parametrize(
    "side, depth",
    mostly_slow(
        [(side, depth) for side in SIDES_DOWN for depth in range(1, 6)], (28, 1), (28, 4), (32, 3), (30, 5), (8, 2)
    ),
)
def test_a_stack_halves_the_image_down_to_4_and_mirrors_that_up(side, depth):
    shape, filters = (side, side, CHANNELS[side]), FILTERS[:depth]
    down = SIDES_DOWN[side]

    encoder = networks.conv_encoder(shape, latent_dim=2, filters=filters, hidden=5)
    assert _sides(encoder, "Conv2D") == list(down[1 : depth + 1])
    heads = ["Flatten", "Dense", "Dense", "Dense"]
    assert _kinds(encoder) == ["Conv2D", "BatchNormalization", "ReLU"] * depth + heads
    assert [output.shape for output in encoder.outputs] == [(None, 2), (None, 2)]

    decoder = networks.conv_decoder(shape, latent_dim=2, filters=filters)
    assert _sides(decoder, "Reshape") + _sides(decoder, "Conv2DTranspose") == list(down[depth - 1 :: -1])
    hidden = ["Conv2DTranspose", "BatchNormalization", "ReLU"] * (depth - 1)
    assert _kinds(decoder) == ["Dense", "Reshape", *hidden, "Conv2D", "BatchNormalization"]
    assert decoder.output_shape == (None, *shape)

    generator = networks.deep_conv_generator(shape, latent_dim=2, filters=filters)
    assert _sides(generator, "Conv2DTranspose") == list(down[depth::-1])
    hidden = ["Conv2DTranspose", "BatchNormalization", "ReLU"] * depth
    assert _kinds(generator) == ["Reshape", *hidden, "Conv2DTranspose"]
    assert generator.output_shape == (None, *shape)

    discriminator = networks.deep_conv_discriminator(shape, filters=filters)
    assert _sides(discriminator, "Conv2D") == list(down[1 : depth + 1])
    hidden = ["Conv2D", "BatchNormalization", "LeakyReLU"] * (depth - 1)
    assert _kinds(discriminator) == ["Conv2D", "LeakyReLU", *hidden, "Flatten", "Dense"]
    assert discriminator.output_shape == (None, 1)


@pytest.mark.parametrize(
    "shape, depth",
    mostly_slow(
        [
            (shape, depth)
            for shape in ((28, 28, 1), (30, 30, 3), (20, 30, 2), (5, 17, 1), (1, 9, 1), (3, 2, 3))
            for depth in (1, 2, 5)
        ],
        ((30, 30, 3), 2),
        ((5, 17, 1), 5),
        ((3, 2, 3), 1),
    ),
    ids=str,
)
def test_a_stack_computes_what_its_shapes_say(shape, depth):
    filters, latents = FILTERS[:depth], np.ones((2, 3), "float32")
    for network in (networks.conv_decoder, networks.deep_conv_generator):
        assert network(shape, latent_dim=3, filters=filters)(latents).shape == (2, *shape)
    images = np.ones((2, *shape), "float32")
    assert networks.deep_conv_discriminator(shape, filters=filters)(images).shape == (2, 1)
    mean, log_variance = networks.conv_encoder(shape, latent_dim=3, filters=filters, hidden=4)(images)
    assert mean.shape == log_variance.shape == (2, 3)


def test_height_and_width_go_their_own_ways():
    generator = networks.deep_conv_generator((30, 5, 1), latent_dim=2, filters=(3, 4, 5))
    sizes = [layer.output.shape[1:3] for layer in generator.layers if type(layer).__name__ == "Conv2DTranspose"]
    assert sizes == [(4, 3), (8, 3), (15, 3), (30, 5)]


def test_the_default_depths_and_parameter_counts():
    encoder, decoder = networks.conv_encoder((28, 28, 1)), networks.conv_decoder((28, 28, 1))
    # Kernels of 3x3 and biases, then four numbers a channel of batch normalization.
    convolutions = (9 * 32 + 32) + (9 * 32 * 64 + 64) + (9 * 64 * 128 + 128) + 2 * (9 * 128 * 128 + 128)
    normalisations = 4 * (32 + 64 + 128 + 128 + 128)
    assert math.prod((4, 4, 128)) == 2048
    assert encoder.count_params() == convolutions + normalisations + (2048 * 256 + 256) + 2 * (256 * 100 + 100)
    convolutions = 2 * (9 * 128 * 128 + 128) + (9 * 128 * 64 + 64) + (9 * 64 * 32 + 32) + (9 * 32 + 1)
    normalisations = 4 * (128 + 128 + 64 + 32 + 1)
    assert decoder.count_params() == (100 * 2048 + 2048) + convolutions + normalisations
    generator = networks.deep_conv_generator((28, 28, 1))
    expected = (100 * 4 * 4 * 256 + 256) + (25 * 256 * 128 + 128) + (25 * 128 * 64 + 64) + (25 * 64 + 1)
    assert generator.count_params() == expected + 4 * (256 + 128 + 64)


def test_without_batch_normalization_there_is_none():
    encoder = networks.conv_encoder((8, 8, 1), filters=(3, 4), hidden=5, batch_norm=False)
    decoder = networks.conv_decoder((8, 8, 1), filters=(3, 4), batch_norm=False)
    assert "BatchNormalization" not in _kinds(encoder) + _kinds(decoder)


def test_the_layers_that_are_normalized_are_those_chosen():
    model = networks.deep_conv_discriminator(
        (8, 8, 1), filters=(2, 3, 4, 5), normalized=(False, True, False, True), normalization="layer"
    )
    plain, normalized = ["Conv2D", "LeakyReLU"], ["Conv2D", "GroupNormalization", "LeakyReLU"]
    assert _kinds(model) == plain + normalized + plain + normalized + ["Flatten", "Dense"]


@pytest.mark.parametrize("depth", mostly_slow(range(1, 6), 3))
def test_a_discriminator_whose_first_and_last_convolutions_are_bare(depth):
    # Report R3: conv; (depth - 1) x (conv, batch normalization); conv; dense.
    normalized = [False] + [True] * (depth - 1) + [False]
    model = networks.deep_conv_discriminator((28, 28, 1), filters=(*FILTERS[:depth], 8), normalized=normalized)
    middle = ["Conv2D", "BatchNormalization", "LeakyReLU"] * (depth - 1)
    assert _kinds(model) == ["Conv2D", "LeakyReLU", *middle, "Conv2D", "LeakyReLU", "Flatten", "Dense"]
    assert _sides(model, "Conv2D") == [14, 7, 4, 4, 4, 4][: depth + 1]


@pytest.mark.parametrize("normalization, independent", [("batch", False), ("layer", True), ("none", True)])
def test_only_batch_normalization_makes_a_score_depend_on_the_other_images(normalization, independent):
    critic = networks.deep_conv_discriminator((8, 8, 1), filters=(4, 6), normalization=normalization)
    images = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("float32")
    alone = np.concatenate([critic(images[index : index + 1], training=True) for index in range(4)])
    together = np.asarray(critic(images, training=True))
    assert np.allclose(alone, together, atol=1e-5) == independent


def test_layer_normalization_is_over_height_width_and_channels_of_an_image():
    critic = networks.deep_conv_discriminator((8, 8, 1), filters=(4,), normalized=(True,), normalization="layer")
    layer = next(layer for layer in critic.layers if type(layer).__name__ == "GroupNormalization")
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(5, 4, 4, 4)).astype("float32")
    normalized = np.asarray(layer(values))
    np.testing.assert_allclose(normalized.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(normalized.std((1, 2, 3)), 1, atol=1e-3)


def test_batch_normalization_is_of_the_global_batch_and_works_without_a_strategy():
    built = [
        networks.conv_encoder((8, 8, 1), filters=(3,), hidden=5),
        networks.conv_decoder((8, 8, 1), filters=(3, 4)),
        networks.deep_conv_generator((8, 8, 1), filters=(3, 4)),
        networks.dcgan_generator((8, 8, 1)),
        networks.deep_conv_discriminator((8, 8, 1), filters=(3, 4)),
    ]
    for model in built:
        found = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
        assert found
        assert all(layer.synchronized for layer in found)
    layer = next(layer for layer in built[0].layers if type(layer).__name__ == "BatchNormalization")
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(5, 4, 4, 3)).astype("float32")
    mean, variance = values.mean((0, 1, 2)), values.var((0, 1, 2))
    np.testing.assert_allclose(layer(values, training=True), (values - mean) / np.sqrt(variance + 1e-5), atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.01 * mean, rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, 0.99 + 0.01 * variance, rtol=1e-4)


def test_a_transposed_convolution_is_the_mirror_of_the_convolution_that_halves():
    # <conv(x), y> = <x, transposed(y)> with the same kernel, at even and odd sizes: nothing is shifted by a pixel.
    import keras

    from keras_gen.networks import blocks

    generator = np.random.default_rng(0)
    for size in ((28, 14), (7, 15), (30, 4), (6, 3)):
        small = blocks.sizes_down((*size, 1), 1)[1]
        kernel = generator.normal(size=(5, 5, 1, 2)).astype("float32")
        strides = blocks.check_strides(None, (2,), (*size, 1))[0]
        images = generator.normal(size=(1, *size, 1)).astype("float32")
        maps = generator.normal(size=(1, *small, 2)).astype("float32")
        forward = keras.ops.conv(images, kernel, strides=strides, padding="same")
        inputs = keras.Input((*small, 2))
        model = keras.Model(inputs, blocks.transposed_conv(inputs, 1, 5, size))
        model.layers[-1].kernel.assign(kernel)
        np.testing.assert_allclose(np.sum(forward * maps), np.sum(images * model(maps)), rtol=1e-4)
