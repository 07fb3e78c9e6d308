"""The settings of a run: checked before anything is loaded, stored in `recipe.json`. Keras is not imported here."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from keras_gen import zoo
from keras_gen.metrics import extractors
from keras_gen.runs import run_directory
from keras_gen.runs.intervals import Interval
from keras_gen.utils import checks, processor
from keras_gen.utils.errors import UsageError, must_be

RESOLVED_BY_RUN = ("dataset", "extractor")
"""Settings that a run replaces by the data and the extractor that it resolved them to."""

PLACES = ("data_dir", "extractor_weights")
"""Settings that are paths; `dataset` may be one."""


def _setting(default: object, help: str, group: str = "training", *, metavar: str | None = None, option: str = ""):
    """Return a field of `RunSettings` that is also an option of run.py.

    Args:
        default: its default.
        help: str, the text of `--help` and of the docstring.
        group: str, heading of the option in `--help`.
        metavar: str or None, placeholder of the value in `--help`. Defaults to the option's name in capitals.
        option: str, name of the option. Defaults to the field's.
    """
    return field(default=default, metadata={"help": help, "group": group, "metavar": metavar, "option": option})


@dataclass(frozen=True)
class RunSettings:
    """All settings that determine what a run computes; every field but the first two is an option of run.py.

    Args:
        model: str, name of a recipe, or an alias, which is replaced by the name.
        overrides: mapping, hyperparameters that differ from the recipe's defaults.
        FIELDS

    Raises:
        UsageError: an argument has a wrong type or value.
    """

    model: str
    overrides: Mapping[str, object] = field(default_factory=dict)
    dataset: str | None = _setting(
        None,
        "named data set, .npz file or folder of images; default: the recipe's, or digits if that is unavailable",
        "data",
        metavar="NAME",
    )
    data_dir: str | None = _setting(
        None,
        "folder with NAME.npz or data prepared by tensorflow-datasets; default: $KERAS_GEN_DATA and $TFDS_DATA_DIR",
        "data",
        metavar="DIR",
    )
    image_size: int | None = _setting(
        None, "crop to squares and resize to this side; default: the data set's", "data", metavar="PIXELS"
    )
    channels: int | None = _setting(None, "1 for gray, 3 for color; default: the data set's", "data", metavar="N")
    binarize: str | None = _setting(
        None,
        f"make pixels black or white: {', '.join(checks.BINARIZE)}, or none; default: the recipe's for its own "
        "data set",
        "data",
        metavar="RULE",
    )
    validation: int | None = _setting(
        None,
        "training images kept for validation; default: the recipe's for its own data set, else the data's own split "
        "or a twelfth",
        "data",
        metavar="N",
    )
    bits: int | None = _setting(
        None,
        "significant bits of 16-bit images, 8 to 16; default: the least of 8, 10, 12, 16 that holds the largest value",
        "data",
        metavar="N",
    )
    skip_damaged: bool = _setting(False, "skip unreadable files in a folder of images", "data")
    epochs: int | None = _setting(None, "passes over the training images; default: the recipe's")
    batch_size: int | None = _setting(None, "real images per update; default: the recipe's, at most 64 for digits")
    seed: int = _setting(0, "seed of weights, data order, dropout, latents and noise")
    patience: int | None = _setting(
        None, "end training after this many epochs without a lower value of --keep-best", metavar="EPOCHS"
    )
    max_minutes: int | None = _setting(
        None, "end training after the epoch in which the run has trained for this many minutes", metavar="N"
    )
    learning_rate_decay: str | None = _setting(
        None,
        "linear: each optimizer's learning rate decays to 0 at the end of the run; none: it is constant; default: the "
        "recipe's",
        metavar="RULE",
    )
    strategy: str = _setting("auto", "devices: " + ", ".join(checks.STRATEGIES), "running")
    sampler: str = _setting(
        "prior",
        "distribution of the latents of generated images: prior, or gmm, a Gaussian mixture fitted to the training "
        "images' codes at the end; autoencoders need it to generate images",
        "results",
        metavar="NAME",
    )
    samples_every: int = _setting(1, "epochs between sample grids; 0 for none", "results", metavar="EPOCHS")
    sample_count: int = _setting(100, "number of images in a sample grid", "results", metavar="N", option="samples")
    fid_every: int | None = _setting(
        None,
        "epochs between Fréchet distances of generated and training images; 0 for none; default: the recipe's",
        "results",
        metavar="EPOCHS",
    )
    fid_images: int = _setting(1000, "number of generated images per Fréchet distance", "results", metavar="N")
    extractor: str = _setting(
        "auto",
        f"feature extractor for the Fréchet distances: auto, {', '.join(extractors.NAMES)}; auto downloads nothing",
        "results",
        metavar="NAME",
    )
    extractor_weights: str | None = _setting(
        None,
        "file with the extractor's weights; for inception-2015 also the .pth of pytorch-fid or torch-fidelity",
        "results",
        metavar="PATH",
    )
    precision: str = _setting(
        "auto",
        f"precision of the networks' layers: {', '.join(checks.PRECISIONS)}; auto: bfloat16 if the processor or GPU is "
        "twice as fast with it, for recipes whose results were compared in both, else float32",
        "running",
    )
    steps_per_execution: int | None = _setting(
        None,
        "maximum number of train steps per TensorFlow call; results are the same; default: the recipe's",
        "running",
        metavar="N",
    )
    jit_compile: bool = _setting(False, "compile train steps with XLA, on one device; random draws differ", "running")
    checkpoint_every: int | str = _setting(
        "auto",
        "interval between checkpoints: a number of epochs, or for example 500steps or 5minutes; auto: every epoch, "
        "or less often if they would take more than a twentieth of the time; the last epoch always has one",
        "running",
        metavar="N",
    )
    keep_best: str | None = _setting(
        None,
        "column of history.csv, such as fd_lenet or val_loss: keep the checkpoint of the epoch with its lowest value; "
        "the SavedModel, keras-gen evaluate and keras-gen report use this epoch",
        "results",
        metavar="COLUMN",
    )
    deterministic: bool = _setting(
        False,
        "use only deterministic operations; resume only in an unchanged environment",
        "running",
    )

    def __post_init__(self):
        if not isinstance(self.overrides, Mapping):
            raise must_be("overrides", "a mapping of names to values", self.overrides)
        recipe = zoo.get(self.model)
        epochs = checks.positive_int("epochs", recipe.epochs if self.epochs is None else self.epochs)
        resolved = {
            "model": recipe.name,
            "overrides": recipe.check_overrides(self.overrides),
            "epochs": epochs,
            "fid_every": checks.non_negative_int(
                "fid_every", min(recipe.fid_every, epochs) if self.fid_every is None else self.fid_every
            ),
            "steps_per_execution": checks.positive_int(
                "steps_per_execution",
                recipe.steps_per_execution if self.steps_per_execution is None else self.steps_per_execution,
            ),
        }
        for name, value in resolved.items():
            object.__setattr__(self, name, value)
        if self.learning_rate_decay is None:
            object.__setattr__(self, "learning_rate_decay", recipe.learning_rate_decay)
        checks.one_of("learning_rate_decay", self.learning_rate_decay, ("linear", "none"))
        self._check_data()
        self._check_given(checks.positive_int, "batch_size", "patience", "max_minutes")
        if self.batch_size is None and self.dataset is not None:
            object.__setattr__(self, "batch_size", recipe.default_batch_size(self.dataset))
        self._check(checks.seed, "seed")
        checks.one_of("strategy", self.strategy, checks.STRATEGIES)
        checks.one_of("sampler", self.sampler, checks.SAMPLERS)
        self._check(checks.non_negative_int, "samples_every")
        self._check(checks.count, "sample_count", "fid_images")
        checks.integer("fid_images", self.fid_images, 2)
        extractors.check_choice(self.extractor, self.extractor_weights)
        checks.one_of("precision", self.precision, ("auto", *checks.PRECISIONS))
        if self.precision == "auto":  # decided here, so that records, sweeps and resumed runs have what it was
            is_faster = recipe.allows_bfloat16 and processor.is_fast_in_bfloat16()
            object.__setattr__(self, "precision", "bfloat16" if is_faster else "float32")
        checks.boolean("jit_compile", self.jit_compile)
        interval = Interval.parse("checkpoint_every", self.checkpoint_every)
        object.__setattr__(self, "checkpoint_every", interval.to_json())
        if self.keep_best is not None and (not isinstance(self.keep_best, str) or not self.keep_best):
            raise must_be("keep_best", "the name of a column of history.csv, or None", self.keep_best)
        if self.patience is not None and self.keep_best is None:
            raise must_be("patience", "left out without keep_best, whose column it watches", self.patience)
        checks.boolean("deterministic", self.deterministic)

    def _check(self, check, *names):
        """Replace the settings with these names by what the check returns."""
        for name in names:
            object.__setattr__(self, name, check(name, getattr(self, name)))

    def _check_given(self, check, *names):
        """Replace the settings with these names that are not None by what the check returns."""
        self._check(check, *(name for name in names if getattr(self, name) is not None))

    def _check_data(self):
        for name in ("dataset", *PLACES):
            value = getattr(self, name)
            value = os.fspath(value) if isinstance(value, os.PathLike) else value
            if value is not None and (not isinstance(value, str) or not value):
                raise must_be(name, "a name or a path, or None", value)
            if value is not None:
                value = os.path.expanduser(value)
                # A run can be resumed from another working directory.
                object.__setattr__(self, name, value if name == "dataset" else os.path.abspath(value))
        self._check_given(checks.positive_int, "image_size", "channels", "bits")
        if self.channels is not None:
            checks.one_of("channels", self.channels, (1, 3))
        is_own = self.dataset in (None, self.recipe.dataset)
        for name in ("image_size", "binarize", "validation"):
            if getattr(self, name) is None and is_own:
                object.__setattr__(self, name, getattr(self.recipe, name))
        checks.one_of("binarize", self.binarize, (None, "none", *checks.BINARIZE))
        self._check_given(checks.non_negative_int, "validation")
        if self.bits is not None:
            checks.one_of("bits", self.bits, range(8, 17))
        checks.boolean("skip_damaged", self.skip_damaged)

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

    def words(self, *, only_changed: bool = False) -> list[str]:
        """Return the words of run.py's command line that give these settings.

        Args:
            only_changed: bool, whether to leave out those that are the recipe's defaults, and the extractor, which a
                run resolves by itself. Defaults to False.

        Example:
            >>> RunSettings("gan-mlp", {"latent_dim": 2}, dataset="mnist", epochs=5).words(only_changed=True)
            ['--model=gan-mlp', '--set', 'latent_dim=2', '--epochs=5']
        """
        overrides, usual = dict(self.overrides), {}
        if only_changed:
            recipe, default = self.recipe, RunSettings(self.model, dataset=self.dataset, epochs=self.epochs)
            overrides = {name: value for name, value in overrides.items() if value != recipe.parameters[name].default}
            usual = dataclasses.asdict(default) | {"dataset": recipe.dataset, "epochs": recipe.epochs}
            del usual["precision"]
            usual |= {"extractor": self.extractor}
            if not recipe.allows_bfloat16:  # else another processor would choose another one
                usual["precision"] = "float32"
        words = [f"--model={self.model}"]
        if overrides:
            words += ["--set", *(f"{name}={value}" for name, value in overrides.items())]
        for name, option in OPTIONS.items():
            value = getattr(self, name)
            if name in usual and value == usual[name]:
                continue
            if value is True:
                words.append(option)
            elif value is not None and value is not False:
                words.append(f"{option}={value}")
        return words

    @classmethod
    def from_json(cls, content: object, source: str) -> RunSettings:
        """Return the settings that `to_json` wrote.

        Args:
            content: the dictionary.
            source: str, the file's name in error messages.

        Raises:
            UsageError: `content` is damaged, was written by another version of keras_gen, or its recipe is not loaded.
        """
        names = {entry.name for entry in dataclasses.fields(cls)}
        if not isinstance(content, dict) or not content.keys() <= names or "model" not in content:
            raise UsageError(
                f"{source} is damaged, or from another version of keras_gen: its settings are not understood"
            )
        known = [name for recipe in zoo.recipes() for name in (recipe.name, *recipe.aliases)]
        hint = "" if content["model"] in known else ", or its recipe is not loaded (pass its file with --recipes)"
        try:
            return cls(**{"precision": "float32"} | content)  # not `auto` of this processor
        except (TypeError, UsageError) as error:
            raise UsageError(f"{source} is damaged{hint}: {error}") from error


OPTIONS = {
    entry.name: "--" + (entry.metadata["option"] or entry.name.replace("_", "-"))
    for entry in dataclasses.fields(RunSettings)
    if entry.metadata
}
"""The option of run.py for each setting, except the recipe and its parameters."""


def read_settings(run: str | os.PathLike) -> tuple[dict, RunSettings]:
    """Return the record and the settings of a run directory.

    Arguments of the recipe whose defaults have changed since the run started become overrides.

    Raises:
        UsageError: `run` is not a run directory or is damaged, or its recipe is not loaded.
    """
    record = run_directory.read_recipe(run)
    recipes, settings = record.get("recipes"), record.get("settings")
    if isinstance(recipes, dict) and isinstance(settings, dict):
        name = settings.get("model")
        if name not in [recipe.name for recipe in zoo.recipes()]:
            file = recipes.get("file")
            raise UsageError(f"recipe {name!r} of {run} is not loaded: pass its file with --recipes (it was {file})")
    settings = _with_arguments(settings, record.get("arguments"))
    return record, RunSettings.from_json(settings, os.path.join(run, run_directory.RECIPE_FILE))


def _with_arguments(settings, arguments):
    """Return `settings` with the overrides that the recipe needs now to be called with the recorded arguments."""
    if not isinstance(settings, dict) or not isinstance(arguments, dict):
        return settings  # damaged: the caller says so
    overrides = settings.get("overrides")
    recipe = next((recipe for recipe in zoo.recipes() if recipe.name == settings.get("model")), None)
    if recipe is None or not isinstance(overrides, dict):
        return settings
    defaults = {name: parameter.default for name, parameter in recipe.parameters.items()}
    changed = {name: value for name, value in arguments.items() if name in defaults and value != defaults[name]}
    return settings | {"overrides": changed | overrides}


if RunSettings.__doc__:  # None with `python -OO`
    RunSettings.__doc__ = RunSettings.__doc__.replace(
        "FIELDS",
        "\n        ".join(
            f"{entry.name}: {entry.type}, {entry.metadata['help']}"
            for entry in dataclasses.fields(RunSettings)
            if entry.metadata
        ),
    )
