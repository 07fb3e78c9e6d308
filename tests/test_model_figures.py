"""Report figures that need the model, the report page of a run, and the command `report.py`."""

import dataclasses
import json
import shutil
from pathlib import Path

import command_helpers
import numpy as np
import pytest
import report_helpers
from command_helpers import SCRIPTS, call, names
from PIL import Image
from report_helpers import Page, make_run, measure, score

from keras_gen import UsageError, report, zoo
from keras_gen.models import export
from keras_gen.report import run_files
from keras_gen.report.figures import interpolation
from keras_gen.report.pages import model_figures, run_page
from keras_gen.runs import loading
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.runs.settings import RunSettings
from keras_gen.training import sweeps
from keras_gen.utils import image_utils

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")
finished, copied = command_helpers.finished, command_helpers.copied
undrawn = report_helpers.undrawn


def opened(model, data, **overrides):
    """An untrained model as `runs.load` would return it."""
    settings = RunSettings(model, overrides, dataset=str(data), image_size=28)
    loaded, _ = loading.load_data(settings)
    return loading.Run({}, settings, loaded, loading.build(settings, loaded), position=TrainingPosition(3))


def illustrated(run):
    return {illustration.heading: illustration for illustration in model_figures.illustrate(run)}


def canvas(illustration):
    return np.asarray(illustration.figure.axes[0].images[0].get_array())


def as_images(model, values):
    return np.rint(np.asarray(model.to_unit_range(values)) * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def vae(tiny_data):
    run = opened("vae-mlp", tiny_data, hidden=8, latent_dim=5)
    return run, illustrated(run)


# Figures of each kind of model


def test_a_vae_has_figures_of_codes_and_of_generated_images(vae):
    _, figures = vae
    assert list(figures) == [
        *("Reconstructions", "Principal components of the codes", "t-SNE of the codes", "Traversals"),
        *("Interpolations", "Nearest training images"),
    ]
    assert all(illustration.figure is not None for illustration in figures.values())
    assert figures["Reconstructions"].words == "The first 12 test images above their reconstructions after epoch 3."
    assert figures["t-SNE of the codes"].words.startswith("Codes of the first 12 test images by class; ")
    classes = [text.get_text()[0] for text in figures["t-SNE of the codes"].figure.axes[0].get_legend().get_texts()]
    assert set(classes) <= set("012")


def test_two_latent_dimensions_are_shown_as_they_are(tiny_data):
    run = opened("vae-mlp", tiny_data, hidden=8, latent_dim=2)
    figures = illustrated(run)
    assert list(figures)[:4] == ["Reconstructions", "Codes", "Manifold", "Traversals"]
    drawn = np.concatenate([points.get_offsets() for points in figures["Codes"].figure.axes[0].collections])
    mean, _ = run.model.encode(run.data.test.images)
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(mean, axis=0), rtol=1e-6)
    values = interpolation.normal_quantiles(15)
    top_left = as_images(run.model, run.model.decode(np.float32([[values[0], values[-1]]])))
    np.testing.assert_array_equal(canvas(figures["Manifold"])[1:29, 1:29], top_left[0, :, :, 0])


def test_codes_are_named_by_the_names_of_the_classes(vae):
    run, _ = vae
    named = dataclasses.replace(run, data=dataclasses.replace(run.data, class_names=("_cat", "dog", "$owl$")))
    legend = illustrated(named)["t-SNE of the codes"].figure.axes[0].get_legend()
    assert {text.get_text().split()[0] for text in legend.get_texts()} <= {"_cat", "dog", "$owl$"}


def test_a_conditional_vae_decodes_with_classes(tiny_data):
    figures = illustrated(opened("vae-mlp", tiny_data, hidden=8, latent_dim=2, num_classes=3))
    assert all(illustration.figure is not None for illustration in figures.values())
    assert "Images of class 0 decoded from a plane" in figures["Manifold"].words
    assert figures["Interpolations"].words.endswith("of classes 0 to 2.")


def test_an_autoencoder_has_codes_and_no_prior(tiny_data):
    figures = illustrated(opened("ae-conv", tiny_data))
    assert list(figures) == ["Reconstructions", "Principal components of the codes", "t-SNE of the codes"]
    assert all(illustration.figure is not None for illustration in figures.values())


