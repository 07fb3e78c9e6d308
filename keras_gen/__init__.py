"""keras_gen: VAEs, GANs and Wasserstein GANs for Keras 3 and TensorFlow, each a recipe that trains.

Names are imported when they are first used, so that `import keras_gen` costs nothing and brings in no TensorFlow.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_MODULE_OF = {
    "Autoencoder": "models",
    "GAN": "models",
    "VAE": "models",
    "WGAN": "models",
    "DataUnavailableError": "errors",
    "UsageError": "errors",
}
_MODULES = (
    "callbacks",
    "data",
    "distribution",
    "evaluation",
    "export",
    "losses",
    "metrics",
    "models",
    "networks",
    "optimizers",
    "report",
    "settings",
    "training",
    "zoo",
)

__all__ = [*_MODULE_OF, *_MODULES]


def __getattr__(name: str):
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
