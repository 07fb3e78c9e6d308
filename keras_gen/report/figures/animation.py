"""Frames as an animated picture file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from keras_gen.report import run_files
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.files import atomic_path

SHORTEST, LONGEST = 0.02, 600.0
"""Seconds of a frame. Browsers slow down what is shorter; a GIF has no number for much more."""


def animate(frames: np.ndarray, path: str | os.PathLike, seconds: float = 0.5) -> Path:
    """Write frames as a picture that repeats for ever, in one atomic step.

    A `.webp` keeps every pixel as it is. So does a `.gif` of gray frames; one in color has 256 colors a frame. Equal
    frames that follow each other may be stored as one that stays longer.

    Args:
        frames: uint8, shape `(n, height, width)`, or `(n, height, width, channels)` with 1 or 3 channels, n at least 1;
            such as the pictures of `keras_gen.utils.image_utils.grid` after one epoch after the other.
        path: of the file, ending in `.gif` or `.webp`.
        seconds: that each frame stays, from 0.02 to 600. A GIF counts in hundredths.

    Returns:
        The path.

    Raises:
        UsageError: other frames, another ending, or seconds out of range.

    Example:
        >>> animate(images[:10], "digits.gif", seconds=0.2).name
        'digits.gif'
    """
    frames = _check_frames(frames)
    path = Path(path)
    file_format = {".gif": "GIF", ".webp": "WEBP"}.get(path.suffix.lower())
    if file_format is None:
        raise must_be("path", "a name that ends in .gif or .webp", str(path))
    if not SHORTEST <= checks.positive("seconds", seconds) <= LONGEST:
        raise must_be("seconds", f"from {SHORTEST} to {LONGEST:g}", seconds)
    from PIL import Image

    first, *others = (Image.fromarray(frame) for frame in frames)
    options = {"lossless": True} if file_format == "WEBP" else {"optimize": False}
    duration = round(seconds * 1000)
    with atomic_path(path) as temporary:
        first.save(
            temporary, format=file_format, save_all=True, append_images=others, duration=duration, loop=0, **options
        )
    return path


def animate_samples(run: str | os.PathLike, path: str | os.PathLike, seconds: float = 0.5) -> Path:
    """Write a run's sample grids, epoch after epoch, as a picture that moves.

    Args:
        run: the run directory.
        path, seconds: as in `animate`.

    Raises:
        UsageError: as in `animate`; `run` is no run directory, or has no grids.

    Example:
        >>> settings = keras_gen.runs.settings.RunSettings("vae-mlp", dataset="digits", epochs=2, fid_every=0)
        >>> animate_samples(keras_gen.training.run(settings), "samples.webp").name
        vae-mlp (R2) on digits ...
        'samples.webp'
    """
    from PIL import Image

    pictures = run_files.read(run).samples
    if not pictures:
        raise UsageError(f"run {run} has no grids of samples")
    frames = []
    for _, file in pictures:
        with Image.open(file) as picture:
            frames.append(np.asarray(picture))
    return animate(np.stack(frames), path, seconds)


def _check_frames(value: object) -> np.ndarray:
    try:
        frames = np.asarray(value)
    except ValueError:  # frames of different sizes
        raise UsageError("frames must be of one size, received: several") from None
    gray = frames.ndim == 3 or (frames.ndim == 4 and frames.shape[3] == 1)
    color = frames.ndim == 4 and frames.shape[3] == 3
    if frames.dtype != np.uint8 or not (gray or color) or not frames.size:
        shape = "(n, height, width) or (n, height, width, 1 or 3), none of them 0"
        raise UsageError(f"frames must be uint8 of shape {shape}, received: {frames.dtype} of shape {frames.shape}")
    return frames[..., 0] if frames.ndim == 4 and gray else frames
