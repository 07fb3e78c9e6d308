"""Helpers for tests of runs: training without artifacts, and bitwise comparison of two run directories."""

import contextlib
import csv

import keras
import numpy as np
import pytest

from keras_gen import data
from keras_gen.models import export
from keras_gen.runs import checkpoints, run_directory
from keras_gen.training import trainer
from keras_gen.utils import files


def _write_description(path, settings, *arguments):
    """Write what marks a run as finished, in place of its curves, report page and SavedModel."""
    (path / export.RUN_FOLDER).mkdir(exist_ok=True)
    files.write_json(path / export.RUN_FOLDER / export.DESCRIPTION_FILE, {"epochs": settings.epochs})


@contextlib.contextmanager
def without_artifacts():
    """Leave out most of what a run writes besides history, checkpoints and grids while the block runs, to save time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "_finish", _write_description)
        patch.setattr(keras.callbacks, "TensorBoard", lambda *arguments, **keywords: keras.callbacks.Callback())
        yield


@pytest.fixture(scope="module")
def only_training():
    """Train without artifacts in all tests of the module."""
    with without_artifacts():
        yield


@pytest.fixture(scope="module")
def images():
    """200 of the embedded digits."""
    return data.load("digits").train.images[:200]


def save_checkpoint(run, model, position):
    """Write a checkpoint of a model and return its path, as the callback does in its thread."""
    return checkpoints.write(run, checkpoints.state_of(model), position)


def state_of(run):
    """Return every variable of the newest checkpoint, in order; names depend on what else a process built."""
    with np.load(checkpoints.latest(run)[1]) as archive:
        return [archive[name] for name in sorted(archive.files) if name[0].isdigit()]


def history_without_seconds(run):
    """Return the history as text, without the column that differs between runs."""
    with open(run / run_directory.HISTORY_FILE, newline="") as file:
        return [{name: text for name, text in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def assert_same_run(run, other):
    """Check that state, history and pictures of two runs are the same bits."""
    assert checkpoints.latest(run)[0] == checkpoints.latest(other)[0]
    for index, (one, another) in enumerate(zip(state_of(run), state_of(other), strict=True)):
        np.testing.assert_array_equal(one, another, err_msg=f"variable {index}")
    assert history_without_seconds(run) == history_without_seconds(other)
    pictures = [sorted(path.relative_to(folder) for path in folder.rglob("epoch-*.png")) for folder in (run, other)]
    assert pictures[0] == pictures[1]
    for picture in pictures[0]:
        assert (run / picture).read_bytes() == (other / picture).read_bytes(), picture
