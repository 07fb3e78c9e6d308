"""The explorer of a SavedModel with arrays: images are those of the model; drawings are centered as in MNIST."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_helpers import CLASSES, LATENT, SHAPE, make_autoencoder, make_denoiser, make_gan, make_vae, pixels

from keras_gen import networks
from keras_gen.models import VAE, export
from keras_gen.report.explorer import drawing
from keras_gen.report.explorer.model import Explorer
from keras_gen.utils.errors import UsageError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The models by kind, and explorers of their SavedModels."""
    folder = tmp_path_factory.mktemp("saved")
    models = {
        "vae": make_vae(),
        "gan": make_gan(),
        "denoiser": make_denoiser(),
        "conditional": make_vae(num_classes=CLASSES),
    }
    for kind, model in models.items():
        export.save(model, folder / kind, description={"recipe": f"the-{kind}"})
    return models, {kind: Explorer(folder / kind) for kind in models}


def to_images(outputs):
    """Rounded to uint8, by NumPy."""
    return np.round(np.asarray(outputs, float) * 255).astype(np.uint8)


def decoded(model, latents):
    """uint8 images by the decoder's Keras layers."""
    return to_images(tf.sigmoid(model.decoder(tf.constant(latents, tf.float32), training=False)))


# Functions of a SavedModel


def test_the_facts_of_a_saved_model_are_read_from_it(saved):
    _, explorers = saved
    everything = ("generate", "decode", "encode", "reconstruct")
    facts = {
        kind: (e.functions, e.name, e.image_shape, e.latent_shape, e.num_classes, e.has_prior, e.has_latent_vector)
        for kind, e in explorers.items()
    }
    assert facts == {
        "vae": (everything, "the-vae", SHAPE, (LATENT,), 0, True, True),
        "gan": (("generate", "decode"), "the-gan", SHAPE, (LATENT,), 0, True, True),
        "denoiser": (everything[1:], "the-denoiser", SHAPE, (2, 2, 2), 0, False, False),
        "conditional": (everything, "the-conditional", SHAPE, (LATENT,), CLASSES, True, True),
    }


def test_one_latent_dimension_is_interpolated_linearly(tmp_path):
    model = VAE(networks.mlp_encoder(SHAPE, latent_dim=1), networks.mlp_decoder(SHAPE, latent_dim=1))
    model.compile()
    explorer = Explorer(export.save(model, tmp_path / "one"))
    assert list(explorer.interpolations) == ["linear"]
    ends = np.array([1.0]), np.array([-1.0])
    found = explorer.interpolate(*ends, steps=3, kind="linear")
    np.testing.assert_allclose(found, explorer.decode(np.array([[1.0], [0.0], [-1.0]])), atol=1)
    with pytest.raises(UsageError, match="kind must be one of linear, received: 'spherical'"):
        explorer.interpolate(*ends)


@pytest.mark.parametrize(
    "function",
    [pytest.param("generate", marks=pytest.mark.slow), "decode", pytest.param("reconstruct", marks=pytest.mark.slow)],
)
def test_one_function_is_enough_and_the_others_are_refused(tmp_path, function):
    explorer = Explorer(export.save(make_vae(), tmp_path / "one", functions=[function]))
    assert (explorer.name, explorer.functions, explorer.image_shape) == ("one", (function,), SHAPE)
    calls = {
        "generate": lambda: explorer.sample(1),
        "decode": lambda: explorer.decode(np.zeros((1, LATENT))),
        "encode": lambda: explorer.encode(pixels(1)),
        "reconstruct": lambda: explorer.reconstruct(pixels(1)),
    }
    assert len(calls.pop(function)()) == 1
    for name, call in calls.items():
        with pytest.raises(UsageError, match=rf"one has no function {name} \(its functions: {function}\)$"):
            call()


def test_a_run_directory_can_be_opened_and_a_description_is_optional(tmp_path, saved):
    _, explorers = saved
    shutil.copytree(explorers["gan"].path, tmp_path / "run" / "saved_model")
    (tmp_path / "run" / "saved_model" / "description.json").unlink()
    explorer = Explorer(tmp_path / "run")
    assert explorer.name == "saved_model"
    np.testing.assert_array_equal(explorer.sample(3, seed=4), explorers["gan"].sample(3, seed=4))


