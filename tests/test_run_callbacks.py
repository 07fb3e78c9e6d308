"""Callbacks of the user's own in a run: `--callback`, and the examples of the documentation."""

import re
import sys
import types
from pathlib import Path

import keras
import pytest
from command_helpers import SMALL, call

import keras_gen
from keras_gen import training
from keras_gen.runs import history
from keras_gen.runs.settings import RunSettings

PAGE = Path(keras_gen.__file__).parents[1] / "docs" / "running.md"
RUN = ("run", "--model", "vae-mlp", "--dataset", "digits", "--fid-every", "0", *SMALL)


@pytest.fixture
def tracking(tmp_path, monkeypatch):
    """The module of the documentation, in the working directory."""
    [code] = re.findall(r"```python\n(import keras\n\n\ndef wandb_callback.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "tracking.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("tracking", None)


class Service:
    """A stand-in for a service: it keeps what it is told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        def tell(*arguments, **options):
            self.told.append((name, arguments, options))
            return self

        return tell


def stand_in(monkeypatch, name):
    service = Service()
    module = types.ModuleType(name)
    module.__getattr__ = lambda attribute: getattr(service, attribute)
    monkeypatch.setitem(sys.modules, name, module)
    return service


@pytest.mark.parametrize(
    ("name", "begin", "log", "end"),
    [("wandb", "init", "log", "finish"), ("mlflow", "start_run", "log_metrics", "end_run")],
)
def test_the_examples_log_each_epoch_and_end(name, begin, log, end, tracking, monkeypatch):
    service = stand_in(monkeypatch, name)
    outcome = call(*RUN, "--epochs", "2", "--callback", f"tracking:{name}_callback")
    assert outcome.code == 0, outcome.err
    names = [each[0] for each in service.told]
    assert names[0] == begin and names[-1] == end
    logged = [(arguments[0], options["step"]) for called, arguments, options in service.told if called == log]
    rows = history.read(tracking / "runs" / "00001-vae-mlp" / "history.csv")
    assert [(logs["val_loss"], step) for logs, step in logged] == [(row["val_loss"], row["epoch"]) for row in rows]
    assert any("vae-mlp" in str(each) for each in service.told)


def test_a_resumed_run_takes_callbacks_and_a_run_in_python_does(tmp_path):
    class Count(keras.callbacks.Callback):
        epochs = 0

        def on_epoch_end(self, epoch, logs=None):
            self.epochs += 1

    settings = RunSettings("vae-mlp", {"hidden": 8}, dataset="digits", epochs=1, fid_every=0, samples_every=0)
    first, second = Count(), Count()
    run = training.run(settings, out=tmp_path, callbacks=[first])
    training.resume(run, epochs=3, callbacks=[second])
    assert (first.epochs, second.epochs) == (1, 2)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("tracking", "--callback must be module:function, received: 'tracking'"),
        (":make", "--callback must be module:function"),
        ("nowhere:make", "--callback nowhere:make can't be used: ModuleNotFoundError"),
        ("tracking:make", "--callback tracking:make can't be used: AttributeError"),
        ("os:getcwd", "--callback os:getcwd can't be used: TypeError"),
        ("os:isatty", "--callback os:isatty can't be used: TypeError"),
        ("copy:copy", "--callback copy:copy must be a function that returns a Keras callback, received: 'RunSettings'"),
    ],
)
def test_what_makes_no_callback_is_refused_before_anything_is_written(word, message, tracking):
    assert message in call(*RUN, "--callback", word).error
    assert not (tracking / "runs").exists()
