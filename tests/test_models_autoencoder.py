"""Autoencoders and denoising autoencoders: corruption, train steps, codes of any shape, refused arguments."""

import math

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from model_helpers import (
    CLASSES,
    SHAPE,
    assert_close,
    differ,
    fit,
    given,
    images,
    make_autoencoder,
    make_denoiser,
    mostly_slow,
    pixels,
    sigmoid,
    smooth_blobs,
    train,
    weights,
)

from keras_gen import Autoencoder, UsageError, networks
from keras_gen.models import export


def to_flat_code(shape=SHAPE, num_classes=0):
    """Make an encoder to a vector, with labels if there are classes."""
    x = inputs = keras.Input(shape)
    if num_classes:
        labels = keras.Input((num_classes,))
        plane = keras.layers.Reshape((*shape[:2], 1))(keras.layers.Dense(math.prod(shape[:2]))(labels))
        inputs, x = [inputs, labels], keras.layers.Concatenate()([inputs, plane])
    return keras.Model(inputs, keras.layers.Dense(5, activation="relu")(keras.layers.Flatten()(x)))


def flat_autoencoder(shape=SHAPE, num_classes=0, **arguments):
    keras.utils.set_random_seed(0)
    decoder = networks.mlp_decoder(shape, latent_dim=5, hidden=(6,), num_classes=num_classes)
    model = Autoencoder(to_flat_code(shape, num_classes), decoder, **arguments)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


BOTH_RANGES = pytest.mark.parametrize("low, high", [(0, 1), (-1, 1)])


def in_range(low, high, count=12):
    return low + (high - low) * images(count)


# Corruption


@BOTH_RANGES
def test_gaussian_corruption_has_its_deviation_in_units_of_the_range_and_no_bias(low, high):
    model = make_denoiser(loss="squared_error", value_range=(low, high), corruption_level=0.1)
    middle = np.full((256, *SHAPE), (low + high) / 2, "float32")
    noise = model.corrupted(middle) - middle
    assert noise.std() == pytest.approx(0.1 * (high - low), rel=0.03)
    assert noise.mean() == pytest.approx(0, abs=0.004 * (high - low))
    # Independent in every pixel, and in every image.
    correlations = np.corrcoef(noise.reshape(256, 64), rowvar=False)
    assert np.abs(correlations - np.eye(64)).max() < 0.35
    assert len(np.unique(noise)) > 0.9 * noise.size


@BOTH_RANGES
def test_gaussian_corruption_is_clipped_to_the_range(low, high):
    model = make_denoiser(loss="squared_error", value_range=(low, high), corruption_level=2.0)
    corrupted = model.corrupted(np.full((64, *SHAPE), (low + high) / 2, "float32"))
    assert (corrupted.min(), corrupted.max()) == (low, high)
    # What lies over half a range, which is a quarter of the deviation.
    beyond = scipy.stats.norm.sf(0.25)
    assert np.mean(corrupted == low) == pytest.approx(beyond, abs=0.03)
    assert np.mean(corrupted == high) == pytest.approx(beyond, abs=0.03)


@BOTH_RANGES
@pytest.mark.parametrize("level", [0.2, 0.75])
def test_masking_sets_its_fraction_of_pixels_to_the_low_end_in_all_channels(low, high, level):
    model = flat_autoencoder(
        (8, 8, 3), loss="squared_error", value_range=(low, high), corruption="masking", corruption_level=level
    )
    clean = np.random.default_rng(0).uniform(low + 0.1, high, (64, 8, 8, 3)).astype("float32")
    corrupted = model.corrupted(clean)
    masked = np.all(corrupted == low, axis=-1)
    np.testing.assert_array_equal(corrupted[~masked], clean[~masked])
    assert masked.mean() == pytest.approx(level, abs=0.03)
    assert 0 < masked.sum(axis=(1, 2)).std()  # not the same number in every image
    assert len(np.unique(masked.reshape(64, 64), axis=0)) == 64


