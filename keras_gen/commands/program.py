"""The program `keras-gen`, also `python -m keras_gen`: the commands of `experiments/` without a checkout."""

from __future__ import annotations

import argparse
import importlib
import sys

import keras_gen
from keras_gen.commands import cli
from keras_gen.utils.command_lines import PROGRAM

COMMANDS = {
    "run": "train a recipe, or resume a run",
    "list": "list the recipes and their parameters",
    "sample": "generate images from a trained model",
    "convert": "convert a function of a trained model to ONNX or LiteRT",
    "evaluate": "evaluate a run",
    "compare": "compare evaluated runs",
    "report": "write the report page of one or more runs",
    "explore": "explore trained models in the browser",
    "sweep": "train a recipe on a grid of settings and seeds, or a list of runs",
    "publish": "publish a trained model with its record, scores and card",
    "reproduce": "retrain a published model or a report's experiments and compare",
}
"""Names of the commands and what they do."""


def parser() -> cli.ArgumentParser:
    """Return the parser of the first word of the command line."""
    commands = "\n".join(f"  {name:10}{text}" for name, text in COMMANDS.items())
    parser = cli.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} COMMAND ...",
        description=f"{keras_gen.__doc__.partition(chr(10))[0]}\n\ncommands:\n{commands}\n",
        epilog=f"`{PROGRAM} COMMAND --help` shows the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {keras_gen.__version__}")
    parser.add_argument("command", metavar="COMMAND", choices=COMMANDS, help="one of the commands above")
    return parser


def main() -> None:
    """Run the command that the first word names, with the other words as its command line."""
    name = parser().parse_args(sys.argv[1:2]).command
    words = sys.argv[2:]
    if name == "list":
        words = ["--list", *words]
    # What usage messages, records and hints show.
    sys.argv = [f"{PROGRAM} {name}", *words]
    module = importlib.import_module(f"keras_gen.commands.{'run' if name == 'list' else name}")
    cli.main(module.main)
