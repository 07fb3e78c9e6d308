"""Tests of the progress of a step: in a terminal, in a notebook, in a log file."""

import os
import pty
import re
import subprocess
import sys
import termios
import textwrap
import threading

import progress_helpers
import pytest
from progress_helpers import screen

from keras_gen.utils import progress
from keras_gen.utils.errors import UsageError

bars_are_not_forbidden, clock = progress_helpers.bars_are_not_forbidden, progress_helpers.clock
log, terminal = progress_helpers.log, progress_helpers.terminal


# A log file


def test_a_log_has_a_line_every_15_seconds_at_most_and_one_at_the_end(clock, log):
    with progress.task("features", 10_000) as step:
        for _ in range(10):
            clock.now += 4
            step.advance(1000)
    assert log.lines == [
        "features: 4,000 of 10,000 images (40 %), 16 s, about 24 s left",
        "features: 8,000 of 10,000 images (80 %), 32 s, about 8 s left",
        "features: 10,000 of 10,000 images (100 %), 40 s",
    ]


def test_a_log_has_nothing_of_a_step_shorter_than_15_seconds(clock, log):
    with progress.task("features", 100) as step:
        for _ in range(99):
            clock.now += 0.15
            step.advance()
    assert log.err == ""


def test_a_log_has_nothing_of_steps_without_pieces_or_with_one(clock, log):
    for total in (0, 1):
        with progress.task("features", total) as step:
            clock.now += 100
            step.advance(total)
    assert log.err == ""


def test_without_a_total_pieces_and_time_are_told_and_nothing_is_guessed(clock, log):
    with progress.task("features", unit="batches") as step:
        clock.now += 61
        step.advance(5000)
    assert log.err == "features: 5,000 batches, 0:01:01\n" * 2


def test_pieces_of_different_lengths_have_no_percentage_and_no_estimate(clock, log):
    with progress.task("scores", 7, "measures", uniform=False) as step:
        clock.now += 20
        step.advance()
        clock.now += 20
        step.note("kid")
        step.advance()
    assert log.lines == [
        "scores: 1 of 7 measures, 20 s",
        "scores: 2 of 7 measures, 40 s",
        "scores: 2 of 7 measures, 40 s",
    ]


def test_the_estimate_takes_off_what_was_spent_on_the_piece_that_comes_next(clock):
    step = progress.Task("sweep", 3, "members", uniform=True)
    clock.now += 10
    step.advance()
    clock.now += 4
    step.note("now seed=1")
    assert step.text() == "sweep: 1 of 3 members (33 %), 14 s, about 16 s left, now seed=1"
    clock.now += 100
    assert "about 0 s left" in step.text()
    step.advance()
    assert "now seed=1" not in step.text()


def test_a_log_repeats_no_count_however_often_somebody_draws(clock, log):
    with progress.task("features", 100) as step:
        clock.now += 20
        step.advance(10)
        for _ in range(100):
            clock.now += 5
            step.draw()
        assert len(log.lines) == 1


def test_a_step_that_fails_has_no_last_line_in_a_log(clock, log):
    with pytest.raises(KeyboardInterrupt), progress.task("features", 100) as step:
        clock.now += 20
        step.advance(10)
        raise KeyboardInterrupt
    assert log.err == "features: 10 of 100 images (10 %), 20 s, about 0:03:00 left\n"


def test_tqdm_disable_silences_every_kind(clock, log, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    with progress.task("features", 100, show_clock=True) as step:
        clock.now += 20
        step.advance(10)
        assert not [thread for thread in threading.enumerate() if thread.name == "progress of features"]
    assert log.err == ""


def test_where_nothing_can_be_counted_the_time_goes_on(monkeypatch, log):
    for name in ("BAR_SECONDS", "LINE_SECONDS", "TICK_SECONDS"):
        monkeypatch.setattr(progress, name, 0.01)
    with progress.timer("t-SNE of 2,000 codes"):
        deadline = progress._clock() + 30
        while log.err.count("\n") < 3 and progress._clock() < deadline:
            threading.Event().wait(0.01)
    lines = log.lines
    assert len(lines) > 3 and set(lines) == {"t-SNE of 2,000 codes: 0 s"}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("progress of")]


def test_what_ticks_stops_with_an_exception(log):
    with pytest.raises(UsageError), progress.timer("t-SNE"):
        assert [thread for thread in threading.enumerate() if thread.name == "progress of t-SNE"]
        raise UsageError("no")
    assert not [thread for thread in threading.enumerate() if thread.name == "progress of t-SNE"]


# A terminal


def test_a_terminal_has_a_bar_after_a_second_which_goes_with_the_step(clock, terminal):
    with progress.task("features", 10_000) as step:
        clock.now += 0.9
        step.advance(100)
        assert terminal.err == ""
        clock.now += 0.3
        step.advance(4900)
        assert terminal.screen == ["features: 5,000/10,000, 1 s, 1 s left |█████     |"]
        clock.now += 0.05  # too soon to draw again
        step.advance(1000)
        assert "5,000" in terminal.screen[0]
        clock.now += 0.1
        step.advance(1000)
        assert "7,000" in terminal.screen[0]
    assert terminal.screen == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, UsageError])
def test_the_bar_of_a_step_that_fails_is_gone_before_the_message_comes(clock, terminal, error):
    with pytest.raises(error), progress.task("outer", 3) as outer, progress.task("inner", 3) as inner:
        clock.now += 2
        outer.advance()
        inner.advance()
        assert len(terminal.screen) == 2
        raise error
    print("interrupted", file=sys.stderr)
    assert terminal.screen == ["interrupted"]


