"""Shared parts of all commands: exit codes, one-line errors, start of TensorFlow."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NoReturn

from keras_gen.utils import files
from keras_gen.utils.errors import UsageError, printable, suggestion
from keras_gen.utils.quiet import without_log_of_tensorflow

USAGE_ERROR, INTERRUPTED, TERMINATED = 2, 130, 143
MODEL_HELP = (
    "SavedModel folder, run directory or name of a trained model; a SavedModel is a program: use only those you trust"
)


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """A help formatter that shows defaults, except None, those of flags, and empty ones."""

    def _get_help_string(self, action):
        if action.default in (None, "", []) or isinstance(action.default, bool):
            return action.help
        return super()._get_help_string(action)


class ArgumentParser(argparse.ArgumentParser):
    """An `argparse.ArgumentParser` whose errors are one line, with what an unknown word may stand for.

    Attributes:
        parameters: collection of str, names that the parser takes as `--set NAME=VALUE`. Defaults to none.
    """

    parameters: Collection[str] = ()

    def __init__(self, *, formatter_class=HelpFormatter, **options):
        super().__init__(formatter_class=formatter_class, allow_abbrev=False, **options)
        self._words: list[str] = []

    def parse_known_args(self, args=None, namespace=None):
        """Parse as `argparse.ArgumentParser`, and keep the words for `error`."""
        self._words = [*(sys.argv[1:] if args is None else args)]
        for word in self._words:
            if word.startswith("--") and word.endswith("=--"):  # argparse fails with a traceback
                self.error(f"argument {word.removesuffix('=--')}: must be a value, received: '--'")
        return super().parse_known_args(self._words, namespace)

    def error(self, message: str):
        """Print the message, with what unknown words may stand for, and exit."""
        self.exit(USAGE_ERROR, f"{self.prog}: error: {printable(message + self.hints())}\n")

    def hints(self) -> str:
        """Return what the unknown words of the command line may stand for."""
        hints = ""
        options, choices = self._option_string_actions, [name for a in self._actions for name in a.choices or ()]
        for name in (word.partition("=")[0] for word in self._words):
            parameter = name.removeprefix("--").replace("-", "_")
            if name.startswith("--") and parameter in self.parameters:
                hints += f", did you mean '--set {parameter}=VALUE'?"
            elif name not in (*options, *choices):
                hints += suggestion(name, options if name.startswith("--") else choices)
        return hints

    def refuse(self, arguments: argparse.Namespace, reasons: Mapping[str, str]) -> None:
        """Raise `UsageError` for an option that was given although it would have no effect.

        Args:
            arguments: the parsed command line.
            reasons: mapping from the names in `arguments` of such options to the reason.
        """
        given = {word.partition("=")[0] for word in self._words}
        for action in self._actions:
            is_other = getattr(arguments, action.dest, action.default) != action.default  # of a positional argument
            if action.dest in reasons and (is_other or not given.isdisjoint(action.option_strings)):
                name = (action.option_strings or [action.metavar or action.dest])[-1]
                raise UsageError(f"{name} can't be used here: {reasons[action.dest]}")


def file_name(text: str) -> str:
    """Convert a command-line argument to a path: expand `~`, which shells leave as it is after an equals sign."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError(f"must be a path in UTF-8, received: {text!r}") from error
    return os.path.expanduser(text)


def path(text: str) -> Path:
    """Convert a command-line argument to a `Path`, as `file_name`."""
    return Path(file_name(text))


def new_file(*endings: str) -> Callable[[str], Path]:
    """Return a function that converts a command-line argument to the `Path` of a file to write.

    Args:
        endings: str, such as `".png"`, one of which the name must have, so that no other file is replaced by mistake.
    """

    def convert(text: str) -> Path:
        file = path(text)
        folder = file.absolute().parent
        if file.suffix not in endings:
            wanted = f"a file name that ends in {' or '.join(endings)}"
        elif file.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            wanted = "a file in a folder that exists and can be written"
        else:
            return file
        raise argparse.ArgumentTypeError(f"must be {wanted}, received: {text!r}")

    return convert


def main(command: Callable[[], None]) -> None:
    """Run a command and exit: code 0 on success, 2 after a usage error, 130 after Ctrl-C, 143 after SIGTERM."""
    # Keras imports matplotlib, which fails if a notebook names a backend that this process lacks. No window is shown.
    os.environ["MPLBACKEND"] = "agg"
    with contextlib.suppress(AttributeError):  # another kind of stream
        sys.stdout.reconfigure(errors="backslashreplace")  # what its encoding lacks, such as a name's letters
    is_main = threading.current_thread() is threading.main_thread()
    by_exception = is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if by_exception:  # so that unfinished files are removed
        signal.signal(signal.SIGTERM, _terminate)
    try:
        command()
        sys.stdout.flush()
    except UsageError as error:
        fail(str(error), USAGE_ERROR)
    except KeyboardInterrupt:
        fail("interrupted", INTERRUPTED)
    except _Terminated:
        fail("terminated", TERMINATED)
    except BrokenPipeError:
        _write_no_more()  # the reader of stdout left (as in `| head`), which is no error
    except Exception as error:
        if line := _environment_error(error):
            fail(line, USAGE_ERROR)
        raise
    finally:
        if by_exception:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


class _Terminated(BaseException):
    """SIGTERM ends the command."""


def _terminate(number: int, frame: object) -> NoReturn:
    raise _Terminated


def fail(message: str, code: int, *details: str) -> None:
    """Print the message and the details on stderr, one line each, and exit."""
    lines = [f"error: {message}" if code == USAGE_ERROR else message, *details]
    try:
        sys.stdout.flush()
    except OSError:  # the reader, or the terminal, is gone
        _write_no_more()
    with contextlib.suppress(OSError):
        print("\n".join(map(printable, lines)), file=sys.stderr, flush=True)
    sys.exit(code)


def _write_no_more() -> None:
    """Discard what is still written to stdout: Python's own flush at its end would change the exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _environment_error(error: Exception) -> str | None:
    """Return one line for an error caused by the machine (such as a full disk or exhausted memory), None for others."""
    if isinstance(error, OSError):
        if error.filename is None and error.errno not in files.DISK_ERRORS:  # such as a connection of a callback
            return f"{type(error).__name__}: {error}"
        return f"{error.filename or 'a file'} can't be read or written ({error.strerror or error})"
    tensorflow = sys.modules.get("tensorflow")
    if isinstance(error, MemoryError) or (tensorflow and isinstance(error, tensorflow.errors.ResourceExhaustedError)):
        lines = [line for line in str(error).splitlines() if not line.endswith("error:")]
        return "out of memory" + (f" ({lines[0]})" if lines else "")
    return None


def load_tensorflow(devices: bool = True) -> None:
    """Import TensorFlow without its log lines, see `without_log_of_tensorflow`.

    Args:
        devices: bool. Whether to initialize the devices, too. Workers of a cluster do so later, together. Defaults to
            True.
    """
    with without_log_of_tensorflow():
        import keras_gen.utils.backend  # noqa: F401
        import keras  # noqa: F401
        import tensorflow as tf

        from keras_gen import distribution

        distribution.let_memory_grow()
        if devices:
            tf.config.list_logical_devices()  # logs, too
