"""Tests of runs whose data moved, are gone, have class names, or have no test labels."""

import json
import shutil

import numpy as np
import pytest
from command_helpers import call, record_of
from run_helpers import save_checkpoint

from keras_gen import UsageError, data, evaluation, runs, training
from keras_gen.data import classes
from keras_gen.runs import loading, run_directory
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.runs.settings import RunSettings
from keras_gen.utils import files

OVERRIDES = {"num_classes": 2, "hidden": 8, "latent_dim": 2}
IMAGES, LABELS = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8), np.array([3, 7] * 30)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What a finished run on an .npz file, which is gone now, needs to be opened; it was not trained."""
    folder = tmp_path_factory.mktemp("runs")
    np.savez(folder / "noise.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:9])
    settings = RunSettings("vae-mlp", OVERRIDES, str(folder / "noise.npz"), epochs=1, batch_size=16, fid_every=0)
    loaded, _ = loading.load_data(settings)
    run = run_directory.create(folder, "vae-mlp")
    model = loading.build(settings, loaded)
    loading.write_model_config(run, model)
    files.write_json(run / "recipe.json", {"settings": settings.to_json(), "data": loaded.description()})
    save_checkpoint(run, model, TrainingPosition(1))
    (run / "saved_model").mkdir()
    files.write_json(run / "saved_model" / "description.json", {"epochs": 1})
    (folder / "noise.npz").rename(folder / "hidden.npz")
    return run


@pytest.fixture
def moved(run, tmp_path, monkeypatch):
    """The folder to which the data of `run` moved."""
    monkeypatch.delenv("KERAS_GEN_DATA", raising=False)
    (tmp_path / "noise.npz").write_bytes((run.parent / "hidden.npz").read_bytes())
    return tmp_path


def test_a_run_finds_data_whose_folder_was_given_by_data_dir(run, moved, monkeypatch):
    content = record_of(run)
    content["settings"] |= {"data_dir": str(moved / "gone")}
    copied = shutil.copytree(run, moved / "copy")
    files.write_json(copied / "recipe.json", content)
    assert runs.load(copied, dataset=str(moved / "noise.npz")).data.origin == str(moved / "noise.npz")
    monkeypatch.setenv("KERAS_GEN_DATA", str(moved))
    assert runs.load(copied).data.origin == str(moved / "noise.npz")
    monkeypatch.setenv("HOME", str(moved.parent))
    assert runs.load(copied, data_dir=f"~/{moved.name}").data.origin == str(moved / "noise.npz")


def test_the_checkpoints_of_a_finished_run_are_not_replaced_by_a_new_training(run, moved, monkeypatch):
    monkeypatch.setenv("KERAS_GEN_DATA", str(moved))
    copied = shutil.copytree(run, moved / "copy")
    shutil.rmtree(copied / "checkpoints")
    for function in (runs.load, evaluation.evaluate, training.resume):
        with pytest.raises(
            UsageError, match="^the checkpoints of .*copy, which had finished, are gone: only its Saved"
        ):
            function(copied)


def test_a_run_finds_data_that_moved(run, moved, monkeypatch):
    with pytest.raises(UsageError, match="noise.npz of .* was not found: pass its new path with --dataset, or the f"):
        runs.load(run)
    with pytest.raises(UsageError, match="was not found"):
        runs.load(run, data_dir=run)
    np.savez(moved / "other.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES[1:9])
    with pytest.raises(UsageError, match="other.npz is no longer what .* was trained on: its fingerprint differs"):
        runs.load(run, dataset=str(moved / "other.npz"))
    (moved / "else.npz").write_bytes((moved / "noise.npz").read_bytes())
    for place in ({"dataset": str(moved / "else.npz")}, {"data_dir": moved}, {"dataset": "else", "data_dir": moved}):
        assert runs.load(run, **place).data.origin.startswith(str(moved))
    monkeypatch.setenv("KERAS_GEN_DATA", str(moved))
    assert runs.load(run).data.origin == str(moved / "noise.npz")


def test_a_conditional_run_without_test_labels_is_evaluated_where_its_data_are(run, moved):
    result = call("evaluate", run, "--data-dir", moved, "--measures", "none")
    assert result.code == 0, result.error
    assert "no losses and no scores of test images: they have no labels" in result.out
    assert evaluation.results.read(run).losses == {}


def test_a_resumed_run_records_where_its_data_are_now(run, moved):
    result = call("run", "--resume", run, "--dataset", moved / "noise.npz")
    assert result.code == 0, result.error
    assert "1 of 1 epochs done" in result.out
    record = record_of(run)
    assert record["settings"]["dataset"] == record["data"]["origin"] == str(moved / "noise.npz")
    assert runs.load(run).position.epoch == 1
    assert "--skip-damaged can't be used here" in call("run", "--resume", run, "--skip-damaged").error


def test_a_run_of_an_old_version_keeps_its_labels_with_gaps(run, moved):
    record = record_of(run)
    old = classes.with_source_labels(data.load(moved / "noise.npz"))
    del record["data"]["class_names"]
    record["data"]["fingerprint"] = old.fingerprint
    record["settings"] |= {"overrides": {}}
    copy = moved / "run"
    copy.mkdir()
    (copy / "recipe.json").write_text(json.dumps(record))
    assert runs.load(copy, data_dir=moved).data.num_classes == 8