def test_a_step_within_a_step_has_its_bar_below(clock, terminal):
    with progress.task("seeds", 3, "seeds") as outer:
        clock.now += 2
        outer.advance()
        for _ in range(2):
            with progress.task("features", 10) as inner:
                clock.now += 2
                inner.advance()
                assert [line.partition(":")[0] for line in terminal.screen] == ["seeds", "features"]
            assert [line.partition(":")[0] for line in terminal.screen] == ["seeds"]
    assert terminal.screen == []


def test_a_terminal_shows_steps_without_a_total(clock, terminal):
    with progress.task("features") as step:
        clock.now += 2
        step.advance(5)
        assert terminal.screen == ["features: 5 images, 2 s"]
    assert terminal.screen == []


def test_what_is_said_stands_above_the_bars(clock, terminal, monkeypatch):
    monkeypatch.setattr(sys, "stdout", sys.stderr)  # one and the same screen
    with progress.task("sweep", 3, "members") as step:
        clock.now += 2
        step.advance()
        progress.print_line("[1/3] finished")
        assert [line.partition(":")[0] for line in terminal.screen] == ["[1/3] finished", "sweep"]
    assert terminal.screen == ["[1/3] finished"]


def test_what_is_said_is_all_that_comes_to_stdout(clock, terminal):
    with progress.task("sweep", 3, "members") as step:
        clock.now += 2
        step.advance()
        progress.print_line("[1/3] finished")
    assert terminal.out == "[1/3] finished\n"


@pytest.mark.parametrize(  # 0: a terminal of unknown size
    "columns", [0, pytest.param(60, marks=pytest.mark.slow), pytest.param(120, marks=pytest.mark.slow)]
)
def test_a_real_terminal_is_left_clean_and_short_steps_import_nothing(columns):
    script = """
        import sys, time
        from keras_gen.utils import progress
        with progress.task("short", 10) as step:
            step.advance(9)
        assert "tqdm" not in sys.modules
        progress.BAR_SECONDS = 0.05
        with progress.task("long", 100, show_clock=True) as step:
            for _ in range(100):
                time.sleep(0.005)
                step.advance()
        print("result")
    """
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24 if columns else 0, columns))
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        written = b""
        try:
            while piece := os.read(ours, 4096):
                written += piece
        except OSError:  # so Linux says that the other end is closed
            pass
        os.close(ours)
        assert process.stdout.read() == "result\n"
    assert process.returncode == 0, written
    written = written.decode()
    assert re.search(r"\rlong: \d+/100, \d s", written)
    assert "short" not in written
    assert max(map(len, re.split(r"[\r\n]+", written))) < (columns or 80)
    assert screen(written) == []


# A notebook

FAKE_NOTEBOOK = """
    import importlib.machinery, io, sys, types

    class ZMQInteractiveShell: ...
    class Shell(ZMQInteractiveShell): ...

    shown = []
    IPython, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    IPython.__path__, IPython.get_ipython, display.display = [], Shell, shown.append
    sys.modules |= {"IPython": IPython, "IPython.display": display}
"""
FAKE_WIDGETS = """
    class Widget:
        def __init__(self, **options):
            self.value, self.bar_style, self.closed = "", "", False
            self.layout, self.style = types.SimpleNamespace(), types.SimpleNamespace(bar_color=None)
            vars(self).update(options)
        def close(self):
            self.closed = True
    class HBox(Widget): ...
    widgets = types.ModuleType("ipywidgets")
    widgets.__version__, widgets.HTML, widgets.FloatProgress, widgets.HBox = "8.1.0", Widget, Widget, HBox
    widgets.IntProgress = Widget
    sys.modules["ipywidgets"] = widgets
"""


def in_a_notebook(*scripts):
    """Run scripts in a fresh process, where every warning is an error; what they wrote on stdout and stderr."""
    script = "".join(map(textwrap.dedent, (FAKE_NOTEBOOK, *scripts)))
    command = [sys.executable, "-W", "error", "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout, result.stderr


def test_a_notebook_has_a_widget_that_is_closed_with_the_step_and_left_if_it_fails():
    use = """
        from keras_gen.utils import progress
        clock = [0.0]
        progress._clock = lambda: clock[0]
        with progress.task("features", 100) as step:
            step.advance(1)
            assert shown == []
            clock[0] += 2
            step.advance(49)
            [box] = shown
            text, bar, _ = box.children
            assert text.value.replace("\\u2007", " ").startswith("features: 50/100, 2 s"), text.value
            assert (bar.value, bar.max, box.closed) == (50, 100, False)
            step.advance(50)
        assert box.closed and bar.bar_style != "danger"
        try:
            with progress.task("features", 100) as step:
                clock[0] += 2
                step.advance(1)
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            assert not shown[1].closed and shown[1].children[1].bar_style == "danger"
        with progress.timer("t-SNE") as step:
            clock[0] += 2
            step.draw()
            assert "t-SNE:" in shown[2].children[0].value
        assert shown[2].closed
    """
    assert in_a_notebook(FAKE_WIDGETS, use) == ("", "")


def test_a_notebook_without_ipywidgets_has_lines_and_no_warnings():
    use = """
        sys.modules["ipywidgets"] = None  # not to be had
        from keras_gen.utils import progress
        clock = [0.0]
        progress._clock = lambda: clock[0]
        with progress.task("features", 100) as step:
            clock[0] += 20
            step.advance(50)
        assert shown == []
    """
    out, err = in_a_notebook(use)
    assert out == ""
    assert err.splitlines()[0] == "features: 50 of 100 images (50 %), 20 s, about 20 s left"
