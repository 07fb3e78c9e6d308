"""What a run is asked to do: checked before anything is loaded, kept in `recipe.json`. No Keras here."""

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
    """Everything that decides what a run computes.

    Args:
        model: name of a recipe, or an alias (it is resolved).
        overrides: hyperparameters that differ from the recipe's.
        dataset: name or path as `keras_gen.data.load` takes it. None is the recipe's own, with `digits` in its place
            where that can't be had.
        data_dir, image_size, channels, binarize: as in `keras_gen.data.load`. For the recipe's own data set an
            image_size of None is the recipe's.
        epochs, batch_size: None is the recipe's.
        seed: of initial weights, data order, dropout, latents and noise.
        strategy: as in `keras_gen.distribution.strategy`.
        samples_every: epochs between two sample grids; 0 for none.
        sample_count: images in a grid.
        fid_every: epochs between two Fréchet distances of generated to training images; 0 for none; None is the
            recipe's, or all epochs if they are fewer.
        fid_images: images that are generated for each.
        extractor: what looks at the images, one of `keras_gen.metrics.extractors.NAMES`, which is downloaded if it is missing;
            or `auto`, what fits the data and is there.
        extractor_weights: path of the weights file of a named extractor; None looks where it is kept.
        precision: in which the networks' layers compute, `float32` or `bfloat16`.
        steps_per_execution: train steps in one call of TensorFlow, at most; None is the recipe's. The bits are the same
            with any number. Stops, checkpoints and the look for NaN come after such a call.
        jit_compile: compile train and validation steps with XLA, on one device. Other noise is drawn then.
        checkpoint_every: from one checkpoint to the next, as `Interval.parse` takes it: a number of epochs, or such as
            `500steps` or `5minutes`. The last epoch always has one.
        deterministic: have TensorFlow use only operations that give the same bits each time, and go on with the run
            only where everything its bits depend on is as it was.

    Raises:
        UsageError: any of them is not what it must be.
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
                object.__setattr__(self, name, os.path.abspath(value))  # so that a run resumes from any folder
        if self.image_size is not None:
            checks.positive_int("image_size", self.image_size)
        elif self.dataset in (None, self.recipe.dataset):
            object.__setattr__(self, "image_size", self.recipe.image_size)
        if self.channels is not None:
            checks.one_of("channels", checks.positive_int("channels", self.channels), (1, 3))
        checks.one_of("binarize", self.binarize, (None, *checks.BINARIZE))

    @property
    def recipe(self) -> zoo.Recipe:
        """The recipe that `model` names."""
        return zoo.get(self.model)

    def arguments(self) -> dict[str, object]:
        """All hyperparameters of the recipe, overridden or not."""
        defaults = {name: parameter.default for name, parameter in self.recipe.parameters.items()}
        return defaults | dict(self.overrides)

    def to_json(self) -> dict:
        """As a dictionary that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: object, source: str) -> RunSettings:
        """The settings that `to_json` wrote; `source` names the file in errors."""
        names = {entry.name for entry in dataclasses.fields(cls)}
        if not isinstance(content, dict) or not content.keys() <= names or "model" not in content:
            raise UsageError(
                f"{source} is damaged, or of another version of keras_gen: its settings are not understood"
            )
        try:
            return cls(**content)
        except (TypeError, UsageError) as error:
            raise UsageError(f"{source} is damaged: {error}") from error
