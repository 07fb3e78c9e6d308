"""The commands: what they write and print, and that every mistake is one line on stderr and exit code 2."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import command_helpers
import numpy as np
import pytest
import tensorflow as tf
from command_helpers import (
    EXPERIMENTS,
    NO_NETWORK,
    SMALL,
    Outcome,
    call,
    names,
    no_space,
    only_run,
    record_of,
    train,
    write_npz,
)
from PIL import Image

import keras_gen
from keras_gen import checkpoints, runs, training
from keras_gen.callbacks import history

own_working_directory, nothing_at_hand = command_helpers.own_working_directory, command_helpers.nothing_at_hand


@dataclass(frozen=True)
class Finished:
    """A run of two epochs on images in an npz file, and what the command printed."""

    path: Path
    data: Path
    outcome: Outcome


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    data = write_npz(folder / "noise.npz")
    outcome = train(folder / "runs", data, "--checkpoint-every", "2", "--batch-size", "8", "--seed", "5", epochs=2)
    assert outcome.code == 0, outcome.err
    return Finished(only_run(folder / "runs"), data, outcome)


@pytest.fixture
def copied(finished, tmp_path):
    """The finished run, to be changed."""
    return Path(shutil.copytree(finished.path, tmp_path / "copied"))


# run.py


def test_a_run_leaves_everything_in_its_directory(finished):
    run = finished.path
    assert run.name == "00001-vae-mlp"
    assert names(run) == [
        "checkpoints",
        "history.csv",
        "losses.png",
        "model.txt",
        "recipe.json",
        "reconstructions",
        "samples",
        "saved_model",
        "tensorboard",
    ]
    assert names(run / "checkpoints") == ["epoch-00002.npz"]
    for folder in ("samples", "reconstructions"):
        assert names(run / folder) == ["epoch-00001.png", "epoch-00002.png"]
    rows = history.read(run / "history.csv")
    assert [row["epoch"] for row in rows] == [1, 2]
    assert [row["updates"] for row in rows] == [3, 6]
    quantities = ["kl", "loss", "mse", "reconstruction"]
    assert list(rows[0]) == ["epoch", "seconds", "updates", *quantities, *(f"val_{name}" for name in quantities)]
    with Image.open(run / "losses.png") as picture:
        assert picture.format == "PNG"
    assert any(path.name.startswith("events") for path in (run / "tensorboard").rglob("*"))
    model = (run / "model.txt").read_text(encoding="utf-8")
    assert 'Model: "encoder"' in model
    assert 'Model: "decoder"' in model
    description = json.loads((run / "saved_model" / "description.json").read_text(encoding="utf-8"))
    assert description["functions"] == ["generate", "decode", "encode", "reconstruct"]
    assert (description["recipe"], description["epochs"], description["seed"]) == ("vae-mlp", 2, 5)
    assert description["last_epoch"] == rows[-1]


def test_the_record_says_all_that_decided_the_run(finished):
    record = record_of(finished.path)
    assert list(record) == ["settings", "arguments", "data", "versions", "machine", "command", "created"]
    assert record["settings"] == {
        "model": "vae-mlp",
        "overrides": {"hidden": 8, "latent_dim": 2},
        "dataset": str(finished.data),
        "data_dir": None,
        "image_size": None,
        "channels": None,
        "binarize": None,
        "epochs": 2,
        "batch_size": 8,
        "seed": 5,
        "strategy": "auto",
        "samples_every": 1,
        "sample_count": 4,
        "fid_every": 0,
        "fid_count": 1000,
        "fid_download": False,
        "inception_weights": None,
        "checkpoint_every": 2,
    }
    assert record["arguments"] == {
        "latent_dim": 2,
        "hidden": 8,
        "scale": 1.0,
        "learn_scale": False,
        "beta": 1.0,
        "free_bits": 0.0,
        "learning_rate": 0.005,
        "num_classes": 0,
    }
    assert record["data"]["requested"] == str(finished.data)
    assert record["data"]["substituted_because"] is None
    assert record["data"]["counts"] == {"train": 22, "validation": 2, "test": 6}
    assert len(record["data"]["fingerprint"]) == 64
    assert record["versions"]["keras_gen"] == keras_gen.__version__
    assert record["versions"]["tensorflow"] == tf.__version__
    assert record["command"][:3] == ["run.py", "--model", "vae-mlp"]
    assert record["created"].endswith("+00:00")


def test_a_run_prints_what_it_does_and_where(finished):
    lines = finished.outcome.out.splitlines()
    assert lines[0] == "vae-mlp (R2) on noise (npz; 22 train, 2 validation, 6 test images, 8x8x1)"
    assert lines[1] == f"2 epochs, batch size 8, seed 5, run directory {finished.path}"
    assert lines[-1] == f"sample from it: python experiments/sample.py {finished.path}"
    assert sum(line.startswith("Epoch ") for line in lines) == 2
    assert finished.outcome.err == ""


def test_what_a_run_generates_is_what_its_saved_model_generates(finished):
    opened = training.open_run(finished.path)
    assert opened.epoch == 2
    loaded = tf.saved_model.load(str(finished.path / "saved_model")).generate(n=4, seed=5)["images"].numpy()
    np.testing.assert_array_equal(loaded, opened.model.generate(4, 5)["images"])


def test_without_a_data_set_named_the_digits_stand_in_and_the_run_says_so(tmp_path):
    outcome = call("run", "--model", "vae-mlp", *SMALL, "--epochs", 1, "--samples-every", 0, "--batch-size", 512)
    assert outcome.code == 0, outcome.err
    run = only_run(Path("runs"))
    (note,) = (line for line in outcome.out.splitlines() if line.startswith("NOTE: "))
    assert note.startswith("NOTE: training on the embedded digits instead of mnist: mnist is not on this machine")
    assert NO_NETWORK in note
    record = record_of(run)
    assert record["settings"]["dataset"] == "digits"
    assert record["data"]["name"] == "digits"
    assert record["data"]["requested"] is None
    assert note.endswith(record["data"]["substituted_because"])
    assert "samples" not in names(run)
    again = call("run", "--resume", run)
    assert again.code == 0
    assert "NOTE" not in again.out


def test_a_data_set_that_was_named_has_no_stand_in():
    outcome = call("run", "--model", "vae-mlp", "--dataset", "mnist")
    assert outcome.error.startswith("error: mnist is not on this machine")
    assert NO_NETWORK in outcome.error
    assert outcome.out == ""
    assert not Path("runs").exists()


def test_a_data_set_put_where_the_variable_points_is_the_recipe_s_own(tmp_path, monkeypatch):
    write_npz(tmp_path / "mnist.npz")
    monkeypatch.setenv("KERAS_GEN_DATA", str(tmp_path))
    outcome = call("run", "--model", "vae-mlp", *SMALL, "--epochs", 1)
    assert outcome.code == 0, outcome.err
    assert "NOTE" not in outcome.out
    run = only_run(Path("runs"))
    assert record_of(run)["data"]["requested"] is None
    monkeypatch.delenv("KERAS_GEN_DATA")
    assert "nothing to do" in call("run", "--resume", run).out


# Mistakes


def folder_without_images(tmp_path):
    (tmp_path / "empty").mkdir()
    return ["--dataset", tmp_path / "empty"]


def corrupt_npz(tmp_path):
    path = write_npz(tmp_path / "corrupt.npz")
    path.write_bytes(path.read_bytes()[:200])
    return ["--dataset", path]


def file_as_out(tmp_path):
    (tmp_path / "file").write_text("in the way")
    return ["--dataset", "digits", "--out", tmp_path / "file" / "runs"]


def export_that_exists(tmp_path):
    (tmp_path / "exported").mkdir()
    return ["--dataset", "digits", "--export", tmp_path / "exported"]


def export_onto_a_file(tmp_path):
    (tmp_path / "file").write_text("in the way")
    return ["--dataset", "digits", "--overwrite", "--export", tmp_path / "file"]


def weights_that_are_none(tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"no HDF5")
    return ["--dataset", "digits", "--fid-every", 1, "--inception-weights", tmp_path / "weights.h5"]


DIGITS = ("--dataset", "digits")
MISTAKES = {
    "unknown model": (["--model", "vea"], "model must be one of "),
    "no model": ([], "one of the arguments --model --list --resume is required"),
    "two things at once": (["--model", "vae", "--list"], "not allowed with argument"),
    "abbreviated": (["--model", "vae-mlp", "--epoch", 1], "unrecognized arguments: --epoch"),
    "epochs no number": (["--model", "vae-mlp", "--epochs", "ten"], "invalid int value: 'ten'"),
    "unknown data set": (["--dataset", "mnits"], "dataset must be one of "),
    "no such path": (["--dataset", "./no/such.npz"], "dataset must be an existing folder or .npz file"),
    "empty name": (["--dataset", ""], "dataset must be a name or a path"),
    "empty folder": (folder_without_images, "holds no images"),
    "corrupt npz": (corrupt_npz, "can't be read as an .npz file"),
    "data dir": ([*DIGITS, "--data-dir", "missing"], "data_dir must be an existing folder"),
    "override": ([*DIGITS, "--set", "latentdim=3"], "has no parameter 'latentdim', did you mean 'latent_dim'?"),
    "override's type": ([*DIGITS, "--set", "beta=big"], "beta must be a number"),
    "override's value": ([*DIGITS, "--set", "latent_dim=0"], "latent_dim must be an integer of at least 1"),
    "learning rate": ([*DIGITS, "--set", "learning_rate=0"], "learning_rate must be a number above 0"),
    "negative beta": ([*DIGITS, "--set", "beta=-1"], "beta must be a number of at least 0"),
    "constraint": (["--model", "wgan", *DIGITS, "--set", "constraint=no"], "constraint must be one of"),
    "size for a GAN": (["--model", "gan", *DIGITS, "--image-size", 30], "multiples of 4, received: (30, 30, 1)"),
    "odd size for a VAE": (["--model", "vae", *DIGITS, "--image-size", 27], "multiples of 2, received: (27, 27, 1)"),
    "size for an LSTM": (["--model", "vae", *DIGITS, "--image-size", 256], "must be small enough for a dense layer"),
    "no size": ([*DIGITS, "--image-size", 0], "image_size must be an integer of at least 1"),
    "channels": ([*DIGITS, "--channels", 2], "channels must be one of 1, 3"),
    "binarize": ([*DIGITS, "--binarize", "maybe"], "binarize must be one of"),
    "batch size": ([*DIGITS, "--batch-size", 0], "batch_size must be an integer of at least 1"),
    "epochs": ([*DIGITS, "--epochs", 0], "epochs must be an integer of at least 1"),
    "seed": ([*DIGITS, "--seed", -1], "seed must be an integer from 0 to 2147483647"),
    "large seed": ([*DIGITS, "--seed", 2**31], "seed must be an integer from 0 to 2147483647"),
    "strategy": ([*DIGITS, "--strategy", "foo"], "strategy must be one of auto, none, mirrored"),
    "samples": ([*DIGITS, "--samples", 0], "sample_count must be an integer of at least 1"),
    "samples every": ([*DIGITS, "--samples-every", -1], "samples_every must be an integer of at least 0"),
    "checkpoint every": ([*DIGITS, "--checkpoint-every", 0], "checkpoint_every must be an integer of at least 1"),
    "fid images": ([*DIGITS, "--fid-images", 1], "fid_count must be an integer of at least 2"),
    "fid every": ([*DIGITS, "--fid-every", -1], "fid_every must be an integer of at least 0"),
    "weights missing": ([*DIGITS, "--fid-every", 1, "--inception-weights", "none.h5"], "inception weights must be"),
    "weights of another kind": (weights_that_are_none, "inception weights must be a readable weights file"),
    "out": (file_as_out, "out must be in a folder that can be written"),
    "export exists": (export_that_exists, "export exists already"),
    "export a file": (export_onto_a_file, "export must be a folder or a new name"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_no_run_directory(mistake, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_fit", lambda *arguments: pytest.fail("it went on to train"))
    arguments, message = MISTAKES[mistake]
    arguments = list(arguments(tmp_path) if callable(arguments) else arguments)
    if mistake != "no model" and "--model" not in arguments:
        arguments = ["--model", "vae-mlp", *arguments]
    before = {path.name for path in tmp_path.rglob("*")}
    outcome = call("run", *arguments)
    assert message in outcome.error
    assert outcome.error.startswith(("error: ", "run.py: error: "))
    after = {path.name for path in tmp_path.rglob("*")}
    assert after - before - {"exported", "file", "empty", "corrupt.npz", "weights.h5"} == set()


def never_train(monkeypatch):
    def train(*arguments):
        raise AssertionError("it went on to train")

    monkeypatch.setattr(training, "_fit", train)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--export", "exported", "--export-functions", "generate,dream"],
        ["--export-functions", "generate"],
        ["--overwrite"],
    ],
    ids=" ".join,
)
def test_an_export_that_will_not_work_is_refused_before_training(finished, monkeypatch, arguments):
    never_train(monkeypatch)
    error = call("run", "--model", "vae-mlp", "--dataset", finished.data, *arguments).error
    assert "function" in error or "--export" in error
    assert not Path("runs").exists()


def test_an_export_below_a_file_is_refused_before_training(finished, monkeypatch):
    never_train(monkeypatch)
    Path("file").write_text("in the way")
    arguments = ["--model", "vae-mlp", "--dataset", finished.data, "--export", "file/exported"]
    assert "export" in call("run", *arguments).error
    assert not Path("runs").exists()


@pytest.mark.parametrize("kind", ["beyond 64 bits", "beyond the memory"])
def test_a_network_that_does_not_fit_is_a_mistake(finished, monkeypatch, kind):
    def exhausted(*arguments, **keywords):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nand a page of detail")

    if kind == "beyond the memory":
        monkeypatch.setattr(training.zoo, "build", exhausted)
    arguments = ["--model", "vae-mlp", "--dataset", finished.data, "--set", "latent_dim=1" + "0" * 20]
    try:
        outcome = call("run", *arguments)
    except (ValueError, tf.errors.ResourceExhaustedError) as error:
        pytest.fail(f"a traceback: {error!r}")
    assert "latent_dim" in outcome.error or "memory" in outcome.error
    assert not Path("runs").exists()


@pytest.mark.parametrize("arguments", [["--set", "beta=4"], ["--seed", "3"], ["--dataset", "digits"]], ids=" ".join)
def test_settings_can_not_be_changed_on_resuming(copied, arguments):
    error = call("run", "--resume", copied, *arguments).error
    assert error == f"error: {arguments[0]} can't be used here: a resumed run keeps its own settings"


def test_listing_takes_no_settings():
    assert call("run", "--list", "--epochs", 3).error == "error: --epochs can't be used here: --list only lists"


# Publishing


def generated(folder, n=3, seed=1):
    return tf.saved_model.load(str(folder)).generate(n=n, seed=seed)["images"].numpy()


def test_a_run_publishes_its_saved_model_and_only_what_was_asked_for(finished, tmp_path):
    target = tmp_path / "published" / "mine"
    outcome = train(tmp_path / "runs", finished.data, "--export", target, "--export-functions", "generate")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == f"exported to {target}"
    assert sorted(tf.saved_model.load(str(target)).signatures) == ["generate"]
    assert json.loads((target / "description.json").read_text())["functions"] == ["generate"]
    run = only_run(tmp_path / "runs")
    np.testing.assert_array_equal(generated(target), generated(run / "saved_model"))


def test_a_finished_run_is_published_by_resuming_it_and_replaces_only_if_told_to(copied, tmp_path):
    target = tmp_path / "mine"
    first = call("run", "--resume", copied, "--export", target)
    assert first.code == 0, first.err
    assert "Epoch" not in first.out
    assert sorted(tf.saved_model.load(str(target)).signatures) == ["decode", "encode", "generate", "reconstruct"]
    half = tmp_path / "half"
    assert call("run", "--resume", copied, "--export", half, "--export-half").code == 0
    sizes = [(folder / "variables" / "variables.data-00000-of-00001").stat().st_size for folder in (half, target)]
    assert sizes[0] < 0.7 * sizes[1]
    refused = call("run", "--resume", copied, "--export", target, "--export-functions", "decode")
    assert refused.error == f"error: export exists already: {target} (give --overwrite to replace it)"
    assert "decode" in tf.saved_model.load(str(target)).signatures
    arguments = ["--resume", copied, "--export", target, "--export-functions", "generate", "--overwrite"]
    assert call("run", *arguments).code == 0
    assert sorted(tf.saved_model.load(str(target)).signatures) == ["generate"]
    assert names(tmp_path) == ["copied", "half", "mine", "work"]


def test_only_an_older_saved_model_is_replaced(copied, tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "thesis.txt").write_text("three years")
    outcome = call("run", "--resume", copied, "--export", folder, "--overwrite")
    assert names(folder) == ["thesis.txt"]
    assert "export" in outcome.error


# sample.py


def test_images_are_sampled_from_a_run_and_from_its_saved_model_alike(finished):
    outcome = call("sample", finished.path, "--num", 5, "--seed", 3, "--out", "a.npz")
    assert outcome == Outcome(0, "5 images 8x8x1 with seed 3: a.npz\n", "")
    assert call("sample", finished.path / "saved_model", "--num", 5, "--seed", 3, "--out", "b.npz").code == 0
    with np.load("a.npz") as first, np.load("b.npz") as second:
        assert sorted(first.files) == sorted(second.files) == ["images", "images_float"]
        assert first["images"].shape == (5, 8, 8, 1)
        assert first["images"].dtype == np.uint8
        assert first["images_float"].dtype == np.float32
        np.testing.assert_array_equal(first["images"], np.round(first["images_float"] * 255))
        for name in first.files:
            np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_array_equal(first["images"], generated(finished.path / "saved_model", 5, 3))


def test_a_grid_of_samples_is_a_picture_that_replaces_an_older_one(finished):
    Path("grid.png").write_bytes(b"older")
    assert call("sample", finished.path, "--num", 7, "--out", "grid.png").code == 0
    with Image.open("grid.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == (3 * 9 + 1, 3 * 9 + 1)
    before = Path("grid.png").read_bytes()
    assert call("sample", finished.path, "--num", 7, "--seed", 1, "--out", "grid.png").code == 0
    assert Path("grid.png").read_bytes() != before
    assert call("sample", finished.path, "--num", 7, "--out", "grid.png").code == 0
    assert Path("grid.png").read_bytes() == before
    assert names(Path.cwd()) == ["grid.png"]


def test_a_hundred_samples_go_to_samples_png(finished):
    assert call("sample", finished.path).out == "100 images 8x8x1 with seed 0: samples.png\n"
    with Image.open("samples.png") as picture:
        assert picture.size == (91, 91)


@pytest.fixture(scope="module")
def odd_folders(finished, tmp_path_factory):
    """Folders that are no SavedModel of ours, in one way each."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "empty").mkdir()
    shutil.copytree(finished.path, folder / "unfinished")
    shutil.rmtree(folder / "unfinished" / "saved_model")
    shutil.copytree(finished.path / "saved_model", folder / "graph")
    content = (folder / "graph" / "saved_model.pb").read_bytes()
    (folder / "graph" / "saved_model.pb").write_bytes(content[: len(content) // 2])
    shutil.copytree(finished.path / "saved_model", folder / "weights")
    for path in (folder / "weights" / "variables").iterdir():
        path.write_bytes(path.read_bytes()[:10])
    shutil.copytree(finished.path / "saved_model", folder / "no_weights")
    shutil.rmtree(folder / "no_weights" / "variables")
    tf.saved_model.save(tf.Module(), str(folder / "foreign"))
    (folder / "file").write_text("a file")
    return folder


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("missing", [], "path must be a SavedModel or a finished run directory"),
        ("empty", [], "path must be a SavedModel or a finished run directory"),
        ("file", [], "path must be a SavedModel or a finished run directory"),
        ("unfinished", [], "is not finished and has no SavedModel yet: go on with --resume"),
        ("graph", [], "is damaged"),
        ("weights", [], "is damaged"),
        ("no_weights", [], "is damaged"),
        ("foreign", [], "path must be a SavedModel with a function generate"),
        (None, ["--num", 0], "--num must be an integer of at least 1"),
        (None, ["--num", -5], "--num must be an integer of at least 1"),
        (None, ["--num", "many"], "invalid int value"),
        (None, ["--seed", -1], "--seed must be an integer from 0"),
        (None, ["--seed", 2**31], "--seed must be an integer from 0"),
        (None, ["--out", "grid.jpg"], "--out must be a file name that ends in .png or .npz"),
        (None, ["--out", "grid"], "--out must be a file name that ends in .png or .npz"),
        (None, ["--out", ".png"], "--out must be a file name that ends in .png or .npz"),
        (None, ["--out", "missing/grid.png"], "--out must be in a folder that exists"),
        (None, ["--out", "folder.png"], "--out can't be written: folder.png"),
        (None, ["--out", "folder.npz"], "--out can't be written: folder.npz"),
        (None, ["--out", "x" * 300 + ".png"], "--out can't be written"),
        (None, ["--num", 3_000_000_000], "--num must be"),
    ],
)
def test_a_mistake_in_sampling_is_one_line(finished, odd_folders, path, arguments, message):
    for name in ("folder.png", "folder.npz"):
        Path(name).mkdir()
    outcome = call("sample", finished.path if path is None else odd_folders / path, *arguments)
    assert message in outcome.error
    assert names(Path.cwd()) == ["folder.npz", "folder.png"]


