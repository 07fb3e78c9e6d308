"""The Adam optimizer (Kingma & Ba 2015) with TensorFlow's fused kernel, and a learning rate that decays to 0."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import tensorflow as tf

from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError
from keras_gen.utils.keras_internals import moments


@keras.saving.register_keras_serializable("keras_gen")
class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that decays linearly from its initial value to 0.

    At update t, counted from 0, it is initial · max(0, 1 − t / updates).

    Args:
        initial_learning_rate: float, above 0.
        updates: int, number of updates after which it is 0.

    Raises:
        UsageError: an argument is out of range.

    Example:
        >>> rate = LinearDecay(1e-3, updates=100)
        >>> float(rate(0)), float(rate(75)), float(rate(200))
        (0.0010000000474974513, 0.0002500000118743628, 0.0)
    """

    def __init__(self, initial_learning_rate: float, updates: int):
        self.initial_learning_rate = checks.positive("initial_learning_rate", initial_learning_rate)
        self.updates = checks.positive_int("updates", updates)

    def __call__(self, step):
        """Return the learning rate at an update."""
        return self.initial_learning_rate * tf.maximum(0.0, 1.0 - tf.cast(step, tf.float32) / self.updates)

    def get_config(self) -> dict:
        """Return the constructor arguments."""
        return {"initial_learning_rate": self.initial_learning_rate, "updates": self.updates}


def decay_linearly(model, steps: int) -> None:
    """Let the learning rate of each of a compiled model's optimizers decay to 0 within a number of train steps.

    Args:
        model: a compiled model of keras_gen that was not trained yet.
        steps: int, number of train steps.

    Raises:
        UsageError: the model is not compiled, or an optimizer has a schedule already.

    Example:
        >>> gan = keras_gen.zoo.build("wgan-gp")
        >>> decay_linearly(gan, 1000)
        >>> gan.optimizer.get_config()["learning_rate"]["config"]["updates"]
        1000
    """
    if not model.compiled:
        raise UsageError(f"{type(model).__name__} must be compiled before its learning rates can decay")
    for optimizer, updates in zip(model.optimizers, model.updates_per_step, strict=True):
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
        initial = optimizer.get_config()["learning_rate"]
        if not isinstance(initial, float):
            raise UsageError(f"learning_rate_decay can't be used with the schedule of {type(optimizer).__name__}")
        optimizer.learning_rate = LinearDecay(initial, steps * updates)


@keras.saving.register_keras_serializable("keras_gen")
class Adam(keras.optimizers.Adam):
    """Adam with the arguments, state and update rule of `keras.optimizers.Adam`, in fewer passes over memory.

    Keras computes an update with about ten operations, each of which reads and writes the whole variable. TensorFlow
    has a single operation:

        m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  θ ← θ − α √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε)

    (section 2 of the paper, last paragraph). Results differ from Keras' by rounding. Keras' implementation is used for
    AMSGrad, sparse gradients, types other than float32 and several devices. Clipping, weight decay, weight averages and
    learning rate schedules work as in Keras.

    Example:
        >>> vae = keras_gen.zoo.build("vae-mlp")
        >>> vae.compile(keras_gen.optimizers.Adam(1e-3, clipnorm=1.0))
    """

    def update_step(self, gradient, variable, learning_rate):
        """Update a variable and its moments."""
        if not self._is_supported(gradient, variable):
            super().update_step(gradient, variable, learning_rate)
            return
        first, second = moments(self, variable)
        steps = keras.ops.cast(self.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.value.handle,
            v=second.value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, tf.float32), steps),
            beta2_power=tf.pow(tf.cast(self.beta_2, tf.float32), steps),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )

    def _is_supported(self, gradient, variable) -> bool:
        return (
            not self.amsgrad
            and not tf.distribute.has_strategy()
            and isinstance(variable, tf.Variable)
            and isinstance(gradient, tf.Tensor)
            and variable.dtype == gradient.dtype == tf.float32
        )
