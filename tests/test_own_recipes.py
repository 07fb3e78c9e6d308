"""Recipes and data sets from a user's own file, and runs on arrays: trained, resumed, exported, evaluated."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import command_helpers
import numpy as np
import pytest
import run_helpers
from command_helpers import call, generated, only_run, record_of

from keras_gen import UsageError, data, evaluation, runs, training, zoo
from keras_gen.data import catalog
from keras_gen.evaluation import results
from keras_gen.runs import hints, loading
from keras_gen.runs.settings import RunSettings
from keras_gen.training import sweeps
from keras_gen.utils import image_utils

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")

PAGE = Path(zoo.__file__).parents[2] / "docs" / "running.md"
(RECIPES,) = (
    block for block in re.findall("```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S) if "recipe(" in block
)
"""The example of the documentation."""


def test_the_recipe_of_the_contributors_page_is_one(tmp_path):
    text = (PAGE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = re.findall("```python\n(.*?)```", text, re.S)
    (tmp_path / "my_recipes.py").write_text(textwrap.dedent(example), encoding="utf-8")
    zoo.load_recipes(tmp_path / "my_recipes.py")
    assert zoo.build("vae-small", (8, 8, 1), hidden=4, num_classes=3).num_classes == 3


@pytest.fixture
def recipes(tmp_path):
    path = tmp_path / "my_recipes.py"
    path.write_text(RECIPES, encoding="utf-8")
    return path


def forget(monkeypatch):
    """Make this process one that has not loaded the recipes."""
    for name in [name for name in sys.modules if name.startswith("keras_gen_recipes")]:
        del sys.modules[name]
    for registry, name in ((zoo.registry._RECIPES, "stripes-gan"), (catalog._BY_NAME, "stripes")):
        registry.pop(name, None)


def test_a_recipe_of_a_file_is_listed_trained_resumed_evaluated_and_exported(recipes, tmp_path, monkeypatch):
    listed = call("run", "--list", "--recipes", recipes)
    assert "stripes-gan: GAN of stripes.\n    ours, stripes, 30 epochs, batch size 50\n" in listed.out
    assert "--set latent_dim=2 learning_rate=0.001 moving_average=0.9" in listed.out
    forget(monkeypatch)
    options = ("--set", "moving_average=0.8", "--out", tmp_path / "runs", "--epochs", 1, "--fid-every", 0)
    with run_helpers.without_artifacts():
        trained = call("run", "--model", "stripes-gan", "--recipes", recipes, *options)
    assert trained.code == 0, trained.err
    run = only_run(tmp_path / "runs")
    record = record_of(run)
    assert record["recipes"]["file"] == str(recipes)
    assert record["data"]["source"] == "registered"
    forget(monkeypatch)
    message = f"recipe 'stripes-gan' of {run} is not loaded: pass its file with --recipes (it was {recipes})"
    assert call("run", "--resume", run).error == f"error: {message}"
    assert call("evaluate", run).error == f"error: {message}"
    assert call("report", run, "--recipes", recipes, "--quick").code == 0
    page = (run / "report.html").read_text(encoding="utf-8")
    assert f"python experiments/run.py --resume {run} --epochs 2 --recipes {recipes}" in page
    forget(monkeypatch)
    shutil.rmtree(run / "saved_model")  # an empty folder
    recipes.write_text(recipes.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")
    resumed = call("run", "--resume", run, "--recipes", recipes, "--epochs", 2, "--export", tmp_path / "exported")
    assert resumed.code == 0, resumed.err
    assert f"so its results may differ: the file of the recipe, {recipes}" in resumed.out
    assert "1 of 2 epochs done" in resumed.out
    assert generated(tmp_path / "exported").shape == (3, 16, 16, 1)
    forget(monkeypatch)
    evaluated = call("evaluate", run, "--recipes", recipes, "--measures", "none")
    assert evaluated.code == 0, evaluated.err
    assert json.loads((run / "evaluation.json").read_text(encoding="utf-8"))["model"] == "stripes-gan"


@pytest.mark.slow
def test_a_file_that_imports_keras_writes_no_log_lines_of_tensorflow(recipes):
    recipes.write_text("import keras_gen\nimport keras\n" + RECIPES, encoding="utf-8")
    words = [sys.executable, command_helpers.EXPERIMENTS / "run.py", "--list", "--recipes", recipes]
    env = command_helpers.environment("TF_CPP_MIN_LOG_LEVEL")
    result = subprocess.run(words, capture_output=True, text=True, check=True, env=env)
    assert "stripes-gan: GAN of stripes.\n" in result.stdout
    assert result.stderr == ""


def test_a_sweep_trains_a_recipe_of_a_file(recipes, monkeypatch, tmp_path):
    zoo.load_recipes(recipes)
    settings = RunSettings("stripes-gan", {"latent_dim": 3}, epochs=1)
    words = command_helpers.SCRIPTS["sweep"].start_command(settings, tmp_path)
    assert f"--recipes={recipes}" in words
    outcome = call("sweep", "--model", "stripes-gan", "--recipes", recipes, "--grid", "latent_dim=2,3", "--dry-run")
    assert "[2/2] latent_dim=3" in outcome.out
    (tmp_path / "sweep").mkdir()
    sweeps.Sweep.of(sweeps.Plan("stripes-gan", {}), tmp_path / "sweep").write()
    assert sweeps.read(tmp_path / "sweep").members[0].settings.model == "stripes-gan"
    forget(monkeypatch)
    message = f"recipes of {tmp_path / 'sweep'} are not loaded: pass their file with --recipes (it was {recipes})"
    assert call("sweep", "--resume", tmp_path / "sweep").error == f"error: {message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "recipes must be an existing Python file, received: "),
        ("def f(:\n", "SyntaxError"),
        ("import numpy\n\n1 / 0\n", "ZeroDivisionError at line 3: division by zero"),
        ("import sys\n\nsys.exit(3)\n", "SystemExit at line 3: 3"),
        ("value = 1\n", "recipes must be a Python file that defines a recipe or a data set, received: "),
        (RECIPES.replace("stripes-gan", "vae-mlp"), "recipe 'vae-mlp' is registered twice"),
    ],
)
def test_a_file_that_is_no_file_of_recipes_is_refused(content, message, tmp_path):
    path = tmp_path / "my_recipes.py"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    before = dict(zoo.registry._RECIPES)
    error = call("run", "--model", "my", "--recipes", path).error
    assert message in error
    assert str(path) in error
    assert zoo.registry._RECIPES == before


def test_a_file_is_run_again_if_it_has_changed(recipes):
    zoo.load_recipes(recipes)
    before = zoo.get("stripes-gan")
    zoo.load_recipes(recipes)
    assert zoo.get("stripes-gan") is before
    recipes.write_text(RECIPES.replace("epochs=", "epochs=1"), encoding="utf-8")
    zoo.load_recipes(recipes)
    assert zoo.get("stripes-gan").epochs == int(f"1{before.epochs}")
    again = RECIPES.replace("epochs=", "epochs=2").replace("def stripes_gan", "def of_another_name")
    recipes.write_text(again, encoding="utf-8")  # within the same second, and of the same size as the one before
    zoo.load_recipes(recipes)
    assert zoo.get("stripes-gan").epochs == int(f"2{before.epochs}")
    recipes.write_text("1 / 0", encoding="utf-8")
    with pytest.raises(UsageError, match="ZeroDivisionError"):
        zoo.load_recipes(recipes)
    assert zoo.get("stripes-gan").epochs == int(f"2{before.epochs}")
    recipes.write_text(RECIPES.replace("stripes-gan", "stripes-wgan"), encoding="utf-8")
    zoo.load_recipes(recipes)
    assert "stripes-wgan" in [recipe.name for recipe in zoo.recipes()]
    with pytest.raises(UsageError, match="^model must be one of"):
        zoo.get("stripes-gan")


def test_a_recipe_that_sets_what_a_run_sets_is_refused(recipes):
    recipes.write_text(RECIPES.replace("range(2)))", "range(2)), steps_per_execution=4)"), encoding="utf-8")
    zoo.load_recipes(recipes)
    with pytest.raises(UsageError, match="stripes-gan must not compile its model with jit_compile"):
        zoo.build("stripes-gan")


def test_a_run_on_arrays_is_resumed_with_them(tmp_path):
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (60, 8, 8), np.uint8), generator.integers(0, 3, 60)
    settings = RunSettings("vae-mlp", {"hidden": 4, "num_classes": 3}, epochs=1, fid_every=0, batch_size=16)
    with run_helpers.without_artifacts():
        run = training.run(settings, data=(images, labels), out=tmp_path)
        record = record_of(run)
        assert (record["data"]["name"], record["data"]["source"]) == ("arrays", "arrays")
        with pytest.raises(UsageError, match="was trained on arrays in memory: load it from Python, with them"):
            training.resume(run, epochs=2)
        with pytest.raises(UsageError, match="^data must be those that .* was trained on, "):
            training.resume(run, epochs=2, data=(images[::-1], labels))
        training.resume(run, epochs=2, data=data.from_arrays(images, labels))
    assert hints.resume(run) == f"keras_gen.training.resume({str(run)!r}, data=...)"
    with pytest.raises(UsageError, match=re.escape(f"not been evaluated yet: {hints.evaluate(run)}")):
        results.read(run)
    evaluated = evaluation.evaluate(run, evaluation.EvaluationSettings(measures=()), data=(images, labels))
    assert evaluated.losses["loss"] > 0
    opened = runs.load(run, data=(images, labels))
    assert opened.position.epoch == 2
    assert len(opened.data.train) + len(opened.data.validation) + len(opened.data.test) == 60
    images[:] = 0  # the data set has a copy
    assert opened.data.train.images.any()


def test_a_registered_data_set_is_loaded_by_name_with_the_options_of_load():
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    data.register("my-noise", lambda: {"x_train": images, "x_test": images[:4]}, (8, 8, 1))
    loaded = data.load("my-noise", image_size=6, validation=5)
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (35, 5, 4)
    assert (loaded.name, loaded.source, loaded.image_shape) == ("my-noise", "registered", (6, 6, 1))
    assert images.flags.writeable
    assert catalog.image_shape("my-noise") == (8, 8, 1)
    with pytest.raises(UsageError, match="name must be a word that is not yet a data set's name, received: 'digits'"):
        data.register("digits", lambda: {}, (8, 8, 1))
    for brightness in (1, 2):  # as a cell of a notebook that is run again
        code = compile("lambda: {'x_train': images}", "<cell 1>", "eval")
        data.register("again", eval(code, {"images": images // brightness}), (8, 8, 1))
    np.testing.assert_array_equal(data.load("again").train.images.max(), images.max() // 2)
    with pytest.raises(UsageError, match="not yet a data set's name, received: 'again'"):
        data.register("again", lambda: {"x_train": images}, (8, 8, 1))
    data.register("wrong", lambda: {"train": images}, (8, 8, 1))
    with pytest.raises(UsageError, match="data set wrong must hold an array x_train"):
        data.load("wrong")


def test_settings_that_an_image_data_does_not_have_are_refused():
    given = data.from_arrays(np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8), binarize="threshold")
    assert loading.load_data(RunSettings("gan-mlp", binarize="threshold"), given) == (given, None)
    with pytest.raises(UsageError, match="^channels must be that of the ImageData, or left out, received: 3"):
        loading.load_data(RunSettings("gan-mlp", binarize="threshold", channels=3), given)
    with pytest.raises(UsageError, match="^validation must be that of the ImageData, or left out, received: 0"):
        loading.load_data(RunSettings("gan-mlp", validation=0), given)
    other = data.load("digits", binarize="stochastic", binarize_seed=3)
    with pytest.raises(UsageError, match="^binarize_seed must be 0 for the ImageData of a run"):
        loading.load_data(RunSettings("gan-mlp"), other)


def test_a_run_on_loaded_data_records_the_options_that_load_them_again(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, image in enumerate(data.load("digits").train.images[:60]):
        image_utils.save_png(folder / f"{index}.png", image[..., 0])
    (folder / "damaged.png").write_bytes(b"no picture")
    loaded = data.load(folder, skip_damaged=True, validation=9)
    settings = RunSettings("vae-mlp", {"hidden": 8}, epochs=1, batch_size=16, samples_every=0, fid_every=0)
    with run_helpers.without_artifacts():
        run = training.run(settings, data=loaded, out=tmp_path)
    assert runs.load(run).data.fingerprint == loaded.fingerprint


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1, 2], "must be a mapping of names to arrays, from its function, received: 'list'"),
        ({"x_train": [np.zeros((8, 8)), np.zeros((9, 9))]}, ": x_train must be an array, received: 'rows of different"),
        ({"x_train": np.zeros((9, 4, 4), np.uint8)}, r"must be images of shape \(8, 8, 1\), as registered, received"),
    ],
    ids=["list", "ragged", "another shape"],
)
def test_a_wrong_result_of_a_registered_function_is_one_line(result, message, request):
    name = f"wrong-{request.node.callspec.id.replace(' ', '-')}"
    data.register(name, lambda: result, (8, 8, 1))
    with pytest.raises(UsageError, match=f"^data set {name}:? ?{message}"):
        data.load(name)
