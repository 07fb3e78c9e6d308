"""The parts of `benchmark.py` about scores: the Fréchet distance, and the features of InceptionV3."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from keras_gen.commands import cli
from keras_gen.commands.timing import compare


def frechet(repeats: int, dimensions: int) -> dict:
    """Time the Fréchet distance against its formula with `scipy.linalg.sqrtm` of the product of covariances."""
    import numpy as np
    import scipy.linalg

    from keras_gen.metrics.frechet import frechet_distance

    generator = np.random.default_rng(0)
    moments = []
    for _ in range(2):
        # Variances over four decades, like those of image features, from more samples than dimensions.
        scales = np.logspace(0, -2, dimensions)
        samples = generator.normal(size=(3 * dimensions, dimensions)) * scales
        samples = samples @ np.linalg.qr(generator.normal(size=(dimensions, dimensions)))[0]  # rotated at random
        moments += [samples.mean(axis=0), np.cov(samples.T)]

    def with_square_root():
        mean_1, covariance_1, mean_2, covariance_2 = moments
        root = scipy.linalg.sqrtm(covariance_1 @ covariance_2).real
        return ((mean_1 - mean_2) ** 2).sum() + np.trace(covariance_1 + covariance_2 - 2.0 * root)

    def ours():
        return frechet_distance(*moments)

    print(f"D = {dimensions}: sqrtm {with_square_root():.10g}, keras_gen {ours():.10g}")
    return {"dimensions": dimensions, "seconds": compare({"sqrtm": with_square_root, "keras_gen": ours}, repeats)}


def inception_v3(repeats: int, count: int) -> dict:
    """Time the features of InceptionV3 with random weights against `keras.Model.predict` of the same network."""
    cli.load_tensorflow()
    import keras
    import numpy as np
    import tensorflow as tf

    from keras_gen.metrics.extractors import build

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
    return {"images": count, "seconds": compare(ways, repeats, count)}
