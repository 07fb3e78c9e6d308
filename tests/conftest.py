"""What all tests share."""

import os
import signal
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TQDM_DISABLE"] = "1"  # what commands print must not depend on how slow the machine is
os.environ.pop("TF_CONFIG", None)  # whoever runs the tests may be a member of a cluster

import browser_helpers
import numpy as np
import pytest

from keras_gen import zoo
from keras_gen.data import catalog
from keras_gen.utils import processor

chromium = browser_helpers.chromium

# Who starts the tests with nohup, or in the background of a script, has such requests ignored, and what they start too.
for number, usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """What keras_gen keeps between runs is kept for these tests only, and nothing that is there already is used."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("KERAS_GEN_CACHE", str(folder))
        patch.setenv("TORCH_HOME", str(folder))  # where extractors look for weights, too
        yield folder


@pytest.fixture(scope="session", autouse=True)
def slow_bfloat16():
    """On every machine, `--precision auto` is float32 in the tests' own process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processor, "is_fast_in_bfloat16", lambda: False)
        yield


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    """Forget the recipes and data sets that a test registers, or a command that it calls."""
    zoo.recipes()  # registers those of the package
    monkeypatch.setattr(zoo.registry, "_RECIPES", dict(zoo.registry._RECIPES))
    monkeypatch.setattr(catalog, "_BY_NAME", dict(catalog._BY_NAME))
    modules = set(sys.modules)
    yield
    for name in sys.modules.keys() - modules:
        if name.startswith("keras_gen_recipes"):
            del sys.modules[name]


def folder_with(file):
    """The folder with real data; tests that need them are skipped where there are none."""
    folder = os.environ.get("KERAS_GEN_DATA", "")
    if not os.path.isfile(os.path.join(folder, file)):
        pytest.skip(f"needs real data: {file} in the folder that $KERAS_GEN_DATA names")
    return folder


@pytest.fixture(scope="session")
def mnist_folder():
    """The folder with the real mnist.npz."""
    return folder_with("mnist.npz")


@pytest.fixture(scope="session")
def cifar10_folder():
    """The folder with the real cifar10.npz."""
    return folder_with("cifar10.npz")


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    """Path of an npz of 44 training and 12 test images, 28x28, smooth blobs of different places and sizes.

    Their labels, 0 to 2, say in which third of the picture a blob is.
    """
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:28, :28]
    centers, widths = generator.uniform(8, 20, (56, 2, 1, 1)), generator.uniform(2, 5, (56, 1, 1))
    distances = (rows - centers[:, 0]) ** 2 + (columns - centers[:, 1]) ** 2
    images = np.round(255 * np.exp(-distances / widths**2)).astype(np.uint8)
    path = tmp_path_factory.mktemp("data") / "blobs.npz"
    labels = (centers[:, 1, 0, 0] // 4 - 2).astype(np.int64)
    np.savez(path, x_train=images[:44], y_train=labels[:44], x_test=images[44:], y_test=labels[44:])
    return path
