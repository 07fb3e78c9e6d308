"""Networks: layers and parameter counts, other image shapes, and refused arguments.

test_networks_depth.py has the convolutional stacks at every depth, test_networks_conditional.py networks with labels.
"""

import inspect
import math
import operator

import keras
import numpy as np
import pytest

from keras_gen import UsageError, networks
from keras_gen.networks import blocks

DIGIT = (28, 28, 1)
ALL = [getattr(networks, name) for name in networks.__all__ if name[0].islower()]
name = operator.attrgetter("__name__")


def taking(argument, *types):
    """Parametrize a test with the builders that take an argument, whose default is of one of the types."""
    parameters = {builder: inspect.signature(builder).parameters.get(argument) for builder in ALL}
    chosen = [b for b, taken in parameters.items() if taken and isinstance(taken.default, types or object)]
    assert chosen
    return pytest.mark.parametrize("builder", chosen, ids=name)


def _output_shapes(model):
    return [tuple(layer.output.shape[1:]) for layer in model.layers[1:]]


def _layers(model):
    """Describe each layer but the input: its class, units or filters, kernel, stride and activation."""
    return [_words(layer) for layer in model.layers[1:]]


def _words(layer):
    words = [type(layer).__name__]
    for width in ("units", "filters"):
        if hasattr(layer, width):
            words.append(str(getattr(layer, width)))
    if hasattr(layer, "kernel_size"):
        words += ["x".join(map(str, layer.kernel_size)), "s" + "x".join(map(str, layer.strides))]
    if getattr(getattr(layer, "activation", None), "__name__", "linear") != "linear":
        words.append(layer.activation.__name__)
    return " ".join(words)


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
    discriminator = networks.mlp_discriminator(DIGIT)
    assert _layers(discriminator) == ["Flatten", "Dense 300 relu", "Dense 1"]
    assert discriminator.count_params() == (784 * 300 + 300) + (300 + 1)
    deep = networks.mlp_encoder(DIGIT, latent_dim=64, hidden=(512, 256, 128))
    assert _layers(deep)[1:4] == ["Dense 512 relu", "Dense 256 relu", "Dense 128 relu"]


def test_the_vae_of_two_latents_has_these_layers():
    encoder = networks.conv_encoder(
        DIGIT, latent_dim=2, filters=(32, 64, 64, 64), strides=(1, 2, 1, 1), hidden=32, batch_norm=False
    )
    convolutions = ["Conv2D 32 3x3 s1x1", "Conv2D 64 3x3 s2x2", "Conv2D 64 3x3 s1x1", "Conv2D 64 3x3 s1x1"]
    layers = [layer for convolution in convolutions for layer in (convolution, "ReLU")]
    assert _layers(encoder) == [*layers, "Flatten", "Dense 32 relu", "Dense 2", "Dense 2"]
    assert (12_544,) in _output_shapes(encoder)
    convolutions = (9 * 32 + 32) + (9 * 32 * 64 + 64) + 2 * (9 * 64 * 64 + 64)
    assert encoder.count_params() == convolutions + (12_544 * 32 + 32) + 2 * (32 * 2 + 2)

    decoder = networks.conv_decoder(DIGIT, latent_dim=2, filters=(64, 32), batch_norm=False)
    layers = ["Dense 12544 relu", "Reshape", "Conv2DTranspose 32 3x3 s2x2", "ReLU", "Conv2D 1 3x3 s1x1"]
    assert _layers(decoder) == layers
    assert list(dict.fromkeys(_output_shapes(decoder))) == [(12_544,), (14, 14, 64), (28, 28, 32), DIGIT]
    assert decoder.count_params() == (2 * 12_544 + 12_544) + (9 * 64 * 32 + 32) + (9 * 32 + 1)


