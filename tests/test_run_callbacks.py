"""Callbacks of the user's own in a run: `--callback`, and the examples of the documentation."""

import dataclasses
import os
import re
import signal
import sys
import types
from pathlib import Path

import keras
import pytest
from command_helpers import SMALL, call

import keras_gen
from keras_gen import UsageError, training, zoo
from keras_gen.runs import history, run_directory
from keras_gen.runs.settings import RunSettings
from keras_gen.training import monitor

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


def settings_of(**changes):
    options = {"dataset": "digits", "fid_every": 0, "samples_every": 0, "epochs": 3, **changes}
    return RunSettings("vae-mlp", {"hidden": 8}, **options)


class Count(keras.callbacks.Callback):
    """Counts what it is told."""

    begins = epochs = ends = 0

    def on_train_begin(self, logs=None):
        self.begins += 1

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1

    def on_train_end(self, logs=None):
        self.ends += 1
        self.last = logs


def test_a_resumed_run_takes_callbacks_and_a_run_in_python_does(tmp_path):
    first, second = Count(), Count()
    run = training.run(settings_of(epochs=1), out=tmp_path, callbacks=[first])
    training.resume(run, epochs=3, callbacks=[second])
    assert (first.epochs, second.epochs) == (1, 2)


def test_scores_of_a_callback_are_recorded(tmp_path):
    digits = keras_gen.data.load("digits").train.images
    score = keras_gen.callbacks.KID(digits, every=1, num_images=50, extractor="lenet")
    run = training.run(settings_of(epochs=1, keep_best="val_loss"), out=tmp_path, callbacks=score)
    assert history.read(run / "history.csv")[0]["kd_lenet"] > 0


def test_what_callbacks_add_to_the_logs_is_shared_and_recorded_if_it_is_a_number(tmp_path):
    def first(epoch, logs):
        logs |= {"note": "good", "improved": True, "loss": -1.0}

    seen = []
    made = [
        keras.callbacks.LambdaCallback(on_epoch_end=first),
        keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["note"])),
    ]
    run = training.run(settings_of(epochs=1), out=tmp_path, callbacks=made)
    [row] = history.read(run / "history.csv")
    assert seen == ["good"] and row["improved"] == 1.0 and row["loss"] > 0 and "note" not in row


def test_a_run_without_a_finite_loss_of_validation_says_that_it_kept_no_best(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(keras_gen.callbacks.Checkpoint, "_is_best", lambda self, done, logs: False)
    training.run(settings_of(epochs=1, keep_best="val_loss"), out=tmp_path)
    assert "NOTE: no best checkpoint was kept: no epoch had a finite val_loss" in capsys.readouterr().out


def test_an_error_of_a_callbacks_connection_is_none_of_a_file(tmp_path, monkeypatch):
    (tmp_path / "offline.py").write_text(
        "import keras\n\ndef fail(epoch, logs):\n    raise ConnectionRefusedError(111, 'Connection refused')\n\n"
        "def make(settings):\n    return keras.callbacks.LambdaCallback(on_epoch_end=fail)\n"
    )
    monkeypatch.chdir(tmp_path)
    error = call(*RUN, "--callback", "offline:make").error
    assert error == "error: ConnectionRefusedError: [Errno 111] Connection refused"
    sys.modules.pop("offline", None)


def interrupted_in_epoch(number, out):
    """Return a run that Ctrl-C stopped after five steps of that epoch."""

    def interrupt(batch, logs=None):
        interrupt.batches += 1
        if interrupt.batches == 23 * (number - 1) + 5:
            os.kill(os.getpid(), signal.SIGINT)

    interrupt.batches = 0
    stopper = keras.callbacks.LambdaCallback(on_train_batch_end=interrupt)
    settings = settings_of(steps_per_execution=1)
    with pytest.raises(training.RunInterrupted):
        training.run(settings, out=out, callbacks=[stopper])
    [run] = out.iterdir()
    return run


@pytest.mark.parametrize("number", [1, 3])
def test_training_begins_and_ends_once_for_a_callback_when_an_epoch_is_continued(number, tmp_path):
    run, count = interrupted_in_epoch(number, tmp_path), Count()
    training.resume(run, callbacks=[count])
    assert (count.begins, count.epochs, count.ends) == (1, 4 - number, 1)
    assert count.last["val_loss"] == pytest.approx(history.read(run / "history.csv")[-1]["val_loss"])


def test_callbacks_act_on_both_networks_and_those_that_cannot_act_are_refused(tmp_path):
    rates = []

    class Rates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append([float(optimizer.learning_rate) for optimizer in self.model.optimizers])

    settings = dataclasses.replace(settings_of(epochs=1), model="gan-mlp")
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.03125)
    training.run(settings, out=tmp_path, callbacks=[scheduler, Rates()])
    assert rates == [[0.03125, 0.03125]]
    with pytest.raises(UsageError, match="monitor of EarlyStopping must be a quantity that the model reports"):
        training.run(settings, out=tmp_path, callbacks=[keras.callbacks.EarlyStopping()])


