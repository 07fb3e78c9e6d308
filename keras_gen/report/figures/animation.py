"""Write image frames as an animated GIF or WebP file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from keras_gen.report import run_files
from keras_gen.report.figures import canvas
from keras_gen.utils import checks, image_utils
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.files import atomic_path

MIN_SECONDS, MAX_SECONDS = 0.02, 600.0
"""Limits of a frame's duration. Browsers slow down shorter frames; a GIF can't store much longer ones."""


def animate(frames: np.ndarray, path: str | os.PathLike, seconds: float = 0.5) -> Path:
    """Write frames as an animation that repeats forever, in one atomic step.

    A `.webp` file is lossless, as is a `.gif` file of gray frames; a color `.gif` has 256 colors per frame. Consecutive
    equal frames may be stored as one longer frame.

    Args:
        frames: uint8 array of shape `(n, height, width)`, or `(n, height, width, channels)` with 1 or 3 channels, n at
            least 1, such as the grids of `keras_gen.utils.image_utils.grid` of successive epochs.
        path: file to write, ending in `.gif` or `.webp`.
        seconds: float from 0.02 to 600, duration of a frame; default 0.5. A GIF stores hundredths of a second.

    Returns:
        The path.

    Example:
        >>> animate(images[:10], "digits.gif", seconds=0.2).name
        'digits.gif'
    """
    try:
        frames = np.asarray(frames)
    except ValueError:  # frames of different sizes
        raise UsageError("frames must be of the same size, received: several") from None
    frames = canvas.check_images("frames", frames[..., np.newaxis] if frames.ndim == 3 else frames)
    path = Path(path)
    file_format = {".gif": "GIF", ".webp": "WEBP"}.get(path.suffix.lower())
    if file_format is None:
        raise must_be("path", "a name that ends in .gif or .webp", str(path))
    if not MIN_SECONDS <= checks.positive("seconds", seconds) <= MAX_SECONDS:
        raise must_be("seconds", f"from {MIN_SECONDS} to {MAX_SECONDS:g}", seconds)
    from PIL import Image

    first, *others = (Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in frames)
    options = {"lossless": True} if file_format == "WEBP" else {"optimize": False}
    duration = round(seconds * 1000)
    with atomic_path(path) as temporary:
        first.save(
            temporary, format=file_format, save_all=True, append_images=others, duration=duration, loop=0, **options
        )
    return path


def animate_samples(run: str | os.PathLike, path: str | os.PathLike, seconds: float = 0.5) -> Path:
    """Write the sample grids of a run, one frame per epoch, as an animation.

    Args:
        run: path of a run directory.
        path, seconds: as in `animate`.

    Raises:
        UsageError: as `animate`; also if `run` is not a run directory, or has no grids.
    """
    grids = run_files.read(run).samples
    if not grids:
        raise UsageError(f"run {run} has no grids of samples")
    with image_utils.refuse_large_pictures():
        frames = [image_utils.read_picture(file, ["PNG"], np.asarray) for _, file in grids]
    return animate(frames, path, seconds)
