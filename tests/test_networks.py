"""Networks: the layers and parameter counts that the reports give, other image shapes, and refused arguments."""

import time

import numpy as np
import pytest

from keras_gen import UsageError, networks
from keras_gen.networks import blocks

DIGIT = (28, 28, 1)


def _output_shapes(model):
    return [tuple(layer.output.shape[1:]) for layer in model.layers[1:]]


# As in the reports


def test_the_discriminator_has_40705_parameters_layer_by_layer():
    model = networks.conv_discriminator(DIGIT)
    assert model.count_params() == 40_705
    assert [layer.count_params() for layer in model.layers if layer.count_params()] == [640, 36_928, 3_137]
    assert (3136,) in _output_shapes(model)
    assert [layer.rate for layer in model.layers if type(layer).__name__ == "Dropout"] == [0.4, 0.4]


def test_the_generator_has_1164289_parameters_and_these_layers():
    model = networks.transposed_conv_generator(DIGIT)
    assert model.count_params() == 1_164_289
    # Layer by layer; LeakyReLU keeps the shape of the layer before it.
    assert list(dict.fromkeys(_output_shapes(model))) == [
        (6272,),
        (7, 7, 128),
        (14, 14, 128),
        (28, 28, 128),
        (28, 28, 1),
    ]
    kernels = [layer.kernel_size for layer in model.layers if hasattr(layer, "kernel_size")]
    assert kernels == [(4, 4), (4, 4), (7, 7)]


def test_the_lstm_encoder_reads_28_rows_and_flattens_them_to_1792():
    model = networks.lstm_encoder(DIGIT)
    assert _output_shapes(model) == [(28, 28), (28, 64), (1792,), (64,), (64,)]
    # LSTM: four gates of (28 inputs + 64 states + bias) x 64; heads: 1792 x 64 + 64 each.
    assert model.count_params() == 4 * 64 * (28 + 64 + 1) + 2 * (1792 * 64 + 64)


def test_the_lstm_vae_decoder_has_these_layers():
    model = networks.lstm_vae_decoder(DIGIT)
    # Dropout keeps the shape of the layer before it.
    assert list(dict.fromkeys(_output_shapes(model))) == [
        (98,),
        (196,),
        (14, 14, 1),
        (14, 14, 32),
        (14, 14, 64),
        (28, 28, 64),
        (50_176,),
        (784,),
        DIGIT,
    ]
    names = [type(layer).__name__ for layer in model.layers]
    positions = [index for index, name in enumerate(names) if name == "Conv2DTranspose"]
    assert [names[index + 1] for index in positions] == ["Dropout", "Dropout", "Flatten"]
    expected = (64 * 98 + 98) + (98 * 196 + 196) + (9 * 32 + 32) + (9 * 32 * 64 + 64) + (9 * 64 * 64 + 64)
    assert model.count_params() == expected + 50_176 * 784 + 784


def test_the_mlp_networks_have_one_hidden_layer_of_300():
    encoder, decoder = networks.mlp_encoder(DIGIT), networks.mlp_decoder(DIGIT)
    assert encoder.count_params() == (784 * 300 + 300) + 2 * (300 * 16 + 16)
    assert decoder.count_params() == (16 * 300 + 300) + (300 * 784 + 784)


@pytest.mark.parametrize(
    "network",
    [
        lambda: networks.mlp_decoder((8, 8, 1)),
        lambda: networks.lstm_vae_decoder((8, 8, 1)),
        lambda: networks.transposed_conv_generator((8, 8, 1), filters=4),
        lambda: networks.conv_discriminator((8, 8, 1), filters=(4,)),
        lambda: networks.mlp_encoder((8, 8, 1)),
        lambda: networks.lstm_encoder((8, 8, 1)),
    ],
)
def test_no_network_has_an_output_activation(network):
    model = network()
    for output in model.outputs:
        layer = output._keras_history.operation
        while not layer.count_params():  # Reshape
            layer = layer.input._keras_history.operation
        assert layer.activation.__name__ == "linear"


# Other shapes


@pytest.mark.parametrize("shape", [(32, 32, 3), (64, 64, 3), (12, 20, 2)])
def test_networks_follow_the_image_shape(shape):
    for generator in (
        networks.transposed_conv_generator(shape, latent_dim=5, filters=4),
        networks.mlp_decoder(shape, latent_dim=5, hidden=(6, 7)),
    ):
        assert (generator.input_shape, generator.output_shape) == ((None, 5), (None, *shape))
    discriminator = networks.conv_discriminator(shape, filters=(3, 4, 5))
    assert (discriminator.input_shape, discriminator.output_shape) == ((None, *shape), (None, 1))
    for encoder in (
        networks.lstm_encoder(shape, latent_dim=5, units=3),
        networks.mlp_encoder(shape, latent_dim=5, hidden=(6, 7)),
    ):
        assert (encoder.input_shape, encoder.output_shape) == ((None, *shape), [(None, 5), (None, 5)])


@pytest.mark.parametrize("shape", [(12, 20, 2), (6, 2, 3), (16, 16, 3)])
def test_the_lstm_vae_decoder_follows_the_image_shape(shape):
    decoder = networks.lstm_vae_decoder(shape, latent_dim=5)
    assert decoder(np.zeros((2, 5), "float32")).shape == (2, *shape)


def test_a_discriminator_takes_odd_sizes():
    assert networks.conv_discriminator((7, 9, 1), filters=(3, 4))(np.zeros((2, 7, 9, 1), "float32")).shape == (2, 1)


