"""The command `experiments/benchmark_training.py`: compare the training speed of recipes with that of plain Keras."""

from __future__ import annotations

import functools
import tempfile
import time
from pathlib import Path

from keras_gen import zoo
from keras_gen.commands import cli
from keras_gen.commands.timing import in_turn, spread
from keras_gen.utils import checks, files

DEFAULT = "vae-mlp,vae-lstm,gan-conv,wgan-gp"

KERAS = "Keras"
"""Name of the baseline."""


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(description="Compare the training speed of recipes with that of plain Keras.")
    add = parser.add_argument
    add("--models", default=DEFAULT, metavar="NAMES", help="comma-separated recipes, or all")
    add("--precisions", default=",".join(checks.PRECISIONS), metavar="NAMES", help="comma-separated precisions")
    add("--rounds", type=int, default=5, metavar="N", help="rounds in which the variants are timed in turn")
    add("--seconds", type=float, default=4.0, metavar="S", help="approximate duration of a round")
    add("--json", type=cli.new_file(".json"), metavar="FILE", help="file for the measurements")
    return parser


def main() -> None:
    """Run the command: parse, measure, print."""
    arguments = parser().parse_args()
    rounds = checks.positive_int("--rounds", arguments.rounds)
    seconds = checks.positive("--seconds", arguments.seconds)
    names = [recipe.name for recipe in zoo.recipes()] if arguments.models == "all" else arguments.models.split(",")
    recipes = [zoo.get(name) for name in names]
    precisions = [checks.one_of("--precisions", name, checks.PRECISIONS) for name in arguments.precisions.split(",")]
    cli.load_tensorflow()
    results = {}
    print("training speed in images per second, of Keras and of the recipe in each precision, and ratios to Keras:")
    print("medians (lowest to highest)")
    for recipe in recipes:
        results[recipe.name] = measured = measure(recipe, precisions, rounds, seconds)
        print(f"{recipe.name}: {describe(measured)}", flush=True)
    if arguments.json is not None:
        files.write_json(arguments.json, results)


def measure(recipe, precisions: list[str], rounds: int, seconds: float) -> dict[str, list[float]]:
    """Return images per second of Keras and of the recipe in each precision, one value per round."""
    model = zoo.build(recipe.name, seed=0)
    steps_per_execution, count = model.steps_per_execution, recipe.batch_size * model.batches_per_step
    trainers = {KERAS: functools.partial(timed_fit, stock(model), batch_size=count)}
    for precision in precisions:
        trainers[precision] = own_trainer(zoo.build(recipe.name, seed=0, precision=precision), recipe)
    images = random_images(4 * count, model.image_shape)
    for train in trainers.values():
        train(images)  # traces
    fastest = min(train(images) for train in trainers.values()) / 4
    steps = max(4, min(round(seconds / fastest), 65_536 // count))
    executions = max(1, steps // steps_per_execution)
    images = random_images(executions * steps_per_execution * count, model.image_shape)
    ways = {variant: functools.partial(train, images) for variant, train in trainers.items()}
    in_turn(ways, 1)  # traces executions of several steps
    return {variant: [len(images) / each for each in times] for variant, times in in_turn(ways, rounds).items()}


def random_images(count: int, image_shape: tuple[int, int, int]):
    """Return uint8 noise of shape `(count, *image_shape)`."""
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (count, *image_shape), np.uint8)


def timed_fit(model, *data, callbacks=(), **options) -> float:
    """Return the seconds from the beginning of the first epoch to its end.

    The time after it is excluded: releasing Keras' iterator over arrays may wait for a thread of tf.data, between not
    at all and as long as the training took.
    """
    import keras

    times = []

    def now(epoch, logs):
        times.append(time.perf_counter())

    clock = keras.callbacks.LambdaCallback(on_epoch_begin=now, on_epoch_end=now)
    keras.Model.fit(model, *data, callbacks=[*callbacks, clock], verbose=0, **options)
    begin, end = times
    return end - begin


def own_trainer(model, recipe):
    """Return a function that trains one epoch on images as `run.py` does, without scores and image grids."""
    from keras_gen import callbacks
    from keras_gen.data import batches

    steps_per_execution = model.steps_per_execution

    def train(images):
        data = batches(images, batch_size=recipe.batch_size * model.batches_per_step, seed=0)
        model.limit_steps_per_execution(data.steps_per_epoch, steps_per_execution)
        with tempfile.TemporaryDirectory() as folder:
            run_callbacks = [callbacks.StopOnDivergence(), callbacks.HistoryCSV(Path(folder) / "history.csv")]
            options = {"steps_per_epoch": data.steps_per_epoch, "shuffle": False}
            return timed_fit(model, data.dataset, callbacks=run_callbacks, **options)

    return train


def stock(model):
    """Return the same model with Keras' own layers and optimizers, and one step per execution."""
    import keras

    config = keras.saving.serialize_keras_object(model)
    compiled = model.get_compile_config() | {"steps_per_execution": 1}
    copy = keras.saving.deserialize_keras_object(with_keras_classes(config | {"compile_config": None}))
    copy.compile_from_config(with_keras_classes(compiled))
    copy.set_weights(model.get_weights())
    return copy


def with_keras_classes(config):
    """Return a configuration with keras_gen's layers and optimizers replaced by those of Keras."""
    if isinstance(config, list | tuple):
        return type(config)(map(with_keras_classes, config))
    if not isinstance(config, dict):
        return config
    config = {key: with_keras_classes(value) for key, value in config.items()}
    if config.get("registered_name") == "keras_gen>Adam":
        config |= {"module": "keras.optimizers", "class_name": "Adam", "registered_name": None}
    if config.get("registered_name") in {
        f"keras_gen>{name}" for name in ("Conv2D", "Conv2DTranspose", "Dense", "Dropout")
    }:
        config |= {"module": "keras.layers", "registered_name": None}
    if config.get("registered_name") == "keras_gen>NarrowConv2D":
        config |= {"module": "keras.layers", "class_name": "Conv2D", "registered_name": None}
        config["config"] = config["config"] | {"padding": "same"}
    return config


def describe(rates: dict[str, list[float]]) -> str:
    """Return the measurements of all variants as one line."""
    parts = []
    for variant, measured in rates.items():
        part = f"{variant} {spread(measured, ',.0f')}"
        if variant != KERAS:
            part += f": {spread([own / stock for own, stock in zip(measured, rates[KERAS], strict=True)], '.2f')} ×"
        parts.append(part)
    return "; ".join(parts)
