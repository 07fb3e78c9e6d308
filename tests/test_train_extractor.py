"""train_extractor.py: files and errors; the accuracy of the shipped classifiers."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from command_helpers import call, names, write_npz

from keras_gen import data
from keras_gen.commands import train_extractor
from keras_gen.metrics.extractors import ShippedClassifier, classifier_networks
from keras_gen.metrics.extractors.classifiers import SHIPPED_FOLDER

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")


def trained(out, dataset, *arguments, name="lenet"):
    options = ("--epochs", 1, "--required-accuracy", 0, "--out", out)
    return call("train_extractor", name, "--dataset", dataset, *options, *arguments)


@pytest.fixture(scope="module")
def made(tiny_data, tmp_path_factory):
    """A classifier of the blobs, trained for one epoch, and the output of the command."""
    out = tmp_path_factory.mktemp("made")
    outcome = trained(out, tiny_data)
    assert outcome.code == 0, outcome.err
    return out, outcome


def accuracy(extractor, split):
    """Return the accuracy of the shipped classifier, as scores use it, on a split."""
    chunks = np.array_split(np.arange(len(split)), max(1, len(split) // 1000))
    named = np.concatenate([extractor(split.images[chunk]).logits.argmax(axis=-1) for chunk in chunks])
    return float(np.mean(named == split.labels))


def test_test_images_need_labels_before_anything_is_trained(tmp_path):
    images = np.zeros((40, 28, 28), np.uint8)
    images[:, 3:9] = np.arange(40)[:, None, None]
    np.savez(tmp_path / "data.npz", x_train=images, y_train=np.arange(40) % 10, x_test=images[:9])
    outcome = trained(tmp_path / "out", tmp_path / "data.npz")
    assert outcome.code == 2 and "dataset must be test images with labels, for the accuracy, received: " in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_two_files_are_written_that_the_package_can_ship(made, tiny_data):
    out, outcome = made
    assert names(out) == ["lenet.json", "lenet.npz"]
    description = json.loads((out / "lenet.json").read_text(encoding="utf-8"))
    assert description["sha256"] == hashlib.sha256((out / "lenet.npz").read_bytes()).hexdigest()
    with np.load(out / "lenet.npz", allow_pickle=False) as arrays:
        assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}
        assert sum(array.size for array in arrays.values()) == description["weights"]
    images = data.load(str(tiny_data))
    extractor = ShippedClassifier("lenet", folder=out)
    assert description["accuracy"] == {
        role: pytest.approx(accuracy(extractor, getattr(images, role))) for role in ("validation", "test")
    }
    assert f"test accuracy {description['accuracy']['test']:.4f}" in outcome.out
    size = (out / "lenet.npz").stat().st_size
    assert outcome.out.splitlines()[-1] == f"{out / 'lenet.npz'}: {size:,} bytes"


@pytest.mark.slow
def test_the_description_says_what_it_was_trained_on_and_how(made, tiny_data):
    text = (made[0] / "lenet.json").read_text(encoding="utf-8")
    description = json.loads(text)
    images = data.load(str(tiny_data))
    assert description["trained_on"]["fingerprint"] == images.fingerprint
    assert description["trained_on"]["counts"] == {"train": 40, "validation": 4, "test": 12}
    assert (description["schedule"]["epochs"], description["schedule"]["seed"]) == (1, 0)
    assert str(tiny_data.parent) not in text


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "equal"), [(0, True), (1, False)])
def test_the_weights_are_a_function_of_the_seed(seed, equal, made, tiny_data, tmp_path):
    def arrays(folder):
        with np.load(folder / "lenet.npz") as file:
            return [file[str(index)] for index in range(len(file.files))]

    assert trained(tmp_path / "again", tiny_data, "--seed", seed).code == 0
    pairs = list(zip(arrays(made[0]), arrays(tmp_path / "again"), strict=True))
    assert all(np.array_equal(*pair) for pair in pairs) if equal else not np.array_equal(*pairs[0])


def test_an_inaccurate_classifier_is_not_written(tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr(train_extractor, "train", lambda *arguments: classifier_networks.lenet())
    outcome = trained(tmp_path / "out", tiny_data, "--required-accuracy", 1.01)
    assert outcome.error == "error: nothing was written: the test accuracy is below 1.01"
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_color_classifier_is_trained_on_color_images(tmp_path):
    generator = np.random.default_rng(0)
    images, labels = generator.integers(0, 256, (30, 32, 32, 3), np.uint8), generator.integers(0, 10, 30)
    np.savez(tmp_path / "noise.npz", x_train=images[:20], y_train=labels[:20], x_test=images[20:], y_test=labels[20:])
    outcome = trained(tmp_path / "out", tmp_path / "noise.npz", name="cifar")
    assert outcome.code == 0, outcome.err
    features, logits = ShippedClassifier("cifar", folder=tmp_path / "out")(images[:3])
    assert (features.shape, logits.shape) == ((3, 128), (3, 10))


def color(path):
    images = np.zeros((20, 28, 28, 3), np.uint8)
    np.savez(path, x_train=images, x_test=images, y_train=np.arange(20) % 10, y_test=np.arange(20) % 10)
    return path


def eleven_classes(path):
    images = np.zeros((22, 28, 28), np.uint8)
    np.savez(path, x_train=images, x_test=images, y_train=np.arange(22) % 11, y_test=np.arange(22) % 11)
    return path


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: write_npz(path, size=28), "28x28x1, no labels"),
        (lambda path: write_npz(path, size=8), "8x8x1, no labels"),
        (color, "28x28x3, 10 classes"),
        (eleven_classes, "28x28x1, 11 classes"),
    ],
    ids=["no labels", "small", "colour", "eleven classes"],
)
def test_data_that_do_not_fit_the_network_are_refused_in_one_line(tmp_path, write, message):
    error = trained(tmp_path / "out", write(tmp_path / "data.npz")).error
    wanted = "dataset must be 28x28x1 images with labels of at most 10 classes"
    assert error == f"error: {wanted}, received: '{message}'"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["letnet"], "invalid choice: 'letnet'"),
        (["lenet"], "mnist is not on this machine"),
        (["lenet", "--epochs", 0], "--epochs must be an integer of at least 1"),
        (["lenet", "--seed", -1], "--seed must be an integer from 0"),
        (["lenet", "--required-accuracy", -0.5], "--required-accuracy must be a number of at least 0"),
        (["lenet", "--dataset", "nowhere.npz"], "dataset must be an existing folder or .npz file"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(arguments, message):
    assert message in call("train_extractor", *arguments, "--out", "out").error
    assert not Path("out").exists()


def test_a_file_in_place_of_the_folder_is_refused_before_training(tiny_data, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert "--out must be" in trained(tmp_path / "file" / "out", tiny_data).error


# What is shipped


@pytest.fixture
def real_digits(mnist_folder):
    return data.load("mnist", data_dir=mnist_folder)


@pytest.fixture
def real_photographs(cifar10_folder):
    return data.load("cifar10", data_dir=cifar10_folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "images", "required"), [("lenet", "real_digits", 0.993), ("cifar", "real_photographs", 0.85)]
)
def test_a_shipped_classifier_is_as_good_on_real_test_images_as_its_file_says(name, images, required, request):
    images = request.getfixturevalue(images)
    description = json.loads((SHIPPED_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    found = accuracy(ShippedClassifier(name), images.test)
    assert found >= required
    # Rounding differs between processors: an image or two of 10,000 may change sides.
    assert found == pytest.approx(description["accuracy"]["test"], abs=3e-4)
    assert description["trained_on"]["fingerprint"] == images.fingerprint


@pytest.mark.parametrize("name", ["lenet", "cifar"])
def test_a_shipped_file_is_small(name):
    assert (SHIPPED_FOLDER / f"{name}.npz").stat().st_size <= 1_000_000
