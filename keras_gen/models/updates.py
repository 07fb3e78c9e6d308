"""Update a model's weights as `keras.Model.fit` does, with all options of Keras' optimizers and layers."""

from __future__ import annotations

from collections.abc import Callable

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import tensorflow as tf

from keras_gen import distribution
from keras_gen.utils import keras_internals
from keras_gen.utils.errors import UsageError

Objective = Callable[[], tuple[tf.Tensor, dict[str, tf.Tensor]]]
"""A function that returns the loss of each example, `(n,)`, and the quantities to track."""


def with_loss_scaling(optimizer, network: keras.Model, auto_scale_loss: bool):
    """Return the optimizer of a network, in a `LossScaleOptimizer` if a layer computes in float16, as Keras does."""
    is_half = any(layer.compute_dtype == "float16" for layer in keras_internals.flatten_layers(network))
    if not auto_scale_loss or not is_half:
        return optimizer
    optimizer = keras.optimizers.get(optimizer)
    is_scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    return optimizer if is_scaled else keras.optimizers.LossScaleOptimizer(optimizer)


def update(optimizer: keras.optimizers.Optimizer, network: keras.Model, objective: Objective) -> dict[str, tf.Tensor]:
    """Update the trainable weights of a network once, and return the quantities of the objective."""
    variables = network.trainable_variables
    with tf.GradientTape() as tape:
        losses, values = with_layer_losses(network, objective)
        loss = optimizer.scale_loss(distribution.scaled_loss(losses))
    if variables:
        optimizer.apply(tape.gradient(loss, variables), variables)
    return values


def with_layer_losses(network: keras.Model, objective: Objective) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """Return the results of the objective with the network's `losses` (regularizers, `add_loss`) added to its loss.

    Among the quantities, `loss` includes them too.
    """
    with keras_internals.collect_losses(network):
        losses, values = objective()
        additional = network.losses
    of_weights = sum(variable.regularizer is not None for variable in network.trainable_variables)
    if len(additional) > of_weights and tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise UsageError(f"{network.name} must have no add_loss or activity_regularizer on several devices")
    if additional:
        losses += tf.add_n([tf.cast(tf.reduce_sum(loss), tf.float32) for loss in additional])
    return losses, (values | {"loss": losses} if "loss" in values else values)
