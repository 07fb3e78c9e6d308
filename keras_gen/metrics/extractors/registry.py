"""Build extractors by name and choose one for a data set. TensorFlow is imported when one is built."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from keras_gen.metrics.extractors import weight_files
from keras_gen.metrics.extractors.base import Extractor
from keras_gen.metrics.extractors.classifiers import KINDS, ShippedClassifier
from keras_gen.metrics.extractors.inception_2015 import Inception2015
from keras_gen.metrics.extractors.inception_v3 import InceptionV3
from keras_gen.metrics.extractors.names import AUTO, NAMES, check_choice, check_weights
from keras_gen.utils import checks
from keras_gen.utils.errors import DataUnavailableError, UsageError, must_be

_DOWNLOADED = {extractor.name: extractor for extractor in (Inception2015, InceptionV3)}


class ExtractorChoice(NamedTuple):
    """Name of an extractor, or None, and the reason for the choice in one line."""

    name: str | None
    reason: str


def build(
    name: str, weights: str | os.PathLike | None = None, download: bool = False, precision: str = "float32"
) -> Extractor:
    """Build the extractor called `name`.

    Args:
        name: str, one of `NAMES`.
        weights, download, precision: as in `DownloadedExtractor`; left at their defaults for shipped classifiers.

    Raises:
        UsageError, DataUnavailableError: if an argument is not as above, or as in `DownloadedExtractor`.

    Example:
        >>> build("lenet").dimensions
        128
    """
    checks.one_of("extractor", name, NAMES)
    check_weights(name, weights)
    checks.one_of("precision", precision, checks.PRECISIONS)
    if name in _DOWNLOADED:
        return _DOWNLOADED[name](weights, download=download, precision=precision)
    if precision != "float32":
        raise must_be("precision", f"float32 for extractor {name}", precision)
    return ShippedClassifier(name)


def choose(data_name: str, image_shape: Sequence[int]) -> ExtractorChoice:
    """Choose the default extractor for a data set.

    `lenet` for the gray digits of `mnist` and `digits`, `cifar` for the color images of `cifar10`; otherwise
    `inception-2015` or `inception-v3`, in this order, if their weights are on this machine.

    Args:
        data_name: str, name of the data set in `keras_gen.data.load`, or any other name or path.
        image_shape: `(height, width, channels)`.

    Example:
        >>> choose("mnist", (28, 28, 1))
        ExtractorChoice(name='lenet', reason='made for mnist and digits, needs no download')
    """
    channels = image_shape[-1]
    for name, kind in KINDS.items():
        if data_name in kind.classes_of and channels == kind.channels:
            return ExtractorChoice(name, f"made for {' and '.join(kind.classes_of)}, needs no download")
    for name, extractor in _DOWNLOADED.items():
        if (path := weight_files.find(extractor.source)) is not None:
            return ExtractorChoice(name, f"its weights are in {path}")
    return ExtractorChoice(None, f"there is no extractor for {data_name}: {weight_files.INCEPTION_2015.instructions()}")


def check_supports(extractor: str, data_name: str, image_shape: Sequence[int]) -> None:
    """Check that an extractor takes images of a shape, or raise `UsageError` that calls them those of `data_name`."""
    if extractor in KINDS and image_shape[-1] != KINDS[extractor].channels:
        shape = tuple(image_shape)
        raise UsageError(f"extractor {extractor} takes {KINDS[extractor].takes}, {data_name} has images {shape}")


def as_extractor(value: Extractor | str) -> Extractor:
    """Return an extractor, built if `value` is the name of one, or raise `UsageError`."""
    if isinstance(value, str):
        return build(value)
    if not isinstance(value, Extractor):
        raise must_be("extractor", "an Extractor, or one of " + ", ".join(NAMES), value)
    return value


def pick(
    extractor: str,
    data_name: str,
    image_shape: Sequence[int],
    *,
    weights: str | os.PathLike | None = None,
    precision: str = "float32",
) -> tuple[Extractor | None, str]:
    """Build the requested extractor and return it with the reason for the choice; `auto` means `choose`.

    The weights of an extractor requested by name are downloaded if missing. `auto` downloads nothing and may return
    None.

    Args:
        extractor: str, `auto` or one of `NAMES`.
        data_name, image_shape: as in `choose`.
        weights, precision: as in `build`.

    Raises:
        UsageError: for the reasons of `check_choice` and `build`, or if the extractor does not support such images.
        DataUnavailableError: if its weights are unavailable.

    Example:
        >>> lenet, reason = pick("auto", "digits", (28, 28, 1))
        >>> lenet.name, reason
        ('lenet', 'made for mnist and digits, needs no download')
    """
    check_choice(extractor, weights)
    if extractor == AUTO:
        name, reason = choose(data_name, image_shape)
        try:
            return (None if name is None else build(name, precision=precision)), reason
        except (DataUnavailableError, UsageError) as error:  # the file disappeared after choose, or is another one
            return None, f"{reason}, but {error}"
    check_supports(extractor, data_name, image_shape)
    return build(extractor, weights, download=True, precision=precision), "requested by name"
