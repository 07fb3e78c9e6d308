"""Tests of the extractors' base class, the shipped classifiers, and the choice of an extractor for a data set."""

import dataclasses
import hashlib
import json
import random

import numpy as np
import pytest

from keras_gen.data.sources import digits
from keras_gen.metrics import extractors
from keras_gen.metrics.extractors import Extractor, ShippedClassifier, as_images, classifiers, weight_files
from keras_gen.utils.errors import UsageError


class Means(Extractor):
    """An extractor whose features are the means of the channels. It records the shapes of batches."""

    name, sha256, dimensions, num_classes, resize = "means", "0" * 64, 3, 0, "none"

    def __init__(self, value=0.0):
        self.batches, self.value = [], value

    def _extract(self, batch):
        self.batches.append(batch.shape)
        return batch.mean((1, 2)) + self.value, None


@pytest.fixture(autouse=True)
def no_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("KERAS_GEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_images_go_through_in_batches_and_keep_their_order():
    images = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 1), dtype=np.uint8)
    extractor = Means()
    found = extractor(images, batch_size=3)
    assert extractor.batches == [(3, 4, 5, 3), (3, 4, 5, 3), (1, 4, 5, 3)]
    assert found.features.dtype == np.float32 and found.logits is None
    np.testing.assert_allclose(found.features, np.repeat(images.mean((1, 2)), 3, axis=1), rtol=1e-6)
    assert extractor(images[:0]).features.shape == (0, 3)


def test_values_that_are_not_finite_are_never_passed_on():
    with pytest.raises(UsageError, match="extractor means gives features that are not finite for 2 of 2 images"):
        Means(np.nan)(np.zeros((2, 4, 4, 3), np.uint8))


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (np.zeros((2, 8, 8, 3), "float32"), r"float32 of shape \(2, 8, 8, 3\)"),
        (np.zeros((8, 8, 3), "uint8"), r"uint8 of shape \(8, 8, 3\)"),
        (np.zeros((2, 8, 8, 2), "uint8"), r"uint8 of shape \(2, 8, 8, 2\)"),
        (np.zeros((2, 0, 8, 3), "uint8"), r"uint8 of shape \(2, 0, 8, 3\)"),
    ],
)
def test_other_arrays_are_refused(images, received):
    with pytest.raises(UsageError, match=f"images must be uint8 images .* received: {received}"):
        Means()(images)
    with pytest.raises(UsageError, match="real must be uint8 images"):
        as_images("real", images)


# The classifiers that ship with the package


def tiny(size, channels):
    """Return a function that builds a tiny network with the outputs of a shipped classifier."""

    def build():
        import keras

        images = keras.Input((size, size, channels))
        features = keras.layers.Dense(5, activation="relu")(keras.layers.Flatten()(images))
        return keras.Model(images, [features, keras.layers.Dense(10)(features)])

    return build


KINDS = {
    name: dataclasses.replace(kind, build=tiny(kind.size, kind.channels)) for name, kind in classifiers.KINDS.items()
}


def arrays_of(name):
    """Return half-precision weights for the tiny network of that name."""
    generator, inputs = np.random.default_rng(3), KINDS[name].size ** 2 * KINDS[name].channels
    shapes = [(inputs, 5), (5,), (5, 10), (10,)]
    return [(generator.normal(size=shape) / np.sqrt(shape[0])).astype(np.float16) for shape in shapes]


def write(folder, name, arrays, **entries):
    np.savez(folder / f"{name}.npz", **{str(index): array for index, array in enumerate(arrays)})
    sha256 = hashlib.sha256((folder / f"{name}.npz").read_bytes()).hexdigest()
    (folder / f"{name}.json").write_text(json.dumps({"sha256": sha256} | entries))
    return folder


def from_folder(folder, name):
    return ShippedClassifier(name, folder=folder, kind=KINDS[name])


@pytest.mark.parametrize("name", KINDS)
def test_features_and_logits_are_the_networks_of_the_stored_weights(tmp_path, name):
    arrays = arrays_of(name)
    extractor = from_folder(write(tmp_path, name, arrays), name)
    size, channels = KINDS[name].size, KINDS[name].channels
    images = np.random.default_rng(4).integers(0, 256, (6, size, size, channels), dtype=np.uint8)
    hidden, hidden_bias, last, last_bias = (array.astype(float) for array in arrays)
    features = np.maximum(images.reshape(6, -1) / 255 @ hidden + hidden_bias, 0)
    found = extractor(images, batch_size=4)
    assert (extractor.dimensions, extractor.num_classes) == (5, 10) and features.max() > 0.1
    np.testing.assert_allclose(found.features, features, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.logits, features @ last + last_bias, rtol=1e-4, atol=1e-5)
    assert extractor.sha256 == hashlib.sha256((tmp_path / f"{name}.npz").read_bytes()).hexdigest()


