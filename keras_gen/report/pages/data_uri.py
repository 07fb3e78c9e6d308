"""Encode pictures as data URIs to embed in a page: figures as SVG or PNG, and the image grids saved by a run."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from keras_gen.report.figures import style
from keras_gen.utils import checks, image_utils, safe_files

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

MAX_PIXELS = 2_000_000
"""Maximum number of pixels of a grid; a larger grid is cut to its first rows."""

MAX_BYTES = 600_000
"""Maximum size of a grid that is embedded as PNG; a larger one is converted to JPEG, which keeps the page small."""

_JPEG_QUALITY = 85
_MAX_FILE_BYTES = 256 * 2**20


def svg(figure: Figure) -> str:
    """Return a figure as an SVG data URI, for line plots; text is drawn as paths, so it looks the same everywhere."""
    buffer = io.BytesIO()
    style.write(figure, buffer, "svg")
    return _data_uri("svg+xml", buffer.getvalue())


def png(figure: Figure) -> str:
    """Return a figure as a PNG data URI, for images and plots of many points."""
    buffer = io.BytesIO()
    style.write(figure, buffer, "png")
    return _data_uri("png", buffer.getvalue())


def dark_png(figure: Figure) -> str:
    """Return a figure as a PNG data URI for dark screens; the figure itself becomes dark."""
    style.darken(figure)
    return png(figure)


def grid(path: Path, cell_height: int | None = None, rows: int | None = None) -> str:
    """Return a PNG file of `keras_gen.utils.image_utils.grid` as a data URI, or raise `UsageError` if it can't be read.

    Args:
        path: path of the PNG file.
        cell_height: int, height of an image of the grid in pixels; None if unknown, in which case nothing is cut off.
        rows: int, number of rows of images to show, from the first on; None for all, up to `MAX_PIXELS`.
    """

    def encode(picture: Image) -> str:
        picture.load()  # decode the whole file, to check also what is embedded unchanged
        height = _shown_height(picture.size, cell_height, rows)
        if height < picture.height:
            picture = picture.crop((0, 0, picture.width, height))
            content = _encoded(picture, "PNG")
        else:
            content = safe_files.read_bytes(path, _MAX_FILE_BYTES)
        if len(content) > MAX_BYTES:
            return _data_uri("jpeg", _encoded(picture.convert("RGB"), "JPEG", quality=_JPEG_QUALITY))
        return _data_uri("png", content)

    with image_utils.refuse_large_pictures():
        return image_utils.read_picture(path, ["PNG"], encode)


def _shown_height(size: tuple[int, int], cell_height: int | None, rows: int | None) -> int:
    """Return the height in pixels to show: whole rows of images, including the line below the last."""
    width, height = size
    if cell_height is None:
        return height
    step = checks.positive_int("cell_height", cell_height) + 1
    available = max(1, (height - 1) // step)
    requested = available if rows is None else checks.positive_int("rows", rows)
    return min(height, 1 + step * min(available, requested, max(1, MAX_PIXELS // (width * step))))


def _encoded(picture, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=file_format, optimize=True, **options)
    return buffer.getvalue()


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
