"""Checkpoints: when they are saved, their content, and damaged ones."""

import functools
import json
import os
import re
import threading
import time
import types
import zipfile

import keras
import numpy as np
import pytest
from callback_helpers import fit, state_of, tiny, tiny_gan
from command_helpers import names
from run_helpers import save_checkpoint

from keras_gen import UsageError, callbacks, optimizers
from keras_gen.runs import checkpoints
from keras_gen.runs.checkpoints import TrainingPosition


@pytest.mark.parametrize(
    ("every", "epochs", "saved"), [(1, 5, [1, 2, 3, 4, 5]), (2, 5, [2, 4, 5]), (10, 3, [3]), (3, 6, [3, 6])]
)
def test_checkpoints_are_saved_at_intervals_and_after_the_last_epoch(tmp_path, monkeypatch, every, epochs, saved):
    done = []
    monkeypatch.setattr(checkpoints, "write", lambda run, state, position, **options: done.append((run, position)))
    callback = callbacks.Checkpoint(tmp_path, every)
    callback.set_model(tiny())
    callback.set_params({"epochs": epochs})
    callback.on_train_begin()
    for epoch in range(epochs):
        callback.on_epoch_end(epoch)
    callback.on_train_end()
    assert done == [(tmp_path, TrainingPosition(epoch)) for epoch in saved]


@pytest.mark.parametrize(
    ("every", "executed", "start", "saved"),
    [
        ("3steps", 1, TrainingPosition(), [(0, 3), (1, 1), (1, 4), (2, 2), (3, 0)]),
        ("5steps", 1, TrainingPosition(), [(1, 0), (2, 0), (3, 0)]),  # after the epoch, with its validation
        ("4steps", 2, TrainingPosition(), [(0, 4), (1, 4), (2, 2), (3, 0)]),  # executions end after steps 2, 4 and 5
        ("7steps", 1, TrainingPosition(), [(1, 2), (2, 4), (3, 0)]),
        ("3steps", 1, TrainingPosition(1, 3), [(1, 4), (2, 2), (3, 0)]),
        ("2epochs", 1, TrainingPosition(), [(2, 0), (3, 0)]),
        ("90minutes", 1, TrainingPosition(), [(3, 0)]),
    ],
    ids=str,
)
def test_checkpoints_are_saved_within_epochs(tmp_path, monkeypatch, every, executed, start, saved):
    done = []
    monkeypatch.setattr(
        checkpoints, "write", lambda run, state, position, **options: done.append((position.epoch, position.step))
    )
    callback = callbacks.Checkpoint(tmp_path, every, start=start)
    callback.set_model(tiny())
    callback.on_train_begin()
    for epoch in range(start.epoch, 3):
        first = start.step if epoch == start.epoch else 0
        callback.set_params({"epochs": 3, "steps": 5 - first})
        callback.on_epoch_begin(epoch)
        for step in range(0, 5 - first, executed):
            callback.on_train_batch_end(step + executed - 1)
        callback.on_epoch_end(epoch)
    callback.on_train_end()
    assert done == saved


def test_checkpoints_are_saved_at_intervals_of_minutes(tmp_path, monkeypatch):
    done, now = [], [0.0]
    monkeypatch.setattr(checkpoints, "write", lambda run, state, position, **options: done.append(position.step))
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    callback = callbacks.Checkpoint(tmp_path, "2minutes")
    callback.set_model(tiny())
    callback.set_params({"epochs": 1, "steps": 100})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    for step in range(10):
        now[0] += 50.0
        callback.on_train_batch_end(step)
    callback.on_train_end()
    assert done == [3, 6, 9]


@pytest.mark.parametrize(
    ("seconds", "saved"),
    [(0.1, [*range(1, 11)]), (0.6, [1, 3, 5, 7, 9, 10]), (2.0, [1, 6, 10])],  # 2 of 40 seconds are a twentieth
)
def test_by_default_slow_checkpoints_are_saved_less_often(seconds, saved, tmp_path, monkeypatch):
    done, now = [], [0.0]

    def write(run, state, position, **options):
        done.append(position.epoch)
        now[0] += seconds

    monkeypatch.setattr(checkpoints, "write", write)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    callback = callbacks.Checkpoint(tmp_path)
    callback.set_model(tiny())
    callback.set_params({"epochs": 10, "steps": 100})
    callback.on_train_begin()
    for epoch in range(10):
        now[0] += 8.5
        callback.on_epoch_end(epoch)
        callback.wait()
    assert done == saved


def _compiled(kind):
    model = tiny()
    model.compile(kind(1e-3))
    return model


