"""Processes that train one model together: their addresses, and the check that they agree. Imports no TensorFlow."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from keras_gen.utils import checks, safe_files
from keras_gen.utils.errors import UsageError, must_be

VARIABLE = "TF_CONFIG"
"""Environment variable that schedulers set for each process: Kubernetes' operators, Vertex AI, SageMaker."""

PATIENCE = 300.0
"""Seconds to wait for workers, which a scheduler may start minutes apart."""

_FORM = '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'
_MAX_MESSAGE_BYTES = 1 << 20
_PAUSE = 0.2
"""Seconds between two attempts to connect to the chief."""
_MESSAGE_TIMEOUT = 5.0
"""Seconds that a peer has to send its message, while other workers wait."""


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
        >>> Cluster(("10.0.0.1:12345", "10.0.0.2:12345"), 1).name_of(0)
        'worker 0 (10.0.0.1:12345)'
    """

    workers: tuple[str, ...]
    index: int
    patience: float = PATIENCE

    def __post_init__(self):
        workers = tuple(self.workers)
        for worker in workers:
            _split(worker)
        if len(set(workers)) != len(workers) or not workers:
            raise must_be("workers", "one different host:port for each worker", ",".join(workers))
        if checks.non_negative_int("worker_index", self.index) >= len(workers):
            raise must_be("worker_index", f"from 0 to {len(workers) - 1} for {len(workers)} workers", self.index)
        object.__setattr__(self, "workers", workers)
        object.__setattr__(self, "patience", checks.positive("patience", self.patience))

    @property
    def is_chief(self) -> bool:
        """Whether this process is the chief, which writes all files."""
        return self.index == 0

    @property
    def port(self) -> int:
        """The port that this process listens on."""
        return _split(self.workers[self.index])[1]

    def name_of(self, index: int) -> str:
        """Return the name of a worker in messages."""
        return f"worker {index} ({self.workers[index]})"


def from_environment() -> Cluster | None:
    """Return the cluster described by `TF_CONFIG`, or None if the variable is not set.

    A `chief` is placed before the workers. Evaluators and parameter servers are rejected.

    Raises:
        UsageError: the variable's value is invalid.

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
        content = safe_files.parse_json(text)
        jobs, task = content["cluster"], content["task"]
        member = (task["type"], int(task["index"]))
        members = [(job, index) for job in ("chief", "worker") for index in range(len(jobs.get(job, ())))]
        workers = tuple(jobs[job][index] for job, index in members)
        is_valid = all(isinstance(worker, str) for worker in workers) and member[0] in jobs
    except (ValueError, KeyError, TypeError, AttributeError):
        is_valid = False
    if not is_valid:
        raise must_be(VARIABLE, f"of the form {_FORM}", text[:200])
    if others := sorted(set(jobs) - {"chief", "worker"}):
        raise UsageError(f"{VARIABLE} must have no jobs except chief and worker, received: {', '.join(others)}")
    if member not in members:
        raise must_be(f"{VARIABLE}'s task", "a member of its cluster", f"{member[0]} {member[1]}")
    return Cluster(workers, members.index(member))


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
    if workers is None:
        return None
    return Cluster(tuple(workers.split(",")), index, patience)


def meet(cluster: Cluster, statement: Mapping[str, str]) -> None:
    """Wait for all workers and check that their settings, data and versions agree.

    TensorFlow's own start waits for an hour without naming the missing worker, and workers with other code or settings
    would fail later in an operation, or not at all. The chief listens on its port, which TensorFlow uses afterwards,
    and answers when all workers have connected.

    Args:
        cluster: Cluster, the workers to wait for.
        statement: mapping from names to the values that must be equal on all workers: versions, settings, data.

    Raises:
        UsageError: a worker did not connect, the chief could not be reached, a port is in use, or a value differs. The
            same message, which names the worker and the value, is raised on all connected workers.
    """
    deadline = time.monotonic() + cluster.patience
    with _listening(cluster) as server:
        if cluster.is_chief:
            error = _collect(cluster, server, dict(statement), deadline)
        else:
            error = _report(cluster, dict(statement), deadline)
    if error:
        raise UsageError(error)


