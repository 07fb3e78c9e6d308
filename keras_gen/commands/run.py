"""The command `experiments/run.py`: train a recipe of the zoo, or list the recipes."""

from __future__ import annotations

import os
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
    """The command line."""
    parser = cli.ArgumentParser(description="Train a recipe of the zoo, list the recipes, or resume a run.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", metavar="NAME", help="recipe to train, by name or alias")
    what.add_argument("--list", action="store_true", help="list the recipes and their parameters")
    what.add_argument("--resume", metavar="RUN", type=Path, help="run directory to go on with")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="parameters of the recipe"
    )
    parser.add_argument("--epochs", type=int, help="passes over the training images; the recipe's if not given")
    parser.add_argument("--batch-size", type=int, help="real images of one update; the recipe's if not given")
    parser.add_argument("--seed", type=int, default=0, help="of weights, data order, dropout and noise")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--dataset", metavar="NAME", help="named data set, .npz file or folder of images; the recipe's if not given"
    )
    data.add_argument(
        "--data-dir", metavar="DIR", help="where NAME.npz or prepared data lie; otherwise $KERAS_GEN_DATA"
    )
    data.add_argument("--image-size", type=int, metavar="PIXELS", help="crop to squares and resize to this side")
    data.add_argument("--channels", type=int, metavar="N", help="1 for gray, 3 for color")
    data.add_argument("--binarize", metavar="RULE", help="threshold or stochastic")
    running = parser.add_argument_group("running")
    running.add_argument("--strategy", default="auto", help="devices: " + ", ".join(checks.STRATEGIES))
    running.add_argument(
        "--workers",
        metavar="HOST:PORT,...",
        help="of several machines that train together, the same on each, where TF_CONFIG does not say it",
    )
    running.add_argument("--worker-index", type=int, metavar="I", help="which of them this one is, from 0, who writes")
    running.add_argument(
        "--worker-wait",
        type=float,
        default=cluster.PATIENCE,
        metavar="SECONDS",
        help="how long to wait for the others, at most",
    )
    running.add_argument(
        "--precision", default="float32", help="of the networks' layers: " + ", ".join(checks.PRECISIONS)
    )
    running.add_argument(
        "--steps-per-execution",
        type=int,
        metavar="N",
        help="train steps in one call of TensorFlow, at most; the recipe's if not given; the results are the same",
    )
    running.add_argument(
        "--jit-compile", action="store_true", help="compile train steps with XLA, on one device; other noise is drawn"
    )
    running.add_argument(
        "--checkpoint-every",
        default=1,
        metavar="N",
        help="from one checkpoint to the next: a number of epochs, or such as 500steps or 5minutes",
    )
    running.add_argument(
        "--deterministic",
        action="store_true",
        help="only operations that repeat their bits; resumed only where everything the bits depend on is as it was",
    )
    results = parser.add_argument_group("results")
    results.add_argument("--out", type=Path, default=Path("runs"), metavar="DIR", help="folder of run directories")
    results.add_argument(
        "--samples-every", type=int, default=1, metavar="EPOCHS", help="between sample grids; 0 for none"
    )
    results.add_argument("--samples", type=int, default=100, metavar="N", help="images in a sample grid")
    results.add_argument(
        "--fid-every",
        type=int,
        metavar="EPOCHS",
        help="between Fréchet distances of generated to training images, 0 for none; the recipe's if not given",
    )
    results.add_argument("--fid-images", type=int, default=1000, metavar="N", help="images generated for each of them")
    results.add_argument(
        "--extractor",
        default="auto",
        metavar="NAME",
        help="what looks at them: auto, " + ", ".join(extractors.NAMES) + "; named ones are downloaded",
    )
    results.add_argument(
        "--extractor-weights",
        metavar="PATH",
        help="file of the extractor's weights; inception-2015's is a program: give only one you trust",
    )
    results.add_argument("--export", type=Path, metavar="DIR", help="where else to put the SavedModel")
    results.add_argument("--export-functions", metavar="NAMES", help="only these functions of it, separated by commas")
    results.add_argument("--export-half", action="store_true", help="weights in it as float16: half the size")
    results.add_argument("--overwrite", action="store_true", help="let --export replace an older SavedModel")
    return parser


def main() -> None:
    """Parse, and hand over to keras_gen."""
    command_line = parser()
    arguments = command_line.parse_args()
    check_combination(command_line, arguments)
    if arguments.list:
        list_recipes()
        return
    if arguments.resume:
        run_directory.read_recipe(arguments.resume)  # a wrong path is said before TensorFlow is waited for
        settings = None
    else:
        settings = settings_of(arguments)
    together = cluster.from_arguments(arguments.workers, arguments.worker_index, arguments.worker_wait)
    cli.load_tensorflow(devices=together is None and cluster.VARIABLE not in os.environ)
    from keras_gen import training

    publication = None
    if arguments.export is not None:
        functions = None if arguments.export_functions is None else arguments.export_functions.split(",")
        publication = training.ExportOptions(arguments.export, functions, arguments.export_half, arguments.overwrite)
    try:
        if arguments.resume:
            training.resume(arguments.resume, epochs=arguments.epochs, publication=publication, cluster=together)
        else:
            training.run(settings, out=arguments.out, publication=publication, cluster=together)
    except training.RunInterrupted as interruption:
        cli.fail(str(interruption), interruption.exit_code)


def check_combination(parser: cli.ArgumentParser, arguments) -> None:
    """Refuse options that would do nothing."""
    everything, forbidden = set(vars(arguments)), {}
    export_options = {"export_functions", "export_half", "overwrite"}
    if arguments.list:
        forbidden |= dict.fromkeys(everything - {"list"}, "--list only lists")
    elif arguments.resume:
        own = {"resume", "epochs", "export", *export_options, "workers", "worker_index", "worker_wait"}
        forbidden |= dict.fromkeys(everything - own, "a resumed run keeps its own settings")
    if arguments.export is None:
        forbidden = dict.fromkeys(export_options, "it is about --export, which is not given") | forbidden
    if arguments.workers is None:
        forbidden = {"worker_wait": "it is about --workers, which are not given"} | forbidden
    for name, why in forbidden.items():
        if getattr(arguments, name) != parser.get_default(name):
            raise UsageError(f"--{name.replace('_', '-')} can't be used here: {why}")


def settings_of(arguments) -> RunSettings:
    """The settings that the command line asks for."""
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


if __name__ == "__main__":
    cli.main(main)
