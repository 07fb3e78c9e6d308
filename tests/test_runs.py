"""Run directories and atomic writing: numbers, permissions, and the state after failures."""

import json
import os
import stat
import threading

import pytest
from command_helpers import names

from keras_gen import UsageError
from keras_gen.runs import run_directory
from keras_gen.utils import checks, files


class Failure(Exception):
    """An error in a writer."""


@pytest.fixture(params=[0o022, 0o077, 0o002], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


# Numbering


@pytest.mark.parametrize(
    ("present", "made"),
    [
        ([], "00001-vae"),
        (["00001-gan"], "00002-vae"),
        (["00001-gan", "00007-vae"], "00008-vae"),
        (["notes.txt", "12-vae", "0003-vae", "00003", "00003-", "a00009-vae", "-00009-vae"], "00001-vae"),
        (["00002-vae-mlp-old"], "00003-vae"),
        (["99999-vae"], "100000-vae"),
        (["100000-vae", "00005-vae"], "100001-vae"),
        (["1234567-vae"], "1234568-vae"),
        ([".00009-vae"], "00001-vae"),
    ],
)
def test_the_next_number_is_one_above_the_highest(tmp_path, present, made):
    for name in present:
        (tmp_path / name).mkdir()
    path = run_directory.create(tmp_path, "vae")
    assert path == tmp_path / made
    assert path.is_dir()
    assert names(path) == []
    assert len(names(tmp_path)) == len(present) + 1


def test_a_file_takes_its_number_too(tmp_path):
    (tmp_path / "00001-vae").write_text("a file")
    assert run_directory.create(tmp_path, "vae").name == "00002-vae"


def test_the_root_is_created_with_its_parents(tmp_path):
    assert run_directory.create(tmp_path / "a" / "b", "vae") == tmp_path / "a" / "b" / "00001-vae"
    assert run_directory.create(str(tmp_path / "a" / "b"), "gan").name == "00002-gan"


def test_concurrent_calls_never_return_the_same_directory(tmp_path):
    made, start = [], threading.Barrier(8)

    def make():
        start.wait()
        made.extend(run_directory.create(tmp_path, "vae") for _ in range(20))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len(set(made)) == 160
    assert names(tmp_path) == [f"{number:05d}-vae" for number in range(1, 161)]


@pytest.mark.parametrize("inside", ["", "deeper", "deeper/still"])
def test_a_root_that_can_not_be_created_is_refused(tmp_path, inside):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="^out can't be written: .*file"):
        run_directory.create(tmp_path / "file" / inside, "vae")
    assert (tmp_path / "file").read_text() == "in the way"


# One file


