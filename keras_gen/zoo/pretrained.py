"""Trained models that come with keras_gen, by name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keras_gen.utils import safe_files, trained_models
from keras_gen.utils.errors import UsageError

if TYPE_CHECKING:
    from keras_gen.models.pretrained import PretrainedModel


@dataclass(frozen=True)
class ModelInfo:
    """A trained model that `load` finds by its name.

    Args:
        name: str, such as `"vae-mlp"`.
        path: path of the folder, a SavedModel.
        size: int, bytes of the folder.
        scores: dict, values of the scores in its `evaluation.json` by name; empty if it was not evaluated.
    """

    name: str
    path: Path
    size: int
    scores: dict[str, float]


def pretrained() -> list[ModelInfo]:
    """Return all trained models, sorted by name: those that come with keras_gen, and those in `$KERAS_GEN_MODELS`.

    Raises:
        UsageError: `$KERAS_GEN_MODELS` is no folder, or an `evaluation.json` is damaged.

    Example:
        >>> [(model.name, model.size) for model in keras_gen.zoo.pretrained()]  # doctest: +SKIP
        [('vae-mlp', 600123)]
    """
    return [_described(name, trained_models.find(name)) for name in trained_models.names()]


def _described(name: str, path: Path) -> ModelInfo:
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    file = path / trained_models.EVALUATION_FILE
    if not file.is_file():
        return ModelInfo(name, path, size, {})
    content = safe_files.read_json(file)
    try:
        scores = {score["name"]: float(score["value"]) for score in content["scores"]}
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{file} is damaged: {error!r}") from error
    return ModelInfo(name, path, size, scores)


def load(name: str | os.PathLike) -> PretrainedModel:
    """Load a trained model: images, latents and codes in and out, as NumPy arrays, without anything to train it.

    A SavedModel is a program: load only ones you trust.

    Args:
        name: str or path, the name of a trained model (see `pretrained`), the folder of a SavedModel, or an address on
            the Hugging Face hub, such as `"hf://user/vae-mlp"`, which is downloaded. For a run directory, with its data
            and a model that can be trained further, see `keras_gen.runs.load`.

    Returns:
        A `keras_gen.models.PretrainedModel`.

    Raises:
        UsageError: there is no such model, or it is damaged.

    Example:
        >>> images = keras_gen.zoo.load("vae-mlp").generate(16, seed=0)["images"]
        >>> images.shape, images.dtype
        ((16, 28, 28, 1), dtype('uint8'))
    """
    trained_models.find_saved_model(name)  # a wrong name is rejected before TensorFlow is imported

    from keras_gen.models.pretrained import PretrainedModel

    return PretrainedModel(name)
