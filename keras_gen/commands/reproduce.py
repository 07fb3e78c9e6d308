"""The command `experiments/reproduce.py`: train a published model again and compare the scores."""

from __future__ import annotations

from pathlib import Path

from keras_gen.commands import cli, run_options
from keras_gen.runs import run_directory
from keras_gen.utils import trained_models
from keras_gen.utils.progress import print_line


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(
        description="Train a published model again, evaluate it under the same protocols, and compare the scores."
    )
    add = parser.add_argument
    add("name", type=cli.path, help="name of a published model, or its folder")
    add("--seed", type=int, metavar="N", help="seed of the training; default: that of the published weights")
    run = "run directory of an earlier, interrupted call: resume it and compare"
    add("--resume", type=cli.path, metavar="RUN", help=run)
    add("--out", type=cli.path, default=Path("runs"), metavar="DIR", help="folder of run directories")
    run_options.add_recipes(parser)
    data_dir = "folder that holds the model's data; default: $KERAS_GEN_DATA"
    add("--data-dir", type=cli.file_name, metavar="DIR", help=data_dir)
    return parser


def main() -> None:
    """Run the command: train, evaluate, print obtained and published scores."""
    command_line = parser()
    arguments = command_line.parse_args()
    if arguments.resume is not None:
        command_line.refuse(arguments, dict.fromkeys(("seed", "out"), "a resumed run keeps its own"))
        run_directory.read_recipe(arguments.resume)
    run_options.load_recipes(arguments)
    path = trained_models.find_saved_model(arguments.name)
    cli.load_tensorflow()
    from keras_gen import publishing, training

    model = publishing.read(path)
    try:
        options = {"seed": arguments.seed, "run": arguments.resume, "data_dir": arguments.data_dir}
        run, rows = publishing.reproduce(model, arguments.out, **options)
    except training.RunInterrupted as interruption:
        cli.fail(f"{interruption}, then compare with --resume", interruption.exit_code)
    print_line()
    print_line(f"{'':>28}  {'obtained':>10}  {'published':>10}  expected within")
    for row in rows:
        within = "" if row.margin is None else f"± {row.margin:.3g}: {'yes' if row.is_within else 'no'}"
        print_line(f"{row.name:>28}  {row.obtained:>10.5g}  {row.published:>10.5g}  {within}")
    count = len(model.record.runs)
    if count > 1:
        print_line(f"published: mean of {count} trainings; 95 % of further ones are expected within the limits")
    else:
        print_line("published: one training, so that its spread over seeds is unknown")
    print_line(f"run: {run}")
