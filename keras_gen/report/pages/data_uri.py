"""Pictures as data URIs, so that a page has them in itself: figures as SVG or PNG, and the grids that a run saved."""

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
"""Of a grid that is shown whole; of a larger one the first rows are."""

MAX_BYTES = 600_000
"""Of a grid that is shown as it was saved; a larger one becomes a JPEG, so that a page stays small."""

_JPEG_QUALITY = 85
_MAX_FILE_BYTES = 256 * 2**20


def svg(figure: Figure) -> str:
    """A figure of lines as a data URI; its letters are shapes, so that it looks the same everywhere."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "keras_gen"}):  # without one, its parts are named at random
        figure.savefig(buffer, format="svg", dpi=style.DOTS_PER_INCH, metadata={"Date": None, "Creator": None})
    return _data_uri("svg+xml", buffer.getvalue())


def png(figure: Figure) -> str:
    """A figure of images or of very many points as a data URI."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=style.DOTS_PER_INCH, metadata={"Software": None})
    return _data_uri("png", buffer.getvalue())


def grid(path: Path, cell_height: int | None = None, rows: int | None = None) -> str:
    """A grid that `keras_gen.utils.image_utils.grid` laid out and a run saved as PNG, as a data URI.

    Args:
        path: of the PNG file.
        cell_height: height of an image in it, in pixels; None if that is not known, and nothing is cut off.
        rows: how many rows of images to show, the first ones; None for all, up to `MAX_PIXELS`.

    Raises:
        UsageError: the file can't be read, or is no picture.

    Example:
        >>> from keras_gen.utils.image_utils import grid as laid_out, save_png
        >>> save_png("epoch-00001.png", laid_out(images[:4]))
        >>> grid(Path("epoch-00001.png"), cell_height=28, rows=1)[:22]
        'data:image/png;base64,'
    """

    def shown(picture: Image) -> str:
        picture.load()  # all of it: what is shown as it was saved was looked at
        height = _shown_height(picture.size, cell_height, rows)
        if height < picture.height:
            picture = picture.crop((0, 0, picture.width, height))
            content = _encoded(picture, "PNG")
        else:
            content = safe_files.read_bytes(path, _MAX_FILE_BYTES)
        if len(content) > MAX_BYTES:
            return _data_uri("jpeg", _encoded(picture.convert("RGB"), "JPEG", quality=_JPEG_QUALITY))
        return _data_uri("png", content)

    with image_utils.bombs_refused():
        return image_utils.read_picture(path, ["PNG"], shown)


def _shown_height(size: tuple[int, int], cell_height: int | None, rows: int | None) -> int:
    """How many lines of the picture are shown: whole rows of images, with the line below the last."""
    width, height = size
    if cell_height is None:
        return height
    step = checks.positive_int("cell_height", cell_height) + 1
    there = max(1, (height - 1) // step)
    most = there if rows is None else checks.positive_int("rows", rows)
    return min(height, 1 + step * min(there, most, max(1, MAX_PIXELS // (width * step))))


def _encoded(picture, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=file_format, optimize=True, **options)
    return buffer.getvalue()


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
