"""Utilities for images: value ranges, conversion to uint8, grids, safe reading, PNG files."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from keras_gen.utils import safe_files
from keras_gen.utils.errors import UsageError, must_be, one_line
from keras_gen.utils.files import atomic_path

if TYPE_CHECKING:
    from PIL.Image import Image

Result = TypeVar("Result")

VALUE_RANGES = ((0.0, 1.0), (-1.0, 1.0))


def check_value_range(value: object) -> tuple[float, float]:
    """Return `value` as one of the two supported ranges, (0, 1) and (-1, 1)."""
    try:
        low, high = (float(bound) for bound in value)
    except (TypeError, ValueError):
        raise must_be("value_range", "(0, 1) or (-1, 1)", value) from None
    if (low, high) not in VALUE_RANGES:
        raise must_be("value_range", "(0, 1) or (-1, 1)", value)
    return low, high


def grid(images: np.ndarray, *, columns: int | None = None, padding: int = 1) -> np.ndarray:
    """Arrange images row by row in one picture.

    Args:
        images: uint8, shape `(n, height, width, channels)` with 1 or 3 channels, n at least 1.
        columns: int, images in a row. Defaults to the square root of n, rounded up.
        padding: int, mid-gray pixels between and around images; empty cells are mid-gray, too. Defaults to 1.

    Returns:
        uint8 of shape `(rows, columns)` cells: `(H, W)` for gray images, `(H, W, 3)` for color ones.

    Example:
        >>> grid(np.zeros((5, 28, 28, 1), "uint8")).shape
        (59, 88)
    """
    from skimage.util import montage

    count, channels = len(images), images.shape[-1]
    columns = columns or math.ceil(math.sqrt(count))
    shape = (math.ceil(count / columns), columns)
    picture = montage(images, fill=[128] * channels, grid_shape=shape, padding_width=padding, channel_axis=-1)
    return picture[..., 0] if channels == 1 else picture


def split_grid(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the images of a picture that `grid` made with its default padding, empty cells included.

    Args:
        picture: uint8, `(H, W)` or `(H, W, 3)`.
        height, width: int, size of an image.

    Returns:
        uint8 of shape `(rows, columns, height, width, channels)`.

    Example:
        >>> split_grid(grid(np.zeros((5, 28, 28, 1), "uint8")), 28, 28).shape
        (2, 3, 28, 28, 1)
    """
    picture = picture.reshape(*picture.shape[:2], -1)[1:, 1:]
    cells = picture.reshape(picture.shape[0] // (height + 1), height + 1, -1, width + 1, picture.shape[-1])
    return cells.swapaxes(1, 2)[:, :, :height, :width]


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Return images in [0, 1] as uint8, rounded. Values beyond the range are clipped.

    Args:
        images: float array or tensor of any shape.

    Raises:
        UsageError: values are not finite.

    Example:
        >>> to_uint8(np.array([0.0, 0.5, 1.0])).tolist()
        [0, 128, 255]
    """
    images = np.asarray(images)
    if not np.isfinite(images).all():
        raise UsageError("the model returns images with values that are not finite")
    return np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)


@contextlib.contextmanager
def refuse_large_pictures() -> Iterator[None]:
    """Make Pillow raise an error instead of a warning for pictures of more than 89 million pixels. Not thread-safe."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_picture(path: str | os.PathLike, formats: Sequence[str], use: Callable[[Image], Result]) -> Result:
    """Open an untrusted picture file safely and return `use(picture)`.

    Args:
        path: str or path of the file.
        formats: sequence of str, Pillow's names of the allowed formats. Others are not tried, whatever the file's
            name: Pillow would pass PostScript to an external program.
        use: callable that gets the opened picture, whose pixels are not read yet.

    Raises:
        UsageError: the file can't be opened, is of another format, damaged, or too large.

    Example:
        >>> save_png("white.png", np.full((28, 28), 255, np.uint8))
        >>> read_picture("white.png", ["PNG"], lambda picture: picture.size)
        (28, 28)
    """
    from PIL import Image

    try:
        safe_files.check_regular_file(path)
        with Image.open(path, formats=formats) as picture:
            return use(picture)
    except UsageError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UsageError(f"{path} is too large an image: {one_line(error)}") from error
    except Exception as error:  # which exception Pillow raises depends on the format
        raise UsageError(f"{path} can't be read as an image: {one_line(error)}") from error


def save_png(path: str | os.PathLike, picture: np.ndarray, *, colors: int | None = None) -> None:
    """Write a uint8 picture, `(H, W)` or `(H, W, 3)`, as a PNG file atomically.

    Args:
        path: str or path, the file to write.
        picture: uint8 array.
        colors: int or None, number of colors to which a color picture is reduced, at most 256, so that the file is
            smaller. Defaults to None, all colors.
    """
    from PIL import Image

    image = Image.fromarray(picture)
    if colors is not None and image.mode == "RGB":
        image = image.quantize(colors)
    with atomic_path(path) as temporary:
        image.save(temporary, format="png", optimize=colors is not None)
