"""Tests of the InceptionV3 extractor: its features against the plain network, its weights files, Keras' state.

By default the network of keras.applications is replaced by a small one with the same inputs and outputs.
"""

import dataclasses
import hashlib
import random

import numpy as np
import pytest

from keras_gen.metrics.extractors import InceptionV3, build, choose, weight_files
from keras_gen.utils.errors import DataUnavailableError, UsageError

FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"


def small_network(*, weights, include_top, pooling, input_shape):
    """Build a small network from images of 299 x 299 to 2048 features, in place of keras.applications.InceptionV3."""
    import keras

    assert (weights, include_top, pooling, input_shape) == (None, False, "avg", (299, 299, 3))
    images = keras.Input(input_shape)
    x = keras.layers.Conv2D(8, 7, strides=16)(images)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.Conv2D(2048, 3, strides=8, activation="relu")(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


@pytest.fixture(scope="module", params=["small", pytest.param("keras", marks=pytest.mark.slow)])
def network(request):
    import keras

    with pytest.MonkeyPatch.context() as patch:
        if request.param == "small":
            patch.setattr(keras.applications, "InceptionV3", small_network)
        keras.utils.set_random_seed(0)
        shape = (299, 299, 3)
        built = keras.applications.InceptionV3(weights=None, include_top=False, pooling="avg", input_shape=shape)
        built.trainable = False
        yield built


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "inception.weights.h5"
    network.save_weights(path)
    return path


@pytest.fixture(scope="module")
def published(network, tmp_path_factory):
    """The same weights in the legacy layout of the published file, in a Keras cache."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    path = tmp_path_factory.mktemp("keras_home") / "models" / FILE
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
    return path


@pytest.fixture(scope="module")
def extractor(weights):
    return InceptionV3(weights)


@pytest.fixture(autouse=True)
def no_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("KERAS_GEN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(6).integers(0, 256, size=(3, 32, 40, 3), dtype=np.uint8)


def test_features_are_the_networks_on_images_prepared_by_hand(extractor, network, photos):
    import tensorflow as tf

    resized = tf.image.resize(photos, (299, 299), method="bilinear", antialias=True)
    expected = network(tf.cast(resized, tf.float32) / 127.5 - 1.0, training=False).numpy()
    found = extractor(photos)
    assert found.features.shape == (3, 2048) and found.features.dtype == np.float32
    assert found.logits is None and extractor.num_classes == 0
    assert expected.std() > 0
    np.testing.assert_allclose(found.features, expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_a_gray_image_is_its_three_equal_channels(extractor, photos):
    gray = photos[:2, ..., :1]
    np.testing.assert_array_equal(extractor(gray).features, extractor(np.repeat(gray, 3, axis=-1)).features)


def test_the_description_contains_the_hash_of_the_weights(extractor, weights):
    assert extractor.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert extractor.description()["sha256"] == extractor.sha256
    assert extractor.description()["resize"] == "bilinear to 299 x 299, antialiased (tf.image.resize)"


def test_the_published_layout_is_found_in_keras_cache_and_gives_the_same_features(
    extractor, published, photos, monkeypatch
):
    monkeypatch.setenv("KERAS_HOME", str(published.parent.parent))
    md5 = hashlib.md5(published.read_bytes(), usedforsecurity=False).hexdigest()
    with pytest.raises(UsageError, match=f"{FILE} is damaged: its MD5 is not {weight_files.INCEPTION_V3.md5}"):
        InceptionV3()  # random weights under the published name
    monkeypatch.setattr(InceptionV3, "source", dataclasses.replace(InceptionV3.source, md5=md5))
    assert choose("folder", (32, 32, 3)) == ("inception-v3", f"its weights are in {published}")
    np.testing.assert_allclose(InceptionV3()(photos[:1]).features, extractor(photos[:1]).features, rtol=1e-5)


def test_construction_preserves_random_state_and_dtype_policy(weights, photos, extractor):
    import keras

    random.seed(7)
    expected = random.random()
    random.seed(7)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        built = build("inception-v3", weights)
        assert keras.config.dtype_policy().name == "mixed_float16"
        found = built(photos[:1]).features
    finally:
        keras.config.set_dtype_policy("float32")
    assert random.random() == expected
    np.testing.assert_allclose(found, extractor(photos[:1]).features, rtol=1e-5)


def test_a_path_that_is_no_weights_file_of_the_network_is_named(tmp_path, published):
    import keras

    text, suffix, cut = tmp_path / "text.h5", tmp_path / "weights.bin", tmp_path / "cut.h5"
    text.write_text("no weights")
    suffix.write_bytes(published.read_bytes()[:100])
    cut.write_bytes(published.read_bytes()[: published.stat().st_size // 2])
    other = tmp_path / "other.weights.h5"
    small = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    small.save_weights(other)
    for path in (text, suffix, cut, other):
        with pytest.raises(UsageError, match="weights must be a readable weights file of keras.app") as raised:
            InceptionV3(path)
        assert str(path) in str(raised.value) and "\n" not in str(raised.value)
    for path in (tmp_path, tmp_path / "missing.h5"):
        with pytest.raises(UsageError, match="weights must be a file with the weights of inception-v3 that can be"):
            InceptionV3(path)


def test_weights_that_are_nowhere_are_reported():
    with pytest.raises(DataUnavailableError, match="--extractor inception-v3 --extractor-weights PATH") as raised:
        InceptionV3()
    assert FILE in str(raised.value) and "\n" not in str(raised.value)


def test_bfloat16_is_close_and_changes_nothing_else(weights, extractor, photos):
    rough = build("inception-v3", weights, precision="bfloat16")
    before = extractor(photos).features
    features = rough(photos).features
    assert features.dtype == np.float32
    # CPUs without such instructions may leave everything in float32.
    assert np.abs(features - before).mean() < 0.05 * np.abs(before).mean()
    np.testing.assert_array_equal(extractor(photos).features, before)
    assert rough.description() == extractor.description() | {"precision": "bfloat16"}


@pytest.mark.parametrize(("name", "precision"), [("inception-v3", "float16"), ("lenet", "bfloat16"), ("lenet", 16)])
def test_other_precisions_are_refused(name, precision):
    with pytest.raises(UsageError, match="precision must be"):
        build(name, precision=precision)