@pytest.mark.parametrize(
    "build",
    [tiny_gan, *(functools.partial(_compiled, kind) for kind in (optimizers.RMSprop, keras.optimizers.Adam))],
    ids=["Adam", "RMSprop", "Keras' Adam"],
)
def test_files_are_written_while_training_goes_on_and_hold_the_state_from_before(build, tmp_path, monkeypatch):
    model, original, may_write = build(), checkpoints.write, threading.Event()
    states = []

    def write(*arguments, **options):
        assert may_write.wait(60)
        return original(*arguments, **options)

    monkeypatch.setattr(checkpoints, "write", write)
    copy = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: states.append([np.array(value) for value in state_of(model)]),
        on_train_batch_end=lambda batch, logs: len(states) == 1 and batch == 1 and may_write.set(),
    )
    fit(model, epochs=2, chosen=[copy, callbacks.Checkpoint(tmp_path)])
    assert not all(np.array_equal(one, other) for one, other in zip(*states, strict=True))
    for epoch, expected in enumerate(states, start=1):
        restored = build()
        checkpoints.restore(tmp_path / "checkpoints" / f"epoch-{epoch:05d}.npz", restored)
        for one, other in zip(state_of(restored), expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("what", ["the next checkpoint", "the end of training", "a stop request"])
def test_an_error_while_writing_ends_training(tmp_path, monkeypatch, what):
    def write(run, state, position, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "write", write)
    requests = types.SimpleNamespace(count=int(what == "a stop request"))
    callback = callbacks.Checkpoint(tmp_path, "1steps", requests=requests)
    callback.set_model(tiny())
    callback.set_params({"epochs": 1, "steps": 100})
    callback.on_train_begin()
    if what != "a stop request":
        callback.on_train_batch_end(0)
    with pytest.raises(OSError, match="No space left"):
        callback.on_train_end() if what == "the end of training" else callback.on_train_batch_end(1)
    callback.close()
    callback.on_train_begin()  # of another training: the error belongs to the first
    callback.on_train_end()


def test_the_default_does_not_wait_for_a_file_that_is_being_written(tmp_path, monkeypatch):
    done, may_write = [], threading.Event()

    def write(run, state, position, **options):
        assert may_write.wait(60)
        done.append(position.epoch)

    monkeypatch.setattr(checkpoints, "write", write)
    callback = callbacks.Checkpoint(tmp_path)
    callback.set_model(tiny())
    callback.set_params({"epochs": 4, "steps": 1})
    callback.on_train_begin()
    for epoch in range(3):
        callback.on_epoch_end(epoch)
    may_write.set()
    callback.on_epoch_end(3)  # the last one
    callback.on_train_end()
    assert done == [1, 4]


@pytest.fixture(scope="module")
def trained():
    model = tiny_gan()
    fit(model, epochs=2)
    return model


@pytest.fixture(scope="module")
def saved(trained, tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("run"), trained, TrainingPosition(2))


def test_the_two_newest_checkpoints_are_kept(tmp_path):
    model = tiny()
    assert checkpoints.latest(tmp_path) is None
    for position in (TrainingPosition(1), TrainingPosition(1, 7), TrainingPosition(9), TrainingPosition(9, 123456789)):
        path = save_checkpoint(tmp_path, model, position)
        assert checkpoints.latest(tmp_path) == (position, path)
        assert checkpoints.restore(path, model) == position
    assert names(tmp_path / "checkpoints") == ["epoch-00009-step-123456789.npz", "epoch-00009.npz"]


def test_the_newest_checkpoint_has_the_highest_epoch(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in ("epoch-00002.npz", "epoch-100000.npz", "epoch-99999.npz", ".epoch-200000.npz.x.npz", "notes.txt"):
        (folder / name).write_bytes(b"")
    assert checkpoints.latest(tmp_path) == (TrainingPosition(100000), folder / "epoch-100000.npz")


def test_a_checkpoint_restores_every_variable(trained, saved):
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
def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path, content):
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


def test_a_flipped_bit_is_detected_or_harmless(tmp_path):
    model, other = tiny(), tiny(seed=1)
    fit(model)
    path = save_checkpoint(tmp_path, model, TrainingPosition(1))
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
    path = save_checkpoint(tmp_path, model, TrainingPosition(1))
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
    with pytest.raises(UsageError, match="^checkpoint .* belongs to a different model than the run's recipe now b"):
        checkpoints.restore(path, target)
    for one, other in zip(before, state_of(target), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_that_can_not_be_written_keeps_the_older_ones(tmp_path, monkeypatch):
    model = tiny()
    for epoch in (1, 2):
        save_checkpoint(tmp_path, model, TrainingPosition(epoch))
    before = {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()}

    def full(file, **arrays):
        file.write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, model, TrainingPosition(3))
    assert {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()} == before


def test_a_checkpoint_is_an_ordinary_npz_archive(saved, trained):
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
    with np.load(saved, allow_pickle=False) as archive:
        assert len(archive.files) == len(checkpoints._variables(trained)) + 2  # the position and the checksum
        assert any(name.endswith("kernel") for name in archive.files)


def test_the_checkpoint_before_a_damaged_one_is_used_with_a_note(tmp_path, capsys):
    model = tiny()
    save_checkpoint(tmp_path, model, TrainingPosition(1))
    expected = state_of(model)
    fit(model)
    newest = save_checkpoint(tmp_path, model, TrainingPosition(2))
    newest.write_bytes(newest.read_bytes()[:1000])
    other = tiny(seed=1)
    assert checkpoints.restore_latest(tmp_path, other) == TrainingPosition(1)
    for one, another in zip(state_of(other), expected, strict=True):
        np.testing.assert_array_equal(one, another)
    assert re.match(
        r"NOTE: checkpoint .*epoch-00002\.npz is damaged: .*; using the previous one", capsys.readouterr().out
    )


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), MemoryError("Unable to allocate")])
def test_a_checkpoint_that_cannot_be_read_now_is_not_taken_for_damaged(error, tmp_path, monkeypatch):
    def fail(*arguments):
        raise error

    for epoch in (1, 2):
        save_checkpoint(tmp_path, tiny(), TrainingPosition(epoch))
    monkeypatch.setattr(zipfile, "ZipFile", fail)
    with pytest.raises(
        (UsageError, MemoryError), match=r"epoch-00002.* Permission denied|Unable to allocate"
    ) as caught:
        checkpoints.restore_latest(tmp_path, tiny())
    assert not isinstance(caught.value, checkpoints.DamagedCheckpointError)


