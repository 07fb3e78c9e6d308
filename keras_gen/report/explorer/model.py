"""A trained model as the explorer's page uses it: with latents of seeds and interpolation."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.models import sampling
from keras_gen.models.pretrained import PretrainedModel
from keras_gen.report.figures import interpolation
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError

_ENCODED = 256
"""Generated images that are encoded to find the most active dimensions."""


class Explorer(PretrainedModel):
    """A `PretrainedModel` that calls each function once in the constructor, since the first call is slow.

    Attributes:
        interpolations: dict, functions of the kinds of `interpolate` by name.

    Args:
        path: as in `PretrainedModel`.

    Raises:
        UsageError: as in `PretrainedModel`.

    Example:
        >>> from keras_gen.models import export
        >>> explorer = Explorer(export.save(model, "mine", description={"recipe": "vae-mlp"}))
        >>> explorer.name, explorer.image_shape, explorer.latent_shape
        ('vae-mlp', (28, 28, 1), (2,))
        >>> explorer.interpolate(explorer.latent(seed=1), explorer.latent(seed=2), steps=8).shape
        (8, 28, 28, 1)
    """

    def __init__(self, path: str | os.PathLike) -> None:
        super().__init__(path)
        label = 0 if self.num_classes else None
        if "generate" in self.functions:
            self.sample(1)
        self.interpolations = interpolation.kinds(math.prod(self.latent_shape or ()))
        if "decode" in self.functions:
            self.decode(np.zeros((1, *self.latent_shape)), label)
        for function in (self.encode, self.reconstruct):
            if function.__name__ in self.functions:
                function(np.zeros((1, *self.image_shape), np.uint8), label)

    def sample(self, n: int, seed: int = 0, labels: Sequence[int] | int | None = None) -> np.ndarray:
        """Generate `n` images, reproducibly for a seed from 0 to 2**31 - 1; labels are drawn at random by default."""
        return self.generate(n, seed, labels)["images"]

    def latent(self, seed: int) -> np.ndarray:
        """Return the first latent that `sample` decodes for a seed, float32 `(latent_dim,)`."""
        if not self.has_prior:
            raise UsageError(f"latents of {self.path} can't be sampled: the model has no prior")
        return sampling.latents(1, self.latent_shape[0], checks.seed("seed", seed))[0].numpy()

    def active_dimensions(self, most: int) -> list[int]:
        """Return all latent dimensions in order or, of more than `most`, those in which codes of images vary most.

        The codes are those of generated images. Of a model without an encoder, or with classes, on which codes depend,
        it returns the first dimensions.

        Args:
            most: int, maximum number of dimensions.
        """
        (size,) = self.latent_shape
        if size <= most or self.num_classes or not {"generate", "encode"} <= set(self.functions):
            return list(range(min(size, most)))
        codes = self.encode(self.sample(_ENCODED))
        return list(interpolation.largest_variances(codes, most))

    def interpolate(
        self, start: np.ndarray, end: np.ndarray, steps: int = 10, kind: str = "spherical", label: int | None = None
    ) -> np.ndarray:
        """Decode interpolated latents.

        Args:
            start, end: latents of shape `latent_shape`, such as `latent` or `encode` returns.
            steps: int of at least 2, number of images including both ends; default 10.
            kind: `spherical`, along a great circle, or `linear`; see `keras_gen.report.figures.interpolation`.
            label: int, class of all images of a conditional model.
        """
        self._need("decode")
        checks.one_of("kind", kind, self.interpolations)
        interpolate, shape = self.interpolations[kind], self.latent_shape
        first, last = [
            arrays.finite(name, value, f"of shape {shape}", lambda received: received == shape).ravel()
            for name, value in (("start", start), ("end", end))
        ]
        return self.decode(interpolate(first, last, steps).reshape(-1, *self.latent_shape), label)
