"""Run directories: their settings, files and checkpoints, and `load`, which rebuilds a run's model."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=["settings"],
    submod_attrs={
        "loading": ["Run", "load"],
        "settings": ["RunSettings"],
    },
)