def test_the_pooling_encoder_and_the_resizing_decoder_have_these_layers():
    encoder, decoder = networks.pooling_encoder(DIGIT), networks.resizing_decoder(DIGIT)
    convolutions = ["Conv2D 16 3x3 s1x1 relu", "Conv2D 8 3x3 s1x1 relu", "Conv2D 8 3x3 s1x1 relu"]
    assert _layers(encoder)[::2] == convolutions
    assert _layers(encoder)[1::2] == ["MaxPooling2D"] * 3
    assert [layer.pool_size for layer in encoder.layers if type(layer).__name__ == "MaxPooling2D"] == [(2, 2)] * 3
    assert _output_shapes(encoder) == [(28, 28, 16), (14, 14, 16), (14, 14, 8), (7, 7, 8), (7, 7, 8), (4, 4, 8)]
    assert decoder.input_shape == (None, 4, 4, 8)
    assert _layers(decoder)[1::2] == convolutions[::-1]
    assert _layers(decoder)[::2] == ["Resizing"] * 3 + ["Conv2D 1 3x3 s1x1"]
    assert [layer.interpolation for layer in decoder.layers if type(layer).__name__ == "Resizing"] == ["nearest"] * 3
    assert _output_shapes(decoder) == [(7, 7, 8), (7, 7, 8), (14, 14, 8), (14, 14, 8), (28, 28, 8), (28, 28, 16), DIGIT]
    first, middle, last = 9 * 16 + 16, 9 * 16 * 8 + 8, 9 * 8 * 8 + 8
    assert encoder.count_params() == first + middle + last
    assert decoder.count_params() == 2 * last + (9 * 8 * 16 + 16) + (9 * 16 + 1)


def test_the_denoising_autoencoder_is_32_32_16_and_mirrored():
    encoder = networks.pooling_encoder(DIGIT, filters=(32, 32, 16))
    decoder = networks.resizing_decoder(DIGIT, filters=(16, 32, 32))
    assert encoder.output_shape == decoder.input_shape == (None, 4, 4, 16)
    assert encoder.count_params() == (9 * 32 + 32) + (9 * 32 * 32 + 32) + (9 * 32 * 16 + 16)
    expected = (9 * 16 * 16 + 16) + (9 * 16 * 32 + 32) + (9 * 32 * 32 + 32) + (9 * 32 + 1)
    assert decoder.count_params() == expected


def test_the_dcgan_generator_has_these_layers():
    model = networks.dcgan_generator(DIGIT)
    activation = ["BatchNormalization", "LeakyReLU", "Dropout"]
    layers = ["Dense 8192", "Reshape", *activation, "Conv2DTranspose 256 5x5 s2x2", "Resizing", *activation]
    layers += ["Conv2DTranspose 128 5x5 s2x2", *activation, "Conv2DTranspose 1 5x5 s2x2"]
    assert _layers(model) == layers
    sizes = [(8192,), (4, 4, 512), (8, 8, 256), (7, 7, 256), (14, 14, 128), DIGIT]
    assert list(dict.fromkeys(_output_shapes(model))) == sizes
    assert {layer.rate for layer in model.layers if type(layer).__name__ == "Dropout"} == {0.1}
    assert {layer.negative_slope for layer in model.layers if type(layer).__name__ == "LeakyReLU"} == {0.2}
    # Batch normalization: scale, shift, moving mean and variance of each channel.
    expected = (100 * 8192 + 8192) + (25 * 512 * 256 + 256) + (25 * 256 * 128 + 128) + (25 * 128 + 1)
    assert model.count_params() == expected + 4 * (512 + 256 + 128)


def test_the_dcgan_discriminator_has_these_layers():
    model = networks.deep_conv_discriminator(
        DIGIT, filters=(64, 128, 256), normalized=(False, True, True), strides=(2, 2, 2), kernel_size=5, dropout=0.1
    )
    activation = ["BatchNormalization", "LeakyReLU", "Dropout"]
    layers = ["Conv2D 64 5x5 s2x2", "LeakyReLU", "Dropout", "Conv2D 128 5x5 s2x2", *activation]
    assert _layers(model) == [*layers, "Conv2D 256 5x5 s2x2", *activation, "Flatten", "Dense 1"]
    assert {layer.rate for layer in model.layers if type(layer).__name__ == "Dropout"} == {0.1}
    expected = (25 * 64 + 64) + (25 * 64 * 128 + 128) + (25 * 128 * 256 + 256) + (4 * 4 * 256 + 1)
    assert model.count_params() == expected + 4 * (128 + 256)


