"""The command `experiments/benchmark.py`: time parts of keras_gen against their alternatives; watch a run's memory."""

from __future__ import annotations

import importlib
from typing import NamedTuple

from keras_gen import zoo
from keras_gen.commands import cli
from keras_gen.utils import checks, files
from keras_gen.utils.errors import UsageError


class BenchmarkPart(NamedTuple):
    """A part of the benchmark: the module in `benchmarks` of its function, and defaults of its arguments.

    The function has the part's name. It takes the number of repeats, then the size and the recipes (by default those
    with the names in `models`) unless these are None. It prints its measurements and returns them as JSON types.
    """

    module: str
    size: int | None = None
    models: str | None = None


PARTS = {
    "evaluation": BenchmarkPart("models", 4000, "vae-lstm,gan-conv"),
    "frechet": BenchmarkPart("scoring", 2048),
    "inception-v3": BenchmarkPart("scoring", 128),
    "memory": BenchmarkPart("memory", 200),
    "sampling": BenchmarkPart("models", 1000, "vae-lstm,gan-conv"),
    "scaling": BenchmarkPart("models", 4096, "vae-mlp,vae-conv"),
    "start-up": BenchmarkPart("start"),
    "workers": BenchmarkPart("workers", 1024, "vae-mlp,gan-conv,wgan-gp"),
}


def parser() -> cli.ArgumentParser:
    """Return the parser of the command line."""
    parser = cli.ArgumentParser(description="Time parts of keras_gen, or watch the memory of a run.")
    parser.add_argument("part", choices=sorted(PARTS), help="part to measure")
    repeats = "rounds in which the alternatives are timed in turn; unused by memory"
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help=repeats)
    parser.add_argument("--size", type=int, metavar="N", help="number of feature dimensions, images or epochs")
    parser.add_argument("--models", metavar="NAMES", help="comma-separated recipes, for parts that time models")
    parser.add_argument("--json", type=cli.new_file(".json"), metavar="FILE", help="file for the measurements")
    return parser


def main() -> None:
    """Run the command: parse, measure, write."""
    arguments = parser().parse_args()
    part_arguments = check_arguments(arguments)
    module = importlib.import_module(f"keras_gen.commands.benchmarks.{PARTS[arguments.part].module}")
    measured = getattr(module, arguments.part.replace("-", "_"))(*part_arguments)
    if arguments.json is not None:
        files.write_json(arguments.json, measured)


def check_arguments(arguments) -> list:
    """Check the command line and return the arguments of the part's function."""
    part = PARTS[arguments.part]
    for name in ("size", "models"):
        if getattr(part, name) is None and getattr(arguments, name) is not None:
            raise UsageError(f"--{name} can't be used here: {arguments.part} has no {name}")
    part_arguments = [checks.positive_int("--repeats", arguments.repeats)]
    if part.size is not None:
        part_arguments.append(checks.positive_int("--size", part.size if arguments.size is None else arguments.size))
    if part.models is not None:
        names = part.models if arguments.models is None else arguments.models
        part_arguments.append([zoo.get(name) for name in names.split(",")])
    return part_arguments
