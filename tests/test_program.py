"""The program `keras-gen`: every command, in any folder; trained models by name."""

import configparser
import importlib
import shutil
from pathlib import Path

import pytest
from command_helpers import EXPERIMENTS, call, only_run, record_of

from keras_gen import UsageError
from keras_gen.commands import program
from keras_gen.models import export
from keras_gen.utils import trained_models

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")
MODEL = EXPERIMENTS.parent / "saved_models" / "vae-mlp"


def test_the_installed_program_is_this_one():
    configuration = configparser.ConfigParser()
    configuration.read(EXPERIMENTS.parent / "setup.cfg", encoding="utf-8")
    name, _, target = configuration["options.entry_points"]["console_scripts"].strip().partition(" = ")
    module, function = target.split(":")
    assert (name, getattr(importlib.import_module(module), function)) == ("keras-gen", program.main)


def test_every_command_has_the_options_of_its_script():
    for name in program.COMMANDS:
        outcome = call("program", name, "--help")
        assert outcome.code == 0
        assert outcome.out.startswith(f"usage: keras-gen {name} ")
    assert "\n  sweep     train a recipe on a grid" in call("program", "--help").out


def test_a_run_is_recorded_and_resumed_by_the_commands_of_the_program(tmp_path):
    small = ("--set", "hidden=8", "latent_dim=2", "--epochs", 1, "--fid-every", 0)
    outcome = call("program", "run", "--model", "vae-mlp", "--dataset", "digits", *small)
    assert outcome.code == 0, outcome.err
    run = only_run(Path("runs"))
    assert outcome.out.splitlines()[-1] == f"sample from it: keras-gen sample {run}"
    assert record_of(run)["command"][:3] == ["keras-gen run", "--model", "vae-mlp"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "keras-gen run --model vae-mlp --dataset digits --set hidden=8" in page
    assert f"keras-gen evaluate {run}" in page
    assert "python experiments" not in page


def test_a_trained_model_is_found_by_its_name(tmp_path, monkeypatch):
    listed = trained_models.names()
    assert "vae-mlp" in listed
    assert call("program", "list").out.endswith(
        f"\ntrained models: {' '.join(listed)}; generate images: keras-gen sample {listed[0]}\n"
    )
    assert call("program", "sample", "vae-mlp", "--num", 4).out.startswith("4 images 28x28x1 with seed 0")
    shutil.copytree(MODEL, tmp_path / "more" / "mine")
    monkeypatch.setenv("KERAS_GEN_MODELS", str(tmp_path / "more"))
    assert trained_models.names() == sorted([*listed, "mine"])
    assert export.find("mine") == tmp_path / "more" / "mine"
    for name in ("mien", "more/nothing", ""):
        with pytest.raises(UsageError, match="or a trained model .*mine,.* vae-mlp.*., received: "):
            export.find(name)
    with pytest.raises(UsageError, match=r"received: 'else' \(the weights of a model .*/else\)$"):
        export.find("else")
    Path("mine").mkdir()
    shutil.copytree(MODEL, Path("mine"), dirs_exist_ok=True)
    assert export.find("mine") == Path("mine")  # a folder that is here comes first


def test_a_wrong_folder_of_models_is_named(monkeypatch):
    monkeypatch.setenv("KERAS_GEN_MODELS", "nowhere")
    expected = "error: $KERAS_GEN_MODELS must be a folder of SavedModels, received: 'nowhere'"
    assert call("program", "sample", "mine").error == expected