def test_the_generator_and_discriminator_of_three_and_two_convolutions():
    generator = networks.deep_conv_generator(DIGIT, latent_dim=64)
    convolutions = ["256 4x4 s1x1", "128 5x5 s2x2", "64 5x5 s2x2"]
    layers = [layer for words in convolutions for layer in (f"Conv2DTranspose {words}", "BatchNormalization", "ReLU")]
    assert _layers(generator) == ["Reshape", *layers, "Conv2DTranspose 1 5x5 s2x2"]
    sizes = [(1, 1, 64), (4, 4, 256), (7, 7, 128), (14, 14, 64), DIGIT]
    assert list(dict.fromkeys(_output_shapes(generator))) == sizes
    expected = (64 * 16 * 256 + 256) + (25 * 256 * 128 + 128) + (25 * 128 * 64 + 64) + (25 * 64 + 1)
    assert generator.count_params() == expected + 4 * (256 + 128 + 64)

    discriminator = networks.deep_conv_discriminator(DIGIT)
    layers = ["Conv2D 64 5x5 s2x2", "LeakyReLU", "Conv2D 128 5x5 s2x2", "BatchNormalization", "LeakyReLU"]
    assert _layers(discriminator) == [*layers, "Flatten", "Dense 1"]
    # The last layer weighs all that is left, 7x7 of 128: a convolution to 1 with a 7x7 kernel.
    assert discriminator.count_params() == (25 * 64 + 64) + (25 * 64 * 128 + 128) + 4 * 128 + (7 * 7 * 128 + 1)
    critic = networks.deep_conv_discriminator(DIGIT, normalization="layer")
    assert _layers(critic)[3] == "GroupNormalization"
    assert critic.count_params() == discriminator.count_params() - 2 * 128  # no moving mean and variance
    bare = networks.deep_conv_discriminator(DIGIT, normalization="none")
    assert [words.split()[0] for words in _layers(bare)] == ["Conv2D", "LeakyReLU"] * 2 + ["Flatten", "Dense"]


@pytest.mark.parametrize("builder", [builder for builder in ALL if builder is not networks.pooling_encoder], ids=name)
def test_no_network_has_an_output_activation(builder):
    model = builder((8, 8, 1))
    for output in model.outputs:
        layer = output._keras_history.operation
        while type(layer).__name__ in ("Reshape", "BatchNormalization"):
            layer = layer.input._keras_history.operation
        assert layer.activation.__name__ == "linear"


# Other shapes


@pytest.mark.parametrize("shape", [(32, 32, 3), (64, 64, 3), (12, 20, 2)])
def test_networks_follow_the_image_shape(shape):
    for generator in (
        networks.transposed_conv_generator(shape, latent_dim=5, filters=4),
        networks.mlp_decoder(shape, latent_dim=5, hidden=(6, 7)),
        networks.dcgan_generator(shape, latent_dim=5),
    ):
        assert (generator.input_shape, generator.output_shape) == ((None, 5), (None, *shape))
    for discriminator in (
        networks.conv_discriminator(shape, filters=(3, 4, 5)),
        networks.mlp_discriminator(shape, hidden=(6, 7)),
    ):
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


@pytest.mark.parametrize(
    "build",
    [
        lambda rate: networks.conv_discriminator((8, 8, 1), filters=(3,), dropout=rate),
        lambda rate: networks.deep_conv_discriminator((8, 8, 1), filters=(3,), dropout=rate),
        lambda rate: networks.dcgan_generator((8, 8, 1), dropout=rate),
    ],
)
def test_dropout_of_zero_leaves_no_dropout_layer(build):
    assert "Dropout" in {type(layer).__name__ for layer in build(0.5).layers}
    assert "Dropout" not in {type(layer).__name__ for layer in build(0.0).layers}