def test_what_changes_the_weights_after_the_last_checkpoint_is_refused(tmp_path):
    stopper = keras.callbacks.EarlyStopping("val_loss", restore_best_weights=True)
    with pytest.raises(UsageError, match="^restore_best_weights must be False in a run: its keep_best keeps"):
        training.run(settings_of(), out=tmp_path, callbacks=[stopper])
    optimizer = keras.optimizers.SGD(use_ema=True)

    @zoo.recipe("averaged", source="a test", dataset="digits", epochs=1, batch_size=64)
    def averaged(image_shape):
        model = zoo.build("vae-mlp", image_shape, hidden=4)
        model.compile(optimizer)
        return model

    with pytest.raises(UsageError, match="^use_ema must be False in a run"):
        training.run(RunSettings("averaged", fid_every=0), out=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [keras.callbacks.TerminateOnNaN, lambda settings: None, 3])
def test_what_is_no_callback_is_refused(wrong, tmp_path):
    with pytest.raises(UsageError, match="callbacks must be Keras callbacks, or functions that return one, received: "):
        training.run(settings_of(), out=tmp_path, callbacks=[wrong])
    assert not list(tmp_path.iterdir())


def test_nothing_is_made_for_a_run_that_has_nothing_to_train(tmp_path):
    run = training.run(settings_of(epochs=1), out=tmp_path)
    assert training.resume(run, callbacks=[lambda settings: pytest.fail("made")]) == run


class Stop(keras.callbacks.Callback):
    """Ends training after an epoch."""

    def __init__(self, after):
        super().__init__()
        self.after = after

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch + 1 == self.after


@pytest.mark.parametrize("continued", [False, True])
def test_a_callback_that_ends_training_ends_the_run(continued, tmp_path, capsys):
    if continued:  # the epoch that was interrupted is the last one
        run = training.resume(interrupted_in_epoch(1, tmp_path), callbacks=[Stop(1)])
    else:
        run = training.run(settings_of(), out=tmp_path, callbacks=[Stop(1)])
    assert "ended after epoch 1 of 3: a callback ended training" in capsys.readouterr().out
    assert [row["epoch"] for row in history.read(run / "history.csv")] == [1]
    record = run_directory.read_recipe(run)
    assert record["settings"]["epochs"] == 1
    assert record["ended_early"] == {"reason": "a callback ended training", "planned_epochs": 3}
    assert run_directory.finished_epochs(run) == 1
    training.resume(run, epochs=2)
    assert [row["epoch"] for row in history.read(run / "history.csv")] == [1, 2]


def test_a_run_that_a_callback_ends_within_an_epoch_says_so(tmp_path):
    class StopAtOnce(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

    run = training.run(settings_of(steps_per_execution=1), out=tmp_path, callbacks=[StopAtOnce()])
    assert run_directory.read_recipe(run)["ended_early"]["reason"] == "a callback ended training within its last epoch"


def test_a_callback_that_takes_its_stop_back_ends_nothing():
    class Undecided(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = True

        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = False

    callbacks = monitor.UserCallbacks([Undecided()])
    callbacks.set_model(types.SimpleNamespace(stop_training=False))
    callbacks.set_params({"steps": 3})
    callbacks.on_train_batch_end(0)
    assert callbacks.ended_by == "a callback ended training within its last epoch"
    callbacks.on_epoch_end(0)
    assert callbacks.ended_by == ""


def test_a_function_that_makes_a_callback_gets_the_settings_that_the_run_records(tmp_path):
    made = []

    def make(settings):
        made.append(settings)
        return Count()

    run = training.run(settings_of(), out=tmp_path, callbacks=[make])
    training.resume(run, epochs=4, callbacks=[make])
    assert [settings.epochs for settings in made] == [3, 4]
    assert made[0].to_json() | {"epochs": 4} == made[1].to_json() == run_directory.read_recipe(run)["settings"]
    assert made[0].batch_size == 64


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
