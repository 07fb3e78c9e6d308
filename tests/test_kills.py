"""Runs killed with SIGKILL at random moments and resumed until they end equal an uninterrupted run, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from command_helpers import EXPERIMENTS, environment
from run_helpers import assert_same_run

from keras_gen.runs import checkpoints

EPOCHS = 40
FAMILIES = {
    "vae-mlp": ("hidden=8", "latent_dim=2"),
    "vae-conv": ("width=4", "latent_dim=3", "depth=2"),
    "dae-conv": (),
    "gan-conv": ("latent_dim=3", "moving_average=0.9", "dropout=0.4"),
    "wgan-gp": ("latent_dim=3", "width=4", "critic_steps=2"),
}
KILLS = 6


def command(*arguments):
    return [sys.executable, os.fspath(EXPERIMENTS / "run.py"), *map(str, arguments)]


def started(*arguments):
    return subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())


def finish(*arguments):
    result = subprocess.run(command(*arguments), capture_output=True, text=True, env=environment(), check=False)
    assert result.returncode == 0, result.stderr


def kill_after_progress(process, run, generator):
    """Kill a run some time after its next checkpoint; return whether it was still running."""
    before = checkpoints.latest(run) if run.exists() else None
    deadline = time.monotonic() + 120
    while process.poll() is None and (checkpoints.latest(run) if run.exists() else None) == before:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(generator.uniform(0.0, 0.4))
    process.kill()
    err = process.communicate()[1].decode()
    assert process.returncode in (0, -signal.SIGKILL), err
    return process.returncode != 0


def kill_and_resume(name, kills, data, folder):
    options = ["--model", name, "--dataset", data, "--image-size", 12, "--epochs", EPOCHS, "--samples", 4]
    options += ["--batch-size", 10 if "wgan" not in name else 5, "--fid-every", 0, "--samples-every", 10]
    options += ["--checkpoint-every", "1step", *(("--set", *FAMILIES[name]) if FAMILIES[name] else ())]
    run, generator, killed = folder / "killed" / f"00001-{name}", random.Random(name), 0
    process = started(*options, "--out", folder / "killed")
    while kill_after_progress(process, run, generator):
        killed += 1
        if killed == kills:
            break
        process = started("--resume", run)
    finish("--resume", run)
    finish(*options, "--out", folder / "whole")
    assert_same_run(run, folder / "whole" / f"00001-{name}")
    return killed


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_run_that_is_killed_again_and_again_ends_in_the_same_bits(name, tiny_data, tmp_path):
    assert kill_and_resume(name, KILLS, tiny_data, tmp_path) >= 2
