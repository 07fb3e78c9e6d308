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
_NOT_READ = ("EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG")
"""Formats that Pillow only identifies, or passes to other programs."""
_GRAY_MODES = ("1", "L", "LA", "La")
_DEEP_MODES = ("I", "F")  # Pillow's names for 16 and 32 bits in one channel, such as I;16
_SUBFILE_TYPE, _BITS_PER_SAMPLE, _PHOTOMETRIC = 254, 258, 262  # tags of a TIFF
_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if np.little_endian else "L"}


@dataclass(frozen=True)
class Page:
    """A picture of a file; `largest` is its largest value if the values have more than 8 bits."""

    index: int
    size: tuple[int, int]
    gray: bool
    largest: int | None


def formats_of(path: str | os.PathLike) -> tuple[str, ...]:
    """Return Pillow's names of the formats that a file may have by its suffix: none if it is not a picture's."""
    return _formats().get(os.path.splitext(path)[1].lower(), ())


@functools.cache
def _formats() -> dict[str, tuple[str, ...]]:
    from PIL import Image

    suffixes = Image.registered_extensions()  # loads all plugins
    read = [name for name in Image.OPEN if name not in _NOT_READ]
    usual = tuple(name for name in _USUAL_FORMATS if name in read)
    known = {suffix: (*usual, name) for suffix, name in suffixes.items() if name in read}
    return known | {".mpo": usual}  # several JPEG pictures: JPEG's plugin reads them, without being registered


def inspect(path: str | os.PathLike) -> tuple[list[Page], bool]:
    """Return the pages of a picture file, and whether it has further frames or layers, which are not read.

    Raises:
        UsageError: it can't be read.
    """

    def look(picture: Image) -> tuple[list[Page], bool]:
        if picture.format != "TIFF":
            return [_page(picture, 0)], getattr(picture, "is_animated", False)
        pages = []
        for index in range(picture.n_frames):
            picture.seek(index)
            if not index or not picture.tag_v2.get(_SUBFILE_TYPE, 0) & 5:  # no thumbnail or mask of another page
                pages.append(_page(picture, index))
        return pages, False

    return image_utils.read_picture(path, formats_of(path), look)


def decode(path: str | os.PathLike, pages: list[Page], image_size: int, channels: int, bits: int | None) -> np.ndarray:
    """Return pages of a picture file, uint8 `(n, image_size, image_size, channels)`: upright, transparent pixels white.

    Values of more than 8 bits are taken for `bits` bits.

    Raises:
        UsageError: a page can't be read.
    """

    def read(picture: Image) -> np.ndarray:
        from PIL import ImageOps

        images = []
        for page in pages:
            if page.index:
                picture.seek(page.index)
            upright = ImageOps.exif_transpose(_eight_bits(picture, bits))  # apply the camera's orientation
            images.append(fit_picture(_flatten(upright), image_size, channels))
        return np.stack(images)

    return image_utils.read_picture(path, formats_of(path), read)


def _page(picture: Image, index: int) -> Page:
    size, gray = picture.size, picture.mode in _GRAY_MODES or picture.mode.startswith(_DEEP_MODES)
    values = _deep_values(picture)
    if values is not None and picture.mode == "RGBA":
        values = values[..., :-1]  # without alpha
    return Page(index, size, gray, None if values is None else int(values.max()))


def _deep_values(picture: Image) -> np.ndarray | None:
    """Return the values of a picture of more than 8 bits, `(H, W)` or `(H, W, bands)`; `None` for other pictures."""
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError("its pixels are neither 8 nor 16 bits")
        return values
    tiles = [_in_other_order(tile) for tile in picture.tile]
    if not tiles or None in tiles:
        if len(picture.getbands()) > 1 and np.max(getattr(picture, "tag_v2", {}).get(_BITS_PER_SAMPLE, 8)) > 8:
            raise ValueError("its 16-bit layout is not supported")  # Pillow may return noise
        return None
    # Of several channels Pillow keeps the high bytes. In the other byte order these are the low ones.
    from PIL import Image

    with Image.open(picture.filename, formats=[picture.format]) as other:
        if picture.tell():
            other.seek(picture.tell())
        other.tile = tiles
        low = np.asarray(other)
    if tiles[0].args[0] == "RGBA":  # gray and alpha as high and low bytes
        return low[..., 0::2].astype(np.uint16) << 8 | low[..., 1::2]
    return np.asarray(picture).astype(np.uint16) << 8 | low


def _in_other_order(tile):
    """Return one of Pillow's tiles with its values of 16 bits in the other byte order; `None` for other tiles."""
    arguments = tile.args if isinstance(tile.args, tuple) else (tile.args,)
    found = re.fullmatch("(LA|RGB|RGBA|RGBX|CMYK);16([BLN])", str(arguments[0] if arguments else ""))
    if found is None:
        return None
    encoding = "RGBA" if found[1] == "LA" else f"{found[1]};16{_OTHER_ORDER[found[2]]}"
    return tile._replace(args=(encoding, *arguments[1:]))


def _eight_bits(picture: Image, bits: int) -> Image:
    """Return a picture with values of `bits` bits, or of floats in [0, 1], as one of 8 bits; others unchanged."""
    from PIL import Image

    if picture.mode == "F":
        values = np.asarray(picture)
        if not (values.min() >= 0 and values.max() <= 1):
            raise ValueError("its pixels are neither 8 nor 16 bits nor floats in [0, 1]")
        return Image.fromarray(np.rint(values * 255).astype(np.uint8))
    values = _deep_values(picture)
    if values is None:
        return picture
    eight = (values >> (bits - 8)).astype(np.uint8)  # Pillow's own conversion would clip at 255
    if picture.mode == "RGBA" and values[..., -1].max() >> bits:  # an opaque alpha of 16 bits beside values of 12
        eight[..., -1] = values[..., -1] >> 8
    if eight.ndim == 2 and getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == 0:  # 0 is white
        eight = 255 - eight
    mode = {(): "L", (2,): "LA"}.get(eight.shape[2:], picture.mode)
    result = Image.frombytes(mode, picture.size, eight.tobytes())
    result.info["exif"] = picture.info.get("exif", b"")
    return result


def _flatten(picture: Image) -> Image:
    """Convert `picture` to mode L or RGB: transparency over white, palettes and CMYK converted."""
    from PIL import Image

    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
