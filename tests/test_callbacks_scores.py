"""The score callbacks, and Keras callbacks that read the scores."""

import csv
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_helpers import images, make_gan, make_vae, pixels
from scorer_helpers import NoiseModel, QuadrantExtractor, squares

from keras_gen import callbacks
from keras_gen.evaluation import Reference
from keras_gen.utils.errors import UsageError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_GEN_CACHE", str(tmp_path / "cache"))


def test_scores_are_logged_every_few_epochs_by_name(capsys):
    model, extractor = NoiseModel(level=128), QuadrantExtractor()
    callback = callbacks.FID(squares(40), every=3, num_images=12, extractor=extractor, seed=5)
    callback.set_model(model)
    recorded = []
    for epoch in range(7):
        logs = {"loss": 1.0}
        callback.on_epoch_end(epoch, logs)
        recorded.append(logs)
    assert [set(logs) - {"loss"} for logs in recorded] == [set(), set(), {"fd_lenet", "fd_lenet_images"}] * 2 + [set()]
    assert recorded[2] == recorded[5]
    assert recorded[2]["fd_lenet_images"] == 12
    [expected] = callback.scorer.score(NoiseModel(level=128), seed=5)
    assert recorded[2]["fd_lenet"] == expected.value
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"fd_lenet {expected.value:.4g}, of which about ")
    assert lines[0].endswith("(12 generated against 40 train images)")


def test_features_of_real_images_are_computed_once():
    extractor = QuadrantExtractor()
    callback = callbacks.FID(squares(40), every=1, num_images=12, extractor=extractor)
    callback.set_model(NoiseModel())
    for epoch in range(3):
        callback.on_epoch_end(epoch, {})
    assert extractor.seen == 40 + 3 * 12


def test_a_diverged_model_gets_no_score_and_trains_on(capsys):
    class Diverged(NoiseModel):
        def generate(self, n, seed):
            return super().generate(n, seed) | {"images_float": np.full((n, 8, 8, 1), np.inf)}

    callback = callbacks.FID(squares(40), every=1, num_images=12, extractor=QuadrantExtractor())
    callback.set_model(Diverged())
    logs = {"loss": float("nan")}
    callback.on_epoch_end(4, logs)
    assert list(logs) == ["loss"]
    assert capsys.readouterr().out.startswith("NOTE: no score after epoch 5: the model returns images with values that")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (callbacks.FID, {"fd_lenet"}),
        (callbacks.KID, {"kd_lenet"}),
        (callbacks.InceptionScore, {"classifier_score_lenet"}),
        (callbacks.PrecisionRecall, {f"{name}_lenet" for name in ("precision", "recall", "density", "coverage")}),
    ],
)
def test_each_measure_has_a_callback(kind, names):
    callback = kind(Reference(squares(40), QuadrantExtractor()), every=1, num_images=20)
    callback.set_model(NoiseModel())
    logs = {}
    callback.on_epoch_end(0, logs)
    assert set(logs) == names | {f"{name}_images" for name in names}


class GetsWorse(keras.callbacks.Callback):
    """Replace the real score by a chosen one."""

    def on_epoch_end(self, epoch, logs=None):
        assert np.isfinite(logs["fd_lenet"])
        logs["fd_lenet"] = abs(epoch - 1) + 1.0


def test_keras_callbacks_see_the_score(tmp_path):
    score = callbacks.FID(pixels(20), every=1, num_images=8, extractor=QuadrantExtractor())
    best = keras.callbacks.ModelCheckpoint(
        str(tmp_path / "{epoch}.keras"), monitor="fd_lenet", mode="min", save_best_only=True
    )
    stop = keras.callbacks.EarlyStopping(monitor="fd_lenet", mode="min", patience=2)
    table = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    board = keras.callbacks.TensorBoard(str(tmp_path / "board"), write_graph=False)
    history = make_vae(eager=False).fit(
        images(), epochs=9, verbose=0, callbacks=[score, GetsWorse(), best, stop, table, board]
    )
    assert history.history["fd_lenet"] == [2.0, 1.0, 2.0, 3.0]
    assert sorted(path.name for path in tmp_path.glob("*.keras")) == ["1.keras", "2.keras"]
    with open(tmp_path / "log.csv", newline="") as file:
        assert [float(row["fd_lenet"]) for row in csv.DictReader(file)] == [2.0, 1.0, 2.0, 3.0]
    tags = {
        value.tag
        for path in (tmp_path / "board").rglob("events*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert "epoch_fd_lenet" in tags


@pytest.mark.parametrize("make", [pytest.param(make_vae, marks=pytest.mark.slow), make_gan])
def test_training_is_the_same_to_the_bit_with_the_callback(make):
    def train(chosen):
        model = make(eager=False)
        history = model.fit(images(), epochs=2, batch_size=4, verbose=0, callbacks=chosen).history
        return history, model.get_weights(), (random.random(), np.random.random(), float(tf.random.uniform(())))

    plain_history, plain_weights, plain_tail = train([])
    score = callbacks.FID(pixels(20), every=1, num_images=8, extractor=QuadrantExtractor())
    history, weights, tail = train([score])
    assert history.pop("fd_lenet_images") == [8, 8]
    assert len(set(history.pop("fd_lenet"))) == 2
    assert history == plain_history
    assert tail == plain_tail
    for with_it, without in zip(weights, plain_weights, strict=True):
        np.testing.assert_array_equal(with_it, without)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": squares(5) / 255.0}, "reference must be uint8 images"),
        ({"reference": squares(1)}, "reference must be at least 2 images"),
        ({"extractor": None}, "extractor must be given if reference is images"),
        ({"extractor": "letnet"}, "extractor must be one of .*lenet"),
        ({"every": 0}, "every must be"),
        ({"num_images": 1}, "num_images must be an integer of at least 2"),
        ({"seed": -1}, "seed must be"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_arguments_are_named(change, message):
    arguments = {"reference": squares(20), "extractor": QuadrantExtractor()} | change
    with pytest.raises(UsageError, match=message):
        callbacks.FID(arguments.pop("reference"), **arguments)


def test_a_reference_has_its_own_extractor():
    with pytest.raises(UsageError, match="extractor must be left out with a Reference"):
        callbacks.FID(Reference(squares(20), QuadrantExtractor()), extractor="lenet")
