"""FID: the formula against scipy and closed forms, the extractor against the plain network, and the callback."""

from __future__ import annotations

import doctest
import http.server
import random
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import scipy.linalg

from keras_gen.errors import DataUnavailableError, UsageError
from keras_gen.metrics import features as extractors
from keras_gen.metrics import fid as formulas
from keras_gen.metrics.fid import GaussianStatistics, fid, frechet_distance


def _correlated(rng: np.random.Generator, count: int, dimensions: int) -> np.ndarray:
    return rng.normal(size=(count, dimensions)) @ rng.normal(size=(dimensions, dimensions)) + rng.normal(
        size=dimensions
    )


# The formula


def test_equals_the_formula_with_scipys_matrix_root():
    rng = np.random.default_rng(0)
    a, b = _correlated(rng, 200, 24), _correlated(rng, 300, 24)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a + cov_b - 2 * root.real)
    assert fid(a, b) == pytest.approx(expected, rel=1e-9)


def test_diagonal_gaussians_have_a_closed_form():
    rng = np.random.default_rng(1)
    mean_1, mean_2 = rng.normal(size=(2, 16))
    sd_1, sd_2 = rng.uniform(0, 3, size=(2, 16))
    expected = np.sum((mean_1 - mean_2) ** 2) + np.sum((sd_1 - sd_2) ** 2)
    assert frechet_distance(mean_1, np.diag(sd_1**2), mean_2, np.diag(sd_2**2)) == pytest.approx(expected, rel=1e-12)


def test_a_point_against_a_gaussian_is_its_trace():
    zero, mean = np.zeros(3), np.zeros(3)
    covariance = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 4.0]])
    assert frechet_distance(mean, np.zeros((3, 3)), zero, covariance) == pytest.approx(7.0)
    assert frechet_distance(zero, covariance, mean, np.zeros((3, 3))) == pytest.approx(7.0)
    assert frechet_distance(mean, np.zeros((3, 3)), zero, np.zeros((3, 3))) == 0.0


@pytest.mark.parametrize("count", [500, 20])  # 20: fewer samples than dimensions
def test_identical_sets_are_at_zero_and_the_order_does_not_matter(count):
    rng = np.random.default_rng(2)
    a, b = _correlated(rng, count, 64), _correlated(rng, count, 64)
    assert 0.0 <= fid(a, a) < 1e-8 * np.trace(np.cov(a, rowvar=False))
    assert fid(a, b) == pytest.approx(fid(b, a), rel=1e-9)
    assert fid(a, a + 2.0) == pytest.approx(4.0 * 64, rel=1e-9)


