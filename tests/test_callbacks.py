"""The history callback, and all callbacks together."""

import csv
import math
import types

import numpy as np
import pytest
from callback_helpers import fit, pictures, state_of, tiny, tiny_gan
from command_helpers import names
from scorer_helpers import QuadrantExtractor

from keras_gen import UsageError, callbacks
from keras_gen.runs import history


# History


class Epochs:
    """Call a callback as `fit` does, on a model that does nothing."""

    def __init__(self, callback, updates=("updates",), step=3):
        self.callback, self.updates, self.step = callback, updates, step
        self.model = types.SimpleNamespace(updates=dict.fromkeys(updates, 0))
        callback.set_model(self.model)

    def run(self, epoch, logs):
        self.callback.on_epoch_begin(epoch)
        self.model.updates = {name: (epoch + 1) * self.step for name in self.updates}
        self.callback.on_epoch_end(epoch, logs)


def test_history_has_a_row_per_epoch_and_is_written_after_each(tmp_path):
    path = tmp_path / "history.csv"
    epochs = Epochs(callbacks.HistoryCSV(path))
    epochs.run(0, {"loss": 2.5, "val_loss": 3.0})
    assert [row["epoch"] for row in history.read(path)] == [1]
    epochs.run(1, {"loss": 1.5, "val_loss": np.float32(2.0)})
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["epoch", "seconds", "updates", "loss", "val_loss"]
    assert [row[0] for row in rows[1:]] == ["1", "2"]
    assert [row[2:] for row in rows[1:]] == [["3", "2.5", "3.0"], ["6", "1.5", "2.0"]]
    assert all(0 <= float(row[1]) < 10 for row in rows[1:])
    assert names(tmp_path) == ["history.csv"]


def test_the_history_of_a_second_fit_replaces_that_of_the_first(tmp_path):
    path = tmp_path / "history.csv"
    epochs = Epochs(callbacks.HistoryCSV(path))
    for epoch, loss in ((0, 3.0), (1, 2.0), (0, 1.0)):
        epochs.run(epoch, {"loss": loss})
    assert [(row["epoch"], row["loss"]) for row in history.read(path)] == [(1, 1.0)]


def test_history_of_two_networks_counts_the_updates_of_each(tmp_path):
    path = tmp_path / "history.csv"
    Epochs(callbacks.HistoryCSV(path), updates=("d_updates", "g_updates")).run(0, {})
    assert list(history.read(path)[0]) == ["epoch", "seconds", "d_updates", "g_updates"]


def test_history_has_the_union_of_columns_and_empty_fields(tmp_path):
    path = tmp_path / "history.csv"
    epochs = Epochs(callbacks.HistoryCSV(path))
    epochs.run(0, {"loss": 3.0})
    epochs.run(1, {"loss": 2.0, "fd_lenet": 90.5, "fd_lenet_images": 100})
    epochs.run(2, {"loss": 1.0})
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,seconds,updates,loss,fd_lenet,fd_lenet_images"
    assert [line.split(",")[3:] for line in lines[1:]] == [["3.0", "", ""], ["2.0", "90.5", "100"], ["1.0", "", ""]]
    rows = history.read(path)
    assert [row.get("fd_lenet") for row in rows] == [None, 90.5, None]
    assert [row["loss"] for row in rows] == [3.0, 2.0, 1.0]


@pytest.mark.parametrize(("done", "kept"), [(0, []), (1, [1]), (2, [1, 2]), (3, [1, 2, 3])])
def test_history_of_a_resumed_run_keeps_complete_epochs_and_drops_later_ones(tmp_path, done, kept):
    path = tmp_path / "history.csv"
    first = Epochs(callbacks.HistoryCSV(path))
    for epoch in range(3):
        first.run(epoch, {"loss": float(epoch)})
    Epochs(callbacks.HistoryCSV(path)).run(done, {"loss": 9.0, "fd_lenet": 7.0})
    rows = history.read(path)
    assert [row["epoch"] for row in rows] == [*kept, done + 1]
    assert [row["loss"] for row in rows] == [float(epoch - 1) for epoch in kept] + [9.0]
    assert ["fd_lenet" in row for row in rows] == [False] * len(kept) + [True]


def test_history_keeps_nan_and_infinity(tmp_path):
    path = tmp_path / "history.csv"
    Epochs(callbacks.HistoryCSV(path)).run(0, {"loss": math.nan, "kl": math.inf})
    row = history.read(path)[0]
    assert math.isnan(row["loss"])
    assert row["kl"] == math.inf


