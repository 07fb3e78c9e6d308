"""Tests of weights files: the cache folder, downloads and their failures, and the record of hashes."""

import dataclasses
import hashlib
import http.server
import json
import socket
import threading
import time
from pathlib import Path

import pytest

from keras_gen.metrics.extractors import cache_folder, weight_files
from keras_gen.utils.errors import DataUnavailableError, UsageError

CONTENT = b"pretend these are weights"
SOURCE = dataclasses.replace(weight_files.INCEPTION_2015, md5=hashlib.md5(CONTENT).hexdigest())


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Empty cache folders, and no proxy for local servers."""
    monkeypatch.setenv("KERAS_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache"


@pytest.fixture
def server():
    """A local server with one file, which answers 403 to HEAD requests."""

    class Handler(http.server.BaseHTTPRequestHandler):
        requests: list[str] = []
        content, claimed, status = CONTENT, None, 200

        def do_HEAD(self):
            self.requests.append("HEAD")
            self.send_error(403)

        def do_GET(self):
            self.requests.append("GET")
            self.send_response(self.status)
            self.send_header("Content-Length", str(self.claimed or len(self.content)))
            self.end_headers()
            self.wfile.write(self.content)

        def log_message(self, *_):
            pass

    Handler.requests = []
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


def at(server, **changes):
    return dataclasses.replace(SOURCE, url=f"http://127.0.0.1:{server.server_port}/weights", **changes)


def test_the_cache_folder_follows_the_environment(monkeypatch, cache):
    assert cache_folder() == cache
    monkeypatch.delenv("KERAS_GEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/keras_gen")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/keras_gen")


def test_every_download_is_encrypted():
    for source in (weight_files.INCEPTION_2015, weight_files.INCEPTION_V3):
        assert source.url.startswith("https://")


def test_the_graph_itself_is_found_too(cache):
    source = weight_files.INCEPTION_2015
    assert weight_files.find(source) is None
    cache.mkdir()
    (cache / "classify_image_graph_def.pb").write_bytes(b"graph")
    assert weight_files.find(source) == weight_files.obtain(source) == cache / "classify_image_graph_def.pb"


def test_a_download_puts_the_file_where_it_is_found_and_needs_the_network_once(server, cache, capsys):
    handler, source = server.RequestHandlerClass, at(server)
    path = weight_files.obtain(source, download=True)
    assert path == weight_files.find(source) == cache / "inception-2015-12-05.tgz"
    assert path.read_bytes() == CONTENT
    assert [entry.name for entry in cache.iterdir()] == [path.name]
    assert weight_files.obtain(source, download=True) == path
    assert handler.requests == ["HEAD", "GET"]
    assert capsys.readouterr().out == ""

    path.write_bytes(b"damaged")
    with pytest.raises(UsageError, match=f"{path} is damaged: its MD5 is not {source.md5}; delete it"):
        weight_files.obtain(source)
    assert weight_files.obtain(source, download=True).read_bytes() == CONTENT


def test_weights_of_keras_are_downloaded_to_the_folder_of_keras(server, tmp_path):
    path = weight_files.obtain(at(server, kept_by_keras=True), download=True)
    assert path.parent == tmp_path / "keras" / "models"


def refused(source, reason, folder):
    """Check that a download is refused in one line that says where the file belongs."""
    expected = f"weights of inception-2015 can't be downloaded to {folder} .*({reason}).*--extractor-weights PATH"
    with pytest.raises(DataUnavailableError, match=expected) as raised:
        weight_files.obtain(source, download=True)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"content": b"other"}, "md5|hash does not match"),
        ({"claimed": 100}, "25 out of 100 bytes"),
        ({"status": 404}, "404"),
    ],
)
def test_a_download_that_is_not_the_file_is_refused_and_leaves_nothing(server, cache, monkeypatch, change, reason):
    for name, value in change.items():
        monkeypatch.setattr(server.RequestHandlerClass, name, value)
    refused(at(server), reason, cache)
    assert list(cache.iterdir()) == []


def test_a_cache_folder_that_cannot_be_made_is_named(server, cache):
    cache.write_text("a file")
    refused(at(server), "File exists", cache)


def test_a_missing_network_is_reported_fast(cache):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused
        source = dataclasses.replace(SOURCE, url=f"http://127.0.0.1:{closed.getsockname()[1]}/weights")
        began = time.perf_counter()
        refused(source, "refused", cache)
    assert time.perf_counter() - began < 8  # the bound of the probe is 10 s
    assert not cache.exists()


def test_a_download_that_stalls_ends(monkeypatch, cache):
    monkeypatch.setattr(weight_files, "_STALL_SECONDS", 0.3)
    monkeypatch.setattr(weight_files, "connection_error", lambda url: None)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = dataclasses.replace(SOURCE, url=f"http://127.0.0.1:{silent.getsockname()[1]}/weights")
        refused(source, "timed out", cache)
    assert list(cache.iterdir()) == [] and socket.getdefaulttimeout() is None


def test_the_first_use_is_recorded_and_later_ones_are_compared(cache, tmp_path):
    weight_files.check_unchanged(SOURCE, tmp_path / "a", "11")
    weight_files.check_unchanged(SOURCE, tmp_path / "b", "11")
    record = cache / "weights.json"
    assert json.loads(record.read_text()) == {"inception-2015": "11"}
    weight_files.check_unchanged(weight_files.INCEPTION_V3, tmp_path / "c", "22")
    assert json.loads(record.read_text()) == {"inception-2015": "11", "inception-v3": "22"}
    with pytest.raises(UsageError, match=f"{tmp_path / 'b'} .*SHA-256 33, expected 11; .*delete the entry .*{record}"):
        weight_files.check_unchanged(SOURCE, tmp_path / "b", "33")


@pytest.mark.parametrize("content", ["{", "[]", "\x00"])
def test_a_damaged_record_is_named(cache, tmp_path, content):
    cache.mkdir()
    (cache / "weights.json").write_text(content)
    with pytest.raises(UsageError, match=f"{cache / 'weights.json'} is damaged: .*delete it") as raised:
        weight_files.check_unchanged(SOURCE, tmp_path / "a", "11")
    assert "\n" not in str(raised.value)


def test_without_a_cache_folder_nothing_is_recorded(cache, tmp_path):
    cache.write_text("a file")
    weight_files.check_unchanged(SOURCE, tmp_path / "a", "11")
    weight_files.check_unchanged(SOURCE, tmp_path / "a", "12")
    assert cache.read_text() == "a file"
