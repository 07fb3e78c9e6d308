"""The command `experiments/run.py`: train a recipe, list the recipes, or resume a run."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from keras_gen import zoo
from keras_gen.commands import cli, run_options
from keras_gen.distribution import cluster
from keras_gen.runs.settings import RunSettings, read_settings
from keras_gen.utils import trained_models
from keras_gen.utils.command_lines import command
from keras_gen.utils.errors import UsageError, must_be, one_line
from keras_gen.utils.progress import print_line
from keras_gen.utils.text import counted

if TYPE_CHECKING:
    import keras


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(description="Train a recipe of the zoo, list the recipes, or resume a run.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--model", metavar="NAME", help="recipe to train, by name or alias")
    mode.add_argument("--list", action="store_true", help="list the recipes and their parameters")
    mode.add_argument("--resume", metavar="RUN", type=cli.path, help="run directory to resume")
    run_options.add_recipes(parser)
    groups = run_options.add_settings(parser)
    running, results = groups["running"], groups["results"]
    workers = "addresses of all machines that train together, the same list on each; default: those in TF_CONFIG"
    running.add_argument("--workers", metavar="HOST:PORT,...", help=workers)
    index = "index of this machine in --workers; worker 0 writes all files"
    running.add_argument("--worker-index", type=int, metavar="I", help=index)
    wait = "maximum time to wait for the other workers"
    running.add_argument("--worker-wait", type=float, default=cluster.PATIENCE, metavar="SECONDS", help=wait)
    callback = "function that maps the run's settings to a Keras callback, such as one that logs to another service"
    running.add_argument("--callback", action="append", default=[], metavar="MODULE:FUNCTION", help=callback)
    results.add_argument("--out", type=cli.path, default=Path("runs"), metavar="DIR", help="folder of run directories")
    results.add_argument("--export", type=cli.path, metavar="DIR", help="folder for another copy of the SavedModel")
    functions = "functions of the exported SavedModel, separated by commas; default: all"
    results.add_argument("--export-functions", metavar="NAMES", help=functions)
    results.add_argument(
        "--export-half", action="store_true", help="save the exported weights as float16: half the size"
    )
    results.add_argument("--overwrite", action="store_true", help="let --export replace an existing SavedModel")
    return parser


def main() -> None:
    """Run the command: parse, then list, train or resume."""
    command_line = parser()
    arguments = command_line.parse_args()
    check_combination(command_line, arguments)
    run_options.load_recipes(arguments)
    if arguments.list:
        list_recipes()
        return
    if arguments.resume:
        read_settings(arguments.resume)  # reject a wrong path before importing TensorFlow
    else:
        settings = run_options.settings_of(arguments)
    workers = cluster.from_arguments(arguments.workers, arguments.worker_index, arguments.worker_wait)
    cli.load_tensorflow(devices=workers is None and cluster.VARIABLE not in os.environ)
    from keras_gen import training

    options = {"cluster": workers, "callbacks": [callback_maker(word) for word in arguments.callback]}
    if arguments.export is not None:
        functions = None if arguments.export_functions is None else arguments.export_functions.split(",")
        options["export_options"] = training.ExportOptions(
            arguments.export, functions, arguments.export_half, arguments.overwrite
        )
    try:
        if arguments.resume:
            options |= {"epochs": arguments.epochs, "dataset": arguments.dataset, "data_dir": arguments.data_dir}
            training.resume(arguments.resume, **options)
        else:
            training.run(settings, out=arguments.out, **options)
    except training.RunInterrupted as interruption:
        cli.fail(str(interruption), interruption.exit_code)


def callback_maker(word: str) -> Callable[[RunSettings], keras.callbacks.Callback]:
    """Return a function that makes a Keras callback from the run's settings, by means of a function of a module.

    Args:
        word: str, `module:function`; the module may be in the working directory. It is a program.
    """
    module, colon, name = word.partition(":")
    if not (module and colon and name):
        raise must_be("--callback", "module:function", word)

    def make(settings: RunSettings) -> keras.callbacks.Callback:
        import keras

        folder = os.getcwd()
        sys.path.insert(0, folder)
        try:
            made = getattr(importlib.import_module(module), name)(settings)
        except Exception as error:
            raise UsageError(f"--callback {word} can't be used: {type(error).__name__}: {one_line(error)}") from error
        finally:
            sys.path.remove(folder)
        if not isinstance(made, keras.callbacks.Callback):
            raise must_be(f"--callback {word}", "a function that returns a Keras callback", type(made).__name__)
        return made

    return make


def check_combination(parser: cli.ArgumentParser, arguments) -> None:
    """Reject options that would have no effect."""
    everything, export_options = vars(arguments).keys(), {"export_functions", "export_half", "overwrite"}
    reasons = dict.fromkeys(export_options, "it needs --export") if arguments.export is None else {}
    if arguments.workers is None:
        reasons["worker_wait"] = "it needs --workers"
    if arguments.list:
        reasons |= dict.fromkeys(everything - {"list", "recipes"}, "--list only lists")
    elif arguments.resume:
        own = {"resume", "recipes", "callback", "epochs", "dataset", "data_dir", "export", *export_options}
        own |= {"workers", "worker_index", "worker_wait"}
        reasons |= dict.fromkeys(everything - own, "a resumed run keeps its own settings")
    parser.refuse(arguments, reasons)


def list_recipes() -> None:
    """Print every recipe with its data, report, size and parameters."""
    for recipe in zoo.recipes():
        names = " ".join((recipe.name, *(f"(= {alias})" for alias in recipe.aliases)))
        print_line(f"{names}: {recipe.summary}")
        print_line(
            f"    {recipe.source}, {recipe.dataset}, {counted(recipe.epochs, 'epoch')}, batch size {recipe.batch_size}"
            + ("" if recipe.weights is None else f", {recipe.weights:,} trainable weights")
        )
        print_line("    --set " + " ".join(f"{p.name}={p.default}" for p in recipe.parameters.values()))
    if names := trained_models.names():
        print_line()
        print_line(f"trained models: {' '.join(names)}; generate images: {command('sample', names[0])}")
