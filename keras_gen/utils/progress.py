"""Progress of steps that can take long, on stderr: a bar where one can be drawn, in a log a line now and then.

- In a terminal or a notebook: a bar (tqdm's) once the step is a second old, gone when it ends; steps within steps have
  theirs below it. The bar of a step that fails stays in a notebook, red.
- Elsewhere, such as a log file, and in a notebook without ipywidgets: a line every 15 seconds at most, each with
  something new, and after such lines a last one when the step ends well. Shorter steps write nothing.

With the environment variable `TQDM_DISABLE` (any text but the empty one) there is neither. Nothing is written to
stdout.
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
    """A step that `step` has begun.

    Attributes:
        what: it does.
        total: pieces, None if nobody knows.
        unit: what the pieces are; empty if none are counted.
        done: pieces so far.
        hidden: whether nothing is shown of it.
    """

    def __init__(self, what: str, total: int | None, unit: str, uniform: bool) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, 0
        # Of one piece there is nothing to say before it is done, and after that nobody waits.
        self.hidden = bool(os.environ.get("TQDM_DISABLE")) or sys.stderr is None or (total is not None and total <= 1)
        self._alike, self._note = uniform, ""
        self._start = self._reached = _clock()
        self._display: _Bar | _Lines | None = None
        self._lock = threading.RLock()  # the thread that ticks draws, too

    def advance(self, count: int = 1) -> None:
        """Count pieces that are done; what `note` said is over."""
        with self._lock:
            self.done += count
            self._note, self._reached = "", _clock()
            if self.total is None or self.done < self.total:  # of a complete one the end is shown
                self.draw()

    def note(self, text: str) -> None:
        """Say which piece is being worked at."""
        with self._lock:
            self._note = text
            self.draw()

    def draw(self) -> None:
        """Show how things stand, if it is time for it."""
        with self._lock:
            if self.hidden or self.age < BAR_SECONDS:
                return
            if self._display is None:
                self._display = _display(self)
            self._display.show(self)

    def close(self, *, finished: bool) -> None:
        """Take away what was drawn."""
        with self._lock:
            if self._display is not None:
                self._display.close(self, finished)
            self.hidden = True

    @property
    def age(self) -> float:
        """Seconds since the step began."""
        return _clock() - self._start

    def text(self, *, brief: bool = False) -> str:
        """How things stand, in one line: `features: 3,000 of 10,000 images (30 %), 12 s, about 28 s left`.

        Args:
            brief: whether it has to leave room for a bar: `features: 3,000/10,000, 12 s, 28 s left`.
        """
        parts = [self._count(brief)] if self.unit else []
        parts.append(_duration(self.age))
        if self.total is not None and self._alike and 0 < self.done < self.total:
            mean = (self._reached - self._start) / self.done
            begun = _clock() - self._reached  # spent on the piece that comes next, so not left
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
    """Show the progress of what is done in the block.

    What is to be shown of it has to be told with `advance`. With one piece in all, nothing is shown.

    Args:
        what: is done, such as `features of train images`.
        total: how many pieces there are; None if that is not known.
        unit: what they are.
        uniform: whether pieces take about as long as each other. Only then are there a percentage and an estimate.
        show_clock: whether the time goes on while a piece takes long. It costs a thread.

    Returns:
        A `Task`. When the block ends, by an exception as well, the bar is gone.

    Example:
        >>> with task("features", total=10_000) as told:  # on stderr, if it takes longer than a second
        ...     for chunk in range(10):
        ...         told.advance(1000)
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
    """Show for how long the block has been running, where nothing in it can be counted: `t-SNE of 2,000 codes: 12 s`.

    Args:
        what: is done in it.

    Example:
        >>> with timer("inverse of a matrix"):
        ...     inverse = np.linalg.inv(np.eye(3))
    """
    return task(what, unit="", show_clock=True)


def print_line(line: str) -> None:
    """Print a line of results on stdout while steps may be open: above their bars instead of into one.

    Example:
        >>> print_line("[1/2] seed=0: finished")
        [1/2] seed=0: finished
    """
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(line)
        sys.stdout.flush()
    else:  # nobody has drawn a bar
        print(line, flush=True)


def draws_bars() -> bool:
    """Whether steps are shown as bars here, in a terminal or a notebook."""
    return _bar_class() is not None


def _display(of: Task) -> _Bar | _Lines:
    bar_class = _bar_class()
    return _Lines() if bar_class is None else _Bar(bar_class, of)


def _bar_class() -> type | None:
    """tqdm's class for a notebook or a terminal; None where neither is."""
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
    """Follow the window's size, unless it is none: some containers' terminals are 0 x 0, and tqdm draws nothing."""
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
        # Not for ever: Ctrl-C in the middle of a drawing can leave a lock of tqdm's taken.
        thread.join(TICK_SECONDS)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 59.5 else str(datetime.timedelta(seconds=round(seconds)))
