"""Time parts of keras_gen against what they replace: interleaved, as ratios of medians. Watch a long run's memory.

python experiments/benchmark.py frechet
python experiments/benchmark.py inception-v3
python experiments/benchmark.py memory
"""

from __future__ import annotations

import functools
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from keras_gen import checks, command


def parser() -> command.ArgumentParser:
    """The command line."""
    parser = command.ArgumentParser(description="Time parts of keras_gen, and watch the memory of a run.")
    parser.add_argument("part", choices=sorted(PARTS), help="what to measure")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="of each side, in turn; not of memory")
    parser.add_argument("--size", type=int, metavar="N", help="feature dimensions, images, or epochs")
    return parser


def main() -> None:
    """Parse, time, print."""
    arguments = parser().parse_args()
    repeats = checks.positive_int("--repeats", arguments.repeats)
    part, size = PARTS[arguments.part]
    part(repeats, checks.positive_int("--size", size if arguments.size is None else arguments.size))


def frechet(repeats: int, dimensions: int) -> None:
    """The Fréchet distance of two covariances against scipy.linalg.sqrtm of their product."""
    import numpy as np
    import scipy.linalg

    from keras_gen.metrics.fid import frechet_distance

    generator = np.random.default_rng(0)
    moments = []
    for _ in range(2):
        # Variances over four decades, as those of image features, from more samples than dimensions.
        scales = np.logspace(0, -2, dimensions)
        samples = generator.normal(size=(3 * dimensions, dimensions)) * scales @ rotation(generator, dimensions)
        moments += [samples.mean(axis=0), np.cov(samples.T)]

    def with_square_root():
        mean_1, covariance_1, mean_2, covariance_2 = moments
        root = scipy.linalg.sqrtm(covariance_1 @ covariance_2).real
        return ((mean_1 - mean_2) ** 2).sum() + np.trace(covariance_1 + covariance_2 - 2.0 * root)

    def ours():
        return frechet_distance(*moments)

    print(f"D = {dimensions}: sqrtm {with_square_root():.10g}, keras_gen {ours():.10g}")
    compare({"sqrtm": with_square_root, "keras_gen": ours}, repeats)


def rotation(generator, dimensions: int):
    """A random orthogonal matrix."""
    import numpy as np

    return np.linalg.qr(generator.normal(size=(dimensions, dimensions)))[0]


def inception_v3(repeats: int, count: int) -> None:
    """Features of InceptionV3 with random weights against `keras.Model.predict` of the same network."""
    command.load_tensorflow()
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_gen.extractors import build

    keras.utils.set_random_seed(0)
    network = keras.applications.InceptionV3(weights=None, include_top=False, pooling="avg", input_shape=(299, 299, 3))
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "random.weights.h5"
        network.save_weights(weights)
        extractors = {name: build("inception-v3", weights, precision=name) for name in ("float32", "bfloat16")}

    def predict():
        large = tf.image.resize(images, (299, 299), antialias=True) / 127.5 - 1.0
        return network.predict(large, batch_size=32, verbose=0)

    ways = {"model.predict": predict}
    for name, extractor in extractors.items():
        ways[f"keras_gen {name}"] = functools.partial(extractor, images)
        largest = np.abs(predict() - extractor(images).features).max()
        print(f"{count} images, {name}: largest difference of features from model.predict's {largest:.2g}")
    compare(ways, repeats, count)


def memory(repeats: int, epochs: int) -> None:
    """What a process of many epochs holds: memory, open files and threads, while it trains, scores and draws."""
    command.load_tensorflow()
    import numpy as np

    from keras_gen import training
    from keras_gen.settings import RunSettings

    for model in ("vae-mlp", "gan-mlp"):
        with tempfile.TemporaryDirectory() as folder, Watch(Path(folder)) as watch:
            training.run(RunSettings(model, dataset="digits", epochs=epochs, fid_every=10), out=folder)
            files = {path.relative_to(folder).parts[1]: 0 for path in Path(folder).rglob("*") if path.is_file()}
            for path in filter(Path.is_file, Path(folder).rglob("*")):
                files[path.relative_to(folder).parts[1]] += path.stat().st_size
        samples = np.array(watch.samples)
        print(f"{model}: epoch, memory in MB, open files, threads")
        for share in (0.1, 0.25, 0.5, 0.75, 1.0):
            epoch, *held = samples[np.searchsorted(samples[:, 0], share * (epochs - 1))]
            print(f"{epoch:6.0f} " + " ".join(f"{value:10.1f}" for value in held))
        late = samples[samples[:, 0] >= epochs / 4]
        slope = np.polyfit(late[:, 0], late[:, 1], 1)[0] * 1000
        print(f"{slope:.1f} KB an epoch from epoch {epochs // 4} on")
        print("written, in KB: " + ", ".join(f"{name} {size / 1000:,.0f}" for name, size in sorted(files.items())))


class Watch:
    """Samples of (epochs done, memory in MB, open files, threads) of this process, while its block runs. Linux only."""

    def __init__(self, runs: Path):
        self.runs = runs
        self.samples: list[tuple[float, ...]] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self):
        page = os.sysconf("SC_PAGE_SIZE") / 1e6
        while not self._done.wait(0.5):
            history = next(self.runs.glob("*/history.csv"), None)
            epoch = 0 if history is None else history.read_text().count("\n") - 1
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * page
            counts = (len(os.listdir(f"/proc/self/{name}")) for name in ("fd", "task"))
            self.samples.append((epoch, resident, *counts))


def compare(ways: dict[str, Callable], repeats: int, count: int | None = None) -> None:
    """Print the median seconds of each way, run in turn, and how many times as fast as the first it is."""
    seconds = {name: [] for name in ways}
    for _ in range(repeats):
        for name, function in ways.items():
            started = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
        rate = "" if count is None else f", {count / median:.1f} images a second"
        each = ", ".join(f"{value:.3f}" for value in seconds[name])
        print(f"{name}: {median:.3f} s (of {each}){rate}; {first / median:.2f} times as fast")


PARTS = {"frechet": (frechet, 2048), "inception-v3": (inception_v3, 128), "memory": (memory, 200)}


if __name__ == "__main__":
    command.main(main)
