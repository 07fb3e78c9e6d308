"""Record what a run's results depend on besides its settings: versions, machine, precision and keras_gen's source."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path

import keras_gen
import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import tensorflow as tf

from keras_gen.zoo import Recipe, loaded_files

_PACKAGES = ("tensorflow", "keras", "numpy", "scikit-image", "scikit-learn", "pillow")


def versions() -> dict[str, str]:
    """Return the versions of the packages that affect a run's numerical results."""
    return {
        "keras_gen": keras_gen.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def machine(strategy: tf.distribute.Strategy | None = None) -> dict[str, object]:
    """Return the machine and its configuration: another processor, thread count or precision changes the last bits.

    Args:
        strategy: the `tf.distribute.Strategy` that the run trains under; default: TensorFlow's default, one device.
    """
    strategy = strategy or tf.distribute.get_strategy()
    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "gpus": names,
        "replicas": strategy.num_replicas_in_sync,
        # 0 means one thread per core.
        "threads_in_an_operation": tf.config.threading.get_intra_op_parallelism_threads(),
        "operations_at_once": tf.config.threading.get_inter_op_parallelism_threads(),
        "precision": keras.config.dtype_policy().name,
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
    }


def sources() -> dict[str, str]:
    """Return a SHA-256, cut to 16 hexadecimal digits, of each module of the package, by its path in the package."""
    package = Path(keras_gen.__file__).parent
    return {file.relative_to(package).as_posix(): _digest(file) for file in sorted(package.rglob("*.py"))}


def changed_sources(then: object) -> list[str]:
    """Return the paths of modules that were changed, added or removed since a run recorded its `sources`.

    Args:
        then: the recorded `sources`; anything but a dictionary yields an empty list.
    """
    if not isinstance(then, dict):
        return []
    now = sources()
    return sorted(name for name in {*then, *now} if then.get(name) != now.get(name))


def recipe_file(recipe: Recipe) -> dict[str, str] | None:
    """Return the path and the SHA-256 of the file that defines a recipe, or was loaded for its data set.

    None for a recipe of the package on data of the package.
    """
    file = recipe.file or next(reversed(loaded_files()), None)
    return file and {"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def changed_recipe_file(then: object, recipe: Recipe) -> list[str]:
    """Return a text if the file that defines a recipe is not the recorded `recipe_file`."""
    now = recipe_file(recipe) or {}
    is_same = not isinstance(then, dict) or then.get("sha256") == now.get("sha256")
    return [] if is_same else [f"the file of the recipe, {now.get('file', 'keras_gen')}"]


def changes(then: object, now: dict) -> list[str]:
    """Return the differences between a recorded dictionary and the current one, each as `name: old then, new now`.

    Entries that were not recorded are left out: their old values are unknown.
    """
    then = then if isinstance(then, dict) else {}
    both = [name for name in now if name in then and then[name] != now[name]]
    return [f"{name}: {_shown(then[name])} then, {_shown(now[name])} now" for name in both]


def _shown(value) -> str:
    return str(value) if value not in ([], "") else "none"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def _processor() -> str:
    """Return the processor's name as the system reports it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
