"""Train a recipe from settings to a SavedModel, and resume a run."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "faults": ["RunInterrupted"],
        "trainer": ["ExportOptions", "resume", "run"],
    },
)
