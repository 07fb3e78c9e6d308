"""Stop requests, intervals, locks, and files that survive SIGKILL."""

import errno
import fcntl
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest
from command_helpers import environment
from run_helpers import save_checkpoint

from keras_gen import UsageError, callbacks, distribution
from keras_gen.commands import cli
from keras_gen.runs import checkpoints, run_directory
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.runs.intervals import Interval
from keras_gen.runs.locking import locked
from keras_gen.utils import files
from keras_gen.utils.signals import StopSignals

# Intervals


@pytest.mark.parametrize(
    ("value", "interval", "kept"),
    [
        (1, Interval(1, "epochs"), 1),
        ("10", Interval(10, "epochs"), 10),
        ("10epochs", Interval(10, "epochs"), 10),
        ("1 epoch", Interval(1, "epochs"), 1),
        ("500steps", Interval(500, "steps"), "500steps"),
        (" 1step ", Interval(1, "steps"), "1steps"),
        ("5 minutes", Interval(5, "minutes"), "5minutes"),
        ("auto", Interval(1, "auto"), "auto"),
    ],
)
def test_intervals_are_parsed_and_kept(value, interval, kept):
    assert Interval.parse("every", value) == interval
    assert interval.to_json() == kept
    assert Interval.parse("every", kept) == interval


@pytest.mark.parametrize("value", [0, -1, "0steps", "", "steps", "1.5minutes", "5hours", "1e3steps", None, True, 2.0])
def test_a_value_that_is_no_interval_is_refused(value):
    with pytest.raises(UsageError) as error:
        Interval.parse("every", value)
    assert str(error.value) == (
        "every must be auto, an integer of at least 1 (epochs), or one with its unit: 500steps, 10epochs, 5minutes, "
        f"received: {value!r}"
    )


# Stop requests


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_request_is_counted_and_interrupts_nothing(number, capfd):
    before = signal.getsignal(number)
    with StopSignals("stopping") as requests:
        assert requests.count == 0
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        assert (requests.count, requests.signal) == (2, number)
    assert signal.getsignal(number) == before
    assert capfd.readouterr().err == "stopping\n"


GONE = """
import os, signal, sys
from keras_gen.commands import cli
from keras_gen.utils.signals import StopSignals

def command():
    with StopSignals("stopping") as requests:
        os.kill(os.getpid(), signal.SIGINT)
        assert requests.count == 1
    open(sys.argv[1], "w").close()
    cli.fail("interrupted", cli.INTERRUPTED)

sys.stdin.readline()  # until the reader is gone
cli.main(command)
"""


def test_a_stop_is_handled_though_the_reader_of_both_streams_is_gone(tmp_path):
    reached, (read, write) = tmp_path / "reached", os.pipe()
    program = [sys.executable, "-c", GONE, str(reached)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=write, stderr=write) as process:
        os.close(write)
        os.close(read)
        process.communicate(b"\n")
    assert (process.returncode, reached.exists()) == (130, True)


def test_sigterm_ends_a_command_by_an_exception(capsys):
    before, cleaned = signal.signal(signal.SIGTERM, signal.SIG_DFL), []

    def command():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            cleaned.append("the files")

    try:
        with pytest.raises(SystemExit) as end:
            cli.main(command)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (end.value.code, cleaned, capsys.readouterr().err) == (143, ["the files"], "terminated\n")


def test_a_second_ctrl_c_can_raise():
    with StopSignals(second_interrupt_raises=True) as requests:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)  # as at the end of a session
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert (requests.count, requests.signal) == (3, signal.SIGTERM)


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as requests:
            os.kill(os.getpid(), signal.SIGHUP)
        assert requests.count == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_stop_signals_work_in_another_thread():
    counts = []

    def work():
        with StopSignals() as requests:
            counts.append(requests.count)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert counts == [0]


# Locks


