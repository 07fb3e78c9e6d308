"""Tests of named data sets prepared by tensorflow-datasets, without downloads."""

import functools
import io
import json
import os
import shutil
import tempfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from data_helpers import color, write_image, write_npz
from PIL import Image

from keras_gen import data
from keras_gen.data import catalog, storage
from keras_gen.data.image_data import fingerprint
from keras_gen.data.sources import tfds
from keras_gen.utils import net
from keras_gen.utils.errors import DataUnavailableError, UsageError

pytestmark = pytest.mark.usefixtures("own_working_directory")


def _prepare_tfds(root, name, version, shape, counts, config=None, num_shards=None):
    """Write a small data set as tensorflow-datasets prepares it; each image shows its index."""
    import tensorflow_datasets as tfds

    def examples(count):
        return [(index, {"image": np.full(shape, index, np.uint8), "label": index % 10}) for index in range(count)]

    builder = tfds.dataset_builders.AdhocBuilder(
        name=name,
        config=config,
        version=version,
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, shape[-1]), encoding_format="png"),
                "label": tfds.features.ClassLabel(num_classes=10),
            }
        ),
        split_datasets={split: examples(count) for split, count in counts.items()},
        data_dir=root,
    )
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=num_shards))


@pytest.fixture
def no_probe(monkeypatch):
    def probe(url):
        raise AssertionError(f"{url} was requested, though the data are on disk")

    monkeypatch.setattr(net, "connection_error", probe)


def test_tfds_reads_what_is_prepared(tmp_path, monkeypatch, no_probe):
    for version, count in (("3.0.9", 30), ("3.0.10", 40)):
        _prepare_tfds(tmp_path, "mnist", version, (28, 28, 1), {"train": count, "test": 7})
    mnist = data.load("mnist", data_dir=tmp_path, validation=10)
    assert (mnist.source, mnist.origin, mnist.image_shape) == ("tfds", "mnist/3.0.10", (28, 28, 1))
    assert [len(split) for split in (mnist.train, mnist.validation, mnist.test)] == [30, 10, 7]
    values = np.concatenate([split.images[:, 0, 0, 0] for split in (mnist.train, mnist.validation)])
    assert sorted(values) == list(range(40))
    assert np.array_equal(mnist.train.labels, mnist.train.images[:, 5, 5, 0] % 10)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    again = data.load("mnist", validation=10)
    assert again.fingerprint == mnist.fingerprint
    assert data.load("mnist", validation=10, image_size=32, channels=3).image_shape == (32, 32, 3)


def test_tfds_damage_on_the_disk_is_reported(tmp_path, no_probe):
    _prepare_tfds(tmp_path, "mnist", "3.0.1", (28, 28, 1), {"train": 9, "test": 3})
    for record in (tmp_path / "mnist" / "3.0.1").glob("*train*"):
        content = bytearray(record.read_bytes())
        content[20:40] = bytes(20)
        record.write_bytes(content)
    with pytest.raises(DataUnavailableError, match=r"^mnist failed in tensorflow-datasets: .*DataLossError") as raised:
        data.load("mnist", data_dir=tmp_path)
    assert "\n" not in str(raised.value)


def test_offline_failure_says_what_to_do(monkeypatch):
    asked = []
    monkeypatch.setattr(net, "connection_error", lambda url: asked.append(url) or "no route")
    with pytest.raises(DataUnavailableError) as raised:
        data.load("mnist")
    assert asked == ["https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz"]
    assert str(raised.value) == (
        "mnist is not on this machine, and its host does not answer: no route; "
        "put mnist.npz (x_train, y_train, x_test, y_test, all uint8) into --data-dir or $KERAS_GEN_DATA, "
        "or use --dataset digits, which needs no download; "
        "mnist is 70,000 handwritten digits, 11 MB download (CC BY-SA 3.0)"
    )


