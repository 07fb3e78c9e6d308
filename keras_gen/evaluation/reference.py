"""Real images that generated ones are compared with. Their features and statistics are computed once and cached."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from keras_gen.metrics import extractors
from keras_gen.metrics.extractors import Extractor, as_images, cache_folder
from keras_gen.metrics.frechet import GaussianStatistics, distance
from keras_gen.utils import archives, checks, files, progress
from keras_gen.utils.errors import UsageError, must_be

CHUNK = 1000
"""Number of images that are generated, or whose features are extracted, at a time."""

FEATURES_KEPT = 50_000
"""Limit of the real images whose features are kept, and cached, for metrics that compare single images."""

STATISTICS = ("mu", "sigma")
"""Arrays of a file of `ReferenceStatistics`."""

_CACHE_VERSION = 1  # a change invalidates older cached files


class Reference:
    """Features and statistics of real images, with caching.

    They are computed when they are first used and cached in the folder `references` of `$KERAS_GEN_CACHE` (by default
    `~/.cache/keras_gen`). The file name is a hash of the images' bytes and the extractor's description, so a file is
    never stale, and files are written atomically, so that processes can share the folder. If a file is damaged or the
    folder is not writable, the values are computed again.

    Args:
        images: uint8 array of shape `(N, H, W, 1)` or `(N, H, W, 3)`, N at least 2, or a tuple of such arrays, whose
            images are used together. They are not copied.
        extractor: an `Extractor`, or the name of one (`keras_gen.metrics.extractors.NAMES`).
        data: str, name of the data set for the protocol; default "images".
        split: str, split of the data set for the protocol; default "train".
        count: int, number of images to use, the first ones of a permutation drawn from `seed`. Defaults to all.
        seed: int, seed of that permutation; default 0.
        cache: bool, read and write the cache; default True.

    Raises:
        UsageError: if an argument is not as above, or all images are the same.

    Example:
        >>> digits = keras_gen.data.load("digits")
        >>> reference = Reference(digits.train.images, "lenet", data="digits")
        >>> reference.count, reference.statistics.mean.shape
        (1375, (128,))
    """

    def __init__(
        self,
        images: np.ndarray | tuple[np.ndarray, ...],
        extractor: Extractor | str,
        *,
        data: str = "images",
        split: str = "train",
        count: int | None = None,
        seed: int = 0,
        cache: bool = True,
    ) -> None:
        parts = images if isinstance(images, tuple) else (images,)
        self._parts = [array for array in (as_images("reference", part) for part in parts) if len(array)]
        total = sum(map(len, self._parts))
        if total < 2:
            raise must_be("reference", "at least 2 images", f"{total}")
        if count is not None and not 2 <= checks.positive_int("count", count) <= total:
            raise must_be("count", f"from 2 to {total}, the number of reference images", count)
        self.extractor = extractors.as_extractor(extractor)
        if len({part.shape[1:] for part in self._parts}) > 1:
            raise must_be("reference", "images of the same shape", ", ".join(str(part.shape) for part in self._parts))
        first = self._parts[0][0]
        if all((image == first).all() for part in self._parts for image in part):  # stops at the first difference
            raise must_be("reference", "images that are not all the same", f"{total} times one image")
        self.data, self.split, self.cache = data, split, cache
        # All images are permuted, too: a source may be ordered, and some metrics use only the first images.
        self._order = np.random.default_rng(checks.seed("seed", seed)).permutation(total)[:count]
        self.fingerprint = _fingerprint((self.count, *first.shape), self.chunks())

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self._order)

    def chunks(self, count: int | None = None) -> Iterator[np.ndarray]:
        """Yield the images, or the first `count` of them, at most `CHUNK` at a time."""
        for rows in chunks_of(self._order[:count]):
            images = np.empty((len(rows), *self._parts[0].shape[1:]), np.uint8)
            start = 0
            for part in self._parts:
                here = (rows >= start) & (rows < start + len(part))
                images[here] = part[rows[here] - start]
                start += len(part)
            yield images

    @property
    def protocol(self) -> dict:
        """Protocol entries that depend on the real images and the extractor."""
        return _protocol(self)

    @functools.cached_property
    def statistics(self) -> GaussianStatistics:
        """`GaussianStatistics` of the features of all images; computed from `features` if these are known already."""
        return self._cached("statistics", self._compute_statistics, _pack, self._unpack_statistics)

    @functools.cached_property
    def features(self) -> np.ndarray:
        """Features of the first `FEATURES_KEPT` images, float32 of shape `(n, D)`."""
        return self._cached(
            "features", self._compute_features, lambda array: {"features": array}, self._unpack_features
        )

    def _compute_statistics(self) -> GaussianStatistics:
        statistics = GaussianStatistics()
        if len(known := vars(self).get("features", ())) == self.count:
            for features in chunks_of(known):
                statistics.update(features)
            return statistics
        with self._progress(self.count) as task:
            for chunk in self.chunks():
                statistics.update(self.extractor(chunk, task=task).features)
        return statistics

    def _compute_features(self) -> np.ndarray:
        features = np.empty((min(self.count, FEATURES_KEPT), self.extractor.dimensions), np.float32)
        with self._progress(len(features)) as task:
            for rows, chunk in zip(chunks_of(features), self.chunks(FEATURES_KEPT), strict=True):
                rows[:] = self.extractor(chunk, task=task).features
        return features

    def _progress(self, count: int) -> contextlib.AbstractContextManager[progress.Task]:
        return progress.task(f"features of {self.split} images", count)

    def _cached(self, kind: str, compute, pack, unpack):
        if not self.cache:
            return compute()
        path = self._cache_path(kind)
        with contextlib.suppress(UsageError, KeyError):
            return unpack(archives.read(path, compressed=False))
        value = compute()
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.atomic_path(path) as temporary:
                np.savez(temporary, **pack(value))
        return value

    def _unpack_statistics(self, arrays: dict[str, np.ndarray]) -> GaussianStatistics:
        count, mean, covariance = (arrays[name] for name in ("count", "mean", "covariance"))
        if (count.shape, count.dtype.kind, mean.shape) != ((), "i", (self.extractor.dimensions,)):
            raise UsageError("the cached statistics are of other features")
        return GaussianStatistics.from_moments(int(count), mean, covariance)

    def _unpack_features(self, arrays: dict[str, np.ndarray]) -> np.ndarray:
        features = arrays["features"]
        expected = (min(self.count, FEATURES_KEPT), self.extractor.dimensions)
        if features.shape != expected or features.dtype != np.float32 or not np.isfinite(features).all():
            raise UsageError("the cached features are of other images")
        return features

    def _cache_path(self, kind: str) -> Path:
        import tensorflow as tf

        contents = [
            _CACHE_VERSION,
            kind,
            self.fingerprint,
            sorted(self.extractor.description().items()),
            tf.__version__,
        ]
        key = hashlib.sha256(json.dumps(contents, default=str).encode()).hexdigest()[:32]
        return cache_folder() / "references" / f"{kind}-{key}.npz"


class ReferenceStatistics:
    """Mean and covariance of the features of real images, as other programs keep them: a reference for the FID alone.

    Args:
        path: an `.npz` file with the arrays `mu`, shape `(D,)`, and `sigma`, shape `(D, D)`, as pytorch-fid and the
            code of Heusel et al. 2017 write it.
        extractor: an `Extractor`, or the name of one: that of the statistics, which the file does not tell.

    Raises:
        UsageError: if the file can't be read, or has other arrays or dimensions.
    """

    def __init__(self, path: str | os.PathLike, extractor: Extractor | str) -> None:
        self.extractor = extractors.as_extractor(extractor)
        dimensions = self.extractor.dimensions
        requirement = f"a file with mu and sigma of the {dimensions} features of {self.extractor.name}"
        moments = archives.read(path, STATISTICS)
        if missing := [name for name in STATISTICS if name not in moments]:
            raise must_be("statistics", requirement, f"{path} (no {' and no '.join(missing)})")
        if (shape := moments["mu"].shape) != (dimensions,):
            raise must_be("statistics", requirement, f"{path} (mu of shape {shape})")
        self.data, self.split, self.count = Path(path).name, "statistics", None
        try:
            # The number of images is not in the file. The distance does not depend on it.
            self.statistics = GaussianStatistics.from_moments(2, moments["mu"], moments["sigma"])
            distance(self.statistics, self.statistics)  # fails if sigma is no covariance
        except UsageError as error:
            raise must_be("statistics", requirement, f"{path} ({error})") from error
        values = np.concatenate([self.statistics.mean, self.statistics.covariance.ravel()])
        self.fingerprint = _fingerprint(values.shape, [values])

    @property
    def protocol(self) -> dict:
        """Protocol entries that depend on the real images and the extractor."""
        return _protocol(self)


def chunks_of(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows of an array, at most `CHUNK` at a time."""
    for start in range(0, len(array), CHUNK):
        yield array[start : start + CHUNK]


def fingerprint_of(images: np.ndarray) -> str:
    """Return the SHA-256, in hexadecimal, of the shape and bytes of uint8 images."""
    return _fingerprint(images.shape, chunks_of(images))


def _fingerprint(shape: tuple[int, ...], chunks: Iterable[np.ndarray]) -> str:
    digest = hashlib.sha256(f"{shape}".encode())
    for chunk in chunks:
        digest.update(np.ascontiguousarray(chunk))
    return digest.hexdigest()


def _protocol(reference: Reference | ReferenceStatistics) -> dict:
    described = reference.extractor.description().items()
    return {
        **{f"extractor_{name}" if name != "name" else "extractor": value for name, value in described},
        "reference": reference.data,
        "reference_split": reference.split,
        "reference_count": reference.count,
        "reference_fingerprint": reference.fingerprint[:16],
    }


def _pack(statistics: GaussianStatistics) -> dict[str, np.ndarray]:
    return {"count": np.int64(statistics.count), "mean": statistics.mean, "covariance": statistics.covariance}
