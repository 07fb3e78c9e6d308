"""The command `experiments/benchmark_training.py`: train recipes, and the same models as Keras trains them by itself, in turn; print images a second and their ratios."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path

from keras_gen import zoo
from keras_gen.commands import cli
from keras_gen.utils import checks

DEFAULT = "vae-mlp,vae-lstm,gan-conv,wgan-gp"
PRECISIONS = ("float32", "bfloat16")
WAYS = ("Keras", *PRECISIONS)


def parser() -> cli.ArgumentParser:
    """The command line."""
    parser = cli.ArgumentParser(description="Time the training of recipes against Keras' own.")
    parser.add_argument("--models", default=DEFAULT, metavar="NAMES", help="recipes, separated by commas, or all")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of each way, in turn")
    parser.add_argument("--seconds", type=float, default=4.0, metavar="S", help="that a round takes, about")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write what was measured")
    return parser


def main() -> None:
    """Parse, measure, print."""
    arguments = parser().parse_args()
    rounds = checks.positive_int("--rounds", arguments.rounds)
    seconds = checks.positive("--seconds", arguments.seconds)
    names = [recipe.name for recipe in zoo.recipes()] if arguments.models == "all" else arguments.models.split(",")
    recipes = [zoo.get(name) for name in names]
    cli.load_tensorflow()
    results = {}
    print("images a second in training, of Keras and of the recipe in either precision, and the ratios to Keras:")
    print("medians (lowest to highest)")
    for recipe in recipes:
        results[recipe.name] = measured = measure(recipe, rounds, seconds)
        print(f"{recipe.name}: {describe(measured)}", flush=True)
    if arguments.json is not None:
        with cli.writing("--json", arguments.json):
            arguments.json.write_text(json.dumps(results, indent=2) + "\n")


def measure(recipe, rounds: int, seconds: float) -> dict[str, list[float]]:
    """Images a second of each way, one a round."""
    import numpy as np

    model = zoo.build(recipe.name, seed=0)
    together = model.steps_per_execution
    trainers = {"Keras": stock_trainer(stock(model), recipe)}
    for precision in PRECISIONS:
        trainers[precision] = own_trainer(zoo.build(recipe.name, seed=0, precision=precision), recipe)
    count = recipe.batch_size * model.batches_per_step
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (4 * count, *model.image_shape), np.uint8)
    steps = []
    for train in trainers.values():
        train(images)  # traces
        each = train(images) / 4
        steps.append(max(4, min(64 * round(seconds / each / 64) or round(seconds / each), 65_536 // count)))
    whole = max(together, max(steps) // together * together)
    images = generator.integers(0, 256, (whole * count, *model.image_shape), np.uint8)
    rates = {way: [] for way in WAYS}
    for train in trainers.values():
        train(images)  # traces what several steps in one call are
    for _ in range(rounds):
        for way, train in trainers.items():
            rates[way].append(len(images) / train(images))
    return rates


def timed_fit(model, *data, callbacks=(), **options) -> float:
    """The seconds from the beginning of the first epoch to its end.

    Without what comes after: who lets go of Keras' iterator over arrays may wait until a thread of tf.data wakes, up to
    as long again as the training took, or not at all, as it happens.
    """
    import keras

    times = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: times.append(time.perf_counter()),
        on_epoch_end=lambda epoch, logs: times.append(time.perf_counter()),
    )
    keras.Model.fit(model, *data, callbacks=[*callbacks, clock], verbose=0, **options)
    began, ended = times
    return ended - began


def own_trainer(model, recipe):
    """A function of images that trains on them once, as `run.py` does, with its callbacks but scores and pictures."""
    from keras_gen import callbacks
    from keras_gen.data import batches

    together = model.steps_per_execution

    def train(images):
        data = batches(images, batch_size=recipe.batch_size * model.batches_per_step, seed=0)
        model.limit_steps_per_execution(data.steps_per_epoch, together)
        with tempfile.TemporaryDirectory() as folder:
            watching = [callbacks.StopOnDivergence(), callbacks.HistoryCSV(Path(folder) / "history.csv")]
            options = {"steps_per_epoch": data.steps_per_epoch, "shuffle": False}
            return timed_fit(model, data.dataset, callbacks=watching, **options)

    return train


def stock_trainer(model, recipe):
    """A function of images that trains on them once, as Keras does with arrays."""

    def train(images):
        return timed_fit(model, images, batch_size=recipe.batch_size * model.batches_per_step)

    return train


def stock(model):
    """The same model of Keras' own layers and optimizers, a call a train step."""
    import keras

    config = keras.saving.serialize_keras_object(model)
    compiled = model.get_compile_config() | {"steps_per_execution": 1}
    copy = keras.saving.deserialize_keras_object(of_keras(config | {"compile_config": None}))
    copy.compile_from_config(of_keras(compiled))
    copy.set_weights(model.get_weights())
    return copy


def of_keras(config):
    """A configuration with the classes of Keras that keras_gen's stand for."""
    if isinstance(config, list | tuple):
        return type(config)(map(of_keras, config))
    if not isinstance(config, dict):
        return config
    config = {key: of_keras(value) for key, value in config.items()}
    if config.get("registered_name") == "keras_gen>Adam":
        config |= {"module": "keras.optimizers", "class_name": "Adam", "registered_name": None}
    if config.get("registered_name") == "keras_gen>Dropout":
        config |= {"module": "keras.layers", "registered_name": None}
    if config.get("registered_name") == "keras_gen>NarrowConv2D":
        config |= {"module": "keras.layers", "class_name": "Conv2D", "registered_name": None}
        config["config"] = config["config"] | {"padding": "same"}
    return config


def describe(rates: dict[str, list[float]]) -> str:
    """One line of what was measured."""
    parts = []
    for way, measured in rates.items():
        part = f"{way} {spread(measured, ',.0f')}"
        if way != "Keras":
            part += f": {spread([own / stock for own, stock in zip(measured, rates['Keras'], strict=True)], '.2f')} ×"
        parts.append(part)
    return "; ".join(parts)


def spread(values: list[float], form: str) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"
