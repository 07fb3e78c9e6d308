"""What all tests share."""

import os
import signal
import site
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


DATA_FOLDER = os.environ.get("KERAS_GEN_DATA", "")
"""The folder with real data, of which only the tests with `mnist_folder` or `cifar10_folder` know."""


@pytest.fixture(scope="session", autouse=True)
def environment_of_tests(tmp_path_factory):
    """Hide the data, weights, models, home and proxies of the machine: only the tests' own are used."""
    folders = ("HOME", "KERAS_GEN_CACHE", "KERAS_HOME", "TORCH_HOME")
    proxies = [f"{protocol}_proxy" for protocol in ("http", "https", "all")]
    hidden = ["KERAS_GEN_DATA", "KERAS_GEN_MODELS", "TFDS_DATA_DIR", "XDG_CACHE_HOME"]
    hidden += [*proxies, *(name.upper() for name in proxies)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONUSERBASE", site.getuserbase())  # packages of the user's, which Python looks for in HOME
        for name in folders:
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        for name in hidden:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True)
def seed():
    """Seed what draws numbers without a seed of its own, so that a test does not depend on the tests before it."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(scope="session", autouse=True)
def slow_bfloat16():
    """On every machine, `--precision auto` is float32 in the tests' own process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processor, "is_fast_in_bfloat16", lambda: False)
        yield


@pytest.fixture
def own_working_directory(tmp_path, monkeypatch):
    """An empty working directory, `work` in `tmp_path`."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture(scope="module")
def no_network():
    """No host is reached, in the tests' own process."""
    from command_helpers import NO_NETWORK

    with pytest.MonkeyPatch.context() as patch:
        for module in ("utils.net", "metrics.extractors.weight_files"):
            patch.setattr(f"keras_gen.{module}.connection_error", lambda url, seconds=10.0: NO_NETWORK)
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
    if not os.path.isfile(os.path.join(DATA_FOLDER, file)):
        pytest.skip(f"needs real data: {file} in the folder that $KERAS_GEN_DATA names")
    return DATA_FOLDER


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
