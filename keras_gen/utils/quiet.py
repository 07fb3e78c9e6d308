"""Import TensorFlow without its log lines."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

VARIABLE = "TF_CPP_MIN_LOG_LEVEL"


@contextlib.contextmanager
def without_log_of_tensorflow() -> Iterator[None]:
    """Turn TensorFlow's log lines off, also those of the block, unless the environment variable sets their level.

    C++ code writes them before it reads any log level, so the file descriptor of stderr is redirected meanwhile. If the
    block fails, other than by Ctrl-C or SIGTERM, the redirected lines are printed.
    """
    if VARIABLE in os.environ:
        yield
        return
    os.environ[VARIABLE] = "3"
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except Exception:
            log.seek(0)
            os.write(stderr, log.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