@pytest.mark.parametrize(
    "content",
    [
        b"epoch,loss\n1,high\n",
        b"epoch,loss\n1,2,3\n",
        b"loss\n1.0\n",
        b"epoch,loss\n,1.0\n",
        b"epoch,loss\n1,\xff\n",
        b"",
        b"\x00\x01\x02\x03",
        b"epoch,loss\nnan,1\n",
        b"epoch,loss\ninf,1\n",
    ],
    ids=repr,
)
def test_a_damaged_history_is_refused_by_name(tmp_path, content):
    path = tmp_path / "history.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"^history .*history\.csv can't be read: "):
        Epochs(callbacks.HistoryCSV(path)).run(1, {})


def test_a_missing_history_begins_with_the_first_epoch_of_fit(tmp_path):
    path = tmp_path / "history.csv"
    fit(tiny(), epochs=4, initial_epoch=2, chosen=[callbacks.HistoryCSV(path)])
    assert [row["epoch"] for row in history.read(path)] == [3, 4]
    with pytest.raises(UsageError, match="can't be continued: it must have one row for each earlier epoch"):
        Epochs(callbacks.HistoryCSV(path)).run(4, {})


def test_rows_of_earlier_epochs_are_kept(tmp_path):
    path, model = tmp_path / "history.csv", tiny()
    fit(model, epochs=3, chosen=[callbacks.HistoryCSV(path)])
    before = history.read(path)
    fit(model, epochs=4, initial_epoch=2, chosen=[callbacks.HistoryCSV(path)])
    rows = history.read(path)
    assert rows[:2] == before[:2] and [row["epoch"] for row in rows] == [1, 2, 3, 4]


def test_logs_that_are_no_numbers_are_not_recorded(tmp_path):
    path = tmp_path / "history.csv"
    logs = {"note": "good", "digits": "5", "bytes": b"5", "images": np.zeros(3), "nothing": None, "large": 10**400}
    logs |= {"loss": np.float32(2), "improved": True, "flag": np.bool_(False), "epoch": 0.5, "seconds": -1.0}
    Epochs(callbacks.HistoryCSV(path)).run(0, logs)
    [row] = history.read(path)
    assert row == {"epoch": 1, "seconds": row["seconds"], "updates": 3, "loss": 2.0, "improved": 1.0, "flag": 0.0}
    assert row["seconds"] >= 0
    callbacks.StopOnDivergence().on_train_batch_end(0, logs)


def test_a_run_that_starts_over_writes_over_a_damaged_history(tmp_path):
    path = tmp_path / "history.csv"
    path.write_bytes(b"\xff\xff")
    Epochs(callbacks.HistoryCSV(path)).run(0, {"loss": 1.0})
    assert [row["loss"] for row in history.read(path)] == [1.0]


def test_history_agrees_with_what_fit_returns(tmp_path):
    model = tiny()
    returned = fit(model, epochs=2, chosen=[callbacks.HistoryCSV(tmp_path / "history.csv")]).history
    rows = history.read(tmp_path / "history.csv")
    assert [row["updates"] for row in rows] == [3, 6]
    for name in ("loss", "reconstruction", "kl"):
        assert [row[name] for row in rows] == pytest.approx(returned[name], rel=1e-6)


# All together


@pytest.mark.parametrize("build", [tiny, pytest.param(tiny_gan, marks=pytest.mark.slow)])
def test_callbacks_do_not_change_training(build, tmp_path, capsys):
    alone, watched = build(), build()
    fit(alone, epochs=2)
    chosen = [
        callbacks.FID(pictures(), every=1, num_images=6, extractor=QuadrantExtractor()),
        callbacks.HistoryCSV(tmp_path / "history.csv"),
        callbacks.SampleGrid(tmp_path / "samples", count=4),
        callbacks.Checkpoint(tmp_path),
    ]
    fit(watched, epochs=2, chosen=chosen)
    for one, other in zip(state_of(alone), state_of(watched), strict=True):
        np.testing.assert_array_equal(one, other)
    rows = history.read(tmp_path / "history.csv")
    assert [row["fd_lenet_images"] for row in rows] == [6, 6]
    assert capsys.readouterr().out.count("fd_lenet ") == 2
