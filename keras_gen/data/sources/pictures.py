"""Decode picture files: the formats that Pillow itself reads, all pages of a TIFF, values of 8 to 16 bits."""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_gen.data.preprocessing import fit_picture
from keras_gen.utils import image_utils

if TYPE_CHECKING:
    from PIL.Image import Image

_USUAL_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM")
"""Formats that begin with a signature: files of them are often misnamed."""
_FORMATS_OF_PAGES = ("TIFF", "DCX")
_FORMATS_OF_STATED_RANGE = ("PPM", "JPEG2000")  # Pillow scales their values to 16 bits
_GRAY_MODES = ("1", "L", "LA", "La")
_DEEP_MODES = ("I", "F")  # Pillow's names for 16 and 32 bits in one channel, such as I;16
_SUBFILE_TYPE, _BITS_PER_SAMPLE, _PHOTOMETRIC = 254, 258, 262  # tags of a TIFF
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if np.little_endian else "L"}


@dataclass(frozen=True)
class Page:
    """A picture of a file."""

    index: int
    size: tuple[int, int]
    gray: bool
    largest: int | None = None  # the largest value, of more than 8 bits whose range the file does not state


@functools.cache
def formats() -> dict[str, tuple[str, ...]]:
    """Return the suffixes of picture files, each with Pillow's names of the formats that such a file may have.

    They are those of Pillow's registry, without those that it passes to other programs (PostScript), can only identify,
    or that are no pictures (videos).
    """
    from PIL import Image, ImageFile

    suffixes = Image.registered_extensions()  # loads all plugins

    def is_read(name: str) -> bool:
        factory, _ = Image.OPEN.get(name, (None, None))
        is_stub = isinstance(factory, type) and issubclass(factory, ImageFile.StubImageFile)
        return factory is not None and not is_stub and Image.MIME.get(name, "image/").startswith("image/")

    usual = tuple(filter(is_read, _USUAL_FORMATS))
    read = {suffix: (*usual, name) for suffix, name in suffixes.items() if is_read(name)}
    return {**read, ".mpo": usual}  # several JPEG pictures: JPEG's plugin reads them, without being registered


def inspect(path: str | os.PathLike) -> tuple[list[Page], bool]:
    """Return the pages of a picture file, and whether it has further frames or layers, which are not read.

    Raises:
        UsageError: it can't be read.
    """

    def look(picture: Image) -> tuple[list[Page], bool]:
        if picture.format not in _FORMATS_OF_PAGES:
            return [_page(picture, 0)], getattr(picture, "is_animated", False)
        pages = []
        for index in range(picture.n_frames):
            picture.seek(index)
            if not index or not _tag(picture, _SUBFILE_TYPE, 0) & 5:  # no thumbnail or mask of another page
                pages.append(_page(picture, index))
        return pages, False

    return image_utils.read_picture(path, formats()[_suffix(path)], look)


def decode(path: str | os.PathLike, pages: list[Page], image_size: int, channels: int, bits: int) -> np.ndarray:
    """Return pages of a picture file, uint8 `(n, image_size, image_size, channels)`: upright, transparent pixels white.

    Values of more than 8 bits have `bits`, if the file does not state them.

    Raises:
        UsageError: a page can't be read.
    """

    def read(picture: Image) -> np.ndarray:
        from PIL import ImageOps

        images = []
        for page in pages:
            if page.index:
                picture.seek(page.index)
            flat = _flatten(_eight_bits(picture, bits))
            if (orientation := picture.getexif().get(0x0112)) is not None:  # that of the camera
                flat.getexif()[0x0112] = orientation
                flat = ImageOps.exif_transpose(flat)
            images.append(fit_picture(flat, image_size, channels))
        return np.stack(images)

    return image_utils.read_picture(path, formats()[_suffix(path)], read)


def is_picture(path: str | os.PathLike) -> bool:
    """Return whether a file's suffix is that of a picture."""
    return _suffix(path) in formats()


def _suffix(path: str | os.PathLike) -> str:
    return os.path.splitext(path)[1].lower()


def _tag(picture: Image, number: int, default: int) -> int:
    """Return a tag of a TIFF, the largest value if it has several; `default` if it is missing."""
    value = getattr(picture, "tag_v2", {}).get(number, default)
    return max(value) if isinstance(value, tuple) else value


