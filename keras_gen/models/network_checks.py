"""Check the networks of a model: built, of known shapes, and compatible with each other."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras

from keras_gen.utils.errors import must_be
from keras_gen.utils.keras_internals import flatten_layers, producer

Shape = tuple[int | None, ...]

REARRANGING = "Reshape Flatten Permute Cropping2D ZeroPadding2D UpSampling2D Identity Dropout Cast Transpose".split()
"""Kinds of operations that keep the values of their input, or set some to 0."""

PER_IMAGE = (
    *("Functional", "Sequential", "InputLayer", "Dense", "Conv2D", "NarrowConv2D", "DepthwiseConv2D"),
    *("SeparableConv2D", "SpectralNormalization", "LayerNormalization", "GroupNormalization"),
    *("Dropout", "SpatialDropout2D", "GaussianNoise"),
    *("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Add", "Concatenate", "Multiply", "Embedding", "Rescaling"),
    *("Flatten", "Reshape", "Permute", "RepeatVector", "ZeroPadding2D", "UpSampling2D"),
    *("AveragePooling2D", "MaxPooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D"),
)
"""Kinds of models and layers that treat the images of a batch independently."""

ACTIVATIONS = {name.replace("_", "") for name in dir(keras.activations)}
"""Names of activations, as classes of layers and operations have them in lower case: `Softmax`, `HardSigmoid`."""

IMAGE_RANGES = {"sigmoid": (0, 1), "tanh": (-1, 1)}
"""Value ranges of images from networks that end in an activation of these names."""


def check_network(argument: str, network: object) -> keras.Model:
    """Return `network` if it is a built model of known shapes with one input, or with one-hot labels as a second one.

    Raises:
        UsageError: it is not.
    """
    if not isinstance(network, keras.Model) or not network.built or not hasattr(network, "input_shape"):
        shown = network if not isinstance(network, keras.Model) else f"{type(network).__name__} of unknown shapes"
        requirement = "a built keras.Sequential or functional keras.Model (wrap others: keras.Model(x, network(x)))"
        raise must_be(argument, requirement, shown)
    shapes = [tuple(tensor.shape) for tensor in network.inputs]
    if len(shapes) > 2 or (len(shapes) == 2 and (len(shapes[1]) != 2 or (shapes[1][1] or 0) < 2)):
        second = "one-hot labels of at least 2 classes as a second (a Dense layer takes them, an Embedding does not)"
        raise must_be(argument, f"a model with one input, or with {second}", shapes)
    return network


def main_input_shape(network: keras.Model) -> Shape:
    """Return the shape of the network's images or latents, batch first."""
    return tuple(network.inputs[0].shape)


def num_classes(network: keras.Model) -> int:
    """Return the width of the network's one-hot labels; 0 for a network without labels."""
    return network.inputs[1].shape[-1] if len(network.inputs) == 2 else 0


def check_logits(argument: str, network: keras.Model) -> None:
    """Check that the network ends without an activation, or raise `UsageError`."""
    if name := final_activation(network):
        raise must_be(argument, "linear at its end", name)


def check_image_range(
    argument: str, network: keras.Model, from_logits: bool, value_range: tuple[int, int], *, is_fixed: bool = False
) -> None:
    """Check that the activation at the end of a network that makes images fits both settings, or raise `UsageError`.

    `is_fixed` says that the model's likelihood or loss allows only (0, 1).
    """
    name = final_activation(network)
    natural = IMAGE_RANGES.get(name, value_range)
    if is_fixed and natural != value_range:
        raise must_be(argument, "linear or a sigmoid at its end, with this likelihood or loss", name)
    if from_logits and name:
        remedy = "" if natural == value_range else f" and value_range {natural}"
        raise must_be(argument, f"linear at its end, or from_logits must be False{remedy}", name)
    if natural != value_range:
        raise must_be("value_range", f"{natural}, since the {argument} ends in {name}", value_range)


def final_activation(network: keras.Model) -> str | None:
    """Return the name of the activation at the end of a network; None if there is none."""
    tensor = network.outputs[0]
    while True:
        operation, inputs = producer(tensor)
        while isinstance(operation, keras.layers.Wrapper):
            operation = operation.layer
        if isinstance(operation, keras.Model) and hasattr(operation, "outputs"):  # a subclassed model has none
            return final_activation(operation)
        kind, activation = type(operation).__name__, getattr(operation, "activation", None)
        if activation is None and kind.lower() in ACTIVATIONS:
            activation = operation
        if activation not in (None, keras.activations.linear):
            return getattr(activation, "__name__", type(activation).__name__.lower())
        if kind not in (*REARRANGING, "Activation"):
            return None
        tensor = inputs[0]


def is_per_image(network: keras.Model) -> bool:
    """Return whether a network certainly computes each image's output, and each image's share of the loss, by itself.

    True for networks of the layers `PER_IMAGE` with activations of Keras and without regularizers of activations.
    False for networks with batch normalization, with layers or functions of a user, or with other layers.
    """
    parts = [network, *flatten_layers(network)]
    parts += [operation for model in parts if hasattr(model, "operations") for operation in model.operations]
    return all(map(_is_per_image, parts))


def _is_per_image(part) -> bool:
    package = type(part).__module__.partition(".")[0]
    activation = getattr(part, "activation", None)
    return (
        package in ("keras", "keras_gen")
        and type(part).__name__ in PER_IMAGE
        and getattr(part, "activity_regularizer", None) is None
        and (activation is None or (getattr(activation, "__module__", None) or "").startswith("keras."))
    )


def check_same_classes(argument: str, network: keras.Model, other_argument: str, other: keras.Model) -> None:
    """Check that both networks have the same number of classes, or raise `UsageError`."""
    if num_classes(network) != num_classes(other):
        requirement = f"a model with labels of {num_classes(other)} classes, like the {other_argument} (0: none)"
        raise must_be(argument, requirement, num_classes(network))


def check_makes_images(argument: str, network: keras.Model) -> None:
    """Check that the network maps latents `(n, latent_dim)` to images, or raise `UsageError`."""
    shapes = main_input_shape(network), network.output_shape
    if len(shapes[0]) != 2 or len(shapes[1]) != 4:
        requirement = "a model of latents (n, latent_dim) that ends in images (n, height, width, channels)"
        raise must_be(argument, requirement, f"{shapes[0]} to {shapes[1]}")


def check_encoder_and_decoder(encoder: keras.Model, decoder: keras.Model, latent_shape: Shape, name: str) -> None:
    """Check that the encoder takes images and the decoder maps its output to such images, or raise `UsageError`.

    `latent_shape` is the shape of that output, batch first, and `name` what the error message calls it.
    """
    image_shape, decoder_input = main_input_shape(encoder), main_input_shape(decoder)
    if len(image_shape) != 4:
        raise must_be("encoder", "a model of images (n, height, width, channels)", image_shape)
    if decoder_input != latent_shape:
        raise must_be("decoder", f"a model of {name} {latent_shape}, the encoder's output", decoder_input)
    if decoder.output_shape != image_shape:
        requirement = f"a model that ends in images {image_shape}, the encoder's input"
        raise must_be("decoder", requirement, decoder.output_shape)
    check_same_classes("decoder", decoder, "encoder", encoder)
