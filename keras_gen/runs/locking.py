"""Locks on directories, so that two processes never work on the same one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from keras_gen.utils import files, safe_files
from keras_gen.utils.errors import UsageError
from keras_gen.utils.progress import print_line

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
        """Write who holds the lock into the lock file, if the disk has room."""
        with contextlib.suppress(OSError):
            self._file.truncate(0)
            self._file.write(who.encode())


@contextlib.contextmanager
def locked(path: str | os.PathLike, what: str) -> Iterator[Lock]:
    """Hold a directory's lock while the block runs, and write into it only while it is the same directory.

    On a file system without locks a note is printed instead.

    Args:
        path: the directory.
        what: str, what the directory is, for error messages: `run`, `sweep`.

    Yields:
        The `Lock`.

    Raises:
        UsageError: another process holds the lock, the lock is a link, or the system has no file locks.
    """
    try:
        import fcntl
    except ImportError:
        raise UsageError(f"a {what} needs file locks, which Linux and macOS have") from None
    with open(safe_files.inside(path, LOCK_FILE), "a+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read(100).decode(errors="replace") or "another process"
            raise UsageError(f"{what} {path} is in use by {who}: wait for it to end, or stop it") from None
        except OSError as error:  # ENOLCK, EOPNOTSUPP, …: some network mounts
            why = f"its file system has no locks ({error.strerror})"
            print_line(f"NOTE: {what} {path} is not locked, since {why}: do not start another process on it")
        lock = Lock(file)
        with files.folder_in_use(path, LOCK_FILE):
            lock.say(f"process {os.getpid()}")
            yield lock
            lock.say("")
