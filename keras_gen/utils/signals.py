"""What asks a process to stop: Ctrl-C, SIGTERM and SIGHUP, noted so that nothing is torn in the middle."""

from __future__ import annotations

import os
import signal
import threading


class StopSignals:
    """Within its block, requests to stop are counted; who does the work looks at `count` where it can stop well.

    Signals that are ignored, as `nohup` has it, stay so. Only the main thread can listen for signals: in another one
    the block changes nothing.

    Args:
        message: written to stderr at the first request.
        second_interrupt_raises: whether a second Ctrl-C raises `KeyboardInterrupt` on the spot.

    Example:
        >>> with StopSignals() as requests:
        ...     for part in ("first", "second"):
        ...         if requests.count:
        ...             break
    """

    def __init__(self, message: str = "", *, second_interrupt_raises: bool = False):
        self.message, self.second_interrupt_raises = message, second_interrupt_raises
        self.count = 0
        self.signal: int | None = None
        """The first request's signal."""
        self._before = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _note(self, number, frame):
        self.count += 1
        if self.count == 1:
            self.signal = number
            if self.message:
                os.write(2, f"{self.message}\n".encode())  # print() may be what the signal came in the middle of
        # Not of other signals: the end of a session sends two of them at once.
        elif self.second_interrupt_raises and number == signal.SIGINT:
            raise KeyboardInterrupt
