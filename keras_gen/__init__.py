"""keras_gen: VAEs, GANs and Wasserstein GANs for Keras 3 and TensorFlow, each a recipe that trains.

Names are imported when they are first used: `import keras_gen` imports neither Keras nor TensorFlow. It registers the
classes of `.keras` files in Keras, when that is imported, so that `keras.models.load_model` finds them.
"""

import importlib.abc
import importlib.machinery
import sys

import lazy_loader

__version__ = "0.3.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "callbacks",
        "data",
        "distribution",
        "evaluation",
        "losses",
        "metrics",
        "models",
        "networks",
        "optimizers",
        "report",
        "runs",
        "training",
        "zoo",
    ],
    submod_attrs={
        "models": ["GAN", "VAE", "WGAN", "Autoencoder", "export"],
        "runs": ["settings"],
        "utils.errors": ["DataUnavailableError", "TrainingDiverged", "UsageError"],
    },
)

_SERIALIZABLE = {
    "models": ("GAN", "VAE", "WGAN", "Autoencoder"),
    "networks.layers": ("Dropout", "Conv2DTranspose", "NarrowConv2D"),
    "optimizers": ("Adam",),
}


class _Unloaded:
    """A class that `.keras` files contain, which is imported when one is loaded."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def from_config(self, config):
        return getattr(importlib.import_module(self.module), self.name).from_config(config)


def _register():
    custom_objects = sys.modules["keras"].saving.get_custom_objects()
    for module, names in _SERIALIZABLE.items():
        for name in names:
            custom_objects.setdefault(f"keras_gen>{name}", _Unloaded(f"{__name__}.{module}", name))


class _KerasFinder(importlib.abc.MetaPathFinder):
    """Registers the classes right after Keras is imported."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None:
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (execute(module), sys.meta_path.remove(self), _register())
        return spec


if "keras" not in sys.modules:
    sys.meta_path.insert(0, _KerasFinder())
elif sys.modules["keras"].backend.backend() == "tensorflow":
    _register()
