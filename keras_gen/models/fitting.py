"""Prepare `fit`: check what is trained, and let Keras' callbacks reach all optimizers and quantities of a model."""

from __future__ import annotations

import copy

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras

from keras_gen.utils import keras_internals
from keras_gen.utils.errors import UsageError, must_be


def prepare(model: keras.Model, callbacks) -> list[keras.callbacks.Callback]:
    """Return the callbacks for `fit` of a compiled model, in the order in which Keras calls them.

    Raises:
        UsageError: no weight is trainable, other ones than at `compile`, gradients are to be accumulated on several
            devices, which Keras can't, or as `adapted`.
    """
    _check_optimizers(model)
    further = list(zip(model.optimizers, model.trained_networks(), strict=True))[1:]
    return [*(_finish_average(*pair) for pair in further), *adapted(model, callbacks)]


def adapted(model: keras.Model, callbacks) -> list[keras.callbacks.Callback]:
    """Return callbacks as they act on all of a compiled model.

    Those that change the learning rate also act on the further optimizers of the model, and `TerminateOnNaN` on all
    quantities of a model without `loss`.

    Raises:
        UsageError: a callback monitors a `loss` that the model does not have.
    """
    names, prepared = [metric.name for metric in model.metrics], []
    for callback in keras.tree.flatten(callbacks or []):
        if isinstance(callback, keras.callbacks.LearningRateScheduler | keras.callbacks.ReduceLROnPlateau):
            prepared += [_for_optimizer(callback, model, optimizer) for optimizer in model.optimizers[1:]]
        if "loss" not in names:
            _check_monitor(callback, names)
            if isinstance(callback, keras.callbacks.TerminateOnNaN):
                callback = _for_all_quantities(callback)
        prepared.append(callback)
    return prepared


def with_progress_bar(callbacks, verbose):
    """Return the callbacks of `fit`, `evaluate` or `predict` with a `ProgressBar`, if there is to be a bar."""
    if not verbose:
        return callbacks
    listed = keras.tree.flatten(callbacks or [])
    has_bar = any(isinstance(callback, keras.callbacks.ProgbarLogger) for callback in listed)
    return listed if has_bar else [*listed, keras_internals.ProgressBar()]


def _check_optimizers(model):
    name = type(model).__name__
    if not model.trainable_variables:
        raise UsageError(f"{name} must have trainable weights: all layers are frozen")
    for optimizer, network in zip(model.optimizers, model.trained_networks(), strict=True):
        trained, trainable = keras_internals.trained_variables(optimizer), network.trainable_variables
        if list(map(id, trained)) != list(map(id, trainable)):
            is_of_another = trained and not set(map(id, trained)) & set(map(id, network.variables))
            reason = (
                "since its own was used for another model"
                if is_of_another
                else "after layers were frozen or made trainable"
            )
            raise UsageError(f"{name} must be compiled again, with new optimizers, {reason}")
        steps = getattr(optimizer, "inner_optimizer", optimizer).gradient_accumulation_steps
        if steps and model.distribute_strategy.num_replicas_in_sync > 1:
            raise must_be("gradient_accumulation_steps", "None on several devices (a limit of Keras)", steps)


def _check_monitor(callback, names):
    monitor = getattr(callback, "monitor", None)
    if monitor in ("loss", "val_loss") and getattr(callback, "save_best_only", True):
        reported = f"a quantity that the model reports ({', '.join(names)}; val_… of validation data)"
        raise must_be(f"monitor of {type(callback).__name__}", reported, monitor)


def _finish_average(optimizer, network):
    """Return a callback that replaces a network's weights by their averages if the optimizer has `use_ema`.

    Keras does so for the first optimizer.
    """
    return keras.callbacks.LambdaCallback(
        on_train_end=lambda logs: optimizer.finalize_variable_values(network.trainable_variables)
    )


class _View:
    """A model whose `optimizer` is another one of its optimizers."""

    def __init__(self, model, optimizer):
        self._model, self.optimizer = model, optimizer

    def __getattr__(self, name):
        return getattr(self._model, name)


def _for_optimizer(callback, model, optimizer):
    """Return a copy of a learning-rate callback for a further optimizer. The log has the rate of the first one."""
    twin = copy.copy(callback)
    twin.set_model = lambda _: type(callback).set_model(twin, _View(model, optimizer))
    return twin


def _for_all_quantities(callback):
    """Return a copy of `TerminateOnNaN` that checks the sum of all quantities, finite only if each of them is."""
    twin = copy.copy(callback)
    twin.on_batch_end = lambda batch, logs=None: type(callback).on_batch_end(twin, batch, {"loss": sum(logs.values())})
    return twin