def test_images_of_another_size_are_resized_with_antialiasing(tmp_path):
    extractor = from_folder(write(tmp_path, "lenet", arrays_of("lenet")), "lenet")
    generator = np.random.default_rng(5)
    # Halving with a triangle filter of twice the width: weights 1/8 3/8 3/8 1/8 along each axis.
    large = generator.integers(0, 256, (2, 56, 56, 1), dtype=np.uint8)
    padded = np.pad(large.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)))
    inside = np.pad(np.ones((1, 56, 56, 1)), ((0, 0), (1, 1), (1, 1), (0, 0)))
    kernel = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64

    def halved(x):
        windows = np.lib.stride_tricks.sliding_window_view(x, (4, 4), axis=(1, 2))[:, ::2, ::2]
        return np.einsum("nhwcij,ij->nhwc", windows, kernel)

    small = halved(padded) / halved(inside)
    hidden, hidden_bias = (array.astype(float) for array in arrays_of("lenet")[:2])
    expected = np.maximum(small.reshape(2, -1) / 255 @ hidden + hidden_bias, 0)
    np.testing.assert_allclose(extractor(large).features, expected, rtol=1e-4, atol=1e-5)
    assert extractor.resize == "bilinear to 28 x 28, antialiased (tf.image.resize)"


def test_images_they_were_not_made_for_are_refused_by_name(tmp_path):
    lenet = from_folder(write(tmp_path, "lenet", arrays_of("lenet")), "lenet")
    cifar = from_folder(write(tmp_path, "cifar", arrays_of("cifar")), "cifar")
    with pytest.raises(UsageError, match=r"gray images \(n, H, W, 1\) for extractor lenet, received: \(2, 28, 28, 3\)"):
        lenet(np.zeros((2, 28, 28, 3), np.uint8))
    with pytest.raises(UsageError, match=r"color images .* for extractor cifar, received: \(2, 32, 32, 1\)"):
        cifar(np.zeros((2, 32, 32, 1), np.uint8))


def test_construction_preserves_random_state_and_dtype_policy(tmp_path):
    import keras

    write(tmp_path, "lenet", arrays_of("lenet"))
    images = np.full((1, 28, 28, 1), 99, np.uint8)
    expected = from_folder(tmp_path, "lenet")(images).features
    random.seed(7)
    number = random.random()
    random.seed(7)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        found = from_folder(tmp_path, "lenet")(images).features
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert random.random() == number
    np.testing.assert_array_equal(found, expected)


def test_weights_that_are_missing_damaged_or_of_another_network_are_named(tmp_path):
    with pytest.raises(UsageError, match="the weights of cifar are missing or damaged: .*cifar.npz"):
        from_folder(tmp_path, "cifar")
    write(tmp_path, "lenet", arrays_of("lenet"), sha256="11")
    with pytest.raises(UsageError, match="the weights of lenet are damaged: SHA-256 of .*lenet.npz is .*, expected 11"):
        from_folder(tmp_path, "lenet")
    other, pickled = arrays_of("cifar"), np.array([{}], dtype=object)
    for arrays in (other, other[:2], [pickled]):
        write(tmp_path, "lenet", arrays)
        with pytest.raises(UsageError, match="the weights of lenet do not fit its network") as raised:
            from_folder(tmp_path, "lenet")
        assert "\n" not in str(raised.value)
    (tmp_path / "lenet.npz").write_bytes(b"PK nonsense")
    sha256 = hashlib.sha256(b"PK nonsense").hexdigest()
    (tmp_path / "lenet.json").write_text(json.dumps({"sha256": sha256}))
    with pytest.raises(UsageError, match="the weights of lenet do not fit its network"):
        from_folder(tmp_path, "lenet")
    (tmp_path / "lenet.json").write_text("[]")
    with pytest.raises(UsageError, match="the weights of lenet are missing or damaged"):
        from_folder(tmp_path, "lenet")


OF_NOISE = {
    "lenet": (841.18, [-16.205, -30.722, 2.045, 6.113, -13.278, 0.559, -2.557, -22.472, 37.015, 3.297]),
    "cifar": (113.03, [-1.567, -2.002, -0.352, -2.065, -2.526, -6.607, 2.542, -5.988, -1.772, -2.930]),
}
"""Sum of the features of three images of noise, and logits of the first, when the weights were added."""


