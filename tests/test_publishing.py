"""Publishing trained models: the folder, its record and card, and what is refused."""

import dataclasses
import json
import shutil
import sys
import types

import numpy as np
import pytest
from command_helpers import call
from PIL import Image

import keras_gen.data
from keras_gen import UsageError, evaluation, publishing, training, zoo
from keras_gen.commands import docs
from keras_gen.evaluation import EvaluationSettings
from keras_gen.models import export
from keras_gen.publishing import Record, collage, protocols, records, reproduction
from keras_gen.publishing.reports import experiments
from keras_gen.runs.settings import RunSettings
from keras_gen.utils import hub, safe_files, trained_models

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


def test_the_folder_has_a_saved_model_and_its_documents(published, runs):
    names = {path.name for path in published.path.iterdir()}
    assert names >= {"README.md", "description.json", "evaluation.json", "history.csv", "record.json"}
    assert names >= {"samples.png", "latents.png", "curve.png"}
    assert not names & {"exported", "lock"}
    description = export.description(published.path)
    assert description["half_precision"] is True
    assert description["functions"] == ["generate", "decode", "encode", "reconstruct"]
    assert description["epochs"] == 3
    with Image.open(published.path / "samples.png") as picture:
        assert picture.size == (10 * 29 + 1, 6 * 29 + 1)
    with Image.open(published.path / "latents.png") as picture:
        assert picture.size == (10 * 28, 4 * 28)
    assert sum((published.path / name).stat().st_size for name in names if name.endswith(".png")) < 80_000
    model, run = zoo.load(published.path), keras_gen.runs.load(runs[0])
    expected = run.model.generate(20, seed=3)["images_float"]
    np.testing.assert_allclose(model.generate(20, seed=3)["images_float"], expected, atol=0.02)


def test_the_record_has_every_run_and_no_place_of_this_machine(published, runs):
    record = published.record
    assert (record.name, record.recipe, record.sampler) == ("mine", "vae-mlp", "prior")
    assert [run.seed for run in record.runs] == [0, 1]
    first = record.runs[0]
    assert (first.epochs, first.planned_epochs, first.resumed) == (3, None, 0)
    assert first.updates == {"updates": 66}
    measured = evaluation.results.read(runs[1])
    assert record.runs[1].scores == {score.name: score.value for score in measured.scores}
    assert record.runs[1].losses == measured.losses
    assert record.command[:4] == ["--model=vae-mlp", "--set", "hidden=16", "--dataset=digits"]
    assert str(runs[0].parent) not in (published.path / "record.json").read_text()
    places = {"origin", "requested"}
    assert places & safe_files.read_json(runs[0] / "evaluation.json")["data"].keys()
    for file in ("record.json", "evaluation.json", "description.json"):
        assert not places & safe_files.read_json(published.path / file)["data"].keys()
    values = [run.scores["fd_lenet"] for run in record.runs]
    assert record.mean("fd_lenet") == pytest.approx(np.mean(values))
    assert record.spread("fd_lenet") == pytest.approx(np.std(values, ddof=1))
    assert record.spread("nothing") is None
    assert publishing.Record.from_json(json.loads(json.dumps(record.to_json()))) == dataclasses.replace(record)


def test_the_float16_weights_are_scored_under_the_same_protocol(published):
    scores = {score.name: score for score in published.evaluation.scores}
    reconstructed = {f"reconstruction_{name}" for name in ("mse", "psnr", "ssim")}
    assert published.record.exported_scores.keys() == {"fd_lenet", "confident_lenet", *reconstructed}
    assert published.record.exported_scores["fd_lenet"] == pytest.approx(scores["fd_lenet"].value, rel=0.05)
    for name in reconstructed:
        assert published.record.exported_scores[name] == pytest.approx(scores[name].value, rel=0.01)
        assert published.record.exported_scores[name] != scores[name].value  # of other weights