def test_a_denoiser_shows_its_noisy_inputs(tiny_data):
    run = opened("dae-conv", tiny_data)
    shown = illustrated(run)["Denoised images"]
    labels = [label.get_text() for label in shown.figure.axes[0].get_yticklabels()]
    assert labels[:3] == ["noisy", "denoised", "clean"]
    seen = run.model.corrupted(run.data.test.images[:12], run.settings.seed)
    picture = canvas(shown)
    np.testing.assert_array_equal(picture[1:29, 1:29], as_images(run.model, seen)[0, :, :, 0])
    np.testing.assert_array_equal(picture[59:87, 1:29], run.data.test.images[0, :, :, 0])


def test_a_gan_has_no_codes(tiny_data):
    figures = illustrated(opened("gan-mlp", tiny_data, hidden=8))
    assert list(figures) == ["Interpolations", "Nearest training images"]
    assert all(illustration.figure is not None for illustration in figures.values())


# Content of the figures


def test_reconstructions_are_the_models(vae):
    run, figures = vae
    made = as_images(run.model, run.model.reconstruct(run.data.test.images[:10]))
    expected = image_utils.grid(np.concatenate([run.data.test.images[:10], made]), columns=10)
    np.testing.assert_array_equal(canvas(figures["Reconstructions"])[: len(expected)], expected)


def test_traversals_take_the_dimensions_that_vary_most(vae):
    run, figures = vae
    mean = np.asarray(run.model.encode(run.data.test.images)[0])
    order = np.argsort(-mean.var(axis=0))
    rows = [label.get_text() for label in figures["Traversals"].figure.axes[0].get_yticklabels()]
    assert rows == ["z" + "₀₁₂₃₄"[dimension] for dimension in order]
    latent = mean[0].copy()
    latent[order[1]] = 2.5
    last_of_second_row = as_images(run.model, run.model.decode(latent[None]))[0, :, :, 0]
    found = canvas(figures["Traversals"])[30:58, 1 + 8 * 29 : 29 + 8 * 29]
    assert np.abs(found.astype(int) - last_of_second_row).max() <= 1  # another batch, other roundings


def test_both_kinds_of_interpolation_have_the_same_ends(vae):
    picture = canvas(vae[1]["Interpolations"])
    linear, spherical = picture[1:29], picture[30:58]
    for left in (1, 1 + 8 * 29):
        difference = linear[:, left : left + 28].astype(int) - spherical[:, left : left + 28]
        assert np.abs(difference).max() <= 1
    assert (linear != spherical).any()


def test_nearest_images_are_those_with_the_smallest_differences():
    generator = np.random.default_rng(0)
    train = generator.integers(0, 256, (1203, 5, 4, 3), dtype=np.uint8)
    queries = np.concatenate([generator.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8), train[1100:1101]])
    indices, distances = model_figures.nearest_images(queries, train, 4)
    differences = (queries[:, None] / 255 - train / 255).reshape(7, 1203, -1)
    expected = np.sqrt((differences**2).mean(axis=-1))
    np.testing.assert_array_equal(indices, np.argsort(expected)[:, :4])
    np.testing.assert_allclose(distances, np.sort(expected)[:, :4], rtol=1e-9, atol=1e-9)
    assert (indices[-1, 0], distances[-1, 0]) == (1100, 0.0)


def test_images_with_the_same_pixels_in_another_order_are_equally_near_to_black():
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, 64)
    train = np.stack([generator.permutation(pixels) for _ in range(5)]).reshape(5, 8, 8, 1).astype(np.uint8)
    _, [distances] = model_figures.nearest_images(np.zeros((1, 8, 8, 1), np.uint8), train, 5)
    assert len(set(distances)) == 1


# Figures that can't be drawn


