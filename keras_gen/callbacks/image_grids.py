"""Save grids of generated and reconstructed images, from the same latents or images each time."""

from __future__ import annotations

import os
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np

from keras_gen.metrics.extractors import as_images
from keras_gen.utils import checks, files, image_utils
from keras_gen.utils.errors import must_be

COLUMNS = 10


class Grid(keras.callbacks.Callback):
    """Base class of callbacks that save an image grid. Subclasses implement `picture`.

    The files are `epoch-00001.png`, …, after every `every` epochs and after the last epoch of `fit(epochs=…)`.

    Args:
        folder: str or path. Folder of the files; made if missing.
        every: int. Epochs between two grids. Defaults to 1.
        count: int. Number of images in a grid. Defaults to 100.
        seed: int. Seed of all random draws, the same for every grid. Defaults to 0.
    """

    def __init__(self, folder: str | os.PathLike, every: int = 1, count: int = 100, seed: int = 0):
        super().__init__()
        self.folder = Path(folder)
        self.every = checks.positive_int("every", every)
        self.count = checks.positive_int("count", count)
        self.seed = checks.seed("seed", seed)

    def picture(self) -> np.ndarray:
        """Return the grid of the current model, as `image_utils.grid` does."""
        raise NotImplementedError

    def check(self) -> None:
        """Check that the model can make the images, or raise `UsageError`; by default, do nothing."""

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Check the model before the first epoch rather than after it."""
        self.check()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Save a grid, if one is due."""
        done = epoch + 1
        if done % self.every and done != self.params["epochs"]:
            return
        files.make_folder(self.folder)
        image_utils.save_png(self.folder / f"epoch-{done:05d}.png", self.picture())


class SampleGrid(Grid):
    """Save grids of generated images, always from the same latents; a conditional model cycles through the classes.

    Args:
        folder, every, count, seed: As in `Grid`; the seed is that of the latents.

    Example:
        >>> history = model.fit(images, epochs=2, callbacks=[SampleGrid("grids", count=25)], verbose=0)
        >>> sorted(path.name for path in Path("grids").iterdir())
        ['epoch-00001.png', 'epoch-00002.png']
    """

    def check(self) -> None:
        """Check that the model can generate images."""
        if not getattr(self.model, "can_generate", False):
            raise must_be(
                "model", "one that generates images (an Autoencoder needs fit_sampler)", type(self.model).__name__
            )

    def picture(self) -> np.ndarray:
        """Return the grid of generated images; with up to ten classes it has one column per class."""
        classes = self.model.num_classes
        if not classes:
            return image_utils.grid(np.asarray(self.model.generate(self.count, self.seed)["images"]))
        labels = np.arange(self.count) % classes
        generated = self.model.generate(self.count, self.seed, labels)["images"]
        return image_utils.grid(np.asarray(generated), columns=min(classes, COLUMNS, self.count))


class ReconstructionGrid(Grid):
    """Save grids of images above their reconstructions, ten in a row; for a denoiser, corrupted images in between.

    Args:
        folder: str or path. As in `Grid`.
        originals: uint8 array of images; the first of them are shown.
        labels: int array or None. Labels of the originals, for a conditional model. Defaults to None.
        every: int. As in `Grid`.
        count: int. Number of originals, corrupted images and reconstructions together. Defaults to 100.
        seed: int. Seed of the corruption. Defaults to 0.
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
        self.originals, self.labels = as_images("originals", originals), labels
        if labels is not None and len(labels) != len(self.originals):
            raise must_be("labels", f"those of all {len(self.originals)} originals", f"{len(labels)} labels")

    def check(self) -> None:
        """Check that the model can reconstruct the originals."""
        if not hasattr(self.model, "reconstruct"):
            raise must_be("model", "a VAE or an Autoencoder", type(self.model).__name__)
        self.model.reconstruct(self.originals[:1], None if self.labels is None else self.labels[:1])

    def picture(self) -> np.ndarray:
        """Return the grid of originals, corrupted images if any, and reconstructions."""
        denoises = getattr(self.model, "corruption", "none") != "none"
        shown = min(max(self.count // (3 if denoises else 2), 1), len(self.originals))
        if shown > COLUMNS:
            shown -= shown % COLUMNS  # whole rows, so that reconstructions stand below their originals
        originals = self.originals[:shown]
        labels = None if self.labels is None else self.labels[:shown]
        rows = [originals]
        inputs = originals
        if denoises:
            inputs = self.model.corrupted(originals, self.seed)
            rows.append(image_utils.to_uint8(self.model.to_unit_range(inputs)))
        rows.append(image_utils.to_uint8(self.model.to_unit_range(self.model.reconstruct(inputs, labels))))
        groups = range(0, shown, COLUMNS)
        ordered = np.concatenate([row[start : start + COLUMNS] for start in groups for row in rows])
        return image_utils.grid(ordered, columns=min(COLUMNS, shown))
