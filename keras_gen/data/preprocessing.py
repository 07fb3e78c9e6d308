"""Crop, resize, convert and binarize images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keras_gen.data import storage
from keras_gen.utils import progress
from keras_gen.utils.errors import must_be

if TYPE_CHECKING:
    from PIL.Image import Image


def fit_stack(images: np.ndarray, image_size: int | None, channels: int | None) -> np.ndarray:
    """Crop each image to its central square, resize it, and convert between gray and color.

    Args:
        images: uint8, shape `(N, height, width, 1 or 3)`.
        image_size: int, side of the square; `None` keeps height and width.
        channels: int, 1 (luma of ITU-R BT.601) or 3; `None` keeps them.

    Returns:
        uint8; `images` itself if nothing has to change.

    Raises:
        UsageError: the result fits neither in memory nor on disk.
    """
    _, height, width, present = images.shape
    channels = channels or present
    side = None if image_size in (None, height) and image_size in (None, width) else image_size
    if side is None and channels == present:
        return images
    from PIL import Image

    result = storage.allocate_images("the data", (len(images), side or height, side or width, channels))
    with progress.task("resizing images" if side else "converting images", len(images)) as step:
        for index, image in enumerate(images):
            picture = Image.fromarray(image[..., 0] if present == 1 else image)
            result[index] = fit_picture(picture, side, channels)
            step.advance()
    return result


def fit_picture(picture: Image, image_size: int | None, channels: int, crop: int | None = None) -> np.ndarray:
    """Crop a picture to its central square, resize it (Lanczos), and convert between gray and color.

    Args:
        picture: a Pillow image of mode L or RGB.
        image_size: int, side of the result; `None` for no resizing.
        channels: int, 1 (luma of ITU-R BT.601) or 3.
        crop: int, side of the square that is cut out, at `(length - crop) // 2` of height and width; pixels outside
            do not affect the result. `None` for the largest square, or the whole picture if it isn't resized.

    Returns:
        uint8, shape `(height, width, channels)`.

    Raises:
        UsageError: `crop` is larger than the picture.

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
        # Crop first: given a box instead, Lanczos would read pixels beyond its edge.
        picture = picture.crop((left, top, left + crop, top + crop))
    if image_size is not None and picture.size != (image_size, image_size):
        picture = ImageOps.fit(picture, (image_size, image_size), Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(picture.height, picture.width, channels)


def binarize(images: np.ndarray, rule: str | None, generator: np.random.Generator) -> np.ndarray:
    """Set every value of `images` to 0 or 255; see `load` for the rules.

    Args:
        images: uint8, shape `(N, ...)`.
        rule: str, one of `checks.BINARIZE`, or `None` to return `images` itself.
        generator: random generator for "stochastic".

    Raises:
        UsageError: the result fits neither in memory nor on disk.

    Example:
        >>> binarize(np.array([0, 127, 128], np.uint8), "threshold", np.random.default_rng(0)).tolist()
        [0, 0, 255]
    """
    if rule is None:
        return images
    result = storage.allocate_images("the data", images.shape)
    draws = _Draws(generator)
    with progress.task("binarizing images", len(images)) as step:
        for chunk in storage.slices(images.shape):
            gray = images[chunk]
            # A draw is uniform on 0..254: below the pixel with probability pixel / 255 exactly.
            limits = np.uint8(127) if rule == "threshold" else draws.next(gray.size).reshape(gray.shape)
            result[chunk] = np.where(limits < gray, np.uint8(255), np.uint8(0))
            step.advance(len(gray))
    return result


class _Draws:
    """The draws of one call of `generator.integers(0, 255, n, np.uint8)`, in chunks. Several calls give other draws.

    NumPy takes the bytes of 32-bit words, lowest first, skips zeros, subtracts one from the others, and drops the
    unused bytes of the last word when the call ends.
    """

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator, self._ready = generator, np.empty(0, np.uint8)

    def next(self, count: int) -> np.ndarray:
        """Return the next draws, shape `(count,)`."""
        while len(self._ready) < count:
            words = -(-(count - len(self._ready)) // 4)  # no more than needed: the generator is used afterwards
            fresh = self._generator.integers(0, 2**32, words, np.uint32).astype("<u4", copy=False).view(np.uint8)
            self._ready = np.concatenate([self._ready, fresh[fresh > 0] - np.uint8(1)])
        drawn, self._ready = self._ready[:count], self._ready[count:]
        return drawn
