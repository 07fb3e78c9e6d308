"""Locks of directories, so that two processes never work on one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from keras_gen.utils.errors import UsageError

LOCK_FILE = "lock"


class Lock:
    """What is held by who works in a directory, and inherited by the processes it is handed to.

    The system frees it when the last of them has ended, however that came about.
    """

    def __init__(self, file):
        self._file = file

    def fileno(self) -> int:
        """Of the open file, to hand on to a process."""
        return self._file.fileno()

    def say(self, who: str) -> None:
        """Leave a word for those who find it locked."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(who)
        self._file.flush()


@contextlib.contextmanager
def locked(path: str | os.PathLike, what: str) -> Iterator[Lock]:
    """Hold a directory's lock in the block.

    Args:
        path: of the directory.
        what: it is, in an error message: `run`, `sweep`.

    Raises:
        UsageError: another process holds it, or the system has no such locks.
    """
    try:
        import fcntl
    except ImportError:
        raise UsageError(f"a {what} needs locks of files as Linux and macOS have them") from None
    with open(Path(path) / LOCK_FILE, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read() or "another process"
            raise UsageError(f"{what} {path} is being worked on by {who}: wait for it, or end it first") from None
        lock = Lock(file)
        lock.say(f"process {os.getpid()}")
        yield lock
        lock.say("")
