"""What counts as images: every kind that is refused, with its message, and every kind that is taken."""

import numpy as np
import pytest
import tensorflow as tf

from keras_gen import GAN, VAE, UsageError, networks
from keras_gen.models.inputs import check_dataset, check_images

SHAPE = (8, 8, 1)


def _floats(*shape):
    return np.random.default_rng(0).uniform(size=shape or (4, *SHAPE)).astype("float32")


def _with(value):
    images = _floats()
    images[2, 3, 4, 0] = value
    return images


REFUSED = {
    "list": ([[0.0]], "a NumPy array, a tensor or a tf.data.Dataset of images, received: 'list'"),
    "nothing": (None, "a NumPy array, a tensor or a tf.data.Dataset of images, received: 'NoneType'"),
    "generator": ((i for i in ()), "a NumPy array, a tensor or a tf.data.Dataset of images, received: 'generator'"),
    "string": ("mnist", "a NumPy array, a tensor or a tf.data.Dataset of images, received: 'str'"),
    "int32": (np.zeros((4, *SHAPE), "int32"), "uint8 images, or floats from 0 to 1, received: 'int32 images'"),
    "int64": (np.zeros((4, *SHAPE), "int64"), "uint8 images, or floats from 0 to 1, received: 'int64 images'"),
    "bool": (np.zeros((4, *SHAPE), bool), "uint8 images, or floats from 0 to 1, received: 'bool images'"),
    "complex": (np.zeros((4, *SHAPE), complex), "uint8 images, or floats from 0 to 1, received: 'complex128 images'"),
    "strings": (np.full((4, *SHAPE), "a"), "uint8 images, or floats from 0 to 1, received: '<U1 images'"),
    "objects": (np.full((4, *SHAPE), None), "uint8 images, or floats from 0 to 1, received: 'object images'"),
    "unscaled": (_floats() * 255, "uint8 images, or floats from 0 to 1, received: float32 from "),
    "a little above": (_with(1.001), "uint8 images, or floats from 0 to 1, received: float32 from "),
    "a little below": (_with(-0.001), "uint8 images, or floats from 0 to 1, received: float32 from "),
    "other range": (_floats() * 2 - 1, "uint8 images, or floats from 0 to 1, received: float32 from -0.9"),
    "NaN": (_with(np.nan), "uint8 images, or floats from 0 to 1, received: float32 from nan to nan"),
    "infinity": (_with(np.inf), "uint8 images, or floats from 0 to 1, received: float32 from "),
    "one image": (_floats(*SHAPE), "images of shape (n, 8, 8, 1), received: (8, 8, 1)"),
    "other size": (_floats(4, 8, 9, 1), "images of shape (n, 8, 8, 1), received: (4, 8, 9, 1)"),
    "other channels": (_floats(4, 8, 8, 3), "images of shape (n, 8, 8, 1), received: (4, 8, 8, 3)"),
    "channels first": (_floats(4, 1, 8, 8), "images of shape (n, 8, 8, 1), received: (4, 1, 8, 8)"),
    "flat": (_floats(4, 64), "images of shape (n, 8, 8, 1), received: (4, 64)"),
    "scalar": (np.array(0.5), "images of shape (n, 8, 8, 1), received: ()"),
    "empty": (_floats(0, *SHAPE), "at least one image, received: (0, 8, 8, 1)"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_array_is_refused_with_what_it_must_be_and_what_it_was(kind):
    images, message = REFUSED[kind]
    with pytest.raises(UsageError) as error:
        check_images("x", images, SHAPE, (0.0, 1.0))
    assert str(error.value).startswith(f"x must be {message}")


def test_floats_of_the_other_range_are_refused_by_its_name():
    with pytest.raises(UsageError, match="^x must be uint8 images, or floats from -1 to 1, received: float32 from"):
        check_images("x", _floats() * 255, SHAPE, (-1.0, 1.0))


def test_a_colour_model_refuses_images_without_channels():
    with pytest.raises(UsageError, match=r"^x must be images of shape \(n, 8, 8, 3\), received: \(4, 8, 8\)"):
        check_images("x", _floats(4, 8, 8), (8, 8, 3), (0.0, 1.0))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_of_any_width_come_back_as_float32(dtype):
    images = _floats().astype(dtype)
    checked = check_images("x", images, SHAPE, (0.0, 1.0))
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(checked, images.astype("float32"))


def test_uint8_images_come_back_unchanged():
    images = np.random.default_rng(0).integers(0, 256, (4, *SHAPE), np.uint8)
    checked = check_images("x", images, SHAPE, (0.0, 1.0))
    assert checked.dtype == np.uint8
    np.testing.assert_array_equal(checked, images)


def test_rounding_errors_at_the_ends_of_the_range_are_taken():
    images = _with(1 + 5e-5)
    images[0, 0, 0, 0] = -5e-5
    np.testing.assert_array_equal(check_images("x", images, SHAPE, (0.0, 1.0)), images)


@pytest.mark.parametrize("make", [tf.constant, tf.Variable])
def test_tensors_and_variables_are_taken(make):
    np.testing.assert_array_equal(check_images("x", make(_floats()), SHAPE, (0.0, 1.0)), _floats())


def test_grey_images_without_a_channel_axis_get_one():
    checked = check_images("x", _floats(4, 8, 8), SHAPE, (0.0, 1.0))
    np.testing.assert_array_equal(checked, _floats(4, 8, 8)[..., None])


# Datasets


def _dataset(*components):
    return tf.data.Dataset.from_tensor_slices(components if len(components) > 1 else components[0]).batch(3)


REFUSED_DATASETS = {
    "empty": (lambda: _dataset(_floats()).take(0), "a dataset with at least one batch, received: 'an empty dataset'"),
    "dictionary": (
        lambda: tf.data.Dataset.from_tensor_slices({"image": _floats()}).batch(2),
        "a dataset of (batches of) images, or of (images, labels), received: {",
    ),
    "other shape": (
        lambda: _dataset(_floats(4, 9, 8, 1)),
        "a dataset of batches of images of shape (n, 8, 8, 1), received: (None, 9, 8, 1)",
    ),
    "not batched": (
        lambda: tf.data.Dataset.from_tensor_slices(_floats()),
        "a dataset of batches of images of shape (n, 8, 8, 1), received: (8, 8, 1)",
    ),
    "labels first": (lambda: _dataset(np.arange(4), _floats()), "a dataset of batches of images of shape"),
    "unscaled": (lambda: _dataset(_floats() * 255), "uint8 images, or floats from 0 to 1, received: float32 from"),
    "int32": (
        lambda: _dataset(np.zeros((4, *SHAPE), "int32")),
        "uint8 images, or floats from 0 to 1, received: 'int32",
    ),
    "strings": (lambda: _dataset(np.full((4, *SHAPE), "a")), "uint8 images, or floats from 0 to 1, received: "),
    "shape known only at run time": (
        lambda: tf.data.Dataset.from_generator(
            lambda: iter([_floats(4, 9, 9, 1)]), output_signature=tf.TensorSpec(None, tf.float32)
        ),
        "images of shape (n, 8, 8, 1), received: (4, 9, 9, 1)",
    ),
}


@pytest.mark.parametrize("kind", REFUSED_DATASETS)
def test_a_dataset_is_refused_with_what_it_must_be_and_what_it_was(kind):
    make, message = REFUSED_DATASETS[kind]
    with pytest.raises(UsageError) as error:
        check_dataset("x", make(), SHAPE, (0.0, 1.0))
    assert str(error.value).startswith(f"x must be {message}")


def test_the_check_of_a_dataset_tells_its_batch_size():
    assert check_dataset("x", _dataset(_floats()), SHAPE, (0.0, 1.0)) == 3
    assert check_dataset("x", _dataset(_floats(), np.arange(4)), SHAPE, (0.0, 1.0)) == 3


# Every method that takes images checks them, under the name of its argument


@pytest.fixture(scope="module")
def vae():
    model = VAE(
        networks.mlp_encoder(SHAPE, latent_dim=2, hidden=(4,)), networks.mlp_decoder(SHAPE, latent_dim=2, hidden=(4,))
    )
    model.compile("sgd")
    return model


@pytest.fixture(scope="module")
def gan():
    model = GAN(
        networks.transposed_conv_generator(SHAPE, latent_dim=2, filters=2),
        networks.conv_discriminator(SHAPE, filters=(2,)),
    )
    model.compile("sgd", "sgd")
    return model


@pytest.mark.parametrize("name", ["vae", "gan"])
@pytest.mark.parametrize("bad", [[0.5], _floats() * 255, _with(np.nan), _floats(4, 9, 9, 1), _floats(0, *SHAPE), None])
def test_fit_and_evaluate_refuse_bad_images_before_the_first_step(request, name, bad):
    model = request.getfixturevalue(name)
    good, before = _floats(), [w.copy() for w in model.get_weights()]
    with pytest.raises(UsageError, match="^x must be "):
        model.fit(bad, verbose=0)
    with pytest.raises(UsageError, match="^x must be "):
        model.evaluate(bad, verbose=0)
    if bad is not None:
        for validation_data in (bad, (bad, np.arange(4))):
            with pytest.raises(UsageError, match="^validation_data must be "):
                model.fit(good, validation_data=validation_data, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("kind", ["empty", "other shape", "unscaled"])
def test_fit_and_evaluate_refuse_bad_datasets(vae, kind):
    bad = REFUSED_DATASETS[kind][0]()
    with pytest.raises(UsageError, match="^x must be "):
        vae.fit(bad, verbose=0)
    with pytest.raises(UsageError, match="^x must be "):
        vae.evaluate(bad, verbose=0)
    with pytest.raises(UsageError, match="^validation_data must be "):
        vae.fit(_floats(), validation_data=bad, verbose=0)


@pytest.mark.parametrize("method", ["encode", "reconstruct"])
def test_encode_and_reconstruct_check_their_images(vae, method):
    with pytest.raises(UsageError, match="^images must be uint8 images, or floats from 0 to 1"):
        getattr(vae, method)(_floats() * 255)
    with pytest.raises(UsageError, match="^images must be images of shape"):
        getattr(vae, method)(_floats(4, 9, 9, 1))


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True, "32"], ids=repr)
def test_a_bad_batch_size_is_refused(vae, batch_size):
    with pytest.raises(UsageError, match="^batch_size must be an integer of at least 1"):
        vae.fit(_floats(), batch_size=batch_size, verbose=0)


def test_encode_and_reconstruct_take_uint8_floats_and_images_without_channels(vae):
    pixels = np.random.default_rng(0).integers(0, 256, (3, *SHAPE), np.uint8)
    expected_mean, expected_log_variance = vae.encode(pixels)
    assert expected_mean.shape == expected_log_variance.shape == (3, 2)
    images = vae.reconstruct(pixels)
    assert images.shape == (3, *SHAPE)
    assert 0 <= np.min(images) <= np.max(images) <= 1
    for same in (pixels / 255, pixels[..., 0], tf.constant(pixels)):
        np.testing.assert_allclose(vae.encode(same)[0], expected_mean, atol=1e-5)
        np.testing.assert_allclose(vae.encode(same)[1], expected_log_variance, atol=1e-5)
        np.testing.assert_allclose(vae.reconstruct(same), images, atol=1e-5)