def test_fewer_samples_than_dimensions_equal_the_nuclear_norm():
    """tr (C₁C₂)^½ is the nuclear norm of A Bᵀ / √((n−1)(m−1)) of the centred features, which needs no covariance."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(30, 200)), 1.5 * rng.normal(size=(40, 200)) + 0.1
    centred_a, centred_b = a - a.mean(0), b - b.mean(0)
    nuclear = np.linalg.norm(centred_a @ centred_b.T, "nuc") / np.sqrt(29 * 39)
    traces = np.sum(centred_a**2) / 29 + np.sum(centred_b**2) / 39
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + traces - 2 * nuclear
    assert fid(a, b) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sizes", [[100], [1] * 100, [2, 3, 0, 95], [99, 1]])
def test_streaming_equals_one_shot_far_from_zero(sizes):
    """At 1e6 sums of squares would keep four digits of a variance of 1."""
    features = np.random.default_rng(4).normal(size=(100, 5)) + 1e6
    statistics = GaussianStatistics()
    for batch in np.split(features, np.cumsum(sizes)[:-1]):
        statistics.update(batch)
    assert statistics.count == 100
    np.testing.assert_allclose(statistics.mean, features.mean(0), rtol=1e-15)
    np.testing.assert_allclose(statistics.covariance, np.cov(features, rowvar=False), rtol=1e-9, atol=1e-9)


def test_float32_features_are_summed_in_float64():
    features = np.random.default_rng(5).normal(size=(1000, 3)).astype("float32") + np.float32(100)
    statistics = GaussianStatistics()
    statistics.update(features)
    assert statistics.mean.dtype == statistics.covariance.dtype == np.float64
    np.testing.assert_allclose(statistics.covariance, np.cov(features.astype("float64"), rowvar=False), rtol=1e-12)


def test_statistics_handed_out_are_not_changed_later():
    statistics = GaussianStatistics()
    statistics.update(np.eye(2))
    mean, covariance = statistics.mean, statistics.covariance
    before = mean.copy(), covariance.copy()
    statistics.update(np.ones((3, 2)))
    np.testing.assert_array_equal(mean, before[0])
    np.testing.assert_array_equal(covariance, before[1])


GOOD = np.ones((3, 2))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: fid(GOOD[0], GOOD), "features_a must be of shape"),
        (lambda: fid(GOOD, np.ones((3, 4))), r"features_b must be of shape \(m, 2\), as features_a.*\(3, 4\)"),
        (lambda: fid(GOOD[:1], GOOD), "features_a must be at least 2 samples"),
        (lambda: fid(GOOD, GOOD[:1]), "features_b must be at least 2 samples"),
        (lambda: fid(GOOD, GOOD * np.nan), "features_b must be finite, received: 6 of 6"),
        (lambda: fid(GOOD, GOOD * 1j), "features_b must be real numbers of shape.*complex128"),
        (lambda: fid("nonsense", GOOD), "features_a must be real numbers"),
        (lambda: fid([[1.0], [1.0, 2.0]], GOOD), "features_a must be an array of shape"),
        (lambda: frechet_distance(GOOD[0], np.eye(2), [0.0], np.eye(2)), "mean_2 must be of shape"),
        (lambda: frechet_distance(GOOD[0], np.eye(3), GOOD[0], np.eye(2)), "covariance_1 must be of shape"),
        (lambda: frechet_distance(GOOD[0], np.eye(2), GOOD[0], np.eye(2) + [[0, 1], [0, 0]]), "covariance_2.*symm"),
        (lambda: frechet_distance(GOOD[0], np.eye(2), GOOD[0], np.inf * np.ones((2, 2))), "covariance_2.*finite"),
        (lambda: GaussianStatistics().mean, "at least 1 sample"),
        (lambda: GaussianStatistics().covariance, "at least 2 samples"),
    ],
)
def test_bad_arguments_are_named_in_one_line(call, named):
    with pytest.raises(UsageError, match=named) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_a_refused_batch_leaves_the_statistics_as_they_were():
    statistics = GaussianStatistics()
    statistics.update(np.eye(2))
    for batch in (np.ones((3, 4)), np.full((3, 2), np.inf)):
        with pytest.raises(UsageError, match="features must be"):
            statistics.update(batch)
    assert statistics.count == 2
    assert statistics.mean.tolist() == [0.5, 0.5]


def test_the_examples_in_the_docstrings_run():
    assert doctest.testmod(formulas).failed == 0


def test_formulas_and_look_up_import_neither_tensorflow_nor_keras():
    code = (
        "import sys, keras_gen.metrics, keras_gen.metrics.fid, keras_gen.metrics.features as f;"
        "f.find_inception_weights(); print(sorted({'tensorflow', 'keras', 'scipy', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# The extractor


@pytest.fixture(scope="module")
def network():
    import keras

    keras.utils.set_random_seed(0)
    built = keras.applications.InceptionV3(weights=None, include_top=False, pooling="avg", input_shape=(299, 299, 3))
    built.trainable = False
    return built


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "inception.weights.h5"
    network.save_weights(path)
    return path


@pytest.fixture(scope="module")
def published(network, tmp_path_factory):
    """The same weights in the older layout of the file that keras.applications publishes, in a Keras cache."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    home = tmp_path_factory.mktemp("keras_home")
    path = home / "models" / extractors.INCEPTION_FILE
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
    return path


