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
from keras_gen.training.sweeps.plan import Plan
from keras_gen.training.sweeps.state import Member, Sweep
from keras_gen.utils import progress
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


def run(plan: Plan, commands: Commands, *, out: str | os.PathLike = "sweeps") -> Sweep:
    """Make the next numbered sweep directory and train the plan's members in it.

    Args:
        plan: Plan. The members to train.
        commands: Commands. The command lines that train them.
        out: str or path. Folder of sweep directories; the new one gets the next number, as in `out/00003-vae-mlp`.
            Defaults to `"sweeps"`.

    Returns:
        The sweep. Every member is finished or failed.

    Raises:
        UsageError: `out` can't be written.
        SweepInterrupted: Ctrl-C, SIGTERM or SIGHUP; the running member has been stopped and can be resumed.
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
        done = sum(map(sweep.is_done, sweep.members))
        print(f"{path}: {done} of {len(sweep.members)} members done", flush=True)
        _train(sweep, commands, lock)
    return sweep


def resume_command(sweep: Sweep) -> str:
    """Return the hint that names the command to resume the sweep."""
    return f"resume with: python experiments/sweep.py --resume {sweep.path}"


def _train(sweep: Sweep, commands: Commands, lock: Lock) -> None:
    begin = time.monotonic()
    printed_notes = set()
    waiting = sum(not sweep.is_done(member) for member in sweep.members)
    with StopSignals() as requests, progress.task("sweep", waiting, "members", show_clock=True) as task:
        for member in sweep.members:
            if sweep.is_done(member):
                continue
            if not requests.count:
                task.note(f"[{member.number}/{len(sweep.members)}] {member.label}")
                output = _train_member(sweep, member, commands, lock, requests, begin)
                _print_notes(output, printed_notes)
            if requests.count and not all(map(sweep.is_done, sweep.members)):
                done = sum(map(sweep.is_done, sweep.members))
                raise SweepInterrupted(
                    f"interrupted after {done} of {len(sweep.members)} members; {resume_command(sweep)}"
                )
            task.advance()


def _print_notes(output: str, printed_notes: set[str]) -> None:
    """Print the notes in a run's output (such as a fallback to digits), each of them once a sweep."""
    for line in output.splitlines():
        if line.startswith("NOTE: ") and line not in printed_notes:
            printed_notes.add(line)
            progress.print_line(line)


def _train_member(sweep, member, commands, lock, requests, begin) -> str:
    """Train one member to success or failure; return what its process printed."""
    sweep.find_run(member)  # made after a sweep was killed, so not recorded
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
        output = log.read().decode(errors="replace")
    end = time.monotonic()
    member.seconds = round(member.seconds + end - start, 1)
    sweep.find_run(member)
    _set_status(sweep, member, code, output, requests)
    sweep.write()
    outcome = f"{member.status} after {_clock(end - start)} ({_clock(end - begin)} in all)"
    progress.print_line(f"{what}: {outcome}" + (f": {member.error}" if member.error else ""))
    return output


def _start(command: list[str], directory: str, log, lock: Lock) -> subprocess.Popen:
    # Where SIGINT is ignored, as in a shell's background job, the member would inherit that and ignore our SIGINT.
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
            process_group=0,  # the terminal's Ctrl-C reaches only the sweep, which forwards it once
        )
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def _wait(sweep: Sweep, member: Member, process: subprocess.Popen, lock: Lock, requests: StopSignals) -> int:
    """Wait for the member's process and return its exit code; forward a stop request to it, kill it at the second."""
    handled = 0
    try:
        lock.say(f"process {os.getpid()}, whose member is process {process.pid}")
        while (code := process.poll()) is None:
            if requests.count > handled:  # two signals at once, as when a session ends, count as one request
                first, handled = not handled, requests.count
                process.send_signal(signal.SIGINT if first else signal.SIGKILL)
                if first:
                    progress.print_line(f"stopping member {member.number}; once more to kill it")
            sweep.find_run(member)
            time.sleep(POLL_SECONDS)
        return code
    except BaseException:  # such as a full disk: don't leave the member training
        if not handled:
            process.send_signal(signal.SIGINT)
        process.wait()
        raise


def _set_status(sweep: Sweep, member: Member, code: int, output: str, requests: StopSignals) -> None:
    if code == 0 and sweep.run_of(member) is not None:
        member.status = state.FINISHED
    elif code != 0 and requests.count:
        member.status = state.INTERRUPTED
    else:
        member.status, member.error = state.FAILED, _failure_reason(code, output)


def _failure_reason(code: int, output: str) -> str:
    """Return why a process failed, in one line."""
    if code < 0:
        names = {entry.value: entry.name for entry in signal.Signals}
        return f"killed by {names.get(-code, f'signal {-code}')}"
    if code == 0:
        return "it left no run directory"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else f"exit code {code}"


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
