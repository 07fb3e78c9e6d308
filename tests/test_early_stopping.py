"""Runs that end before their last epoch: when, what they record, and how they resume."""

import dataclasses
import math

import keras
import pytest
import run_helpers
from command_helpers import record_of

from keras_gen import UsageError, evaluation, publishing, training
from keras_gen.distribution.cluster import Cluster
from keras_gen.models import export
from keras_gen.runs import history, run_directory
from keras_gen.runs.settings import RunSettings
from keras_gen.training import early_stopping
from keras_gen.utils import files
from run_helpers import assert_same_run, without_artifacts

images = run_helpers.images
SETTINGS = {"batch_size": 16, "samples_every": 0, "fid_every": 0}
LOWEST_AFTER_2 = {"learning_rate": 0.03}
"""With it, `val_loss` is lowest after the second epoch."""


def settings_of(epochs, **options):
    options = {"keep_best": "val_loss", "patience": 2} | options
    return RunSettings("vae-mlp", LOWEST_AFTER_2, epochs=epochs, **options, **SETTINGS)


def killed(run, epochs):
    """Make a run one that was killed after its last checkpoint, of that many planned epochs; return its record."""
    finished = record_of(run)
    record = {name: value for name, value in finished.items() if name != "ended_early"}
    files.write_json(run / "recipe.json", record | {"settings": record["settings"] | {"epochs": epochs}})
    (run / export.RUN_FOLDER / export.DESCRIPTION_FILE).unlink()
    return finished


@pytest.fixture(scope="module")
def ended(images, tmp_path_factory):
    with without_artifacts():
        return training.run(settings_of(20), data=images, out=tmp_path_factory.mktemp("runs"))


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        ([3, 2, 1], None),
        ([1, 2], None),
        ([3, 1, 2, 2], "val_loss has not improved for 2 epochs"),
        ([3, 1, 1, 1], "val_loss has not improved for 2 epochs"),
        ([3, 1, 2, 0.5], None),
        ([math.nan, 2, math.nan, 3], "val_loss has not improved for 2 epochs"),
        ([None, None, None, None], None),  # not measured
        ([1, None, None], None),  # decided when it is measured
        ([1, None, None, None, 0.5], None),
        ([1, None, None, None, 2], "val_loss has not improved for 2 epochs"),
    ],
)
def test_patience_counts_epochs_since_the_lowest_value(losses, reason):
    rows = [{"epoch": i, "seconds": 1.0} | ({} if v is None else {"val_loss": v}) for i, v in enumerate(losses, 1)]
    assert early_stopping.reason(settings_of(20), rows) == reason


def test_minutes_are_those_of_all_epochs():
    settings = settings_of(20, max_minutes=2, patience=None, keep_best=None)
    rows = [{"epoch": epoch, "seconds": 40.0} for epoch in (1, 2, 3)]
    assert early_stopping.reason(settings, rows[:2]) is None
    assert early_stopping.reason(settings, rows) == "training has taken 2 minutes"


def test_a_run_ends_when_its_score_has_not_improved_and_says_so(ended):
    assert [row["epoch"] for row in history.read(ended / "history.csv")] == [1, 2, 3, 4]
    assert sorted(path.name for path in (ended / "checkpoints").iterdir()) == [
        "epoch-00002.npz",
        "epoch-00003.npz",
        "epoch-00004.npz",
    ]
    record = record_of(ended)
    assert record["ended_early"] == {"reason": "val_loss has not improved for 2 epochs", "planned_epochs": 20}
    assert record["settings"]["epochs"] == 4
    assert run_directory.planned_epochs(record) == 20


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(ended, images, tmp_path):
    with without_artifacts():
        run = training.run(settings_of(3), data=images, out=tmp_path)
        assert "ended_early" not in killed(run, epochs=20)
        training.resume(run, data=images)
    assert_same_run(run, ended)
    record = record_of(run)
    assert record["ended_early"] == record_of(ended)["ended_early"]
    assert [entry["after"] for entry in record["resumed"]] == ["epoch 3"]


