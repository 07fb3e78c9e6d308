"""The command `experiments/publish.py`: publish the trained model of finished and evaluated runs."""

from __future__ import annotations

from pathlib import Path

from keras_gen.commands import cli, run_options
from keras_gen.runs import run_directory
from keras_gen.utils import hub
from keras_gen.utils.errors import must_be
from keras_gen.utils.progress import print_line


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(
        description="Write the trained model of finished and evaluated runs to a folder: a SavedModel with its record, "
        "scores, card and a picture."
    )
    add = parser.add_argument
    runs = "run directories that differ only in their seeds; the first is published, the others give the spread"
    add("runs", type=cli.path, nargs="+", metavar="RUN", help=runs)
    add("--out", type=cli.path, default=Path("saved_models"), metavar="DIR", help="folder of trained models")
    add("--name", metavar="NAME", help="name of the model; default: the recipe's")
    add("--note", default="", metavar="TEXT", help="remark on the images, for the card")
    add(
        "--license", default="", metavar="NAME", help="license of the weights, such as apache-2.0; default: none stated"
    )
    rank = "compress the largest weight matrices: store each as two factors of this rank; the card says so"
    add("--rank", type=int, metavar="N", help=rank)
    weights = "write record, scores, pictures and card, but no SavedModel"
    add("--without-weights", dest="weights", action="store_false", help=weights)
    add("--overwrite", action="store_true", help="replace an older model with that name, its weights too")
    push = "also upload it to the Hugging Face Hub, as hf://user/name"
    add("--push", metavar="ADDRESS", help=push)
    run_options.add_recipes(parser)
    run_options.add_place_of_data(parser)
    run_options.add_extractor_weights(parser)
    return parser


def main() -> None:
    """Run the command: parse, publish, print the path."""
    arguments = parser().parse_args()
    run_options.load_recipes(arguments)
    for name in ("push", "rank"):
        if not arguments.weights and (value := getattr(arguments, name)) is not None:
            raise must_be(f"--{name}", "left out with --without-weights", value)
    if arguments.push is not None:
        hub.repository(arguments.push)
        hub.check_installed()
    for run in arguments.runs:
        run_directory.read_recipe(run)
    cli.load_tensorflow()
    from keras_gen import publishing

    options = {name: value for name, value in vars(arguments).items() if name not in ("runs", "push", "recipes")}
    path = publishing.publish(arguments.runs, **options)
    print_line(f"published: {path}")
    if arguments.push is not None:
        publishing.push(path, arguments.push)
        print_line(f"uploaded to {arguments.push}")
