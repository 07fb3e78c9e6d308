"""Augmentation of what a discriminator sees: each policy against its definition, gradients, seeds, training."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_helpers import fit, images, make_gan

from keras_gen import UsageError
from keras_gen.models import augmentation
from keras_gen.models.augmentation import augment

KEY = tf.constant([1, 2])
RANGE = (-1, 1)


def colored(count=64, size=16, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (count, size, size, 3)).astype("float32")


def test_colors_are_scaled_and_moved_within_the_papers_limits():
    x = colored()
    y = augment(x, "color", KEY, RANGE).numpy()
    offsets = (y - x).mean(axis=(1, 2, 3))
    assert np.abs(offsets).max() <= 0.5
    assert offsets.min() < -0.3
    assert offsets.max() > 0.3
    gray, gray_after = (each.mean(axis=3, keepdims=True) for each in (x, y))
    contrast = gray_after.std(axis=(1, 2, 3)) / gray.std(axis=(1, 2, 3))
    assert 0.5 <= contrast.min() < 0.7 < 1.3 < contrast.max() <= 1.5
    saturation = (y - gray_after).std(axis=(1, 2, 3)) / (x - gray).std(axis=(1, 2, 3)) / contrast
    assert 0 <= saturation.min() < 0.3 < 1.7 < saturation.max() <= 2


def test_translations_move_by_up_to_an_eighth_and_fill_with_0():
    x = colored() + 3  # nowhere 0
    y = augment(x, "translation", KEY, RANGE).numpy()
    found = set()
    for before, after in zip(x, y, strict=True):
        matches = [
            (rows, columns)
            for rows in range(-2, 3)
            for columns in range(-2, 3)
            if np.allclose(shifted(before, rows, columns), after, atol=1e-5)
        ]
        assert len(matches) == 1
        found |= set(matches)
    assert {rows for rows, _ in found} == {columns for _, columns in found} == set(range(-2, 3))


def shifted(image, rows, columns):
    """Return out[y, x] = image[y + rows, x + columns], 0 outside."""
    height, width, _ = image.shape
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
    return padded[2 + rows : 2 + rows + height, 2 + columns : 2 + columns + width]


def test_a_cutout_is_a_square_of_half_the_side_around_any_point():
    x = np.ones((200, 16, 16, 3), np.float32)
    y = augment(x, "cutout", KEY, RANGE).numpy()
    assert set(np.unique(y)) == {0.0, 1.0}
    areas = (y[..., 0] == 0).sum(axis=(1, 2))
    assert areas.max() == 64  # 8 × 8
    assert areas.min() < 30  # cut off by the border
    hit = (y[..., 0] == 0).mean(axis=0)
    assert hit.min() > 0.02


@pytest.mark.parametrize("size", [7, 8])
def test_a_cutout_covers_each_place_as_often_as_the_papers_code(size):
    y = augment(np.ones((4000, size, size, 1), np.float32), "cutout", KEY, RANGE).numpy()[..., 0]
    side = int(size / 2 + 0.5)
    centers = np.arange(size + 1 - side % 2)  # the paper's code draws one of these, then clips the places
    places = np.arange(size)
    expected = ((places >= centers[:, None] - side // 2) & (places < centers[:, None] - side // 2 + side)).mean(axis=0)
    covered = (y == 0).mean(axis=0)
    np.testing.assert_allclose(covered, np.outer(expected, expected), atol=0.04)


@pytest.mark.parametrize("policy", ["color", "translation", "cutout"])
def test_a_policy_is_the_same_in_both_value_ranges(policy):
    x = colored(8)
    unit = augment((x + 1) / 2, policy, KEY, (0, 1))
    np.testing.assert_allclose(unit, (augment(x, policy, KEY, RANGE) + 1) / 2, atol=1e-5)


@pytest.mark.parametrize("policy", ["color", "translation", "cutout", "color,translation,cutout"])
def test_gradients_reach_the_images(policy):
    x = tf.constant(colored(4))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(augment(x, policy, KEY, RANGE))
    gradient = tape.gradient(total, x).numpy()
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).sum(axis=(1, 2, 3)) > 0).all()


def test_draws_depend_on_the_key_alone_and_differ_between_images():
    x = np.repeat(colored(1), 4, axis=0)
    first, again = (augment(x, "color,translation", KEY, RANGE).numpy() for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert len(np.unique(first.reshape(4, -1), axis=0)) == 4
    assert not np.array_equal(first, augment(x, "color,translation", KEY + 1, RANGE))


def test_an_empty_policy_changes_nothing():
    x = tf.constant(colored(2))
    model = make_gan()
    assert model._augmented(x, x, KEY) == (x, x)


@pytest.mark.parametrize("policy", ["colour", "color; translation", ",", "color;cutout", 3, None, ["color"]])
def test_unknown_policies_are_refused(policy):
    with pytest.raises(
        UsageError, match="^augment must be names among color, translation, cutout, separated by commas"
    ):
        augmentation.check("augment", policy)


def test_spaces_between_policies_are_allowed():
    spaced = augmentation.augment(tf.constant(colored(2)), "color, translation", KEY, (0, 1))
    np.testing.assert_array_equal(
        spaced, augmentation.augment(tf.constant(colored(2)), "color,translation", KEY, (0, 1))
    )
    assert augmentation.check("augment", "color, translation")


def test_training_sees_augmented_images_and_evaluation_does_not():
    plain, model = make_gan(), make_gan(augment="color")
    x = images(8)
    assert plain.evaluate(x, verbose=0, return_dict=True) == model.evaluate(x, verbose=0, return_dict=True)
    first, second = fit(plain, x), fit(model, x)
    assert first["d_real"] != second["d_real"]
    assert first["d_fake"] != second["d_fake"]
    assert fit(make_gan(augment="color", eager=False), x)["d_loss"] == pytest.approx(second["d_loss"], rel=1e-5)
    model.augment = "translation"  # counts from the next step on
    assert fit(model, x) != second


def test_the_generator_learns_from_augmented_images():
    """With networks that stay as they are, its loss shows what the discriminator saw in its own update."""
    losses = []
    for policy in ("", "color"):
        optimizers = keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0)
        losses.append(fit(make_gan(augment=policy, optimizers=optimizers), images(8))["g_loss"])
    assert losses[0] != pytest.approx(losses[1], rel=1e-4)