def test_a_run_with_only_damaged_checkpoints_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, tiny(), TrainingPosition(1))
    path.write_bytes(b"damaged")
    with pytest.raises(UsageError, match=r"epoch-00001\.npz is damaged"):
        checkpoints.restore_latest(tmp_path, tiny())
    assert checkpoints.restore_latest(tmp_path / "empty", tiny()) == TrainingPosition()


def rewritten(path, position=None, **changes):
    """Write a checkpoint again with another position or other variables and a checksum that fits."""
    with np.load(path) as archive:
        arrays = dict(archive)
    del arrays["sha256"]
    if position is not None:
        arrays["position"] = np.frombuffer(json.dumps(position).encode(), np.uint8)
    for name, value in changes.items():
        key = next(key for key in arrays if key.endswith(f"/{name}"))
        arrays[key] = np.full_like(arrays[key], value)
    np.savez(path, **arrays, sha256=checkpoints._digest(arrays))
    return path


@pytest.mark.parametrize(
    ("name", "position", "changes"),
    [
        ("epoch-00000-step-00000480.npz", {"epoch": 0, "step": 480}, {}),
        ("epoch-00001-step-00000003.npz", {"epoch": 1, "step": 3}, {}),  # the first step of the next epoch
        ("epoch-00006.npz", {"epoch": 6}, {}),
        ("epoch-00005-step-00000001.npz", {"epoch": 5, "step": 1}, {}),
        ("epoch-00002.npz", {"epoch": 3}, {}),
        ("epoch-00002.npz", {"epoch": -2}, {}),
        ("epoch-00002.npz", {"epoch": 2, "seconds": float("inf")}, {}),
        ("epoch-00002.npz", {"epoch": 2, "seconds": "1"}, {}),
        ("epoch-00002.npz", {"epoch": True}, {}),
        ("epoch-00002.npz", {"epoch": 2, "more": 1}, {}),
        ("epoch-00002.npz", None, {"kernel": np.nan}),
        ("epoch-00002.npz", None, {"iteration": -1}),
        ("epoch-00002.npz", None, {"iteration": 7}),
    ],
    ids=str,
)
def test_what_no_run_can_have_reached_is_damaged(tmp_path, capsys, name, position, changes):
    """Of 5 epochs with 3 steps each."""
    model = tiny()
    save_checkpoint(tmp_path, model, TrainingPosition(0, 1))
    source = save_checkpoint(tmp_path / "other", model, TrainingPosition(2))
    rewritten(source.rename(tmp_path / "checkpoints" / name), position, **changes)
    before = state_of(model)
    assert checkpoints.restore_latest(tmp_path, model, epochs=5, steps=3) == TrainingPosition(0, 1)
    assert f"{name} is damaged: " in capsys.readouterr().out
    for one, other in zip(before, state_of(model), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_with_its_variables_in_another_order_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, tiny(hidden=2, latent_dim=2), TrainingPosition(1))
    with np.load(path) as archive:
        arrays = dict(archive)
    del arrays["sha256"]
    one, other = (next(key for key in arrays if key.endswith(end)) for end in ("momentum", "velocity"))
    first, second = (f"{key[:5]}{value[5:]}" for key, value in ((one, other), (other, one)))
    arrays[first], arrays[second] = arrays.pop(one), arrays.pop(other)
    np.savez(path, **arrays, sha256=checkpoints._digest(arrays))
    with pytest.raises(UsageError, match="belongs to a different model"):
        checkpoints.restore(path, tiny(hidden=2, latent_dim=2))


