"""Tests of images that exceed the memory limit: on disk, identical, deleted with the process, never copied whole."""

import errno
import mmap
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import data_helpers
import numpy as np
import pytest
from data_helpers import coded, indices, write_image, write_npz

from keras_gen import data
from keras_gen.data import preprocessing, storage
from keras_gen.data.sources import folder
from keras_gen.utils.errors import UsageError

nothing_at_hand = data_helpers.nothing_at_hand

ROOT = Path(__file__).resolve().parent.parent
ROLES = ("train", "validation", "test")

linux = pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="needs /proc/self/maps")


@pytest.fixture
def scratch(monkeypatch, tmp_path):
    """An empty temporary folder that counts as a folder on disk."""
    path = tmp_path / "scratch"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    monkeypatch.setattr(storage, "_is_in_memory", lambda folder: False)
    return path


@pytest.fixture
def no_memory(monkeypatch, scratch):
    """Every array exceeds the memory limit and is copied in many chunks."""
    monkeypatch.setattr(storage, "_memory", lambda: 0)
    monkeypatch.setattr(storage, "CHUNK_BYTES", 1000)
    return scratch


def noise(count, size=9, channels=3):
    return np.random.default_rng(count).integers(0, 256, (count, size, size, channels), np.uint8)


def prepared_folder(tmp_path):
    for index, image in enumerate(noise(40)):
        write_image(tmp_path / "photos" / "ab"[index % 2] / f"{index:02d}.png", image)
    return tmp_path / "photos"


def prepared_folder_with_splits(tmp_path):
    for role, count in (("train", 12), ("val", 4), ("test", 5)):
        for index, image in enumerate(noise(count)):
            write_image(tmp_path / "splits" / role / f"{index:02d}.png", image)
    return tmp_path / "splits"


def prepared_npz(tmp_path):
    return write_npz(tmp_path / "a.npz", x_train=noise(60), y_train=np.arange(60), x_test=noise(7), y_test=np.arange(7))


def npz_in_columns(tmp_path):
    return write_npz(tmp_path / "columns.npz", x_train=np.asfortranarray(noise(60)), x_test=np.asfortranarray(noise(7)))


def digits(tmp_path):
    return "digits"


SOURCES = (prepared_folder, prepared_folder_with_splits, prepared_npz, npz_in_columns, digits)
PLAIN = {}
OPTIONS = (
    PLAIN,
    {"validation": 0},
    {"image_size": 5, "channels": 1},
    {"binarize": "threshold"},
    {"channels": 3, "binarize": "stochastic", "binarize_seed": 3, "validation": 5},
)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        pytest.param(
            source,
            options,
            id="-".join([source.__name__, *options]),
            marks=[pytest.mark.slow] * (source is digits and options is not PLAIN),
        )
        for source in SOURCES
        for options in OPTIONS
    ],
)
def test_data_on_disk_equal_those_in_memory(tmp_path, monkeypatch, scratch, source, options):
    name = source(tmp_path)
    inside = data.load(name, **options)
    assert not any(storage.is_mapped(getattr(inside, role).images) for role in ROLES)
    monkeypatch.setattr(storage, "_memory", lambda: 0)
    monkeypatch.setattr(storage, "CHUNK_BYTES", 1000)
    outside = data.load(name, **options)
    assert outside.fingerprint == inside.fingerprint
    mapped = 0
    for role in ROLES:
        there, here = getattr(outside, role), getattr(inside, role)
        assert np.array_equal(there.images, here.images) and there.images.shape == here.images.shape
        assert (there.labels is None) == (here.labels is None)
        assert there.labels is None or np.array_equal(there.labels, here.labels)
        assert not there.images.flags.writeable and there.images.flags.c_contiguous
        mapped += there.images.nbytes * storage.is_mapped(there.images)
    assert mapped >= outside.validation.images.nbytes
    notes = [note for note in outside.notes if note not in inside.notes]
    assert notes == ["0.0 GB of images were written to disk, because they exceed the memory limit"] * (mapped > 0)
    assert {**outside.description(), "notes": []} == {**inside.description(), "notes": []}


@pytest.mark.parametrize("source", [prepared_folder, prepared_folder_with_splits], ids=lambda source: source.__name__)
def test_all_images_of_a_folder_are_on_disk(tmp_path, no_memory, source):
    loaded = data.load(source(tmp_path), validation=3)
    assert all(storage.is_mapped(getattr(loaded, role).images) for role in ROLES)


