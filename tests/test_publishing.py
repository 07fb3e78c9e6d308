"""Publishing trained models: the folder, its record and card, and what is refused."""

import dataclasses
import json
import shutil

import numpy as np
import publishing_helpers
import pytest
from command_helpers import call
from PIL import Image
from publishing_helpers import copy_of

from keras_gen import UsageError, evaluation, publishing, zoo
from keras_gen.commands import docs
from keras_gen.models import export
from keras_gen.publishing import collage, pictures, records
from keras_gen.publishing.reports import experiments
from keras_gen.runs import loading
from keras_gen.utils import safe_files, trained_models

runs, published = publishing_helpers.runs, publishing_helpers.published


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
    model, run = zoo.load(published.path), loading.load(runs[0])
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


def test_what_a_folder_of_images_is_called_is_text_in_its_card(published):
    record = published.record
    data = {**record.data, "name": "a|b <i>", "class_names": ["cat", "<dog>"]}
    settings = {**record.settings, "overrides": {**record.settings["overrides"], "num_classes": 2}}
    changed = dataclasses.replace(record, data=data, settings=settings)
    card = publishing.card(dataclasses.replace(published, record=changed))
    assert "| data | a\\|b &lt;i&gt;: " in card and "Classes: 0 cat, 1 &lt;dog&gt;." in card
    assert "<i>" not in card.partition("---\n\n")[2]


@pytest.mark.parametrize("latent_dim", [1, 2, 3])
def test_every_number_of_latents_has_a_picture(latent_dim, tmp_path):
    model = zoo.build("vae-mlp", (8, 8, 1), latent_dim=latent_dim, hidden=2, seed=0)
    stored = zoo.load(export.save(model, tmp_path / "stored"))
    pictures.write_latents(stored, tmp_path / "latents.png")
    with Image.open(tmp_path / "latents.png") as picture:
        assert picture.size == ((14 * 8, 14 * 8) if latent_dim == 2 else (10 * 8, 4 * 8))


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