def test_a_diverged_model_has_reasons_instead_of_figures(tiny_data, tmp_path):
    run = opened("vae-mlp", tiny_data, hidden=8, latent_dim=3)
    for weight in run.model.trainable_variables:
        weight.assign(np.full(weight.shape, np.nan))
    figures = illustrated(run)
    assert [illustration.figure for illustration in figures.values()] == [None] * 6
    assert "values that are not finite" in figures["Nearest training images"].words
    text = run_page.run_page(run_files.read(make_run(tmp_path / "run")), list(figures.values()))
    assert "Not shown: the model returns images with values that are not finite" in Page(text).words


def test_a_collapsed_encoder_has_no_plane_of_codes(tiny_data):
    run = opened("vae-mlp", tiny_data, hidden=8, latent_dim=3)
    run.model.encoder.set_weights([np.zeros_like(weight) for weight in run.model.encoder.get_weights()])
    figures = illustrated(run)
    assert figures["t-SNE of the codes"].words == "codes must not be all the same, received: 12 equal ones"
    assert figures["Traversals"].figure is not None


# A run's page, and the command


def test_a_run_writes_a_page_without_figures_of_the_model(finished):
    assert f"report: {finished.path / 'report.html'}\n" in finished.outcome.out
    read = Page((finished.path / "report.html").read_text(encoding="utf-8"))
    assert "vae-mlp on noise, 2 epochs" in read.words
    assert "t-SNE of the codes" not in read.words


def test_the_command_adds_the_figures(copied):
    outcome = call("report", copied)
    assert (outcome.code, outcome.out) == (0, f"report: {copied / 'report.html'}\n")
    read = Page((copied / "report.html").read_text(encoding="utf-8"))
    headings = [word for word in ("Codes", "Manifold", "Traversals", "Nearest training images") if word in read.words]
    assert headings == ["Codes", "Manifold", "Traversals", "Nearest training images"]
    assert all(image["src"].startswith("data:image/") for image in read.all("img"))


def test_without_a_model_the_page_has_everything_else(copied):
    shutil.rmtree(copied / "checkpoints")
    assert call("report", copied).code == 0
    read = Page((copied / "report.html").read_text(encoding="utf-8"))
    assert f"Not shown: the checkpoints of {copied}, which had finished, are gone: only its SavedModel" in read.shown
    settings = json.loads((copied / "recipe.json").read_text(encoding="utf-8"))
    settings["data"]["fingerprint"] = "other"
    (copied / "recipe.json").write_text(json.dumps(settings), encoding="utf-8")
    assert call("report", copied, "--out", "page.html").code == 0
    with open("page.html", encoding="utf-8") as file:
        assert "is no longer what" in Page(file.read()).shown


def test_a_quick_page_opens_no_model(copied, monkeypatch):
    monkeypatch.setattr(model_figures, "write", None)
    shutil.rmtree(copied / "checkpoints")
    (copied / "report.html").unlink()
    outcome = call("report", copied, "--quick")
    assert (outcome.code, outcome.out) == (0, f"report: {copied / 'report.html'}\n")
    assert "vae-mlp on noise, 2 epochs" in Page((copied / "report.html").read_text(encoding="utf-8")).words


def test_several_runs_make_one_page(tmp_path):
    runs = [make_run(tmp_path / "runs" / name) for name in ("one", "two")]
    assert call("report", *runs).out == "report: comparison.html\n"
    assert call("report", *runs, "--out", tmp_path / "mine.html").code == 0
    assert "2 runs compared" in Page((tmp_path / "mine.html").read_text(encoding="utf-8")).words


def test_a_sweep_is_replaced_by_its_runs(tmp_path):
    sweep = sweeps.Sweep.of(sweeps.Plan.parse("vae-mlp", [], [], 3), tmp_path / "sweep")
    runs = [sweep.path / "runs" / f"0000{number}-vae-mlp" for number in (1, 2)]
    for run, member in zip(runs, sweep.members, strict=False):
        make_run(run, seed=member.settings.seed)
        record = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
        record |= {"settings": member.settings.to_json(), "data": record["data"] | {"requested": None}}
        (run / "recipe.json").write_text(json.dumps(record), encoding="utf-8")
    sweep.write()
    assert SCRIPTS["report"].members(sweep.path) == runs
    assert call("report", sweep.path, "--out", tmp_path / "page.html").code == 0
    assert "vae-mlp: seeds 0, 1" in Page((tmp_path / "page.html").read_text(encoding="utf-8")).words
    shutil.rmtree(sweep.path / "runs")
    assert call("report", sweep.path).error == f"error: sweep {sweep.path} has no runs yet"