@pytest.fixture(scope="module")
def extractor(weights):
    return extractors.InceptionV3Features(weights)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A machine without the weights, with no proxy between it and servers on itself."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(extractors.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "home"


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(6).integers(0, 256, size=(3, 32, 40, 3), dtype=np.uint8)


def test_features_are_the_networks_on_images_prepared_by_hand(extractor, network, photos):
    import tensorflow as tf

    resized = tf.image.resize(photos, (299, 299), method="bilinear", antialias=True)
    expected = network(tf.cast(resized, tf.float32) / 127.5 - 1.0, training=False).numpy()
    found = extractor(photos)
    assert found.shape == (3, extractor.dimensions) and found.dtype == np.float32
    assert expected.std() > 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_features_tell_images_apart(extractor, photos):
    found = extractor(photos)
    assert np.abs(found[0] - found[1]).max() > 100 * np.abs(found - extractor(photos, batch_size=1)).max()


def test_a_grey_image_is_its_three_equal_channels(extractor, photos):
    grey = photos[:2, ..., :1]
    np.testing.assert_array_equal(extractor(grey), extractor(np.repeat(grey, 3, axis=-1)))


def test_batch_size_and_place_in_the_batch_do_not_matter(extractor, photos):
    whole = extractor(photos)
    np.testing.assert_allclose(extractor(photos, batch_size=2), whole, rtol=1e-3, atol=1e-5 * whole.max())
    assert extractor(photos[:0]).shape == (0, extractor.dimensions)


def test_the_published_layout_gives_the_same_features(extractor, published, photos, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(published.parent.parent))
    assert extractors.find_inception_weights() == published
    found = extractors.InceptionV3Features()(photos[:1])
    np.testing.assert_allclose(found, extractor(photos[:1]), rtol=1e-5)


def test_building_the_extractor_leaves_no_trace(weights, photos, extractor):
    import keras

    random.seed(7)
    expected = random.random()
    random.seed(7)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        built = extractors.InceptionV3Features(weights)
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert random.random() == expected
    np.testing.assert_allclose(built(photos[:1]), extractor(photos[:1]), rtol=1e-5)


@pytest.mark.parametrize(
    ("images", "received"),
    [
        (np.zeros((2, 8, 8, 3), "float32"), r"float32 of shape \(2, 8, 8, 3\)"),
        (np.zeros((8, 8, 3), "uint8"), r"uint8 of shape \(8, 8, 3\)"),
        (np.zeros((2, 8, 8, 2), "uint8"), r"uint8 of shape \(2, 8, 8, 2\)"),
        (np.zeros((2, 0, 8, 3), "uint8"), r"uint8 of shape \(2, 0, 8, 3\)"),
    ],
)
def test_other_images_are_refused(extractor, images, received):
    with pytest.raises(UsageError, match=f"images must be uint8 images .* received: {received}"):
        extractor(images)


# Its weights


def test_weights_that_are_nowhere_are_reported(empty_cache):
    assert extractors.find_inception_weights() is None
    with pytest.raises(DataUnavailableError, match="--inception-weights PATH") as raised:
        extractors.InceptionV3Features()
    assert extractors.INCEPTION_FILE in str(raised.value) and "\n" not in str(raised.value)


def test_a_path_that_is_no_weights_file_of_the_network_is_named(tmp_path, published):
    import keras

    text, folder, suffix = tmp_path / "text.h5", tmp_path / "folder.h5", tmp_path / "weights.bin"
    text.write_text("no weights")
    folder.mkdir()
    suffix.write_bytes(published.read_bytes()[:100])
    cut = tmp_path / "cut.h5"
    cut.write_bytes(published.read_bytes()[:100_000])
    other = tmp_path / "other.weights.h5"
    small = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    small.save_weights(other)
    for path in (tmp_path / "missing.h5", folder, text, suffix, cut, other):
        with pytest.raises(UsageError, match="inception weights must be a readable") as raised:
            extractors.InceptionV3Features(path)
        assert str(path) in str(raised.value) and "\n" not in str(raised.value)


