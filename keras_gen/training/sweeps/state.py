"""The sweep directory: `sweep.json` holds the plan, and the run directories in `runs/` show what is done."""

from __future__ import annotations

import datetime
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from keras_gen import zoo
from keras_gen.report.pages.comparison_page import COMPARISON_FILE
from keras_gen.runs import run_directory
from keras_gen.runs.settings import RunSettings, read_settings
from keras_gen.training.sweeps.plan import Plan, RunList
from keras_gen.utils import files, safe_files
from keras_gen.utils.errors import UsageError, must_be

SWEEP_FILE, CSV_FILE, RUNS_FOLDER, LOGS_FOLDER = "sweep.json", "sweep.csv", "runs", "logs"
_FILES = ("lock", SWEEP_FILE, CSV_FILE, COMPARISON_FILE)
_ENTRIES = (*_FILES, LOGS_FOLDER, f"{LOGS_FOLDER}/*.log", RUNS_FOLDER, f"{RUNS_FOLDER}/[0-9]*-*")


@dataclass
class Member:
    """One run of a sweep.

    Args:
        number: int. Position in the order of training, from 1.
        values: dict. Values of the grid's names.
        settings: RunSettings. Settings of the run.
        was_finished: bool. Whether `sweep.json`, written by keras_gen 0.1, says that the member is finished. Defaults
            to False.
        run: Path or None. The run directory. Defaults to None: not made yet.
        error: str or None. Why the member failed in this process, in one line. Defaults to None.
    """

    number: int
    values: dict[str, object]
    settings: RunSettings
    was_finished: bool = False
    run: Path | None = None
    error: str | None = None

    @property
    def label(self) -> str:
        """Grid values and seed, which distinguish the member from the others, in one line."""
        return " ".join(f"{name}={value}" for name, value in (self.values | {"seed": self.settings.seed}).items())

    @property
    def is_finished(self) -> bool:
        """Whether the run directory exists and has trained all epochs of the settings, or ended early."""
        if self.run is None:
            return False
        return self.was_finished or run_directory.finished_epochs(self.run) >= self.last_epoch

    @property
    def last_epoch(self) -> int:
        """The settings' number of epochs, or that after which the run ended early."""
        record = {} if self.run is None else run_directory.read_recipe(self.run)
        has_ended = run_directory.planned_epochs(record) is not None
        return min(self.settings.epochs, record["settings"]["epochs"]) if has_ended else self.settings.epochs

    @property
    def status(self) -> str:
        """One of `"finished"`, `"failed"` (in this process), `"stopped"` (it can be resumed), `"waiting"`."""
        if self.is_finished:
            return "finished"
        return "failed" if self.error else "stopped" if self.run else "waiting"


@dataclass
class Sweep:
    """A sweep directory.

    Args:
        path: Path. The sweep directory.
        grid: list of str. Names of the grid.
        directory: str. Working directory of the sweep's start, to which relative paths of data refer.
        members: list of Member, in the order of training.
        recipes: str or None. The file of recipes that the sweep was started with. Defaults to None.
    """

    path: Path
    grid: list[str]
    directory: str
    members: list[Member]
    recipes: str | None = None

    @classmethod
    def of(cls, plan: Plan | RunList, path: Path) -> Sweep:
        """Return a new sweep of a plan, all members waiting; write nothing."""
        pairs = enumerate(zip(plan.values, plan.settings, strict=True), start=1)
        members = [Member(number, values, settings) for number, (values, settings) in pairs]
        recipes = next(map(str, reversed(zoo.loaded_files())), None)
        return cls(path, list(plan.grid), os.getcwd(), members, recipes)

    def write(self) -> None:
        """Write `sweep.json` atomically."""
        content = {
            "grid": self.grid,
            "directory": self.directory,
            "members": [{"values": member.values, "settings": member.settings.to_json()} for member in self.members],
            "recipes": self.recipes,
            "command": sys.argv,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        files.write_json(self.path / SWEEP_FILE, content)

    def find_runs(self) -> None:
        """Find the members' run directories: those with their settings, or trained for more epochs."""
        members_without = {}
        for member in self.members:
            if member.run is None or not (member.run / run_directory.RECIPE_FILE).is_file():
                member.run = None
                members_without.setdefault(
                    _key(member.settings, member.settings.dataset, member.settings.batch_size), []
                ).append(member)
        taken = {member.run for member in self.members}
        for recipe in sorted((self.path / RUNS_FOLDER).glob(f"*/{run_directory.RECIPE_FILE}")):
            if (run := recipe.parent) in taken or run.is_symlink():
                continue
            try:
                record, settings = read_settings(run)
                dataset, epochs = record["data"]["requested"], run_directory.planned_epochs(record) or settings.epochs
            except (UsageError, KeyError, TypeError):
                continue  # damaged: it can't be resumed
            members = [
                member
                for batch_size in (settings.batch_size, None)  # None: the default, which depends on the data found
                for member in members_without.get(_key(settings, dataset, batch_size), ())
                if member.run is None
                and member.settings.extractor in ("auto", settings.extractor)
                # A run that was trained on after it had ended early has neither.
                and settings.patience in (None, member.settings.patience)
                and settings.max_minutes in (None, member.settings.max_minutes)
                and member.settings.epochs <= epochs
            ]
            if members:
                max(members, key=lambda member: member.settings.epochs).run = run

    def log_of(self, member: Member) -> Path:
        """Return the path of the member's log: the output of its processes, one after the other."""
        return self.path / LOGS_FOLDER / f"{member.number:03d}.log"


def read(path: str | os.PathLike) -> Sweep:
    """Read the sweep in a directory.

    Args:
        path: str or path. The sweep directory.

    Raises:
        UsageError: `path` is no sweep directory, or its `sweep.json` is damaged.
    """
    path = Path(path)
    source = path / SWEEP_FILE
    safe_files.check_entries(path, _ENTRIES)
    try:
        content = safe_files.read_json(source)
    except OSError as error:
        raise must_be("sweep", f"a sweep directory (a folder with {SWEEP_FILE})", str(path)) from error
    recipes = content.get("recipes") if isinstance(content, dict) else None
    if recipes and not zoo.loaded_files():
        raise UsageError(f"recipes of {path} are not loaded: pass their file with --recipes (it was {recipes})")
    try:
        members = [
            Member(number, {**entry["values"]}, RunSettings.from_json(entry["settings"], os.fspath(source)))
            for number, entry in enumerate(content["members"], start=1)
        ]
        for member, entry in zip(members, content["members"], strict=True):
            member.was_finished = entry.get("status") == "finished"
        grid = list(content["grid"])
        if not members or any(list(member.values) != grid for member in members):
            raise ValueError("no members, or a member that does not have the values of the grid")
        sweep = Sweep(path, grid, os.fspath(content["directory"]), members, recipes)
    except UsageError:
        raise
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise UsageError(f"{source} is damaged, or from another version of keras_gen: {error!r}") from error
    sweep.find_runs()
    return sweep


def _key(settings: RunSettings, dataset: object, batch_size: int | None) -> str:
    """Return the settings as text, with the requested data set and batch size, without what a run may change."""
    content = {"dataset": dataset, "batch_size": batch_size, "extractor": None, "epochs": None}
    content |= {"patience": None, "max_minutes": None}
    return json.dumps(settings.to_json() | content, sort_keys=True)
