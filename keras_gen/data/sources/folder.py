"""Read a folder of image files of any size, with or without sub-folders for classes and splits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_gen.data import storage
from keras_gen.data.image_data import RawData, Split
from keras_gen.data.preprocessing import fit_picture
from keras_gen.utils import image_utils, progress
from keras_gen.utils.errors import UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
"""Pillow's names of the formats of these files."""
DEFAULT_SIZE = 64
_GRAY_MODES = ("1", "L", "LA", "La")
_DEEP_MODES = ("I", "F")  # Pillow's names for 16 and 32 bits in one channel, such as I;16


def read(folder: Path, image_size: int | None, channels: int | None) -> RawData:
    """Return the images below `folder`, as documented in `keras_gen.data.load`.

    Raises:
        UsageError: there are no images, one can't be read, or they fit neither in memory nor on disk.
    """
    roots, notes = _split_roots(folder)
    files = {role: _image_files(root) for role, root in roots.items()}
    everything = [path for paths in files.values() for path in paths]
    with image_utils.refuse_large_pictures(), ThreadPoolExecutor() as pool:
        headers = []
        with progress.task("inspecting image files", len(everything)) as task:
            for header in pool.map(_read_header, everything):
                headers.append(header)
                task.advance()
        if image_size is None:
            image_size, note = _choose_size(headers)
            notes += note
        channels = channels or (1 if all(header.gray for header in headers) else 3)
        images = {}
        with progress.task("reading image files", len(everything)) as task:
            for role, paths in files.items():
                images[role] = storage.allocate_images(folder, (len(paths), image_size, image_size, channels))
                decoded = pool.map(lambda path: _read_image(path, image_size, channels), paths)
                for target, image in zip(images[role], decoded, strict=True):
                    target[...] = image
                    task.advance()
    labels = _labels(roots, files)
    splits = {role: Split(images[role], labels[role]) for role in roots}
    return RawData(
        source="folder",
        origin=str(folder),
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits.get("test"),
        notes=tuple(notes),
    )


def _split_roots(folder: Path) -> tuple[dict[str, Path], list[str]]:
    if not (folder / "train").is_dir():
        return {"train": folder}, []
    roots = {"train": folder / "train"}
    if (folder / "test").is_dir():
        roots["test"] = folder / "test"
    validation = [folder / name for name in ("val", "validation") if (folder / name).is_dir()]
    if len(validation) > 1:
        raise UsageError(f"{folder} must hold val or validation, not both")
    if validation:
        roots["validation"] = validation[0]
    return roots, [f"splits are the sub-folders {', '.join(sorted(root.name for root in roots.values()))}"]


def _image_files(root: Path) -> list[Path]:
    paths = []
    for parent, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        paths += [Path(parent, name) for name in names if not name.startswith(".") and name.lower().endswith(SUFFIXES)]
    if not paths:
        raise UsageError(f"{root} holds no images ({', '.join(SUFFIXES)})")
    return sorted(paths, key=lambda path: path.relative_to(root).parts)


@dataclass(frozen=True)
class _Header:
    size: tuple[int, int]
    gray: bool


def _read_header(path: Path) -> _Header:
    def inspect(picture: Image) -> _Header:
        return _Header(picture.size, picture.mode in _GRAY_MODES or picture.mode.startswith(_DEEP_MODES))

    return image_utils.read_picture(path, FORMATS, inspect)


def _read_image(path: Path, image_size: int, channels: int) -> np.ndarray:
    def decode(picture: Image) -> np.ndarray:
        from PIL import ImageOps

        upright = ImageOps.exif_transpose(picture)  # apply the camera's orientation
        return fit_picture(_flatten(upright), image_size, channels)

    return image_utils.read_picture(path, FORMATS, decode)


def _flatten(picture: Image) -> Image:
    """Convert `picture` to mode L or RGB: 16 bits scaled to 8, transparency over white, palettes and CMYK converted."""
    from PIL import Image

    if picture.mode.startswith(_DEEP_MODES):
        values = np.asarray(picture)
        if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
            raise ValueError("its pixels are neither 8 nor 16 bits")
        return Image.fromarray((values >> 8).astype(np.uint8))  # Pillow's own conversion would clip at 255
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def _choose_size(headers: list[_Header]) -> tuple[int, list[str]]:
    sizes = {header.size for header in headers}
    width, height = next(iter(sizes))
    if len(sizes) == 1 and width == height:
        return width, []
    problem = f"are all {width}x{height}" if len(sizes) == 1 else f"have {len(sizes)} different sizes"
    return DEFAULT_SIZE, [f"images {problem}: cropped to squares and resized to {DEFAULT_SIZE}x{DEFAULT_SIZE}"]


def _labels(roots: dict[str, Path], files: dict[str, list[Path]]) -> dict[str, np.ndarray | None]:
    """Return labels: the index of each image's top sub-folder among the sorted names; `None` if an image has none."""
    parts = {role: [path.relative_to(roots[role]).parts for path in paths] for role, paths in files.items()}
    if any(len(part) == 1 for part in _flat(parts)):
        return dict.fromkeys(parts)
    index = {name: number for number, name in enumerate(sorted({part[0] for part in _flat(parts)}))}
    return {role: np.array([index[part[0]] for part in paths], np.int64) for role, paths in parts.items()}


def _flat(parts: dict[str, list[tuple[str, ...]]]) -> Iterator[tuple[str, ...]]:
    for paths in parts.values():
        yield from paths
