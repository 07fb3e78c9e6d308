"""Bringing images to one size, one number of channels, and black and white."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

import numpy as np

from keras_gen import progress
from keras_gen.errors import UsageError, must_be

if TYPE_CHECKING:
    from PIL.Image import Image

BINARIZE = ("threshold", "stochastic")


def empty_stack(where: object, shape: tuple[int, int, int, int]) -> np.ndarray:
    """Room for uint8 images of that shape, not filled.

    Raises:
        UsageError: this machine has not the memory; `where` says what the images are of.

    Example:
        >>> empty_stack("digits", (10, 28, 28, 1)).shape
        (10, 28, 28, 1)
    """
    # An allocation alone may succeed, and the process be killed when the images come.
    if math.prod(shape) < _memory():
        try:
            return np.empty(shape, np.uint8)
        except MemoryError:
            pass
    count, height, width, channels = shape
    raise UsageError(
        f"{where}: {count:,} images of {height}x{width}x{channels} are {math.prod(shape) / 1e9:,.1f} GB, "
        "more than there is memory for; a smaller image_size takes less"
    )


def _memory() -> float:
    """Bytes of this machine's memory; infinity where the system doesn't say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return math.inf


def fit_stack(images: np.ndarray, image_size: int | None, channels: int | None) -> np.ndarray:
    """Crop each image to its central square, resize it, and convert between grey and colour.

    Args:
        images: uint8, shape `(N, height, width, 1 or 3)`.
        image_size: side of the square; `None` leaves height and width as they are.
        channels: 1 (luma of ITU-R BT.601) or 3; `None` leaves them as they are.

    Returns:
        uint8; `images` itself if nothing has to change.
    """
    _, height, width, present = images.shape
    channels = channels or present
    side = None if image_size in (None, height) and image_size in (None, width) else image_size
    if side is None and channels == present:
        return images
    from PIL import Image

    result = empty_stack("the data", (len(images), side or height, side or width, channels))
    with progress.step("resizing images" if side else "converting images", len(images)) as step:
        for index, image in enumerate(images):
            picture = Image.fromarray(image[..., 0] if present == 1 else image)
            result[index] = fit_picture(picture, side, channels)
            step.advance()
    return result


def fit_picture(picture: Image, image_size: int | None, channels: int, crop: int | None = None) -> np.ndarray:
    """Cut the central square out of a picture, resize it (Lanczos), and convert between grey and colour.

    Args:
        picture: a Pillow image of mode L or RGB.
        image_size: side of the result; `None` for no resizing.
        channels: 1 (luma of ITU-R BT.601) or 3.
        crop: side of the square that is cut out, at `(length - crop) // 2` of height and width; what lies outside
            has no influence on the result. `None` for the largest square, or the whole picture if it isn't resized.

    Returns:
        uint8, shape `(height, width, channels)`.

    Raises:
        UsageError: `crop` is larger than the picture. A smaller square would show something else.

    Example:
        >>> from PIL import Image
        >>> fit_picture(Image.new("RGB", (178, 218)), 28, 3, crop=108).shape
        (28, 28, 3)
    """
    from PIL import Image, ImageOps

    picture = picture.convert("L" if channels == 1 else "RGB")
    if crop is not None:
        width, height = picture.size
        if crop > min(width, height):
            raise must_be("crop", f"at most the shorter side of a picture of {width}x{height}", crop)
        left, top = (width - crop) // 2, (height - crop) // 2
        # Cut, and not given to the resizing as its box: Lanczos would look beyond the box's edge.
        picture = picture.crop((left, top, left + crop, top + crop))
    if image_size is not None and picture.size != (image_size, image_size):
        picture = ImageOps.fit(picture, (image_size, image_size), Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(picture.height, picture.width, channels)


def binarize(images: np.ndarray, rule: str | None, generator: np.random.Generator) -> np.ndarray:
    """`images` with every value 0 or 255; see `load` for the rules. uint8 of any shape to the same shape."""
    if rule is None:
        return images
    if rule == "threshold":
        return np.where(images >= 128, np.uint8(255), np.uint8(0))
    # A draw is one of 0..254, each as likely: below the pixel with probability pixel / 255 exactly.
    draws = generator.integers(0, 255, size=images.shape, dtype=np.uint8)
    return np.where(draws < images, np.uint8(255), np.uint8(0))