def test_a_run_whose_learning_rates_decayed_twice_says_so_and_is_not_published(tmp_path):
    options = {"keep_best": None, "patience": None, "learning_rate_decay": "linear", "dataset": "digits"}
    with without_artifacts():
        run = training.run(dataclasses.replace(settings_of(2), **options), out=tmp_path)
        training.resume(run, epochs=3)
    assert [(entry["after"], entry["planned_epochs"]) for entry in record_of(run)["resumed"]] == [("epoch 2", 2)]
    evaluation.evaluate(run, evaluation.EvaluationSettings(measures=(), likelihood_images=0))
    with pytest.raises(UsageError, match="^run must be a run whose learning rates decay once, over its 3 epochs, rec"):
        publishing.publish([run], tmp_path / "published")


def test_a_run_killed_before_it_recorded_its_end_trains_no_further(images, tmp_path):
    with without_artifacts():
        run = training.run(settings_of(20), data=images, out=tmp_path)
        finished = killed(run, epochs=20)
        training.resume(run, data=images)
    assert len(history.read(run / "history.csv")) == 4
    assert {**record_of(run), "resumed": None} == {**finished, "resumed": None}


def test_a_number_of_epochs_continues_a_run_killed_before_it_recorded_its_end(images, tmp_path):
    with without_artifacts():
        run = training.run(settings_of(20), data=images, out=tmp_path)
        killed(run, epochs=20)
        training.resume(run, epochs=5, data=images)
    assert len(history.read(run / "history.csv")) == 5
    assert "ended_early" not in record_of(run)


def test_a_history_that_is_ahead_of_the_checkpoint_is_no_early_end(images, tmp_path, capsys):
    with without_artifacts():
        run = training.run(settings_of(5, patience=None), data=images, out=tmp_path)
        rows = history.read(run / "history.csv")
        history.write(run / "history.csv", [*rows, {**rows[-1], "epoch": 6}, {**rows[-1], "epoch": 7}])
        killed(run, epochs=12)
        capsys.readouterr()
        training.resume(run, epochs=5, data=images)
    assert "ended after" not in capsys.readouterr().out
    assert history.read(run / "history.csv") == rows
    assert "ended_early" not in record_of(run)


def test_an_explicit_number_of_epochs_continues_a_run_that_ended_early(images, tmp_path, capsys):
    run = training.run(settings_of(20), data=images, out=tmp_path)
    assert "ended after epoch 4 of 20: val_loss has not improved for 2 epochs" in capsys.readouterr().out
    description = export.description(run / "saved_model")
    assert (description["epochs"], description["best_epoch"]["epoch"]) == (4, 2)
    assert description["ended_early"]["planned_epochs"] == 20
    training.resume(run, data=images)
    assert "nothing to do: to train further, pass a larger --epochs" in capsys.readouterr().out
    with without_artifacts():
        training.resume(run, epochs=6, data=images)
    assert len(history.read(run / "history.csv")) == 6
    record = record_of(run)
    assert "ended_early" not in record
    assert (record["settings"]["epochs"], record["settings"]["patience"]) == (6, None)
    assert [entry["after"] for entry in record["resumed"]] == ["epoch 4"]


def test_patience_needs_a_column():
    with pytest.raises(UsageError, match="^patience must be left out without keep_best, .*received: 3"):
        RunSettings("vae-mlp", patience=3)


@pytest.mark.parametrize(
    ("name", "settings", "options"),
    [
        ("patience", {"patience": 2, "keep_best": "val_loss"}, {}),
        ("max_minutes", {"max_minutes": 3}, {}),
        ("callbacks", {}, {"callbacks": [keras.callbacks.EarlyStopping("val_loss")]}),
    ],
)
def test_several_workers_are_refused(name, settings, options, tmp_path):
    with pytest.raises(UsageError, match=f"^{name} must be left out with several workers"):
        cluster = Cluster(("localhost:1", "localhost:2"), 0)
        training.run(RunSettings("vae-mlp", dataset="digits", **settings), out=tmp_path, cluster=cluster, **options)
