"""Callbacks and what stands behind them: history, sample grids, checkpoints, the loss curves."""

import csv
import math
import os
import re
import shutil
import time
import types
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image
from scoring_helpers import QuadrantExtractor

from keras_gen import UsageError, callbacks, checkpoints, report, zoo
from keras_gen.callbacks import history
from keras_gen.checkpoints import Position

SHAPE = (8, 8, 1)


def pictures(count=12):
    return np.random.default_rng(0).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def tiny(seed=0, **overrides):
    return zoo.build("vae-mlp", SHAPE, seed=seed, **({"hidden": 8, "latent_dim": 2} | overrides))


def tiny_gan(seed=0):
    return zoo.build("gan-conv", SHAPE, seed=seed, latent_dim=3)


def fit(model, epochs=1, initial_epoch=0, chosen=()):
    return model.fit(
        pictures(), batch_size=4, epochs=epochs, initial_epoch=initial_epoch, callbacks=list(chosen), verbose=0
    )


def state_of(model):
    return [variable.numpy() for variable in checkpoints._variables(model)]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# History


class Epochs:
    """Drives a callback as `fit` does, on a model that does nothing."""

    def __init__(self, callback, updates=("updates",), step=3):
        self.callback, self.updates, self.step = callback, updates, step
        self.model = types.SimpleNamespace(updates=dict.fromkeys(updates, 0))
        callback.set_model(self.model)

    def run(self, epoch, logs):
        self.callback.on_epoch_begin(epoch)
        self.model.updates = {name: (epoch + 1) * self.step for name in self.updates}
        self.callback.on_epoch_end(epoch, logs)


def test_history_has_a_row_an_epoch_and_grows_as_the_run_goes_on(tmp_path):
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
def test_history_of_a_resumed_run_keeps_what_was_done_and_drops_what_was_not(tmp_path, done, kept):
    path = tmp_path / "history.csv"
    first = Epochs(callbacks.HistoryCSV(path))
    for epoch in range(3):
        first.run(epoch, {"loss": float(epoch)})
    Epochs(callbacks.HistoryCSV(path, done)).run(done, {"loss": 9.0, "fd_lenet": 7.0})
    rows = history.read(path)
    assert [row["epoch"] for row in rows] == [*kept, done + 1]
    assert [row["loss"] for row in rows] == [float(epoch - 1) for epoch in kept] + [9.0]
    assert ["fd_lenet" in row for row in rows] == [False] * len(kept) + [True]


def test_history_keeps_what_is_not_finite(tmp_path):
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
        callbacks.HistoryCSV(path, initial_epoch=1)


def test_a_history_that_is_missing_is_refused_when_a_run_goes_on_and_made_when_it_starts(tmp_path):
    with pytest.raises(UsageError, match="can't be read"):
        callbacks.HistoryCSV(tmp_path / "history.csv", initial_epoch=1)
    callbacks.HistoryCSV(tmp_path / "history.csv", initial_epoch=0)
    assert names(tmp_path) == []


def test_a_run_that_starts_over_writes_over_a_damaged_history(tmp_path):
    path = tmp_path / "history.csv"
    path.write_bytes(b"\xff\xff")
    Epochs(callbacks.HistoryCSV(path, 0)).run(0, {"loss": 1.0})
    assert [row["loss"] for row in history.read(path)] == [1.0]


def test_history_agrees_with_what_fit_returns(tmp_path):
    model = tiny()
    returned = fit(model, epochs=2, chosen=[callbacks.HistoryCSV(tmp_path / "history.csv")]).history
    rows = history.read(tmp_path / "history.csv")
    assert [row["updates"] for row in rows] == [3, 6]
    for name in ("loss", "reconstruction", "kl"):
        assert [row[name] for row in rows] == pytest.approx(returned[name], rel=1e-6)


# All together


def test_looking_at_a_model_does_not_change_its_training(tmp_path, capsys):
    alone, watched = tiny_gan(), tiny_gan()
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


# Checkpoints


@pytest.mark.parametrize(
    ("every", "epochs", "saved"), [(1, 5, [1, 2, 3, 4, 5]), (2, 5, [2, 4, 5]), (10, 3, [3]), (3, 6, [3, 6])]
)
def test_checkpoints_are_saved_every_so_often_and_after_the_last_epoch(tmp_path, monkeypatch, every, epochs, saved):
    done = []
    monkeypatch.setattr(checkpoints, "save", lambda run, model, position: done.append((run, position)))
    callback = callbacks.Checkpoint(tmp_path, every)
    callback.set_params({"epochs": epochs})
    for epoch in range(epochs):
        callback.on_epoch_end(epoch)
    assert done == [(tmp_path, Position(epoch)) for epoch in saved]


