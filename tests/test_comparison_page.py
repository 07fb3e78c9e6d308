"""The page that compares runs: differences, ranks, seeds and curves."""

import json

import pytest
import report_helpers
from report_helpers import Page, change, history_of, make_run, measure, score

from keras_gen import UsageError
from keras_gen.report import run_files
from keras_gen.report.figures.comparison_curves import comparison_curves
from keras_gen.report.pages import comparison_page

undrawn = report_helpers.undrawn


def read(*paths):
    return [run_files.read(path) for path in paths]


def words_of(*paths, **options):
    return Page(comparison_page.comparison_page(read(*paths), **options)).words


def after(words, heading, count):
    """The words after the last place of a heading."""
    start = len(words) - words[::-1].index(heading)
    return words[start : start + count]


def test_only_different_settings_are_in_the_table(tmp_path):
    one = make_run(tmp_path / "one", epochs=4, overrides={"latent_dim": 2})
    two = make_run(tmp_path / "two", epochs=8)
    assert comparison_page.differences(read(one, two)) == {"epochs": [4, 8], "fid_every": [4, 8], "latent_dim": [2, 16]}
    words = words_of(one, two)
    rows = ["name", "one", "two", "epochs", "4", "8", "fid_every", "4", "8", "latent_dim", "2", "16"]
    assert after(words, "Settings, arguments and data that differ", 12) == rows
    assert "Settings, arguments and data are the same." in words_of(
        one, make_run(tmp_path / "x" / "one", epochs=4, overrides={"latent_dim": 2})
    )


def test_runs_of_the_same_name_are_labeled_by_their_paths(tmp_path):
    runs = [make_run(tmp_path / folder / "run") for folder in ("a", "b")]
    assert comparison_page.labels(read(*runs)) == [str(path) for path in runs]


def test_the_last_losses_are_side_by_side(tmp_path):
    words = words_of(make_run(tmp_path / "one"), make_run(tmp_path / "two", level=100.0, epochs=6))
    rows = ["quantity", "one", "two", "epoch", "8", "6", "kl", "5", "5", "loss", "6", "107", "val_loss", "7", "108"]
    assert after(words, "Losses of each run's last epoch", 15) == rows


def test_histories_that_cannot_be_read_are_named_and_seeds_have_no_separators(tmp_path):
    runs = [make_run(tmp_path / f"run-{seed}", seed=seed) for seed in (1000, 2000)]
    assert any(word.endswith("seeds 1000, 2000") for word in words_of(*runs))
    for path in runs:
        (path / "history.csv").write_text("epoch,loss\n1,2,3\n", encoding="utf-8")
    shown = " ".join(words_of(*runs))
    assert shown.count("history.csv can't be read") == 2
    assert "There are no losses or scores to draw." in shown and "finished an epoch" not in shown


def test_scores_are_ranked_as_compare_does(tmp_path):
    runs = [make_run(tmp_path / name) for name in ("one", "two", "three")]
    for path, value in zip(runs, (5.0, 3.0, 3.0), strict=True):
        other = score("precision_lenet", value / 10, better="high", generated=int(100 * value))
        measure(path, score(value=value), other)
    words = words_of(*runs)
    ranked = ["fd_lenet", "lower", "5 (3)", "3 (1)", "3 (1)", "precision_lenet", "higher", "0.5", "0.3", "0.3"]
    assert after(words, "Scores; rank 1 is the best", 15)[5:] == ranked
    reason = ["precision_lenet", "generated", "500", "300", "300"]
    assert after(words, "Not ranked because these protocol entries differ", 10)[5:] == reason
    assert "0.5 (1)" in words_of(*runs, ignore=["generated"])
    with pytest.raises(UsageError, match="ignore must name entries of a protocol"):
        words_of(*runs, ignore=["nothing"])


