"""The report page of a run: its content, its notices on missing files, and that it is self-contained."""

import base64
import io
import json
import re
import xml.etree.ElementTree

import matplotlib.collections
import matplotlib.colors
import matplotlib.text
import numpy as np
import pytest
import report_helpers
from PIL import Image
from report_helpers import DRAWN, Page, change, history_of, make_run, measure, picture, score, write_history

from keras_gen import report
from keras_gen.evaluation import Score
from keras_gen.report import run_files
from keras_gen.report.figures import style
from keras_gen.report.pages import comparison_page, data_uri, run_page
from keras_gen.utils import image_utils

HOSTILE = "<script>alert('x')</script>\"&"


undrawn = report_helpers.undrawn


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "00001-vae-mlp")


def page_of(path):
    return Page(run_page.run_page(run_files.read(path)))


def compared(*paths, **options):
    return Page(comparison_page.comparison_page([run_files.read(path) for path in paths], **options))


def opened(uri):
    kind, content = re.fullmatch(r"data:image/([a-z+]+);base64,(.+)", uri).groups()
    return kind, base64.b64decode(content)


def pixels(uri):
    return np.asarray(Image.open(io.BytesIO(opened(uri)[1])))


def test_a_hostile_record_runs_nothing(run):
    change(run, versions={HOSTILE: HOSTILE}, machine=HOSTILE, command=[HOSTILE], created=HOSTILE)
    content = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    data = content["data"] | {"name": HOSTILE, "substituted_because": HOSTILE, "notes": [HOSTILE], "source": HOSTILE}
    change(run, data=data, arguments={HOSTILE: HOSTILE})
    (run / "model.txt").write_text(HOSTILE, encoding="utf-8")
    measure(run, score(), notes=[HOSTILE])
    for read in (page_of(run), compared(run)):
        assert read.all("script") == []
        assert HOSTILE in read.shown