@pytest.mark.parametrize("shape", [(28, 20, 1), (9, 7, 3), (64, 64, 3), (3, 1, 1)])
def test_the_autoencoder_networks_fit_together_at_any_size(shape):
    encoder = networks.pooling_encoder(shape, filters=(4, 3, 2))
    decoder = networks.resizing_decoder(shape, filters=(2, 3, 4))
    codes = encoder(np.zeros((2, *shape), "float32"))
    assert decoder.input_shape[1:] == codes.shape[1:]
    assert decoder(codes).shape == (2, *shape)


def test_the_dcgan_generator_runs_where_its_resize_goes_up_and_down():
    for shape in ((4, 4, 1), (28, 64, 3)):
        assert networks.dcgan_generator(shape, latent_dim=2)(np.zeros((2, 2), "float32")).shape == (2, *shape)


def test_the_lstm_encoder_reads_rows_not_columns():
    # The recurrence runs down the image: its output for the first row does not depend on the rows below.
    encoder = networks.lstm_encoder((6, 4, 1), units=3, latent_dim=2)
    sequence = keras.Model(encoder.input, encoder.get_layer("lstm").output)
    images = np.random.default_rng(0).uniform(size=(1, 6, 4, 1)).astype("float32")
    changed = images.copy()
    changed[:, 1:] = 0
    first, second = np.asarray(sequence(images)), np.asarray(sequence(changed))
    np.testing.assert_array_equal(first[:, 0], second[:, 0])
    assert np.all(first[:, 1:] != second[:, 1:])


# Refused arguments


@pytest.mark.parametrize("builder", ALL, ids=name)
@pytest.mark.parametrize(
    "image_shape",
    [None, 28, "28", (28, 28), (28, 28, 1, 1), (28, 28, 0), (28, -28, 1), (28.0, 28, 1), (28, 28, True), ("a", 2, 3)],
    ids=repr,
)
def test_a_bad_image_shape_is_refused_by_name(builder, image_shape):
    with pytest.raises(UsageError, match=r"^image_shape must be \(height, width, channels\)"):
        builder(image_shape)


@taking("latent_dim")
@pytest.mark.parametrize("latent_dim", [0, -1, 2.0, True, None, "2"], ids=repr)
def test_a_bad_latent_size_is_refused_by_name(builder, latent_dim):
    with pytest.raises(UsageError, match="^latent_dim must be an integer of at least 1"):
        builder((8, 8, 1), latent_dim=latent_dim)


@taking("dropout")
@pytest.mark.parametrize("dropout", [1.0, 1.5, -0.1, float("nan"), "0.5", None, True], ids=repr)
def test_a_bad_dropout_rate_is_refused_by_name(builder, dropout):
    with pytest.raises(UsageError, match=r"^dropout must be a number in \[0, 1\)"):
        builder((8, 8, 1), dropout=dropout)


@taking("hidden", tuple)
@pytest.mark.parametrize("hidden", [(), 300, None, (0,), (2.5,), "300"], ids=repr)
def test_bad_hidden_units_are_refused_by_name(builder, hidden):
    with pytest.raises(UsageError, match="^hidden must be"):
        builder((8, 8, 1), hidden=hidden)


@taking("filters", tuple)
@pytest.mark.parametrize("filters", [(), 16, None, (0,), (8, -8), (2.5,), "16"], ids=repr)
def test_bad_filters_are_refused_by_name(builder, filters):
    with pytest.raises(UsageError, match="^filters must be"):
        builder((8, 8, 1), filters=filters)


@pytest.mark.parametrize("builder", [networks.conv_decoder, networks.deep_conv_generator])
@pytest.mark.parametrize("kernel_size", [0, -3, 2, 4, 3.0, None, True, (3, 3)], ids=repr)
def test_a_transposed_convolution_has_an_odd_kernel(builder, kernel_size):
    with pytest.raises(UsageError, match="^kernel_size must be an (odd integer|integer of at least 1)"):
        builder((8, 8, 1), kernel_size=kernel_size)


@pytest.mark.parametrize(
    "normalized", [(True,), (True, False, True), (), True, "ab", (1, 0), (None, None), np.ones(2, bool)], ids=repr
)
def test_a_bad_choice_of_normalized_layers_is_refused_by_name(normalized):
    with pytest.raises(UsageError, match="^normalized must be a sequence of booleans as long as filters, 2"):
        networks.deep_conv_discriminator((8, 8, 1), filters=(4, 4), normalized=normalized)