def test_more_samples_than_memory_holds_are_one_line(finished, monkeypatch):
    def exhausted(*arguments, **keywords):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nand a page of detail")

    class Loaded:
        generate = staticmethod(exhausted)

    monkeypatch.setattr("keras_gen.export.load", lambda path: Loaded)
    try:
        outcome = call("sample", finished.path)
    except tf.errors.ResourceExhaustedError as error:
        pytest.fail(f"a traceback: {error!r}")
    assert "memory" in outcome.error


@pytest.mark.parametrize("suffix", ["png", "npz"])
def test_a_full_disk_while_sampling_is_one_line_and_keeps_the_old_file(finished, monkeypatch, suffix):
    out = Path(f"grid.{suffix}")
    out.write_bytes(b"older")
    monkeypatch.setattr(os, "fsync", no_space)
    error = call("sample", finished.path, "--num", 2, "--out", out).error
    assert error == f"error: --out can't be written: {out} (No space left on device)"
    assert out.read_bytes() == b"older"
    assert names(Path.cwd()) == [out.name]


# evaluate.py


def test_a_run_is_evaluated_on_its_test_images(finished, copied):
    outcome = call("evaluate", copied)
    assert outcome.code == 0, outcome.err
    note, *lines = outcome.out.splitlines()
    assert note.startswith("NOTE: no FID: the weights of inception-v3 are not in ")
    printed = {name: float(value) for name, value in map(str.split, lines)}
    content = json.loads((copied / "evaluation.json").read_text())
    assert list(content) == ["results", "epoch", "split", "images", "data", "versions", "measured"]
    assert (content["epoch"], content["split"], content["images"]) == (2, "test", 6)
    assert sorted(content["results"]) == sorted(printed) == ["kl", "loss", "mse", "reconstruction"]
    assert printed == {name: pytest.approx(value, rel=1e-5) for name, value in content["results"].items()}
    assert content["data"]["fingerprint"] == record_of(copied)["data"]["fingerprint"]
    opened = training.open_run(finished.path)
    expected = opened.model.evaluate(opened.data.test.images, batch_size=256, verbose=0, return_dict=True)
    assert content["results"] == {name: pytest.approx(float(value), rel=1e-6) for name, value in expected.items()}
    again = call("evaluate", copied, "--fid-images", 0)
    assert again.out.splitlines() == lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fid-images", -1], "fid_images must be an integer of at least 0"),
        (["--inception-weights", "missing.h5"], "inception weights must be a readable weights file"),
        (["--fid-images", 1], "fid_images must be"),
        (["--fid-images", 0, "--inception-weights", "missing.h5"], "inception weights must be"),
    ],
    ids=str,
)
def test_a_mistake_in_evaluating_is_one_line(copied, arguments, message):
    assert message in call("evaluate", copied, *arguments).error
    assert "evaluation.json" not in names(copied)


