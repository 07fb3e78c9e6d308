"""Tests of downloads from malicious servers: encrypted, limited in size, and deleted if refused."""

import contextlib
import http.server
import io
import threading

import pytest

from keras_gen.metrics.extractors import weight_files
from keras_gen.utils.errors import DataUnavailableError


def test_every_download_is_encrypted():
    sources = [value for value in vars(weight_files).values() if isinstance(value, weight_files.Source)]
    assert len(sources) == 2
    assert all(source.url.startswith("https://") for source in sources)


class Server(http.server.BaseHTTPRequestHandler):
    """Server of an endless file."""

    def do_HEAD(self):
        self.send_error(403)

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(bytes(2**20))

    def log_message(self, *_):
        pass


def test_a_download_without_an_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        source = weight_files.Source("x", f"http://127.0.0.1:{running.server_port}/x", ("x",), 3)
        with pytest.raises(DataUnavailableError, match="failed .it is much larger than 3 MB"):
            weight_files.obtain(source, download=True)
        running.shutdown()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_redirect_without_encryption_is_refused(tmp_path, monkeypatch):
    class Answer(io.BytesIO):
        url, headers = "http://elsewhere.example/x", {}

    monkeypatch.setenv("KERAS_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weight_files, "connection_error", lambda *_: None)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Answer(b"weights"))
    with pytest.raises(DataUnavailableError, match="redirects to http://elsewhere.example/x, which is not encrypted"):
        weight_files.obtain(weight_files.Source("x", "https://here.example/x", ("x",), 3), download=True)
    assert list((tmp_path / "cache").iterdir()) == []