def test_a_failing_download_is_reported_by_its_first_line(monkeypatch, tmp_path):
    import tensorflow_datasets as tfds

    asked = []

    class Builder:
        def download_and_prepare(self):
            raise tfds.download.DownloadError("Failed to get url https://example.org/x.\nHTTP code: 404.")

    def builder(name, data_dir):
        asked.append((name, str(data_dir)))
        return Builder()

    monkeypatch.setattr(net, "connection_error", lambda url: None)
    monkeypatch.setattr(tfds, "builder", builder)
    for data_dir in (tmp_path, None):
        with pytest.raises(
            DataUnavailableError, match=r"DownloadError: Failed to get url https://example\.org/x\.; put"
        ):
            data.load("imagenette", data_dir=data_dir)
    home = os.path.expanduser("~/tensorflow_datasets")
    assert asked == [("imagenette/160px-v2", str(tmp_path)), ("imagenette/160px-v2", home)]


def test_every_name_to_download_has_a_host_to_ask():
    for name in data.names():
        entry = catalog.find(name)
        assert (entry.tfds_name is None) == (entry.probe_url is None) == (name == "digits")
        assert tfds.find_prepared(entry, None) is None if entry.tfds_name else True


def test_the_error_for_unavailable_data_describes_them(monkeypatch):
    monkeypatch.setattr(net, "connection_error", lambda url: "no route")
    for name in data.names()[1:]:
        with pytest.raises(DataUnavailableError) as raised:
            data.load(name)
        assert str(raised.value).endswith(f"; {name} is {catalog.find(name).about}")
        assert "\n" not in str(raised.value)


def test_the_catalog_describes_the_crops():
    entries = [catalog.find(name) for name in data.names()]
    assert {entry.name: entry.crop for entry in entries if entry.crop is not None} == {"celeb_a": 108}
    assert "the central 108x108 of each 178x218 picture" in catalog.find("celeb_a").about
    assert "the largest central square" in catalog.find("imagenette").about


# CelebA and Imagenette: tensorflow-datasets' own builders over files laid out like the originals

FACES = {"train": 12, "validation": 5, "test": 4}
TOP, LEFT, SIDE = 55, 35, 108  # of the center of CelebA's pictures, 218 high and 178 wide
SYNSETS = [
    *("n01440764", "n02102040", "n02979186", "n03000684", "n03028079"),
    *("n03394916", "n03417042", "n03425413", "n03445777", "n03888257"),
]


def _face(index):
    """Return a black picture whose central 108x108 encodes the index in red, the row in green, the column in blue."""
    picture = color(0, 0, 0, 218, 178)
    ramp = 100 + np.arange(SIDE) // 2
    center = np.stack([np.full((SIDE, SIDE), 100 + 5 * index), *np.meshgrid(ramp, ramp, indexing="ij")], axis=-1)
    picture[TOP : TOP + SIDE, LEFT : LEFT + SIDE] = center
    return picture


def _face_indices(images):
    quarter = images.shape[1] // 4  # the mean of the inner part: TensorFlow's quick JPEG decoder is off by a few levels
    red = images[:, quarter:-quarter, quarter:-quarter, 0].mean(axis=(1, 2))
    return np.round((red - 100) / 5).astype(int).tolist()


def _write_celeb_a(folder):
    """Write CelebA's archive and lists; return the paths that the builder's downloads would give."""
    count = sum(FACES.values())
    files = [f"{index + 1:06d}.jpg" for index in range(count)]
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for index, file in enumerate(files):
            content = io.BytesIO()
            Image.fromarray(_face(index)).save(content, "JPEG", quality=100, subsampling=0)
            archive.writestr(f"img_align_celeba/{file}", content.getvalue())
    import tensorflow_datasets as tfds

    features = tfds.builder("celeb_a", data_dir=folder / "unused").info.features
    parts = [number for number, role in enumerate(FACES) for _ in range(FACES[role])]
    lists = {"list_eval_partition": [f"{file} {part}" for file, part in zip(files, parts, strict=True)]}
    for list_name, feature in (("list_attr_celeba", "attributes"), ("landmarks_celeba", "landmarks")):
        headings = list(features[feature])
        lists[list_name] = [str(count), " ".join(headings)] + [
            f"{file} {' '.join(['1'] * len(headings))}" for file in files
        ]
    lists["identity_celeba"] = [f"{file} {index}" for index, file in enumerate(files)]
    for list_name, lines in lists.items():
        (folder / f"{list_name}.txt").write_text("\n".join(lines) + "\n")
    return {"img_align_celeba": folder / "img_align_celeba.zip"} | {name: folder / f"{name}.txt" for name in lists}


