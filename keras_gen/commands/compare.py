"""The command `experiments/compare.py`: measured runs side by side; ranked only where their numbers were measured in the same way."""

from __future__ import annotations

from pathlib import Path

from keras_gen.commands import cli
from keras_gen.evaluation import comparison


def parser() -> cli.ArgumentParser:
    """The command line."""
    parser = cli.ArgumentParser(description="Compare runs that experiments/evaluate.py has measured.")
    parser.add_argument("runs", type=Path, nargs="+", help="run directories")
    parser.add_argument(
        "--ignore",
        nargs="+",
        default=[],
        metavar="ENTRY",
        help="rank although these entries of the protocol differ, such as moving_average",
    )
    return parser


def main() -> None:
    """Parse, compare, print."""
    arguments = parser().parse_args()
    rows = comparison.compare(arguments.runs, arguments.ignore)
    names = [path.name for path in arguments.runs]
    width = max(16, *(len(name) for name in names)) + 2
    first = max([len(row.name) for row in rows] + [5]) + 2
    print(" " * first + "".join(name.rjust(width) for name in names))
    for row in rows:
        print(row.name.ljust(first) + "".join(cell.rjust(width) for cell in cells(row)))
        for name, values in row.differences.items():
            shown = " | ".join("-" if value is None else str(value) for value in values)
            print(" " * first + f"  not ranked: {name} {shown}")


def cells(row) -> list[str]:
    """A row's scores as text, the best one marked."""
    ranks = row.ranks or [None] * len(row.scores)
    return [
        "-" if score is None else f"{score.value:.4g}" + (" *" if rank == 1 else "  ")
        for score, rank in zip(row.scores, ranks, strict=True)
    ]
