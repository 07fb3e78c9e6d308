"""A run that keeps its best checkpoint: which one, what is exported and loaded, and resuming."""

import shutil

import numpy as np
import pytest
import run_helpers

from keras_gen import evaluation, runs, training
from keras_gen.evaluation import EvaluationSettings
from keras_gen.models import export
from keras_gen.runs import checkpoints, history
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.runs.settings import RunSettings
from keras_gen.utils import safe_files
from keras_gen.utils.errors import UsageError
from run_helpers import assert_same_run, without_artifacts

images = run_helpers.images
SETTINGS = {"batch_size": 16, "samples_every": 0, "fid_every": 0}
HIGH_RATE = {"learning_rate": 0.03}
"""With it, `val_loss` is lowest after the second of three epochs."""


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory):
    settings = RunSettings("vae-mlp", HIGH_RATE, epochs=3, keep_best="val_loss", **SETTINGS)
    return training.run(settings, data=images, out=tmp_path_factory.mktemp("runs"))


def kept(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_the_best_checkpoint_is_kept_exported_and_loaded(finished, images):
    losses = [row["val_loss"] for row in history.read(finished / "history.csv")]
    assert np.argmin(losses) == 1
    assert kept(finished) == ["epoch-00002.npz", "epoch-00003.npz"]
    assert checkpoints.best(finished, "val_loss").position == TrainingPosition(2)
    opened = runs.load(finished, data=images)
    assert opened.position == TrainingPosition(2)
    validation = opened.model.evaluate(opened.data.validation.images, verbose=0, return_dict=True)
    assert validation["loss"] == pytest.approx(losses[1], rel=0.02)  # another draw of the latents
    loaded = export.load(finished / "saved_model").generate(n=4, seed=7)
    np.testing.assert_allclose(loaded["images"], opened.model.generate(4, seed=7)["images"], atol=1)
    assert export.description(finished / "saved_model")["best_epoch"]["val_loss"] == losses[1]
    assert runs.load(finished, data=images, newest=True).position == TrainingPosition(3)
    measured = evaluation.evaluate(finished, EvaluationSettings(measures=(), likelihood_images=0), data=images)
    assert measured.losses
    assert safe_files.read_json(finished / "evaluation.json")["epoch"] == 2


def test_a_resumed_run_keeps_the_same_checkpoints(finished, images, tmp_path):
    settings = RunSettings("vae-mlp", HIGH_RATE, epochs=2, keep_best="val_loss", **SETTINGS)
    with without_artifacts():
        run = training.run(settings, data=images, out=tmp_path)
        training.resume(run, epochs=3, data=images)
        assert checkpoints.best(run, "val_loss").position == TrainingPosition(2)
        assert_same_run(run, finished)
        training.resume(run, epochs=5, data=images)
    assert kept(run) == ["epoch-00002.npz", "epoch-00004.npz", "epoch-00005.npz"]


@pytest.mark.parametrize(
    ("model", "column", "message"),
    [
        ("vae-mlp", "fd_lenet", "keep_best must be loss or val_loss for this run, received: 'fd_lenet'"),
        ("gan-mlp", "val_loss", "keep_best must be left out for this run, received: 'val_loss'"),
    ],
)
def test_a_column_that_will_not_be_measured_is_refused(images, tmp_path, model, column, message):
    with pytest.raises(UsageError, match=message):
        training.run(RunSettings(model, epochs=1, keep_best=column, **SETTINGS), data=images, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_score_that_is_due_only_after_the_last_epoch_is_refused(images, tmp_path):
    settings = RunSettings("vae-mlp", epochs=2, keep_best="fd_lenet", **SETTINGS | {"fid_every": 3})
    with pytest.raises(UsageError, match="keep_best must be loss or val_loss for this run, received: 'fd_lenet'"):
        training.run(settings, data=images, out=tmp_path)


def test_the_first_of_equal_and_finite_values_among_existing_and_intact_checkpoints_is_the_best(tmp_path, capsys):
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    for position in (1, 0), (2, 3), (3, 0), (4, 0), (5, 0), (7, 0):  # 2: within the next epoch
        written = checkpoints.write(tmp_path, {"00000 x": np.zeros(1)}, TrainingPosition(*position))
        written.rename(run / "checkpoints" / written.name)
    (run / "checkpoints" / "epoch-00007.npz").write_bytes(b"truncated")
    assert checkpoints.best(run, "fid") is None
    values = {1: 7.0, 2: 1.0, 3: 4.0, 4: 4.0, 5: float("nan"), 6: 2.0, 7: 1.0}
    history.write(run / "history.csv", [{"epoch": epoch, "fid": value} for epoch, value in values.items()])
    assert checkpoints.best(run, "fid").position == TrainingPosition(3)
    assert "epoch-00007.npz is damaged; the best by fid is chosen among the others" in capsys.readouterr().out
    assert checkpoints.best(run, "other") is checkpoints.best(run, None) is None


def test_a_run_with_a_damaged_best_checkpoint_loads_and_goes_on(finished, images, tmp_path, capsys):
    run = shutil.copytree(finished, tmp_path / "run")
    best = checkpoints.best(run, "val_loss").path
    best.write_bytes(best.read_bytes()[:-1000])
    assert runs.load(run, data=images).position == TrainingPosition(3)
    assert "is damaged; the best by val_loss is chosen among the others" in capsys.readouterr().out
    training.resume(run, epochs=4, data=images)
    assert kept(run) == ["epoch-00003.npz", "epoch-00004.npz"]
