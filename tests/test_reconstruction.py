"""Tests of reconstruction errors against formulas, scikit-image per image, and SSIM per window."""

from __future__ import annotations

import math

import numpy as np
import pytest
import skimage.metrics

from keras_gen.metrics.reconstruction import reconstruction_error
from keras_gen.utils.errors import UsageError


def pair(shape, seed=0, noise=0.1):
    rng = np.random.default_rng(seed)
    images = rng.uniform(size=shape)
    return images, np.clip(images + noise * rng.normal(size=shape), 0, 1)


def ssim_window_by_window(x, y):
    """Compute the SSIM of two images (H, W) in [0, 1] as defined by Wang et al., in loops over windows."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()
    values = []
    for row in range(5, x.shape[0] - 5):
        for column in range(5, x.shape[1] - 5):
            window = np.s_[row - 5 : row + 6, column - 5 : column + 6]
            a, b = x[window], y[window]
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            variance_a, variance_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + 0.01**2)
                * (2 * covariance + 0.03**2)
                / ((mean_a**2 + mean_b**2 + 0.01**2) * (variance_a + variance_b + 0.03**2))
            )
    return np.mean(values)


@pytest.mark.parametrize("shape", [(3, 14, 17, 1), (2, 12, 11, 3)])
def test_equals_the_formulas_written_out(shape):
    images, others = pair(shape)
    result = reconstruction_error(images, others)
    errors = ((images - others) ** 2).mean(axis=(1, 2, 3))
    assert result.mse == pytest.approx(errors.mean(), rel=1e-12)
    assert result.psnr == pytest.approx(np.mean([10 * math.log10(1 / error) for error in errors]), rel=1e-12)
    channels = [
        ssim_window_by_window(x[..., c], y[..., c])
        for x, y in zip(images, others, strict=True)
        for c in range(shape[-1])
    ]
    assert result.ssim == pytest.approx(np.mean(channels), rel=1e-9)
    assert 0.5 < result.ssim < 1


def test_equals_scikit_image_image_by_image():
    images, others = pair((4, 28, 28, 3), seed=1)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    settings |= {"data_range": 1, "channel_axis": -1}
    result = reconstruction_error(images, others)
    pairs = list(zip(images, others, strict=True))
    assert result.mse == pytest.approx(np.mean([skimage.metrics.mean_squared_error(*p) for p in pairs]))
    decibels = [skimage.metrics.peak_signal_noise_ratio(*p, data_range=1) for p in pairs]
    assert result.psnr == pytest.approx(np.mean(decibels))
    similarities = [skimage.metrics.structural_similarity(*p, **settings) for p in pairs]
    assert result.ssim == pytest.approx(np.mean(similarities), rel=1e-12)


def test_psnr_is_the_mean_of_decibels_not_decibels_of_the_mean():
    images = np.zeros((2, 11, 11, 1))
    others = images + np.reshape([0.1, 0.001], (2, 1, 1, 1))
    result = reconstruction_error(images, others)
    assert result.psnr == pytest.approx((20 + 60) / 2)
    assert result.mse == pytest.approx((1e-2 + 1e-6) / 2)


def test_flat_images_have_only_the_similarity_of_their_means():
    images, others = np.full((1, 16, 16, 1), 0.4), np.full((1, 16, 16, 1), 0.8)
    expected = (2 * 0.4 * 0.8 + 1e-4) / (0.4**2 + 0.8**2 + 1e-4)
    assert reconstruction_error(images, others).ssim == pytest.approx(expected, rel=1e-9)


def test_an_inverted_image_is_dissimilar():
    images, _ = pair((2, 20, 20, 1), seed=2)
    assert reconstruction_error(images, 1 - images).ssim < -0.5


def test_perfect_reconstructions():
    images = np.random.default_rng(3).integers(0, 256, (3, 12, 12, 1), np.uint8)
    result = reconstruction_error(images, images.copy())
    assert (result.mse, result.psnr) == (0.0, math.inf)
    assert result.ssim == pytest.approx(1, rel=1e-12)
    imperfect = images.copy()
    imperfect[0, 0, 0, 0] ^= 1
    assert 0 < reconstruction_error(images, imperfect).mse < 1e-6
    assert reconstruction_error(images, imperfect).psnr == math.inf  # the other two are perfect


def test_bytes_are_255ths():
    rng = np.random.default_rng(4)
    images, others = (rng.integers(0, 256, (3, 13, 13, 3), np.uint8) for _ in range(2))
    expected = reconstruction_error(images / 255, others / 255)
    assert reconstruction_error(images, others) == expected
    assert reconstruction_error(images, others / 255) == expected
    assert reconstruction_error(images, (others / 255).astype("float32")) == pytest.approx(expected, rel=1e-6)
    assert all(type(value) is float for value in expected)


BYTES = np.zeros((2, 11, 11, 1), np.uint8)
FLOATS = np.zeros((2, 11, 11, 1), np.float32)
RANGE = "must be uint8 images, or floats from 0 to 1"


@pytest.mark.parametrize(
    ("images", "reconstructions", "message"),
    [
        (BYTES, FLOATS - 0.5, f"^reconstructions {RANGE}, received: float32 from -0.5 to -0.5$"),
        (FLOATS + 2, FLOATS, f"^images {RANGE}"),
        (BYTES, FLOATS * np.nan, f"^reconstructions {RANGE}.* from nan to nan$"),
        (BYTES, BYTES.astype(int), f"^reconstructions {RANGE}, received: dtype.'int64'.$"),
        (BYTES, FLOATS[:1], r"^reconstructions must be of shape \(2, 11, 11, 1\), like images.* \(1, 11, 11, 1\)$"),
        (BYTES[..., 0], FLOATS, r"^images must be images of shape \(n, H, W, C\).* received: shape \(2, 11, 11\)$"),
        (BYTES[:0], FLOATS[:0], r"^images must be images of shape .*shape \(0, 11, 11, 1\)$"),
        (BYTES[:, :10], FLOATS[:, :10], r"^images must be images of at least 11 x 11 pixels.* \(2, 10, 11, 1\)$"),
        (BYTES, "no images", f"^reconstructions {RANGE}"),
    ],
)
def test_other_images_are_refused_by_name(images, reconstructions, message):
    with pytest.raises(UsageError, match=message):
        reconstruction_error(images, reconstructions)
