"""Prepare `fit`: check what is trained, and let Keras' callbacks reach all optimizers and quantities of a model."""

from __future__ import annotations

import copy

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras

from keras_gen.utils import keras_internals
from keras_gen.utils.errors import UsageError, must_be


def prepare(model: keras.Model, callbacks) -> list[keras.callbacks.Callback]:
    """Return the callbacks for `fit` of a compiled model, in the order in which Keras calls them.

    Those that change the learning rate also act on the further optimizers of the model, and `TerminateOnNaN` on all
    quantities of a model without `loss`.

    Raises:
        UsageError: no weight is trainable, other ones than at `compile`, gradients are to be accumulated on several
            devices, which Keras can't, or a callback monitors what is not reported.
    """
    _check_optimizers(model)
    names = [metric.name for metric in model.metrics]
    prepared = [_FinishAverages()] if len(model.optimizers) > 1 else []
    for callback in keras.tree.flatten(getattr(callbacks, "callbacks", callbacks) or []):
        _check_monitor(model, callback, names)
        if isinstance(callback, keras.callbacks.LearningRateScheduler | keras.callbacks.ReduceLROnPlateau):
            prepared += [_for_optimizer(callback, model, optimizer) for optimizer in model.optimizers[1:]]
        if isinstance(callback, keras.callbacks.TerminateOnNaN) and "loss" not in names:
            callback = _for_all_quantities(callback)
        prepared.append(callback)
    return prepared


def _check_optimizers(model):
    if not model.trainable_variables:
        raise UsageError(f"{type(model).__name__} must have trainable weights: all layers are frozen")
    for optimizer, network in zip(model.optimizers, model.trained_networks(), strict=True):
        if [id(v) for v in keras_internals.trained_variables(optimizer)] != [
            id(v) for v in network.trainable_variables
        ]:
            raise UsageError(
                f"{type(model).__name__} must be compiled again, with new optimizers, after layers were frozen or "
                "made trainable"
            )
        steps = getattr(optimizer, "inner_optimizer", optimizer).gradient_accumulation_steps
        if steps and model.distribute_strategy.num_replicas_in_sync > 1:
            raise must_be("gradient_accumulation_steps", "None on several devices, a limit of Keras", steps)


def _check_monitor(model, callback, names):
    monitor, kind = getattr(callback, "monitor", None), type(callback).__name__
    if monitor is None or not getattr(callback, "save_best_only", True):
        return
    name = monitor.removeprefix("val_")
    if name == "loss" and "loss" not in names:
        reported = f"a quantity that {type(model).__name__} reports ({', '.join(names)}; val_… of validation data)"
        raise must_be(f"monitor of {kind}", reported, monitor)
    if name != "loss" and name in names and getattr(callback, "mode", None) == "auto":
        raise must_be(f"mode of {kind}", f"'min' or 'max' for {monitor}", "auto")


class _FinishAverages(keras.callbacks.Callback):
    """Replace the weights of further optimizers with `use_ema` by their averages, as Keras does for the first one."""

    def on_train_end(self, logs: dict | None = None) -> None:
        """Replace them, if there was an update."""
        for optimizer, network in list(zip(self.model.optimizers, self.model.trained_networks(), strict=True))[1:]:
            if int(optimizer.iterations.numpy()):
                optimizer.finalize_variable_values(network.trainable_variables)


class _View:
    """A model whose `optimizer` is another one of its optimizers."""

    def __init__(self, model, optimizer):
        self._model, self.optimizer = model, optimizer

    def __getattr__(self, name):
        return getattr(self._model, name)


def _for_optimizer(callback, model, optimizer):
    """Return a copy of a learning-rate callback for a further optimizer, whose rate it logs under another name."""
    twin, kind, view = copy.copy(callback), type(callback), _View(model, optimizer)

    def on_epoch_end(epoch, logs=None):
        own = dict(logs)
        kind.on_epoch_end(twin, epoch, own)
        logs[f"{model.discriminator_argument}_learning_rate"] = own["learning_rate"]

    twin.set_model = lambda _: kind.set_model(twin, view)
    twin.on_epoch_end = on_epoch_end
    return twin


def _for_all_quantities(callback):
    """Return a copy of `TerminateOnNaN` that checks the sum of all quantities, finite only if each of them is."""
    twin = copy.copy(callback)
    twin.on_batch_end = lambda batch, logs=None: type(callback).on_batch_end(
        twin, batch, {"loss": sum((logs or {}).values())}
    )
    return twin
