"""Crop, resize, convert and binarize images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keras_gen.data import storage
from keras_gen.utils import progress
from keras_gen.utils.errors import must_be

if TYPE_CHECKING:
    from PIL.Image import Image


def choose_bits(bits: int | None, largest: int | None, origin: str) -> tuple[int | None, list[str]]:
    """Return the bits of values up to `largest`, as given or the fewest of 8, 10, 12 and 16, and notes.

    `largest` is that of the whole data set; `None` if all are stored as 8 bits. `origin` is named in errors.

    Raises:
        UsageError: `bits` do not hold the largest value.

    Example:
        >>> choose_bits(None, 4000, "scans")
        (12, ['values are up to 4,000: read as 12 bits (--bits)'])
    """
    if largest is None:
        return None, []
    if bits is None:
        bits = next(candidate for candidate in (8, 10, 12, 16) if not largest >> candidate)
        return bits, [f"values are up to {largest:,}: read as {bits} bits (--bits)"]
    if largest >> bits:
        raise must_be("bits", f"at least {largest.bit_length()}, since {origin} has a value of {largest:,}", bits)
    return bits, []


def fit_stack(images: np.ndarray, image_size: int | None, channels: int | None) -> np.ndarray:
    """Return uint8 images `(N, height, width, 1 or 3)` as of `fit_picture`: themselves if nothing has to change.

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
    with progress.task("resizing images" if side else "converting images", len(images)) as task:
        for index, image in enumerate(images):
            picture = Image.fromarray(image[..., 0] if present == 1 else image)
            result[index] = fit_picture(picture, side, channels)
            task.advance()
    return result


def fit_picture(picture: Image, image_size: int | None, channels: int, crop: int | None = None) -> np.ndarray:
    """Crop a picture to its central square, resize it (Lanczos), and convert it to uint8 `(height, width, channels)`.

    Args:
        picture: a Pillow image of mode L or RGB.
        image_size: int, side of the result; `None` for no resizing.
        channels: int, 1 (luma of ITU-R BT.601) or 3.
        crop: int, side of the square that is cut out, at `(length - crop) // 2` of height and width. `None` for the
            largest square, or the whole picture if it isn't resized.

    Example:
        >>> from PIL import Image
        >>> fit_picture(Image.new("RGB", (178, 218)), 28, 3, crop=108).shape
        (28, 28, 3)
    """
    from PIL import Image

    picture = picture.convert("L" if channels == 1 else "RGB")
    width, height = picture.size
    if crop is None and image_size is not None:
        crop = min(width, height)
    if crop is not None:
        left, top = (width - crop) // 2, (height - crop) // 2
        # Crop first: given a box instead, Lanczos would read pixels beyond its edge, or between two pixels.
        picture = picture.crop((left, top, left + crop, top + crop))
    if image_size is not None:
        picture = picture.resize((image_size, image_size), Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(picture.height, picture.width, channels)


def binarize(images: np.ndarray, rule: str | None, generator: np.random.Generator) -> np.ndarray:
    """Set every value of uint8 `images` to 0 or 255 by one of `load`'s rules; return them themselves without a rule.

    Raises:
        UsageError: the result fits neither in memory nor on disk.

    Example:
        >>> binarize(np.array([0, 127, 128], np.uint8), "threshold", np.random.default_rng(0)).tolist()
        [0, 0, 255]
    """
    if rule is None:
        return images
    result = storage.allocate_images("the data", images.shape)
    draws = np.empty(0, np.uint8)
    with progress.task("binarizing images", len(images)) as task:
        for chunk in storage.slices(images.shape):
            gray = images[chunk]
            limits = np.uint8(127)
            if rule == "stochastic":
                # The draws of one `generator.integers(0, 255, images.shape, np.uint8)`, but with less memory: NumPy
                # skips zero bytes, subtracts one from the others, and drops the rest of the last 4 bytes. A draw is
                # uniform on 0..254: below the pixel with probability pixel / 255 exactly.
                while (missing := gray.size - len(draws)) > 0:
                    fresh = np.frombuffer(generator.bytes(-(-missing // 4) * 4), np.uint8)
                    draws = np.concatenate([draws, fresh[fresh > 0] - np.uint8(1)])
                limits, draws = draws[: gray.size].reshape(gray.shape), draws[gray.size :]
            result[chunk] = np.where(limits < gray, np.uint8(255), np.uint8(0))
            task.advance(len(gray))
    return result