def test_a_run_without_a_checkpoint_has_nothing_to_evaluate(copied):
    shutil.rmtree(copied / "checkpoints")
    error = call("evaluate", copied).error
    assert error == f"error: run {copied} has no checkpoint yet: go on with --resume {copied}"


def test_a_full_disk_while_evaluating_is_one_line(copied, monkeypatch):
    monkeypatch.setattr(os, "replace", no_space)
    try:
        outcome = call("evaluate", copied, "--fid-images", 0)
    except OSError as error:
        pytest.fail(f"a traceback: {error!r}")
    assert "No space left on device" in outcome.error


# --resume


def test_a_finished_run_has_nothing_left_to_do(copied):
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*")}
    outcome = call("run", "--resume", copied)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines() == [
        f"{copied}: 2 of 2 epochs done",
        "nothing to do: to train on, give --epochs a larger number",
    ]
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*")} == before


def test_a_finished_run_goes_on_to_more_epochs(copied):
    outcome = call("run", "--resume", copied, "--epochs", 3)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0] == f"{copied}: 2 of 3 epochs done"
    assert outcome.out.count("Epoch ") == 1
    assert [row["epoch"] for row in history.read(copied / "history.csv")] == [1, 2, 3]
    assert record_of(copied)["settings"]["epochs"] == 3
    assert names(copied / "checkpoints") == ["epoch-00002.npz", "epoch-00003.npz"]
    assert names(copied / "samples")[-1] == "epoch-00003.png"
    assert json.loads((copied / "saved_model" / "description.json").read_text())["epochs"] == 3


