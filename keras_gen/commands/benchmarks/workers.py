"""The part of `benchmark.py` about several workers: measure the two parts of a step, and model the speed-up."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable

from keras_gen import zoo
from keras_gen.commands import cli
from keras_gen.commands.benchmark_training import own_trainer, random_images
from keras_gen.commands.timing import in_turn, timed
from keras_gen.distribution.cluster import Cluster
from keras_gen.utils.errors import UsageError

WORKERS = (1, 2, 4, 8)
NETWORKS = {"1 Gbit/s": 125e6, "10 Gbit/s": 1.25e9}
"""Bytes per second of networks that the model considers, besides the measured all-reduce between two processes."""

_TIMEOUT = 300  # seconds for two processes to start and measure


def workers(repeats: int, count: int, recipes: list) -> dict:
    """Time train steps on a worker's part of a batch, and the all-reduce of gradients between two processes.

    Prints both, and the resulting speed-up, which is a model, not a measurement. A step of N workers is assumed to take
    as long as a step on 1/N of the batch under a strategy with one device (one step per call, Keras' own Adam), plus an
    all-reduce for which each worker sends 2 (N − 1) / N times the bytes of the gradients (a ring; with two workers:
    once). Speed-ups are relative to one worker that trains as `run.py` does without a strategy. Ignored: network
    latency, the all-reduces of batch normalization and metrics, waiting for the slowest worker, and the overlap of
    all-reduce and gradient computation in TensorFlow.
    """
    cli.load_tensorflow()
    return {recipe.name: measure_recipe(recipe, repeats, count) for recipe in recipes}


def measure_recipe(recipe, repeats: int, count: int) -> dict:
    """Measure one recipe and model its speed-up; print both."""
    sizes = [recipe.batch_size // number for number in WORKERS]
    ways = {size: trainer_of(recipe, size, count, alone=size == recipe.batch_size) for size in sizes}
    in_turn(ways, 1)  # traces
    steps = {size: statistics.median(seconds) for size, seconds in in_turn(ways, repeats).items()}
    shapes = gradient_shapes(zoo.build(recipe.name, seed=0))
    size = sum(4 * math.prod(shape) for shape in shapes)
    all_reduce = statistics.median(between_two_processes(recipe.name, repeats))
    what = f"{len(shapes)} gradients ({size / 1e6:,.1f} MB)"
    print(f"{recipe.name}: all-reduce of {what} between two processes in {1000 * all_reduce:,.1f} ms")
    networks = {"measured here": all_reduce} | {name: size / speed for name, speed in NETWORKS.items()}
    model = {}
    for number, batch_size in zip(WORKERS, sizes, strict=True):
        sent = 2 * (number - 1) / number
        seconds = {name: steps[batch_size] + sent * each for name, each in networks.items()}
        model[number] = {name: steps[recipe.batch_size] / each for name, each in seconds.items()}
        modeled = ", ".join(f"{name} {speed:.2f} ×" for name, speed in model[number].items())
        step = f"batch {batch_size} each: step {1000 * steps[batch_size]:,.1f} ms"
        print(f"{number} workers, {step}; modeled speed-up: {modeled}", flush=True)
    return {"seconds_per_step": steps, "gradient_bytes": size, "seconds_of_all_reduce": all_reduce, "speed_up": model}


def trainer_of(recipe, batch_size: int, count: int, *, alone: bool) -> Callable[[], float]:
    """Return a function that trains on about `count` images, alone or as one of several workers: seconds per step."""
    import tensorflow as tf

    strategy = tf.distribute.get_strategy() if alone else tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = zoo.build(recipe.name, seed=0)
    if not alone:
        model.limit_steps_per_execution(0, at_most=1)
    size = batch_size * model.batches_per_step
    steps = max(count // size, model.steps_per_execution)
    train = own_trainer(model, dataclasses.replace(recipe, batch_size=batch_size))
    images = random_images(steps * size, model.image_shape)
    return lambda: train(images) / steps


def gradient_shapes(model) -> list[tuple[int, ...]]:
    """Return the shapes of all gradients of a train step; a discriminator's are repeated for each of its updates."""
    networks = [model]
    if hasattr(model, "discriminator"):
        networks = [model.generator, *[model.discriminator] * model.batches_per_step]
    return [tuple(variable.shape) for network in networks for variable in network.trainable_variables]


def between_two_processes(name: str, repeats: int) -> list[float]:
    """Time the all-reduce of a recipe's gradients between two processes on this machine; return the seconds."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        addresses = ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in (one, other))
    arguments = [sys.executable, "-m", "keras_gen.commands.benchmarks.workers", name, str(repeats), addresses]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    processes = [subprocess.Popen([*arguments, str(index)], env=environment, **options) for index in range(2)]
    try:
        results = [process.communicate(timeout=_TIMEOUT) for process in processes]
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"all-reduce between two processes took over {_TIMEOUT} seconds") from error
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, (_, err) in zip(processes, results, strict=True):
        if process.returncode:
            raise UsageError(f"all-reduce between two processes failed: {' '.join(err.split())[-300:]}")
    return json.loads(results[0][0].splitlines()[-1])


def time_all_reduce(name: str, repeats: int, addresses: str, index: int) -> list[float]:
    """Run the all-reduce in one of the two processes; return the seconds of each repetition."""
    cli.load_tensorflow(devices=False)
    import tensorflow as tf

    from keras_gen import distribution

    strategy = distribution.strategy("multiworker", Cluster(tuple(addresses.split(",")), index))
    with strategy.scope():
        shapes = gradient_shapes(zoo.build(name, seed=0))

    def all_reduce():
        gradients = [tf.ones(shape) for shape in shapes]
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)

    step = tf.function(lambda: strategy.run(all_reduce))
    step()  # traces
    return [timed(step) for _ in range(repeats)]


if __name__ == "__main__":
    recipe_name, rounds, workers_addresses, worker_index = sys.argv[1:]
    print(json.dumps(time_all_reduce(recipe_name, int(rounds), workers_addresses, int(worker_index))))
