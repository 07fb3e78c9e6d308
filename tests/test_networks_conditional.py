"""Conditional networks, unconditional networks, and `.keras` files of both."""

import keras
import numpy as np
import pytest
from model_helpers import mostly_slow

from keras_gen import UsageError, networks

SHAPE = (8, 8, 1)
OF_IMAGES = {
    "mlp_encoder": {"latent_dim": 3, "hidden": (5,)},
    "lstm_encoder": {"latent_dim": 3, "units": 4},
    "conv_encoder": {"latent_dim": 3, "filters": (4, 5), "hidden": 6},
    "mlp_discriminator": {"hidden": (5,)},
    "conv_discriminator": {"filters": (4, 5)},
    "deep_conv_discriminator": {"filters": (4, 5)},
}
OF_LATENTS = {
    "mlp_decoder": {"latent_dim": 3, "hidden": (5,)},
    "lstm_vae_decoder": {"latent_dim": 3},
    "conv_decoder": {"latent_dim": 3, "filters": (4, 5)},
    "transposed_conv_generator": {"latent_dim": 3, "filters": 4},
    "deep_conv_generator": {"latent_dim": 3, "filters": (4, 5)},
    "dcgan_generator": {"latent_dim": 3},
    "upsampling_generator": {"latent_dim": 3, "filters": (5, 4)},
}
SMALL = OF_IMAGES | OF_LATENTS
PLAIN = {"pooling_encoder": {}, "resizing_decoder": {}}


def _built(name, **options):
    keras.utils.set_random_seed(0)  # with few units, all can be off
    return getattr(networks, name)(SHAPE, **(SMALL | PLAIN)[name], **options)


def _outputs(model, *arguments):
    results = model(arguments[0] if len(arguments) == 1 else list(arguments), training=False)
    return [np.asarray(result) for result in (results if isinstance(results, list) else [results])]


def _arguments(model):
    generator = np.random.default_rng(0)
    arguments = [generator.normal(size=(3, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    return arguments[:1] + [np.eye(10, dtype="float32")[[1, 5, 9]]][: len(arguments) - 1]


def test_every_builder_is_tried():
    assert sorted(SMALL | PLAIN) == [name for name in networks.__all__ if name[0].islower()]


@pytest.mark.parametrize("name", SMALL)
def test_a_conditional_network_takes_one_hot_labels_too(name):
    model, plain = _built(name, num_classes=10), _built(name)
    first = ("images", (None, *SHAPE)) if name in OF_IMAGES else ("latents", (None, 3))
    described = [(tensor.name, tuple(tensor.shape)) for tensor in model.inputs]
    assert described == [first, ("labels", (None, 10))]
    assert model.output_shape == plain.output_shape
    assert model.name == plain.name
    assert len(plain.inputs) == 1 and not isinstance(plain.input_shape, list)


@pytest.mark.parametrize("name", SMALL)
def test_the_label_matters(name):
    model = _built(name, num_classes=10)
    values, _ = _arguments(model)
    values[:] = values[:1]  # the same image or latent, three labels
    for output in _outputs(model, values, np.eye(10, dtype="float32")[[1, 5, 5]]):
        assert not np.allclose(output[0], output[1], rtol=1e-6, atol=0)
        np.testing.assert_allclose(output[1], output[2], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", OF_IMAGES)
def test_the_label_is_a_learned_plane_beside_the_image(name):
    model = _built(name, num_classes=10)
    (kernel,) = model.get_layer("label_plane").weights
    assert kernel.shape == (10, 64)
    joined = next(layer for layer in model.layers if type(layer).__name__ == "Concatenate")
    images, labels = _arguments(model)
    both = np.asarray(keras.Model(model.inputs, joined.output)([images, labels]))
    np.testing.assert_array_equal(both[..., :1], images)
    np.testing.assert_allclose(both[..., 1], np.asarray(kernel)[[1, 5, 9]].reshape(3, 8, 8), rtol=1e-6)


@pytest.mark.parametrize("name", OF_LATENTS)
def test_the_label_is_joined_to_the_latent(name):
    model = _built(name, num_classes=10)
    joined = next(layer for layer in model.layers if type(layer).__name__ == "Concatenate")
    latents, labels = _arguments(model)
    both = np.asarray(keras.Model(model.inputs, joined.output)([latents, labels]))
    np.testing.assert_array_equal(both, np.concatenate([latents, labels], axis=1))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("num_classes", [-1, 1.0, True, None, "10", (10,)], ids=repr)
def test_a_bad_number_of_classes_is_refused_by_name(name, num_classes):
    with pytest.raises(UsageError, match="^num_classes must be an integer of at least 0"):
        _built(name, num_classes=num_classes)


@pytest.mark.parametrize(
    "name",
    mostly_slow(
        SMALL | PLAIN, "lstm_encoder", "transposed_conv_generator", "deep_conv_discriminator", "resizing_decoder"
    ),
)
def test_a_file_restores_a_network(name, tmp_path):
    options = {} if name in PLAIN else {"num_classes": 10}
    for index, model in enumerate((_built(name), _built(name, **options))):
        path = tmp_path / f"{index}.keras"
        model.save(path)
        loaded = keras.saving.load_model(path)
        arguments = _arguments(model)
        for before, after in zip(_outputs(model, *arguments), _outputs(loaded, *arguments), strict=True):
            np.testing.assert_array_equal(before, after)
