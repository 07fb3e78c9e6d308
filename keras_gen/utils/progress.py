"""Show the progress of long tasks on stderr, with tqdm.

- In a terminal or a notebook: a bar after the first second, removed when the task ends.
- Elsewhere, such as in a log file: a line every 15 seconds. Shorter tasks write nothing.

The environment variable `TQDM_DISABLE=1` disables both. Nothing but `print_line` writes to stdout.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from keras_gen.utils.errors import printable

if TYPE_CHECKING:
    from tqdm import tqdm

BAR_SECONDS = 1.0
"""Time after which a task has a bar."""

LINE_SECONDS = 15.0
"""Time after which a task has its first line in a log, and from one line to the next."""


class Task:
    """A task that is being done."""

    def __init__(self, bar: tqdm) -> None:
        self._bar = bar

    def advance(self, count: int = 1) -> None:
        """Count `count` more items as done."""
        self._bar.update(count)


@contextlib.contextmanager
def task(label: str, total: int | None = None, unit: str = "images", *, at_once: bool = False) -> Iterator[Task]:
    """Show how many items of the block are done, as reported by `Task.advance`.

    Args:
        label: str, description of the task, such as `features of train images`.
        total: int, number of items; None (the default) if unknown.
        unit: str, name of the items. Defaults to "images".
        at_once: bool, whether a bar is drawn without delay. A task that calls `print_line` needs it, because tqdm
            draws the bar below the line but only removes bars older than their delay. Defaults to False.

    Example:
        >>> with task("features", total=10_000) as features:  # on stderr, if it takes longer than a second
        ...     for chunk in range(10):
        ...         features.advance(1000)
    """
    with _bar(label, 0 if at_once and draws_bars() else _seconds(), total=total, unit=unit, miniters=1) as bar:
        yield Task(bar)


@contextlib.contextmanager
def timer(label: str) -> Iterator[None]:
    """Show the label of a long block in which nothing can be counted."""
    with contextlib.ExitStack() as shown:
        show = threading.Timer(_seconds(), lambda: shown.enter_context(_bar(label, delay=0, bar_format="{desc} ...")))
        show.daemon = True
        show.start()
        try:
            yield
        finally:
            show.cancel()
            show.join()


def print_line(line: str = "") -> None:
    """Print a line on stdout, above the bars of the current tasks, with control characters in it escaped.

    All of keras_gen prints with this function, because lines contain names of files, data sets and recipes.
    """
    from tqdm import tqdm

    tqdm.write(printable(line))
    sys.stdout.flush()


def draws_bars() -> bool:
    """Return whether tasks have bars: in a terminal or a notebook."""
    return "ipykernel.zmqshell" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


def _seconds() -> float:
    return BAR_SECONDS if draws_bars() else LINE_SECONDS


def _bar(label: str, delay: float, **options: object) -> tqdm:
    options |= {"desc": printable(label), "delay": delay, "leave": False}
    if draws_bars():
        with warnings.catch_warnings(action="ignore"):  # in a notebook without ipywidgets it is a bar of text
            from tqdm.auto import tqdm

        return tqdm(dynamic_ncols=True, **options)
    from tqdm import tqdm

    return tqdm(file=_Log(), mininterval=LINE_SECONDS, ncols=0, **options)


class _Log:
    """A stream for tqdm that prints each state of a bar as one line on stderr."""

    def write(self, text: str) -> None:
        """Print a state of a bar; drop what clears a bar or moves the cursor."""
        if text.startswith("\r") and text.strip() and sys.stderr is not None:
            print(text.strip(), file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Do nothing: each line is flushed."""
