"""Clusters from TF_CONFIG and the command line, and the wait for all workers."""

import concurrent.futures
import contextlib
import json
import socket
import threading
import time

import pytest
from replica_helpers import free_addresses

from keras_gen import UsageError
from keras_gen.distribution import cluster
from keras_gen.distribution.cluster import Cluster


def test_a_chief_is_the_first_worker(monkeypatch):
    content = {
        "cluster": {"worker": ["b:2", "c:3"], "chief": ["a:1"]},
        "task": {"type": "worker", "index": 1},
        "environment": "cloud",
    }
    monkeypatch.setenv("TF_CONFIG", json.dumps(content))
    found = cluster.from_environment()
    assert (found.workers, found.index, found.is_chief) == (("a:1", "b:2", "c:3"), 2, False)
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
    "content",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_a_wrong_variable_is_named(monkeypatch, content):
    monkeypatch.setenv("TF_CONFIG", content)
    with pytest.raises(UsageError, match="TF_CONFIG must be of the form .*, received: '"):
        cluster.from_environment()


@pytest.mark.parametrize("workers", ["[1]", '"a:1"', '["a"]'])
def test_a_wrong_address_in_the_variable_is_named(monkeypatch, workers):
    monkeypatch.setenv("TF_CONFIG", f'{{"cluster": {{"worker": {workers}}}, "task": {{"type": "worker", "index": 0}}}}')
    with pytest.raises(UsageError, match="workers must be host:port with a port from 1 to 65535"):
        cluster.from_environment()


@pytest.mark.parametrize(
    ("workers", "index", "message"),
    [
        ("a:1", None, "--workers and --worker-index must be given together"),
        (None, 0, "--workers and --worker-index must be given together"),
        ("a:1,a:1", 0, "workers must be a different host:port for each worker"),
        ("a:1,b", 0, "workers must be host:port with a port from 1 to 65535, separated by commas, received: 'b'"),
        ("a:1,:2", 0, "workers must be host:port"),
        ("a:1,b:0", 0, "workers must be host:port"),
        ("a:1,b:65536", 0, "workers must be host:port"),
        ("a:1,b:2", 2, "worker_index must be an integer from 0 to 1, received: 2"),
        ("a:1,b:2", -1, "worker_index must be an integer from 0 to 1"),
    ],
)
def test_a_wrong_command_line_is_named(workers, index, message):
    with pytest.raises(UsageError, match=message):
        cluster.from_arguments(workers, index)


def test_workers_that_start_at_different_times_wait_for_each_other_and_free_their_ports():
    workers = free_addresses(3)
    listening = threading.Barrier(3, timeout=30)

    def start(index):
        time.sleep(0.3 * index)
        cluster.wait_for_workers(Cluster(workers, index, patience=20))
        with socket.create_server(("127.0.0.1", int(workers[index].rpartition(":")[2]))):  # as TensorFlow does next
            listening.wait()

    with concurrent.futures.ThreadPoolExecutor() as pool:
        for _ in range(2):  # again immediately, as after a crash
            list(pool.map(start, range(3)))


def test_missing_workers_are_waited_for_as_long_as_requested_and_named():
    workers = free_addresses(2)
    begun = time.monotonic()
    with pytest.raises(UsageError) as caught:
        cluster.wait_for_workers(Cluster(workers, 1, patience=0.5))
    why = f"worker 0 ({workers[0]}): Connection refused"
    assert str(caught.value) == f"workers can't be reached within 0.5 seconds: {why}"
    assert 0.5 < time.monotonic() - begun < 30


def test_a_port_in_use_is_named():
    workers = free_addresses(2)
    with socket.create_server(("", int(workers[1].rpartition(":")[2]))), pytest.raises(UsageError) as caught:
        cluster.wait_for_workers(Cluster(workers, 1))
    assert str(caught.value) == f"worker 1 ({workers[1]}) can't listen on its port: Address already in use"


@pytest.mark.parametrize("index", [0, 1], ids=["the same index", "other workers"])
def test_a_worker_that_is_started_wrongly_is_named(index):
    workers = free_addresses(2)
    # On the second machine: the index of the first; on the first machine: another list.
    wrong = (workers[0], "127.0.0.1:9") if index else (workers[1], workers[0])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pool.submit(cluster.wait_for_workers, Cluster(wrong, 0, patience=2))
        with pytest.raises(UsageError, match="was started with another index or other workers: it says "):
            cluster.wait_for_workers(Cluster(workers, index, patience=10))


def test_another_service_on_the_port_is_no_worker():
    workers = free_addresses(2)
    with socket.create_server(("127.0.0.1", int(workers[0].rpartition(":")[2]))) as server:

        def greet():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n")

        threading.Thread(target=greet, daemon=True).start()
        with pytest.raises(UsageError, match="no worker of keras_gen answers there"):
            cluster.wait_for_workers(Cluster(workers, 1, patience=0.1))


def test_a_worker_listens_on_its_own_interface_and_on_all_where_it_does_not_know_it():
    for host, expected in (
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", None),
        ("192.0.2.1", "::"),
        ("no.such.host", "::"),
    ):
        with cluster._listen(host, 0) as server:
            found = server.getsockname()[0]
        assert found in ({expected} if expected else {"127.0.0.1", "::1"}) or (expected, found) == ("::", "0.0.0.0")


def test_silent_and_talkative_visitors_delay_nobody(monkeypatch):
    monkeypatch.setattr(cluster, "_TALK_SECONDS", 60.0)  # waiting for a single visitor would exceed the patience
    workers = free_addresses(2)
    with concurrent.futures.ThreadPoolExecutor() as pool, contextlib.ExitStack() as stack:
        first = pool.submit(cluster.wait_for_workers, Cluster(workers, 0, patience=20))
        port = int(workers[0].rpartition(":")[2])
        for number in range(20):
            visitor = stack.enter_context(connected(port))
            if number % 2:
                visitor.sendall(b"1" * 5000)
        cluster.wait_for_workers(Cluster(workers, 1, patience=20))
        first.result()


def connected(port):
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5)
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError("nobody listens")


@pytest.mark.parametrize(
    "answer", [b"[" * 30_000 + b"\n", b"9" * 9000 + b"\n", b"\xff\n", b'["' + b"x" * 60_000 + b'"]\n']
)
def test_whatever_answers_in_place_of_a_worker_the_error_is_short(answer):
    workers = free_addresses(2)
    with socket.create_server(("127.0.0.1", int(workers[0].rpartition(":")[2]))) as server:

        def talk():
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer)
                connection.recv(1)

        threading.Thread(target=talk, daemon=True).start()
        with pytest.raises(UsageError) as caught:
            cluster.wait_for_workers(Cluster(workers, 1, patience=0.1))
    assert len(str(caught.value)) < 500
