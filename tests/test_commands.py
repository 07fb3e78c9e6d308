"""run.py: files and output of a run; every mistake is one line on stderr and exit code 2."""

import json
from pathlib import Path

import command_helpers
import numpy as np
import pytest
import tensorflow as tf
from command_helpers import (
    NO_NETWORK,
    SMALL,
    call,
    names,
    only_run,
    record_of,
    write_npz,
)
from PIL import Image
from run_helpers import without_artifacts

import keras_gen
from keras_gen import zoo
from keras_gen.runs import history
from keras_gen.runs import loading
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.training import trainer

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")
finished, copied = command_helpers.finished, command_helpers.copied


# run.py


def test_a_run_writes_all_files_of_its_directory(finished):
    run = finished.path
    assert run.name == "00001-vae-mlp"
    assert names(run) == [
        "checkpoints",
        "history.csv",
        "lock",
        "losses.png",
        "model.json",
        "model.txt",
        "recipe.json",
        "reconstructions",
        "report.html",
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


def test_the_record_has_all_settings_arguments_and_data(finished):
    record = record_of(finished.path)
    assert list(record) == [
        "settings",
        "arguments",
        "data",
        "recipes",
        "extractor",
        "versions",
        "machine",
        "command",
        "created",
    ]
    assert record["settings"] == {
        "model": "vae-mlp",
        "overrides": {"hidden": 8, "latent_dim": 2},
        "dataset": str(finished.data),
        "data_dir": None,
        "image_size": None,
        "channels": None,
        "binarize": None,
        "validation": None,
        "bits": None,
        "skip_damaged": False,
        "epochs": 2,
        "batch_size": 8,
        "seed": 5,
        "learning_rate_decay": "none",
        "patience": None,
        "max_minutes": None,
        "strategy": "auto",
        "sampler": "prior",
        "samples_every": 1,
        "sample_count": 4,
        "fid_every": 2,
        "fid_images": 1000,
        "extractor": "auto",
        "extractor_weights": None,
        "precision": "float32",
        "steps_per_execution": 32,
        "jit_compile": False,
        "checkpoint_every": 2,
        "keep_best": None,
        "deterministic": False,
    }
    assert record["arguments"] == {
        "latent_dim": 2,
        "hidden": 8,
        "scale": 1.0,
        "learn_scale": False,
        "beta": 1.0,
        "free_bits": 0.0,
        "importance_samples": 1,
        "kl_warmup": 0,
        "learning_rate": 0.005,
        "num_classes": 0,
    }
    assert record["data"]["requested"] == str(finished.data)
    assert record["data"]["substituted_because"] is None
    assert record["data"]["counts"] == {"train": 22, "validation": 2, "test": 6}
    assert len(record["data"]["fingerprint"]) == 64
    assert record["extractor"] is None
    assert record["versions"]["keras_gen"] == keras_gen.__version__
    assert record["versions"]["tensorflow"] == tf.__version__
    assert record["command"][:3] == ["experiments/run.py", "--model", "vae-mlp"]
    assert record["created"].endswith("+00:00")


def test_a_run_prints_what_it_does_and_where(finished):
    note, *lines = finished.outcome.out.splitlines()
    assert note.startswith("NOTE: generated images are not scored: there is no extractor for noise: --extractor ")
    assert lines[0] == "vae-mlp (R2) on noise (npz; 22 train, 2 validation, 6 test images, 8x8x1)"
    assert lines[1] == f"2 epochs, batch size 8, seed 5, float32, run directory {finished.path}"
    assert lines[-1] == f"sample from it: python experiments/sample.py {finished.path}"
    assert sum(line.startswith("Epoch ") for line in lines) == 2
    assert finished.outcome.err == ""


def test_what_a_run_generates_is_what_its_saved_model_generates(finished):
    opened = loading.load(finished.path)
    assert opened.position == TrainingPosition(2)
    loaded = tf.saved_model.load(str(finished.path / "saved_model")).generate(n=4, seed=5)["images"].numpy()
    np.testing.assert_array_equal(loaded, opened.model.generate(4, 5)["images"])


def test_unavailable_default_data_fall_back_to_digits_with_a_note(tmp_path):
    options = ("--epochs", 1, "--samples-every", 0, "--batch-size", 512, "--fid-every", 0)
    with without_artifacts():
        outcome = call("run", "--model", "vae-mlp", *SMALL, *options)
        assert outcome.code == 0, outcome.err
        again = call("run", "--resume", only_run(Path("runs")))
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
    assert record["extractor"] is None
    assert "fd_lenet" not in outcome.out
    assert "fd_lenet" not in history.read(run / "history.csv")[0]
    assert again.code == 0
    assert "NOTE" not in again.out


def test_a_named_data_set_has_no_fallback():
    outcome = call("run", "--model", "vae-mlp", "--dataset", "mnist")
    assert outcome.error.startswith("error: mnist is not on this machine")
    assert NO_NETWORK in outcome.error
    assert outcome.out == ""
    assert not Path("runs").exists()


def test_the_recipes_data_set_is_found_by_the_environment_variable(tmp_path, monkeypatch):
    write_npz(tmp_path / "mnist.npz")
    monkeypatch.setenv("KERAS_GEN_DATA", str(tmp_path))
    with without_artifacts():
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
    return ["--dataset", "digits", "--extractor", "inception-v3", "--extractor-weights", tmp_path / "weights.h5"]


V3 = ("--extractor", "inception-v3")
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
    "checkpoint every": ([*DIGITS, "--checkpoint-every", 0], "checkpoint_every must be auto, an integer of at least 1"),
    "fid images": ([*DIGITS, "--fid-images", 1], "fid_images must be an integer of at least 2"),
    "fid every": ([*DIGITS, "--fid-every", -1], "fid_every must be an integer of at least 0"),
    "unknown extractor": ([*DIGITS, "--extractor", "letnet"], "extractor must be one of auto, inception-2015"),
    "colour for gray": ([*DIGITS, "--extractor", "cifar"], "extractor cifar takes color images"),
    "extractor and no network": ([*DIGITS, "--extractor", "inception-2015"], NO_NETWORK),
    "weights of no extractor": (
        [*DIGITS, "--extractor-weights", "w.h5"],
        "weights must be left out with extractor auto",
    ),
    "weights missing": ([*DIGITS, *V3, "--extractor-weights", "none.h5"], "weights must be a file with the weights of"),
    "weights of another kind": (weights_that_are_none, "weights.h5"),
    "out": (file_as_out, "out must be in a writable folder"),
    "export exists": (export_that_exists, "export exists already"),
    "export a file": (export_onto_a_file, "export must be a folder or a new name"),
}

