"""A sweep's directory: its members and what became of them in `sweep.json`, and the lock of who works on it."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from keras_gen import runs
from keras_gen.errors import UsageError, must_be
from keras_gen.settings import RunSettings
from keras_gen.sweeping.plan import Plan

SWEEP_FILE, LOCK_FILE, RUNS_FOLDER, LOGS_FOLDER = "sweep.json", "lock", "runs", "logs"
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
        runs.write_json(self.path / SWEEP_FILE, content)

    def run_directories(self) -> list[Path]:
        """Those of all members that have one so far, in the members' order."""
        return [run for member in self.members if (run := self.run_of(member)) is not None]

    def run_of(self, member: Member) -> Path | None:
        """The member's run directory if it has one and that is still there."""
        path = self.path / RUNS_FOLDER / (member.run or "")
        return path if member.run and (path / runs.RECIPE_FILE).is_file() else None

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
            if path.name not in taken and (path / runs.RECIPE_FILE).is_file() and _is_run_of(member, path):
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
        content = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise must_be("sweep", f"a sweep's directory, a folder with {SWEEP_FILE}", str(path)) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{source} is damaged: {error}") from error
    try:
        members = [_from_json(member, os.fspath(source)) for member in content.pop("members")]
        known = [content.pop(name) for name in ("model", "fixed", "grid", "seeds", "directory")]
        sweep = Sweep(path, *known, members, content)
    except (TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{source} is damaged, or of another version of keras_gen: {error!r}") from error
    if any(member.status not in STATUSES for member in members):
        raise UsageError(f"{source} is damaged: a member's status must be one of {', '.join(STATUSES)}")
    return sweep


class Lock:
    """What is held by who works on a sweep, and inherited by the member's process.

    The system frees it when the last of them has ended, however that came about, so that nobody goes on with a sweep
    while a member of it is still training.
    """

    def __init__(self, file):
        self._file = file

    def fileno(self) -> int:
        """Of the open file, to hand on to a process."""
        return self._file.fileno()

    def say(self, who: str) -> None:
        """Leave a word for those who find it locked."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(who)
        self._file.flush()


@contextlib.contextmanager
def locked(path: str | os.PathLike) -> Iterator[Lock]:
    """Hold a sweep's lock in the block.

    Raises:
        UsageError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        raise UsageError("a sweep needs locks of files as Linux and macOS have them") from None
    with open(Path(path) / LOCK_FILE, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UsageError(
                f"sweep {path} is being worked on by {file.read() or 'another process'}: wait for it, or end it first"
            ) from None
        lock = Lock(file)
        lock.say(f"process {os.getpid()}")
        yield lock
        lock.say("")


def _is_run_of(member: Member, run: Path) -> bool:
    try:
        settings = runs.read_recipe(run).get("settings")
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