@pytest.mark.parametrize("corruption", ["gaussian", "masking"])
def test_corruption_is_a_function_of_the_seed_alone(corruption):
    model = make_autoencoder(corruption=corruption, corruption_level=0.3)
    first = model.corrupted(images(), seed=1)
    assert (first.dtype, first.shape) == (np.float32, (12, *SHAPE))
    np.testing.assert_array_equal(model.corrupted(images(), seed=1), first)
    np.testing.assert_allclose(model.corrupted(pixels(), seed=1), first, atol=1e-6)
    assert np.mean(model.corrupted(images(), seed=2) != first) > 0.3
    other = make_autoencoder(corruption=corruption, corruption_level=0.3, seed=1)
    np.testing.assert_array_equal(other.corrupted(images(), seed=1), first)
    for bad in (-1, 2**31, 1.5):
        with pytest.raises(UsageError, match="^seed must be"):
            model.corrupted(images(), seed=bad)
    with pytest.raises(UsageError, match="^images must be"):
        model.corrupted(images() * 255)


def test_without_a_corruption_images_stay_as_they_are():
    np.testing.assert_array_equal(make_autoencoder().corrupted(images()), images())


# The objective


def corrupted_by_hand(corruption, level, low, high, clean, key):
    if corruption == "gaussian":
        noise = tf.random.stateless_normal(clean.shape, key).numpy()
        return np.clip(clean + level * (high - low) * noise, low, high)
    if corruption == "masking":
        return np.where(tf.random.stateless_uniform((*clean.shape[:3], 1), key).numpy() < level, low, clean)
    return clean


CASES = {
    "cross-entropy": {"loss": "cross_entropy"},
    "cross-entropy of noisy images": {"loss": "cross_entropy", "corruption": "gaussian", "corruption_level": 0.4},
    "squared error of masked images": {"loss": "squared_error", "corruption": "masking", "corruption_level": 0.4},
    "squared error in (-1, 1)": {"loss": "squared_error", "value_range": (-1, 1)},
    "squared error of noisy images in (-1, 1)": {
        "loss": "squared_error",
        "value_range": (-1, 1),
        "corruption": "gaussian",
        "corruption_level": 0.4,
    },
}


@pytest.mark.parametrize("eager, num_classes", mostly_slow([(True, 0), (False, 0), (True, CLASSES)], (True, CLASSES)))
@pytest.mark.parametrize("case", CASES)
def test_a_step_is_gradient_descent_toward_the_clean_image(case, eager, num_classes):
    arguments = CASES[case]
    low, high = arguments.get("value_range", (0, 1))
    model = flat_autoencoder(num_classes=num_classes, **arguments)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=eager)
    clean, labels = in_range(low, high, 5).astype("float32"), np.array([2, 0, 3, 3, 1])
    corruption, level = arguments.get("corruption", "none"), arguments.get("corruption_level", 0)
    seen = corrupted_by_hand(corruption, level, low, high, clean, model.training_key(0)).astype("float32")
    variables = model.encoder.trainable_variables + model.decoder.trainable_variables
    with tf.GradientTape() as tape:
        code = model.encoder(given(seen, labels, num_classes))
        output = model.decoder(given(code, labels, num_classes))
        made = tf.sigmoid(output) if low == 0 else tf.tanh(output)
        mse = tf.reduce_mean((made - clean) ** 2)
        cross_entropy = tf.reduce_mean(-clean * tf.math.log(made) - (1 - clean) * tf.math.log(1 - made))
        loss = mse if arguments["loss"] == "squared_error" else cross_entropy
    gradients = tape.gradient(loss, variables)
    expected = [np.array(w - 0.1 * g) for w, g in zip(variables, gradients, strict=True)]
    values = {"loss": float(loss), "mse": float(mse)}
    if corruption != "none":
        values["corrupted_mse"] = np.mean((seen - clean) ** 2)
        assert values["corrupted_mse"] > 0.02

    before = weights(model)
    history = fit(model, clean, labels, batch_size=5)
    assert all(differ(before, weights(model)))
    assert_close(variables, expected, atol=1e-6)
    assert {name: value for name, (value,) in history.items()} == pytest.approx(values, rel=1e-5)


def test_every_step_and_every_batch_of_an_evaluation_has_a_corruption_of_its_own():
    model = make_denoiser(optimizer=keras.optimizers.SGD(0.0), seed=0)

    def expected(key):
        return np.mean((corrupted_by_hand("gaussian", 0.3, 0, 1, images(4), key) - images(4)) ** 2)

    history = fit(model, images(4), epochs=2, validation_data=images(4))
    steps = [expected(model.training_key(step)) for step in range(2)]
    assert history["corrupted_mse"] == pytest.approx(steps, rel=1e-5)
    assert len(set(history["corrupted_mse"])) == 2
    # Every evaluation is the same one.
    assert len(set(history["val_corrupted_mse"])) == len(set(history["val_loss"])) == 1
    assert history["val_corrupted_mse"][0] not in history["corrupted_mse"]
    twice = np.concatenate([images(4), images(4)])
    values = model.evaluate(twice, batch_size=4, verbose=0, return_dict=True)
    assert values["corrupted_mse"] != history["val_corrupted_mse"][0]
    assert values == model.evaluate(twice, batch_size=4, verbose=0, return_dict=True)