def test_a_file_is_replaced_atomically(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with files.atomic_path(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".txt"
        assert temporary.name.startswith(".notes.txt.")
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("kind", [Failure, KeyboardInterrupt, SystemExit, OSError])
@pytest.mark.parametrize("old", ["old", None])
def test_an_exception_in_the_block_keeps_the_old_file_and_leaves_no_others(tmp_path, kind, old):
    path = tmp_path / "notes.txt"
    if old:
        path.write_text(old)
    with pytest.raises(kind), files.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise kind
    assert names(tmp_path) == (["notes.txt"] if old else [])
    assert not old or path.read_text() == old


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_error_at_the_end_keeps_the_old_file_and_leaves_no_others(tmp_path, monkeypatch, step):
    path = tmp_path / "notes.txt"
    path.write_text("old")

    def fail(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["notes.txt"]


def test_the_content_is_on_disk_before_the_name_appears(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace

    def log_fsync(handle):
        order.append("directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else f"file of {os.fstat(handle).st_size}")
        fsync(handle)

    def log_replace(source, target):
        order.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", log_fsync)
    monkeypatch.setattr(os, "replace", log_replace)
    files.write_text(tmp_path / "notes.txt", "12345")
    assert order == ["file of 5", "replace", "directory"]


def test_a_temporary_file_that_the_block_removed_is_an_error_not_an_empty_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), files.atomic_path(path) as temporary:
        temporary.unlink()
    assert path.read_text() == "old"


def test_permissions_are_those_of_an_ordinary_file(tmp_path, umask):
    (tmp_path / "ordinary").write_text("")
    files.write_text(tmp_path / "atomic", "")
    mode = stat.S_IMODE((tmp_path / "atomic").stat().st_mode)
    assert mode == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode) == 0o666 & ~umask
    assert os.umask(umask) == umask  # the process' umask is unchanged


def test_json_is_indented_and_restored(tmp_path):
    content = {"β": [1, 2.5, None], "name": "vae"}
    files.write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert "β" in text
    assert text.startswith('{\n  "β"')
    assert text.endswith("}\n")


def test_content_that_json_can_not_hold_keeps_the_old_file(tmp_path):
    files.write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        files.write_json(tmp_path / "a.json", {"x": object()})
    assert json.loads((tmp_path / "a.json").read_text()) == 1
    assert names(tmp_path) == ["a.json"]


# A folder


def fill(text):
    def write(folder):
        assert names(folder) == []
        (folder / "content").write_text(text)

    return write


def test_a_folder_is_created_with_its_parents(tmp_path):
    path = files.write_directory(tmp_path / "a" / "b", fill("new"), overwrite=False)
    assert path == tmp_path / "a" / "b"
    assert (path / "content").read_text() == "new"
    assert names(tmp_path / "a") == ["b"]


def test_a_relative_folder_is_created_in_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert files.write_directory("made", fill("new"), overwrite=False) == tmp_path / "made"
    assert names(tmp_path) == ["made"]


def test_an_existing_folder_is_refused_before_anything_is_written(tmp_path):
    files.write_directory(tmp_path / "a", fill("old"), overwrite=False)
    with pytest.raises(UsageError, match="^export exists already: .*--overwrite"):
        files.write_directory(tmp_path / "a", pytest.fail, overwrite=False, argument="export")
    assert (tmp_path / "a" / "content").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_overwrite_replaces_the_whole_folder(tmp_path):
    files.write_directory(tmp_path / "a", fill("old"), overwrite=False)
    (tmp_path / "a" / "more").write_text("old")
    files.write_directory(tmp_path / "a", fill("new"), overwrite=True)
    assert names(tmp_path / "a") == ["content"]
    assert (tmp_path / "a" / "content").read_text() == "new"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", [Failure, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("old", [True, False])
def test_a_failing_writer_keeps_the_old_folder_and_leaves_no_others(tmp_path, kind, old):
    if old:
        files.write_directory(tmp_path / "a", fill("old"), overwrite=False)

    def write(folder):
        fill("half")(folder)
        raise kind

    with pytest.raises(kind):
        files.write_directory(tmp_path / "a", write, overwrite=True)
    assert names(tmp_path) == (["a"] if old else [])
    assert not old or (tmp_path / "a" / "content").read_text() == "old"


@pytest.mark.parametrize("interruption", ["none", "before the second rename", "after the first rename"])
def test_a_failing_rename_keeps_the_old_folder(tmp_path, monkeypatch, interruption):
    files.write_directory(tmp_path / "a", fill("old"), overwrite=False)
    rename = run_directory.Path.rename

    def fail_for_the_new_one(self, target):
        if self.name == "new":
            raise OSError(28, "No space left on device") if interruption == "none" else KeyboardInterrupt
        result = rename(self, target)
        if interruption == "after the first rename" and target.name == "old":
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(run_directory.Path, "rename", fail_for_the_new_one)
    with pytest.raises(OSError if interruption == "none" else KeyboardInterrupt):
        files.write_directory(tmp_path / "a", fill("new"), overwrite=True)
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a" / "content").read_text() == "old"


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("kind", ["file", "link to a folder", "link to nothing"])
def test_a_file_or_link_is_never_replaced(tmp_path, kind, overwrite):
    path = tmp_path / "a"
    (tmp_path / "real").mkdir()
    if kind == "file":
        path.write_text("in the way")
    else:
        path.symlink_to(tmp_path / ("real" if kind == "link to a folder" else "missing"))
    with pytest.raises(UsageError, match="^path must be a folder or a new name, received: "):
        files.write_directory(path, pytest.fail, overwrite=overwrite)
    with pytest.raises(UsageError, match="^export must be a folder or a new name"):
        files.check_can_write_directory(path, overwrite=overwrite, argument="export")
    assert names(tmp_path) == ["a", "real"]
    assert names(tmp_path / "real") == []


def test_the_check_raises_the_errors_of_writing(tmp_path):
    files.check_can_write_directory(tmp_path / "a" / "b", overwrite=False)
    assert names(tmp_path) == []
    (tmp_path / "a").mkdir()
    files.check_can_write_directory(tmp_path / "a", overwrite=True)
    with pytest.raises(UsageError, match="^path exists already"):
        files.check_can_write_directory(tmp_path / "a", overwrite=False)


@pytest.mark.parametrize("inside", ["b", "b/c"])
def test_the_check_refuses_a_folder_below_a_file(tmp_path, inside):
    (tmp_path / "a").write_text("in the way")
    with pytest.raises(UsageError, match="^path "):
        files.check_can_write_directory(tmp_path / "a" / inside, overwrite=False)


def test_only_a_folder_with_the_marker_or_an_empty_one_is_replaced(tmp_path):
    for name in ("marked", "other", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "marked" / "content").write_text("old")
    (tmp_path / "other" / "thesis").write_text("three years")
    for name in ("marked", "empty", "new"):
        files.write_directory(tmp_path / name, fill("new"), overwrite=True, marker="content")
        assert (tmp_path / name / "content").read_text() == "new"
    with pytest.raises(UsageError, match="^export must be .*content"):
        files.write_directory(tmp_path / "other", pytest.fail, overwrite=True, marker="content", argument="export")
    assert (tmp_path / "other" / "thesis").read_text() == "three years"
    assert names(tmp_path) == ["empty", "marked", "new", "other"]


# recipe.json


def test_a_recipe_file_is_read(tmp_path):
    files.write_json(tmp_path / "recipe.json", {"settings": {"model": "vae"}})
    assert (
        run_directory.read_recipe(tmp_path)
        == run_directory.read_recipe(str(tmp_path))
        == {"settings": {"model": "vae"}}
    )


@pytest.mark.parametrize("kind", ["missing", "a file", "an empty folder", "a folder named recipe.json"])
def test_a_path_that_is_no_run_directory_is_refused(tmp_path, kind):
    path = tmp_path / "run"
    if kind == "a file":
        path.write_text("{}")
    elif kind != "missing":
        path.mkdir()
    if kind == "a folder named recipe.json":
        (path / "recipe.json").mkdir()
    with pytest.raises(UsageError, match="^run must be a run directory, a folder with recipe.json, received: "):
        run_directory.read_recipe(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"settings": {"model": "vae-ml',
        b"[]",
        b"null",
        b'"text"',
        b"3",
        b"\x00\x00",
        b"\xff\xfe{}",
        b'{"a": 1} trailing',
        b'{"seed": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
    ],
    ids=lambda content: repr(content[:16]),
)
def test_a_damaged_recipe_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "recipe.json").write_bytes(content)
    with pytest.raises(UsageError, match="recipe.json is damaged: ") as error:
        run_directory.read_recipe(tmp_path)
    assert "\n" not in str(error.value)


# Checks of single arguments


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (checks.positive_int, (1, 10**9), (0, -1, 1.0, True, "1", None, float("nan"))),
        (checks.non_negative_int, (0, 1), (-1, 0.0, False, "0", None)),
        (checks.seed, (0, 2**31 - 1), (-1, 2**31, 0.0, False, None)),
        (checks.positive, (1, 0.5), (0, -0.5, True, "1", None, float("inf"), float("nan"), 1j)),
        (checks.non_negative, (0, 0.5), (-0.5, False, "0", None, float("inf"), float("nan"))),
        (checks.fraction, (0, 0.5), (1, 1.0, -0.1, False, "0.5", None, float("nan"))),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_check_returns_the_value_or_names_the_argument(check, good, bad):
    for value in good:
        assert check("width", value) == value
    for value in bad:
        with pytest.raises(UsageError, match="^width must be a") as error:
            check("width", value)
        assert str(error.value).endswith(f"received: {value!r}")


@pytest.mark.parametrize("check", [checks.positive, checks.non_negative, checks.fraction])
def test_an_integer_too_large_for_a_float_is_refused(check):
    with pytest.raises(UsageError, match="^width must be "):
        check("width", 10**400)


def test_a_choice_is_returned_or_refused_with_the_list():
    assert checks.one_of("rule", "b", ("a", "b")) == "b"
    with pytest.raises(UsageError, match="^rule must be one of a, b, received: 'c'$"):
        checks.one_of("rule", "c", iter(("a", "b")))


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(UsageError) as error:
        checks.positive_int("width", "x" * 10_000)
    assert len(str(error.value)) < 300
    assert str(error.value).endswith("…")


# What a killed process left


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        (".history.csv.keras_gen-a_b1c2d3.csv", True),
        (".recipe.json.keras_gen-abcdefgh.json", True),
        (".notes.markdown", False),
        (".history.csv.original", False),
        (".history.csv.keras_gen-ABCDEFGH.csv", False),
        (".history.csv.abcd12345.csv", False),
        ("history.csv.keras_gen-abcdefgh.csv", False),
        ("checkpoints/.epoch-00003-step-00000002.npz.keras_gen-abcdefgh.npz", True),
        ("samples/.epoch-00003.png.keras_gen-abcdefgh.png", True),
        ("mine/.history.csv.keras_gen-abcdefgh.csv", False),
    ],
)
def test_only_files_that_keras_gen_wrote_are_removed(tmp_path, name, is_ours):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("text")
    run_directory.remove_leftovers(tmp_path)
    assert path.exists() == (not is_ours)


