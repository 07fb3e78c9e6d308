"""Tests of malicious files: nothing in them is executed, written elsewhere or waited for; the error is one line."""

import ast
import contextlib
import gzip
import io
import os
import pickle
import struct
import tarfile
import threading
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from command_helpers import call
from data_helpers import png
from fuzz_helpers import PICTURES, archive_of, array_file, nested
from model_helpers import make_vae
from PIL import EpsImagePlugin, Image
from run_helpers import save_checkpoint

import keras_gen
from keras_gen import data
from keras_gen.evaluation.reference import Reference
from keras_gen.metrics.extractors import Inception2015
from keras_gen.models import export
from keras_gen.report.pages import data_uri
from keras_gen.runs import checkpoints, history, run_directory
from keras_gen.training.sweeps import state
from keras_gen.utils import archives, files, safe_files
from keras_gen.utils.errors import UsageError

SOURCES = sorted(
    path
    for folder in (Path(keras_gen.__file__).parent, Path(keras_gen.__file__).parents[1] / "experiments")
    for path in folder.rglob("*.py")
)
RUN_WHAT_THEY_READ = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml"}
UNSAFE_ARGUMENTS = {("allow_pickle", True), ("safe_mode", False), ("shell", True), ("verify", False)}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__", "enable_unsafe_deserialization", "extractall", "extract"}
SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}


class Bomb:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def unsafe(tree):
    """Iterate over the calls in a module that would let a file execute code or be written anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None) or ""}
            yield from sorted({name.partition(".")[0] for name in names} & RUN_WHAT_THEY_READ)
        elif isinstance(node, ast.Call):
            # `compile` only as a plain name: `model.compile` is Keras'.
            plain = node.func.id if isinstance(node.func, ast.Name) else None
            method = node.func.attr if isinstance(node.func, ast.Attribute) else None
            if plain in UNSAFE_CALLS or method in UNSAFE_CALLS - {"compile"} or ast.unparse(node.func) in SHELLS:
                yield ast.unparse(node.func)
            for keyword in node.keywords:
                given = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                if (keyword.arg, given) in UNSAFE_ARGUMENTS:
                    yield f"{keyword.arg}={given}"


@contextlib.contextmanager
def little_memory(megabytes=32):
    """Check that the block allocates no more."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < megabytes * 2**20
    finally:
        tracemalloc.stop()


@contextlib.contextmanager
def refused(message):
    """Check that the block raises a `UsageError` of one line."""
    with pytest.raises(UsageError, match=message) as caught:
        yield
    assert "\n" not in str(caught.value)


def at_once(function, *arguments):
    """Return the error of a call that must not block."""
    raised = []

    def run():
        try:
            function(*arguments)
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it blocks"
    return raised[0]


# What is run


def test_no_module_executes_what_it_reads():
    found = {path: list(unsafe(ast.parse(path.read_text(encoding="utf-8")))) for path in SOURCES}
    calls = {path.name: calls for path, calls in found.items() if calls}
    # The unpickler knows the names of tensors, see tests/test_inception_port.py. A file of recipes is a program.
    assert calls == {"torch_files.py": ["pickle"], "registry.py": ["exec", "compile"]}


def test_the_search_finds_unsafe_calls():
    bad = "import pickle\nfrom yaml import load\neval('1')\nnp.load(f, allow_pickle=True)\nos.system('x')\n"
    bad += "load_model(f, safe_mode=False)\nPopen('x', shell=True)\narchive.extractall()\nmodel.compile()\n"
    found = [
        "pickle",
        "yaml",
        "eval",
        "allow_pickle=True",
        "os.system",
        "safe_mode=False",
        "shell=True",
        "archive.extractall",
    ]
    assert sorted(unsafe(ast.parse(bad))) == sorted(found)


def test_pickles_are_not_run(tmp_path):
    ran, path = tmp_path / "ran", tmp_path / "a.npz"
    np.savez(path, x_train=np.array([Bomb(ran)] * 5, object))
    with refused(r"a\.npz can't be read .*x_train holds Python objects, which are not unpickled"):
        data.load(path)
    pickled = pickle.dumps(Bomb(ran))
    for name, read in {
        "a.npz": data.load,
        "history.csv": history.read,
        "recipe.json": run_directory.read_json,
        "epoch-00001.npz": lambda file: checkpoints.restore(file, make_vae()),
        "epoch-00001.png": data_uri.grid,
    }.items():
        (tmp_path / name).write_bytes(pickled)
        with refused(name):
            read(tmp_path / name)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.png").write_bytes(pickled)
    with refused(r"a\.png can't be read as an image"):
        data.load(tmp_path / "folder")
    assert not ran.exists()


def test_a_pickle_in_the_cache_is_not_run(tmp_path, monkeypatch):
    from scorer_helpers import QuadrantExtractor, squares

    monkeypatch.setenv("KERAS_GEN_CACHE", str(tmp_path))
    expected = Reference(squares(30), QuadrantExtractor()).features
    (path,) = (tmp_path / "references").iterdir()
    for spoiled in (np.array([Bomb(tmp_path / "ran")], object), expected[:, :-1], expected * np.nan):
        np.savez(path, features=spoiled)
        np.testing.assert_array_equal(Reference(squares(30), QuadrantExtractor()).features, expected)
    assert not (tmp_path / "ran").exists()


