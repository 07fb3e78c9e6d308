"""Bringing images to one size, one number of channels, and black and white."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

BINARIZE = ("threshold", "stochastic")


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

    result = np.empty((len(images), side or height, side or width, channels), np.uint8)
    for index, image in enumerate(images):
        picture = Image.fromarray(image[..., 0] if present == 1 else image)
        result[index] = fit_picture(picture, side, channels)
    return result


def fit_picture(picture: Image, image_size: int | None, channels: int) -> np.ndarray:
    """One Pillow picture (mode L or RGB) as uint8 `(height, width, channels)`, cropped and resized (Lanczos)."""
    from PIL import Image, ImageOps

    picture = picture.convert("L" if channels == 1 else "RGB")
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
