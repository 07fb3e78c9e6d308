"""One SavedModel to be walked: its functions from arrays to arrays, with every argument checked."""

from __future__ import annotations

import os
from collections.abc import Sequence

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import numpy as np
import tensorflow as tf

from keras_gen.metrics import arrays
from keras_gen.models import export, inputs, sampling
from keras_gen.report.figures import interpolation
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be

FUNCTIONS = ("generate", "decode", "encode", "reconstruct")
INTERPOLATIONS = {"spherical": interpolation.spherical_interpolation, "linear": interpolation.linear_interpolation}


class Explorer:
    """What a SavedModel can do, on NumPy arrays; it is loaded, and each function called once, when this is built.

    A SavedModel is a program: load only ones you trust.

    Attributes:
        name: the recipe, or the folder's name where the SavedModel has no description.
        path: as it was given.
        functions: which of `generate`, `decode`, `encode` and `reconstruct` it has.
        image_shape: `(height, width, channels)`.
        latent_shape: of one latent or one autoencoder's code; None without `decode` and `encode`.
        num_classes: of a conditional model, else 0.
        interpolations: the kinds that `interpolate` knows.

    Args:
        path: of a SavedModel folder, or of a finished run directory.

    Raises:
        UsageError: there is none, it is damaged, it has none of the functions but perhaps `encode`, which shows
            nothing, or it is conditional and its description, which has the number of classes, is missing.

    Example:
        >>> from keras_gen.models import export
        >>> explorer = Explorer(export.save(model, "mine", description={"recipe": "vae-mlp"}))
        >>> explorer.name, explorer.image_shape, explorer.latent_shape
        ('vae-mlp', (28, 28, 1), (2,))
        >>> explorer.interpolate(explorer.latent(seed=1), explorer.latent(seed=2), steps=8).shape
        (8, 28, 28, 1)
    """

    interpolations = tuple(INTERPOLATIONS)

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = path
        self._loaded = export.load(path, function=None)
        self.functions = tuple(name for name in FUNCTIONS if name in self._loaded.signatures)
        if not set(self.functions) - {"encode"}:
            has = ", ".join(self._loaded.signatures) or "none"
            raise must_be("path", "a SavedModel with generate, decode or reconstruct", f"{path} (its functions: {has})")
        description = export.description(path)
        self.name = str(description.get("recipe") or export.find(path).name)
        self.num_classes = description.get("num_classes", 0)
        if not self.num_classes and self._is_conditional():
            raise must_be("path", f"a SavedModel with the num_classes in its {export.DESCRIPTION_FILE}", str(path))
        self.latent_shape = self._find_latent_shape()
        self.image_shape = self._warm_up()

    @property
    def has_prior(self) -> bool:
        """Whether standard normal latents make images: not of an autoencoder, whose codes follow no known law."""
        if "decode" not in self.functions or len(self.latent_shape) != 1:
            return False
        return "encode" not in self.functions or "codes" not in self._outputs("encode")

    @property
    def has_latent_vector(self) -> bool:
        """Whether a latent is a vector, which one can move along one dimension at a time, and can be decoded."""
        return "decode" in self.functions and len(self.latent_shape) == 1

    def sample(self, n: int, seed: int = 0, labels: Sequence[int] | int | None = None) -> np.ndarray:
        """Generated images, the same for the same seed: those of `generate`.

        Args:
            n: how many, at least 1.
            seed: from 0 to 2**31 - 1.
            labels: of a conditional model, n classes or one for all; if not given, they are drawn.

        Returns:
            uint8 `(n, height, width, channels)`.

        Raises:
            UsageError: an argument out of its range, or the model has no `generate`.
        """
        self._need("generate")
        n, seed = checks.count("n", n), checks.seed("seed", seed)
        if labels is None:
            return self._loaded.generate(n=tf.constant(n), seed=tf.constant(seed))["images"].numpy()
        labels = tf.constant(inputs.labels_to_generate(labels, n, self.num_classes))
        return self._loaded.generate(n=tf.constant(n), seed=tf.constant(seed), labels=labels)["images"].numpy()

    def latent(self, seed: int) -> np.ndarray:
        """The first latent that `sample` decodes for this seed, float32 `(latent_dim,)`.

        Raises:
            UsageError: a seed that is none, or a model without latents to draw.
        """
        if not self.has_prior:
            raise UsageError(f"latents of {self.path} can't be drawn: it has no decode of standard normal vectors")
        return sampling.latents(1, self.latent_shape[0], checks.seed("seed", seed))[0].numpy()

    def decode(self, latents: np.ndarray, labels: Sequence[int] | int | None = None) -> np.ndarray:
        """Images of latents.

        Args:
            latents: finite numbers `(n, *latent_shape)`.
            labels: of a conditional model, n classes or one for all.

        Returns:
            uint8 `(n, height, width, channels)`.

        Raises:
            UsageError: another shape, labels missing or out of range, or the model has no `decode`.
        """
        self._need("decode")
        expected = ", ".join(map(str, self.latent_shape))
        latents = arrays.finite(
            "latents", latents, f"of shape (n, {expected}), n at least 1", lambda shape: self._are_latents(shape)
        )
        return self._call("decode", tf.constant(latents, tf.float32), labels)["images"].numpy()

    def encode(self, images: np.ndarray, labels: Sequence[int] | int | None = None) -> np.ndarray:
        """A VAE's means, or an autoencoder's codes, of images.

        Args:
            images: uint8 `(n, height, width, channels)`.
            labels: of a conditional model, n classes or one for all.

        Returns:
            float32 `(n, *latent_shape)`.

        Raises:
            UsageError: other images, labels missing or out of range, or the model has no `encode`.
        """
        self._need("encode")
        outputs = self._call("encode", tf.constant(self._check_images(images)), labels)
        return outputs["codes" if "codes" in outputs else "mean"].numpy()

    def reconstruct(self, images: np.ndarray, labels: Sequence[int] | int | None = None) -> np.ndarray:
        """Images through encoder and decoder: what a VAE or an autoencoder keeps of them, a denoiser without noise.

        Args:
            images: uint8 `(n, height, width, channels)`.
            labels: of a conditional model, n classes or one for all.

        Returns:
            uint8 `(n, height, width, channels)`.

        Raises:
            UsageError: other images, labels missing or out of range, or the model has no `reconstruct`.
        """
        self._need("reconstruct")
        return self._call("reconstruct", tf.constant(self._check_images(images)), labels)["images"].numpy()

    def interpolate(
        self,
        start: np.ndarray,
        end: np.ndarray,
        steps: int = 10,
        kind: str = "spherical",
        label: int | None = None,
    ) -> np.ndarray:
        """Images on the way from one latent to another.

        Args:
            start, end: latents `latent_shape`, such as `latent` draws or `encode` finds.
            steps: images, both ends among them, at least 2.
            kind: `spherical`, along a great circle, or `linear`; see `report.latents`.
            label: of a conditional model, the class of all of them.

        Returns:
            uint8 `(steps, height, width, channels)`.

        Raises:
            UsageError: latents of another shape, fewer steps, another kind, or latents that `kind` can't connect.
        """
        self._need("decode")
        way = INTERPOLATIONS[checks.one_of("kind", kind, INTERPOLATIONS)]
        ends = [self._flat(name, value) for name, value in (("start", start), ("end", end))]
        return self.decode(way(*ends, steps).reshape(-1, *self.latent_shape), label)

    def _need(self, function: str) -> None:
        if function not in self.functions:
            raise UsageError(f"{self.path} has no function {function} (its functions: {', '.join(self.functions)})")

    def _call(self, function: str, values: tf.Tensor, labels: object) -> dict[str, tf.Tensor]:
        if not self.num_classes:
            if labels is not None:
                raise UsageError("labels must be left out: the model was built without classes (num_classes 0)")
            return getattr(self._loaded, function)(values)
        count = len(values)
        labels = np.repeat(labels, count) if np.ndim(labels) == 0 and labels is not None else labels
        return getattr(self._loaded, function)(values, tf.constant(self._check_labels(labels, count)))

    def _check_labels(self, labels: object, count: int) -> np.ndarray:
        return inputs.check_labels("labels", labels, count, self.num_classes)

    def _check_images(self, images: object) -> np.ndarray:
        if isinstance(images, np.ndarray) and images.dtype != np.uint8:
            raise must_be("images", "uint8", images.dtype.name)
        return inputs.check_images("images", images, self.image_shape, (0, 1))

    def _flat(self, argument: str, latent: object) -> np.ndarray:
        shape = self.latent_shape
        return arrays.finite(argument, latent, f"of shape {shape}", lambda received: received == shape).ravel()

    def _are_latents(self, shape: tuple[int, ...]) -> bool:
        return len(shape) > 0 and shape[0] > 0 and shape[1:] == self.latent_shape

    # What the signatures tell

    def _inputs(self, function: str) -> dict[str, tf.TensorSpec]:
        return self._loaded.signatures[function].structured_input_signature[1]

    def _outputs(self, function: str) -> dict[str, tf.TensorSpec]:
        return self._loaded.signatures[function].structured_outputs

    def _is_conditional(self) -> bool:
        # The signature of `generate` has no labels even where the function takes them.
        if any("labels" in self._inputs(name) for name in self.functions):
            return True
        return "generate" in self.functions and "labels" in self._outputs("generate")

    def _find_latent_shape(self) -> tuple[int, ...] | None:
        if "decode" in self.functions:
            return tuple(self._inputs("decode")["latents"].shape[1:])
        if "encode" in self.functions:
            outputs = self._outputs("encode")
            return tuple(outputs["codes" if "codes" in outputs else "mean"].shape[1:])
        return None

    def _warm_up(self) -> tuple[int, int, int]:
        """Call every function, since the first call is slow; the shape of an image, which `generate` only tells so."""
        label = 0 if self.num_classes else None
        image = None
        if "generate" in self.functions:
            image = self.sample(1)
        if "decode" in self.functions:
            image = self.decode(np.zeros((1, *self.latent_shape)), label)
        if image is not None:
            self.image_shape = image.shape[1:]
        else:
            self.image_shape = tuple(self._inputs("reconstruct")["images"].shape[1:])
        for function in (self.encode, self.reconstruct):
            if function.__name__ in self.functions:
                function(np.zeros((1, *self.image_shape), np.uint8), label)
        return self.image_shape