def test_the_card_tells_how_to_use_it_and_what_it_reaches(published):
    card = (published.path / "README.md").read_text(encoding="utf-8")
    assert card == publishing.card(published)
    assert card.startswith("---\nlicense: apache-2.0\n")
    for line in (
        "# mine",
        "Digits, some of them.",
        'model = keras_gen.zoo.load("mine")',
        'images = model.generate(100, seed=0)["images"]  # uint8, (100, 28, 28, 1)',
        "| seeds | 0, 1; these weights: 0 |",
        "Data: digits, 1,797 handwritten digits (UCI, CC BY 4.0)",
        "License of these weights: apache-2.0.",
    ):
        assert line in card
    [row] = [line for line in card.splitlines() if line.startswith("| `fd_lenet` |")]
    score = next(score for score in published.evaluation.scores if score.name == "fd_lenet")
    assert f"± {published.record.spread('fd_lenet'):.2g} (2 trainings)" in row
    assert row.endswith(f"| `{score.fingerprint}` |")
    assert "| resumed |" not in card


def test_the_card_names_the_precision_and_the_network_of_updates(published):
    record = published.record
    assert "| updates | 66 |" in publishing.card(published)
    runs = tuple(dataclasses.replace(run, updates={"critic_updates": 5000, "g_updates": 7}) for run in record.runs)
    changed = dataclasses.replace(record, settings={**record.settings, "precision": "bfloat16"}, runs=runs)
    card = publishing.card(dataclasses.replace(published, record=changed))
    assert "; bfloat16 |" in card and "| updates | 5,000 of the critic, 7 of the generator |" in card


def test_published_models_are_found_by_name(published, monkeypatch):
    monkeypatch.setenv("KERAS_GEN_MODELS", str(published.path.parent))
    assert {each.record.name: each for each in publishing.published()}["mine"] == published
    scores = {each.name: each.scores for each in zoo.pretrained()}["mine"]
    assert scores == {score.name: score.value for score in published.evaluation.scores}


def test_the_pages_have_the_models_of_the_repository(published, tmp_path, monkeypatch):
    marked = "<!-- begin of the generated table -->\n<!-- end of the generated table -->\n"
    (tmp_path / "docs").mkdir()
    for page in ("README.md", "docs/recipes.md", "docs/zoo.md", "docs/gallery.md"):
        (tmp_path / page).write_text(marked)
    model = shutil.copytree(published.path, tmp_path / "saved_models" / "mine")
    (model / "README.md").write_text("an older card")
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    written = "README.md, docs/recipes.md, docs/zoo.md, docs/gallery.md, saved_models/mine/README.md"
    assert call("docs").out == f"written: {written}\n"
    assert "[`mine`](../saved_models/mine/README.md) |" in (tmp_path / "docs/zoo.md").read_text()
    assert "![images of mine](../saved_models/mine/samples.png)\n" in (tmp_path / "docs/gallery.md").read_text()
    assert (model / "README.md").read_text() == publishing.card(published)
    assert call("docs", "--check").out == "up to date\n"


# Measuring and training again


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
    run, rows = publishing.reproduce(published, tmp_path)
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


# What is refused


