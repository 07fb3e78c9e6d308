"""Tests of `net.connection_error`, which checks whether a host answers within a time limit."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from keras_gen.utils import net

pytestmark = pytest.mark.usefixtures("own_working_directory")


def test_probe_of_a_closed_port():
    assert "refused" in net.connection_error("http://127.0.0.1:9/").lower()


def test_probe_is_bounded_when_nobody_answers(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reason = net.connection_error(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.5)
    assert "timed out" in reason or "no answer within 0.5 s" in reason
    never = threading.Event()
    monkeypatch.setattr(net, "_request", lambda url, seconds: never.wait())  # such as the resolution of a name
    assert net.connection_error("http://127.0.0.1/", seconds=0.01) == "no answer within 0.01 s"
    never.set()


@pytest.mark.parametrize(("status", "reachable"), [(200, True), (403, True), (404, True), (407, False), (503, False)])
def test_probe_takes_any_answer_of_the_host_itself(status, reachable):
    methods = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            methods.append(self.command)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        reason = net.connection_error(f"http://127.0.0.1:{server.server_port}/x")
        server.shutdown()
    assert methods == ["HEAD"]
    assert (reason is None) == reachable
    assert reachable or f"HTTP {status}" in reason
