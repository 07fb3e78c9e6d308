"""Tests of folders of image files: sizes, formats, classes, splits, and errors that name the file."""

import os
import zlib

import numpy as np
import pytest
import tifffile
from data_helpers import color, gray, png, png_chunk, write_image
from PIL import Image

from keras_gen import data
from keras_gen.utils.errors import UsageError

pytestmark = pytest.mark.usefixtures("own_working_directory")


def test_folder_of_squares_of_one_size(tmp_path):
    folder = tmp_path / "squares"
    for value in range(20):
        write_image(folder / f"{value:02d}.png", gray(value))
    squares = data.load(folder, validation=2)
    assert (squares.name, squares.source, squares.image_shape) == ("squares", "folder", (8, 8, 1))
    splits = (squares.train, squares.validation, squares.test)
    assert [len(split) for split in splits] == [16, 2, 2]
    values = [split.images[:, 0, 0, 0].tolist() for split in splits]
    assert sorted(values[0] + values[1] + values[2]) == list(range(20))
    assert all(value == sorted(value) for value in values)  # in the order of paths
    assert all(split.labels is None for split in splits)
    read, tenth, few = squares.notes
    assert (read, "tenth" in tenth) == ("20 images were read from 20 files", True)
    assert few.startswith("only 16 training images")
    assert data.load(str(folder), validation=2).fingerprint == squares.fingerprint


