"""Mixed precision (bfloat16): layers, losses, images and SavedModels."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_helpers import mostly_slow

from keras_gen import UsageError, networks, zoo
from keras_gen.models import export
from keras_gen.networks.layers import Conv2D, Conv2DTranspose, Dense, NarrowConv2D

SHAPE = (12, 12, 1)
RECIPES = {
    "vae-mlp": {"hidden": 8, "latent_dim": 2},
    "vae-lstm": {"units": 4, "latent_dim": 3},
    "vae-conv": {"width": 4, "latent_dim": 3, "depth": 2},
    "dae-conv": {},
    "gan-conv": {"latent_dim": 3, "moving_average": 0.9, "dropout": 0.4},
    "wgan-gp": {"latent_dim": 3, "width": 4, "critic_steps": 2},
}


def pictures(count=40):
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def layers_of(model):
    networks = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return [layer for network in networks for layer in network.layers if layer.weights]


@pytest.fixture(scope="module", params=mostly_slow(RECIPES, "vae-mlp"))
def models(request):
    """Build a recipe in both precisions, with the same weights, and train both on the same images."""
    built = {"recipe": request.param}
    for precision in ("float32", "bfloat16"):
        model = zoo.build(request.param, SHAPE, seed=0, precision=precision, **RECIPES[request.param])
        before = model.evaluate(pictures(), batch_size=10, verbose=0, return_dict=True)
        history = model.fit(pictures(), batch_size=20, epochs=1, shuffle=False, verbose=0).history
        built[precision] = model, before, history
    return built


def test_layers_compute_in_bfloat16_and_everything_that_is_kept_is_float32(models):
    model = models["bfloat16"][0]
    scores = {layer for layer in layers_of(model) if layer.output.shape[1:] == (1,)}
    assert {layer.compute_dtype for layer in layers_of(model) if layer not in scores} == {"bfloat16"}
    assert [layer.compute_dtype for layer in scores] == ["float32"] * hasattr(model, "discriminator")
    kept = [*model.trainable_variables, *(v for optimizer in model.optimizers for v in optimizer.variables)]
    assert {str(variable.dtype) for variable in kept} <= {"float32", "int64", "int32"}
    assert {layer.compute_dtype for layer in layers_of(models["float32"][0])} == {"float32"}


def test_losses_are_those_of_float32_but_for_rounding(models):
    """bfloat16 has 8 bits of mantissa: a relative error of 0.4 % in each number."""
    (_, before, history), (_, rounded, rounded_history) = models["float32"], models["bfloat16"]
    assert before.keys() == rounded.keys()
    for name, value in before.items():
        assert rounded[name] == pytest.approx(value, rel=0.01, abs=2e-3), name
    assert all(np.isfinite(values).all() for values in rounded_history.values())
    name = "loss" if "loss" in history else "d_loss" if "d_loss" in history else "critic_loss"
    assert rounded_history[name][-1] == pytest.approx(history[name][-1], rel=0.01, abs=5e-3)
    assert rounded_history != history


def test_its_saved_model_computes_in_float32(models, tmp_path):
    model, name = models["bfloat16"][0], models["recipe"]
    function = "generate" if "generate" in model.endpoints() else "reconstruct"
    before = [layer.dtype_policy.name for layer in layers_of(model)]
    loaded = export.load(export.save(model, tmp_path / "exported", functions=[function]), function)
    assert [layer.dtype_policy.name for layer in layers_of(model)] == before
    same = zoo.build(name, SHAPE, seed=0, precision="float32", **RECIPES[name])
    same.set_weights(model.get_weights())
    assert "DT_BFLOAT16" not in str(loaded.signatures[function].graph.as_graph_def())
    if function == "generate":
        made, found = same.generate(3, seed=1), loaded.generate(n=3, seed=1)
        np.testing.assert_array_equal(found["images_float"], made["images_float"])
        rounded = model.generate(3, seed=1)["images_float"]
        assert rounded.dtype == np.float32
        np.testing.assert_allclose(rounded, made["images_float"], atol=0.02)
    else:
        images = pictures(3)
        np.testing.assert_allclose(loaded.reconstruct(images)["images_float"], same.reconstruct(images), atol=1e-6)


def test_quantized_layers_and_maps_of_policies_are_exported_as_they_are(tmp_path):
    model = zoo.build("vae-mlp", (8, 8, 1), hidden=8, latent_dim=2, seed=0)
    model.decoder.quantize("int8")
    loaded = export.load(export.save(model, tmp_path / "quantized"))
    found, made = (each.generate(3, seed=1)["images_float"] for each in (loaded, model))
    np.testing.assert_allclose(found, made, atol=1e-6)
    policies = keras.dtype_policies.DTypePolicyMap(default_policy="mixed_bfloat16")
    layer = keras.layers.Dense(4, dtype=policies)
    network = keras.Sequential([keras.Input((2,)), layer])
    with export._portable([network]):
        assert layer.compute_dtype == "float32"
    assert layer.compute_dtype == "bfloat16"


def test_the_global_policy_is_unchanged():
    before = keras.config.dtype_policy().name
    zoo.build("vae-mlp", SHAPE, precision="bfloat16", hidden=4)
    with pytest.raises(UsageError):
        zoo.build("vae-mlp", SHAPE, precision="bfloat16", hidden=0)
    assert keras.config.dtype_policy().name == before


@pytest.mark.parametrize("precision", ["float16", "mixed_bfloat16", None, 16])
def test_another_precision_is_refused(precision):
    with pytest.raises(UsageError, match="^precision must be one of float32, bfloat16, received"):
        zoo.build("vae-mlp", SHAPE, precision=precision)


def test_a_narrow_convolution_computes_in_it_too():
    layer = NarrowConv2D(1, 3, dtype="mixed_bfloat16")
    outputs = layer(np.ones((1, 5, 5, 2), "float32"))
    assert (outputs.dtype, layer.kernel.dtype) == ("bfloat16", "float32")


@pytest.mark.parametrize("layer_class", [Dense, Conv2D, Conv2DTranspose, NarrowConv2D])
@pytest.mark.parametrize("is_compiled", [False, True], ids=["eager", "function"])
def test_the_gradient_of_a_bias_is_the_sum_although_most_of_it_cancels(layer_class, is_compiled):
    """Those of Keras' layers have errors of up to 29 % here."""
    options = {Dense: {}, NarrowConv2D: {"kernel_size": 3}}.get(layer_class, {"kernel_size": 3, "padding": "same"})
    layer = layer_class(8, dtype="mixed_bfloat16", **options)
    images = np.zeros((64, 14, 14, 4), "float32")
    upstream = tf.cast(1e-3 * np.random.default_rng(0).normal(size=(64, 14, 14, 8)) + 1e-5, "bfloat16")

    def gradient():
        with tf.GradientTape() as tape:
            outputs = layer(images)
        return tape.gradient(outputs, layer.bias.value, output_gradients=upstream)

    layer.build(images.shape)
    gradient = (tf.function(gradient) if is_compiled else gradient)()
    exact = tf.cast(upstream, "float64").numpy().sum((0, 1, 2))
    np.testing.assert_allclose(gradient, exact, rtol=1 / 128)