def test_runs_that_are_no_seeds_of_one_experiment_are_refused(runs, tmp_path):
    other = copy_of(runs[1], tmp_path, overrides={"hidden": 8})
    with pytest.raises(UsageError, match="differ only in their seeds, received: 'different overrides'"):
        publishing.publish([runs[0], other], tmp_path)
    content = safe_files.read_json(runs[1] / "evaluation.json")
    nll = evaluation.Score("nll", 740.0, {"metric": "nll", "samples": 9}).to_json()
    content["scores"] = [nll if score["name"] == "nll" else score for score in content["scores"]]
    other = copy_of(runs[1], tmp_path / "measured")
    (other / "evaluation.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="received: 'different protocol of nll'"):
        publishing.publish([runs[0], other], tmp_path)
    (other / "evaluation.json").write_text(json.dumps(content | {"epoch": 1}))
    with pytest.raises(UsageError, match="was evaluated after another epoch: evaluate it again: "):
        publishing.publish([runs[0], other], tmp_path)
    with pytest.raises(UsageError, match=r"runs must be runs of different seeds, received: \[0, 0\]"):
        publishing.publish([runs[0], runs[0]], tmp_path)
    with pytest.raises(UsageError, match="runs must be at least one run directory"):
        publishing.publish([], tmp_path)


def test_a_run_that_is_not_finished_or_not_measured_is_refused(runs, tmp_path):
    unfinished = copy_of(runs[0], tmp_path, epochs=5)
    with pytest.raises(UsageError, match="is not finished: .* --resume"):
        publishing.publish([unfinished], tmp_path)
    (unfinished / "evaluation.json").unlink()
    outcome = call("publish", unfinished, "--out", tmp_path)
    assert outcome.error.startswith(f"error: run {unfinished} has not been evaluated yet: ")
    assert call("publish", tmp_path / "none").error.startswith("error: run must be a run directory")


def test_a_compressed_model_says_so_and_has_the_scores_of_what_is_left(published, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "LARGE", 10_000)
    compressed = publishing.read(publishing.publish(runs, tmp_path, rank=3))
    assert compressed.record.rank == 3
    card = (compressed.path / "README.md").read_text(encoding="utf-8")
    assert "are stored as products of two matrices of rank 3." in card
    assert compressed.record.exported_scores.keys() == published.record.exported_scores.keys()
    assert compressed.record.exported_scores != published.record.exported_scores
    assert compressed.record.runs == published.record.runs
    for rank, error in ((0, "^rank must be"), (500, "^rank must be small enough to compress a matrix")):
        with pytest.raises(UsageError, match=error):
            publishing.publish(runs, tmp_path, name="other", rank=rank)
    assert [path.name for path in tmp_path.iterdir()] == ["vae-mlp"]


def test_a_model_without_weights_has_its_record_and_is_ranked(published, runs, tmp_path, monkeypatch):
    baseline = publishing.read(publishing.publish(runs, tmp_path, name="baseline", weights=False))
    assert baseline.record == dataclasses.replace(
        published.record, name="baseline", note="", license="", exported_scores={}
    )
    names = {"README.md", "evaluation.json", "history.csv", "record.json", "samples.png", "latents.png", "curve.png"}
    assert {path.name for path in baseline.path.iterdir()} == names
    seeds = "| seeds | 0, 1 |"
    card = (baseline.path / "README.md").read_text(encoding="utf-8")
    assert "The weights of this model are not published." in card and "zoo.load" not in card and seeds in card
    assert "stored float16" not in card and "License of these weights" not in card
    [_, ranking] = publishing.rankings([published, baseline])
    [row] = [line for line in ranking.splitlines() if "`baseline`" in line]
    assert "| not published |" in row and "`mine`" in ranking
    headings = [line for line in publishing.gallery([published, baseline]) if line.startswith("## ")]
    assert headings == ["## mine", "## baseline"]
    monkeypatch.setenv("KERAS_GEN_MODELS", str(tmp_path))
    assert "baseline" not in trained_models.names()
    assert trained_models.find_published("baseline") == baseline.path  # reproduce.py needs no weights
    assert trained_models.find_published(baseline.path) == baseline.path
    with pytest.raises(UsageError, match="path must be a published model with its weights"):
        publishing.push(baseline.path, "hf://user/baseline")
    with pytest.raises(UsageError, match="weights must be True for a model to upload"):
        publishing.push(runs[0], "hf://user/baseline", weights=False)
    with pytest.raises(UsageError, match="name must be left out, since the address names the model baseline"):
        publishing.push(runs[0], "hf://user/baseline", name="other")
    with pytest.raises(UsageError, match="rank must be None without weights"):
        publishing.publish(runs, tmp_path, name="other", weights=False, rank=3)
    for option in (("--push", "hf://user/baseline"), ("--rank", "3")):
        outcome = call("publish", runs[0], "--without-weights", *option)
        assert outcome.code == 2 and f"{option[0]} must be left out with --without-weights" in outcome.err
    outcome = call("sample", "baseline")
    assert outcome.code == 2 and "baseline was published without its weights: train it with" in outcome.err
    with pytest.raises(UsageError, match="use must be a published model with its weights"):
        experiments.read(baseline.path)
    assert not collage.write_collage([baseline], tmp_path / "collage.png")
    with pytest.raises(UsageError, match="out exists already"):
        publishing.publish(runs, tmp_path, name="baseline")
    publishing.publish(runs, tmp_path, name="baseline", overwrite=True)  # now with its weights
    assert publishing.read(tmp_path / "baseline").has_weights


def test_the_card_names_the_mixture_of_latents(published):
    def latents(**changes):
        record = dataclasses.replace(published.record, sampler="gmm-10", **changes)
        card = publishing.card(dataclasses.replace(published, record=record))
        return next(line for line in card.splitlines() if line.startswith("| latents |"))

    assert latents() == "| latents | a mixture of 10 Gaussians, fitted to the codes of the training images |"
    settings = {**published.record.settings, "overrides": {"num_classes": 10}}
    assert "| for each class, a mixture of 10 Gaussians," in latents(settings=settings)


def test_an_existing_model_is_replaced_only_when_asked(published, runs):
    with pytest.raises(UsageError, match="out exists already"):
        publishing.publish(runs[:1], published.path.parent, name="mine")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".hidden", 'my "gan"', "R1", "r5", 3])
