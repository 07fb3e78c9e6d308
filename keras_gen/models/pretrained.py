"""Trained models: the functions of a SavedModel on NumPy arrays, with checked arguments."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

import keras_gen.utils.backend  # noqa: F401  (first: selects the TensorFlow backend of Keras)
import numpy as np
import tensorflow as tf

from keras_gen.metrics import arrays
from keras_gen.models import export, inputs
from keras_gen.utils import trained_models
from keras_gen.utils.errors import UsageError, must_be

FUNCTIONS = ("generate", "decode", "encode", "reconstruct")


class PretrainedModel:
    """NumPy interface to a SavedModel, which the constructor loads.

    A SavedModel is a program: load only ones you trust. Images are uint8 arrays `(n, height, width, channels)`; labels
    are classes of a conditional model, n or one for all. A method raises `UsageError` for an argument of another type,
    shape or range, and if the model lacks the function.

    Attributes:
        name: str, name of the recipe, or of the folder if the SavedModel has no description.
        path: path of the SavedModel's folder.
        description: dict, content of `description.json`: recipe, arguments, data, epochs; empty if there is none.
        functions: tuple of str, those of `generate`, `decode`, `encode` and `reconstruct` that the model has.
        latent_shape: tuple, shape of a latent or of an autoencoder's code; None without `decode` and `encode`.
        num_classes: int, number of classes of a conditional model, else 0.
        class_names: list of str, their names; empty if they are unknown.

    Args:
        path: str or path of a SavedModel folder or of a finished run directory, or name of a trained model, as in
            `keras_gen.zoo.load`.

    Raises:
        UsageError: if there is no SavedModel, it is damaged, it has no function besides `encode`, or it is conditional
            and its description, which contains the number of classes, is missing.

    Example:
        >>> digits = PretrainedModel("vae-mlp")
        >>> digits.functions, digits.image_shape, digits.latent_shape
        (('generate', 'decode', 'encode', 'reconstruct'), (28, 28, 1), (16,))
        >>> digits.generate(4, seed=0)["images"].shape
        (4, 28, 28, 1)
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = export.find(path)
        self._loaded = export.load(self.path, function=None)
        self.functions = tuple(name for name in FUNCTIONS if name in self._loaded.signatures)
        if not set(self.functions) - {"encode"}:
            has = ", ".join(self._loaded.signatures) or "none"
            raise must_be("path", "a SavedModel with generate, decode or reconstruct", f"{path} (its functions: {has})")
        self.description = export.description(self.path)
        self.name = str(self.description.get("recipe") or self.path.name)
        self.num_classes = self.description.get("num_classes", 0)
        names = trained_models.class_names(self.description)
        self.class_names = names if len(names) == self.num_classes else []
        if not self.num_classes and self._is_conditional():
            raise must_be("path", f"a SavedModel with the num_classes in its {export.DESCRIPTION_FILE}", str(path))
        self.latent_shape = self._find_latent_shape()

    @functools.cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        if "reconstruct" in self.functions:
            return tuple(self._inputs("reconstruct")["images"].shape[1:])
        if "generate" in self.functions:
            return self.generate(1)["images"].shape[1:]
        return self.decode(np.zeros((1, *self.latent_shape)), 0 if self.num_classes else None).shape[1:]

    @property
    def has_prior(self) -> bool:
        """Whether standard normal latents can be decoded; False for an autoencoder's codes, and with a sampler."""
        return self.has_latent_vector and not self.has_codes and "sampler" not in self.description

    @property
    def has_codes(self) -> bool:
        """Whether the latents are codes of an autoencoder, which no prior describes."""
        return "encode" in self.functions and "codes" in self._outputs("encode")

    @property
    def has_latent_vector(self) -> bool:
        """Whether latents are vectors and can be decoded."""
        return "decode" in self.functions and len(self.latent_shape) == 1

    @property
    def moving_average(self) -> float | None:
        """Decay of the moving average from which a GAN's generator was exported, or None."""
        arguments = self.description.get("arguments")
        return (arguments.get("moving_average") or None) if isinstance(arguments, dict) else None

    def endpoints(self) -> tuple[str, ...]:
        """Return the names of the functions, as for a model that can be trained."""
        return self.functions

    def generate(
        self, n: int, seed: int = 0, labels: Sequence[int] | int | None = None, *, truncation: float | None = None
    ) -> dict[str, np.ndarray]:
        """Generate n images; see `keras_gen.models.GenerativeModel.generate`, whose result this equals.

        Returns:
            A dictionary of `images`, `images_float` in [0, 1] and, for a conditional model, `labels`.
        """
        self._need("generate")
        generated = export.generate_with(self._loaded, self.description, n, seed, labels, truncation)
        return {name: value.numpy() for name, value in generated.items()}

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
        return self._reconstruct(images, labels)["images"].numpy()

    def reconstruct_float(self, images: np.ndarray, labels: Sequence[int] | int | None = None) -> np.ndarray:
        """Return reconstructions as float32 in [0, 1], which are not rounded to uint8."""
        return self._reconstruct(images, labels)["images_float"].numpy()

    def _reconstruct(self, images: object, labels: object) -> dict[str, tf.Tensor]:
        self._need("reconstruct")
        return self._call("reconstruct", tf.constant(self._check_images(images)), labels)

    def _need(self, function: str) -> None:
        if function not in self.functions:
            raise UsageError(f"{self.path} has no function {function} (its functions: {', '.join(self.functions)})")

    def _call(self, function: str, values: tf.Tensor, labels: object) -> dict[str, tf.Tensor]:
        if labels is None and not self.num_classes:
            return getattr(self._loaded, function)(values)
        labels = inputs.labels_to_generate(labels, len(values), self.num_classes)
        return getattr(self._loaded, function)(values, tf.constant(labels))

    def _check_images(self, images: object) -> np.ndarray:
        dtype = getattr(images, "dtype", np.uint8)
        if dtype != np.uint8:
            raise must_be("images", "uint8", getattr(dtype, "name", dtype))
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
