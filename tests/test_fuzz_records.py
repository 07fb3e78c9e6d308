"""Arbitrary and damaged files of a run are read or refused in one line that names the file."""

import json

import numpy as np
from fuzz_helpers import AMOUNTS, JSON, damaged, done_or_refused, fuzz, nested, spoiled
from hypothesis import strategies as st
from model_helpers import make_vae

from keras_gen.evaluation import Score, results
from keras_gen.evaluation.results import Evaluation
from keras_gen.models import export
from keras_gen.report import run_files
from keras_gen.runs import history, run_directory
from keras_gen.runs.settings import RunSettings
from keras_gen.training.sweeps import state
from keras_gen.training.sweeps.plan import Plan
from keras_gen.utils import files

RECIPE = {
    "settings": RunSettings("vae-mlp", overrides={"latent_dim": 3}).to_json(),
    "data": {"name": "digits", "fingerprint": "f", "image_shape": [8, 8, 1]},
    "versions": {"keras": "3"},
}


@AMOUNTS
def test_any_bytes_as_json(tmp_path, times):
    path = tmp_path / "recipe.json"

    def check(content):
        path.write_bytes(content)
        with done_or_refused():
            files.write_json(tmp_path / "again.json", run_directory.read_json(path))

    valid = json.dumps(RECIPE).encode()
    texts = st.builds(lambda value: json.dumps(value).encode(), JSON)
    known = [
        (b'{"a": "\\ud800"}',),
        (b'{"\\udfff": 1}',),
        (b'{"a": ' + nested(500).encode() + b"}",),
        (b'{"a": ' + nested(100_000).encode() + b"}",),
        (b'{"a": ' + b"9" * 5000 + b"}",),
        (b'\xef\xbb\xbf{"a": 1}',),
        (b'{"a": NaN, "a": -Infinity}',),
    ]
    fuzz(check, st.binary(max_size=40) | damaged(valid) | texts, examples=150 * times, known=known)


@AMOUNTS
def test_a_run_as_a_report_reads_it(tmp_path, times):
    def check(content):
        files.write_text(tmp_path / "recipe.json", json.dumps(content))
        with done_or_refused():
            read = run_files.read(tmp_path)
            assert (read.name, type(read.model), type(read.data_name)) == (tmp_path.name, str, str)
            assert read.epochs[0] == 0
            assert read.image_height is None or read.image_height > 0

    fuzz(check, spoiled(RECIPE), examples=40 * times)


@AMOUNTS
def test_sweeps(tmp_path, times):
    sweep = state.Sweep.of(Plan("vae-mlp", {"epochs": 1}, grid={"latent_dim": [2, 4]}, seeds=2), tmp_path)
    sweep.write()
    good = json.loads((tmp_path / state.SWEEP_FILE).read_text(encoding="utf-8"))

    def check(content):
        (tmp_path / state.SWEEP_FILE).write_text(json.dumps(content), encoding="utf-8")
        with done_or_refused():
            read = state.read(tmp_path)
            read.write()
            for member in read.members:
                assert member.label
                assert read.log_of(member).parent == tmp_path / state.LOGS_FOLDER
                assert member.status == "waiting"  # there is no run in the folder

    fuzz(check, spoiled(good) | JSON, examples=60 * times)


HISTORY = "epoch,seconds,loss,val_loss\n1,0.5,3.25,\n2,0.5,nan,1e3\n"


@AMOUNTS
def test_histories(tmp_path, times):
    path = tmp_path / "history.csv"

    def check(content):
        path.write_bytes(content)
        with done_or_refused():
            rows = history.read(path)
            assert all(isinstance(row["epoch"], int) for row in rows)
            np.array([[float(value) for value in row.values()] for row in rows[:1]])
        with done_or_refused():
            run_files._history(path)

    cells = st.text(max_size=6) | st.sampled_from(["1", "epoch", "nan", '"', ",", "\n", "\0", "9" * 400, "٣", "²"])
    tables = st.lists(st.lists(cells, max_size=4).map(",".join), max_size=4).map(
        lambda lines: "\n".join(["epoch,loss", *lines]).encode("utf-8", "surrogatepass")
    )
    known = [(b"epoch\n" + b"9" * 400,), (b"epoch\n" + b"9" * 5000,), (b'epoch\n"' + b"1" * 200_000,)]
    anything = st.binary(max_size=40) | damaged(HISTORY.encode()) | tables
    fuzz(check, anything, examples=150 * times, known=known)


