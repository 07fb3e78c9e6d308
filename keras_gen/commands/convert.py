"""The command `experiments/convert.py`: convert a function of a trained model to ONNX or LiteRT."""

from __future__ import annotations

from pathlib import Path

from keras_gen.commands import cli
from keras_gen.utils import trained_models
from keras_gen.utils.progress import print_line


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    description = "Convert a function of a trained model to ONNX or LiteRT, for programs without TensorFlow."
    parser = cli.ArgumentParser(description=description)
    add = parser.add_argument
    add("path", type=cli.path, help=cli.MODEL_HELP)
    add("--function", default="decode", metavar="NAME", help="decode, encode or reconstruct")
    out = ".onnx for ONNX (needs tf2onnx), .tflite for LiteRT; replaced if it exists; default: FUNCTION.onnx"
    add("--out", type=cli.new_file(".onnx", ".tflite"), metavar="FILE", help=out)
    return parser


def main() -> None:
    """Run the command: parse, convert, print the file."""
    arguments = parser().parse_args()
    out = arguments.out or Path(f"{arguments.function}.onnx")
    trained_models.find_saved_model(arguments.path)  # reject a wrong path before importing TensorFlow
    cli.load_tensorflow()
    from keras_gen.models import conversion

    path = conversion.convert(arguments.path, out, arguments.function)
    print_line(f"{arguments.function} of {arguments.path}: {path}, {path.stat().st_size / 1e6:.1f} MB")
