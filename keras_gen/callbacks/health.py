"""Detect failed training: collapsed networks, and losses that are NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np

from keras_gen.metrics.extractors import as_images
from keras_gen.runs import history
from keras_gen.utils import checks
from keras_gen.utils.errors import TrainingDiverged, must_be
from keras_gen.utils.progress import print_line

SAMPLE = 64
"""Number of generated images that are checked."""

MIN_DIVERSITY = 0.1
"""Minimum diversity of generated images, as a fraction of the diversity of real images."""

MIN_UPDATES = 500
"""Minimum number of updates for which a symptom must last: many networks start with it."""


class Health(keras.callbacks.Callback):
    """Print a warning when a network has collapsed, with the symptom, and a note when it has recovered.

    A warning is printed once a symptom has lasted for an epoch and `MIN_UPDATES` updates:

    - generator: its images are nearly identical. The standard deviation of each pixel over `SAMPLE` generated images,
      averaged over pixels, is less than `MIN_DIVERSITY` times that of real images;
    - others that the model names: see `signs_of_collapse` of `keras_gen.GAN` and `keras_gen.VAE`.

    Training is not affected: the callback changes no state and draws no number from training's random generators.

    Args:
        images: uint8 array of shape `(N, H, W, C)`. Real images; the first 1000 are used.
        seed: int. Seed of the generated images. Defaults to 0.

    Example:
        >>> digits = keras_gen.data.load("digits").train.images
        >>> model = keras_gen.zoo.build("vae-mlp", beta=1e5)
        >>> options = {"batch_size": 4, "epochs": 3, "verbose": 0}
        >>> history = model.fit(digits, callbacks=[keras_gen.callbacks.Health(digits)], **options)
        WARNING: after epoch 3 the encoder has collapsed: its KL divergence is ...
    """

    def __init__(self, images: np.ndarray, seed: int = 0):
        super().__init__()
        self.seed = checks.seed("seed", seed)
        self.diversity = _diversity(as_images("images", images)[:1000]) if len(images) else 0.0
        if not self.diversity:
            raise must_be("images", "at least two different images", f"{len(images)} that do not differ")
        self._suspected: dict[str, int] = {}  # updates when the symptom was first seen
        self._collapsed: set[str] = set()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Check the networks and print what changed."""
        symptoms = dict(self._symptoms(logs or {}))
        updates = max(self.model.updates.values())
        self._suspected = {network: self._suspected.get(network, updates) for network in symptoms}
        for network in sorted(self._collapsed - symptoms.keys()):
            self._print(f"NOTE: after epoch {epoch + 1} {network} has recovered")
        self._collapsed &= symptoms.keys()
        for network, symptom in symptoms.items():
            if network not in self._collapsed and updates >= self._suspected[network] + MIN_UPDATES:
                self._collapsed.add(network)
                self._print(f"WARNING: after epoch {epoch + 1} {network} has collapsed: {symptom}")

    def _symptoms(self, logs) -> Iterator[tuple[str, str]]:
        """Yield the networks that look collapsed, each with its symptom."""
        yield from self.model.signs_of_collapse(logs).items()
        if "generate" in self.model.endpoints():
            diversity = _diversity(np.asarray(self.model.generate(SAMPLE, self.seed)["images"]))
            if diversity < MIN_DIVERSITY * self.diversity:
                yield (
                    "the generator",
                    f"its images are nearly identical: pixels vary by {diversity:.2g} gray levels between generated "
                    f"images, by {self.diversity:.2g} between real ones",
                )

    def _print(self, line):
        # Keras' progress bar leaves the cursor at its end.
        if self.params and self.params.get("verbose") in (1, "auto"):
            print_line()
        print_line(line)


def _diversity(images: np.ndarray) -> float:
    """Return the standard deviation of a pixel over the images, averaged over pixels, in gray levels."""
    return float(np.std(images, axis=0, dtype=np.float64).mean())


class StopOnDivergence(keras.callbacks.Callback):
    """End `fit` with an error after the first step with a NaN or infinite metric.

    `keras.callbacks.TerminateOnNaN` lets the other callbacks save the diverged model at the end of the epoch.

    Args:
        initial_step: int. Number of train steps of the first epoch done before. Defaults to 0.

    Raises:
        TrainingDiverged: Raised by `fit`; names the metrics, the step and the epoch.
    """

    def __init__(self, initial_step: int = 0):
        super().__init__()
        self._offset = checks.non_negative_int("initial_step", initial_step)
        self._epoch, self._seen, self._before = 0, 0, 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Reset the step count."""
        self._epoch = epoch + 1
        self._seen = self._before = self._offset
        self._offset = 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Check the averages, which stay NaN or infinite once a step's value was."""
        # Keras counts the steps of a whole execution, also if the epoch ends within it.
        steps = min(batch + 1, (self.params or {}).get("steps") or batch + 1)
        first, self._seen = self._seen + 1, self._before + steps
        values = history.numbers(logs)
        wrong = [f"{name} is {float(value)}" for name, value in values.items() if not math.isfinite(value)]
        if wrong:
            where = f"step {first:,}" if first == self._seen else f"one of steps {first:,} to {self._seen:,}"
            what = ", ".join(wrong)
            raise TrainingDiverged(f"training diverged: {what} after {where} of epoch {self._epoch}")
