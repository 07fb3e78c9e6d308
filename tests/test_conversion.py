"""ONNX and LiteRT files compute what the SavedModel does."""

import importlib.util
import types

import numpy as np
import pytest
import tensorflow as tf
from command_helpers import call
from model_helpers import CLASSES, LATENT, SHAPE, make_denoiser, make_gan, make_vae

from keras_gen import UsageError, zoo
from keras_gen.models import conversion, export, sampling

needs_onnx = pytest.mark.skipif(
    None in map(importlib.util.find_spec, ("tf2onnx", "onnxruntime")), reason="needs pip install 'keras-gen-zoo[onnx]'"
)
FORMATS = [pytest.param("onnx", marks=needs_onnx), "litert"]

IMAGES = np.random.default_rng(0).integers(0, 256, (3, *SHAPE), np.uint8)
SMALL = {"width": 4, "hidden": 8, "units": 8}
LATENTS = np.random.default_rng(1).normal(size=(3, LATENT)).astype("float32")
MANY = np.random.default_rng(2).normal(size=(sampling.CHUNK + 1, LATENT)).astype("float32")


def run_onnx(path, *inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return dict(
        zip([each.name for each in session.get_outputs()], session.run(None, dict(zip(names, inputs, strict=True))))
    )


def run_litert(path, *inputs):
    runner = tf.lite.Interpreter(model_path=str(path)).get_signature_runner()
    names = sorted(runner.get_input_details(), key=["images", "latents", "labels"].index)
    return runner(**dict(zip(names, inputs, strict=True)))


def assert_same(path, format, saved, function, *inputs):
    """Check the outputs of a converted file against those of the SavedModel."""
    expected = getattr(tf.saved_model.load(str(saved)), function)(*map(tf.constant, inputs))
    found = (run_onnx if format == "onnx" else run_litert)(path, *inputs)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.numpy().dtype and found[name].shape == value.shape
        atol = 1 if value.dtype == tf.uint8 else 1e-5  # where a value is rounded either way
        np.testing.assert_allclose(found[name].astype(float), value.numpy().astype(float), atol=atol)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(
    ("make", "function", "inputs"),
    [
        pytest.param(make_vae, "reconstruct", [IMAGES], id="vae"),
        pytest.param(make_vae, "encode", [IMAGES], marks=pytest.mark.slow, id="encoder"),
        pytest.param(make_gan, "decode", [LATENTS], marks=pytest.mark.slow, id="gan"),
        pytest.param(make_denoiser, "reconstruct", [IMAGES], marks=pytest.mark.slow, id="denoiser"),
        pytest.param(make_gan, "decode", [MANY], marks=pytest.mark.slow, id="several-chunks"),
        pytest.param(
            lambda: make_vae(num_classes=CLASSES),
            "decode",
            [LATENTS, np.array([0, 2, 1], np.int32)],
            marks=pytest.mark.slow,
            id="conditional",
        ),
    ],
)
def test_a_converted_function_computes_what_the_saved_model_does(format, make, function, inputs, tmp_path):
    saved = export.save(make(), tmp_path / "saved")
    [suffix] = [suffix for suffix, name in conversion.FORMATS.items() if name == format]
    out = conversion.convert(saved, tmp_path / f"it{suffix}", function)
    assert_same(out, format, saved, function, *inputs)


@needs_onnx
def test_half_precision_is_kept_and_a_model_exports_itself(tmp_path):
    model = make_vae()
    model.export(tmp_path / "decode.onnx", format="onnx", function="decode")
    assert_same(tmp_path / "decode.onnx", "onnx", export.save(model, tmp_path / "full"), "decode", LATENTS)
    half = export.save(model, tmp_path / "half", half_precision=True)
    assert_same(conversion.convert(half, tmp_path / "half.onnx"), "onnx", half, "decode", LATENTS)


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("recipe", [recipe.name for recipe in zoo.recipes()])
def test_every_recipe_can_be_converted_to_onnx(recipe, tmp_path):
    small = {name: value for name, value in SMALL.items() if name in zoo.get(recipe).parameters}
    model = zoo.build(recipe, seed=0, **small)
    saved = export.save(model, tmp_path / "saved")
    for function in set(model.endpoints()) & set(conversion.FUNCTIONS):
        out = conversion.convert(saved, tmp_path / f"{function}.onnx", function)
        [spec] = tf.saved_model.load(str(saved)).signatures[function].structured_input_signature[1].values()
        shape = (2, *spec.shape[1:])
        rng = np.random.default_rng(0)
        given = rng.integers(0, 256, shape, np.uint8) if spec.dtype == tf.uint8 else rng.normal(size=shape)
        assert_same(out, "onnx", saved, function, given.astype(spec.dtype.as_numpy_dtype))


@pytest.mark.slow
def test_a_recurrent_encoder_needs_the_flex_delegate_and_a_note_says_so(tmp_path, capsys):
    saved = export.save(zoo.build("vae-lstm", seed=0, units=8), tmp_path / "saved")
    assert conversion.convert(saved, tmp_path / "encode.tflite", "encode").stat().st_size > 1000
    assert "its interpreter needs the Flex delegate" in capsys.readouterr().out


class Converter:
    """A stand-in for TensorFlow's converter that refuses builtin operations only, with the message of missing ones."""

    target_spec = types.SimpleNamespace(supported_ops=None)

    def convert(self):
        if self.target_spec.supported_ops is None:
            raise RuntimeError(
                "Some ops are not supported by the native TFLite runtime, you can enable TF kernels "
                "fallback using TF Select."
            )
        return b"converted"


def test_operations_without_a_builtin_are_converted_with_flex(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tf.lite.TFLiteConverter, "from_saved_model", lambda *arguments, **options: Converter())
    saved = export.save(make_gan(), tmp_path / "saved")
    assert conversion.convert(saved, tmp_path / "it.tflite", "decode").read_bytes() == b"converted"
    assert "its interpreter needs the Flex delegate" in capsys.readouterr().out


def test_the_command_writes_a_file(tmp_path):
    saved = export.save(make_gan(), tmp_path / "saved")
    outcome = call("convert", saved, "--out", tmp_path / "decode.tflite")
    assert outcome.code == 0 and "decode.tflite, 0." in outcome.out
    assert_same(tmp_path / "decode.tflite", "litert", saved, "decode", LATENTS)
    assert "argument --out: must be a file name that ends in .onnx or .tflite" in call("convert", saved, "--out", "x.pb").error
    assert "path must be a SavedModel, a finished run" in call("convert", "nowhere").error
    assert "function encode" in call("convert", saved, "--function", "encode", "--out", tmp_path / "x.tflite").error
    outcome = call("convert", saved, "--function", "generate", "--out", tmp_path / "x.tflite")
    assert "function must be one of decode, encode, reconstruct, received: 'generate'" in outcome.error


def test_what_is_missing_or_wrong_is_named(tmp_path, monkeypatch):
    saved = export.save(make_gan(), tmp_path / "saved")
    model = make_gan()
    with pytest.raises(UsageError, match="format must be one of onnx, litert, received: 'openvino'"):
        model.export(tmp_path / "x.onnx", format="openvino", function="decode")
    with pytest.raises(UsageError, match="filepath must be a file name with the suffix of format litert"):
        model.export(tmp_path / "x.onnx", format="litert", function="decode")
    with pytest.raises(UsageError, match="function must be left out with overwrite, input_signature"):
        model.export(tmp_path / "x.onnx", "onnx", None, [1], function="decode", overwrite=True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="format onnx needs tf2onnx, which is not installed"):
        conversion.convert(saved, tmp_path / "x.onnx")
    monkeypatch.setattr(conversion, "_litert", lambda *arguments: 1 / 0)
    with pytest.raises(UsageError, match="decode of .*saved can't be converted to litert: division by zero"):
        conversion.convert(saved, tmp_path / "x.tflite")