# Cases that build a model and then fail like others do.
SLOW = {"learning rate", "negative beta", "constraint", "odd size for a VAE", "size for an LSTM", "weights missing"}


@pytest.mark.parametrize(
    "mistake", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in MISTAKES]
)
def test_a_mistake_is_one_line_and_leaves_no_run_directory(mistake, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "_fit", lambda *arguments: pytest.fail("it went on to train"))
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

    monkeypatch.setattr(trainer, "_fit", train)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--export", "exported", "--export-functions", "generate,dream"],
            "functions must be some of generate, decode, encode, reconstruct, received: 'dream'",
        ),
        (["--export-functions", "generate"], "--export-functions can't be used here: it needs --export"),
        (["--overwrite"], "--overwrite can't be used here: it needs --export"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_export_that_will_not_work_is_refused_before_training(finished, monkeypatch, arguments, message):
    never_train(monkeypatch)
    error = call("run", "--model", "vae-mlp", "--dataset", finished.data, *arguments).error
    assert error == f"error: {message}"
    assert not Path("runs").exists()


def test_an_export_below_a_file_is_refused_before_training(finished, monkeypatch):
    never_train(monkeypatch)
    Path("file").write_text("in the way")
    arguments = ["--model", "vae-mlp", "--dataset", finished.data, "--export", "file/exported"]
    requirement = f"in a writable folder, which {Path('file').absolute()} is not"
    expected = f"error: export must be {requirement}, received: '{Path('file/exported').absolute()}'"
    assert call("run", *arguments).error == expected
    assert not Path("runs").exists()


@pytest.mark.parametrize("kind", ["beyond 64 bits", "beyond the memory"])
def test_a_network_that_does_not_fit_into_memory_is_a_usage_error(finished, monkeypatch, kind):
    def exhausted(*arguments, **keywords):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nand a page of detail")

    arguments = ["--model", "vae-mlp", "--dataset", finished.data]
    if kind == "beyond the memory":
        monkeypatch.setattr(type(zoo.get("vae-mlp")), "build", exhausted)
        expected = "error: out of memory (OOM when allocating tensor)"
    else:
        arguments += ["--set", f"latent_dim={10**20}"]
        expected = (
            "error: image_shape, latent_dim, num_classes and layer widths must be small enough for a dense layer of "
            f"at most 1,000,000,000 weights, received: 300 x {10**20:,} weights for images (8, 8, 1)"
        )
    assert call("run", *arguments).error == expected
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    "arguments", [["--set", "beta=4"], ["--seed", "3"], ["--seed=0"], ["--batch-size", "3"]], ids=" ".join
)
def test_settings_can_not_be_changed_on_resuming(copied, arguments):
    error = call("run", "--resume", copied, *arguments).error
    assert error == f"error: {arguments[0].partition('=')[0]} can't be used here: a resumed run keeps its own settings"


def test_listing_takes_no_settings():
    assert call("run", "--list", "--epochs", 3).error == "error: --epochs can't be used here: --list only lists"
