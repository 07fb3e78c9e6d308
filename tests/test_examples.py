"""Run the examples of all docstrings and compare their output, and the Python code of README and docs."""

import ast
import doctest
import importlib
import pkgutil
import re
import shutil
from pathlib import Path

import command_helpers
import pytest

import keras_gen
from keras_gen.data import catalog

finished = command_helpers.finished

ROOT = Path(__file__).parents[1]
MODULES = [module.name for module in pkgutil.walk_packages(keras_gen.__path__, "keras_gen.")]

SLOW = {
    "keras_gen.callbacks.health",
    "keras_gen.callbacks.scores",
    "keras_gen.data.pipeline",
    "keras_gen.models.gan",
    "keras_gen.models.wgan",
    "keras_gen.training.trainer",
}
"""Modules whose examples train a model for seconds."""

assert set(MODULES) >= SLOW


@pytest.fixture(scope="module")
def names():
    """Names that the examples use without defining them."""
    import numpy as np
    import tensorflow as tf

    from keras_gen import data, zoo
    from keras_gen.data import load

    digits = data.load("digits")
    model = zoo.build("vae-mlp", latent_dim=2)
    return {
        "keras_gen": keras_gen,
        "keras": importlib.import_module("keras"),
        "np": np,
        "tf": tf,
        "load": load,
        "data": digits,
        "images": digits.train.images[:64],
        "train_images": digits.train.images[:64],
        "model": model,
        "dataset": data.evaluation_batches(digits.train.images[:64], batch_size=32),
    }


@pytest.mark.parametrize(
    "module", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in MODULES]
)
def test_examples_of_a_module(module, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalog, "_BY_NAME", dict(catalog._BY_NAME))  # an example registers a data set
    module = importlib.import_module(module)
    found = doctest.DocTestFinder(exclude_empty=True).find(module, globs=vars(module) | names)
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    report = []
    for example in found:
        runner.run(example, out=report.append)
    assert runner.failures == 0, "".join(report)


PAGES = {"README.md": 2, "docs/measuring.md": 3, "docs/keras.md": 1}
"""Pages, and how many blocks of Python code they have. Other tests cover those of running.md and distributed.md."""


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page(page, finished, tmp_path, monkeypatch):
    """Run a page's code in one namespace; comments such as `# uint8, (16, 28, 28, 1)` are true."""
    import keras

    monkeypatch.chdir(tmp_path)
    (tmp_path / "saved_models").symlink_to(ROOT / "saved_models")
    shutil.copytree(finished.path, tmp_path / "runs" / "00001-vae-lstm")
    load, digits = keras_gen.data.load, keras_gen.data.load("digits")
    monkeypatch.setattr(
        keras_gen.data, "load", lambda name, **options: load(name.replace("mnist", "digits"), **options)
    )
    train = digits.train.images[..., 0], digits.train.labels
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: (train, train))
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == PAGES[page]
    names, checked = {"keras_gen": keras_gen}, 0
    for code in blocks:
        exec(compile(code, page, "exec"), names)
        for expression, shape in re.findall(r"^(\S.*\S)  # .*uint8, (\(\d.*\))$", code, re.M):
            value = eval(expression, names)
            assert (value.dtype, value.shape) == ("uint8", ast.literal_eval(shape))
            checked += 1
    assert checked == (3 if page == "README.md" else 0)
