"""Train the members of a sweep one after the other, each in its own process.

Keras keeps every fitted model in memory until the process ends, and a member that fails must not end the others.
"""

from __future__ import annotations

import datetime
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keras_gen.runs import run_directory
from keras_gen.runs.locking import Lock, locked
from keras_gen.runs.settings import RunSettings
from keras_gen.training.sweeps import state
from keras_gen.training.sweeps.plan import Plan, RunList
from keras_gen.training.sweeps.state import Member, Sweep
from keras_gen.utils import files, progress
from keras_gen.utils.command_lines import command
from keras_gen.utils.errors import UsageError
from keras_gen.utils.signals import StopSignals

POLL_SECONDS = 0.1


class SweepInterrupted(Exception):
    """A stop request ended the sweep: Ctrl-C, SIGTERM or SIGHUP. The message says how to resume it."""


@dataclass(frozen=True)
class Commands:
    """Command lines of the members' processes, as lists of words that begin with the program.

    Args:
        start: callable of the settings and the folder of run directories. Returns a command that makes the next
            numbered run directory there.
        resume: callable of a run directory. Returns a command that resumes the run.
    """

    start: Callable[[RunSettings, Path], list[str]]
    resume: Callable[[Path], list[str]]


def run(plan: Plan | RunList, commands: Commands, *, out: str | os.PathLike = "sweeps") -> Sweep:
    """Make the next numbered sweep directory and train the plan's members in it.

    Args:
        plan: Plan or RunList. The members to train.
        commands: Commands. The command lines that train them.
        out: str or path. Folder of sweep directories; the new one gets the next number, as in `out/00003-vae-mlp`.
            Defaults to `"sweeps"`.

    Returns:
        The sweep. Every member is finished or failed.

    Raises:
        UsageError: `out` can't be written.
        SweepInterrupted: Ctrl-C, SIGTERM or SIGHUP; the running member has been stopped and can be resumed.
    """
    sweep = create(plan, out)
    with locked(sweep.path, "sweep") as lock:
        _train(sweep, commands, lock)
    return sweep


def create(plan: Plan | RunList, out: str | os.PathLike = "sweeps") -> Sweep:
    """Make the next numbered sweep directory for `resume`, and train nothing; arguments and errors as in `run`."""
    sweep = Sweep.of(plan, run_directory.create(out, plan.name))
    for folder in (state.RUNS_FOLDER, state.LOGS_FOLDER):
        (sweep.path / folder).mkdir()
    sweep.write()
    progress.print_line(f"{len(sweep.members)} members, sweep directory {sweep.path}")
    return sweep


def resume(path: str | os.PathLike, commands: Commands) -> Sweep:
    """Resume a sweep: keep finished members, resume members that have a run directory, start the others.

    Args:
        path: str or path. The sweep directory.
        commands: Commands. As in `run`.

    Raises:
        UsageError: `path` is no sweep directory, another process works on it, or the folder it was started in is gone.
        SweepInterrupted: As in `run`.
    """
    state.read(path)  # before a lock file is made
    with locked(path, "sweep") as lock:
        sweep = state.read(path)
        if not os.path.isdir(sweep.directory):
            raise UsageError(f"sweep {path} was started in {sweep.directory}, which is gone: its data can't be found")
        progress.print_line(f"{path}: {_finished(sweep)} members done")
        _train(sweep, commands, lock)
    return sweep


def resume_command(sweep: Sweep) -> str:
    """Return the hint that names the command to resume the sweep."""
    recipes = ["--recipes", sweep.recipes] if sweep.recipes else []
    return f"resume with: {command('sweep', '--resume', sweep.path, *recipes)}"


def _train(sweep: Sweep, commands: Commands, lock: Lock) -> None:
    begin = time.monotonic()
    members = [member for member in sweep.members if not member.is_finished]
    printed_notes = set()
    with StopSignals() as requests, progress.task("sweep", len(members), "members", at_once=True) as task:
        for member in members:
            if not requests.count:
                _train_member(sweep, member, commands, lock, requests, begin, printed_notes)
            if requests.count and not all(member.is_finished for member in members):
                raise SweepInterrupted(f"interrupted after {_finished(sweep)} members; {resume_command(sweep)}")
            task.advance()


def _finished(sweep: Sweep) -> str:
    return f"{sum(member.is_finished for member in sweep.members)} of {len(sweep.members)}"


def _train_member(sweep, member, commands, lock, requests, begin, printed_notes) -> None:
    """Train one member to success or failure; print its notes (such as a fallback to digits) once a sweep."""
    what = f"[{member.number}/{len(sweep.members)}] {member.label}"
    progress.print_line(f"{what}: {'resumed' if member.run else 'started'}, log {sweep.log_of(member)}")
    if member.run is None:
        command = commands.start(member.settings, (sweep.path / state.RUNS_FOLDER).absolute())
    else:
        command = commands.resume(member.run.absolute())
    start = time.monotonic()
    files.make_folder(sweep.log_of(member).parent)
    with open(sweep.log_of(member), "a+b") as log:
        log.write(f"$ {shlex.join(command)}\n".encode())
        log.flush()
        position = log.tell()
        code = _wait(member, _start(command, sweep.directory, log, lock), lock, requests)
        log.seek(position)
        lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    end = time.monotonic()
    sweep.find_runs()
    was_stopped = code != 0 and requests.count > 0
    if not member.is_finished and not was_stopped:
        member.error = _failure_reason(code, lines)
    outcome = "interrupted" if was_stopped else member.status
    outcome += f" after {_clock(end - start)} ({_clock(end - begin)} in all)"
    progress.print_line(f"{what}: {outcome}" + (f": {member.error}" if member.error else ""))
    for line in lines:
        if line.startswith("NOTE: ") and line not in printed_notes:
            printed_notes.add(line)
            progress.print_line(line)


def _start(command: list[str], directory: str, log, lock: Lock) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        pass_fds=[lock.fileno()],
        process_group=0,  # the terminal's Ctrl-C reaches only the sweep, which forwards it once
    )


def _wait(member: Member, process: subprocess.Popen, lock: Lock, requests: StopSignals) -> int:
    """Wait for the member's process and return its exit code; stop it at a stop request, kill it at the second."""
    handled = 0
    try:
        lock.say(f"process {os.getpid()}, whose member is process {process.pid}")
        while (code := process.poll()) is None:
            if (count := requests.count) > handled:  # two signals at once, as when a session ends, are one request
                if handled:
                    process.kill()
                else:
                    process.terminate()  # SIGINT would be ignored in a background job of a shell
                    progress.print_line(f"stopping member {member.number}; interrupt again to kill it")
                handled = count  # not what it is by now: a signal that came meanwhile is a second request
            time.sleep(POLL_SECONDS)
        return code
    except BaseException:  # such as a full disk: don't leave the member training
        process.terminate()
        process.wait()
        raise


def _failure_reason(code: int, lines: list[str]) -> str:
    """Return why a process failed, in one line: the last that it printed, if it ended by itself."""
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    if code == 0:
        return "it left no run directory with all epochs"
    return lines[-1].removeprefix("error: ") if lines else f"exit code {code}"


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