@pytest.mark.parametrize(
    ("name", "content", "left"),
    [
        (".saved_model.keras_gen-abcdefgh", ["new"], []),
        (".saved_model.keras_gen-abcdefgh", ["new", "old"], ["saved_model"]),
        (".my.settings", [], [".my.settings"]),
        (".saved_model.settings", ["new", "old"], [".saved_model.settings"]),
    ],
)
def test_only_folders_that_keras_gen_wrote_are_finished_or_removed(tmp_path, name, content, left):
    for part in content:
        (tmp_path / name / part).mkdir(parents=True)
    (tmp_path / name).mkdir(exist_ok=True)
    run_directory.remove_leftovers(tmp_path)
    assert names(tmp_path) == left


def test_leftovers_that_are_links_lead_nowhere(tmp_path):
    run, mine = tmp_path / "run", tmp_path / "mine"
    run.mkdir()
    for part in ("new", "old"):
        (mine / part).mkdir(parents=True)
    (run / ".saved_model.keras_gen-abcdefgh").symlink_to(mine)
    (run / ".history.csv.keras_gen-abcdefgh.csv").symlink_to(mine / "new")
    run_directory.remove_leftovers(run)
    assert names(mine) == ["new", "old"]
    assert not (run / "saved_model").exists()
    (run / "samples").symlink_to(mine)
    with pytest.raises(UsageError, match="samples must be"):
        run_directory.remove_leftovers(run)


# Errors name the file


@pytest.mark.parametrize("write", ["write_json", "write_directory"])
def test_an_error_of_the_disk_names_the_file(tmp_path, write):
    def full(folder=None):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError) as error:
        if write == "write_json":
            with files.atomic_path(tmp_path / "evaluation.json"):
                full()
        else:
            files.write_directory(tmp_path / "evaluation.json", full, overwrite=True)
    assert error.value.filename == str(tmp_path / "evaluation.json")
    with pytest.raises(OSError) as error:
        files.write_text(tmp_path / "missing" / "a.txt", "")
    assert error.value.filename == str(tmp_path / "missing" / "a.txt")


def test_a_pipe_a_device_or_a_folder_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    for name, why in {"pipe": "Not a regular file", "device": "Not a regular file", ".": "Is a directory"}.items():
        with pytest.raises(OSError, match=f"{why}: '{tmp_path / name}'"):
            files.write_text(tmp_path / name, "x")
    assert names(tmp_path) == ["device", "pipe"]
    assert (tmp_path / "device").is_symlink()
