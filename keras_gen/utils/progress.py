"""Show the progress of long steps on stderr: a bar where one can be drawn, occasional lines in a log.

- In a terminal or a notebook: a bar (tqdm's) after the first second, removed when the step ends; nested steps have
  their bars below it. In a notebook, the bar of a step that fails stays, in red.
- Elsewhere, such as in a log file or a notebook without ipywidgets: a line at most every 15 seconds, if something has
  changed, and after such lines a last one when the step succeeds. Shorter steps write nothing.

A non-empty environment variable `TQDM_DISABLE` disables both. Nothing is written to stdout.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
import threading
import time
from collections.abc import Iterator

BAR_SECONDS = 1.0
"""Age at which a step shows a bar."""

LINE_SECONDS = 15.0
"""Age at which a step writes its first line, and time from one line to the next."""

TICK_SECONDS = 1.0
"""Time from one drawing to the next of a step that ticks."""

_REDRAW_SECONDS = 0.1

_clock = time.monotonic


class Task:
    """A step that `task` has begun.

    Attributes:
        what: description of the step.
        total: number of items; None if unknown.
        unit: name of the items; empty if none are counted.
        done: items done so far.
        hidden: whether nothing is shown.
    """

    def __init__(self, what: str, total: int | None, unit: str, uniform: bool) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, 0
        # A task with one item has nothing to report before it is finished.
        self.hidden = bool(os.environ.get("TQDM_DISABLE")) or sys.stderr is None or (total is not None and total <= 1)
        self._alike, self._note = uniform, ""
        self._start = self._reached = _clock()
        self._display: _Bar | _Lines | None = None
        self._lock = threading.RLock()  # the clock's thread draws, too

    def advance(self, count: int = 1) -> None:
        """Count items as done and clear the note."""
        with self._lock:
            self.done += count
            self._note, self._reached = "", _clock()
            if self.total is None or self.done < self.total:  # the end is shown by close
                self.draw()

    def note(self, text: str) -> None:
        """Set a note on the current item."""
        with self._lock:
            self._note = text
            self.draw()

    def draw(self) -> None:
        """Show the current state, if it is time for it."""
        with self._lock:
            if self.hidden or self.age < BAR_SECONDS:
                return
            if self._display is None:
                self._display = _display(self)
            self._display.show(self)

    def close(self, *, finished: bool) -> None:
        """Remove the display."""
        with self._lock:
            if self._display is not None:
                self._display.close(self, finished)
            self.hidden = True

    @property
    def age(self) -> float:
        """Seconds since the step began."""
        return _clock() - self._start

    def text(self, *, brief: bool = False) -> str:
        """Return the current state in one line: `features: 3,000 of 10,000 images (30 %), 12 s, about 28 s left`.

        Args:
            brief: bool, whether to leave room for a bar: `features: 3,000/10,000, 12 s, 28 s left`.
        """
        parts = [self._count(brief)] if self.unit else []
        parts.append(_duration(self.age))
        if self.total is not None and self._alike and 0 < self.done < self.total:
            mean = (self._reached - self._start) / self.done
            begun = _clock() - self._reached  # already spent on the current item
            about = "" if brief else "about "
            parts.append(f"{about}{_duration(max(0.0, mean * (self.total - self.done) - begun))} left")
        return f"{self.what}: " + ", ".join([*parts, self._note] if self._note else parts)

    def _count(self, brief: bool) -> str:
        if self.total is None:
            return f"{self.done:,} {self.unit}"
        if brief:
            return f"{self.done:,}/{self.total:,}"
        percentage = f" ({100 * self.done // self.total} %)" if self._alike and self.total else ""
        return f"{self.done:,} of {self.total:,} {self.unit}{percentage}"


@contextlib.contextmanager
def task(
    what: str, total: int | None = None, unit: str = "images", *, uniform: bool = True, show_clock: bool = False
) -> Iterator[Task]:
    """Show the progress of the block. Call `advance` to report it. A step of one item shows nothing.

    Args:
        what: str, description of the step, such as `features of train images`.
        total: int, number of items; None if unknown.
        unit: str, name of the items. Defaults to "images".
        uniform: bool, whether items take about equally long. Only then a percentage and an estimate are shown.
            Defaults to True.
        show_clock: bool, whether to update the time during a long item, which needs a thread. Defaults to False.

    Returns:
        A `Task`. Its bar is removed when the block ends, also by an exception.

    Example:
        >>> with task("features", total=10_000) as step:  # on stderr, if it takes longer than a second
        ...     for chunk in range(10):
        ...         step.advance(1000)
    """
    begun = Task(what, total, unit, uniform)
    finished = False
    try:
        with _ticks(begun) if show_clock and not begun.hidden else contextlib.nullcontext():
            yield begun
        finished = True
    finally:
        begun.close(finished=finished)


def timer(what: str) -> contextlib.AbstractContextManager[Task]:
    """Show for how long the block has been running, if nothing can be counted: `t-SNE of 2,000 codes: 12 s`.

    Args:
        what: str, description of the block.

    Example:
        >>> with timer("inverse of a matrix"):
        ...     inverse = np.linalg.inv(np.eye(3))
    """
    return task(what, unit="", show_clock=True)


def print_line(line: str) -> None:
    """Print a line of results on stdout, above the bars of open steps.

    Example:
        >>> print_line("[1/2] seed=0: finished")
        [1/2] seed=0: finished
    """
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(line)
        sys.stdout.flush()
    else:  # no bar was drawn
        print(line, flush=True)


def draws_bars() -> bool:
    """Return whether steps are shown as bars: in a terminal or a notebook."""
    return _bar_class() is not None


def _display(of: Task) -> _Bar | _Lines:
    bar_class = _bar_class()
    return _Lines() if bar_class is None else _Bar(bar_class, of)


def _bar_class() -> type | None:
    """Return tqdm's class for a notebook or a terminal; None if it is neither."""
    if _in_notebook():
        # Not tqdm.auto, which warns where ipywidgets is missing and then writes what only terminals understand.
        from tqdm import notebook

        return None if notebook.IProgress is None else notebook.tqdm
    if sys.stderr is not None and sys.stderr.isatty():
        from tqdm import tqdm

        return tqdm
    return None


