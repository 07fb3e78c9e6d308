"""Curves of losses and scores: panels, units, and missing values."""

import math

import numpy as np
import pytest
from PIL import Image

from keras_gen import UsageError, report
from keras_gen.report import history_columns
from keras_gen.report.figures import curves

GAN = [
    {"epoch": epoch, "seconds": 1.0, "d_updates": 5 * epoch, "g_updates": 5 * epoch}
    | {"d_fake": 0.4, "d_loss": 0.6, "d_loss_fake": 0.5 + epoch, "d_loss_real": 0.7 * epoch, "d_real": 0.6}
    | {"g_loss": 1.0 + epoch, "jsd": 0.1 * epoch, "val_jsd": 0.2, "val_g_loss": 3.0}
    for epoch in (1, 2, 3)
]
VAE = [
    {"epoch": epoch, "kl": 5.0 - epoch, "loss": 745.0, "mse": 0.04, "reconstruction": 740.0 + epoch, "val_kl": 6.0}
    for epoch in (1, 2)
]
WGAN = [{"epoch": 1, "critic_loss": -3.0, "critic_updates": 5, "emd": 4.0, "g_loss": 1.0, "gradient_penalty": 0.1}]

ROWS = [
    {"epoch": 1.0, "seconds": 9.0, "updates": 3.0, "loss": 5.0, "kl": 1.0, "val_loss": 6.0, "val_kl": 1.5},
    {"epoch": 2.0, "seconds": 8.0, "updates": 6.0, "loss": 4.0, "kl": 2.0, "val_loss": 5.5, "val_kl": 2.5}
    | {"fd_lenet": 80.0, "fd_lenet_images": 1000.0},
    {"epoch": 3.0, "seconds": 7.0, "updates": 9.0, "loss": 3.0, "kl": 3.0, "val_loss": 5.0, "val_kl": 3.5},
]


def drawn(axes):
    return {line.get_label(): np.array(line.get_xydata()).tolist() for line in axes.get_lines()}


def panels(figure):
    return {axes.get_title(): axes for axes in figure.axes}


def words(legend):
    return [text.get_text() for text in legend.get_texts()]


# Panels, groups and units


def test_curves_show_every_quantity_in_a_panel_of_its_own():
    figure = report.loss_curves(ROWS, "vae-mlp on digits, 3 epochs")
    assert figure.get_suptitle() == "vae-mlp on digits, 3 epochs"
    assert [axes.get_title() for axes in figure.axes] == ["loss", "kl", "fd_lenet"]
    loss, kl, distance = figure.axes
    assert drawn(loss) == {"training": [[1, 5], [2, 4], [3, 3]], "validation": [[1, 6], [2, 5.5], [3, 5]]}
    assert drawn(kl) == {"training": [[1, 1], [2, 2], [3, 3]], "validation": [[1, 1.5], [2, 2.5], [3, 3.5]]}
    assert list(drawn(distance).values()) == [[[2, 80]]]
    assert [line.get_linestyle() for line in loss.get_lines()] == ["-", "--"]
    assert len({line.get_color() for line in loss.get_lines()}) == 1
    assert loss.get_lines()[0].get_color() != kl.get_lines()[0].get_color()
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation"]


