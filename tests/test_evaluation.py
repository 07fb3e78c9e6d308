"""Tests of evaluate.py: the scores of each kind of model, notes on missing scores, and errors."""

import functools
import json
import os
import shutil

import command_helpers
import model_helpers
import numpy as np
import pytest
import run_helpers
import scorer_helpers
from command_helpers import NO_NETWORK, call, names, no_space, only_run, record_of, train, write_npz

from keras_gen import data, zoo
from keras_gen.data import preprocessing
from keras_gen.evaluation import EvaluationSettings, Reference, Scorer, encoder_scores, evaluator, results
from keras_gen.metrics import fid, importance_sampling, reconstruction
from keras_gen.metrics.extractors import registry
from keras_gen.runs import loading
from keras_gen.utils import image_utils

finished, copied = command_helpers.finished, command_helpers.copied
few_digits = scorer_helpers.few_digits

# In every run and evaluation: 275 digits for training, 25 for validation and 60 for test.
pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network", "few_digits", "one_lenet")

SHORT = ("--epochs", 1, "--samples-every", 0, "--fid-every", 0)
SAMPLE_SCORES = [
    *(f"{name}_lenet" for name in ("fd", "fd_infinity", "kd", "classifier_score")),
    *(f"{name}_lenet" for name in ("precision", "recall", "density", "coverage", "modes", "mode_entropy", "confident")),
    "memorisation_lenet",
]
RECONSTRUCTION_SCORES = ["reconstruction_mse", "reconstruction_psnr", "reconstruction_ssim"]


