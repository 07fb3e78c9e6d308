"""The command `experiments/explore.py`: explore trained models in the browser."""

from __future__ import annotations

from keras_gen.commands import cli
from keras_gen.report.explorer import app
from keras_gen.utils import trained_models
from keras_gen.utils.errors import must_be
from keras_gen.utils.progress import print_line


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(
        description="Explore trained models in the browser: sample, vary latents, interpolate, reconstruct a drawing."
    )
    models = f"{cli.MODEL_HELP}; default: all trained models"
    parser.add_argument("paths", type=cli.path, nargs="*", metavar="PATH", help=models)
    host = "address to listen on; with any but the default, other machines can use the page without a password"
    parser.add_argument("--host", default=app.HOST, help=host)
    parser.add_argument("--port", type=int, default=app.PORT, help="port to listen on")
    return parser


def main() -> None:
    """Run the command: parse, load, serve until Ctrl-C."""
    arguments = parser().parse_args()
    app.check_gradio()
    app.check_address(arguments.host, arguments.port)
    paths = arguments.paths or trained_models.names()
    if not paths:
        raise must_be("PATH", "given, since there are no trained models", None)
    for path in paths:
        trained_models.find_saved_model(path)  # reject a wrong path before importing TensorFlow
    cli.load_tensorflow()

    from keras_gen.report.explorer.model import Explorer

    explorers = [Explorer(path) for path in paths]
    app.serve(explorers, arguments.host, arguments.port, lambda url: print_line(f"open {url} (Ctrl-C to stop)"))