def test_many_quantities_take_several_rows_of_panels(tmp_path):
    rows = [{"epoch": float(epoch)} | {f"quantity_{i}": float(i) for i in range(9)} for epoch in (1, 2)]
    figure = report.loss_curves(rows, "many")
    assert len(figure.axes) == 9
    tops = [round(axes.get_subplotspec().get_position(figure).y1, 6) for axes in figure.axes]
    assert len(set(tops)) == 3
    report.save_figure(figure, tmp_path / "losses.png")
    with Image.open(tmp_path / "losses.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == (round(3.2 * 4 * 120), round(2.6 * 3 * 120))


def test_the_losses_of_both_networks_share_a_panel():
    figure = report.loss_curves(GAN, "gan")
    assert list(panels(figure)) == ["losses of D and G", "output of D", "d_loss", "jsd"]
    axes = panels(figure)["losses of D and G"]
    assert drawn(axes) == {
        "d_loss_real": [[1, 0.7], [2, 1.4], [3, pytest.approx(2.1)]],
        "d_loss_fake": [[1, 1.5], [2, 2.5], [3, 3.5]],
        "g_loss": [[1, 2], [2, 3], [3, 4]],
        "_val_g_loss": [[1, 3], [2, 3], [3, 3]],
    }
    lines = axes.get_lines()
    assert [line.get_linestyle() for line in lines] == ["-", "-", "-", "--"]
    assert len({line.get_color() for line in lines}) == 3
    assert lines[2].get_color() == lines[3].get_color()
    assert words(axes.get_legend()) == ["d_loss_real", "d_loss_fake", "g_loss", "training", "validation"]


def test_the_legend_of_a_full_panel_stands_above_the_lines():
    axes = report.loss_curves(GAN, "gan").axes[0]
    axes.figure.draw_without_rendering()
    lowest = axes.transData.inverted().transform(axes.get_legend().get_window_extent())[0, 1]
    assert lowest > max(value for points in drawn(axes).values() for _, value in points)


def test_the_jensen_shannon_estimate_has_its_bound():
    axes = panels(report.loss_curves(GAN, "gan"))["jsd"]
    bound = next(line for line in axes.get_lines() if line.get_label() == "_upper bound log 2")
    assert set(bound.get_ydata()) == {math.log(2)}
    assert [text.get_text() for text in axes.texts] == ["upper bound log 2"]
    assert axes.get_ylim()[1] > math.log(2)
    assert not any("bound" in line.get_label() for line in report.loss_curves(WGAN, "wgan").axes[1].get_lines())


def test_reconstruction_and_loss_share_a_panel_and_kl_has_its_own():
    figure = report.loss_curves(VAE, "vae")
    assert list(panels(figure)) == ["loss and reconstruction", "kl", "mse"]
    assert set(drawn(figure.axes[0])) == {"reconstruction", "loss"}
    assert drawn(figure.axes[1]) == {"training": [[1, 4], [2, 3]], "validation": [[1, 6], [2, 6]]}


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        (GAN, {"losses of D and G": "nats", "output of D": "probability of real", "d_loss": "nats", "jsd": "nats"}),
        (VAE, {"loss and reconstruction": "nats", "kl": "nats", "mse": "squared pixel value"}),
        (
            WGAN,
            {"critic_loss": "", "emd": "", "g_loss": "", "gradient_penalty": "dimensionless"},
        ),
        ([{"epoch": 1, "loss": 0.1, "mse": 0.02}], {"loss": "nats per pixel", "mse": "squared pixel value"}),
        ([{"epoch": 1, "loss": 0.02, "mse": 0.02}], {"loss": "squared pixel value", "mse": "squared pixel value"}),
        ([{"epoch": 1, "mse": 0.1, "corrupted_mse": 0.2}], {"mean squared error": "squared pixel value"}),
        ([{"epoch": 1, "d_loss": 0.3, "d_real": 0.9}], {"d_loss": "", "d_real": "dimensionless"}),
        ([{"epoch": 1, "scale": 0.3, "unheard_of": 0.9}], {"scale": "pixel value", "unheard_of": ""}),
    ],
)
def test_axes_have_their_units_from_the_columns_alone(history, expected):
    figure = report.loss_curves(history, "x")
    assert {title: axes.get_ylabel() for title, axes in panels(figure).items()} == expected
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}


def test_the_number_of_panels_side_by_side_can_be_chosen():
    figure = report.loss_curves(GAN, "gan", columns=2)
    assert figure.get_size_inches().tolist() == [2 * curves.PANEL_WIDTH, 2 * curves.PANEL_HEIGHT]
    with pytest.raises(UsageError, match=r"^columns must be an integer of at least 1, received: 0$"):
        report.loss_curves(GAN, "gan", columns=0)


