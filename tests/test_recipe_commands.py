"""The commands with recipes that do not generate images, and with labels."""

import json
import shutil

import numpy as np
import pytest
from command_helpers import call, names, only_run, train
from PIL import Image
from run_helpers import without_artifacts

from keras_gen.runs import history
from keras_gen.evaluation import results

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")


def write_npz(path, labels):
    """Write 30 images of 8x8 pixels, brighter the higher their class, and their labels if requested."""
    classes = np.arange(30) % 3
    images = np.random.default_rng(0).integers(0, 80, (30, 8, 8)).astype(np.uint8) + (80 * classes[:, None, None])
    arrays = {"x_train": images[:24], "x_test": images[24:]}
    if labels:
        arrays |= {"y_train": classes[:24], "y_test": classes[24:]}
    np.savez(path, **{name: array.astype(np.uint8) for name, array in arrays.items()})
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_npz(tmp_path_factory.mktemp("labelled") / "shades.npz", labels=True)


@pytest.fixture(scope="module")
def denoiser(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("denoiser")
    outcome = call("run", "--model", "dae-conv", "--dataset", data, "--epochs", 2, "--batch-size", 8, "--out", out)
    assert outcome.code == 0, outcome.err
    return only_run(out), outcome


@pytest.fixture(scope="module")
def conditional(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("conditional")
    outcome = train(out, data, "--set", "num_classes=3", "--batch-size", "8")
    assert outcome.code == 0, outcome.err
    return only_run(out)


def test_a_denoisers_run_has_reconstructions_and_no_samples(denoiser):
    run, outcome = denoiser
    assert names(run / "reconstructions") == ["epoch-00001.png", "epoch-00002.png"]
    assert not (run / "samples").exists()
    assert "sample" not in outcome.out
    rows = history.read(run / "history.csv")
    assert {"loss", "mse", "corrupted_mse", "val_mse", "val_corrupted_mse"} <= rows[0].keys()
    described = json.loads((run / "saved_model" / "description.json").read_text(encoding="utf-8"))
    assert sorted(described["functions"]) == ["decode", "encode", "reconstruct"]


def test_a_denoiser_can_not_be_sampled(denoiser):
    error = call("sample", denoiser[0]).error
    assert "path must be a SavedModel with a function generate" in error
    assert "decode, encode, reconstruct" in error


def test_a_denoiser_is_evaluated(denoiser):
    outcome = call("evaluate", denoiser[0])
    assert outcome.code == 0, outcome.err
    assert "corrupted_mse" in outcome.out


def test_fid_of_a_model_that_does_not_generate_is_refused(data, denoiser, tmp_path):
    arguments = ("--model", "ae-conv", "--dataset", data, "--fid-every", 1, "--out", tmp_path / "runs")
    assert "fid_every must be 0 for ae-conv, which generates no images" in call("run", *arguments).error
    assert not (tmp_path / "runs").exists()
    assert "measures must be left out" in call("evaluate", denoiser[0], "--measures", "fid").error


def test_a_conditional_run_goes_from_training_to_samples_of_a_class(conditional, tmp_path):
    assert names(conditional / "samples") == ["epoch-00001.png"]
    outcome = call("sample", conditional, "--num", 6, "--labels", 2, 0, "--out", tmp_path / "made.npz")
    assert outcome.code == 0, outcome.err
    with np.load(tmp_path / "made.npz") as made:
        assert made["labels"].tolist() == [2, 0, 2, 0, 2, 0]
        assert made["images"].shape == (6, 8, 8, 1)
    assert call("sample", conditional, "--num", 6, "--labels", 2, 0, 1, "--out", tmp_path / "made.png").code == 0
    with Image.open(tmp_path / "made.png") as picture:
        assert picture.size == (3 * 9 + 1, 2 * 9 + 1)
    assert call("sample", conditional, "--num", 5, "--out", tmp_path / "drawn.npz").code == 0
    with np.load(tmp_path / "drawn.npz") as made:
        assert set(made["labels"].tolist()) <= {0, 1, 2}


def test_a_conditional_run_is_evaluated_and_resumed(conditional, tmp_path):
    run = shutil.copytree(conditional, tmp_path / "copied")
    options = ("--extractor", "lenet", "--measures", "fid", "--likelihood-samples", 10)
    outcome = call("evaluate", run, *options)
    assert outcome.code == 0, outcome.err
    scores = {score.name: score for score in results.read(run).scores}
    assert scores["fd_lenet"].protocol["generated_labels"] == "uniform"
    assert scores["nll"].protocol["conditional"] is True
    with without_artifacts():
        outcome = call("run", "--resume", run, "--epochs", 2)
    assert outcome.code == 0, outcome.err
    assert [row["epoch"] for row in history.read(run / "history.csv")] == [1, 2]


@pytest.mark.parametrize("label", [3, -1])
def test_an_unknown_class_is_refused(conditional, label):
    error = call("sample", conditional, "--num", 4, "--labels", label).error
    assert error == f"error: --labels must be classes from 0 to 2, received: {label}"


def test_more_classes_than_images_are_refused(conditional):
    error = call("sample", conditional, "--num", 2, "--labels", 0, 1, 2).error
    assert error == "error: --labels must be at most 2 classes, as --num, received: 3"


@pytest.mark.parametrize("classes", [2, 4])
def test_a_wrong_number_of_classes_is_refused_before_a_directory_is_made(data, tmp_path, classes):
    outcome = train(tmp_path / "runs", data, "--set", f"num_classes={classes}")
    assert f"num_classes must be 0 or 3 for data set shades, received: {classes}" in outcome.error
    assert not (tmp_path / "runs").exists()


def test_classes_of_data_without_labels_are_refused(tmp_path):
    data = write_npz(tmp_path / "plain.npz", labels=False)
    outcome = train(tmp_path / "runs", data, "--set", "num_classes=3")
    assert "num_classes must be 0 for data set plain, which has no labels, received: 3" in outcome.error
