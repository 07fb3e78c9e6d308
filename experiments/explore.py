"""Walk trained models in the browser: sample, move latents, interpolate, reconstruct a drawing.

python experiments/explore.py saved_models/vae-mlp
"""

from __future__ import annotations

from pathlib import Path

from keras_gen import command
from keras_gen.exploring import page


def parser() -> command.ArgumentParser:
    """The command line."""
    parser = command.ArgumentParser(
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
        default=page.HOST,
        help="interface to listen on; with another one than this machine's own, others "
        "who reach it can use the page, without a password",
    )
    parser.add_argument("--port", type=int, default=page.PORT, help="to listen on")
    return parser


def main() -> None:
    """Parse, load, serve until Ctrl-C."""
    arguments = parser().parse_args()
    page.check_gradio()
    page.check_address(arguments.host, arguments.port)
    command.load_tensorflow()

    from keras_gen.exploring.explorer import Explorer

    explorers = [Explorer(path) for path in arguments.paths]
    page.serve(explorers, arguments.host, arguments.port, lambda url: print(f"open {url} (Ctrl-C ends it)", flush=True))


if __name__ == "__main__":
    command.main(main)
