"""Helpers for tests of publishing: a small published model and the runs it is made of."""

import json
import shutil

import pytest

from keras_gen import evaluation, publishing, training
from keras_gen.evaluation import EvaluationSettings
from keras_gen.runs.settings import RunSettings
from keras_gen.utils import safe_files

SETTINGS = {"dataset": "digits", "epochs": 3, "fid_every": 0, "samples_every": 3, "sample_count": 4}
MEASURED = EvaluationSettings(measures=("fid", "confidence"), num_images=40, likelihood_images=8, likelihood_samples=4)


def copy_of(run, folder, **settings):
    """A copy of a run with other settings in its record."""
    path = shutil.copytree(run, folder / run.name)
    record = safe_files.read_json(path / "recipe.json")
    (path / "recipe.json").write_text(json.dumps(record | {"settings": record["settings"] | settings}))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """An evaluated run, and one that differs in its seed and what it reaches: to save time, a changed copy."""
    folder = tmp_path_factory.mktemp("runs")
    settings = RunSettings("vae-mlp", {"hidden": 16}, seed=0, keep_best="val_loss", **SETTINGS)
    first = training.run(settings, out=folder)
    evaluation.evaluate(first, MEASURED)
    second = copy_of(first, tmp_path_factory.mktemp("more"), seed=1)
    content = safe_files.read_json(second / "evaluation.json")
    content["losses"] = {name: 1.1 * value for name, value in content["losses"].items()}
    content["scores"] = [score | {"value": 1.1 * score["value"]} for score in content["scores"]]
    (second / "evaluation.json").write_text(json.dumps(content))
    return [first, second]


@pytest.fixture(scope="module")
def published(runs, tmp_path_factory):
    """Their published model."""
    out = tmp_path_factory.mktemp("models")
    return publishing.read(
        publishing.publish(runs, out, name="mine", note="Digits, some of them.", license="apache-2.0")
    )