# Images


@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_samples_are_the_models_and_the_latent_of_a_seed_is_the_first_ones(saved, kind):
    models, explorers = saved
    samples = explorers[kind].sample(5, seed=7)
    np.testing.assert_array_equal(samples, models[kind].generate(5, seed=7)["images"].numpy())
    latent = explorers[kind].latent(7)
    assert (latent.shape, latent.dtype) == ((LATENT,), np.float32)
    np.testing.assert_array_equal(explorers[kind].decode(latent[None]), samples[:1])


def test_of_many_dimensions_the_most_active_ones_are_found(saved, monkeypatch):
    _, explorers = saved
    assert explorers["vae"].active_dimensions(LATENT) == list(range(LATENT))
    codes = np.random.default_rng(0).normal(size=(256, LATENT)) * np.arange(1, LATENT + 1)
    monkeypatch.setattr(explorers["vae"], "encode", lambda images: codes)
    assert explorers["vae"].active_dimensions(LATENT - 1) == list(range(LATENT - 1, 0, -1))
    assert explorers["gan"].active_dimensions(1) == explorers["conditional"].active_dimensions(1) == [0]


def test_latents_are_decoded_as_by_keras(saved):
    models, explorers = saved
    latents = np.random.default_rng(0).normal(size=(4, LATENT))
    actual, expected = explorers["vae"].decode(latents), decoded(models["vae"], latents)
    assert (actual.shape, actual.dtype) == ((4, *SHAPE), np.uint8)
    assert np.abs(actual.astype(int) - expected).max() <= 1  # rounding of values near one half may differ