def _write_imagenette(folder):
    """Write three training files and one validation file per class, of different sizes; return the archive's root.

    The central square is gray, brighter for higher classes and file numbers; the rest is black.
    """
    for role, first, count in (("train", 0, 3), ("val", 3, 1)):
        for label, synset in enumerate(SYNSETS):
            for number in range(first, first + count):
                height, width = [(160, 212), (240, 160), (160, 160), (160, 178)][number]
                picture = color(0, 0, 0, height, width)
                top, left = (height - 160) // 2, (width - 160) // 2
                picture[top : top + 160, left : left + 160] = 40 + 20 * label + 4 * number
                if number == 2:
                    picture = picture[..., 0]  # a gray file, as some of the originals are
                path = folder / "imagenette2-160" / role / synset / f"{synset}_{number}.JPEG"
                write_image(path, picture, quality=100, **({"subsampling": 0} if picture.ndim == 3 else {}))
    return folder


def _prepare(monkeypatch, folder, name, num_shards=None):
    """Let tensorflow-datasets' builder of `name` find its downloads in `folder`; return the list of requested urls."""
    import tensorflow_datasets as tfds

    found = _write_celeb_a(folder) if name == "celeb_a" else _write_imagenette(folder)
    asked = []
    for method in ("download", "download_and_extract"):
        monkeypatch.setattr(tfds.download.DownloadManager, method, lambda self, urls: asked.append(urls) or found)
    if num_shards is not None:
        options = tfds.download.DownloadConfig(num_shards=num_shards)
        tfds.builder(catalog.find(name).tfds_name, data_dir=folder / "tfds").download_and_prepare(
            download_config=options
        )
    return asked


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder with CelebA, in three files a split, and Imagenette, each as tensorflow-datasets prepares it."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name in ("celeb_a", "imagenette"):
            _prepare(monkeypatch, folder, name, num_shards=3)
    return folder / "tfds"


@pytest.fixture(scope="module")
def load_faces(prepared):
    return functools.cache(lambda **options: data.load("celeb_a", data_dir=prepared, **options))


def test_celeb_a_is_the_central_square_resized(load_faces, no_probe):
    faces = load_faces(image_size=None, channels=None)
    assert (faces.source, faces.origin, faces.image_shape) == ("tfds", "celeb_a/2.1.0", (64, 64, 3))
    assert {role: len(getattr(faces, role)) for role in FACES} == FACES
    assert [sorted(_face_indices(getattr(faces, role).images)) for role in FACES] == [
        list(range(12)),
        list(range(12, 17)),
        list(range(17, 21)),
    ]
    assert any("source's own" in note for note in faces.notes)
    assert faces.num_classes == 0 and all(getattr(faces, role).labels is None for role in FACES)


def test_celeb_a_is_cropped_to_the_pixel(prepared, no_probe):
    faces = data.load("celeb_a", data_dir=prepared, image_size=SIDE)
    assert faces.image_shape == (SIDE, SIDE, 3)
    expected = np.stack([_face(index)[TOP : TOP + SIDE, LEFT : LEFT + SIDE] for index in range(21)]).astype(int)
    assert expected.min() == 100  # none of the black around it: one row or column too many is 100 levels off
    for role in FACES:
        images = getattr(faces, role).images
        assert np.abs(images - expected[_face_indices(images)]).max() <= 20  # JPEG blurs a hard edge a little


