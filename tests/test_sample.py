"""SavedModels: exported by run.py, sampled by sample.py; every mistake is one line."""

import json
import os
import shutil
import types
from pathlib import Path

import command_helpers
import numpy as np
import pytest
import tensorflow as tf
from command_helpers import (
    Outcome,
    call,
    generated,
    names,
    no_space,
    only_run,
    train,
)
from PIL import Image

from keras_gen import UsageError
from keras_gen.commands import sample
from keras_gen.models import export
from keras_gen.training import trainer

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")
finished, copied = command_helpers.finished, command_helpers.copied


# Exporting


def test_a_run_exports_the_requested_functions(quick_results, finished, tmp_path):
    target = tmp_path / "published" / "mine"
    outcome = train(tmp_path / "runs", finished.data, "--export", target, "--export-functions", "generate")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[-1] == f"exported to {target}"
    assert sorted(tf.saved_model.load(str(target)).signatures) == ["generate"]
    assert json.loads((target / "description.json").read_text())["functions"] == ["generate"]
    run = only_run(tmp_path / "runs")
    np.testing.assert_array_equal(generated(target), generated(run / "saved_model"))


def test_a_finished_run_is_exported_by_resuming_it_and_overwrites_only_on_request(
    quick_results, copied, tmp_path, monkeypatch
):
    def save(model, path, **options):
        return None if path == copied / "saved_model" else export.save(model, path, **options)

    monkeypatch.setattr(trainer, "export", types.SimpleNamespace(**vars(export) | {"save": save}))
    target = tmp_path / "mine"
    first = call("run", "--resume", copied, "--export", target)
    assert first.code == 0, first.err
    assert "Epoch" not in first.out
    assert sorted(tf.saved_model.load(str(target)).signatures) == ["decode", "encode", "generate", "reconstruct"]
    refused = call("run", "--resume", copied, "--export", target, "--export-functions", "decode")
    assert (
        refused.error
        == f"error: export exists already: {target} (--overwrite, or overwrite=True in Python, replaces it)"
    )
    assert "decode" in tf.saved_model.load(str(target)).signatures
    arguments = ["--resume", copied, "--export-functions", "generate"]
    assert call("run", *arguments, "--export", target, "--overwrite").code == 0
    assert sorted(tf.saved_model.load(str(target)).signatures) == ["generate"]
    half = tmp_path / "half"
    assert call("run", *arguments, "--export", half, "--export-half").code == 0
    sizes = [(folder / "variables" / "variables.data-00000-of-00001").stat().st_size for folder in (half, target)]
    assert sizes[0] < 0.7 * sizes[1]
    assert names(tmp_path) == ["copied", "half", "mine", "work"]


def test_overwrite_replaces_only_a_saved_model(copied, tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "thesis.txt").write_text("three years")
    outcome = call("run", "--resume", copied, "--export", folder, "--overwrite")
    assert names(folder) == ["thesis.txt"]
    assert "export" in outcome.error


# sample.py


def test_images_are_sampled_from_a_run_and_from_its_saved_model_alike(finished):
    outcome = call("sample", finished.path, "--num", 5, "--seed", 3, "--out", "a.npz")
    assert outcome == Outcome(0, "5 images 8x8x1 with seed 3: a.npz\n", "")
    assert call("sample", finished.path / "saved_model", "--num", 5, "--seed", 3, "--out", "b.npz").code == 0
    with np.load("a.npz") as first, np.load("b.npz") as second:
        assert sorted(first.files) == sorted(second.files) == ["images", "images_float"]
        assert first["images"].shape == (5, 8, 8, 1)
        assert first["images"].dtype == np.uint8
        assert first["images_float"].dtype == np.float32
        np.testing.assert_array_equal(first["images"], np.round(first["images_float"] * 255))
        for name in first.files:
            np.testing.assert_array_equal(first[name], second[name])
        np.testing.assert_array_equal(first["images"], generated(finished.path / "saved_model", 5, 3))


