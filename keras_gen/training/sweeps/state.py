"""The sweep directory: `sweep.json` records the members and their status."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from keras_gen.runs import run_directory
from keras_gen.runs.settings import RunSettings
from keras_gen.training.sweeps.plan import Plan
from keras_gen.utils import checks, files, safe_files
from keras_gen.utils.errors import UsageError, must_be

SWEEP_FILE, RUNS_FOLDER, LOGS_FOLDER = "sweep.json", "runs", "logs"
WAITING, RUNNING, FINISHED, FAILED, INTERRUPTED = STATUSES = "waiting", "running", "finished", "failed", "interrupted"
# Settings that a run replaces with the data and the extractor it resolved them to.
_RESOLVED_BY_RUN = ("dataset", "image_size", "extractor")


@dataclass
class Member:
    """One run of a sweep.

    Args:
        number: int. Position in the order of training, from 1.
        values: dict. Values of the grid's names.
        settings: RunSettings. Settings of the run.
        status: str. One of `"waiting"`, `"running"`, `"finished"`, `"failed"`, `"interrupted"`. If it is `"running"`
            and no process holds the lock, the sweep was killed. Defaults to `"waiting"`.
        run: str or None. Name of the run directory in the sweep's `runs/`. Defaults to None: not made yet.
        error: str or None. Why the member failed, in one line. Defaults to None.
        seconds: float. Total duration of the member's processes. Defaults to 0.
    """

    number: int
    values: dict[str, object]
    settings: RunSettings
    status: str = WAITING
    run: str | None = None
    error: str | None = None
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """Grid values and seed, which distinguish the member from the others, in one line."""
        return " ".join(f"{name}={value}" for name, value in (self.values | {"seed": self.settings.seed}).items())


@dataclass
class Sweep:
    """A sweep directory and the content of its `sweep.json`.

    Args:
        path: Path. The sweep directory.
        model: str. Name of the recipe.
        fixed: dict. Values shared by all members, by name.
        grid: dict. Lists of values, by name.
        seeds: int. Number of seeds of each combination.
        directory: str. Working directory of the sweep's start, to which relative paths of data refer.
        members: list of Member, in the order of training.
        record: dict. Further entries: the command that started the sweep and the time.
    """

    path: Path
    model: str
    fixed: dict[str, object]
    grid: dict[str, list]
    seeds: int
    directory: str
    members: list[Member]
    record: dict

    @classmethod
    def of(cls, plan: Plan, path: Path) -> Sweep:
        """Return a new sweep of a plan, all members waiting; write nothing."""
        combinations = [values for values in plan.combinations for _ in range(plan.seeds)]
        pairs = zip(combinations, plan.settings, strict=True)
        members = [Member(number, values, settings) for number, (values, settings) in enumerate(pairs, start=1)]
        grid = {name: list(values) for name, values in plan.grid.items()}
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        record = {"command": sys.argv, "created": created}
        return cls(path, plan.model, dict(plan.fixed), grid, plan.seeds, os.getcwd(), members, record)

    def write(self) -> None:
        """Write `sweep.json` atomically."""
        content = {
            "model": self.model,
            "fixed": self.fixed,
            "grid": self.grid,
            "seeds": self.seeds,
            "directory": self.directory,
            "members": [_to_json(member) for member in self.members],
            **self.record,
        }
        files.write_json(self.path / SWEEP_FILE, content)

    def run_directories(self) -> list[Path]:
        """Return the existing run directories, in the order of the members."""
        return [run for member in self.members if (run := self.run_of(member)) is not None]

    def run_of(self, member: Member) -> Path | None:
        """Return the member's run directory, or None if it does not exist (any more)."""
        path = self.path / RUNS_FOLDER / (member.run or "")
        return path if member.run and (path / run_directory.RECIPE_FILE).is_file() else None

    def log_of(self, member: Member) -> Path:
        """Return the path of the member's log: the output of its processes, one after the other."""
        return self.path / LOGS_FOLDER / f"{member.number:03d}.log"

    def is_done(self, member: Member) -> bool:
        """Return whether the member is finished and its run directory still exists."""
        return member.status == FINISHED and self.run_of(member) is not None

    def find_run(self, member: Member) -> None:
        """Record the member's run directory if its process has made one that is not recorded yet."""
        folder = self.path / RUNS_FOLDER
        if self.run_of(member) is not None or not folder.is_dir():
            return
        taken = {other.run for other in self.members}
        for path in sorted(folder.iterdir()):
            if path.name not in taken and (path / run_directory.RECIPE_FILE).is_file() and _is_run_of(member, path):
                member.run = path.name
                self.write()
                return


def read(path: str | os.PathLike) -> Sweep:
    """Read the sweep in a directory.

    Args:
        path: str or path. The sweep directory.

    Raises:
        UsageError: `path` is no sweep directory, or its `sweep.json` is damaged.
    """
    path = Path(path)
    source = path / SWEEP_FILE
    try:
        content = safe_files.read_json(source)
    except OSError as error:
        raise must_be("sweep", f"a sweep directory (a folder with {SWEEP_FILE})", str(path)) from error
    try:
        members = [_from_json(member, os.fspath(source)) for member in content.pop("members")]
        known = {name: content.pop(name) for name in ("model", "fixed", "grid", "seeds", "directory")}
    except (TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{source} is damaged, or of another version of keras_gen: {error!r}") from error
    try:
        for member in members:
            _check_member(member)
        if [member.number for member in members] != list(range(1, len(members) + 1)):
            raise UsageError("members must be numbered from 1")
        for name, kind in (("model", str), ("fixed", dict), ("grid", dict), ("directory", str)):
            if not isinstance(known[name], kind):
                raise must_be(name, f"a {kind.__name__}", known[name])
        if not all(isinstance(values, list) for values in known["grid"].values()):
            raise must_be("grid", "lists by name", known["grid"])
        checks.positive_int("seeds", known["seeds"])
    except UsageError as error:
        raise UsageError(f"{source} is damaged: {error}") from error
    return Sweep(path, **known, members=members, record=content)


def _check_member(member: Member) -> None:
    checks.positive_int("number", member.number)
    checks.one_of("a member's status", member.status, STATUSES)
    if not isinstance(member.values, dict):
        raise must_be("values", "a dict", member.values)
    if member.run is not None and not safe_files.is_name(member.run):  # the run is resumed and written to
        raise must_be("run", f"the name of a folder in {RUNS_FOLDER}, or None", member.run)
    if member.error is not None and not isinstance(member.error, str):
        raise must_be("error", "a line, or None", member.error)
    checks.non_negative("seconds", member.seconds)


def _is_run_of(member: Member, run: Path) -> bool:
    try:
        settings = run_directory.read_recipe(run).get("settings")
    except UsageError:  # damaged: can't be resumed
        return False
    expected = json.loads(json.dumps(member.settings.to_json()))
    return isinstance(settings, dict) and all(
        settings.get(name) == value for name, value in expected.items() if name not in _RESOLVED_BY_RUN
    )


def _to_json(member: Member) -> dict:
    entries = {entry.name: getattr(member, entry.name) for entry in dataclasses.fields(member)}
    return entries | {"settings": member.settings.to_json()}


def _from_json(content: dict, source: str) -> Member:
    return Member(**(content | {"settings": RunSettings.from_json(content["settings"], source)}))
