"""The base class of all models: input checks, metrics, random noise, saving."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen import distribution
from keras_gen.data.pipeline import Batches
from keras_gen.distribution import sharding
from keras_gen.models import conversion, export, fitting, inputs, network_checks, sampling, updates
from keras_gen.models.settings import Setting, WithSettings
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.image_utils import check_value_range
from keras_gen.utils.keras_internals import WithoutSymbolicBuild
from keras_gen.utils.progress import print_line
from keras_gen.utils.tf_data import without_autograph

TRAINING, EVALUATION = 0, 1
"""First element of a random key, so that training and evaluation never share a draw."""

COMPILE_OPTIONS = ("run_eagerly", "steps_per_execution")


@dataclass(frozen=True)
class Endpoint:
    """A function that a SavedModel of a model provides.

    Args:
        function: callable from tensors to a dictionary of tensors.
        signature: list of `tf.TensorSpec`, the arguments of `function`.
        networks: tuple of `keras.Model`, the networks whose weights `function` reads.
        optional: tuple of `tf.TensorSpec`, further arguments, which a caller passes all or none of. Defaults to none.
    """

    function: Callable[..., dict[str, tf.Tensor]]
    signature: list[tf.TensorSpec]
    networks: tuple[keras.Model, ...]
    optional: tuple[tf.TensorSpec, ...] = ()


class ImageModel(WithSettings, WithoutSymbolicBuild, keras.Model):
    """Base class of models that train on images.

    Subclasses implement `train_step`, `test_step` and the properties below. If the networks have one-hot labels as a
    second input, the model is conditional: `fit` and `evaluate` then also need labels, integers in [0, `num_classes`).

    Args:
        value_range: tuple, range of pixel values that the networks take and return: (0, 1) or (-1, 1). uint8 images are
            scaled to it.
        from_logits: bool, whether the network that produces images returns logits, to which the model applies the
            sigmoid (range (0, 1)) or the tanh (range (-1, 1)). If `False`, the network's output is the image.
        seed: int, seed of the noise that training and evaluation draw, statelessly from (seed, step).
        tracked_names: tuple of str, names of the quantities that `fit` and `evaluate` report.
    """

    batches_per_step = 1
    """Batches of `batch_size` images in one train step (more than 1 for a critic with several updates)."""

    traced_functions: tuple[str, ...] = ()
    """Names of cached properties that are compiled functions of the networks."""

    takes_targets = False
    """Whether the model can be trained toward images other than its input, as an autoencoder can."""

    value_range, from_logits, seed = Setting(), Setting(), Setting(checks.seed)

    def __init__(self, *, value_range, from_logits, seed, tracked_names: tuple[str, ...], **kwargs):
        # The model's own computations are float32 even if its networks use mixed precision.
        super().__init__(dtype="float32", **kwargs)
        self.value_range = check_value_range(value_range)
        self.from_logits = checks.boolean("from_logits", from_logits)
        self.seed = seed
        self._trackers = [keras.metrics.Mean(name=name) for name in tracked_names]
        # Batches since the evaluation began: noise differs between batches, but not between evaluations.
        self._evaluation_batches = self.add_weight(
            name="evaluation_batches", shape=(), dtype="int32", trainable=False, aggregation="only_first_replica"
        )

    # Properties that subclasses define

    decoder_network: keras.Model
    """The network that maps latents to images."""

    @property
    def input_network(self) -> keras.Model:
        """The network that takes the first argument of `call`."""
        return self.decoder_network

    @property
    def optimizers(self) -> tuple[keras.optimizers.Optimizer, ...]:
        """All optimizers. Checkpoints contain their state."""
        return (self.optimizer,)

    @property
    def updates_per_step(self) -> tuple[int, ...]:
        """Updates of each of the optimizers in a train step."""
        return (1,)

    def trained_networks(self) -> tuple[keras.Model, ...]:
        """Return the networks, or the model itself, whose weights the optimizers update, in their order."""
        return (self,)

    update_names = ("updates",)
    """Names of the history's columns with the number of updates of each optimizer, the last optimizer first."""

    @property
    def updates(self) -> dict[str, int]:
        """Number of updates so far of each optimizer, by name."""
        counts = [int(optimizer.iterations.numpy()) for optimizer in reversed(self.optimizers)]
        return dict(zip(self.update_names, counts, strict=True))

    def endpoints(self) -> dict[str, Endpoint]:
        """Return the functions of a SavedModel of this model, by name: `decode`."""
        latents = tf.TensorSpec(self.decoder_network.inputs[0].shape, tf.float32, name="latents")
        decode = Endpoint(self._decode_outputs, [latents, *self._label_specs()], (self.decoder_network,))
        return {"decode": decode}

    def signs_of_collapse(self, logs: dict[str, float]) -> dict[str, str]:
        """Return the networks that an epoch's logs show to have collapsed, each with its symptom; none by default."""
        return {}

    # Shapes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of an image, `(height, width, channels)`."""
        return tuple(self.decoder_network.output_shape[1:])

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 for an unconditional model."""
        return network_checks.num_classes(self.decoder_network)

    def labels_of(self, split) -> np.ndarray | None:
        """Return the labels of a `keras_gen.data.Split` if the model is conditional, else None."""
        return split.labels if self.num_classes else None

    # Images in and out

    def to_value_range(self, images: tf.Tensor) -> tf.Tensor:
        """Return images as float32: uint8 scaled to `value_range`, floats unchanged."""
        images = tf.convert_to_tensor(images)
        if images.dtype != tf.uint8:
            return tf.cast(images, tf.float32)
        low, high = self.value_range
        return low + tf.cast(images, tf.float32) * ((high - low) / 255.0)

    def to_unit_range(self, images: tf.Tensor) -> tf.Tensor:
        """Return images in `value_range` rescaled to [0, 1] and clipped, float32."""
        low, high = self.value_range
        return tf.clip_by_value((tf.cast(images, tf.float32) - low) / (high - low), 0.0, 1.0)

    def to_images(self, output: tf.Tensor) -> tf.Tensor:
        """Return images in `value_range` from the output of the decoder network."""
        if not self.from_logits:
            return output
        return tf.sigmoid(output) if self.value_range[0] == 0 else tf.tanh(output)

    def network_inputs(self, x: tf.Tensor, labels: tf.Tensor | None):
        """Return the inputs of a network: `x`, or if the model is conditional, `[x, one-hot labels]`."""
        if not self.num_classes:
            return x
        if labels is None:
            raise must_be("labels", f"integers from 0 to {self.num_classes - 1}, since the model is conditional", None)
        return [tf.convert_to_tensor(x), tf.one_hot(labels, self.num_classes)]

    def call_network(self, network: keras.Model, x: tf.Tensor, labels: tf.Tensor | None, *, training: bool):
        """Call a network for images or latents and labels, int `(n,)` or None, and cast its outputs to float32.

        Losses are never computed in lower precision.
        """
        outputs = network(self.network_inputs(x, labels), training=training)
        return tf.nest.map_structure(lambda tensor: tf.cast(tensor, tf.float32), outputs)

    def decode(self, latents: tf.Tensor, labels: tf.Tensor | None = None) -> tf.Tensor:
        """Decode latents `(n, latent_dim)`, or an autoencoder's codes, to images in `value_range`.

        A conditional model needs labels, n integers or one for all. The result is differentiable.

        Raises:
            UsageError: latents or labels of a wrong kind, shape or range.
        """
        latents = latents.value if isinstance(latents, keras.Variable) else latents
        if tf.executing_eagerly():
            shape = network_checks.main_input_shape(self.decoder_network)[1:]
            count = len(inputs.check_images("latents", latents, shape, None))
            if self.num_classes or labels is not None:
                labels = inputs.labels_to_generate(labels, count, self.num_classes)
        elif labels is not None:
            labels = tf.broadcast_to(labels, tf.shape(latents)[:1])
        return self._decode(latents, labels)

    def _decode(self, latents, labels=None):
        return self.to_images(self.call_network(self.decoder_network, latents, labels, training=False))

    def _decode_outputs(self, latents, labels=None):
        return self._images_of(self._decode, latents, self._labels_in_range(labels, tf.shape(latents)[0]))

    def _labels_in_range(self, labels, count):
        """Return the labels of an endpoint; in a SavedModel, others than `count` integers of its classes fail."""
        if labels is None:
            return None
        valid = [
            tf.debugging.assert_equal(tf.size(labels), count, "labels must be n integers"),
            tf.debugging.assert_non_negative(labels, "labels must be at least 0"),
            tf.debugging.assert_less(labels, self.num_classes, f"labels must be below {self.num_classes}"),
        ]
        with tf.control_dependencies(valid):
            return tf.identity(labels)

    def _images_of(self, function, *arguments):
        """Return the images that an endpoint returns, from a function of the arguments to images in `value_range`."""
        shape = self.image_shape
        return sampling.images_in_chunks(lambda *chunk: self.to_unit_range(function(*chunk)), shape, *arguments)

    # Training

    @inputs.errors_of_batches()
    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        **kwargs,
    ):
        """Train the model as `keras.Model.fit` does, after checking the images.

        Args:
            x: uint8 images, which the model scales, or floats in `value_range`: an array `(n, height, width, channels)`
                (or `(n, height, width)` for one channel); batches of `images`, `(images, labels)` or dictionaries in a
                `tf.data.Dataset`, a `keras.utils.PyDataset` or a generator; or the result of `keras_gen.data.batches`.
            y: labels `(n,)` or one-hot rows of an array of images, required by a conditional model, otherwise ignored;
                for an autoencoder without classes also target images, toward which it reconstructs.
            batch_size: int, real images per update of the model, the discriminator or the critic. Defaults to 32 for
                arrays. A train step with several critic updates takes that many batches.
            validation_data: images as in `x` but not the result of `data.batches`, `(images, labels)` or
                `(images, targets)`.
            **kwargs: as in `keras.Model.fit`. `steps_per_epoch` counts train steps and is never exceeded.

        Several devices divide each batch as evenly as possible and compute the same as one device: means, noise and
        batch normalization are those of the whole batch. Several workers must receive the same images in the same
        order, so a dataset that shuffles needs a seed.

        Raises:
            UsageError: images of a wrong kind, shape, type or value range, or labels that are missing or out of range.
        """
        _refuse_weights("fit", kwargs)
        is_dataset = isinstance(x, Batches) or inputs.is_dataset(x)
        if is_dataset and validation_split:
            raise must_be("validation_split", "0 for a dataset, which can't be split", validation_split)
        if is_dataset and not isinstance(x, keras.utils.PyDataset):
            _set_default(kwargs, "shuffle", False)  # Keras warns that it can't shuffle a dataset
        if isinstance(x, Batches):
            for name, value in (("y", y), ("batch_size", batch_size)):
                if value is not None:
                    raise UsageError(f"{name} must be left out for the result of data.batches, which has its own")
            if x.initial_step and not kwargs.get("steps_per_epoch"):
                rest = f"{x.steps_per_epoch - x.initial_step} to finish it"
                raise must_be("steps_per_epoch", f"given for batches that start within an epoch ({rest})", None)
            _set_default(kwargs, "steps_per_epoch", x.steps_per_epoch)
            x, y, batch_size = self._steps_of(x), None, None
        else:
            if is_dataset:
                x, y = self._checked("x", x, y, size=self.batches_per_step)
            else:
                batch_size = checks.positive_int("batch_size", 32 if batch_size is None else batch_size)
                _set_default(kwargs, "validation_batch_size", batch_size)
                x, y = self._checked("x", x, y)
                if validation_split and validation_data is None:
                    x, y, validation_data = inputs.split(x, y, validation_split)
                batch_size *= self.batches_per_step
            if self._replicas > 1:
                x = self._sharded_steps(x, y, batch_size, kwargs.get("shuffle", True))
                y, batch_size = None, None
                kwargs["shuffle"] = False
        if validation_data is not None:
            size = kwargs.get("validation_batch_size")
            images, labels = self._evaluation_data("validation_data", validation_data, None, size)
            validation_data = images if labels is None else (images, labels)
        if self.compiled:
            callbacks = fitting.with_progress_bar(fitting.prepare(self, callbacks), verbose)
        steps = kwargs.get("steps_per_epoch"), kwargs.get("validation_steps")
        with self._executions_within(*steps):
            return super().fit(x, y, batch_size, epochs, verbose, callbacks, validation_data=validation_data, **kwargs)

    def limit_steps_per_execution(self, divisor_of: int, at_most: int | None = None) -> None:
        """Set `steps_per_execution` to the largest divisor of a number of steps (0: of any) that is `at_most` this.

        Otherwise Keras exceeds the epoch's steps if the dataset continues. `at_most` defaults to the present value.
        """
        at_most = self.steps_per_execution if at_most is None else at_most
        if distribution.is_multi_worker(self.distribute_strategy):
            at_most = 1  # Keras' loop over steps does not work across processes
        self.steps_per_execution = _largest_divisor(divisor_of, at_most)

    @contextlib.contextmanager
    def _executions_within(self, *steps):
        """Within a block, let `steps_per_execution` divide the numbers of steps (None: any)."""
        before = self.steps_per_execution
        self.steps_per_execution = _largest_divisor(math.gcd(*(count or 0 for count in steps)), before)
        try:
            yield
        finally:
            self.steps_per_execution = before

    def make_train_function(self, force=False):
        """Compile the train step as Keras does, again if the number of steps per execution has changed."""
        return super().make_train_function(self._has_other_executions("train") or force)

    def make_test_function(self, force=False):
        """Compile the test step; see `make_train_function`."""
        return super().make_test_function(self._has_other_executions("test") or force)

    def make_predict_function(self, force=False):
        """Compile the predict step; see `make_train_function`."""
        return super().make_predict_function(self._has_other_executions("predict") or force)

    def _has_other_executions(self, kind):
        """Return whether a function was compiled for another number of steps, and record the present one."""
        name = f"_steps_of_{kind}_function"
        compiled = getattr(self, name, None)
        setattr(self, name, self.steps_per_execution)
        return compiled != self.steps_per_execution

    @inputs.errors_of_batches()
    def evaluate(self, x=None, y=None, batch_size=None, verbose="auto", *, callbacks=None, **kwargs):
        """Evaluate the model as `keras.Model.evaluate` does, after checking the images as in `fit`.

        Every evaluation uses the same noise.
        """
        if not isinstance(callbacks, keras.callbacks.CallbackList):  # else `fit` evaluates what it has checked
            _refuse_weights("evaluate", kwargs)
            x, y = self._evaluation_data("x", x, y, batch_size)
            callbacks = fitting.with_progress_bar(callbacks, verbose)
        with self._executions_within(kwargs.get("steps")):
            return super().evaluate(x, y, batch_size=batch_size, verbose=verbose, callbacks=callbacks, **kwargs)

    @inputs.errors_of_batches()
    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Reconstruct images, given as in `fit`, or decode latents of a GAN; with labels in a tuple if conditional."""
        callbacks = fitting.with_progress_bar(callbacks, verbose)
        with self._executions_within(steps):
            return super().predict(self._checked_call(x), batch_size, verbose, steps, callbacks)

    def predict_step(self, data):
        """Compute the images of a batch; for latents, with the network that `generate` uses."""
        x, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        x, labels = x if isinstance(x, tuple) else (x, labels if self.num_classes else None)
        return self._decode(x, labels) if self.input_network is self.decoder_network else self(x, labels)

    def train_on_batch(self, x, y=None, *, return_dict=False):
        """Train one step on one batch of arrays, after checking them as in `fit`.

        A model with several updates of the critic in a step divides the batch: pass `batches_per_step` batches at once.
        """
        return super().train_on_batch(*self._checked_batch(x, y), return_dict=return_dict)

    def test_on_batch(self, x, y=None, *, return_dict=False):
        """Evaluate one batch of arrays, after checking them as in `fit`."""
        return super().test_on_batch(*self._checked_batch(x, y), return_dict=return_dict)

    def predict_on_batch(self, x):
        """Compute the images of one batch of arrays, as `predict` does."""
        self._check_batch(x)
        return super().predict_on_batch(self._checked_call(x))

    def compile(self, optimizer="adam", *further, jit_compile=False, auto_scale_loss=True, **options):
        """Configure the model for training. The losses and metrics are fixed by the model.

        Args:
            optimizer: str or `keras.optimizers.Optimizer`. Defaults to `"adam"`.
            jit_compile: bool, whether to use XLA. Defaults to `False`: on a CPU it was measured to gain little and to
                lose severalfold.
            auto_scale_loss, **options: this, `run_eagerly` and `steps_per_execution`, an integer, are as in
                `keras.Model.compile`.

        Raises:
            UsageError: another option of `keras.Model.compile`, such as `loss`.
        """
        for name in ["loss"] * bool(further) + list(options):
            if name not in COMPILE_OPTIONS:
                raise UsageError(f"compile takes no {name}: {type(self).__name__} has its own objective and metrics")
        if optimizer is None:
            raise must_be("optimizer", "a Keras optimizer or its name", None)
        checks.positive_int("steps_per_execution", options.get("steps_per_execution", 1))
        self._auto_scale_loss = checks.boolean("auto_scale_loss", auto_scale_loss)
        network = self.trained_networks()[0]
        optimizer = updates.with_loss_scaling(optimizer, network, auto_scale_loss)
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **options)
        if not self.optimizer.built:
            self.optimizer.build(network.trainable_variables)
        self.limit_steps_per_execution(0)

    def get_compile_config(self) -> dict:
        """Return the arguments of `compile`."""
        kept = ("optimizer", "jit_compile", *COMPILE_OPTIONS)
        config = {name: value for name, value in super().get_compile_config().items() if name in kept}
        return config if not config or self._auto_scale_loss else config | {"auto_scale_loss": False}

    def quantize(self, *args, **kwargs):
        """Quantize the layers, as `keras.Model.quantize`."""
        super().quantize(*args, **kwargs)
        for name in self.traced_functions:  # they read the weights that were replaced
            vars(self).pop(name, None)

    def save(self, filepath, *args, **kwargs):
        """Save the model in a `.keras` file, as `keras.Model.save`."""
        if str(filepath).endswith((".h5", ".hdf5")):
            raise must_be("filepath", "a .keras file: Keras can't load these models from an HDF5 file", str(filepath))
        super().save(filepath, *args, **kwargs)

    def compile_from_config(self, config: dict) -> None:
        """Compile the model as the saved one was."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def export(self, filepath, format="tf_saved_model", verbose=None, input_signature=None, *, function=None, **kwargs):
        """Export the model for inference. It keeps an existing SavedModel unless `overwrite=True`.

        Args:
            filepath: str or path, the folder or file to write.
            format: str. `"tf_saved_model"`, the default, writes a SavedModel with `keras_gen.models.export.save`. Other
                formats are those of `keras.Model.export`.
            verbose: bool, whether to print the path. Defaults to `False`.
            input_signature: as in `keras.Model.export`; None for a SavedModel, whose functions have fixed signatures.
            function: str or None, the function of the SavedModel that a file of format `"onnx"` or `"litert"` computes:
                `"decode"`, `"encode"` or `"reconstruct"`, see `keras_gen.models.conversion`; an existing file is
                replaced. Defaults to None, the function of `predict`.
            **kwargs: options of `keras_gen.models.export.save` or of another format.

        Raises:
            UsageError: `filepath` exists and `overwrite` is not set, a SavedModel is given a signature, or as
                `keras_gen.models.conversion.convert`.
        """
        if function is not None:
            checks.one_of("format", format, conversion.FORMATS.values())
            if conversion.FORMATS.get(os.path.splitext(filepath)[1]) != format:
                raise must_be("filepath", f"a file name with the suffix of format {format}", os.fspath(filepath))
            if kwargs or input_signature is not None:
                left = ", ".join([*kwargs, *(["input_signature"] if input_signature is not None else [])])
                raise must_be("function", f"left out with {left}", function)
            with tempfile.TemporaryDirectory() as folder:
                saved = export.save(self, os.path.join(folder, self.name), functions=[function])
                path = conversion.convert(saved, filepath, function)
            if verbose:
                print_line(f"saved to {path}")
            return
        if format != "tf_saved_model":
            if input_signature is None:
                shape = network_checks.main_input_shape(self.input_network)
                input_signature = [tf.TensorSpec(shape, tf.float32, name="inputs"), *self._label_specs()]
            prediction = export.Prediction(self)
            prediction.export(filepath, format=format, verbose=verbose, input_signature=input_signature, **kwargs)
            return
        if input_signature is not None:
            raise must_be("input_signature", "None for the format tf_saved_model", input_signature)
        path = export.save(self, filepath, **kwargs)
        if verbose:
            print_line(f"saved to {path}")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The trackers of the reported quantities."""
        return list(self._trackers)

    def reset_metrics(self) -> None:
        """Reset the metrics and restart the evaluation's noise."""
        super().reset_metrics()
        self._evaluation_batches.assign(0)

    def track(self, values: dict[str, tf.Tensor]) -> None:
        """Update the metrics of the same names with values `(n,)`, one per example."""
        if unknown := values.keys() - {tracker.name for tracker in self._trackers}:
            requirement = f"named in tracked_names of {type(self).__name__}"
            raise must_be("quantities of the objective", requirement, ", ".join(sorted(unknown)))
        shard = sharding.current_shard()
        for tracker in self._trackers:
            if tracker.name in values:
                value = values[tracker.name]
                weights = shard and shard.weights(tf.shape(value)[0], value.dtype)
                tracker.update_state(value, sample_weight=weights)

    def metric_results(self) -> dict[str, tf.Tensor]:
        """Return the results of `train_step` and `test_step`."""
        results = {tracker.name: tracker.result() for tracker in self._trackers}
        if distribution.is_multi_worker(tf.distribute.get_strategy()):
            # Keras 3.15 averages several workers' results along an axis, which scalars lack.
            return {name: result[None] for name, result in results.items()}
        return results

    @contextlib.contextmanager
    def unpack_batch(self, data) -> Iterator[tuple[tf.Tensor, tf.Tensor | None]]:
        """Yield the images in `value_range` and the labels, target images or None from the argument of `train_step`.

        Within the block, noise and means refer to the global batch, of which these examples are this replica's shard.
        """
        data, shard = sharding.replica_part(data) or (data, None)
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        # With a dataset of unknown length Keras makes one call after the last batch. It must not count as an update.
        with sharding.use_shard(shard), tf.control_dependencies([images]):
            if not self.num_classes:  # labels are ignored
                labels = None if labels is None or len(labels.shape) < 3 else self.to_value_range(labels)
            yield self.to_value_range(images), labels

    def training_key(self, iteration) -> tf.Tensor:
        """Return the random key of a train step, from which `tf.random.fold_in` derives one per use."""
        return tf.random.fold_in(tf.constant([self.seed, TRAINING]), tf.cast(iteration, tf.int32))

    def next_evaluation_key(self) -> tf.Tensor:
        """Return the random key of the next evaluation batch."""
        key = tf.random.fold_in(tf.constant([self.seed, EVALUATION]), self._evaluation_batches.value)
        self._evaluation_batches.assign_add(1)
        return key

    def _label_specs(self):
        """Return the additional argument of a conditional model's endpoints."""
        return (tf.TensorSpec([None], tf.int32, name="labels"),) if self.num_classes else ()

    @property
    def _replicas(self):
        return self.distribute_strategy.num_replicas_in_sync

    def _checked(self, argument, data, y=None, *, rules=None, training=True, size=1):
        """Return checked images, and labels, target images or None, as in `fit`; for a dataset the second is None.

        `rules` are the arguments of `inputs.check_pair` after `y`, by default those of images.
        """
        if y is None:
            data, y = inputs.images_and_labels(argument, data)
        rules = rules or (self.image_shape, self.value_range, self.num_classes, self.takes_targets)
        if not inputs.is_dataset(data):
            return inputs.check_pair(argument, data, y, *rules, training=training, or_dataset=True)
        if y is not None:
            raise must_be(f"labels of {argument}", "in the dataset's batches", f"a separate {type(y).__name__}")
        if inputs.is_sharded(data):
            return inputs.check_sharded(argument, data, self.distribute_strategy), None
        if self._replicas > 1 and not isinstance(data, tf.data.Dataset):
            raise must_be(argument, "arrays or a tf.data.Dataset with several devices", type(data).__name__)
        return inputs.check_dataset(argument, data, *rules, training=training, size=size), None

    def _evaluation_data(self, argument, data, y, batch_size):
        data, y = self._checked(argument, data, y)
        return (data, y) if self._replicas == 1 else (self._sharded(argument, data, y, batch_size or 32), None)

    def _checked_call(self, data):
        """Return the checked input of `call`: x, `(x, labels)` or a dataset."""
        rules = None
        if self.input_network is self.decoder_network:
            rules = network_checks.main_input_shape(self.decoder_network)[1:], None, self.num_classes
        x, labels = self._checked("x", data, rules=rules, training=False)
        return x if labels is None else (x, labels)

    def _checked_batch(self, x, y):
        self._check_batch(x)
        return self._checked("x", x, y)

    def _check_batch(self, x):
        if self._replicas > 1:  # Keras would give each of them the whole batch
            raise UsageError("a batch of arrays needs a model on one device: use fit, evaluate or predict")
        if inputs.is_dataset(x):
            raise must_be("x", "one batch of arrays (use fit, evaluate or predict for a dataset)", type(x).__name__)

    def _steps_of(self, batches):
        """Return the checked train steps of `Batches`, divided among the replicas."""
        inputs.check_batches(batches, self.image_shape, self.num_classes, self.batches_per_step)
        if inputs.is_sharded(batches.dataset):
            return inputs.check_sharded("x", batches.dataset, self.distribute_strategy)
        if self._replicas == 1:
            return batches.dataset
        steps = batches.dataset.map(without_autograph(lambda *step: step))
        return self._sharded("x", steps, None, None, multiple_of=self.batches_per_step)

    def _sharded_steps(self, data, labels, batch_size, shuffle):
        """Return checked images and labels as train steps divided among the replicas."""
        if inputs.is_sharded(data) and self.batches_per_step > 1:
            raise must_be("x", "a tf.data.Dataset, since fit groups its batches into steps", "sharded batches")
        # The order differs between fits, but not between workers.
        seed = (self.seed + sum(self.updates.values())) % 2**31 if shuffle and self.compiled else None
        return self._sharded("x", data, labels, batch_size, seed, multiple_of=self.batches_per_step)

    def _sharded(self, argument, data, labels, batch_size, seed=None, **options):
        return inputs.sharded(argument, data, labels, batch_size, seed, self.distribute_strategy, **options)

    def _checked_arrays(self, argument, images, labels):
        return inputs.check_pair(argument, images, labels, self.image_shape, self.value_range, self.num_classes)

    # Saving

    def build(self, input_shape=None) -> None:
        """Do nothing: the networks are built already."""
        self.built = True

    def get_config(self) -> dict:
        """Return the constructor arguments: the name and the settings."""
        config = {"name": self.name}
        for name, value in self.settings().items():
            config[name] = keras.saving.serialize_keras_object(value) if isinstance(value, keras.Model) else value
        return config

    @classmethod
    def from_config(cls, config: dict, custom_objects=None) -> ImageModel:
        """Create a model from the result of `get_config`."""
        return cls(**{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()})


def _refuse_weights(method, options):
    for name in ("sample_weight", "class_weight"):
        if options.get(name) is not None:
            raise UsageError(f"{method} takes no {name}: all images have the same weight")


def _set_default(options, name, value):
    """Set an option that is missing or None, as Keras leaves it by default."""
    if options.get(name) is None:
        options[name] = value


def _largest_divisor(number, at_most):
    return max(count for count in range(1, at_most + 1) if number % count == 0)
