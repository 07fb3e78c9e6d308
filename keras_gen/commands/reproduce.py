"""The command `experiments/reproduce.py`: train a published model or the experiments of a report again, and compare."""

from __future__ import annotations

from keras_gen.commands import cli, run_options, sweep
from keras_gen.publishing import reports
from keras_gen.runs import run_directory
from keras_gen.training import sweeps
from keras_gen.utils import trained_models
from keras_gen.utils.command_lines import command
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.progress import print_line

OF_A_REPORT = "it is for a report"
OF_A_MODEL = "it is for a published model"


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(
        description="Retrain a published model, evaluate it under the same protocols, and compare the scores; or "
        "reproduce one of the five course reports, and write a page that compares its figures and tables with ours."
    )
    add = parser.add_argument
    what = f"name of a published model, or its folder; or a report: {', '.join(reports.NAMES)}"
    add("name", type=cli.path, help=what)
    add(
        "--seed",
        type=int,
        metavar="N",
        help="seed for training a model; default: the one after the published seeds, or a single published seed",
    )
    add("--quick", action="store_true", help="reports only: train on digits, which takes minutes")
    use = "run or published model to use for a report's training, such as vae=saved_models/vae-mlp; may be repeated"
    add("--use", action="append", default=[], metavar="TRAINING=PATH", help=use)
    run = "directory of an interrupted call: resume it and compare"
    add("--resume", type=cli.path, metavar="DIR", help=run)
    out = "folder of run directories; default: runs; for a report: reports"
    add("--out", type=cli.path, default=None, metavar="DIR", help=out)
    run_options.add_recipes(parser)
    data_dir = "folder that holds the data; default: $KERAS_GEN_DATA"
    add("--data-dir", type=cli.file_name, metavar="DIR", help=data_dir)
    run_options.add_extractor_weights(parser)
    return parser


def main() -> None:
    """Run the command: train, evaluate, and compare with what was published or reported."""
    command_line = parser()
    arguments = command_line.parse_args()
    if arguments.resume is not None:
        command_line.refuse(
            arguments, dict.fromkeys(("seed", "out", "quick", "use"), "a resumed call keeps its own settings")
        )
    if str(arguments.name).upper() in reports.NAMES:
        command_line.refuse(arguments, dict.fromkeys(("seed", "recipes", "extractor_weights"), OF_A_MODEL))
        reproduce_report(arguments)
    else:
        command_line.refuse(arguments, {"quick": OF_A_REPORT, "use": OF_A_REPORT})
        reproduce_model(arguments)


def reproduce_report(arguments) -> None:
    """Make a report again and print where its page is."""
    use = {}
    for word in arguments.use:
        name, equals, path = word.partition("=")
        if not equals:
            raise must_be("--use", "training=path", word)
        if name in use:
            raise UsageError(f"{name} is given twice: --use {name}={use[name]} and --use {word}")
        use[name] = cli.path(path)
    cli.load_tensorflow()
    name, path, data_dir = str(arguments.name).upper(), arguments.resume, arguments.data_dir
    if path is None:
        path = reports.start(name, arguments.out or "reports", quick=arguments.quick, use=use, data_dir=data_dir)
    try:
        page = reports.finish(path, sweep.COMMANDS, name=name, data_dir=data_dir)
    except (sweeps.SweepInterrupted, KeyboardInterrupt):
        cli.fail(f"interrupted; resume with: {reports.resume_command(name, path, data_dir)}", cli.INTERRUPTED)
    print_line(f"page: {page}")


def reproduce_model(arguments) -> None:
    """Train a published model again and print obtained and published scores."""
    if arguments.resume is not None:
        run_directory.read_recipe(arguments.resume)
    run_options.load_recipes(arguments)
    path = trained_models.find_published(arguments.name)
    cli.load_tensorflow()
    from keras_gen import publishing, training

    model = publishing.read(path)
    try:
        options = {name: getattr(arguments, name) for name in ("seed", "data_dir", "extractor_weights")}
        options["run"] = arguments.resume
        run, rows = publishing.reproduce(model, arguments.out or "runs", **options)
    except training.RunInterrupted as interruption:
        names = ("recipes", "data_dir", "extractor_weights")
        given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
        words = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        how = command("reproduce", arguments.name, "--resume", interruption.run or "RUN", *words)
        cli.fail(f"interrupted; resume with: {how}", interruption.exit_code)
    print_line()
    print_line(f"{'':>28}  {'obtained':>10}  {'published':>10}  expected within")
    for row in rows:
        within = "" if row.margin is None else f"± {row.margin:.3g}: {'yes' if row.is_within else 'no'}"
        print_line(f"{row.name:>28}  {row.obtained:>10.5g}  {row.published:>10.5g}  {within}")
    count = len(model.record.runs)
    if count > 1:
        print_line(
            f"published: mean of {count} training runs; 95 % of those with other seeds are expected within the limits"
        )
    else:
        print_line("published: one training run, so its spread over seeds is unknown")
    print_line(f"run: {run}")
