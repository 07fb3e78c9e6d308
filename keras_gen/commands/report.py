"""The command `experiments/report.py`: write the report page of a run, or a page that compares several runs."""

from __future__ import annotations

from pathlib import Path

from keras_gen.commands import cli, run_options
from keras_gen.report.pages import comparison_page, run_page
from keras_gen.report.pages.comparison_page import COMPARISON_FILE
from keras_gen.runs import run_directory
from keras_gen.training import sweeps
from keras_gen.training.sweeps.state import SWEEP_FILE
from keras_gen.utils.errors import UsageError
from keras_gen.utils.progress import print_line


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(description="Write the report page of a run, or a page that compares several runs.")
    add = parser.add_argument
    add("runs", type=cli.path, nargs="+", metavar="run", help="run directory, or sweep directory for all of its runs")
    run_options.add_recipes(parser)
    run_options.add_place_of_data(parser)
    out = f"file to write; default: {run_page.REPORT_FILE} in the run directory, or {COMPARISON_FILE} for several runs"
    add("--out", type=cli.new_file(".html"), metavar="FILE.html", help=out)
    add("--quick", action="store_true", help="one run only: leave out the figures that need its model and data")
    animate = "one run only: also write its sample grids as an animation over epochs, .gif or .webp"
    add("--animate", type=cli.new_file(".gif", ".webp"), metavar="FILE", help=animate)
    interpolate = "finished runs only: also draw interpolations between two latents, one row per run (PNG)"
    add("--interpolate", type=cli.new_file(".png"), metavar="FILE", help=interpolate)
    ignore = "several runs only: rank scores even if these protocol entries differ, such as moving_average"
    add("--ignore", nargs="+", default=[], metavar="ENTRY", help=ignore)
    return parser


def main() -> None:
    """Run the command: parse, write, print the paths."""
    command_line = parser()
    arguments = command_line.parse_args()
    run_options.load_recipes(arguments)
    paths = [run for path in arguments.runs for run in members(path)]
    for path in paths:
        run_directory.read_recipe(path)
    is_comparison = len(paths) > 1 or paths != arguments.runs
    of_one_run = {"quick": "a comparison loads no models", "animate": "it is for one run"}
    of_one_run |= dict.fromkeys(("dataset", "data_dir"), "a comparison loads no data")
    of_several = {"ignore": "it is for several runs"}
    if arguments.quick:
        of_several |= dict.fromkeys(("dataset", "data_dir"), "--quick loads no data")
    command_line.refuse(arguments, of_one_run if is_comparison else of_several)
    if arguments.interpolate is not None:  # before a file is written: not every model generates images from latents
        cli.load_tensorflow()
        from keras_gen.report.pages import model_figures

        interpolations = model_figures.interpolations_of(paths)
    out = arguments.out or (Path(COMPARISON_FILE) if is_comparison else paths[0] / run_page.REPORT_FILE)
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

        print_line(f"samples: {report.animate_samples(paths[0], arguments.animate)}")
    if arguments.interpolate is not None:
        from keras_gen import report

        report.save_figure(interpolations, arguments.interpolate)
        print_line(f"interpolations: {arguments.interpolate}")


def members(path: Path) -> list[Path]:
    """Return the run directories in a sweep directory; return any other path as it is."""
    if not (path / SWEEP_FILE).is_file():
        return [path]
    sweep = sweeps.read(path)
    if not (runs := [member.run for member in sweep.members if member.run]):
        raise UsageError(f"sweep {path} has no runs yet")
    return runs
