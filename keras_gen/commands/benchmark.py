"""The command `experiments/benchmark.py`: time parts of keras_gen against what they replace: interleaved, as ratios. Watch a long run's memory."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path

from keras_gen import zoo
from keras_gen.commands import cli
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be


@dataclass(frozen=True)
class BenchmarkPart:
    """Something to measure: a function, and what it is asked for unless the command line says otherwise.

    The function has the part's name. It takes the number of repeats, the size and the recipes, those that the part has,
    prints what it measures and returns it, as JSON knows it.
    """

    module: str
    """The module in `benchmarks` that has the function. Imported when it is called."""
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
    """The command line."""
    parser = cli.ArgumentParser(description="Time parts of keras_gen, and watch the memory of a run.")
    parser.add_argument("part", choices=sorted(PARTS), help="what to measure")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="of each side, in turn; not of memory")
    parser.add_argument("--size", type=int, metavar="N", help="feature dimensions, images, or epochs")
    parser.add_argument("--models", metavar="NAMES", help="recipes, separated by commas, of the parts about models")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write what was measured")
    return parser


def main() -> None:
    """Parse, measure, write."""
    arguments = parser().parse_args()
    asked = asked_of(arguments)
    file = arguments.json
    if file is not None and (file.is_dir() or not file.parent.is_dir()):  # said now, not when all is measured
        raise must_be("--json", "a file in a folder that exists", str(file))
    module = importlib.import_module(f"keras_gen.commands.benchmarks.{PARTS[arguments.part].module}")
    measured = getattr(module, arguments.part.replace("-", "_"))(*asked)
    if file is not None:
        with cli.writing("--json", file):
            file.write_text(json.dumps(measured, indent=2) + "\n")


def asked_of(arguments) -> list:
    """What the part's function is called with, checked."""
    part = PARTS[arguments.part]
    for name in ("size", "models"):
        if getattr(part, name) is None and getattr(arguments, name) is not None:
            raise UsageError(f"--{name} can't be used here: {arguments.part} has none")
    asked = [checks.positive_int("--repeats", arguments.repeats)]
    if part.size is not None:
        asked.append(checks.positive_int("--size", part.size if arguments.size is None else arguments.size))
    if part.models is not None:
        names = part.models if arguments.models is None else arguments.models
        asked.append([zoo.get(name) for name in names.split(",")])
    return asked
