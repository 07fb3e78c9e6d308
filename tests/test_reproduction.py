"""Measuring published models again, and training them again."""

import dataclasses
import json

import numpy as np
import publishing_helpers
import pytest
from command_helpers import call
from publishing_helpers import MEASURED, copy_of

from keras_gen import UsageError, evaluation, publishing, training, zoo
from keras_gen.evaluation import EvaluationSettings
from keras_gen.publishing import Record, protocols, records, reproduction
from keras_gen.runs.settings import RunSettings
from keras_gen.utils import safe_files, trained_models

runs, published = publishing_helpers.runs, publishing_helpers.published


def test_the_settings_of_an_evaluation_are_read_off_its_scores(published, runs):
    settings = protocols.settings_of(published.evaluation.scores)
    assert settings == dataclasses.replace(MEASURED, extractor="lenet")
    seeds = evaluation.results.read(runs[0]).scores[:1]
    seeds[0].protocol["seed"] = "3, 4, 5"
    assert (protocols.settings_of(seeds).seed, protocols.settings_of(seeds).seeds) == (3, 3)
    assert protocols.settings_of([]) == EvaluationSettings(measures=(), likelihood_images=0)


def test_published_images_have_the_same_scores_again(published, monkeypatch, tmp_path):
    rows = publishing.measure(published)
    assert [row.name for row in rows] == list(published.record.exported_scores)
    for row in rows:
        assert row.obtained == pytest.approx(row.published, rel=1e-6)
        assert row.is_within
    monkeypatch.setenv("KERAS_GEN_MODELS", str(published.path.parent))
    outcome = call("evaluate", "--zoo", "mine")
    assert outcome.code == 0
    assert outcome.out.splitlines()[0] == "mine:"
    (tmp_path / "weights.npz").touch()  # of inception, which other published models may need
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "record.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(trained_models, "published", lambda: [tmp_path / "damaged", published.path])
    all_models = call("evaluate", "--zoo", "--extractor-weights", tmp_path / "weights.npz")
    assert all_models.out == outcome.out
    [heading, error] = all_models.err.splitlines()
    assert (all_models.code, heading) == (1, "these models have other scores, or could not be measured:")
    assert error.startswith(f"damaged: {tmp_path / 'damaged' / 'record.json'} is damaged")
    outcome = call("evaluate", "--zoo", "mine", "--extractor-weights", tmp_path / "weights.npz")
    assert "mine: extractor weights must be left out with extractor lenet" in outcome.err
    worse = published.record.to_json() | {"exported_scores": {"fd_lenet": 1.0}}
    monkeypatch.setattr(publishing, "read", lambda path: dataclasses.replace(published, record=Record.from_json(worse)))
    outcome = call("evaluate", "--zoo", "mine")
    assert (outcome.code, outcome.err.splitlines()[1:]) == (1, ["mine: fd_lenet differs"])
    assert call("evaluate", "--zoo", "--images", 3).error == (
        "error: --images can't be used here: --zoo uses the settings of the published scores"
    )
    assert call("evaluate", "run", "--zoo").error.startswith("error: run can't be used here")
    monkeypatch.setattr(trained_models, "published", list)
    assert call("evaluate", "--zoo").error == "error: --zoo found no published model with scores of images"
    error = call("evaluate", "--zoo", "mine", "--data-dir", tmp_path / "no").error
    assert error.startswith("error: --data-dir must be an existing folder, received: ")


def test_a_model_trained_again_is_compared_with_the_published_ones(published, tmp_path):
    run, rows = publishing.reproduce(published, tmp_path, seed=0)
    measured = {row.name: row for row in rows}
    first = published.record.runs[0]
    for name, value in (first.scores | first.losses).items():
        assert measured[name].obtained == pytest.approx(value, rel=1e-5)  # the same seed
        assert measured[name].published == pytest.approx(published.record.mean(name))
        assert measured[name].is_within
    assert safe_files.read_json(run / "recipe.json")["settings"]["seed"] == 0
    # With all arguments, so that new defaults of the recipe change nothing; the command has those that are not usual.
    assert published.record.settings["overrides"].keys() == zoo.get("vae-mlp").parameters.keys()
    assert published.record.command[:3] == ["--model=vae-mlp", "--set", "hidden=16"]


