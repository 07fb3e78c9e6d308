"""Convert functions of a SavedModel to ONNX and LiteRT, for programs without TensorFlow."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import tensorflow as tf

from keras_gen.models import export
from keras_gen.utils import checks, files
from keras_gen.utils.errors import UsageError, must_be, one_line
from keras_gen.utils.progress import print_line

FORMATS = {".onnx": "onnx", ".tflite": "litert"}
"""Formats by the ending of their files."""

FUNCTIONS = ("decode", "encode", "reconstruct")
"""Functions that can be converted: `generate` draws random numbers, which these formats do not."""

OPSET = 18
"""Version of ONNX's operators."""


def convert(path: str | os.PathLike, out: str | os.PathLike, function: str = "decode") -> Path:
    """Convert a function of a SavedModel to a file of another format.

    The inputs are called `input_latents`, `input_images` and, for a conditional model, `input_labels` in ONNX; outputs
    have the names of the SavedModel's. Images are uint8, as there.

    Args:
        path: str or path of a SavedModel or a finished run, or the name of a trained model, as in `keras_gen.zoo.load`.
        out: str or path, the file to write, atomically. Its ending is its format: `.onnx`, which needs the package
            tf2onnx, or `.tflite` for LiteRT.
        function: str, one of `FUNCTIONS`. Defaults to `"decode"`.

    Returns:
        The file.

    Raises:
        UsageError: there is no SavedModel, it lacks the function, `out` has another ending, tf2onnx is not installed,
            or the converter fails.

    Example:
        >>> convert("vae-mlp", "decode.onnx").name  # doctest: +SKIP
        'decode.onnx'
    """
    out = Path(out)
    checks.one_of("function", function, FUNCTIONS)
    if out.suffix not in FORMATS:
        raise must_be("out", f"a file name that ends in {' or '.join(FORMATS)}", str(out))
    format = FORMATS[out.suffix]
    if format == "onnx" and importlib.util.find_spec("tf2onnx") is None:
        raise UsageError("format onnx needs tf2onnx, which is not installed: pip install tf2onnx")
    loaded = export.load(path, function)
    try:
        content = _onnx(loaded, function) if format == "onnx" else _litert(export.find(path), function)
    except Exception as error:  # which exception a converter raises depends on the operation
        raise UsageError(f"{function} of {path} can't be converted to {format}: {one_line(error)}") from error
    with files.atomic_path(out) as temporary:
        temporary.write_bytes(content)
    return out


def _onnx(loaded, function: str) -> bytes:
    import tf2onnx

    specs = loaded.signatures[function].structured_input_signature[1].values()
    specs = sorted(specs, key=lambda spec: spec.name == "labels")  # the last argument
    # tf2onnx takes an input and an output of one name for the same.
    named = [tf.TensorSpec(spec.shape, spec.dtype, f"input_{spec.name}") for spec in specs]
    traced = tf.function(lambda *arguments: getattr(loaded, function)(*arguments), autograph=False)
    model, _ = tf2onnx.convert.from_function(traced, input_signature=named, opset=OPSET)
    return model.SerializeToString()


def _litert(folder: Path, function: str) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(os.fspath(folder), signature_keys=[function])
    try:
        return converter.convert()
    except Exception as error:
        # TensorFlow's messages have either name of the remedy.
        if not any(name in str(error) for name in ("SELECT_TF_OPS", "TF Select")):
            raise
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    content = converter.convert()
    print_line("NOTE: the file contains TensorFlow operations: its interpreter needs the Flex delegate")
    return content
