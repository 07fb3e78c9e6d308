"""What extractors are called, known before any of them, or NumPy, is imported."""

from __future__ import annotations

from keras_gen.utils import checks
from keras_gen.utils.errors import must_be

WITH_WEIGHTS = ("inception-2015", "inception-v3")
"""Those whose weights are files to be had elsewhere."""

NAMES = (*WITH_WEIGHTS, "lenet", "cifar")
AUTO = "auto"


def check_choice(extractor: object, weights: object = None) -> None:
    """Raise `UsageError` if `pick` would refuse the pair, before anything is loaded.

    Args:
        extractor: `auto` or one of `NAMES`.
        weights: path of its weights file or None; not with `auto`, nor with a shipped classifier.
    """
    checks.one_of("extractor", extractor, (AUTO, *NAMES))
    check_weights(extractor, weights)


def check_weights(extractor: str, weights: object) -> None:
    """Raise `UsageError` if weights are given for an extractor that has its own."""
    if weights is not None and extractor not in WITH_WEIGHTS:
        raise must_be("extractor weights", f"left out with extractor {extractor}", str(weights))
