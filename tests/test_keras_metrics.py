"""The distances as Keras metrics: the values of the functions, batches, references, and what is refused."""

import keras
import numpy as np
import pytest
from scorer_helpers import QuadrantExtractor, squares

from keras_gen import UsageError
from keras_gen.evaluation import FrechetDistance, KernelDistance, Reference, ReferenceStatistics
from keras_gen.metrics import fid, kid


@pytest.fixture
def extractor():
    return QuadrantExtractor()


def features(images, extractor):
    return extractor(images).features


def expected_of(kind, generated, real, extractor):
    pair = features(generated, extractor), features(real, extractor)
    return fid(*pair) if kind is FrechetDistance else kid(*pair).mean


KINDS = {FrechetDistance: "fd_lenet", KernelDistance: "kd_lenet"}


@pytest.mark.parametrize("kind", KINDS)
def test_the_result_is_that_of_the_function_whatever_the_batches(kind, extractor):
    real, generated = squares(50), squares(40, 1, 200)
    metric = kind(extractor)
    for start in range(0, 50, 7):
        metric.update_state(real[start : start + 7], generated[start : start + 7])
    expected = expected_of(kind, generated, real, extractor)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-9)
    assert metric.name == KINDS[kind]
    assert metric.result().dtype == "float64"
    metric.reset_state()
    metric.update_state(real[:9], generated[:8])
    assert float(metric.result()) == pytest.approx(expected_of(kind, generated[:8], real[:9], extractor), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_reference_takes_the_place_of_real_images(kind, extractor):
    real, generated = squares(50), squares(40, 1, 200)
    metric = kind(reference=Reference(real, extractor, cache=False))
    metric.update_state(None, generated[:15])
    metric.update_state(None, generated[15:] / np.float32(255))  # floats in [0, 1]
    real = np.concatenate(list(metric.reference.chunks()))  # in the reference's own order
    assert float(metric.result()) == pytest.approx(expected_of(kind, generated, real, extractor), rel=1e-6)


def test_options_of_the_kernel_distance(extractor):
    metric = KernelDistance(extractor, subsets=3, subset_size=10, seed=4, name="own")
    metric.update_state(squares(50), squares(40, 1))
    expected = kid(
        features(squares(40, 1), extractor), features(squares(50), extractor), subsets=3, subset_size=10, seed=4
    )
    assert (metric.name, float(metric.result())) == ("own", pytest.approx(expected.mean, rel=1e-9))


def test_it_is_a_metric_of_a_model_that_runs_eagerly(extractor):
    images = squares(24) / 255.0
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(1, 1, activation="sigmoid")])
    model.compile("sgd", "mse", metrics=[FrechetDistance(extractor)], run_eagerly=True)
    logs = model.evaluate(images, images, batch_size=8, verbose=0, return_dict=True)
    expected = fid(
        features(squares(24), extractor), features(np.uint8(np.rint(255 * model.predict(images, verbose=0))), extractor)
    )
    assert logs["fd_lenet"] == pytest.approx(expected, rel=1e-6)


def test_too_few_images_are_not_a_number_yet(extractor):
    metrics, isnan = [FrechetDistance(extractor), KernelDistance(extractor, subset_size=20)], []
    for count in (0, 1, 12, 12):
        for metric in metrics:
            if count:
                metric.update_state(squares(count), squares(count, 1, 200))
        isnan.append([bool(np.isnan(float(metric.result()))) for metric in metrics])
    assert isnan == [[True, True], [True, True], [False, True], [False, False]]
    for metric in metrics:
        metric.reset_state()
        assert np.isnan(float(metric.result()))
        metric.update_state(squares(1), squares(1, 1))
        assert np.isnan(float(metric.result()))
        with pytest.raises(UsageError, match="y_pred must be uint8"):
            metric.update_state(squares(9), squares(9) * 1000.0)
        metric.update_state(squares(1), squares(1, 1))  # the refused batch left nothing behind
    assert [float(metric.result()) > 0 for metric in metrics[:1]] == [True]
    assert np.isnan(float(metrics[1].result()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_compiled_model_with_it_is_saved_and_loaded(kind, tmp_path):
    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(1, 1)])
    model.compile("sgd", "mse", metrics=[kind("lenet", name="own")], run_eagerly=True)
    images = np.zeros((4, 28, 28, 1), np.float32)
    model.evaluate(images, images, batch_size=1, verbose=0)  # Keras asks for the result after one image, too
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert "own" in loaded.evaluate(images, images, verbose=0, return_dict=True)
    restored = kind.from_config(kind("lenet").get_config())
    assert (restored.name, restored.extractor.name) == (KINDS[kind], "lenet")