def test_a_page_fetches_nothing_and_runs_nothing(run):
    measure(run, score())
    for read in (page_of(run), compared(run, make_run(run.parent / "other"))):
        policy = [meta["content"] for meta in read.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
        assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
        assert {tag for tag, _ in read.elements}.isdisjoint({"script", "link", "iframe", "object"})
        sources = [image["src"] for image in read.all("img")] + [source["srcset"] for source in read.all("source")]
        assert sources
        assert all(source.startswith("data:image/") for source in sources)
        assert all(link["href"].startswith("#") for link in read.all("a"))
        assert "url(" not in read.text
        assert "@import" not in read.text


def test_a_page_is_accessible(run):
    measure(run, score())
    for read in (page_of(run), compared(run, make_run(run.parent / "other"))):
        assert read.all("html") == [{"lang": "en"}]
        assert len(read.all("h1")) == 1
        assert all(image["alt"] for image in read.all("img"))
        identifiers = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
        assert len(set(identifiers)) == len(identifiers)
        assert [link["href"] for link in read.all("a")] == [f"#{name}" for name in identifiers]
        assert len(read.all("caption")) == len(read.all("table"))
        assert {cell.get("scope") for cell in read.all("th")} == {"col", "row"}
        assert all(region.get("tabindex") == "0" for region in read.all("div") if region.get("role") == "region")
    assert "prefers-color-scheme: dark" in read.text
    assert "width=device-width" in read.text


# Pictures


def test_a_grid_is_shown_as_it_is_or_its_first_rows(tmp_path):
    whole = picture(20, columns=10)
    image_utils.save_png(tmp_path / "grid.png", whole)
    assert opened(data_uri.grid(tmp_path / "grid.png"))[1] == (tmp_path / "grid.png").read_bytes()
    np.testing.assert_array_equal(pixels(data_uri.grid(tmp_path / "grid.png", 8, rows=1)), picture(10, columns=10))
    np.testing.assert_array_equal(pixels(data_uri.grid(tmp_path / "grid.png", 8, rows=9)), whole)


def test_a_very_large_grid_is_cut_after_a_whole_row_and_compressed(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (400, 32, 32, 1), dtype=np.uint8).repeat(3, axis=-1)
    image_utils.save_png(tmp_path / "grid.png", image_utils.grid(noise, columns=20))
    monkeypatch.setattr(data_uri, "MAX_PIXELS", 661 * 33 * 10 + 5)
    monkeypatch.setattr(data_uri, "MAX_BYTES", 300_000)
    uri = data_uri.grid(tmp_path / "grid.png", 32)
    assert opened(uri)[0] == "jpeg"
    shown, expected = pixels(uri).astype(float), image_utils.grid(noise[:200], columns=20)
    assert shown.shape == expected.shape == (331, 661, 3)
    assert np.abs(shown - expected).mean() < 15  # noise is the worst case of JPEG; the difference to other noise is 85


def test_curves_are_svgs_with_one_for_narrow_screens_and_the_page_is_small(run, monkeypatch):
    monkeypatch.setattr(data_uri, "svg", DRAWN)
    read = page_of(run)
    sizes = []
    [plot, *_] = [image for image in read.all("img") if image.get("class") == "plot"]
    for source in (read.all("source")[0]["srcset"], plot["src"]):
        kind, content = opened(source)
        assert kind == "svg+xml"
        assert b"<script" not in content
        size = xml.etree.ElementTree.fromstring(content).get("viewBox").split()
        sizes.append((float(size[2]), float(size[3])))
    (narrow, high), (wide, low) = sizes
    assert narrow < wide
    assert high > low
    assert len(read.text) < 1_000_000


# A run's page


def test_a_page_has_its_sections_in_order(run):
    measure(run, score())
    read = page_of(run)
    headings = [attributes["id"] for tag, attributes in read.elements if tag == "h2"]
    expected = ["losses", "scores", "samples", "reconstructions", "scores-during-training", "latents-and-images"]
    expected += ["settings", "recipe-and-data", "time-and-machine", "model", "next-steps"]
    assert headings == expected
    shown = {"vae-mlp on mnist, 8 epochs", "55,000 train, 5,000 validation, 10,000 test", "f00d" * 16}
    shown |= {"8×8×1 (height, width, channels)", "4 min 36 s, 8 epochs", "34.5 s (median; 31 s to 38 s)"}
    shown |= {"python experiments/run.py --model vae-mlp"}
    assert shown <= set(read.words)
    start = read.words.index("Losses of epoch 8, averaged over the images of the epoch")
    assert read.words[start + 1 : start + 13] == [
        *("quantity", "training", "validation", "unit"),
        *("kl", "5", "–", "nats"),
        *("loss", "6", "7", "nats"),
    ]


def test_settings_that_differ_from_the_recipe_are_listed_apart(tmp_path):
    run = make_run(tmp_path / "run", epochs=3, overrides={"latent_dim": 2}, requested="mnist.npz")
    words = page_of(run).words
    start = words.index("Settings and arguments that differ from the defaults of the recipe")
    rows = ["name", "this run", "default", "dataset", "mnist.npz", "mnist", "epochs", "3", "50"]
    assert words[start + 1 : start + 16] == [*rows, "fid_every", "3", "10", "latent_dim", "2", "16"]
    assert "free_bits" in words[start + 16 :]
    usual = make_run(tmp_path / "usual", epochs=50, done=1)  # of a data set that it resolved to a path
    assert "All settings and arguments are the defaults of the recipe." in page_of(usual).words


def test_pictures_of_epochs_spread_evenly_over_the_run(run):
    read = page_of(run)
    captions = [word for word in read.words if re.fullmatch(r"epoch \d+", word)]
    assert captions == ["epoch 1", "epoch 2", "epoch 4", "epoch 5", "epoch 7", "epoch 8"] * 2
    grids = [image["src"] for image in read.all("img") if "grid" in image["alt"]]
    np.testing.assert_array_equal(pixels(grids[0]), picture(value=8))
    np.testing.assert_array_equal(pixels(grids[1]), picture(10, value=1))
    np.testing.assert_array_equal(pixels(grids[6]), picture(10, value=8))


def test_scores_have_spread_floor_bias_and_protocol(run):
    bias = score(value=80.0, spread=0.75, spread_over="3 sets of images", floor=0.5, bias=9.0)
    measure(run, bias, score("precision_lenet", 0.5, better="high", generated=500), notes=["one note"])
    words = page_of(run).words
    start = words.index("fd_lenet", words.index("± spread"))
    row = ["fd_lenet", "80", "lower", "0.75 (3 sets of images)", "0.5", "9", bias.fingerprint]
    assert words[start : start + 7] == row
    assert words[start + 7 : start + 13] == ["precision_lenet", "0.5", "higher", "–", "–", "–"]
    assert " extractor lenet " in " ".join(words[words.index("Protocol") :])
    assert "generated: 10,000" in words
    assert "generated: 500" in words
    assert "Note: one note" in words
    assert "740.25" in words


def test_other_data_and_an_evaluation_of_an_earlier_epoch_have_a_notice(tmp_path):
    run = make_run(tmp_path / "run", data="digits", substituted_because="no network")
    measure(run, score(), epoch=5)
    words = page_of(run).words
    assert "Trained on digits instead of mnist: no network" in words[:4]
    assert "The scores were measured after epoch 5; the run has finished 8 epochs." in words


def test_unfinished_and_diverged_runs_have_a_notice(tmp_path):
    run = make_run(tmp_path / "a run", epochs=9, done=2)
    shown = page_of(run).shown
    assert "vae-mlp on mnist, 2 of 9 epochs" in shown
    assert f"2 of 9 epochs are done. Resume with keras-gen run --resume '{run}'" in shown
    write_history(run / "history.csv", [{"epoch": 1, "seconds": 1.0, "loss": float("nan")}])
    assert "Not finite after the last epoch: loss." in page_of(run).shown


def test_a_run_that_ended_early_says_why(run):
    change(run, ended_early={"reason": "val_loss has not improved for 2 epochs", "planned_epochs": 20})
    assert "Ended early, after 8 of 20 epochs: val_loss has not improved for 2 epochs" in page_of(run).shown


def test_entries_that_all_scores_of_generated_images_share_are_told_once(run):
    mine = Score("nll", 90.0, {"metric": "nll", "images": 300}, "low", spread=0.2, spread_over="standard error")
    measure(run, score(), score("precision_lenet", 0.9, better="high"), mine)
    page = page_of(run).shown
    assert page.count("reference mnist") == page.count("reference") == 1
    assert "metric: nll; images: 300" in page
    assert "0.2 (standard error)" in page


def test_the_page_says_which_epoch_is_kept(run):
    settings = json.loads((run / "recipe.json").read_text(encoding="utf-8"))["settings"]
    change(run, settings=settings | {"keep_best": "val_loss"})
    rows = history_of(8)
    rows[4]["val_loss"] = 0.5
    write_history(run / "history.csv", rows)
    assert "weights of epoch 5, the one with the lowest val_loss" in page_of(run).shown


# Missing and damaged files


def test_a_run_that_has_just_begun(tmp_path):
    shown = page_of(make_run(tmp_path / "run", done=0)).shown
    assert "no epoch is finished yet: there is no history" in shown
    assert "no epoch is finished yet" in shown
    assert "There are no sample grids" in shown
    assert "has not been evaluated yet" in shown


@pytest.mark.parametrize(
    ("file", "content", "notice"),
    [
        ("history.csv", "epoch,loss\n1,2,3\n", "history.csv can't be read"),
        ("evaluation.json", "{}", "evaluation.json is damaged"),
        ("model.txt", b"\xff\xfe\xff", "model.txt can't be read"),
        ("samples/epoch-00008.png", "nothing", "epoch-00008.png can't be read"),
    ],
)
def test_a_damaged_file_has_a_notice_in_its_section(run, file, content, notice):
    (run / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert notice in page_of(run).shown
    assert notice in compared(run, make_run(run.parent / "good")).shown or file == "model.txt"


def test_a_history_without_losses_or_scores(run):
    write_history(run / "history.csv", [{"epoch": 1, "seconds": 2.0}])
    shown = page_of(run).shown
    assert "The history has no losses." in shown
    assert "No scores were measured during training." in shown


def test_the_first_screen_has_the_samples_the_headline_score_and_the_losses(run):
    measure(run, score(value=80.0, spread=0.754, floor=0.5))
    read = page_of(run)
    start = read.words.index("fd_lenet")
    words = "± 0.75; lower is better, 10,000 generated images; the same number of real images has 0.5"
    assert read.words[start : start + 3] == ["fd_lenet", "80", words]
    navigation = next(index for index, (tag, _) in enumerate(read.elements) if tag == "nav")
    first = [attributes["alt"] for tag, attributes in read.elements[:navigation] if tag == "img"]
    assert first[0].startswith("A grid of images of vae-mlp after epoch 8")
    assert first[1].startswith("Curves of kl, loss")


def test_without_an_evaluation_the_headline_is_of_the_training(run):
    words = page_of(run).words
    start = words.index("fd_lenet")
    note = "after epoch 8, lower is better, 1,000 generated images; not evaluated yet"
    assert words[start : start + 3] == ["fd_lenet", "80.5", note]
    write_history(run / "history.csv", [{"epoch": 1, "seconds": 1.0, "loss": 3.0, "val_loss": 4.0}])
    words = page_of(run).words
    start = words.index("val_loss")
    assert words[start : start + 3] == ["val_loss", "4", "after epoch 1, lower is better"]


def test_an_evaluation_without_scores_of_images_is_an_evaluation(run):
    measure(run)
    words = page_of(run).words
    assert "not evaluated yet" not in " ".join(words)
    assert "after epoch 8, lower is better, 1,000 generated images" in words


def test_the_next_steps_are_those_that_the_run_allows(tmp_path):
    finished, unfinished = make_run(tmp_path / "finished"), make_run(tmp_path / "unfinished", epochs=9, done=2)
    arrays = make_run(tmp_path / "arrays", source="arrays")
    assert f"keras-gen sample {finished}" in page_of(finished).words
    assert "keras-gen sample" not in page_of(unfinished).shown  # it has no SavedModel yet
    assert f"keras-gen report {unfinished}" in page_of(unfinished).words
    assert run_page.WITHOUT_FIGURES in run_page.run_page(run_files.read(unfinished))
    shown = page_of(arrays).shown
    assert "keras-gen report" not in shown and "Figures of the model need its data, which were arrays" in shown


def test_a_figure_of_the_model_has_a_version_for_dark_screens(run):
    codes = np.random.default_rng(0).normal(size=(30, 2))
    figure = report.scatter(codes, np.arange(30) % 3, "")
    page = run_page.run_page(run_files.read(run), [run_page.PageFigure("Codes", figure, "Thirty.")])
    assert "keras-gen report" not in page and run_page.WITHOUT_FIGURES not in page
    read = Page(page)
    [dark] = [source for source in read.all("source") if "dark" in source["media"]]
    [light] = [image for image in read.all("img") if image["alt"] == "Codes. Thirty."]
    corners = [pixels(source)[0, 0, :3].tolist() for source in (light["src"], dark["srcset"])]
    assert corners == [[255, 255, 255], [0x21, 0x23, 0x27]]


def test_a_dark_figure_has_light_text_and_points_that_can_be_seen():
    codes = np.random.default_rng(0).normal(size=(100, 2))
    figure = report.scatter(codes, np.arange(100) % 10, "ten classes")
    style.darken(figure)
    for text in figure.findobj(matplotlib.text.Text):
        assert text.get_color() == style.LIGHT
        for effect in text.get_path_effects():
            assert effect._gc["foreground"] == style.DARK  # what surrounds a name on points
    weights = [0.2126, 0.7152, 0.0722]
    background = np.dot(weights, matplotlib.colors.to_rgb(style.DARK))
    points = [
        color for each in figure.findobj(matplotlib.collections.PathCollection) for color in each.get_facecolors()
    ]
    assert len(points) >= 10
    assert min(np.dot(weights, color[:3]) for color in points) > background + 0.15


def test_a_record_of_nothing_or_of_the_wrong_kinds(run):
    odd = {"settings": {"model": "no-such-recipe"}, "data": {"counts": 5, "image_shape": "x", "notes": 3}}
    for record in ({}, odd, {"settings": [], "arguments": 1, "data": "x", "versions": 2, "command": "x"}):
        (run / "recipe.json").write_text(json.dumps(record), encoding="utf-8")
        assert "recipe.json is damaged" in page_of(run).shown
        assert "1 run" in compared(run).words


# Writing


def test_a_page_that_fails_is_one_line_and_no_error(run, monkeypatch, capsys):
    def fail(*arguments):
        raise OSError(28, "No space\nleft on device")

    run_page.write_or_note(run)
    assert capsys.readouterr().out == f"report: {run / 'report.html'}\n"
    monkeypatch.setattr(run_page, "write", fail)
    run_page.write_or_note(run)
    out = capsys.readouterr().out
    assert out == f"NOTE: {run / 'report.html'} was not written: [Errno 28] No space left on device\n"
