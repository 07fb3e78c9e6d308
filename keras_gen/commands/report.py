"""The command `experiments/report.py`: write the report page of a run, or a page that compares several runs."""

from __future__ import annotations

from pathlib import Path

from keras_gen.commands import cli, run_options
from keras_gen.report.pages import comparison_page, run_page
from keras_gen.runs import run_directory
from keras_gen.training import sweeps
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.progress import print_line

COMPARISON_FILE = Path("comparison.html")


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(description="Write the report page of a run, or a page that compares several runs.")
    parser.add_argument(
        "runs", type=cli.path, nargs="+", metavar="run", help="run directory, or sweep directory for all of its runs"
    )
    run_options.add_recipes(parser)
    run_options.add_place_of_data(parser)
    parser.add_argument(
        "--out",
        type=cli.path,
        metavar="FILE.html",
        help=f"file to write; default: report.html in the run directory, or {COMPARISON_FILE} for several runs",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one run only: leave out the figures that need its model and data"
    )
    parser.add_argument(
        "--animate",
        type=cli.path,
        metavar="FILE",
        help="one run only: also write its sample grids as an animation over epochs, .gif or .webp",
    )
    parser.add_argument(
        "--interpolate",
        type=cli.path,
        metavar="FILE",
        help="finished runs only: also draw interpolations between two latents, one row per run (PNG)",
    )
    parser.add_argument(
        "--ignore",
        nargs="+",
        default=[],
        metavar="ENTRY",
        help="several runs only: rank scores although these protocol entries differ, such as moving_average",
    )
    return parser


def main() -> None:
    """Run the command: parse, write, print the paths."""
    arguments = parser().parse_args()
    run_options.load_recipes(arguments)
    paths = [run for path in arguments.runs for run in members(path)]
    for path in paths:
        run_directory.read_recipe(path)
    for name in ("out", "animate", "interpolate"):
        if getattr(arguments, name) is not None:
            check_file(name, getattr(arguments, name))
    is_comparison = len(paths) > 1 or paths != arguments.runs
    of_one_run = {"quick": "a comparison opens no model", "animate": "it is about one run"}
    of_one_run |= dict.fromkeys(("dataset", "data_dir"), "a comparison opens no data")
    for name, reason in (of_one_run if is_comparison else {"ignore": "it is about several runs"}).items():
        if getattr(arguments, name):
            raise UsageError(f"--{name.replace('_', '-')} can't be used here: {reason}")
    out = arguments.out or (COMPARISON_FILE if is_comparison else paths[0] / run_page.REPORT_FILE)
    with cli.writing("out", out):
        if is_comparison:
            comparison_page.write(paths, out, arguments.ignore)
        elif arguments.quick:
            run_page.write(paths[0], out=out)
        else:
            cli.load_tensorflow()
            from keras_gen.report.pages import model_figures

            model_figures.write(paths[0], out, dataset=arguments.dataset, data_dir=arguments.data_dir)
    print_line(f"report: {out}")
    if arguments.animate is not None:
        from keras_gen import report

        with cli.writing("animate", arguments.animate):
            print_line(f"samples: {report.animate_samples(paths[0], arguments.animate)}")
    if arguments.interpolate is not None:
        cli.load_tensorflow()
        from keras_gen import report
        from keras_gen.report.pages import model_figures

        figure = model_figures.interpolations_of(paths)
        with cli.writing("interpolate", arguments.interpolate):
            report.save_figure(figure, arguments.interpolate)
        print_line(f"interpolations: {arguments.interpolate}")


def members(path: Path) -> list[Path]:
    """Return the run directories in a sweep directory; return any other path as it is."""
    if not (path / "sweep.json").is_file():
        return [path]
    sweep = sweeps.read(path)
    if not (runs := [member.run for member in sweep.members if member.run]):
        raise UsageError(f"sweep {path} has no runs yet")
    return runs


def check_file(argument: str, path: Path) -> None:
    """Check that `path` can be written, before time is spent on its content."""
    if path.is_dir():
        raise must_be(argument, "a file name", str(path))
    if not path.absolute().parent.is_dir():
        raise must_be(argument, "in a folder that exists", str(path))