def test_images_are_encoded_and_reconstructed_as_by_keras(saved):
    models, explorers = saved
    x = pixels(4)
    mean = models["vae"].encoder(x / 255.0, training=False)[0].numpy()
    np.testing.assert_allclose(explorers["vae"].encode(x), mean, rtol=1e-4, atol=1e-5)
    codes = models["denoiser"].encoder(tf.constant(x / 255.0, tf.float32), training=False).numpy()
    np.testing.assert_allclose(explorers["denoiser"].encode(x), codes, rtol=1e-4, atol=1e-5)
    for kind in ("vae", "denoiser"):
        expected = to_images(models[kind].reconstruct(x))
        assert np.abs(explorers[kind].reconstruct(x).astype(int) - expected).max() <= 1
        by_parts = explorers[kind].decode(explorers[kind].encode(x))
        assert np.abs(by_parts.astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(explorers["vae"].reconstruct(x[..., 0]), explorers["vae"].reconstruct(x))


def test_classes_are_passed_on(saved):
    models, explorers = saved
    explorer, labels = explorers["conditional"], [3, 0, 3]
    expected = models["conditional"].generate(3, seed=2, labels=labels)["images"].numpy()
    np.testing.assert_array_equal(explorer.sample(3, 2, labels), expected)
    np.testing.assert_array_equal(explorer.sample(3, 2, 1), models["conditional"].generate(3, 2, 1)["images"])
    np.testing.assert_array_equal(explorer.sample(3, 2), models["conditional"].generate(3, 2)["images"])
    latent = explorer.latent(2)[None]
    np.testing.assert_array_equal(explorer.decode(latent, 3), expected[:1])
    assert (explorer.decode(latent, 3) != explorer.decode(latent, 0)).any()
    x = pixels(2)
    np.testing.assert_array_equal(explorer.reconstruct(x, 1), explorer.reconstruct(x, [1, 1]))
    assert (explorer.encode(x, 1) != explorer.encode(x, 2)).any()


# Interpolations


def test_interpolations_are_spherical_or_linear(saved):
    models, explorers = saved
    start, end = np.array([2.0, 0.0, 0.0]), np.array([0.0, 0.0, 2.0])
    root = np.sqrt(2)
    for kind, middle in (("spherical", [root, 0, root]), ("linear", [1, 0, 1])):
        images = explorers["vae"].interpolate(start, end, 3, kind)
        expected = decoded(models["vae"], [start, middle, end])
        assert np.abs(images.astype(int) - expected).max() <= 1


def test_interpolations_of_an_autoencoder_decode_codes(saved):
    models, explorers = saved
    codes = explorers["denoiser"].encode(pixels(2))
    images = explorers["denoiser"].interpolate(*codes, steps=3, kind="linear")
    expected = decoded(models["denoiser"], [codes[0], (codes[0] + codes[1]) / 2, codes[1]])
    assert np.abs(images.astype(int) - expected).max() <= 1


def test_interpolations_between_seeds_are_of_the_given_class(saved):
    _, explorers = saved
    explorer = explorers["conditional"]
    ends = explorer.latent(0), explorer.latent(1)
    images = explorer.interpolate(*ends, steps=5, label=2)
    np.testing.assert_array_equal(images[[0, -1]], np.concatenate([explorer.sample(1, seed, 2) for seed in (0, 1)]))


# Errors


@pytest.mark.parametrize(
    ("kind", "call", "message"),
    [
        ("vae", lambda e: e.sample(0), "n must be an integer of at least 1, received: 0"),
        ("vae", lambda e: e.sample(1, -1), "seed must be an integer from 0 to 2147483647, received: -1"),
        ("vae", lambda e: e.sample(1, None), "seed must be an integer from 0 to 2147483647, received: None"),
        ("vae", lambda e: e.sample(1, 0, 3), "labels must be left out: the model was built without classes"),
        ("vae", lambda e: e.latent(0.5), "seed must be an integer from 0 to 2147483647, received: 0.5"),
        ("vae", lambda e: e.decode(np.zeros((1, 2))), r"latents must be of shape \(n, 3\), n at least 1, received: s"),
        ("vae", lambda e: e.decode(np.zeros(3)), r"n at least 1, received: shape \(3,\)"),
        ("vae", lambda e: e.decode(np.zeros((0, 3))), r"n at least 1, received: shape \(0, 3\)"),
        ("vae", lambda e: e.decode(np.full((1, 3), np.nan)), "latents must be finite, received: 3 of 3"),
        ("vae", lambda e: e.decode(np.zeros((1, 3)), 0), "labels must be left out"),
        ("vae", lambda e: e.encode(np.zeros((1, *SHAPE))), "images must be uint8, received: 'float64'"),
        ("vae", lambda e: e.encode(np.zeros((1, 9, 8, 1), "uint8")), r"images must be images of shape \(n, 8, 8, 1\)"),
        ("vae", lambda e: e.reconstruct([1]), "images must be a NumPy array"),
        ("vae", lambda e: e.interpolate(np.zeros(3), np.ones(2)), r"end must be of shape \(3,\), received: shape \(2,"),
        (
            "vae",
            lambda e: e.interpolate(np.ones(3), np.ones(3), 1),
            "steps must be an integer of at least 2, received: 1",
        ),
        ("vae", lambda e: e.interpolate(np.ones(3), np.ones(3), 2, "cubic"), "kind must be one of spherical, linear"),
        ("vae", lambda e: e.interpolate(np.ones(3), -np.ones(3)), "start and end must not be opposite"),
        ("denoiser", lambda e: e.latent(0), "can't be sampled: the model has no prior"),
        ("denoiser", lambda e: e.sample(1), "has no function generate"),
        ("conditional", lambda e: e.sample(2, 0, 4), "labels must be 2 integers from 0 to 3, received: '4 to 4'"),
        ("conditional", lambda e: e.decode(np.zeros((1, 3))), "labels must be 1 integers from 0 to 3, since"),
        ("conditional", lambda e: e.reconstruct(pixels(2), [0]), "labels must be 2 integers from 0 to 3, received"),
    ],
)
def test_invalid_arguments_are_refused(saved, kind, call, message):
    with pytest.raises(UsageError, match=message):
        call(saved[1][kind])


def test_a_saved_model_without_images_is_refused(tmp_path):
    blind = export.save(make_vae(), tmp_path / "blind", functions=["encode"])
    message = r"path must be a SavedModel with generate, decode or reconstruct, received: '.*\(its functions: "
    with pytest.raises(UsageError, match=message + "encode"):
        Explorer(blind)
    tf.saved_model.save(tf.Module(), str(tmp_path / "foreign"))
    with pytest.raises(UsageError, match=message + "none"):
        Explorer(tmp_path / "foreign")
    with pytest.raises(UsageError, match="path must be a SavedModel, a finished run directory or a trained model"):
        Explorer(tmp_path)


def check_num_classes_needed(path):
    (path / "description.json").unlink()
    with pytest.raises(UsageError, match=r"path must be a SavedModel with the num_classes in its description.json"):
        Explorer(path)


def test_a_conditional_model_needs_its_number_of_classes(saved, tmp_path):
    check_num_classes_needed(shutil.copytree(saved[1]["conditional"].path, tmp_path / "mine"))


@pytest.mark.slow
@pytest.mark.parametrize("function", ["generate", "reconstruct"])
def test_one_conditional_function_needs_the_number_of_classes(tmp_path, function):
    check_num_classes_needed(export.save(make_vae(num_classes=CLASSES), tmp_path / "mine", functions=[function]))


def test_a_damaged_description_is_refused(saved, tmp_path):
    path = shutil.copytree(saved[1]["gan"].path, tmp_path / "mine")
    for content in ("{", "[1]", '{"num_classes": "ten"}', '{"num_classes": -1}'):
        (path / "description.json").write_text(content)
        with pytest.raises(UsageError, match=r"description\.json"):
            Explorer(path)


def test_an_autoencoder_with_vector_codes_has_no_prior(tmp_path):
    model = make_autoencoder()
    flat = keras.Sequential([model.encoder, keras.layers.Flatten()])
    back = keras.Sequential([keras.Input((8,)), keras.layers.Reshape((2, 2, 2)), model.decoder])
    flat.build((None, *SHAPE))
    flattened = type(model)(flat, back)
    explorer = Explorer(export.save(flattened, tmp_path / "flat", functions=["decode", "encode"]))
    assert (explorer.latent_shape, explorer.has_prior, explorer.has_latent_vector) == ((8,), False, True)
    assert json.loads((tmp_path / "flat" / "description.json").read_text())["functions"][0] == "decode"


# Pictures to images


def paper(height=280, width=280):
    return np.full((height, width), 255, np.uint8)


def center_of_mass(image):
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    return [np.average(axis, weights=image[..., 0]) for axis in (rows, columns)]


@pytest.mark.parametrize(("height", "width"), [(280, 280), (100, 400), (31, 29)])
def test_a_drawing_is_scaled_and_centered_as_in_mnist(height, width):
    drawn = paper(height, width)
    drawn[2:22, 3:8] = 0
    drawn[17:22, 3:13] = 0  # an L
    image = drawing.to_image(drawn, (28, 28, 1), center=True)
    assert (image.shape, image.dtype) == ((28, 28, 1), np.uint8)
    rows, columns = (np.nonzero(image[..., 0].max(axis=axis))[0] for axis in (1, 0))
    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (20, 10)
    np.testing.assert_allclose(center_of_mass(image), [14, 14], atol=0.5)  # to half a pixel
    np.testing.assert_array_equal(image[rows.min() :][:20, columns.min() :][:, :10, 0], 255 - drawn[2:22, 3:13])


def test_a_drawing_with_its_mass_at_one_end_stays_inside():
    drawn = paper()
    drawn[30:40, 20:120] = 0  # a broad head
    drawn[40:270, 20:24] = 0  # on a thin stem
    image = drawing.to_image(drawn, (28, 28, 1), center=True)
    rows = np.nonzero(image[..., 0].max(axis=1) > 20)[0]
    assert (rows.min(), rows.max()) == (8, 27)


def test_a_black_canvas_is_not_inverted_unless_asked_to():
    drawn = 255 - paper()
    drawn[100:180, 120:160] = 255
    for invert, expected in ((None, drawn), (False, drawn), (True, 255 - drawn)):
        image = drawing.to_image(drawn, (28, 28, 1), invert=invert)
        assert image[14, 14, 0] == expected[140, 140]
        assert image[0, 0, 0] == expected[0, 0]


def test_a_transparent_sketch_is_blended_with_white():
    sketch = np.zeros((56, 56, 4), np.uint8)
    sketch[20:30, 20:30, 3] = 255
    on_paper = paper(56, 56)
    on_paper[20:30, 20:30] = 0
    for center in (False, True):
        actual = drawing.to_image(sketch, (28, 28, 1), center=center)
        np.testing.assert_array_equal(actual, drawing.to_image(on_paper, (28, 28, 1), center=center))
    half = np.dstack([np.full((28, 28), 100, np.uint8), np.full((28, 28), 51, np.uint8)])  # gray, one fifth opaque
    assert (drawing.to_image(half, (28, 28, 1), invert=False) == 0.2 * 100 + 0.8 * 255).all()


def test_colors_become_luma_for_a_gray_model_and_stay_for_a_color_model():
    picture = np.broadcast_to(np.array([200, 100, 50], np.uint8), (32, 32, 3))
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert np.abs(drawing.to_image(picture, (8, 8, 1), invert=False) - luma).max() <= 1
    assert (drawing.to_image(picture, (8, 8, 3)) == picture[0, 0]).all()
    assert (drawing.to_image(paper(), (8, 8, 3)) == 255).all()  # by default only gray models' pictures are inverted


def test_an_image_of_the_models_size_is_unchanged():
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    np.testing.assert_array_equal(drawing.to_image(images[0], (8, 8, 3)), images[0])
    np.testing.assert_array_equal(drawing.to_image(images[0, ..., 0], (8, 8, 1), invert=False), images[0, ..., :1])


def test_without_centering_a_broad_picture_is_cropped_to_its_middle():
    picture = np.zeros((40, 120), np.uint8)
    picture[:, 40:80] = 200
    assert (drawing.to_image(picture, (8, 8, 1)) == 200).all()
    assert (drawing.to_image(picture.T, (8, 8, 1)) == 200).all()


def test_noise_has_the_given_level_and_seed():
    gray = np.full((200, 200, 1), 128, np.uint8)
    noisy = drawing.with_noise(gray, 0.1, seed=1)
    assert noisy.std() == pytest.approx(25.5, rel=0.02)
    assert noisy.mean() == pytest.approx(128, abs=0.5)
    np.testing.assert_array_equal(noisy, drawing.with_noise(gray, 0.1, seed=1))
    assert (noisy != drawing.with_noise(gray, 0.1, seed=2)).any()
    assert {0, 255} <= set(drawing.with_noise(gray, 1, seed=1).ravel().tolist())  # clipped, not wrapped
    np.testing.assert_array_equal(drawing.with_noise(gray, 0, seed=1), gray)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (None, r"picture must be a uint8 array of shape \(H, W\) or \(H, W, C\), C from 1 to 4, received: None"),
        (np.zeros((8, 8)), r"received: 'float64 of shape \(8, 8\)'"),
        (np.zeros((8, 8, 5), np.uint8), r"received: 'uint8 of shape \(8, 8, 5\)'"),
        (np.zeros((0, 8), np.uint8), r"received: 'uint8 of shape \(0, 8\)'"),
        (np.zeros((2, 8, 8, 1), np.uint8), r"received: 'uint8 of shape \(2, 8, 8, 1\)'"),
        (paper(), "picture must be one that is not blank, received: 'brightness from 0 to 0'"),
    ],
)
def test_invalid_drawings_are_refused(picture, message):
    with pytest.raises(UsageError, match=message):
        drawing.to_image(picture, (28, 28, 1), center=True)


def test_negative_noise_is_refused():
    with pytest.raises(UsageError, match="level must be a number of at least 0, received: -0.1"):
        drawing.with_noise(paper(), -0.1, seed=0)
    with pytest.raises(UsageError, match="seed must be an integer from 0"):
        drawing.with_noise(paper(), 0.1, seed=-1)