def test_a_name_that_is_no_folder_of_its_own_is_refused(runs, tmp_path, name):
    with pytest.raises(UsageError, match="^name must be letters, digits, "):
        publishing.publish(runs[:1], tmp_path, name=name)
    for text in ("note", "license"):
        with pytest.raises(UsageError, match=f"^{text} must be a text, received: 3"):
            publishing.publish(runs[:1], tmp_path, **{text: 3})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 3},
        {"settings": None},
        {"exported_scores": []},
        {"runs": []},
        {"runs": [1]},
        {"odd": 1},
        {"rank": "3"},
        {"exported_scores": {"fd_other": 1.0}},
        {"data": {}},
        {"data": {"name": "digits", "counts": {}, "image_shape": [8, 8, 1]}},
        {"data": {"name": "digits", "counts": {"train": 1}, "image_shape": None}},
        {"machine": {}},
    ],
)
def test_a_damaged_record_is_named(published, tmp_path, changes):
    path = shutil.copytree(published.path, tmp_path / "copy")
    (path / "record.json").write_text(json.dumps(published.record.to_json() | changes))
    with pytest.raises(UsageError, match=r"record\.json is damaged, or from another version"):
        records.read(path)
    for text in ("{}", "[]", "{"):
        (path / "record.json").write_text(text)
        with pytest.raises(UsageError, match=r"record\.json"):
            records.read(path)
    (path / "record.json").unlink()
    with pytest.raises(UsageError, match="path must be a published model, with record.json and evaluation.json"):
        records.read(path)


@pytest.mark.parametrize(
    ("file", "content"), [("history.csv", "epoch,loss\n1,2\n"), ("recipe.json", '{"settings": null}')]
)
def test_a_damaged_run_is_named(runs, tmp_path, file, content):
    path = copy_of(runs[0], tmp_path)
    (path / file).write_text(content)
    with pytest.raises(UsageError, match=file.replace(".", r"\.") + "|history of "):
        publishing.publish([path], tmp_path / "out")


@pytest.mark.parametrize("part", ["data", "machine", "versions"])
def test_a_run_without_what_the_card_shows_is_named(runs, tmp_path, part):
    path = copy_of(runs[0], tmp_path)
    record = safe_files.read_json(path / "recipe.json")
    (path / "recipe.json").write_text(json.dumps(record | {part: {}}))
    with pytest.raises(UsageError, match=rf"recipe\.json is damaged: {part} must have "):
        publishing.publish([path], tmp_path / "out")


