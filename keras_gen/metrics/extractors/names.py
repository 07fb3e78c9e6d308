"""Names of the extractors, importable without NumPy or TensorFlow."""

from __future__ import annotations

from keras_gen.utils import checks
from keras_gen.utils.errors import must_be

WITH_WEIGHTS = ("inception-2015", "inception-v3")
"""Extractors whose weights are files that do not ship with the package."""

NAMES = (*WITH_WEIGHTS, "lenet", "cifar")
AUTO = "auto"


def check_choice(extractor: object, weights: object = None) -> None:
    """Check an extractor and its weights as `pick` does, before anything is loaded.

    Args:
        extractor: str, `auto` or one of `NAMES`.
        weights: path of its weights file, or None; must be None for `auto` and the shipped classifiers.

    Raises:
        UsageError: if an argument is not as above.
    """
    checks.one_of("extractor", extractor, (AUTO, *NAMES))
    check_weights(extractor, weights)


def check_weights(extractor: str, weights: object) -> None:
    """Raise `UsageError` if `weights` are given for `auto` or a shipped classifier."""
    if weights is not None and extractor not in WITH_WEIGHTS:
        raise must_be("extractor weights", f"left out with extractor {extractor}", str(weights))
