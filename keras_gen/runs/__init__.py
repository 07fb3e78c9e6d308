"""Run directories: settings, files, checkpoints, and the way back to a model."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["settings"],
    submod_attrs={
        "loading": ["Run", "load"],
        "settings": ["RunSettings"],
    },
)
