"""The part of `benchmark.py` about start-up: durations of commands as processes, and of a run to its first steps."""

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

from keras_gen.commands.timing import compare, spread

RUN = ("-m", "keras_gen", "run")

COMMANDS = {
    # name: (arguments of Python, expected exit code)
    'python -c "import tensorflow"': (["-c", "import tensorflow"], 0),
    "python -c pass": (["-c", "pass"], 0),
    "run.py --list": ([*RUN, "--list"], 0),
    "run.py --help": ([*RUN, "--help"], 0),
    "run.py --modle vae": ([*RUN, "--modle", "vae"], 2),
}

FIRST_RUN = ["--model", "vae-mlp", "--dataset", "digits", "--epochs", "1"]

BAR = re.compile(rb"\x1b\[1m *(\d+)/(\d+)\x1b")
"""Keras' progress bar in a terminal: train steps done, and train steps of the epoch."""


def start_up(repeats: int) -> dict:
    """Time whole processes, and a run from its start to its first train steps."""
    seconds = compare({name: functools.partial(run_python, *entry) for name, entry in COMMANDS.items()}, repeats)
    runs = [first_run() for _ in range(repeats)]
    first, whole, memory = ([run[name] for run in runs] for name in ("first_seconds", "seconds", "peak_megabytes"))
    done, steps = runs[0]["done"], runs[0]["steps"]
    print(f"run.py {' '.join(FIRST_RUN)}: {done} of {steps} train steps, one call of TensorFlow, done after")
    print(f"{spread(first, '.2f')} s; the whole run {spread(whole, '.2f')} s, at most {spread(memory, ',.0f')} MB")
    return {"seconds": seconds, "run": runs}


def run_python(arguments: list[str], code: int) -> None:
    """Run Python and check its exit code."""
    process = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    check_exit_code(arguments, process.returncode, code, process.stderr)


def check_exit_code(arguments: list[str], received: int, code: int, errors: str) -> None:
    """Raise an error if the process did not do what was to be timed."""
    if received != code:
        raise RuntimeError(f"{' '.join(arguments)} ended with exit code {received}, not {code}: {errors}")


def first_run() -> dict:
    """Start a run in a pseudo-terminal and watch its output until it ends.

    The first train step is taken from the first progress bar, which Keras draws after the first call of TensorFlow. If
    that call makes several steps (`done` of the `steps` of an epoch), the time is an upper bound. Linux only.
    """
    arguments = [*RUN, *FIRST_RUN]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as errors:
        cache = {"KERAS_GEN_CACHE": str(Path(folder) / "cache")}
        terminal, process_end = pty.openpty()
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments, "--out", str(Path(folder) / "runs")],
            stdin=subprocess.DEVNULL,
            stdout=process_end,
            stderr=errors,
            env=os.environ | cache,
        )
        os.close(process_end)
        try:
            measured = watch(process, terminal, started)
        finally:
            os.close(terminal)
            process.kill()  # no effect if it has ended
            process.wait()
        errors.seek(0)
        check_exit_code(arguments, process.returncode, 0, errors.read())
    if "done" not in measured:
        raise RuntimeError(f"{' '.join(arguments)} drew no progress bar")
    return measured


def watch(process: subprocess.Popen, terminal: int, started: float) -> dict:
    """Read the output of a process until it ends; return the times of first bar and end, and the peak memory."""
    output, measured = b"", {"peak_megabytes": 0.0}
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):  # it has just ended: no status, or none with memory
            status = Path(f"/proc/{process.pid}/status").read_text()
            measured["peak_megabytes"] = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
        if not select.select([terminal], [], [], 0.02)[0]:
            continue
        with contextlib.suppress(OSError):  # the other end is closed
            output += os.read(terminal, 65536)
        if "done" not in measured and (bar := BAR.search(output)):
            measured["first_seconds"] = time.perf_counter() - started
            measured |= {"done": int(bar[1]), "steps": int(bar[2])}
    return measured | {"seconds": time.perf_counter() - started}
