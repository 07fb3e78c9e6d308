"""Find trained models by name: those that come with keras_gen, and those in the folder `$KERAS_GEN_MODELS`."""

from __future__ import annotations

import os
from pathlib import Path

from keras_gen.utils.errors import UsageError

VARIABLE = "KERAS_GEN_MODELS"
SAVED_MODEL_FILE = "saved_model.pb"


def folders() -> list[Path]:
    """Return the folders with a SavedModel for each name: `$KERAS_GEN_MODELS` first, then that of keras_gen.

    Raises:
        UsageError: `$KERAS_GEN_MODELS` is set, but is no folder.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen and not os.path.isdir(chosen):
        raise UsageError(f"${VARIABLE} must be a folder of SavedModels, received: {chosen!r}")
    package = Path(__file__).parents[1]
    # Inside the package if it was installed from a wheel, beside it in a checkout.
    own = [path for path in (package / "saved_models", package.parent / "saved_models") if path.is_dir()]
    return [Path(chosen), *own[:1]] if chosen else own[:1]


def find(name: str) -> Path | None:
    """Return the folder of the SavedModel of that name, or None if there is none."""
    if not name or Path(name).name != name:
        return None
    return next((path / name for path in folders() if (path / name / SAVED_MODEL_FILE).is_file()), None)


def names() -> list[str]:
    """Return the names of all trained models, sorted.

    Example:
        >>> names()
        ['vae-mlp']
    """
    return sorted({file.parent.name for path in folders() for file in path.glob(f"*/{SAVED_MODEL_FILE}")})
