"""What the tests of scores have in common: a quick extractor, images, a stand-in for a model. No tests in here."""

import numpy as np

from keras_gen.metrics.extractors import Extractor

SIDE = 8


class QuadrantExtractor(Extractor):
    """Features: the mean of each quarter and the spread of the whole image; logits: three mixtures of them."""

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
    """uint8 noise below `level`, `(count, 8, 8, 1)`."""
    return np.random.default_rng(seed).integers(0, level, (count, SIDE, SIDE, 1), np.uint8)


class NoiseModel:
    """Stands in for a generative model: `generate` as the models have it."""

    num_classes = 0
    moving_average = 0.0

    def __init__(self, level=256):
        self.level = level
        self.asked = []

    def generate(self, n, seed):
        self.asked.append((n, seed))
        images = squares(n, seed, self.level)
        return {"images": images, "images_float": images / 255.0}