def test_postscript_called_a_picture_reaches_no_other_program(tmp_path, monkeypatch):
    def ran(*_, **__):
        raise AssertionError("PostScript was run")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", ran)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    Image.open(tmp_path / "a.png")  # Pillow would
    with refused(r"a\.png can't be read as an image"):
        data.load(tmp_path)
    with refused(r"a\.png can't be read as an image"):
        data_uri.grid(tmp_path / "a.png")


def test_a_checkpoint_with_the_right_checksum_is_still_not_trusted(tmp_path):
    model, path = make_vae(), tmp_path / "epoch-00001.npz"
    good = archives.read(save_checkpoint(tmp_path, model, checkpoints.TrainingPosition(1)))
    del good["sha256"]
    first = next(name for name, value in good.items() if value.ndim == 2)
    positions = [nested(100_000), '{"epoch": "1"}', '{"epoch": -1}', '{"epoch": 1, "seconds": NaN}', "[]", '{"x": 1}']
    changes = [{"position": np.frombuffer(text.encode(), np.uint8)} for text in positions]
    changes += [{first: good[first].astype("U8")}, {first: good[first].astype(np.float64)}, {first: good[first][:-1]}]
    for change in changes:
        state = good | change
        np.savez(path, **state, sha256=checkpoints._digest(state))
        with refused(r"^checkpoint .*epoch-00001\.npz (is damaged: |belongs to a different model)"):
            checkpoints.restore(path, model)


# What is large


def with_claim(content, size):
    """An archive whose directory says that its first entry has `size` bytes."""
    content = bytearray(content)
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, size)
    return bytes(content)


ZEROS = array_file("{'descr': '|u1', 'fortran_order': False, 'shape': (20000000, 1, 1), }\n", bytes(20_000_000))
BOMBS = {
    "an entry of 4 GB": (with_claim(archive_of([("x_train.npy", ZEROS[:1000])]), 2**32 - 2), "claim 4,294,967,294"),
    "an array of 10 GB in its header": (
        archive_of(
            [("x_train.npy", array_file("{'descr': '|u1', 'fortran_order': False, 'shape': (10000000000,), }\n"))]
        ),
        "x_train of shape .* needs 10,000,000,000 bytes, and its entry has 0",
    ),
    "a header that is a program": (
        archive_of([("x_train.npy", array_file("{'descr': '|u1', 'fortran_order': False, 'shape': (9**9**9,), }"))]),
        "malformed",
    ),
    "bzip2": (
        with_claim(archive_of([("x_train.npy", ZEROS)], zipfile.ZIP_BZIP2), 1000),
        "its compression is not supported",
    ),
}


@pytest.mark.parametrize(("content", "message"), BOMBS.values(), ids=BOMBS)
def test_archives_that_claim_more_than_they_hold(tmp_path, content, message):
    (tmp_path / "a.npz").write_bytes(content)
    for read in (data.load, lambda path: archives.read(path, compressed=False)):
        with little_memory(), refused(r"a\.npz can't be read as an \.npz file"):
            read(tmp_path / "a.npz")
    with refused(message):
        data.load(tmp_path / "a.npz")


def test_a_small_file_of_very_many_zeros(tmp_path, monkeypatch):
    (tmp_path / "a.npz").write_bytes(archive_of([("x_train.npy", ZEROS)], zipfile.ZIP_DEFLATED))
    assert (tmp_path / "a.npz").stat().st_size < 30_000
    assert len(archives.read(tmp_path / "a.npz")["x_train"]) == 20_000_000  # no harm in 20 MB
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED", 10**7)
    with little_memory(), refused("its entries claim 20,000,0.. bytes, but the file has"):
        data.load(tmp_path / "a.npz")


def test_pictures_that_would_fill_the_memory(tmp_path):
    (tmp_path / "a.png").write_bytes(png(60_000, 60_000))
    for read in (data.load, lambda folder: data_uri.grid(folder / "a.png", 28, 1)):
        with little_memory(), refused(r"a\.png is too large an image: .*3600000000 pixels"):
            read(tmp_path)


def test_more_pictures_than_the_memory_holds(tmp_path, monkeypatch):
    for index in range(4):
        (tmp_path / f"{index}.png").write_bytes(PICTURES["rgb.png"])
    with refused(
        "4 images of 1000000x1000000x3 take 12,000.0 GB, which exceeds the memory limit; use a smaller image_size"
    ):
        data.load(tmp_path, image_size=10**6)
    np.savez(tmp_path / "a.npz", x_train=np.zeros((9, 8, 8), np.uint8))
    with refused("images of 1000000x1000000x1 take .* GB, which exceeds the memory limit"):
        data.load(tmp_path / "a.npz", image_size=10**6)
    with refused("exceeds the memory limit"):
        data.load(tmp_path / "a.npz", image_size=10**30)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("recipe.json", run_directory.read_json),
        ("history.csv", history.read),
        ("sweep.json", lambda path: state.read(path.parent)),
        ("description.json", lambda path: export.description(path.parent)),
    ],
)
def test_very_large_records(tmp_path, name, read):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with open(tmp_path / name, "wb") as file:
        file.truncate(2**40)  # a hole: no disk has it
    with little_memory(), refused(f"{name} .*at most [0-9,]+ bytes"):
        read(tmp_path / name)


