"""Processes that train one model together: their addresses, and the wait for all of them. Imports no TensorFlow."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import socket
import threading
import time
from dataclasses import dataclass

from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be

VARIABLE = "TF_CONFIG"
"""Environment variable that schedulers set for each process: Kubernetes' operators, Vertex AI, SageMaker."""

PATIENCE = 300.0
"""Seconds to wait for workers, which a scheduler may start minutes apart."""

_FORM = (
    'of the form {"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}, '
    "with only a chief and workers, including this process"
)
_PAUSE = 0.2
"""Seconds between two attempts to connect to the other workers."""

_TALK_SECONDS, _LONGEST = 5.0, 2**16
"""Limits of a conversation between two workers: seconds of silence, bytes of a line."""

_SILENT = "it has not reached this worker"


@dataclass(frozen=True)
class Cluster:
    """The processes that train together, and the index of this one.

    Args:
        workers: tuple of str, the `host:port` of each worker, in the same order on all of them. The first is the chief.
        index: int, index of this process in `workers`, from 0.
        patience: float, maximum number of seconds to wait for the other workers. Defaults to 300.

    Raises:
        UsageError: an address or the index is invalid.

    Example:
        >>> Cluster(("10.0.0.1:12345", "10.0.0.2:12345"), 1).is_chief
        False
    """

    workers: tuple[str, ...]
    index: int
    patience: float = PATIENCE

    def __post_init__(self):
        for worker in self.workers:
            _split(worker)
        if len(set(self.workers)) != len(self.workers) or not self.workers:
            raise must_be("workers", "a different host:port for each worker", ",".join(self.workers))
        checks.integer("worker_index", self.index, 0, len(self.workers) - 1)
        checks.positive("patience", self.patience)

    @property
    def is_chief(self) -> bool:
        """Whether this process is the chief, which writes all files."""
        return self.index == 0


def from_environment() -> Cluster | None:
    """Return the cluster described by `TF_CONFIG`, or None if the variable is not set. A `chief` is the first worker.

    Raises:
        UsageError: the variable's value is invalid, or has parameter servers or an evaluator.

    Example:
        >>> os.environ["TF_CONFIG"] = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'
        >>> from_environment()
        Cluster(workers=('a:1', 'b:1'), index=1, patience=300.0)
        >>> del os.environ["TF_CONFIG"]
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        content = json.loads(text)
        jobs, task = content["cluster"], content["task"]
        if others := jobs.keys() - {"chief", "worker"}:
            raise KeyError(others)
        workers = {(job, index): name for job in ("chief", "worker") for index, name in enumerate(jobs.get(job, ()))}
        index = list(workers).index((task["type"], int(task["index"])))  # some schedulers write the index as a string
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise must_be(VARIABLE, _FORM, text) from error
    return Cluster(tuple(map(str, workers.values())), index)


def from_arguments(workers: str | None, index: int | None, patience: float = PATIENCE) -> Cluster | None:
    """Return the cluster given on the command line, or None if neither option is given.

    Args:
        workers: str, value of `--workers`: addresses `host:port`, separated by commas.
        index: int, value of `--worker-index`.
        patience: float, as in `Cluster`. Defaults to 300.

    Raises:
        UsageError: only one of the two options is given, or as in `Cluster`.
    """
    if (workers is None) != (index is None):
        raise UsageError("--workers and --worker-index must be given together")
    return None if workers is None else Cluster(tuple(workers.split(",")), index, patience)


def wait_for_workers(cluster: Cluster) -> None:
    """Wait until all workers have met on the ports that TensorFlow uses afterwards.

    TensorFlow's own start waits for an hour, without naming the missing worker or reacting to signals. A worker leaves
    when every other one has confirmed it, so that none is left behind.

    Raises:
        UsageError: a worker is not there in time, is started with another index or other workers, or the port of this
            one is in use.
    """
    deadline = time.monotonic() + cluster.patience
    names = [f"worker {index} ({worker})" for index, worker in enumerate(cluster.workers)]
    try:
        server = _listen(*_split(cluster.workers[cluster.index]))
    except OSError as error:
        raise UsageError(f"{names[cluster.index]} can't listen on its port: {os.strerror(error.errno)}") from error
    others = {index for index in range(len(names)) if index != cluster.index}
    met, confirmed, reasons, done = set(), set(), {}, threading.Event()
    host = threading.Thread(target=_answer_visitors, args=(server, cluster, confirmed, done), daemon=True)
    host.start()
    try:
        while not others <= met & confirmed:
            if time.monotonic() > deadline:
                missing = ", ".join(
                    f"{names[i]}: {reasons.get(i, _SILENT)}" for i in sorted(others - (met & confirmed))
                )
                raise UsageError(f"workers can't be reached within {cluster.patience:g} seconds: {missing}")
            for index in sorted(others - met):
                reasons[index] = _visit(cluster, index, names[index])
                if reasons[index] is None:
                    met.add(index)
                    reasons[index] = _SILENT
            time.sleep(_PAUSE)
    finally:
        done.set()
        host.join()
        server.close()


def _listen(host: str, port: int) -> socket.socket:
    """Return a server on the interface of this worker's address, or on all if this machine does not know it as its own.

    A name may stand for a loopback address on its own machine only, and an address may be translated on the way.
    """
    with contextlib.suppress(OSError, UnicodeError):  # if the port is in use, it is below, too
        family, _, _, _, (address, *_) = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        if host in (address, "localhost") or not ipaddress.ip_address(address).is_loopback:
            return socket.create_server((address, port), family=family)
    both = socket.has_dualstack_ipv6()
    return socket.create_server(("", port), family=socket.AF_INET6 if both else socket.AF_INET, dualstack_ipv6=both)


def _answer_visitors(server: socket.socket, cluster: Cluster, confirmed: set[int], done: threading.Event) -> None:
    """Answer each visitor in a thread of its own, so that no silent one delays the others."""
    server.settimeout(_PAUSE)
    while not done.is_set():
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            threading.Thread(target=_answer, args=(connection, cluster, confirmed), daemon=True).start()


def _answer(connection: socket.socket, cluster: Cluster, confirmed: set[int]) -> None:
    """Tell a visitor the index and the workers of this process, and keep the index that it confirms."""
    with connection, contextlib.suppress(OSError, ValueError):
        connection.sendall(f"{json.dumps([cluster.index, cluster.workers])}\n".encode())
        confirmed.add(int(_read_line(connection)))


def _visit(cluster: Cluster, index: int, name: str) -> str | None:
    """Visit another worker, and return why it can't be reached, or None if it has been met.

    Raises:
        UsageError: it is started with another index or other workers.
    """
    try:
        with socket.create_connection(_split(cluster.workers[index]), timeout=1.0) as connection:
            content = json.loads(_read_line(connection))
            if content == [index, list(cluster.workers)]:
                connection.sendall(f"{cluster.index}\n".encode())
                return None
    except (ValueError, RecursionError):  # no JSON, or of any depth; or a host name such as `a..b`
        return "no worker of keras_gen answers there"
    except OSError as error:
        return error.strerror or str(error)
    raise UsageError(f"{name} was started with another index or other workers: it says {str(content)[:200]}")


def _read_line(connection: socket.socket) -> bytes:
    connection.settimeout(_TALK_SECONDS)
    with connection.makefile("rb") as stream:
        return stream.readline(_LONGEST)


def _split(worker: str) -> tuple[str, int]:
    host, _, port = worker.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise must_be("workers", "host:port with a port from 1 to 65535, separated by commas", worker)
    return host.strip("[]"), int(port)
