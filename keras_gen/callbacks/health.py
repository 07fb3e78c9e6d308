"""Warnings of training that has gone wrong without a NaN: networks that collapsed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import numpy as np

from keras_gen.models import GAN, VAE, GenerativeModel
from keras_gen.utils import checks
from keras_gen.utils.errors import TrainingDiverged


SAMPLE = 64
"""Generated images that are looked at."""

MIN_DIVERSITY = 0.1
"""Of generated images, as a share of real ones'."""

MIN_LOSS = 1e-3
"""Of a discriminator: a mean cross-entropy in nats, or a mean squared error."""

MIN_DIVERGENCE = 0.1
"""Kullback-Leibler, of a VAE's latents from their prior, in nats an image."""


class Health(keras.callbacks.Callback):
    """Print a line when a network has collapsed, saying what was seen, and another when it has recovered.

    Said once what follows was seen after two epochs running, since many a network starts so:

    - the generator: its images are nearly the same picture. Of `SAMPLE` generated images the standard deviation of each
      pixel over the images, averaged over the pixels, is less than `MIN_DIVERSITY` of the real images';
    - a GAN's discriminator: its loss is below `MIN_LOSS`, so that it tells all generated images from real ones with
      certainty, and the generator has hardly a gradient to follow;
    - a VAE's encoder: the KL divergence is below `MIN_DIVERGENCE` nats, so that the latents say nothing of the image
      (posterior collapse).

    It changes nothing, and draws no random number that training would.

    Args:
        images: real ones, uint8 `(N, H, W, C)`; the first thousand are looked at.
        seed: of the generated images.

    Example:
        >>> digits = keras_gen.data.load("digits").train.images
        >>> model = keras_gen.zoo.build("vae-mlp", beta=1e5)
        >>> history = model.fit(digits, epochs=3, callbacks=[keras_gen.callbacks.Health(digits)], verbose=0)
        WARNING: after epoch 3 the encoder has collapsed: its KL divergence is ...
    """

    def __init__(self, images: np.ndarray, seed: int = 0):
        super().__init__()
        self.seed = checks.seed("seed", seed)
        self.diversity = _diversity(images[:1000])
        self._suspected: set[str] = set()
        self._collapsed: set[str] = set()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Look, and say what changed."""
        found = dict(self._symptoms(logs or {}))
        for network in sorted(self._collapsed - found.keys()):
            self._say(f"NOTE: after epoch {epoch + 1} {network} has recovered")
        self._collapsed &= found.keys()
        for network, symptom in found.items():
            if network in self._suspected - self._collapsed:
                self._collapsed.add(network)
                self._say(f"WARNING: after epoch {epoch + 1} {network} has collapsed: {symptom}")
        self._suspected = set(found)

    def _symptoms(self, logs) -> Iterator[tuple[str, str]]:
        """The networks that look collapsed, and why."""
        if isinstance(self.model, GAN) and (loss := logs.get("d_loss", math.inf)) < MIN_LOSS:
            yield "the discriminator", f"its loss is {loss:.2g}, it tells generated from real images with certainty"
        if isinstance(self.model, VAE) and (divergence := logs.get("kl", math.inf)) < MIN_DIVERGENCE:
            yield "the encoder", f"its KL divergence is {divergence:.2g} nats, the latents say nothing of the image"
        if isinstance(self.model, GenerativeModel):
            diversity = _diversity(np.asarray(self.model.generate(SAMPLE, self.seed)["images"]))
            if diversity < MIN_DIVERSITY * self.diversity:
                yield (
                    "the generator",
                    f"its images are nearly one picture: pixels vary by {diversity:.2g} gray levels from image to "
                    f"image, those of real ones by {self.diversity:.2g}",
                )

    def _say(self, line):
        # Keras' bar leaves the cursor behind itself.
        start = "\n" if self.params and self.params.get("verbose") in (1, "auto") else ""
        print(f"{start}{line}", flush=True)


def _diversity(images: np.ndarray) -> float:
    """Standard deviation of a pixel over the images, averaged over pixels, in gray levels."""
    return float(np.std(images, axis=0, dtype=np.float64).mean())


class StopOnDivergence(keras.callbacks.Callback):
    """End `fit` with an error in the step after which a tracked quantity is NaN or infinite.

    `keras.callbacks.TerminateOnNaN` looks at one name, `loss`, which adversarial models do not have, and lets the
    callbacks of the epoch's end save what is left.

    Args:
        initial_step: train steps that the first epoch already had.

    Raises:
        TrainingDiverged: from `fit`, naming the quantities, the step and the epoch.
    """

    def __init__(self, initial_step: int = 0):
        super().__init__()
        self._offset = initial_step
        self._epoch, self._seen, self._before = 0, 0, 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Count steps from here."""
        self._epoch = epoch + 1
        self._seen = self._before = self._offset
        self._offset = 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Look at the averages, which stay NaN or infinite once a step's value was."""
        first, self._seen = self._seen + 1, self._before + batch + 1
        wrong = [f"{name} is {float(value)}" for name, value in (logs or {}).items() if not math.isfinite(value)]
        if wrong:
            where = f"step {first:,}" if first == self._seen else f"one of steps {first:,} to {self._seen:,}"
            what = ", ".join(wrong)
            raise TrainingDiverged(f"training diverged: {what} after {where} of epoch {self._epoch}")
