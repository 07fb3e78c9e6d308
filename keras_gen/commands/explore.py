"""The command `experiments/explore.py`: walk trained models in the browser: sample, move latents, interpolate, reconstruct a drawing."""

from __future__ import annotations

from pathlib import Path

from keras_gen.commands import cli
from keras_gen.report.explorer import app


def parser() -> cli.ArgumentParser:
    """The command line."""
    parser = cli.ArgumentParser(
        description="Walk trained models in the browser: sample, move latents, interpolate, reconstruct a drawing."
    )
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="SavedModel folder, or run directory; a SavedModel is a program: give only ones you trust",
    )
    parser.add_argument(
        "--host",
        default=app.HOST,
        help="interface to listen on; with another one than this machine's own, others "
        "who reach it can use the page, without a password",
    )
    parser.add_argument("--port", type=int, default=app.PORT, help="to listen on")
    return parser


def main() -> None:
    """Parse, load, serve until Ctrl-C."""
    arguments = parser().parse_args()
    app.check_gradio()
    app.check_address(arguments.host, arguments.port)
    cli.load_tensorflow()

    from keras_gen.report.explorer.model import Explorer

    explorers = [Explorer(path) for path in arguments.paths]
    app.serve(explorers, arguments.host, arguments.port, lambda url: print(f"open {url} (Ctrl-C ends it)", flush=True))
