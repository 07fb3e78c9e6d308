"""Find SavedModels: in folders, in run directories, and by name.

Names are those of the models that come with keras_gen and of the folders in `$KERAS_GEN_MODELS`.
"""

from __future__ import annotations

import os
from pathlib import Path

from keras_gen.utils import hub, safe_files
from keras_gen.utils.command_lines import command
from keras_gen.utils.errors import UsageError, must_be, suggestion

VARIABLE = "KERAS_GEN_MODELS"
FOLDER = "saved_models"
SAVED_MODEL_FILE = "saved_model.pb"
DESCRIPTION_FILE, EVALUATION_FILE, RECORD_FILE = "description.json", "evaluation.json", "record.json"
RUN_FOLDER, RUN_RECORD = "saved_model", "recipe.json"  # of a run directory; keras_gen.runs must not be imported here


def folders() -> list[Path]:
    """Return the folders with a SavedModel for each name: `$KERAS_GEN_MODELS` first, then that of keras_gen.

    Raises:
        UsageError: `$KERAS_GEN_MODELS` is set, but is no folder.
    """
    chosen = os.path.expanduser(os.environ.get(VARIABLE, ""))
    if chosen and not os.path.isdir(chosen):
        raise UsageError(f"${VARIABLE} must be a folder of SavedModels, received: {chosen!r}")
    package = Path(__file__).parents[1]
    # Inside the package if it was installed from a wheel, beside it in a checkout.
    own = [path for path in (package / FOLDER, package.parent / FOLDER) if path.is_dir()]
    return [Path(chosen), *own[:1]] if chosen else own[:1]


def find(name: str, file: str = SAVED_MODEL_FILE) -> Path | None:
    """Return the folder of that name that has a SavedModel, or another file; None if there is none."""
    if not name or Path(name).name != name:
        return None
    return next((path / name for path in folders() if (path / name / file).is_file()), None)


def names() -> list[str]:
    """Return the names of all trained models, sorted.

    Example:
        >>> "vae-mlp" in names()
        True
    """
    found = (file for path in folders() for file in path.glob(f"[!.]*/{SAVED_MODEL_FILE}"))
    return sorted({file.parent.name for file in found if file.is_file()})


def published() -> list[Path]:
    """Return the folders of the trained models that have a record, sorted by name."""
    return [path for name in names() if ((path := find(name)) / RECORD_FILE).is_file()]


def find_saved_model(path: str | os.PathLike) -> Path:
    """Return the folder of the SavedModel at `path` or in the run directory `path`; one on the hub is downloaded.

    Raises:
        UsageError: `path` is neither, or the run is not finished, or the download fails.
    """
    if not isinstance(path, str | os.PathLike):
        raise must_be("path", "a name or a path", path)
    path = hub.download(path) if hub.is_address(path) else Path(path)
    if (path / SAVED_MODEL_FILE).is_file():
        return path
    safe_files.check_entries(path, [RUN_FOLDER, f"{RUN_FOLDER}/**/*"])
    if (path / RUN_FOLDER / SAVED_MODEL_FILE).is_file():
        return path / RUN_FOLDER
    if (trained := find(os.fspath(path))) is not None:
        return trained
    if (path / RECORD_FILE).is_file() or find(os.fspath(path), RECORD_FILE) is not None:
        raise UsageError(f"{path} was published without its weights: train it with {command('reproduce', path)}")
    if (path / RUN_RECORD).is_file():
        raise UsageError(f"run {path} is not finished and has no SavedModel yet: resume it")
    known = ", ".join(names()) or "none"
    message = str(must_be("path", f"a SavedModel, a finished run directory or a trained model ({known})", str(path)))
    if not path.exists() and path.name == os.fspath(path) and (places := folders()):
        message += f" (the weights of a model of that name belong in {places[0] / path.name})"
    raise UsageError(message + suggestion(path, names()))


def find_published(path: str | os.PathLike) -> Path:
    """Return the folder of a published model, as `find_saved_model`; it may have a record but no SavedModel.

    Raises:
        UsageError: as `find_saved_model`.
    """
    if isinstance(path, str | os.PathLike) and not hub.is_address(path):
        found = Path(path) if (Path(path) / RECORD_FILE).is_file() else find(os.fspath(path), RECORD_FILE)
        if found is not None:
            return found
    return find_saved_model(path)


def class_names(description: dict) -> list[str]:
    """Return the names of the classes in the description of a SavedModel, from class 0 on; empty if it has none.

    Example:
        >>> class_names({"num_classes": 2, "data": {"class_names": ["cat", "dog"]}})
        ['cat', 'dog']
    """
    data = description.get("data")
    names = data.get("class_names") if isinstance(data, dict) else None
    return list(map(str, names)) if isinstance(names, list) else []