@contextlib.contextmanager
def _listening(cluster):
    """Listen on this worker's port, which also shows that it is free."""
    import socket  # imported here, to keep it out of the start of every command

    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        server = socket.create_server(("", cluster.port), family=family, dualstack_ipv6=both)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise UsageError(f"{cluster.name_of(cluster.index)} can't listen on its port: {reason}") from error
    with server:
        yield server


def _collect(cluster, server, statement, deadline) -> str | None:
    """Wait for the statements of all other workers, and send them the error message or None."""
    connections = []
    present = {0}
    with contextlib.ExitStack() as stack:
        error = None
        while error is None and len(present) < len(cluster.workers):
            server.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                connection, _ = server.accept()
            except TimeoutError:
                missing = (index for index in range(len(cluster.workers)) if index not in present)
                names = ", ".join(map(cluster.name_of, missing))
                error = f"{names} did not connect to {cluster.name_of(0)} within {cluster.patience:g} seconds"
                break
            stack.enter_context(connection)
            message = _read(connection, min(deadline, time.monotonic() + _MESSAGE_TIMEOUT))
            if not _is_statement(message):
                continue  # not from a worker: a port scanner, a health check
            error = _compare(cluster, present, message, statement)
            present.add(message["index"])
            connections.append(connection)
        for connection in connections:
            _send(connection, {"error": error})
    return error


def _compare(cluster, present, message, statement) -> str | None:
    index = message["index"]
    if message["workers"] != list(cluster.workers):
        return f"worker {index} has a different list of workers: {','.join(map(str, message['workers']))}"
    if index in present or not 0 < index < len(cluster.workers):
        return f"two processes have the index of worker {index}"
    theirs = message["statement"]
    for name in sorted(statement.keys() | theirs.keys()):
        if theirs.get(name) != statement.get(name):
            values = ((theirs, index), (statement, 0))
            received = ", ".join(f"{source.get(name)} on {cluster.name_of(number)}" for source, number in values)
            return f"{name} must be the same on all workers, received: {received}"
    return None


def _report(cluster, statement, deadline) -> str | None:
    """Send this worker's statement to the chief, and return the error message that it answers with, or None."""
    import socket

    host, port = _split(cluster.workers[0])
    reason = "no answer"
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection((host, port), timeout=left) as connection:
                _send(connection, {"index": cluster.index, "workers": list(cluster.workers), "statement": statement})
                answer = _read(connection, deadline)
                if isinstance(answer, dict) and answer.keys() == {"error"}:
                    return answer["error"]
        except OSError as error:
            reason = error.strerror or str(error)
        time.sleep(min(_PAUSE, max(deadline - time.monotonic(), 0)))
    origin = f"from worker {cluster.index} within {cluster.patience:g} seconds"
    return f"{cluster.name_of(0)} can't be reached {origin}: {reason}"


def _send(connection, message):
    with contextlib.suppress(OSError):  # a worker that disconnected is missed as soon as training begins
        connection.sendall(json.dumps(message).encode() + b"\n")


def _read(connection, deadline):
    """Read and parse one line of JSON; return None if none arrives."""
    received = b""
    try:
        while not received.endswith(b"\n") and len(received) <= _MAX_MESSAGE_BYTES:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            if not (part := connection.recv(65536)):
                return None
            received += part
        return safe_files.parse_json(received)
    except (OSError, ValueError):
        return None


def _is_statement(message) -> bool:
    types = {"index": int, "workers": list, "statement": dict}
    return (
        isinstance(message, dict)
        and message.keys() == types.keys()
        and all(isinstance(message[name], type_) for name, type_ in types.items())
    )


def _split(worker: str) -> tuple[str, int]:
    host, colon, port = worker.rpartition(":")
    if not host or not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise must_be("workers", "host:port with a port from 1 to 65535, separated by commas", worker)
    return host.strip("[]"), int(port)