# The hub


@pytest.fixture
def hub_stand_in(monkeypatch, tmp_path):
    """A stand-in for huggingface_hub, whose repositories are folders; none of these tests has a network."""
    repositories, calls = tmp_path / "hub", []

    class Api:
        def create_repo(self, name, exist_ok):
            assert exist_ok
            (repositories / name).mkdir(parents=True, exist_ok=True)

        def upload_folder(self, folder_path, repo_id, commit_message):
            calls.append(commit_message)
            shutil.copytree(folder_path, repositories / repo_id, dirs_exist_ok=True)

    def snapshot_download(name):
        calls.append(name)
        if not (repositories / name).is_dir():
            raise OSError(f"404: there is no {name}")
        return str(repositories / name)

    module = types.ModuleType("huggingface_hub")
    module.HfApi, module.snapshot_download = Api, snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    hub.download.cache_clear()
    yield repositories, calls
    hub.download.cache_clear()


def test_a_published_model_goes_to_the_hub_and_comes_back(published, hub_stand_in, tmp_path, monkeypatch):
    repositories, calls = hub_stand_in
    publishing.push(published.path, "hf://somebody/mine")
    assert (repositories / "somebody" / "mine" / "README.md").is_file()
    with pytest.raises(UsageError, match="options must be left out, since .* is already published, received: 'note'"):
        publishing.push(published.path, "hf://somebody/mine", note="new")
    calls.clear()
    loaded = zoo.load("hf://somebody/mine")
    assert calls == ["somebody/mine"]
    expected = zoo.load(published.path).generate(4, seed=1)["images"]
    np.testing.assert_array_equal(loaded.generate(4, seed=1)["images"], expected)
    monkeypatch.chdir(tmp_path)
    outcome = call("sample", "hf://somebody/mine", "--num", "4", "--seed", "1", "--out", "images.npz")
    assert outcome.code == 0, outcome.err
    np.testing.assert_array_equal(np.load("images.npz")["images"], expected)


def test_a_run_is_published_on_its_way_to_the_hub(runs, hub_stand_in, tmp_path):
    publishing.push(runs[0], "hf://somebody/fresh", license="apache-2.0")
    record = publishing.read(hub_stand_in[0] / "somebody" / "fresh").record
    assert (record.name, record.license) == ("fresh", "apache-2.0")
    outcome = call("publish", runs[0], "--out", tmp_path / "models", "--push", "hf://somebody/again")
    assert outcome.out.endswith("uploaded to hf://somebody/again\n")
    assert (hub_stand_in[0] / "somebody" / "again" / "record.json").is_file()


def test_a_wrong_address_or_a_failure_of_the_hub_is_one_line(runs, hub_stand_in, monkeypatch):
    for address in ("hf://somebody", "hf://a/b/c", "s3://a/b"):
        with pytest.raises(UsageError, match="address must be of the form hf://user/name"):
            publishing.push(runs[0], address)
    assert "address must be of the form hf://user/name" in call("publish", runs[0], "--push", "nowhere").error
    with pytest.raises(
        UsageError, match="hf://somebody/else can't be downloaded: OSError: 404: there is no somebody/else"
    ):
        zoo.load("hf://somebody/else")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match="hf:// addresses need huggingface_hub: pip install huggingface_hub"):
        zoo.load("hf://somebody/else")


def test_the_metadata_of_a_card_has_its_results(published):
    yaml = pytest.importorskip("yaml")
    metadata = yaml.safe_load((published.path / "README.md").read_text(encoding="utf-8").split("---")[1])
    [model] = metadata["model-index"]
    [result] = model["results"]
    assert (model["name"], result["dataset"]["name"]) == ("mine", "digits")
    found = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert found == pytest.approx(published.record.exported_scores, rel=1e-5)  # of these weights, as they are stored
