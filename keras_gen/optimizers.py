"""Adam (Kingma & Ba 2015), an update of a variable in one kernel of TensorFlow."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("keras_gen")
class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`, with the same arguments, state and update rule, in fewer passes over memory.

    Keras writes an update as about ten operations, each of which reads and writes as many numbers as the variable has;
    TensorFlow has one operation for all of them:

        m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,  θ ← θ − α √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε)

    (the paper's section 2, last paragraph). Results differ from Keras' by rounding. Where the operation does not fit,
    Keras' own is used: AMSGrad, sparse gradients, other types than float32, several devices. Clipping, decay, averages
    of weights and learning rate schedules happen outside of it, and work as ever.

    Example:
        >>> vae = keras_gen.zoo.build("vae-mlp")
        >>> vae.compile(keras_gen.optimizers.Adam(1e-3, clipnorm=1.0))
    """

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable and its moments."""
        if not self._fits(gradient, variable):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        steps = keras.ops.cast(self.iterations + 1, "float32")
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, tf.float32), steps),
            beta2_power=tf.pow(tf.cast(self.beta_2, tf.float32), steps),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )

    def _fits(self, gradient, variable) -> bool:
        return (
            not self.amsgrad
            and not tf.distribute.has_strategy()
            and isinstance(variable, tf.Variable)
            and isinstance(gradient, tf.Tensor)
            and variable.dtype == gradient.dtype == tf.float32
        )
