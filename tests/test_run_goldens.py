"""Files that older versions left behind, kept by `goldens/make_run_goldens.py`: they still open, resume and compare."""

import json
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from command_helpers import call, record_of

import keras_gen
from keras_gen.runs import history
from keras_gen.training import sweeps

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")

VERSIONS = sorted((Path(__file__).parent / "goldens").glob("*.tar.xz"))
RUNS = {"vae-mlp": "00001-vae-mlp", "gan-mlp": "00002-gan-mlp"}


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda path: path.name)
def golden(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    shutil.unpack_archive(request.param, folder, filter="data")
    return folder


def expected_of(golden):
    return json.loads((golden / "expected.json").read_text(encoding="utf-8"))


def copied_run(golden, name, tmp_path):
    return Path(shutil.copytree(golden / "runs" / RUNS[name], tmp_path / name))


def test_there_are_goldens_and_they_are_small():
    assert "0.1.0.tar.xz" in [path.name for path in VERSIONS]
    assert sum(path.stat().st_size for path in VERSIONS) <= 600_000


@pytest.mark.parametrize("name", RUNS)
def test_an_older_run_resumes_to_the_epoch_that_its_own_version_computed(golden, name, tmp_path):
    run = copied_run(golden, name, tmp_path)
    outcome = call("run", "--resume", run, "--epochs", 3)
    assert outcome.code == 0, outcome.err
    (note,) = [line for line in outcome.out.splitlines() if line.startswith("NOTE")]
    assert "keras_gen's own source" in note
    last = history.read(run / "history.csv")[-1]
    expected = expected_of(golden)[name]["third_epoch"]
    assert expected.keys() <= last.keys()
    for column in expected.keys() - {"seconds"}:
        # On another processor the last digits differ, and Adam enlarges them.
        assert last[column] == pytest.approx(expected[column], rel=2e-3, abs=2e-4), column
    if name == "gan-mlp":  # the SavedModel is that of this epoch
        images = tf.saved_model.load(str(golden / "saved_model")).generate(n=40, seed=1)["images_float"]
        resumed = keras_gen.runs.load(run).model.generate(40, seed=1)["images_float"]
        np.testing.assert_allclose(images, resumed, atol=0.01)


def test_an_older_deterministic_run_is_refused(golden, tmp_path):
    run = copied_run(golden, "vae-mlp", tmp_path)
    record = record_of(run)
    record["settings"]["deterministic"] = True
    (run / "recipe.json").write_text(json.dumps(record), encoding="utf-8")
    outcome = call("run", "--resume", run, "--epochs", 3)
    assert f"run {run} is deterministic" in outcome.error
    assert "keras_gen's own source" in outcome.error


@pytest.mark.parametrize("name", RUNS)
def test_an_older_run_evaluates_to_the_scores_that_its_own_version_measured(golden, name, tmp_path):
    run = copied_run(golden, name, tmp_path)
    then = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    outcome = call("evaluate", run, "--measures", "fid", "--images", 500, "--likelihood-images", 20)
    assert outcome.code == 0, outcome.err
    now = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert then["losses"] == pytest.approx(now["losses"], rel=1e-4, abs=1e-5)
    before, after = ({score["name"]: score for score in content["scores"]} for content in (then, now))
    assert before.keys() == after.keys()
    for score, content in before.items():
        assert content["value"] == pytest.approx(after[score]["value"], rel=1e-3, abs=1e-4), score
        assert content["fingerprint"] == after[score]["fingerprint"], score


def test_an_older_run_loads_with_its_data_and_settings(golden):
    run = keras_gen.runs.load(golden / "runs" / RUNS["gan-mlp"])
    assert (run.settings.model, run.settings.epochs, run.position.epoch) == ("gan-mlp", 2, 2)
    losses = run.model.evaluate(run.data.test.images, batch_size=256, verbose=0, return_dict=True)
    evaluation = json.loads((golden / "runs" / RUNS["gan-mlp"] / "evaluation.json").read_text(encoding="utf-8"))
    assert losses == pytest.approx(evaluation["losses"], rel=1e-4, abs=1e-5)


def test_older_evaluations_compare(golden):
    paths = [golden / "runs" / name for name in RUNS.values()]
    outcome = call("compare", *paths)
    assert outcome.code == 0, outcome.err
    assert all(name in outcome.out for name in RUNS.values())
    assert "fd_lenet" in outcome.out


def test_an_older_saved_model_samples(golden, tmp_path):
    outcome = call("sample", golden / "saved_model", "--num", 4, "--seed", 1, "--out", tmp_path / "images.png")
    assert outcome.code == 0, outcome.err
    images = tf.saved_model.load(str(golden / "saved_model")).generate(n=4, seed=1)["images"].numpy()
    assert images.shape == (4, 28, 28, 1)
    assert images.dtype == np.uint8


def test_an_older_sweep_is_read(golden):
    sweep = sweeps.read(golden / "sweeps" / "00001-vae-mlp")
    assert [member.status for member in sweep.members] == ["finished", "waiting"]
    assert [member.is_finished for member in sweep.members] == [True, False]


@pytest.mark.slow
def test_an_older_sweep_goes_on(golden, tmp_path):
    path = Path(shutil.copytree(golden / "sweeps" / "00001-vae-mlp", tmp_path / "sweep"))
    (path / "logs").mkdir()
    content = json.loads((path / "sweep.json").read_text(encoding="utf-8"))
    content["directory"] = str(tmp_path)  # the folder that it was started in
    (path / "sweep.json").write_text(json.dumps(content), encoding="utf-8")
    outcome = call("sweep", "--resume", path)
    assert outcome.code == 0, outcome.err
    assert [member.status for member in sweeps.read(path).members] == ["finished", "finished"]
    assert record_of(path / "runs" / "00002-vae-mlp")["settings"]["overrides"]["latent_dim"] == 2


@pytest.mark.parametrize("family", ["autoencoder", "vae", "gan", "wgan"])
def test_an_older_keras_file_loads_with_its_optimizers(golden, family):
    saved_with = json.loads(zipfile.ZipFile(golden / f"{family}.keras").read("metadata.json"))["keras_version"]
    if [int(part) for part in keras.version().split(".")[:2]] < [int(part) for part in saved_with.split(".")[:2]]:
        pytest.skip(f"Keras {keras.version()} does not load files of the newer {saved_with}")
    model = keras.models.load_model(golden / f"{family}.keras")
    expected = expected_of(golden)[family]
    split = keras_gen.data.load("digits").train
    images, labels = split.images[:40, ::2, ::2], split.labels[:40]
    losses = model.evaluate(images, labels, batch_size=8, verbose=0, return_dict=True)
    assert losses == pytest.approx(expected["losses"], rel=1e-4, abs=1e-5)
    if "mean_of_generated" in expected:
        classes = {"labels": [3, 4]} if model.num_classes else {}
        images = model.generate(2, seed=1, **classes)["images_float"]
        assert float(np.mean(images)) == pytest.approx(expected["mean_of_generated"], rel=1e-4)
    if family in ("vae", "gan"):  # whose optimizers have a state
        for optimizer in model.optimizers:
            assert int(optimizer.iterations) == 5  # 40 images in batches of 8
            assert all(np.any(slot.numpy()) for slot in optimizer.variables[2:])
        model.fit(split.images[:40, ::2, ::2], labels, batch_size=8, verbose=0)