def test_images_of_half_precision_are_taken(extractor):
    import tensorflow as tf

    metric = FrechetDistance(extractor)
    half = tf.cast(squares(9) / 255.0, tf.bfloat16)
    metric.update_state(squares(9), half)
    expected = expected_of(FrechetDistance, np.uint8(np.rint(255 * np.float32(half))), squares(9), extractor)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-6)


def test_statistics_are_a_reference_for_the_frechet_distance(extractor, tmp_path):
    values = features(squares(50), extractor)
    np.savez(tmp_path / "real.npz", mu=values.mean(0), sigma=np.cov(values, rowvar=False))
    metric = FrechetDistance(reference=ReferenceStatistics(tmp_path / "real.npz", extractor))
    metric.update_state(None, squares(40, 1, 200))
    expected = expected_of(FrechetDistance, squares(40, 1, 200), squares(50), extractor)
    assert float(metric.result()) == pytest.approx(expected, rel=1e-4)


def test_in_a_graph_it_says_what_to_do(extractor):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(1, 1)])
    model.compile("sgd", "mse", metrics=[FrechetDistance(extractor)])
    with pytest.raises(UsageError, match="run_eagerly=True, or use keras_gen.callbacks"):
        model.evaluate(squares(8) / 255.0, squares(8) / 255.0, verbose=0)


WRONG = {
    "nothing": (lambda: FrechetDistance(), "extractor must be given without reference, or left out with it"),
    "both": (
        lambda: KernelDistance("lenet", reference=Reference(squares(9), QuadrantExtractor())),
        "extractor must be given without reference, or left out with it",
    ),
    "no reference": (
        lambda: FrechetDistance(reference=squares(9)),
        "reference must be a keras_gen.evaluation.Reference",
    ),
    "unknown": (lambda: FrechetDistance("letnet"), "extractor must be one of"),
    "weights": (
        lambda: FrechetDistance(QuadrantExtractor()).update_state(squares(9), squares(9), np.ones(9)),
        "sample_weight must be None",
    ),
    "real images and a reference": (
        lambda: FrechetDistance(reference=Reference(squares(9), QuadrantExtractor())).update_state(
            squares(9), squares(9)
        ),
        "y_true must be None",
    ),
    "floats of another range": (
        lambda: FrechetDistance(QuadrantExtractor()).update_state(squares(9) / 127.5 - 1, squares(9)),
        "y_true must be uint8 images, or floats in",
    ),
    "not finite": (
        lambda: FrechetDistance(QuadrantExtractor()).update_state(squares(9), squares(9) * np.nan),
        "y_pred must be uint8 images, or floats in",
    ),
    "no real images": (
        lambda: FrechetDistance(QuadrantExtractor()).update_state(None, squares(9)),
        "y_true must be real",
    ),
    "another extractor": (lambda: FrechetDistance(3), "extractor must be an Extractor"),
    "no number": (lambda: KernelDistance(QuadrantExtractor(), subsets=-3), "subsets must be an integer of at least 1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_use_is_refused(case):
    use, message = WRONG[case]
    with pytest.raises(UsageError, match=message):
        use()