def test_mistakes_are_one_line(tmp_path):
    one, two = (make_run(tmp_path / "runs" / name) for name in ("one", "two"))
    for path in (one, two):
        measure(path, score())
    no_gif = tmp_path / "no" / "a.gif"
    no_file, folder = (
        tmp_path / "no" / "page.html",
        "must be a file in a folder that exists and can be written, received: ",
    )
    for message, *arguments in (
        ("run must be a run directory, a folder with recipe.json, received: ", tmp_path / "no"),
        ("a comparison loads no models", one, two, "--quick"),
        ("--ignore can't be used here: it is for several runs", one, "--quick", "--ignore", "seed"),
        ("ignore must name entries of a protocol", one, two, "--ignore", "nothing"),
        ("runs must be different run directories, at least one, received: ", one, one),
        ("argument --out: must be a file name that ends in .html", one, "--quick", "--out", one / "recipe.json"),
        (f"argument --out: {folder}{str(no_file)!r}", one, "--quick", "--out", no_file),
        (f"argument --animate: {folder}{str(no_gif)!r}", one, "--quick", "--animate", no_gif),
        ("--animate can't be used here: it is for one run", one, two, "--animate", "a.gif"),
        ("argument --animate: must be a file name that ends in .gif or .webp", one, "--quick", "--animate", "a.png"),
        ("is not finished and has no SavedModel yet", one, "--quick", "--interpolate", "a.png"),
    ):
        assert message in call("report", *arguments).error
    assert not {"page.html", "a.gif", "a.png"} & set(names(Path.cwd()))
    assert not {"report.html", "comparison.html"} & {*names(Path.cwd()), *names(one)}
    empty = make_run(tmp_path / "empty", samples=False)
    place = call("report", empty, "--quick", "--dataset", "digits")
    assert "--dataset can't be used here: --quick loads no data" in place.err
    assert "has no grids of samples" in call("report", empty, "--quick", "--animate", tmp_path / "moving.webp").error


def test_the_grids_of_a_run_become_an_animation(tmp_path):
    run = make_run(tmp_path / "00001-vae-mlp", epochs=3)
    outcome = call("report", run, "--quick", "--animate", tmp_path / "moving.webp")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == f"samples: {tmp_path / 'moving.webp'}"
    grids = sorted((run / "samples").iterdir())
    with Image.open(tmp_path / "moving.webp") as moving:
        assert moving.n_frames == len(grids) == 3
        for index, grid in enumerate(grids):
            moving.seek(index)
            with Image.open(grid) as picture:
                np.testing.assert_array_equal(moving.convert("L"), picture.convert("L"))


def test_interpolations_of_several_models_are_drawn_in_rows(tmp_path):
    shape = (8, 8, 1)
    models = {
        "a-vae": zoo.build("vae-mlp", shape, seed=0, hidden=8, latent_dim=1),
        "a-gan": zoo.build("gan-mlp", shape, seed=0, hidden=8, latent_dim=3),
    }
    for name, model in models.items():
        export.save(model, tmp_path / name, functions=["generate", "decode"])
    figure = model_figures.interpolations_of([tmp_path / name for name in models], seed=4)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(models)
    expected = []
    for model, way in zip(
        models.values(), (interpolation.linear_interpolation, interpolation.spherical_interpolation), strict=True
    ):
        start, end = np.random.default_rng(4).normal(size=(2, model.latent_dim))
        expected.append((model.decoder_network.name, as_images(model, model.decode(np.float32(way(start, end, 9))))))
    drawn = report.interpolations(expected, "").axes[0].images[0].get_array()
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), drawn)


def test_only_generative_models_can_be_interpolated(tmp_path):
    export.save(zoo.build("ae-conv", (8, 8, 1)), tmp_path / "autoencoder", functions=["decode"])
    with pytest.raises(UsageError, match="paths must be of models that generate images"):
        model_figures.interpolations_of([tmp_path / "autoencoder"])