def test_it_reports_exactly_its_quantities():
    assert set(fit(make_autoencoder(), images())) == {"loss", "mse"}
    assert set(fit(make_denoiser(), images())) == {"loss", "mse", "corrupted_mse"}


def test_an_autoencoder_of_probabilities_equals_one_of_logits():
    model = make_denoiser()
    outputs = keras.layers.Activation("sigmoid")(model.decoder.output)
    decoder = keras.Model(model.decoder.input, outputs)
    other = Autoencoder(model.encoder, decoder, corruption="gaussian", corruption_level=0.3, from_logits=False)
    other.compile("sgd", run_eagerly=True)
    expected, actual = (m.evaluate(images(), verbose=0, return_dict=True) for m in (model, other))
    assert actual == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(other.reconstruct(images()), model.reconstruct(images()), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("corruption, level", [("gaussian", 0.4), ("masking", 0.5)])
def test_a_denoiser_reduces_the_error_of_the_corrupted_image(corruption, level):
    keras.utils.set_random_seed(0)
    model = Autoencoder(
        networks.pooling_encoder(SHAPE, filters=(16,)),
        networks.resizing_decoder(SHAPE, filters=(16,)),
        corruption=corruption,
        corruption_level=level,
    )
    model.compile(keras.optimizers.Adam(0.01))
    unseen = smooth_blobs(32, seed=1)
    before = model.evaluate(unseen, verbose=0, return_dict=True)
    assert before["mse"] > before["corrupted_mse"]
    train(model, smooth_blobs(64), steps=60)
    after = model.evaluate(unseen, verbose=0, return_dict=True)
    assert after["corrupted_mse"] == before["corrupted_mse"]
    assert after["mse"] < 0.5 * after["corrupted_mse"]
    noisy = model.corrupted(unseen, seed=3)
    assert np.mean((model.reconstruct(noisy) - unseen) ** 2) < 0.5 * np.mean((noisy - unseen) ** 2)


# Codes


@pytest.mark.parametrize("make, code_shape", [(make_denoiser, (2, 2, 2)), (flat_autoencoder, (5,))])
def test_codes_have_the_encoders_shape_and_decode_to_the_reconstruction(make, code_shape):
    model = make()
    assert "generate" not in model.endpoints()
    codes = model.encode(pixels(300))
    assert codes.shape == (300, *code_shape)
    np.testing.assert_allclose(codes, model.encoder(images(300)), rtol=1e-5, atol=1e-6)
    expected = sigmoid(model.decoder(codes))
    np.testing.assert_allclose(model.decode(codes), expected, atol=1e-6)
    np.testing.assert_allclose(model.reconstruct(pixels(300)), expected, atol=1e-6)
    np.testing.assert_allclose(model.predict(images(300), verbose=0), expected, atol=1e-6)


@pytest.mark.parametrize(
    "make, value_range",
    mostly_slow(
        [(make, value_range) for make in (make_denoiser, flat_autoencoder) for value_range in ((0, 1), (-1, 1))],
        (make_denoiser, (-1, 1)),
    ),
)
def test_a_saved_model_encodes_decodes_and_reconstructs_but_does_not_generate(make, value_range, tmp_path):
    model = make(loss="squared_error", value_range=value_range)
    assert set(model.endpoints()) == {"decode", "encode", "reconstruct"}
    path = export.save(model, tmp_path / "saved")
    loaded = export.load(path, "reconstruct")
    codes = loaded.encode(tf.constant(pixels()))["codes"]
    np.testing.assert_allclose(codes, model.encode(pixels()), atol=1e-6)
    expected = model.to_unit_range(model.reconstruct(pixels()))
    for result in (loaded.reconstruct(tf.constant(pixels())), loaded.decode(codes)):
        assert set(result) == {"images", "images_float"}
        np.testing.assert_allclose(result["images_float"], expected, atol=1e-6)
        np.testing.assert_array_equal(result["images"], np.rint(result["images_float"].numpy() * np.float32(255)))
    assert expected.numpy().std() > 1e-3
    with pytest.raises(UsageError, match="^path must be a SavedModel with a function generate"):
        export.generate(path, 1)
    with pytest.raises(
        UsageError, match="^functions must be some of decode, encode, reconstruct, received: 'generate'"
    ):
        export.save(model, tmp_path / "other", functions=["generate"])


def test_a_conditional_autoencoder_takes_labels_everywhere(tmp_path):
    model, labels = flat_autoencoder(num_classes=CLASSES), np.arange(12) % CLASSES
    codes = model.encode(pixels(), labels)
    np.testing.assert_allclose(codes, model.encoder(given(images(), labels, CLASSES)), atol=1e-6)
    expected = sigmoid(model.decoder(given(codes, labels, CLASSES)))
    np.testing.assert_allclose(model.reconstruct(pixels(), labels), expected, atol=1e-6)
    assert np.abs(model.reconstruct(pixels(), (labels + 1) % CLASSES) - expected).max() > 1e-3
    loaded = export.load(export.save(model, tmp_path / "saved"), "decode")
    np.testing.assert_allclose(loaded.decode(codes, tf.constant(labels, tf.int32))["images_float"], expected, atol=1e-6)
    with pytest.raises(UsageError, match="^labels of images must be 12 integers from 0 to 3"):
        model.encode(pixels())


# Refused arguments

SMALL_CODE, LARGE_CODE = (networks.pooling_encoder(SHAPE, filters=filters) for filters in ((2, 2), (2,)))
OF_SMALL_CODE = networks.resizing_decoder(SHAPE, filters=(2, 2))


def two_outputs():
    return networks.mlp_encoder(SHAPE, latent_dim=5, hidden=(2,))


@pytest.mark.parametrize(
    "encoder, decoder, argument",
    [
        (None, OF_SMALL_CODE, "encoder"),
        (SMALL_CODE, "decoder", "decoder"),
        (LARGE_CODE, OF_SMALL_CODE, "decoder"),
        (SMALL_CODE, networks.resizing_decoder((8, 8, 3), filters=(2, 2)), "decoder"),
        (SMALL_CODE, networks.mlp_decoder(SHAPE, latent_dim=8, hidden=(2,)), "decoder"),
        (two_outputs(), networks.mlp_decoder(SHAPE, latent_dim=5, hidden=(2,)), "encoder"),
        (networks.mlp_decoder(SHAPE, latent_dim=5), OF_SMALL_CODE, "encoder"),
        (to_flat_code(num_classes=3), networks.mlp_decoder(SHAPE, latent_dim=5), "decoder"),
        (to_flat_code(num_classes=3), networks.mlp_decoder(SHAPE, latent_dim=5, num_classes=2), "decoder"),
    ],
)
def test_networks_that_do_not_fit_together_are_refused_by_name(encoder, decoder, argument):
    with pytest.raises(UsageError, match=f"^{argument} must be "):
        Autoencoder(encoder, decoder)


@pytest.mark.parametrize(
    "arguments, argument",
    [
        ({"loss": "mse"}, "loss"),
        ({"loss": None}, "loss"),
        ({"corruption": "dropout", "corruption_level": 0.1}, "corruption"),
        ({"corruption": None}, "corruption"),
        ({"corruption_level": 0.1}, "corruption_level"),  # without a corruption
        ({"corruption": "gaussian"}, "corruption_level"),
        ({"corruption": "gaussian", "corruption_level": -0.1}, "corruption_level"),
        ({"corruption": "gaussian", "corruption_level": float("inf")}, "corruption_level"),
        ({"corruption": "masking", "corruption_level": 1.0}, "corruption_level"),
        ({"corruption": "masking", "corruption_level": "half"}, "corruption_level"),
        ({"value_range": (-1, 1)}, "value_range"),  # with the cross-entropy
        ({"value_range": (0, 255), "loss": "squared_error"}, "value_range"),
        ({"from_logits": 1}, "from_logits"),
        ({"seed": -1}, "seed"),
    ],
    ids=repr,
)
def test_bad_arguments_are_refused_by_name(arguments, argument):
    with pytest.raises(UsageError, match=f"^{argument} must be "):
        Autoencoder(SMALL_CODE, OF_SMALL_CODE, **arguments)
