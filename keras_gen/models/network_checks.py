"""Check the networks of a model: built, of known shapes, and compatible with each other."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras

from keras_gen.utils.errors import must_be
from keras_gen.utils.keras_internals import producer

Shape = tuple[int | None, ...]

REARRANGING = "Reshape Flatten Permute Cropping2D ZeroPadding2D UpSampling2D Identity Dropout Cast Transpose".split()
"""Kinds of operations that keep the values of their input, or set some to 0."""


def check_network(argument: str, network: object) -> keras.Model:
    """Check that `network` is a built model of known shapes with one input, or with one-hot labels as a second one.

    Returns:
        The network.

    Raises:
        UsageError: it is not.
    """
    if not isinstance(network, keras.Model) or not network.built or not hasattr(network, "input_shape"):
        shown = network if not isinstance(network, keras.Model) else f"{type(network).__name__} of unknown shapes"
        requirement = "a built keras.Sequential or functional keras.Model (for another: keras.Model(x, network(x)))"
        raise must_be(argument, requirement, shown)
    shapes = [tuple(tensor.shape) for tensor in network.inputs]
    if len(shapes) > 2 or (len(shapes) == 2 and (len(shapes[1]) != 2 or not shapes[1][1])):
        raise must_be(argument, "a model with one input, or with one-hot labels (n, num_classes) as a second", shapes)
    return network


def main_input_shape(network: keras.Model) -> Shape:
    """Return the shape of the network's images or latents, batch first."""
    return tuple(network.inputs[0].shape)


def num_classes(network: keras.Model) -> int:
    """Return the width of the network's one-hot labels; 0 for a network without labels."""
    return network.inputs[1].shape[-1] if len(network.inputs) == 2 else 0


def check_logits(argument: str, network: keras.Model, remedy: str = "") -> None:
    """Check that the network ends without an activation, since the model applies one to its logits.

    Raises:
        UsageError: it ends in an activation. The message has `remedy` after the requirement.
    """
    tensor = network.outputs[0]
    while True:
        operation, inputs = producer(tensor)
        kind, activation = type(operation).__name__, getattr(operation, "activation", None)
        if isinstance(operation, keras.Model) and hasattr(operation, "outputs"):  # a subclassed model has none
            return check_logits(argument, operation, remedy)
        if activation not in (None, keras.activations.linear):
            raise must_be(argument, f"linear at its end{remedy}", getattr(activation, "__name__", activation))
        if activation is None and hasattr(keras.activations, kind.lower()):  # `layers.Softmax`, `ops.sigmoid`
            raise must_be(argument, f"linear at its end{remedy}", kind.lower())
        if kind not in REARRANGING and not isinstance(operation, keras.layers.Activation):
            return None
        tensor = inputs[0]


def check_output(argument: str, network: keras.Model, from_logits: bool) -> None:
    """Check that a network that makes images ends without an activation if it returns logits, or raise `UsageError`."""
    if from_logits:
        check_logits(argument, network, ", or from_logits must be False")


def check_same_classes(argument: str, network: keras.Model, other_argument: str, other: keras.Model) -> None:
    """Check that both networks have the same number of classes, or raise `UsageError`."""
    if num_classes(network) != num_classes(other):
        raise must_be(
            argument,
            f"a model with labels of {num_classes(other)} classes, as the {other_argument} takes (0: none)",
            num_classes(network),
        )


def check_makes_images(argument: str, network: keras.Model) -> None:
    """Check that the network maps latents `(n, latent_dim)` to images, or raise `UsageError`."""
    shapes = main_input_shape(network), network.output_shape
    if len(shapes[0]) != 2 or len(shapes[1]) != 4:
        raise must_be(
            argument,
            "a model of latents (n, latent_dim) that ends in images (n, height, width, channels)",
            f"{shapes[0]} to {shapes[1]}",
        )


def check_encoder_and_decoder(encoder: keras.Model, decoder: keras.Model, latent_shape: Shape, name: str) -> None:
    """Check that the encoder takes images and the decoder maps its output to such images, or raise `UsageError`.

    Args:
        encoder, decoder: as from `check_network`.
        latent_shape: tuple, shape of the encoder's output, batch first.
        name: str, what the error message calls that output.
    """
    image_shape, decoder_input = main_input_shape(encoder), main_input_shape(decoder)
    if len(image_shape) != 4:
        raise must_be("encoder", "a model of images (n, height, width, channels)", image_shape)
    if decoder_input != latent_shape:
        raise must_be("decoder", f"a model of {name} {latent_shape}, the encoder's output", decoder_input)
    if decoder.output_shape != image_shape:
        raise must_be(
            "decoder", f"a model that ends in images {image_shape}, the encoder's input", decoder.output_shape
        )
    check_same_classes("decoder", decoder, "encoder", encoder)