@pytest.mark.parametrize(
    ("every", "executed", "start", "saved"),
    [
        ("3steps", 1, Position(), [(0, 3), (1, 1), (1, 4), (2, 2), (3, 0)]),
        ("5steps", 1, Position(), [(1, 0), (2, 0), (3, 0)]),  # after the epoch, with its validation
        ("4steps", 2, Position(), [(0, 4), (1, 4), (2, 2), (3, 0)]),  # executions end after steps 2, 4 and 5
        ("7steps", 1, Position(), [(1, 2), (2, 4), (3, 0)]),
        ("3steps", 1, Position(1, 3), [(1, 4), (2, 2), (3, 0)]),
        ("2epochs", 1, Position(), [(2, 0), (3, 0)]),
        ("90minutes", 1, Position(), [(3, 0)]),
    ],
    ids=str,
)
def test_checkpoints_are_saved_in_the_middle_of_epochs(tmp_path, monkeypatch, every, executed, start, saved):
    done = []
    monkeypatch.setattr(checkpoints, "save", lambda run, model, position: done.append((position.epoch, position.step)))
    callback = callbacks.Checkpoint(tmp_path, every, start=start)
    for epoch in range(start.epoch, 3):
        first = start.step if epoch == start.epoch else 0
        callback.set_params({"epochs": 3, "steps": 5 - first})
        callback.on_epoch_begin(epoch)
        for step in range(0, 5 - first, executed):
            callback.on_train_batch_end(step + executed - 1)
        callback.on_epoch_end(epoch)
    assert done == saved


def test_checkpoints_are_saved_every_so_many_minutes(tmp_path, monkeypatch):
    done, now = [], [0.0]
    monkeypatch.setattr(checkpoints, "save", lambda run, model, position: done.append(position.step))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    callback = callbacks.Checkpoint(tmp_path, "2minutes")
    callback.set_params({"epochs": 1, "steps": 100})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for step in range(10):
        now[0] += 50.0
        callback.on_train_batch_end(step)
    assert done == [3, 6, 9]


@pytest.fixture(scope="module")
def trained():
    model = tiny_gan()
    fit(model, epochs=2)
    return model


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    return checkpoints.save(tmp_path_factory.mktemp("run"), trained, Position(2))


def test_the_two_newest_checkpoints_are_kept(tmp_path):
    model = tiny()
    assert checkpoints.latest(tmp_path) is None
    for position in (Position(1), Position(1, 7), Position(9), Position(9, 123456789)):
        path = checkpoints.save(tmp_path, model, position)
        assert checkpoints.latest(tmp_path) == (position, path)
        assert checkpoints.restore(path, model) == position
    assert names(tmp_path / "checkpoints") == ["epoch-00009-step-123456789.npz", "epoch-00009.npz"]


def test_the_newest_checkpoint_is_the_one_of_the_highest_epoch(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in ("epoch-00002.npz", "epoch-100000.npz", "epoch-99999.npz", ".epoch-200000.npz.x.npz", "notes.txt"):
        (folder / name).write_bytes(b"")
    assert checkpoints.latest(tmp_path) == (Position(100000), folder / "epoch-100000.npz")


def test_a_checkpoint_gives_back_every_variable(trained, saved):
    model = tiny_gan(seed=1)
    before = state_of(model)
    checkpoints.restore(saved, model)
    after, expected = state_of(model), state_of(trained)
    for one, other in zip(after, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    changed = [not np.array_equal(one, other) for one, other in zip(before, after, strict=True)]
    paths = [variable.path for variable in checkpoints._variables(model)]
    assert sum(changed) > len(changed) // 2
    for part in ("seed_generator_state", "momentum", "velocity", "iteration", "kernel", "bias"):
        assert any(part in path for path in paths), part
    assert model.updates == trained.updates == {"d_updates": 6, "g_updates": 6}


def test_all_the_seed_generators_of_a_model_are_in_its_checkpoint(trained):
    kept = {id(variable) for variable in checkpoints._variables(trained)}
    generators = [
        layer.seed_generator
        for network in (trained.generator, trained.discriminator)
        for layer in network.layers
        if isinstance(getattr(layer, "seed_generator", None), keras.random.SeedGenerator)
    ]
    assert generators
    assert all(id(generator.state) in kept for generator in generators)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused_by_name(saved, tmp_path, share):
    content = saved.read_bytes()
    path = tmp_path / "epoch-00002.npz"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UsageError, match=r"^checkpoint .*epoch-00002\.npz is damaged: ") as error:
        checkpoints.restore(path, tiny_gan())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"not an archive at all", b"\x80\x04pickle", b"\x93NUMPY\x01\x00v\x00{"], ids=repr)
