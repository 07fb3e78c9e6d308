"""Locks on directories, so that two processes never work on the same one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from keras_gen.utils.errors import UsageError

LOCK_FILE = "lock"


class Lock:
    """A directory lock, inherited by the child processes it is passed to.

    The system releases it when the last of these processes has ended, also when it is killed.
    """

    def __init__(self, file):
        self._file = file

    def fileno(self) -> int:
        """Return the descriptor of the open file, to pass it to a child process."""
        return self._file.fileno()

    def say(self, who: str) -> None:
        """Write who holds the lock into the lock file."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(who)
        self._file.flush()


@contextlib.contextmanager
def locked(path: str | os.PathLike, what: str) -> Iterator[Lock]:
    """Hold a directory's lock while the block runs.

    Args:
        path: the directory.
        what: str, what the directory is, for error messages: `run`, `sweep`.

    Yields:
        The `Lock`.

    Raises:
        UsageError: another process holds the lock, or the system has no file locks.
    """
    try:
        import fcntl
    except ImportError:
        raise UsageError(f"a {what} needs file locks, which Linux and macOS have") from None
    with open(Path(path) / LOCK_FILE, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read() or "another process"
            raise UsageError(f"{what} {path} is in use by {who}: wait for it to end, or stop it") from None
        lock = Lock(file)
        lock.say(f"process {os.getpid()}")
        yield lock
        lock.say("")
