"""The parts of `benchmark.py` about models: sampling and evaluation against Keras, and scaling of a train step."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keras_gen import zoo
from keras_gen.commands import benchmark_training, cli
from keras_gen.commands.benchmark_training import KERAS, random_images
from keras_gen.commands.timing import in_turn, spread, timed
from keras_gen.utils import checks
from keras_gen.utils.errors import must_be


def sampling(repeats: int, count: int, recipes: list) -> dict:
    """Time `generate` of models and their SavedModels against `keras.Model.predict` of the same network.

    `predict` maps given latents to logits, in float32 unless noted otherwise. The others also draw the latents and
    return images as floats and as uint8.
    """
    cli.load_tensorflow()
    print(f"images per second when sampling {count:,}, and ratios to Keras' predict: medians (lowest to highest)")
    measured = {}
    for recipe in recipes:
        with tempfile.TemporaryDirectory() as folder:
            measured[recipe.name] = rates_of(recipe.name, ways_to_sample(recipe, count, Path(folder)), repeats, count)
    return {"images": count, "images_per_second": measured}


def ways_to_sample(recipe, count: int, folder: Path) -> dict[str, Callable[[], float]]:
    """Return functions that generate `count` images and return the seconds; print differences from Keras' images."""
    import numpy as np

    from keras_gen.models import export
    from keras_gen.models.sampling import latents

    predictors, generators = [], {}
    for precision in checks.PRECISIONS:
        model = zoo.build(recipe.name, seed=0, precision=precision)
        if "generate" not in model.endpoints():
            raise must_be("--models", "recipes that generate images", recipe.name)
        network, noise = (
            benchmark_training.stock(model).decoder_network,
            latents(count, model.latent_dim, seed=0).numpy(),
        )
        predictors.append(functools.partial(until_result, network.predict, noise))
        expected = model.to_unit_range(model.to_images(network.predict(noise, verbose=0)))
        saved = export.load(export.save(model, folder / precision, functions=["generate"]))
        for way, source in ((precision, model), (f"SavedModel {precision}", saved)):
            generate = functools.partial(arrays_of, source.generate, count)
            largest = np.abs(generate()["images_float"] - expected).max()
            print(f"{recipe.name}, {way}: largest difference of pixels in [0, 1] from Keras' {largest:.2g}")
            generators[way] = functools.partial(timed, generate)
    names = (KERAS, *(f"{KERAS} {precision}" for precision in checks.PRECISIONS[1:]))
    return dict(zip(names, predictors, strict=True)) | generators


def arrays_of(generate: Callable, count: int) -> dict:
    """Return the results of `generate` as NumPy arrays, as `predict` does."""
    return {name: tensor.numpy() for name, tensor in generate(n=count, seed=0).items()}


def evaluation(repeats: int, count: int, recipes: list) -> dict:
    """Time `evaluate` of models against `keras.Model.evaluate` of the same models with Keras' layers, on arrays."""
    cli.load_tensorflow()
    print(f"images per second when evaluating {count:,}, and ratios to Keras: medians (lowest to highest)")
    measured = {
        recipe.name: rates_of(recipe.name, ways_to_evaluate(recipe, count), repeats, count) for recipe in recipes
    }
    return {"images": count, "images_per_second": measured}


def ways_to_evaluate(recipe, count: int) -> dict[str, Callable[[], float]]:
    """Return functions that evaluate the same images and return the seconds; print differences from Keras' losses."""
    import keras

    models = {precision: zoo.build(recipe.name, seed=0, precision=precision) for precision in checks.PRECISIONS}
    own = models[checks.PRECISIONS[0]]
    ways = {KERAS: functools.partial(keras.Model.evaluate, benchmark_training.stock(own))}
    ways |= {precision: model.evaluate for precision, model in models.items()}
    options = {"x": random_images(count, own.image_shape), "batch_size": recipe.batch_size}
    results = {way: evaluate(**options, verbose=0, return_dict=True) for way, evaluate in ways.items()}
    for precision in checks.PRECISIONS:
        largest = max(abs(results[precision][name] - value) for name, value in results[KERAS].items())
        print(f"{recipe.name}, {precision}: largest difference of metrics from Keras' {largest:.2g}")
    return {way: functools.partial(until_result, evaluate, **options) for way, evaluate in ways.items()}


