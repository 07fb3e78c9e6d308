"""The part of benchmark.py about starting: what commands take as whole processes, and what a run takes to train."""

from __future__ import annotations

import contextlib
import functools
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = ("-m", "keras_gen.commands.run")

COMMANDS = {
    # what is started: arguments of Python, and the exit code
    'python -c "import tensorflow"': (["-c", "import tensorflow"], 0),
    "python -c pass": (["-c", "pass"], 0),
    "run.py --list": ([*RUN, "--list"], 0),
    "run.py --help": ([*RUN, "--help"], 0),
    "run.py --modle vae": ([*RUN, "--modle", "vae"], 2),
}

FIRST_RUN = ["--model", "vae-mlp", "--dataset", "digits", "--epochs", "1"]

BAR = re.compile(rb"\x1b\[1m *(\d+)/(\d+)\x1b")
"""Keras' bar in a terminal, with the train steps that are done and those of the epoch."""


def start_up(repeats: int) -> dict:
    """Processes from their start to their end, and a run from its start to its first train steps."""
    from keras_gen.commands.benchmark_training import spread
    from keras_gen.commands.benchmarks.timing import compare

    seconds = compare({name: functools.partial(finish, *entry) for name, entry in COMMANDS.items()}, repeats)
    runs = [first_run() for _ in range(repeats)]
    first, whole, memory = ([run[name] for run in runs] for name in ("first_seconds", "seconds", "peak_megabytes"))
    done, steps = runs[0]["done"], runs[0]["steps"]
    print(f"run.py {' '.join(FIRST_RUN)}: {done} of {steps} train steps, one call of TensorFlow, done after")
    print(f"{spread(first, '.2f')} s; the whole run {spread(whole, '.2f')} s, at most {spread(memory, ',.0f')} MB")
    return {"seconds": seconds, "run": runs}


def finish(arguments: list[str], code: int) -> None:
    """Run Python to its end, which must be as expected."""
    ended = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    check_end(arguments, ended.returncode, code, ended.stderr)


def check_end(arguments: list[str], received: int, code: int, errors: str) -> None:
    """Refuse to have timed something else than was meant."""
    if received != code:
        raise RuntimeError(f"{' '.join(arguments)} ended with exit code {received}, not {code}: {errors}")


def first_run() -> dict:
    """Start a run and watch it from outside, as somebody in a terminal does, to its end.

    The first train step shows as the first bar that Keras draws, when it has finished its first call of TensorFlow: an
    upper bound where that makes several steps, `done` of the `steps` of an epoch. Linux only, like the memory.
    """
    arguments = [*RUN, *FIRST_RUN]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        cache = {"KERAS_GEN_CACHE": str(Path(folder) / "cache")}
        ours, its = pty.openpty()
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments, "--out", str(Path(folder) / "runs")],
            stdin=subprocess.DEVNULL,
            stdout=its,
            stderr=errors,
            env=os.environ | cache,
        )
        os.close(its)
        try:
            watched = watch(process, ours, started)
        finally:
            os.close(ours)
            process.kill()  # does nothing to one that has ended
            process.wait()
        errors.seek(0)
        check_end(arguments, process.returncode, 0, errors.read())
    if "done" not in watched:
        raise RuntimeError(f"{' '.join(arguments)} drew no bar")
    return watched


def watch(process: subprocess.Popen, terminal: int, started: float) -> dict:
    """Read what a process prints until it ends: when its first bar came, when it ended, its most memory."""
    printed, found = b"", {"peak_megabytes": 0.0}
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):  # it has just ended: no status, or none of memory
            status = Path(f"/proc/{process.pid}/status").read_text()
            found["peak_megabytes"] = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
        if not select.select([terminal], [], [], 0.02)[0]:
            continue
        with contextlib.suppress(OSError):  # the other end is closed
            printed += os.read(terminal, 65536)
        if "done" not in found and (bar := BAR.search(printed)):
            found["first_seconds"] = time.perf_counter() - started
            found |= {"done": int(bar[1]), "steps": int(bar[2])}
    return found | {"seconds": time.perf_counter() - started}