@pytest.mark.parametrize("recipe", ["gan-mlp", "gan-conv", "sngan"])
def test_a_discriminator_of_small_scores_learns_its_bias(recipe):
    """The gradients of scores of real and generated images are -0.4995 and 0.5005, which bfloat16 rounds to ±0.5."""
    discriminator = zoo.build(recipe, SHAPE, precision="bfloat16").discriminator
    *_, bias = discriminator.trainable_variables
    images = np.zeros((2, *SHAPE), "float32")
    with tf.GradientTape() as tape:
        scores = discriminator(images) - tf.stop_gradient(discriminator(images)) + 0.002
        loss = tf.reduce_mean(tf.nn.softplus(-scores) + tf.nn.softplus(scores))
    assert float(tape.gradient(loss, bias.value)[0]) == pytest.approx(np.tanh(0.001), rel=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("layer_class", [Dense, Conv2D, Conv2DTranspose])
def test_outputs_are_those_of_the_layer_of_keras(layer_class, data_format, dtype):
    options = {} if layer_class is Dense else {"kernel_size": 3, "padding": "same", "data_format": data_format}
    ours = layer_class(5, dtype=dtype, bias_initializer="normal", activation="relu", **options)
    images = np.random.default_rng(0).normal(size=(2, 3, 8, 4)).astype("float32")
    outputs = ours(images)
    theirs = getattr(keras.layers, layer_class.__name__).from_config(ours.get_config())
    theirs.build(images.shape)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_array_equal(tf.cast(outputs, "float32"), tf.cast(theirs(images), "float32"))


def test_a_dense_layer_can_be_quantized():
    network = networks.mlp_encoder((4, 4, 1), latent_dim=2, hidden=(8,))
    network.quantize("int8")
    assert {layer.dtype_policy.name for layer in network.layers if layer.weights} == {"int8_from_float32"}
