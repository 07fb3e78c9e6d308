"""The distances as Keras metrics: the values of the functions, batches, references, and what is refused."""

import keras
import numpy as np
import pytest
from scorer_helpers import QuadrantExtractor, squares

from keras_gen import UsageError
from keras_gen.evaluation import FrechetDistance, KernelDistance, Reference
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


def test_in_a_graph_it_says_what_to_do(extractor):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(1, 1)])
    model.compile("sgd", "mse", metrics=[FrechetDistance(extractor)])
    with pytest.raises(UsageError, match="run_eagerly=True, or use keras_gen.callbacks"):
        model.evaluate(squares(8) / 255.0, squares(8) / 255.0, verbose=0)


WRONG = {
    "nothing": (lambda: FrechetDistance(), "extractor must be given, or reference, and not both"),
    "both": (
        lambda: KernelDistance("lenet", reference=Reference(squares(9), QuadrantExtractor())),
        "extractor must be given, or reference, and not both",
    ),
    "no reference": (
        lambda: FrechetDistance(reference=squares(9)),
        "reference must be a keras_gen.evaluation.Reference",
    ),
    "unknown": (lambda: FrechetDistance("letnet"), "extractor must be one of"),
    "weights": (
        lambda: FrechetDistance(QuadrantExtractor()).update_state(squares(9), squares(9), np.ones(9)),
        "sample_weight must be left out",
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
    "no images": (lambda: FrechetDistance(QuadrantExtractor()).result(), "at least 2 samples"),
    "no images of the kernel": (lambda: KernelDistance(QuadrantExtractor()).result(), "at least 2"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_use_is_refused(case):
    use, message = WRONG[case]
    with pytest.raises(UsageError, match=message):
        use()
