"""The command `experiments/run.py`: train a recipe, list the recipes, or resume a run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from keras_gen import zoo
from keras_gen.commands import cli
from keras_gen.distribution import cluster
from keras_gen.metrics import extractors
from keras_gen.runs import run_directory
from keras_gen.runs.settings import RunSettings
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(description="Train a recipe of the zoo, list the recipes, or resume a run.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--model", metavar="NAME", help="recipe to train, by name or alias")
    mode.add_argument("--list", action="store_true", help="list the recipes and their parameters")
    mode.add_argument("--resume", metavar="RUN", type=Path, help="run directory to resume")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="parameters of the recipe"
    )
    parser.add_argument("--epochs", type=int, help="passes over the training images; default: the recipe's")
    parser.add_argument("--batch-size", type=int, help="real images per update; default: the recipe's")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, data order, dropout and noise")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--dataset", metavar="NAME", help="named data set, .npz file or folder of images; default: the recipe's"
    )
    data.add_argument(
        "--data-dir", metavar="DIR", help="folder with NAME.npz or prepared data; default: $KERAS_GEN_DATA"
    )
    data.add_argument("--image-size", type=int, metavar="PIXELS", help="crop to squares and resize to this side")
    data.add_argument("--channels", type=int, metavar="N", help="1 for gray, 3 for color")
    data.add_argument("--binarize", metavar="RULE", help="threshold or stochastic")
    running = parser.add_argument_group("running")
    running.add_argument("--strategy", default="auto", help="devices: " + ", ".join(checks.STRATEGIES))
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
    running.add_argument(
        "--precision", default="float32", help="precision of the networks' layers: " + ", ".join(checks.PRECISIONS)
    )
    running.add_argument(
        "--steps-per-execution",
        type=int,
        metavar="N",
        help="maximum number of train steps per TensorFlow call; results are the same; default: the recipe's",
    )
    running.add_argument(
        "--jit-compile", action="store_true", help="compile train steps with XLA, on one device; random draws differ"
    )
    running.add_argument(
        "--checkpoint-every",
        default=1,
        metavar="N",
        help="interval between checkpoints: a number of epochs, or for example 500steps or 5minutes",
    )
    running.add_argument(
        "--deterministic",
        action="store_true",
        help="use only operations that give the same bits each time; resume only in an unchanged environment",
    )
    results = parser.add_argument_group("results")
    results.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR", help="folder of run directories")
    results.add_argument(
        "--samples-every", type=int, default=1, metavar="EPOCHS", help="epochs between sample grids; 0 for none"
    )
    results.add_argument("--samples", type=int, default=100, metavar="N", help="number of images in a sample grid")
    results.add_argument(
        "--fid-every",
        type=int,
        metavar="EPOCHS",
        help="epochs between Fréchet distances of generated to training images; 0 for none; default: the recipe's",
    )
    results.add_argument(
        "--fid-images", type=int, default=1000, metavar="N", help="number of generated images per Fréchet distance"
    )
    results.add_argument(
        "--extractor",
        default="auto",
        metavar="NAME",
        help="feature extractor of the Fréchet distances: auto, "
        + ", ".join(extractors.NAMES)
        + "; if named, it is downloaded",
    )
    results.add_argument(
        "--extractor-weights",
        metavar="PATH",
        help="file with the extractor's weights; that of inception-2015 is a program: use only files you trust",
    )
    results.add_argument("--export", type=Path, metavar="DIR", help="folder for a further copy of the SavedModel")
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
    if arguments.list:
        list_recipes()
        return
    if arguments.resume:
        run_directory.read_recipe(arguments.resume)  # reject a wrong path before importing TensorFlow
        settings = None
    else:
        settings = settings_of(arguments)
    workers = cluster.from_arguments(arguments.workers, arguments.worker_index, arguments.worker_wait)
    cli.load_tensorflow(devices=workers is None and cluster.VARIABLE not in os.environ)
    from keras_gen import training

    export_options = None
    if arguments.export is not None:
        functions = None if arguments.export_functions is None else arguments.export_functions.split(",")
        export_options = training.ExportOptions(arguments.export, functions, arguments.export_half, arguments.overwrite)
    try:
        if arguments.resume:
            training.resume(arguments.resume, epochs=arguments.epochs, export_options=export_options, cluster=workers)
        else:
            training.run(settings, out=arguments.out, export_options=export_options, cluster=workers)
    except training.RunInterrupted as interruption:
        cli.fail(str(interruption), interruption.exit_code)


def check_combination(parser: cli.ArgumentParser, arguments) -> None:
    """Reject options that would have no effect."""
    everything, forbidden = set(vars(arguments)), {}
    export_options = {"export_functions", "export_half", "overwrite"}
    if arguments.list:
        forbidden |= dict.fromkeys(everything - {"list"}, "--list only lists")
    elif arguments.resume:
        own = {"resume", "epochs", "export", *export_options, "workers", "worker_index", "worker_wait"}
        forbidden |= dict.fromkeys(everything - own, "a resumed run keeps its own settings")
    if arguments.export is None:
        forbidden = dict.fromkeys(export_options, "it needs --export") | forbidden
    if arguments.workers is None:
        forbidden = {"worker_wait": "it needs --workers"} | forbidden
    for name, why in forbidden.items():
        if getattr(arguments, name) != parser.get_default(name):
            raise UsageError(f"--{name.replace('_', '-')} can't be used here: {why}")


def settings_of(arguments) -> RunSettings:
    """Return the settings given on the command line."""
    return RunSettings(
        model=arguments.model,
        overrides=zoo.get(arguments.model).parse_overrides(arguments.set),
        dataset=arguments.dataset,
        data_dir=arguments.data_dir,
        image_size=arguments.image_size,
        channels=arguments.channels,
        binarize=arguments.binarize,
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
        strategy=arguments.strategy,
        samples_every=arguments.samples_every,
        sample_count=arguments.samples,
        fid_every=arguments.fid_every,
        fid_images=arguments.fid_images,
        extractor=arguments.extractor,
        extractor_weights=arguments.extractor_weights,
        precision=arguments.precision,
        steps_per_execution=arguments.steps_per_execution,
        jit_compile=arguments.jit_compile,
        checkpoint_every=arguments.checkpoint_every,
        deterministic=arguments.deterministic,
    )


def list_recipes() -> None:
    """Print every recipe with its data, report, size and parameters."""
    for recipe in zoo.recipes():
        names = " ".join((recipe.name, *(f"(= {alias})" for alias in recipe.aliases)))
        print(f"{names}: {recipe.summary}")
        print(
            f"    {recipe.source}, {recipe.dataset}, {recipe.epochs} epochs of batch {recipe.batch_size}, "
            f"{recipe.weights:,} trainable weights"
        )
        print("    --set " + " ".join(f"{p.name}={p.default}" for p in recipe.parameters.values()))


if __name__ == "__main__":  # a member of a sweep
    sys.argv[0] = "experiments/run.py"  # the command that the run's record shows
    cli.main(main)