@taking("strides")
@pytest.mark.parametrize("strides", [(2,), (2, 2, 2), (), 2, (2, 0), (2, 1.0), "22"], ids=repr)
def test_bad_strides_are_refused_by_name(builder, strides):
    with pytest.raises(UsageError, match="^strides must be"):
        builder((8, 8, 1), filters=(4, 4), strides=strides)


@pytest.mark.parametrize(
    "build, argument",
    [
        (lambda: networks.deep_conv_discriminator((8, 8, 1), slope=-1), "slope"),
        (lambda: networks.deep_conv_discriminator((8, 8, 1), kernel_size=0), "kernel_size"),
        (lambda: networks.deep_conv_discriminator((8, 8, 1), normalization="instance"), "normalization"),
        (lambda: networks.deep_conv_discriminator((8, 8, 1), normalization=None), "normalization"),
        (lambda: networks.dcgan_generator((8, 8, 1), slope="0.2"), "slope"),
        (lambda: networks.conv_encoder((8, 8, 1), hidden=0), "hidden"),
        (lambda: networks.conv_encoder((8, 8, 1), kernel_size=2.0), "kernel_size"),
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
        with pytest.raises(UsageError, match="^image_shape must be .* multiples of 4"):
            networks.dcgan_generator(shape)


def test_a_dense_layer_out_of_reach_is_refused_before_it_is_allocated(monkeypatch):
    sizes, add_weight = [], keras.Layer.add_weight

    def counted(layer, shape=None, *arguments, **keywords):
        sizes.append(math.prod(shape or ()))
        return add_weight(layer, shape, *arguments, **keywords)

    monkeypatch.setattr(keras.Layer, "add_weight", counted)
    with pytest.raises(UsageError, match=r"must be small enough for a dense layer .*images \(64, 64, 3\)"):
        networks.lstm_vae_decoder((64, 64, 3))
    assert max(sizes) < 10**7


@pytest.mark.parametrize(
    "build",
    [
        lambda: networks.mlp_encoder((8, 8, 1), latent_dim=2, hidden=(100,)),
        lambda: networks.mlp_encoder((8, 8, 1), latent_dim=2, hidden=(10, 1000)),
        lambda: networks.mlp_decoder((8, 8, 1), latent_dim=2, hidden=(100,)),
        lambda: networks.lstm_vae_decoder((8, 8, 1), latent_dim=2),
        lambda: networks.lstm_encoder((8, 8, 1), latent_dim=100, units=8),
        lambda: networks.transposed_conv_generator((8, 8, 1), latent_dim=100, filters=16),
        lambda: networks.conv_encoder((8, 8, 1), filters=(8,), hidden=100),
        lambda: networks.conv_decoder((8, 8, 1), filters=(8,)),
        lambda: networks.deep_conv_generator((8, 8, 1), filters=(8,)),
        lambda: networks.dcgan_generator((8, 8, 1), latent_dim=1),
        lambda: networks.mlp_discriminator((8, 8, 1), hidden=(100,)),
        lambda: networks.deep_conv_discriminator((8, 8, 1), filters=(1000,)),
        lambda: networks.deep_conv_discriminator((8, 8, 1), filters=(4,), num_classes=100),
    ],
)
def test_no_builder_makes_a_dense_layer_over_the_limit(monkeypatch, build):
    monkeypatch.setattr(blocks, "MAX_WEIGHTS", 5000)
    with pytest.raises(UsageError, match="dense layer of at most"):
        build()


def test_the_bias_of_the_pixels_can_start_below_0():
    biases = [networks.mlp_decoder(DIGIT, output_bias=bias).layers[-2].bias.numpy() for bias in (0.0, -4.0)]
    assert [set(bias) for bias in biases] == [{0.0}, {-4.0}]
    with pytest.raises(UsageError, match="^output_bias must be a number, received: 'black'"):
        networks.mlp_decoder(DIGIT, output_bias="black")