def damaged_record(content):
    def damage(run):
        (run / "recipe.json").write_text(content)

    return damage


def changed_settings(**changes):
    def damage(run):
        record = record_of(run)
        runs.write_json(run / "recipe.json", record | {"settings": record["settings"] | changes})

    return damage


def damaged_checkpoint(run):
    path = checkpoints.latest(run)[1]
    path.write_bytes(path.read_bytes()[:-100])


def without(*keys):
    def damage(run):
        record = record_of(run)
        runs.write_json(run / "recipe.json", {key: value for key, value in record.items() if key not in keys})

    return damage


@pytest.mark.parametrize("name", ["run", "evaluate"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damaged_record("{"), "recipe.json is damaged"),
        (damaged_record("[]"), "recipe.json is damaged"),
        (damaged_record("{}"), "recipe.json is damaged"),
        (without("data"), "no longer what"),
        (changed_settings(model="vae-mlpp"), "model must be one of"),
        (changed_settings(epochs="2"), "epochs must be an integer"),
        (changed_settings(overrides=["hidden"]), "recipe.json is damaged"),
        (changed_settings(colour="red"), "recipe.json is damaged, or of another version"),
        (changed_settings(dataset=["digits"]), "dataset must be a name or a path"),
        (changed_settings(data_dir=5), "data_dir must be "),
        (changed_settings(binarize=["threshold"]), "binarize must be one of"),
        (changed_settings(dataset="digits"), "no longer what"),
        (changed_settings(image_size=4), "no longer what"),
        (changed_settings(overrides={"hidden": 9, "latent_dim": 2}), "belongs to another model"),
        (changed_settings(overrides={"hidden": 0}), "hidden must be an integer of at least 1"),
        (damaged_checkpoint, "is damaged"),
        (lambda run: (run / "recipe.json").unlink(), "run must be a run directory"),
    ],
)
def test_a_damaged_run_is_refused_in_one_line(copied, name, damage, message):
    damage(copied)
    arguments = ["--resume", copied, "--epochs", 3] if name == "run" else [copied, "--fid-images", 0]
    assert message in call(name, *arguments).error


