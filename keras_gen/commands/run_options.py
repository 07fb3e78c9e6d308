"""Options of run.py that other commands share or write: the fields of `RunSettings`, and files of recipes."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from keras_gen import zoo
from keras_gen.runs.settings import RunSettings

FIELDS = [entry for entry in dataclasses.fields(RunSettings) if entry.metadata]
OPTIONS = {entry.name: "--" + (entry.metadata["option"] or entry.name.replace("_", "-")) for entry in FIELDS}
"""The option of each setting, except the recipe and its parameters."""


def add_settings(parser: argparse.ArgumentParser) -> dict[str, argparse._ArgumentGroup]:
    """Add an option for each field of `RunSettings`, and return the groups of options by their headings."""
    groups = {name: parser.add_argument_group(name) for name in ("training", "data", "running", "results")}
    groups["training"].add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE", help="parameters of the recipe"
    )
    for entry in FIELDS:
        options = {"action": "store_true"}
        if entry.type != "bool":
            convert = int if entry.type in ("int", "int | None") else str
            options = {"type": convert, "metavar": entry.metadata["metavar"]}
        groups[entry.metadata["group"]].add_argument(
            OPTIONS[entry.name], dest=entry.name, default=entry.default, help=entry.metadata["help"], **options
        )
    return groups


def settings_of(arguments: argparse.Namespace) -> RunSettings:
    """Return the settings given on the command line."""
    overrides = zoo.get(arguments.model).parse_overrides(arguments.set)
    return RunSettings(arguments.model, overrides, **{name: getattr(arguments, name) for name in OPTIONS})


def words_of(settings: RunSettings) -> list[str]:
    """Return the command line from which `settings_of` reads these settings."""
    words = [f"--model={settings.model}", *recipes_words()]
    if settings.overrides:
        words += ["--set", *(f"{name}={value}" for name, value in settings.overrides.items())]
    for name, option in OPTIONS.items():
        value = getattr(settings, name)
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            words.append(f"{option}={value}")
    return words


def recipes_words() -> list[str]:
    """Return the option that names the file of recipes that this process has loaded, if any."""
    return [f"--recipes={file}" for file in zoo.loaded_files()[-1:]]


def add_recipes(parser: argparse.ArgumentParser) -> None:
    """Add the option that names a file of recipes."""
    parser.add_argument(
        "--recipes",
        type=Path,
        metavar="FILE.py",
        help="Python file with recipes and data sets of your own; it is a program: use only files you trust",
    )


def load_recipes(arguments: argparse.Namespace) -> None:
    """Load the file of recipes that the command line names, if any."""
    if arguments.recipes is not None:
        zoo.load_recipes(arguments.recipes)