def test_all_panels_show_the_same_epochs_and_whole_ones_only():
    figure = report.loss_curves([*VAE, {"epoch": 9, "kl": 1.0}], "x")
    figure.draw_without_rendering()
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    low, high = figure.axes[0].get_xlim()
    assert low < 1 and high > 9
    one = report.loss_curves(VAE[:1], "one epoch").axes[0]
    assert [tick for tick in one.get_xticks() if one.get_xlim()[0] < tick < one.get_xlim()[1]] == [1]


def test_single_points_of_training_and_validation_look_different():
    training, validation = report.loss_curves(VAE[:1], "one epoch").axes[1].get_lines()
    assert training.get_marker() == validation.get_marker() == "o"
    assert training.get_color() == validation.get_color() == training.get_markerfacecolor()
    assert validation.get_markerfacecolor() == "white"


# Missing and non-finite values


def test_missing_cells_are_left_out_and_values_that_are_not_finite_are_gaps():
    rows = [
        {"epoch": 1, "loss": 3.0, "val_loss": None},
        {"epoch": 2, "loss": math.nan},
        {"epoch": 3, "loss": 2.0, "val_loss": 4.0},
        {"epoch": 4, "loss": -math.inf, "val_loss": 5.0},
    ]
    axes = report.loss_curves(rows, "gaps").axes[0]
    training, validation = axes.get_lines()
    np.testing.assert_array_equal(training.get_xydata(), [[1, 3], [2, math.nan], [3, 2], [4, math.nan]])
    assert validation.get_xydata().tolist() == [[3, 4], [4, 5]]
    assert [text.get_text() for text in axes.texts] == ["2 values not finite"]
    assert training.get_marker() == "o", "a value between two gaps must be seen"
    assert validation.get_marker() == "None"


def test_an_explosion_to_negative_values_leaves_space_for_the_others():
    rows = [{"epoch": epoch, "critic_loss": -4.0 + 0.1 * epoch} for epoch in range(1, 10)]
    rows[2]["critic_loss"] = -1e9
    [axes] = report.loss_curves(rows).axes
    assert -4.5 < axes.get_ylim()[0] < axes.get_ylim()[1] < -3
    assert [text.get_text() for text in axes.texts] == ["1 value beyond the axis"]


def test_an_explosion_in_the_first_epoch_leaves_space_for_the_others():
    rows = [{"epoch": epoch, "loss": 150.0 - epoch, "val_loss": 151.0 - epoch} for epoch in range(1, 9)]
    [axes] = report.loss_curves(rows).axes
    assert axes.get_ylim()[1] > 149 and not axes.texts
    rows[0]["loss"] = 2e12
    [axes] = report.loss_curves(rows).axes
    assert 150 < axes.get_ylim()[1] < 152
    assert [text.get_text() for text in axes.texts] == ["1 value beyond the axis"]
    rows[1]["loss"] = float("nan")
    [axes] = report.loss_curves(rows).axes
    assert [text.get_text() for text in axes.texts] == ["1 value not finite, 1 value beyond the axis"]
    rows[0]["loss"] = 450.0  # an ordinary beginning
    assert report.loss_curves(rows).axes[0].get_ylim()[1] > 450


def test_rows_are_drawn_in_the_order_of_their_epochs():
    rows = [{"epoch": 2, "loss": 1.0}, {"epoch": 1, "loss": 5.0}]
    assert drawn(report.loss_curves(rows, "x").axes[0]) == {"training": [[1, 5], [2, 1]]}


def test_a_figure_that_can_not_be_saved_leaves_the_old_one(tmp_path):
    (tmp_path / "losses.png").write_bytes(b"old")
    figure = report.loss_curves([{"epoch": 1, "loss": 1.0}], "x")
    figure.savefig = lambda *arguments, **keywords: (tmp_path / "missing").read_bytes()
    with pytest.raises(FileNotFoundError):
        report.save_figure(figure, tmp_path / "losses.png")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("losses.png", b"old")]


