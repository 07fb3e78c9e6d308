"""What every model of the zoo shares: input checks, trackers, noise, saving."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen import distribution
from keras_gen.distribution import sharding
from keras_gen.models import export, inputs, network_checks, sampling
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.image_utils import check_value_range

TRAINING, EVALUATION = 0, 1
"""First words of the noise keys: no draw of one is ever a draw of the other."""

COMPILE_OPTIONS = ("run_eagerly", "steps_per_execution")


@dataclass(frozen=True)
class Endpoint:
    """Something that a SavedModel of a model can do.

    Args:
        function: of tensors, to a dictionary of tensors.
        signature: specifications of its arguments.
        networks: whose weights it reads.
        optional: specifications of further arguments, which a caller may leave out all together.
    """

    function: Callable[..., dict[str, tf.Tensor]]
    signature: list[tf.TensorSpec]
    networks: tuple[keras.Model, ...]
    optional: tuple[tf.TensorSpec, ...] = ()


class ImageModel(keras.Model):
    """A `keras.Model` that learns from images. Subclasses write `train_step`, `test_step` and the properties below.

    Networks may have one-hot labels as a second input. Then the model is conditional: `fit` and `evaluate` need the
    labels too, integers from 0 to below `num_classes`.

    Args:
        value_range: what the networks see and produce: (0, 1) or (-1, 1). uint8 images are scaled to it.
        from_logits: whether the network that makes images ends in logits, to which the model applies the sigmoid (range
            (0, 1)) or the tanh (range (-1, 1)). With `False` the network's output is the image.
        seed: of the noise that training and evaluation draw, statelessly from (seed, step).
        metric_names: names of the quantities that `fit` and `evaluate` report.
    """

    batches_per_step = 1
    """Batches of `batch_size` images that one train step takes (more than 1 where a critic has several updates)."""

    def __init__(self, *, value_range, from_logits, seed, metric_names: tuple[str, ...], **kwargs):
        # What the model itself computes is float32, whatever its networks' layers do.
        super().__init__(dtype="float32", **kwargs)
        self.value_range = check_value_range(value_range)
        self.from_logits = checks.boolean("from_logits", from_logits)
        self.seed = checks.seed("seed", seed)
        self._trackers = [keras.metrics.Mean(name=name) for name in metric_names]
        # Counts the batches of one evaluation, so that every batch has noise of its own and every evaluation the same.
        self._evaluation_batches = self.add_weight(
            name="evaluation_batches",
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )

    # What a subclass tells about itself (as properties)

    decoder_network: keras.Model
    """The network that turns latents into images."""

    optimizers: tuple[keras.optimizers.Optimizer, ...]
    """All optimizers, whose state is part of what resumes."""

    updates: dict[str, int]
    """Optimizer updates so far, by the name under which history records them."""

    def endpoints(self) -> dict[str, Endpoint]:
        """What a SavedModel of this model can do, by the name of its function there: here `decode`."""
        latents = tf.TensorSpec(self.decoder_network.inputs[0].shape, tf.float32, name="latents")
        decode = Endpoint(self._decode_outputs, [latents, *self._label_specs()], (self.decoder_network,))
        return {"decode": decode}

    # Shapes

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of an image."""
        return tuple(self.decoder_network.output_shape[1:])

    @property
    def num_classes(self) -> int:
        """Classes that the networks take labels of; 0 for a model without labels."""
        return network_checks.num_classes(self.decoder_network)

    def labels_of(self, split) -> np.ndarray | None:
        """Return the labels of a `keras_gen.data.Split` if the model is conditional, else None."""
        return split.labels if self.num_classes else None

    # Images in and out

    def to_value_range(self, images: tf.Tensor) -> tf.Tensor:
        """uint8 images scaled to the model's range as float32; floats are taken to lie in it already."""
        if images.dtype != tf.uint8:
            return tf.cast(images, tf.float32)
        low, high = self.value_range
        return low + tf.cast(images, tf.float32) * ((high - low) / 255.0)

    def to_unit_range(self, images: tf.Tensor) -> tf.Tensor:
        """Images of the model's range as float32 in [0, 1], clipped to it."""
        low, high = self.value_range
        return tf.clip_by_value((tf.cast(images, tf.float32) - low) / (high - low), 0.0, 1.0)

    def to_images(self, output: tf.Tensor) -> tf.Tensor:
        """Images in the model's range from what the network that makes images puts out."""
        if not self.from_logits:
            return output
        return tf.sigmoid(output) if self.value_range[0] == 0 else tf.tanh(output)

    def network_inputs(self, x: tf.Tensor, labels: tf.Tensor | None):
        """What a network is called with: `x`, of a conditional model with the labels `(n,)` as one-hot rows beside it.

        Raises:
            UsageError: the model is conditional and labels are None.
        """
        if not self.num_classes:
            return x
        if labels is None:
            raise must_be("labels", f"integers from 0 to {self.num_classes - 1}, since the model is conditional", None)
        return [tf.convert_to_tensor(x), tf.one_hot(labels, self.num_classes)]

    def call_network(self, network: keras.Model, x: tf.Tensor, labels: tf.Tensor | None, *, training: bool):
        """What a network gives, as float32: its layers may compute in bfloat16, losses and likelihoods never do.

        Args:
            network: one of the model's.
            x: what it is called with.
            labels: as in `network_inputs`.
            training: as in a layer's call.
        """
        outputs = network(self.network_inputs(x, labels), training=training)
        return tf.nest.map_structure(lambda tensor: tf.cast(tensor, tf.float32), outputs)

    def decode(self, latents: tf.Tensor, labels: tf.Tensor | None = None) -> tf.Tensor:
        """Images in the model's range, `(n, height, width, channels)`.

        Args:
            latents: `(n, latent_dim)`; an autoencoder's codes, of their own shape.
            labels: of a conditional model, integers `(n,)`.
        """
        return self.to_images(self.call_network(self.decoder_network, latents, labels, training=False))

    def _decode_unit(self, latents, labels=None):
        return self.to_unit_range(self.decode(latents, labels))

    def _decode_outputs(self, latents, labels=None):
        return sampling.image_outputs(sampling.in_chunks(self._decode_unit, latents, labels))

    # Training

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
        """`keras.Model.fit` on images, after a check of them.

        Args:
            x: uint8 images, which the model scales, or floats in its `value_range`: an array `(n, height, width,
                channels)` (or `(n, height, width)` for one channel) or a `tf.data.Dataset` of batches of them, or of
                `(images, labels)`.
            y: labels of an array's images, integers `(n,)`. A conditional model needs them, another does not look at
                them.
            batch_size: real images of one update of the model, the discriminator or the critic; for arrays, by default
                32. A train step of a model with several critic updates takes that many batches.
            validation_data: images as x, alone or as `(images, labels)`.
            **kwargs: see `keras.Model.fit`. `steps_per_epoch` counts train steps, and an epoch has no more of them,
                also where the model was compiled with a `steps_per_execution` that does not divide their number.

        Several devices share each batch, as evenly as can be, and compute what one would: the means, noise and batch
        normalization are the whole batch's. Several workers must be given the same images in the same order; a dataset
        that shuffles needs a seed for that.

        Raises:
            UsageError: images of another kind, shape, type or value range, or labels that are missing or out of range.
        """
        for name in ("sample_weight", "class_weight"):
            if kwargs.get(name) is not None:
                raise UsageError(f"fit takes no {name}: every image counts alike")
        if inputs.is_dataset(x):
            if validation_split:
                raise must_be("validation_split", "0 for a dataset, which can't be split", validation_split)
            kwargs.setdefault("shuffle", False)  # Keras can't shuffle a dataset, and warns that it does not
            x, y = self._checked("x", x, y)
            if self.batches_per_step > 1 and isinstance(x, tf.data.Dataset):
                x = inputs.group_batches(x, self.batches_per_step)
        else:
            batch_size = checks.positive_int("batch_size", 32 if batch_size is None else batch_size)
            kwargs.setdefault("validation_batch_size", batch_size)
            x, y = self._checked("x", x, y)
            if validation_split and validation_data is None:
                x, y, validation_data = inputs.split(x, y, validation_split)
            batch_size *= self.batches_per_step
        if self._replicas > 1:
            x = self._sharded_steps(x, y, batch_size, kwargs.get("shuffle", True))
            y, batch_size = None, None
            kwargs["shuffle"] = False
        if validation_data is not None:
            images, labels = inputs.images_and_labels("validation_data", validation_data)
            images, labels = self._checked("validation_data", images, labels)
            if self._replicas > 1:
                size = kwargs.pop("validation_batch_size", None) or 32
                images, labels = self._sharded("validation_data", images, labels, size), None
            validation_data = images if labels is None else (images, labels)
        together = self.steps_per_execution
        if kwargs.get("steps_per_epoch"):
            self.limit_steps_per_execution(kwargs["steps_per_epoch"])
        try:
            return super().fit(
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_data=validation_data,
                **kwargs,
            )
        finally:
            self._set_steps_per_execution(together)

    def limit_steps_per_execution(self, divisor_of: int, at_most: int | None = None) -> None:
        """Set `steps_per_execution` to the largest divisor of a number of steps.

        Otherwise Keras' calls run past the end of an epoch if the data continue.

        Args:
            divisor_of: number of steps after which a call must end; 0 for any.
            at_most: maximum steps in a call; by default as the model was compiled.
        """
        at_most = self.steps_per_execution if at_most is None else at_most
        if distribution.is_multi_worker(self.distribute_strategy):
            at_most = 1  # Keras' loop over steps can't be distributed over processes
        self._set_steps_per_execution(max(count for count in range(1, at_most + 1) if divisor_of % count == 0))

    def _set_steps_per_execution(self, count):
        if count != self.steps_per_execution:
            # The functions that there may be have the other number in them.
            self.steps_per_execution, self.train_function, self.test_function = count, None, None

    def evaluate(self, x=None, y=None, batch_size=None, **kwargs):
        """`keras.Model.evaluate` on images, checked as in `fit`. Two evaluations of a model use the same noise."""
        if kwargs.get("sample_weight") is not None:
            raise UsageError("evaluate takes no sample_weight: every image counts alike")
        x, y = self._checked("x", x, y)
        if self._replicas > 1:
            x, y, batch_size = self._sharded("x", x, y, batch_size or 32), None, None
        return super().evaluate(x, y, batch_size=batch_size, **kwargs)

    def compile(self, optimizer="adam", *, jit_compile=False, **options):
        """As `keras.Model.compile`, without losses and metrics: those are the model's own.

        Args:
            optimizer: of the network named first; a name or a `keras.optimizers.Optimizer`.
            jit_compile: XLA. Off by default: on a CPU it was measured to gain little and to lose severalfold.
            **options: `run_eagerly`, `steps_per_execution`.

        Raises:
            UsageError: an option that a model with its own objective has no use for.
        """
        for name in options:
            if name not in COMPILE_OPTIONS:
                raise UsageError(f"compile takes no {name}: {type(self).__name__} has its own objective and metrics")
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **options)
        self.limit_steps_per_execution(0)

    def get_compile_config(self) -> dict:
        """Arguments of `compile`."""
        kept = ("optimizer", "jit_compile", *COMPILE_OPTIONS)
        return {name: value for name, value in super().get_compile_config().items() if name in kept}

    def compile_from_config(self, config: dict) -> None:
        """Compile as the saved model was."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def export(self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs):
        """Write the model for inference.

        Args:
            filepath: str or path, the folder or file to write.
            format: str. `"tf_saved_model"`, the default, is the SavedModel of `keras_gen.models.export.save`, whose
                functions are `generate`, `decode`, `encode` and `reconstruct`, those that the model has. Other formats
                are those of `keras.Model.export`.
            verbose: bool, whether to print the path; by default False.
            input_signature: for other formats, as in `keras.Model.export`. The functions of a SavedModel have
                signatures of their own.
            **kwargs: for a SavedModel, `functions`, `half_precision`, `description` and `overwrite` of
                `keras_gen.models.export.save`; otherwise options of the format.

        Raises:
            UsageError: `filepath` exists and `overwrite` is not set, or an argument does not fit the format.

        Example:
            >>> model = keras_gen.zoo.build("vae-mlp")
            >>> model.export("exported")
            >>> tf.saved_model.load("exported").generate(n=2, seed=0)["images"].shape
            TensorShape([2, 28, 28, 1])
        """
        if format != "tf_saved_model":
            super().export(filepath, format=format, verbose=verbose, input_signature=input_signature, **kwargs)
            return
        if input_signature is not None:
            raise must_be("input_signature", "None for the format tf_saved_model", input_signature)
        options = {"functions", "half_precision", "description", "overwrite"}
        if unknown := sorted(kwargs.keys() - options):
            raise must_be("export's options", "some of " + ", ".join(sorted(options)), unknown[0])
        path = export.save(self, filepath, **kwargs)
        if verbose:
            print(f"saved to {path}", flush=True)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The trackers of the reported quantities."""
        return list(self._trackers)

    def reset_metrics(self) -> None:
        """Start new averages, and the evaluation's noise over."""
        super().reset_metrics()
        self._evaluation_batches.assign(0)

    def track(self, values: dict[str, tf.Tensor]) -> None:
        """Add values, one an example, to the averages of the same names."""
        share = sharding.current_shard()
        for tracker in self._trackers:
            if tracker.name in values:
                value = values[tracker.name]
                weights = share and share.weights(tf.shape(value)[0], value.dtype)
                tracker.update_state(value, sample_weight=weights)

    def metric_results(self) -> dict[str, tf.Tensor]:
        """What `train_step` and `test_step` return."""
        results = {tracker.name: tracker.result() for tracker in self._trackers}
        if distribution.is_multi_worker(tf.distribute.get_strategy()):
            # Of several workers' results Keras 3 (3.15 at least) takes the mean along an axis, which scalars have not.
            return {name: result[None] for name, result in results.items()}
        return results

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Nothing, since nothing is left to build: Keras would look at a batch, which fails with several workers."""

    @contextlib.contextmanager
    def unpack_batch(self, data) -> Iterator[tuple[tf.Tensor, tf.Tensor | None]]:
        """Of what Keras hands to `train_step`: the images in the model's range, and labels if it is conditional.

        Within the block, noise and means are those of a global batch of which these are this replica's share.
        """
        data, share = sharding.replica_part(data) or (data, None)
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        # The call after the last batch, if how many there are is not known, finds no images, and is to count no update.
        with sharding.use_shard(share), tf.control_dependencies([images]):
            yield self.to_value_range(images), labels if self.num_classes else None

    def training_key(self, iteration) -> tf.Tensor:
        """A key for all noise of one train step; `tf.random.fold_in` makes one for each purpose of it."""
        return tf.random.fold_in(tf.constant([self.seed, TRAINING]), tf.cast(iteration, tf.int32))

    def next_evaluation_key(self) -> tf.Tensor:
        """A key for all noise of the next batch of an evaluation."""
        key = tf.random.fold_in(tf.constant([self.seed, EVALUATION]), self._evaluation_batches.value)
        self._evaluation_batches.assign_add(1)
        return key

    def _label_specs(self):
        """What an endpoint of a conditional model takes beside its other arguments."""
        return (tf.TensorSpec([None], tf.int32, name="labels"),) if self.num_classes else ()

    @property
    def _replicas(self):
        return self.distribute_strategy.num_replicas_in_sync

    def _checked(self, argument, data, labels):
        """Images and labels, as `fit` takes them; labels None for a dataset."""
        if inputs.is_dataset(data):
            if inputs.is_sharded(data):
                return inputs.check_sharded(argument, data, self.distribute_strategy), None
            return inputs.check_dataset(argument, data, self.image_shape, self.value_range, self.num_classes), None
        return self._checked_arrays(argument, data, labels)

    def _sharded_steps(self, data, labels, batch_size, shuffle):
        """Checked images and labels as the train steps that all replicas share."""
        if inputs.is_sharded(data) and self.batches_per_step > 1:
            raise must_be("x", "a tf.data.Dataset, since fit joins its batches to steps", "batches shared already")
        # Not the same order in each fit, but on all workers.
        seed = (self.seed + sum(self.updates.values())) % 2**31 if shuffle and self.compiled else None
        return self._sharded("x", data, labels, batch_size, seed, multiple_of=self.batches_per_step)

    def _sharded(self, argument, data, labels, batch_size, seed=None, **options):
        return inputs.sharded(argument, data, labels, batch_size, seed, self.distribute_strategy, **options)

    def _checked_arrays(self, argument, images, labels):
        images = inputs.check_images(argument, images, self.image_shape, self.value_range)
        return images, inputs.check_labels(f"labels of {argument}", labels, len(images), self.num_classes)

    # Saving

    def build(self, input_shape=None) -> None:
        """Nothing is left to build: the networks came built."""
        self.built = True

    def get_config(self) -> dict:
        """Constructor arguments that all models share; subclasses add their networks and their own."""
        return {
            "name": self.name,
            "value_range": self.value_range,
            "from_logits": self.from_logits,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects=None) -> ImageModel:
        """A model as the one whose `get_config` this was."""
        return cls(**{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()})
