"""All names of Keras and TensorFlow that keras_gen uses although they are not public.

They exist in Keras 3.13.2 and 3.15.1 and in TensorFlow 2.20.0 and 2.21.0; docs/versions.md says what was tried
with them. With a version that lacks one of them, importing this module fails with one line.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import tensorflow as tf

from keras_gen.utils.errors import UsageError

if TYPE_CHECKING:
    from keras import layers, optimizers


def _missing(name: str, library) -> UsageError:
    library_name = library.__name__.capitalize()
    return UsageError(
        f"keras_gen needs {name}, which {library_name} {library.__version__} does not have: install Keras 3.13 to 3.15 "
        "and TensorFlow 2.20 or 2.21"
    )


try:
    from keras.src.trainers.data_adapters.tf_dataset_adapter import TFDatasetAdapter  # noqa: F401
except ImportError as error:
    raise _missing("TFDatasetAdapter", keras) from error
for _owner, _names in {
    keras.Model: (
        *("_maybe_symbolic_build", "_flatten_layers", "_clear_losses"),
        *("_get_call_context", "_maybe_reset_call_context"),
    ),
    keras.optimizers.Adam: ("_get_variable_index",),
    keras.callbacks.ProgbarLogger: ("_update_progbar",),
}.items():
    for _name in _names:
        if not hasattr(_owner, _name):
            raise _missing(f"{_owner.__name__}.{_name}", keras)


class WithoutSymbolicBuild:
    """First base class of a `keras.Model` that skips Keras' symbolic build at the beginning of `fit`.

    The networks of such a model are built, and the symbolic build fails under MultiWorkerMirroredStrategy.
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Do nothing."""


class ProgressBar(keras.callbacks.ProgbarLogger):
    """Keras' progress bar, but it counts at most the steps of the epoch, and shows no numbers of images as means.

    Keras counts a call of TensorFlow as its maximum number of steps, also if the epoch ends within it.
    """

    def _update_progbar(self, batch, logs=None):
        super()._update_progbar(batch if self.target is None else min(batch, self.target - 1), logs)

    def on_epoch_end(self, epoch, logs=None):
        """Show the results of an epoch, without the number of images of a score."""
        counts = {f"{name}_images" for name in logs}
        super().on_epoch_end(epoch, {name: value for name, value in logs.items() if name not in counts})


def flatten_layers(model: keras.Model) -> list[layers.Layer]:
    """Return all layers of a model, also those within layers, without the model itself."""
    return list(model._flatten_layers(include_self=False))


@contextlib.contextmanager
def collect_losses(model: keras.Model):
    """Let a model's `losses` be those of all its calls within the block. Otherwise each call forgets those before."""
    outer_call = keras.layers.Layer(name="outer_call")
    outer_call._get_call_context()
    model._clear_losses()
    try:
        yield
    finally:
        outer_call._maybe_reset_call_context()


def trained_variables(optimizer: optimizers.Optimizer) -> list[keras.Variable]:
    """Return the variables for which an optimizer was built."""
    return list(optimizer._trainable_variables)


def calls(optimizer: optimizers.Optimizer) -> tf.Tensor:
    """Return how many gradients an optimizer has applied or accumulated, int64."""
    return getattr(optimizer, "inner_optimizer", optimizer)._iterations.value


def producer(tensor: keras.KerasTensor) -> tuple[keras.Operation, list[keras.KerasTensor]]:
    """Return the operation (a layer, a model or a function) that produces a network's tensor, and its inputs."""
    operation, node_index, _ = tensor._keras_history
    return operation, operation._inbound_nodes[node_index].input_tensors


def index_of(optimizer: optimizers.Optimizer, variable: tf.Variable) -> int:
    """Return the position of one of the variables that an optimizer updates in the lists of its state."""
    return optimizer._get_variable_index(variable)


def moments(optimizer: optimizers.Adam | optimizers.RMSprop) -> tuple[list[keras.Variable], list[keras.Variable]]:
    """Return the first moments, which RMSprop has with momentum only, and the second moments of a built optimizer."""
    return optimizer._momentums, optimizer._velocities


def freeze(function):
    """Return a concrete function with its variables replaced by constants.

    Args:
        function: concrete function of a `tf.function`.
    """
    try:
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    except ImportError as error:
        raise _missing("convert_variables_to_constants_v2", tf) from error
    return convert_variables_to_constants_v2(function)
