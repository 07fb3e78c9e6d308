"""Tests of comparisons: ranks where protocols agree, the differing entries where they do not."""

import dataclasses
import math

import pytest
import run_helpers
from command_helpers import call, only_run, train, write_npz

from keras_gen.evaluation import Score, comparison, results
from keras_gen.evaluation.results import Evaluation
from keras_gen.report.pages import comparison_page
from keras_gen.utils import files
from keras_gen.utils.errors import UsageError

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")

PROTOCOL = {"metric": "fid", "extractor": "lenet", "reference": "digits", "generated": 100, "moving_average": None}


def distance(value, **changes):
    return Score("fd_lenet", value, PROTOCOL | {"seed": 0} | changes, "low", floor=1.0)


def precision(value, **changes):
    return Score("precision_lenet", value, PROTOCOL | {"metric": "precision", "k": 5} | changes, "high")


def memorisation(value):
    return Score("memorisation_lenet", value, PROTOCOL | {"metric": "memorisation"})


@pytest.fixture
def make(tmp_path):
    """Return a function that writes an evaluated run directory."""

    def write(name, *scores):
        path = tmp_path / "runs" / name
        path.mkdir(parents=True)
        files.write_json(path / "recipe.json", {"settings": {"model": "vae-mlp"}})
        if scores:
            results.write(path, Evaluation({"loss": 1.0}, list(scores), ["a note"]), {"epoch": 3})
        return path

    return write


def rows_of(*paths, ignore=()):
    return {row.name: row for row in comparison.compare(paths, ignore)}


def test_a_lower_distance_and_a_higher_precision_are_better(make):
    one = make("one", distance(9.0), precision(0.5))
    two = make("two", distance(7.0), precision(0.4))
    three = make("three", distance(8.0), precision(0.9))
    rows = rows_of(one, two, three)
    assert list(rows) == ["fd_lenet", "precision_lenet"]
    assert rows["fd_lenet"].ranks == [3, 1, 2]
    assert rows["precision_lenet"].ranks == [2, 3, 1]
    assert [score.value for score in rows["fd_lenet"].scores] == [9.0, 7.0, 8.0]
    assert all(row.differences == {} for row in rows.values())


def test_read_returns_what_write_wrote(make):
    path = make(
        "one", distance(9.0), dataclasses.replace(precision(0.5), spread=math.inf, spread_over="3 sets of images")
    )
    result = results.read(path)
    assert result.scores == [
        distance(9.0),
        dataclasses.replace(precision(0.5), spread=math.inf, spread_over="3 sets of images"),
    ]
    assert (result.losses, result.notes) == ({"loss": 1.0}, ["a note"])


@pytest.mark.parametrize(
    ("changes", "entry"),
    [
        ({"generated": 200}, {"generated": [100, 200]}),
        ({"seed": 1}, {"seed": [0, 1]}),
        ({"moving_average": 0.999}, {"moving_average": [None, 0.999]}),
        ({"reference": "mnist", "seed": 2}, {"reference": ["digits", "mnist"], "seed": [0, 2]}),
        ({"points": 15}, {"points": [None, 15]}),
    ],
    ids=str,
)
def test_unlike_protocols_are_not_ranked_and_the_difference_is_named(make, changes, entry):
    one, two = make("one", distance(9.0), precision(0.5)), make("two", distance(1.0, **changes), precision(0.4))
    rows = rows_of(one, two)
    assert (rows["fd_lenet"].ranks, rows["fd_lenet"].differences) == ([], entry)
    assert rows["precision_lenet"].ranks == [1, 2]
    ignored = rows_of(one, two, ignore=tuple(entry))["fd_lenet"]
    assert (ignored.ranks, ignored.differences) == ([2, 1], {})
    if len(entry) > 1:
        assert list(rows_of(one, two, ignore=("seed",))["fd_lenet"].differences) == ["reference"]


def test_a_score_that_some_runs_have_is_ranked_among_these(make):
    one, two = make("one", precision(0.5)), make("two", distance(7.0))
    three = make("three", distance(8.0), precision(1))
    rows = rows_of(one, two, three)
    assert list(rows) == ["precision_lenet", "fd_lenet"]
    assert rows["fd_lenet"].ranks == [None, 1, 2]
    assert rows["precision_lenet"].ranks == [2, None, 1]
    four = make("four", distance(8.0, seed=3))
    assert rows_of(one, two, four)["fd_lenet"].differences == {"seed": [None, 0, 3]}


def test_a_score_of_one_run_only_and_one_without_a_better_side_are_not_ranked(make):
    one, two = make("one", distance(9.0), memorisation(0.4)), make("two", memorisation(0.5))
    rows = rows_of(one, two)
    assert [(row.ranks, row.differences) for row in rows.values()] == [([], {}), ([], {})]
    assert rows["fd_lenet"].scores == [distance(9.0), None]


def test_a_run_compared_with_itself_shares_the_first_place(make):
    one, two = make("one", distance(9.0)), make("two", distance(10.0))
    assert rows_of(one, one, two)["fd_lenet"].ranks == [1, 1, 3]


def test_an_infinite_score_is_the_best_or_the_worst(make):
    psnr = [Score("reconstruction_psnr", value, {"metric": "psnr"}, "high") for value in (30.0, math.inf)]
    assert rows_of(make("one", psnr[0]), make("two", psnr[1]))["reconstruction_psnr"].ranks == [2, 1]


