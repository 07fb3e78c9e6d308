"""Pictures of what the model makes, of the same latents or images each time."""

from __future__ import annotations

import os
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import numpy as np

from keras_gen.utils import checks, image_utils

COLUMNS = 10


class Grid(keras.callbacks.Callback):
    """Save `epoch-00001.png`, … after every `every`-th epoch and after the last. Subclasses write `picture`.

    Args:
        folder: where; made if missing.
        every: epochs between two grids.
        count: images in a grid.
        seed: of what is random in a grid, the same for every one.
    """

    def __init__(self, folder: str | os.PathLike, every: int = 1, count: int = 100, seed: int = 0):
        super().__init__()
        self.folder = Path(folder)
        self.every = checks.positive_int("every", every)
        self.count = checks.positive_int("count", count)
        self.seed = checks.seed("seed", seed)

    def picture(self) -> np.ndarray:
        """The picture for the model as it is now, as `images.grid` returns it."""
        raise NotImplementedError

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Save a grid, if it is time for it."""
        done = epoch + 1
        if done % self.every and done != self.params["epochs"]:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        image_utils.save_png(self.folder / f"epoch-{done:05d}.png", self.picture())


class SampleGrid(Grid):
    """Generated images, always from the same latents; of a conditional model class after class, in turn.

    Args:
        folder, every, count, seed: as in `Grid`; the seed is the latents'.

    Example:
        >>> history = model.fit(images, epochs=2, callbacks=[SampleGrid("grids", count=25)], verbose=0)
        >>> sorted(path.name for path in Path("grids").iterdir())
        ['epoch-00001.png', 'epoch-00002.png']
    """

    def picture(self) -> np.ndarray:
        """The grid; with classes it has a column for each, if they are ten or fewer."""
        classes = self.model.num_classes
        if not classes:
            return image_utils.grid(np.asarray(self.model.generate(self.count, self.seed)["images"]))
        labels = np.arange(self.count) % classes
        generated = self.model.generate(self.count, self.seed, labels)["images"]
        return image_utils.grid(np.asarray(generated), columns=min(classes, COLUMNS, self.count))


class ReconstructionGrid(Grid):
    """Images above their reconstructions, ten in a row; of a denoiser, the corrupted images between them.

    Args:
        folder: as in `Grid`.
        originals: uint8 images; the first of them are shown.
        labels: theirs, for a conditional model.
        every: as in `Grid`.
        count: images in a grid, originals, corrupted ones and reconstructions together.
        seed: of the corruption.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        originals: np.ndarray,
        labels: np.ndarray | None = None,
        every: int = 1,
        count: int = 100,
        seed: int = 0,
    ):
        super().__init__(folder, every, count, seed)
        self.originals, self.labels = originals, labels

    def picture(self) -> np.ndarray:
        """The grid."""
        denoises = getattr(self.model, "corruption", "none") != "none"
        shown = min(max(self.count // (3 if denoises else 2), 1), len(self.originals))
        if shown > COLUMNS:
            shown -= shown % COLUMNS  # whole rows, so that all stand below one another
        originals = self.originals[:shown]
        labels = None if self.labels is None else self.labels[:shown]
        rows = [originals]
        seen = originals
        if denoises:
            seen = self.model.corrupted(originals, self.seed)
            rows.append(self._to_uint8(seen))
        rows.append(self._to_uint8(self.model.reconstruct(seen, labels)))
        groups = range(0, shown, COLUMNS)
        ordered = np.concatenate([row[start : start + COLUMNS] for start in groups for row in rows])
        return image_utils.grid(ordered, columns=min(COLUMNS, shown))

    def _to_uint8(self, values) -> np.ndarray:
        return np.rint(np.asarray(self.model.to_unit_range(values)) * 255).astype(np.uint8)
