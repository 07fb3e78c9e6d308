"""Tables and gallery of published models, from records that a test makes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from keras_gen import publishing
from keras_gen.evaluation.results import Evaluation
from keras_gen.evaluation.score import Score
from keras_gen.publishing import Record, TrainedRun, collage, literature, quality, tables
from keras_gen.publishing.records import Published
from keras_gen.utils import image_utils

ROOT = Path(__file__).parent.parent

BASE = {"extractor": "lenet", "generated": 10_000, "reference": "mnist", "reference_split": "train", "seed": 0}
BASE |= {"reference_count": 55_000}


def score(metric, value, better="low", floor=None, **protocol):
    name = "fd_lenet" if metric == "fid" else f"{metric}_lenet"
    return Score(name, value, {"metric": metric, **BASE, **protocol}, better, floor=floor)


def model(folder, name, *values, data="mnist", losses=None, minutes=12.0, **protocol):
    """A published model with a Fréchet distance and a precision in each training."""
    path = folder / name
    (path / "variables").mkdir(parents=True)
    (path / "variables" / "data").write_bytes(bytes(1_500_000))
    for file in ("samples.png", "saved_model.pb"):
        (path / file).touch()
    scores = [score("fid", values[0], floor=0.67, **protocol), score("precision", 0.5, "high", 0.94, **protocol)]
    run = TrainedRun(0, 5, None, None, 5, minutes, {"updates": 10}, 0, losses or {}, {})
    runs = [
        dataclasses.replace(run, seed=seed, scores={"fd_lenet": value, "precision_lenet": 0.5})
        for seed, value in enumerate(values)
    ]
    record = Record(
        name, "vae-mlp", "A VAE.", "R2", {"overrides": {}}, ["--model=vae-mlp"],
        {"name": data, "image_shape": [28, 28, 1], "counts": {"train": 55_000}},
        {"cores": 2}, {}, "prior", runs, {}, "A note.",
    )  # fmt: skip
    return Published(path, record, Evaluation(losses or {}, scores, []))


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_models_are_ranked_under_one_protocol_but_for_the_moving_average(tmp_path):
    models = [
        model(tmp_path, "worse", 30.0),
        model(tmp_path, "better", 9.0, 11.0, 13.0, moving_average=0.99),
        model(tmp_path, "other-seed", 1.0, seed=1),
        model(tmp_path, "photographs", 5.0, data="cifar10"),
    ]
    parts = list(tables.rankings(models))
    headings, ranked = parts[::2], parts[1::2]
    assert [heading.split(",")[0] for heading in headings] == ["### cifar10", "### mnist", "### mnist"]
    [lines] = [part.splitlines() for part in ranked if "better" in part]
    assert cells(lines[0])[:3] == ["model", "fd_lenet", "precision"]
    assert cells(lines[2])[:3] == ["real images", "0.67", "0.94"]
    assert cells(lines[3])[:3] == ["[`better`](../saved_models/better/README.md)", "11 ± 2", "0.5 ± 0"]
    assert cells(lines[4])[:3] == ["[`worse`](../saved_models/worse/README.md)", "30", "0.5"]
    assert cells(lines[4])[-2:] == ["1.5", "12 on 2 cores"]
    assert len(lines) == 5
    heading, ranked = tables.rankings([models[0], model(tmp_path, "labeled", 3.0, generated_labels="uniform")])
    assert heading == "### mnist, 10,000 images, against 55,000, features of `lenet`"
    assert "labeled" in ranked and "worse" in ranked


def test_reconstructions_are_ranked_also_of_binarized_images(tmp_path):
    models = []
    for name, distance, inputs in (("gray", 5.0, {}), ("binary", 3.0, {"inputs": "binarized"})):
        protocol = {"metric": "rec_fid", "extractor": "lenet", "reference_split": "test", "generated": 10_000, **inputs}
        scores = [Score("rec_fd_lenet", distance, protocol, "low")]
        scores.append(Score("reconstruction_mse", 0.01, {"metric": "reconstruction_mse"}, "low"))
        base = model(tmp_path, name, 9.0)
        runs = [dataclasses.replace(base.record.runs[0], scores={each.name: each.value for each in scores})]
        record = dataclasses.replace(base.record, runs=runs)
        models.append(dataclasses.replace(base, record=record, evaluation=Evaluation({}, scores, [])))
    heading, ranked = tables.reconstructions(models)
    assert heading == "### mnist, reconstructions of 10,000 test images, features of `lenet`"
    rows = [cells(line) for line in ranked.splitlines()]
    assert rows[0][:4] == ["model", "rec_fd_lenet", "mse", "psnr"]
    assert [row[1:4] for row in rows[2:]] == [["3", "0.01", ""], ["5", "0.01", ""]]


def test_models_stand_beside_the_literature_with_both_protocols(tmp_path):
    models = [model(tmp_path, "lsgan-conv", 9.0, 11.0), model(tmp_path, "ae-conv", 25.0, losses={"loss": 0.1016})]
    lines = tables.comparisons([*models, model(tmp_path, "without a reference", 3.0)]).splitlines()
    rows = [cells(line) for line in lines[2:]]
    found = {(row[0].partition("`]")[0], row[3]) for row in rows}
    # A Fréchet distance of other features is not a FID.
    assert found == {("[`ae-conv", "0.1016"), ("[`ae-conv", "not measured"), ("[`lsgan-conv", "not measured")}
    [loss] = [row for row in rows if row[3] == "0.1016"]
    assert loss[6].startswith("no: its decoder works on 4, 8, 16 and 28 pixels")
    [other] = [row for row in rows if "lsgan" in row[0]]
    assert other[4].startswith("7.8 ± 0.6 ([Lucic et al. 2018](https://")
    assert other[6] == "no: networks of InfoGAN and the best of 100 settings there"


def test_models_stand_beside_their_stock_twins(tmp_path):
    models = [
        model(tmp_path, "plain-vae-mlp", 88.0, 92.0),
        model(tmp_path, "vae-mlp", 85.0, 91.0),
        model(tmp_path, "keras-io-gan", 20.0),
        model(tmp_path, "lsgan-conv", 2.0),
        model(tmp_path, "gan-conv", 21.0),
        model(tmp_path, "vae-conv", 17.0),
    ]
    rows = [cells(line) for line in tables.stock_comparisons(models).splitlines()[2:]]
    assert [(row[1], row[5], row[8]) for row in rows] == [
        ("20", "21", "worse, by one training"),
        ("20", "2", "better, by one training"),
        ("90 ± 2.8 (2 trainings)", "88 ± 4.2 (2 trainings)", "equal within the spread"),
    ]
    assert [row[2:4] for row in rows] == [["prior", "275,000"]] * 3  # 5 epochs of 55,000
    assert tables.stock_comparisons(models[1:2]) == ""
    otherwise = [models[0], model(tmp_path / "other", "vae-mlp", 85.0, generated=5000)]
    [line] = tables.stock_comparisons(otherwise).splitlines()[2:]
    assert cells(line)[8] == "measured otherwise"
    unscored = dataclasses.replace(models[1], evaluation=Evaluation({}, [], []))
    assert tables.stock_comparisons([models[0], unscored]) == ""


def test_the_best_models_of_digits_are_measured_by_the_distance_of_real_images(tmp_path):
    models = [
        model(tmp_path, "good", 16.0),
        model(tmp_path, "worse", 30.0),
        model(tmp_path, "labeled", 8.0, generated_labels="uniform"),
        model(tmp_path, "also labeled", 9.0, generated_labels="uniform"),
        model(tmp_path, "fewer", 1.0, generated=5000),
    ]
    found = list(quality.best(models))
    assert [(each.family, each.model.record.name) for each in found] == [("vae", "labeled"), ("vae", "good")]
    assert found[1].ratio == pytest.approx(16.0 / 0.67)
    assert found[1].is_met and not dataclasses.replace(found[1], ratio=25.1).is_met
    rows = [cells(line) for line in tables.best_models(models).splitlines()[2:]]
    assert [(row[0], row[3], row[5]) for row in rows] == [("VAE, with labels", "11.9", "yes"), ("VAE", "23.9", "yes")]
    assert [
        each.model.record.name
        for each in quality.best([models[0], model(tmp_path, "worst", 40.0, generated_labels="uniform")])
    ] == ["good"]


def test_a_likelihood_of_fewer_samples_has_another_protocol(tmp_path):
    base = model(tmp_path, "vae-burda", 9.0)
    protocol = {"metric": "nll", "binarized": "stochastic, seeds 0 to 2", "samples": 5000, "images_count": 10_000}
    for samples, expected in ((5000, "yes"), (100, "no: samples 100 here, 5000 wanted")):
        nll = Score("nll", 87.0, protocol | {"samples": samples}, "low", 0.23, "standard error over 10,000 images")
        measured = dataclasses.replace(base.evaluation, scores=[*base.evaluation.scores, nll])
        runs = [dataclasses.replace(run, scores={"nll": 87.0}) for run in base.record.runs]
        record = dataclasses.replace(base.record, runs=runs)
        lines = tables.comparisons([dataclasses.replace(base, record=record, evaluation=measured)]).splitlines()[2:]
        assert [cells(line)[4].partition(" ")[0] for line in lines] == ["86.76", "86.35", "87.75"]
        for line in lines:
            assert cells(line)[3] == "87 ± 0.23 (standard error over 10,000 images)"
            assert cells(line)[6] == expected


def test_a_score_that_was_not_measured_is_said_to_be_missing(tmp_path):
    line = tables.comparisons([model(tmp_path, "vae-burda", 9.0)]).splitlines()[2]
    assert (cells(line)[3], cells(line)[6]) == ("not measured", "")


def test_the_gallery_shows_the_pictures_that_are_there(tmp_path):
    text = "\n".join(tables.gallery([model(tmp_path, "mine", 9.0), model(tmp_path, "plain-vae-mlp", 9.0)]))
    assert "## mine" in text and "plain-vae-mlp" not in text
    assert "[A VAE.](../saved_models/mine/README.md) A note." in text
    assert "![images of mine](../saved_models/mine/samples.png)" in text
    assert "latents.png" not in text


def digits(folder, name, confident=0.9, entropy=2.29, coverage=0.7, **protocol):
    """A published model of digits with the scores that are asked for."""
    published = model(folder, name, 9.0)
    values = {"confident": confident, "mode_entropy": entropy, "coverage": coverage}
    scores = [score(metric, value, "high", **protocol) for metric, value in values.items()]
    runs = [dataclasses.replace(published.record.runs[0], scores={each.name: each.value for each in scores})]
    record = dataclasses.replace(published.record, runs=runs)
    return dataclasses.replace(published, record=record, evaluation=Evaluation({}, scores, []))


@pytest.mark.parametrize(
    ("values", "missed"),
    [
        ({}, []),
        ({"confident": 0.8, "entropy": 2.25, "coverage": 0.6}, []),
        ({"confident": 0.79}, ["confident"]),
        ({"entropy": 1.5, "coverage": 0.1}, ["mode_entropy", "coverage"]),
    ],
)
def test_a_model_of_digits_is_asked_for_three_scores(values, missed, tmp_path):
    asked = quality.requirements(digits(tmp_path, "mine", **values))
    assert [each.metric for each in asked] == ["confident", "mode_entropy", "coverage"]
    assert [each.metric for each in asked if not each.is_met] == missed


@pytest.mark.parametrize("protocol", [{"extractor": "cifar"}, {"generated": 5000}, {"reference": "fashion_mnist"}])
def test_nothing_is_asked_of_scores_under_another_protocol(protocol, tmp_path):
    assert quality.requirements(digits(tmp_path, "mine", **protocol)) == []
    assert quality.requirements(model(tmp_path, "unscored", 9.0)) == []


def test_the_collage_has_a_row_for_each_of_the_best_models(tmp_path, monkeypatch):
    def drawn(name, distance, size=28, **protocol):
        published = model(tmp_path, name, distance, **protocol)
        images = np.full((60, size, size, 1), len(name), np.uint8)
        image_utils.save_png(published.path / "samples.png", image_utils.grid(images, columns=10))
        data = published.record.data | {"image_shape": [size, size, 1]}
        return dataclasses.replace(published, record=dataclasses.replace(published.record, data=data))

    models = [
        drawn("ab", 3.0),
        drawn("bad", 9.0),  # more than 10 times 0.67
        drawn("abcd", 6.5),
        drawn("other-size", 1.0, size=32),
        drawn("photographs", 1.0, extractor="cifar"),
        drawn("without weights", 1.0),
    ]
    (tmp_path / "without weights" / "saved_model.pb").unlink()
    shown, draw = [], collage.canvas.rows_figure
    monkeypatch.setattr(
        collage.canvas, "rows_figure", lambda title, rows, *size: shown.append(rows) or draw(title, rows, *size)
    )
    path = tmp_path / "collage.png"
    assert collage.write_collage(models, path)
    assert [(name, images.shape, np.unique(images).tolist()) for name, images in shown[0]] == [
        ("ab", (20, 28, 28, 1), [2]),
        ("abcd", (20, 28, 28, 1), [4]),
    ]
    assert not collage.write_collage(models, path)  # it has not changed
    assert not collage.write_collage(models[1:2], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    assert collage.write_collage(models[:1], path)


@pytest.mark.parametrize("reference", literature.REFERENCES, ids=lambda each: f"{each.model} {each.value}")
def test_every_reference_has_a_protocol_and_a_source(reference):
    assert reference.protocol
    assert "](https://" in reference.source
    assert float(reference.value.split(" ±")[0]) > 0


def test_the_models_of_the_repository_are_small():
    sizes = {model.record.name: 0 for model in publishing.published(ROOT / "saved_models")}
    for name in sizes:
        sizes[name] = sum(file.stat().st_size for file in (ROOT / "saved_models" / name).rglob("*") if file.is_file())
    assert sizes and max(sizes.values()) <= 12_000_000
    assert sum(sizes.values()) <= 60_000_000
