"""keras_gen: VAEs, GANs and Wasserstein GANs for Keras 3 and TensorFlow, each a recipe that trains.

Names are imported when they are first used: `import keras_gen` imports neither Keras nor TensorFlow. If Keras was
imported first, it also registers the classes of `.keras` files, so that `keras.models.load_model` finds them.
"""

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

if "keras" in sys.modules and sys.modules["keras"].backend.backend() == "tensorflow":
    from keras_gen import models, networks, optimizers  # noqa: F401
