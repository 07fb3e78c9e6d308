"""Helpers for tests of scores: a fast extractor, images, a stand-in for a model, and a small data set. No tests."""

import dataclasses

import numpy as np
import pytest

from keras_gen.data.image_data import Split
from keras_gen.data.sources import digits
from keras_gen.metrics.extractors import Extractor

SIDE = 8


class QuadrantExtractor(Extractor):
    """Features: the mean of each quarter and the standard deviation of the image. Logits: the first three features."""

    resize = "none"
    dimensions = 5

    def __init__(self, name="lenet", *, num_classes=3, sha256="0" * 64, data=("squares",)):
        self.name, self.num_classes, self.sha256, self.classes_of = name, num_classes, sha256, data
        self.seen = 0

    def _extract(self, images):
        self.seen += len(images)
        pixels = np.asarray(images, np.float32).mean(axis=-1)
        half = SIDE // 2
        quarters = [pixels[:, r : r + half, c : c + half].mean((1, 2)) for r in (0, half) for c in (0, half)]
        features = np.stack([*quarters, pixels.std((1, 2))], axis=1)
        logits = features[:, : self.num_classes] / 10 if self.num_classes else None
        return features, logits


def squares(count, seed=0, level=256):
    """Return uint8 noise below `level`, `(count, 8, 8, 1)`."""
    return np.random.default_rng(seed).integers(0, level, (count, SIDE, SIDE, 1), np.uint8)


class NoiseModel:
    """A stand-in for a generative model, with the `generate` of the models."""

    num_classes = 0
    moving_average = 0.0

    def __init__(self, level=256):
        self.level = level
        self.calls = []

    def generate(self, n, seed):
        self.calls.append((n, seed))
        images = squares(n, seed, self.level)
        return {"images": images, "images_float": images / 255.0}


@pytest.fixture(scope="module")
def few_digits():
    """Load only 360 of the embedded digits, to save time: 275 for training, 25 for validation, 60 for test."""
    raw = digits.read()
    train, test = (
        Split(split.images[:count], split.labels[:count]) for split, count in ((raw.train, 300), (raw.test, 60))
    )
    few = dataclasses.replace(raw, train=train, test=test)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "read", lambda: few)
        yield
