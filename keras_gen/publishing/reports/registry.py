"""The reports by name."""

from __future__ import annotations

import importlib
from types import ModuleType

from keras_gen.utils import checks

NAMES = ("R1", "R2", "R3", "R4", "R5")
"""Names of the reports; the module of `R1` is `keras_gen.publishing.reports.r1`."""


def report(name: str) -> ModuleType:
    """Return the module of a report: its `TITLE`, its `experiments()`, and `show(trained, exhibits)`.

    Args:
        name: str, one of `NAMES`.
    """
    return importlib.import_module(f"keras_gen.publishing.reports.{checks.one_of('report', name, NAMES).lower()}")