def test_a_record_with_weights_of_another_type_is_refused(copied):
    changed_settings(inception_weights=5, fid_every=1)(copied)
    assert "inception_weights must be" in call("run", "--resume", copied, "--epochs", 3).error


def test_a_finished_run_whose_history_was_emptied_is_refused(copied, tmp_path):
    (copied / "history.csv").write_text("epoch,seconds,updates,loss\n")
    assert "history" in call("run", "--resume", copied, "--export", tmp_path / "exported").error


@pytest.mark.parametrize(("epochs", "message"), [(1, "epochs must be at least 2"), (0, "epochs must be an integer")])
def test_a_run_can_not_be_resumed_to_fewer_epochs(copied, epochs, message):
    assert message in call("run", "--resume", copied, "--epochs", epochs).error
    assert record_of(copied)["settings"]["epochs"] == 2


def test_a_run_is_not_resumed_on_other_data(tmp_path):
    data = write_npz(tmp_path / "data.npz")
    assert train(tmp_path / "runs", data).code == 0
    run = only_run(tmp_path / "runs")
    write_npz(data, seed=1)
    for outcome in (call("run", "--resume", run, "--epochs", 2), call("evaluate", run, "--fid-images", 0)):
        assert outcome.error == (
            f"error: data set {data} is no longer what {run} was trained on: its fingerprint differs"
        )
    assert record_of(run)["settings"]["epochs"] == 1
    data.unlink()
    assert "dataset must be an existing folder or .npz file" in call("run", "--resume", run, "--epochs", 2).error
    write_npz(data)
    assert call("run", "--resume", run, "--epochs", 2).code == 0


