"""Clusters from TF_CONFIG and the command line, and the check that workers agree before they train."""

import json
import socket
import threading
import time

import pytest

from keras_gen import UsageError
from keras_gen.distribution import cluster
from keras_gen.distribution.cluster import Cluster

SAME = {"tensorflow": "2.21.0", "settings": "vae-mlp"}


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def addresses(count):
    return tuple(f"127.0.0.1:{port}" for port in free_ports(count))


def met(members, statements):
    """Return the error message of each member's meeting, or None."""
    found = [None] * len(members)

    def attend(place):
        try:
            cluster.meet(members[place], statements[place])
        except UsageError as error:
            found[place] = str(error)

    threads = [threading.Thread(target=attend, args=(place,)) for place in range(len(members))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    return found


# Addresses


def test_a_chief_is_the_first_worker(monkeypatch):
    content = {
        "cluster": {"worker": ["b:2", "c:3"], "chief": ["a:1"]},
        "task": {"type": "worker", "index": 1},
        "environment": "cloud",
    }
    monkeypatch.setenv("TF_CONFIG", json.dumps(content))
    found = cluster.from_environment()
    assert (found.workers, found.index, found.is_chief, found.port) == (("a:1", "b:2", "c:3"), 2, False, 3)
    monkeypatch.setenv(
        "TF_CONFIG", json.dumps(content | {"task": {"type": "chief", "index": "0"}})
    )  # some schedulers write text
    assert cluster.from_environment().is_chief


def test_no_variable_is_no_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert cluster.from_environment() is None


def test_a_command_line_can_give_the_workers():
    assert cluster.from_arguments(None, None) is None
    assert cluster.from_arguments("[::1]:5,b:6", 0).workers == ("[::1]:5", "b:6")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "TF_CONFIG must be of the form"),
        ("[]", "TF_CONFIG must be of the form"),
        ('{"cluster": {"worker": ["a:1"]}}', "TF_CONFIG must be of the form"),
        ('{"cluster": {"worker": [1]}, "task": {"type": "worker", "index": 0}}', "TF_CONFIG must be of the form"),
        ('{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}', "must be host:port"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "must be host:port"),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            "TF_CONFIG's task must be a member of its cluster, received: 'worker 1'",
        ),
        (
            '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
            "TF_CONFIG must have no jobs except chief and worker, received: ps",
        ),
    ],
)
def test_a_wrong_variable_is_named(monkeypatch, content, message):
    monkeypatch.setenv("TF_CONFIG", content)
    with pytest.raises(UsageError, match=message.replace("'", ".")):
        cluster.from_environment()


@pytest.mark.parametrize(
    ("workers", "index", "message"),
    [
        ("a:1", None, "--workers and --worker-index must be given together"),
        (None, 0, "--workers and --worker-index must be given together"),
        ("a:1,a:1", 0, "workers must be one different host:port for each worker"),
        ("a:1,b", 0, "workers must be host:port with a port from 1 to 65535, separated by commas, received: 'b'"),
        ("a:1,:2", 0, "workers must be host:port"),
        ("a:1,b:0", 0, "workers must be host:port"),
        ("a:1,b:65536", 0, "workers must be host:port"),
        ("a:1,b:2", 2, "worker_index must be from 0 to 1 for 2 workers, received: 2"),
        ("a:1,b:2", -1, "worker_index must be an integer of at least 0"),
    ],
)
def test_a_wrong_command_line_is_named(workers, index, message):
    with pytest.raises(UsageError, match=message):
        cluster.from_arguments(workers, index)


# The meeting


def test_workers_that_agree_continue_and_free_their_ports():
    workers = addresses(3)
    members = [Cluster(workers, index) for index in range(3)]
    assert met(members, [SAME] * 3) == [None] * 3
    assert met(members, [SAME] * 3) == [None] * 3  # again immediately, as after a crash


@pytest.mark.parametrize(
    ("other", "received"),
    [
        (SAME | {"settings": "gan"}, "gan on worker 1 ({}), vae-mlp on worker 0 ({})"),
        ({"tensorflow": "2.21.0"}, "None on worker 1 ({}), vae-mlp on worker 0 ({})"),
    ],
)
def test_a_worker_that_differs_is_named_to_all(other, received):
    workers = addresses(2)
    found = met([Cluster(workers, 0), Cluster(workers, 1)], [SAME, other])
    received = received.format(workers[1], workers[0])
    assert found == [f"settings must be the same on all workers, received: {received}"] * 2


class OnAnotherMachine(Cluster):
    """A worker with a port of its own: on this machine two with the same index would use the same one."""

    @property
    def port(self):
        return free_ports(1)[0]


def test_two_workers_with_the_same_index_are_refused():
    workers = addresses(3)
    found = met([Cluster(workers, 0), OnAnotherMachine(workers, 1), OnAnotherMachine(workers, 1)], [SAME] * 3)
    assert found == ["two processes have the index of worker 1"] * 3


def test_a_different_list_of_workers_is_refused():
    workers = addresses(3)
    found = met([Cluster(workers[:2], 0), Cluster((workers[0], workers[2]), 1)], [SAME] * 2)
    assert found == [f"worker 1 has a different list of workers: {workers[0]},{workers[2]}"] * 2


def test_missing_workers_are_waited_for_as_long_as_requested():
    workers = addresses(2)
    begun = time.monotonic()
    assert met([Cluster(workers, 1, patience=0.5)], [SAME]) == [
        f"worker 0 ({workers[0]}) can't be reached from worker 1 within 0.5 seconds: Connection refused"
    ]
    assert met([Cluster(workers, 0, patience=0.5)], [SAME]) == [
        f"worker 1 ({workers[1]}) did not connect to worker 0 ({workers[0]}) within 0.5 seconds"
    ]
    assert time.monotonic() - begun < 30


def test_a_port_in_use_is_named():
    workers = addresses(2)
    with socket.create_server(("", Cluster(workers, 1).port)):
        (found,) = met([Cluster(workers, 1)], [SAME])
    assert found == f"worker 1 ({workers[1]}) can't listen on its port: Address already in use"


def test_other_connections_are_ignored():
    workers = addresses(2)
    host, port = "127.0.0.1", Cluster(workers, 0).port
    others = []

    def visit():
        for message in (b"GET / HTTP/1.1\r\n\r\n\n", b"[" * 100_000 + b"\n", b'{"index": 1}\n', b"null\n", b""):
            while True:
                try:
                    other = socket.create_connection((host, port))
                    break
                except ConnectionRefusedError:
                    time.sleep(0.01)
            others.append(other)
            other.sendall(message)
            if not message:
                other.close()

    chief = []
    thread = threading.Thread(target=lambda: chief.append(met([Cluster(workers, 0)], [SAME])))
    thread.start()
    visit()
    assert met([Cluster(workers, 1)], [SAME]) == [None]
    thread.join()
    assert chief == [[None]]
    for other in others:
        other.close()
