"""Handle requests to stop a process (Ctrl-C, SIGTERM and SIGHUP) at safe points."""

from __future__ import annotations

import contextlib
import os
import signal
import threading


class StopSignals:
    """Count SIGINT, SIGTERM and SIGHUP while the block runs. The worker checks `count` at safe points.

    Ignored signals, as under `nohup`, stay ignored. Only the main thread can handle signals: in another thread the
    block has no effect.

    Args:
        message: str, written to stderr at the first request.
        second_interrupt_raises: bool, whether a second Ctrl-C raises `KeyboardInterrupt` immediately. Defaults to
            False.

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
        """Signal of the first request."""
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
                # print() may have been interrupted by the signal; the terminal or pipe may be gone.
                with contextlib.suppress(OSError):
                    os.write(2, f"{self.message}\n".encode())
        # Not for other signals: the end of a session sends two of them at once.
        elif self.second_interrupt_raises and number == signal.SIGINT:
            raise KeyboardInterrupt
