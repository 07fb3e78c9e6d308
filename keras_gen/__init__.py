"""keras_gen: VAEs, GANs and Wasserstein GANs for Keras 3 and TensorFlow, each a recipe that trains.

Names are imported when they are first used: `import keras_gen` imports neither Keras nor TensorFlow. It registers the
classes of `.keras` files in Keras, when that is imported, so that `keras.models.load_model` finds them.
"""

import importlib

import lazy_loader
import wrapt

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
        "publishing",
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
    "evaluation.keras_metrics": ("FrechetDistance", "KernelDistance"),
    "models": ("GAN", "VAE", "WGAN", "Autoencoder"),
    "networks.layers": ("Conv2D", "Conv2DTranspose", "Dense", "Dropout", "NarrowConv2D"),
    "models.regularizers": ("GradientPenalty", "R1", "R2"),
    "optimizers": ("Adam", "LinearDecay", "RMSprop"),
}


class _Unloaded:
    """A class that `.keras` files contain, which is imported when one is loaded."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def from_config(self, config):
        return getattr(importlib.import_module(self.module), self.name).from_config(config)


def _register(keras):
    for module, names in _SERIALIZABLE.items():
        for name in names:
            unloaded = _Unloaded(f"{__name__}.{module}", name)
            keras.saving.get_custom_objects().setdefault(f"keras_gen>{name}", unloaded)


wrapt.register_post_import_hook(_register, "keras")