def test_a_quarter_of_the_memory_is_the_limit(monkeypatch, scratch):
    monkeypatch.setattr(storage, "_memory", lambda: 4000)
    assert not storage.is_mapped(storage.allocate_images("x", (10, 10, 10, 1)))
    assert storage.is_mapped(storage.allocate_images("x", (10, 10, 10, 1 + 1)))
    monkeypatch.setattr(storage, "_memory", lambda: float("inf"))
    assert not storage.is_mapped(storage.allocate_images("x", (10, 10, 10, 3)))


def test_the_memory_is_limited_by_the_container(monkeypatch, tmp_path):
    monkeypatch.setattr(storage, "_CGROUP_LIMITS", (str(tmp_path / "new"), str(tmp_path / "old")))
    whole = storage._memory()
    assert whole > 10**8
    (tmp_path / "new").write_text("max\n")
    (tmp_path / "old").write_text(f"{2**63 - 4096}\n")
    assert storage._memory() == whole
    (tmp_path / "new").write_text("50000000\n")
    assert storage._memory() == 50_000_000


def test_is_mapped():
    with mmap.mmap(-1, 4096) as pages:
        array = np.frombuffer(pages, np.uint8).reshape(4, 32, 32, 1)
        assert not storage.is_mapped(array.copy()) and not storage.is_mapped(np.zeros((3, 2, 2, 1), np.uint8)[1:])
        del array
    with tempfile.TemporaryFile() as file:
        mapped = np.memmap(file, np.uint8, "w+", shape=(4, 32, 32, 1))
    assert all(map(storage.is_mapped, (mapped, mapped[1:], mapped[..., 0], np.asarray(mapped), mapped[1:].view())))
    assert not storage.is_mapped(mapped[[1, 2]]) and not storage.is_mapped(np.array(mapped))


@pytest.mark.parametrize("shape", [(0, 3, 3, 1), (1, 1, 1, 1), (5, 7, 3, 3), (100,)])
def test_slices_cover_all_images_once(monkeypatch, shape):
    for size in (1, 10, 64, 10**6):
        monkeypatch.setattr(storage, "CHUNK_BYTES", size)
        rows = [list(range(shape[0]))[piece] for piece in storage.slices(shape)]
        assert sum(rows, []) == list(range(shape[0]))
        image = int(np.prod(shape[1:]))
        assert all(len(part) == 1 or len(part) * image <= size for part in rows)


def test_taking_is_indexing(no_memory):
    images = coded(300)
    order = np.random.default_rng(0).permutation(300)[:123]
    taken = data.Split(images, np.arange(300)).take(order)
    assert storage.is_mapped(taken.images) and indices(taken) == taken.labels.tolist() == order.tolist()


# Static binarization


@pytest.mark.parametrize("piece", [1, 28, 1000, 2**24])
@pytest.mark.parametrize("shape", [(1, 3), (2, 7), (50, 9, 9, 3)], ids=str)
def test_draws_in_chunks_equal_those_of_one_call(monkeypatch, shape, piece):
    monkeypatch.setattr(storage, "CHUNK_BYTES", piece)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    ours, theirs = np.random.default_rng(1), np.random.default_rng(1)
    for _ in range(3):  # later draws are the same, too
        expected = np.where(theirs.integers(0, 255, shape, np.uint8) < images, 255, 0)
        assert np.array_equal(preprocessing.binarize(images, "stochastic", ours), expected)
    assert ours.bit_generator.state == theirs.bit_generator.state