def test_something_else_than_a_checkpoint_is_refused_by_name(tmp_path, content):
    path = tmp_path / "epoch-00002.npz"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="^checkpoint .* is damaged: "):
        checkpoints.restore(path, tiny())


def test_a_pickle_in_a_checkpoint_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "epoch-00002.npz"
    count = len(checkpoints._variables(tiny()))
    np.savez(path, **{f"{index:05d}": np.array([Bomb()], object) for index in range(count)})
    with pytest.raises(UsageError, match="^checkpoint .* is damaged: "):
        checkpoints.restore(path, tiny())
    assert not (tmp_path / "ran").exists()


def test_a_flipped_bit_is_found_or_does_no_harm(tmp_path):
    model, other = tiny(), tiny(seed=1)
    fit(model)
    path = checkpoints.save(tmp_path, model, Position(1))
    content, expected = path.read_bytes(), state_of(model)
    generator = np.random.default_rng(0)
    end = content.index(b"PK\x01\x02")  # where the archive's directory starts
    positions = [*generator.integers(0, end, 80), *generator.integers(end, len(content), 200)]
    refused, escaped = 0, set()
    for position in map(int, positions):
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(generator.integers(8))
        path.write_bytes(damaged)
        try:
            checkpoints.restore(path, other)
        except UsageError:
            refused += 1
        except Exception as error:  # noqa: BLE001  (collected, and none is allowed)
            escaped.add(repr(error))
        else:
            for one, another in zip(state_of(other), expected, strict=True):
                np.testing.assert_array_equal(one, another)
    assert refused > 100
    assert escaped == set()