@AMOUNTS
def test_evaluations(tmp_path, times):
    files.write_json(tmp_path / "recipe.json", RECIPE)
    score = Score("fd_lenet", 80.5, {"extractor": "lenet", "generated": 100, "seed": 0}, better="low", bias=9.0)
    results.write(tmp_path, Evaluation({"loss": 1.5}, [score], ["a note"]), {"epoch": 3})
    path = tmp_path / results.EVALUATION_FILE
    good = json.loads(path.read_text(encoding="utf-8"))

    def check(content):
        path.write_text(json.dumps(content), encoding="utf-8")
        with done_or_refused():
            read = results.read(tmp_path)
            assert all(f"{value:.3g}" for value in read.losses.values())
            assert all(f"{score.value:.3g} {score.name}" for score in read.scores)
            assert all(note == str(note) for note in read.notes)
            assert type(run_files.read(tmp_path).evaluated_epoch) in (int, type(None))

    known = [({**good, "losses": {"loss": "x"}},), ({**good, "notes": [1]},), ({**good, "losses": [["loss", 1]]},)]
    known += [({**good, "epoch": True},)]
    fuzz(check, spoiled(good) | JSON, examples=100 * times, known=known)


@AMOUNTS
def test_descriptions_of_saved_models(tmp_path, times):
    (tmp_path / export.SAVED_MODEL_FILE).write_bytes(b"")
    path = tmp_path / export.DESCRIPTION_FILE
    good = {"functions": ["generate"], "half_precision": False, "num_classes": 10, "recipe": "vae-mlp"}

    def check(content):
        path.write_bytes(content)
        with done_or_refused():
            classes = export.description(tmp_path).get("num_classes", 0)
            assert np.zeros(3, np.int32).max() <= classes < 2**31

    written = (spoiled(good) | JSON).map(lambda value: json.dumps(value).encode())
    known = [(json.dumps({"num_classes": value}).encode(),) for value in ("ten", -1, 1.5, 2**40, None, [3], True)]
    fuzz(check, written | damaged(json.dumps(good).encode()), examples=100 * times, known=known)


@AMOUNTS
def test_damaged_saved_models(tmp_path, times):
    """Damaged, not malicious: a SavedModel is a program, and no check makes it safe."""
    folder = export.save(make_vae(), tmp_path / "model", functions=["generate"])
    paths = [folder / "saved_model.pb", folder / "variables" / "variables.index"]
    good = {file.name: file.read_bytes() for file in paths}

    def check(changed):
        for file in paths:
            file.write_bytes(changed.get(file.name, good[file.name]))
        with done_or_refused():
            export.load(folder)

    known = [({"saved_model.pb": good["saved_model.pb"].replace(b":output:0", b":oJtput:0", 1)},)]
    known += [({"variables.index": good["variables.index"][:-60] + bytes(60)},)]
    changes = st.one_of(st.fixed_dictionaries({name: damaged(content)}) for name, content in good.items())
    fuzz(check, changes, examples=10 * times, known=known)


def test_undamaged_files_are_read(tmp_path):
    """Without this test, readers that refuse everything would pass."""
    files.write_json(tmp_path / "recipe.json", RECIPE)
    (tmp_path / "history.csv").write_text(HISTORY)
    results.write(tmp_path, Evaluation({"loss": 1.5}, [], ["a note"]), {"epoch": 3})
    read = run_files.read(tmp_path)
    assert set(read.problems) == {"summary"}
    assert (read.settings.model, len(read.history), read.evaluated_epoch) == ("vae-mlp", 2, 3)
