"""Options of run.py that other commands share or write: the fields of `RunSettings`, and files of recipes."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Collection

from keras_gen import zoo
from keras_gen.commands import cli
from keras_gen.data import catalog
from keras_gen.runs.settings import OPTIONS, PLACES, RunSettings


def add_settings(parser: cli.ArgumentParser, left_out: Collection[str] = ()) -> dict[str, argparse._ArgumentGroup]:
    """Add an option for each field of `RunSettings` but those left out; return the groups of options by headings."""
    parser.parameters = {name for recipe in zoo.recipes() for name in recipe.parameters}
    parser.epilog = (
        f"recipes: {', '.join(recipe.name for recipe in zoo.recipes())}. data sets: {', '.join(catalog.names())}."
    )
    groups = {name: parser.add_argument_group(name) for name in ("training", "data", "running", "results")}
    groups["training"].add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="parameters of the recipe"
    )
    for entry in dataclasses.fields(RunSettings):
        if entry.name in left_out or entry.name not in OPTIONS:
            continue
        options = {"action": "store_true"}
        if entry.type != "bool":
            kinds = {"int": int, "int | None": int}
            convert = cli.file_name if entry.name in ("dataset", *PLACES) else kinds.get(entry.type, str)
            options = {"type": convert, "metavar": entry.metadata["metavar"]}
        groups[entry.metadata["group"]].add_argument(
            OPTIONS[entry.name], dest=entry.name, default=entry.default, help=entry.metadata["help"], **options
        )
    return groups


def settings_of(arguments: argparse.Namespace) -> RunSettings:
    """Return the settings given on the command line."""
    overrides = zoo.get(arguments.model).parse_overrides(arguments.set)
    return RunSettings(arguments.model, overrides, **{name: getattr(arguments, name) for name in OPTIONS})


def given(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> list[str]:
    """Return the settings given by options of their own as words `NAME=VALUE`, as `--set` takes them in a sweep."""
    values = {name: value for name, value in vars(arguments).items() if name in OPTIONS}
    return [f"{name}={value}" for name, value in values.items() if value != parser.get_default(name)]


def words_of(settings: RunSettings) -> list[str]:
    """Return the command line from which `settings_of` reads these settings."""
    return [*settings.words(), *recipes_words()]


def recipes_words() -> list[str]:
    """Return the option that names the file of recipes that this process has loaded, if any."""
    return [f"--recipes={file}" for file in zoo.loaded_files()[-1:]]


def add_recipes(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a file of recipes."""
    parser.add_argument(
        "--recipes",
        type=cli.path,
        metavar="FILE.py",
        help="Python file with your own recipes and data sets; it is executed: use only files you trust",
    )


def add_extractor_weights(parser: cli.ArgumentParser) -> None:
    """Add the option `--extractor-weights` of scores."""
    weights = "file with the extractor's weights; for inception-2015 also the .pth of pytorch-fid or torch-fidelity"
    parser.add_argument("--extractor-weights", type=cli.file_name, metavar="PATH", help=weights)


def add_place_of_data(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the place to which a run's data have moved."""
    parser.add_argument(
        "--dataset",
        type=cli.file_name,
        metavar="NAME",
        help="current name or path of the run's data; default: as in training",
    )
    parser.add_argument(
        "--data-dir",
        type=cli.file_name,
        metavar="DIR",
        help="folder that now holds the run's data; default: $KERAS_GEN_DATA",
    )


def load_recipes(arguments: argparse.Namespace) -> None:
    """Load the file of recipes that the command line names, if any."""
    if arguments.recipes is not None:
        cli.load_tensorflow(devices=False)  # without its log lines, which a file that imports it would write
        zoo.load_recipes(arguments.recipes)
