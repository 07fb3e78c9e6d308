"""Tests of references: features and statistics of real images, and their cache."""

import json
import multiprocessing
import os

import numpy as np
import pytest
from scorer_helpers import QuadrantExtractor, squares

from keras_gen.evaluation import Reference, reference
from keras_gen.utils.errors import UsageError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_GEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "references"


def files(cache):
    return sorted(path.name.split("-")[0] for path in cache.iterdir()) if cache.exists() else []


def images_of(known):
    return np.concatenate(list(known.chunks()))


def test_statistics_and_features_are_those_of_the_images(cache):
    images = squares(2500)  # more than a chunk
    known = Reference(images, QuadrantExtractor())
    order = np.random.default_rng(0).permutation(2500)
    expected = QuadrantExtractor()(images[order]).features.astype(np.float64)
    np.testing.assert_array_equal(known.features, expected.astype(np.float32))
    np.testing.assert_allclose(known.statistics.mean, expected.mean(0), rtol=1e-12)
    np.testing.assert_allclose(known.statistics.covariance, np.cov(expected.T), rtol=1e-9)
    assert known.statistics.count == known.count == 2500


def test_a_count_takes_images_at_random_and_always_the_same(cache):
    images = squares(50)
    first, again, other = (images_of(Reference(images, QuadrantExtractor(), count=20, seed=seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len({image.tobytes() for image in first} & {image.tobytes() for image in images}) == 20
    assert not np.array_equal(first, images[:20])


def test_the_images_of_several_arrays_are_used_together(cache):
    images = squares(2500)
    together = Reference(images, QuadrantExtractor(), count=2400)
    parts = Reference((images[:0], images[:700], images[700:]), QuadrantExtractor(), count=2400)
    assert parts.fingerprint == together.fingerprint == reference.fingerprint_of(images_of(parts))
    np.testing.assert_array_equal(images_of(parts), images_of(together))
    assert [len(chunk) for chunk in parts.chunks(2300)] == [1000, 1000, 300]
    with pytest.raises(UsageError, match=r"^reference must be images of the same shape, received: '\(9, 8, 8, 1\)"):
        Reference((images[:9], images[:9, :4]), QuadrantExtractor())


def test_cached_values_are_not_computed_again(cache):
    images = squares(30)
    first, second = QuadrantExtractor(), QuadrantExtractor()
    statistics, features = Reference(images, first).statistics, Reference(images, first).features
    assert files(cache) == ["features", "statistics"]
    known = Reference(images, second)
    np.testing.assert_array_equal(known.statistics.covariance, statistics.covariance)
    np.testing.assert_array_equal(known.features, features)
    assert second.seen == 0


def test_features_and_statistics_come_from_one_pass_over_the_images(cache):
    extractor = QuadrantExtractor()
    known = Reference(squares(30), extractor)
    assert len(known.features) == 30
    assert known.statistics.count == 30
    assert extractor.seen == 30


CHANGES = {
    "images": lambda images: (squares(30, seed=1), QuadrantExtractor()),
    "one pixel": lambda images: (
        np.where(np.arange(images.size).reshape(images.shape) == 77, 5, images).astype("uint8"),
        QuadrantExtractor(),
    ),
    "order": lambda images: (images[::-1], QuadrantExtractor()),
    "weights": lambda images: (images, QuadrantExtractor(sha256="1" * 64)),
    "extractor": lambda images: (images, QuadrantExtractor("cifar")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_another_content_is_another_file(cache, change):
    images = squares(30)
    _ = Reference(images, QuadrantExtractor()).statistics
    other_images, other = change(images)
    _ = Reference(other_images, other).statistics
    assert other.seen == 30
    assert files(cache) == ["statistics"] * 2


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", None], ids=["empty", "cut off", "half of it"])
def test_a_damaged_file_is_computed_again_and_replaced(cache, damage):
    images = squares(30)
    expected = Reference(images, QuadrantExtractor()).statistics
    (path,) = cache.iterdir()
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2] if damage is None else damage)
    extractor = QuadrantExtractor()
    np.testing.assert_array_equal(Reference(images, extractor).statistics.mean, expected.mean)
    assert extractor.seen == 30
    assert path.read_bytes() == good


def test_a_flipped_bit_is_noticed(cache):
    images = squares(30)
    expected = Reference(images, QuadrantExtractor()).features
    (path,) = cache.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    np.testing.assert_array_equal(Reference(images, QuadrantExtractor()).features, expected)


def test_without_a_writable_folder_values_are_computed(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("KERAS_GEN_CACHE", str(tmp_path / "file"))
    assert Reference(squares(30), QuadrantExtractor()).statistics.count == 30


def test_without_the_cache_nothing_is_read_or_written(cache):
    extractor = QuadrantExtractor()
    for _ in range(2):
        _ = Reference(squares(30), extractor, cache=False).statistics
    assert extractor.seen == 60
    assert files(cache) == []


def _compute(_):
    return Reference(squares(300), QuadrantExtractor()).statistics.mean.tolist()


@pytest.mark.slow
def test_processes_may_share_the_folder(cache):
    # Not forked: in a process with TensorFlow's threads, a fork can wait forever for a lock that one of them held.
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        means = pool.map(_compute, range(12))
    assert all(mean == means[0] for mean in means)
    assert files(cache) == ["statistics"]
    assert [name for name in os.listdir(cache) if name.startswith(".")] == []


def test_the_protocol_says_what_was_compared_with(cache):
    known = Reference(squares(30), QuadrantExtractor("lenet"), data="squares", split="test", count=20)
    assert json.loads(json.dumps(known.protocol)) == {
        "extractor": "lenet",
        "extractor_sha256": "0" * 64,
        "extractor_dimensions": 5,
        "extractor_num_classes": 3,
        "extractor_resize": "none",
        "extractor_precision": "float32",
        "reference": "squares",
        "reference_split": "test",
        "reference_count": 20,
        "reference_fingerprint": reference.fingerprint_of(images_of(known))[:16],
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": squares(30) / 255.0}, "reference must be uint8 images"),
        ({"images": squares(30)[..., 0]}, "reference must be uint8 images"),
        ({"images": squares(1)}, "reference must be at least 2 images"),
        ({"count": 1}, "count must be from 2 to 30, the number of reference images, received: 1"),
        ({"count": 31}, "count must be from 2 to 30, the number of reference images, received: 31"),
        ({"seed": -1}, "seed must be"),
        ({"extractor": "inception"}, "extractor must be one of .*lenet"),
        ({"extractor": np.mean}, "extractor must be an Extractor, or one of"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_arguments_are_named(cache, change, message):
    arguments = {"images": squares(30), "extractor": QuadrantExtractor()} | change
    with pytest.raises(UsageError, match=message):
        Reference(arguments.pop("images"), arguments.pop("extractor"), **arguments)
