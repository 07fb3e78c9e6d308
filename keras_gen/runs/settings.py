"""The settings of a run: checked before anything is loaded, stored in `recipe.json`. Keras is not imported here."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from keras_gen import zoo
from keras_gen.metrics import extractors
from keras_gen.runs.intervals import Interval
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be


@dataclass(frozen=True)
class RunSettings:
    """All settings that determine what a run computes.

    Args:
        model: str, name of a recipe, or an alias, which is replaced by the name.
        overrides: mapping, hyperparameters that differ from the recipe's defaults.
        dataset: str, name or path as `keras_gen.data.load` accepts it; default: the recipe's own data set, or `digits`
            if that is unavailable.
        data_dir, image_size, channels, binarize: as in `keras_gen.data.load`. For the recipe's own data set,
            `image_size` None is replaced by the recipe's.
        epochs, batch_size: int; default: the recipe's.
        seed: int, seeds initial weights, data order, dropout, latents and noise; default 0.
        strategy: str, as in `keras_gen.distribution.strategy`; default `auto`.
        samples_every: int, epochs between two sample grids; 0 for none; default 1.
        sample_count: int, number of images in a grid; default 100.
        fid_every: int, epochs between two Fréchet distances of generated to training images; 0 for none; default: the
            recipe's, or `epochs` if that is smaller.
        fid_images: int, number of images generated for each distance; default 1000.
        extractor: str, the feature extractor of the distances: one of `keras_gen.metrics.extractors.NAMES`, which is
            downloaded if it is missing, or `auto` (default), one that fits the data and is available.
        extractor_weights: str, path of the weights file of a named extractor; default: its usual location.
        precision: str, `float32` (default) or `bfloat16`, in which the networks' layers compute.
        steps_per_execution: int, maximum number of train steps per call of TensorFlow; default: the recipe's. It does
            not change results. Stop requests, checkpoints and NaN checks are handled after each call.
        jit_compile: bool, whether to compile train and validation steps with XLA, on one device; default False. The
            noise then differs.
        checkpoint_every: int or str, interval between checkpoints as `Interval.parse` accepts it: a number of epochs,
            or a text such as `500steps` or `5minutes`; default 1. The last epoch always has one.
        deterministic: bool, whether TensorFlow uses only deterministic operations, and resuming is refused if anything
            that affects the bits has changed; default False.

    Raises:
        UsageError: an argument has a wrong type or value.
    """

    model: str
    overrides: Mapping[str, object] = field(default_factory=dict)
    dataset: str | None = None
    data_dir: str | None = None
    image_size: int | None = None
    channels: int | None = None
    binarize: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seed: int = 0
    strategy: str = "auto"
    samples_every: int = 1
    sample_count: int = 100
    fid_every: int | None = None
    fid_images: int = 1000
    extractor: str = "auto"
    extractor_weights: str | None = None
    precision: str = "float32"
    steps_per_execution: int | None = None
    jit_compile: bool = False
    checkpoint_every: int | str = 1
    deterministic: bool = False

    def __post_init__(self):
        if not isinstance(self.overrides, Mapping):
            raise must_be("overrides", "a mapping of names to values", self.overrides)
        recipe = zoo.get(self.model)
        epochs = checks.positive_int("epochs", recipe.epochs if self.epochs is None else self.epochs)
        resolved = {
            "model": recipe.name,
            "overrides": recipe.check_overrides(self.overrides),
            "epochs": epochs,
            "batch_size": checks.positive_int(
                "batch_size", recipe.batch_size if self.batch_size is None else self.batch_size
            ),
            "fid_every": checks.non_negative_int(
                "fid_every", min(recipe.fid_every, epochs) if self.fid_every is None else self.fid_every
            ),
        }
        for name, value in resolved.items():
            object.__setattr__(self, name, value)
        self._check_data()
        checks.seed("seed", self.seed)
        checks.one_of("strategy", self.strategy, checks.STRATEGIES)
        checks.non_negative_int("samples_every", self.samples_every)
        checks.count("sample_count", self.sample_count)
        if checks.count("fid_images", self.fid_images) < 2:
            raise must_be("fid_images", "an integer of at least 2", self.fid_images)
        extractors.check_choice(self.extractor, self.extractor_weights)
        checks.one_of("precision", self.precision, checks.PRECISIONS)
        if self.steps_per_execution is not None:
            checks.positive_int("steps_per_execution", self.steps_per_execution)
        checks.boolean("jit_compile", self.jit_compile)
        interval = Interval.parse("checkpoint_every", self.checkpoint_every)
        object.__setattr__(self, "checkpoint_every", interval.to_json())
        checks.boolean("deterministic", self.deterministic)

    def _check_data(self):
        for name in ("dataset", "data_dir", "extractor_weights"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value):
                raise must_be(name, "a name or a path, or None", value)
            if value is not None and name != "dataset":
                # A run can be resumed from another working directory.
                object.__setattr__(self, name, os.path.abspath(value))
        if self.image_size is not None:
            checks.positive_int("image_size", self.image_size)
        elif self.dataset in (None, self.recipe.dataset):
            object.__setattr__(self, "image_size", self.recipe.image_size)
        if self.channels is not None:
            checks.one_of("channels", checks.positive_int("channels", self.channels), (1, 3))
        checks.one_of("binarize", self.binarize, (None, *checks.BINARIZE))

    @property
    def recipe(self) -> zoo.Recipe:
        """The recipe named by `model`."""
        return zoo.get(self.model)

    def arguments(self) -> dict[str, object]:
        """Return all hyperparameters of the recipe, overridden or not."""
        defaults = {name: parameter.default for name, parameter in self.recipe.parameters.items()}
        return defaults | dict(self.overrides)

    def to_json(self) -> dict:
        """Return the settings as a dictionary that JSON can represent."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: object, source: str) -> RunSettings:
        """Return the settings that `to_json` wrote.

        Args:
            content: the dictionary.
            source: str, the file's name in error messages.

        Raises:
            UsageError: `content` is damaged or was written by another version of keras_gen.
        """
        names = {entry.name for entry in dataclasses.fields(cls)}
        if not isinstance(content, dict) or not content.keys() <= names or "model" not in content:
            raise UsageError(
                f"{source} is damaged, or of another version of keras_gen: its settings are not understood"
            )
        try:
            return cls(**content)
        except (TypeError, UsageError) as error:
            raise UsageError(f"{source} is damaged: {error}") from error
