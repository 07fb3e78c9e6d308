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
    images = np.zeros((len(digits.images), _SIDE + 2 * _MARGIN, _SIDE + 2 * _MARGIN, 1), np.uint8)
    inner = slice(_MARGIN, _MARGIN + _SIDE)  # MNIST's layout: a 20x20 digit with a margin of 4
    for image, small in zip(images, digits.images, strict=True):
        large = resize(small / 16, (_SIDE, _SIDE), order=3, mode="constant")
        image[inner, inner, 0] = np.rint(np.clip(large, 0, 1) * 255)  # cubic splines overshoot
    labels = digits.target.astype(np.int64)
    return RawData(
        source="embedded",
        origin="sklearn.datasets.load_digits",
        train=Split(images[:_TRAIN], labels[:_TRAIN]),
        validation=None,
        test=Split(images[_TRAIN:], labels[_TRAIN:]),
    )
