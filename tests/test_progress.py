"""Tests of the progress of long tasks: in a terminal, in a log file, and which tasks show it."""

import ast
import functools
import os
import pty
import re
import subprocess
import sys
import termios
import textwrap
import time
import types
from pathlib import Path

import numpy as np
import pytest
from data_helpers import gray, write_image
from scorer_helpers import NoiseModel, QuadrantExtractor, squares

import keras_gen
from keras_gen import data
from keras_gen.evaluation import EvaluationSettings, Reference, Scorer, evaluator
from keras_gen.models.fitting import with_progress_bar
from keras_gen.training import sweeps
from keras_gen.utils import progress
from keras_gen.utils.keras_internals import ProgressBar

SCRIPT = """
import time
from keras_gen.utils import progress
progress.BAR_SECONDS = 0.05
progress.LINE_SECONDS = 0
with progress.task("short", 10) as short:
    short.advance(9)
with progress.task("sweep", 2, "members", at_once=True):
    progress.print_line("[1/2] started")
    with progress.task("features", 100) as features:
        for _ in range(100):
            time.sleep(0.005)
            features.advance()
    with progress.timer("t-SNE"):
        time.sleep(0.5)
    raise SystemExit("failed")
"""


@pytest.fixture
def log(capfd, monkeypatch):
    """Write a line at each change of a task, and return a function that returns the lines so far."""
    written = []
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    monkeypatch.setattr(progress, "_bar", functools.partial(progress._bar, disable=False))  # conftest.py disables it

    def lines():
        written.extend(capfd.readouterr().err.splitlines())
        return written

    return lines


def in_terminal(**environment):
    """Run `SCRIPT` and return its stdout and what it writes to a terminal of 24 rows and 80 columns on stderr."""
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"} | environment
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [sys.executable, "-c", SCRIPT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, text=True) as process:
        os.close(theirs)
        written = b""
        try:
            while received := os.read(ours, 4096):
                written += received
        except OSError:  # on Linux: the other end is closed
            pass
        os.close(ours)
        return process.stdout.read(), written.decode()