@pytest.mark.parametrize("name", classifiers.KINDS)
def test_shipped_classifiers_compute_what_they_did_when_they_were_added(name):
    extractor = extractors.build(name)
    kind = classifiers.KINDS[name]
    images = np.random.default_rng(8).integers(0, 256, (3, 40, 40, kind.channels), dtype=np.uint8)
    found = extractor(images)
    assert found.features.shape == (3, 128) and found.logits.shape == (3, 10)
    total, logits = OF_NOISE[name]
    assert found.features.sum() == pytest.approx(total, rel=1e-3)
    np.testing.assert_allclose(found.logits[0], logits, rtol=1e-3, atol=1e-2)
    batches = extractor(images, batch_size=2)
    np.testing.assert_allclose(batches.features, found.features, rtol=1e-4, atol=1e-4)


def test_the_shipped_lenet_recognizes_digits():
    test = digits.read().test
    found = extractors.build("lenet")(test.images)
    assert (np.argmax(found.logits, axis=1) == np.ravel(test.labels)).mean() >= 0.95


# Choosing


def test_the_error_for_an_unknown_name_lists_the_names():
    for call in (extractors.build, extractors.check_choice):
        with pytest.raises(UsageError, match="extractor must be one of .*inception-2015, inception-v3, lenet, cifar"):
            call("inception")
    with pytest.raises(UsageError, match="name must be one of lenet, cifar"):
        ShippedClassifier("inception-v3")


def test_weights_are_rejected_for_shipped_classifiers():
    for name in ("lenet", "cifar", "auto"):
        with pytest.raises(UsageError, match=f"weights must be left out with extractor {name}, received: 'file'"):
            extractors.check_choice(name, "file")
    extractors.check_choice("inception-v3", "file")
    extractors.check_choice("auto")
    with pytest.raises(UsageError, match="weights must be left out with extractor lenet"):
        extractors.build("lenet", "file")


def test_data_sets_get_the_extractor_trained_on_them():
    for data in ("mnist", "digits"):
        assert extractors.choose(data, (28, 28, 1)).name == "lenet"
        assert extractors.choose(data, (28, 28, 3)).name is None
    assert extractors.choose("cifar10", (32, 32, 3)).name == "cifar"
    assert extractors.choose("cifar10", (32, 32, 1)).name is None
    for data in ("fashion_mnist", "a folder"):
        name, reason = extractors.choose(data, (28, 28, 1))
        assert name is None and "\n" not in reason
        assert data in reason and "--extractor inception-2015 --extractor-weights PATH" in reason


def test_inception_is_chosen_where_its_weights_are(no_caches):
    no_caches.mkdir()
    (no_caches / weight_files.INCEPTION_V3.files[0]).write_bytes(b"weights")
    assert extractors.choose("folder", (64, 64, 3)).name == "inception-v3"
    (no_caches / weight_files.INCEPTION_2015.files[0]).write_bytes(b"weights")
    assert extractors.choose("folder", (64, 64, 3)).name == "inception-2015"


def test_a_file_that_is_not_the_weights_does_not_stop_what_needs_no_score(no_caches):
    path = no_caches / weight_files.INCEPTION_2015_PORT[0]
    no_caches.mkdir()
    path.write_bytes(b"the page of a proxy")
    extractor, reason = extractors.pick("auto", "folder", (64, 64, 3))
    assert extractor is None
    assert reason.startswith(f"its weights are in {path}, but weights must be ")


def test_pick_builds_the_choice_and_says_why(tmp_path):
    extractor, reason = extractors.pick("auto", "digits", (28, 28, 1))
    assert extractor.name == "lenet" and "needs no download" in reason
    assert extractors.pick("lenet", "folder", (64, 64, 1))[0].name == "lenet"
    extractor, reason = extractors.pick("auto", "folder", (64, 64, 3))
    assert extractor is None and "inception-2015" in reason
    with pytest.raises(UsageError, match=r"extractor lenet takes gray images .*, folder has images \(64, 64, 3\)"):
        extractors.pick("lenet", "folder", (64, 64, 3))
    with pytest.raises(UsageError, match="weights must be a file with the weights of inception-v3 that can be read"):
        extractors.pick("inception-v3", "folder", (64, 64, 3), weights=tmp_path / "missing.h5")
