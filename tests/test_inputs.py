"""Checks of images, labels and datasets: what is accepted, and the messages for what is not."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gen import GAN, VAE, UsageError, networks
from keras_gen.models import inputs
from keras_gen.models.inputs import check_dataset, check_images, check_labels

SHAPE = (8, 8, 1)


def _floats(*shape):
    return np.random.default_rng(0).uniform(size=shape or (4, *SHAPE)).astype("float32")


def _with(value):
    images = _floats()
    images[2, 3, 4, 0] = value
    return images


REFUSED = {
    "list": ([[0.0]], "a NumPy array or a tensor of images, received: 'list'"),
    "nothing": (None, "a NumPy array or a tensor of images, received: 'NoneType'"),
    "generator": ((i for i in ()), "a NumPy array or a tensor of images, received: 'generator'"),
    "string": ("mnist", "a NumPy array or a tensor of images, received: 'str'"),
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


def test_a_color_model_refuses_images_without_channels():
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


def test_gray_images_without_a_channel_axis_get_one():
    checked = check_images("x", _floats(4, 8, 8), SHAPE, (0.0, 1.0))
    np.testing.assert_array_equal(checked, _floats(4, 8, 8)[..., None])


# Datasets


def _dataset(*components):
    return tf.data.Dataset.from_tensor_slices(components if len(components) > 1 else components[0]).batch(3)


REFUSED_DATASETS = {
    "empty": (lambda: _dataset(_floats()).take(0), "a dataset with at least one batch, received: 'an empty dataset'"),
    "dictionary of other keys": (
        lambda: tf.data.Dataset.from_tensor_slices({"photo": _floats()}).batch(2),
        'images, or a dictionary with the keys "image" and "label", received: [\'photo\']',
    ),
    "weights": (
        lambda: _dataset(_floats(), np.arange(4), np.ones(4)),
        "images, or (images, labels), without weights, received: '3 parts'",
    ),
    "targets": (lambda: _dataset(_floats(), _floats()), None),
    "other shape": (
        lambda: _dataset(_floats(4, 9, 8, 1)),
        "images of shape (n, 8, 8, 1), received: (3, 9, 8, 1)",
    ),
    "not batched": (
        lambda: tf.data.Dataset.from_tensor_slices(_floats()),
        "images of shape (n, 8, 8, 1), received: (8, 8, 1)",
    ),
    "labels first": (lambda: _dataset(np.arange(4), _floats()), "images of shape (n, 8, 8, 1), received: (3,)"),
    "unscaled and dark": (
        lambda: _dataset(_floats() * 127),
        "uint8 images, or floats from 0 to 1, received: float32 from",
    ),
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
        check_dataset("x", make(), SHAPE, (0.0, 1.0), 0)
    expected = f"x must be {message}" if message else "targets of x must be left out (only an Autoencoder without"
    assert str(error.value).startswith(expected)


@pytest.mark.parametrize("components", [(), (np.arange(4),), (np.array(list("abcd")),)])
def test_the_check_of_a_dataset_keeps_the_images_of_every_batch_and_nothing_else(components):
    checked = check_dataset("x", _dataset(_floats(), *components), SHAPE, (0.0, 1.0), 0)
    batches = list(checked)
    assert [len(batch) for batch in batches] == [1, 1]
    assert [len(images) for (images,) in batches] == [3, 1]
    np.testing.assert_array_equal(np.concatenate([images for (images,) in batches]), _floats())
    assert checked.cardinality() == 2


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "int64"])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_with_classes_the_check_of_a_dataset_keeps_the_labels_as_int32_beside_their_images(dtype, shape):
    labels = np.array([2, 0, 1, 2], dtype).reshape(shape)
    batches = list(check_dataset("x", _dataset(_floats(), labels), SHAPE, (0.0, 1.0), 3))
    assert [(part.dtype, part.shape) for _, part in batches] == [(tf.int32, (3,)), (tf.int32, (1,))]
    np.testing.assert_array_equal(np.concatenate([part for _, part in batches]), [2, 0, 1, 2])
    np.testing.assert_array_equal(np.concatenate([part for part, _ in batches]), _floats())


REFUSED_CONDITIONAL_DATASETS = {
    "without labels": (
        lambda: _dataset(_floats()),
        "labels of x must be 3 integers from 0 to 9, since the model is conditional, received: None",
    ),
    "labels as a dictionary": (
        lambda: _dataset(_floats(), {"digit": np.arange(4)}),
        "labels of x must be 3 integers from 0 to 9, received: ",
    ),
    "float labels": (
        lambda: _dataset(_floats(), np.arange(4.0)),
        "labels of x must be 3 integers from 0 to 9, received: 'float64 of shape (3,)'",
    ),
    "labels of two classes": (
        lambda: _dataset(_floats(), np.ones((4, 10), dtype="int32")),
        "labels of x must be 3 integers from 0 to 9, received: 'int32 of shape (3, 10)'",
    ),
    "labels out of range": (
        lambda: _dataset(_floats(), np.array([0, 10, 1, 2])),
        "labels of x must be 3 integers from 0 to 9, received: '0 to 10'",
    ),
    "unscaled": (lambda: _dataset(_floats() * 256, np.arange(4)), "x must be uint8 images, or floats from 0 to 1"),
}


@pytest.mark.parametrize("kind", REFUSED_CONDITIONAL_DATASETS)
def test_a_conditional_model_refuses_a_dataset_with_what_it_must_be_and_what_it_was(kind):
    make, message = REFUSED_CONDITIONAL_DATASETS[kind]
    with pytest.raises(UsageError) as error:
        check_dataset("x", make(), SHAPE, (0.0, 1.0), 10)
    assert str(error.value).startswith(message)


# Labels


@pytest.mark.parametrize(
    "labels, received",
    [
        (None, ", since the model is conditional, received: None"),
        (np.arange(4.0), ", received: 'float64 of shape (4,)'"),
        (np.array([True] * 4), ", received: 'bool of shape (4,)'"),
        (np.array(list("0123")), ", received: '<U1 of shape (4,)'"),
        (np.arange(5), ", received: 'int64 of shape (5,)'"),
        (np.arange(3), ", received: 'int64 of shape (3,)'"),
        (2, ", received: 'int64 of shape ()'"),
        (np.eye(4, dtype="uint8"), ", received: 'uint8 of shape (4, 4)'"),
        ([[0], [1, 2], [3], [4]], ", received: [[0], [1, 2], [3], [4]]"),
        ([0, 1, 2, 10], ", received: '0 to 10'"),
        ([0, -1, 2, 3], ", received: '-1 to 3'"),
    ],
    ids=repr,
)
def test_labels_are_refused_with_what_they_must_be_and_what_they_were(labels, received):
    with pytest.raises(UsageError) as error:
        check_labels("labels of x", labels, 4, 10)
    assert str(error.value) == f"labels of x must be 4 integers from 0 to 9{received}"


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64"])
def test_labels_of_any_integer_type_come_back_as_int32(dtype):
    labels = np.array([3, 0, 9, 9], dtype)
    for form in (labels, labels[:, None], labels.tolist(), tf.constant(labels)):
        checked = check_labels("labels of x", form, 4, 10)
        assert checked.dtype == np.int32
        assert checked.tolist() == [3, 0, 9, 9]


@pytest.mark.parametrize(
    "labels", [None, np.arange(4), list("abcd"), np.eye(4)], ids=lambda labels: type(labels).__name__
)
def test_without_classes_labels_are_ignored(labels):
    assert check_labels("labels of x", labels, 4, 0) is None


@pytest.mark.parametrize("labels", [np.arange(9), "abcd", object(), 4], ids=lambda labels: type(labels).__name__)
def test_without_classes_what_is_no_label_is_refused(labels):
    with pytest.raises(UsageError, match="^labels of x must be one label for each of the 4 images, received: "):
        check_labels("labels of x", labels, 4, 0)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64", "bool"])
def test_one_hot_labels_come_back_as_integers(dtype):
    assert check_labels("y", np.eye(4, dtype=dtype)[[3, 0, 1]], 3, 4).tolist() == [3, 0, 1]
    assert check_labels("y", np.array([[1], [0], [1]], "float32"), 3, 2).tolist() == [1, 0, 1]  # label_mode="binary"
    assert check_labels("y", np.array([[0], [0]]), 2, 1).tolist() == [0, 0]


@pytest.mark.parametrize("labels, expected", [(2, [2, 2, 2]), (np.uint8(1), [1, 1, 1]), ([0, 2, 1], [0, 2, 1])])
def test_labels_to_generate_are_one_for_all_or_one_for_each(labels, expected):
    assert inputs.labels_to_generate(labels, 3, 3).tolist() == expected


# Floats of a range the model does not have


def test_floats_without_a_value_below_0_are_no_training_images_of_a_model_from_minus_1_to_1(capsys):
    with pytest.raises(
        UsageError, match="^x must be .* from -1 to 1, received: float32 from .*, none below 0: rescale"
    ):
        check_images("x", _floats(), SHAPE, (-1.0, 1.0), training=True)
    with pytest.raises(UsageError, match=r"none below 0: rescale images from \[0, 1\]"):
        check_dataset("x", _dataset(_floats()), SHAPE, (-1.0, 1.0), 0, training=True)
    check_images("x", _floats() * 2 - 1, SHAPE, (-1.0, 1.0), training=True)
    assert capsys.readouterr().out == ""
    np.testing.assert_array_equal(check_images("images", _floats(), SHAPE, (-1.0, 1.0)), _floats())
    assert capsys.readouterr().out.startswith("NOTE: images has floats from 0.0")


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_float_pixel_values_of_a_dataset_are_scaled_in_every_batch(low):
    pixels = _floats() * 255
    pixels[3] /= 255  # the last batch alone is dark
    checked = check_dataset("x", _dataset(pixels), SHAPE, (low, 1.0), 0, training=True)
    expected = low + pixels * (1 - low) / 255
    np.testing.assert_allclose(np.concatenate([batch for (batch,) in checked]), expected, atol=1e-6)


def test_bright_images_are_not_taken_for_floats_of_another_range(capsys):
    pixels = np.full((2, *SHAPE), 200, "float32")
    ((checked,),) = check_dataset("x", _dataset(pixels), SHAPE, (-1.0, 1.0), training=True)
    np.testing.assert_allclose(checked, pixels / 127.5 - 1, atol=1e-6)
    second_is_bright = _dataset(np.r_[_floats(3, *SHAPE) * 2 - 1, np.ones((1, *SHAPE), "float32")])
    assert len(list(check_dataset("x", second_is_bright, SHAPE, (-1.0, 1.0), training=True))) == 2
    assert capsys.readouterr().out == ""


LATER = {
    "unscaled": (
        np.r_[_floats(3, *SHAPE), _floats(1, *SHAPE) * 255],
        np.arange(4),
        "x must be uint8 images, or floats",
    ),
    "NaN": (np.r_[_floats(3, *SHAPE), np.full((1, *SHAPE), np.nan, "f4")], np.arange(4), "x must be uint8 images, or"),
    "label": (
        _floats(),
        np.array([0, 1, 2, 4]),
        "labels of x must be 1 integers from 0 to 3, received: '4 to 4'",
    ),
    "one-hot": (
        _floats(),
        np.r_[np.eye(4)[:3], np.ones((1, 4))],
        r"labels of x must be 1 integers from 0 to 3, received: 'float64 of shape \(1, 4\)'",
    ),
}


@pytest.mark.parametrize("kind", LATER)
def test_every_batch_of_a_dataset_is_checked(kind):
    images, labels, message = LATER[kind]
    checked = iter(check_dataset("x", _dataset(images, labels), SHAPE, (0.0, 1.0), 4))
    next(checked)
    with pytest.raises(UsageError, match=f"^{message}[^\n]*$"), inputs.errors_of_batches():
        next(checked)


# Splitting, grouping and sharing keep an image and its label together


def _coded(count):
    """Return images and labels that encode their index."""
    index = np.arange(count)
    return np.broadcast_to((index / 100).astype("float32")[:, None, None, None], (count, *SHAPE)), index.astype("int32")


def _assert_together(images, labels, expected):
    assert np.asarray(labels).tolist() == list(expected)
    np.testing.assert_allclose(np.asarray(images)[:, 0, 0, 0] * 100, list(expected), atol=1e-4)


def test_a_split_takes_the_last_images_and_their_labels():
    first, first_labels, (last, last_labels) = inputs.split(*_coded(10), 0.3)
    _assert_together(first, first_labels, range(7))
    _assert_together(last, last_labels, range(7, 10))
    first, no_labels, last = inputs.split(_coded(10)[0], None, 0.3)
    assert (len(first), no_labels, len(last)) == (7, None, 3)


@pytest.mark.parametrize("validation_split", [0.0, 0.99, 1.0, -0.1, "0.2"])
def test_a_split_that_leaves_one_side_empty_is_refused(validation_split):
    with pytest.raises(UsageError, match="^validation_split must be "):
        inputs.split(*_coded(10), validation_split)


def test_batches_are_grouped_in_order_with_fewer_at_the_end():
    dataset = tf.data.Dataset.from_tensor_slices(_coded(20)).batch(3)
    groups = list(inputs.group_batches(dataset, 2))
    assert len(groups) == inputs.group_batches(dataset, 2).cardinality() == 4
    for index, (images, labels) in enumerate(groups):
        _assert_together(images, labels, range(20)[6 * index : 6 * index + 6])
    assert len(list(inputs.group_batches(dataset.map(lambda images, labels: (images,)), 2))) == 4
    assert inputs.group_batches(dataset.repeat(), 2).cardinality() == tf.data.INFINITE_CARDINALITY
    unknown = dataset.filter(lambda images, labels: True)
    assert inputs.group_batches(unknown, 2).cardinality() == tf.data.UNKNOWN_CARDINALITY


def test_batches_of_arrays_keep_images_and_labels_together_in_another_order_each_pass():
    in_order = list(inputs.batches_of_arrays(*_coded(10), 4, None))
    _assert_together(*in_order[0], range(4))
    _assert_together(*in_order[2], range(8, 10))
    shuffled = inputs.batches_of_arrays(*_coded(10), 4, 7)
    passes = [[np.concatenate(parts) for parts in zip(*shuffled, strict=True)] for _ in range(2)]
    for images, labels in passes:
        order = labels.tolist()
        assert sorted(order) == list(range(10)) != order
        _assert_together(images, labels, order)
    assert not np.array_equal(passes[0][1], passes[1][1])
    again = [np.concatenate(parts) for parts in zip(*inputs.batches_of_arrays(*_coded(10), 4, 7), strict=True)]
    np.testing.assert_array_equal(again[1], passes[0][1])
    ((images,),) = inputs.batches_of_arrays(_coded(10)[0], None, 10, None)
    assert images.shape == _coded(10)[0].shape


@pytest.mark.parametrize("data", [(), (1, 2, 3)], ids=repr)
def test_a_tuple_of_more_than_images_and_labels_is_refused(data):
    with pytest.raises(
        UsageError, match=r"^validation_data must be images, or \(images, labels\), without weights, rec"
    ):
        inputs.images_and_labels("validation_data", data)


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


@pytest.mark.parametrize("kind", ["empty", "other shape", "unscaled and dark"])
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
    with pytest.raises(UsageError, match="^images must be a NumPy array or a tensor of images, received: '_Batch"):
        getattr(vae, method)(tf.data.Dataset.from_tensor_slices(_floats()).batch(2))


def test_methods_for_one_batch_refuse_datasets(vae, gan):
    batches = tf.data.Dataset.from_tensor_slices(_floats()).batch(2)
    for model, method in ((vae, "train_on_batch"), (vae, "test_on_batch"), (vae, "predict_on_batch")):
        with pytest.raises(UsageError, match="^x must be one batch of arrays .*, received: '_BatchDataset'"):
            getattr(model, method)(batches)


def test_latents_to_decode_are_checked_and_have_gradients(vae, gan):
    for model in (vae, gan):
        for wrong in ([[0.0, 0.0]], np.zeros(2), np.zeros((3, 5)), np.full((3, 2), np.nan)):
            with pytest.raises(UsageError, match="^latents must be "):
                model.decode(wrong)
    keras.utils.set_random_seed(0)
    decoder = networks.mlp_decoder(SHAPE, latent_dim=2)
    model = VAE(networks.mlp_encoder(SHAPE, latent_dim=2), decoder)
    latents = tf.Variable(tf.ones((3, 2)))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model.decode(latents))
    assert np.all(np.abs(tape.gradient(total, latents)) > 0)
    expected = model.decode(np.ones((3, 2)))
    for traced in (tf.function(model.decode)(tf.ones((3, 2))), tf.function(lambda: model.decode(latents))()):
        np.testing.assert_allclose(traced, expected, atol=1e-6)
    np.testing.assert_array_equal(model.decode(keras.Variable(np.ones((3, 2)))), expected)


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