def test_draws_are_the_same_on_every_machine():
    ramp = np.arange(0, 240, 10, np.uint8).reshape(4, 6)
    drawn = preprocessing.binarize(ramp, "stochastic", np.random.default_rng(5))
    assert (drawn // 255).tolist() == [[0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1], [1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 0, 1]]


# The file


def mapped_files(scratch, process="self"):
    """Return the lines of a process' memory map that are files in the folder."""
    return [line for line in Path(f"/proc/{process}/maps").read_text().splitlines() if f"{scratch}/" in line]


@linux
def test_the_file_has_no_name_and_goes_with_the_array(tmp_path, no_memory):
    loaded = data.load(prepared_folder(tmp_path))
    assert os.listdir(no_memory) == []
    lines = mapped_files(no_memory)
    assert len(lines) == 3 and all(line.endswith("(deleted)") for line in lines)  # the arrays before the split are gone
    descriptors = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
    assert sum(f"{no_memory}/" in path for path in descriptors) == 3
    del loaded
    assert mapped_files(no_memory) == []


_KILLED = """
import sys, tempfile, time
from keras_gen import data
from keras_gen.data import storage

tempfile.tempdir = sys.argv[2]
storage._memory = lambda: 0
storage._is_in_memory = lambda folder: False
loaded = data.load(sys.argv[1])
print(storage.is_mapped(loaded.train.images), flush=True)
time.sleep(600)
"""


@linux
@pytest.mark.parametrize(
    "number",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
    ids=lambda number: number.name,
)
def test_no_file_remains_of_a_killed_process(tmp_path, scratch, number):
    arguments = [sys.executable, "-c", _KILLED, prepared_folder(tmp_path), scratch]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        try:
            assert child.stdout.readline() == "True\n"
            assert os.listdir(scratch) == [] and mapped_files(scratch, child.pid)
        finally:
            child.send_signal(number)
        assert child.wait(60) != 0
    assert os.listdir(scratch) == []


# Where it is


@pytest.fixture
def two_folders(monkeypatch, tmp_path):
    """The temporary folder, the folder for large files, and the list of folders that count as in memory."""
    places, in_memory = [tmp_path / name for name in ("usual", "large")], []
    for place in places:
        place.mkdir()
    monkeypatch.setattr(storage, "_memory", lambda: 0)
    monkeypatch.setattr(tempfile, "tempdir", str(places[0]))
    monkeypatch.setattr(storage, "_LARGE_FILES_FOLDER", str(places[1]))
    monkeypatch.setattr(storage, "_is_in_memory", lambda folder: Path(folder) in in_memory)
    return *places, in_memory


@linux
def test_folders_in_memory_are_not_used(two_folders):
    usual, large, in_memory = two_folders

    def used():
        stack = storage.allocate_images("x", (10, 10, 10, 1))
        places = [place for place in (usual, large) if mapped_files(place)]
        del stack
        return places

    assert used() == [usual]
    in_memory.append(usual)
    assert used() == [large]
    in_memory.append(large)
    with pytest.raises(UsageError, match=f"TMPDIR to .* on a disk: {re.escape(str(usual))} is in memory itself$"):
        storage.allocate_images("x", (10, 10, 10, 1))
    in_memory.clear()
    in_memory.append(usual)
    large.rmdir()
    with pytest.raises(UsageError, match="is in memory itself$"):
        storage.allocate_images("x", (10, 10, 10, 1))


@linux
def test_which_folders_are_in_memory(tmp_path):
    types = {line.split()[1]: line.split()[2] for line in Path("/proc/mounts").read_text().splitlines()}
    for folder_, expected in (("/dev/shm", "tmpfs"), ("/proc", "proc"), ("/", None)):
        if types.get(folder_) == expected or (folder_ == "/" and types.get("/") in ("ext4", "xfs", "overlay")):
            assert storage._is_in_memory(folder_) == (expected == "tmpfs")
    assert not storage._is_in_memory(str(tmp_path / "missing"))


# No room


def refused(name, **options):
    with pytest.raises(UsageError) as raised:
        data.load(name, **options)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 500
    return str(raised.value)


def test_a_full_disk_is_refused_in_one_line(tmp_path, monkeypatch, no_memory):
    photos = prepared_folder(tmp_path)
    usage = type("usage", (), {"free": 9000})
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda folder: usage)
    message = refused(photos)
    assert message.startswith(f"{photos}: 40 images of 9x9x3 take 0.0 GB, which exceeds the memory limit; ")
    assert "use a smaller image_size, or set TMPDIR to a folder with that much space on a disk: " in message
    assert message.endswith(f"{no_memory} has 0.0 GB")
    assert os.listdir(no_memory) == []
    usage.free = 40 * 9 * 9 * 3
    assert len(data.load(photos).train) == 33
    assert "the data: " in refused("digits", image_size=64)
    assert "40 images of 100000x100000x3 take 1,200.0 GB" in refused(photos, image_size=10**5)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system has no such call")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG], ids=errno.errorcode.get)
def test_a_failed_reservation_is_refused_in_one_line(tmp_path, monkeypatch, no_memory, number):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    assert refused(prepared_folder(tmp_path)).endswith(f"on a disk: {os.strerror(number)}")
    assert os.listdir(no_memory) == []


def test_a_missing_temporary_folder_is_refused_in_one_line(tmp_path, no_memory):
    no_memory.rmdir()
    assert refused(prepared_folder(tmp_path)).endswith("No such file or directory")


@pytest.mark.parametrize("system", ["its own", "without posix_fallocate"])
def test_the_space_is_reserved_before_anything_is_written(tmp_path, monkeypatch, system):
    """Otherwise the disk could be full later, which kills the process."""
    if system != "its own":
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    monkeypatch.setattr(storage, "CHUNK_BYTES", 10_000)
    with open(tmp_path / "file", "w+b") as file:
        storage._reserve(file, 1_234_567)
        os.fsync(file.fileno())
        status = os.fstat(file.fileno())
    assert status.st_size == 1_234_567
    assert not hasattr(status, "st_blocks") or status.st_blocks * 512 >= 1_234_567


