"""Call the functions of a SavedModel on NumPy arrays, with checked arguments."""

from __future__ import annotations

import os
from collections.abc import Sequence

import keras_gen.utils.backend  # noqa: F401  (first: selects the TensorFlow backend of Keras)
import numpy as np
import tensorflow as tf

from keras_gen.metrics import arrays
from keras_gen.models import export, inputs, sampling
from keras_gen.report.figures import interpolation
from keras_gen.utils import checks, trained_models
from keras_gen.utils.errors import UsageError, must_be

FUNCTIONS = ("generate", "decode", "encode", "reconstruct")
INTERPOLATIONS = {"spherical": interpolation.spherical_interpolation, "linear": interpolation.linear_interpolation}


class Explorer:
    """NumPy interface to a SavedModel, which is loaded, and each function called once, in the constructor.

    A SavedModel is a program: load only ones you trust. Images are uint8 arrays `(n, height, width, channels)`; labels
    are classes of a conditional model, n or one for all. A method raises `UsageError` for an argument of another type,
    shape or range, and if the model lacks the function.

    Attributes:
        name: str, name of the recipe, or of the folder if the SavedModel has no description.
        path: path as given.
        functions: tuple of str, those of `generate`, `decode`, `encode` and `reconstruct` that the model has.
        image_shape: tuple `(height, width, channels)`.
        latent_shape: tuple, shape of a latent or of an autoencoder's code; None without `decode` and `encode`.
        num_classes: int, number of classes of a conditional model, else 0.
        class_names: list of str, their names; empty if they are unknown.
        interpolations: tuple of str, kinds of `interpolate`.

    Args:
        path: path of a SavedModel folder or of a finished run directory.

    Raises:
        UsageError: if there is no SavedModel, it is damaged, it has no function besides `encode`, or it is conditional
            and its description, which contains the number of classes, is missing.

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
        self._has_sampler = "sampler" in description
        names = trained_models.class_names(description)
        self.class_names = names if len(names) == self.num_classes else []
        if not self.num_classes and self._is_conditional():
            raise must_be("path", f"a SavedModel with the num_classes in its {export.DESCRIPTION_FILE}", str(path))
        self.latent_shape = self._find_latent_shape()
        self.image_shape = self._warm_up()

    @property
    def has_prior(self) -> bool:
        """Whether standard normal latents can be decoded; False for an autoencoder's codes, and with a sampler."""
        is_autoencoder = "encode" in self.functions and "codes" in self._outputs("encode")
        return self.has_latent_vector and not is_autoencoder and not self._has_sampler

    @property
    def has_latent_vector(self) -> bool:
        """Whether latents are vectors and can be decoded."""
        return "decode" in self.functions and len(self.latent_shape) == 1

    def sample(self, n: int, seed: int = 0, labels: Sequence[int] | int | None = None) -> np.ndarray:
        """Generate `n` images, reproducibly for a seed from 0 to 2**31 - 1; labels are drawn at random by default."""
        self._need("generate")
        n, seed = checks.count("n", n), checks.seed("seed", seed)
        options = {"n": tf.constant(n), "seed": tf.constant(seed)}
        if labels is not None:
            options["labels"] = tf.constant(inputs.labels_to_generate(labels, n, self.num_classes))
        return self._loaded.generate(**options)["images"].numpy()

    def latent(self, seed: int) -> np.ndarray:
        """Return the first latent that `sample` decodes for a seed, float32 `(latent_dim,)`."""
        if not self.has_prior:
            raise UsageError(f"latents of {self.path} can't be sampled: the model has no prior")
        return sampling.latents(1, self.latent_shape[0], checks.seed("seed", seed))[0].numpy()

    def decode(self, latents: np.ndarray, labels: Sequence[int] | int | None = None) -> np.ndarray:
        """Decode latents, finite numbers `(n, *latent_shape)`, to images."""
        self._need("decode")
        requirement = f"of shape (n, {', '.join(map(str, self.latent_shape))}), n at least 1"
        latents = arrays.finite("latents", latents, requirement, self._are_latents)
        return self._call("decode", tf.constant(latents, tf.float32), labels)["images"].numpy()

    def encode(self, images: np.ndarray, labels: Sequence[int] | int | None = None) -> np.ndarray:
        """Encode images to a VAE's posterior means or an autoencoder's codes, float32 `(n, *latent_shape)`."""
        self._need("encode")
        outputs = self._call("encode", tf.constant(self._check_images(images)), labels)
        return outputs["codes" if "codes" in outputs else "mean"].numpy()

    def reconstruct(self, images: np.ndarray, labels: Sequence[int] | int | None = None) -> np.ndarray:
        """Encode and decode images; a denoiser removes noise."""
        self._need("reconstruct")
        return self._call("reconstruct", tf.constant(self._check_images(images)), labels)["images"].numpy()

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
        interpolate, shape = INTERPOLATIONS[checks.one_of("kind", kind, INTERPOLATIONS)], self.latent_shape
        ends = [
            arrays.finite(name, value, f"of shape {shape}", lambda received: received == shape).ravel()
            for name, value in (("start", start), ("end", end))
        ]
        return self.decode(interpolate(*ends, steps).reshape(-1, *self.latent_shape), label)

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
        labels = inputs.check_labels("labels", labels, count, self.num_classes)
        return getattr(self._loaded, function)(values, tf.constant(labels))

    def _check_images(self, images: object) -> np.ndarray:
        if isinstance(images, np.ndarray) and images.dtype != np.uint8:
            raise must_be("images", "uint8", images.dtype.name)
        return inputs.check_images("images", images, self.image_shape, (0, 1))

    def _are_latents(self, shape: tuple[int, ...]) -> bool:
        return len(shape) > 0 and shape[0] > 0 and shape[1:] == self.latent_shape

    def _inputs(self, function: str) -> dict[str, tf.TensorSpec]:
        return self._loaded.signatures[function].structured_input_signature[1]

    def _outputs(self, function: str) -> dict[str, tf.TensorSpec]:
        return self._loaded.signatures[function].structured_outputs

    def _is_conditional(self) -> bool:
        # The signature of `generate` has no labels even if the function takes them.
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
        """Call every function once, since the first call is slow, and return the image shape."""
        label = 0 if self.num_classes else None
        if "reconstruct" in self.functions:
            self.image_shape = tuple(self._inputs("reconstruct")["images"].shape[1:])
        if "generate" in self.functions:
            self.image_shape = self.sample(1).shape[1:]
        if "decode" in self.functions:
            self.image_shape = self.decode(np.zeros((1, *self.latent_shape)), label).shape[1:]
        for function in (self.encode, self.reconstruct):
            if function.__name__ in self.functions:
                function(np.zeros((1, *self.image_shape), np.uint8), label)
        return self.image_shape
