"""The command `experiments/run.py`: train a recipe, list the recipes, or resume a run."""

from __future__ import annotations

import os
from pathlib import Path

from keras_gen import zoo
from keras_gen.commands import cli, run_options
from keras_gen.distribution import cluster
from keras_gen.runs import run_directory
from keras_gen.utils import trained_models
from keras_gen.utils.command_lines import command
from keras_gen.utils.errors import UsageError
from keras_gen.utils.progress import print_line


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
    running.add_argument(
        "--workers",
        metavar="HOST:PORT,...",
        help="addresses of all machines that train together, the same list on each; default: those in TF_CONFIG",
    )
    running.add_argument(
        "--worker-index", type=int, metavar="I", help="index of this machine in --workers; worker 0 writes all files"
    )
    running.add_argument(
        "--worker-wait",
        type=float,
        default=cluster.PATIENCE,
        metavar="SECONDS",
        help="maximum time to wait for the other workers",
    )
    results.add_argument("--out", type=cli.path, default=Path("runs"), metavar="DIR", help="folder of run directories")
    results.add_argument("--export", type=cli.path, metavar="DIR", help="folder for a further copy of the SavedModel")
    results.add_argument(
        "--export-functions",
        metavar="NAMES",
        help="functions of the exported SavedModel, separated by commas; default: all",
    )
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
        run_directory.read_recipe(arguments.resume)  # reject a wrong path before importing TensorFlow
        settings = None
    else:
        settings = run_options.settings_of(arguments)
    workers = cluster.from_arguments(arguments.workers, arguments.worker_index, arguments.worker_wait)
    cli.load_tensorflow(devices=workers is None and cluster.VARIABLE not in os.environ)
    from keras_gen import training

    export_options = None
    if arguments.export is not None:
        functions = None if arguments.export_functions is None else arguments.export_functions.split(",")
        export_options = training.ExportOptions(arguments.export, functions, arguments.export_half, arguments.overwrite)
    try:
        if arguments.resume:
            training.resume(
                arguments.resume,
                epochs=arguments.epochs,
                dataset=arguments.dataset,
                data_dir=arguments.data_dir,
                export_options=export_options,
                cluster=workers,
            )
        else:
            training.run(settings, out=arguments.out, export_options=export_options, cluster=workers)
    except training.RunInterrupted as interruption:
        cli.fail(str(interruption), interruption.exit_code)


def check_combination(parser: cli.ArgumentParser, arguments) -> None:
    """Reject options that would have no effect."""
    everything, forbidden = set(vars(arguments)), {}
    export_options = {"export_functions", "export_half", "overwrite"}
    if arguments.list:
        forbidden |= dict.fromkeys(everything - {"list", "recipes"}, "--list only lists")
    elif arguments.resume:
        own = {"resume", "recipes", "epochs", "dataset", "data_dir", "export", *export_options}
        own |= {"workers", "worker_index", "worker_wait"}
        forbidden |= dict.fromkeys(everything - own, "a resumed run keeps its own settings")
    if arguments.export is None:
        forbidden = dict.fromkeys(export_options, "it needs --export") | forbidden
    if arguments.workers is None:
        forbidden = {"worker_wait": "it needs --workers"} | forbidden
    for name, why in forbidden.items():
        if getattr(arguments, name) != parser.get_default(name):
            option = run_options.OPTIONS.get(name, "--" + name.replace("_", "-"))
            raise UsageError(f"{option} can't be used here: {why}")


def list_recipes() -> None:
    """Print every recipe with its data, report, size and parameters."""
    for recipe in zoo.recipes():
        names = " ".join((recipe.name, *(f"(= {alias})" for alias in recipe.aliases)))
        print_line(f"{names}: {recipe.summary}")
        print_line(
            f"    {recipe.source}, {recipe.dataset}, {recipe.epochs} epochs of batch {recipe.batch_size}"
            + ("" if recipe.weights is None else f", {recipe.weights:,} trainable weights")
        )
        print_line("    --set " + " ".join(f"{p.name}={p.default}" for p in recipe.parameters.values()))
    if names := trained_models.names():
        print_line()
        print_line(f"trained models: {' '.join(names)}; for images: {command('sample', names[0])}")