def test_damaged_checkpoints_are_neither_counted_nor_spare_the_intact_ones(tmp_path):
    model, folder = tiny(), tmp_path / "checkpoints"
    for epoch in (1, 2):
        save_checkpoint(tmp_path, model, TrainingPosition(epoch))
    for epoch in (2, 8, 9):
        (folder / f"epoch-{epoch:05d}.npz").write_bytes(b"damaged")
    (folder / "epoch-00000.npz").mkdir()
    later = ["epoch-00008.npz", "epoch-00009.npz"]
    save_checkpoint(tmp_path, model, TrainingPosition(3))
    assert names(folder) == ["epoch-00000.npz", "epoch-00001.npz", "epoch-00002.npz", "epoch-00003.npz", *later]
    save_checkpoint(tmp_path, model, TrainingPosition(4))
    assert names(folder) == ["epoch-00000.npz", "epoch-00003.npz", "epoch-00004.npz", *later]
    checkpoints.delete_old(tmp_path, TrainingPosition(4), keep=1)
    assert names(folder) == ["epoch-00000.npz", "epoch-00004.npz", *later]
    assert checkpoints.restore_latest(tmp_path, model) == TrainingPosition(4)


def test_a_new_training_in_the_folder_of_a_longer_one_is_refused(tmp_path):
    fit(tiny(), epochs=3, chosen=[callbacks.Checkpoint(tmp_path)])
    for _ in range(2):
        with pytest.raises(
            UsageError, match="has a checkpoint after epoch [23] of an earlier training: choose another"
        ):
            fit(tiny(), epochs=2, chosen=[callbacks.Checkpoint(tmp_path)])
    assert checkpoints.latest(tmp_path)[0] == TrainingPosition(3)


def test_a_worker_without_a_folder_writes_nothing(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(callbacks.checkpoint.distribution, "is_chief", lambda strategy: False)
    fit(tiny(), epochs=2, chosen=[callbacks.Checkpoint(None, "1steps", keep_best="loss")])
    assert not list(tmp_path.iterdir())


def test_a_later_checkpoint_that_could_not_be_restored_is_no_obstacle(tmp_path):
    fit(tiny(), epochs=2, chosen=[callbacks.Checkpoint(tmp_path)])
    start = TrainingPosition(1)
    fit(tiny(), epochs=2, initial_epoch=1, chosen=[callbacks.Checkpoint(tmp_path, start=start)])
    assert checkpoints.latest(tmp_path)[0] == TrainingPosition(2)


def test_a_column_that_no_epoch_has_is_told(tmp_path, capsys):
    chosen = [callbacks.HistoryCSV(tmp_path / "history.csv"), callbacks.Checkpoint(tmp_path, keep_best="val_los")]
    fit(tiny(), chosen=chosen)
    assert capsys.readouterr().out == "NOTE: no best checkpoint was kept: no epoch had a finite val_los\n"
    with pytest.raises(UsageError, match="^keep_best must be the name of a column of the history, or None"):
        callbacks.Checkpoint(tmp_path, keep_best=5)


@pytest.mark.parametrize("order", [1, -1])
def test_the_best_of_a_history_elsewhere_or_written_later_is_refused(tmp_path, order):
    table = "other.csv" if order == 1 else "history.csv"
    chosen = [callbacks.HistoryCSV(tmp_path / table), callbacks.Checkpoint(tmp_path, keep_best="loss")][::order]
    with pytest.raises(UsageError, match="keep_best must be a column of .*history.csv, which a HistoryCSV"):
        fit(tiny(), chosen=chosen)


@pytest.mark.parametrize(
    ("lengths", "expected"), [((4, 4, 4), [(1, 2), (2, 4), (3, 0)]), ((3, 9, 2), [(1, 3), (1, 9), (3, 0)])]
)
def test_steps_are_counted_over_epochs_of_unknown_length(tmp_path, monkeypatch, lengths, expected):
    done = []
    monkeypatch.setattr(checkpoints, "write", lambda run, state, position, **options: done.append(position))
    callback = callbacks.Checkpoint(tmp_path, "6steps")
    callback.set_model(tiny())
    callback.set_params({"epochs": 3, "steps": None})
    callback.on_train_begin()
    for epoch, steps in enumerate(lengths):
        callback.on_epoch_begin(epoch)
        for batch in range(steps):
            callback.on_train_batch_end(batch)
        callback.on_epoch_end(epoch)
    callback.on_train_end()
    assert done == [TrainingPosition(*position) for position in expected]