@pytest.mark.parametrize("depth", [safe_files.MAX_DEPTH, 900, 1_000_000])
def test_json_in_json_in_json(tmp_path, depth):
    (tmp_path / "recipe.json").write_text('{"a": ' + nested(depth) + "}")
    with refused(r"recipe\.json is damaged"):
        run_directory.read_json(tmp_path / "recipe.json")


def test_json_as_deep_as_allowed_can_be_written(tmp_path):
    (tmp_path / "a.json").write_text('{"a": ' + nested(safe_files.MAX_DEPTH - 1) + "}")
    files.write_json(tmp_path / "b.json", run_directory.read_json(tmp_path / "a.json"))


def test_archives_of_weights_that_unpack_to_very_much(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_gen.metrics.extractors.inception_2015._MAX_BYTES", 10**6)
    (tmp_path / "zeros.tgz").write_bytes(gzip.compress(bytes(10**7)))
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**33  # read as a whole where it is believed
    (tmp_path / "header.tgz").write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1000)))
    for name in ("zeros.tgz", "header.tgz"):
        with little_memory(), refused(name):
            Inception2015(tmp_path / name)


# What leads elsewhere, or nowhere


def test_nothing_is_unpacked(tmp_path):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    (inside / "a.npz").write_bytes(archive_of([("../../x_train.npy", b"x"), ("/x_train.npy", b"x")]))
    with refused("must hold an array x_train"):
        data.load(inside / "a.npz")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("../../out", "/out"):
            header = tarfile.TarInfo(name)
            header.size = 3
            archive.addfile(header, io.BytesIO(b"out"))
    (inside / "a.tgz").write_bytes(buffer.getvalue())
    with refused("no classify_image_graph_def.pb in it"):
        Inception2015(inside / "a.tgz")
    assert {path.name for path in tmp_path.rglob("*")} == {"a", "b", "a.npz", "a.tgz"}


def test_links_in_circles(tmp_path):
    for index in range(3):
        (tmp_path / f"{index}.png").write_bytes(PICTURES["rgb.png"])
    (tmp_path / "again").symlink_to(tmp_path)
    assert len(data.load(tmp_path).train) == 1
    (tmp_path / "itself.png").symlink_to(tmp_path / "itself.png")
    with refused(r"itself\.png can't be read as an image"):
        data.load(tmp_path)


def test_pipes_are_not_waited_for(tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("run/recipe.json", "a.npz", "a.png", "history.csv", "a.tgz"):
        os.mkfifo(tmp_path / name)
    calls = {
        "recipe.json": (run_directory.read_recipe, tmp_path / "run"),
        "a.npz": (archives.read, tmp_path / "a.npz"),
        "a.png": (data.load, tmp_path),
        "history.csv": (history.read, tmp_path / "history.csv"),
        "a.tgz": (Inception2015, tmp_path / "a.tgz"),
    }
    for name, (function, *arguments) in calls.items():
        error = at_once(function, *arguments)
        assert isinstance(error, UsageError) and name in str(error)


@pytest.mark.parametrize("name", ["\x1b]0;taken\x07", "two\nlines", "\u202egnp.a"])
def test_names_do_not_steer_the_terminal(tmp_path, name):
    for arguments in (("run", "--resume", tmp_path / name), ("sample", tmp_path, "--num", name)):
        assert call(*arguments).error.isprintable()
    (tmp_path / f"{name}.npz").write_bytes(b"x")
    with pytest.raises(UsageError):
        data.load(tmp_path / f"{name}.npz")
    assert call("report", tmp_path / name).error.isprintable()


# What a user is told


@pytest.mark.parametrize("name", ["sample", "explore"])
def test_help_says_that_a_saved_model_is_a_program(name):
    assert "a SavedModel is a program" in " ".join(call(name, "--help").out.split())


def test_a_table_of_very_many_short_rows(tmp_path):
    (tmp_path / "history.csv").write_text("epoch\n" + "1\n" * 300_000)
    with little_memory(), refused(r"history\.csv can't be read: it has more than 250,000 rows"):
        history.read(tmp_path / "history.csv")


@pytest.mark.parametrize("name", ["sweep.json", "sweep.csv", "lock", "runs", "logs", "logs/001.log", "runs/00001-vae"])
def test_links_in_a_sweep_are_refused(tmp_path, name):
    (tmp_path / "sweep").mkdir()
    path = tmp_path / "sweep" / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(tmp_path)
    with refused(f"{name} must be a file or a folder, since links inside a run or a sweep are not followed"):
        state.read(tmp_path / "sweep")
