"""Which extractor suits a data set. Nothing here imports TensorFlow until one is built."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from keras_gen.metrics.extractors import weight_files
from keras_gen.metrics.extractors.base import Extractor
from keras_gen.metrics.extractors.bfloat16 import check_precision
from keras_gen.metrics.extractors.classifiers import KINDS, ShippedClassifier, is_shipped
from keras_gen.metrics.extractors.inception_2015 import Inception2015
from keras_gen.metrics.extractors.inception_v3 import InceptionV3
from keras_gen.metrics.extractors.names import AUTO, NAMES, WITH_WEIGHTS, check_choice, check_weights
from keras_gen.utils import checks
from keras_gen.utils.errors import DataUnavailableError, UsageError, must_be

_WITH_WEIGHTS = dict(zip(WITH_WEIGHTS, (Inception2015, InceptionV3), strict=True))
_SOURCES = {source.name: source for source in (weight_files.INCEPTION_2015, weight_files.INCEPTION_V3)}


class ExtractorChoice(NamedTuple):
    """The name of an extractor, or None, and why, in one line for the user."""

    name: str | None
    reason: str


def build(
    name: str, weights: str | os.PathLike | None = None, download: bool = False, precision: str = "float32"
) -> Extractor:
    """The extractor called `name`, ready for use.

    Args:
        name: one of `NAMES`.
        weights: path of its weights file, of `inception-2015` and `inception-v3` only; None for the one that is kept
            on this machine.
        download: whether to download the file if it is not there.
        precision: of the network's arithmetic: `float32`, or of `inception-2015` and `inception-v3` also `bfloat16`.

    Raises:
        UsageError: `name` is none of `NAMES`, or `weights` is no such file, or given for a shipped classifier.
        DataUnavailableError: there is no file, and it was not to be downloaded or can't be.

    Example:
        >>> build("lenet").dimensions
        128
    """
    checks.one_of("extractor", name, NAMES)
    check_weights(name, weights)
    check_precision(precision)
    if name in _WITH_WEIGHTS:
        return _WITH_WEIGHTS[name](weights, download=download, precision=precision)
    if precision != "float32":
        raise must_be("precision", f"float32 for extractor {name}", precision)
    return ShippedClassifier(name)


def choose(data_name: str, image_shape: Sequence[int], *, download: bool = False) -> ExtractorChoice:
    """The extractor for a data set whose user named none.

    `lenet` for the gray digits of `mnist` and `digits`, `cifar` for the color images of `cifar10`; otherwise
    `inception-2015`, or else `inception-v3`, if their weights are on this machine.

    Args:
        data_name: as `keras_gen.data.load` calls the data set, or any name or path.
        image_shape: `(height, width, channels)`.
        download: whether `inception-2015` may be chosen without having its weights.

    Example:
        >>> choose("mnist", (28, 28, 1))
        ExtractorChoice(name='lenet', reason='made for mnist and digits, needs no download')
    """
    channels = image_shape[-1]
    for name, kind in KINDS.items():
        if data_name in kind.classes_of and channels == kind.channels and is_shipped(name):
            return ExtractorChoice(name, f"made for {' and '.join(kind.classes_of)}, needs no download")
    for name, source in _SOURCES.items():
        if (path := weight_files.find(source)) is not None:
            return ExtractorChoice(name, f"its weights are in {path}")
        if download:
            return ExtractorChoice(name, f"its weights are downloaded ({source.megabytes} MB)")
    return ExtractorChoice(
        None, f"there is no extractor for {data_name}: {weight_files.INCEPTION_2015.how_to_get_it()}"
    )


def pick(
    extractor: str,
    data_name: str,
    image_shape: Sequence[int],
    *,
    weights: str | os.PathLike | None = None,
    precision: str = "float32",
) -> tuple[Extractor | None, str]:
    """The extractor that was asked for, built, and why it is this one; `auto` is left to `choose`.

    One that is asked for by its name is downloaded if it is missing; `auto` downloads nothing, and may give None.

    Raises:
        UsageError: as `check_choice` and `build` raise it, or the extractor does not take such images.
        DataUnavailableError: its weights can't be had.

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
        except DataUnavailableError as error:  # gone since
            return None, str(error)
    if extractor in KINDS and image_shape[-1] != KINDS[extractor].channels:
        shape = tuple(image_shape)
        raise UsageError(f"extractor {extractor} takes {KINDS[extractor].takes}, {data_name} has images {shape}")
    return build(extractor, weights, download=True, precision=precision), "asked for by its name"
