"""The command `experiments/report.py`: write the report page of a run, or one page that compares several."""

from __future__ import annotations

from pathlib import Path

from keras_gen.commands import cli
from keras_gen.report.pages import comparison_page, run_page
from keras_gen.runs import run_directory
from keras_gen.training import sweeps
from keras_gen.utils.errors import UsageError

COMPARISON_FILE = Path("comparison.html")


def parser() -> cli.ArgumentParser:
    """The command line."""
    parser = cli.ArgumentParser(description="Write the report page of a run, or a page that compares several.")
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="run", help="run directory, or a sweep directory for all its runs"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.html",
        help=f"file to write: report.html in the run, of several runs {COMPARISON_FILE}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="of one run: leave out the figures that need its model and its data"
    )
    parser.add_argument(
        "--animate",
        type=Path,
        metavar="FILE",
        help="of one run: also write its sample grids, epoch after epoch, as a moving picture, .gif or .webp",
    )
    parser.add_argument(
        "--interpolate",
        type=Path,
        metavar="FILE",
        help="of finished runs: also draw images from one latent to another, a run's model in each row (PNG)",
    )
    parser.add_argument(
        "--ignore",
        nargs="+",
        default=[],
        metavar="ENTRY",
        help="of several runs: rank although these entries of the protocol differ, such as moving_average",
    )
    return parser


def main() -> None:
    """Parse, write, print where."""
    arguments = parser().parse_args()
    paths = [run for path in arguments.runs for run in members(path)]
    for path in paths:
        run_directory.read_recipe(path)
    for name in ("out", "animate", "interpolate"):
        if getattr(arguments, name) is not None:
            check_file(name, getattr(arguments, name))
    is_comparison = len(paths) > 1 or paths != arguments.runs
    if is_comparison and arguments.quick:
        raise UsageError("--quick can't be used here: a comparison opens no model")
    if is_comparison and arguments.animate:
        raise UsageError("--animate can't be used here: it is about one run")
    if not is_comparison and arguments.ignore:
        raise UsageError("--ignore can't be used here: it is about several runs")
    out = arguments.out or (COMPARISON_FILE if is_comparison else paths[0] / run_page.REPORT_FILE)
    with cli.writing("out", out):
        if is_comparison:
            comparison_page.write(paths, out, arguments.ignore)
        elif arguments.quick:
            run_page.write(paths[0], out=out)
        else:
            cli.load_tensorflow()
            from keras_gen.report.pages import model_figures

            model_figures.write(paths[0], out)
    print(f"report: {out}")
    if arguments.animate is not None:
        from keras_gen import report

        with cli.writing("animate", arguments.animate):
            print(f"samples: {report.animate_samples(paths[0], arguments.animate)}")
    if arguments.interpolate is not None:
        cli.load_tensorflow()
        from keras_gen import report
        from keras_gen.report.pages import model_figures

        figure = model_figures.interpolations_of(paths)
        with cli.writing("interpolate", arguments.interpolate):
            report.save_figure(figure, arguments.interpolate)
        print(f"interpolations: {arguments.interpolate}")


def members(path: Path) -> list[Path]:
    """The run directories that a sweep directory has so far; another path is its own."""
    if not (path / "sweep.json").is_file():
        return [path]
    sweep = sweeps.read(path)
    if not (found := sweep.run_directories()):
        raise UsageError(f"sweep {path} has no runs yet")
    return found


def check_file(argument: str, path: Path) -> None:
    """Refuse a place that can't be written to before any time is spent on what is to come there."""
    if path.is_dir():
        raise UsageError(f"{argument} must be a file, which {path} is not")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{argument} must be in a folder that is there, which {path.absolute().parent} is not")
