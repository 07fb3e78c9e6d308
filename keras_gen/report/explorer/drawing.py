"""Convert drawn and uploaded pictures to images of a model's shape."""

from __future__ import annotations

import numpy as np

from keras_gen.utils import checks
from keras_gen.utils.errors import must_be

INK = 26
"""Minimum brightness that counts as drawn, a tenth of white."""

BOX = 20 / 28
"""Longer side of a centered drawing as a fraction of the image, as in MNIST."""


def to_image(
    picture: np.ndarray, image_shape: tuple[int, int, int], *, invert: bool | None = None, center: bool = False
) -> np.ndarray:
    """Convert a picture of any size to an image of a model's shape.

    Transparent parts become white. For a gray model the picture is converted to luma (ITU-R 601); for a color model a
    gray picture is repeated in three channels. Without `center`, the largest central part with the aspect ratio of the
    image is resized. With `center`, the drawing is scaled and centered as in MNIST (LeCun et al. 1998, "Gradient-based
    learning applied to document recognition"): its longer side becomes 20/28 of the shorter side of the image, and its
    center of mass is moved to the center of the image, as far as the drawing then lies inside.

    Args:
        picture: uint8 array of shape `(H, W)`, or `(H, W, C)` with C = 1 (gray), 2 (gray and alpha), 3 (RGB) or 4
            (RGBA).
        image_shape: tuple `(height, width, channels)` of the model, 1 or 3 channels.
        invert: bool, whether to invert the brightness, e.g. for a drawing in black on white and a model of white on
            black. By default True if the border of the picture is bright (median of at least 128) and the model gray.
        center: bool, whether to scale and center the drawing, i.e. the pixels with a brightness of at least 26 of 255
            after `invert`; default False.

    Returns:
        uint8 array of shape `image_shape`.

    Raises:
        UsageError: if the picture has another type or shape, or `center` is True and nothing is drawn.

    Example:
        >>> paper = np.full((280, 280), 255, np.uint8)
        >>> paper[20:120, 30:60] = 0  # a digit one at the top left
        >>> image = to_image(paper, (28, 28, 1), center=True)
        >>> [f"{axis.min()} to {axis.max()}" for axis in np.nonzero(image[..., 0])]
        ['4 to 23', '11 to 16']
    """
    height, width, channels = image_shape
    picture = _opaque(_check_picture(picture))
    if channels == 1:
        picture = _luma(picture)
    if channels == 1 and _has_bright_border(picture) if invert is None else invert:
        picture = 255 - picture
    if center:
        image = _centered(picture, height, width)
    else:
        image = _resized(_cropped(picture, height, width), height, width)
    return np.broadcast_to(image.reshape(height, width, -1), image_shape).copy()


def with_noise(image: np.ndarray, level: float, seed: int) -> np.ndarray:
    """Add Gaussian noise to an image and clip it, as in the training of a denoiser.

    Args:
        image: uint8 array of any shape.
        level: float of at least 0, standard deviation for brightness from 0 (black) to 1 (white).
        seed: int, seed of the noise.

    Example:
        >>> with_noise(np.full((2, 2), 128, np.uint8), 0.1, seed=0).tolist()
        [[131, 125], [144, 131]]
    """
    level, seed = checks.non_negative("level", level), checks.seed("seed", seed)
    if level == 0:
        return image
    noise = np.random.default_rng(seed).normal(0, level * 255, image.shape)
    return np.clip(np.round(image + noise), 0, 255).astype(np.uint8)


def _check_picture(picture: object) -> np.ndarray:
    requirement = "a uint8 array of shape (H, W) or (H, W, C), C from 1 to 4"
    if not isinstance(picture, np.ndarray):
        raise must_be("picture", requirement, picture)
    shape = picture.shape
    fits = len(shape) == 2 or (len(shape) == 3 and 1 <= shape[2] <= 4)
    if picture.dtype != np.uint8 or not fits or 0 in shape:
        raise must_be("picture", requirement, f"{picture.dtype} of shape {shape}")
    return picture[..., np.newaxis] if len(shape) == 2 else picture


def _opaque(picture: np.ndarray) -> np.ndarray:
    """Blend a picture with a white background, and return it with shape `(H, W, 1)` or `(H, W, 3)`."""
    channels = picture.shape[2]
    if channels in (1, 3):
        return picture
    alpha = picture[..., -1:] / 255
    return np.round(alpha * picture[..., :-1] + (1 - alpha) * 255).astype(np.uint8)


def _luma(picture: np.ndarray) -> np.ndarray:
    from PIL import Image

    return picture if picture.shape[2] == 1 else np.asarray(Image.fromarray(picture).convert("L"))[..., np.newaxis]


def _has_bright_border(picture: np.ndarray) -> bool:
    edges = picture[0], picture[-1], picture[:, 0], picture[:, -1]
    return np.median(np.concatenate(edges)) >= 128


def _resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    picture = picture[..., 0] if picture.shape[2] == 1 else picture
    # Pillow widens the bicubic filter when it shrinks: thin strokes fade instead of vanishing.
    resized = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))
    return resized.reshape(height, width, -1)


def _cropped(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the largest central part with the aspect ratio of `height` to `width`."""
    rows, columns = picture.shape[:2]
    scale = min(rows / height, columns / width)
    kept_rows, kept_columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (rows - kept_rows) // 2, (columns - kept_columns) // 2
    return picture[top : top + kept_rows, left : left + kept_columns]


def _centered(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale and center the bright part of a picture on a black image of the given size."""
    rows, columns = np.nonzero(picture.max(axis=2) >= INK)
    if len(rows) == 0:
        received = f"brightness from {picture.min()} to {picture.max()}"
        raise must_be("picture", "one that is not blank", received)
    ink = picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scale = BOX * min(height, width) / max(ink.shape[:2])
    ink = _resized(ink, max(1, round(ink.shape[0] * scale)), max(1, round(ink.shape[1] * scale)))
    mass = ink.max(axis=2).astype(float) + 1e-9  # a center also for strokes that vanished when scaled
    image = np.zeros((height, width, picture.shape[2]), np.uint8)
    top = _start(mass.sum(axis=1), height)
    left = _start(mass.sum(axis=0), width)
    image[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return image


def _start(masses: np.ndarray, size: int) -> int:
    """Return the offset in `size` pixels that moves the center of mass to the middle and keeps all masses inside."""
    center = np.average(np.arange(len(masses)) + 0.5, weights=masses)
    return int(np.clip(round(size / 2 - center), 0, size - len(masses)))