def rates_of(name: str, ways: dict[str, Callable[[], float]], repeats: int, count: int) -> dict[str, list[float]]:
    """Return images per second of each variant, one value per round; print them in one line."""
    rates = {way: [count / each for each in seconds] for way, seconds in in_turn(ways, repeats).items()}
    print(f"{name}: {benchmark_training.describe(rates)}", flush=True)
    return rates


def until_result(function: Callable, *data, **options) -> float:
    """Return the seconds from the call of Keras' `evaluate` or `predict` to its result.

    The release of its iterator is excluded, as in `benchmark_training.timed_fit`.
    """
    import keras

    end_times = []

    def end(logs=None):
        end_times.append(time.perf_counter())

    clock = keras.callbacks.LambdaCallback(on_test_end=end, on_predict_end=end)
    start = time.perf_counter()
    function(*data, callbacks=[clock], verbose=0, **options)
    return end_times[0] - start


@dataclass(frozen=True)
class Growth:
    """Factors on a recipe's batch size, the side of its images, and the requested number of images."""

    batch_size: int = 1
    side: int = 1
    images: int = 1


GROWTHS = (Growth(), Growth(batch_size=2), Growth(batch_size=4), Growth(side=2), Growth(images=2), Growth(images=4))


def scaling(repeats: int, count: int, recipes: list) -> dict:
    """Time a train step as the batch size, the image size or the number of images grows, one at a time."""
    cli.load_tensorflow()
    return {recipe.name: measure_growth(recipe, repeats, count) for recipe in recipes}


def measure_growth(recipe, repeats: int, count: int) -> list[dict]:
    """Time a train step of a recipe for each of `GROWTHS`; print a table."""
    cases, trainers = zip(*(case_of(recipe, growth, count) for growth in GROWTHS), strict=True)
    ways = dict(enumerate(trainers))
    in_turn(ways, 1)  # traces
    for case, seconds in zip(cases, in_turn(ways, repeats).values(), strict=True):
        case["seconds_per_step"] = [each / case["steps"] for each in seconds]
    print(f"{recipe.name}: time of a train step, and ratio to the first row: medians (lowest to highest)")
    for case in cases:
        print(format_case(case, cases[0]), flush=True)
    return list(cases)


def case_of(recipe, growth: Growth, count: int) -> tuple[dict, Callable[[], float]]:
    """Return the sizes of a case, and a function that trains one epoch on it and returns the seconds."""
    height, width, channels = recipe.image_shape
    image_shape = (height * growth.side, width * growth.side, channels)
    model = zoo.build(recipe.name, image_shape, seed=0)
    batch_size = recipe.batch_size * growth.batch_size
    # Every batch size divides the number of images, so that all steps have the same size.
    largest = recipe.batch_size * max(each.batch_size for each in GROWTHS) * model.batches_per_step
    images = -(-count // largest) * largest * growth.images
    train = benchmark_training.own_trainer(model, dataclasses.replace(recipe, batch_size=batch_size))
    steps = images // (batch_size * model.batches_per_step)
    case = {"batch_size": batch_size, "image_shape": image_shape, "images": images, "steps": steps}
    return case, functools.partial(train, random_images(images, image_shape))


def format_case(case: dict, first: dict) -> str:
    """Return one row of the table."""
    seconds = case["seconds_per_step"]
    ratios = [own / other for own, other in zip(seconds, first["seconds_per_step"], strict=True)]
    return (
        f"batch {case['batch_size']}, image {'x'.join(map(str, case['image_shape']))}, {case['images']:,} images: "
        f"{spread([1000 * each for each in seconds], '.2f')} ms; {spread(ratios, '.2f')} ×"
    )
