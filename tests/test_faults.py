"""Faults of the machine: a full disk, a folder that can't be written, exhausted memory."""

import contextlib
import resource
import shutil
import subprocess
import sys
import types

import pytest
import tensorflow as tf
from command_helpers import EXPERIMENTS, call, environment, names, only_run, train, write_npz
from run_helpers import assert_same_run, without_artifacts

from keras_gen import UsageError
from keras_gen.runs import history
from keras_gen.training import faults

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")

SIZE = "--set", "hidden=64", "latent_dim=2", "--samples", "4", "--samples-every", "0", "--fid-every", "0"
"""Model arguments with checkpoints of about 250 KB."""


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system in memory; return its folder and a function that changes its mount options."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("mounting a tmpfs is not allowed here")

    def remount(option):
        subprocess.run([mount, "-o", f"remount,{option}", folder], check=True)

    yield folder, remount
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_npz(tmp_path_factory.mktemp("data") / "noise.npz")


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    with without_artifacts():
        assert trained(folder, data, "--epochs", 4).code == 0
    return only_run(folder)


def trained(out, data, *arguments):
    return call("run", "--model", "vae-mlp", *SIZE, "--dataset", data, "--out", out, *arguments)


@pytest.mark.slow
@pytest.mark.parametrize("size", [150, 300, 450, 600], ids="{} KB".format)
def test_a_full_disk_stops_the_run_which_can_be_resumed_with_more_space(size, small_disk, data, whole):
    """It is full while the first or second checkpoint, the report or the SavedModel is written."""
    disk, remount = small_disk
    remount(f"size={size}k")
    outcome = trained(disk, data, "--epochs", 4)
    run = only_run(disk)
    assert outcome.error.startswith(f"error: run {run} stopped: ")
    assert "No space left on device" in outcome.error or "disk full" in outcome.error
    assert f"; resume with: python experiments/run.py --resume {run}" in outcome.error
    assert not list(run.rglob(".*"))
    before = names(run / "checkpoints") if (run / "checkpoints").exists() else []

    assert call("run", "--resume", run).code == 2
    assert (names(run / "checkpoints") if before else []) == before

    remount("size=50m")
    again = call("run", "--resume", run)
    assert again.code == 0, again.err
    assert_same_run(run, whole)


def test_a_disk_without_any_room_leaves_no_run(small_disk, data):
    disk, _ = small_disk
    with contextlib.suppress(OSError), open(disk / "filling", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    assert trained(disk, data, "--epochs", 1).error.startswith(f"error: out can't be written: {disk / '00001-vae-mlp'}")
    assert names(disk) == ["filling"]


@pytest.mark.slow
def test_a_folder_that_can_not_be_written_is_refused(small_disk, data):
    disk, remount = small_disk
    remount("size=50m")
    assert trained(disk, data, "--epochs", 1).code == 0
    run = only_run(disk)
    remount("ro")
    refused = trained(disk, data, "--epochs", 1).error
    assert f"out must be in a writable folder, which {disk} is not" in refused
    error = call("run", "--resume", run, "--epochs", 2).error
    assert str(run) in error
    assert "(Read-only file system)" in error
    remount("rw")
    assert call("run", "--resume", run, "--epochs", 2).code == 0
    assert [row["epoch"] for row in history.read(run / "history.csv")] == [1, 2]


@pytest.mark.slow
def test_exhausted_memory_is_one_line(data, tmp_path):
    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (7 * 10**9, 7 * 10**9))

    arguments = ["--model", "vae-mlp", "--set", "hidden=10000000", "--dataset", data, "--epochs", "1"]
    result = subprocess.run(
        [sys.executable, EXPERIMENTS / "run.py", *arguments, "--out", tmp_path / "runs"],
        capture_output=True,
        text=True,
        check=False,
        env=environment("TF_CPP_MIN_LOG_LEVEL"),
        preexec_fn=limited,
    )
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: out of memory (")
    assert result.stderr.count("\n") == 1


def test_a_missing_file_of_a_callback_is_no_failed_write_of_the_run(tmp_path):
    model = types.SimpleNamespace(distribute_strategy=tf.distribute.get_strategy())
    with pytest.raises(FileNotFoundError), faults.explain_errors(tmp_path, None, model):
        open(tmp_path.parent / "configuration.yaml")
    with pytest.raises(UsageError, match="history.csv can't be written"), faults.explain_errors(tmp_path, None, model):
        open(tmp_path / "gone" / "history.csv", "w")


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_it_used(data, tmp_path):
    options = ("--batch-size", 8, "--checkpoint-every", "2steps")
    with without_artifacts():
        assert train(tmp_path / "runs", data, *options, epochs=2).code == 0
    run = only_run(tmp_path / "runs")
    whole = shutil.copytree(run, tmp_path / "whole")
    assert names(run / "checkpoints") == ["epoch-00001-step-00000001.npz", "epoch-00002.npz"]
    newest = run / "checkpoints" / "epoch-00002.npz"
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    with without_artifacts():
        outcome = call("run", "--resume", run)
    assert outcome.code == 0, outcome.err
    assert f"NOTE: checkpoint {newest} is damaged: " in outcome.out
    assert outcome.out.splitlines()[0].endswith("; using the previous one")
    assert f"{run}: 1 of 2 epochs and 1 step done" in outcome.out
    assert_same_run(run, whole)
