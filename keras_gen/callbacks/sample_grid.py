"""Pictures of what the model generates, from the same latents each time."""

from __future__ import annotations

import os
from pathlib import Path

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import numpy as np

from keras_gen import checks, images


class SampleGrid(keras.callbacks.Callback):
    """Save `epoch-00001.png`, … : a grid of generated images after every `every`-th epoch and after the last.

    Args:
        folder: where; made if missing.
        every: epochs between two grids.
        count: images in a grid.
        seed: of the latents, the same for every grid.
    """

    def __init__(self, folder: str | os.PathLike, every: int = 1, count: int = 100, seed: int = 0):
        super().__init__()
        self.folder = Path(folder)
        self.every = checks.positive_int("every", every)
        self.count = checks.positive_int("count", count)
        self.seed = checks.seed("seed", seed)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Save a grid, if it is time for it."""
        done = epoch + 1
        if done % self.every and done != self.params["epochs"]:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        generated = np.asarray(self.model.generate(self.count, self.seed)["images"])
        images.save_png(self.folder / f"epoch-{done:05d}.png", images.grid(generated))