@pytest.fixture(scope="module")
def one_lenet():
    """Build the extractor once, to save time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "ShippedClassifier", functools.cache(registry.ShippedClassifier))
        yield


def run_of(folder, model, *arguments):
    with run_helpers.without_artifacts():
        outcome = call("run", "--model", model, "--dataset", "digits", *SHORT, "--out", folder, *arguments)
    assert outcome.code == 0, outcome.err
    return only_run(folder)


@pytest.fixture(scope="module")
def vae(tmp_path_factory, few_digits):
    return run_of(tmp_path_factory.mktemp("vae"), "vae-mlp", "--set", "hidden=32")


@pytest.fixture(scope="module")
def gan(tmp_path_factory, few_digits):
    return run_of(tmp_path_factory.mktemp("gan"), "gan-mlp", "--batch-size", 50, "--set", "hidden=32")


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory, few_digits):
    return run_of(tmp_path_factory.mktemp("autoencoder"), "ae-conv", "--batch-size", 100)


def measured(run, *arguments):
    """Evaluate a run and return its scores by name, the evaluation and the output."""
    outcome = call("evaluate", run, *arguments)
    assert outcome.code == 0, outcome.err
    result = results.read(run)
    return {score.name: score for score in result.scores}, result, outcome.out


@pytest.fixture(scope="module")
def whole(vae, one_lenet):
    """The evaluation of the VAE without options."""
    return measured(vae)


# Scores


def test_a_vae_is_measured_by_everything(whole, vae):
    scores, result, out = whole
    assert list(scores) == [*SAMPLE_SCORES, *RECONSTRUCTION_SCORES, "rec_fd_lenet", "nll", "active_units"]
    assert out.startswith("extractor lenet: made for mnist and digits, needs no download\n")
    for score in result.scores:
        [line] = (line for line in out.splitlines() if line.split()[:1] == [score.name])
        assert f"{score.value:.5g}" in line
        assert line.endswith(score.fingerprint)
    assert [line.split()[2] for line in out.splitlines() if line.split()[:1] == ["fd_lenet"]] == ["low"]
    assert "docs/measuring.md" in out
    assert out.splitlines()[-1] == f"report: {vae / 'report.html'}"
    assert "fd_lenet" in (vae / "report.html").read_text(encoding="utf-8").rpartition(">Scores</h2>")[2]
    assert "generated: 85\n" in out  # the number of real images outside the reference
    assert sorted(result.losses) == ["kl", "loss", "mse", "reconstruction"]


def test_the_file_says_what_was_measured(whole, vae):
    content = json.loads((vae / "evaluation.json").read_text(encoding="utf-8"))
    details = ["model", "epoch", "step", "split", "images", "sampler", "data", "versions", "measured"]
    assert list(content) == ["losses", "scores", "notes", *details]
    assert (content["model"], content["epoch"], content["split"], content["images"]) == ("vae-mlp", 1, "test", 60)
    assert content["data"]["fingerprint"] == record_of(vae)["data"]["fingerprint"]
    assert [score["name"] for score in content["scores"]] == list(whole[0])


def test_losses_are_those_of_the_test_images(finished, copied):
    _, result, out = measured(copied, "--measures", "none", "--likelihood-images", 0)
    opened = loading.load(finished.path)
    expected = opened.model.evaluate(opened.data.test.images, batch_size=256, verbose=0, return_dict=True)
    assert result.losses == {name: pytest.approx(float(value), rel=1e-6) for name, value in expected.items()}
    printed = dict(line.split() for line in out.splitlines()[: len(expected)])
    assert printed == {name: f"{value:.6g}" for name, value in result.losses.items()}


def test_scores_are_those_of_the_model_against_all_training_images(whole, vae):
    opened = loading.load(vae)
    reference = Reference(opened.data.train.images, "lenet", data="digits")
    [expected] = Scorer(reference, ("fid",), num_images=85).score(opened.model)
    assert whole[0]["fd_lenet"].value == pytest.approx(expected.value, rel=1e-6)
    assert whole[0]["fd_lenet"].protocol == expected.protocol
    reconstructed = np.asarray(opened.model.reconstruct(opened.data.test.images))
    error = reconstruction.reconstruction_error(opened.data.test.images, np.clip(reconstructed, 0, 1))
    assert whole[0]["reconstruction_ssim"].value == pytest.approx(error.ssim, rel=1e-5)


def test_a_second_evaluation_gives_the_same_bits(whole, vae):
    _, again, out = measured(vae)
    assert (again, out) == (whole[1], whole[2])
    other, _, _ = measured(vae, "--seed", 1, "--measures", "fid")
    assert other["fd_lenet"].value != whole[0]["fd_lenet"].value
    assert other["nll"].value != whole[0]["nll"].value
    assert other["reconstruction_mse"] == whole[0]["reconstruction_mse"]


def test_floors_are_those_of_real_images_outside_the_reference(whole):
    floors = {name: score.floor for name, score in whole[0].items()}
    assert [name for name, floor in floors.items() if floor is not None] == SAMPLE_SCORES[:-1]
    assert floors["fd_lenet"] < 0.1 * whole[0]["fd_lenet"].value
    assert floors["modes_lenet"] == 10
    assert floors["precision_lenet"] > 0.7


def test_the_protocol_of_memorisation_names_both_sets(whole):
    protocol = whole[0]["memorisation_lenet"].protocol
    assert (protocol["held_out"], protocol["held_out_count"]) == ("test and validation", 85)
    assert (protocol["searched"], protocol["reference_split"]) == (275, "train")


def test_a_gan_is_measured_by_what_it_generates(gan):
    scores, result, out = measured(gan, "--images", 60)
    assert list(scores) == SAMPLE_SCORES
    assert {score.protocol["generated"] for score in result.scores} == {60}
    assert scores["fd_lenet"].floor > 0
    assert any(note.startswith("fd_lenet is measured on too few images (60)") for note in result.notes) == (
        scores["fd_lenet"].bias >= 0.1 * scores["fd_lenet"].value
    )
    assert "d_loss" in result.losses
    assert [line.removeprefix("NOTE: ") for line in out.splitlines() if line.startswith("NOTE: ")] == result.notes


def test_an_autoencoder_is_measured_by_its_reconstructions(autoencoder):
    scores, result, out = measured(autoencoder)
    assert list(scores) == [*RECONSTRUCTION_SCORES, "rec_fd_lenet"]
    assert result.notes == []
    assert out.startswith("extractor lenet: ")
    assert "measures must be left out for a model that generates no images" in (
        call("evaluate", autoencoder, "--measures", "fid").error
    )
    assert list(measured(autoencoder, "--measures", "none")[0]) == RECONSTRUCTION_SCORES
    assert list(measured(autoencoder, "--measures", "rec_fid")[0]) == [*RECONSTRUCTION_SCORES, "rec_fd_lenet"]


def test_reconstructions_of_binarized_images_are_compared_with_the_gray_images():
    digits, lenet = data.load("digits", binarize="dynamic"), registry.build("lenet")
    model = zoo.build("vae-burda", digits.image_shape, hidden=8)
    settings = EvaluationSettings(
        measures=("rec_fid",), likelihood_images=2, likelihood_samples=3, likelihood_binarizations=2
    )
    scores, _ = evaluator._encoder_scores(model, digits, settings, lenet)
    score = next(score for score in scores if score.name == "rec_fd_lenet")
    reconstructed = image_utils.to_uint8(np.asarray(model.reconstruct(digits.evaluated("test").images)))
    expected = fid(lenet(digits.test.images).features, lenet(reconstructed).features)
    assert score.value == pytest.approx(expected, rel=1e-6)
    assert score.protocol["inputs"] == "binarized"
    nll = next(score for score in scores if score.name == "nll")
    assert nll.protocol["binarized"] == "stochastic, seeds 0 to 1"


def test_the_distance_of_reconstructions_is_that_of_their_features(autoencoder, gan):
    score = measured(autoencoder, "--measures", "rec_fid")[0]["rec_fd_lenet"]
    opened, lenet = loading.load(autoencoder), registry.build("lenet")
    images = opened.data.test.images
    reconstructed = image_utils.to_uint8(np.asarray(opened.model.reconstruct(images)))
    assert score.value == pytest.approx(fid(lenet(images).features, lenet(reconstructed).features), rel=1e-6)
    assert score.better == "low" and score.bias is None  # each image has its original in the reference
    expected = {"metric": "rec_fid", "reference": "digits", "reference_split": "test", "generated": 60}
    assert expected.items() <= score.protocol.items()
    assert "measures must be without rec_fid, since the model reconstructs no images" in (
        call("evaluate", gan, "--measures", "rec_fid").error
    )


@pytest.mark.slow
def test_several_seeds_give_a_mean_and_a_spread(gan):
    one, other, both = (
        measured(gan, "--measures", "fid", "inception_score", "--images", 60, *options)[0]
        for options in (("--seed", 4), ("--seed", 5), ("--seed", 4, "--seeds", 2))
    )
    for name, score in both.items():
        values = one[name].value, other[name].value
        assert score.value == pytest.approx(np.mean(values), rel=1e-9)
        assert score.spread == pytest.approx(np.std(values, ddof=1), rel=1e-9)
        assert (score.spread_over, score.protocol["seed"]) == ("2 sets of images", "4, 5")
    assert (one["fd_lenet"].spread, one["classifier_score_lenet"].spread_over) == (None, "10 splits")


def test_only_requested_measures_are_taken(vae):
    scores, _, _ = measured(vae, "--measures", "kid", "--images", 50, "--likelihood-images", 0)
    assert list(scores) == ["kd_lenet", *RECONSTRUCTION_SCORES, "active_units"]
    scores, result, out = measured(vae, "--measures", "none", "--likelihood-images", 20)
    assert list(scores) == [*RECONSTRUCTION_SCORES, "nll", "active_units"]
    assert scores["nll"].protocol["images_count"] == 20
    assert (result.notes, "extractor" in out) == ([], False)


def test_test_images_as_reference_leave_out_memorisation(gan):
    scores, result, out = measured(gan, "--reference", "test", "--images", 100)
    assert list(scores) == SAMPLE_SCORES[:-1]
    assert "no memorisation: the reference images are not training images" in result.notes
    assert "NOTE: no memorisation: the reference images are not training images" in out.splitlines()
    protocol = scores["fd_lenet"].protocol
    assert (protocol["reference_split"], protocol["reference_count"]) == ("test", 60)
    assert scores["fd_lenet"].floor is not None  # of training images


def test_more_images_than_real_ones_have_no_floor(gan):
    scores, result, _ = measured(gan, "--measures", "fid", "--images", 86)
    assert scores["fd_lenet"].floor is None
    assert "no floors: fewer than 86 real images are outside the reference" in result.notes


# Likelihoods


def likelihood(model, images, samples, **options):
    options = {"count": 100, "seed": 0} | options
    [score] = encoder_scores.likelihood_scores(model, images, None, {}, samples=samples, **options)
    return score


def test_a_bernoulli_likelihood_is_of_binary_images_and_tighter_with_more_samples():
    model, gray = model_helpers.make_vae(likelihood="bernoulli"), model_helpers.pixels()
    tight, loose = (likelihood(model, gray, samples) for samples in (50, 1))
    protocol = tight.protocol
    assert (protocol["likelihood"], protocol["binarized"]) == ("bernoulli", "stochastic, seed 0")
    assert (protocol["units"], protocol["images_count"], protocol["samples"]) == ("nats an image", 12, 50)
    assert tight.spread_over == "standard error over 12 images"
    assert 0 < tight.value < loose.value
    binary = (gray > 127).astype("uint8") * 255
    score = likelihood(model, binary, 50)
    assert score.protocol["binarized"] == "in the data"
    bound = model.evaluate(binary, verbose=0, return_dict=True)["loss"]
    assert score.value < bound  # the bound that was trained


def test_a_bernoulli_likelihood_is_averaged_over_binarizations():
    model, gray = model_helpers.make_vae(likelihood="bernoulli"), model_helpers.pixels()
    score, bounds = likelihood(model, gray, 20, binarizations=3), []
    for seed in range(3):
        binary = preprocessing.binarize(gray, "stochastic", np.random.default_rng(seed))
        bounds.append(importance_sampling.log_likelihood_bound(model.log_importance_weights(binary, 20, seed=0)))
    assert np.ptp(bounds, axis=0).min() > 1e-3
    of_images = -np.mean(bounds, axis=0)
    assert score.value == pytest.approx(of_images.mean(), rel=1e-9)
    assert score.spread == pytest.approx(of_images.std(ddof=1) / np.sqrt(12), rel=1e-9)
    assert score.protocol["binarized"] == "stochastic, seeds 0 to 2"


@pytest.mark.slow
def test_binary_images_of_a_run_are_not_binarized_again(tmp_path):
    run = run_of(tmp_path / "runs", "vae-2d", "--batch-size", 100, "--binarize", "threshold")
    scores, result, _ = measured(run, "--measures", "none", "--likelihood-samples", 5)
    assert scores["nll"].protocol["binarized"] == "in the data"
    assert scores["nll"].value < result.losses["loss"]  # no looser than the bound that was trained


def test_a_gaussian_likelihood_is_a_density_of_the_pixels(whole):
    score = whole[0]["nll"]
    assert score.protocol["likelihood"] == "gaussian"
    assert score.protocol["binarized"] == "no"
    assert score.protocol["units"] == "nats an image, density of pixels in [0, 1]"
    assert score.value < whole[1].losses["loss"]


# Missing scores


def test_small_images_without_an_extractor_keep_their_losses_and_likelihood(copied):
    scores, result, out = measured(copied)
    assert list(scores) == ["nll", "active_units"]
    assert sorted(result.losses) == ["kl", "loss", "mse", "reconstruction"]
    [extractor, window] = result.notes
    assert extractor.startswith("generated images were not measured: there is no extractor for noise: --extractor ")
    assert window == "no reconstruction scores: images of 8x8 are smaller than the window of SSIM, 11x11"
    assert [line.removeprefix("NOTE: ") for line in out.splitlines() if line.startswith("NOTE: ")] == result.notes


def test_an_extractor_that_is_named_measures_data_it_was_not_made_for(copied):
    scores, result, _ = measured(copied, "--extractor", "lenet", "--images", 8)
    assert "fd_lenet" in scores
    assert "modes_lenet" not in scores
    assert "no mode_coverage: lenet does not know the classes of noise" in result.notes


@pytest.mark.parametrize(
    ("count", "missing"),
    [
        pytest.param(
            (2, 2),
            ["generated images were not measured: reference must be at least 2 images, received: '1'"],
            marks=pytest.mark.slow,
        ),
        ((3, 1), ["no precision_recall: ", "no active_units: their variance needs at least 2 test images"]),
    ],
)
def test_data_with_hardly_any_images_lose_no_other_score(tmp_path, count, missing):
    data = write_npz(tmp_path / "few.npz", *count, size=12)
    with run_helpers.without_artifacts():
        assert train(tmp_path / "runs", data, "--samples-every", 0, "--fid-every", 0).code == 0
    scores, result, _ = measured(only_run(tmp_path / "runs"), "--extractor", "lenet", "--images", 2)
    assert {*RECONSTRUCTION_SCORES, "nll"} <= scores.keys()
    assert ("fd_lenet" in scores, "active_units" in scores) == (count[0] > 2, count[1] > 1)
    assert [any(note.startswith(start) for note in result.notes) for start in missing] == [True] * len(missing)


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", 1], "num_images must be an integer of at least 2"),
        (["--images", -1], "num_images must be"),
        (["--measures", "none", "fid"], "measures must be one of fid, fid_infinity"),
        (["--measures", "fdi"], "measures must be one of fid, fid_infinity, kid"),
        (["--measures", "fid", "fid"], "measures must be different names, received: ('fid', 'fid')"),
        (["--measures", "mode_coverage", "--extractor", "lenet"], "lenet does not know the classes of noise"),
        (["--measures", "fid"], "measures are unavailable: there is no extractor for noise"),
        (["--extractor", "letnet"], "extractor must be one of auto, inception-2015"),
        (["--extractor", "cifar"], "extractor cifar takes color images (n, H, W, 3), noise has images (8, 8, 1)"),
        (["--extractor", "inception-v3"], NO_NETWORK),
        (["--extractor-weights", "missing.h5"], "weights must be left out with extractor auto"),
        (["--extractor", "lenet", "--extractor-weights", "w"], "weights must be left out with extractor lenet"),
        (["--extractor", "inception-v3", "--extractor-weights", "w"], "weights must be a file with the weights of"),
        (["--reference", "validation"], "reference must be one of train, test"),
        (["--seed", -1], "seed must be an integer from 0"),
        (["--seed", 2**31 - 1, "--seeds", 2], "seeds must be at most 1 for seed 2147483647, received: 2"),
        (["--seeds", 0], "seeds must be an integer of at least 1"),
        (["--likelihood-images", -1], "likelihood_images must be an integer of at least 0"),
        (["--likelihood-samples", 0], "likelihood_samples must be an integer of at least 1"),
    ],
    ids=str,
)
def test_a_mistake_in_evaluating_is_one_line(copied, arguments, message):
    assert message in call("evaluate", copied, *arguments).error
    assert "evaluation.json" not in names(copied)


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(copied, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(evaluator, "open_run", None)
    assert f"run must be a folder that can be written, received: '{copied}'" in call("evaluate", copied).error
    error = call("evaluate", "--generated", "a", "--real", "b", "--json", "scores.json").error
    assert (
        "argument --json: must be a file in a folder that exists and can be written, received: 'scores.json'" in error
    )


def test_a_run_without_a_checkpoint_has_nothing_to_evaluate(copied):
    for folder in ("checkpoints", "saved_model"):  # it has not finished
        shutil.rmtree(copied / folder)
    error = call("evaluate", copied).error
    assert (
        error
        == f"error: run {copied} has no checkpoint yet: resume it with python experiments/run.py --resume {copied}"
    )


def test_a_full_disk_while_evaluating_is_one_line_and_keeps_the_older_result(copied, monkeypatch):
    assert call("evaluate", copied).code == 0
    before = (copied / "evaluation.json").read_bytes()
    monkeypatch.setattr(os, "replace", no_space)
    assert "No space left on device" in call("evaluate", copied, "--seed", 1).error
    assert (copied / "evaluation.json").read_bytes() == before
    assert [name for name in names(copied) if name.startswith(".")] == []
