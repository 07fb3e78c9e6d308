"""sweep.py: output and errors; real members that fail, or are stopped, killed and resumed to the same bits."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_helpers import EXPERIMENTS, SCRIPTS, call, environment, names, only_run, record_of, train, write_npz
from run_helpers import assert_same_run, without_artifacts

from keras_gen.commands import run_options
from keras_gen.runs import checkpoints, history
from keras_gen.runs.settings import RunSettings
from keras_gen.training import sweeps
from keras_gen.training.sweeps import runner

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")
FIXED = ("hidden=8", "sample_count=4", "batch_size=8", "samples_every=0", "fid_every=0")
EPOCHS = 60
"""Epochs of the runs that are stopped and killed: enough not to end before."""


@pytest.fixture
def never_started(monkeypatch):
    def start(*arguments, **keywords):
        raise AssertionError("it started a process")

    monkeypatch.setattr(subprocess, "Popen", start)


def sweep(*arguments, data=None):
    """A sweep of vae-mlp."""
    dataset = () if data is None else (f"dataset={data}",)
    return call("sweep", "--model", "vae-mlp", "--set", *FIXED, *dataset, *arguments)


# Arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "epoch=3"], "vae-mlp has no setting or parameter 'epoch', did you mean 'epochs'?"),
        (["--grid", "epochs=3,0"], "epochs must be an integer of at least 1, received: 0"),
        (["--out", "file/sweeps", "--dry-run", "--resume", "there"], "not allowed with argument --model"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_started(never_started, arguments, message):
    outcome = sweep(*arguments)
    assert message in outcome.error
    assert outcome.out == ""
    assert not Path("sweeps").exists()


def test_a_folder_that_can_not_be_written_is_refused(never_started):
    Path("file").write_text("in the way")
    assert sweep("--out", "file/sweeps").error.startswith("error: out can't be written: file/sweeps")


@pytest.mark.parametrize("option", [["--grid", "epochs=3"], ["--set", "epochs=3"], ["--seeds", 2], ["--out", "there"]])
def test_settings_can_not_be_changed_on_resuming(never_started, option):
    error = call("sweep", "--resume", "sweeps/00001-vae", *option).error
    assert error == f"error: {option[0]} can't be used here: a resumed sweep keeps its own settings"


def test_a_dry_run_prints_members_and_epochs_and_leaves_nothing(never_started):
    outcome = sweep("--grid", "latent_dim=2,3", "epochs=20,100", "--grid", "fid_every=10", "--seeds", 2, "--dry-run")
    assert (outcome.code, outcome.err) == (2, "error: fid_every is given twice: as one value and in the grid\n")
    outcome = sweep("--grid", "latent_dim=2,3", "epochs=20,100", "--seeds", 2, "--dry-run")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "[1/8] latent_dim=2 epochs=20 seed=0: 20 epochs, batch size 8, waiting"
    assert lines[7] == "[8/8] latent_dim=3 epochs=100 seed=1: 100 epochs, batch size 8, waiting"
    assert lines[8:] == ["8 members, 480 epochs in total"]
    assert names(Path()) == []


RUNS = """
# Two seeds of one run, and another run.
--model vae --set dropout=0.1 --epochs 20 --seed 0
--model vae-lstm --set dropout=0.1 --epochs 20 --seed 1  # a comment
--model gan-mlp --dataset 'my digits.npz'
"""


def test_the_runs_of_a_list_have_the_options_of_their_lines(never_started):
    Path("runs.txt").write_text(RUNS)
    outcome = call("sweep", "--runs", "runs.txt", "--dry-run")
    lines = [line for line in outcome.out.splitlines() if not line.startswith("NOTE: ")]
    assert lines[0] == "[1/3] run=vae-lstm dropout=0.1 epochs=20 seed=0: 20 epochs, batch size default, waiting"
    assert lines[1].startswith("[2/3] run=vae-lstm dropout=0.1 epochs=20 seed=1: 20 epochs")
    assert lines[2].startswith("[3/3] run=gan-mlp dataset=my digits.npz seed=0: 50 epochs")
    assert lines[3:] == ["3 members, 90 epochs in total"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "runs.txt: runs must be a list of at least one run"),
        (
            "\ufeff--model vae --latent-dim 3",
            "line 1 of runs.txt: unrecognized arguments: --latent-dim 3, did you mean",
        ),
        ("\n--epochs 3", "line 2 of runs.txt: the following arguments are required: --model"),
        ("--model vae --epochs x", "line 1 of runs.txt: argument --epochs: invalid int value: 'x'"),
        ("--model vae --resume there", "line 1 of runs.txt: unrecognized arguments: --resume there"),
        ("--model vea", "line 1 of runs.txt: model must be "),
        ("--model 'vae", "line 1 of runs.txt: No closing quotation"),
        (
            "--model vae\n--model vae-lstm --seed 0",
            "runs.txt: runs must differ, but this one appears twice: vae-lstm seed=0",
        ),
        (None, "--runs must be a text file, received: 'runs.txt'"),
    ],
)
def test_a_wrong_list_is_one_line_before_anything_is_started(never_started, text, message):
    if text is not None:
        Path("runs.txt").write_text(text)
    outcome = call("sweep", "--runs", "runs.txt")
    assert outcome.error.startswith(f"error: {message}")
    assert not Path("sweeps").exists()


def test_settings_of_a_list_are_in_its_lines(never_started):
    Path("runs.txt").write_text(RUNS)
    error = call("sweep", "--runs", "runs.txt", "--epochs", 3).error
    assert error == "error: --epochs can't be used here: each line of --runs has its own settings"


def test_a_last_epoch_that_will_have_no_score_is_pointed_out(never_started):
    outcome = call("sweep", "--model", "vae-mlp", "--grid", "epochs=5,20,25", "--dry-run")
    notes = [line for line in outcome.out.splitlines() if line.startswith("NOTE: ")]
    assert notes == ["NOTE: the last of 25 epochs will not be scored, since fid_every does not divide 25"]


@pytest.mark.parametrize(
    "settings",
    [
        RunSettings("wgan-conv", {"learning_rate": None, "constraint": "weight_clipping", "dropout": 1e-5}),
        RunSettings("vae-mlp", {"learn_scale": True, "beta": 0.5}, dataset="-a b/c.npz", data_dir="d", image_size=8),
        RunSettings(
            "gan", sample_count=3, fid_every=0, checkpoint_every="4steps", jit_compile=True, deterministic=True
        ),
        RunSettings("gan", extractor="inception-v3", extractor_weights="weights.h5", binarize="stochastic", channels=1),
    ],
)
def test_the_command_of_a_member_has_its_settings(settings):
    module = SCRIPTS["run"]
    program, safe_path, option, name, run, *words = SCRIPTS["sweep"].start_command(settings, Path("/there/runs"))
    assert (program, safe_path, option, name, run) == (sys.executable, "-P", "-m", "keras_gen", "run")
    arguments = module.parser().parse_args(words)
    module.check_combination(module.parser(), arguments)
    assert run_options.settings_of(arguments) == settings
    assert arguments.out == Path("/there/runs")


@pytest.mark.parametrize(
    ("present", "scores", "printed"),
    [
        (("loss", "kl", "val_loss", "val_kl"), (), ["val_loss"]),
        (("loss", "kl", "fd_lenet"), ("fd_lenet",), ["loss", "fd_lenet"]),
        (("d_loss", "g_loss", "jsd", "val_d_loss", "val_g_loss"), (), ["val_d_loss", "val_g_loss"]),
        (("d_loss", "g_loss", "jsd", "fd_lenet"), ("fd_lenet",), ["d_loss", "g_loss", "fd_lenet"]),
        (("critic_loss", "emd", "g_loss", "val_critic_loss", "val_emd"), (), ["val_emd"]),
        (("critic_loss", "emd", "g_loss"), (), ["emd"]),
        ((), (), []),
    ],
)
def test_the_table_has_the_losses_that_are_there_and_every_score(present, scores, printed):
    empty = sweeps.Row({}, 1, 0, {}, ())
    row = sweeps.Row({}, 1, 1, dict.fromkeys(present, sweeps.Quantity(1.0, None)), scores)
    assert SCRIPTS["sweep"].columns([empty, row]) == printed


# Real members


class InThisProcess:
    """Stands for the process of a member, but runs its command in this process, to the end."""

    pid = 0

    def __init__(self, command, directory, log, lock):
        assert command[:5] == [sys.executable, "-P", "-m", "keras_gen", "run"]
        with contextlib.chdir(directory), without_artifacts():
            outcome = call("run", *command[5:])
        log.write((outcome.out + outcome.err).encode())
        log.flush()
        self.code = outcome.code

    def poll(self):
        return self.code


def test_a_sweep_with_a_failing_member_trains_the_rest_and_ends_in_a_table_and_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "_start", InThisProcess)
    data = write_npz(tmp_path / "noise.npz")
    os.link(data, "noise.npz")
    outcome = sweep("--set", "epochs=2", "--grid", "latent_dim=0,2", data="noise.npz")
    path = Path("sweeps", "00001-vae-mlp")
    why = "latent_dim must be an integer of at least 1, received: 0"
    assert outcome.code == 1
    assert outcome.err.splitlines() == [
        f"1 of 2 members failed; resume with: python experiments/sweep.py --resume {path}",
        f"1 latent_dim=0 seed=0: {why}",
    ]
    assert names(path) == ["comparison.html", "lock", "logs", "runs", "sweep.csv", "sweep.json"]
    assert names(path / "logs") == ["001.log", "002.log"]
    run = only_run(path / "runs")
    assert [(member.status, member.run) for member in sweeps.read(path).members] == [
        ("waiting", None),
        ("finished", run),
    ]
    last = history.read(run / "history.csv")[-1]
    header, first, second = (line.split() for line in outcome.out.splitlines()[-5:-2])
    assert header == ["latent_dim", "finished", "val_loss"]
    assert first == ["0", "0/1", "-"]
    assert second == ["2", "1/1", f"{last['val_loss']:.5g}"]

    # The member is an ordinary run.
    assert record_of(run)["settings"]["dataset"] == os.path.abspath("noise.npz")
    assert call("evaluate", run, "--measures", "none", "--likelihood-images", 0).code == 0

    # A dry run lists the remaining members.
    left = call("sweep", "--resume", path, "--dry-run").out.splitlines()
    assert left == ["[1/2] latent_dim=0 seed=0: 2 epochs, batch size 8, waiting", "1 member, 2 epochs in total"]


def in_a_process(*arguments):
    """Start sweep.py in a session of its own, as a terminal does."""
    return subprocess.Popen(
        [sys.executable, EXPERIMENTS / "sweep.py", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment(),
    )


def wait_for_checkpoint(process, run):
    """Wait for a checkpoint with more epochs than the present one."""

    def epochs():
        latest = checkpoints.latest(run)
        return 0 if latest is None else latest[0].epoch

    deadline, before = time.monotonic() + 90, epochs()
    while epochs() <= before:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def status_of(path):
    (member,) = sweeps.read(path).members
    return member.status


@pytest.mark.slow
def test_a_member_that_was_stopped_and_killed_ends_in_the_bits_of_one_that_was_not(tmp_path):
    data = write_npz(tmp_path / "noise.npz")
    path = Path("sweeps", "00001-vae-mlp")
    run = path / "runs" / "00001-vae-mlp"
    how = f"resume with: python {EXPERIMENTS / 'sweep.py'} --resume {path}\n"
    process = in_a_process("--model", "vae-mlp", "--set", *FIXED, f"dataset={data}", f"epochs={EPOCHS}", "latent_dim=2")
    try:
        wait_for_checkpoint(process, run)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (130, f"interrupted after 0 of 1 members; {how}")
        assert status_of(path) == "stopped"
        log = path / "logs" / "001.log"
        assert f"; resume with: keras-gen run --resume {run.absolute()}\n" in log.read_text()

        process = in_a_process("--resume", path)
        wait_for_checkpoint(process, run)
        process.kill()
        process.communicate(timeout=60)
        assert "is in use by process " in call("sweep", "--resume", path).error
        os.kill(int((path / "lock").read_text().split()[-1]), signal.SIGKILL)
        assert status_of(path) == "stopped"
    finally:
        process.kill()

    deadline = time.monotonic() + 30
    while (outcome := call("sweep", "--resume", path)).code == 2:
        assert "is in use by" in outcome.error
        assert time.monotonic() < deadline
    assert (outcome.code, outcome.err) == (0, "")
    assert status_of(path) == "finished"
    assert len(re.findall(rf" of {EPOCHS} epochs( and \d+ steps?)? done\n", log.read_text())) == 2

    options = ("--batch-size", 8, "--samples-every", 0, "--fid-every", 0)
    assert train(tmp_path / "runs", data, *options, epochs=EPOCHS).code == 0
    assert_same_run(run, only_run(tmp_path / "runs"))
