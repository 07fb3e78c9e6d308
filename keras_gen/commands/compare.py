"""The command `experiments/compare.py`: compare evaluated runs; rank only scores with the same protocol."""

from __future__ import annotations

from keras_gen.commands import cli
from keras_gen.evaluation import comparison
from keras_gen.report import run_files
from keras_gen.utils.errors import printable
from keras_gen.utils.progress import print_line


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(description="Compare runs evaluated by keras-gen evaluate.")
    parser.add_argument("runs", type=cli.path, nargs="+", help="run directories")
    ignore = "rank scores even if these protocol entries differ, such as moving_average"
    parser.add_argument("--ignore", nargs="+", default=[], metavar="ENTRY", help=ignore)
    return parser


def main() -> None:
    """Run the command: parse, compare, print."""
    arguments = parser().parse_args()
    rows = comparison.compare(arguments.runs, arguments.ignore)
    names = [printable(path.absolute().name) for path in arguments.runs]
    width = max(16, *(len(name) for name in names)) + 2
    first = max([len(row.name) for row in rows] + [5]) + 2
    print_line(" " * first + "better" + "".join(name.rjust(width) for name in names))
    for row in rows:
        better = next(score.better for score in row.scores if score is not None) or ""
        print_line(row.name.ljust(first) + better.ljust(6) + "".join(cell.rjust(width) for cell in cells(row)))
        for name, values in row.differences.items():
            shown = " | ".join("-" if value is None else str(value) for value in values)
            print_line(" " * first + f"  not ranked: {name} {shown}")
    for path in arguments.runs:
        if note := run_files.read(path).note_on_scores:
            print_line(f"NOTE: scores of {printable(str(path))} were {note}")
    if any(row.ranks for row in rows):
        print_line("* best run by this score; docs/measuring.md in keras_gen's source explains the scores")


def cells(row) -> list[str]:
    """Return the scores of a row as text, the best one marked by an asterisk."""
    ranks = row.ranks or [None] * len(row.scores)
    return [
        "-" if score is None else f"{score.value:.4g}" + (" *" if rank == 1 else "  ")
        for score, rank in zip(row.scores, ranks, strict=True)
    ]
