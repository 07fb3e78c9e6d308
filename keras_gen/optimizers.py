"""The Adam optimizer (Kingma & Ba 2015) with TensorFlow's fused kernel."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import tensorflow as tf

from keras_gen.utils.keras_internals import moments


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