def test_an_interrupted_reproduction_is_resumed_and_compared(published, runs, tmp_path):
    path = copy_of(runs[0], tmp_path)
    _, rows = publishing.reproduce(published, run=path)
    first = published.record.runs[0]
    assert {row.name: row.obtained for row in rows} == pytest.approx(first.scores | first.losses, rel=1e-5)
    others = {"recipe": {"model": "gan-mlp", "overrides": {}}, "width": {"overrides": {"hidden": 8}}}
    for folder, changes in others.items():
        with pytest.raises(UsageError, match="run must be a run of vae-mlp with the parameters of mine, received: "):
            publishing.reproduce(published, run=copy_of(runs[0], tmp_path / folder, **changes))
    with pytest.raises(UsageError, match="^seed must be an integer from 0 to 2147483647, received: -1"):
        publishing.reproduce(published, tmp_path, seed=-1)
    error = call("reproduce", published.path, "--resume", path, "--seed", 3).error
    assert error == "error: --seed can't be used here: a resumed call keeps its own settings"


def test_ctrl_c_in_the_evaluation_of_a_reproduction_says_how_to_go_on(published, runs, tmp_path, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    path = copy_of(runs[0], tmp_path)
    monkeypatch.setattr(evaluation, "evaluate", interrupt)
    outcome = call("reproduce", published.path, "--resume", path, "--data-dir", tmp_path)
    assert outcome.code == 130
    assert outcome.err.splitlines()[-1].endswith(f" {published.path} --resume {path} --data-dir={tmp_path}")


def test_data_in_another_order_are_noted_and_others_are_refused(published, runs, tmp_path, capsys):
    path, content = copy_of(runs[0], tmp_path), published.record.to_json()
    content["data"]["fingerprint"] = "another"
    publishing.reproduce(dataclasses.replace(published, record=Record.from_json(content)), run=path)
    note = "NOTE: data set digits is not exactly what mine was trained on: the images, or their order, are others"
    assert note in capsys.readouterr().out
    content["data"]["counts"]["train"] = 60_000
    message = "^data must be those of mine, digits with 60,000 training images of 28×28×1, received: 'digits with 1,375"
    for run in (None, path):
        with pytest.raises(UsageError, match=message):
            publishing.reproduce(dataclasses.replace(published, record=Record.from_json(content)), tmp_path, run=run)
    content["data"] |= {"counts": {"train": 1375}, "name": "letters"}
    with pytest.raises(UsageError, match="^data must be those of mine, letters with 1,375 .*, received: 'digits with"):
        publishing.reproduce(dataclasses.replace(published, record=Record.from_json(content)), run=path)


def test_scores_under_another_protocol_are_not_compared(published):
    [first, *others] = published.evaluation.scores
    other = dataclasses.replace(first, protocol=dict(first.protocol) | {"reference_fingerprint": "another order"})
    changed = dataclasses.replace(published.evaluation, scores=[other, *others])
    with pytest.raises(UsageError, match="^fd_lenet can't be measured as for the run: the data or .* are others"):
        publishing.measure(dataclasses.replace(published, evaluation=changed))


@pytest.mark.parametrize(
    ("planned", "reason", "settings", "epochs"),
    [
        (None, None, {}, 3),
        (20, "val_loss has not improved for 2 epochs", {"patience": 2}, 20),
        (20, "training has taken 2 minutes", {"max_minutes": 2}, 3),
        (20, "training has taken 2 minutes", {"max_minutes": 2, "patience": 9}, 3),
    ],
)
def test_a_training_ends_again_as_it_did(published, planned, reason, settings, epochs):
    content = published.record.to_json()
    content["settings"] |= settings
    content["runs"][0] |= {"planned_epochs": planned, "ended_early": reason}
    again = reproduction._settings(dataclasses.replace(published, record=Record.from_json(content)), None, seed=5)
    assert (again.epochs, again.patience, again.max_minutes, again.seed) == (epochs, settings.get("patience"), None, 5)


def test_the_weights_are_those_of_the_extractor_of_the_published_scores(published, monkeypatch):
    scores = [
        dataclasses.replace(score, protocol=dict(score.protocol) | {"extractor": "inception-2015"})
        for score in published.evaluation.scores
    ]
    other = dataclasses.replace(published, evaluation=dataclasses.replace(published.evaluation, scores=scores))
    asked = []
    monkeypatch.setattr(training, "run", lambda settings, out: asked.append(settings))
    monkeypatch.setattr(evaluation, "evaluate", lambda run, settings, data_dir: asked.append(settings) or pytest.skip())
    with pytest.raises(pytest.skip.Exception):
        publishing.reproduce(other, extractor_weights="some.pth")
    assert asked[0].extractor_weights is None  # training scores with another extractor
    assert asked[0].seed == 2  # the next one after those of the published trainings
    assert (asked[1].extractor, asked[1].extractor_weights) == ("inception-2015", "some.pth")


def test_decaying_learning_rates_need_the_planned_epochs(published):
    content = published.record.to_json()
    content["settings"]["learning_rate_decay"] = "linear"
    content["runs"][0] |= {"planned_epochs": 20, "ended_early": "training has taken 2 minutes"}
    stopped = dataclasses.replace(published, record=Record.from_json(content))
    with pytest.raises(UsageError, match="mine can't be reproduced: .* ended by the clock after 3 of 20 epochs"):
        publishing.reproduce(stopped)
    content["runs"][0] |= {"planned_epochs": None, "ended_early": None}
    finished = dataclasses.replace(published, record=Record.from_json(content))
    reproduction._check_decay(finished, reproduction._settings(finished, None))


@pytest.mark.parametrize("place", ["mnist", "/data/mnist.npz"])
def test_a_record_keeps_what_another_place_of_the_data_decides(place):
    data = {"name": "mnist", "counts": {"train": 9, "validation": 5}, "image_shape": [28, 28, 1]}
    settings = records.without_place(RunSettings("vae-burda", dataset=place), data)
    words = records.command_of(settings)
    if place == "mnist":  # the recipe's own data, with its rules
        assert (settings.binarize, settings.validation) == ("dynamic", 0)
        assert words == ["--model=vae-burda"]
    else:
        assert (settings.binarize, settings.validation, settings.dataset) == ("none", 5, "mnist")
        assert {"--binarize=none", "--validation=5"} <= set(words)


def test_the_command_has_the_epochs_that_were_planned(runs, tmp_path):
    path = copy_of(runs[0], tmp_path)
    recipe = safe_files.read_json(path / "recipe.json")
    ended = {"reason": "val_loss has not improved for 2 epochs", "planned_epochs": 9}
    (path / "recipe.json").write_text(json.dumps(recipe | {"ended_early": ended}))
    record = publishing.read(publishing.publish([path], tmp_path / "out", weights=False)).record
    assert "--epochs=9" in record.command
    assert (record.settings["epochs"], record.runs[0].epochs, record.runs[0].planned_epochs) == (3, 3, 9)


def test_a_folder_of_images_is_found_in_the_folder_of_data(published, tmp_path):
    content = published.record.to_json()
    content["data"]["name"] = content["settings"]["dataset"] = "photos"
    other = dataclasses.replace(published, record=Record.from_json(content))
    assert reproduction._settings(other, tmp_path).dataset == "photos"
    (tmp_path / "photos").mkdir()
    assert reproduction._settings(other, tmp_path).dataset == str(tmp_path / "photos")


def test_scores_that_cannot_be_measured_as_for_the_run_are_an_error(runs, tmp_path):
    path = copy_of(runs[0], tmp_path)
    content = safe_files.read_json(path / "evaluation.json")
    first = evaluation.results.read(path).scores[0]
    other = dataclasses.replace(first, protocol=dict(first.protocol) | {"extractor_sha256": "other weights"})
    content["scores"][0] = other.to_json()
    (path / "evaluation.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="^fd_lenet can't be measured as for the run: .* weights are others"):
        publishing.publish([path], tmp_path / "out")
    outcome = call("publish", path, "--out", tmp_path / "out", "--extractor-weights", "some.npz")
    assert "extractor weights must be left out with extractor lenet" in outcome.err
    assert not (tmp_path / "out" / "vae-mlp").exists()


def test_further_values_are_within_the_prediction_margin_as_often_as_it_says():
    values = np.random.default_rng(0).normal(7.0, 2.0, size=(4000, 4))
    inside = [abs(last - np.mean(rest)) <= reproduction.prediction_margin(rest) for *rest, last in values.tolist()]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)  # three and a half standard errors
    assert reproduction.prediction_margin([3.0]) is None