@pytest.mark.parametrize("dataset", ["data.npz", "./digits"])
def test_a_run_is_resumed_from_another_working_directory(tmp_path, monkeypatch, dataset):
    if dataset == "data.npz":
        write_npz(dataset)
    else:
        Path(dataset).mkdir()
        for index, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)):
            Image.fromarray(pixels).save(Path(dataset, f"{index}.png"))
    assert train(tmp_path / "runs", dataset, "--samples-every", 0).code == 0
    run = only_run(tmp_path / "runs")
    here, elsewhere = call("run", "--resume", run), tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    there = call("run", "--resume", run)
    assert (here.err, there.err) == ("", "")
    assert here.out == there.out


# Interruptions and full disks


def test_ctrl_c_says_how_to_go_on_and_the_run_goes_on(tmp_path):
    data = write_npz(tmp_path / "data.npz")
    arguments = ["--model", "vae-mlp", *SMALL, "--dataset", data, "--epochs", 5000, "--samples-every", 0]
    process = subprocess.Popen(
        [sys.executable, EXPERIMENTS / "run.py", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
        | {"PYTHONPATH": str(EXPERIMENTS.parent)},
        # What a shell runs in the background ignores Ctrl-C, and so does what that starts in its turn.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    run = Path("runs", "00001-vae-mlp")
    try:
        deadline = time.monotonic() + 60
        while checkpoints.latest(run) is None or not (run / "history.csv").exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    done, path = checkpoints.latest(run)
    assert err == f"interrupted after epoch {done}; go on with: python experiments/run.py --resume {run}\n"
    assert not [name for name in names(path.parent) + names(run) if name.startswith(".")]
    assert call("evaluate", run, "--fid-images", 0).code == 0
    assert "is not finished" in call("sample", run).error
    outcome = call("run", "--resume", run, "--epochs", done + 1)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0] == f"{run}: {done} of {done + 1} epochs done"
    assert [row["epoch"] for row in history.read(run / "history.csv")] == list(range(1, done + 2))
    assert call("sample", run, "--num", 1).code == 0


def test_ctrl_c_before_the_first_checkpoint_starts_over(finished, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", interrupt)
        outcome = train(tmp_path / "runs", finished.data)
    run = only_run(tmp_path / "runs")
    how = f"go on with: python experiments/run.py --resume {run}\n"
    assert (outcome.code, outcome.err) == (130, f"interrupted before the first checkpoint; {how}")
    assert "has no checkpoint yet" in call("evaluate", run).error
    again = call("run", "--resume", run)
    assert again.code == 0, again.err
    assert [row["epoch"] for row in history.read(run / "history.csv")] == [1]


FULL_WHEN = {"the history": "history.csv", "a sample grid": "epoch-00003.png", "the curves": "losses.png"}


@pytest.mark.parametrize("what", ["the checkpoint", *FULL_WHEN])
def test_a_full_disk_stops_a_run_that_can_go_on(copied, monkeypatch, what):
    real = os.replace

    def replace(source, target):
        if Path(target).name == FULL_WHEN.get(what):
            no_space()
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        if what == "the checkpoint":
            patch.setattr(np, "savez", no_space)
        outcome = call("run", "--resume", copied, "--epochs", 3)
    assert outcome.error.startswith(f"error: run {copied} stopped: ")
    assert "can't be written (No space left on device)" in outcome.error
    assert outcome.error.endswith(f"; go on with: python experiments/run.py --resume {copied}")
    assert not list(copied.rglob(".*"))
    if what in ("the checkpoint", "the curves"):
        again = call("run", "--resume", copied)
        assert again.code == 0, again.err
        assert [row["epoch"] for row in history.read(copied / "history.csv")] == [1, 2, 3]
        assert json.loads((copied / "saved_model" / "description.json").read_text())["epochs"] == 3


def test_a_full_disk_while_a_saved_model_is_written_is_not_said_to_be_memory(copied, tmp_path, monkeypatch):
    def full(*arguments, **keywords):
        raise tf.errors.ResourceExhaustedError(None, None, "variables.data; No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    error = call("run", "--resume", copied, "--export", tmp_path / "exported").error
    assert "No space left on device" in error
    assert "memory" not in error


def test_memory_that_runs_out_is_one_line(copied, monkeypatch):
    def exhausted(*arguments, **keywords):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nand a page of detail")

    monkeypatch.setattr(training.keras.Model, "fit", exhausted)
    error = call("run", "--resume", copied, "--epochs", 3).error
    assert "out of memory (OOM when allocating tensor); go on with: " in error


def test_a_full_disk_at_the_very_start_of_resuming_is_one_line(copied, monkeypatch):
    monkeypatch.setattr(os, "replace", no_space)
    try:
        outcome = call("run", "--resume", copied, "--epochs", 3)
    except OSError as error:
        pytest.fail(f"a traceback: {error!r}")
    assert "No space left on device" in outcome.error


def test_a_full_disk_at_the_very_start_leaves_no_run_directory(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", no_space)
    assert "out can't be written" in train(tmp_path / "runs", finished.data).error
    assert names(tmp_path / "runs") == []


def test_a_reader_that_leaves_does_not_end_in_a_traceback(tmp_path):
    data = write_npz(tmp_path / "data.npz")
    line = 'python "$0" --model vae-mlp --set hidden=8 --dataset "$1" --epochs 3 --samples-every 0 | head -1'
    environment = os.environ | {
        "PYTHONPATH": str(EXPERIMENTS.parent),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    environment.pop("TF_CPP_MIN_LOG_LEVEL")
    result = subprocess.run(
        ["bash", "-c", line, EXPERIMENTS / "run.py", data], capture_output=True, text=True, env=environment, check=False
    )
    assert result.stdout.startswith("vae-mlp (R2) on data")
    assert "Traceback" not in result.stderr
    assert "can't be written" not in result.stderr
