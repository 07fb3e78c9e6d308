"""Read the 1,797 digits that come with scikit-learn, in MNIST's layout, without a download."""

from __future__ import annotations

import numpy as np

from keras_gen.data.image_data import RawData, Split

_TRAIN = 1500
_SIDE, _MARGIN = 20, 4


def read() -> RawData:
    """Return 28x28 digits: 1,500 for training, the last 297 for test.

    The original is ordered by writer, so the writers of the test digits are not in the training set.
    """
    from skimage.transform import resize
    from sklearn.datasets import load_digits

    digits = load_digits()
    small = digits.data / 16  # rows of 8x8 pixels
    # A resized image is a weighted sum of resized single pixels: one product in place of 1,797 calls.
    pixels = np.eye(small.shape[1]).reshape(-1, *digits.images.shape[1:])
    resized = np.stack([resize(pixel, (_SIDE, _SIDE), order=3, mode="constant", clip=False) for pixel in pixels])
    large = small @ resized.reshape(len(pixels), -1)
    large = np.clip(large, 0, small.max(axis=1, keepdims=True))  # cubic splines overshoot
    images = np.zeros((len(small), _SIDE + 2 * _MARGIN, _SIDE + 2 * _MARGIN, 1), np.uint8)
    inner = slice(_MARGIN, _MARGIN + _SIDE)  # MNIST's layout: a 20x20 digit with a margin of 4
    images[:, inner, inner, 0] = np.rint(large * 255).reshape(-1, _SIDE, _SIDE)
    labels = digits.target.astype(np.int64)
    return RawData(
        source="embedded",
        origin="sklearn.datasets.load_digits",
        train=Split(images[:_TRAIN], labels[:_TRAIN]),
        validation=None,
        test=Split(images[_TRAIN:], labels[_TRAIN:]),
    )
