"""Time parts of keras_gen against what they replace: interleaved, as ratios of medians.

python experiments/benchmark.py frechet
python experiments/benchmark.py inception-v3
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from keras_gen import checks, command


def parser() -> command.ArgumentParser:
    """The command line."""
    parser = command.ArgumentParser(description="Time parts of keras_gen against what they replace.")
    parser.add_argument("part", choices=sorted(PARTS), help="what to time")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="of each side, in turn")
    parser.add_argument("--size", type=int, metavar="N", help="feature dimensions, or images")
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
    compare(with_square_root, ours, repeats, "sqrtm", "keras_gen")


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
        extractor = build("inception-v3", weights)

    def predict():
        large = tf.image.resize(images, (299, 299), antialias=True) / 127.5 - 1.0
        return network.predict(large, batch_size=32, verbose=0)

    def ours():
        return extractor(images).features

    print(f"{count} images: largest difference of features {np.abs(predict() - ours()).max():.2g}")
    compare(predict, ours, repeats, "model.predict", "keras_gen", count)


def compare(
    old: Callable, new: Callable, repeats: int, old_name: str, new_name: str, count: int | None = None
) -> None:
    """Print the median seconds of both, run in turn, and their ratio."""
    seconds = {old_name: [], new_name: []}
    for _ in range(repeats):
        for name, function in ((old_name, old), (new_name, new)):
            started = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        rate = "" if count is None else f", {count / median:.1f} images a second"
        print(f"{name}: {median:.3f} s{rate} (of {', '.join(f'{value:.3f}' for value in seconds[name])})")
    print(f"{new_name} is {medians[old_name] / medians[new_name]:.2f} times as fast")


PARTS = {"frechet": (frechet, 2048), "inception-v3": (inception_v3, 128)}


if __name__ == "__main__":
    command.main(main)