def _in_notebook() -> bool:
    get_shell = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_shell() if get_shell else None
    return any(base.__name__ == "ZMQInteractiveShell" for base in type(shell).__mro__)  # Colab's is derived from it


class _Bar:
    def __init__(self, bar_class: type, of: Task) -> None:
        # The text comes first: a narrow terminal takes from the bar. Without a total, tqdm's bar is empty.
        shape = "{desc}{bar}" if of.total is None else "{desc} |{bar}|"
        # Steps that are not to be shown don't come here; tqdm itself looks at the environment when it is imported.
        options = {"bar_format": shape, "leave": False, "disable": False, **_size()}
        self._bar = bar_class(desc=of.text(brief=True), total=of.total, initial=of.done, **options)
        self._drawn = _clock()

    def show(self, of: Task) -> None:
        if _clock() - self._drawn >= _REDRAW_SECONDS:
            self._bar.n = of.done
            self._bar.set_description_str(of.text(brief=True))
            self._drawn = _clock()

    def close(self, of: Task, finished: bool) -> None:
        self._bar.n = of.done
        self._bar.close()


def _size() -> dict[str, object]:
    """Follow the window's size, unless it is 0 x 0, as in some containers: tqdm would draw nothing."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # of a stream without a file
        if 0 in os.get_terminal_size(sys.stderr.fileno()):
            return {"ncols": 79, "nrows": 24}
    return {"dynamic_ncols": True}


class _Lines:
    def __init__(self) -> None:
        self._told, self._due, self._any = 0, LINE_SECONDS, False

    def show(self, of: Task) -> None:
        # The time alone is news only where nothing is counted.
        if of.age >= self._due and (not of.unit or of.done != self._told):
            self._write(of)

    def close(self, of: Task, finished: bool) -> None:
        if finished and self._any:
            self._write(of)

    def _write(self, of: Task) -> None:
        self._told, self._due, self._any = of.done, of.age + LINE_SECONDS, True
        print(of.text(), file=sys.stderr, flush=True)


@contextlib.contextmanager
def _ticks(begun: Task) -> Iterator[None]:
    stopped = threading.Event()

    def tick() -> None:
        while not stopped.wait(TICK_SECONDS):
            begun.draw()

    thread = threading.Thread(target=tick, name=f"progress of {begun.what}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        # With a timeout: Ctrl-C during a drawing can leave tqdm's lock taken.
        thread.join(TICK_SECONDS)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 59.5 else str(datetime.timedelta(seconds=round(seconds)))
