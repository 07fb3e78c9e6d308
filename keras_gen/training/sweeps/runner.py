"""Carrying out a sweep: its members one after the other, each in a process of its own.

Keras keeps every fitted model in memory for as long as the process lives, and a member that fails must not end the
others.
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
from keras_gen.training.sweeps.plan import Plan
from keras_gen.training.sweeps.state import Member, Sweep
from keras_gen.utils import progress
from keras_gen.utils.errors import UsageError
from keras_gen.utils.signals import StopSignals

POLL_SECONDS = 0.1


class SweepInterrupted(Exception):
    """A sweep was asked to stop: Ctrl-C, SIGTERM or SIGHUP. The message says how to go on with it."""


@dataclass(frozen=True)
class Commands:
    """How a member's process is started: words of a command line, the program first.

    Args:
        start: from the settings and the folder of run directories, to a command that makes the next numbered one
            there.
        resume: from a run directory, to a command that goes on with it.
    """

    start: Callable[[RunSettings, Path], list[str]]
    resume: Callable[[Path], list[str]]


def run(plan: Plan, commands: Commands, *, out: str | os.PathLike = "sweeps") -> Sweep:
    """Make the next numbered sweep directory and train the plan's members in it.

    Args:
        plan: what to train.
        commands: how.
        out: folder of sweep directories; the new one is the next numbered, `out/00003-vae-mlp`.

    Returns:
        The sweep, every member of it finished or failed.

    Raises:
        UsageError: `out` can't be written.
        SweepInterrupted: Ctrl-C; the member that was running has been stopped as Ctrl-C stops a run.
    """
    path = run_directory.create(out, plan.model)
    with locked(path, "sweep") as lock:
        sweep = Sweep.of(plan, path)
        for folder in (state.RUNS_FOLDER, state.LOGS_FOLDER):
            (path / folder).mkdir()
        sweep.write()
        print(f"{len(sweep.members)} members, sweep directory {path}", flush=True)
        _train(sweep, commands, lock)
    return sweep


def resume(path: str | os.PathLike, commands: Commands) -> Sweep:
    """Go on with a sweep: its finished members stay, those with a run directory are resumed, the others are started.

    Raises:
        UsageError: `path` is no sweep's directory, somebody works on it, or the folder that it was started in is gone.
        SweepInterrupted: as in `run`.
    """
    state.read(path)  # before a lock file is made
    with locked(path, "sweep") as lock:
        sweep = state.read(path)
        if not os.path.isdir(sweep.directory):
            raise UsageError(f"sweep {path} was started in {sweep.directory}, which is gone: its data can't be found")
        done = sum(map(sweep.is_done, sweep.members))
        print(f"{path}: {done} of {len(sweep.members)} members done", flush=True)
        _train(sweep, commands, lock)
    return sweep


def resume_command(sweep: Sweep) -> str:
    """The command for those who want the rest."""
    return f"go on with: python experiments/sweep.py --resume {sweep.path}"


def _train(sweep: Sweep, commands: Commands, lock: Lock) -> None:
    begin = time.monotonic()
    told = set()
    waiting = sum(not sweep.is_done(member) for member in sweep.members)
    with StopSignals() as requests, progress.task("sweep", waiting, "members", show_clock=True) as step:
        for member in sweep.members:
            if sweep.is_done(member):
                continue
            if not requests.count:
                step.note(f"[{member.number}/{len(sweep.members)}] {member.label}")
                printed = _train_member(sweep, member, commands, lock, requests, begin)
                _tell_notes(printed, told)
            if requests.count and not all(map(sweep.is_done, sweep.members)):
                done = sum(map(sweep.is_done, sweep.members))
                raise SweepInterrupted(
                    f"interrupted after {done} of {len(sweep.members)} members; {resume_command(sweep)}"
                )
            step.advance()


def _tell_notes(printed: str, told: set[str]) -> None:
    """What a run wants its user to know, such as digits in place of its data: each line once in a sweep."""
    for line in printed.splitlines():
        if line.startswith("NOTE: ") and line not in told:
            told.add(line)
            progress.print_line(line)


def _train_member(sweep, member, commands, lock, requests, begin) -> str:
    """Train one member, whatever comes of it; what its process printed."""
    sweep.find_run(member)  # of a sweep that was killed before it saw it
    run = sweep.run_of(member)
    what = f"[{member.number}/{len(sweep.members)}] {member.label}"
    progress.print_line(f"{what}: {'started' if run is None else 'resumed'}, log {sweep.log_of(member)}")
    if run is None:
        member.run = None
        command = commands.start(member.settings, (sweep.path / state.RUNS_FOLDER).absolute())
    else:
        command = commands.resume(run.absolute())
    member.status, member.error = state.RUNNING, None
    sweep.write()
    start = time.monotonic()
    with open(sweep.log_of(member), "a+b") as log:
        log.write(f"$ {shlex.join(command)}\n".encode())
        log.flush()
        position = log.tell()
        code = _wait(sweep, member, _start(command, sweep.directory, log, lock), lock, requests)
        log.seek(position)
        printed = log.read().decode(errors="replace")
    end = time.monotonic()
    member.seconds = round(member.seconds + end - start, 1)
    sweep.find_run(member)
    _conclude(sweep, member, code, printed, requests)
    sweep.write()
    how = f"{member.status} after {_clock(end - start)} ({_clock(end - begin)} in all)"
    progress.print_line(f"{what}: {how}" + (f": {member.error}" if member.error else ""))
    return printed


def _start(command: list[str], directory: str, log, lock: Lock) -> subprocess.Popen:
    # Where Ctrl-C is ignored, as in what a shell runs in the background, the member would ignore ours as well.
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            pass_fds=[lock.fileno()],
            process_group=0,  # the terminal's Ctrl-C comes to the sweep, which hands it on once
        )
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _wait(sweep: Sweep, member: Member, process: subprocess.Popen, lock: Lock, requests: StopSignals) -> int:
    """The exit code of the member's process, to which requests to stop are handed on; a second one kills it."""
    asked = 0
    try:
        lock.say(f"process {os.getpid()}, whose member is process {process.pid}")
        while (code := process.poll()) is None:
            if requests.count > asked:  # (two at once, as when a session ends, are one)
                first, asked = not asked, requests.count
                process.send_signal(signal.SIGINT if first else signal.SIGKILL)
                if first:
                    progress.print_line(f"stopping member {member.number}; once more to kill it")
            sweep.find_run(member)
            time.sleep(POLL_SECONDS)
        return code
    except BaseException:  # a full disk, say: nothing is left training behind
        if not asked:
            process.send_signal(signal.SIGINT)
        process.wait()
        raise


def _conclude(sweep: Sweep, member: Member, code: int, printed: str, requests: StopSignals) -> None:
    if code == 0 and sweep.run_of(member) is not None:
        member.status = state.FINISHED
    elif code != 0 and requests.count:
        member.status = state.INTERRUPTED
    else:
        member.status, member.error = state.FAILED, _reason(code, printed)


def _reason(code: int, printed: str) -> str:
    """Why a process failed, in one line."""
    if code < 0:
        names = {entry.value: entry.name for entry in signal.Signals}
        return f"killed by {names.get(-code, f'signal {-code}')}"
    if code == 0:
        return "it left no run directory"
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else f"exit code {code}"


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
