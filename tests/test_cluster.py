"""Who trains together, as TF_CONFIG and the command line say it, and the workers' first meeting."""

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
    """What each member's meeting ended with, None or the error's text."""
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


# Who


def test_a_chief_is_the_first_worker(monkeypatch):
    content = {
        "cluster": {"worker": ["b:2", "c:3"], "chief": ["a:1"]},
        "task": {"type": "worker", "index": 1},
        "environment": "cloud",
    }
    monkeypatch.setenv("TF_CONFIG", json.dumps(content))
    found = cluster.from_environment()
    assert (found.workers, found.index, found.is_chief, found.port) == (("a:1", "b:2", "c:3"), 2, False, 3)
    monkeypatch.setenv("TF_CONFIG", json.dumps(content | {"task": {"type": "chief", "index": "0"}}))  # some write text
    assert cluster.from_environment().is_chief


def test_no_variable_is_no_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert cluster.from_environment() is None


def test_a_command_line_may_say_who():
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
            "TF_CONFIG's task must be one of its cluster's 1, received: 'worker 1'",
        ),
        (
            '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
            "TF_CONFIG must have no job but chief and worker, received: ps",
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
        ("a:1,b:2", 2, "worker_index must be from 0 to 1, as there are workers, received: 2"),
        ("a:1,b:2", -1, "worker_index must be an integer of at least 0"),
    ],
)
def test_a_wrong_command_line_is_named(workers, index, message):
    with pytest.raises(UsageError, match=message):
        cluster.from_arguments(workers, index)


# The meeting


def test_workers_that_say_the_same_go_on_together_and_leave_their_ports_free():
    workers = addresses(3)
    members = [Cluster(workers, index) for index in range(3)]
    assert met(members, [SAME] * 3) == [None] * 3
    assert met(members, [SAME] * 3) == [None] * 3  # at once again, as after a crash


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (SAME | {"settings": "gan"}, "has another settings: gan, worker 0 ({chief}) has vae-mlp"),
        ({"tensorflow": "2.21.0"}, "has another settings: None, worker 0 ({chief}) has vae-mlp"),
    ],
)
def test_a_worker_that_says_something_else_is_named_to_all(other, message):
    workers = addresses(2)
    found = met([Cluster(workers, 0), Cluster(workers, 1)], [SAME, other])
    assert found == [f"worker 1 ({workers[1]}) " + message.format(chief=workers[0])] * 2


class OnAnotherMachine(Cluster):
    """Here, two processes would fight for one port."""

    @property
    def port(self):
        return free_ports(1)[0]


def test_two_that_claim_one_place_are_found():
    workers = addresses(3)
    found = met([Cluster(workers, 0), OnAnotherMachine(workers, 1), OnAnotherMachine(workers, 1)], [SAME] * 3)
    assert found == ["two processes say that they are worker 1"] * 3


def test_another_list_of_workers_is_said():
    workers = addresses(3)
    found = met([Cluster(workers[:2], 0), Cluster((workers[0], workers[2]), 1)], [SAME] * 2)
    assert found == [f"a worker 1 has another list of workers: {workers[0]},{workers[2]}"] * 2


def test_nobody_waits_longer_than_asked_for_who_is_not_there():
    workers = addresses(2)
    begun = time.monotonic()
    assert met([Cluster(workers, 1, patience=1)], [SAME]) == [
        f"worker 0 ({workers[0]}) can't be reached from worker 1 within 1 seconds: Connection refused"
    ]
    assert met([Cluster(workers, 0, patience=1)], [SAME]) == [
        f"worker 1 ({workers[1]}) did not come to worker 0 ({workers[0]}) within 1 seconds"
    ]
    assert time.monotonic() - begun < 30


def test_a_port_in_use_is_named():
    workers = addresses(2)
    with socket.create_server(("", Cluster(workers, 1).port)):
        (found,) = met([Cluster(workers, 1)], [SAME])
    assert found == f"worker 1 ({workers[1]}) can't listen on its port: Address already in use"


def test_strangers_do_not_disturb():
    workers = addresses(2)
    host, port = "127.0.0.1", Cluster(workers, 0).port
    strangers = []

    def visit():
        for message in (b"GET / HTTP/1.1\r\n\r\n\n", b"[" * 100_000 + b"\n", b'{"index": 1}\n', b"null\n", b""):
            while True:
                try:
                    stranger = socket.create_connection((host, port))
                    break
                except ConnectionRefusedError:
                    time.sleep(0.01)
            strangers.append(stranger)
            stranger.sendall(message)
            if not message:
                stranger.close()

    chief = []
    thread = threading.Thread(target=lambda: chief.append(met([Cluster(workers, 0)], [SAME])))
    thread.start()
    visit()
    assert met([Cluster(workers, 1)], [SAME]) == [None]
    thread.join()
    assert chief == [[None]]
    for stranger in strangers:
        stranger.close()