def test_a_quantity_that_was_never_finite_has_an_empty_panel_that_says_so(tmp_path):
    figure = report.loss_curves([{"epoch": 1, "loss": math.nan}], "diverged")
    assert [text.get_text() for text in figure.axes[0].texts] == ["1 value not finite"]
    report.save_figure(figure, tmp_path / "x.png")


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([], r"history must be one or more rows, each with an epoch, received: \[\]"),
        ({"loss": [1.0]}, r"history must be one or more rows, each with an epoch, received: \{'loss': \[1.0\]\}"),
        ([{"loss": 1.0}], r"history must be one or more rows, each with an epoch, received: \{'loss': 1.0\}"),
        ([{"epoch": math.nan}], r"history must be one or more rows, each with an epoch, received: .*nan.*"),
        ([{"epoch": 1, "loss": "low"}], r"history must have numbers in loss, received: 'low' in epoch 1"),
        ([{"epoch": 1, "seconds": 2.0}], r"history must have a quantity to draw, received: columns epoch, seconds"),
    ],
)
def test_an_invalid_history_is_refused(history, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        report.loss_curves(history, "x")


# Scores

SCORED = [
    {"epoch": 1, "loss": 2.0, "updates": 7},
    {"epoch": 10, "loss": 1.5, "fd_lenet": 80.0, "fd_lenet_images": 1000},
    {"epoch": 20, "loss": 1.0, "fd_lenet": 40.0, "fd_lenet_images": 1000, "recall_lenet": 0.5}
    | {"recall_lenet_images": 1000},
    {"epoch": 30, "loss": 1.0, "fd_lenet": 30.0, "fd_lenet_images": 5000},
]


def test_losses_and_scores_are_told_apart_by_the_columns():
    assert history_columns.score_names(SCORED) == ["fd_lenet", "recall_lenet"]
    assert history_columns.loss_names(SCORED) == ["loss"]
    assert list(panels(report.loss_curves(SCORED, "x"))) == ["loss", "fd_lenet", "recall_lenet"]
    assert list(panels(report.loss_curves(SCORED, "x", scores=False))) == ["loss"]
    assert list(panels(report.metric_curves(SCORED, "x"))) == ["fd_lenet", "recall_lenet"]


def test_a_score_has_a_line_for_every_number_of_images():
    distance, recall = report.metric_curves(SCORED, "scores").axes
    assert drawn(distance) == {"1,000 images": [[10, 80], [20, 40]], "5,000 images": [[30, 30]]}
    assert words(distance.get_legend()) == ["1,000 images", "5,000 images"]
    assert {line.get_marker() for line in distance.get_lines()} == {"o"}
    assert len({line.get_linestyle() for line in distance.get_lines()}) == 2
    assert drawn(recall) == {"1,000 images": [[20, 0.5]]}
    assert (distance.get_ylabel(), recall.get_ylabel()) == ("lower is better", "higher is better")


def test_scores_beside_losses_are_drawn_alike():
    axes = panels(report.loss_curves(SCORED, "x"))["fd_lenet"]
    assert drawn(axes) == drawn(report.metric_curves(SCORED, "x").axes[0])


def test_a_score_without_a_number_or_an_infinite_one_is_drawn_as_such():
    rows = [
        {"epoch": 1, "kid": math.inf, "kid_images": 10},
        {"epoch": 2, "kid": 0.1, "kid_images": 10},
        {"epoch": 3, "kid": 0.2},
    ]
    axes = report.metric_curves(rows, "x").axes[0]
    assert [line.get_label() for line in axes.get_lines()] == ["10 images", "unknown number of images"]
    assert [text.get_text() for text in axes.texts] == ["1 value not finite"]


def test_a_history_without_scores_is_refused():
    with pytest.raises(UsageError, match=r"^history must have scores, columns NAME and NAME_images, received: none$"):
        report.metric_curves(VAE, "x")


def test_drawing_and_saving_use_no_pyplot(tmp_path):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    report.save_figure(report.metric_curves(SCORED, "x"), tmp_path / "x.png")
    assert pyplot.get_fignums() == before
