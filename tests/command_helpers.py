"""Calling the commands from tests: in this process, as their files run by Python would be, without a network."""

import contextlib
import errno
import importlib
import io
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import keras_gen
from keras_gen.commands import cli
from keras_gen.utils import net

EXPERIMENTS = Path(keras_gen.__file__).parents[1] / "experiments"
NO_NETWORK = "there is no network in these tests"
SMALL = ("--set", "hidden=8", "latent_dim=2", "--samples", "4")


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def error(self):
        """The one line of an error."""
        assert self.code == 2, (self.code, self.out, self.err)
        assert self.err.count("\n") == 1, self.err
        assert self.err.endswith("\n")
        assert "Traceback" not in self.err
        return self.err.strip()


SCRIPTS = {
    path.stem: importlib.import_module(f"keras_gen.commands.{path.stem}") for path in sorted(EXPERIMENTS.glob("*.py"))
}
"""The module of each command."""


def call(name, *arguments):
    """Run a command in this process, as its file run by Python would."""
    before = sys.argv
    sys.argv = [f"{name}.py", *map(str, arguments)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main(SCRIPTS[name].main)
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        sys.argv = before
    return Outcome(code, out.getvalue(), err.getvalue())


def train(out, data, *arguments, epochs=1):
    return call("run", "--model", "vae-mlp", *SMALL, "--dataset", data, "--epochs", epochs, "--out", out, *arguments)


def only_run(folder):
    (path,) = folder.iterdir()
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def record_of(run):
    return json.loads((run / "recipe.json").read_text(encoding="utf-8"))


def generated(folder, n=3, seed=1):
    """uint8 images of a SavedModel."""
    import tensorflow as tf

    return tf.saved_model.load(str(folder)).generate(n=n, seed=seed)["images"].numpy()


def write_npz(path, train=24, test=6, seed=0, size=8):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (train + test, size, size), dtype=np.uint8)
    np.savez(path, x_train=images[:train], x_test=images[train:])
    return path


def no_space(*arguments, **keywords):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(scope="module", autouse=True)
def nothing_at_hand(tmp_path_factory):
    """No data by environment, no downloaded weights, no network."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("TFDS_DATA_DIR", "KERAS_HOME", "HOME"):
            patch.setenv(variable, str(tmp_path_factory.mktemp("empty")))
        patch.delenv("KERAS_GEN_DATA", raising=False)
        # Where Keras keeps weights if it can't write to its own folder.
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        patch.setattr(net, "connection_error", lambda url, seconds=10.0: NO_NETWORK)
        patch.setattr(
            "keras_gen.metrics.extractors.weight_files.connection_error", lambda url, seconds=10.0: NO_NETWORK
        )
        yield


@pytest.fixture(autouse=True)
def own_working_directory(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


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
