"""Shared parts of all commands: exit codes, one-line errors, start of TensorFlow."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator

from keras_gen.utils.errors import UsageError

USAGE_ERROR, INTERRUPTED = 2, 130


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """A help formatter that shows defaults, except None, False and empty lists."""

    def _get_help_string(self, action):
        if action.default is None or action.default is False or action.default == []:
            return action.help
        return super()._get_help_string(action)


class ArgumentParser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` whose errors are one line."""

    def __init__(self, *, formatter_class=HelpFormatter, **options):
        super().__init__(formatter_class=formatter_class, allow_abbrev=False, **options)

    def error(self, message: str):
        """Print the message and exit."""
        self.exit(USAGE_ERROR, f"{self.prog}: error: {_printable(message)}\n")


def main(command: Callable[[], None]) -> None:
    """Run a command and exit: code 0 on success, 2 after a usage error, 130 after Ctrl-C."""
    try:
        command()
        sys.stdout.flush()
    except UsageError as error:
        fail(str(error), USAGE_ERROR)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of stdout left (as in `| head`): no error, and nothing more to write.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if line := _environment_error(error):
            fail(line, USAGE_ERROR)
        raise


def fail(message: str, code: int, *details: str) -> None:
    """Print the message and the details on stderr, one line each, and exit."""
    sys.stdout.flush()
    lines = [f"error: {message}" if code == USAGE_ERROR else message, *details]
    print("\n".join(map(_printable, lines)), file=sys.stderr)
    sys.exit(code)


def _printable(message: str) -> str:
    """Return `message` as one printable line: file names in it may contain control sequences of a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in message)


def _environment_error(error: Exception) -> str | None:
    """Return one line for an error caused by the machine (such as a full disk or exhausted memory), None for others."""
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'} can't be read or written ({error.strerror or error})"
    tensorflow = sys.modules.get("tensorflow")
    if isinstance(error, MemoryError) or (tensorflow and isinstance(error, tensorflow.errors.ResourceExhaustedError)):
        lines = str(error).splitlines()
        return "out of memory" + (f" ({lines[0]})" if lines else "")
    return None


def load_tensorflow(devices: bool = True) -> None:
    """Import TensorFlow without its log lines, unless the environment variable `TF_CPP_MIN_LOG_LEVEL` is set.

    C++ code writes them before it reads any log level, so the file descriptor of stderr is redirected meanwhile. If the
    import fails, the redirected lines are printed.

    Args:
        devices: bool. Whether to initialize the devices, too. Workers of a cluster do so later, together. Defaults to
            True.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            import keras_gen.utils.backend  # noqa: F401
            import keras  # noqa: F401
            import tensorflow as tf

            from keras_gen import distribution

            distribution.let_memory_grow()
            if devices:
                tf.config.list_logical_devices()  # logs, too
        except BaseException:
            log.seek(0)
            os.write(stderr, log.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@contextlib.contextmanager
def writing(argument: str, path: os.PathLike) -> Iterator[None]:
    """Convert an `OSError` raised in the block into a `UsageError` that names the argument and the path."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{argument} can't be written: {path} ({error.strerror or error})") from error
