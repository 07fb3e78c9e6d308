"""A sweep's directory: its members and what became of them, in `sweep.json`."""

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
# What a run changes in its own settings once it has found its data and its extractor.
_FOUND_BY_THE_RUN = ("dataset", "image_size", "extractor")


@dataclass
class Member:
    """A run of a sweep.

    Args:
        number: from 1, in the order of training.
        values: of the names in the grid.
        settings: of the run.
        status: waiting, running, finished, failed or interrupted. Where it is "running" and nobody holds the lock, the
            sweep was killed.
        run: name of its run directory in the sweep's `runs/`, once there is one.
        error: why it failed, in one line.
        seconds: that its processes took, all together.
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
        """What tells it from the others, in one line."""
        return " ".join(f"{name}={value}" for name, value in (self.values | {"seed": self.settings.seed}).items())


@dataclass
class Sweep:
    """A sweep's directory and what its `sweep.json` holds.

    Args:
        path: of the directory.
        model: name of the recipe.
        fixed: values that all members share.
        grid: values by name.
        seeds: how many of each combination.
        directory: where the sweep was started, as relative paths of its data are meant.
        members: in the order of training.
        record: what else is kept: when and by which command it was started.
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
        """The sweep of a plan, nothing of it done and nothing written."""
        combinations = [values for values in plan.combinations for _ in range(plan.seeds)]
        pairs = zip(combinations, plan.settings, strict=True)
        members = [Member(number, values, settings) for number, (values, settings) in enumerate(pairs, start=1)]
        grid = {name: list(values) for name, values in plan.grid.items()}
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        record = {"command": sys.argv, "created": created}
        return cls(path, plan.model, dict(plan.fixed), grid, plan.seeds, os.getcwd(), members, record)

    def write(self) -> None:
        """Write `sweep.json` in one atomic step."""
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
        """Those of all members that have one so far, in the members' order."""
        return [run for member in self.members if (run := self.run_of(member)) is not None]

    def run_of(self, member: Member) -> Path | None:
        """The member's run directory if it has one and that is still there."""
        path = self.path / RUNS_FOLDER / (member.run or "")
        return path if member.run and (path / run_directory.RECIPE_FILE).is_file() else None

    def log_of(self, member: Member) -> Path:
        """What the member's processes print, one after the other."""
        return self.path / LOGS_FOLDER / f"{member.number:03d}.log"

    def is_done(self, member: Member) -> bool:
        """Whether the member is finished and its run is still there."""
        return member.status == FINISHED and self.run_of(member) is not None

    def find_run(self, member: Member) -> None:
        """Note the member's run directory if it has none yet and its process has made one."""
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
    """The sweep in a directory.

    Raises:
        UsageError: `path` is no sweep's directory, or its `sweep.json` is damaged.
    """
    path = Path(path)
    source = path / SWEEP_FILE
    try:
        content = safe_files.read_json(source)
    except OSError as error:
        raise must_be("sweep", f"a sweep's directory, a folder with {SWEEP_FILE}", str(path)) from error
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
    if member.run is not None and not safe_files.is_name(member.run):  # it is gone on with, and written to
        raise must_be("run", f"the name of a folder in {RUNS_FOLDER}, or None", member.run)
    if member.error is not None and not isinstance(member.error, str):
        raise must_be("error", "a line, or None", member.error)
    checks.non_negative("seconds", member.seconds)


def _is_run_of(member: Member, run: Path) -> bool:
    try:
        settings = run_directory.read_recipe(run).get("settings")
    except UsageError:  # damaged: not to be gone on with
        return False
    expected = json.loads(json.dumps(member.settings.to_json()))
    return isinstance(settings, dict) and all(
        settings.get(name) == value for name, value in expected.items() if name not in _FOUND_BY_THE_RUN
    )


def _to_json(member: Member) -> dict:
    entries = {entry.name: getattr(member, entry.name) for entry in dataclasses.fields(member)}
    return entries | {"settings": member.settings.to_json()}


def _from_json(content: dict, source: str) -> Member:
    return Member(**(content | {"settings": RunSettings.from_json(content["settings"], source)}))