def test_a_lock_is_held_by_one_process_and_released_by_its_death(tmp_path):
    script = """
        import sys, time
        from keras_gen.runs.locking import locked
        with locked(sys.argv[1], "run"):
            print("held", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            with pytest.raises(UsageError) as error, locked(tmp_path, "run"):
                pass
            assert str(error.value) == (
                f"run {tmp_path} is in use by process {process.pid}: wait for it to end, or stop it"
            )
        finally:
            process.kill()
    with locked(tmp_path, "run"):
        pass


def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, capsys):
    def no_locks(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with locked(tmp_path, "run"):
        files.write_text(tmp_path / "a.txt", "a")
    assert capsys.readouterr().out == (
        f"NOTE: run {tmp_path} is not locked, since its file system has no locks (No locks available): "
        "do not start another process on it\n"
    )


def test_a_lock_names_its_holder(tmp_path):
    (tmp_path / "lock").write_text("process 1")
    with locked(tmp_path, "run"):
        assert (tmp_path / "lock").read_text() == f"process {os.getpid()}"
    assert (tmp_path / "lock").read_text() == ""


def test_a_lock_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "lock").symlink_to(tmp_path / "mine")
    for content in (None, "process of mine"):
        if content:
            (tmp_path / "mine").write_text(content)
        with pytest.raises(UsageError, match="lock must be a file or a folder, since"), locked(tmp_path / "run", "run"):
            pass
        assert (tmp_path / "mine").exists() == (content is not None)
    assert (tmp_path / "mine").read_text() == "process of mine"


@pytest.mark.parametrize("change", ["removed", "replaced", "moved", "only its lock"])
def test_nothing_is_written_into_a_folder_that_is_no_longer_the_locked_one(tmp_path, change, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("run")
    grid = callbacks.image_grids.Grid("run/samples/deep")
    grid.set_params({"epochs": 1})
    writers = [
        lambda: files.write_text("run/history.csv", "x"),
        lambda: files.make_folder("run/samples"),
        lambda: files.write_directory(tmp_path / "run" / "saved_model", lambda folder: None, overwrite=True),
        lambda: save_checkpoint("run", Arrays(), TrainingPosition(1)),
        lambda: grid.on_epoch_end(0),
    ]
    monkeypatch.setattr(distribution, "value", lambda variable: variable.value)
    with locked("run", "run"):
        files.write_text("run/history.csv", "x")
        if change == "moved":
            os.rename("run", "elsewhere")
        elif change == "only its lock":
            os.remove("run/lock")
        else:
            shutil.rmtree("run")
        if change == "replaced":
            os.mkdir("run")
            Path("run", "lock").touch()
        before = sorted(map(str, tmp_path.rglob("*")))
        for write in writers:
            with pytest.raises(UsageError, match=r"run was removed or replaced .*: nothing more is written to it$"):
                write()
        assert sorted(map(str, tmp_path.rglob("*"))) == before
    files.write_text(tmp_path / "free.txt", "x")


def test_a_locked_folder_may_be_reached_by_a_link_but_not_be_left_by_one(tmp_path):
    for name in ("run", "mine"):
        (tmp_path / name).mkdir()
    run = tmp_path / "link"
    run.symlink_to(tmp_path / "run")
    with locked(run, "run"):
        files.write_text(run / "history.csv", "x")
        (run / "samples").symlink_to(tmp_path / "mine")
        with pytest.raises(UsageError, match="samples must be .* links inside a run or a sweep are not followed"):
            files.write_text(run / "samples" / "epoch-00001.png", "x")
        with pytest.raises(UsageError, match="samples must be"):
            files.make_folder(run / "samples" / "more")
    assert list((tmp_path / "mine").iterdir()) == []
    assert (tmp_path / "run" / "history.csv").read_text() == "x"


# Files that survive

SEEDS = [seed if seed < 3 else pytest.param(seed, marks=pytest.mark.slow) for seed in range(20)]


def killed_at_random(script, path, seconds, seed):
    """Run a script, which gets the path, and kill it some time after it said that it works."""
    command = [sys.executable, "-c", textwrap.dedent(script), os.fspath(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout.readline()
        time.sleep(random.Random(seed).uniform(*seconds))
        process.kill()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("seed", SEEDS)
def test_a_json_file_is_always_the_old_or_the_new_one(tmp_path, seed):
    path = tmp_path / "recipe.json"
    files.write_json(path, {"number": 0, "filling": []})

    script = """
        import itertools, sys
        from keras_gen.utils import files
        for number in itertools.count(1):
            files.write_json(sys.argv[1], {"number": number, "filling": [number] * 50_000})
            print(number, flush=True)
    """
    killed_at_random(script, path, (0.0, 0.15), seed)
    content = json.loads(path.read_text())
    assert content["number"] > 0
    assert content["filling"] == [content["number"]] * 50_000
    run_directory.remove_leftovers(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["recipe.json"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_replaced_folder_is_complete_under_its_name_or_beside_it(tmp_path, seed):
    path = tmp_path / "saved_model"

    script = """
        import itertools, sys
        from keras_gen.utils import files
        for number in itertools.count():
            def write(folder):
                for index in range(5):
                    (folder / f"part-{index}").write_bytes(bytes([number % 256]) * 10_000)
            files.write_directory(sys.argv[1], write, overwrite=number > 0)
            print(number, flush=True)
    """
    killed_at_random(script, path, (0.02, 0.1), seed)
    run_directory.remove_leftovers(tmp_path)
    parts = [(path / f"part-{index}").read_bytes() for index in range(5)]
    assert len(set(parts)) == 1
    assert len(parts[0]) == 10_000
    assert [entry.name for entry in tmp_path.iterdir()] == ["saved_model"]


class Arrays:
    """A stand-in for a model of a few variables, since TensorFlow fails in a forked process."""

    def __init__(self, count=6):
        self.variables = [types.SimpleNamespace(path=f"v{index}", value=np.zeros((40, 500))) for index in range(count)]
        self.metrics, self.optimizers, self.distribute_strategy = [], [], None
        for variable in self.variables:
            variable.shape, variable.dtype = variable.value.shape, variable.value.dtype.name
            variable.assign = lambda value, variable=variable: setattr(variable, "value", value)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_killed_process_leaves_a_good_checkpoint(tmp_path, seed, monkeypatch):
    monkeypatch.setattr(distribution, "value", lambda variable: variable.value)

    def work():
        model = Arrays()
        for step in range(1, 10**6):
            for variable in model.variables:
                variable.value = np.full(variable.shape, float(step))
            save_checkpoint(tmp_path, model, TrainingPosition(0, step))

    # Forked, since importing TensorFlow takes seconds; the child does not use it.
    process, deadline = multiprocessing.get_context("fork").Process(target=work), time.monotonic() + 60
    process.start()
    try:
        while len(list((tmp_path / "checkpoints").glob("epoch-*"))) < 2:
            assert process.is_alive() and time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(random.Random(seed).uniform(0.0, 0.2))
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    position = checkpoints.latest(tmp_path)[0]
    assert position.step > 1
    model = Arrays()
    assert checkpoints.restore_latest(tmp_path, model) == position
    for variable in model.variables:
        np.testing.assert_array_equal(variable.value, np.full(variable.shape, float(position.step)))
    assert 2 <= len(list((tmp_path / "checkpoints").glob("epoch-*"))) <= 3