@pytest.mark.parametrize("difference", ["a wider layer", "another model", "a missing variable", "one more"])
def test_a_checkpoint_of_another_model_is_refused_and_changes_nothing(tmp_path, difference):
    model = tiny()
    path = checkpoints.save(tmp_path, model, Position(1))
    target = model
    if difference == "a wider layer":
        target = tiny(hidden=9)
    elif difference == "another model":
        target = tiny_gan()
    else:
        with np.load(path) as archive:
            arrays = dict(archive)
        del arrays["sha256"]
        if difference == "one more":
            arrays["99999 more"] = np.zeros(3)
        else:
            del arrays[min(arrays)]
        np.savez(path, **arrays, sha256=checkpoints._digest(arrays))
    before = state_of(target)
    with pytest.raises(UsageError, match="^checkpoint .* belongs to another model than the run's recipe now builds$"):
        checkpoints.restore(path, target)
    for one, other in zip(before, state_of(target), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_that_can_not_be_written_leaves_the_older_ones(tmp_path, monkeypatch):
    model = tiny()
    for epoch in (1, 2):
        checkpoints.save(tmp_path, model, Position(epoch))
    before = {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()}

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(tmp_path, model, Position(3))
    assert {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()} == before


def test_a_checkpoint_is_an_archive_anybody_can_read(saved, trained):
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
    with np.load(saved, allow_pickle=False) as archive:
        assert len(archive.files) == len(checkpoints._variables(trained)) + 2  # the position and the checksum
        assert any(name.endswith("kernel") for name in archive.files)


# The loss curves


ROWS = [
    {"epoch": 1.0, "seconds": 9.0, "updates": 3.0, "loss": 5.0, "kl": 1.0, "val_loss": 6.0, "val_kl": 1.5},
    {"epoch": 2.0, "seconds": 8.0, "updates": 6.0, "loss": 4.0, "kl": 2.0, "val_loss": 5.5, "val_kl": 2.5}
    | {"fd_lenet": 80.0, "fd_lenet_images": 1000.0},
    {"epoch": 3.0, "seconds": 7.0, "updates": 9.0, "loss": 3.0, "kl": 3.0, "val_loss": 5.0, "val_kl": 3.5},
]


def drawn(axes):
    return {line.get_label(): np.array(line.get_xydata()).tolist() for line in axes.get_lines()}


def test_curves_show_every_quantity_in_a_panel_of_its_own():
    figure = report.loss_curves(ROWS, "vae-mlp on digits, 3 epochs")
    assert figure.get_suptitle() == "vae-mlp on digits, 3 epochs"
    assert [axes.get_title() for axes in figure.axes] == ["loss", "kl", "fd_lenet"]
    loss, kl, distance = figure.axes
    assert drawn(loss) == {"training": [[1, 5], [2, 4], [3, 3]], "validation": [[1, 6], [2, 5.5], [3, 5]]}
    assert drawn(kl) == {"training": [[1, 1], [2, 2], [3, 3]], "validation": [[1, 1.5], [2, 2.5], [3, 3.5]]}
    assert list(drawn(distance).values()) == [[[2, 80]]]
    assert [line.get_linestyle() for line in loss.get_lines()] == ["-", "--"]
    assert len({line.get_color() for line in loss.get_lines()}) == 1
    assert loss.get_lines()[0].get_color() != kl.get_lines()[0].get_color()
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch"}
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation"]


def test_a_single_epoch_is_visible_as_points():
    figure = report.loss_curves(ROWS[:1], "one epoch")
    assert [axes.get_title() for axes in figure.axes] == ["loss", "kl"]
    assert {line.get_marker() for axes in figure.axes for line in axes.get_lines()} == {"o"}
    assert {line.get_marker() for line in report.loss_curves(ROWS, "").axes[0].get_lines()} == {"None"}


def test_curves_need_no_validation_and_stand_what_is_not_finite(tmp_path):
    rows = [{"epoch": 1.0, "loss": 1.0}, {"epoch": 2.0, "loss": math.nan}, {"epoch": 3.0, "loss": math.inf}]
    figure = report.loss_curves(rows, "diverged")
    assert list(drawn(figure.axes[0])) == ["training"]
    report.save_figure(figure, tmp_path / "losses.png")
    assert names(tmp_path) == ["losses.png"]


def test_many_quantities_take_several_rows_of_panels(tmp_path):
    rows = [{"epoch": float(epoch)} | {f"quantity_{i}": float(i) for i in range(9)} for epoch in (1, 2)]
    figure = report.loss_curves(rows, "many")
    assert len(figure.axes) == 9
    tops = [round(axes.get_subplotspec().get_position(figure).y1, 6) for axes in figure.axes]
    assert len(set(tops)) == 3
    report.save_figure(figure, tmp_path / "losses.png")
    with Image.open(tmp_path / "losses.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == (round(3.2 * 4 * 120), round(2.6 * 3 * 120))


def test_drawing_opens_no_window_and_leaves_no_figure_behind():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    report.loss_curves(ROWS, "quiet")
    assert pyplot.get_fignums() == before


def test_a_figure_that_can_not_be_saved_leaves_the_old_one(tmp_path):
    path = tmp_path / "losses.png"
    path.write_bytes(b"old")
    figure = report.loss_curves(ROWS, "x")
    figure.savefig = lambda *arguments, **keywords: shutil.copy(tmp_path / "missing", path)
    with pytest.raises(FileNotFoundError):
        report.save_figure(figure, path)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["losses.png"]


def test_the_checkpoint_before_a_damaged_one_is_taken_and_said(tmp_path, capsys):
    model = tiny()
    checkpoints.save(tmp_path, model, Position(1))
    expected = state_of(model)
    fit(model)
    newest = checkpoints.save(tmp_path, model, Position(2))
    newest.write_bytes(newest.read_bytes()[:1000])
    other = tiny(seed=1)
    assert checkpoints.restore_latest(tmp_path, other) == Position(1)
    for one, another in zip(state_of(other), expected, strict=True):
        np.testing.assert_array_equal(one, another)
    assert re.match(
        r"NOTE: checkpoint .*epoch-00002\.npz is damaged: .*; taking the one before it", capsys.readouterr().out
    )


def test_a_run_whose_every_checkpoint_is_damaged_is_refused(tmp_path):
    path = checkpoints.save(tmp_path, tiny(), Position(1))
    path.write_bytes(b"damaged")
    with pytest.raises(UsageError, match=r"epoch-00001\.npz is damaged"):
        checkpoints.restore_latest(tmp_path, tiny())
    assert checkpoints.restore_latest(tmp_path / "empty", tiny()) == Position()
