"""Several machines that train one model: who they are, and their first meeting. No TensorFlow here."""

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
"""What schedulers set for each process: Kubernetes' operators, Vertex AI, SageMaker."""

PATIENCE = 300.0
"""Seconds to wait for workers, which a scheduler may start minutes apart."""

_FORM = '{"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}'
_MAX_MESSAGE_BYTES = 1 << 20
_PAUSE = 0.2
"""Seconds between two tries to reach the chief."""
_HEARING = 5.0
"""Seconds in which a visitor must have said what it wants: others are waiting."""


@dataclass(frozen=True)
class Cluster:
    """The processes that train together, and which of them this one is.

    Args:
        workers: `host:port` of each, the same list in the same order on all of them. The first is the chief.
        index: this process's place among them, from 0.
        patience: seconds to wait for the others to come, at most.

    Raises:
        UsageError: an address or the index is not as above.

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
            raise must_be("worker_index", f"from 0 to {len(workers) - 1}, as there are workers", self.index)
        object.__setattr__(self, "workers", workers)
        object.__setattr__(self, "patience", checks.positive("patience", self.patience))

    @property
    def is_chief(self) -> bool:
        """Whether this process is the one that writes."""
        return self.index == 0

    @property
    def port(self) -> int:
        """Where this process listens."""
        return _split(self.workers[self.index])[1]

    def name_of(self, index: int) -> str:
        """What to call a worker in messages."""
        return f"worker {index} ({self.workers[index]})"


def from_environment() -> Cluster | None:
    """The cluster that `TF_CONFIG` tells of, or None if it is not set.

    A `chief` comes before the workers. Evaluators and parameter servers have no part in this kind of training.

    Raises:
        UsageError: the variable's content is not of that form.

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
        place = (task["type"], int(task["index"]))
        members = [(job, index) for job in ("chief", "worker") for index in range(len(jobs.get(job, ())))]
        workers = tuple(jobs[job][index] for job, index in members)
        known = all(isinstance(worker, str) for worker in workers) and place[0] in jobs
    except (ValueError, KeyError, TypeError, AttributeError):
        known = False
    if not known:
        raise must_be(VARIABLE, f"of the form {_FORM}", text[:200])
    if others := sorted(set(jobs) - {"chief", "worker"}):
        raise UsageError(f"{VARIABLE} must have no job but chief and worker, received: {', '.join(others)}")
    if place not in members:
        raise must_be(f"{VARIABLE}'s task", f"one of its cluster's {len(members)}", f"{place[0]} {place[1]}")
    return Cluster(workers, members.index(place))


def from_arguments(workers: str | None, index: int | None, patience: float = PATIENCE) -> Cluster | None:
    """The cluster of a command line's `host:port,…` and number, or None if it has neither.

    Raises:
        UsageError: one without the other, or as in `Cluster`.
    """
    if (workers is None) != (index is None):
        raise UsageError("--workers and --worker-index must be given together")
    if workers is None:
        return None
    return Cluster(tuple(workers.split(",")), index, patience)


def meet(cluster: Cluster, statement: Mapping[str, str]) -> None:
    """Wait until all workers are there, and see that they have the same to say of themselves.

    TensorFlow's own start waits for an hour, and does not say for whom; workers of other code or settings would stop
    later, in an operation, or not at all. The chief listens on its port, where TensorFlow will listen after it, and
    answers when all have come.

    Args:
        cluster: who.
        statement: what must be equal, by name: versions, settings, data.

    Raises:
        UsageError: a worker did not come or could not be reached, a port is in use, or a statement differs: which, of
            whom, is said to all.
    """
    deadline = time.monotonic() + cluster.patience
    with _listening(cluster) as server:
        if cluster.is_chief:
            error = _receive(cluster, server, dict(statement), deadline)
        else:
            error = _visit(cluster, dict(statement), deadline)
    if error:
        raise UsageError(error)


@contextlib.contextmanager
def _listening(cluster):
    """A socket on this worker's port, which is thereby known to be free."""
    import socket  # here: what only lists or misspells should not wait for it

    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        server = socket.create_server(("", cluster.port), family=family, dualstack_ipv6=both)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise UsageError(f"{cluster.name_of(cluster.index)} can't listen on its port: {reason}") from error
    with server:
        yield server


def _receive(cluster, server, statement, deadline) -> str | None:
    """Wait for all others, and tell them what is wrong, if something is."""
    visitors = []
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
                error = f"{names} did not come to {cluster.name_of(0)} within {cluster.patience:g} seconds"
                break
            stack.enter_context(connection)
            message = _read(connection, min(deadline, time.monotonic() + _HEARING))
            if not _is_statement(message):
                continue  # somebody else's: a scanner, a health check
            error = _compare(cluster, present, message, statement)
            present.add(message["index"])
            visitors.append(connection)
        for connection in visitors:
            _send(connection, {"error": error})
    return error


def _compare(cluster, present, message, statement) -> str | None:
    index = message["index"]
    if message["workers"] != list(cluster.workers):
        return f"a worker {index} has another list of workers: {','.join(map(str, message['workers']))}"
    if index in present or not 0 < index < len(cluster.workers):
        return f"two processes say that they are worker {index}"
    theirs = message["statement"]
    for name in sorted(statement.keys() | theirs.keys()):
        if theirs.get(name) != statement.get(name):
            values = f"{theirs.get(name)}, {cluster.name_of(0)} has {statement.get(name)}"
            return f"{cluster.name_of(index)} has another {name}: {values}"
    return None


def _visit(cluster, statement, deadline) -> str | None:
    """Say to the chief what this worker is, and hear whether all is well."""
    import socket

    host, port = _split(cluster.workers[0])
    last = "no answer"
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection((host, port), timeout=left) as connection:
                hello = {"index": cluster.index, "workers": list(cluster.workers), "statement": statement}
                _send(connection, hello)
                answer = _read(connection, deadline)
                if isinstance(answer, dict) and answer.keys() == {"error"}:
                    return answer["error"]
        except OSError as error:
            last = error.strerror or str(error)
        time.sleep(min(_PAUSE, max(deadline - time.monotonic(), 0)))
    tried = f"from worker {cluster.index} within {cluster.patience:g} seconds"
    return f"{cluster.name_of(0)} can't be reached {tried}: {last}"


def _send(connection, message):
    with contextlib.suppress(OSError):  # who left will not be missed before training begins
        connection.sendall(json.dumps(message).encode() + b"\n")


def _read(connection, deadline):
    """What the line of JSON stands for that comes, or None if none does."""
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
    kinds = {"index": int, "workers": list, "statement": dict}
    return (
        isinstance(message, dict)
        and message.keys() == kinds.keys()
        and all(isinstance(message[name], kind) for name, kind in kinds.items())
    )


def _split(worker: str) -> tuple[str, int]:
    host, colon, port = worker.rpartition(":")
    if not host or not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise must_be("workers", "host:port with a port from 1 to 65535, separated by commas", worker)
    return host.strip("[]"), int(port)
