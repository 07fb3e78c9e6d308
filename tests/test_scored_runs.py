"""Runs with scores during training: output, history, record, and resuming."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from command_helpers import NO_NETWORK, call, only_run, record_of, train
from run_helpers import without_artifacts

from keras_gen.runs import history
from keras_gen.evaluation import Reference, Scorer
from keras_gen.metrics import extractors
from keras_gen.runs import loading
from keras_gen.utils import files

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")


@pytest.fixture(scope="module", autouse=True)
def no_artifacts():
    with without_artifacts():
        yield


@pytest.fixture(scope="module")
def scored(no_artifacts, tmp_path_factory):
    """A run on the embedded digits, scored by the shipped classifier after the second and the fourth epoch."""
    out = tmp_path_factory.mktemp("scored")
    options = ("--batch-size", 512, "--samples-every", 0, "--fid-every", 2, "--fid-images", 50)
    outcome = train(out, "digits", *options, epochs=4)
    assert outcome.code == 0, outcome.err
    return only_run(out), outcome


def test_a_run_is_scored_by_the_extractor_that_fits_its_data(scored):
    run, outcome = scored
    lines = outcome.out.splitlines()
    reason = "by lenet: made for mnist and digits, needs no download"
    assert lines[0] == f"fd_lenet of 50 generated images every 2 epochs, {reason}"
    measured = [line for line in lines if line.startswith("fd_lenet ") and "generated against" in line]
    assert [line.endswith("(50 generated against 1,375 train images)") for line in measured] == [True, True]
    rows = history.read(run / "history.csv")
    assert ["fd_lenet" in row for row in rows] == [False, True, False, True]
    assert [row["fd_lenet_images"] for row in rows if "fd_lenet" in row] == [50, 50]
    for line, row in zip(measured, rows[1::2], strict=True):
        assert line.startswith(f"fd_lenet {row['fd_lenet']:.4g}, of which about ")


def test_the_record_names_the_extractor_that_was_picked(scored):
    record = record_of(scored[0])
    assert record["settings"]["extractor"] == "lenet"
    assert record["extractor"] == extractors.build("lenet").description()


def test_the_score_of_the_last_epoch_is_that_of_the_finished_model(scored):
    opened = loading.load(scored[0])
    reference = Reference(opened.data.train.images, "lenet", data="digits")
    [expected] = Scorer(reference, ("fid",), num_images=50).score(opened.model)
    assert history.read(scored[0] / "history.csv")[-1]["fd_lenet"] == pytest.approx(expected.value, rel=1e-6)


# Resuming


@pytest.fixture
def copied(scored, tmp_path):
    """A copy of the scored run, which a test may change."""
    return Path(shutil.copytree(scored[0], tmp_path / "copied"))


def change_extractor(run, **entries):
    record = record_of(run)
    files.write_json(run / "recipe.json", record | {"extractor": record["extractor"] | entries})


def test_a_resumed_run_is_scored_as_an_uninterrupted_one(scored, tmp_path):
    options = ("--batch-size", 512, "--samples-every", 0, "--fid-every", 2, "--fid-images", 50)
    assert train(tmp_path / "runs", "digits", *options, epochs=2).code == 0
    run = only_run(tmp_path / "runs")
    before, record = history.read(run / "history.csv"), record_of(run)
    outcome = call("run", "--resume", run, "--epochs", 4)
    assert outcome.code == 0, outcome.err
    assert "fd_lenet of 50 generated images every 2 epochs, by lenet: as before" in outcome.out.splitlines()
    rows, expected = (history.read(path / "history.csv") for path in (run, scored[0]))
    assert rows[:2] == before
    assert ["fd_lenet" in row for row in rows] == [False, True] * 2
    assert [row.get("fd_lenet") for row in rows] == [row.get("fd_lenet") for row in expected]
    assert record_of(run)["extractor"] == record["extractor"]


def test_a_run_is_not_resumed_with_another_extractor(copied):
    change_extractor(copied, sha256="0" * 64)
    error = call("run", "--resume", copied, "--epochs", 6).error
    assert error.startswith("error: extractor lenet is no longer the one that scored this run")
    assert "0" * 64 in error
    assert len(history.read(copied / "history.csv")) == 4
    assert record_of(copied)["settings"]["epochs"] == 4


def test_a_finished_run_ignores_a_changed_extractor(copied):
    change_extractor(copied, sha256="0" * 64)
    outcome = call("run", "--resume", copied)
    assert outcome.code == 0, outcome.err
    assert "nothing to do" in outcome.out


def test_an_extractor_that_can_not_be_downloaded_stops_a_new_run_but_not_a_resumed_one(copied):
    error = train("runs", "digits", "--extractor", "inception-2015").error
    assert error.startswith("error: the weights of inception-2015 can't be downloaded")
    assert NO_NETWORK in error
    assert not Path("runs").exists()
    record = record_of(copied)
    files.write_json(
        copied / "recipe.json", record | {"settings": record["settings"] | {"extractor": "inception-2015"}}
    )
    outcome = call("run", "--resume", copied, "--epochs", 5)
    assert outcome.code == 0, outcome.err
    assert "NOTE: generated images are no longer scored: the weights of inception-2015" in outcome.out
    rows = history.read(copied / "history.csv")
    assert ["fd_lenet" in row for row in rows] == [False, True, False, True, False]


# Data that an extractor was not made for


def test_color_images_need_an_extractor_of_their_own(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 12, 12, 3), np.uint8)
    np.savez(tmp_path / "noise.npz", x_train=images[:24], x_test=images[24:])
    error = train(tmp_path / "runs", tmp_path / "noise.npz", "--extractor", "lenet").error
    assert error.startswith("error: extractor lenet takes gray images (n, H, W, 1), noise has images (12, 12, 3)")
    assert not (tmp_path / "runs").exists()


def test_scores_after_the_last_epoch_are_told(tiny_data, tmp_path):
    options = ("--extractor", "lenet", "--fid-every", 2, "--keep-best", "fd_lenet")
    outcome = train(tmp_path / "runs", tiny_data, *options)
    assert outcome.out == "NOTE: generated images are not scored: fid_every 2 is above the number of epochs\n"
    assert outcome.error == "error: keep_best must be loss or val_loss for this run, received: 'fd_lenet'"


def test_a_named_extractor_scores_data_it_was_not_made_for(tiny_data, tmp_path):
    outcome = train(tmp_path / "runs", tiny_data, "--extractor", "lenet", "--fid-images", 20)
    assert outcome.code == 0, outcome.err
    assert "fd_lenet of 20 generated images every epoch, by lenet: requested by name" in outcome.out
    run = only_run(tmp_path / "runs")
    assert history.read(run / "history.csv")[0]["fd_lenet_images"] == 20
    assert history.read(run / "history.csv")[0]["fd_lenet"] > 0