@pytest.fixture
def server():
    """A server on this machine that has one file, and answers 403 to the question whether it has it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        asked: list[str] = []
        content = b"pretend these are weights"

        def do_HEAD(self):
            self.asked.append("HEAD")
            self.send_error(403)

        def do_GET(self):
            self.asked.append("GET")
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.content)))
            self.end_headers()
            self.wfile.write(self.content)

        def log_message(self, *_):
            pass

    Handler.asked = []
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def test_download_puts_the_file_where_it_is_found_and_needs_the_network_once(empty_cache, server, monkeypatch):
    handler = server.RequestHandlerClass
    monkeypatch.setattr(extractors, "INCEPTION_URL", f"http://127.0.0.1:{server.server_port}/weights.h5")
    monkeypatch.setattr(extractors, "INCEPTION_MD5", extractors.hashlib.md5(handler.content).hexdigest())
    path = extractors.download_inception_weights()
    assert path == extractors.find_inception_weights() == empty_cache / "models" / extractors.INCEPTION_FILE
    assert path.read_bytes() == handler.content
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert extractors.download_inception_weights() == path
    assert handler.asked == ["HEAD", "GET"]

    path.write_bytes(b"damaged")
    assert extractors.download_inception_weights().read_bytes() == handler.content


def test_a_download_with_the_wrong_checksum_is_refused_and_leaves_nothing(empty_cache, server, monkeypatch):
    monkeypatch.setattr(extractors, "INCEPTION_URL", f"http://127.0.0.1:{server.server_port}/weights.h5")
    with pytest.raises(DataUnavailableError, match="download .* failed .*hash.*--inception-weights PATH") as raised:
        extractors.download_inception_weights()
    assert "\n" not in str(raised.value)
    assert list((empty_cache / "models").iterdir()) == []
    assert socket.getdefaulttimeout() is None


def test_no_network_is_noticed_at_once(empty_cache, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        monkeypatch.setattr(extractors, "INCEPTION_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/weights.h5")
        began = time.perf_counter()
        with pytest.raises(DataUnavailableError, match="refused.*--inception-weights PATH"):
            extractors.download_inception_weights()
    assert time.perf_counter() - began < 8  # the bound is 10 s unless the patched 0.3 s is used
    assert not empty_cache.exists()


def test_a_server_that_never_answers_is_given_up(empty_cache, monkeypatch):
    monkeypatch.setattr(extractors, "_PROBE_SECONDS", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setattr(extractors, "INCEPTION_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/weights.h5")
        began = time.perf_counter()
        with pytest.raises(DataUnavailableError, match="no answer within 0.3 s|timed out"):
            extractors.download_inception_weights()
        assert time.perf_counter() - began < 8  # the bound is 10 s unless the patched 0.3 s is used


# The callback


class MeanColours:
    """An extractor for tests: the mean of each channel and of the upper half."""

    name = "mean colours"

    def __init__(self):
        self.seen = []

    def __call__(self, images):
        self.seen.append(images)
        return np.concatenate([images.mean((1, 2)), images[:, : images.shape[1] // 2].mean((1, 2))], axis=1)


class NoiseModel:
    """Stands in for a generative model: `generate` as the models have it, and what `keras` asks of one."""

    def __init__(self):
        self.asked = []

    def generate(self, n, seed):
        self.asked.append((n, seed))
        images = np.random.default_rng(seed).integers(0, 256, (n, 4, 4, 1), dtype=np.uint8)
        return {"images": images, "images_float": images / 255.0}


@pytest.fixture
def real_images():
    return np.random.default_rng(8).integers(0, 256, size=(20, 4, 4, 1), dtype=np.uint8)


def _callback(*args, **kwargs):
    from keras_gen.callbacks.fid import FID

    return FID(*args, **kwargs)


def test_the_callback_scores_every_few_epochs_and_logs_it(real_images, capsys):
    extractor, model = MeanColours(), NoiseModel()
    callback = _callback(real_images, extractor, every=3, count=12, seed=5)
    callback.set_model(model)
    recorded = []
    for epoch in range(7):
        logs = {"loss": 1.0}
        callback.on_epoch_end(epoch, logs)
        recorded.append(logs)
    assert [set(logs) - {"loss"} for logs in recorded] == [set(), set(), {"fid", "fid_images"}] * 2 + [set()]
    assert model.asked == [(12, 5)] * 2
    assert recorded[2] == recorded[5]
    assert recorded[2]["fid_images"] == 12

    chosen = real_images[np.random.default_rng(5).permutation(20)[:12]]
    expected = fid(MeanColours()(chosen), MeanColours()(model.generate(12, 5)["images"]))
    assert recorded[2]["fid"] == pytest.approx(expected, rel=1e-12)
    assert len(extractor.seen) == 3  # the real images once, the generated ones at each score
    np.testing.assert_array_equal(extractor.seen[0], chosen)
    line = f"FID {expected:.1f} (12 generated against 12 training images, mean colours)\n"
    assert capsys.readouterr().out == line * 2


def test_the_callback_uses_what_there_is_when_count_is_more(real_images, monkeypatch):
    callback, model = _callback(real_images, MeanColours(), every=1), NoiseModel()
    callback.set_model(model)
    logs = {}
    callback.on_epoch_end(0, logs)
    assert logs["fid_images"] == 20 and model.asked == [(20, 0)]

    monkeypatch.setattr("keras_gen.callbacks.fid._CHUNK", 7)
    assert callback.score() == pytest.approx(logs["fid"], rel=1e-9)
    callback.on_epoch_end(0, None)


def test_the_callback_scores_with_inception(extractor, capsys):
    images = np.full((2, 4, 4, 1), 128, np.uint8)
    callback = _callback(images, extractor, every=1)
    callback.set_model(NoiseModel())
    logs = {}
    callback.on_epoch_end(0, logs)
    assert 0 < logs["fid"] < np.inf
    assert "inception-v3 (keras.applications, ImageNet)" in capsys.readouterr().out


def _train(callbacks):
    import keras
    import tensorflow as tf

    class Tiny(keras.Sequential):
        def generate(self, n, seed):
            noise = tf.random.stateless_uniform((n, 4, 4, 1), (0, seed), maxval=256, dtype=tf.int32)
            return {"images": tf.cast(noise, tf.uint8), "images_float": tf.cast(noise, tf.float32) / 255.0}

    keras.utils.set_random_seed(3)
    model = Tiny([keras.Input((6,)), keras.layers.Dropout(0.5), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(32, 6))
    history = model.fit(x, x[:, :2], epochs=4, batch_size=8, verbose=0, callbacks=callbacks)
    tail = random.random(), np.random.random(), float(tf.random.uniform(()))
    return history.history, model.get_weights(), tail


def test_training_is_the_same_to_the_bit_with_the_callback(real_images):
    plain_history, plain_weights, plain_tail = _train([])
    history, trained, tail = _train([_callback(real_images, MeanColours(), every=2)])
    assert history["fid_images"] == [20, 20]
    assert history["fid"][0] == history["fid"][1] > 0
    assert history["loss"] == plain_history["loss"]
    assert tail == plain_tail
    for with_it, without in zip(trained, plain_weights, strict=True):
        np.testing.assert_array_equal(with_it, without)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"real_images": np.zeros((5, 4, 4, 1))}, "real_images must be uint8 images"),
        ({"real_images": np.zeros((1, 4, 4, 1), "uint8")}, "real_images must be at least 2 images"),
        ({"features": np.mean}, "features must be a feature extractor"),
        ({"features": None}, "features must be a feature extractor"),
        ({"every": 0}, "every must be"),
        ({"count": 1}, "count must be an integer of at least 2"),
        ({"count": 2.5}, "count must be"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_bad_arguments_of_the_callback_are_named(real_images, change, named):
    with pytest.raises(UsageError, match=named):
        _callback(**({"real_images": real_images, "features": MeanColours()} | change))