def test_files_of_limited_size_are_refused_in_one_line(tmp_path):
    resource = pytest.importorskip("resource")
    code = textwrap.dedent(
        """
        import sys
        from keras_gen import UsageError
        from keras_gen.data import storage

        storage._memory = lambda: 0
        storage._is_in_memory = lambda folder: False
        assert storage.is_mapped(storage.allocate_images("small", (1, 1000, 1000, 1)))
        try:
            storage.allocate_images("large", (3, 1000, 1000, 1))
        except UsageError as error:
            print(error)
        """
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000)),
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("large: 3 images of 1000x1000x1 take 0.0 GB, which exceeds the memory limit; ")
    assert result.stdout.endswith(f"on a disk: {os.strerror(errno.EFBIG)}\n")


def test_other_errors_are_not_taken_for_a_full_disk(tmp_path, no_memory, monkeypatch):
    monkeypatch.setattr(folder.storage, "_reserve", lambda file, size: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        data.load(prepared_folder(tmp_path))
    assert os.listdir(no_memory) == []


# Memory

_COUNTED = textwrap.dedent(
    """
    import resource, sys
    import numpy as np
    from keras_gen.data import Split, batches, evaluation_batches, preprocessing, storage
    from keras_gen.data.image_data import fingerprint

    COUNT, SIZE = 640, 500
    WHOLE, LITTLE = 160, 64  # MB: of all images, and of a tolerance

    def megabytes(entry):
        for line in open("/proc/self/status"):
            if line.startswith(entry + ":"):
                return int(line.split()[1]) / 1000

    def stack(seed):
        images = storage.allocate_images("x", (COUNT, SIZE, SIZE, 1))
        for index in range(COUNT):
            images[index] = index % 256
        return images

    def measured(work, copies=1, threads=False):
        before = megabytes("RssAnon")
        if sys.argv[1] == "disk" and not threads:  # whose stacks count
            # Not even temporarily may more be allocated; mapped files don't count.
            limit = int(1e6 * (megabytes("VmData") + 2 * LITTLE))
            resource.setrlimit(resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))
        result = work()
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        used = megabytes("RssAnon") - before
        expected = 0 if sys.argv[1] == "disk" else copies * WHOLE
        assert abs(used - expected) < LITTLE, (used, expected)
        return result

    if sys.argv[1] == "disk":
        storage._memory = lambda: 0
        storage._is_in_memory = lambda folder: False
    """
)
_PREPARED = """
images = measured(lambda: stack(0))
split = measured(lambda: Split(images).take(np.arange(1, COUNT)))
binary = measured(lambda: preprocessing.binarize(images, "stochastic", np.random.default_rng(0)))
large = measured(lambda: preprocessing.fit_stack(images, 510, None))
if sys.argv[1] == "disk":
    measured(lambda: fingerprint(split, Split(binary), Split(large)))
print("done")
"""
_TRAINED = """
import tensorflow as tf

if sys.argv[2:] == ["two devices"]:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
else:
    strategy = tf.distribute.get_strategy()

def counted(dataset, steps):
    iterator = iter(strategy.experimental_distribute_dataset(dataset))
    return sum(
        len(images)
        for _ in range(steps)
        for images in strategy.experimental_local_results(next(iterator)[0])
    )

def whole(images):
    labels = np.arange(len(images))
    train = batches(images, labels, batch_size=4, seed=0)
    test = evaluation_batches(images, labels, batch_size=4)
    return train, test, counted(train.dataset, train.steps_per_epoch), counted(test, train.steps_per_epoch)

images = stack(0)
whole(images[:32])  # allocates what TensorFlow always needs
held = measured(lambda: whole(images), copies=2, threads=True)  # a dataset to train and one to evaluate on
assert held[2:] == (COUNT, COUNT)
print("done")
"""


@linux
@pytest.mark.parametrize(
    "case",
    [
        pytest.param((_PREPARED, "disk"), id="prepared-disk"),
        pytest.param((_PREPARED, "memory"), id="prepared-memory", marks=pytest.mark.slow),
        pytest.param((_TRAINED, "disk"), id="trained-disk", marks=pytest.mark.slow),
        pytest.param((_TRAINED, "disk", "two devices"), id="trained-disk-two-devices", marks=pytest.mark.slow),
        pytest.param((_TRAINED, "memory"), id="trained-memory", marks=pytest.mark.slow),
    ],
)
def test_images_on_disk_are_not_copied_into_memory(case):
    """The "memory" cases check that the measurement sees copies."""
    code, *options = case
    arguments = [sys.executable, "-c", _COUNTED + code, *options]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.stdout == "done\n", result.stderr[-2000:]
