"""What to type or call to resume, evaluate or show a run, for messages and reports."""

from __future__ import annotations

import os

from keras_gen.runs import run_directory
from keras_gen.utils.command_lines import command
from keras_gen.utils.errors import UsageError


def resume(run: str | os.PathLike, *words: object) -> str:
    """Return the command that resumes a run; a call for a run on arrays in memory.

    Args:
        run: str or path, the run directory.
        *words: further words of the command.
    """
    if _is_on_arrays(run):
        return f"keras_gen.training.resume({os.fspath(run)!r}, data=...)"
    return command("run", "--resume", run, *words, *recipes_words(run))


def evaluate(run: str | os.PathLike) -> str:
    """Return the command that evaluates a run; a call for a run on arrays in memory."""
    if _is_on_arrays(run):
        return f"keras_gen.evaluation.evaluate({os.fspath(run)!r}, data=...)"
    return command("evaluate", run, *recipes_words(run))


def report(run: str | os.PathLike) -> str | None:
    """Return the command that adds figures of the model to a run's page; None for a run on arrays in memory."""
    return None if _is_on_arrays(run) else command("report", run, *recipes_words(run))


def recipes_words(run: str | os.PathLike) -> list[str]:
    """Return the option that names the file of recipes that a run was started with, if any."""
    recipes = _record(run).get("recipes")
    return ["--recipes", str(recipes.get("file"))] if isinstance(recipes, dict) else []


def _is_on_arrays(run) -> bool:
    data = _record(run).get("data")
    return isinstance(data, dict) and data.get("source") == "arrays"


def _record(run) -> dict:
    """Return the run's record; an empty one if it can't be read."""
    try:
        return run_directory.read_recipe(run)
    except UsageError:
        return {}