def test_a_grid_of_samples_is_a_picture_that_replaces_an_older_one(finished):
    Path("grid.png").write_bytes(b"older")
    assert call("sample", finished.path, "--num", 7, "--out", "grid.png").code == 0
    with Image.open("grid.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == (3 * 9 + 1, 3 * 9 + 1)
    before = Path("grid.png").read_bytes()
    assert call("sample", finished.path, "--num", 7, "--seed", 1, "--out", "grid.png").code == 0
    assert Path("grid.png").read_bytes() != before
    assert call("sample", finished.path, "--num", 7, "--out", "grid.png").code == 0
    assert Path("grid.png").read_bytes() == before
    assert names(Path.cwd()) == ["grid.png"]


def test_a_hundred_samples_go_to_samples_png(finished):
    assert call("sample", finished.path).out == "100 images 8x8x1 with seed 0: samples.png\n"
    with Image.open("samples.png") as picture:
        assert picture.size == (91, 91)


@pytest.fixture
def quick_results(monkeypatch):
    """Leave out the report page and the loss curves."""
    monkeypatch.setattr(trainer.run_page, "write_or_note", lambda path: None)
    monkeypatch.setattr(trainer.report, "save_figure", lambda figure, path: None)


@pytest.fixture(scope="module")
def odd_folders(finished, tmp_path_factory):
    """Folders that are no valid SavedModel, each for another reason."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "empty").mkdir()
    shutil.copytree(finished.path, folder / "unfinished")
    shutil.rmtree(folder / "unfinished" / "saved_model")
    shutil.copytree(finished.path / "saved_model", folder / "graph")
    content = (folder / "graph" / "saved_model.pb").read_bytes()
    (folder / "graph" / "saved_model.pb").write_bytes(content[: len(content) // 2])
    shutil.copytree(finished.path / "saved_model", folder / "weights")
    for path in (folder / "weights" / "variables").iterdir():
        path.write_bytes(path.read_bytes()[:10])
    shutil.copytree(finished.path / "saved_model", folder / "no_weights")
    shutil.rmtree(folder / "no_weights" / "variables")
    tf.saved_model.save(tf.Module(), str(folder / "foreign"))
    (folder / "file").write_text("a file")
    return folder


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("missing", [], "path must be a SavedModel, a finished run directory or a trained model"),
        ("empty", [], "path must be a SavedModel, a finished run directory or a trained model"),
        ("file", [], "path must be a SavedModel, a finished run directory or a trained model"),
        ("unfinished", [], "is not finished and has no SavedModel yet: resume it"),
        ("graph", [], "is damaged"),
        ("weights", [], "is damaged"),
        ("no_weights", [], "is damaged"),
        ("foreign", [], "path must be a SavedModel with a function generate"),
        (None, ["--num", 0], "--num must be an integer of at least 1"),
        (None, ["--num", -5], "--num must be an integer of at least 1"),
        (None, ["--num", "many"], "invalid int value"),
        (None, ["--seed", -1], "--seed must be an integer from 0"),
        (None, ["--seed", 2**31], "--seed must be an integer from 0"),
        (None, ["--out", "grid.jpg"], "argument --out: must be a file name that ends in .png or .npz"),
        (None, ["--out", "grid"], "argument --out: must be a file name that ends in .png or .npz"),
        (None, ["--out", ".png"], "argument --out: must be a file name that ends in .png or .npz"),
        (None, ["--out", "missing/grid.png"], "argument --out: must be a file in a folder that exists"),
        (None, ["--out", "folder.png"], "argument --out: must be a file in a folder that exists"),
        (None, ["--out", "folder.npz"], "argument --out: must be a file in a folder that exists"),
        (None, ["--out", "x" * 300 + ".png"], ".png can't be read or written (File name too long)"),
        (None, ["--num", 3_000_000_000], "--num must be"),
        (None, ["--labels", 1], "--labels must be left out, since the model is not conditional"),
    ],
)
def test_a_mistake_in_sampling_is_one_line(finished, odd_folders, path, arguments, message):
    for name in ("folder.png", "folder.npz"):
        Path(name).mkdir()
    outcome = call("sample", finished.path if path is None else odd_folders / path, *arguments)
    assert message in outcome.error
    assert names(Path.cwd()) == ["folder.npz", "folder.png"]


def test_exhausted_memory_while_sampling_is_one_line(finished, monkeypatch):
    def exhausted(*arguments, **keywords):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor\nand a page of detail")

    class Loaded:
        generate = staticmethod(exhausted)

    monkeypatch.setattr("keras_gen.models.export.load", lambda path: Loaded)
    try:
        outcome = call("sample", finished.path)
    except tf.errors.ResourceExhaustedError as error:
        pytest.fail(f"a traceback: {error!r}")
    assert "memory" in outcome.error


@pytest.mark.parametrize("suffix", ["png", "npz"])
def test_a_full_disk_while_sampling_is_one_line_and_keeps_the_old_file(finished, monkeypatch, suffix):
    out = Path(f"grid.{suffix}")
    out.write_bytes(b"older")
    monkeypatch.setattr(os, "fsync", no_space)
    error = call("sample", finished.path, "--num", 2, "--out", out).error
    assert error == f"error: {out} can't be read or written (No space left on device)"
    assert out.read_bytes() == b"older"
    assert names(Path.cwd()) == [out.name]


def test_images_are_also_written_one_by_one(finished):
    assert call("sample", finished.path, "--num", 11, "--seed", 3, "--out", "a.npz", "--separate", "single").code == 0
    assert names(Path("single")) == [f"{index:02}.png" for index in range(11)]
    with np.load("a.npz") as arrays:
        for index, image in enumerate(arrays["images"]):
            np.testing.assert_array_equal(np.asarray(Image.open(f"single/{index:02}.png")), image[..., 0])
    assert "--separate must be a new folder" in call("sample", finished.path, "--separate", "single").error


@pytest.mark.parametrize(
    ("words", "class_names", "expected"),
    [
        (["cat", "1", "dog"], ["cat", "dog"], [0, 1, 1]),
        (["7", "0"], ["3", "7"], [1, 0]),
        (["2"], [], [2]),
        (
            ["cta"],
            ["cat", "dog"],
            "--labels must be a class: a number, or one of cat, dog, received: 'cta', did you mean 'cat'?",
        ),
        (["cat"], [], "--labels must be the number of a class, received: 'cat'"),
        (["9" * 5000], [], "--labels must be the number of a class"),
    ],
)
def test_classes_are_named_or_numbered(words, class_names, expected):
    if isinstance(expected, list):
        assert sample.classes(words, class_names) == expected
    else:
        with pytest.raises(UsageError) as caught:
            sample.classes(words, class_names)
        assert str(caught.value).startswith(expected)
