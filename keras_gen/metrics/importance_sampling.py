"""Likelihood of a latent variable model by importance sampling, from log weights. NumPy and SciPy, float64."""

from __future__ import annotations

import numpy as np

from keras_gen.metrics import arrays


def log_likelihood_bound(log_weights: np.ndarray) -> np.ndarray:
    """Return the importance weighted lower bound of log p(x) per image (Burda et al. 2016, arXiv:1509.00519, L_k).

        L_k = log 1/k Σ_{i=1…k} w_i,        log w_i = log p(x | z_i) + log p(z_i) − log q(z_i | x),  z_i ~ q(z | x)

    Its expectation never falls with k: L_1 is the evidence lower bound (ELBO), and L_k → log p(x). It is a bound only
    on average. `effective_sample_size` tells how far to trust it: the standard error of an image's L_k is about
    √(1/ESS − 1/k) nats, where that is small.

    Args:
        log_weights: log w in nats, shape `(n, k)`, k at least 1, as from `VAE.log_importance_weights`.

    Returns:
        L_k of each image in nats, float64 of shape `(n,)`. Weights of any size neither over- nor underflow.

    Example:
        >>> log_likelihood_bound(np.log([[0.1, 0.3], [0.5, 0.5]])).round(4)  # log 0.2 and log 0.5
        array([-1.6094, -0.6931])
    """
    from scipy.special import logsumexp

    log_weights = _checked(log_weights)
    return logsumexp(log_weights, axis=1) - np.log(log_weights.shape[1])


def effective_sample_size(log_weights: np.ndarray) -> np.ndarray:
    """Return the effective sample size per image: the number of exact posterior samples the weighted ones are worth.

        ESS = (Σ_i w_i)² / Σ_i w_i²

    (Kong, Liu & Wong 1994, "Sequential imputations and Bayesian missing data problems".) It is k if all weights are
    equal (q is the posterior) and 1 if one weight dominates. `log_likelihood_bound` is unreliable or far below log p(x)
    then, and needs more samples or a better q.

    Args:
        log_weights: log w, shape `(n, k)`, k at least 1.

    Returns:
        float64 array of shape `(n,)`, from 1 to k.

    Example:
        >>> effective_sample_size([[-700.0, -700.0, -700.0, -700.0], [0.0, -50.0, -50.0, -50.0]]).round(6)
        array([4., 1.])
    """
    log_weights = _checked(log_weights)
    weights = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    return weights.sum(axis=1) ** 2 / np.square(weights).sum(axis=1)


def _checked(log_weights: object) -> np.ndarray:
    requirement = "of shape (n, k), n and k at least 1"
    return arrays.finite("log_weights", log_weights, requirement, lambda shape: len(shape) == 2 and min(shape) > 0)
