"""Helpers of the tests of progress: a clock, and the screen of a terminal."""

import re
import sys

import pytest

from keras_gen.utils import progress


class Clock:
    """A clock that is set by the test, and advances by `each` seconds per reading."""

    def __init__(self):
        self.now, self.each = 1000.0, 0.0

    def __call__(self):
        self.now += self.each
        return self.now


class Shown:
    """The text written to stderr and stdout."""

    def __init__(self, capture):
        self._capture, self._out, self._err = capture, "", ""

    def _read(self):
        captured = self._capture.readouterr()
        self._out, self._err = self._out + captured.out, self._err + captured.err

    @property
    def out(self):
        self._read()
        return self._out

    @property
    def err(self):
        self._read()
        return self._err

    @property
    def lines(self):
        return self.err.splitlines()

    @property
    def screen(self):
        return screen(self.err)


def screen(written):
    """Return the lines that a terminal shows, without blank ones at the end."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[A|\r|\n|[^\x1b\r\n]+", written):
        if piece == "\x1b[A":
            row -= 1
        elif piece == "\r":
            column = 0
        elif piece == "\n":
            row, column = row + 1, 0
            lines += [""] * (row >= len(lines))
        else:
            before = lines[row].ljust(column)
            lines[row] = before[:column] + piece + before[column + len(piece) :]
            column += len(piece)
    return [line.rstrip() for line in "\n".join(lines).rstrip().splitlines()]


@pytest.fixture(autouse=True)
def bars_are_not_forbidden(monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "_clock", clock)
    return clock


@pytest.fixture
def log(capsys):
    return Shown(capsys)


@pytest.fixture
def terminal(capsys, monkeypatch):
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True)  # (of pytest)
    return Shown(capsys)
