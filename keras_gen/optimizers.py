"""Adam (Kingma & Ba 2015) and RMSprop with TensorFlow's fused kernels, and a learning rate that decays to 0."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import tensorflow as tf

from keras_gen.utils import checks, keras_internals
from keras_gen.utils.errors import UsageError


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


class _InOneKernel:
    """First base class of an optimizer that updates a variable by one operation of TensorFlow where that fits.

    Keras' implementation is used for sparse gradients, types other than float32 and several devices, and if the
    subclass' `_has_kernel` says that the operation lacks something that the optimizer's arguments ask for.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Update a variable and the state that the optimizer keeps of it."""
        if (
            self._has_kernel
            and not tf.distribute.has_strategy()
            and isinstance(variable, tf.Variable)
            and isinstance(gradient, tf.Tensor)
            and variable.dtype == gradient.dtype == tf.float32
        ):
            self._apply_kernel(gradient, variable, tf.cast(learning_rate, tf.float32))
        else:
            super().update_step(gradient, variable, learning_rate)


@keras.saving.register_keras_serializable("keras_gen")
class Adam(_InOneKernel, keras.optimizers.Adam):
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

    _powers = None
    """Powers of β₁ and β₂ in the update that is being made."""

    @property
    def _has_kernel(self):
        return not self.amsgrad

    def apply(self, grads, trainable_variables=None):
        """Update the variables, as `keras.optimizers.Adam.apply`."""
        # For all variables at once: for each of them they were a tenth of the operations of a small model's train step.
        self._powers = self._current_powers()
        try:
            super().apply(grads, trainable_variables)
        finally:
            self._powers = None

    def _current_powers(self):
        steps = keras.ops.cast(self.iterations + 1, "float32")
        return tuple(tf.pow(tf.cast(beta, tf.float32), steps) for beta in (self.beta_1, self.beta_2))

    def _apply_kernel(self, gradient, variable, learning_rate):
        first, second = (slots[keras_internals.index_of(self, variable)] for slots in keras_internals.moments(self))
        power_1, power_2 = self._powers or self._current_powers()
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=first.value.handle,
            v=second.value.handle,
            beta1_power=power_1,
            beta2_power=power_2,
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


@keras.saving.register_keras_serializable("keras_gen")
class RMSprop(_InOneKernel, keras.optimizers.RMSprop):
    """RMSprop with the arguments, state and update rule of `keras.optimizers.RMSprop`, in fewer passes over memory.

        v ← ρ v + (1 − ρ) g²,  m ← μ m + α g / √(v + ε),  θ ← θ − m

    with momentum μ (Tieleman & Hinton 2012). Results differ from Keras' by rounding. Keras' implementation is used for
    centered gradients, sparse gradients, types other than float32 and several devices. Without momentum the operation
    needs memory of the size of the weights that Keras does not.

    Example:
        >>> vae = keras_gen.zoo.build("vae-mlp")
        >>> vae.compile(keras_gen.optimizers.RMSprop(1e-3))
    """

    @property
    def _has_kernel(self):
        return not self.centered

    def build(self, variables):
        """Create the state of the variables."""
        super().build(variables)
        needed = self._has_kernel and not self.momentum and not tf.distribute.has_strategy()
        # The operation writes its last step even without momentum. That is no state: an assignment to an attribute
        # would have TensorFlow save it.
        vars(self)["_last_steps"] = [tf.Variable(tf.zeros_like(each), False) for each in variables] if needed else []

    def _apply_kernel(self, gradient, variable, learning_rate):
        index = keras_internals.index_of(self, variable)
        momentums, velocities = keras_internals.moments(self)
        tf.raw_ops.ResourceApplyRMSProp(
            var=variable.handle,
            ms=velocities[index].value.handle,
            mom=(momentums[index].value if self.momentum else self._last_steps[index]).handle,
            lr=learning_rate,
            rho=self.rho,
            momentum=self.momentum,
            epsilon=self.epsilon,
            grad=gradient,
        )
