"""run.py --deterministic, in separate processes, since TensorFlow's setting lasts as long as its process."""

import os
import subprocess
import sys

import pytest
from command_helpers import EXPERIMENTS, environment
from run_helpers import assert_same_run

from keras_gen.runs import run_directory


def run(*arguments):
    return subprocess.run(
        [sys.executable, os.fspath(EXPERIMENTS / "run.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("model", ["gan-conv"])
def test_the_same_command_gives_the_same_bits_and_can_be_resumed(model, tiny_data, tmp_path):
    options = ["--model", model, "--set", "latent_dim=3", "dropout=0.4", "--dataset", tiny_data]
    options += ["--image-size", 12, "--batch-size", 10]
    options += ["--epochs", 2, "--fid-every", 0, "--samples", 4, "--deterministic"]
    for name in ("one", "two"):
        result = run(*options, "--out", tmp_path / name)
        assert result.returncode == 0, result.stderr
    one, two = (tmp_path / name / f"00001-{model}" for name in ("one", "two"))
    assert_same_run(one, two)
    assert run_directory.read_recipe(one)["settings"]["deterministic"] is True
    result = run("--resume", one, "--epochs", 3)
    assert (result.returncode, "NOTE" in result.stdout) == (0, False), result.stderr