def test_folder_of_mixed_sizes_and_kinds_becomes_64(tmp_path):
    folder = tmp_path / "mixed"
    for index, suffix in enumerate(("png", "jpg", "JPEG", "bmp", "gif", "webp", "tif", "tiff")):
        write_image(folder / f"{index}.{suffix}", color(200, 100, 50, 40 + index, 50))
    (folder / "readme.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "thumbnail.png").write_text("no image")
    mixed = data.load(folder, validation=0)
    assert mixed.image_shape == (64, 64, 3) and len(mixed.train) + len(mixed.test) == 8
    everything = np.concatenate([mixed.train.images, mixed.test.images]).astype(int)
    assert np.abs(everything - (200, 100, 50)).max() <= 6  # JPEG, WebP and GIF lose a little
    assert "64x64" in mixed.notes[0] and "8 different sizes" in mixed.notes[0]
    assert data.load(folder, image_size=16, channels=1).image_shape == (16, 16, 1)
    assert not any("64" in note for note in data.load(folder, image_size=16).notes)


def test_folder_of_equal_oblongs_becomes_64(tmp_path):
    for index in range(3):
        write_image(tmp_path / "wide" / f"{index}.png", gray(0, 10, 20))
    wide = data.load(tmp_path / "wide")
    assert wide.image_shape == (64, 64, 1) and "20x10" in wide.notes[0]


def test_folder_labels_are_sorted_sub_folders(tmp_path):
    folder = tmp_path / "pets"
    for label, name in enumerate(("ant", "bee", "cat")):
        for index in range(5):
            write_image(folder / name / "deeper" / f"{index}.png", gray(10 * label + index))
    pets = data.load(folder, validation=3)
    for split in (pets.train, pets.validation, pets.test):
        assert split.labels.tolist() == (split.images[:, 0, 0, 0] // 10).tolist()
    write_image(folder / "stray.png", gray(0))
    assert data.load(folder, validation=3).train.labels is None


@pytest.mark.parametrize("validation_folder", ["val", "validation", None])
def test_folder_with_splits(tmp_path, validation_folder):
    folder = tmp_path / "pets"
    roles = {"train": 12, "test": 4} | ({validation_folder: 3} if validation_folder else {})
    for number, (role, count) in enumerate(roles.items()):
        for index in range(count):
            write_image(folder / role / ("cat" if index % 2 else "ant") / f"{index}.png", gray(100 * number + index))
    pets = data.load(folder, validation=2)
    expected = [12, 3, 4] if validation_folder else [10, 2, 4]
    assert [len(split) for split in (pets.train, pets.validation, pets.test)] == expected
    assert set(pets.test.images.ravel()) == {100, 101, 102, 103}
    assert pets.test.labels.tolist() == [0, 0, 1, 1]
    assert any("argument validation" in note for note in pets.notes) == bool(validation_folder)


def test_folder_without_test_sub_folder_splits_train(tmp_path):
    for index in range(10):
        write_image(tmp_path / "half" / "train" / f"{index}.png", gray(index))
    half = data.load(tmp_path / "half", validation=0)
    assert (len(half.train), len(half.test)) == (9, 1) and half.train.labels is None


def _framed(value, height, width):
    """Return gray `value` in the largest central square, black around it. The lengths differ by an even number."""
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    picture = color(0, 0, 0, height, width)
    picture[top : top + side, left : left + side] = value
    return picture


def test_a_folder_laid_out_like_imagenette(tmp_path):
    """Splits train and val, ten files each of three classes named by synsets, in JPEG and PNG, of different sizes."""
    folder = tmp_path / "imagenette2-160"
    synsets, sides = ("n01440764", "n02102040", "n02979186"), {}
    for number, role in enumerate(("train", "val")):
        for label, synset in enumerate(synsets):
            for index in range(10):
                value = 20 + 100 * number + 30 * label + 2 * index
                side = sides[value] = 32 + 2 * len(sides)
                height, width = [(side, side + 26), (side + 40, side), (side, side)][index % 3]
                suffix, options = (".JPEG", {"quality": 100, "subsampling": 0}) if index % 2 else (".png", {})
                name = f"{synset}_{index}{suffix}"
                write_image(folder / role / synset / name, _framed(value, height, width), **options)
    nette = data.load(folder)
    assert (nette.source, nette.image_shape, nette.num_classes, nette.crop) == ("folder", (64, 64, 3), 3, None)
    assert [len(split) for split in (nette.train, nette.validation, nette.test)] == [27, 30, 3]
    assert any("60 different sizes: cropped to squares and resized to 64x64" in note for note in nette.notes)
    assert "splits are the sub-folders train (train), val (validation)" in nette.notes

    small = data.load(folder, image_size=32, channels=1)
    assert small.image_shape == (32, 32, 1)
    seen = []
    for split, first in ((small.train, 20), (small.validation, 120), (small.test, 20)):
        values = split.images[:, 16, 16, 0].astype(int)
        # The center is of one gray to its last but one pixel; at the edge Lanczos sees some of the black beyond.
        assert np.abs(split.images[:, 2:-2, 2:-2, 0] - values[:, None, None]).max() <= 3
        assert np.array_equal(split.labels, (values - first + 3) // 30)
        seen.append(np.round(values / 2).astype(int) * 2)
    assert np.abs(np.sort(np.concatenate(seen)) - np.sort(list(sides))).max() <= 2
    assert np.all(np.diff(seen[1]) > 0)  # in the order of paths, classes one after the other

    # To the pixel: a side that is a picture's own isn't resampled, and the square is at the very center.
    for value, side in list(sides.items())[30::7]:
        images = data.load(folder, image_size=side).validation.images
        mine = images[np.argmin(np.abs(images[:, side // 2, side // 2, 0].astype(int) - value))]
        assert np.abs(mine.astype(int) - value).max() <= 12  # JPEG blurs a hard edge a little


def test_a_folder_of_faces_without_classes(tmp_path):
    """Files like img_align_celeba's: 178 wide and 218 high, numbered, no sub-folders."""
    folder = tmp_path / "img_align_celeba"
    for index in range(20):
        options = {"quality": 100, "subsampling": 0}
        write_image(folder / f"{index + 1:06d}.jpg", _framed(50 + 8 * index, 218, 178), **options)
    faces = data.load(folder, validation=4)
    assert (faces.image_shape, faces.num_classes, faces.train.labels) == ((64, 64, 3), 0, None)
    assert [len(split) for split in (faces.train, faces.validation, faces.test)] == [14, 4, 2]
    assert any("images are all 178x218: cropped to squares and resized to 64x64" in note for note in faces.notes)
    # The largest central square; the 108 pixels that the named data set is cut to are not a folder's.
    exact = data.load(folder, validation=4, image_size=178)
    splits = (exact.train, exact.validation, exact.test)
    images = np.concatenate([split.images for split in splits]).astype(int)
    numbers = np.round((images[:, 89, 89, 0] - 50) / 8).astype(int)
    assert np.abs(images - (50 + 8 * numbers)[:, None, None, None]).max() <= 12
    assert sorted(numbers) == list(range(20))
    assert all(np.all(np.diff(split.images[:, 89, 89, 0].astype(int)) > 0) for split in splits)
    assert exact.crop is None and exact.description()["image_size"] == 178


def test_folder_channels_transparency_and_depth(tmp_path):
    folder = tmp_path / "kinds"
    write_image(folder / "a.png", np.dstack([color(10, 20, 30), gray(0)]))  # RGBA, fully transparent
    write_image(folder / "b.png", np.dstack([color(100, 0, 0), gray(51)]))  # a fifth opaque
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(folder / "c.png")
    Image.new("1", (8, 8), 1).save(folder / "d.png")
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(folder / "e.tif")
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 9, 8, 7])
    palette.save(folder / "f.png")
    Image.new("LA", (8, 8), (7, 0)).save(folder / "g.png")
    palette.save(folder / "h.png", transparency=1)
    Image.new("L", (8, 8), 7).save(folder / "i.png", transparency=7)
    for split in ("test", "val"):
        write_image(tmp_path / "all" / split / "x.png", color(1, 2, 3))
    folder.rename(tmp_path / "all" / "train")
    pixels = data.load(tmp_path / "all").train.images[:, 3, 3].tolist()
    assert pixels == [[255] * 3, [224, 204, 204], [156] * 3, [255] * 3, [255, 0, 0], [9, 8, 7], *3 * [[255] * 3]]


def test_folder_is_gray_only_if_every_file_is(tmp_path):
    folder = tmp_path / "grey"
    for index in range(4):
        write_image(folder / f"{index}.png", gray(60))
    Image.fromarray(np.full((8, 8), 256 * 60, np.uint16)).save(folder / "deep.png")
    assert data.load(folder).image_shape == (8, 8, 1)
    assert set(data.load(folder).train.images.ravel()) == {60}
    assert data.load(folder, channels=3).image_shape == (8, 8, 3)
    write_image(folder / "colour.png", color(60, 60, 60))
    assert data.load(folder).image_shape == (8, 8, 3)


def test_folder_turns_pictures_upright(tmp_path):
    sideways = Image.fromarray(np.concatenate([gray(0, 8, 4), gray(250, 8, 4)], axis=1))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to view
    for role in ("train", "test", "val"):
        (tmp_path / "up" / role).mkdir(parents=True)
        for index in range(2):
            sideways.save(tmp_path / "up" / role / f"{index}.png", exif=exif)
    image = data.load(tmp_path / "up").train.images[0, ..., 0]
    assert np.all(image[:4] == 0) and np.all(image[4:] == 250)


def _bomb():
    return png(12_000, 12_000, png_chunk(b"IDAT", zlib.compress(b"")), color=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "can't be read as an image"),
        (b"not an image", "can't be read as an image"),
        (_bomb(), "is too large an image.*decompression bomb"),
    ],
)
def test_a_bad_file_in_a_folder_is_named(tmp_path, content, message):
    for index in range(4):
        write_image(tmp_path / "bad" / f"{index}.png", gray(index))
    (tmp_path / "bad" / "2.png").write_bytes(content)
    with pytest.raises(UsageError, match=rf"bad.2\.png {message}") as raised:
        data.load(tmp_path / "bad")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "tif", "bmp"])
def test_a_truncated_image_is_named(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    for index in range(4):
        write_image(tmp_path / "cut" / f"{index}.{suffix}", noise)
    path = tmp_path / "cut" / f"3.{suffix}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UsageError, match=rf"3\.{suffix} can't be read as an image"):
        data.load(tmp_path / "cut")


def test_folders_that_hold_too_little(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError, match="empty holds no images"):
        data.load(empty)
    for index in range(2):
        write_image(empty / f"{index}.png", gray(0))
    with pytest.raises(UsageError, match="must hold at least 3 images to be split, received: 2"):
        data.load(empty)
    write_image(empty / "2.png", gray(0))
    loaded = data.load(empty)
    assert [len(split) for split in (loaded.train, loaded.validation, loaded.test)] == [1, 1, 1]
    write_image(tmp_path / "halves" / "train" / "0.png", gray(0))
    (tmp_path / "halves" / "test").mkdir()
    with pytest.raises(UsageError, match="test holds no images"):
        data.load(tmp_path / "halves")
    for name in ("val", "validation"):
        write_image(tmp_path / "halves" / name / "0.png", gray(0))
    with pytest.raises(UsageError, match="must hold val or validation, not both"):
        data.load(tmp_path / "halves")


def test_known_names_win_over_folders_unless_written_as_paths(tmp_path):
    for folder in ("digits", "mine"):
        for index in range(3):
            write_image(tmp_path / "work" / folder / f"{index}.png", gray(0))
    assert data.load("digits").source == "embedded"
    assert data.load("./digits").source == "folder"
    assert data.load("mine").source == "folder"
    assert data.load("./mine/").name == "mine"


# What is read, and what is left out


@pytest.fixture
def folder(tmp_path):
    """An empty folder."""
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def everything(folder, **options):
    """Return all images of a folder, sorted by value, and its notes."""
    loaded = data.load(folder, **options)
    images = np.concatenate([split.images for split in (loaded.train, loaded.validation, loaded.test)])
    return images[np.argsort(images.reshape(len(images), -1).mean(axis=1))], "; ".join(loaded.notes)


def test_every_format_that_pillow_reads_and_writes_is_read(folder):
    Image.init()
    count = 0
    for suffix, name in Image.registered_extensions().items():
        outside = name in ("EPS", "PDF", "PALM")  # another program's, or not read by Pillow
        for mode in ("RGB", "L", "P", "1") if name in Image.SAVE and not outside else ():
            try:
                Image.fromarray(color(200, 100, 50, 16, 16)).convert(mode).save(folder / f"{name}{suffix.upper()}")
            except (OSError, ValueError, KeyError):  # this format does not have this mode, or needs a library
                (folder / f"{name}{suffix.upper()}").unlink(missing_ok=True)
                continue
            count += 1
            break
    assert count > 30
    images, notes = everything(folder, image_size=8)
    assert len(images) == count and f"{count} images were read from {count} files" in notes


@pytest.mark.parametrize(
    "names", [("Train", "TEST", "Val"), ("training", "Testing", "valid"), ("train2017", "test", "dev")]
)
def test_splits_are_known_in_usual_spellings(folder, names):
    for number, name in enumerate(names):
        for index in range(4 + number):
            write_image(folder / name / "cat" / f"{index}.png", gray(100 * number))
    write_image(folder / "more" / "a.png", gray(0))
    loaded = data.load(folder)
    for split, value, count in ((loaded.train, 0, 4), (loaded.test, 100, 5), (loaded.validation, 200, 6)):
        assert len(split) == count and set(split.images.ravel()) == {value}
    train, test, validation = names
    assert f"splits are the sub-folders {train} (train), {validation} (validation), {test} (test)" in loaded.notes
    assert any("files and folders next to the splits (1: more)" in note for note in loaded.notes)
    write_image(folder / "TRAINING" / "a.png", gray(0))
    with pytest.raises(UsageError, match="must hold .*TRAINING.*, not both"):
        data.load(folder)


def test_folders_named_like_splits_without_train_are_classes_and_say_so(folder):
    for name in ("cat", "test"):
        for index in range(3):
            write_image(folder / name / f"{index}.png", gray(index))
    assert data.load(folder).class_names == ("cat", "test")
    assert "test: read as classes; splits must be" in everything(folder)[1]


def test_links_are_followed_once(tmp_path):
    folder, elsewhere = tmp_path / "pets", tmp_path / "elsewhere"
    for index in range(5):
        write_image(folder / "dog" / f"{index}.png", gray(100 + index))
        write_image(elsewhere / f"{index}.png", gray(index))
    (folder / "cat").symlink_to(elsewhere)
    (folder / "again").symlink_to(folder / "dog")
    (elsewhere / "up").symlink_to(folder)
    loaded = data.load(folder)
    assert loaded.class_names == ("cat", "dog")
    assert [len(loaded.train), loaded.num_classes] == [8, 2]
    assert all((split.labels == split.images[:, 0, 0, 0] // 100).all() for split in (loaded.train, loaded.test))
    assert any("links to folders that are already read (2: again, up)" in note for note in loaded.notes)
    (folder / "bird").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="bird is a link to a file or folder that can't be found"):
        data.load(folder)
    assert data.load(folder, skip_damaged=True).fingerprint == loaded.fingerprint


def test_a_folder_that_cannot_be_read_is_named(folder, monkeypatch):
    for name in ("cat", "dog"):
        write_image(folder / name / "0.png", gray(0))

    def scandir(path, real=os.scandir):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UsageError, match="dog can't be read as a folder: Permission denied"):
        data.load(folder)


def test_the_notes_count_what_is_left_out(folder):
    for index in range(4):
        write_image(folder / "cat" / f"{index}.png", gray(index))
    for name in (".hidden.png", "cat/a.txt", "b.csv"):
        (folder / name).write_text("no image")
    notes = everything(folder)[1]
    assert "4 images were read from 4 files; left out: files that are not images (2: b.csv, a.txt), " in notes
    assert "hidden files and folders (1: .hidden.png)" in notes
    write_image(folder / "stray.png", gray(9))
    assert "images have no labels, since 1 of 5 are not in a sub-folder (stray.png)" in everything(folder)[1]


def test_damaged_files_are_named_together_or_left_out(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for index in range(30):
        noise = np.random.default_rng(index).integers(0, 256, (8, 8, 1 if index % 2 else 3), np.uint8)
        write_image(cut / f"{index:02d}.png", noise.squeeze())
        write_image(whole / f"{index:02d}.png", noise.squeeze())
    for index in range(0, 30, 2):  # all that are in color
        (whole / f"{index:02d}.png").unlink()
        path = cut / f"{index:02d}.png"
        path.write_bytes(path.read_bytes()[: 100 if index % 4 else 0])
    with pytest.raises(UsageError, match=r"; and 5 more files \(--skip-damaged") as error:
        data.load(cut)
    assert str(error.value).count("can't be read as an image") == 10
    skipped = data.load(cut, skip_damaged=True)
    assert skipped.fingerprint == data.load(whole).fingerprint
    assert any("left out: damaged files (15: " in note for note in skipped.notes)
    assert skipped.description()["skip_damaged"] is True


def test_all_pages_of_a_tiff_are_images_and_the_first_frame_of_an_animation(folder):
    pages = [Image.fromarray(gray(value)) for value in (10, 20, 30, 40)]
    thumbnail = Image.fromarray(gray(99, 2, 2))
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    (folder / "cat").mkdir()
    pages[0].save(folder / "cat" / "a.tif", save_all=True, append_images=[*pages[1:], thumbnail])
    pages[1].save(folder / "cat" / "b.gif", save_all=True, append_images=pages[2:])
    images, notes = everything(folder, channels=1)
    assert images[:, 0, 0, 0].tolist() == [10, 20, 20, 30, 40]
    assert (
        "5 images were read from 2 files; left out: files whose further frames or layers are not read (1: b.gif)"
        in notes
    )
    assert data.load(folder).num_classes == 1


# More than 8 bits


def deep_png(path, values):
    """Write a PNG of 16 bits: `(H, W)`, or `(H, W, bands)` of gray and alpha, color, or color and alpha."""
    height, width = values.shape[:2]
    bands = 1 if values.ndim == 2 else values.shape[2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = png_chunk(b"IDAT", zlib.compress(rows))
    path.write_bytes(png(width, height, content, depth=16, color={1: 0, 2: 4, 3: 2, 4: 6}[bands]))


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_values_of_more_than_8_bits_keep_their_range(tmp_path, bits, bands):
    values = np.random.default_rng(0).integers(0, 2**bits, (6, 8, 8, bands), np.uint16)
    values[:, 0, 0] = 2**bits - 1
    values[0] //= 2  # one rule for the whole folder
    for index, each in enumerate(values):
        deep_png(tmp_path / f"{index}.png", each.squeeze())
    images, notes = everything(tmp_path)
    expected = (values >> (bits - 8)).astype(np.uint8)
    assert {image.tobytes() for image in images} == {image.tobytes() for image in expected}
    assert f"values are up to {2**bits - 1:,}: read as {bits} bits (--bits)" in notes
    loaded = data.load(tmp_path)
    assert loaded.description()["bits"] == bits
    assert data.load(tmp_path, **loaded.options).fingerprint == loaded.fingerprint
    told = everything(tmp_path, bits=16)[0]
    assert {image.tobytes() for image in told} == {image.tobytes() for image in (values >> 8).astype(np.uint8)}
    if bits > 8:
        with pytest.raises(UsageError, match=f"bits must be at least {bits}, since .* has a value of {2**bits - 1:,}"):
            data.load(tmp_path, bits=8)


@pytest.mark.parametrize("opaque", [4095, 65535])
@pytest.mark.parametrize("bands", [2, 4])
def test_alpha_of_16_bits(tmp_path, bands, opaque):
    values = np.full((8, 8, bands), 4000, np.uint16)
    values[0, 0, 0] = 4095
    values[..., -1] = opaque
    values[1, 1, -1] = 0
    for index in range(3):
        deep_png(tmp_path / f"{index}.png", values)
    image = data.load(tmp_path).train.images[0]
    assert image[1, 1].tolist() == [255] * 3 and image[2, 2].tolist() == [4000 >> 4] * 3


def test_values_of_more_than_8_bits_in_other_formats(tmp_path):
    values = np.random.default_rng(0).integers(0, 1000, (8, 8, 3), np.uint16)
    options = {
        "gray": {"data": values[..., 0]},
        "big": {"data": values, "byteorder": ">"},
        "little": {"data": values, "compression": "zlib"},
        "white": {"data": values[..., 0], "photometric": "miniswhite"},
        "float": {"data": (values[..., 0] / 1023).astype(np.float32)},
        "ink": {"data": np.dstack([values, 0 * values[..., :1]]), "photometric": "separated"},
    }
    for name, each in options.items():
        (tmp_path / name).mkdir()
        for index in range(3):
            tifffile.imwrite(tmp_path / name / f"{index}.tif", **each)
    read = {name: data.load(tmp_path / name).train.images[0] for name in options}
    assert np.array_equal(read["gray"][..., 0], values[..., 0] >> 2)
    assert np.array_equal(read["big"], values >> 2) and np.array_equal(read["little"], values >> 2)
    assert np.array_equal(read["white"], 255 - read["gray"])
    assert np.array_equal(read["float"][..., 0], np.rint(values[..., 0] / 1023 * 255))
    assert np.array_equal(read["ink"], 255 - (values >> 2))
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "a.pgm").write_bytes(b"P5 8 8 65535\n" + values[..., 0].astype(">u2").tobytes())
    for name in ("b.jp2", "c.png"):
        Image.fromarray(values[..., 0]).save(tmp_path / "others" / name)
    assert all(np.array_equal(image, read["gray"]) for image in everything(tmp_path / "others")[0])
    planes = values.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path / "gray" / "planes.tif", planes, photometric="rgb", planarconfig="separate")
    with pytest.raises(UsageError, match="planes.tif can't be read .*its 16-bit layout is not supported"):
        data.load(tmp_path / "gray")


def test_pictures_of_16_bits_are_turned_upright(folder):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to view
    values = np.zeros((8, 8), np.uint16)
    values[:, 4:] = 60_000
    for index in range(3):
        Image.fromarray(values).save(folder / f"{index}.png", exif=exif)
    image = data.load(folder).train.images[0, ..., 0]
    assert np.all(image[:4] == 0) and np.all(image[4:] == 60_000 >> 8)