def test_means_and_spreads_over_seeds(tmp_path):
    levels = (0.0, 1.0, 5.0)
    runs = [make_run(tmp_path / f"run-{seed}", seed=seed, level=level) for seed, level in enumerate(levels)]
    other = make_run(tmp_path / "other", epochs=4)
    for path, value in zip(runs, (80.0, 82.0, 90.0), strict=True):
        measure(path, score(value=value), score("precision_lenet", value / 100, generated=int(value)))
    assert comparison_page.seed_groups(read(*runs, other)) == [[0, 1, 2]]
    words = words_of(*runs, other)
    assert "vae-mlp, epochs 8, fid_every 8: seeds 0, 1, 2" in words
    text = " | ".join(words)
    assert "loss | 8 ± 2.6 | val_loss | 9 ± 2.6" in text  # 6, 7 and 11: mean 8, variance (4 + 1 + 9) / 2
    assert "fd_lenet (keras-gen evaluate) | 84 ± 5.3" in text
    assert "precision_lenet (keras-gen evaluate)" not in text  # of different protocols


def test_runs_that_ended_early_differ_only_in_their_seeds(tmp_path):
    runs = [make_run(tmp_path / f"run-{seed}", seed=seed, epochs=20, done=done) for seed, done in ((0, 6), (1, 4))]
    for path, done in zip(runs, (6, 4), strict=True):
        settings = json.loads((path / "recipe.json").read_text(encoding="utf-8"))["settings"] | {"epochs": done}
        ended_early = {"reason": "val_loss has not improved", "planned_epochs": 20}
        change(path, settings=settings, ended_early=ended_early)
        measure(path, score(), epoch=done)
    assert comparison_page.seed_groups(read(*runs)) == [[0, 1]]
    assert comparison_page.differences(read(*runs)) == {"seed": [0, 1]}
    shown = " ".join(words_of(*runs))
    assert "run-1 ended early, after 4 of 20 epochs: val_loss has not improved." in shown
    assert "6 of 20" in shown and "fd_lenet (keras-gen evaluate) 82.5 ± 0" in shown


def test_what_can_not_be_compared_has_a_notice(tmp_path):
    one, two = make_run(tmp_path / "one"), make_run(tmp_path / "two", fingerprint="beef" * 16, done=3)
    measure(one, score())
    shown = " ".join(words_of(one, two))
    assert "trained on different data" in shown
    assert "two is not finished: 3 of 8 epochs are done." in shown
    assert f"two: run {two} has not been evaluated yet" in shown
    assert "Scores are compared if at least two runs were evaluated." in shown


def test_a_run_has_one_color_in_all_panels():
    dollars = r"a$\no$b"  # no formula
    figure = comparison_curves([(dollars, history_of(3)), ("b", history_of(4, level=1.0))])
    figure.draw_without_rendering()
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels) == ["kl", "loss", "mse", "reconstruction", "fd_lenet"]
    lines = panels["loss"].get_lines()
    assert [line.get_linestyle() for line in lines] == ["-", "--", "-", "--"]
    assert [line.get_ydata()[-1] for line in lines] == [8.5, 9.5, 9.0, 10.0]
    colors = [line.get_color() for line in lines]
    assert colors[0] == colors[1] != colors[2] == colors[3]
    assert [line.get_color() for line in panels["fd_lenet"].get_lines()] == [colors[0], colors[2]]
    [legend] = figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == [dollars, "b", "training, or score", "validation"]
    assert panels["loss"].get_ylabel() == "nats"


def test_a_unit_that_runs_do_not_share_is_not_claimed():
    gan, wgan = [{"epoch": 1, "g_loss": 1.0, "jsd": 0.1}], [{"epoch": 1, "g_loss": 9.0, "emd": 1.0}]
    panels = {axes.get_title(): axes for axes in comparison_curves([("g", gan), ("w", wgan)]).axes}
    assert (panels["g_loss"].get_ylabel(), panels["jsd"].get_ylabel()) == ("", "nats")
    with pytest.raises(UsageError, match="histories must have a quantity to draw, received: none"):
        comparison_curves([("a", [{"epoch": 1, "seconds": 1.0}])])


def test_samples_are_side_by_side(tmp_path):
    one, two = make_run(tmp_path / "one"), make_run(tmp_path / "two", samples=False)
    read_page = Page(comparison_page.comparison_page(read(one, two)))
    assert "No images are saved." in read_page.words
    assert [image for image in read_page.all("img") if "grid" in image["alt"]]