def screen(written):
    """Return the lines that a terminal shows, without blank ones."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[A|\r|\n|[^\x1b\r\n]+", written):
        if part == "\x1b[A":
            row -= 1
        elif part == "\r":
            column = 0
        elif part == "\n":
            row, column = row + 1, 0
            lines += [""] * (row >= len(lines))
        else:
            before = lines[row].ljust(column)
            lines[row] = before[:column] + part + before[column + len(part) :]
            column += len(part)
    return [line.rstrip() for line in lines if line.strip()]


def test_bars_appear_in_a_terminal_and_disappear_when_a_task_ends_or_fails():
    out, written = in_terminal()
    assert out == "[1/2] started\n"
    for bar in (r"sweep:   0%\|.*\| 0/2 \[", r"features:  \d\d%\|.*\| \d\d/100 \[", r"t-SNE \.\.\."):
        assert re.search(rf"\r{bar}", written), written
    assert "short" not in written
    assert screen(written) == ["failed"]


def test_tqdm_disable_disables_bars():
    assert in_terminal(TQDM_DISABLE="1") == ("[1/2] started\n", "failed\r\n")


def test_a_notebook_has_bars(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel.zmqshell", types.ModuleType("zmqshell"))
    assert progress.draws_bars()


def test_a_log_has_lines(log):
    with progress.task("features", 4) as features:
        features.advance(3)
    with progress.task("batches", unit="batches") as batches:
        batches.advance(5)
    with progress.timer("t-SNE of 5 codes"):
        time.sleep(0.5)
    for line, pattern in zip(
        log(),
        [
            r"features:   0% 0/4 \[00:00<\?, \?images/s\]",
            r"features:  75% 3/4 \[00:00<00:00, .*images/s\]",
            r"batches: 0batches \[00:00, \?batches/s\]",
            r"batches: 5batches \[00:00, .*batches/s\]",
            r"t-SNE of 5 codes \.\.\.",
        ],
        strict=True,
    ):
        assert re.fullmatch(pattern, line)


def test_a_log_has_no_lines_of_short_tasks(log, monkeypatch):
    monkeypatch.setattr(progress, "LINE_SECONDS", 15)
    with progress.timer("t-SNE"), progress.task("features", 10, at_once=True) as features:
        features.advance(9)
    assert log() == []


# Long tasks of the package


def finished(lines):
    """Return the labels of the tasks that are at 100 %."""
    return {line.partition(":")[0] for line in lines if ": 100% " in line}


def test_reading_a_folder_and_resizing(log, tmp_path):
    for index in range(20):
        write_image(tmp_path / "folder" / f"{index}.png", gray(index))
    data.load(tmp_path / "folder")
    np.savez(tmp_path / "a.npz", x_train=np.zeros((30, 8, 8), np.uint8), x_test=np.zeros((5, 8, 8), np.uint8))
    data.load(tmp_path / "a.npz", image_size=4)
    assert {"inspecting image files", "reading image files", "resizing images"} <= finished(log())


def test_scoring(log):
    real = Reference(squares(600), QuadrantExtractor(), cache=False)
    held_out = Reference(squares(600, seed=1), real.extractor, split="test", cache=False)
    scorer = Scorer(real, ("fid", "precision_recall"), num_images=500, held_out=held_out)
    evaluator.scores_per_seed(scorer, NoiseModel(), EvaluationSettings(seeds=3))
    scorer.floors()
    kinds = {f"{what} of {which} images" for what in ("features", "scores") for which in ("generated", "held-out")}
    assert finished(log()) == kinds | {"features of train images", "generated images"}


def test_a_vae(log):
    encoder = keras_gen.networks.mlp_encoder((8, 8, 1), latent_dim=2)
    vae = keras_gen.VAE(encoder, keras_gen.networks.mlp_decoder((8, 8, 1), latent_dim=2), likelihood="bernoulli")
    images = np.where(squares(300) > 127, np.uint8(255), np.uint8(0))
    vae.reconstruct(images)
    vae.log_importance_weights(images[:20], samples=100)
    vae.compile("adam")
    split = data.image_data.Split(images, np.arange(300) % 3)
    splits = types.SimpleNamespace(test=split, validation=split, train=split, evaluated=lambda role: split)
    evaluator._losses(vae, splits)
    assert {"reconstructions", "codes", "importance weights", "losses"} <= finished(log())


def test_a_sweep(log, tmp_path):
    commands = sweeps.Commands(lambda settings, out: [sys.executable, "-c", ""], lambda run: [])
    sweeps.run(sweeps.Plan("vae-mlp", {"epochs": 1}, seeds=3), commands, out=tmp_path / "sweeps")
    assert finished(log()) == {"sweep"}


def test_what_is_printed_can_not_control_the_terminal(capsys, monkeypatch):
    progress.print_line("a\x1b[31m\r\nb\u202e ± é")
    assert capsys.readouterr().out == "a\\x1b[31m\\r\\nb\\u202e ± é\n"
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    with progress.task("features of \x1b[31m", 1) as task:
        task.advance()
    assert "\x1b" not in capsys.readouterr().err


def test_all_of_the_package_prints_with_one_function():
    folder = Path(keras_gen.__file__).parent
    own = {"utils/progress.py", "commands/cli.py", "commands/timing.py", "commands/benchmark_training.py"}
    calls = []
    for path in folder.rglob("*.py"):
        name = path.relative_to(folder).as_posix()
        if name in own or name.startswith("commands/benchmarks/"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "id")]
        calls += [name] * names.count("print")
    assert calls == []


def test_the_bar_counts_no_step_beyond_the_epoch_and_shows_no_count_as_a_mean(capsys):
    bar = ProgressBar()
    bar.set_params({"verbose": 1, "epochs": 1, "steps": 39})
    bar.on_epoch_begin(0)
    bar.on_train_batch_end(31, {"loss": 1.0})
    bar.on_train_batch_end(63, {"loss": 1.0})
    bar.on_epoch_end(0, {"loss": 1.0, "fd_lenet": 9.0, "fd_lenet_images": 1000, "many_images": 2.0})
    shown = capsys.readouterr().out
    assert "39/39" in shown
    assert "64/39" not in shown
    assert "fd_lenet: 9.0" in shown
    assert "many_images: 2.0" in shown
    assert "fd_lenet_images" not in shown
    assert with_progress_bar(None, 0) is None
    assert with_progress_bar([bar], 1) == [bar]


def test_a_notebook_without_ipywidgets_has_a_bar_of_text_and_no_warning():
    script = """
        import sys, types, warnings
        warnings.simplefilter("error")
        shell = types.SimpleNamespace(config={"IPKernelApp": {}})
        sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: shell)
        sys.modules["ipykernel.zmqshell"] = sys.modules["ipywidgets"] = None
        from keras_gen.utils import progress
        with progress.task("reading", 3, at_once=True) as task:
            task.advance()
    """
    environment = {name: value for name, value in os.environ.items() if name != "TQDM_DISABLE"}
    words = [sys.executable, "-c", textwrap.dedent(script)]
    result = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    assert "reading" in result.stderr and "Warning" not in result.stderr
