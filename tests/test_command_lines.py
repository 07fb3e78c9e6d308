"""The commands that messages name: those that this process was started with."""

import subprocess
import sys

import pytest
from command_helpers import EXPERIMENTS, SCRIPTS, call, environment

from keras_gen.runs.settings import RunSettings
from keras_gen.utils.command_lines import command

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("experiments/run.py", "python experiments/sample.py 'my runs/1' --num 3"),
        ("./experiments/../experiments/evaluate.py", "python experiments/../experiments/sample.py 'my runs/1' --num 3"),
        ("/home/experiments/train.py", "keras-gen sample 'my runs/1' --num 3"),  # a user's own script
        ("/usr/bin/keras-gen", "keras-gen sample 'my runs/1' --num 3"),
        ("my_script.py", "keras-gen sample 'my runs/1' --num 3"),
        ("", "keras-gen sample 'my runs/1' --num 3"),
    ],
)
def test_a_command_is_one_that_the_user_has(program, expected, monkeypatch):
    monkeypatch.chdir(EXPERIMENTS.parent)
    monkeypatch.setattr("sys.argv", [program])
    assert command("sample", "my runs/1", "--num", 3) == expected


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("run --model vae --epoch 3", "unrecognized arguments: --epoch 3, did you mean '--epochs'?"),
        ("run --modle vae", "--model --list --resume is required, did you mean '--model'?"),
        ("run --model vae --latent_dim 3", "arguments: --latent_dim 3, did you mean '--set latent_dim=VALUE'?"),
        ("run --model vae --latent-dim=3", "arguments: --latent-dim=3, did you mean '--set latent_dim=VALUE'?"),
        ("run --model vae --beta", "arguments: --beta, did you mean '--set beta=VALUE'?"),
        ("run --model vae --out samples --epochs many", "argument --epochs: invalid int value: 'many'"),
        ("benchmark frechett", "'start-up', 'workers'), did you mean 'frechet'?"),
        ("program rum", "'publish', 'reproduce'), did you mean 'run'?"),
        ("sweep --model vae --seed 3", "unrecognized arguments: --seed 3, did you mean '--seeds'?"),
        ("sample vae-mlp --number 3", "unrecognized arguments: --number 3, did you mean '--num'?"),
        ("run --model vae --out=--", "argument --out: must be a value, received: '--'"),
        ("run --model=--", "argument --model: must be a value, received: '--'"),
        ("run --model vae --out=a\udcff", r"argument --out: must be a path in UTF-8, received: 'a\udcff'"),
        ("sample a\udcff", r"argument path: must be a path in UTF-8, received: 'a\udcff'"),
    ],
)
def test_a_wrong_option_is_one_line_with_what_was_meant(words, hint):
    name, *arguments = words.split()
    assert call(name, *arguments).error.endswith(hint)


def test_every_option_for_a_path_expands_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = 0
    for name, module in SCRIPTS.items():
        for action in module.parser()._actions:
            if (
                action.metavar in ("DIR", "FILE", "FILE.py", "FILE.html", "PATH", "RUN", "SWEEP", "run")
                or action.dest in ("run", "runs")
            ):
                if action.type is not None or action.metavar is not None:
                    ending = {"json": ".json", "animate": ".gif", "interpolate": ".png"}.get(action.dest, "")
                    if action.dest == "out":
                        ending = {"report": ".html", "sample": ".png", "convert": ".onnx"}.get(name, "")
                    path = f"x{ending}"
                    assert str(action.type(f"~/{path}")) == str(tmp_path / path), (name, action.dest)
                    paths += 1
    assert paths > 25
    settings = RunSettings("vae-mlp", dataset="~/x.npz", data_dir="~/y")
    assert (settings.dataset, settings.data_dir) == (str(tmp_path / "x.npz"), str(tmp_path / "y"))


def test_a_sweep_takes_the_options_of_a_run():
    words = "--model vae-mlp --dataset digits --epochs 3 --fid-every 0 --deterministic --grid latent_dim=2,3 --dry-run"
    outcome = call("sweep", *words.split())
    assert outcome.out.splitlines()[-1] == "2 members, 6 epochs in total"
    assert "epochs is given twice" in call("sweep", *words.split(), "--set", "epochs=2").error
    words = "--resume sweeps/1 --samples 3"
    assert call("sweep", *words.split()).error.startswith("error: --samples can't be used here")


def test_help_names_the_recipes_and_the_data_sets():
    shown = call("run", "--help").out
    assert "wgan-gp-cifar10" in shown
    assert "fashion_mnist" in shown


def test_commands_print_in_any_encoding_and_need_no_backend_of_a_notebook(tmp_path):
    variables = environment(PYTHONIOENCODING="ascii", MPLBACKEND="module://no_such_package.backend")
    script = "from keras_gen.commands import cli; cli.main(lambda: (__import__('matplotlib'), print('±')))"
    run = subprocess.run(
        [sys.executable, "-c", script], env=variables, capture_output=True, cwd=tmp_path, check=False
    )
    assert (run.returncode, run.stdout) == (0, rb"\xb1" + b"\n"), run.stderr
