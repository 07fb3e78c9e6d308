"""The callbacks that save sample and reconstruction grids."""

import types

import numpy as np
import pytest
from callback_helpers import SHAPE, fit, pictures, tiny
from command_helpers import names
from PIL import Image

from keras_gen import UsageError, callbacks, zoo
from keras_gen.utils import image_utils


def picture_of(grid, model):
    """Return the image that a grid callback saves after an epoch."""
    grid.set_model(model)
    grid.set_params({"epochs": 1})
    grid.on_epoch_end(0)
    with Image.open(grid.folder / "epoch-00001.png") as picture:
        return np.asarray(picture)


@pytest.mark.parametrize(
    ("every", "epochs", "expected"), [(1, 3, [1, 2, 3]), (2, 5, [2, 4, 5]), (2, 4, [2, 4]), (9, 2, [2]), (3, 3, [3])]
)
def test_grids_are_saved_at_intervals_and_after_the_last_epoch(tmp_path, every, epochs, expected):
    grid = callbacks.SampleGrid(tmp_path / "samples", every=every, count=4)
    grid.set_model(types.SimpleNamespace(num_classes=0, generate=lambda n, seed: {"images": pictures(n)}))
    grid.set_params({"epochs": epochs})
    for epoch in range(epochs):
        grid.on_epoch_end(epoch, {})
    assert names(tmp_path / "samples") == [f"epoch-{epoch:05d}.png" for epoch in expected]


def test_a_grid_shows_what_the_model_generates_from_the_seed(tmp_path):
    model = tiny()
    fit(model, epochs=1, chosen=[callbacks.SampleGrid(tmp_path, count=5, seed=3)])
    with Image.open(tmp_path / "epoch-00001.png") as picture:
        shown = np.asarray(picture)
    assert shown.shape == (2 * 9 + 1, 3 * 9 + 1)
    np.testing.assert_array_equal(shown, image_utils.grid(np.asarray(model.generate(5, 3)["images"])))


def test_all_grids_are_of_the_same_latents(tmp_path):
    model = tiny()
    grid = callbacks.SampleGrid(tmp_path, count=4)
    grid.set_model(model)
    grid.set_params({"epochs": 3})
    grid.on_epoch_end(0)
    grid.on_epoch_end(1)
    fit(model, epochs=2)
    grid.on_epoch_end(2)
    first, second, third = ((tmp_path / name).read_bytes() for name in names(tmp_path))
    assert first == second
    assert first != third
    other = callbacks.SampleGrid(tmp_path / "other", count=4, seed=1)
    other.set_model(model)
    other.set_params({"epochs": 1})
    other.on_epoch_end(0)
    assert (tmp_path / "other" / "epoch-00001.png").read_bytes() != third


@pytest.mark.parametrize(("argument", "value"), [("every", 0), ("count", 0), ("seed", -1), ("every", 1.5)])
def test_a_grid_s_arguments_are_checked(tmp_path, argument, value):
    with pytest.raises(UsageError, match=f"^{argument} must be "):
        callbacks.SampleGrid(tmp_path, **{argument: value})


def test_a_grid_of_a_conditional_model_has_one_column_per_class(tmp_path):
    model = tiny(num_classes=3)
    shown = picture_of(callbacks.SampleGrid(tmp_path, count=6, seed=3), model)
    made = model.generate(6, 3, labels=[0, 1, 2, 0, 1, 2])["images"]
    np.testing.assert_array_equal(shown, image_utils.grid(np.asarray(made), columns=3))


@pytest.mark.parametrize(("classes", "count", "columns"), [(12, 20, 10), (5, 3, 3)])
def test_a_grid_of_many_classes_or_few_images_stays_in_shape(tmp_path, classes, count, columns):
    shown = picture_of(callbacks.SampleGrid(tmp_path, count=count), tiny(num_classes=classes))
    assert shown.shape[1] == columns * 9 + 1


def test_reconstructions_stand_below_their_originals(tmp_path):
    model, originals = tiny(), pictures(25)
    shown = picture_of(callbacks.ReconstructionGrid(tmp_path, originals, count=50), model)
    assert shown.shape == (4 * 9 + 1, 10 * 9 + 1)  # two whole rows of originals: the last five are left out
    made = np.rint(np.asarray(model.reconstruct(originals)) * 255).astype(np.uint8)
    for index, row in enumerate([originals[:10], made[:10], originals[10:], made[10:]]):
        top = 1 + 9 * index
        np.testing.assert_array_equal(shown[top : top + 8, 1:9], row[0, ..., 0])
        np.testing.assert_array_equal(shown[top : top + 8, 82:90], row[9, ..., 0])


def test_a_denoisers_grid_shows_the_corrupted_images_in_between(tmp_path):
    model = zoo.build("dae-conv", SHAPE, seed=0)
    shown = picture_of(callbacks.ReconstructionGrid(tmp_path, pictures(), count=12, seed=7), model)
    noisy = model.corrupted(pictures()[:4], seed=7)
    assert shown.shape == (3 * 9 + 1, 4 * 9 + 1)
    for index, row in enumerate([pictures()[:4] / 255, noisy, model.reconstruct(noisy).numpy()]):
        expected = np.rint(np.asarray(row[2, ..., 0]) * 255).astype(np.uint8)
        np.testing.assert_array_equal(shown[1 + 9 * index : 9 + 9 * index, 19:27], expected)


def test_a_conditional_model_reconstructs_with_the_labels(tmp_path):
    model, labels = tiny(num_classes=3), np.arange(12) % 3
    shown = picture_of(callbacks.ReconstructionGrid(tmp_path, pictures(), labels, count=2), model)
    expected = np.rint(model.reconstruct(pictures()[:1], labels[:1]).numpy() * 255).astype(np.uint8)
    np.testing.assert_array_equal(shown[10:18, 1:9], expected[0, ..., 0])
    with pytest.raises(UsageError, match="labels of images must be"):
        picture_of(callbacks.ReconstructionGrid(tmp_path, pictures()), model)


def test_labels_are_those_of_all_originals(tmp_path):
    with pytest.raises(UsageError, match="^labels must be those of all 12 originals, received: '5 labels'"):
        callbacks.ReconstructionGrid(tmp_path, pictures(), np.arange(5) % 3)


def test_a_grid_that_the_model_cannot_make_is_refused_before_training(tmp_path):
    autoencoder, gan = (zoo.build(name, (8, 8, 1), width=2) for name in ("ae-conv", "gan-jsd"))
    refused = {
        "model must be a VAE or an Autoencoder, received: 'GAN'": (
            gan,
            callbacks.ReconstructionGrid(tmp_path, pictures()),
        ),
        "model must be one that generates images .* received: 'Autoencoder'": (
            autoencoder,
            callbacks.SampleGrid(tmp_path),
        ),
        "labels of images must be": (tiny(num_classes=3), callbacks.ReconstructionGrid(tmp_path, pictures())),
        "images must be images of shape": (
            tiny(),
            callbacks.ReconstructionGrid(tmp_path, np.zeros((3, 9, 9, 1), np.uint8)),
        ),
    }
    for message, (model, grid) in refused.items():
        grid.set_model(model)
        with pytest.raises(UsageError, match=f"^{message}"):
            grid.on_train_begin()


def test_float_originals_are_refused(tmp_path):
    with pytest.raises(UsageError, match="originals must be "):
        callbacks.ReconstructionGrid(tmp_path, pictures() / 255)