@pytest.mark.parametrize(
    ("image_size", "channels"),
    [
        (28, None),
        (None, None),
        pytest.param(28, 1, marks=pytest.mark.slow),
        pytest.param(150, None, marks=pytest.mark.slow),
    ],
)
def test_celeb_a_shows_the_same_square_at_every_size(load_faces, no_probe, image_size, channels):
    faces = load_faces(image_size=image_size, channels=channels)
    side = image_size or 64
    assert faces.image_shape == (side, side, channels or 3)
    cut = [Image.fromarray(_face(index)[TOP : TOP + SIDE, LEFT : LEFT + SIDE]) for index in range(sum(FACES.values()))]
    mode = "L" if channels == 1 else "RGB"
    expected = [np.asarray(face.convert(mode).resize((side, side), Image.Resampling.LANCZOS), int) for face in cut]
    for role, first in (("train", 0), ("validation", FACES["train"])):
        images = getattr(faces, role).images
        # Every index has its own brightness, which also works for gray images, unlike _face_indices.
        nearest = [np.argmin([abs(face.mean() - image.mean()) for face in expected]) for image in images]
        assert sorted(nearest) == list(range(first, first + FACES[role]))
        errors = np.abs(images.reshape(-1, *expected[0].shape) - np.stack(expected)[nearest])
        assert errors.mean() < 1.5 and errors.max() <= 25  # the decoder's, most of them at the hard edge


def test_the_description_of_celeb_a_has_the_crop(prepared, load_faces, no_probe):
    faces = load_faces(image_size=28, channels=None)
    description = json.loads(json.dumps(faces.description()))
    assert (faces.crop, description["crop"], description["image_size"]) == (108, 108, 28)
    assert faces.fingerprint == description["fingerprint"] == fingerprint(faces.train, faces.validation, faces.test)
    assert data.load("celeb_a", data_dir=prepared, **faces.options).fingerprint == faces.fingerprint


def test_celeb_a_npz_is_taken_as_it_is(prepared, tmp_path, no_probe):
    faces = np.random.default_rng(0).integers(0, 256, (9, 64, 64, 3), np.uint8)
    write_npz(tmp_path / "celeb_a.npz", x_train=faces, x_test=faces)
    local = data.load("celeb_a", data_dir=tmp_path, validation=0)
    assert (local.source, local.crop, local.description()["crop"]) == ("npz", None, None)
    assert np.array_equal(local.train.images, faces)
    originals = np.stack([_face(index) for index in range(4)])
    write_npz(tmp_path / "celeb_a.npz", x_train=originals, x_test=originals)
    assert np.array_equal(data.load("celeb_a", data_dir=tmp_path).test.images, originals)
    resized = data.load("celeb_a", data_dir=tmp_path, image_size=178).test.images
    assert np.array_equal(resized, originals[:, 20:-20])  # the largest square, not the central 108x108


