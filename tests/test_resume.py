"""run.py --resume: runs that continue, are refused, were interrupted or ran out of disk or memory."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import command_helpers
import numpy as np
import pytest
import run_helpers
import tensorflow as tf
from command_helpers import (
    EXPERIMENTS,
    SMALL,
    call,
    environment,
    names,
    no_space,
    only_run,
    record_of,
    train,
    write_npz,
)
from PIL import Image

from keras_gen import runs
from keras_gen.callbacks import StopOnDivergence
from keras_gen.runs import history
from keras_gen.runs import checkpoints
from keras_gen.training import trainer
from keras_gen.utils import files

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")
finished, copied = command_helpers.finished, command_helpers.copied


@pytest.fixture
def only_training(finished):
    """Train without artifacts, but not the finished run."""
    with run_helpers.without_artifacts():
        yield


# --resume


def test_a_finished_run_has_nothing_left_to_do(copied):
    before = {path: path.stat().st_mtime_ns for path in copied.rglob("*") if path.name != "lock"}
    outcome = call("run", "--resume", copied)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines() == [
        f"{copied}: 2 of 2 epochs done",
        "nothing to do: to train further, pass a larger --epochs",
    ]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_finished_run_continues_to_more_epochs(copied):
    outcome = call("run", "--resume", copied, "--epochs", 3)
    assert outcome.code == 0, outcome.err
    assert f"{copied}: 2 of 3 epochs done" in outcome.out.splitlines()
    assert outcome.out.count("Epoch ") == 1
    assert [row["epoch"] for row in history.read(copied / "history.csv")] == [1, 2, 3]
    assert record_of(copied)["settings"]["epochs"] == 3
    assert names(copied / "checkpoints") == ["epoch-00003.npz"]
    assert names(copied / "samples")[-1] == "epoch-00003.png"
    assert json.loads((copied / "saved_model" / "description.json").read_text())["epochs"] == 3


def damaged_record(content):
    def damage(run):
        (run / "recipe.json").write_text(content)

    return damage


def changed_settings(**changes):
    def damage(run):
        record = record_of(run)
        files.write_json(run / "recipe.json", record | {"settings": record["settings"] | changes})

    return damage


def damaged_checkpoint(run):
    path = checkpoints.latest(run)[1]
    path.write_bytes(path.read_bytes()[:-100])


def without(*keys):
    def damage(run):
        record = record_of(run)
        files.write_json(run / "recipe.json", {key: value for key, value in record.items() if key not in keys})

    return damage


DAMAGES = [
    (damaged_record("{"), "recipe.json is damaged"),
    (damaged_record("[]"), "recipe.json is damaged"),
    (damaged_record("{}"), "recipe.json is damaged"),
    (without("data"), "no longer what"),
    (changed_settings(model="vae-mlpp"), "model must be one of"),
    (changed_settings(epochs="2"), "epochs must be an integer"),
    (changed_settings(overrides=["hidden"]), "recipe.json is damaged"),
    (changed_settings(color="red"), "recipe.json is damaged, or from another version"),
    (changed_settings(dataset=["digits"]), "dataset must be a name or a path"),
    (changed_settings(data_dir=5), "data_dir must be "),
    (changed_settings(binarize=["threshold"]), "binarize must be one of"),
    (changed_settings(dataset="digits"), "no longer what"),
    (changed_settings(image_size=4), "no longer what"),
    (changed_settings(overrides={"hidden": 9, "latent_dim": 2}), "no longer builds the model of"),
    (changed_settings(overrides={"hidden": 0}), "hidden must be an integer of at least 1"),
    (damaged_checkpoint, "is damaged"),
    (lambda run: (run / "recipe.json").unlink(), "run must be a run directory"),
]


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [("run", *case) for case in DAMAGES]
    # Both commands load a run by the same function.
    + [pytest.param("evaluate", *case, marks=[] if case is DAMAGES[-2] else pytest.mark.slow) for case in DAMAGES],
)
def test_a_damaged_run_is_refused_in_one_line(copied, name, damage, message):
    damage(copied)
    arguments = ["--resume", copied, "--epochs", 3] if name == "run" else [copied, "--measures", "none"]
    assert message in call(name, *arguments).error


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"extractor_weights": 5}, "extractor_weights must be"),
        ({"extractor": "letnet"}, "extractor must be one of"),
        ({"extractor": ["lenet"]}, "extractor must be one of"),
        ({"extractor": "lenet", "extractor_weights": "w.h5"}, "weights must be left out with extractor lenet"),
        ({"fid_images": 1}, "fid_images must be an integer of at least 2"),
        ({"fid_count": 1000}, "is damaged, or from another version of keras_gen"),
    ],
    ids=str,
)
def test_a_record_with_another_kind_of_extractor_is_refused(copied, changes, message):
    changed_settings(**changes)(copied)
    assert message in call("run", "--resume", copied, "--epochs", 3).error


def test_a_finished_run_whose_history_was_emptied_is_refused(copied, tmp_path):
    (copied / "history.csv").write_text("epoch,seconds,updates,loss\n")
    assert "history" in call("run", "--resume", copied, "--export", tmp_path / "exported").error


@pytest.mark.parametrize(("epochs", "message"), [(1, "epochs must be at least 2"), (0, "epochs must be an integer")])
def test_a_run_can_not_be_resumed_to_fewer_epochs(copied, epochs, message):
    assert message in call("run", "--resume", copied, "--epochs", epochs).error
    assert record_of(copied)["settings"]["epochs"] == 2


def test_a_run_keeps_arguments_whose_defaults_have_changed_since(copied):
    given = record_of(copied)["settings"]["overrides"]
    changed_settings(overrides={"latent_dim": given["latent_dim"]})(copied)  # as if `hidden` had been the default then
    run = runs.load(copied)
    assert run.settings.overrides == given
    assert run.model.encoder.layers[2].units == given["hidden"]


def test_a_run_is_not_resumed_on_other_data(only_training, tmp_path):
    data = write_npz(tmp_path / "data.npz")
    assert train(tmp_path / "runs", data).code == 0
    run = only_run(tmp_path / "runs")
    write_npz(data, seed=1)
    for outcome in (call("run", "--resume", run, "--epochs", 2), call("evaluate", run, "--measures", "none")):
        assert outcome.error.startswith(
            f"error: data set {data} is no longer what {run} was trained on: its fingerprint differs"
        )
    assert record_of(run)["settings"]["epochs"] == 1
    data.unlink()
    assert "was not found: pass its new path with --dataset" in call("run", "--resume", run, "--epochs", 2).error
    write_npz(data)
    assert call("run", "--resume", run, "--epochs", 2).code == 0


@pytest.mark.parametrize("dataset", ["data.npz", "./digits"])
def test_a_run_is_resumed_from_another_working_directory(only_training, tmp_path, monkeypatch, dataset):
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


def check_interrupted_run(run, position):
    """Check that an interrupted run can be evaluated and resumed, but not sampled before it is finished."""
    assert not [name for name in names(run / "checkpoints") + names(run) if name.startswith(".")]
    assert call("evaluate", run, "--measures", "none").code == 0
    assert "is not finished" in call("sample", run).error
    done = position.epoch
    outcome = call("run", "--resume", run, "--epochs", done + 1)
    assert outcome.code == 0, outcome.err
    steps = f" and {position.steps}" if position.step else ""
    assert f"{run}: {done} of {done + 1} epochs{steps} done" in outcome.out.splitlines()
    assert [row["epoch"] for row in history.read(run / "history.csv")] == list(range(1, done + 2))
    assert call("sample", run, "--num", 1).code == 0


def test_ctrl_c_prints_how_to_resume(finished, tmp_path, monkeypatch):
    def interrupt(self, epoch, logs=None):
        os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(StopOnDivergence, "on_epoch_begin", interrupt)
        outcome = train(tmp_path / "runs", finished.data, "--batch-size", 8, "--steps-per-execution", 1, epochs=2)
    run = only_run(tmp_path / "runs")
    position = checkpoints.latest(run)[0]
    assert (position.epoch, position.step) == (0, 1)
    how = f"interrupted after {position}; resume with: python experiments/run.py --resume {run}\n"
    assert (outcome.code, outcome.err) == (130, how)
    check_interrupted_run(run, position)


@pytest.mark.slow
def test_ctrl_c_stops_a_process_that_can_be_resumed(tmp_path):
    data = write_npz(tmp_path / "data.npz")
    arguments = ["--model", "vae-mlp", *SMALL, "--dataset", data, "--epochs", 5000, "--samples-every", 0]
    process = subprocess.Popen(
        [sys.executable, EXPERIMENTS / "run.py", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment("TF_CPP_MIN_LOG_LEVEL"),
        # Background processes of a shell, and their children, ignore SIGINT.
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
    position, stopping = checkpoints.latest(run)[0], "stopping after this step; press Ctrl-C again to stop now"
    how = f"resume with: python {EXPERIMENTS / 'run.py'} --resume {run}"
    assert err == f"{stopping}\ninterrupted after {position}; {how}\n"
    check_interrupted_run(run, position)


def test_ctrl_c_before_the_first_checkpoint_starts_over(finished, only_training, tmp_path, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "state_of", interrupt)
        outcome = train(tmp_path / "runs", finished.data)
    run = only_run(tmp_path / "runs")
    how = f"resume with: python experiments/run.py --resume {run}\n"
    assert (outcome.code, outcome.err) == (130, f"interrupted before the first checkpoint; {how}")
    assert "has no checkpoint yet" in call("evaluate", run).error
    again = call("run", "--resume", run)
    assert again.code == 0, again.err
    assert [row["epoch"] for row in history.read(run / "history.csv")] == [1]


FULL_WHEN = {"the history": "history.csv", "a sample grid": "epoch-00003.png", "the curves": "losses.png"}


@pytest.mark.parametrize(
    "what", ["the checkpoint", *(pytest.param(what, marks=pytest.mark.slow) for what in FULL_WHEN)]
)
def test_a_full_disk_stops_a_run_that_can_be_resumed(copied, monkeypatch, what):
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
    assert outcome.error.endswith(f"; resume with: python experiments/run.py --resume {copied}")
    assert not list(copied.rglob(".*"))
    if what in ("the checkpoint", "the curves"):
        with run_helpers.without_artifacts() if what == "the checkpoint" else contextlib.nullcontext():
            again = call("run", "--resume", copied)
        assert again.code == 0, again.err
        assert [row["epoch"] for row in history.read(copied / "history.csv")] == [1, 2, 3]
        assert json.loads((copied / "saved_model" / "description.json").read_text())["epochs"] == 3


def test_a_full_disk_while_a_saved_model_is_written_is_not_reported_as_memory(copied, tmp_path, monkeypatch):
    def full(*arguments, **keywords):
        raise tf.errors.ResourceExhaustedError(None, None, "variables.data; No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    error = call("run", "--resume", copied, "--export", tmp_path / "exported").error
    assert "No space left on device" in error
    assert "memory" not in error


def test_memory_that_runs_out_is_one_line(copied, monkeypatch):
    def exhausted(*arguments, **keywords):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nand a page of detail")

    monkeypatch.setattr(trainer.keras.Model, "fit", exhausted)
    error = call("run", "--resume", copied, "--epochs", 3).error
    assert "out of memory (OOM when allocating tensor); resume with: " in error


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


@pytest.mark.slow
def test_a_closed_output_pipe_does_not_end_in_a_traceback(tmp_path):
    data = write_npz(tmp_path / "data.npz")
    line = (
        'python "$0" --model vae-mlp --set hidden=8 --dataset "$1" --epochs 3 --samples-every 0 --fid-every 0 | head -1'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-c", line, EXPERIMENTS / "run.py", data],
        capture_output=True,
        text=True,
        env=environment("TF_CPP_MIN_LOG_LEVEL", PATH=path),
        check=False,
    )
    assert result.stdout.startswith("vae-mlp (R2) on data")
    assert "Traceback" not in result.stderr
    assert "can't be written" not in result.stderr


# Somebody else's run directory

ENTRIES = [
    *("lock", "recipe.json", "model.json", "model.txt", "history.csv", "losses.png", "report.html", "evaluation.json"),
    *("checkpoints", "samples", "tensorboard", "saved_model", "checkpoints/epoch-00002.npz"),
    *("samples/epoch-00001.png", "saved_model/variables", "saved_model/description.json", "tensorboard/train"),
]


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_links_and_pipes_in_a_run_are_refused_and_lead_nowhere(copied, tmp_path, kind):
    (copied / "evaluation.json").write_text("{}")
    for name in ENTRIES:
        path, aside = copied / name, tmp_path / "aside"
        path.rename(aside)
        if kind == "link":
            path.symlink_to(aside)
        else:
            os.mkfifo(path)
        before = {file: file.read_bytes() for file in [aside, *aside.rglob("*")] if file.is_file()}
        for words in (("run", "--resume"), ("report", "--quick"), ("evaluate",)):
            error = call(words[0], *words[1:], copied).error
            assert f"{path} must be a file or a folder, since links inside a run or a sweep are not followed" in error
        if name.startswith("saved_model"):
            assert str(path) in call("sample", copied).error
        assert {file: file.read_bytes() for file in [aside, *aside.rglob("*")] if file.is_file()} == before
        path.unlink()
        aside.rename(path)
    (copied / "mine").symlink_to(tmp_path)  # the user's own entries are no concern of keras_gen
    link = tmp_path / "link"
    link.symlink_to(copied)  # the path of the run is the user's choice
    assert "nothing to do" in call("run", "--resume", link).out


def test_a_run_whose_directory_is_replaced_stops_and_leaves_the_new_one_alone(finished, tmp_path, monkeypatch):
    def replace(self, epoch, logs=None):
        if epoch == 1:
            shutil.rmtree(only_run(tmp_path / "runs"))
            (tmp_path / "runs" / "00001-vae-mlp" / "samples").mkdir(parents=True)

    monkeypatch.setattr(StopOnDivergence, "on_epoch_begin", replace)
    monkeypatch.setattr(StopOnDivergence, "on_train_batch_end", lambda self, batch, logs=None: None)
    error = train(tmp_path / "runs", finished.data, epochs=3).error
    assert error.endswith("00001-vae-mlp was removed or replaced by another folder: nothing more is written to it")
    assert [path.name for path in (tmp_path / "runs").rglob("*")] == ["00001-vae-mlp", "samples"]


def test_a_run_that_is_replaced_while_it_is_evaluated_leaves_the_new_one_alone(copied, tmp_path, monkeypatch):
    def replace(*arguments):
        copied.rename(tmp_path / "aside")
        copied.mkdir()
        return [], []

    monkeypatch.setattr("keras_gen.evaluation.evaluator._encoder_scores", replace)
    assert "copied was removed or replaced" in call("evaluate", copied, "--measures", "none").error
    assert names(copied) == []


def test_a_history_with_missing_epochs_is_not_continued(copied):
    path = copied / "history.csv"
    lines = path.read_text().splitlines()
    for rows in ([lines[0], lines[2]], [*lines, lines[2]], [lines[0], lines[2], lines[1]]):
        path.write_text("\n".join(rows) + "\n")
        assert f"history {path} can't be continued" in call("run", "--resume", copied, "--epochs", 3).error


def test_a_checkpoint_beyond_its_epoch_is_not_resumed(copied):
    with np.load(copied / "checkpoints" / "epoch-00002.npz") as archive:
        arrays = dict(archive)
    del arrays["sha256"]
    arrays["position"] = np.frombuffer(b'{"epoch": 1, "step": 480, "seconds": 0}', np.uint8)
    path = copied / "checkpoints" / "epoch-00001-step-00000480.npz"
    np.savez(path, **arrays, sha256=checkpoints._digest(arrays))
    (copied / "checkpoints" / "epoch-00002.npz").unlink()
    error = call("run", "--resume", copied).error
    assert f"checkpoint {path} is damaged: it holds epoch 1 and 480 steps of the next" in error