def test_dropout_of_zero_leaves_no_dropout_layer_in_the_discriminator():
    layers = networks.conv_discriminator((8, 8, 1), filters=(3,), dropout=0.0).layers
    assert "Dropout" not in {type(layer).__name__ for layer in layers}


def test_the_lstm_encoder_reads_rows_not_columns():
    # The recurrence runs down the image: what it says of the first row does not depend on the rows below.
    import keras

    encoder = networks.lstm_encoder((6, 4, 1), units=3, latent_dim=2)
    sequence = keras.Model(encoder.input, encoder.get_layer("lstm").output)
    images = np.random.default_rng(0).uniform(size=(1, 6, 4, 1)).astype("float32")
    changed = images.copy()
    changed[:, 1:] = 0
    first, second = np.asarray(sequence(images)), np.asarray(sequence(changed))
    np.testing.assert_array_equal(first[:, 0], second[:, 0])
    assert np.all(first[:, 1:] != second[:, 1:])


# Refused arguments

ALL = [
    networks.mlp_encoder,
    networks.lstm_encoder,
    networks.mlp_decoder,
    networks.lstm_vae_decoder,
    networks.transposed_conv_generator,
    networks.conv_discriminator,
]
WITH_LATENTS = ALL[:-1]


@pytest.mark.parametrize("builder", ALL, ids=lambda builder: builder.__name__)
@pytest.mark.parametrize(
    "image_shape",
    [None, 28, "28", (28, 28), (28, 28, 1, 1), (28, 28, 0), (28, -28, 1), (28.0, 28, 1), (28, 28, True), ("a", 2, 3)],
    ids=repr,
)
def test_a_bad_image_shape_is_refused_by_name(builder, image_shape):
    with pytest.raises(UsageError, match=r"^image_shape must be \(height, width, channels\)"):
        builder(image_shape)


@pytest.mark.parametrize("builder", WITH_LATENTS, ids=lambda builder: builder.__name__)
@pytest.mark.parametrize("latent_dim", [0, -1, 2.0, True, None, "2"], ids=repr)
def test_a_bad_latent_size_is_refused_by_name(builder, latent_dim):
    with pytest.raises(UsageError, match="^latent_dim must be an integer of at least 1"):
        builder((8, 8, 1), latent_dim=latent_dim)


@pytest.mark.parametrize("builder", [networks.lstm_vae_decoder, networks.conv_discriminator])
@pytest.mark.parametrize("dropout", [1.0, 1.5, -0.1, float("nan"), "0.5", None, True], ids=repr)
def test_a_bad_dropout_rate_is_refused_by_name(builder, dropout):
    with pytest.raises(UsageError, match="^dropout must be a number from 0 to below 1"):
        builder((8, 8, 1), dropout=dropout)


@pytest.mark.parametrize("builder", [networks.mlp_encoder, networks.mlp_decoder])
@pytest.mark.parametrize("hidden", [(), 300, None, (0,), (2.5,), "300"], ids=repr)
def test_bad_hidden_units_are_refused_by_name(builder, hidden):
    with pytest.raises(UsageError, match="^hidden must be"):
        builder((8, 8, 1), hidden=hidden)


@pytest.mark.parametrize(
    "build, argument",
    [
        (lambda: networks.conv_discriminator((8, 8, 1), filters=()), "filters"),
        (lambda: networks.conv_discriminator((8, 8, 1), filters=(4, 0)), "filters"),
        (lambda: networks.conv_discriminator((8, 8, 1), slope=-0.1), "slope"),
        (lambda: networks.transposed_conv_generator((8, 8, 1), filters=0), "filters"),
        (lambda: networks.transposed_conv_generator((8, 8, 1), slope=float("inf")), "slope"),
        (lambda: networks.lstm_encoder((8, 8, 1), units=0), "units"),
    ],
)
def test_other_bad_arguments_are_refused_by_name(build, argument):
    with pytest.raises(UsageError, match=f"^{argument} must be"):
        build()


def test_sizes_that_a_network_cannot_double_up_to_are_refused():
    for shape in ((27, 28, 1), (28, 27, 1)):
        with pytest.raises(UsageError, match="^image_shape must be .* multiples of 2"):
            networks.lstm_vae_decoder(shape)
    for shape in ((30, 28, 1), (28, 30, 1)):
        with pytest.raises(UsageError, match="^image_shape must be .* multiples of 4"):
            networks.transposed_conv_generator(shape)


def test_a_dense_layer_out_of_reach_is_refused_before_anything_is_allocated():
    start = time.monotonic()
    with pytest.raises(UsageError, match=r"must be small enough for a dense layer .*images \(64, 64, 3\)"):
        networks.lstm_vae_decoder((64, 64, 3))
    assert time.monotonic() - start < 0.5


@pytest.mark.parametrize(
    "build",
    [
        lambda: networks.mlp_encoder((8, 8, 1), latent_dim=2, hidden=(100,)),
        lambda: networks.mlp_encoder((8, 8, 1), latent_dim=2, hidden=(10, 1000)),
        lambda: networks.mlp_decoder((8, 8, 1), latent_dim=2, hidden=(100,)),
        lambda: networks.lstm_vae_decoder((8, 8, 1), latent_dim=2),
        lambda: networks.lstm_encoder((8, 8, 1), latent_dim=100, units=8),
        lambda: networks.transposed_conv_generator((8, 8, 1), latent_dim=100, filters=16),
    ],
)
def test_no_builder_makes_a_dense_layer_over_the_limit(monkeypatch, build):
    monkeypatch.setattr(blocks, "MAX_WEIGHTS", 5000)
    with pytest.raises(UsageError, match="dense layer of at most"):
        build()