def test_imagenette_is_the_largest_square_with_its_label(prepared, no_probe):
    nette = data.load("imagenette", data_dir=prepared, validation=6)
    assert (nette.source, nette.origin) == ("tfds", "imagenette/160px-v2/1.0.0")
    assert (nette.image_shape, nette.crop, nette.num_classes) == ((64, 64, 3), None, 10)
    assert [len(split) for split in (nette.train, nette.validation, nette.test)] == [24, 6, 10]
    exact = data.load("imagenette", data_dir=prepared, validation=0, image_size=160)
    assert [len(split) for split in (exact.train, exact.validation, exact.test)] == [30, 0, 10]
    for loaded in (nette, exact):
        seen = []
        for split, numbers in ((loaded.train, range(3)), (loaded.validation, range(3)), (loaded.test, (3,))):
            side = loaded.image_shape[0]
            values = np.round(split.images[:, side // 2, side // 2].mean(axis=-1) / 4).astype(int) - 10
            assert np.array_equal(split.labels, values // 5) and set(values % 5) <= set(numbers)
            seen += [values.tolist()] if numbers != (3,) else []
            edge = 2 if side == 64 else 0  # where it is resized, Lanczos sees some of the black beyond the edge
            inner = split.images[:, edge : side - edge, edge : side - edge].astype(int)
            assert len(split) == 0 or np.abs(inner - 40 - 4 * values[:, None, None, None]).max() <= 14
        assert sorted(sum(seen, [])) == [5 * label + number for label in range(10) for number in range(3)]
    assert sorted(exact.test.labels) == list(range(10))
    small = data.load("imagenette", data_dir=prepared, image_size=28, channels=1)
    assert small.image_shape == (28, 28, 1) and sorted(small.test.labels) == list(range(10))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A celeb_a of 128 pictures, each of one gray, in files of more than the 16 examples that are interleaved."""
    root = tmp_path_factory.mktemp("many")
    counts = {"train": 120, "validation": 4, "test": 4}
    _prepare_tfds(root, "celeb_a", "2.1.0", (108, 108, 3), counts, num_shards=3)
    return root


def test_images_come_in_the_order_of_the_files(many, no_probe):
    import tensorflow as tf

    files = sorted(map(str, many.joinpath("celeb_a", "2.1.0").glob("celeb_a-train.tfrecord-*")))
    assert len(files) == 3
    expected = []
    for file in files:
        for record in tf.data.TFRecordDataset(file).as_numpy_iterator():
            content = tf.train.Example.FromString(record).features.feature["image"].bytes_list.value[0]
            expected.append(Image.open(io.BytesIO(content)).getpixel((0, 0))[0])
    assert sorted(expected) == list(range(120)) != expected
    for seed in range(2):
        tf.random.set_seed(seed)
        train = data.load("celeb_a", data_dir=many, image_size=8).train
        assert train.images[:, 0, 0, 0].tolist() == expected
        assert np.array_equal(train.labels, np.array(expected) % 10)


@pytest.mark.parametrize("name", ["celeb_a", pytest.param("imagenette", marks=pytest.mark.slow)])
def test_what_is_downloaded_is_prepared_and_loaded(monkeypatch, tmp_path, prepared, name):
    """Everything except the download: first through the builder of that name, then from disk."""
    asked = _prepare(monkeypatch, tmp_path, name)
    probed = []
    monkeypatch.setattr(net, "connection_error", probed.append)
    (tmp_path / "tfds").mkdir()
    first, second = (data.load(name, data_dir=tmp_path / "tfds") for _ in range(2))
    assert probed == [catalog.find(name).probe_url] and len(asked) == 1
    host = probed[0].split("/")[2]
    assert host in json.dumps(asked[0])
    assert first.fingerprint == second.fingerprint
    once = data.load(name, data_dir=prepared)
    assert _sorted_images(first.test) == _sorted_images(once.test)
    assert (first.origin, first.crop, first.options) == (once.origin, once.crop, once.options)


def _sorted_images(split):
    return sorted(image.tobytes() for image in split.images)


def test_a_data_set_with_splits_of_its_own_is_in_memory_once(many, no_probe):
    def peak(image_size):
        tracemalloc.start()
        try:
            loaded = data.load("celeb_a", data_dir=many, image_size=image_size)
            return tracemalloc.get_traced_memory()[1], sum(getattr(loaded, role).images.nbytes for role in FACES)
        finally:
            tracemalloc.stop()

    peak(8)  # imports and caches of the first call
    used, needed = peak(200)
    assert needed == 128 * 200 * 200 * 3
    assert needed <= used < 1.2 * needed  # a few pictures at a time


def test_a_data_set_that_is_large_for_the_memory_is_on_the_disk(many, no_probe, monkeypatch, tmp_path):
    inside = data.load("celeb_a", data_dir=many, image_size=8)
    monkeypatch.setattr(storage, "MEMORY_FRACTION", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    outside = data.load("celeb_a", data_dir=many, image_size=8)
    assert outside.fingerprint == inside.fingerprint
    assert all(storage.is_mapped(getattr(outside, role).images) for role in FACES)
    # Not a DataUnavailableError, after which a run would fall back to other data.
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9, 0))
    with pytest.raises(UsageError, match=r"^celeb_a: 120 images of 8x8x3 take .* a disk: .* has 0\.0 GB$") as raised:
        data.load("celeb_a", data_dir=many, image_size=8)
    assert not isinstance(raised.value, DataUnavailableError)