def test_likelihoods_of_different_models_of_pixels_are_not_ranked(make):
    common = {"metric": "nll", "images_count": 100, "samples": 100, "seed": 0}
    bernoulli = {"likelihood": "bernoulli", "binarized": "stochastic, seed 0", "units": "nats an image"}
    gaussian = {"likelihood": "gaussian", "binarized": "no", "units": "nats an image, density of pixels in [0, 1]"}
    scores = [Score("nll", value, common | own, "low") for value, own in ((90.0, bernoulli), (-400.0, gaussian))]
    row = rows_of(make("one", scores[0]), make("two", scores[1]))["nll"]
    assert row.ranks == []
    assert row.differences["likelihood"] == ["bernoulli", "gaussian"]


# Errors


def test_the_error_for_an_unevaluated_run_names_the_command(make):
    one, two = make("one", distance(9.0)), make("two")
    with pytest.raises(UsageError) as error:
        comparison.compare([one, two])
    assert str(error.value) == f"run {two} has not been evaluated yet: keras-gen evaluate {two}"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "null",
        lambda text: text.replace("9.0", '"nought"').replace("8.0", '"nought"'),
        lambda text: text.replace('"generated": 100', '"generated": 50000'),
        lambda text: text.replace('"scores": [', '"scores": [5, '),
    ],
)
def test_a_damaged_evaluation_is_refused_in_one_line(make, damage):
    one, two = make("one", distance(9.0)), make("two", distance(8.0))
    path = two / "evaluation.json"
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(UsageError, match=rf"^{path} is damaged.*$"):
        comparison.compare([one, two])


# compare.py


def test_the_command_marks_the_best_and_names_what_differs(make):
    one = make("00001-vae", distance(9.25), precision(0.5))
    two = make("00002-gan", distance(7.5, generated=50), precision(0.75), memorisation(0.5))
    outcome = call("compare", one, two)
    assert (outcome.code, outcome.err) == (0, "")
    head, *lines = outcome.out.splitlines()
    assert head.split() == ["better", "00001-vae", "00002-gan"]
    assert [line.split() for line in lines] == [
        ["fd_lenet", "low", "9.25", "7.5"],
        ["not", "ranked:", "generated", "100", "|", "50"],
        ["precision_lenet", "high", "0.5", "0.75", "*"],
        ["memorisation_lenet", "-", "0.5"],
        "* best run by this score; docs/measuring.md in keras_gen's source explains the scores".split(),
    ]
    ignoring = call("compare", one, two, "--ignore", "generated").out.splitlines()
    assert ignoring[1].split() == ["fd_lenet", "low", "9.25", "7.5", "*"]
    assert "not ranked" not in "".join(ignoring)


def test_scores_of_earlier_weights_have_a_note(make):
    paths = [make(name, distance(9.0)) for name in ("one", "two")]
    (paths[0] / "history.csv").write_text("epoch,loss\n1,5\n2,4\n3,3\n4,2\n", encoding="utf-8")
    note = f"NOTE: scores of {paths[0]} were measured after epoch 3; the run has finished 4 epochs"
    lines = call("compare", *paths).out.splitlines()
    assert [line for line in lines if "NOTE" in line] == [note]
    comparison_page.write(paths, paths[0] / "comparison.html")
    words = (paths[0] / "comparison.html").read_text(encoding="utf-8")
    assert "The scores of one were measured after epoch 3; the run has finished 4 epochs." in words


def test_errors_of_the_command_are_one_line(make, tmp_path):
    one = make("one", distance(9.0))
    assert "runs must be at least two run directories, received: ['" in call("compare", one).error
    assert "run must be a run directory" in call("compare", one, tmp_path / "nowhere").error
    error = call("compare", one, one, "--ignore", "seed", "moving_avarage").error
    assert error.startswith(
        "error: ignore must name entries of a protocol (extractor, generated, metric, moving_average"
    )
    assert error.endswith("received: 'moving_avarage'")


@pytest.mark.slow
def test_evaluated_runs_are_compared(tmp_path):
    runs, data = [], write_npz(tmp_path / "noise.npz", size=12)
    options = ("--extractor", "lenet", "--measures", "fid")
    for seed in (0, 1):
        with run_helpers.without_artifacts():
            outcome = train(tmp_path / str(seed), data, "--samples-every", 0, "--fid-every", 0, "--seed", seed)
        assert outcome.code == 0, outcome.err
        runs.append(only_run(tmp_path / str(seed)))
        assert call("evaluate", runs[-1], *options, "--images", 50, "--likelihood-samples", 5).code == 0
    rows = rows_of(*runs)
    ranked = ["fd_lenet", "reconstruction_mse", "reconstruction_psnr", "reconstruction_ssim", "nll"]
    assert list(rows) == [*ranked, "active_units"]
    assert [sorted(rows[name].ranks) for name in ranked] == [[1, 2]] * 5
    assert rows["active_units"].ranks == []
    assert call("evaluate", runs[1], *options, "--images", 60, "--seed", 1).code == 0
    rows = rows_of(*runs)
    assert rows["fd_lenet"].differences == {"generated": [50, 60], "seed": [0, 1]}
    assert rows["nll"].differences == {"samples": [5, 100], "seed": [0, 1]}
    assert sorted(rows["reconstruction_mse"].ranks) == [1, 2]
