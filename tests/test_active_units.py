"""Active latent units, against NumPy's variances and with a VAE that ignores a dimension."""

from __future__ import annotations

import numpy as np
import pytest
from model_helpers import LATENT, make_vae, pixels

from keras_gen.metrics.latent_units import active_units
from keras_gen.utils.errors import UsageError


def test_counts_the_dimensions_whose_mean_varies():
    rng = np.random.default_rng(0)
    means = rng.normal(size=(5000, 5)) * [1.0, 0.5, 0.09, 0.11, 0.0] + [0, 3, 100, 0, 7]
    result = active_units(means)
    assert result.count == 3
    np.testing.assert_allclose(result.variances, [np.mean((c - c.mean()) ** 2) for c in means.T], rtol=1e-9)
    assert result.variances[4] == 0


@pytest.mark.parametrize(("threshold", "count"), [(0, 2), (0.25, 1), (0.2499, 2), (3.99, 1), (4, 0)])
def test_a_variance_must_be_above_the_threshold(threshold, count):
    means = np.array([[2.0, 0.5, 3.0], [-2.0, -0.5, 3.0]])  # variances 4, 0.25 and 0
    assert active_units(means, threshold=threshold).count == count


def test_of_an_encoder_with_a_dead_dimension():
    model = make_vae()
    mean, _ = model.encode(pixels(40))
    assert active_units(mean.numpy(), threshold=0).count == LATENT
    for variable in model.encoder.trainable_variables:
        if variable.shape == (6, LATENT):  # the kernels of the two heads
            variable.assign(variable.numpy() * [1.0, 0.0, 1.0])
    mean, _ = model.encode(pixels(40))
    result = active_units(mean.numpy(), threshold=0)
    assert result.count == 2
    assert result.variances[1] == 0


GOOD = np.ones((3, 2))


@pytest.mark.parametrize(
    ("means", "options", "message"),
    [
        (GOOD[:1], {}, r"^means must be at least 2 samples, received: shape \(1, 2\)$"),
        (GOOD[0], {}, r"^means must be of shape \(n, D\), D at least 1, received: shape \(2,\)$"),
        (GOOD * np.nan, {}, "^means must be finite"),
        (GOOD, {"threshold": -0.1}, "^threshold must be a number of at least 0, received: -0.1$"),
    ],
)
def test_bad_arguments_are_refused_by_name(means, options, message):
    with pytest.raises(UsageError, match=message):
        active_units(means, **options)