def _page(picture: Image, index: int) -> Page:
    size, gray = picture.size, picture.mode in _GRAY_MODES or picture.mode.startswith(_DEEP_MODES)
    values = _deep_values(picture)
    if values is None or _stated_bits(picture):
        return Page(index, size, gray)
    return Page(index, size, gray, int(values[..., :3].max() if picture.mode == "RGBA" else values.max()))


def _stated_bits(picture: Image) -> int | None:
    if picture.format in _FORMATS_OF_STATED_RANGE:
        return 16
    bits = _tag(picture, _BITS_PER_SAMPLE, 16)
    return bits if 8 < bits < 16 else None


def _deep_values(picture: Image) -> np.ndarray | None:
    """Return the values of a picture of more than 8 bits, `(H, W)` or `(H, W, bands)`; `None` for other pictures."""
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its pixels are neither 8 nor 16 bits")
        return values
    encodings = [tile.args if isinstance(tile.args, str) else str((tile.args or ("",))[0]) for tile in picture.tile]
    if not any(re.search(r";16[BLN]$", encoding) for encoding in encodings):
        if len(picture.getbands()) > 1 and _tag(picture, _BITS_PER_SAMPLE, 8) > 8:
            raise ValueError("its arrangement of 16 bits is not supported")  # Pillow would return noise
        return None
    if encodings[0].startswith("RGBa"):  # Pillow divides by alpha, which is possible with the high bytes only
        return None
    # Of several channels Pillow keeps the high bytes. In the other byte order these are the low ones.
    from PIL import Image

    with Image.open(picture.filename, formats=[picture.format]) as other:
        if picture.tell():
            other.seek(picture.tell())
        other.tile = [_other_bytes(tile) for tile in other.tile]
        low = np.asarray(other)
    if "LA;16B" in encodings:  # read as four bytes a pixel: high and low, of gray and of alpha
        return (low[..., 0::2].astype(np.uint16) << 8 | low[..., 1::2])[..., [0, 0, 0, 1]]
    return np.asarray(picture).astype(np.uint16) << 8 | low


def _other_bytes(tile):
    """Return a tile of Pillow's with its values in the other byte order."""
    is_text = isinstance(tile.args, str)
    encoding = tile.args if is_text else tile.args[0]
    encoding = "RGBA" if encoding == "LA;16B" else encoding[:-1] + _OTHER_ORDER[encoding[-1]]
    return tile._replace(args=encoding if is_text else (encoding, *tile.args[1:]))


def _eight_bits(picture: Image, bits: int) -> Image:
    """Return a picture of up to 16 bits, or of floats in [0, 1], as one of 8 bits."""
    from PIL import Image

    bits = _stated_bits(picture) or bits
    if picture.mode == "F":
        values = np.asarray(picture)
        if not (values.min() >= 0 and values.max() <= 1):
            raise ValueError("its pixels are neither 8 nor 16 bits nor floats in [0, 1]")
        return Image.fromarray(np.rint(values * 255).astype(np.uint8))
    mode, values = picture.mode, _deep_values(picture)
    if values is None:
        return picture
    transparent = picture.info.get("transparency")
    if transparent is not None:  # the one value that is transparent
        mode, values = "RGBA", _with_alpha(values, np.reshape(transparent, -1))
    eight = (values >> (bits - 8)).astype(np.uint8)  # Pillow's own conversion would clip at 255
    if mode == "RGBA" and values[..., 3].max() >> bits:  # an opaque alpha of 16 bits beside values of 12
        eight[..., 3] = values[..., 3] >> 8
    if mode.startswith("I") and _tag(picture, _PHOTOMETRIC, 1) == 0:  # 0 is white
        eight = 255 - eight
    height, width = eight.shape[:2]
    return Image.frombytes("L" if eight.ndim == 2 else mode, (width, height), eight.tobytes())


def _with_alpha(values: np.ndarray, transparent: np.ndarray) -> np.ndarray:
    colors = values[..., np.newaxis].repeat(3, axis=-1) if values.ndim == 2 else values
    alpha = np.where((colors == transparent).all(axis=-1), 0, 65535)
    return np.dstack([colors, alpha])


def _flatten(picture: Image) -> Image:
    """Convert `picture` to mode L or RGB: transparency over white, palettes and CMYK converted."""
    from PIL import Image

    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
