"""Scores of images in folders, files, data sets and arrays against others, without a run."""

import json
import shutil

import numpy as np
import pytest
import run_helpers
import scorer_helpers
from command_helpers import call, only_run
from PIL import Image
from scorer_helpers import QuadrantExtractor, squares

from keras_gen import UsageError, evaluation
from keras_gen.evaluation import Reference, ReferenceStatistics, compare_images, results
from keras_gen.metrics import GaussianStatistics, extractors, fid

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")
few_digits = scorer_helpers.few_digits


def images_of(count, seed, side=28):
    """Return uint8 images of bright rectangles, `(count, side, side, 1)`."""
    generator, images = np.random.default_rng(seed), np.zeros((count, side, side, 1), np.uint8)
    for image in images:
        top, left, height, width = generator.integers(2, side // 2, 4)
        image[top : top + height, left : left + width] = generator.integers(100, 256)
    return images


def write_folder(path, images):
    path.mkdir(parents=True)
    for index, image in enumerate(images):
        Image.fromarray(image.squeeze()).save(path / f"{index:04d}.png")
    return path


@pytest.fixture(scope="module")
def lenet():
    return extractors.build("lenet")


def scores_of(outcome):
    assert outcome.code == 0, outcome.err
    lines = [line.split() for line in outcome.out.splitlines()]
    return {words[0]: float(words[1]) for words in lines if len(words) > 2 and words[0].endswith("_lenet")}


# Arrays


def test_arrays_are_scored_by_the_functions_of_the_metrics(lenet):
    generated, real = images_of(60, 0), images_of(90, 1)
    result = compare_images(generated, real, extractor=lenet)
    values = {score.name: score.value for score in result.scores}
    features = lenet(generated).features, lenet(real).features
    assert values["fd_lenet"] == pytest.approx(fid(*features), rel=1e-6)
    assert {"kd_lenet", "precision_lenet", "classifier_score_lenet"} <= values.keys()
    missing = ["no mode_coverage", "no confidence", "no memorisation"]
    assert [note.partition(":")[0] for note in result.notes][:3] == missing
    parts = compare_images([generated[:25], generated[25:]], real, extractor="lenet", measures=["fid"])
    assert parts.scores[0].value == pytest.approx(values["fd_lenet"], rel=1e-6)
    assert parts.scores[0].fingerprint == result.scores[0].fingerprint


def test_images_of_another_size_are_scored_too(lenet):
    [score] = compare_images(images_of(40, 0, 32), images_of(50, 1), extractor=lenet, measures=["fid"]).scores
    expected = fid(lenet(images_of(40, 0, 32)).features, lenet(images_of(50, 1)).features)
    assert score.value == pytest.approx(expected, rel=1e-6)


def test_held_out_images_give_floors():
    extractor = QuadrantExtractor()
    result = compare_images(squares(40), squares(50, 1), extractor=extractor, held_out=squares(60, 2))
    floors = {score.name: score.floor for score in result.scores}
    assert floors["fd_lenet"] is not None
    assert floors["memorisation_lenet"] is None


WRONG = {
    "one image": ((squares(1), squares(9)), {}, "generated must be at least 2 images, received: 1"),
    "one real image": ((squares(5), squares(1)), {}, "real must be at least 2 images, received: 1"),
    "real floats": ((squares(5), squares(9) / 255), {}, "real must be uint8 images"),
    "held-out floats": ((squares(5), squares(9)), {"held_out": squares(9) / 255}, "held_out must be uint8 images"),
    "no array": ((None, squares(9)), {}, "generated must be uint8 images"),
    "no extractor at all": ((squares(5), squares(9)), {"extractor": 3}, "extractor must be an Extractor, or one of"),
    "floats": ((squares(5) / 255, squares(9)), {}, "generated must be uint8 images"),
    "no extractor": ((squares(5), squares(9)), {"extractor": None}, "extractor must be given with real images"),
    "two extractors": ((squares(5), Reference(squares(9), QuadrantExtractor())), {}, "extractor must be left out"),
    "unknown measure": ((squares(5), squares(9)), {"measures": ["fdi"]}, "measures must be one of fid, "),
    "unavailable": ((squares(5), squares(9)), {"measures": ["memorisation"]}, "there are no held-out real images"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case):
    arguments, options, message = WRONG[case]
    with pytest.raises(UsageError, match=message):
        compare_images(*arguments, **{"extractor": QuadrantExtractor()} | options)


# Statistics of other programs


def statistics_of(path, features):
    statistics = GaussianStatistics.from_features(features)
    np.savez(path, mu=statistics.mean, sigma=statistics.covariance)
    return path


def test_statistics_of_another_program_are_a_reference_for_the_distance(lenet, tmp_path):
    generated, real = images_of(60, 0), images_of(90, 1)
    path = statistics_of(tmp_path / "real.npz", lenet(real).features)
    result = compare_images(generated, ReferenceStatistics(path, "lenet"))
    [score] = result.scores
    assert score.value == pytest.approx(fid(lenet(generated).features, lenet(real).features), rel=1e-6)
    assert score.protocol["reference"] == "real.npz" and score.protocol["reference_count"] is None
    assert "no kid: only mean and covariance of the reference are known" in result.notes
    np.savez(tmp_path / "generated.npz", images=generated)
    again = scores_of(
        call("evaluate", "--generated", tmp_path / "generated.npz", "--real", path, "--extractor", "lenet")
    )
    assert again == {"fd_lenet": pytest.approx(score.value, rel=1e-4)}


def test_statistics_of_other_features_are_refused(tmp_path):
    requirement = "statistics must be a file with mu and sigma of the 128 features of lenet, received: .*"
    path = statistics_of(tmp_path / "real.npz", np.random.default_rng(0).normal(size=(9, 4)))
    with pytest.raises(UsageError, match=requirement + r"real.npz \(mu of shape \(4,\)\)"):
        ReferenceStatistics(path, "lenet")
    np.savez(tmp_path / "images.npz", images_of(5, 0))
    with pytest.raises(UsageError, match=requirement + r"\(no mu and no sigma\)"):
        ReferenceStatistics(tmp_path / "images.npz", "lenet")
    for name, sigma in {"finite": np.full((128, 128), np.nan), "symmetric": np.triu(np.ones((128, 128)))}.items():
        np.savez(path, mu=np.zeros(128), sigma=sigma)
        with pytest.raises(UsageError, match=requirement + rf"\(covariance must be .*{name}"):
            ReferenceStatistics(path, "lenet")
    np.savez(path, mu=np.zeros(128), sigma=np.eye(128) - np.ones((128, 128)) / 2 + np.eye(128) / 2)
    with pytest.raises(UsageError, match=requirement + "positive semi-definite"):
        ReferenceStatistics(path, "lenet")


def test_a_file_that_also_has_images_is_read_for_these(tmp_path):
    path = tmp_path / "batch.npz"
    np.savez(path, arr_0=images_of(40, 1), mu=np.zeros(128), sigma=np.eye(128))
    np.savez(tmp_path / "generated.npz", images=images_of(30, 0))
    arguments = ("--generated", tmp_path / "generated.npz", "--real", path, "--extractor", "lenet")
    assert "reference_count: 40" in call("evaluate", *arguments, "--measures", "kid").out


# Folders, files and data sets


def test_a_folder_and_a_file_of_the_same_images_have_the_same_scores_and_protocol(tmp_path):
    generated, real = images_of(50, 0), images_of(60, 1)
    write_folder(tmp_path / "own" / "generated", generated)
    write_folder(tmp_path / "own" / "real", real)
    np.savez(tmp_path / "generated.npz", images=generated)
    places = (tmp_path / "own" / "generated", tmp_path / "generated.npz")
    written = []
    for index, place in enumerate(places):
        options = ("--extractor", "lenet", "--json", tmp_path / f"{index}.json")
        outcome = call("evaluate", "--generated", place, "--real", tmp_path / "own" / "real", *options)
        assert scores_of(outcome)
        assert "reference_split: all" in outcome.out and "reference_count: 60" in outcome.out
        written.append(json.loads((tmp_path / f"{index}.json").read_text()))
    assert written[0]["scores"] == written[1]["scores"]
    assert [content["generated"] for content in written] == [str(place) for place in places]
    expected = compare_images(generated, real, extractor="lenet", measures=["fid"]).scores[0]
    assert written[0]["scores"][0]["value"] == pytest.approx(expected.value, rel=1e-6)


def test_images_of_different_sizes_are_resized_with_a_note(tmp_path):
    write_folder(tmp_path / "generated", images_of(20, 0))
    folder = write_folder(tmp_path / "real", images_of(20, 1))
    Image.new("L", (40, 30), 9).save(folder / "other.png")
    arguments = ("evaluate", "--generated", tmp_path / "generated", "--real", folder, "--extractor", "lenet")
    assert (
        "NOTE: real: images have 2 different sizes: cropped to squares and resized to 299x299" in call(*arguments).out
    )
    outcome = call(*arguments, "--image-size", 28, "--measures", "fid")
    assert "resized to 299" not in outcome.out
    assert scores_of(outcome)


def test_a_protocol_says_from_how_many_bits_deep_images_were_made(tmp_path):
    for name, bits in ("generated", 10), ("real", 16):
        images = images_of(20, bits).astype(np.uint16) << (bits - 8)
        images[0, 0, 0] = 2**bits - 1
        np.savez(tmp_path / f"{name}.npz", images=images)
    options = ("--extractor", "lenet", "--measures", "fid")
    outcome = call("evaluate", "--generated", tmp_path / "generated.npz", "--real", tmp_path / "real.npz", *options)
    assert "real: 20 images 28x28x1 of real (all; from 16 bits)" in outcome.out
    assert "quantisation: uint8, from 10 bits" in outcome.out


def test_images_that_were_prepared_otherwise_have_another_fingerprint(tmp_path):
    folder = write_folder(tmp_path / "generated", images_of(20, 0, 32))
    np.savez(tmp_path / "real.npz", images=images_of(30, 1, 32))
    np.savez(tmp_path / "large.npz", images=images_of(30, 1, 299))
    Image.new("L", (40, 30), 9).save(folder / "other.png")

    def fingerprint(generated, *options):
        path = tmp_path / "scores.json"
        arguments = ("--generated", generated, "--real", tmp_path / "real.npz", "--extractor", "lenet")
        assert call("evaluate", *arguments, "--measures", "fid", "--json", path, *options).code == 0
        return json.loads(path.read_text())["scores"][0]["fingerprint"]

    found = [fingerprint(folder), fingerprint(tmp_path / "large.npz")]  # both are 299×299, one was resized
    found += [fingerprint(folder, "--image-size", size) for size in (28, 32)]
    assert len(set(found)) == 4


def test_damaged_files_are_named_or_left_out(tmp_path):
    np.savez(tmp_path / "generated.npz", images=images_of(20, 0))
    folder = write_folder(tmp_path / "real", images_of(20, 1))
    (folder / "bad.png").write_bytes(b"no picture")
    arguments = ("evaluate", "--generated", tmp_path / "generated.npz", "--extractor", "lenet", "--measures", "fid")
    assert "--skip-damaged" in call(*arguments, "--real", folder).error
    assert "reference_count: 20" in call(*arguments, "--real", folder, "--skip-damaged").out
    damaged = tmp_path / "damaged.npz"
    content = (tmp_path / "generated.npz").read_bytes()
    for start in (-12, -40):  # in the list of the archive's entries, which is at its end
        damaged.write_bytes(content[:start] + b"\xff" * 6 + content[start + 6 :])
        assert "damaged.npz" in call(*arguments, "--real", damaged).error


@pytest.mark.usefixtures("few_digits")
def test_a_named_data_set_gives_its_training_images_and_keeps_the_others_for_floors(tmp_path):
    np.savez(tmp_path / "generated.npz", images=images_of(40, 0))
    arguments = ("evaluate", "--generated", tmp_path / "generated.npz", "--real", "digits")
    outcome = call(*arguments)
    assert outcome.out.startswith("real: 300 images 28x28x1 of digits (train; as given)\ngenerated: 40 images 28x28x1")
    assert "extractor lenet: made for mnist and digits, needs no download\n" in outcome.out
    assert "reference_split: train" in outcome.out and "reference_count: 300" in outcome.out
    scores = scores_of(outcome)
    assert {"memorisation_lenet", "modes_lenet"} <= scores.keys()
    assert "reference_count: 60" in call(*arguments, "--real-split", "test", "--measures", "fid").out
    assert "reference_count: 360" in call(*arguments, "--real-split", "all", "--measures", "fid").out


# Runs


@pytest.mark.usefixtures("few_digits")
def test_a_run_has_the_scores_and_fingerprints_of_its_evaluation(tmp_path):
    with run_helpers.without_artifacts():
        call("run", "--model", "gan-mlp", "--dataset", "digits", "--set", "hidden=8", "--epochs", 1, "--out", "runs")
    run = only_run(tmp_path / "work" / "runs")
    assert call("evaluate", run, "--images", 50).code == 0
    evaluated = {score.name: score for score in results.read(run).scores}
    settings = evaluation.EvaluationSettings(num_images=50)
    compared = {score.name: score for score in evaluation.compare_files(run, run, settings).scores}
    assert compared["fd_lenet"].value == pytest.approx(evaluated["fd_lenet"].value, rel=1e-6)
    different = {name for name, score in compared.items() if score.fingerprint != evaluated[name].fingerprint}
    assert different == {"memorisation_lenet"}  # the protocol names the held-out images in other words
    shutil.rmtree(run / "checkpoints")
    error = call("evaluate", "--generated", run, "--real", "digits").error
    assert error == f"error: the checkpoints of {run}, which had finished, are gone: only its SavedModel can be loaded"


@pytest.mark.usefixtures("few_digits")
def test_a_run_generates_as_many_images_as_there_are_for_the_floors(tmp_path):
    with run_helpers.without_artifacts():
        call("run", "--model", "gan-mlp", "--dataset", "digits", "--set", "hidden=8", "--epochs", 1, "--out", "runs")
    run = only_run(tmp_path / "work" / "runs")
    outcome = call("evaluate", "--generated", run, "--real", run, "--measures", "fid")
    assert f"generated: by {run.name} after epoch 1" in outcome.out
    assert "generated: 85\n" in outcome.out and "no floors" not in outcome.out
    outcome = call("evaluate", "--generated", run, "--real", run, "--measures", "fid", "--images", 90)
    assert "NOTE: no floors: fewer than 90 real images are outside the reference" in outcome.out


# The command


REFUSED = {
    "nothing": ((), "run must be a run directory, unless --generated and --real are given"),
    "only one": (("--generated", "."), "--real must be given together with --generated"),
    "only the other": (("--real", "digits"), "--generated must be given"),
    "and a run": (
        ("a-run", "--generated", ".", "--real", "digits"),
        "run must be left out with --generated and --real",
    ),
    "an option of runs": (("--generated", ".", "--real", ".", "--reference", "test"), "--reference can't be used here"),
    "no measures": (("--generated", ".", "--real", ".", "--measures", "none"), "--measures must be names of measures"),
    "an option of images": (
        ("a-run", "--real-split", "test"),
        "--real-split can't be used here: it is for --generated",
    ),
    "no such place": (("--generated", ".", "--real", "./missing"), "dataset must be an existing folder or .npz file"),
    "an unknown name": (("--generated", ".", "--real", "cifra10"), "did you mean 'cifar10'?"),
    "no such split": (
        ("--generated", ".", "--real", "digits", "--real-split", "half"),
        "real_split must be one of train",
    ),
    "a count": (("--generated", ".", "--real", "digits", "--images", 9), "--images must be left out: all generated"),
    "reconstructions": (
        ("--generated", ".", "--real", "digits", "--measures", "rec_fid"),
        "measures must be without rec_fid, which is for the reconstructions of a run",
    ),
    "seeds": (("--generated", ".", "--real", "digits", "--seeds", 2), "seeds must be 1 unless a run generates"),
    "no images": (("--generated", ".", "--real", "digits"), "holds no images"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_command_line_is_refused_in_one_line(case):
    arguments, message = REFUSED[case]
    assert message in call("evaluate", *arguments).error


def test_without_an_extractor_the_weights_are_asked_for(tmp_path):
    folders = [write_folder(tmp_path / name, images_of(5, seed)) for seed, name in enumerate("ab")]
    error = call("evaluate", "--generated", folders[0], "--real", folders[1]).error
    assert "images can't be scored: there is no extractor for b: --extractor inception-2015 downloads" in error
