"""Run the examples of all docstrings and compare their output."""

import doctest
import importlib
import pkgutil

import pytest

import keras_gen
from keras_gen.data import catalog

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
